package pop3_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/pop3"
)

// dialWorld connects a Client to a world; words describe the server.
func dialWorld(t *testing.T, d pop3.Dialer, words ...string) (*pop3.Client, *world, error) {
	w := newWorld(t, words)
	d.TLSConfig = w.clientTLS
	w.implicit = false // the Dialer does the handshake
	conn, err := w.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); w.srv.Close() })
	c, err := d.Start(context.Background(), conn, "pop.example.com")
	return c, w, err
}

func TestClientSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		c, w, err := dialWorld(t, pop3.Dialer{User: "alice", Password: "open  sesame "}, "tls")
		if err != nil {
			t.Fatal(err)
		}
		if c.TLS() == nil {
			t.Error("no TLS though it was offered")
		}
		if c.Greeting() != "POP3 ready" {
			t.Errorf("greeting %q", c.Greeting())
		}
		count, octets, err := c.Stat(ctx)
		if count != 3 || octets != 95 || err != nil {
			t.Errorf("Stat: %d, %d, %v", count, octets, err)
		}
		list, err := c.List(ctx)
		if want := []pop3.Message{{Number: 1, Size: 24}, {Number: 2, Size: 35}, {Number: 3, Size: 36}}; err != nil || !slices.Equal(list, want) {
			t.Errorf("List: %v, %v", list, err)
		}
		uids, err := c.UIDL(ctx)
		if want := []pop3.Message{{Number: 1, UID: "uid-1"}, {Number: 2, UID: "uid-2"}, {Number: 3, UID: "uid-3"}}; err != nil || !slices.Equal(uids, want) {
			t.Errorf("UIDL: %v, %v", uids, err)
		}
		if size, err := c.Size(ctx, 2); size != 35 || err != nil {
			t.Errorf("Size: %d, %v", size, err)
		}
		if uid, err := c.UID(ctx, 3); uid != "uid-3" || err != nil {
			t.Errorf("UID: %q, %v", uid, err)
		}
		if got, err := text(c.Retr(ctx, 2)); got != mailDots || err != nil {
			t.Errorf("Retr: %q, %v", got, err)
		}
		if got, err := text(c.Top(ctx, 3, 1)); got != "Subject: three\r\nTo: you\r\n\r\n1\r\n" || err != nil {
			t.Errorf("Top: %q, %v", got, err)
		}
		for _, err := range []error{c.Dele(ctx, 1), c.Noop(ctx), c.Rset(ctx), c.Dele(ctx, 2), c.Quit(ctx)} {
			if err != nil {
				t.Error(err)
			}
		}
		if left := w.mem.uids("alice"); left != "uid-1 uid-3" {
			t.Errorf("left: %s", left)
		}
		if err := c.Noop(ctx); !errors.Is(err, pop3.ErrClosed) {
			t.Errorf("after Quit: %v", err)
		}
	})
}

// TestClientExactOctets: bytes in are bytes out, from a Drop through server and
// client, CR and LF of their own and dots behind them included.
func TestClientExactOctets(t *testing.T) {
	mails := []string{
		"", "\r\n", ".\r\n", "..\r\n", "a\nb\rc\r\n", "a\n.\n..\n...\r\n.\r\n", "\n.\r\n", "\r.\r\n", "\r\r\n.\r\n",
		"a\n.\r\nb\r\n", "a\r\n.\nb\r\n", "\x00\xff\r\n", "no end", "no end\n", "no end\n.", "no end\r",
	}
	for _, edge := range []int{512, 4096, 32 << 10} { // of buffers on either side
		for pad := edge - 16; pad < edge+2; pad++ {
			mails = append(mails, strings.Repeat("x", pad)+"\r\n.\r\n.a\n.\n..b\r\n")
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t, nil)
		w.mem.deliver("bob", mails...)
		conn, err := w.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer w.srv.Close()
		d := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "bob", Password: "sesame"}
		c, err := d.Start(ctx, conn, "pop.example.com")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for i, want := range mails {
			if want != "" && !strings.HasSuffix(want, "\r\n") {
				want += "\r\n"
			}
			m, err := c.Retr(ctx, i+1)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(m); err != nil || string(b) != want {
				t.Errorf("%q came as %q, %v", mails[i], b, err)
			}
		}
	})
}

// text reads a Text to its end.
func text(t *pop3.Text, err error) (string, error) {
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(t)
	if t.Size >= 0 && int64(len(b)) != t.Size {
		return string(b), fmt.Errorf("%d octets instead of %d", len(b), t.Size)
	}
	return string(b), err
}

func TestClientLogins(t *testing.T) {
	plain := pop3.Dialer{TLS: pop3.TLSNever}
	cleartext := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true}
	ctx := context.Background()
	const user, password = "alice", "open  sesame "
	byMechanism := func(m func() sasl.Client) func(*pop3.Client) error {
		return func(c *pop3.Client) error { return c.Auth(ctx, m()) }
	}
	best := func(c *pop3.Client) error { return c.Login(ctx, user, password) }
	for _, test := range []struct {
		name   string
		words  string
		dialer pop3.Dialer
		login  func(*pop3.Client) error
		want   error
	}{
		{"user", "", cleartext, func(c *pop3.Client) error { return c.User(ctx, user, password) }, nil},
		{"user in clear", "", plain, func(c *pop3.Client) error { return c.User(ctx, user, password) }, pop3.ErrCleartext},
		{"user wrong", "", cleartext, func(c *pop3.Client) error { return c.User(ctx, user, "x") }, pop3.ErrAuth},
		{"user two lines", "", cleartext, func(c *pop3.Client) error { return c.User(ctx, user, "x\r\nDELE 1") }, pop3.ErrBadArgument},
		{"user in use", "open=inuse", cleartext, best, pop3.ErrInUse},
		{"user too soon", "open=delay", cleartext, best, pop3.ErrLoginDelay},
		{"user temporary", "open=unknown", cleartext, best, pop3.ErrTemporary},
		{"apop", "apop", plain, func(c *pop3.Client) error { return c.APOP(ctx, user, password) }, nil},
		{"apop wrong", "apop", plain, func(c *pop3.Client) error { return c.APOP(ctx, user, "x") }, pop3.ErrAuth},
		{"plain", "", cleartext, byMechanism(func() sasl.Client { return sasl.PlainClient("", user, password) }), nil},
		{"plain in clear", "", plain, byMechanism(func() sasl.Client { return sasl.PlainClient("", user, password) }), pop3.ErrCleartext},
		{"plain wrong", "", cleartext, byMechanism(func() sasl.Client { return sasl.PlainClient("", user, "x") }), pop3.ErrAuth},
		{"plain long", "", cleartext, byMechanism(func() sasl.Client { return sasl.PlainClient("", user, strings.Repeat("x", 300)) }), pop3.ErrAuth},
		{"login", "", cleartext, byMechanism(func() sasl.Client { return sasl.LoginClient(user, password) }), nil},
		{"cram", "", plain, byMechanism(func() sasl.Client { return sasl.CRAMMD5Client(user, password) }), nil},
		{"scram", "", plain, byMechanism(func() sasl.Client {
			c, err := sasl.ScramClient("SCRAM-SHA-256", "", user, password, nil)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}), nil},
		{"best in clear", "", plain, best, nil},
		{"best of plain in clear", "mechanisms=PLAIN", plain, best, pop3.ErrCleartext},
		{"best of plain in clear allowed", "mechanisms=PLAIN", cleartext, best, nil},
		{"best under TLS", "tls", pop3.Dialer{}, best, nil},
		{"best of plain under TLS", "tls mechanisms=PLAIN", pop3.Dialer{TLS: pop3.TLSRequired}, best, nil},
		{"best under implicit TLS", "implicit", pop3.Dialer{TLS: pop3.TLSFromStart}, best, nil},
		{"user under TLS", "tls mechanisms=EXTERNAL", pop3.Dialer{}, best, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _, err := dialWorld(t, test.dialer, strings.Fields(test.words)...)
				if err != nil {
					t.Fatal(err)
				}
				err = test.login(c)
				if !errors.Is(err, test.want) {
					t.Fatalf("login: %v, want %v", err, test.want)
				}
				if test.want != nil && !errors.Is(test.want, pop3.ErrCleartext) {
					if _, err := c.Capabilities(ctx); err != nil {
						t.Errorf("not usable after a refusal: %v", err)
					}
				}
				if test.want == nil {
					if _, _, err := c.Stat(ctx); err != nil {
						t.Error(err)
					}
				}
				c.Close()
			})
		})
	}
}

// TestClientOnThisMachine: what stays here needs no permission to be in the
// clear, by any login.
func TestClientOnThisMachine(t *testing.T) {
	w := newWorld(t, []string{"mechanisms=PLAIN"})
	defer w.srv.Close()
	socket := filepath.Join(t.TempDir(), "pop")
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": socket} {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		go w.srv.Serve(l)
		d := pop3.Dialer{TLS: pop3.TLSNever, DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial(network, l.Addr().String())
		}}
		ctx := context.Background()
		for name, login := range map[string]func(c *pop3.Client) error{
			"best":  func(c *pop3.Client) error { return c.Login(ctx, "bob", "sesame") },
			"USER":  func(c *pop3.Client) error { return c.User(ctx, "bob", "sesame") },
			"PLAIN": func(c *pop3.Client) error { return c.Auth(ctx, sasl.PlainClient("", "bob", "sesame")) },
		} {
			c, err := d.Dial(ctx, "localhost:110")
			if err != nil {
				t.Fatal(err)
			}
			if err := login(c); err != nil {
				t.Errorf("%s by %s: %v", name, network, err)
			}
			c.Quit(ctx)
		}
	}
}

func TestClientTLSPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := dialWorld(t, pop3.Dialer{TLS: pop3.TLSRequired})
		var refused *pop3.Error
		if !errors.As(err, &refused) {
			t.Errorf("TLS required of a server without: %v", err)
		}
		c, _, err := dialWorld(t, pop3.Dialer{})
		if err != nil || c.TLS() != nil {
			t.Errorf("TLS if offered: %v", err)
		}
	})
}

func TestClientUnknownAuthority(t *testing.T) {
	w := newWorld(t, []string{"tls"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go w.srv.Serve(l)
	defer w.srv.Close()
	_, err = pop3.Dial(context.Background(), l.Addr().String())
	if unknown := (*tls.CertificateVerificationError)(nil); !errors.As(err, &unknown) {
		t.Errorf("unknown authority: %v", err)
	}
}

func TestRetrAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		c, w, err := dialWorld(t, pop3.Dialer{TLS: pop3.TLSNever, User: "alice", Password: "open  sesame "}, "mail=100000")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			w.mem.deliver("bob", mailOf(5+i))
		}
		_ = c.Quit(ctx)
		conn, _ := w.dial()
		c, err = (&pop3.Dialer{TLS: pop3.TLSNever, User: "bob", Password: "sesame"}).Start(ctx, conn, "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Dele(ctx, 500); err != nil {
			t.Fatal(err)
		}
		var numbers []int
		for i := range 1001 {
			numbers = append(numbers, i+1)
		}
		next := 1
		err = c.RetrAll(ctx, numbers, func(n int, m *pop3.Text, err error) error {
			if n != next {
				t.Fatalf("number %d, want %d", n, next)
			}
			next++
			switch {
			case n == 500 || n == 1001:
				if refused := (*pop3.Error)(nil); m != nil || !errors.As(err, &refused) {
					t.Errorf("message %d: %v, %v", n, m, err)
				}
			case err != nil:
				return err
			case n%10 == 0: // left unread
			case n%10 == 1: // read in part
				io.ReadFull(m, make([]byte, 3))
			default:
				got, err := text(m, nil)
				if got != mailOf(4+n) {
					t.Errorf("message %d: %q", n, got)
				}
				return err
			}
			return nil
		})
		if err != nil || next != 1002 {
			t.Fatalf("RetrAll: %v at %d", err, next)
		}
		err = c.DeleAll(ctx, numbers[1:])
		if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), "message 500: ") || !strings.Contains(err.Error(), "message 1001: ") {
			t.Errorf("DeleAll: %v", err)
		}
		if err := c.Quit(ctx); err != nil || w.mem.uids("bob") != "uid-1" {
			t.Errorf("Quit: %v, left %s", err, w.mem.uids("bob"))
		}
	})
}

func TestRetrAllStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		enough := errors.New("enough")
		c, _, err := dialWorld(t, pop3.Dialer{TLS: pop3.TLSNever, User: "alice", Password: "open  sesame "})
		if err != nil {
			t.Fatal(err)
		}
		err = c.RetrAll(ctx, []int{1, 2, 3}, func(n int, m *pop3.Text, err error) error {
			if n == 3 {
				return enough
			}
			return nil
		})
		if err != enough {
			t.Errorf("at the last: %v", err)
		}
		if err := c.Noop(ctx); err != nil {
			t.Errorf("usable after the last one: %v", err)
		}
		err = c.RetrAll(ctx, []int{1, 2, 3}, func(n int, m *pop3.Text, err error) error { return enough })
		if err != enough {
			t.Errorf("at the first: %v", err)
		}
		if err := c.Noop(ctx); !errors.Is(err, pop3.ErrClosed) || !errors.Is(err, enough) {
			t.Errorf("with answers to come: %v", err)
		}
	})
}

// TestClientContext: the end of a context ends whatever waits.
func TestClientContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := func(script string) net.Conn {
			client, server := net.Pipe()
			go io.Copy(io.Discard, server)
			go io.WriteString(server, script)
			return client
		}
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Minute, errors.New("too slow for me"))
		defer cancel()
		start := time.Now()
		_, err := pop3.Dial(ctx, "")
		if err == nil {
			t.Error("dialled nothing")
		}
		_, err = new(pop3.Dialer).Start(ctx, server(""), "x")
		if err == nil || !strings.Contains(err.Error(), "too slow for me") {
			t.Errorf("no greeting: %v", err)
		}
		c, err := (&pop3.Dialer{TLS: pop3.TLSNever}).Start(context.Background(), server("+OK\r\n+OK 100 octets\r\nSubj"), "x")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeoutCause(context.Background(), time.Minute, errors.New("too slow for me"))
		defer cancel()
		m, err := c.Retr(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.ReadAll(m); err == nil || !strings.Contains(err.Error(), "too slow for me") {
			t.Errorf("half a message: %v", err)
		}
		if took := time.Since(start); took != 2*time.Minute {
			t.Errorf("took %v", took)
		}
		c, err = (&pop3.Dialer{TLS: pop3.TLSNever}).Start(context.Background(), server("+OK\r\n"), "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Noop(ctx); err == nil {
			t.Error("under a context that has ended")
		}
		start = time.Now()
		if err := c.Noop(context.Background()); err == nil || time.Since(start) != 5*time.Minute {
			t.Errorf("after the timeout: %v, %v", err, time.Since(start))
		}
		c, _ = (&pop3.Dialer{TLS: pop3.TLSNever}).Start(context.Background(), server("+OK\r\n"), "x")
		go func() { time.Sleep(time.Second); c.Close() }()
		if err := c.Noop(context.Background()); err == nil {
			t.Error("closed within a command")
		}
	})
}

// hostile are servers that lie. The client says what the script's calls do;
// every one must end with an error, in bounded memory.
func TestHostileServers(t *testing.T) {
	ctx := context.Background()
	stat := func(c *pop3.Client) error { _, _, err := c.Stat(ctx); return err }
	list := func(c *pop3.Client) error { _, err := c.List(ctx); return err }
	uidl := func(c *pop3.Client) error { _, err := c.UIDL(ctx); return err }
	capa := func(c *pop3.Client) error { _, err := c.Capabilities(ctx); return err }
	retr := func(c *pop3.Client) error { _, err := text(c.Retr(ctx, 1)); return err }
	size := func(c *pop3.Client) error { _, err := c.Size(ctx, 1); return err }
	cram := func(c *pop3.Client) error { return c.Auth(ctx, sasl.CRAMMD5Client("alice", "x")) }
	scram := func(c *pop3.Client) error {
		m, err := sasl.ScramClient("SCRAM-SHA-256", "", "alice", "x", nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Auth(ctx, m)
	}
	stls := func(c *pop3.Client) error { return c.StartTLS(ctx, &tls.Config{ServerName: "x"}) }
	all := func(c *pop3.Client) error {
		return c.RetrAll(ctx, []int{1, 2, 3}, func(_ int, m *pop3.Text, err error) error { _, err = text(m, err); return err })
	}
	for _, test := range []struct {
		name, script string
		call         func(c *pop3.Client) error
		want         error // nil: any
	}{
		{"no POP3", "220 smtp.example.com ESMTP\r\n", nil, pop3.ErrMalformed},
		{"refusal", "-ERR [SYS/TEMP] later\r\n", nil, pop3.ErrTemporary},
		{"nothing", "", nil, io.ErrUnexpectedEOF},
		{"greeting without end", strings.Repeat("+OK ", 100000), nil, nil},
		{"empty line", "\r\n", nil, pop3.ErrMalformed},
		{"stat: no numbers", "+OK\r\n+OK many\r\n", stat, pop3.ErrMalformed},
		{"stat: negative", "+OK\r\n+OK -1 -1\r\n", stat, pop3.ErrMalformed},
		{"stat: too many", "+OK\r\n+OK 99999999999999999999 1\r\n", stat, pop3.ErrMalformed},
		{"list: no end", "+OK\r\n+OK\r\n1 2\r\n", list, io.ErrUnexpectedEOF},
		{"list: too long", "+OK\r\n+OK\r\n" + strings.Repeat("1 2\r\n", 101), list, pop3.ErrTooMany},
		{"list: number 0", "+OK\r\n+OK\r\n0 2\r\n.\r\n", list, pop3.ErrMalformed},
		{"list: no size", "+OK\r\n+OK\r\n1\r\n.\r\n", list, pop3.ErrMalformed},
		{"list: huge number", "+OK\r\n+OK\r\n4294967297 1\r\n.\r\n", list, pop3.ErrMalformed},
		{"uidl: no id", "+OK\r\n+OK\r\n1 \r\n.\r\n", uidl, pop3.ErrMalformed},
		{"uidl: long line", "+OK\r\n+OK\r\n1 " + strings.Repeat("x", 100000) + "\r\n.\r\n", uidl, nil},
		{"uidl: long ids", "+OK\r\n+OK\r\n" + strings.Repeat("1 "+strings.Repeat("x", 12000)+"\r\n", 2) + ".\r\n", uidl, pop3.ErrTooMany},
		{"size of another", "+OK\r\n+OK 2 100\r\n", size, pop3.ErrMalformed},
		{"capa: too long", "+OK\r\n+OK\r\n" + strings.Repeat("X\r\n", 1001), capa, pop3.ErrTooMany},
		{"retr: cut off", "+OK\r\n+OK\r\nSubject: x\r\n", retr, io.ErrUnexpectedEOF},
		{"retr: cut off before the end", "+OK\r\n+OK\r\nSubject: x\r\n.", retr, io.ErrUnexpectedEOF},
		{"retr: smuggled end", "+OK\r\n+OK\r\na\n.\r\n+OK\n.\n", retr, io.ErrUnexpectedEOF},
		{"retr: out of step", "+OK\r\n250 ok\r\n", retr, pop3.ErrMalformed},
		{"cram: not base64", "+OK\r\n+ !\r\n", cram, pop3.ErrMalformed},
		{"cram: endless", "+OK\r\n" + strings.Repeat("+ PGFAYj4=\r\n", 100), cram, nil},
		{"scram: succeeds too soon", "+OK\r\n+OK welcome\r\n", scram, sasl.ErrServer},
		{"scram: cancelled and succeeds", "+OK\r\n+ AAAA\r\n+OK welcome\r\n", scram, pop3.ErrMalformed},
		{"stls: injected response", "+OK\r\n+OK begin\r\n+OK injected\r\n", stls, nil},
		{"stls: no handshake", "+OK\r\n+OK begin\r\n", stls, nil},
		{"retr all: cut off", "+OK\r\n+OK\r\nPIPELINING\r\n.\r\n+OK\r\na\r\n.\r\n+OK\r\nb\r\n", all, io.ErrUnexpectedEOF},
		{"retr all: out of step", "+OK\r\n+OK\r\nPIPELINING\r\n.\r\n+OK\r\na\r\n.\r\nb\r\n", all, pop3.ErrMalformed},
	} {
		for _, pieces := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", test.name, pieces), func(t *testing.T) {
				var r io.Reader = strings.NewReader(test.script)
				if pieces {
					r = iotest.OneByteReader(r)
				}
				d := pop3.Dialer{TLS: pop3.TLSNever, MaxMessages: 100}
				c, err := d.Start(ctx, &scripted{r: r}, "x")
				if test.call != nil {
					if err != nil {
						t.Fatal(err)
					}
					err = test.call(c)
					if e := c.Noop(ctx); !errors.Is(e, pop3.ErrClosed) {
						t.Errorf("client is still open: %v", e)
					}
				}
				if err == nil || !errors.Is(err, test.want) && test.want != nil {
					t.Errorf("%v, want %v", err, test.want)
				}
			})
		}
	}
}

// scripted is a connection to a server that says what it has to say, whatever
// it hears.
type scripted struct {
	net.Conn
	r      io.Reader
	closed atomic.Bool
}

func (s *scripted) Read(p []byte) (int, error) {
	if s.closed.Load() {
		return 0, net.ErrClosed
	}
	return s.r.Read(p)
}

func (s *scripted) Write(p []byte) (int, error) {
	if s.closed.Load() {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

func (s *scripted) Close() error                     { s.closed.Store(true); return nil }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// TestClientArguments: nothing a caller passes becomes a second command, and
// the connection survives the attempt.
func TestClientArguments(t *testing.T) {
	ctx := context.Background()
	c, err := (&pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true}).Start(ctx, &scripted{r: strings.NewReader("+OK <1@x>\r\n+OK\r\n")}, "x")
	if err != nil {
		t.Fatal(err)
	}
	_, retr := c.Retr(ctx, 0)
	_, top := c.Top(ctx, 1, -1)
	_, size := c.Size(ctx, -1)
	for i, err := range []error{
		c.Dele(ctx, 0), c.User(ctx, "a\nb", "x"), c.User(ctx, "", "x"), c.APOP(ctx, "a b", "x"), c.APOP(ctx, "a\r", "x"),
		c.Dele(ctx, 0), retr, top, size, c.DeleAll(ctx, []int{1, 0}),
	} {
		if !errors.Is(err, pop3.ErrBadArgument) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if err := c.Noop(ctx); err != nil {
		t.Error(err)
	}
}

// TestInjectedResponse: what came in the clear is not taken for what the server
// says under TLS.
func TestInjectedResponse(t *testing.T) {
	ctx := context.Background()
	c, err := (&pop3.Dialer{TLS: pop3.TLSNever}).Start(ctx, &scripted{r: strings.NewReader("+OK\r\n+OK begin\r\n+OK injected\r\n")}, "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.StartTLS(ctx, &tls.Config{ServerName: "x"}); !errors.Is(err, certs.ErrBuffered) {
		t.Error(err)
	}
}

// TestImpoliteServer: one that knows LF only, and a message that has it inside.
func TestImpoliteServer(t *testing.T) {
	ctx := context.Background()
	c, err := (&pop3.Dialer{TLS: pop3.TLSNever}).Start(ctx, &scripted{r: strings.NewReader("+ok hello\n+OK 1 5\n+OK\r\na\nb\r\n.\r\n-err [in-use] x\n")}, "x")
	if err != nil {
		t.Fatal(err)
	}
	if n, octets, err := c.Stat(ctx); n != 1 || octets != 5 || err != nil {
		t.Error(n, octets, err)
	}
	if got, err := text(c.Retr(ctx, 1)); got != "a\nb\r\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := c.Noop(ctx); !errors.Is(err, pop3.ErrInUse) {
		t.Error(err)
	}
}

func TestErrorIs(t *testing.T) {
	e := fmt.Errorf("fetch: %w", &pop3.Error{Code: pop3.CodeInUse, Text: "elsewhere"})
	if !errors.Is(e, pop3.ErrInUse) || errors.Is(e, pop3.ErrAuth) || errors.Is(&pop3.Error{Text: "x"}, &pop3.Error{Text: "x"}) {
		t.Error("codes are not compared")
	}
	own := &pop3.Error{Code: pop3.CodeSysPerm, Text: "moved", Err: errDisk}
	if !errors.Is(own, errDisk) || own.Error() != "pop3: [SYS/PERM] moved: the disk sighs" {
		t.Error(own)
	}
}
