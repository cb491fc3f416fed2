package smtp

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// A context that ends behind a call has no say in the next one.
func TestContextEndsLater(t *testing.T) {
	withServer(t, hello()+"C: NOOP\nS: 250 ok\nC: NOOP\nwait 2m\nS: 250 ok", func(conn net.Conn) {
		c := started(t, Dialer{}, conn)
		ctx, cancel := context.WithCancel(context.Background())
		if err := c.Noop(ctx); err != nil {
			t.Error(err)
		}
		time.AfterFunc(time.Minute, cancel)
		if err := c.Noop(context.Background()); err != nil {
			t.Error(err)
		}
		c.call, c.cut = 7, true // as if it had ended just before the end of a call
		c.leave()
		c.interrupt(7)
		if c.cut {
			t.Error("the end of a context counts after the call")
		}
	})
}

// Every wait has its own time limit (RFC 5321 §4.5.3.2).
func TestTimeouts(t *testing.T) {
	envelope := "C: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<r@d>\nS: 250 ok\nC: DATA\n"
	for _, tt := range []struct {
		name, script string
		after        time.Duration
		doubt        bool
	}{
		{"MAIL", "C: MAIL FROM:<a@b>\nwait 1h", 5 * time.Minute, false},
		{"RCPT", "C: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<r@d>\nwait 1h", 5 * time.Minute, false},
		{"DATA", envelope + "wait 1h", 2 * time.Minute, false},
		{"block", envelope + "S: 354 go\nC: 1\nwait 1h", 3*time.Minute + lastWordsWait, true},
		{"end", envelope + "S: 354 go\nC: 1\nC: .\nwait 1h", 10 * time.Minute, true},
		{"slow but steady", "C: MAIL FROM:<a@b>\nwait 4m\nS: 250 ok\nC: RCPT TO:<r@d>\nwait 4m\nS: 250 ok\nC: DATA\nwait 1m\nS: 354 go\nC: 1\nC: .\nwait 9m\nS: 250 ok", 18 * time.Minute, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withServer(t, hello()+tt.script, func(conn net.Conn) {
				c := started(t, Dialer{}, conn)
				begin := time.Now()
				body := "1\r\n"
				if tt.name == "block" {
					body += strings.Repeat("x", 2<<20) // more than the server's reader takes in
				}
				results, err := c.Send(context.Background(), mail("a@b", "r@d"), strings.NewReader(body))
				if got := time.Since(begin); got != tt.after {
					t.Errorf("after %v, want %v", got, tt.after)
				}
				if tt.name == "slow but steady" {
					if err != nil || outcome(results) != "ok" {
						t.Error(err)
					}
					return
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) || c.Usable() {
					t.Errorf("%v", err)
				}
				if tt.name != "block" && results[0].InDoubt != tt.doubt {
					t.Errorf("in doubt: %v", results[0].InDoubt)
				}
			})
		})
	}
}

// The end of the context ends every wait at once.
func TestCancel(t *testing.T) {
	envelope := "C: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<r@d>\nS: 250 ok\n"
	cause := errors.New("shutting down")
	for name, script := range map[string]string{
		"greeting": "wait 1h",
		"EHLO":     "S: 220 hi\nC: EHLO me.example\nwait 1h",
		"TLS":      hello("STARTTLS") + "C: STARTTLS\nS: 220 go\nwait 1h",
		"MAIL":     hello() + "C: MAIL FROM:<a@b>\nwait 1h",
		"DATA":     hello() + envelope + "C: DATA\nwait 1h",
		"block":    hello() + envelope + "C: DATA\nS: 354 go\nC: 1\nwait 1h",
		"end":      hello() + envelope + "C: DATA\nS: 354 go\nC: 1\nwait 1h",
		"BDAT":     hello("CHUNKING", "PIPELINING") + strings.ReplaceAll(envelope, "S: 250 ok\nC: R", "C: R") + "wait 1h",
	} {
		t.Run(name, func(t *testing.T) {
			withServer(t, script, func(conn net.Conn) {
				ctx, cancel := context.WithCancelCause(context.Background())
				begin := time.Now()
				time.AfterFunc(30*time.Second, func() { cancel(cause) })
				c, err := (&Dialer{Hello: "me.example"}).Start(ctx, conn, "mx.example")
				if err == nil {
					body := "1\r\n"
					if name == "block" || name == "BDAT" {
						body += strings.Repeat("x", 2<<20)
					}
					var results []RcptResult
					results, err = c.Send(ctx, mail("a@b", "r@d"), strings.NewReader(body))
					if outcome(results) == "ok" || results[0].InDoubt != (name == "end") {
						t.Error(outcome(results))
					}
					if c.Usable() {
						t.Error("still usable")
					}
				}
				if got := time.Since(begin); got != 30*time.Second || !errors.Is(err, cause) {
					t.Errorf("after %v: %v", got, err)
				}
			})
		})
	}
}

// Close from elsewhere wakes a call that waits.
func TestCloseWhileWaiting(t *testing.T) {
	withServer(t, hello()+"C: NOOP\nwait 1h", func(conn net.Conn) {
		c := started(t, Dialer{}, conn)
		time.AfterFunc(time.Minute, func() { c.Close() })
		begin := time.Now()
		if err := c.Noop(context.Background()); !errors.Is(err, ErrClientClosed) || time.Since(begin) != time.Minute {
			t.Error(err, time.Since(begin))
		}
	})
}

// A server that says no and hangs up while the message is still being sent is
// heard, and leaves no doubt.
func TestRefusedWhileSending(t *testing.T) {
	for name, script := range map[string]string{
		"DATA":       hello() + "C: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<r@d>\nS: 250 ok\nC: DATA\nS: 354 go\nS: 552 5.3.4 too big\nclose",
		"DATA, late": hello() + "C: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<r@d>\nS: 250 ok\nC: DATA\nS: 354 go\nC: 1\nS: 552 5.3.4 too big\nclose",
		"BDAT":       hello("CHUNKING") + "C: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<r@d>\nS: 250 ok\nS: 552 5.3.4 too big\nclose",
	} {
		for _, size := range []int{1000, 1 << 20} {
			withServer(t, script, func(conn net.Conn) {
				c := started(t, Dialer{}, conn)
				body := "1\r\n" + strings.Repeat("x", size)
				results, err := c.Send(context.Background(), mail("a@b", "r@d"), strings.NewReader(body))
				got := outcome(results)
				if !strings.HasSuffix(got, " 552 5.3.4 too big") || results[0].InDoubt || c.Usable() {
					t.Errorf("%s, %d octets: %s, %v", name, size, got, err)
				}
			})
		}
	}
}
