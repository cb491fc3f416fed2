package daemon

import (
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
	addr := w.web.bound.String()
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
	bound := w.web.bound.String()
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
