package accounts

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// Logins to accounts that others keep, by a password. They are throttled as all are; what cannot be found out is no guess. Passwords for
// devices are ours: they open such an account for as long as whoever keeps it has it, as tokens do, and whatever its password is there.

// isElsewhere reports whether a name given at login may be one of an account that others keep.
func (c *Credentials) isElsewhere(name domains.Address) bool {
	return c.dir.Account(name) == nil && c.dir.elsewhere.Knows(name.Domain())
}

// verifyElsewhere is Verify for such names.
func (c *Credentials) verifyElsewhere(ctx context.Context, authzid, user string, name domains.Address, password []byte) (string, error) {
	block := lineserver.Block(sasl.PeerOf(ctx).RemoteAddr)
	// What went wrong is in the log already, and no more often than it should be.
	failed := func(err error) error {
		return fmt.Errorf("check the password of %s: %w: %w", name, sasl.ErrUnavailable, err)
	}
	typed := name
	k, name, err := c.findAs(ctx, typed)
	if err != nil {
		return "", failed(err)
	}
	who := typed
	if k != nil {
		who = k.Address
	}
	// Whatever somebody types to mean an account, guesses are counted at it.
	if who != typed && !c.throttle.allows(block, who) {
		return "", sasl.ErrThrottled
	}
	// Programs that send both names send the same twice, by whichever of its names the account is known there.
	mayActAs := c.mayActAs(typed, authzid) || c.mayActAs(who, authzid)
	p, err := c.decidedElsewhere(who, k)
	if err != nil {
		return "", failed(err)
	}
	s := secrets{p: p}
	if k != nil && k.letsOthers(ctx) {
		s.stored = otherwise // somebody can log in
	}
	if app := c.app(ctx, &s, password); app != nil && mayActAs {
		c.throttle.remember(block, who, right)
		c.uses.note(ctx, who, app.ID)
		c.open.note(ctx, who, foundAs(appPrefix+app.ID, name))
		return who.String(), nil
	}
	rights := c.dir.elsewhere.rights
	secret := k.secret()
	only := c.onlyApps(p) && sasl.PeerOf(ctx).Service != pagesService
	if only { // what opens the pages and no mail is wrong here, and not there
		secret += " for pages"
	}
	tag := c.repeats.tagOf(who, secret, password)
	if k != nil && rights.has(who, tag) && k.lets(ctx) && mayActAs {
		c.throttle.remember(block, who, right)
		c.cameAs(ctx, k, name)
		return who.String(), nil
	}
	settle, err := c.checkElsewhere(ctx, k, name, who, password)
	switch {
	case err == nil && only:
	case err == nil && k.at.lasts > 0 && k.stored == "":
		rights.add(who, tag)
	case errors.Is(err, sasl.ErrDenied):
		rights.drop(who)
	}
	if err == nil && (only || !(k.lets(ctx) && mayActAs)) {
		err = sasl.ErrDenied
	}
	v := c.judge(ctx, user, err)
	if errors.Is(err, sasl.ErrDenied) && !c.repeats.add(login{block, who}, tag) {
		v = undecided // the same again tells whoever makes it nothing new
	}
	if settle != nil {
		settle(v)
	}
	switch {
	case err == nil:
		c.cameAs(ctx, k, name)
		return who.String(), nil
	case errors.Is(err, sasl.ErrDenied), errors.Is(err, sasl.ErrThrottled):
		return "", err
	}
	return "", failed(err)
}

// cameAs notes that the client of a context has logged in to an account by its password, which was found by a name.
func (c *Credentials) cameAs(ctx context.Context, k *Known, name domains.Address) {
	if name != k.Address && sasl.PeerOf(ctx).Service == pagesService {
		c.names.note(k.Address, name)
	}
	c.open.note(ctx, k.Address, foundAs(k.by(), name))
}

// decidedElsewhere is what the user of an account that others keep (nil: there is none) has decided. What cannot be read is an error: its
// password may be for the pages alone.
func (c *Credentials) decidedElsewhere(who domains.Address, k *Known) (*preferences.Preferences, error) {
	p, err := c.decided(who) // of whoever there is not as well: it must take as long
	if k == nil {
		return nil, nil
	}
	return p, err
}

// checkElsewhere checks the password of an account (nil: there is none). The function settles what was booked; it is nil if nothing was.
func (c *Credentials) checkElsewhere(ctx context.Context, k *Known, name, who domains.Address, password []byte) (settle func(verdict), err error) {
	block := lineserver.Block(sasl.PeerOf(ctx).RemoteAddr)
	book := func() error {
		booked, ok := c.throttle.book(block, who)
		if !ok {
			return sasl.ErrThrottled
		}
		settle = booked
		return nil
	}
	var stored, like string
	switch {
	case k == nil || k.Closed || k.Problem != nil:
		if k != nil && k.Problem != nil {
			c.dir.elsewhere.complain(k)
		}
		like, err = c.dir.elsewhere.lastFor(name.Domain()).pretends(ctx, book, password)
		if err == nil && like == "" {
			err = sasl.ErrDenied
		}
		if err != nil {
			return settle, err
		}
	case k.stored == "":
		if err := book(); err != nil {
			return settle, err
		}
		err := k.at.ask(func() error { return k.at.keeper.check(ctx, k, password) })
		return settle, err
	default:
		stored = k.stored
	}
	is := c.throttle.standing(block, who)
	a := passwd.Attempt{Account: who.String(), Stored: stored, Password: password, Like: like, Source: block.String(), Known: is.known, Suspect: is.suspect, Allowed: book}
	err = c.check(ctx, a)
	if err == nil && settle == nil { // it was remembered, and needed no turn
		settle = func(v verdict) { c.throttle.remember(block, who, v) }
	}
	if errors.Is(err, passwd.ErrMismatch) {
		err = sasl.ErrDenied
	}
	return settle, err
}

// pretends does what a check costs for a name that nobody has, and says what else is to be imitated.
func (p *place) pretends(ctx context.Context, book func() error, password []byte) (like string, err error) {
	if p.fast { // the work is that of the hash, which waits for its turn and is booked then
		return p.keeper.pretend(ctx, password)
	}
	if err := book(); err != nil {
		return "", err
	}
	err = p.ask(func() (err error) { like, err = p.keeper.pretend(ctx, password); return err })
	return like, err
}

// lastFor is the place that is asked last about a domain: whoever is nobody has been looked for there.
func (e *Elsewhere) lastFor(domain domains.Name) *place {
	for _, p := range slices.Backward(e.places) {
		if p.domains[domain] {
			return p
		}
	}
	return nil
}

// complain says once in a while that nobody can log in to an account, and why.
func (e *Elsewhere) complain(k *Known) {
	p := k.at
	p.mu.Lock()
	last, now := p.complained[k.Address], time.Now()
	told := now.Sub(last) < time.Hour
	if !told && len(p.complained) < mostKnown {
		p.complained[k.Address] = now
	}
	p.mu.Unlock()
	if !told {
		p.log.Warn("an account that others keep cannot be logged in to", "user", k.Address.String(), "place", p.name, "err", k.Problem)
	}
}

// secret names what a password would be right for, without telling it.
func (k *Known) secret() string {
	if k == nil {
		return ""
	}
	return k.Place + "\x00" + k.dn + "\x00" + k.stored
}

// lets reports whether an account may be logged in to by a password, by the client of a context.
func (k *Known) lets(ctx context.Context) bool { return !k.Closed && k.Problem == nil && k.within(ctx) }

// letsOthers reports whether an account may be logged in to by whoever has proved otherwise who he is: it needs no password then.
func (k *Known) letsOthers(ctx context.Context) bool {
	return !k.Disabled && k.Problem == nil && k.within(ctx)
}

// within reports whether the client of a context is where the account may be logged in to from.
func (k *Known) within(ctx context.Context) bool {
	if k.Nets == nil {
		return true
	}
	from := addrOf(sasl.PeerOf(ctx).RemoteAddr)
	return slices.ContainsFunc(k.Nets, func(n netip.Prefix) bool { return n.Contains(from) })
}

func addrOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	p, _ := netip.ParseAddrPort(a.String())
	return p.Addr().Unmap()
}

// rights are passwords that directories said are right, for a short time: programs ask for mail again and again. The zero value remembers
// nothing.
type rights struct {
	mu    sync.Mutex
	lasts time.Duration
	by    map[domains.Address]oneRight
}

type oneRight struct {
	tag   tag
	until time.Time
}

func (r *rights) keepFor(lasts time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if lasts < r.lasts { // what was promised before does not count any more
		r.by = nil
	}
	r.lasts = lasts
}

func (r *rights) has(account domains.Address, t tag) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	one, ok := r.by[account]
	return ok && one.tag == t && time.Now().Before(one.until)
}

func (r *rights) add(account domains.Address, t tag) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = make(map[domains.Address]oneRight)
	}
	if _, there := r.by[account]; !there && len(r.by) >= mostKnown {
		n := rand.IntN(8)
		for other := range r.by { // any
			if n--; n < 0 {
				delete(r.by, other)
				break
			}
		}
	}
	r.by[account] = oneRight{t, time.Now().Add(r.lasts)}
}

func (r *rights) drop(account domains.Address) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, account)
}
