package daemon

import (
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
)

func TestConnectionsWith(t *testing.T) {
	s := conf.New()
	s.ServerName = "mail.test"
	for files, want := range map[uint64]int{0: 32, 100: 32, 1024: 84, 4096: 1620, 20000: 9572, 1 << 62: 1 << 30} {
		if got := connectionsWith(files, s); got != want {
			t.Errorf("%d descriptors: %d connections, want %d", files, got, want)
		}
	}
	// Those to whom a message is shown take a descriptor each.
	s.Verify.Scanner.URL, s.Verify.Milters = "http://127.0.0.1:1", make([]conf.Milter, 2)
	for files, want := range map[uint64]int{1024: 33, 4096: 648} {
		if got := connectionsWith(files, s); got != want {
			t.Errorf("%d descriptors with scanners: %d connections, want %d", files, got, want)
		}
	}
	s.Listeners = []conf.Listener{{Protocol: conf.ProtocolSMTP}, {Protocol: conf.ProtocolPOP3, Limits: &conf.ListenerLimits{MaxConnections: 7}}}
	if got := wantedConnections(s); got != 2007 {
		t.Errorf("the settings allow %d connections, want 2007", got)
	}
}

// TestStrangersSettings: what is set about strangers reaches the servers, and
// they share the descriptors.
func TestStrangersSettings(t *testing.T) {
	w := start(t, `"Auth": {"login_timeout": "45s"}, "Store": {"keep_free": "20MiB"},`)
	in, out := w.newSMTP(conf.Listener{Protocol: conf.ProtocolSubmission}), w.newPOP3(conf.Listener{Protocol: conf.ProtocolPOP3})
	if in.Limits.Login != 45*time.Second || out.Limits.Login != 45*time.Second {
		t.Errorf("login_timeout: %v and %v, want 45s", in.Limits.Login, out.Limits.Login)
	}
	if in.Limits.ConnsPerMinute != 600 || out.Limits.ConnsPerMinute != 600 {
		t.Errorf("max_connections_per_minute: %d and %d, want 600", in.Limits.ConnsPerMinute, out.Limits.ConnsPerMinute)
	}
	if in.Pool == nil || in.Pool != out.Pool || in.Pool.MaxConns != mostConnections(w.state().settings) {
		t.Error("the servers share no pool, or one of another size")
	}
	if n := KeepFree(w.state().settings, w.dir); n != 20<<20 {
		t.Errorf("keep_free: %d", n)
	}
	if n := KeepFree(conf.New(), w.dir); n < 16<<20 || n > 1<<30 {
		t.Errorf("keep_free by default: %d", n)
	}
}
