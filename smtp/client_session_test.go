package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider-mail/postrider/parsers/textual"
)

func TestHelloFallsBack(t *testing.T) {
	withServer(t, `
		S: 220 old
		C: EHLO me.example
		S: 502 what?
		C: HELO me.example
		S: 250 SIZE 5
		C: QUIT
		S: 221 bye`, func(conn net.Conn) {
		c := started(t, Dialer{}, conn)
		if _, ok := c.Extension("SIZE"); ok || c.HelloReply().Text != "SIZE 5" || c.Greeting().Text != "old" {
			t.Errorf("%v, %v", c.HelloReply(), c.ext)
		}
		if err := c.Quit(context.Background()); err != nil || c.Usable() {
			t.Error(err, c.Usable())
		}
	})
}

func TestExtensions(t *testing.T) {
	withServer(t, hello("8bitmime", "Size 1000", "AUTH PLAIN", "AUTH=LOGIN cram-md5", "", "X")+"end", func(conn net.Conn) {
		c := started(t, Dialer{}, conn)
		for keyword, want := range map[string]string{"8BITMIME": "", "size": "1000", "x": ""} {
			if got, ok := c.Extension(keyword); !ok || got != want {
				t.Errorf("%s is %q, %v", keyword, got, ok)
			}
		}
		if got := strings.Join(c.Mechanisms(), " "); got != "PLAIN LOGIN CRAM-MD5" {
			t.Error(got)
		}
		if c.Host() != "mx.example" || c.RemoteAddr().String() != "192.0.2.2:25" || c.LocalAddr().String() != "192.0.2.1:1025" ||
			c.String() != "mx.example [192.0.2.2:25]" || c.TLS() != nil || c.Authenticated() {
			t.Error(c.String())
		}
	})
}

// Servers that must not be spoken to, or that make no sense: an error, with
// what they said in it, and never a hang.
func TestHostileGreetings(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		is           error
		reply        string // the reply in the error
		quit         bool
	}{
		{"no", "S: 554 5.7.1 go away\nC: QUIT\nS: 221 bye", nil, "554 5.7.1 go away", false},
		{"later", "S: 450 4.7.0 greylisted\nC: QUIT\nclose", nil, "450 4.7.0 greylisted", false},
		{"421", "S: 421 4.3.2 busy\nend", nil, "421 4.3.2 busy", false},
		{"no code", "S: hello\nend", ErrProtocol, "0 hello", false},
		{"HTTP", "S: HTTP/1.1 400 Bad Request\nend", textual.ErrMalformedReply, "0 HTTP/1.1 400 Bad Request", false},
		{"codes differ", "S: 220-hello\nS: 250 hello\nend", textual.ErrMalformedReply, "0 hello; 250 hello", false},
		{"354", "S: 354 hello\nend", ErrProtocol, "354 hello", false},
		{"nothing", "wait 5m1s", os.ErrDeadlineExceeded, "", false},
		{"half a reply", "S: 220-wait\nwait 5m1s", os.ErrDeadlineExceeded, "0 wait", false},
		{"hangs up", "close", io.ErrUnexpectedEOF, "", false},
		{"hangs up in the middle", "S: 220-wait\nclose", io.ErrUnexpectedEOF, "0 wait", false},
		{"endless lines", strings.Repeat("S: 220-x\n", maxReplyLines+1) + "end", textual.ErrReplyTooBig, "0 x", false},
		{"endless line", "S: 220 " + strings.Repeat("x", 2*maxReplyLine) + "\nend", textual.ErrReplyTooBig, "", false},
		{"bare CR", `raw 220 a\r220 b\r\n` + "\nend", textual.ErrBareCR, "", false},
		{"control characters", `raw 554 \0no` + "\x1b[2J\xff" + `\r\n` + "\nC: QUIT\nclose", nil, "554 ?no?[2J?", false},
		{"EHLO refused", "S: 220 hi\nC: EHLO me.example\nS: 550 5.7.1 who?\nC: QUIT\nclose", nil, "550 5.7.1 who?", false},
		{"HELO refused too", "S: 220 hi\nC: EHLO me.example\nS: 500 ?\nC: HELO me.example\nS: 550 who?\nC: QUIT\nclose", nil, "550 who?", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withServer(t, tt.script, func(conn net.Conn) {
				c, err := (&Dialer{Hello: "me.example"}).Start(context.Background(), conn, "mx.example")
				if c != nil || err == nil {
					t.Fatal("started")
				}
				var e *ClientError
				if !errors.As(err, &e) || tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("error %v, want %v", err, tt.is)
				}
				var r *Response
				if errors.As(err, &r) {
					if got := r.Error(); got != tt.reply && !(tt.reply == "0 x" && strings.HasPrefix(got, "0 x; x")) {
						t.Errorf("reply %q, want %q", got, tt.reply)
					}
				} else if tt.reply != "" {
					t.Errorf("no reply in %v", err)
				}
			})
		})
	}
}

// Many messages over one connection, also behind one that was not finished.
func TestManyMessages(t *testing.T) {
	one := `
		C: MAIL FROM:<a@b>
		C: RCPT TO:<r@d>
		C: DATA
		S: 250 ok
		S: 250 ok
		S: 354 go
		C: x
		C: .
		S: 250 ok`
	refused := `
		C: MAIL FROM:<a@b>
		C: RCPT TO:<r@d>
		C: DATA
		S: 250 ok
		S: 550 no
		S: 503 no`
	reset := strings.Replace(strings.Replace(one, "C: MAIL", "C: RSET\nC: MAIL", 1), "S: 250", "S: 250 flushed\nS: 250", 1)
	withServer(t, hello("PIPELINING")+one+one+refused+reset+refused+`
		C: RSET
		S: 250 ok`+one+`
		C: VRFY someone
		S: 252 try it`, func(conn net.Conn) {
		c := started(t, Dialer{}, conn)
		ctx := context.Background()
		for i, want := range []string{"ok", "ok", "RCPT 550 no", "ok", "RCPT 550 no", "reset", "ok"} {
			if want == "reset" {
				if err := c.Reset(ctx); err != nil {
					t.Error(err)
				}
				continue
			}
			results, err := c.Send(ctx, mail("a@b", "r@d"), strings.NewReader("x"))
			if got := outcome(results); got != want || err != nil {
				t.Errorf("message %d: %s, %v; want %s", i, got, err, want)
			}
		}
		if r, err := c.Verify(ctx, "someone"); err != nil || r.Code != 252 {
			t.Error(r, err)
		}
		if _, err := c.Command(ctx, "NOOP\r\nQUIT"); !errors.Is(err, ErrBadCommand) {
			t.Error(err)
		}
	})
}

// TestClearAnswers: a reply that is too long to be read or in no one code says yes or no all the same, at every
// step where a message or a recipient is taken or refused; what was taken is not to be sent again.
func TestClearAnswers(t *testing.T) {
	long := strings.Repeat("x", 2*maxReplyLine)
	many := func(code string, n int) string { return strings.Repeat("S: "+code+"-x\n", n) + "S: " + code + " end\n" }
	start := hello() + "C: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<r@d>\n"
	message := start + "S: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\n"
	for name, c := range map[string]struct{ script, want string }{
		"taken, a long line":           {message + "S: 250 " + long + "\nend", "250"},
		"taken, as many lines as read": {message + many("250", maxReplyLines-1), "250"},
		"taken, one line more":         {message + many("250", maxReplyLines) + "end", "250"},
		"taken, mixed":                 {message + "S: 250-one\nS: 251 two\n", "251"},
		"refused, a long line":         {message + "S: 554 " + long + "\nend", "554"},
		"refused, one line more":       {message + many("554", maxReplyLines) + "end", "554"},
		"no recipient, a long line":    {start + "S: 550 " + long + "\nend", "550"},
		"a contradiction":              {message + "S: 250-one\nS: 550 two\nend", "in doubt"},
		"no code":                      {message + "S: " + long + "\nend", "in doubt"},
	} {
		t.Run(name, func(t *testing.T) {
			withServer(t, c.script, func(conn net.Conn) {
				client := started(t, Dialer{}, conn)
				results, err := client.Send(context.Background(), mail("a@b", "r@d"), strings.NewReader("x"))
				if len(results) != 1 {
					t.Fatalf("%+v, %v", results, err)
				}
				got, r := "in doubt", results[0]
				if !r.InDoubt {
					got = fmt.Sprint(r.Reply.Code)
				}
				if got != c.want || (r.Err == nil) != (got[0] == '2') {
					t.Errorf("%s, want %s (%+v, %v)", got, c.want, results, err)
				}
			})
		})
	}
}

func TestResetRefusedEndsIt(t *testing.T) {
	withServer(t, hello()+`
		C: MAIL FROM:<a@b>
		S: 250 ok
		C: RCPT TO:<r@d>
		S: 550 no
		C: RSET
		S: 500 what?
		end`, func(conn net.Conn) {
		c := started(t, Dialer{}, conn)
		c.Send(context.Background(), mail("a@b", "r@d"), strings.NewReader("x"))
		results, err := c.Send(context.Background(), mail("a@b", "other@d"), strings.NewReader("x"))
		if err == nil || outcome(results) != "RSET 500 what?" || c.Usable() {
			t.Error(outcome(results), err, c.Usable())
		}
		if _, err := c.Send(context.Background(), mail("a@b", "r@d"), strings.NewReader("x")); !errors.Is(err, ErrClientClosed) {
			t.Error(err)
		}
	})
}

// A server that says more than it was asked for would get out of step.
func TestUnaskedReplies(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"behind EHLO", hello("PIPELINING") + "S: 250 ok\nS: 250 ok\nS: 354 go\nend", "MAIL 250 ok"},
		{"421 behind EHLO", hello() + "S: 421 4.3.2 bye\nend", "MAIL 421 4.3.2 bye"},
		{"behind 354", hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r@d>
			S: 250 ok
			C: DATA
			S: 354 go
			S: 250 delivered already
			end`, "DATA 250 delivered already"},
	} {
		withServer(t, tt.script, func(conn net.Conn) {
			c := started(t, Dialer{}, conn)
			results, err := c.Send(context.Background(), mail("a@b", "r@d"), strings.NewReader("x"))
			if outcome(results) != tt.want || err == nil || c.Usable() || results[0].InDoubt {
				t.Errorf("%s: %s, %v", tt.name, outcome(results), err)
			}
		})
	}
}

func TestLocalFaults(t *testing.T) {
	withServer(t, hello()+"end", func(conn net.Conn) {
		c := started(t, Dialer{}, conn)
		ctx := context.Background()
		if _, err := c.Send(ctx, &Outgoing{}, nil); err == nil {
			t.Error("sent to nobody")
		}
		if _, err := c.Send(ctx, &Outgoing{From: Path{Local: "a\r\nQUIT", Domain: "b"}, To: mail("", "r@d").To}, nil); !errors.Is(err, ErrBadCommand) {
			t.Error(err)
		}
		if _, err := c.Send(ctx, &Outgoing{From: Path{Local: "a", Domain: "b> SIZE=1"}, To: mail("", "r@d").To}, nil); !errors.Is(err, ErrBadCommand) {
			t.Error(err)
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		if results, err := c.Send(over, mail("", "r@d"), nil); !errors.Is(err, context.Canceled) || results[0].InDoubt || !c.Usable() {
			t.Error(err, c.Usable())
		}
		var e *ClientError
		if err := c.Auth(over, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := c.Command(over, "NOOP"); errors.As(err, &e) || err == nil {
			t.Error(err)
		}
	})
	c := NewClient(nil, "x")
	if _, err := c.Send(context.Background(), mail("", "r@d"), nil); err == nil {
		t.Error("sent before Hello")
	}
}

// A body that cannot be read must not be delivered in part.
func TestBodyFails(t *testing.T) {
	broken := errors.New("disk error")
	envelope := `
		C: MAIL FROM:<a@b>
		S: 250 ok
		C: RCPT TO:<r@d>
		S: 250 ok`
	for _, tt := range []struct {
		name, script string
		usable       bool
	}{
		{"DATA", hello() + envelope + "\nC: DATA\nS: 354 go\nend", false},
		{"BDAT", hello("CHUNKING") + envelope + "\nC: RSET\nS: 250 ok" + envelope + "\nC: BDAT 1 LAST\nraw x\nend", true},
	} {
		if tt.usable {
			tt.script = hello("CHUNKING") + envelope + "\nC: RSET\nS: 250 ok"
		}
		withServer(t, tt.script, func(conn net.Conn) {
			c := started(t, Dialer{}, conn)
			body := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
			results, err := c.Send(context.Background(), mail("a@b", "r@d"), body)
			if !errors.Is(err, broken) || !errors.Is(results[0].Err, broken) || results[0].InDoubt || c.Usable() != tt.usable {
				t.Errorf("%s: %v, %s, usable %v", tt.name, err, outcome(results), c.Usable())
			}
			if tt.usable {
				if err := c.Reset(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A long list of recipients goes in batches, and does not wait for a server
// that wants to be rid of its replies first.
func TestManyRecipients(t *testing.T) {
	var script strings.Builder
	script.WriteString(hello("PIPELINING") + "C: MAIL FROM:<a@b>\nS: 250 ok\n")
	var to []string
	for i := range 250 {
		to = append(to, fmt.Sprintf("recipient-%d@d", i))
		code := "250 ok"
		if i%3 == 0 {
			code = "550 no"
		}
		fmt.Fprintf(&script, "C: RCPT TO:<recipient-%d@d>\nS: %s\n", i, code)
	}
	script.WriteString("C: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok")
	withServer(t, script.String(), func(conn net.Conn) {
		c := started(t, Dialer{}, conn)
		results, err := c.Send(context.Background(), mail("a@b", to...), strings.NewReader("x\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if (r.Err == nil) != (i%3 != 0) {
				t.Errorf("recipient %d: %v", i, r.Err)
			}
		}
	})
}
