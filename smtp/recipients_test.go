package smtp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider-mail/postrider/smtp"
)

// TestAllRecipients: what all sessions hold in recipients is bounded; a hundred of each
// transaction are taken in any case, and there is room again when a
// transaction has ended, however it did.
func TestAllRecipients(t *testing.T) { synctest.Test(t, testAllRecipients) }

func testAllRecipients(t *testing.T) {
	srv := &smtp.Server{Hostname: "s", Limits: smtp.Limits{AllRecipients: 10, Idle: -1}}
	srv.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error { _, err := io.Copy(io.Discard, e.Data); return err })
	srv.CheckRcpt = func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil }
	accepted := func(c net.Conn, n int) (taken int) {
		var lines strings.Builder
		lines.WriteString("EHLO c\r\nMAIL FROM:<>\r\n")
		for i := range n {
			fmt.Fprintf(&lines, "RCPT TO:<b%d@example.com>\r\n", i)
		}
		lines.WriteString("NOOP\r\n")
		go io.WriteString(c, lines.String())
		var got []byte
		for !bytes.Contains(got, []byte("250 2.0.0 OK\r\n")) {
			p := make([]byte, 4096)
			k, err := c.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p[:k]...)
		}
		if refused := bytes.Count(got, []byte("452 4.5.3")); refused+bytes.Count(got, []byte("250 2.1.5")) != n {
			t.Errorf("of %d recipients %d are refused: %q", n, refused, got)
		}
		return bytes.Count(got, []byte("250 2.1.5"))
	}
	dial := func() net.Conn {
		ours, theirs := net.Pipe()
		go srv.ServeConn(theirs)
		t.Cleanup(func() { ours.Close() })
		return ours
	}
	first, second := dial(), dial()
	if n := accepted(first, 120); n != 110 {
		t.Errorf("the first has %d recipients, want 110", n)
	}
	if n := accepted(second, 120); n != 100 {
		t.Errorf("the second has %d recipients, want 100", n)
	}
	// EHLO, with which accepted begins, gives up what was there before.
	if n := accepted(first, 105); n != 105 {
		t.Errorf("the first has %d recipients after starting anew, want 105", n)
	}
	for range 3 { // and no more than was there
		accepted(first, 105)
	}
	if n := accepted(second, 120); n != 105 {
		t.Errorf("the second has %d recipients beside those of the first, want 105", n)
	}
	first.Close()
	synctest.Wait()
	if n := accepted(second, 110); n != 110 {
		t.Errorf("the second has %d recipients when the first is gone, want 110", n)
	}
}

// TestLongRoutesAreLetGo: a recipient does not hold the line it was named in.
func TestLongRoutesAreLetGo(t *testing.T) {
	var held int64 // negative if the heap shrank meanwhile
	srv := &smtp.Server{Hostname: "s", Handler: smtp.HandlerFunc(func(context.Context, *smtp.Envelope) error { return nil })}
	srv.CheckRcpt = func(_ context.Context, s *smtp.Session, _ *smtp.Recipient) error {
		if n := len(s.Envelope.To); n == 0 || n == 999 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			held = int64(m.HeapAlloc) - held
		}
		return nil
	}
	route := strings.Repeat("@relay.example,", 250) + "@relay.example:"
	text := "EHLO c\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<"+route+"b@example.com>\r\n", 1000) + "QUIT\r\n"
	srv.ServeConn(&script{in: bytes.NewReader([]byte(text)), step: 1 << 20})
	if held > 1<<20 {
		t.Errorf("a thousand recipients with source routes hold %d octets", held)
	}
}
