package smtp

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/textual"
)

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
		{"replies injected before the handshake", hello("STARTTLS") + "C: STARTTLS\n" + `raw 220 go\r\n250 mx.example\r\n` + "\nend", Dialer{TLS: TLSRequired}, true, certs.ErrBuffered, "TLS"},
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
		results, err := c.Send(context.Background(), m, nil)
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
		{"another mechanism", Dialer{User: "u", Password: "p", AllowCleartextAuth: true}, hello("AUTH CRAM-MD5 PLAIN LOGIN") +
			"C: AUTH CRAM-MD5\nS: 504 5.5.4 unknown\nC: AUTH PLAIN AHUAcA==\nS: 534 5.7.9 too weak\n" +
			"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dQ==\nS: 334 UGFzc3dvcmQ6\nC: cA==\nS: 235 ok", nil, true},
		{"no mechanism left", Dialer{User: "u", Password: "p", AllowCleartextAuth: true}, hello("AUTH PLAIN LOGIN") +
			"C: AUTH PLAIN AHUAcA==\nS: 504 5.5.4 no\nC: AUTH LOGIN\nS: 534 5.7.9 weak\nC: QUIT\nclose", &Reply{Code: 534, Enhanced: "5.7.9"}, false},
		{"a wrong password is sent once", Dialer{User: "u", Password: "p", AllowCleartextAuth: true}, hello("AUTH PLAIN LOGIN") +
			"C: AUTH PLAIN AHUAcA==\nS: 535 5.7.8 no\nC: QUIT\nclose", &Reply{Code: 535, Enhanced: "5.7.8"}, false},
		{"not better in the clear", Dialer{User: "u", Password: "p"}, hello("AUTH CRAM-MD5 PLAIN") +
			"C: AUTH CRAM-MD5\nS: 504 5.5.4 no\nC: QUIT\nclose", &Reply{Code: 504, Enhanced: "5.5.4"}, false},
		{"success after cancelling", Dialer{Auth: login, AllowCleartextAuth: true}, hello("AUTH LOGIN") + "C: AUTH LOGIN\nS: 334 !\nC: *\nS: 235 fine\nend", ErrProtocol, false},
	} {
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
				} else if strings.Contains(text, "VXNlcm5hbWU6") {
					t.Errorf("the trace shows a challenge:\n%s", text)
				}
				// All else is there: each command, of AUTH the mechanism.
				for line := range strings.Lines(tt.script) {
					command, ok := strings.CutPrefix(strings.TrimSpace(line), "C: ")
					words := strings.Split(command, " ")
					switch {
					case !ok:
						continue
					case words[0] == "AUTH":
						command = strings.Join(words[:2], " ")
						if len(words) > 2 {
							command += " ***"
						}
					case words[0] != "EHLO" && words[0] != "QUIT":
						command = "***"
					}
					if !slices.Contains(shown, "w "+command) {
						t.Errorf("the trace lacks %q:\n%s", command, strings.Join(shown, "\n"))
					}
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

// What was said in the clear is forgotten, even if nobody says EHLO again:
// somebody else may have said it (RFC 3207 §4.2).
func TestStartTLSForgets(t *testing.T) {
	withTLSServer(t, hello("STARTTLS", "AUTH PLAIN", "SIZE 1")+"C: STARTTLS\nS: 220 go\ntls\nend", func(conn net.Conn, config *tls.Config) {
		ctx := context.Background()
		c := NewClient(conn, "mx.example")
		if err := c.Hello(ctx, "me.example"); err != nil {
			t.Fatal(err)
		}
		if err := c.StartTLS(ctx, config); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Extension("AUTH"); ok || c.HelloReply() != nil || c.Authenticated() {
			t.Error("remembers what was said before TLS")
		}
		if _, err := c.Send(ctx, mail("", "r@d"), strings.NewReader("")); err == nil || !c.Usable() {
			t.Error("sent without EHLO")
		}
		if err := c.Auth(ctx, sasl.PlainClient("", "u", "p")); !errors.Is(err, ErrUnsupported) {
			t.Error(err)
		}
		c.Close()
	})
}

// mechanism is a sasl.Client of a few words.
type mechanism struct {
	name    string
	initial []byte
}

func (m mechanism) Start(context.Context) (string, []byte, error) { return m.name, m.initial, nil }

func (m mechanism) Next(context.Context, []byte) ([]byte, error) { return []byte("next"), nil }

func (m mechanism) choose([]string, *tls.ConnectionState) (sasl.Client, error) { return m, nil }

func TestAuthInitialResponse(t *testing.T) {
	long := strings.Repeat("x", maxAuthLine)
	for _, tt := range []struct {
		initial []byte
		script  string
	}{
		{nil, "C: AUTH X\nS: 334 \nC: bmV4dA==\nS: 235 ok"},
		{[]byte{}, "C: AUTH X =\nS: 235 ok"},
		{[]byte("a"), "C: AUTH X YQ==\nS: 235 ok"},
		{[]byte(long), "C: AUTH X\nS: 334 \nC: " + base64.StdEncoding.EncodeToString([]byte(long)) + "\nS: 235 ok"},
	} {
		withServer(t, hello("AUTH X")+tt.script, func(conn net.Conn) {
			started(t, Dialer{Auth: mechanism{"X", tt.initial}.choose}, conn)
		})
	}
}

// A password may cross a connection that does not leave the machine.
func TestCleartextToLocalhost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = follow(conn, hello("AUTH LOGIN PLAIN")+"C: AUTH LOGIN\nS: 334 \nC: dQ==\nS: 334 \nC: cA==\nS: 235 ok\nend", nil)
		}
		done <- err
	}()
	c, err := (&Dialer{Hello: "me.example", User: "u", Password: "p"}).Dial(context.Background(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
