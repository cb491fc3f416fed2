package post

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// What happens when an account meets its limit, beside the refusal: what it has in the
// queue is held, until somebody lifts the limit, and the user and the postmaster get a
// notice, once a day at most; remind.go goes on telling of what is held.

// heldFor is why the queue holds mail of such an account.
const heldFor = "its user has sent too much"

// stops are holders that have just met a limit, for Post.Run to see to. The zero value is
// ready.
type stops struct {
	mu   sync.Mutex
	all  map[holder]*Limited
	wake chan struct{}
}

func (s *stops) ready() chan struct{} {
	if s.wake == nil {
		s.wake = make(chan struct{}, 1)
	}
	return s.wake
}

func (s *stops) add(l *Limited) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[holder]*Limited)
	}
	s.all[l.holder] = l
	select {
	case s.ready() <- struct{}{}:
	default:
	}
}

func (s *stops) take() (all []*Limited, wake chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all = slices.Collect(maps.Values(s.all))
	clear(s.all)
	return all, s.ready()
}

// Run sees to accounts that meet their limits, until ctx ends.
func (p *Post) Run(ctx context.Context) {
	clock := time.NewTicker(remindEvery)
	defer clock.Stop()
	for p.remind(ctx); ; {
		all, wake := p.stops.take()
		for _, l := range all {
			p.stop(ctx, l)
		}
		if len(all) > 0 && p.Keep != nil {
			p.Keep()
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-clock.C:
			p.remind(ctx)
		}
	}
}

// stop holds what an account has in the queue, and tells of its limit.
func (p *Post) stop(ctx context.Context, l *Limited) {
	held := 0
	if l.Whose == OfAccount && p.Outbound != nil {
		var err error
		if held, err = p.Outbound.queue.HoldAll(ctx, l.Name, heldFor); err != nil {
			p.Log.Error("mail of a user cannot be held", "user", l.Name, "held", held, "err", err)
		}
		if held > 0 { // that a limit was met, the log says already
			p.Log.Warn("mail of a user is held", "user", l.Name, "held", held)
			p.rates.holds(l.holder, true)
		}
	}
	if !p.rates.tell(l, time.Now()) {
		return
	}
	for _, n := range p.notices(l, held) {
		if err := p.notify(ctx, n); err != nil {
			p.Log.Warn("a notice of too much mail cannot be sent", "to", n.To[0].Addr(), "err", err)
		}
	}
}

// tell reports whether a notice may go out about a holder, and notes that it does.
func (r *rates) tell(l *Limited, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.of(l.holder, now)
	if !t.Told.IsZero() && now.Sub(t.Told) < rateDay {
		return false
	}
	t.Told, r.dirty = now, true
	return true
}

// draft is a notice.
func (p *Post) draft(to domains.Address, subject string, lines ...string) *rfc2822.Draft {
	local, domain := to.Cut()
	from := rfc2822.Address{Name: "Mail system", Local: "postmaster", Domain: p.home()}
	return &rfc2822.Draft{From: []rfc2822.Address{from}, To: []rfc2822.Address{{Local: local, Domain: domain.String()}},
		Subject: subject, Text: strings.Join(lines, "\n"), Fields: automatic()}
}

// TellPostmaster sends a notice to the postmaster of this host.
func (p *Post) TellPostmaster(ctx context.Context, subject string, lines ...string) error {
	return p.notify(ctx, p.draft(domains.Address("postmaster@"+p.home()), subject, lines...))
}

// both are a notice to a user and one to the postmaster.
func (p *Post) both(user domains.Address, subject, other string, lines, others []string) []*rfc2822.Draft {
	return []*rfc2822.Draft{p.draft(user, subject, lines...), p.draft(domains.Address("postmaster@"+p.home()), other, others...)}
}

// home is this host's domain.
func (p *Post) home() string { return domains.Canonical(p.Rules().ServerName).String() }

// notices are what the user, if it is one, and the postmaster are told.
func (p *Post) notices(l *Limited, held int) []*rfc2822.Draft {
	home, who := p.home(), l.holder.subject()
	met := fmt.Sprintf("%s has met a limit of the mail server %s: %s. Since %s, %s to %s were taken.\nMore is taken from %s on.",
		who, home, l.Limit, clockOf(l.Since), many(l.Sent.Messages, "message"), many(l.Sent.Recipients, "recipient"), clockOf(l.Until))
	if l.Whose != OfAccount {
		return []*rfc2822.Draft{p.draft(domains.Address("postmaster@"+home), "Too much mail: "+who, fmt.Sprintf("%s (%s)", met, l.Whose), "",
			"Nothing is held. The limits stand in the section Rates of the settings.", "")}
	}
	kept := fmt.Sprintf("%s in the queue that had not left for other hosts %s held: nothing happens to it until somebody releases it.", many(held, "message"), areOrIs(held))
	if held == 0 {
		kept = "Nothing of it was waiting in the queue for other hosts."
	}
	return p.both(domains.Address(l.Name), "You have sent as much as you may for now", "Too much mail: "+who, []string{met, kept, "",
		"If you have not sent that much, somebody else knows your password: have it changed at once.",
		"If you have, ask the postmaster to release your mail, or for a higher limit.", ""},
		[]string{met, kept, "",
			"If it was not the user, somebody else knows the password. What there is to do:", "",
			"    postrider user show " + l.Name, "    postrider user passwd " + l.Name, "    postrider user discard " + l.Name, "",
			"which says what was sent and is held, sets another password, and throws away what is held. If it was",
			"the user, this releases it, in order, and lifts the limits for a day:", "",
			"    postrider user lift " + l.Name, ""})
}

func areOrIs(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func many(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func clockOf(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// automatic are the fields of what no human being has written (RFC 3834 §5).
func automatic() []rfc2822.Field {
	f, err := rfc2822.NewField("Auto-Submitted", "auto-generated")
	if err != nil {
		return nil
	}
	return []rfc2822.Field{f}
}

// notify brings a notice to its one recipient, who is here or elsewhere.
func (p *Post) notify(ctx context.Context, d *rfc2822.Draft) error {
	var text bytes.Buffer
	if _, err := d.WriteTo(&text); err != nil {
		return err
	}
	to := smtp.Path{Local: d.To[0].Local, Domain: d.To[0].Domain}
	if p.Outbound != nil {
		return p.Outbound.send(ctx, &queue.Notification{To: to, Proven: true, SMTPUTF8: !to.IsASCII(), Message: text.Bytes()})
	}
	found := p.Rules().Directory.Resolve(to)
	if found.Away != nil {
		return found.Away
	}
	if len(found.Mailboxes) == 0 {
		return errNoSender
	}
	return put(ctx, p.Mailboxes, found.Mailboxes, text.Bytes())
}

// holdFor is why mail of a session's user goes into the queue held; empty: it does not.
func (r *Receiver) holdFor(s *smtp.Session) string {
	if s.User == "" || r.anybody || !r.rates.stopped(s.User, time.Now()) {
		return ""
	}
	r.rates.holds(holder{whose: OfAccount, name: s.User}, true)
	return heldFor
}

// holds notes whether mail of a holder is held in the queue.
func (r *rates) holds(h holder, yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.by[h.whose][h]; t != nil && t.Held != yes {
		t.Held, r.dirty = yes, true
	}
}

// stopped reports whether an account has met a limit in an hour or day that goes on.
func (r *rates) stopped(account string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.by[OfAccount][holder{whose: OfAccount, name: account}]
	if t == nil {
		return false
	}
	t.turn(now)
	return t.Full != ""
}

// Use is what an account has sent, and may.
type Use struct {
	Account string    `json:"account"`
	Rate    Rate      `json:"rate"`
	Hour    Period    `json:"hour"`
	Day     Period    `json:"day"`
	Beyond  Amount    `json:"beyond"`          // the hours' rates, in this day
	Full    string    `json:"full,omitempty"`  // the limit that was met
	Until   time.Time `json:"until,omitzero"`  // when that ends
	Lifted  time.Time `json:"lifted,omitzero"` // there is no limit until then
	Held    int       `json:"held"`            // messages in the queue that are held for it
}

// Use tells what an account has sent.
func (p *Post) Use(ctx context.Context, account domains.Address) (Use, error) {
	u := Use{Account: account.String()}
	if limits := p.Rules().Limits; limits != nil {
		u.Rate = limits.Account(account)
	}
	p.rates.mu.Lock()
	if t := p.rates.by[OfAccount][holder{whose: OfAccount, name: u.Account}]; t != nil {
		t.turn(time.Now())
		u.Hour, u.Day, u.Beyond, u.Full, u.Until, u.Lifted = t.Hour, t.Day, t.Over, t.Full, t.Until, t.Lifted
	}
	p.rates.mu.Unlock()
	if p.Outbound == nil {
		return u, nil
	}
	var err error
	u.Held, err = p.Outbound.queue.CountHeld(ctx, u.Account, heldFor)
	if err == nil { // somebody may have released them one by one
		p.rates.holds(holder{whose: OfAccount, name: u.Account}, u.Held > 0)
	}
	return u, err
}

// errNoEnd: a limit that is lifted for good is one that should be changed.
var errNoEnd = errors.New("limits are lifted until some time from now on, for a year at most; the settings may have others for good")

// Lift lifts the limits of an account until then, and releases what was held for them, the
// oldest first. It returns how many messages these were.
func (p *Post) Lift(ctx context.Context, account domains.Address, until time.Time) (released int, err error) {
	now := time.Now()
	if !until.After(now) || until.Sub(now) > 366*rateDay {
		return 0, errNoEnd
	}
	p.rates.lift(account, now, until)
	p.rates.others.tellLifted(account, now, until)
	p.Log.Info("limits of a user are lifted", "user", account.String(), "until", until)
	if p.Keep != nil {
		p.Keep()
	}
	if p.Outbound == nil {
		return 0, nil
	}
	if released, err = p.Outbound.queue.ReleaseAll(ctx, account.String(), heldFor); err == nil {
		p.rates.holds(holder{whose: OfAccount, name: account.String()}, false)
	}
	return released, err
}

// Restore has the limits of an account hold again, with nothing counted yet.
func (p *Post) Restore(account domains.Address) {
	p.rates.lift(account, time.Now(), time.Time{})
	p.rates.others.tellLifted(account, time.Now(), time.Time{})
	p.Log.Info("limits of a user hold again", "user", account.String())
	if p.Keep != nil {
		p.Keep()
	}
}

func (r *rates) lift(account domains.Address, now, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.of(holder{whose: OfAccount, name: account.String()}, now)
	*t = ledger{Lifted: until, Held: t.Held}
	t.turn(now)
	r.dirty = true
}

// Discard throws away what was held for the limits of an account, without a word to anybody.
func (p *Post) Discard(ctx context.Context, account domains.Address) (n int, err error) {
	if p.Outbound == nil {
		return 0, nil
	}
	n, err = p.Outbound.queue.RemoveAll(ctx, account.String(), heldFor)
	if err == nil {
		p.rates.holds(holder{whose: OfAccount, name: account.String()}, false)
	}
	p.Log.Info("held mail of a user is thrown away", "user", account.String(), "messages", n)
	return n, err
}

// remembered is one ledger, for the next run.
type remembered struct {
	Whose   Whose        `json:"whose"`
	Name    string       `json:"name,omitempty"`
	Network netip.Prefix `json:"network,omitzero"`
	ledger
}

// Counts are what the next run is to know of what was sent; nil where it is what it was
// when they were asked for last.
func (p *Post) Counts() ([]byte, error) {
	r, now := &p.rates, time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dirty {
		return nil, nil
	}
	all := []remembered{}
	for whose := range r.by {
		for h, t := range r.by[whose] {
			if t.idle(now) {
				delete(r.by[whose], h)
				continue
			}
			all = append(all, remembered{h.whose, h.name, h.network, *t})
		}
	}
	data, err := json.Marshal(all)
	r.dirty = err != nil
	return data, err
}

// Recount takes up what Counts gave before a restart. What was counted since stays.
func (p *Post) Recount(counts []byte) error {
	var all []remembered
	if err := json.Unmarshal(counts, &all); err != nil {
		return fmt.Errorf("what was counted of mail that was sent: %w", err)
	}
	r, now := &p.rates, time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range all {
		h := holder{m.Whose, m.Name, m.Network}
		if m.idle(now) || r.by[h.whose][h] != nil {
			continue
		}
		*r.of(h, now) = m.ledger
	}
	return nil
}
