package reports

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Query says which reports to look at, and what is known beside them.
type Query struct {
	// Domain: only what is about it and what is below it; "" for all.
	Domain string
	// Own reports whether an address is one that mail of this host comes from.
	Own func(netip.Addr) bool
}

// Summary is what reports say together, what is wrong first. Messages are counted once
// for each report that has them.
type Summary struct {
	// Strangers send in our name and fail, and are not of our addresses: forgers, those
	// who forward, and services that were forgotten. Ours fail and are of our
	// addresses: something is wrong with our signatures or records.
	Strangers []Source `json:"strangers"`
	Ours      []Source `json:"ours"`
	// Passing are the sources whose mail passes.
	Passing []Source `json:"passing"`
	// TLS is what went wrong with TLS to hosts of ours.
	TLS []Failure `json:"tls"`
	// Unreadable are messages that hold no report, or one that cannot be read.
	Unreadable []*Report `json:"unreadable"`
	// Untrusted is what reports say that may be forged. It counts nowhere else.
	Untrusted []Source `json:"untrusted"`
	// UntrustedTLS is the same of TLS reports, UntrustedUnreadable of messages.
	UntrustedTLS        []Failure `json:"untrusted_tls"`
	UntrustedUnreadable []*Report `json:"untrusted_unreadable"`

	Reports   int   `json:"reports"`   // that were read, without the untrusted
	Unchecked int   `json:"unchecked"` // of these, those whose sender nobody has checked
	Messages  int64 `json:"messages"`
	Passed    int64 `json:"passed"`
	Sessions  int64 `json:"sessions"` // with TLS
	// Further is what the reports list too much of.
	Further Further `json:"further"`
}

// Source is a host that sends in the name of a domain, and how its mail fares.
type Source struct {
	Address  netip.Addr `json:"address,omitzero"` // zero: the report has none that can be read
	Domain   string     `json:"domain"`           // in From
	Passes   bool       `json:"passes"`
	Messages int64      `json:"messages"`
	Refused  int64      `json:"refused"` // of these, those that were rejected or quarantined
	By       []string   `json:"by"`      // who reports, a few of them
	Last     time.Time  `json:"last"`    // the end of the latest report
	Auth     []string   `json:"auth"`    // what was found, a few of these
	Reasons  []string   `json:"reasons"` // why a policy was overridden
}

// Failure is a kind of failure of TLS at one host.
type Failure struct {
	Domain   string    `json:"domain"`
	Kind     string    `json:"kind"` // a result type of RFC 8460 §4.3
	Host     string    `json:"host,omitempty"`
	Sessions int64     `json:"sessions"`
	By       []string  `json:"by"`
	Last     time.Time `json:"last"`
	Detail   string    `json:"detail,omitempty"`
}

// Wrong reports whether there is something to look at. What may be forged does not count.
func (s *Summary) Wrong() bool {
	return len(s.Strangers)+len(s.Ours)+len(s.TLS)+len(s.Unreadable) > 0 || s.Further.Failed > 0
}

// Summarize puts reports together.
func Summarize(all []*Report, q Query) *Summary {
	s := &summing{q: q, Summary: &Summary{}, sources: make(map[sourceKey]*Source), failures: make(map[failureKey]*Failure)}
	for _, r := range all {
		s.add(r)
	}
	for _, key := range slices.SortedFunc(maps.Keys(s.sources), func(a, b sourceKey) int {
		x, y := s.sources[a], s.sources[b]
		return cmp.Or(cmp.Compare(y.Messages, x.Messages), cmp.Compare(a.domain, b.domain), a.address.Compare(b.address), cmp.Compare(btoi(a.passes), btoi(b.passes)))
	}) {
		s.place(key, *s.sources[key])
	}
	for _, key := range slices.SortedFunc(maps.Keys(s.failures), func(a, b failureKey) int {
		x, y := s.failures[a], s.failures[b]
		return cmp.Or(cmp.Compare(y.Sessions, x.Sessions), cmp.Compare(a.domain, b.domain), cmp.Compare(a.kind, b.kind), cmp.Compare(a.host, b.host))
	}) {
		list := &s.TLS
		if key.untrusted {
			list = &s.UntrustedTLS
		}
		*list = append(*list, *s.failures[key])
	}
	return s.Summary
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// summing is a summary being made.
type summing struct {
	*Summary
	q        Query
	sources  map[sourceKey]*Source
	failures map[failureKey]*Failure
}

type sourceKey struct {
	address           netip.Addr
	domain            string
	passes, untrusted bool
}

type failureKey struct {
	domain, kind, host string
	untrusted          bool
}

// place puts a source where it belongs.
func (s *summing) place(key sourceKey, source Source) {
	list := &s.Strangers
	switch {
	case key.untrusted:
		list = &s.Untrusted
	case key.passes:
		list = &s.Passing
	case key.address.IsValid() && s.q.Own != nil && s.q.Own(key.address):
		list = &s.Ours
	}
	*list = append(*list, source)
}

func (s *summing) add(r *Report) {
	untrusted := r.Trust == Untrusted
	if r.Kind == Unreadable {
		list := &s.Unreadable
		if untrusted {
			list = &s.UntrustedUnreadable
		}
		if s.q.Domain == "" { // what it is about cannot be read
			*list = append(*list, r)
		}
		return
	}
	about := s.q.Domain == "" || domains.Within(r.Domain, s.q.Domain)
	for _, row := range r.Rows {
		if row.From == "" {
			row.From = r.Domain
		}
		if s.q.Domain == "" || domains.Within(row.From, s.q.Domain) {
			about = true
			s.addRow(r, row, untrusted)
		}
	}
	for _, session := range r.Sessions {
		if s.q.Domain == "" || domains.Within(session.Domain, s.q.Domain) {
			about = true
			s.addSession(r, session, untrusted)
		}
	}
	if !about || untrusted {
		return
	}
	s.Reports++
	if r.Trust == Unchecked {
		s.Unchecked++
	}
	f := &s.Further
	f.Rows, f.Count, f.Failed = plus(f.Rows, r.Further.Rows), plus(f.Count, r.Further.Count), plus(f.Failed, r.Further.Failed)
}

func (s *summing) addRow(r *Report, row Row, untrusted bool) {
	key := sourceKey{row.Source, row.From, row.Passes(), untrusted}
	source := s.sources[key]
	if source == nil {
		source = &Source{Address: row.Source, Domain: row.From, Passes: row.Passes()}
		s.sources[key] = source
	}
	source.Messages = plus(source.Messages, row.Count)
	if row.Disposition == "reject" || row.Disposition == "quarantine" {
		source.Refused = plus(source.Refused, row.Count)
	}
	source.By, source.Last = some(source.By, r.By()), later(source.Last, r)
	source.Auth, source.Reasons = some(source.Auth, row.Auth), some(source.Reasons, row.Reason)
	if untrusted {
		return
	}
	s.Messages = plus(s.Messages, row.Count)
	if row.Passes() {
		s.Passed = plus(s.Passed, row.Count)
	}
}

func (s *summing) addSession(r *Report, session Session, untrusted bool) {
	if !untrusted {
		s.Sessions = plus(s.Sessions, session.Count)
	}
	if session.Failure == "" {
		return
	}
	key := failureKey{session.Domain, session.Failure, session.Host, untrusted}
	f := s.failures[key]
	if f == nil {
		f = &Failure{Domain: session.Domain, Kind: session.Failure, Host: session.Host}
		s.failures[key] = f
	}
	f.Sessions = plus(f.Sessions, session.Count)
	f.By, f.Last, f.Detail = some(f.By, r.By()), later(f.Last, r), cmp.Or(f.Detail, session.Detail)
}

// By is who reports: the organization as it calls itself, and where the mail came from if
// that is not the same.
func (r *Report) By() string {
	_, from, _ := strings.Cut(r.Sender, "@")
	if r.Org == "" || strings.EqualFold(r.Org, from) {
		return cmp.Or(from, "nobody knows who")
	}
	if from == "" {
		return r.Org
	}
	return r.Org + " (" + from + ")"
}

// some adds to a list what it does not have, as long as it is short.
func some(list []string, s string) []string {
	if s == "" || len(list) == 5 || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// later is the end of the latest report, as far as it tells; none lies in the future of
// when it came.
func later(t time.Time, r *Report) time.Time {
	end := r.End
	if end.IsZero() || end.After(r.Received) {
		end = r.Received
	}
	if end.After(t) {
		return end
	}
	return t
}
