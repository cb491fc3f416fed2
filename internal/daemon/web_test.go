package daemon

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/web"
)

// http asks the listener for HTTP.
func (w *testWorld) http(path string) (int, string) {
	w.t.Helper()
	w.reloading.Lock()
	addr := w.web.socket.Addr().String()
	w.reloading.Unlock()
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// write puts other settings in place of extra, and has them read.
func (w *testWorld) rewrite(extra string) error {
	w.t.Helper()
	text := fmt.Sprintf(testConf, w.account, extra)
	text = strings.ReplaceAll(text, "unix:lmtp.sock", "unix:"+filepath.Join(w.dir, "lmtp.sock"))
	if err := os.WriteFile(filepath.Join(w.dir, "t.conf"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.Reload()
}

// TestWebLife: it is off unless the settings say so, comes and goes with them, stays where they leave it
// alone, and serves what those of the moment say.
func TestWebLife(t *testing.T) {
	w := start(t, "")
	if w.web != nil {
		t.Fatal("HTTP is served though nobody asked for it")
	}
	if err := w.rewrite(`"Web": {"listen": "127.0.0.1:0"},`); err != nil {
		t.Fatal(err)
	}
	if code, text := w.http("/readyz"); code != 200 || text != "ok\n" {
		t.Errorf("ready: %d %q", code, text)
	}
	same := w.web
	if err := w.rewrite(`"Web": {"listen": "127.0.0.1:0", "status_from": ["192.0.2.1/32"]},`); err != nil {
		t.Fatal(err)
	}
	if w.web != same {
		t.Error("it was opened anew")
	}
	if code, _ := w.http("/metrics"); code != 403 {
		t.Errorf("metrics: %d", code)
	}
	bound := w.web.socket.Addr().String()
	if err := w.rewrite(""); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", bound); err == nil || w.web != nil {
		t.Error("it is served yet")
	}
}

// TestWebToAll: the address in force does not keep the server from all addresses at the same port.
func TestWebToAll(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	_, port, _ := net.SplitHostPort(free.Addr().String())
	w := start(t, fmt.Sprintf(`"Web": {"listen": %q},`, free.Addr()))
	if err := w.rewrite(fmt.Sprintf(`"Web": {"listen": "0.0.0.0:%s", "tls": "off"},`, port)); err != nil {
		t.Fatal(err)
	}
	if at, err := w.webStanding(); err != nil || at != "0.0.0.0:"+port {
		t.Error(at, err)
	}
}

// TestWebCannotListen: mail goes on, the log and the status say why nothing is served, and the next
// reload tries again.
func TestWebCannotListen(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	web := fmt.Sprintf(`"Web": {"listen": %q},`, other.Addr())
	w := start(t, web)
	w.dial("127.0.0.1:0").play("S: 220\nC: QUIT\nS: 221")
	warned := strings.Join(w.status(time.Now()).Warnings, "\n")
	if !strings.Contains(warned, "nothing is served over HTTP: another program listens on "+other.Addr().String()) {
		t.Errorf("status: %q", warned)
	}
	if !strings.Contains(w.logs.String(), "level=ERROR msg=\"nothing is served over HTTP") {
		t.Error("the log does not say so")
	}
	other.Close()
	if err := w.rewrite(web); err != nil {
		t.Fatal(err)
	}
	if code, _ := w.http("/healthz"); code != 200 {
		t.Error(code)
	}
	if at, err := w.webStanding(); err != nil || at != other.Addr().String() {
		t.Error(at, err)
	}
}

// TestWebNotReady: a full disk is told.
func TestWebNotReady(t *testing.T) {
	w := start(t, `"Web": {"listen": "127.0.0.1:0"}, "Store": {"keep_free": "1000000GB"},`)
	if code, text := w.http("/readyz"); code != 503 || !strings.Contains(text, "mail_dir") {
		t.Errorf("%d %q", code, text)
	}
}

// TestWebDescriptors: connections for HTTP take none from mail but those that the settings give
// them, and of few no more than a share.
func TestWebDescriptors(t *testing.T) {
	s := conf.New()
	s.Web.MaxConnections = 1000
	if without, off := connectionsWith(10000, s), webConnectionsWith(10000, s); off != 0 || without == 0 {
		t.Error(without, off)
	}
	without := connectionsWith(10000, s)
	s.Web.Listen = ":443"
	if with := connectionsWith(10000, s); without-with != 500 {
		t.Errorf("%d less %d", without, with)
	}
	if got := webConnectionsWith(1024, s); got != 128 {
		t.Error(got)
	}
	if got := webConnectionsWith(0, s); got != 1000 {
		t.Error(got)
	}
}

// TestWebMetrics: what happens on the wire is counted, through the whole program.
func TestWebMetrics(t *testing.T) {
	w := start(t, `"SMTP": {"messages_per_hour": 0}, "Web": {"listen": "127.0.0.1:0"}, "Queue": {"Routes": [{"domain": "*", "host": "127.0.0.1", "port": 1}]},`)
	k := w.dial("127.0.0.1:0")
	k.play(`S: 220
		C: EHLO client.test
		S: 250
		C: MAIL FROM:<a@other.test>
		S: 250
		C: RCPT TO:<nobody@mail.test>
		S: 550
		C: RCPT TO:<team@mail.test>
		S: 250
		C: DATA
		S: 354
		C: Subject: x\r\n\r\nx\r\n.
		S: 250
		C: QUIT
		S: 221`)
	if n := len(w.mailbox("alice@mail.test")); n != 1 {
		t.Fatal(n)
	}
	s := w.dial("127.0.0.2:0")
	s.play("S: 220\nC: EHLO client.test\nS: 250")
	s.startTLS("STARTTLS", "220")
	s.play("C: EHLO client.test\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00alice@mail.test\x00"+testPassword)) + "\nS: 235" +
		"\nC: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<x@far.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: x\\r\\n\\r\\nx\\r\\n.\nS: 250\nC: QUIT\nS: 221")
	for _, want := range []string{
		`postrider_smtp_connections_total{result="served",service="smtp",tls="none"} 1`,
		`postrider_smtp_connections_total{result="served",service="submission",tls="1.3"} 1`,
		`postrider_smtp_refusals_total{reason="no_user",result="refused",service="smtp"} 1`,
		`postrider_smtp_messages_total{result="accepted",service="smtp"} 1`,
		`postrider_smtp_copies_total{way="mailbox"} 2`,
		`postrider_smtp_message_duration_seconds_count 2`,
		`postrider_auth_attempts_total{mechanism="PLAIN",protocol="smtp",result="ok"} 1`,
		`postrider_auth_attempts_total{mechanism="USER",protocol="pop3",result="ok"} 1`,
		`postrider_pop3_messages_retrieved_total 1`,
		`postrider_queue_attempts_total{code="none",result="deferred",tls="none"} 1`,
		`postrider_queue_messages{state="waiting"} 1`,
		`postrider_healthy 1`,
		`postrider_config_last_reload_successful 1`,
		`postrider_tls_certificate_trouble{name="mail.test"} 0`,
		`postrider_build_info{goversion=`,
	} {
		w.counted(want)
	}
	if err := w.rewrite(`"Web": {"listen": "127.0.0.1:0"}, "Log": {"level": "loud"},`); err == nil {
		t.Error("nonsense was taken")
	}
	w.counted("postrider_config_last_reload_successful 0")
}

// counted waits for a line of the metrics that begins so.
func (w *testWorld) counted(line string) {
	w.t.Helper()
	text := ""
	if !within(forEver, func() bool {
		_, text = w.http("/metrics")
		return strings.Contains(text, "\n"+line)
	}) {
		w.t.Errorf("no %s in\n%s", line, text)
	}
}

// TestWebAndAuthority: HTTPS and an authority that asks on the same port (tls-alpn-01) both get what they
// came for, and the certificate of mta-sts. comes that way.
func TestWebAndAuthority(t *testing.T) {
	port := peertest.FreePort(t)
	ca := peertest.Pebble(t, peertest.PebbleOptions{TLSPort: port})
	w := start(t, fmt.Sprintf(`"DNS": {"mta_sts": "testing"}, "Web": {"listen": "127.0.0.1:%d", "tls": "implicit"},
		"TLS": {"ACME": {"accept_terms": true, "names": ["mail.test", "mta-sts.mail.test"], "directory": %q, "directory_ca_file": %q, "challenge": "tls-alpn-01", "listen": "127.0.0.1:%[1]d"}},`,
		port, ca.Directory, ca.CAFile))
	var state tls.ConnectionState
	peertest.Await(t, "the certificate of mta-sts.mail.test", func() bool {
		c, err := tls.Dial("tcp", w.web.socket.Addr().String(), &tls.Config{InsecureSkipVerify: true, ServerName: "mta-sts.mail.test"})
		if err != nil {
			return false
		}
		defer c.Close()
		state = c.ConnectionState()
		return fromPebble(state.PeerCertificates[0]) && state.PeerCertificates[0].VerifyHostname("mta-sts.mail.test") == nil
	})
	c, err := tls.Dial("tcp", w.web.socket.Addr().String(), &tls.Config{InsecureSkipVerify: true, ServerName: "mta-sts.mail.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.mail.test\r\nConnection: close\r\n\r\n")
	text, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 200 ") || !strings.Contains(string(text), "mode: testing\r\n") {
		t.Errorf("%v: %s", err, text)
	}
}

// TestWebBesideChallenge: the port that the authority comes to by HTTP serves what port 80 is to, and the
// challenges are its own, also where nothing else is found.
func TestWebBesideChallenge(t *testing.T) {
	port := peertest.FreePort(t)
	w := start(t, fmt.Sprintf(`"Web": {"listen": "127.0.0.1:0"}, "DNS": {"mta_sts": "testing"},
		"TLS": {"ACME": {"accept_terms": true, "directory": "https://127.0.0.1:1/nobody", "listen": "127.0.0.1:%d"}},`, port))
	get := func(host, path string) int {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for path, want := range map[string]int{"/.well-known/mta-sts.txt": 200, "/.well-known/acme-challenge/x": 403 /* by who knows what was asked for */, "/": 404} {
		if got := get("mta-sts.mail.test", path); got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
	if err := w.rewrite(fmt.Sprintf(`"TLS": {"ACME": {"accept_terms": true, "directory": "https://127.0.0.1:1/nobody", "listen": "127.0.0.1:%d"}},`, port)); err != nil {
		t.Fatal(err)
	}
	if got := get("mta-sts.mail.test", "/.well-known/mta-sts.txt"); got != 404 {
		t.Errorf("switched off: %d", got)
	}
}

// TestWebMailPorts: mail programs are told the best way there is, and nothing where there is
// none from elsewhere.
func TestWebMailPorts(t *testing.T) {
	for _, tt := range []struct {
		listeners string
		want      *web.Mail
	}{
		{`{"address": ":995", "protocol": "pop3"}, {"address": ":110", "protocol": "pop3"}, {"address": ":465", "protocol": "submission"}, {"address": ":587", "protocol": "submission"}`,
			&web.Mail{POP3: web.Port{Number: 995, Implicit: true}, SMTP: web.Port{Number: 465, Implicit: true}}},
		{`{"address": ":110", "protocol": "pop3"}, {"address": ":2587", "protocol": "submission"}`, &web.Mail{POP3: web.Port{Number: 110}, SMTP: web.Port{Number: 2587}}},
		{`{"address": ":110", "protocol": "pop3"}`, nil},
		{`{"address": ":465", "protocol": "submission"}], "IMAP": {"address": "imap.mail.test:993"}, "POP3": {}, "Rules": [`,
			&web.Mail{IMAP: web.Port{Host: "imap.mail.test", Number: 993, Implicit: true}, SMTP: web.Port{Number: 465, Implicit: true}}},
		{`{"address": "127.0.0.1:995", "protocol": "pop3"}, {"address": ":465", "protocol": "submission"}`, nil},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "t.conf"), []byte(`{"server_name": "mail.test", "Web": {"listen": ":443", "autoconfig": true}, "Listeners": [`+tt.listeners+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := conf.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := published.Site(s).Mail; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v", tt.listeners, got)
		}
		plan, err := published.Plan(s, "mail.test", nil)
		if err != nil || !plan.Autoconfig {
			t.Errorf("the plan: %v, %v", plan.Autoconfig, err)
		}
		if s.Web.Autoconfig = false; published.Site(s).Mail != nil {
			t.Error("told though it is switched off")
		}
	}
}
