package web

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/scan"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// namespace begins the name of each metric of ours.
const namespace = "postrider"

// Metrics count what the values say that sessions, messages and attempts end with, and show
// it with what is so at the moment of a scrape. No label has a name of a user, a sender or a host
// of others, and how many series there are does not depend on who sends what. Its methods may be called
// concurrently, and by who cannot wait.
type Metrics struct {
	handler http.Handler

	connections, refusals, messages, copies *table
	size, took                              prometheus.Histogram
	auth                                    *table
	sessions                                *table // of POP3
	retrieved, deleted, sent                prometheus.Counter
	attempts, bounces                       *table
	limited, met                            *table
	delivery                                prometheus.Histogram
	verified                                [4]*table
	received, reported, lists, scanned      *table
	milters                                 *table
	decided                                 *table // of rules
	scan, milter                            prometheus.Histogram
	lines                                   *table
	panics                                  prometheus.Counter
	reloaded, reloadedAt                    prometheus.Gauge
}

// NewMetrics makes them. now is asked for what is so at each scrape.
func NewMetrics(now func() Moment) *Metrics {
	reg := prometheus.NewRegistry()
	service := label{"service", []string{"smtp", "submission", "lmtp"}}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
		reg.MustRegister(g)
		return g
	}
	histogram := func(name, help string, buckets ...float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
		reg.MustRegister(h)
		return h
	}
	m := &Metrics{
		connections: newTable(reg, "smtp_connections_total", "Sessions of SMTP and LMTP that have ended, those turned away included.",
			service, label{"result", []string{"served", "refused"}}, label{"tls", []string{"none", "1.2", "1.3"}}),
		refusals: newTable(reg, "smtp_refusals_total", "Connections, senders, recipients and messages that were refused: for good (refused), for now (deferred), or for a fault of this host (failed).",
			service, label{"result", []string{"refused", "deferred", "failed"}}, label{"reason", reasons()}),
		messages: newTable(reg, "smtp_messages_total", "Messages that were sent to the end, by what they were answered.",
			service, label{"result", []string{"accepted", "refused", "deferred", "failed"}}),
		copies: newTable(reg, "smtp_copies_total", "Copies of accepted messages, into mailboxes here and for addresses of other hosts.",
			label{"way", []string{"mailbox", "queue"}}),
		took:     histogram("smtp_message_duration_seconds", "From the last octet of a message until it was on stable storage.", .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60),
		size:     histogram("smtp_message_octets", "Size of accepted messages.", 1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6, 16e6, 64e6, 100e6),
		auth:     newTable(reg, "auth_attempts_total", "Logins, by how they ended.", label{"protocol", []string{"smtp", "pop3", "web"}}, label{"mechanism", mechanisms()}, label{"result", []string{"ok", "failed"}}),
		sessions: newTable(reg, "pop3_sessions_total", "Sessions of POP3 that have ended.", label{"result", []string{"login", "none"}}, label{"tls", []string{"none", "1.2", "1.3"}}),

		retrieved: counter("pop3_messages_retrieved_total", "Messages that were fetched."),
		deleted:   counter("pop3_messages_deleted_total", "Messages that were removed by their users."),
		sent:      counter("pop3_octets_sent_total", "Octets of all that was sent by POP3."),

		attempts: newTable(reg, "queue_attempts_total", "Attempts to deliver to other hosts, one for each recipient.",
			label{"result", []string{"delivered", "deferred", "returned"}}, label{"code", []string{"none", "2xx", "4xx", "5xx"}},
			label{"tls", []string{"none", "opportunistic", "verified", "mta-sts", "dane"}}),
		limited:  newTable(reg, "limits_refusals_total", "Recipients that were refused, and mail of the server's own that had to wait, because of a limit.", label{"whose", post.Kinds[:]}),
		met:      newTable(reg, "limits_met_total", "How often somebody met a limit who had not met it before in that hour or day.", label{"whose", post.Kinds[:]}),
		bounces:  newTable(reg, "queue_bounces_total", "Notifications about mail that leaves.", label{"kind", []string{"bounce", "delay", "success"}}),
		delivery: histogram("queue_delivery_seconds", "From when a message was queued until another host took it.", 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4*3600, 12*3600, 86400, 2*86400, 5*86400),

		received:   newTable(reg, "reports_received_total", "Reports of other hosts that were read.", label{"kind", []string{"dmarc", "tls", "unreadable"}}, label{"result", []string{"new", "again"}}),
		scanned:    newTable(reg, "scans_total", "Messages of strangers, by what the scanner had to say.", label{"outcome", scan.Outcomes}),
		milters:    newTable(reg, "milter_scans_total", "Messages of strangers, by what a milter had to say; once for each milter.", label{"outcome", scan.Outcomes}),
		milter:     histogram("milter_seconds", "How long a milter had a message wait for its answers, in all; once for each milter.", .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60),
		scan:       histogram("scan_seconds", "From the first octet that the scanner was given until it was known what comes of the message.", .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60),
		decided:    newTable(reg, "rules_decisions_total", "What came of the rules of the settings, where one decided.", label{"action", actions()}),
		lists:      newTable(reg, "dnslist_answers_total", "What DNS lists have said about clients and senders, and how often nothing.", label{"result", []string{"listed", "clear", "error"}}),
		reported:   newTable(reg, "reports_sent_total", "Reports to other hosts that were queued.", label{"kind", []string{"dmarc", "tls"}}),
		panics:     counter("panics_total", "Faults of the program that cost a session or a request, and nothing else."),
		lines:      newTable(reg, "log_lines_total", "Lines of the log, those about strangers that were left out included.", label{"level", []string{"debug", "info", "warn", "error"}}),
		reloaded:   gauge("config_last_reload_successful", "Whether the settings could be used when they were read last."),
		reloadedAt: gauge("config_last_reload_success_timestamp_seconds", "When the settings in force were read."),
	}
	m.verified = newVerified(reg)
	reg.MustRegister(moments{now}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4, DisableCompression: true})
	return m
}

// ServeHTTP shows all metrics.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// SMTPDone counts the sessions of a service, for smtp.Server.Done.
func (m *Metrics) SMTPDone(service string) func(*smtp.Session, *smtp.Summary) {
	return func(s *smtp.Session, sum *smtp.Summary) {
		m.connections.add(1, service, "served", version(s.TLS))
		if sum.Mechanism != "" {
			m.auth.add(1, "smtp", sum.Mechanism, "ok")
		}
		for mechanism, n := range sum.FailedBy {
			m.auth.add(n, "smtp", mechanism, "failed")
		}
	}
}

// SMTPRefused counts a refusal, for smtp.Server.Refused.
func (m *Metrics) SMTPRefused(service string, f *smtp.Refusal) {
	result := "refused"
	switch {
	case f.Reply.Unwrap() != nil:
		result = "failed"
	case f.Reply.Temporary():
		result = "deferred"
	}
	switch f.Command {
	case "CONNECT":
		m.connections.add(1, service, "refused", "none")
	case "DATA", "BDAT":
		m.messages.add(1, service, result)
	}
	m.refusals.add(1, service, result, reason(f))
}

// Scanned counts what came of a scan, for scan.Scanner.Scanned.
func (m *Metrics) Scanned(outcome string, took time.Duration) {
	m.scanned.add(1, outcome)
	m.scan.Observe(took.Seconds())
}

// AskedMilter counts what a milter had to say of a message, for scan.Milters.Scanned.
func (m *Metrics) AskedMilter(outcome string, took time.Duration) {
	m.milters.add(1, outcome)
	m.milter.Observe(took.Seconds())
}

// Answered counts what a DNS list has said, for verify.Verifier.Answered.
func (m *Metrics) Answered(_, result string) { m.lists.add(1, result) }

// version is how labels call that of TLS.
func version(cs *tls.ConnectionState) string {
	switch {
	case cs == nil:
		return "none"
	case cs.Version == tls.VersionTLS12:
		return "1.2"
	case cs.Version == tls.VersionTLS13:
		return "1.3"
	}
	return other
}

// Accepted counts a message, for post.Post.Accepted.
func (m *Metrics) Accepted(a *post.Accepted) {
	m.messages.add(1, a.Service, "accepted")
	m.copies.add(a.Mailboxes, "mailbox")
	m.copies.add(a.Elsewhere, "queue")
	m.size.Observe(float64(a.Size))
	m.took.Observe(a.Took.Seconds())
}

// Limited counts a refusal because of a limit, for post.Post.Limited.
func (m *Metrics) Limited(l *post.Limited) {
	m.limited.add(1, l.Whose.String())
	if l.First {
		m.met.add(1, l.Whose.String())
	}
}

// POP3Done counts a session, for pop3.Server.Done.
func (m *Metrics) POP3Done(s *pop3.Session, sum *pop3.Summary) {
	result := "none"
	if sum.LoggedIn {
		result = "login"
		m.auth.add(1, "pop3", sum.Mechanism, "ok")
	}
	for mechanism, n := range sum.FailedBy {
		m.auth.add(n, "pop3", mechanism, "failed")
	}
	m.sessions.add(1, result, version(s.TLS))
	m.retrieved.Add(float64(sum.Retrieved))
	m.deleted.Add(float64(sum.Deleted))
	m.sent.Add(float64(sum.Sent))
}

// Attempted counts an attempt for one recipient, for queue.Queue.Attempted.
func (m *Metrics) Attempted(a *queue.Attempt) {
	if a.Result.Busy { // none was made
		return
	}
	result := "returned"
	switch a.Status {
	case queue.Delivered:
		result = "delivered"
		m.delivery.Observe(a.Delay.Seconds())
	case queue.Pending:
		result = "deferred"
	}
	code := "none"
	if c := a.Result.Code / 100; c == 2 || c == 4 || c == 5 {
		code = [...]string{2: "2xx", 4: "4xx", 5: "5xx"}[c]
	}
	m.attempts.add(1, result, code, protection(a.Result.TLS))
}

// protection is what a Result says of TLS, without the version.
func protection(tls string) string {
	_, how, _ := strings.Cut(tls, " ")
	switch how {
	case "":
		return "none"
	case "unverified":
		return "opportunistic"
	case "verified":
		return "verified"
	}
	return strings.TrimPrefix(how, "verified by ")
}

// Notified counts a notification, for queue.Queue.Notified.
func (m *Metrics) Notified(n *queue.Notification) { m.bounces.add(1, string(n.Kind)) }

// newVerified makes one counter of four tables, since each method has results of its own.
func newVerified(reg prometheus.Registerer) (all [4]*table) {
	for i, method := range [...]struct {
		name    string
		results []string
	}{
		{"spf", []string{"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}},
		{"dkim", []string{"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"}},
		{"dmarc", []string{"none", "pass", "fail", "temperror", "permerror"}},
		{"iprev", []string{"none", "pass", "fail", "temperror", "permerror"}},
	} {
		with := prometheus.WrapRegistererWith(prometheus.Labels{"method": method.name}, reg)
		all[i] = newTable(with, "sender_auth_results_total", "What was found about the mail of strangers.", label{"result", method.results})
	}
	return all
}

// Verified counts what was found about a message, for verify.Verifier.Observe.
func (m *Metrics) Verified(v *verify.Verdict) {
	m.verified[0].add(1, v.SPF.Result.String())
	for i := range v.DKIM {
		m.verified[1].add(1, string(v.DKIM[i].Status))
	}
	if len(v.DKIM) == 0 {
		m.verified[1].add(1, "none")
	}
	m.verified[2].add(1, v.DMARC.Result.String())
	m.verified[3].add(1, v.Client.Result)
}

// Reported counts a report that was read, for reports.Reader.Kept.
func (m *Metrics) Reported(r *reports.Report, fresh bool) {
	result := "again"
	if fresh {
		result = "new"
	}
	m.received.add(1, string(r.Kind), result)
}

// SentReport counts a report to another host.
func (m *Metrics) SentReport(kind reports.Kind) { m.reported.add(1, string(kind)) }

// PageLogin counts a login to the pages.
func (m *Metrics) PageLogin(err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.auth.add(1, "web", form, result)
}

// form is the mechanism of the pages.
const form = "form"

// mechanisms are what logins can be by: USER and APOP are commands of POP3.
func mechanisms() []string {
	names := []string{"USER", "APOP", form}
	for _, m := range sasl.Mechanisms() {
		names = append(names, m.Name)
	}
	return names
}

// actions are what rules can decide.
func actions() (names []string) {
	for a := rules.Accept; a <= rules.Discard; a++ {
		names = append(names, a.String())
	}
	return names
}

// Decided counts what came of the rules, for filter.Filter.Decided.
func (m *Metrics) Decided(action string) { m.decided.add(1, action) }

// Reloaded notes that the settings were read, with this success.
func (m *Metrics) Reloaded(err error) {
	if err != nil {
		m.reloaded.Set(0)
		return
	}
	m.reloaded.Set(1)
	m.reloadedAt.SetToCurrentTime()
}

// Lines counts the lines that go to next, and the panics that they tell of.
func (m *Metrics) Lines(next slog.Handler) slog.Handler { return counted{next, m} }

// counted is a log whose lines are counted.
type counted struct {
	slog.Handler
	m *Metrics
}

// Handle implements slog.Handler.
func (c counted) Handle(ctx context.Context, r slog.Record) error {
	level := "debug"
	switch {
	case r.Level >= slog.LevelError:
		level = "error"
		r.Attrs(func(a slog.Attr) bool {
			_, is := a.Value.Any().(lineserver.Panic)
			if is {
				c.m.panics.Inc()
			}
			return !is
		})
	case r.Level >= slog.LevelWarn:
		level = "warn"
	case r.Level >= slog.LevelInfo:
		level = "info"
	}
	c.m.lines.add(1, level)
	return c.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (c counted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return counted{c.Handler.WithAttrs(attrs), c.m}
}

// WithGroup implements slog.Handler.
func (c counted) WithGroup(name string) slog.Handler {
	return counted{c.Handler.WithGroup(name), c.m}
}
