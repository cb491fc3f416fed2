package daemon

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
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
	text := fmt.Sprintf(testConf, testAccount(w.t), extra)
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
		`postrider_auth_attempts_total{protocol="smtp",result="ok"} 1`,
		`postrider_auth_attempts_total{protocol="pop3",result="ok"} 1`,
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
	for range 2000 {
		if _, text = w.http("/metrics"); strings.Contains(text, "\n"+line) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.t.Errorf("no %s in\n%s", line, text)
}
