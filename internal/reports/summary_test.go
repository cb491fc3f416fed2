package reports

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func dmarcReport(id string, rows ...Row) *Report {
	return &Report{Kind: DMARC, Received: noon, Sender: "dmarc@big.example", Org: "big.example", ID: id, Domain: "ours.example",
		Begin: noon.Add(-36 * time.Hour), End: noon.Add(-12 * time.Hour), Trust: Trusted, Rows: rows}
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// own are the addresses of this host.
func own(a netip.Addr) bool { return a == ip("192.0.2.25") }

// TestSummary: what is wrong stands first, and each thing where it belongs.
func TestSummary(t *testing.T) {
	pass, fail := Row{Source: ip("192.0.2.25"), Count: 10, DKIM: "pass", From: "ours.example"}, Row{Source: ip("203.0.113.66"), Count: 3, DKIM: "fail", SPF: "fail", Disposition: "reject", Auth: "spf=fail forger.example"}
	var all []*Report
	for i := range 100 {
		all = append(all, dmarcReport(fmt.Sprint(i), pass))
	}
	if s := Summarize(all, Query{Own: own}); s.Wrong() || s.Reports != 100 || s.Messages != 1000 || s.Passed != 1000 || len(s.Passing) != 1 {
		t.Errorf("%+v", s)
	}
	all = append(all, dmarcReport("bad", pass, fail))
	s := Summarize(all, Query{Own: own})
	if !s.Wrong() || len(s.Strangers) != 1 || len(s.Ours) != 0 || s.Strangers[0].Messages != 3 || s.Strangers[0].Refused != 3 || s.Strangers[0].Domain != "ours.example" ||
		s.Strangers[0].Auth[0] != "spf=fail forger.example" || s.Strangers[0].By[0] != "big.example" || !s.Strangers[0].Last.Equal(noon.Add(-12*time.Hour)) {
		t.Errorf("%+v", s)
	}

	ours := dmarcReport("ours", Row{Source: ip("192.0.2.25"), Count: 1})
	if s := Summarize([]*Report{ours}, Query{Own: own}); !s.Wrong() || len(s.Ours) != 1 || len(s.Strangers) != 0 {
		t.Errorf("%+v", s)
	}
	if s := Summarize([]*Report{dmarcReport("", Row{Count: 1})}, Query{Own: own}); len(s.Strangers) != 1 {
		t.Errorf("without an address: %+v", s)
	}

	forged := dmarcReport("forged", fail)
	forged.Trust = Untrusted
	forged.Sessions = []Session{{Domain: "ours.example", Failure: "certificate-expired", Count: 9}}
	spam := &Report{Kind: Unreadable, Reason: "no report in it", Trust: Untrusted, Received: noon}
	s = Summarize([]*Report{forged, spam}, Query{Own: own})
	if s.Wrong() || s.Reports != 0 || s.Messages != 0 || s.Sessions != 0 || len(s.Untrusted) != 1 || len(s.UntrustedTLS) != 1 || len(s.UntrustedUnreadable) != 1 {
		t.Errorf("%+v", s)
	}
	unchecked := dmarcReport("unchecked", fail)
	unchecked.Trust = Unchecked
	if s := Summarize([]*Report{unchecked}, Query{Own: own}); !s.Wrong() || s.Unchecked != 1 {
		t.Errorf("%+v", s)
	}
	if s := Summarize([]*Report{{Kind: Unreadable, Reason: "no report in it"}}, Query{}); !s.Wrong() || len(s.Unreadable) != 1 {
		t.Errorf("%+v", s)
	}
	more := dmarcReport("further")
	more.Further = Further{Rows: 1, Count: 5, Failed: 5}
	if s := Summarize([]*Report{more}, Query{}); !s.Wrong() {
		t.Errorf("%+v", s)
	}
}

// TestSummaryTLS: failures are put together by kind and host.
func TestSummaryTLS(t *testing.T) {
	report := func(org string, s ...Session) *Report {
		return &Report{Kind: TLS, Received: noon, Org: org, Sender: "tls@" + org, Sessions: s, Domain: "ours.example"}
	}
	expired := Session{Domain: "ours.example", Failure: "certificate-expired", Host: "mx.ours.example", Count: 2}
	fine := Session{Domain: "ours.example", Count: 50}
	other := Session{Domain: "ours.example", Failure: "starttls-not-supported", Host: "mx.ours.example", Count: 9}
	s := Summarize([]*Report{report("a.example", expired, fine), report("b.example", expired, other)}, Query{})
	if !s.Wrong() || len(s.TLS) != 2 || s.TLS[0].Kind != "starttls-not-supported" || s.TLS[1].Sessions != 4 || len(s.TLS[1].By) != 2 || s.Sessions != 63 {
		t.Errorf("%+v", s)
	}
	if s := Summarize([]*Report{report("a.example", fine)}, Query{}); s.Wrong() || s.Sessions != 50 {
		t.Errorf("%+v", s)
	}
}

// TestSummaryDomain: one domain, with what is below it, and nothing of others.
func TestSummaryDomain(t *testing.T) {
	all := []*Report{
		dmarcReport("1", Row{Source: ip("203.0.113.1"), Count: 1, From: "ours.example"}, Row{Source: ip("203.0.113.2"), Count: 1, From: "shop.ours.example"}),
		dmarcReport("2", Row{Source: ip("203.0.113.3"), Count: 1, From: "notours.example"}),
		{Kind: Unreadable},
	}
	all[1].Domain = "notours.example"
	s := Summarize(all, Query{Domain: "ours.example"})
	if s.Reports != 1 || len(s.Strangers) != 2 || len(s.Unreadable) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestBy: who wrote a report is told from whom it says.
func TestBy(t *testing.T) {
	for _, c := range [][3]string{{"google.com", "noreply@google.com", "google.com"}, {"google.com", "x@evil.example", "google.com (evil.example)"}, {"", "x@a.example", "a.example"}, {"Org", "", "Org"}, {"", "", "nobody knows who"}} {
		if got := (&Report{Org: c[0], Sender: c[1]}).By(); got != c[2] {
			t.Errorf("%q %q: %q", c[0], c[1], got)
		}
	}
}

// TestSummaryOverflows: who counts as much as can be counted, often, is not below everybody.
func TestSummaryOverflows(t *testing.T) {
	r := &Report{Kind: DMARC, Received: noon, Domain: "ours.example", Further: Further{Rows: 1, Count: most, Failed: most}}
	for range maxRows {
		r.Rows = append(r.Rows, Row{Source: netip.MustParseAddr("192.0.2.1"), Count: most, Disposition: "reject"}, Row{Source: netip.MustParseAddr("192.0.2.1"), Count: most, DKIM: "pass"})
		r.Sessions = append(r.Sessions, Session{Failure: "x", Count: most})
	}
	all := make([]*Report, 9)
	for i := range all {
		all[i] = r
	}
	s := Summarize(all, Query{})
	for what, n := range map[string]int64{"messages": s.Messages, "passed": s.Passed, "sessions": s.Sessions, "of a source": s.Strangers[0].Messages, "refused": s.Strangers[0].Refused, "failed": s.TLS[0].Sessions} {
		if n < most {
			t.Errorf("%s: %d", what, n)
		}
	}
	tls := &tlsRead{report: &Report{}}
	for range 9000 {
		tls.further = Further{Rows: 1, Count: most, Failed: most}
		tls.endPolicy()
	}
	if f := tls.report.Further; f.Count < most || f.Failed < most {
		t.Errorf("%+v", f)
	}
}

// TestSome: a list of examples holds each once, and five.
func TestSome(t *testing.T) {
	var list []string
	for _, s := range []string{"a", "", "b", "a", "c", "d", "b", "e", "e", "f"} {
		list = some(list, s)
	}
	if got := strings.Join(list, ""); got != "abcde" {
		t.Error(got)
	}
}
