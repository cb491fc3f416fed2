package post

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// What users send has bounds, so that an account whose password is known to others is
// not an open door for as long as nobody looks. It counts for who has logged in, whatever
// sender the mail names, and is refused at RCPT, before the message is sent. What
// strangers send has bounds of its own, which users' mail does not meet.

// Limits are the rates by one set of settings.
type Limits struct {
	Account               func(account domains.Address) Rate
	Domain                func(domain domains.Name) Rate
	Network, All          Rate
	SenderDomain, Mailbox Rate
}

// Limited is a refusal because of a limit.
type Limited struct {
	Whose   Whose     `json:"whose"`
	Name    string    `json:"name"`             // of the holder
	Limit   string    `json:"limit"`            // "500 messages an hour"
	Sent    Amount    `json:"sent"`             // in that hour or day
	Since   time.Time `json:"since"`            // when it began
	Until   time.Time `json:"until"`            // when it ends, and more is taken
	Lifted  time.Time `json:"lifted,omitzero"`  // there is no limit until then
	Held    bool      `json:"held,omitempty"`   // mail of the account is held in the queue
	First   bool      `json:"-"`                // it is news: the holder was not refused before
	Refusal string    `json:"refusal,omitzero"` // in words, for the client
	holder  holder
	remote  net.Addr
}

// Stranger is the client's address if it is a stranger: such lines may be left out.
func (l *Limited) Stranger() net.Addr { return l.remote }

// LogValue implements slog.LogValuer.
func (l *Limited) LogValue() slog.Value {
	return slog.GroupValue(slog.String("whose", l.Whose.String()), slog.String("name", l.Name), slog.String("limit", l.Limit),
		slog.Int("messages", l.Sent.Messages), slog.Int("recipients", l.Sent.Recipients), slog.Time("until", l.Until))
}

// String says who has met which limit; of one that is over, that mail is held still.
func (l *Limited) String() string {
	if l.Limit == "" {
		return "mail of " + l.Label() + " is held in the queue, as it had met a limit"
	}
	return fmt.Sprintf("%s has met a limit: %s, %s to %s since %s", l.Label(), l.Limit, many(l.Sent.Messages, "message"), many(l.Sent.Recipients, "recipient"), clockOf(l.Since))
}

// Label names the holder with its kind, where the name alone would not do.
func (l *Limited) Label() string {
	switch l.Whose {
	case OfAccount, OfSenderDomain:
		return l.Name
	case OfAll:
		return "the sum of all users"
	case OfServer:
		return "the server itself"
	}
	return l.Whose.String() + " " + l.Name
}

// reply is what the client hears.
func (l *Limited) reply() *smtp.Reply {
	return &smtp.Reply{Code: 450, Enhanced: "4.7.1", Text: l.Refusal}
}

func newLimited(h holder, t *ledger, b *breach) *Limited {
	l := &Limited{holder: h, Whose: h.whose, Name: h.label(), Since: b.since, Until: b.until(), Sent: t.Hour.Amount}
	what, verb, in, clock := "messages", "sent", "an hour", "15:04"
	if b.recipients {
		what, verb = "recipients", "named"
	}
	if h.whose == OfMailbox {
		verb = "got"
	}
	if b.day {
		in, clock, l.Sent = "a day", "2006-01-02 15:04", t.Day.Amount
	}
	l.Limit = fmt.Sprintf("%d %s %s", b.most, what, in)
	if b.burst > 0 {
		l.Limit += fmt.Sprintf(" and %d beyond in a day", b.burst)
	}
	if b.never {
		l.Refusal = fmt.Sprintf("%s may have %s, and this message has more: send it to fewer at a time", h.subject(), l.Limit)
		return l
	}
	l.Refusal = fmt.Sprintf("%s may have %s, has %s %d since %s; try again at %s", h.subject(), l.Limit, verb, b.has,
		b.since.UTC().Format(clock), l.Until.UTC().Format(clock+" MST"))
	return l
}

// label names a holder.
func (h *holder) label() string {
	switch {
	case h.whose == OfNetwork:
		return h.network.String()
	case h.whose == OfSenderDomain:
		return cmp.Or(h.name, "<>") + " from " + h.network.String()
	}
	return h.name
}

// subject names a holder in a sentence for a client.
func (h *holder) subject() string {
	switch h.whose {
	case OfNetwork:
		return "the network " + h.label()
	case OfDomain:
		return "the domain " + h.label()
	case OfAll:
		return "everybody here together"
	case OfServer:
		return "this server itself"
	case OfMailbox:
		return "this mailbox"
	}
	return h.label()
}

// booking is what a message has been counted for that is not accepted yet.
type booking struct {
	claims [mostClaims]claim
	n      int
	taken  Amount
}

// bookingKey is where a session keeps it.
type bookingKey struct{}

// claims are the holders that a session's mail counts for.
func (p *Post) claims(s *smtp.Session, b *booking) {
	limits := p.rules(s).Limits
	b.n = 0
	add := func(h holder, r Rate) {
		if r == (Rate{}) && h.whose != OfAccount {
			return
		}
		b.claims[b.n] = claim{h, r}
		b.n++
	}
	if s.User != "" {
		user := domains.Address(s.User)
		add(holder{whose: OfAccount, name: s.User}, limits.Account(user))
		add(holder{whose: OfDomain, name: user.Domain().String()}, limits.Domain(user.Domain()))
		add(holder{whose: OfAll}, limits.All)
	}
	if block := lineserver.Block(s.RemoteAddr); block.IsValid() && !shared(block.Addr()) {
		add(holder{whose: OfNetwork, network: block}, limits.Network)
	}
}

// shared reports whether many people may be behind an address: a gateway or web mail.
func shared(a netip.Addr) bool { return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() }

// mayName counts one more recipient of a message that a trusted client is about to send,
// and the message with its first one, or refuses it. It costs no allocation but for the
// first message of a session.
func (p *Post) mayName(s *smtp.Session) error {
	if p.rules(s).Limits == nil {
		return nil
	}
	b, _ := s.Values[bookingKey{}].(*booking)
	if b == nil {
		b = &booking{}
		s.Set(bookingKey{}, b)
	}
	add := Amount{Recipients: 1}
	if b.taken.Messages == 0 {
		p.claims(s, b)
		add.Messages = 1
	}
	if err := p.take(b, add); err != nil {
		return err
	}
	b.taken = b.taken.plus(add)
	return nil
}

// maySubmit is mayName for a whole message; forget takes it back.
func (p *Post) maySubmit(s *smtp.Session, recipients int) (forget func(), err error) {
	b := &booking{}
	if p.rules(s).Limits == nil || s.User == "" {
		return func() {}, nil
	}
	p.claims(s, b)
	add := Amount{1, recipients}
	if err := p.take(b, add); err != nil {
		return nil, err
	}
	return func() { p.rates.give(b.claims[:b.n], add, time.Now()) }, nil
}

func (p *Post) take(b *booking, add Amount) error {
	limited := p.rates.take(b.claims[:b.n], b.taken.Recipients, add, time.Now())
	if limited == nil {
		return nil
	}
	p.limited(limited)
	return limited.reply()
}

// limited tells of a refusal.
func (p *Post) limited(l *Limited) {
	if p.Limited != nil {
		p.Limited(l)
	}
	if !l.First {
		return
	}
	p.Log.Warn("too much is sent", "", l)
	if l.remote == nil {
		p.stops.add(l)
	}
}

// forget gives back what was counted for a message of the session that was not accepted.
func (p *Post) forget(s *smtp.Session) {
	if b, _ := s.Values[bookingKey{}].(*booking); b != nil && b.taken != (Amount{}) {
		p.rates.give(b.claims[:b.n], b.taken, time.Now())
		b.taken = Amount{}
	}
}

// sent settles what a message was counted for that is accepted.
func (r *Receiver) sent(e *smtp.Envelope) {
	s := e.Session
	if b, _ := s.Values[bookingKey{}].(*booking); b != nil {
		b.taken = Amount{}
	}
	limits := r.rules(s).Limits
	if limits == nil || s.LMTP || r.Submission || r.trusts(s) || s.FromHere() {
		return
	}
	now, n := time.Now(), 0
	for i := range e.To {
		rcpt := &e.To[i]
		if t, _ := targetsOf(rcpt); rcpt.Result == nil && t.Local {
			n++
			if c := r.incomingTo(limits, s, rcpt, t); c.rate != (Rate{}) {
				r.incoming.count(&c, Amount{1, 1}, now)
			}
		}
	}
	if c := incomingFrom(limits, s); c.rate != (Rate{}) {
		r.incoming.count(&c, Amount{1, n}, now)
	}
}

// Done gives back what a session has left behind, for smtp.Server.Done.
func (r *Receiver) Done(s *smtp.Session) { r.forget(s) }

// Networks that strangers' domains are counted at. Not an address: a sender has a pool of
// them; and not all: who writes the domain may not be who has it, and must not have its
// mail refused.
const senderBits4, senderBits6 = 24, 48

// incomingFrom is the claim of a stranger's sender.
func incomingFrom(limits *Limits, s *smtp.Session) claim {
	block := lineserver.Block(s.RemoteAddr)
	if block.IsValid() {
		bits := senderBits4
		if block.Addr().Is6() {
			bits = senderBits6
		}
		block = netip.PrefixFrom(block.Addr(), bits).Masked()
	}
	return claim{holder{OfSenderDomain, s.Envelope.From.DomainName().String(), block}, limits.SenderDomain}
}

// incomingTo is the claim of a mailbox that a stranger writes to. An alias of several is
// its own.
func (p *Post) incomingTo(limits *Limits, s *smtp.Session, to *smtp.Recipient, t accounts.Targets) claim {
	name := ""
	if len(t.Mailboxes) == 1 && len(t.Elsewhere) == 0 {
		name = t.Mailboxes[0].String()
	} else {
		name = p.rules(s).Directory.Address(to.Path).String()
	}
	return claim{holder{whose: OfMailbox, name: name}, limits.Mailbox}
}

// mayCome refuses a stranger's recipient where too much has come lately from his domain,
// or for the mailbox. Only what was accepted counts: to name somebody, and send nothing,
// keeps nobody's mail away.
// Nobody floods this host from itself who could not do worse, and what does is often meant to: a move, a test of its speed.
func (r *Receiver) mayCome(s *smtp.Session, to *smtp.Recipient) error {
	limits := r.rules(s).Limits
	t, err := targetsOf(to)
	if limits == nil || err != nil || s.LMTP || s.FromHere() {
		return nil
	}
	now := time.Now()
	for _, c := range [...]claim{incomingFrom(limits, s), r.incomingTo(limits, s, to, t)} {
		if c.rate == (Rate{}) {
			continue
		}
		if limited := r.incoming.full(&c, Amount{1, 1}, now); limited != nil {
			limited.remote = s.RemoteAddr
			r.limited(limited)
			return limited.reply()
		}
	}
	return nil
}

// mayTell counts one message of the server's own, or says that it is to wait.
func (o *Outbound) mayTell() error {
	c := [1]claim{{holder{whose: OfServer}, *o.ownRate.Load()}}
	l := o.own.take(c[:], 0, Amount{1, 1}, time.Now())
	if l == nil {
		return nil
	}
	if o.need.Limited != nil {
		o.need.Limited(l)
	}
	if l.First {
		o.need.Log.Warn("too much is sent", "", l)
	}
	return fmt.Errorf("%w: %s", queue.ErrWait, l.Refusal)
}

// Full are those who have met a limit and for whom nothing is taken now, and accounts
// whose limits are lifted or whose mail is held.
func (p *Post) Full() []Limited {
	now := time.Now()
	all := append(p.rates.list(now), p.incoming.list(now)...)
	if p.Outbound != nil {
		all = append(all, p.Outbound.own.list(now)...)
	}
	slices.SortFunc(all, func(a, b Limited) int { return cmp.Or(cmp.Compare(a.Whose, b.Whose), cmp.Compare(a.Name, b.Name)) })
	return all[:min(len(all), mostFull)]
}

// mostFull bounds the list of them.
const mostFull = 100

func (r *rates) list(now time.Time) (all []Limited) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for whose := range r.by {
		for h, t := range r.by[whose] {
			if t.turn(now); t.Full == "" && t.Lifted.IsZero() && !t.Held {
				continue
			}
			p := t.within()
			all = append(all, Limited{Whose: h.whose, Name: h.label(), Limit: t.Full, Sent: p.Amount, Since: p.Since, Until: t.Until, Lifted: t.Lifted, Held: t.Held})
		}
	}
	return all
}
