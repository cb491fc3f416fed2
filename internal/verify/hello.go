package verify

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// naming is what a client calls itself in HELO or EHLO. Office computers, printers and phones call themselves whatever
// they like: it says something about a server alone, and never enough to refuse its mail. That it says
// that it is this host is another thing: nobody else is.
type naming string

const (
	unknownName naming = ""     // the DNS has not said it yet
	goodName    naming = "good" // there is such a name, or it is the client's own address
	noName      naming = "bad"  // it is no name of a host in the DNS, or the address of another one
	ourName     naming = "own"  // it is this host's
)

// literal is the address in a name that is one, as "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3).
func literal(helo string) (netip.Addr, bool) {
	text, isLiteral := strings.CutPrefix(strings.TrimSuffix(helo, "]"), "[")
	if len(text) > 5 && strings.EqualFold(text[:5], "IPv6:") {
		text = text[5:]
	}
	a, err := netip.ParseAddr(text) // some leave the brackets out
	return a.Unmap(), isLiteral || err == nil
}

// naming finds out about a name. The reverse name of the client is known.
func (s *sender) naming(ctx context.Context, dns Resolver) naming {
	if s.ours() {
		return ourName
	}
	if a, ok := literal(s.helo); ok {
		if a == s.client {
			return goodName
		}
		return noName
	}
	name := domains.Canonical(s.helo).String()
	switch {
	case !strings.Contains(name, ".") || len(name) > 253 || !plain(name):
		return noName
	case name == domains.Canonical(s.iprev.name).String():
		return goodName
	}
	exists, err := dns.NameExists(ctx, name+".")
	switch {
	case err != nil:
		return unknownName
	case !exists:
		return noName
	}
	return goodName
}

// ours reports whether a client calls itself by a name or an address of this host.
func (s *sender) ours() bool {
	if a, ok := literal(s.helo); ok {
		return a.IsValid() && (a == s.local || slices.Contains(s.rules.Addresses, a))
	}
	return slices.Contains(s.rules.Names, domains.Canonical(s.helo))
}

// impostor is the answer to a stranger who says that he is this host, unless the DNS says that he may
// (SPF for the name): another server of ours.
func (v *Verifier) impostor(ctx context.Context, s *sender) error {
	if s.rules.OwnHello != Refuse || !s.ours() {
		return nil
	}
	v.ask(ctx, s)
	if !s.wait(ctx) || s.spfOfHello() == spf.Pass || s.spfOfHello() == spf.TempError || v.forwarded(ctx, s, s.known()) {
		return nil
	}
	r := &smtp.Reply{Code: 550, Enhanced: "5.7.1"}
	return r.Textf("You are not %s, which is this server. If you are another one of its owner's, your address has to be in Verify.forwarders", s.helo).Noting(slog.String("hello", "own"))
}

// spfOfHello is whether the name may be that of the client.
func (s *sender) spfOfHello() spf.Result {
	if s.from == "" {
		return s.spf.Result
	}
	return s.hello.Result
}
