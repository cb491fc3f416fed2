package sink

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/dmarc"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// DNS is whom a Judge asks.
type DNS interface {
	spf.Resolver
	dmarc.NameExister
}

// Judge says what other hosts would find out about who sent a message: what SPF (RFC 7208), DKIM (RFC 6376) and DMARC
// (RFC 9989) come to. Mail of tests comes from the loopback interface, for domains that are made up; so nobody is asked
// anything unless a person or a test wants it, and what can be seen without the DNS is said in any case. It is safe for
// concurrent use, and its fields must not be changed then. A nil Judge asks nobody.
type Judge struct {
	DNS DNS // nil: nobody is asked
	// Leaving is the address that mail leaves from in production, for SPF; the zero value is that of whoever sent it.
	Leaving netip.Addr
	// Within bounds all questions about a message together; 0 means 5 seconds.
	Within time.Duration
}

// judgeWithin is for a person who waits for a page.
const judgeWithin = 5 * time.Second

// Judgement is what was found out about a message. Every text in it is for people, and may hold what
// strangers have written or published.
type Judgement struct {
	Asked bool // whether the DNS was
	From  []string
	SPF   SenderFound
	DKIM  []SignatureFound
	DMARC PolicyFound
}

// NotAsked is the result where the DNS would have to be asked.
const NotAsked = "not asked"

// SenderFound is what SPF says of the envelope's sender.
type SenderFound struct {
	Result  string // "pass", "fail", …, or NotAsked
	Domain  string // that was judged; "" is none
	Address string // that the message came from, or will
	Term    string // of the record, that decided
	Why     string
	Aligned bool // Domain and From are of one organization, as far as is known
}

// SignatureFound is what became of one signature, the topmost first.
type SignatureFound struct {
	Result           string
	Domain, Selector string
	Algorithm        string
	Bits             int
	Why              string
	Body             bool // the body is the one that was signed, whatever else is wrong
	Aligned          bool
}

// PolicyFound is what DMARC says of the author's domain.
type PolicyFound struct {
	Result      string
	Domain      string // of From, that is judged
	Policy      string // what it asks for if a message fails
	Disposition string // what would become of this one: "none", "quarantine" or "reject"
	Record      string // where the policy stands
	Why         string
}

// Judge judges a message, with the DNS only if ask is true. leaving is the address that it is sent from; invalid means Leaving, or
// where that is none the client's.
func (j *Judge) Judge(ctx context.Context, m *Message, raw []byte, ask bool, leaving netip.Addr) Judgement {
	v := Judgement{Asked: ask && j != nil && j.DNS != nil, From: []string{}, DKIM: []SignatureFound{}}
	read, err := rfc2822.ReadString(string(raw))
	if err != nil {
		v.DMARC.Why = err.Error()
		return v
	}
	var dns DNS = silent{}
	within := judgeWithin
	if j != nil {
		if !leaving.IsValid() {
			leaving = j.Leaving
		}
		if v.Asked {
			dns = j.DNS
		}
		if j.Within > 0 {
			within = j.Within
		}
	}
	if !leaving.IsValid() {
		leaving = addressOf(m.Client)
	}
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()

	from := read.Header.Named("From")
	authors, err := dmarc.Authors(from)
	if err == nil {
		v.From = authors
	}
	signatures := verified(ctx, dns, read)
	sender := spf.Outcome{}
	if v.SPF = v.sender(m, leaving); v.SPF.Result == "" {
		sender = (&spf.Checker{Resolver: dns, Receiver: m.Host, Timeout: within}).Check(ctx, spf.Query{IP: leaving, Helo: m.Helo, MailFrom: m.Envelope.From})
		v.SPF.Result, v.SPF.Term, v.SPF.Why = sender.Result.String(), sender.Mechanism, reasonOf(sender.Err, sender.Explanation)
	}
	passed := dmarc.Passed{}
	if sender.Result == spf.Pass {
		passed.SPF = sender.Domain
	}
	for _, r := range signatures.Results() {
		v.DKIM = append(v.DKIM, v.signature(&r))
		if r.Status == dkim.Pass {
			passed.DKIM = append(passed.DKIM, r.Domain)
		}
	}
	v.DMARC = v.policy(ctx, dns, from, passed, within)
	return v
}

// verified begins to verify the signatures; the body has passed.
func verified(ctx context.Context, dns DNS, m *rfc2822.Message) *dkim.Verification {
	check := (&dkim.Verifier{Resolver: dns}).Verify(ctx, m.Header.String())
	if body := m.Body(); body != nil {
		buf := make([]byte, 32<<10)
		for {
			n, err := body.Read(buf)
			check.Write(buf[:n])
			if err != nil {
				return check
			}
		}
	}
	return check
}

// sender is what is known before the DNS is asked; its Result is empty if the DNS is what is missing.
func (v *Judgement) sender(m *Message, leaving netip.Addr) SenderFound {
	domain := m.Helo // judged for the null sender (RFC 7208 §2.4)
	if from := m.Envelope.From; from != "" {
		domain = from[strings.LastIndexByte(from, '@')+1:]
	}
	f := SenderFound{Domain: domain, Aligned: v.aligned(domain)}
	if leaving.IsValid() {
		f.Address = leaving.Unmap().String()
	}
	switch ip := leaving.Unmap(); {
	case !ip.IsValid():
		f.Result, f.Why = "none", "there is no address that it was sent from"
	case ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified():
		f.Result, f.Why = "none", "it came from an address that only this network has; name the one that your mail will leave from"
	case !v.Asked:
		f.Result = NotAsked
	}
	return f
}

func (v *Judgement) signature(r *dkim.Result) SignatureFound {
	f := SignatureFound{Result: string(r.Status), Domain: r.Domain, Selector: r.Selector, Algorithm: r.Algorithm, Bits: r.Bits, Why: string(r.Reason), Body: r.Body, Aligned: v.aligned(r.Domain)}
	if !v.Asked && r.Status == dkim.TempError {
		f.Result, f.Why = NotAsked, ""
		if !r.Body {
			f.Result, f.Why = string(dkim.Fail), "body hash differs"
		}
	}
	return f
}

func (v *Judgement) policy(ctx context.Context, dns DNS, from []rfc2822.Field, passed dmarc.Passed, within time.Duration) PolicyFound {
	if len(v.From) > 0 && !v.Asked {
		return PolicyFound{Result: NotAsked, Domain: v.From[0]}
	}
	o := (&dmarc.Checker{Resolver: dns, Timeout: within}).CheckMessage(ctx, from, passed)
	f := PolicyFound{Result: o.Result.String(), Domain: o.Domain, Policy: string(o.Policy), Record: o.RecordDomain, Why: reasonOf(o.Err, "")}
	if o.Record != nil {
		f.Disposition = string(o.Disposition())
	}
	return f
}

// aligned reports whether a domain is that of an author, above it or below: what DMARC will say in relaxed mode, but for
// domains that have no more in common than an organization above both of them.
func (v *Judgement) aligned(domain string) bool {
	d := domains.Canonical(domain)
	return d != "" && slices.ContainsFunc(v.From, func(author string) bool {
		a := domains.Canonical(author)
		return domains.Within(d, a) || domains.Within(a, d) && strings.Contains(d.String(), ".")
	})
}

func reasonOf(err error, otherwise string) string {
	var dns *net.DNSError
	switch {
	case err == nil:
		return otherwise
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &dns) && dns.IsTimeout:
		return "the DNS gave no answer in time"
	}
	_, text, ok := strings.Cut(err.Error(), ": ")
	if !ok || !strings.HasPrefix(err.Error(), "spf: ") && !strings.HasPrefix(err.Error(), "dmarc: ") {
		return err.Error()
	}
	return text // people know no packages
}

// silent is a DNS that is not asked.
type silent struct{}

// errNotAsked is temporary: nothing is known of any name.
var errNotAsked = &net.DNSError{Err: "not asked", IsTemporary: true}

// LookupTXT implements spf.Resolver.
func (silent) LookupTXT(context.Context, string) ([]string, error) { return nil, errNotAsked }

// LookupNetIP implements spf.Resolver.
func (silent) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errNotAsked
}

// LookupMX implements spf.Resolver.
func (silent) LookupMX(context.Context, string) ([]*net.MX, error) { return nil, errNotAsked }

// LookupAddr implements spf.Resolver.
func (silent) LookupAddr(context.Context, string) ([]string, error) { return nil, errNotAsked }

// NameExists implements dmarc.NameExister.
func (silent) NameExists(context.Context, string) (bool, error) { return false, errNotAsked }
