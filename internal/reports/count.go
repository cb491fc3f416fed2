package reports

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/daily"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Result is what DMARC came to for one message of a stranger.
type Result struct {
	// Domain is where the policy record was found, Policy what it says, and Wanted
	// where it wants reports.
	Domain string
	Policy Policy
	Wanted []Destination

	Source      netip.Addr // of the client
	Disposition string     // "none", "pass", "quarantine" or "reject": what was done
	DKIM, SPF   bool       // aligned
	Overrides   []Override // why it is not what the policy asks for
	From        string     // domain of the From field
	Envelope    string     // domain of the envelope sender; "" for the null sender
	Signatures  []Signature
	SPFDomain   string // that SPF was asked about, and what it answered: "pass", "softfail"
	SPFResult   string

	// Trusted: the client has logged in, or is a host of ours. Its mail is not told about.
	Trusted bool
	// Recipients are the addresses the message is for, in canonical form. One that is
	// for nobody but who reads reports here is none to report about.
	Recipients []string
}

// Policy is a policy record as it was found, with what it does not say filled in.
type Policy struct {
	P       string `json:"p"`
	SP      string `json:"sp,omitempty"`
	NP      string `json:"np,omitempty"`
	FO      string `json:"fo,omitempty"`
	ADKIM   string `json:"adkim,omitempty"` // "r" or "s"
	ASPF    string `json:"aspf,omitempty"`
	Testing bool   `json:"testing,omitempty"`
}

// Destination is a mailbox that wants reports, and the size of a message that it takes at
// most, in octets; 0: any.
type Destination struct {
	Address string `json:"address"`
	MaxSize int64  `json:"max_size,omitempty"`
}

// Override is a reason why a message was not treated as the policy says: a type of
// RFC 9990, such as "mailing_list" or "local_policy", and a comment.
type Override struct {
	Type    string `json:"type"`
	Comment string `json:"comment,omitempty"`
}

// Signature is what became of a DKIM signature.
type Signature struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	Result   string `json:"result"` // of RFC 8601 §2.7.1
}

// Bounds of what is counted on a day: strangers choose all of it.
const (
	maxDomains    = 5000
	maxCounted    = 500   // rows of one domain
	maxCountedAll = 50000 // of all
	maxSignatures = 10    // of one row
	// maxCountedOctets is about what the rows of a day may take, of all domains. They are in memory, and
	// are written down whole every few minutes.
	maxCountedOctets = 32 << 20
)

// counted are the messages of one domain's policy.
type counted struct {
	Policy  Policy        `json:"policy"`
	Wanted  []Destination `json:"wanted"`
	Rows    []*countedRow `json:"rows"`
	Further int64         `json:"further,omitempty"` // messages that are in no row
	daily.Sent
}

type countedRow struct {
	Source      netip.Addr  `json:"source"`
	Disposition string      `json:"disposition"`
	DKIM        bool        `json:"dkim,omitempty"`
	SPF         bool        `json:"spf,omitempty"`
	Overrides   []Override  `json:"overrides,omitempty"`
	From        string      `json:"from"`
	Envelope    string      `json:"envelope,omitempty"`
	Signatures  []Signature `json:"signatures,omitempty"`
	SPFDomain   string      `json:"spf_domain,omitempty"`
	SPFResult   string      `json:"spf_result,omitempty"`
	Count       int64       `json:"count"`
}

// octets is about what a row takes.
func (r *countedRow) octets() int {
	n := 200 + len(r.Disposition) + len(r.From) + len(r.Envelope) + len(r.SPFDomain) + len(r.SPFResult)
	for _, o := range r.Overrides {
		n += 50 + len(o.Type) + len(o.Comment)
	}
	for _, s := range r.Signatures {
		n += 50 + len(s.Domain) + len(s.Selector) + len(s.Result)
	}
	return n
}

func (r *countedRow) same(o *countedRow) bool {
	return r.Source == o.Source && r.Disposition == o.Disposition && r.DKIM == o.DKIM && r.SPF == o.SPF && r.From == o.From && r.Envelope == o.Envelope &&
		r.SPFDomain == o.SPFDomain && r.SPFResult == o.SPFResult && slices.Equal(r.Overrides, o.Overrides) && slices.Equal(r.Signatures, o.Signatures)
}

// merge adds what another server has counted.
func (c *counted) merge(more *counted) {
	c.Policy, c.Wanted = more.Policy, more.Wanted
	c.Further += more.Further
	for _, row := range more.Rows {
		switch i := slices.IndexFunc(c.Rows, func(r *countedRow) bool { return row != nil && row.same(r) }); {
		case row == nil:
		case i >= 0:
			c.Rows[i].Count += row.Count
		case len(c.Rows) >= maxCounted:
			c.Further += row.Count
		default:
			c.Rows = append(c.Rows, row)
		}
	}
}

// Sender counts how mail in the name of others fared here, and tells the domains that want
// to hear of it once a day (RFC 9990). Its fields are set before its first method is called;
// Count and Bounced may be called concurrently.
type Sender struct {
	// Address is who reports, by the settings of the moment; answers and bounces go there. Hostname is our host, in
	// the reports' ids, and Generator the program.
	Address, Hostname func() string
	Generator         string
	// Permitted leaves, of the places where a domain wants reports, those that want
	// them (RFC 9990 §4: a host of another organization must have said so, and may
	// name another mailbox of its own). The error says that some are to be asked again
	// later. Where it is nil, only mailboxes of the domain and those below it are told.
	Permitted func(ctx context.Context, domain string, wanted []Destination) ([]Destination, error)
	// Send queues a message from Address, to be signed for its domain.
	Send func(ctx context.Context, to string, message []byte) error
	// Own reports whether an address is one that takes reports here.
	Own func(address string) bool
	// Cache keeps the counts, and who rests, over restarts.
	Cache daily.Cache
	// Common, if not nil, is where several servers bring together what they have counted, so that a domain hears of it once.
	Common daily.Common
	Log    *slog.Logger

	book  *daily.Book[counted, *counted]
	rests *rests
	today string
	// Counted since midnight of today, for maxCountedAll and maxCountedOctets.
	rows, octets int
}

// Begin makes the Sender ready: it takes up what a former life has left.
func (s *Sender) Begin(ctx context.Context) error {
	s.rests = recallRests(s.Cache)
	s.book = &daily.Book[counted, *counted]{
		Kind: "dmarc", What: "DMARC results", Cache: s.Cache, Most: maxDomains, Seed: s.Hostname, Send: s.send, Common: s.Common, Add: (*counted).merge,
		Log: func() *slog.Logger { return s.Log },
	}
	return s.rests.save(ctx) // the key is kept before the first report shows it
}

// Run sends the reports of each day after its end until ctx ends.
func (s *Sender) Run(ctx context.Context) error { return s.book.Run(ctx) }

// SendDay sends the reports of one day ("2026-03-01", in UTC) at once.
func (s *Sender) SendDay(ctx context.Context, day string) error { return s.book.SendDay(ctx, day) }

// Count counts a message, unless nobody wants to hear of it, it is of our own users, or it
// is a report itself.
func (s *Sender) Count(r Result) {
	report := len(r.Recipients) > 0 && !slices.ContainsFunc(r.Recipients, func(a string) bool { return !s.Own(a) })
	if len(r.Wanted) == 0 || !isName(r.Domain) || r.Trusted || report {
		return
	}
	row := &countedRow{
		Source: r.Source.Unmap().WithZone(""), Disposition: r.Disposition, DKIM: r.DKIM, SPF: r.SPF, Overrides: r.Overrides[:min(len(r.Overrides), maxSignatures)],
		From: r.From, Envelope: r.Envelope, Signatures: preferred(r.Signatures, r.From), SPFDomain: r.SPFDomain, SPFResult: r.SPFResult, Count: 1,
	}
	s.book.Update(r.Domain, func(c *counted) {
		c.Policy, c.Wanted = r.Policy, slices.Clone(r.Wanted[:min(len(r.Wanted), 10)]) // the last one seen (RFC 9990 §3.4)
		if i := slices.IndexFunc(c.Rows, row.same); i >= 0 {
			c.Rows[i].Count++
			return
		}
		if day := time.Now().UTC().Format(time.DateOnly); day != s.today {
			s.today, s.rows, s.octets = day, 0, 0
		}
		if len(c.Rows) >= maxCounted || s.rows >= maxCountedAll || s.octets >= maxCountedOctets {
			c.Further++
			return
		}
		s.rows++
		s.octets += row.octets()
		c.Rows = append(c.Rows, row)
	})
}

// preferred are the signatures to tell of, in the order of RFC 9990 §3.1.3: those that
// pass for the domain in From, for one above or below it, and any other, then those that
// do not pass.
func preferred(all []Signature, from string) []Signature {
	rank := func(s Signature) int {
		switch {
		case s.Result != "pass":
			return 3
		case strings.EqualFold(s.Domain, from):
			return 0
		case domains.Within(s.Domain, from) || domains.Within(from, s.Domain):
			return 1
		}
		return 2
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Signature) int { return rank(a) - rank(b) })
	return all[:min(len(all), maxSignatures)]
}

// isName reports whether a domain can stand in a header and in a file's name as it is.
func isName(domain string) bool {
	return domain != "" && len(domain) <= 253 && !strings.ContainsFunc(domain, func(c rune) bool {
		return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_')
	})
}
