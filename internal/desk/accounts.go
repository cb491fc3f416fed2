package desk

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// accountPages sees and changes accounts for administrators.
type accountPages struct{ *Desk }

// stampOfAccount changes with whatever of an account the pages change.
func stampOfAccount(a *conf.Account) string {
	if a == nil {
		return ""
	}
	return stampOf(string(a.Password), string(a.ScramSHA256), string(a.CRAMMD5), string(a.APOP), int64(a.Quota), a.Disabled, a.Addresses)
}

// Accounts implements admin.Accounts.
func (p accountPages) Accounts(ctx context.Context, s admin.Slice) (rows []admin.Account, next string, err error) {
	st := p.Now()
	found, next := st.Names.accounts.part(s)
	if st.Settings.Elsewhere.HasAccounts() {
		theirs, more := part(p.elsewhere(ctx, st), s)
		if next == "" {
			next = more
		}
		if at := p.asked(ctx, st, s.Find); at != "" && s.After == "" {
			theirs = append(theirs, at)
		}
		found, next = together(found, theirs, next, s)
	}
	last, locked := st.Credentials.LastLogins(found...), lockedUntil(st.Credentials)
	for _, name := range found {
		rows = append(rows, p.row(ctx, st, name, last[name], locked[name]))
	}
	return rows, next, nil
}

// lockedUntil are the accounts that guesses at are not checked for now.
func lockedUntil(c *accounts.Credentials) map[domains.Address]time.Time {
	until := make(map[domains.Address]time.Time)
	for _, l := range c.Lockouts() { // those for longest first
		if _, ok := until[l.Account]; !ok && l.Account != "" {
			until[l.Account] = l.Until
		}
	}
	return until
}

// row is what a list shows of an account.
func (p accountPages) row(ctx context.Context, st Moment, name domains.Address, last accounts.LastLogin, locked time.Time) admin.Account {
	a := st.Directory.Account(name)
	r := admin.Account{Address: name.String(), Locked: locked, LastLogin: last.At}
	if a == nil {
		k, asked := seenAs(st, name)
		kept(&r, st, name, k, asked, nil)
	} else {
		r.Blocked = a.Disabled
		if a.Password != "" {
			r.Password = passwd.Kind(string(a.Password))
		}
		if dom := st.Directory.Domain(name.Domain()); dom != nil {
			r.ByDomain = dom.Disabled
		}
	}
	r.Most = p.Quota(name.String()).Octets
	p.decided(&r, name, a)
	if last.From != (netip.Prefix{}) {
		r.LastFrom = last.From.String()
	}
	use, err := p.Store.Usage(ctx, name.String())
	if err != nil {
		r.Unread = "its mailbox cannot be read: " + err.Error()
	}
	r.Messages, r.Octets = use.Messages, use.Octets
	return r
}

// decided adds what the user has decided.
func (p accountPages) decided(r *admin.Account, name domains.Address, a *conf.Account) {
	is, err := p.Preferences.Of(name)
	switch {
	case err != nil:
		r.Unread = err.Error()
	case is != nil:
		if accounts.OwnPassword(a, is) {
			r.Password += ", set by the user"
		}
		if r.Devices = len(is.Apps); is.Forward != nil {
			r.Forward = is.Forward.To
		}
		r.Absence = is.Absence != nil && !is.Absence.Over(time.Now())
	}
}

// Account implements admin.Accounts.
func (p accountPages) Account(ctx context.Context, address string) (admin.Account, error) {
	st, name := p.Now(), domains.CanonicalAddress(address)
	r, err := p.all(ctx, st, name)
	if err != nil {
		return admin.Account{}, err
	}
	use, err := p.Post.Use(ctx, name)
	if err != nil {
		return admin.Account{}, err
	}
	r.Sent = admin.Sent{Hour: use.Hour.Messages, HourMost: use.Rate.Hour.Messages, Day: use.Day.Messages, DayMost: use.Rate.Day.Messages, To: use.Day.Recipients,
		ToMost: use.Rate.Day.Recipients, Full: use.Full, Until: use.Until, Lifted: use.Lifted, Held: use.Held}
	const shown = 50
	var lead []domains.Address
	for alias, targets := range st.Directory.Aliases() {
		if slices.ContainsFunc(targets, func(to conf.Target) bool { return to.Address == name }) {
			lead = append(lead, alias)
		}
	}
	slices.Sort(lead)
	for _, alias := range lead[:min(len(lead), shown)] {
		r.Aliases = append(r.Aliases, admin.Alias{Address: alias.String(), Default: !st.Names.written()[alias]})
	}
	return r, nil
}

// all is what there is to say of one account, but for what it sends and who leads to it.
func (p accountPages) all(ctx context.Context, st Moment, name domains.Address) (admin.Account, error) {
	a := st.Directory.Account(name)
	if a == nil {
		return p.accountElsewhere(ctx, st, name)
	}
	r := p.row(ctx, st, name, st.Credentials.LastLogins(name)[name], lockedUntil(st.Credentials)[name])
	r.Stamp, r.Keys = stampOfAccount(a), a.Mechanisms()
	if a.Quota != 0 {
		text, _ := a.Quota.MarshalText()
		r.Quota = string(text)
	}
	r.From, r.PasswordFrom = st.Settings.WhereAccount(name)
	return r, nil
}

// AddAccount implements admin.Accounts.
func (p accountPages) AddAccount(ctx context.Context, a admin.NewAccount) (address, password string, err error) {
	st := p.Now()
	at, err := p.wholeAddress(a.Address)
	if err != nil {
		return "", "", err
	}
	if _, err := st.Settings.AddAccount(p.Files.Configuration(), at, conf.Keys{}); err != nil { // before a hash is made in vain
		return "", "", &admin.Wrong{Field: "address", Why: err.Error()}
	}
	quota, err := readQuota(a.Quota)
	if err != nil {
		return "", "", err
	}
	secret, keys, err := newSecret(at, a.Password, nil)
	if err != nil {
		return "", "", err
	}
	if err := p.leftover(ctx, at, a.Mail); err != nil {
		return "", "", err
	}
	err = p.apply(ctx, change.Single(func(s *conf.Settings) (*conf.Edit, error) {
		e, err := s.AddAccountHolding(p.Files.Configuration(), at, keys, quota)
		if err != nil {
			err = &admin.Wrong{Field: "address", Why: err.Error()}
		}
		return e, err
	}))
	return at.String(), secret, err
}

// wholeAddress reads an address at one of our domains.
func (d *Desk) wholeAddress(text string) (domains.Address, error) {
	wrong := func(format string, args ...any) error {
		return &admin.Wrong{Field: "address", Why: fmt.Sprintf(format, args...)}
	}
	switch at := domains.CanonicalAddress(text); {
	case text == "":
		return "", wrong("an address is needed")
	case !strings.Contains(text, "@"):
		meant, _ := d.Now().Directory.Login(text)
		return "", wrong("write the whole address, such as %s", meant)
	case !d.Now().Settings.Book().IsLocal(at.Domain()):
		return "", wrong("mail for %s is not kept here; add the domain first", at.Domain())
	default:
		return at, nil
	}
}

// readQuota reads what a mailbox may hold; empty is 0.
func readQuota(text string) (q conf.Quota, err error) {
	if text == "" {
		return 0, nil
	}
	if err := q.UnmarshalText([]byte(text)); err != nil {
		return 0, &admin.Wrong{Field: "quota", Why: err.Error()}
	}
	if q == 0 {
		return 0, &admin.Wrong{Field: "quota", Why: `write a size, as "2GB", "none" for no limit, or nothing`}
	}
	return q, nil
}

// newSecret checks a new password, makes one where it is empty, and makes what is kept of it. before is the account; nil: it is a new one.
func newSecret(of domains.Address, password string, before *conf.Account) (string, conf.Keys, error) {
	if password == "" {
		password = string(accounts.RandomPassword())
	}
	if err := errors.Join(accounts.Usable([]byte(password)), accounts.Strong([]byte(password), of)); err != nil {
		return "", conf.Keys{}, &admin.Wrong{Field: "password", Why: err.Error()}
	}
	keys, err := accounts.NewKeys([]byte(password), before)
	return password, keys, err
}

// purger is a store that can delete a mailbox.
type purger interface {
	Purge(ctx context.Context, user string) error
}

// leftover does what is wanted with the mail of an account of that name that was removed: it is not for a new one unless that is said.
func (p accountPages) leftover(ctx context.Context, at domains.Address, wanted string) error {
	use, err := p.Store.Usage(ctx, at.String())
	holds := pages.Count(use.Messages, "message")
	if err == nil && use.Messages == 0 {
		// Keys of sealed mail alone are of somebody as well: with them an account that is not sealed would be given no mail.
		box, bad := p.MailKeys.Of(at.String())
		if bad == nil && box == nil {
			return nil
		}
		err, holds = bad, "keys of sealed mail"
	}
	switch {
	case err != nil:
		return fmt.Errorf("whether there is mail of that name from before cannot be seen: %w", err)
	case wanted == "keep":
		return nil
	case wanted == "delete":
		return p.purge(ctx, at)
	}
	return &admin.Wrong{Field: "mail", Why: "there is a mailbox of that name with " + holds + ", of an account that was removed"}
}

func (p accountPages) purge(ctx context.Context, at domains.Address) error {
	store, ok := p.Store.(purger)
	if !ok {
		return errors.New("this store deletes no mailboxes")
	}
	return store.Purge(context.WithoutCancel(ctx), at.String())
}

// edit changes an account that is as the page has shown it.
func (p accountPages) edit(ctx context.Context, address, stamp string, edit func(*conf.Settings, domains.Address, *conf.Account) ([]*conf.Edit, error)) error {
	at := domains.CanonicalAddress(address)
	running := stampOfAccount(p.Now().Directory.Account(at))
	return p.apply(ctx, func(s *conf.Settings) ([]*conf.Edit, error) {
		a := s.Book().Accounts[at]
		if a == nil && running == "" {
			return nil, pages.ErrNotFound
		}
		if err := outdated(stamp, running, stampOfAccount(a)); err != nil {
			return nil, err
		}
		return edit(s, at, a)
	})
}

// one makes of an edit several.
func one(e *conf.Edit, err error) ([]*conf.Edit, error) {
	if err != nil {
		return nil, err
	}
	return []*conf.Edit{e}, nil
}

// SetPassword implements admin.Accounts.
func (p accountPages) SetPassword(ctx context.Context, address, stamp, password string) (string, error) {
	of := domains.CanonicalAddress(address)
	if box, err := p.MailKeys.Of(of.String()); err != nil || box != nil {
		return "", &admin.Wrong{Field: "password", Why: "this mailbox is sealed: a password that is set here would not open its mail; \"postrider user passwd\" asks for the one before or the recovery key"}
	}
	secret, keys, err := newSecret(of, password, p.Now().Directory.Account(of))
	if err != nil {
		return "", err
	}
	return secret, p.edit(ctx, address, stamp, func(s *conf.Settings, at domains.Address, a *conf.Account) (_ []*conf.Edit, err error) {
		if a.APOP != "" { // who has APOP keeps it
			var key seal.Key
			if key, err = seal.LoadKey(s.SecretKeyFile); err == nil {
				keys.APOP, err = accounts.SealAPOP(key, at, []byte(secret))
			}
			if err != nil {
				return nil, err
			}
		}
		return one(s.SetKeys(at, keys))
	})
}

// SetQuota implements admin.Accounts.
func (p accountPages) SetQuota(ctx context.Context, address, stamp, quota string) error {
	q, err := readQuota(quota)
	if err != nil {
		return err
	}
	return p.edit(ctx, address, stamp, func(s *conf.Settings, at domains.Address, _ *conf.Account) ([]*conf.Edit, error) {
		return one(s.SetQuota(at, q))
	})
}

// Block implements admin.Accounts.
func (p accountPages) Block(ctx context.Context, address, stamp string, block bool) error {
	if st, at := p.Now(), domains.CanonicalAddress(address); st.Directory.Account(at) == nil && st.Directory.Elsewhere().Knows(at.Domain()) {
		return p.blockElsewhere(ctx, at, stamp, block)
	}
	return p.edit(ctx, address, stamp, func(s *conf.Settings, at domains.Address, _ *conf.Account) ([]*conf.Edit, error) {
		return one(s.SetDisabled(at, block))
	})
}

// LiftLimits implements admin.Accounts.
func (p accountPages) LiftLimits(ctx context.Context, address string, until time.Time) (int, error) {
	return p.steer(ctx, address, func(ctx context.Context, at domains.Address) (int, error) { return p.Post.Lift(ctx, at, until) })
}

// RestoreLimits implements admin.Accounts.
func (p accountPages) RestoreLimits(ctx context.Context, address string) error {
	_, err := p.steer(ctx, address, func(_ context.Context, at domains.Address) (int, error) {
		p.Post.Restore(at)
		return 0, nil
	})
	return err
}

// DiscardHeld implements admin.Accounts.
func (p accountPages) DiscardHeld(ctx context.Context, address string) (int, error) {
	return p.steer(ctx, address, p.Post.Discard)
}

// steer does something about what an account sends, to its end, whether somebody waits for it or not.
func (p accountPages) steer(ctx context.Context, address string, do func(context.Context, domains.Address) (int, error)) (int, error) {
	at := domains.CanonicalAddress(address)
	if !p.isHere(ctx, at) {
		return 0, pages.ErrNotFound
	}
	return do(context.WithoutCancel(ctx), at)
}

// RemoveAccount implements admin.Accounts.
func (p accountPages) RemoveAccount(ctx context.Context, address, stamp string, mail bool) error {
	err := p.edit(ctx, address, stamp, func(s *conf.Settings, at domains.Address, _ *conf.Account) ([]*conf.Edit, error) {
		return s.RemoveAccount(at)
	})
	if err != nil {
		return err
	}
	// Now that nobody logs in or delivers there any more.
	if err := p.Preferences.Remove(context.WithoutCancel(ctx), domains.CanonicalAddress(address)); err != nil {
		return fmt.Errorf("the account is removed, but what its user had decided is not: %w", err)
	}
	if !mail {
		return nil
	}
	if err := p.purge(ctx, domains.CanonicalAddress(address)); err != nil {
		return fmt.Errorf("the account is removed, but its mail is not deleted: %w", err)
	}
	return nil
}

// Lockouts implements admin.Lockouts.
func (p accountPages) Lockouts() (all []admin.Lockout) {
	for _, l := range p.Now().Credentials.Lockouts() {
		all = append(all, admin.Lockout{Network: l.Address, Account: l.Account.String(), Until: l.Until})
	}
	return all
}

// Lift implements admin.Lockouts.
func (p accountPages) Lift(who string) bool { return p.Now().Credentials.Unlock(who) }
