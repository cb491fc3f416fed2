package catch

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/sink"
)

// TestStop: who waits for a message does not hold up a stop, and is answered; the folder is free again.
func TestStop(t *testing.T) {
	o := Options{SMTP: "127.0.0.1:0", HTTP: "127.0.0.1:0", POP3: "127.0.0.1:0", Hostname: "sink.test", Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Triggers: sink.DefaultTriggers()}
	for range 2 {
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), o.Dir) {
			t.Errorf("twice in one folder: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx) }()
		answered := make(chan string, 1)
		go func() {
			resp, err := http.Get("http://" + s.HTTP + "/inboxes/-/wait?timeout=5m")
			if err != nil {
				answered <- err.Error()
				return
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			answered <- string(text)
		}()
		time.Sleep(50 * time.Millisecond) // it may wait by now; if not, it is refused
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := <-answered; !strings.Contains(got, "came within") && !strings.Contains(got, "refused") && !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") {
			t.Errorf("%q", got)
		}
	}
}

// TestOpenFails: what cannot be opened leaves nothing open.
func TestOpenFails(t *testing.T) {
	o := Options{SMTP: "127.0.0.1:0", HTTP: "127.0.0.1:0", POP3: "256.0.0.1:1", Hostname: "sink.test", Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	for _, change := range []func(*Options){func(*Options) {}, func(o *Options) { o.Cert = "/nowhere" }, func(o *Options) { o.Rules = "@to furst" }, func(o *Options) { o.Chaos, o.Triggers[0].Code = true, 1 }} {
		bad := o
		change(&bad)
		if _, err := Open(bad); err == nil {
			t.Error("it is open")
		}
		box, err := sink.OpenBox(o.Dir, sink.Limits{}, sink.Sorting{})
		if err != nil {
			t.Fatalf("the folder is not free: %v", err)
		}
		box.Close()
	}
}

// TestMailpitSettings: each setting of Mailpit's is honoured, or named with a reason, once.
func TestMailpitSettings(t *testing.T) {
	o := Options{}
	unused, err := o.FromMailpit([]string{
		"MP_MAX_MESSAGES=7", "MP_MAX_AGE=2d", "MP_MAX_MESSAGE_SIZE=3", "MP_SMTP_AUTH_ACCEPT_ANY=1", "MP_SMTP_AUTH_ALLOW_INSECURE=true", "MP_UI_BIND_ADDR=127.0.0.1:1", "MP_WEBROOT=x", "MP_SMTP_MAX_RECIPIENTS=9",
		"MP_SMTP_RELAY_HOST=mx.test", "MP_SMTP_RELAY_PORT=2525", "MP_DATABASE=/data/m.db", "MP_ENABLE_SPAMASSASSIN=x:783", "MP_ENABLE_PROMETHEUS=true", "MP_TAG=x=y", "MP_SMTP_FORWARD_HOST=x", "OTHER=1", "MP_LABEL=",
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.Limits.Messages != 7 || o.Limits.Age != 48*time.Hour || o.MessageSize != 3<<20 || o.HTTP != "127.0.0.1:1" || o.Web.Root != "x" || o.Recipients != 9 || o.Relay == nil || o.Relay.Address != "mx.test:2525" {
		t.Errorf("%+v", o)
	}
	named := strings.Join(unused, "\n")
	for _, name := range []string{"MP_DATABASE", "MP_ENABLE_SPAMASSASSIN", "MP_ENABLE_PROMETHEUS", "MP_TAG", "MP_SMTP_FORWARD_HOST"} {
		if strings.Count(named, name+": ") != 1 {
			t.Errorf("%s is named %d times", name, strings.Count(named, name+": "))
		}
	}
	if len(unused) != 5 {
		t.Errorf("%q", unused)
	}
}

// TestDNS: whom a sink asks is what it was told, and nobody where it was not.
func TestDNS(t *testing.T) {
	for servers, want := range map[string]bool{"": false, "127.0.0.1": true, "127.0.0.1:5353, ::1": true, "[::1]:53": true} {
		o := Options{DNS: servers, Log: slog.New(slog.DiscardHandler)}
		j, err := o.judge()
		if err != nil || (j.DNS != nil) != want {
			t.Errorf("%q: %+v %v", servers, j, err)
		}
	}
	for _, servers := range []string{"dns.test", "127.0.0.1,", "127.0.0.1:5353:1"} {
		if _, err := (&Options{DNS: servers}).judge(); err == nil || !strings.Contains(err.Error(), "no address") {
			t.Errorf("%q: %v", servers, err)
		}
	}
}
