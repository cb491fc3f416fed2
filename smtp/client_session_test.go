package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postrider-mail/postrider/cipher"
	"github.com/postrider-mail/postrider/cipher/sasl"
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
				var r *Reply
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

func TestStartTLS(t *testing.T) {
	script := hello("STARTTLS", "AUTH PLAIN", "X-BEFORE") + `
		C: STARTTLS
		S: 220 go
		tls
		C: EHLO me.example
		S: 250-mx.example
		S: 250 AUTH PLAIN
		C: NOOP
		S: 250 ok`
	for _, policy := range []TLSPolicy{TLSIfOffered, TLSRequired, TLSOpportunistic} {
		withTLSServer(t, script, func(conn net.Conn, config *tls.Config) {
			d := Dialer{TLS: policy, TLSConfig: config}
			if policy == TLSOpportunistic {
				d.TLSConfig = nil // the certificate is of no known authority
			}
			c := started(t, d, conn)
			if _, before := c.Extension("X-BEFORE"); before || c.TLS() == nil || !c.TLS().HandshakeComplete {
				t.Errorf("policy %v: %v, %v", policy, c.ext, c.TLS())
			}
			if verified := len(c.TLS().VerifiedChains) > 0; verified != (policy != TLSOpportunistic) {
				t.Errorf("policy %v: verified %v", policy, verified)
			}
			if err := c.Noop(context.Background()); err != nil {
				t.Error(err)
			}
			if err := c.StartTLS(context.Background(), nil); err == nil {
				t.Error("TLS within TLS")
			}
		})
	}
}

func TestStartTLSFails(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		d            Dialer
		trust        bool
		is           error
		op           string
	}{
		{"not offered", hello() + "end", Dialer{TLS: TLSRequired}, true, ErrUnsupported, "STARTTLS"},
		{"refused", hello("STARTTLS") + "C: STARTTLS\nS: 454 4.7.0 not now\nC: QUIT\nS: 221 bye", Dialer{TLS: TLSRequired}, true, &Reply{Code: 454, Enhanced: "4.7.0"}, "STARTTLS"},
		{"refused, opportunistic", hello("STARTTLS") + "C: STARTTLS\nS: 454 4.7.0 not now\nC: QUIT\nS: 221 bye", Dialer{TLS: TLSOpportunistic}, true, &Reply{Code: 454, Enhanced: "4.7.0"}, "STARTTLS"},
		{"replies injected before the handshake", hello("STARTTLS") + "C: STARTTLS\n" + `raw 220 go\r\n250 mx.example\r\n` + "\nend", Dialer{TLS: TLSRequired}, true, cipher.ErrBuffered, "TLS"},
		{"no handshake", hello("STARTTLS") + "C: STARTTLS\nS: 220 go\nwait 61s", Dialer{TLS: TLSRequired}, true, context.DeadlineExceeded, "TLS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withTLSServer(t, tt.script, func(conn net.Conn, config *tls.Config) {
				tt.d.Hello = "me.example"
				_, err := tt.d.Start(context.Background(), conn, "mx.example")
				var e *ClientError
				if !errors.Is(err, tt.is) || !errors.As(err, &e) || e.Op != tt.op {
					t.Errorf("%v, want %s: %v", err, tt.op, tt.is)
				}
			})
		})
	}
}

func TestCertificateIsChecked(t *testing.T) {
	for _, tt := range []struct {
		policy TLSPolicy
		host   string
		trust  bool
	}{{TLSIfOffered, "mx.example", false}, {TLSRequired, "other.example", true}, {TLSFromStart, "other.example", true}} {
		script := hello("STARTTLS") + "C: STARTTLS\nS: 220 go\ntls\nend"
		if tt.policy == TLSFromStart {
			script = "tls\nend"
		}
		// Over TCP: a pipe has no room for the alert behind a bad certificate.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server, config := certificate(t)
		go func() {
			if conn, err := l.Accept(); err == nil {
				follow(conn, script, server)
			}
		}()
		d := Dialer{Hello: "me.example", TLS: tt.policy}
		if tt.trust {
			d.TLSConfig = config
		}
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Start(context.Background(), conn, tt.host)
		var bad *tls.CertificateVerificationError
		if !errors.As(err, &bad) {
			t.Errorf("policy %v: %v", tt.policy, err)
		}
		l.Close()
	}
}

func TestTLSFromStart(t *testing.T) {
	withTLSServer(t, "tls\n"+hello("REQUIRETLS", "PIPELINING")+`
		C: MAIL FROM:<> REQUIRETLS
		C: RCPT TO:<r@d>
		C: DATA
		S: 250 ok
		S: 250 ok
		S: 354 go
		C: .
		S: 250 ok`, func(conn net.Conn, config *tls.Config) {
		c := started(t, Dialer{TLS: TLSFromStart, TLSConfig: config}, conn)
		m := mail("", "r@d")
		m.Params.RequireTLS = true
		results, err := c.Send(context.Background(), m, strings.NewReader(""))
		if err != nil || outcome(results) != "ok" {
			t.Error(outcome(results), err)
		}
		c.Close()
	})
}

func TestAuth(t *testing.T) {
	plain := func([]string, *tls.ConnectionState) (sasl.Client, error) { return sasl.PlainClient("", "u", "p"), nil }
	login := func([]string, *tls.ConnectionState) (sasl.Client, error) { return sasl.LoginClient("u", "p"), nil }
	for _, tt := range []struct {
		name   string
		d      Dialer
		script string
		is     error
		user   bool
	}{
		{"PLAIN", Dialer{Auth: plain, AllowCleartextAuth: true}, hello("AUTH PLAIN") + "C: AUTH PLAIN AHUAcA==\nS: 235 2.7.0 ok", nil, true},
		{"chosen", Dialer{User: "u", Password: "p", AllowCleartextAuth: true}, hello("AUTH PLAIN") + "C: AUTH PLAIN AHUAcA==\nS: 235 2.7.0 ok", nil, true},
		{"LOGIN", Dialer{Auth: login, AllowCleartextAuth: true}, hello("AUTH LOGIN") +
			"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dQ==\nS: 334 UGFzc3dvcmQ6\nC: cA==\nS: 235 ok", nil, true},
		{"denied", Dialer{Auth: plain, AllowCleartextAuth: true}, hello("AUTH PLAIN") + "C: AUTH PLAIN AHUAcA==\nS: 535 5.7.8 no\nC: QUIT\nclose", &Reply{Code: 535, Enhanced: "5.7.8"}, false},
		{"in the clear", Dialer{Auth: plain}, hello("AUTH PLAIN") + "end", ErrCleartext, false},
		{"chosen in the clear", Dialer{User: "u", Password: "p"}, hello("AUTH PLAIN") + "end", sasl.ErrNoMechanism, false},
		{"not offered", Dialer{Auth: plain, AllowCleartextAuth: true}, hello() + "end", ErrUnsupported, false},
		{"not base64", Dialer{Auth: login, AllowCleartextAuth: true}, hello("AUTH LOGIN") + "C: AUTH LOGIN\nS: 334 !\nC: *\nS: 501 cancelled\nend", nil, false},
		{"no end of challenges", Dialer{Auth: login, AllowCleartextAuth: true}, hello("AUTH LOGIN") +
			"C: AUTH LOGIN\nS: 334 \nC: dQ==\nS: 334 \nC: cA==\nS: 334 \nC: *\nS: 501 cancelled\nend", sasl.ErrMalformed, false},
		{"success after cancelling", Dialer{Auth: login, AllowCleartextAuth: true}, hello("AUTH LOGIN") + "C: AUTH LOGIN\nS: 334 !\nC: *\nS: 235 fine\nend", ErrProtocol, false},
		{"SCRAM without its proof", Dialer{User: "u", Password: "p"}, hello("AUTH SCRAM-SHA-256") + "scram", sasl.ErrServer, false},
	} {
		if strings.HasSuffix(tt.script, "scram") {
			continue // the nonce is random; see TestScramNeedsProof
		}
		t.Run(tt.name, func(t *testing.T) {
			withServer(t, tt.script, func(conn net.Conn) {
				tt.d.Hello = "me.example"
				var shown []string
				tt.d.Trace = func(dir byte, line string) { shown = append(shown, string(dir)+" "+line) }
				c, err := tt.d.Start(context.Background(), conn, "mx.example")
				if tt.user != (err == nil) || tt.is != nil && !errors.Is(err, tt.is) {
					t.Fatalf("%v, want %v", err, tt.is)
				}
				if err == nil && !c.Authenticated() {
					t.Error("not authenticated")
				}
				if text := strings.Join(shown, "\n"); strings.Contains(text, "AHUA") || strings.Contains(text, "cA==") || strings.Contains(text, "dQ==") {
					t.Errorf("the trace shows credentials:\n%s", text)
				}
			})
		})
	}
}

func TestScramNeedsProof(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		r := textual.NewReader(theirs)
		io.WriteString(theirs, "220 hi\r\n")
		r.ReadLine(510)
		io.WriteString(theirs, "250-hi\r\n250 AUTH SCRAM-SHA-256\r\n")
		r.ReadLine(510)
		io.WriteString(theirs, "235 welcome\r\n")
		io.Copy(io.Discard, theirs)
	}()
	_, err := (&Dialer{Hello: "me", User: "u", Password: "p"}).Start(context.Background(), ours, "mx.example")
	if err == nil {
		t.Error("a server that proved nothing was believed")
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
