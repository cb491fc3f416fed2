package accounts

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// A session of a mail program goes on for as long as what has opened it would open one now: who changes his password, or ends
// that of a telephone that was lost, wants whoever has it out, and not only kept from coming again.

// Open are the connections of mail programs that there are now, and what has opened them. Its methods may be called
// concurrently. It outlives a reload.
type Open struct {
	// Opens reports whether a secret opens an account by the settings and the decisions of the moment. Set it before the first
	// connection; nil: nothing is ended.
	Opens func(account domains.Address, by string) bool
	// Ended, if not nil, is told of a session that was ended.
	Ended func(session string, account domains.Address)

	mu sync.Mutex
	by map[string]*opened // by the name of the session
}

// opened is one connection.
type opened struct {
	end     func() error
	account domains.Address // empty: nobody has logged in
	by      string          // the secret, as Credentials.Opens knows it
}

// Begin notes a connection, and how to end it.
func (o *Open) Begin(session string, end func() error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil {
		o.by = make(map[string]*opened)
	}
	o.by[session] = &opened{end: end}
}

// Done forgets a connection that has ended.
func (o *Open) Done(session string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.by, session)
}

// note writes down what the client of a context has logged in by. What has changed while it was checked ends the session at once:
// Sweep has come too early to see it.
func (o *Open) note(ctx context.Context, account domains.Address, by string) {
	session := sasl.PeerOf(ctx).Session
	o.mu.Lock()
	s := o.by[session]
	if s != nil {
		s.account, s.by = account, by
	}
	o.mu.Unlock()
	if s != nil {
		o.end(map[string]opened{session: {s.end, account, by}})
	}
}

// Sweep ends the sessions whose secrets open nothing any more, of one account, or ("") of all, and counts them.
func (o *Open) Sweep(account domains.Address) int {
	all := make(map[string]opened)
	o.mu.Lock()
	for session, s := range o.by {
		if s.account != "" && (account == "" || s.account == account) {
			all[session] = *s
		}
	}
	o.mu.Unlock()
	return o.end(all)
}

// end ends those that are open by what opens nothing. It asks without the lock, since that reads files.
func (o *Open) end(all map[string]opened) (n int) {
	if o.Opens == nil {
		return 0
	}
	for session, s := range all {
		if o.Opens(s.account, s.by) {
			continue
		}
		s.end()
		o.Done(session) // it may take a while to say so
		n++
		if o.Ended != nil {
			o.Ended(session, s.account)
		}
	}
	return n
}

// Sessions are the connections of mail programs.
func (c *Credentials) Sessions() *Open { return c.open }

// appPrefix begins what a session is open by where that is an app password; no stamp has a colon.
const appPrefix = "app:"

// otherwise is what a session is open by that a provider or a certificate has opened; no stamp has a colon.
const otherwise = "other:"

// theirs begins what a session is open by where that is a password of an account that others keep. Behind it stands the stamp of its hash, where a place has
// told us that.
const theirs = "theirs:"

// by is what a session is open by that a password of the account has opened.
func (k *Known) by() string {
	if k.stored == "" {
		return theirs
	}
	return theirs + stamp(k.stored)
}

// foundAs adds to what a session is open by the name by which others found its account: under the account's own they may know nobody. Neither
// stamps nor the names of app passwords have a blank.
func foundAs(by string, name domains.Address) string { return by + " " + name.String() }

// isThere reports whether an account, which others found by a name ("": the settings have it), may be logged in to at all, as far as it is known
// without asking a directory.
func (c *Credentials) isThere(account, name domains.Address) bool {
	if a := c.dir.Account(account); a != nil {
		return !a.Disabled
	}
	return !c.dir.closed(account) && !c.dir.blocked[name] && c.dir.elsewhere.mayBe(account, name)
}

// patienceForAll is how long directories are asked at a time about those whose sessions are open. Whose turn did not come is asked about the
// next time.
const patienceForAll = 20 * time.Second

// Revisit asks directories whether the accounts are still there whose sessions are open: nobody tells us that an entry is gone. A place
// that is away answers nothing, which ends nothing.
func (c *Credentials) Revisit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patienceForAll)
	defer cancel()
	for name := range c.open.foundElsewhere() {
		if ctx.Err() != nil {
			return
		}
		c.dir.elsewhere.Find(ctx, name) // what it says is remembered
	}
}

// foundElsewhere are the names by which others found the accounts whose sessions are open.
func (o *Open) foundElsewhere() map[domains.Address]bool {
	all := make(map[domains.Address]bool)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.by {
		if _, name, is := strings.Cut(s.by, " "); is {
			all[domains.Address(name)] = true
		}
	}
	return all
}

// Opens reports whether what a session is open by opens its account now. What cannot be known keeps nobody out who is in.
func (c *Credentials) Opens(account domains.Address, by string) bool {
	by, name, elsewhere := strings.Cut(by, " ")
	if elsewhere || by == otherwise {
		return c.opensOther(account, domains.Address(name), by)
	}
	s, err := c.secretsOf(account, c.dir.Account(account))
	if err != nil {
		return true
	}
	if id, is := strings.CutPrefix(by, appPrefix); is {
		return c.apps && s.stored != "" && s.p.Has(id, time.Now())
	}
	return s.stored != "" && !c.onlyApps(s.p) && by == stamp(s.stored)
}

// opensOther is Opens of what somebody else has opened, or an account that others found by a name.
func (c *Credentials) opensOther(account, name domains.Address, by string) bool {
	if by == otherwise || !c.isThere(account, name) {
		return c.isThere(account, name)
	}
	p, err := c.decided(account)
	if err != nil {
		return true
	}
	if id, is := strings.CutPrefix(by, appPrefix); is {
		return c.apps && p.Has(id, time.Now())
	}
	return !c.onlyApps(p) && c.dir.elsewhere.mayHave(name, strings.TrimPrefix(by, theirs))
}

// onlyApps reports whether the password of an account is for the pages alone. Where there are no app passwords it is not: nobody
// could fetch mail any more.
func (c *Credentials) onlyApps(p *preferences.Preferences) bool {
	return c.apps && p != nil && p.OnlyApps
}
