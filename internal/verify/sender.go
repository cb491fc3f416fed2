package verify

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// sender is what is known of a client and the sender it named. The results are there when done
// is closed.
type sender struct {
	rules  *Rules
	client netip.Addr
	block  caller     // of it
	local  netip.Addr // that it connected to
	helo   string
	from   string // without brackets; empty: the null sender

	asked  bool    // the questions have begun,
	early  bool    // before there was a message
	was    *sender // of the session's transaction before; nil when it is not needed any more
	forget context.CancelFunc
	done   chan struct{}
	iprev  iprev
	spf    spf.Outcome // of MAIL, or of HELO for the null sender
	at     time.Time   // when it was asked for
	hello  spf.Outcome // of HELO, where MAIL named a sender
	named  naming      // what it calls itself

	lists *listing // nil before they were asked
}

// iprev is whether a client's address and name lead to each other (RFC 8601 §2.7.3).
type iprev struct {
	result string
	name   string // confirmed, without the dot at the end
}

// begin notes who sends.
func begin(rules *Rules, session *smtp.Session, client netip.Addr, from smtp.Path) *sender {
	local, _ := lineserver.IP(session.LocalAddr)
	s := &sender{rules: rules, client: client, block: callerAt(session.RemoteAddr), local: local, helo: session.Helo, from: from.String(), forget: func() {}, done: make(chan struct{})}
	if private(client) {
		// It is behind some gateway that hides who it is: SPF and the reverse name would
		// judge the gateway.
		s.iprev.result, s.asked = "none", true
		close(s.done)
	}
	return s
}

// ask asks for all that can be known at MAIL, unless that was done.
func (v *Verifier) ask(ctx context.Context, s *sender) {
	if s.asked {
		return
	}
	s.asked = true
	known := s.same(s.was)
	again := known && s.repeats(s.was)
	s.was = nil
	if again || v.recall(ctx, s, known) {
		close(s.done)
		return
	}
	ctx, s.forget = context.WithTimeout(s.block.context(ctx), senderTimeout)
	go func() {
		defer s.forget()
		defer close(s.done)
		reverse := make(chan iprev, 1)
		if !known {
			go func() { reverse <- lookBack(ctx, v.dns(), s.client) }()
		}
		v.find(ctx, v.dns(), s, known, func() iprev { return <-reverse })
	}()
}

// recall finds out the same from memory, where all of it is there.
func (v *Verifier) recall(ctx context.Context, s *sender, known bool) bool {
	if v.Memory == nil {
		return false
	}
	missed := false
	dns := v.recalling(&missed)
	v.find(instant{ctx}, dns, s, known, func() iprev { return lookBack(ctx, dns, s.client) })
	return !missed
}

// instant is the context of what does not wait: whoever bounds its time by it needs no clock.
type instant struct{ context.Context }

func (instant) Deadline() (time.Time, bool) { return time.Time{}, true }

// find finds out about a sender; about the client as well unless that is known.
func (v *Verifier) find(ctx context.Context, dns Resolver, s *sender, known bool, back func() iprev) {
	c := spf.Checker{Resolver: dns, Receiver: s.rules.Name}
	query := spf.Query{IP: s.client, Helo: s.helo, MailFrom: s.from}
	s.at = time.Now()
	s.spf = c.Check(ctx, query)
	if known {
		return
	}
	if s.from != "" {
		query.MailFrom = ""
		s.hello = c.Check(ctx, query)
	}
	s.iprev = back()
	s.named = s.naming(ctx, dns)
}

// same takes over what an earlier transaction of the session has found out about the
// client, if it is all known and the client has said nothing else since.
func (s *sender) same(was *sender) bool {
	if was == nil || was.client != s.client || was.helo != s.helo || s.from == "" || was.from == "" {
		return false
	}
	select {
	case <-was.done:
	default:
		return false
	}
	if was.iprev.result == "temperror" || was.hello.Result == spf.TempError || was.named == unknownName {
		return false
	}
	s.iprev, s.hello, s.named = was.iprev, was.hello, was.named
	return true
}

// sameFor is how long the SPF of a sender who writes again in the same session is not asked for again: no answer of the
// DNS is kept for less.
const sameFor = 5 * time.Second

// repeats takes over the SPF of the transaction before, whose client is the same, if the sender is and it is not long ago.
func (s *sender) repeats(was *sender) bool {
	if was.from != s.from || was.rules != s.rules || was.spf.Result == spf.TempError || time.Since(was.at) >= sameFor {
		return false
	}
	s.spf, s.at = was.spf, was.at
	return true
}

// private reports whether an address is none that the world could have.
func private(a netip.Addr) bool { return a.IsPrivate() || a.IsLinkLocalUnicast() }

// domain is whose SPF record decides.
func (s *sender) domain() string {
	if s.from == "" {
		return s.helo
	}
	return s.from[strings.LastIndexByte(s.from, '@')+1:]
}

// wait waits for the results. Without them nothing is known.
func (s *sender) wait(ctx context.Context) bool {
	select {
	case <-s.done:
		return true
	default:
	}
	ctx, stop := context.WithTimeout(ctx, lastTimeout)
	defer stop()
	select {
	case <-s.done:
		return true
	case <-ctx.Done():
		s.forget()
		return false
	}
}

// mostNames is how many names of one address are looked at.
const mostNames = 10

// lookBack finds the name of an address that leads back to it.
func lookBack(ctx context.Context, r Resolver, a netip.Addr) iprev {
	names, err := r.LookupAddr(ctx, a.String())
	if err != nil {
		return iprev{result: trouble(err)}
	}
	result := "fail"
	for _, name := range names[:min(len(names), mostNames)] {
		addrs, err := r.LookupNetIP(ctx, family(a), strings.TrimSuffix(name, ".")+".")
		if err != nil && trouble(err) == "temperror" {
			result = "temperror"
		}
		for _, found := range addrs {
			if found.Unmap() == a {
				return iprev{"pass", strings.TrimSuffix(name, ".")}
			}
		}
	}
	return iprev{result: result}
}

// family is the network that an address is of.
func family(a netip.Addr) string {
	if a.Is4() {
		return "ip4"
	}
	return "ip6"
}

// trouble is the result of a lookup that failed: nothing is there, or it is not known.
func trouble(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return "permerror"
	}
	return "temperror"
}
