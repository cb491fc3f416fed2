package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestSendOverShakyConnection: whichever call on the connection fails, a recipient for
// whom there is no error has the message, and one who has it while there is an error is
// known to be in doubt.
func TestSendOverShakyConnection(t *testing.T) {
	for name, d := range map[string]Dialer{
		"BDAT": {}, "DATA": {NoChunking: true}, "LMTP BDAT": {LMTP: true}, "LMTP DATA": {LMTP: true, NoChunking: true},
	} {
		for _, pipelining := range []bool{true, false} {
			for _, whole := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s pipelining=%v whole=%v", name, pipelining, whole), func(t *testing.T) {
					mailtest.EachCall(t, func(t *testing.T, n *mailtest.Nth) {
						synctest.Test(t, func(t *testing.T) { sendShaky(t, d, pipelining, n, whole) })
					})
				})
			}
		}
	}
}

// sendShaky sends one message by d to a server, over a connection on which one call fails.
func sendShaky(t *testing.T, d Dialer, pipelining bool, n *mailtest.Nth, whole bool) {
	text := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 3000)
	has := make(map[string]bool)
	srv := &Server{LMTP: d.LMTP, Hostname: "mx.example", Log: slog.New(slog.DiscardHandler)}
	if !pipelining {
		srv.Extensions.Hide = []string{"PIPELINING"}
	}
	srv.CheckRcpt = func(context.Context, *Session, *Recipient) error { return nil }
	srv.Handler = HandlerFunc(func(_ context.Context, e *Envelope) error {
		if got, err := io.ReadAll(e.Data); err != nil || string(got) != text {
			return errors.Join(err, errors.New("not the message"))
		}
		for _, r := range e.To {
			has[r.Path.String()] = true
		}
		return nil
	})
	ours, theirs := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- srv.ServeConn(theirs) }()
	d.Hello = "me.example"
	m := mail("a@a.example", "b@b.example", "c@c.example")
	c, err := d.Start(t.Context(), mailtest.FaultyConn(ours, n, whole), "mx.example")
	var results []RcptResult
	if err == nil {
		results, err = c.Send(t.Context(), m, strings.NewReader(text))
		c.Close()
	}
	<-served
	for i, r := range results {
		to := m.To[i].Path.String()
		switch {
		case r.Err == nil && !has[to]:
			t.Errorf("%s: no error, and the server does not have the message", to)
		case r.Err != nil && has[to] && !r.InDoubt:
			t.Errorf("%s has it, and no doubt with %v", to, r.Err)
		case r.Err == nil && err != nil && !d.LMTP:
			t.Errorf("%s has it, and the error is %v", to, err)
		}
	}
	if n.Failed() == "" && (err != nil || outcome(results) != "ok, ok") {
		t.Errorf("nothing failed: %v, %s", err, outcome(results))
	}
}

// TestBrokenWhileSending: a server that goes away in the middle of a message is not
// taken for one that has it.
func TestBrokenWhileSending(t *testing.T) {
	for _, size := range []int{1, 4 << 10, 64 << 10, 300 << 10} {
		for _, d := range []Dialer{{}, {NoChunking: true}} {
			synctest.Test(t, func(t *testing.T) { breakWhileSending(t, d, size) })
		}
	}
}

func breakWhileSending(t *testing.T, d Dialer, size int) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		io.WriteString(theirs, "220 x\r\n")
		said := 0
		buf := make([]byte, 64<<10)
		for {
			n, err := theirs.Read(buf)
			for line := range strings.Lines(string(buf[:n])) {
				switch {
				case strings.HasPrefix(line, "EHLO"):
					io.WriteString(theirs, "250-x\r\n250 CHUNKING\r\n")
				case strings.HasPrefix(line, "DATA"):
					io.WriteString(theirs, "354 x\r\n")
					io.ReadFull(theirs, buf[:min(size, len(buf)/2)])
					return
				case strings.HasPrefix(line, "BDAT"):
					return
				case said < 2:
					said++
					io.WriteString(theirs, "250 x\r\n")
				}
			}
			if err != nil {
				return
			}
		}
	}()
	d.Hello = "me.example"
	c, err := d.Start(t.Context(), ours, "mx.example")
	if err != nil {
		t.Fatal(err)
	}
	results, err := c.Send(t.Context(), mail("a@a.example", "b@b.example"), strings.NewReader(strings.Repeat("x", size)+"\r\n"))
	if err == nil || results[0].Err == nil {
		t.Errorf("%d octets, %+v: %v, %s", size, d, err, outcome(results))
	}
	c.Close()
}

// TestOutcomeFailsSafe: a recipient about whom no step has decided does not have the
// message.
func TestOutcomeFailsSafe(t *testing.T) {
	tr := &Transaction{results: make([]RcptResult, 2), done: []bool{true, false}}
	results, err := tr.outcome(nil)
	if err == nil || results[0].Err != nil || results[1].Err == nil {
		t.Errorf("%v, %v", results, err)
	}
}

// TestCleartextMechanisms: no mechanism of ours that gives a secret away is started
// without TLS, unless the caller wants it, and all others are.
func TestCleartextMechanisms(t *testing.T) {
	for _, m := range sasl.Mechanisms() {
		for _, allowed := range []bool{false, true} {
			for _, spelt := range []string{m.Name, strings.ToLower(m.Name)} {
				script := hello("AUTH " + m.Name)
				refused := m.Cleartext && !allowed
				if refused {
					script += "end"
				} else {
					script += "C: AUTH " + spelt + "\nS: 235 ok"
				}
				withServer(t, script, func(conn net.Conn) {
					c := started(t, Dialer{AllowCleartextAuth: allowed}, conn)
					err := c.Auth(context.Background(), mechanism{spelt, nil})
					if errors.Is(err, ErrCleartext) != refused || err != nil != refused {
						t.Errorf("%s, allowed %v: %v", spelt, allowed, err)
					}
				})
			}
		}
	}
}
