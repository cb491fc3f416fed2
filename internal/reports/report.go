package reports

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Kind is what a report is about.
type Kind string

// The kinds. Unreadable is a message in which nothing, or not all, could be read.
const (
	DMARC      Kind = "dmarc"
	TLS        Kind = "tls"
	Unreadable Kind = "unreadable"
)

// Trust says whether a report comes from whom it says.
type Trust string

// The degrees. Anybody can write a report: only one whose sender DMARC has found
// right is known to come from the domain in its From field, whatever organization it
// names.
const (
	Unchecked Trust = ""          // nobody has looked
	Trusted   Trust = "trusted"   // an aligned pass for the domain in From
	Untrusted Trust = "untrusted" // none
)

// Report is one report as it is kept.
type Report struct {
	Kind     Kind      `json:"kind"`
	Received time.Time `json:"received"`
	Sender   string    `json:"sender,omitempty"` // the address in From of the message
	Trust    Trust     `json:"trust,omitempty"`

	Org     string    `json:"org,omitempty"` // as the report names it
	Contact string    `json:"contact,omitempty"`
	ID      string    `json:"id,omitempty"`
	Begin   time.Time `json:"begin,omitzero"`
	End     time.Time `json:"end,omitzero"`
	Domain  string    `json:"domain,omitempty"` // whose policy it is about; several in a TLS report: the first
	Policy  string    `json:"policy,omitempty"` // DMARC: what it asks for, "reject"

	Rows     []Row     `json:"rows,omitempty"`
	Sessions []Session `json:"sessions,omitempty"`
	// Further is what had no room among Rows and Sessions.
	Further Further `json:"further,omitzero"`

	// Reason is why a message could not be read, and Mail its name in the mailbox,
	// where it stays for a while.
	Reason string `json:"reason,omitempty"`
	Mail   string `json:"mail,omitempty"`
}

// Row is what a DMARC report says of messages from one source.
type Row struct {
	Source      netip.Addr `json:"source,omitzero"`
	Count       int64      `json:"count"`
	Disposition string     `json:"disposition,omitempty"`
	DKIM        string     `json:"dkim,omitempty"` // aligned: "pass" or "fail"
	SPF         string     `json:"spf,omitempty"`
	From        string     `json:"from,omitempty"`     // domain of the From field
	Envelope    string     `json:"envelope,omitempty"` // and of the envelope sender
	Reason      string     `json:"reason,omitempty"`   // why the policy was overridden
	Auth        string     `json:"auth,omitempty"`     // what was found: "dkim=pass example.com, spf=fail example.net"
}

// Passes reports whether the messages passed DMARC.
func (r Row) Passes() bool { return r.DKIM == "pass" || r.SPF == "pass" }

// Session is what a TLS report says of sessions that went alike.
type Session struct {
	Domain  string     `json:"domain,omitempty"`
	Policy  string     `json:"policy,omitempty"`  // "sts", "tlsa", "no-policy-found"
	Failure string     `json:"failure,omitempty"` // empty: they went well
	Host    string     `json:"host,omitempty"`    // the host of ours
	Source  netip.Addr `json:"source,omitzero"`   // the one that reports
	Count   int64      `json:"count"`
	Detail  string     `json:"detail,omitempty"`
}

// Further counts what is not listed.
type Further struct {
	Rows   int64 `json:"rows,omitempty"`
	Count  int64 `json:"count,omitempty"`  // messages or sessions in them
	Failed int64 `json:"failed,omitempty"` // of these, those that failed
}

// Bounds of one report. What strangers write into it is kept for months.
const (
	maxRows = 1000
	maxText = 200 // characters of one value
	maxAuth = 8   // results of one row
	most    = int64(1) << 50
)

// addRow keeps a row, together with others that differ by nothing but their count.
func (r *Report) addRow(row Row, at map[Row]int) {
	key := row
	key.Count = 0
	if i, ok := at[key]; ok {
		r.Rows[i].Count = min(r.Rows[i].Count+row.Count, most)
		return
	}
	if len(r.Rows) == maxRows {
		r.Further.add(row.Count, !row.Passes())
		return
	}
	at[key] = len(r.Rows)
	r.Rows = append(r.Rows, row)
}

func (r *Report) addSession(s Session) {
	if len(r.Sessions) == maxRows {
		r.Further.add(s.Count, s.Failure != "")
		return
	}
	r.Sessions = append(r.Sessions, s)
}

func (f *Further) add(count int64, failed bool) {
	f.Rows++
	f.Count = min(f.Count+count, most)
	if failed {
		f.Failed = min(f.Failed+count, most)
	}
}

// plus is a sum that does not become negative, however much a stranger counts.
func plus(a, b int64) int64 { return min(a, math.MaxInt64-max(b, 0)) + b }

// clean makes a line of what a stranger wrote: bounded, and without what could steer a
// terminal or break a file.
func clean(s string) string {
	var b strings.Builder
	n := 0
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		if n > 0 {
			b.WriteByte(' ')
			n++
		}
		for _, r := range word {
			if n++; n > maxText {
				return b.String() + "…"
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// word is clean for what has no case: results, domains.
func word(s string) string { return strings.ToLower(clean(s)) }

// number reads a count: what is none counts as nothing.
func number(s string) int64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(n > 0) {
		return 0
	}
	return int64(min(n, float64(most)))
}

// moment reads a time, in seconds since 1970 or as RFC 3339 has it.
func moment(s string) time.Time {
	s = strings.TrimSpace(s)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return sane(t.UTC())
	}
	seconds := number(s)
	if seconds > 1<<36 { // milliseconds
		seconds /= 1000
	}
	return sane(time.Unix(seconds, 0).UTC())
}

// sane is the zero time for what can be no report's.
func sane(t time.Time) time.Time {
	if y := t.Year(); y < 2000 || y > 2200 {
		return time.Time{}
	}
	return t
}

// address reads an IP address; the zero one is none.
func address(s string) netip.Addr {
	a, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(s), "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}
