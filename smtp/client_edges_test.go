package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// sent is what becomes of one message for r1@d and r2@d with a server that follows the
// script behind EHLO.
func sent(t *testing.T, script string, change func(*Outgoing)) (got string, err error) {
	t.Helper()
	withServer(t, script, func(conn net.Conn) {
		c := started(t, Dialer{}, conn)
		m := mail("a@b", "r1@d", "r2@d")
		change(m)
		var results []RcptResult
		results, err = c.Send(context.Background(), m, strings.NewReader("x\r\n"))
		got = outcome(results)
	})
	return got, err
}

// TestAllOrNothingAll: where nobody is refused, the message goes.
func TestAllOrNothingAll(t *testing.T) {
	for _, extensions := range []string{"PIPELINING", "SIZE", "CHUNKING"} {
		message := "C: DATA\nS: 354 go\nC: x\nC: .\nS: 250 taken"
		if extensions == "CHUNKING" {
			message = "C: BDAT 3 LAST\nC: x\nS: 250 taken"
		}
		script := hello(extensions) + "C: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<r1@d>\nS: 250 ok\nC: RCPT TO:<r2@d>\nS: 250 ok\n" + message
		if got, err := sent(t, script, func(m *Outgoing) { m.AllOrNothing = true }); got != "ok, ok" || err != nil {
			t.Errorf("%s: %s, %v", extensions, got, err)
		}
	}
}

// TestAcceptedBehindRefusedMail: who is accepted although the sender was refused is
// refused with the sender, for good if that was.
func TestAcceptedBehindRefusedMail(t *testing.T) {
	for _, data := range []string{"S: 503 no", "S: 354 go\nC: .\nS: 503 nobody"} {
		script := hello("PIPELINING") + "C: MAIL FROM:<a@b>\nC: RCPT TO:<r1@d>\nC: RCPT TO:<r2@d>\nC: DATA\nS: 550 5.7.1 not you\nS: 250 ok\nS: 250 ok\n" + data
		got, err := sent(t, script, func(*Outgoing) {})
		if got != "MAIL 550 5.7.1 not you, MAIL 550 5.7.1 not you" || err != nil {
			t.Errorf("%s, %v", got, err)
		}
	}
}

// TestServersSizeIsEnough: a message of the size that the server names goes, and one
// octet more does not.
func TestServersSizeIsEnough(t *testing.T) {
	mailtest.Edge(t, "SIZE", 1000, func(n int) bool {
		refused := n > 1000
		script := hello("SIZE 1000")
		if refused {
			script += "end"
		} else {
			script += fmt.Sprintf("C: MAIL FROM:<a@b> SIZE=%d\nS: 250 ok\nC: RCPT TO:<r1@d>\nS: 250 ok\nC: RCPT TO:<r2@d>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 taken", n)
		}
		got, err := sent(t, script, func(m *Outgoing) { m.Params.Size = int64(n) })
		if errors.Is(err, ErrTooBigForServer) {
			return false
		}
		return got == "ok, ok" && err == nil
	})
}

// TestWrappedErrorsArePermanent: what no other try would change is permanent, however
// deep in the error it stands.
func TestWrappedErrorsArePermanent(t *testing.T) {
	for _, err := range []error{ErrUnsupported, ErrBadCommand, ErrTooBigForServer} {
		e := &ClientError{Op: "MAIL", Err: fmt.Errorf("%w: and what exactly", err)}
		if e.Temporary() {
			t.Errorf("%v is temporary", e)
		}
	}
	if e := (&ClientError{Op: "MAIL", Err: fmt.Errorf("%w: x", ErrInDoubt)}); !e.Temporary() {
		t.Errorf("%v is permanent", e)
	}
}

// TestGarbled: what breaks the rules of replies is the server's doing; what breaks the
// connection is not.
func TestGarbled(t *testing.T) {
	for err, want := range map[error]bool{
		textual.ErrMalformedReply: true, textual.ErrReplyTooBig: true, textual.ErrBareCR: true, textual.ErrBareLF: true, textual.ErrLineTooLong: true,
		io.ErrUnexpectedEOF: false, io.EOF: false, errors.New("x"): false,
	} {
		if isGarbled(fmt.Errorf("x: %w", err)) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}

// TestEnhancedCodes: only what has the form of an enhanced code of the reply's class is
// one; anything else is text (RFC 2034 §4).
func TestEnhancedCodes(t *testing.T) {
	for text, want := range map[string]string{
		"2.0.0 ok": "2.0.0", "2.0.0": "2.0.0", "2.123.999 ok": "2.123.999", "2.1.5 2.1.5 ok": "2.1.5",
		"": "", "ok": "", "2": "", "2.0": "", "2.0.": "", "2..0": "", ".0.0": "", "2.0.0.0 ok": "", "2.x.0 ok": "", "2.0.x ok": "",
		"2.1234.0 ok": "", "2.0.1234 ok": "", "5.0.0 ok": "", "22.0.0 ok": "", "2.0.0x": "", "2.:.0": "", "2./.0": "", "2.0.:": "",
	} {
		if got := enhancedCode(text, 250); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	mailtest.Octets(t, "number", "12", isNumber, func(c byte) bool { return '0' <= c && c <= '9' })
}

// TestStartTLSOutlivesItsContext: the context of a call ends with the call.
func TestStartTLSOutlivesItsContext(t *testing.T) {
	script := hello("STARTTLS") + "C: STARTTLS\nS: 220 go\ntls\nC: EHLO me.example\nS: 250 hello again\nC: NOOP\nS: 250 ok"
	withTLSServer(t, script, func(conn net.Conn, config *tls.Config) {
		c := NewClient(conn, "mx.example")
		for _, call := range []func(ctx context.Context) error{
			func(ctx context.Context) error { return c.Hello(ctx, "me.example") },
			func(ctx context.Context) error { return c.StartTLS(ctx, config) },
			func(ctx context.Context) error { return c.Hello(ctx, "me.example") },
			c.Noop,
		} {
			ctx, cancel := context.WithCancel(context.Background())
			if err := call(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
			synctest.Wait()
		}
	})
}

// TestDialNowhere: an address that is none is an error.
func TestDialNowhere(t *testing.T) {
	for _, addr := range []string{"", ":", "/", "[", "x"} {
		var e *ClientError
		if c, err := Dial(t.Context(), addr); c != nil || !errors.As(err, &e) || e.Op != "dial" {
			t.Errorf("%q: %v, %v", addr, c, err)
		}
	}
}

// seeking is a message of which one call fails.
type seeking struct {
	*bytes.Reader
	n *mailtest.Nth
}

func (s seeking) Read(p []byte) (int, error) {
	if err := s.n.Fail("read"); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

func (s seeking) Seek(to int64, whence int) (int64, error) {
	if err := s.n.Fail("seek"); err != nil {
		return 0, err
	}
	return s.Reader.Seek(to, whence)
}

// TestSendMailFromBadSource: a message that cannot be read, or not be read twice, is not
// sent, and never in part or empty.
func TestSendMailFromBadSource(t *testing.T) {
	const text = "Subject: x\r\n\r\nhello\r\n"
	failed := mailtest.EachCall(t, func(t *testing.T, n *mailtest.Nth) {
		k, addr := serve(t, "tcp", "127.0.0.1:0", &Server{Log: slog.New(slog.DiscardHandler)})
		err := SendMail(t.Context(), addr, "a@a.example", []string{"b@b.example"}, seeking{bytes.NewReader([]byte(text)), n})
		if what := n.Failed(); (what == "") != (err == nil) || len(k.got) > 1 || (len(k.got) == 1) != (err == nil) {
			t.Errorf("%s fails: %v, and %q has arrived", what, err, k.got)
		}
	})
	if calls := strings.Join(failed, " "); !strings.HasPrefix(calls, "seek read read seek read") {
		t.Errorf("the calls are %s", calls) // look, rewind, send
	}
}
