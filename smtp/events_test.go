package smtp_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
)

// converse sends text to a loop over events and returns what the server said.
func converse(t *testing.T, srv *smtp.Server, text string, each func(*smtp.Event) bool) string {
	t.Helper()
	var got strings.Builder
	synctest.Test(t, func(t *testing.T) {
		srv.Hostname, srv.Log = "mx.example.com", slog.New(slog.DiscardHandler)
		client, server := mailtest.Pipe("192.0.2.1:50000", "192.0.2.25:25")
		over := make(chan struct{})
		go func() {
			defer close(over)
			for ev := range smtp.NewConn(server, srv).Events(context.Background()) {
				if !each(ev) {
					break
				}
			}
		}()
		go func() {
			io.WriteString(client, strings.ReplaceAll(text, "\n", "\r\n"))
		}()
		r := bufio.NewReader(client)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				break
			}
			if line[3] == ' ' {
				got.WriteString(line[:4])
			}
		}
		client.Close()
		<-over
	})
	return strings.TrimSpace(got.String())
}

const twoMails = `EHLO c
RCPT TO:<early@example.com>
MAIL FROM:<a@example.net>
RCPT TO:<b@example.com>
RCPT TO:<nobody@example.com>
DATA
hello
.
MAIL FROM:<a@example.net>
RSET
MAIL FROM:<>
RCPT TO:<b@example.com>
BDAT 4
ab
BDAT 3 LAST
c
`

func TestEvents(t *testing.T) {
	var order []string
	got := converse(t, new(smtp.Server), twoMails+"QUIT\n", func(ev *smtp.Event) bool {
		note := ev.What.String()
		switch ev.What {
		case smtp.EventMail, smtp.EventRcpt:
			note += " <" + ev.Path.String() + ">"
		case smtp.EventHelo:
			note += " " + ev.Arg
		}
		switch {
		case ev.What == smtp.EventMessage:
			b, err := io.ReadAll(ev.Data)
			note += fmt.Sprintf(" %q %v from <%s> to %d", b, err, ev.Envelope.From, len(ev.Envelope.To))
			ev.Accept("kept it in a can")
		case ev.What == smtp.EventRcpt && ev.Path.Local == "nobody":
			ev.Reject(smtp.ErrNoSuchUser)
		}
		order = append(order, note)
		return true
	})
	if want := "220 250 503 250 250 550 354 250 250 250 250 250 250 250 221"; got != want {
		t.Errorf("replies are\n%s, want\n%s", got, want)
	}
	want := []string{
		"Connect", "Helo c",
		"Mail <a@example.net>", "Rcpt <b@example.com>", "Rcpt <nobody@example.com>", "Data", `Message "hello\r\n" <nil> from <a@example.net> to 1`,
		"Mail <a@example.net>", "Reset",
		"Mail <>", "Rcpt <b@example.com>", "Data", `Message "ab\r\nc\r\n" <nil> from <> to 1`,
		"Done",
	}
	if fmt.Sprint(order) != fmt.Sprint(want) {
		t.Errorf("events are\n%s, want\n%s", strings.Join(order, "\n"), strings.Join(want, "\n"))
	}
}

func mechanisms(t *testing.T, names ...string) []sasl.Mechanism {
	t.Helper()
	all, err := sasl.Named(names...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEventsUnansweredAndLeft(t *testing.T) {
	got := converse(t, &smtp.Server{Mechanisms: mechanisms(t, "PLAIN"), CleartextAuth: true},
		"EHLO c\nAUTH PLAIN AHRlc3QAc2VzYW1l\nMAIL FROM:<a@example.net>\nRCPT TO:<b@example.com>\nDATA\nx\n.\nMAIL FROM:<leave@example.net>\nNOOP\n",
		func(ev *smtp.Event) bool { return ev.Path.Local != "leave" })
	if want := "220 250 535 250 250 354 250 421"; got != want {
		t.Errorf("replies are %s, want %s", got, want)
	}
}

func TestEventsAuthenticate(t *testing.T) {
	var user, sender string
	got := converse(t, &smtp.Server{Mechanisms: mechanisms(t, "PLAIN"), CleartextAuth: true},
		"EHLO c\nAUTH PLAIN AHRlc3QAd3Jvbmc=\nAUTH PLAIN AHRlc3QAc2VzYW1l\nMAIL FROM:<a@example.net>\nQUIT\n",
		func(ev *smtp.Event) bool {
			switch ev.What {
			case smtp.EventAuth:
				user, _ = ev.Authenticate(newAccounts())
			case smtp.EventMail:
				sender = ev.Session.User
			}
			return true
		})
	if want := "220 250 535 235 250 221"; got != want {
		t.Errorf("replies are %s, want %s", got, want)
	}
	if user != "test" || sender != "test" {
		t.Errorf("account is %q, and %q at MAIL", user, sender)
	}
}

func TestEventsRefusals(t *testing.T) {
	got := converse(t, new(smtp.Server), "EHLO c\nMAIL FROM:<a@example.net>\nRCPT TO:<b@example.com>\nDATA\nQUIT\n.\nQUIT\n",
		func(ev *smtp.Event) bool {
			if ev.What == smtp.EventMessage {
				ev.Tempfail("later")
			}
			return true
		})
	if want := "220 250 250 250 354 451 221"; got != want {
		t.Errorf("replies are %s, want %s", got, want)
	}
	got = converse(t, new(smtp.Server), "QUIT\n", func(ev *smtp.Event) bool {
		ev.Reject(nil)
		return true
	})
	if want := "554 221"; got != want {
		t.Errorf("replies are %s, want %s", got, want)
	}
}

func TestEventsTLSError(t *testing.T) {
	var last []smtp.EventKind
	converse(t, &smtp.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{{}}}}, "EHLO c\nSTARTTLS\n", func(ev *smtp.Event) bool {
		last = append(last, ev.What)
		return true
	})
	if want := "[Connect Helo TLSError Abort]"; fmt.Sprint(last) != want {
		t.Errorf("events are %v, want %s", last, want)
	}
}

// FuzzEvents: whatever the client says, the loop sees only what is legal, in
// legal order, with one end.
func FuzzEvents(f *testing.F) {
	for _, d := range mailtest.Dialogues(f, "../testdata/dialogues/smtp") {
		f.Add([]byte(d.Said()), byte(len(d.Said())))
	}
	f.Fuzz(func(t *testing.T, input []byte, mask byte) {
		srv := fuzzServer(new([]string))
		c := &script{in: bytes.NewReader(input), step: 1 << 20}
		var hello, ended bool
		state, n := smtp.EventAbort, 0 // the last event of the transaction
		for ev := range smtp.NewConn(c, srv).Events(context.Background()) {
			legal := !ended
			refuse := mask>>(n%8)&1 != 0
			if n++; n == 1 && ev.What != smtp.EventConnect && ev.What != smtp.EventAbort {
				t.Fatalf("first event is %v", ev.What)
			}
			switch ev.What {
			case smtp.EventConnect:
				legal = legal && n == 1
			case smtp.EventHelo: // if accepted within a transaction, Reset follows
				hello = hello || !refuse
			case smtp.EventAuth:
				legal = legal && hello && state == smtp.EventAbort
			case smtp.EventMail:
				legal = legal && hello && state == smtp.EventAbort
				if !refuse {
					state = smtp.EventMail
				}
			case smtp.EventRcpt:
				legal = legal && (state == smtp.EventMail || state == smtp.EventRcpt)
				if !refuse {
					state = smtp.EventRcpt
				}
			case smtp.EventData:
				legal = legal && state == smtp.EventRcpt
				if !refuse {
					state = smtp.EventData
				}
			case smtp.EventMessage:
				legal = legal && state == smtp.EventData && len(ev.Envelope.To) > 0
				state = smtp.EventAbort
				if !refuse {
					io.Copy(io.Discard, ev.Data)
				}
			case smtp.EventReset:
				legal = legal && state != smtp.EventAbort
				state = smtp.EventAbort
			case smtp.EventDone, smtp.EventAbort:
				ended = true
			}
			if !legal {
				t.Fatalf("event %d, %v, in state %v", n, ev.What, state)
			}
			if refuse {
				ev.Reject(nil)
			}
		}
		if !ended {
			t.Fatal("no end")
		}
	})
}
