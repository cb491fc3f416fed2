package desk

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Accounts that others keep are listed as far as they have been seen here: those of passwd-files, those with a mailbox, those whose users have decided something,
// and those that are blocked. A directory is asked about one at a time, when somebody looks at its page or for its whole address.

const (
	seenLasts = 30 * time.Second // after which they are looked for again
	seenWait  = 2 * time.Second  // for the first look, which reads the names of all mailboxes
)

// seen are the accounts that others keep, of one set of settings. It may be used concurrently. The zero value knows of none.
type seen struct {
	mu    sync.Mutex
	of    *accounts.Directory
	names []domains.Address // sorted
	at    time.Time         // when they were found; zero: not yet
	look  chan struct{}     // closed once the look that is under way ends; nil: none is
}

// list are their names, sorted. Whoever is the first to ask waits for them a little while; from then on they are looked for beside whoever asks.
func (s *seen) list(ctx context.Context, of *accounts.Directory, find func() []domains.Address) []domains.Address {
	s.mu.Lock()
	if s.of != of {
		s.of, s.names, s.at, s.look = of, nil, time.Time{}, nil
	}
	if s.look == nil && time.Since(s.at) > seenLasts {
		done := make(chan struct{})
		s.look = done
		go func() {
			names := find()
			s.mu.Lock()
			if s.look == done { // no other settings meanwhile
				s.names, s.at, s.look = names, time.Now(), nil
			}
			s.mu.Unlock()
			close(done)
		}()
	}
	look, names := s.look, s.names
	first := s.at.IsZero()
	s.mu.Unlock()
	if !first {
		return names
	}
	ctx, stop := context.WithTimeout(ctx, seenWait)
	defer stop()
	select {
	case <-look:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of != of {
		return nil
	}
	return s.names
}

// elsewhere are the names of accounts that others keep and that have been seen here.
func (p accountPages) elsewhere(ctx context.Context, st Moment) []domains.Address {
	if !st.Settings.Elsewhere.HasAccounts() {
		return nil
	}
	return p.seen.list(ctx, st.Directory, func() []domains.Address { return p.findElsewhere(st) })
}

// findElsewhere looks for them. What cannot be read now leaves out whom it would have named.
func (p accountPages) findElsewhere(st Moment) []domains.Address {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	others, all := st.Directory.Elsewhere(), make(map[domains.Address]bool)
	add := func(a domains.Address) {
		_, alias := st.Directory.Aliases()[a]
		if others.Knows(a.Domain()) && st.Directory.Account(a) == nil && !alias && !st.Directory.Reports()[a] {
			all[a] = true
		}
	}
	left := func(what string, err error) {
		p.Log.Warn("not all accounts that others keep are listed", "of", what, "err", err)
	}
	listed, err := others.List()
	if err != nil {
		left("passwd-files", err)
	}
	for _, k := range listed {
		add(k.Address)
	}
	decided, err := p.Preferences.Accounts()
	if err != nil {
		left("what users have decided", err)
	}
	for _, a := range decided {
		add(a)
	}
	for a := range st.Directory.BlockedElsewhere() {
		add(a)
	}
	for box, err := range p.Store.Users(ctx) {
		if err != nil {
			left("mailboxes", err)
			break
		}
		add(domains.Address(box))
	}
	return slices.Sorted(maps.Keys(all))
}

// together are two parts of lists in one, as much of it as is asked for.
func together(a, b []domains.Address, next string, s admin.Slice) ([]domains.Address, string) {
	all := slices.Concat(a, b)
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > s.Limit {
		all = all[:s.Limit]
		next = all[s.Limit-1].String()
	}
	return all, next
}

// asked is the account, of a directory, that somebody looks for by its whole address and that was not seen here yet; empty: none.
func (p accountPages) asked(ctx context.Context, st Moment, text string) domains.Address {
	at := domains.CanonicalAddress(text)
	if !st.Directory.Elsewhere().Knows(at.Domain()) || st.Directory.Account(at) != nil {
		return ""
	}
	ctx, stop := context.WithTimeout(ctx, seenWait)
	defer stop()
	k, err := st.Directory.Find(ctx, at)
	if err != nil || k == nil {
		return ""
	}
	return k.Address
}

// seenAs is what was said last of an account that others keep, by whatever name they know it.
func seenAs(st Moment, name domains.Address) (k *accounts.Known, asked bool) {
	if k, asked = st.Directory.Seen(name); k != nil {
		return k, asked
	}
	as := st.Credentials.KnownAs(name)
	if as == "" {
		return nil, asked
	}
	if k, asked = st.Directory.Seen(as); k != nil && k.Address != name {
		k = nil
	}
	return k, asked
}

// kept says of an account who keeps it and what he says of it.
func kept(r *admin.Account, st Moment, name domains.Address, k *accounts.Known, asked bool, err error) {
	dir := st.Directory
	keeper := cmp.Or(dir.Elsewhere().Directory(name.Domain()), "a passwd-file")
	r.Blocked, r.Gone, r.Unasked = dir.Blocked(name), false, false
	if domain := dir.Domain(name.Domain()); domain != nil {
		r.ByDomain = domain.Disabled
	}
	switch {
	case err != nil:
		r.Kept, r.Unknown = cmp.Or(r.Kept, keeper), err.Error()
	case k == nil:
		r.Kept, r.Gone, r.Unasked = keeper, asked, !asked
	default:
		r.Kept, r.Said = k.Place, k.Answer
		switch {
		case k.Disabled && !r.Blocked && !r.ByDomain:
			r.ClosedThere = true
		case k.Problem != nil:
			r.Unknown = "nobody can log in: " + k.Problem.Error()
		}
		if r.Password = "kept there"; k.Scheme() == "none" {
			r.Password = ""
		} else if s := k.Stored(); s != "" {
			r.Password = passwd.Kind(s)
		}
	}
	r.PasswordFrom = r.Kept
	r.PasswordPage, _ = dir.Elsewhere().PasswordOf(name)
}

// accountElsewhere is what the page of such an account shows: whoever keeps it is asked.
func (p accountPages) accountElsewhere(ctx context.Context, st Moment, name domains.Address) (admin.Account, error) {
	if !st.Directory.Elsewhere().Knows(name.Domain()) {
		return admin.Account{}, pages.ErrNotFound
	}
	k, err := st.Credentials.FindElsewhere(ctx, name)
	if k != nil && k.Address != name { // a name of another one
		return admin.Account{}, pages.ErrNotFound
	}
	if k == nil && err == nil {
		if _, here := slices.BinarySearch(p.elsewhere(ctx, st), name); !here {
			return admin.Account{}, pages.ErrNotFound
		}
	}
	r := p.row(ctx, st, name, st.Credentials.LastLogins(name)[name], lockedUntil(st.Credentials)[name])
	kept(&r, st, name, k, true, err)
	r.Stamp = stampElsewhere(st.Settings, name)
	if r.Blocked {
		r.From = st.Settings.WhereBlocked(name)
	}
	return r, nil
}

// stampElsewhere changes with what the pages change of an account that others keep.
func stampElsewhere(s *conf.Settings, name domains.Address) string {
	return stampOf("elsewhere", s.Elsewhere.Blocked()[name])
}

// blockElsewhere is Block of such an account.
func (p accountPages) blockElsewhere(ctx context.Context, at domains.Address, stamp string, block bool) error {
	running := stampElsewhere(p.Now().Settings, at)
	return p.apply(ctx, func(s *conf.Settings) ([]*conf.Edit, error) {
		if err := outdated(stamp, running, stampElsewhere(s, at)); err != nil {
			return nil, err
		}
		return one(s.SetDisabled(at, block))
	})
}

// isHere reports whether there is an account of the settings, or one that others keep.
func (p accountPages) isHere(ctx context.Context, at domains.Address) bool {
	st := p.Now()
	if st.Directory.Account(at) != nil {
		return true
	}
	if !st.Directory.Elsewhere().Knows(at.Domain()) {
		return false
	}
	k, err := st.Credentials.FindElsewhere(ctx, at)
	return err != nil || k != nil && k.Address == at // what is done about mail need not wait for a directory
}
