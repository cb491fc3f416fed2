package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/dmarc"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/resolver"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// testMoment is one in which everything there can be is there.
func testMoment() Moment {
	m := Moment{
		Version: "1.0", Connections: 3, MaxConnections: 100, Healthy: true, Lockouts: 2,
		Elsewhere: []Place{{Name: "LDAP ldap://ldap.test", Away: true, Asked: 9, Failed: 4}},
		Queue: &queue.Counters{Entries: 10, Active: 2, Held: 1, Corrupt: 4, Octets: 5000, Oldest: time.Now().Add(-time.Hour), Destinations: 3, Down: 1, Accepted: 77,
			Classes: map[queue.Class]queue.ClassCounters{queue.Ordinary: {}, queue.Stranger: {Starving: true}, queue.Notice: {}}},
		Rooms: []Room{{"mail_dir", 1 << 30, 1000, false}, {"queue_dir", 1 << 20, 10, true}},
		Keys:  map[string]int{"signing": 2, "announced": 1}, KeysInTrouble: 1,
		Throttled: 5, LeftOut: 6, Signed: 7, Unsigned: 8, Store: durable.Stats{Commits: 9, Failed: 1, Took: 3 * time.Second, Waits: 4}, StoreFailed: true,
		AuthorityTroubles: 11, Full: 12, Listed: 13,
		DNS:     resolver.Stats{Lookups: 20, Answered: map[string]resolver.Answers{"MX": {Found: 3, None: 2, Failed: 1}, "other": {}}, Took: 2 * time.Second},
		Records: map[string]int{"MX": 1, "a certificate": 2}, Looked: time.Unix(1000, 0),
	}
	m.DNS.Spans[0], m.DNS.Spans[len(resolver.Bounds)] = 4, 2
	m.Store.Syncs[0], m.Store.Syncs[2], m.Store.Syncs[len(durable.SyncBounds)] = 1, 1, 1
	for i := range 300 {
		m.Certificates = append(m.Certificates, Certificate{Name: fmt.Sprintf("mta-sts.d%03d.example", i), NotAfter: time.Unix(int64(2000000000-i), 0)})
	}
	return m
}

// scrape is all metrics, by series.
func scrape(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for line := range strings.Lines(text(m)) {
		if series, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok {
			all[series+"}"] = value
		} else if series, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			all[series] = value
		}
	}
	return all
}

func text(m *Metrics) string {
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	return rec.Body.String()
}

// events are one of each that is counted, and the series that it moves.
func events(m *Metrics) []struct {
	name string
	do   func()
	want []string
} {
	done, session := m.SMTPDone("submission"), &smtp.Session{}
	session.TLS = &tls.ConnectionState{Version: tls.VersionTLS13}
	sum := &smtp.Summary{Session: session, Mechanism: "PLAIN", FailedLogins: 2, FailedBy: map[string]int{"CRAM-MD5": 2, "a name of somebody": 1}}
	rcpt := &smtp.Refusal{Session: session, Command: "RCPT", Reply: smtp.ErrNoSuchUser.Reply()}
	data := &smtp.Refusal{Session: session, Command: "DATA", Reply: smtp.ErrTryLater.With(io.ErrUnexpectedEOF)}
	connect := &smtp.Refusal{Session: session, Command: "CONNECT", Reply: smtp.ErrUnavailable.Reply()}
	accepted := &post.Accepted{Service: "smtp", Size: 2000, Mailboxes: 2, Elsewhere: 1, Took: 3 * time.Millisecond}
	drop := &pop3.Session{}
	fetched := &pop3.Summary{Session: drop, LoggedIn: true, Retrieved: 3, Deleted: 2, Sent: 100, Mechanism: "USER", FailedLogins: 1, FailedBy: map[string]int{"APOP": 1}}
	attempt := &queue.Attempt{Status: queue.Delivered, Result: queue.Result{Code: 250, TLS: "TLS1.3 verified by dane"}, Delay: 4 * time.Second}
	returned := &queue.Attempt{Status: queue.Expired, Result: queue.Result{TLS: "TLS1.2 unverified", Code: 451}}
	busy := &queue.Attempt{Status: queue.Pending, Result: queue.Result{Busy: true}}
	verdict := &verify.Verdict{DKIM: []dkim.Result{{Status: dkim.Pass}, {Status: dkim.PermError}}}
	verdict.SPF.Result, verdict.DMARC.Result, verdict.Client.Result = spf.SoftFail, dmarc.Fail, "nonsense"
	report := &reports.Report{Kind: reports.DMARC}
	log := m.Lines(slog.DiscardHandler)
	line := slog.NewRecord(time.Now(), slog.LevelWarn, "x", 0)
	panicked := slog.NewRecord(time.Now(), slog.LevelError, "y", 0)
	panicked.Add("session", "s", "panic", lineserver.Panic{Value: "x"}, "stack", "z")
	return []struct {
		name string
		do   func()
		want []string
	}{
		{"session", func() { done(session, sum) }, []string{`postrider_smtp_connections_total{result="served",service="submission",tls="1.3"} 1`,
			`postrider_auth_attempts_total{mechanism="PLAIN",protocol="smtp",result="ok"} 1`, `postrider_auth_attempts_total{mechanism="CRAM-MD5",protocol="smtp",result="failed"} 2`,
			`postrider_auth_attempts_total{mechanism="other",protocol="smtp",result="failed"} 1`}},
		{"refused recipient", func() { m.SMTPRefused("smtp", rcpt) }, []string{`postrider_smtp_refusals_total{reason="no_user",result="refused",service="smtp"} 1`}},
		{"failed message", func() { m.SMTPRefused("lmtp", data) }, []string{`postrider_smtp_refusals_total{reason="local",result="failed",service="lmtp"} 1`,
			`postrider_smtp_messages_total{result="failed",service="lmtp"} 1`}},
		{"turned away", func() { m.SMTPRefused("smtp", connect) }, []string{`postrider_smtp_refusals_total{reason="connections",result="deferred",service="smtp"} 1`,
			`postrider_smtp_connections_total{result="refused",service="smtp",tls="none"} 1`}},
		{"message", func() { m.Accepted(accepted) }, []string{`postrider_smtp_messages_total{result="accepted",service="smtp"} 1`, `postrider_smtp_copies_total{way="mailbox"} 2`,
			`postrider_smtp_copies_total{way="queue"} 1`, `postrider_smtp_message_duration_seconds_bucket{le="0.005"} 1`, `postrider_smtp_message_octets_sum 2000`}},
		{"fetched", func() { m.POP3Done(drop, fetched) }, []string{`postrider_pop3_sessions_total{result="login",tls="none"} 1`, `postrider_pop3_messages_retrieved_total 3`,
			`postrider_pop3_messages_deleted_total 2`, `postrider_pop3_octets_sent_total 100`, `postrider_auth_attempts_total{mechanism="USER",protocol="pop3",result="ok"} 1`,
			`postrider_auth_attempts_total{mechanism="APOP",protocol="pop3",result="failed"} 1`}},
		{"delivered", func() { m.Attempted(attempt) }, []string{`postrider_queue_attempts_total{code="2xx",result="delivered",tls="dane"} 1`, `postrider_queue_delivery_seconds_sum 4`}},
		{"expired", func() { m.Attempted(returned) }, []string{`postrider_queue_attempts_total{code="4xx",result="returned",tls="opportunistic"} 1`}},
		{"busy", func() { m.Attempted(busy) }, []string{`postrider_queue_attempts_total{code="none",result="deferred",tls="none"} 0`}},
		{"told", func() { m.Notified(&queue.Notification{Kind: queue.Bounce}) }, []string{`postrider_queue_bounces_total{kind="bounce"} 1`}},
		{"verified", func() { m.Verified(verdict) }, []string{`postrider_sender_auth_results_total{method="spf",result="softfail"} 1`,
			`postrider_sender_auth_results_total{method="dkim",result="pass"} 1`, `postrider_sender_auth_results_total{method="dkim",result="permerror"} 1`,
			`postrider_sender_auth_results_total{method="dmarc",result="fail"} 1`, `postrider_sender_auth_results_total{method="iprev",result="other"} 1`}},
		{"unsigned", func() { m.Verified(&verify.Verdict{}) }, []string{`postrider_sender_auth_results_total{method="dkim",result="none"} 1`}},
		{"reported", func() { m.Reported(report, true) }, []string{`postrider_reports_received_total{kind="dmarc",result="new"} 1`}},
		{"line", func() { log.Handle(context.Background(), line) }, []string{`postrider_log_lines_total{level="warn"} 1`}},
		{"panic", func() { log.Handle(context.Background(), panicked) }, []string{`postrider_panics_total 1`, `postrider_log_lines_total{level="error"} 1`}},
		{"report sent", func() { m.SentReport(reports.TLS) }, []string{`postrider_reports_sent_total{kind="tls"} 1`}},
		{"page login", func() { m.PageLogin(io.EOF) }, []string{`postrider_auth_attempts_total{mechanism="form",protocol="web",result="failed"} 1`}},
		{"scanned", func() { m.Scanned("refused", 3*time.Second) }, []string{`postrider_scans_total{outcome="refused"} 1`, `postrider_scan_seconds_sum 3`}},
		{"milter", func() { m.AskedMilter("discarded", 2*time.Second) }, []string{`postrider_milter_scans_total{outcome="discarded"} 1`, `postrider_milter_seconds_sum 2`}},
		{"a rule", func() { m.Decided("reject") }, []string{`postrider_rules_decisions_total{action="reject"} 1`}},
		{"the first and the last of them", func() { m.Decided("accept"); m.Decided("discard") }, []string{`postrider_rules_decisions_total{action="accept"} 1`, `postrider_rules_decisions_total{action="discard"} 1`,
			`postrider_rules_decisions_total{action="other"} 0`}},
		{"reload failed", func() { m.Reloaded(io.EOF) }, []string{`postrider_config_last_reload_successful 0`}},
	}
}

// TestCount: each event moves its series, which were there with zero before.
func TestCount(t *testing.T) {
	m := NewMetrics(testMoment)
	for _, e := range events(m) {
		t.Run(e.name, func(t *testing.T) {
			before := scrape(t, m)
			e.do()
			after := scrape(t, m)
			for _, want := range e.want {
				i := strings.LastIndexByte(want, ' ')
				series := want[:i]
				if _, ok := before[series]; !ok {
					t.Errorf("%s was not there", series)
				}
				if got := after[series]; got != want[i+1:] {
					t.Errorf("%s is %s", want, got)
				}
			}
		})
	}
}

// TestNoAllocation: to count costs none.
func TestNoAllocation(t *testing.T) {
	m := NewMetrics(testMoment)
	for _, e := range events(m) {
		if e.name == "told" || e.name == "panic" {
			continue // makes its own value; is no path of every day
		}
		if n := testing.AllocsPerRun(100, e.do); n > 0 {
			t.Errorf("%s: %v allocations", e.name, n)
		}
	}
}

// TestSeries: there are no more than so many, whoever sends what, and none of them is no number.
func TestSeries(t *testing.T) {
	m := NewMetrics(testMoment)
	before := scrape(t, m)
	if len(before) > 1500 { // 400 of them about certificates; 2,000 is what there may be with all that is to come
		t.Errorf("%d series", len(before))
	}
	for i := range 10000 {
		name := fmt.Sprintf("d%d.example", i)
		s := &smtp.Session{}
		s.User, s.Helo = "user@"+name, name
		m.SMTPDone(name)(s, &smtp.Summary{Session: s, Mechanism: name})
		m.SMTPRefused(name, &smtp.Refusal{Session: s, Command: name, From: name, Reply: &smtp.Reply{Code: 550, Enhanced: fmt.Sprintf("5.%d.%d", i%1000, i), Text: name}})
		m.Accepted(&post.Accepted{Service: name, MessageID: name})
		m.Attempted(&queue.Attempt{Destination: name, Status: queue.Status(name), Result: queue.Result{Code: i, TLS: "TLS1.3 " + name}})
		m.Notified(&queue.Notification{Kind: queue.Kind(name)})
		v := &verify.Verdict{From: name, DKIM: []dkim.Result{{Status: dkim.Status(name)}}}
		v.Client.Result = name
		m.Verified(v)
		m.Reported(&reports.Report{Kind: reports.Kind(name)}, false)
	}
	after := scrape(t, m)
	if len(after) != len(before) {
		t.Errorf("%d series have become %d", len(before), len(after))
	}
	for series, value := range after {
		if value == "NaN" || strings.Contains(series, "d77.example\"") || strings.Contains(series, "user@") {
			t.Errorf("%s %s", series, value)
		}
	}
	t.Log(len(after), "series")
}

// TestMoment: what is so is shown as it is.
func TestMoment(t *testing.T) {
	all := scrape(t, NewMetrics(testMoment))
	for series, want := range map[string]string{
		`postrider_queue_messages{state="waiting"}`: "7", `postrider_queue_messages{state="held"}`: "1", `postrider_queue_messages{state="active"}`: "2",
		`postrider_queue_messages{state="corrupt"}`: "4", `postrider_queue_accepted_total`: "77", `postrider_queue_starving{class="stranger"}`: "1",
		`postrider_store_short{directory="queue_dir"}`: "1", `postrider_healthy`: "1", `postrider_connections_limit`: "100", `postrider_dkim_keys{phase="signing"}`: "2",
		`postrider_dkim_keys{phase="retired"}`:                             "0",
		`postrider_accounts_elsewhere_away{place="LDAP ldap://ldap.test"}`: "1", `postrider_accounts_elsewhere_questions_total{place="LDAP ldap://ldap.test"}`: "9",
		`postrider_accounts_elsewhere_failed_total{place="LDAP ldap://ldap.test"}`: "4",
		`postrider_auth_throttled_total`:                                           "5", `postrider_log_lines_dropped_total`: "6", `postrider_dkim_signatures_total{result="signed"}`: "7",
		`postrider_dkim_signatures_total{result="unsigned"}`: "8", `postrider_store_commits_total`: "9", `postrider_store_commits_failed_total`: "1",
		`postrider_store_failed`: "1", `postrider_store_sync_waits_total`: "4", `postrider_store_sync_seconds_sum`: "3", `postrider_store_sync_seconds_count`: "3",
		`postrider_store_sync_seconds_bucket{le="0.0001"}`: "1", `postrider_store_sync_seconds_bucket{le="0.001"}`: "2", `postrider_store_sync_seconds_bucket{le="10"}`: "2",
		`postrider_store_sync_seconds_bucket{le="+Inf"}`: "3",
		`postrider_dns_check_ok{record="MX"}`:            "0", `postrider_dns_check_ok{record="TXT"}`: "1", `postrider_dns_check_ok{record="other"}`: "0",
		`postrider_dnslist_own_entries`:                         "13",
		`postrider_dns_check_timestamp_seconds`:                 "1000",
		`postrider_dns_answers_total{kind="MX",result="found"}`: "3", `postrider_dns_answers_total{kind="MX",result="none"}`: "2", `postrider_dns_answers_total{kind="MX",result="failed"}`: "1",
		`postrider_dns_lookup_seconds_bucket{le="0.001"}`: "4", `postrider_dns_lookup_seconds_bucket{le="30"}`: "4", `postrider_dns_lookup_seconds_count`: "6", `postrider_dns_lookup_seconds_sum`: "2",
		`postrider_acme_failures_total`: "11", `postrider_store_full_mailboxes`: "12",
		// Of too many, those that end first.
		`postrider_tls_certificate_expiry_timestamp_seconds{name="mta-sts.d299.example"}`: "1.999999701e+09",
		`postrider_tls_certificate_expiry_timestamp_seconds{name="mta-sts.d000.example"}`: "",
	} {
		if all[series] != want {
			t.Errorf("%s is %q, not %q", series, all[series], want)
		}
	}
}

// TestRecords: a fault is that of its type and of no other.
func TestRecords(t *testing.T) {
	all := scrape(t, NewMetrics(func() Moment { return Moment{Records: map[string]int{"MX": 1}} }))
	for series, want := range map[string]string{"MX": "0", "TXT": "1", "other": "1"} {
		if got := all[`postrider_dns_check_ok{record="`+series+`"}`]; got != want {
			t.Errorf("%s: %s", series, got)
		}
	}
}

// TestEmptyQueue: where nothing waits, nothing is old, and there is no message less than none.
func TestEmptyQueue(t *testing.T) {
	for name, c := range map[string]struct {
		q       queue.Counters
		waiting string
		old     bool
	}{
		"empty":           {queue.Counters{}, "0", false},
		"all under way":   {queue.Counters{Entries: 2, Active: 2, Oldest: time.Now().Add(-time.Hour)}, "0", true},
		"counted between": {queue.Counters{Entries: 1, Active: 2}, "0", false},
		"one waits":       {queue.Counters{Entries: 3, Active: 1, Held: 1, Oldest: time.Now().Add(-time.Hour)}, "1", true},
		"a clock set":     {queue.Counters{Entries: 1, Oldest: time.Now().Add(time.Hour)}, "1", false},
	} {
		all := scrape(t, NewMetrics(func() Moment { return Moment{Queue: &c.q} }))
		age, err := strconv.ParseFloat(all["postrider_queue_oldest_seconds"], 64)
		if got := all[`postrider_queue_messages{state="waiting"}`]; got != c.waiting || err != nil || c.old != (age > 3000 && age < 4000) || !c.old && age != 0 {
			t.Errorf("%s: %s wait, the oldest for %v (%v)", name, got, age, err)
		}
	}
}

// TestReasons: the replies that there are have the reasons that the metrics are to tell apart.
func TestReasons(t *testing.T) {
	for _, tt := range []struct {
		command string
		reply   *smtp.Reply
		want    string
	}{
		{"RCPT", smtp.ErrNoSuchUser.Reply(), "no_user"}, {"RCPT", smtp.ErrMailboxFull.Reply(), "quota"}, {"RCPT", smtp.ErrNoSpace.Reply(), "space"},
		{"RCPT", smtp.ErrRelayDenied.Reply(), "relay"}, {"MAIL", smtp.ErrSenderNotOwned.Reply(), "policy"}, {"DATA", smtp.ErrTooBig.Reply(), "size"},
		{"DATA", smtp.ErrLoop.Reply(), "loop"}, {"MAIL", smtp.ErrAuthRequired.Reply(), "auth"}, {"MAIL", smtp.ErrTooManyMessages.Reply(), "limit"},
		{"RCPT", smtp.ErrTooManyRecipients.Reply(), "limit"}, {"DATA", smtp.ErrBareLineEnd.Reply(), "content"}, {"DATA", smtp.ErrTryLater.Reply(), "local"},
		{"MAIL", smtp.ErrUnavailable.Reply(), "stopping"}, {"MAIL", smtp.ErrBadSender.Reply(), "sender"}, {"RCPT", smtp.ErrMailboxDisabled.Reply(), "disabled"},
		{"DATA", &smtp.Reply{Code: 550, Enhanced: "5.7.26"}, "dmarc"}, {"AUTH", smtp.ErrAuthFailed.Reply(), "auth"}, {"MAIL", &smtp.Reply{Code: 501, Enhanced: "5.5.4"}, "protocol"},
		{"DATA", &smtp.Reply{Code: 550, Enhanced: "5.9.9"}, ""}, {"DATA", &smtp.Reply{Code: 550}, other}, {"CONNECT", smtp.ErrUnavailable.Reply(), "connections"},
		{"RCPT", (&smtp.Reply{Code: 554, Enhanced: "5.7.1"}).Noting(slog.String("list", "bl.test")), "list"}, {"RCPT", (&smtp.Reply{Code: 550, Enhanced: "5.7.1"}).Noting(slog.String("hello", "own")), "hello"},
		{"DATA", (&smtp.Reply{Code: 450, Enhanced: "4.7.1"}).Noting(slog.String("greylist", "a.test")), "greylist"},
	} {
		got := reason(&smtp.Refusal{Command: tt.command, Reply: tt.reply})
		if got != tt.want {
			t.Errorf("%s %v: %s, not %s", tt.command, tt.reply, got, tt.want)
		}
		if got != "" && got != other && !slices.Contains(reasons(), got) {
			t.Errorf("%s is no reason", got)
		}
	}
}

// tool finds a program of the system; where all of them must be there, its absence is a fault.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
	return path
}

// TestPromtool: Prometheus has nothing to say against names, units and help.
func TestPromtool(t *testing.T) {
	promtool := tool(t, "promtool")
	m := NewMetrics(testMoment)
	for _, e := range events(m) {
		e.do()
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(text(m))
	if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// BenchmarkCount is what a session with one message costs.
func BenchmarkCount(b *testing.B) {
	m := NewMetrics(testMoment)
	s := &smtp.Session{}
	done, sum := m.SMTPDone("smtp"), &smtp.Summary{Session: s}
	a := &post.Accepted{Service: "smtp", Size: 20000, Mailboxes: 1, Took: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		m.Accepted(a)
		done(s, sum)
	}
}

// BenchmarkScrape is what a look at all costs.
func BenchmarkScrape(b *testing.B) {
	m := NewMetrics(testMoment)
	b.ReportAllocs()
	for b.Loop() {
		text(m)
	}
}

// TestScrapeFails: a fault of ours while the metrics are put together fails the scrape and not
// the server, and what a certificate calls itself does neither.
func TestScrapeFails(t *testing.T) {
	scrape := func(now func() Moment) (int, string) {
		w := httptest.NewRecorder()
		NewMetrics(now).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Code, w.Body.String()
	}
	odd := Moment{Certificates: []Certificate{{Name: "b\xff\xfecher.test"}}}
	if code, text := scrape(func() Moment { return odd }); code != http.StatusOK || !strings.Contains(text, `name="b?cher.test"`) {
		t.Errorf("%d %.300s", code, text)
	}
	if code, text := scrape(func() Moment { panic("a fault of ours") }); code != http.StatusInternalServerError {
		t.Errorf("%d %.300s", code, text)
	}
}
