package post

import (
	"net/netip"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
)

// Messages and recipients are counted by the hour and by the day, for whoever they
// count for. An hour begins with the first message behind the hour before, so that the
// number and the end of it can be told exactly.

// Rate is how much may pass. Zero is any number.
type Rate struct {
	Hour, Day Amount
	// Burst is how many messages, and how many recipients, may go beyond those of the
	// hours in the course of a day.
	Burst int
}

// Amount is so many messages to so many recipients in all.
type Amount struct {
	Messages   int `json:"messages,omitempty"`
	Recipients int `json:"recipients,omitempty"`
}

func (a Amount) plus(b Amount) Amount {
	return Amount{a.Messages + b.Messages, a.Recipients + b.Recipients}
}

func (a Amount) minus(b Amount) Amount {
	return Amount{max(0, a.Messages-b.Messages), max(0, a.Recipients-b.Recipients)}
}

// beyond is what of add goes above most, where a is counted already.
func (a Amount) beyond(most, add Amount) Amount {
	over := func(n, add, most int) int {
		if most == 0 {
			return 0
		}
		return min(add, max(0, n+add-most))
	}
	return Amount{over(a.Messages, add.Messages, most.Messages), over(a.Recipients, add.Recipients, most.Recipients)}
}

// Whose says what kind of holder a rate has.
type Whose uint8

// The kinds.
const (
	OfAccount      Whose = iota // who has logged in, or is a user of this host
	OfNetwork                   // the network that users and clients of relay_from come from
	OfDomain                    // all accounts of a domain
	OfAll                       // all accounts
	OfServer                    // this server, for mail of its own
	OfSenderDomain              // a domain that strangers send from, at one network
	OfMailbox                   // a mailbox that strangers send to

	kinds = iota
)

// Kinds are the names of all kinds.
var Kinds = [kinds]string{"account", "network", "domain", "all", "server", "sender_domain", "mailbox"}

// String is one of Kinds.
func (w Whose) String() string { return Kinds[w] }

// MarshalText implements encoding.TextMarshaler.
func (w Whose) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads what MarshalText writes; what is none is an account.
func (w *Whose) UnmarshalText(text []byte) error {
	*w = OfAccount
	for i, name := range Kinds {
		if name == string(text) {
			*w = Whose(i)
		}
	}
	return nil
}

// holder is whom a count is for: an address or a domain, a network, or both.
type holder struct {
	whose   Whose
	name    string
	network netip.Prefix
}

// claim is the rate that a holder has.
type claim struct {
	holder
	rate Rate
}

// mostHolders bounds how many holders of a kind are counted for.
const mostHolders = 1 << 14

// Period is an hour or a day.
type Period struct {
	Since time.Time `json:"since,omitzero"`
	Amount
}

const (
	rateHour = time.Hour
	rateDay  = 24 * time.Hour
)

// begin starts a Period anew where it is over.
func (p *Period) begin(now time.Time, long time.Duration) (fresh bool) {
	if p.Since.After(now) {
		p.Since = now // the clock was set back: what was counted stays
	}
	if fresh = now.Sub(p.Since) >= long; fresh {
		*p = Period{Since: now}
	}
	return fresh
}

// ledger is what is counted for one holder.
type ledger struct {
	rate Rate   // as it was used last
	Hour Period `json:"hour,omitzero"`
	Day  Period `json:"day,omitzero"`
	Over Amount `json:"over,omitzero"` // beyond the hours' rates in this day
	// Full is the limit that was met, and nothing is taken until Until.
	Full  string    `json:"full,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// Lifted: until then there is no limit.
	Lifted time.Time `json:"lifted,omitzero"`
	Told   time.Time `json:"told,omitzero"` // when a notice went out
	// Held: mail in the queue was held, and has not been released since, as far as is known.
	Held bool `json:"held,omitempty"`
}

// turn has the clock go on: periods end, and what was lifted holds again, with nothing
// counted yet.
func (t *ledger) turn(now time.Time) {
	if !t.Lifted.IsZero() && !now.Before(t.Lifted) {
		*t = ledger{Held: t.Held}
	}
	t.Hour.begin(now, rateHour)
	if t.Day.begin(now, rateDay) {
		t.Over = Amount{}
	}
	if last := now.Add(rateDay); t.Until.After(last) { // the clock was set back
		t.Until = last
	}
	if t.Told.After(now) {
		t.Told = now
	}
	if t.Full != "" && !now.Before(t.Until) {
		t.Full, t.Until = "", time.Time{}
	}
}

// within is the period whose limit was met: the one that ends when more is taken.
func (t *ledger) within() *Period {
	if t.Full != "" && t.Until.Equal(t.Day.Since.Add(rateDay)) {
		return &t.Day
	}
	return &t.Hour
}

// idle: nothing is lost if it is forgotten.
func (t *ledger) idle(now time.Time) bool {
	return !t.Held && now.Sub(t.Hour.Since) >= rateHour && now.Sub(t.Day.Since) >= rateDay && !now.Before(t.Lifted) && now.Sub(t.Told) >= rateDay
}

// weight is how much matters that it is remembered.
func (t *ledger) weight(now time.Time) float64 {
	w := float64(t.Day.Messages + t.Day.Recipients)
	if t.Full != "" || t.Held || now.Before(t.Lifted) {
		w += 1e12
	}
	return w
}

// breach is a limit that something does not fit into.
type breach struct {
	most, has  int // what is allowed and what there is
	recipients bool
	day        bool
	since      time.Time
	burst      int
	never      bool // one message has more than there could ever be
}

func (b *breach) until() time.Time {
	if b.day {
		return b.since.Add(rateDay)
	}
	return b.since.Add(rateHour)
}

// met finds the limit that add does not fit into; nil: there is none. The day's comes
// first, which ends later. had are the recipients that the message has already.
func (t *ledger) met(r Rate, had int, add Amount) *breach {
	if over := t.Day.beyond(r.Day, add); over.Messages > 0 {
		return &breach{most: r.Day.Messages, has: t.Day.Messages, day: true, since: t.Day.Since}
	} else if over.Recipients > 0 {
		return &breach{most: r.Day.Recipients, has: t.Day.Recipients, day: true, recipients: true, since: t.Day.Since, never: had+add.Recipients > r.Day.Recipients}
	}
	over := t.Hour.beyond(r.Hour, add)
	if over.Messages > 0 && t.Over.Messages+over.Messages > r.Burst {
		return &breach{most: r.Hour.Messages, has: t.Hour.Messages, since: t.Hour.Since, burst: r.Burst}
	}
	if over.Recipients > 0 && t.Over.Recipients+over.Recipients > r.Burst {
		return &breach{most: r.Hour.Recipients, has: t.Hour.Recipients, recipients: true, since: t.Hour.Since, burst: r.Burst,
			never: had+add.Recipients > r.Hour.Recipients+r.Burst}
	}
	return nil
}

func (t *ledger) add(r Rate, a Amount) {
	t.rate = r
	t.Over = t.Over.plus(t.Hour.beyond(r.Hour, a))
	t.Hour.Amount, t.Day.Amount = t.Hour.plus(a), t.Day.plus(a)
}

// take takes back what was added.
func (t *ledger) take(a Amount) {
	t.Hour.Amount, t.Day.Amount, t.Over = t.Hour.minus(a), t.Day.minus(a), t.Over.minus(a)
}

// rates count for holders. The zero value is ready.
type rates struct {
	mu    sync.Mutex
	by    [kinds]map[holder]*ledger
	dirty bool // since memory was asked last

	others others
}

// of is what is counted for a holder, as of now. r.mu is held.
func (r *rates) of(h holder, now time.Time) *ledger {
	all := r.by[h.whose]
	t := all[h]
	if t == nil {
		if all == nil {
			all = make(map[holder]*ledger)
			r.by[h.whose] = all
		}
		if len(all) >= mostHolders {
			r.makeRoom(all, now)
		}
		t = &ledger{}
		all[h] = t
	}
	t.turn(now)
	return t
}

// makeRoom forgets what is over, and if that is not enough what matters least: who comes
// in many names has not himself forgotten under the one that he used most.
func (r *rates) makeRoom(all map[holder]*ledger, now time.Time) {
	for h, t := range all {
		if t.idle(now) {
			delete(all, h)
		}
	}
	if len(all) > mostHolders*15/16 {
		accounts.Evict(all, func(_ holder, t *ledger) float64 { return t.weight(now) })
	}
}

// mostClaims is how many holders one message counts for.
const mostClaims = 4

// take counts add for all who claim it, or for none of them where one has no room:
// that one is told. had are the recipients that the message has already.
func (r *rates) take(claims []claim, had int, add Amount, now time.Time) *Limited {
	r.mu.Lock()
	defer r.mu.Unlock()
	var of [mostClaims]*ledger
	for i := range claims {
		c := &claims[i]
		of[i] = r.of(c.holder, now)
		if limited := r.refuse(of[i], c, had, add, now); limited != nil {
			return limited
		}
	}
	for i := range claims {
		of[i].add(claims[i].rate, add)
		r.others.tell(claims[i].holder, add, now)
	}
	r.dirty = true
	return nil
}

// full is take without counting anything.
func (r *rates) full(c *claim, add Amount, now time.Time) *Limited {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by[c.whose][c.holder] == nil {
		return nil
	}
	return r.refuse(r.of(c.holder, now), c, 0, add, now)
}

// count counts what was checked with full.
func (r *rates) count(c *claim, add Amount, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(c.holder, now).add(c.rate, add)
	r.others.tell(c.holder, add, now)
}

// give takes back what was counted by take, for a message that was not sent.
func (r *rates) give(claims []claim, a Amount, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range claims {
		if t := r.by[claims[i].whose][claims[i].holder]; t != nil {
			t.turn(now)
			t.take(a)
			r.others.tell(claims[i].holder, Amount{-a.Messages, -a.Recipients}, now)
		}
	}
	r.dirty = true
}

// refuse is the refusal of what does not fit; nil: it does. r.mu is held.
func (r *rates) refuse(t *ledger, c *claim, had int, add Amount, now time.Time) *Limited {
	if !t.Lifted.IsZero() {
		return nil
	}
	b := t.met(c.rate, had, add)
	if b == nil {
		return nil
	}
	l := newLimited(c.holder, t, b)
	if !b.never && t.Full == "" {
		t.Full, t.Until, r.dirty = l.Limit, l.Until, true
		l.First = true
	}
	return l
}
