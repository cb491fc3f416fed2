package verify

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/greylist"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/dmarc"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// Resolver asks the DNS; a *resolver.Resolver is one.
type Resolver interface {
	spf.Resolver
	dmarc.NameExister
}

// Action is what is done with a message that is not from whom it says.
type Action string

const (
	Refuse     Action = "refuse"     // it is not taken, and its client told why
	Quarantine Action = "quarantine" // it is marked, and put aside where there is a place for that
	Mark       Action = "mark"       // it is delivered, with fields that say what it is
	Note       Action = "note"       // it is delivered, and Authentication-Results says what was found
)

// Rules are what one set of settings says. They do not change; a reload makes others.
type Rules struct {
	Name string // of this host, in Authentication-Results
	// DMARC is the most that is done where the domain of From asks for "reject" or
	// "quarantine": Refuse does as it asks, Mark never refuses.
	DMARC Action
	// OwnDomains is done with mail in the name of a domain of this host that does
	// not come from here, whatever the DNS says.
	OwnDomains Action
	// NoAuthor is done where From is missing, stands there twice or names nobody, so that no domain
	// can be asked (RFC 5322 §3.6: there is one From field); "" is Note.
	NoAuthor Action
	// SPF is done where SPF says fail and the domain has no DMARC record.
	SPF Action
	// Softest are the most that is done with mail for some domains here, for each reason.
	Softest map[domains.Name]Action
	// Forwarders are networks, and ForwardingHosts names of hosts, whose mail was
	// somebody else's before: it is marked at most.
	Forwarders      []netip.Prefix
	ForwardingHosts domains.Map[bool]
	// OtherMX are hosts that take mail for this one while it is away, and bring it then: their mail is
	// marked at most, too.
	OtherMX []string
	// IsOwn reports whether a domain is one of this host.
	IsOwn func(domains.Name) bool
	// Lists are DNS lists that are asked who it is that brings mail; nil: none.
	Lists *Lists
	// OwnHello is done with mail of strangers who call themselves by a name or address of this host;
	// Hello where they give no name that there is, ReverseName where they have none that leads back to
	// them: Mark, where nothing speaks for the mail. "" is Note.
	OwnHello, Hello, ReverseName Action
	// Names and Addresses are those of this host, beside the address that a client connected to.
	Names     []domains.Name
	Addresses []netip.Addr
	// Greylist says how what is suspicious is told to come again; nil: it is not.
	Greylist *greylist.Times
	// Aside: there is a place where mail is put aside, for some users at least; without it Quarantine is Mark.
	Aside bool
}

// Verifier checks the mail of strangers. Its fields must not be changed while it works; its
// methods may be called concurrently.
type Verifier struct {
	Resolver Resolver
	// Memory answers at once from what the Resolver remembers, and with a temporary error where that is nothing. Most
	// mail comes from few senders, and all questions about them together cost less from it than one that may have
	// to wait. nil: there is none.
	Memory Resolver
	// Rules returns what the settings of the moment say; nil: nobody is checked.
	Rules func() *Rules
	// Observe, if not nil, is handed what became of each message that was checked. It must not block.
	Observe func(*Verdict)
	// Greylist is asked for who has come again, where Rules have a Greylist; nil: it cannot be had.
	Greylist func() *greylist.Table
	// Answered, if not nil, is told what a DNS list has said: "listed", "clear" or "error". It must not block.
	Answered func(list, result string)
	Log      *slog.Logger

	once    sync.Once
	dkim    dkim.Verifier
	records dmarc.Records
	nat     nat
	bounds  bounds
}

// How long the DNS is waited for: all of the questions about a sender and a connection, and
// behind a message for what is not there yet.
const (
	senderTimeout = 20 * time.Second
	lastTimeout   = 8 * time.Second  // for the sender,
	dmarcTimeout  = 8 * time.Second  // for the author's policy,
	allTimeout    = 19 * time.Second // and for all together
)

// Sender implements post.Inspector: it begins with the questions about the client and its sender.
func (v *Verifier) Sender(ctx context.Context, s *smtp.Session, from smtp.Path, trusted bool) error {
	v.once.Do(func() { v.dkim.Resolver = v.dns() })
	was, ok := s.Values[v].(*sender)
	if ok {
		was.forget()
		was.was = nil // no chain of all transactions
		delete(s.Values, v)
	}
	delete(s.Values, verdictKey{v})
	rules := v.Rules()
	if trusted || s.LMTP || rules == nil {
		return nil
	}
	client, ok := lineserver.IP(s.RemoteAddr)
	if !ok || s.FromHere() {
		return nil
	}
	v.gateway(client)
	now := begin(rules, s, client, from)
	now.was = was
	s.Set(v, now)
	if !now.asked && v.bounds.begins(now.block.network) {
		now.early = true
		v.ask(ctx, now)
	}
	return nil
}

// Inspect implements post.Inspector.
func (v *Verifier) Inspect(ctx context.Context, look *post.Look) post.Inspection {
	s, ok := look.Envelope.Session.Values[v].(*sender)
	if !ok || look.Trusted {
		return nil
	}
	switch {
	case look.Header.Truncated():
		return refusal{post.TooLong(look.Busy)}
	case longAuthors(look.Header):
		return refusal{post.TooLong(false)}
	}
	if why := ambiguous(look.Header.String()); why != nil {
		return refusal{why}
	}
	v.ask(ctx, s)
	return v.inspect(ctx, s, look)
}

// refusal is the answer to a message that cannot be looked at.
type refusal struct{ why error }

// Write implements io.Writer.
func (r refusal) Write([]byte) (int, error) { return 0, r.why }

// Most implements post.Inspection.
func (r refusal) Most() (results, fields int) { return 0, 0 }

// Findings implements post.Inspection.
func (r refusal) Findings(context.Context) (post.Findings, error) { return post.Findings{}, r.why }
