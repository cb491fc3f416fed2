package post

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/whole"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Servers on one database count together what is sent: each tells the others of what it takes, and adds to its ledgers what they took, about
// a second later. It decides by its own ledgers alone.

// Kinds of numbers that they tell each other. The sums are those of a day in UTC, which is in the key.
const (
	sentMessages   = "sent messages"
	sentRecipients = "sent recipients"
	sentLifted     = "sent lifted" // until when limits of an account do not hold, in Unix seconds; 0: they do again
)

// others is what other servers have counted. Its fields are guarded by the lock of rates.
type others struct {
	tally *whole.Tally // nil: there is no other server
	day   string
	sums  map[string]*sum // by kind and key, of this day
}

// sum is what was taken on a day, for one holder.
type sum struct {
	mine, theirs float64
	heard        bool
}

// CountWith has what is sent counted with other servers (nil: with none). It is called once, before the first message.
func (p *Post) CountWith(tally *whole.Tally) {
	r := &p.rates
	r.others.tally = tally
	for _, kind := range []string{sentMessages, sentRecipients} {
		tally.On(kind, func(h whole.Heard) { r.heard(h, time.Now()) })
	}
	tally.On(sentLifted, func(h whole.Heard) {
		if now := time.Now(); !h.Old { // what was lifted before is remembered here, or forgotten
			r.lifted(domains.Address(h.Key), time.Unix(int64(h.Level), 0), now)
		}
	})
}

// of is the sum of a kind and key on the day of now; nil where there is no room for it: what others take for that one does not count here.
func (o *others) of(kind, key string, now time.Time) *sum {
	if day := dayOf(now); o.day != day || o.sums == nil {
		o.day, o.sums = day, make(map[string]*sum)
	}
	s := o.sums[kind+" "+key]
	if s == nil && len(o.sums) < 2*kinds*mostHolders {
		s = new(sum)
		o.sums[kind+" "+key] = s
	}
	return s
}

func dayOf(now time.Time) string { return now.UTC().Format(time.DateOnly) }

// tell tells others of what was taken. The lock of rates is held.
func (o *others) tell(h holder, a Amount, now time.Time) {
	if o.tally == nil {
		return
	}
	key := h.key(now)
	for kind, n := range map[string]int{sentMessages: a.Messages, sentRecipients: a.Recipients} {
		if n != 0 {
			if s := o.of(kind, key, now); s != nil {
				s.mine += float64(n)
			}
			o.tally.Tell(whole.Told{Kind: kind, Key: key, Level: float64(n), Lives: rateDay + rateHour})
		}
	}
}

// tellLifted tells them of limits that do not hold until then, or hold again.
func (o *others) tellLifted(account domains.Address, now, until time.Time) {
	one := whole.Told{Kind: sentLifted, Key: account.String(), Replace: true, Lives: rateDay}
	if !until.IsZero() {
		one.Level, one.Lives = float64(until.Unix()), until.Sub(now)
	}
	o.tally.Tell(one)
}

// heard takes what all have taken, and counts what is new of it and not this server's. It is less than before where a message was not sent in
// the end.
func (r *rates) heard(h whole.Heard, now time.Time) {
	holder, day, ok := parseHolder(h.Key)
	if !ok || day != dayOf(now) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.others.of(h.Kind, h.Key, now)
	if s == nil {
		return
	}
	theirs := max(0, h.Level-s.mine)
	more := int(theirs - s.theirs)
	known := s.heard || !h.Old // what they took before this server began is no news
	if s.theirs, s.heard = theirs, true; !known || more == 0 {
		return
	}
	t, a := r.of(holder, now), Amount{Messages: max(more, -more)}
	if h.Kind == sentRecipients {
		a = Amount{Recipients: a.Messages}
	}
	if more > 0 {
		t.add(t.rate, a)
	} else {
		t.take(a)
	}
	r.dirty = true
}

// lifted takes it that another server has lifted the limits of an account, or has them hold again.
func (r *rates) lifted(account domains.Address, until, now time.Time) {
	if until.Unix() == 0 {
		until = time.Time{}
	} else if !until.After(now) || until.Sub(now) > 366*rateDay {
		return
	}
	r.mu.Lock()
	t := r.of(holder{whose: OfAccount, name: account.String()}, now)
	same := t.Lifted.Unix() == until.Unix()
	r.mu.Unlock()
	if !same {
		r.lift(account, now, until)
	}
}

// key names a holder on a day.
func (h holder) key(now time.Time) string {
	network := ""
	if h.network.IsValid() {
		network = h.network.String()
	}
	return fmt.Sprintf("%s %s %s %s", dayOf(now), h.whose, network, h.name)
}

func parseHolder(key string) (h holder, day string, ok bool) {
	parts := strings.SplitN(key, " ", 4)
	if len(parts) != 4 || h.whose.UnmarshalText([]byte(parts[1])) != nil || h.whose.String() != parts[1] {
		return h, "", false
	}
	if h.name = parts[3]; parts[2] != "" {
		var err error
		if h.network, err = netip.ParsePrefix(parts[2]); err != nil {
			return h, "", false
		}
	}
	return h, parts[0], true
}
