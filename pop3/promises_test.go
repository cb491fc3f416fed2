package pop3_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/pop3"
)

// TestNoDNS: the package asks no resolver anything by itself; the client's
// Dialer leaves names to net.Dialer.
func TestNoDNS(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"net.Lookup", "net.Resolve", "net.DefaultResolver", "Resolver{"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s: %s", name, word)
			}
		}
	}
}

// TestManySessions: sessions come and go on one server, each with its own
// maildrop and its own login; for the race detector.
func TestManySessions(t *testing.T) {
	mem := newMemory()
	users := strings.Fields("ann ben cem dan eve fay gus hal")
	for _, user := range users {
		mem.deliver(user, "Subject: "+user+"\r\n\r\n.\r\n")
	}
	addr := listen(t, &pop3.Server{
		Hostname: "pop.example.com", Backend: mem, CleartextAuth: true, Log: slog.New(slog.DiscardHandler),
		Credentials: sasl.PasswordFunc(func(user, password, _ string) error {
			if password != "secret of "+user {
				return sasl.ErrDenied
			}
			return nil
		}),
	})
	var all sync.WaitGroup
	for _, user := range users {
		all.Go(func() {
			ctx := context.Background()
			d := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: user, Password: "secret of " + user}
			for _, last := range []bool{false, true} {
				c, err := d.Dial(ctx, addr)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := text(c.Retr(ctx, 1))
				if want := "Subject: " + user + "\r\n\r\n.\r\n"; err != nil || got != want {
					t.Errorf("%s got %q, %v", user, got, err)
				}
				if last {
					err = c.Dele(ctx, 1)
				}
				if e := c.Quit(ctx); err != nil || e != nil {
					t.Error(user, err, e)
				}
			}
		})
	}
	all.Wait()
	for _, user := range users {
		if left := mem.uids(user); left != "" {
			t.Errorf("%s still has %s", user, left)
		}
	}
}

// TestCutOffHearsWhy: a client that is cut off while it is still sending reads
// the reason.
func TestCutOffHearsWhy(t *testing.T) {
	addr := listen(t, &pop3.Server{Hostname: "pop.example.com", Log: slog.New(slog.DiscardHandler)})
	for range 5 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, strings.Repeat("XYZZY plugh\r\n", 256<<10/13)); err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(said), "too many errors") {
			t.Errorf("server said %d octets, %.100q, %v", len(said), said[max(0, len(said)-100):], err)
		}
		c.Close()
	}
}

// TestTraceWriter: a transcript has every line once, and no secret.
func TestTraceWriter(t *testing.T) {
	var b strings.Builder
	addr := listen(t, &pop3.Server{
		Hostname: "pop.example.com", Backend: newMemory(), Log: slog.New(slog.DiscardHandler), CleartextAuth: true,
		Credentials: sasl.PasswordFunc(func(_, password, _ string) error { return nil }),
		Trace:       pop3.TraceWriter(&b),
	})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "USER ann\r\nPASS sesame\r\nAUTH PLAIN sesame\r\nQUIT\r\n")
	io.ReadAll(c)
	id, _, _ := strings.Cut(b.String(), " ")
	want := strings.ReplaceAll(`ID w +OK POP3 ready
ID r USER ann
ID w +OK send PASS
ID r PASS ***
ID # logged in
ID w +OK 0 messages
ID r AUTH PLAIN ***
ID w -ERR you are logged in already (ID)
ID r QUIT
ID w +OK bye
`, "ID", id)
	if got := b.String(); got != want {
		t.Errorf("transcript is\n%s", got)
	}
}

// TestCloseWhileServeBegins: a server may be closed, and asked for its
// sessions, before Serve has come to anything; for the race detector.
func TestCloseWhileServeBegins(t *testing.T) {
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &pop3.Server{Log: slog.New(slog.DiscardHandler), Pool: new(pop3.Pool)}
		done := make(chan error)
		go func() { done <- srv.Serve(l) }()
		srv.Sessions()
		srv.Close()
		if err := <-done; !errors.Is(err, pop3.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	}
}
