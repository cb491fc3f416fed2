package daemon

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
)

// startSending runs a daemon that relays for this host, with settings of its
// queue.
func startSending(t *testing.T, settings string) *testWorld {
	t.Helper()
	return start(t, fmt.Sprintf(`"SMTP": {"relay_from": ["127.0.0.1/32"]}, "Queue": {"retry_first": "1s", "retry_max": "1s", %s},`, settings))
}

// route is a route to a sink.
func route(domain string, port int, more string) string {
	return fmt.Sprintf(`{"domain": %q, "host": "127.0.0.1", "port": %d%s}`, domain, port, more)
}

// waiting is the one entry of the queue, once it has been tried.
func (w *testWorld) waiting() queue.View {
	w.t.Helper()
	var all []queue.View
	if !within(forEver, func() (tried bool) {
		var err error
		if all, err = w.post.Outbound.Queue().List(context.Background(), queue.Filter{}); err != nil {
			w.t.Fatal(err)
		}
		return len(all) == 1 && all[0].Recipients[0].Text != ""
	}) {
		w.t.Fatalf("nothing waits\n%s", w.logs)
	}
	return all[0]
}

// explained is what explain says about the one entry of the queue.
func (w *testWorld) explained() string {
	w.t.Helper()
	e, err := w.post.Outbound.Queue().Explain(context.Background(), w.waiting().ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(e.Why, "\n")
}

// bounced is the report that comes to bob.
func (w *testWorld) bounced() string {
	w.t.Helper()
	return flat(w.waitFor("bob@mail.test", 1)[0])
}

// serverPair is a certificate for 127.0.0.1 and the file a client needs to
// believe in it.
func serverPair(t *testing.T) (config *tls.Config, caFile string) {
	t.Helper()
	cert, key, err := certs.SelfSigned("127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, cert, 0o644); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, caFile
}

// TestRouteWithLogin: a provider that wants TLS and a login, and gets them, or
// gets no message.
func TestRouteWithLogin(t *testing.T) {
	t.Parallel()
	config, ca := serverPair(t)
	var users atomic.Pointer[string]
	provider := func(mode smtp.TLSMode) int {
		addr, _ := sinkServer(t, func(s *smtp.Server) {
			s.TLSConfig, s.TLSMode, s.RequireAuth = config, mode, true
			s.Credentials = sasl.PasswordFunc(func(user, password, _ string) error {
				users.Store(&user)
				if password != "hunter2" {
					return sasl.ErrDenied
				}
				return nil
			})
		})
		return addr.Port
	}
	starttls, implicit := provider(smtp.StartTLS), provider(smtp.ImplicitTLS)
	login := `, "user": "me@provider.test", "password": "hunter2"`
	for _, c := range []struct {
		name  string
		route string
		ca    string
		want  string // in what explain says; "" is delivered
	}{
		{"STARTTLS", route("far.test", starttls, login), ca, ""},
		{"mechanism", route("far.test", starttls, login+`, "mechanisms": ["LOGIN"]`), ca, ""},
		{"implicit", route("far.test", implicit, login+`, "tls": "implicit"`), ca, ""},
		{"encrypted only", route("far.test", starttls, login+`, "tls": "encrypt"`), "", ""},
		{"for all", route("*", starttls, login), ca, ""},
		{"most particular", route("*", 1, "") + "," + route("far.test", starttls, login), ca, ""},
		{"unknown authority", route("far.test", starttls, login), "", "certificate"},
		{"wrong password", route("far.test", starttls, `, "user": "me", "password": "wrong"`), ca, "authentication"},
		{"no user", route("far.test", starttls, `, "tls": "encrypt"`), "", "has no user"},
		{"no mechanism", route("far.test", starttls, login+`, "mechanisms": ["SCRAM-SHA-1"]`), ca, "authentication"},
	} {
		t.Run(c.name, func(t *testing.T) {
			users.Store(nil)
			w := startSending(t, fmt.Sprintf(`"Routes": [%s], "ca_file": %q`, c.route, c.ca))
			w.greeted().send("<>", []string{"<friend@far.test>"}, "Subject: s\r\n\r\nx")
			if c.want == "" {
				w.drained()
				if u := users.Load(); u == nil || *u != "me@provider.test" || w.post.Outbound.Queue().Counters().Delivered != 1 {
					t.Errorf("not delivered, or without login\n%s", w.logs)
				}
				return
			}
			if why := w.explained(); !strings.Contains(why, c.want) {
				t.Errorf("explained by %q, want %q", why, c.want)
			}
		})
	}
}

// TestRouteFallback: the second host is asked when the first cannot be reached.
func TestRouteFallback(t *testing.T) {
	sink, got := sinkServer(t)
	w := startSending(t, fmt.Sprintf(`"Routes": [{"domain": ".far.test", "host": ["127.0.0.99", "127.0.0.1"], "port": %d}]`, sink.Port))
	w.greeted().send("<bob@mail.test>", []string{"<Friend@deep.far.test>"}, "Subject: s\r\n\r\nx")
	if m := receive(t, got); !strings.HasPrefix(m, "<bob@mail.test> <Friend@deep.far.test>\n") {
		t.Errorf("got %q", m)
	}
}

// TestRetryWarnDeliver: a host that puts mail off is asked again, the sender is
// told of the delay once, and the message arrives.
func TestRetryWarnDeliver(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int32
	sink, got := sinkServer(t, func(s *smtp.Server) {
		s.CheckRcpt = func(context.Context, *smtp.Session, *smtp.Recipient) error {
			if attempts.Add(1) <= 3 {
				return &smtp.Reply{Code: 451, Enhanced: "4.7.1", Text: "greylisted"}
			}
			return nil
		}
	})
	w := startSending(t, `"Routes": [`+route("far.test", sink.Port, "")+`], "delay_warning_after": "1s"`)
	w.greeted().send("<bob@mail.test>", []string{"<friend@far.test>"}, "Subject: s\r\n\r\nx")
	if why := w.explained(); !strings.Contains(why, "451 4.7.1 greylisted") {
		t.Errorf("explained by %q", why)
	}
	receive(t, got)
	w.drained()
	here := w.mailbox("bob@mail.test")
	if len(here) != 1 || !strings.Contains(here[0], "Action: delayed\r\n") || !strings.Contains(here[0], "greylisted") {
		t.Errorf("the sender was told %q", here)
	}
}

// TestHostComesBack: mail for a host that cannot be reached waits, and says so;
// an operator who knows that it is back need not wait.
func TestHostComesBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := startSending(t, `"Routes": [`+route("far.test", l.Addr().(*net.TCPAddr).Port, "")+`]`)
	l.Close()
	w.greeted().send("<bob@mail.test>", []string{"<friend@far.test>"}, "Subject: s\r\n\r\nx")
	if why := w.explained(); !strings.Contains(why, "connection refused") {
		t.Errorf("explained by %q", why)
	}
	sink, got := sinkServer(t)
	settings := *w.state().settings
	settings.Queue.Routes[0].Port = sink.Port
	sending, err := w.newSending(&settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.post.Outbound.Reconfigure(sending) // as a reload does
	if err := w.post.Outbound.Queue().Retry(context.Background(), w.waiting().ID); err != nil {
		t.Fatal(err)
	}
	receive(t, got)
}

// TestUndeliverableReport: mail from the null sender that is refused goes to
// the postmaster, and to nobody else.
func TestUndeliverableReport(t *testing.T) {
	sink, _ := sinkServer(t)
	w := startSending(t, `"Routes": [`+route("far.test", sink.Port, "")+`]`)
	w.greeted().send("<>", []string{"<no-such@far.test>"}, "Subject: lost report\r\n\r\nx")
	here := flat(w.waitFor("alice@mail.test", 1)[0]) // the first account
	if !strings.Contains(here, "no-such@far.test") || !strings.Contains(here, "lost report") {
		t.Errorf("the postmaster got %q", here)
	}
	w.drained()
	if n := w.post.Outbound.Queue().Counters().Notices["undeliverable"]; n != 1 {
		t.Errorf("%d counted", n)
	}
}

// TestPostmasterElsewhere: the postmaster gets it also where an alias leads him to another
// host; should that host not take it either, that is the end of it.
func TestPostmasterElsewhere(t *testing.T) {
	for _, postmaster := range []string{"boss@far.test", "no-such@far.test"} {
		sink, got := sinkServer(t)
		w := startSending(t, `"forward": true, "Routes": [`+route("far.test", sink.Port, "")+`]}, "Aliases": {"postmaster@mail.test": "`+postmaster+`"`)
		w.greeted().send("<>", []string{"<no-such@far.test>"}, "Subject: lost report\r\n\r\nx")
		if postmaster == "boss@far.test" {
			if said := receive(t, got); !strings.HasPrefix(said, "<> <boss@far.test>\n") || !strings.Contains(said, "no-such@far.test") || !strings.Contains(said, "lost report") {
				t.Errorf("the postmaster got %q", said)
			}
		}
		w.drained()
		if c := w.post.Outbound.Queue().Counters(); c.Notices["undeliverable"] != 1 || len(got) != 0 {
			t.Errorf("%s: %d undeliverable, %d more arrived", postmaster, c.Notices["undeliverable"], len(got))
		}
	}
}

// TestBounceToNobody: a bounce whose recipient is nobody here is the
// postmaster's.
func TestBounceToNobody(t *testing.T) {
	sink, _ := sinkServer(t)
	w := startSending(t, `"Routes": [`+route("far.test", sink.Port, "")+`]`)
	w.greeted().send("<was@mail.test>", []string{"<no-such@far.test>"}, "Subject: lost\r\n\r\nx")
	if here := flat(w.waitFor("alice@mail.test", 1)[0]); !strings.Contains(here, "To: was@mail.test") {
		t.Errorf("the postmaster got %q", here)
	}
	w.drained()
}

// nameServer answers for loop.test and null.test.
func nameServer(t *testing.T) string {
	t.Helper()
	return dnsServer(t, map[string]string{
		"loop.test. MX":    "loop.test. 60 IN MX 10 mx.loop.test.",
		"mx.loop.test. A":  "mx.loop.test. 60 IN A 127.0.0.77",
		"named.test. MX":   "named.test. 60 IN MX 10 other.mail.test.",
		"other.mail.test.": "",
		"null.test. MX":    "null.test. 60 IN MX 0 .",
	})
}

// dnsServer is a DNS server with records by name and type.
func dnsServer(t *testing.T, records map[string]string) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(ready) },
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			if text := records[strings.ToLower(q.Question[0].Name)+" "+dns.TypeToString[q.Question[0].Qtype]]; text != "" {
				rr, err := dns.NewRR(text)
				if err == nil {
					m.Answer = append(m.Answer, rr)
				}
			}
			w.WriteMsg(m)
		})}
	go s.ActivateAndServe()
	<-ready
	t.Cleanup(func() { s.Shutdown() })
	return pc.LocalAddr().String()
}

// TestGivenUpAtOnce: the DNS of the settings is asked, and what it says about
// domains that lead back here, or nowhere, is believed.
func TestGivenUpAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, domain, settings, want string }{
		{"own address", "loop.test", `"own_addresses": ["127.0.0.77"]`, "Status: 5.4.6"},
		{"own name", "named.test", `"own_names": ["Other.mail.test"]`, "Status: 5.4.6"},
		{"null MX", "null.test", `"own_names": []`, "Status: 5.1.10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := startSending(t, fmt.Sprintf(`"mta_sts": false, "dns_servers": [%q], %s`, nameServer(t), c.settings))
			w.greeted().send("<bob@mail.test>", []string{"<friend@" + c.domain + ">"}, "Subject: s\r\n\r\nx")
			if report := w.bounced(); !strings.Contains(report, c.want) {
				t.Errorf("no %s in\n%s\n%s", c.want, report, w.logs)
			}
		})
	}
}

// TestNeeds: a message that needs what the other host lacks is returned as it
// is, never changed.
func TestNeeds(t *testing.T) {
	for _, c := range []struct {
		name, hide, params, to, text string
		want                         string
	}{
		{"8-bit", "8BITMIME", " BODY=8BITMIME", "<friend@far.test>", "Subject: s\r\n\r\nčau", "Status: 5.6.3"},
		{"SMTPUTF8", "SMTPUTF8", " SMTPUTF8", "<žofie@far.test>", "Subject: s\r\n\r\nx", "Status: 5.6.7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink, _ := sinkServer(t, func(s *smtp.Server) { s.Extensions.Hide = []string{c.hide, "CHUNKING"} })
			w := startSending(t, `"Routes": [`+route("far.test", sink.Port, "")+`]`)
			w.greeted().send("<bob@mail.test>"+c.params, []string{c.to}, c.text)
			if report := w.bounced(); !strings.Contains(report, c.want) {
				t.Errorf("no %s in\n%s", c.want, report)
			}
		})
	}
}

// TestRequireTLSWaits: a message that must have verified TLS does not leave
// without, however the route is configured.
func TestRequireTLSWaits(t *testing.T) {
	sink, got := sinkServer(t)
	w := startSending(t, `"Routes": [`+route("far.test", sink.Port, `, "tls": "none"`)+`]`)
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO client.test\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO client.test\nS: 250")
	k.send("<bob@mail.test> REQUIRETLS", []string{"<friend@far.test>"}, "Subject: s\r\n\r\nx")
	if why := w.explained(); !strings.Contains(why, "TLS") {
		t.Errorf("explained by %q", why)
	}
	select {
	case m := <-got:
		t.Errorf("it left: %q", m)
	default:
	}
}

// TestQueueLimits: a queue that is full refuses before the message is sent.
func TestQueueLimits(t *testing.T) {
	w := startSending(t, `"Routes": [`+route("far.test", 1, "")+`], "max_messages": 1`)
	w.greeted().send("<bob@mail.test>", []string{"<friend@far.test>"}, "Subject: s\r\n\r\nx")
	w.greeted().play("C: MAIL FROM:<bob@mail.test>\nS: 250\nC: RCPT TO:<friend@far.test>\nS: 452\nC: RCPT TO:<alice@mail.test>\nS: 250")
}

// TestReloadOutbound: what the relay and the queue do changes at once; what they are
// made with is refused by name.
func TestReloadOutbound(t *testing.T) {
	sink, got := sinkServer(t)
	w := startSending(t, `"Routes": [`+route("far.test", 1, "")+`]`)
	name := filepath.Join(w.dir, "t.conf")
	change := func(old, new string) error {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(text), old, new, 1)
		if changed == string(text) {
			t.Fatalf("%s is not there", old)
		}
		if err := os.WriteFile(name, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		return w.Reload()
	}
	if err := change(`"port": 1}`, fmt.Sprintf(`"port": %d}`, sink.Port)); err != nil {
		t.Fatal(err)
	}
	w.greeted().send("<bob@mail.test>", []string{"<friend@far.test>"}, "Subject: s\r\n\r\nx")
	receive(t, got)
	w.drained()
	// What the queue goes by, too, and the name that its reports are signed with.
	if err := change(`"retry_max": "1s"`, `"retry_max": "2s", "max_messages": 1, "Domains": {"slow.test": {"expire_after": "9d"}}`); err != nil {
		t.Fatal(err)
	}
	if err := change(`"server_name": "mail.test"`, `"server_name": "new.test"`); err != nil {
		t.Fatal(err)
	}
	w.greeted().send("<bob@mail.test>", []string{"<no-such@far.test>"}, "Subject: s\r\n\r\nx")
	if report := w.bounced(); !strings.Contains(report, "Reporting-MTA: dns; new.test") || !strings.Contains(report, "@new.test>") {
		t.Errorf("the report is of another host: %s", report)
	}
	w.drained()
	if err := change(fmt.Sprintf(`"port": %d}`, sink.Port), `"port": 1}`); err != nil {
		t.Fatal(err)
	}
	w.greeted().send("<bob@mail.test>", []string{"<friend@far.test>"}, "Subject: s\r\n\r\nx")
	w.greeted().play("C: MAIL FROM:<bob@mail.test>\nS: 250\nC: RCPT TO:<friend@far.test>\nS: 452")
	// What is made at the start is refused by name.
	err := change(`"max_messages": 1`, `"max_messages": 1, "tls_report": "tls@mail.test"`)
	for _, want := range []string{"Queue.tls_report", "restart"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
}

// TestReloadDNS: mail, and the reports on TLS, are led by the DNS servers of the
// settings in force.
func TestReloadDNS(t *testing.T) {
	sink, got := sinkServer(t)
	first := dnsServer(t, map[string]string{"loop.test. MX": "loop.test. 60 IN MX 0 ."})
	second := dnsServer(t, map[string]string{"_smtp._tls.example.test. TXT": `_smtp._tls.example.test. 60 IN TXT "v=TLSRPTv1; rua=mailto:reports@far.test"`})
	w := startSending(t, `"Routes": [`+route("far.test", sink.Port, "")+`], "tls_report": "tls@mail.test", "dns_servers": ["`+first+`"]`)
	w.greeted().send("<bob@mail.test>", []string{"<friend@loop.test>"}, "Subject: s\r\n\r\nx")
	if report := w.bounced(); !strings.Contains(report, "null MX") {
		t.Errorf("the first server was not asked: %s", report)
	}
	name := filepath.Join(w.dir, "t.conf")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(strings.Replace(string(text), first, second, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	r := w.post.Outbound.TLSReports()
	r.Add(relay.TLSResult{Domain: "example.test", PolicyType: "no-policy-found", Host: "mx.example.test"})
	if err := r.SendDay(t.Context(), time.Now().UTC().Format("2006-01-02")); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, got); !strings.HasPrefix(m, "<tls@mail.test> <reports@far.test>\n") || !strings.Contains(m, "Report Domain: example.test") {
		t.Errorf("got %q", m)
	}
	w.greeted().send("<bob@mail.test>", []string{"<friend@loop.test>"}, "Subject: s\r\n\r\nx")
	if reports := w.waitFor("bob@mail.test", 2); !strings.Contains(flat(reports[1]), "has no address") && !strings.Contains(flat(reports[0]), "has no address") {
		t.Errorf("the second server was not asked: %q", reports)
	}
}

// TestReloadName: another name of the server is the one that all of it goes by, also
// in bounces.
func TestReloadName(t *testing.T) {
	sink, _ := sinkServer(t)
	w := startSending(t, `"Routes": [`+route("far.test", sink.Port, "")+`]`)
	w.greeted().send("<bob@mail.test>", []string{"<no-such@far.test>"}, "Subject: s\r\n\r\nx")
	if report := w.bounced(); !strings.Contains(report, "Reporting-MTA: dns; mail.test\r\n") {
		t.Errorf("before: %s", report)
	}
	w.forget("bob@mail.test")
	name := filepath.Join(w.dir, "t.conf")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `"server_name": "mail.test",`, `"server_name": "new.test", "Domains": {"mail.test": {}},`, 1)
	if err := os.WriteFile(name, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	k := w.dial("127.0.0.1:0")
	k.play("S: 220 new.test\nC: EHLO client.test\nS: 250")
	k.send("<bob@mail.test>", []string{"<no-such@far.test>"}, "Subject: s\r\n\r\nx")
	report := w.bounced()
	for _, want := range []string{"Reporting-MTA: dns; new.test\r\n", "postmaster@new.test", "@new.test>\r\n"} {
		if !strings.Contains(report, want) {
			t.Errorf("%q is not in\n%s", want, report)
		}
	}
	if strings.Contains(report, "dns; mail.test") || strings.Contains(report, "postmaster@mail.test") {
		t.Errorf("a part keeps the old name:\n%s", report)
	}
}

// TestTLSReports: how TLS fared is counted where the settings say who tells of
// it, also after a reload, and a report is mail like any other.
func TestTLSReports(t *testing.T) {
	sink, got := sinkServer(t)
	w := startSending(t, `"Routes": [`+route("far.test", sink.Port, "")+`], "tls_report": "tls@mail.test"`)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := w.post.Outbound.TLSReports().Send(context.Background(), "reports@far.test", []byte("Subject: report\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, got); !strings.HasPrefix(m, "<tls@mail.test> <reports@far.test>\nSubject: report\r\n") {
		t.Errorf("got %q", m)
	}
}
