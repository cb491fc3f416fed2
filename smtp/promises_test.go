package smtp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
)

// TestOwnID: a message answers to the id that its handler gives it.
func TestOwnID(t *testing.T) {
	mux := smtp.NewServeMux()
	mux.HandleFunc("*@*", func(_ context.Context, e *smtp.Envelope) error {
		e.ID = "can-7"
		return nil
	})
	out := say(&smtp.Server{Handler: mux}, "HELO c\nMAIL FROM:<>\nRCPT TO:<b@localhost>\nDATA\nx\n.\nQUIT\n")
	if !strings.Contains(out, "250 2.0.0 Queued as can-7\r\n") {
		t.Errorf("server said %q", out)
	}
}

// TestPipelinedRecipients: as many recipients as may be, sent in one piece,
// larger than any buffer, each with its own answer in its place.
func TestPipelinedRecipients(t *testing.T) {
	const most = 1000
	var got []string
	srv := &smtp.Server{
		CheckRcpt: func(_ context.Context, _ *smtp.Session, to *smtp.Recipient) error {
			if strings.HasPrefix(to.Path.Local, "no-") {
				return smtp.ErrMailboxFull
			}
			return nil
		},
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			for _, to := range e.To {
				got = append(got, to.Path.Local)
			}
			_, err := io.Copy(io.Discard, e.Data)
			return err
		}),
	}
	var b, want strings.Builder
	b.WriteString("EHLO c\nMAIL FROM:<ann@example.net>\n")
	for i := range most {
		fmt.Fprintf(&b, "RCPT TO:<user-%d-with-a-name-that-takes-room@example.com>\nRCPT TO:<no-%d@example.com>\n", i, i)
		want.WriteString("250452")
	}
	b.WriteString("RCPT TO:<one-too-many@example.com>\nDATA\nx\n.\nQUIT\n")
	want.WriteString("452354250221")
	out := say(srv, b.String())
	_, out, _ = strings.Cut(out, "Sender OK\r\n")
	var codes strings.Builder
	for line := range strings.Lines(out) {
		codes.WriteString(line[:3])
	}
	if codes.String() != want.String() {
		t.Errorf("replies are out of step: %.300q", out)
	}
	if len(got) != most || got[0] != "user-0-with-a-name-that-takes-room" || got[most-1] != fmt.Sprintf("user-%d-with-a-name-that-takes-room", most-1) {
		t.Errorf("%d recipients", len(got))
	}
}

// TestConstantMemory: what a message takes does not depend on its size, by DATA
// or BDAT, as it is or normalised.
func TestConstantMemory(t *testing.T) {
	const lines, most = 1 << 19, 256 << 10 // 36 MiB; octets allocated for it
	line := []byte("..is is a line of ordinary text in a big message, 72 octets of it, wow.\r\n")
	size := len(line) * lines
	var mails []string
	srv := fuzzServer(&mails)
	srv.Limits.MessageSize = -1
	var read int64
	srv.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) (err error) {
		read, err = io.Copy(io.Discard, e.Data)
		return err
	})
	head := "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\n"
	for _, how := range []struct {
		command, end string
		want         int
	}{
		{"DATA\r\n", ".\r\n", size - lines},
		{fmt.Sprintf("BDAT %d LAST\r\n", size), "", size},
	} {
		c := &flood{script: script{in: bytes.NewReader(nil)}, parts: []io.Reader{
			strings.NewReader(head + how.command), &repeated{line: line, left: lines}, strings.NewReader(how.end + "QUIT\r\n"),
		}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		srv.ServeConn(c)
		runtime.ReadMemStats(&after)
		if read != int64(how.want) {
			t.Errorf("%.4s: %d octets of %d", how.command, read, how.want)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > most {
			t.Errorf("%.4s: %d octets allocated for a message of %d", how.command, used, size)
		}
	}
}

// flood is a connection from which parts are read.
type flood struct {
	script
	parts []io.Reader
}

// Read implements net.Conn.
func (f *flood) Read(p []byte) (int, error) {
	for len(f.parts) > 0 {
		if n, err := f.parts[0].Read(p); n > 0 || err != io.EOF {
			return n, err
		}
		f.parts = f.parts[1:]
	}
	return 0, io.EOF
}

// repeated gives a line again and again.
type repeated struct {
	line     []byte
	at, left int
}

// Read implements io.Reader.
func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.left == 0 {
			return n, io.EOF
		}
		m := copy(p[n:], r.line[r.at:])
		n += m
		if r.at += m; r.at == len(r.line) {
			r.at = 0
			r.left--
		}
	}
	return n, nil
}

// TestCloseWhileServeBegins: a server may be closed, and asked for its
// sessions, before Serve has come to anything; for the race detector.
func TestCloseWhileServeBegins(t *testing.T) {
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &smtp.Server{Log: slog.New(slog.DiscardHandler), Pool: new(smtp.Pool)}
		done := make(chan error)
		go func() { done <- srv.Serve(l) }()
		srv.Sessions()
		srv.Close()
		if err := <-done; !errors.Is(err, smtp.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	}
}
