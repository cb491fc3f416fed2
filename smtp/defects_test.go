package smtp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	netsmtp "net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
)

// The tests here are the defects N1 to N18 of older servers that need more
// than a dialogue; the others are in testdata/dialogues/smtp.

// TestN4StoredBefore250: no 250 while the handler still works, and none at all
// when it fails.
func TestN4StoredBefore250(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := make(chan error)
		srv := &smtp.Server{
			Hostname:  "mx.example.com",
			Log:       slog.New(slog.DiscardHandler),
			CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
			Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
				if _, err := io.Copy(io.Discard, e.Data); err != nil {
					return err
				}
				return <-store
			}),
		}
		client, server := mailtest.Pipe("192.0.2.1:50000", "192.0.2.25:25")
		go srv.ServeConn(server)
		said := make(chan string, 100)
		go func() {
			b := make([]byte, 4096)
			for {
				n, err := client.Read(b)
				if err != nil {
					return
				}
				said <- string(b[:n])
			}
		}()
		for _, result := range []error{nil, errors.New("disk full")} {
			io.WriteString(client, "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
			synctest.Wait()
			io.WriteString(client, "x\r\n.\r\n")
			synctest.Wait()
			for len(said) > 0 {
				if s := <-said; strings.Contains(s, "Queued") {
					t.Fatal("250 before the handler has returned")
				}
			}
			time.Sleep(10 * time.Minute) // a slow disk
			store <- result
			synctest.Wait()
			want := "250 2.0.0 Queued"
			if result != nil {
				want = "451 4.3.0"
			}
			if s := <-said; !strings.HasPrefix(s, want) {
				t.Errorf("handler returned %v, reply is %q", result, s)
			}
		}
		client.Close()
	})
}

// TestN14NetSMTP: Go's own client can deliver, with all it adds to MAIL.
func TestN14NetSMTP(t *testing.T) {
	l, got := collect(t, nil)
	want := "Subject: x\r\n\r\n.a dot\r\nand ümlaut\r\n"
	if err := netsmtp.SendMail(l.Addr().String(), nil, "a@example.net", []string{"b@example.com", "ü@example.com"}, []byte(want)); err != nil {
		t.Fatal(err)
	}
	if m := <-got; m != want {
		t.Errorf("message is %q", m)
	}
}

// collect serves on loopback and passes on what arrives.
func collect(t testing.TB, change func(*smtp.Server)) (net.Listener, chan string) {
	t.Helper()
	got := make(chan string, 1000)
	srv := &smtp.Server{
		Hostname:  "mx.example.com",
		Log:       slog.New(slog.DiscardHandler),
		CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			var b bytes.Buffer
			_, err := b.ReadFrom(e.Data)
			got <- b.String()
			return err
		}),
	}
	if change != nil {
		change(srv)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, smtp.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
			t.Error("the listener is still open after Shutdown (N16)")
		}
	})
	return l, got
}

// TestN15NoDNS: the package asks no resolver anything, neither in the accept
// loop nor on the way of a message.
func TestN15NoDNS(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "client") {
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

// TestN18Sessions: many sessions at once on one server, while others come and
// go; for the race detector.
func TestN18Sessions(t *testing.T) {
	l, got := collect(t, func(s *smtp.Server) {
		h := s.Handler
		m := smtp.NewServeMux()
		m.Handle("*@example.com", h)
		s.Handler, s.CheckRcpt = m, nil
		go func() {
			for i := range 26 {
				m.Handle(string(rune('a'+i))+"@example.org", h)
			}
		}()
	})
	const clients, each = 8, 5
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				if err := netsmtp.SendMail(l.Addr().String(), nil, "a@example.net", []string{"b@example.com"}, []byte("x\r\n")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(got); n != clients*each {
		t.Errorf("%d messages of %d", n, clients*each)
	}
}

// TestH6DataAfterReturn: what a handler keeps is its own, and Data is dead
// once it has returned.
func TestH6DataAfterReturn(t *testing.T) {
	var kept []*smtp.Envelope
	var data []io.Reader
	l, _ := collect(t, func(s *smtp.Server) {
		s.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			kept, data = append(kept, e), append(data, e.Data)
			return nil
		})
	})
	c, err := netsmtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"first@example.net", "second@example.net"} {
		c.Mail(from)
		c.Rcpt(from)
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "text\r\n")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.Quit()
	if kept[0].From.Local != "first" || kept[0].To[0].Path.Local != "first" || kept[1].From.Local != "second" {
		t.Errorf("envelopes are %+v, %+v", kept[0], kept[1])
	}
	if b, err := io.ReadAll(data[0]); err == nil || len(b) > 0 {
		t.Errorf("Data gives %q, %v after the handler has returned", b, err)
	}
}

// TestCutOffHearsWhy: a client that is cut off in the midst of sending still
// reads the reply.
func TestCutOffHearsWhy(t *testing.T) {
	l, _ := collect(t, func(s *smtp.Server) { s.Limits.MessageSize = 10 })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
	flood := bytes.Repeat([]byte("0123456789abcdef"), 3<<20/16)
	if _, err := c.Write(flood); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(c)
	if err != nil || !bytes.Contains(said, []byte("552 5.3.4 Message is far too big")) {
		t.Errorf("server said %q, %v", said, err)
	}
}

// TestValuesSurviveSTARTTLS: what CheckConn found out about the connection
// is no knowledge obtained from the client.
func TestValuesSurviveSTARTTLS(t *testing.T) {
	type key string
	var seen []any
	server, client := certificates(t)
	l, _ := collect(t, func(s *smtp.Server) {
		s.TLSConfig = server
		s.CheckConn = func(_ context.Context, s *smtp.Session) error { s.Set(key("conn"), 1); return nil }
		s.CheckHelo = func(_ context.Context, s *smtp.Session, name string) error {
			seen = append(seen, s.Values[key("conn")], s.Values[key("helo")])
			s.Set(key("helo"), 2)
			return nil
		}
	})
	c, err := netsmtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.StartTLS(client); err != nil {
		t.Fatal(err)
	}
	c.Quit()
	if want := []any{1, nil, 1, nil}; !slices.Equal(seen, want) {
		t.Errorf("Values held %v, want %v", seen, want)
	}
}

// TestSlowHandlerIsNotASlowClient: the time a Handler takes before it reads on
// is not held against the client, who has sent all there is.
func TestSlowHandlerIsNotASlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("0123456789abcdef\r\n", 8<<10) // more than is buffered
		var got []string
		srv := &smtp.Server{
			Hostname:  "mx.example.com",
			Log:       slog.New(slog.DiscardHandler),
			CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
			Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
				var first [4]byte
				if _, err := io.ReadFull(e.Data, first[:]); err != nil {
					return err
				}
				time.Sleep(time.Hour) // a store that hangs
				b, err := io.ReadAll(e.Data)
				got = append(got, string(first[:])+string(b))
				return err
			}),
		}
		for _, how := range []string{"DATA\r\n" + text + ".\r\n", fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text)} {
			client, server := mailtest.Pipe("192.0.2.1:50000", "192.0.2.25:25")
			go srv.ServeConn(server)
			go io.WriteString(client, "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\n"+how+"QUIT\r\n")
			said, _ := io.ReadAll(client)
			if len(got) != 1 || got[0] != text || !strings.Contains(string(said), "\r\n250 2.0.0 Queued") {
				t.Errorf("%.4s: %d messages, server said %q", how, len(got), said)
			}
			got = nil
		}
	})
}
