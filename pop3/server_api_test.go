package pop3_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/pop3"
)

// greetingOf is the first line that a server says.
func greetingOf(t *testing.T, w *world) (line string, rest error) {
	t.Helper()
	conn, err := w.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	line, err = r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(line, "+OK") {
		return line, nil
	}
	_, rest = r.ReadString('\n')
	return line, rest
}

func TestCheckConn(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"nobody is refused":  {nil, "+OK POP3 ready\r\n"},
		"with an answer":     {&pop3.Error{Code: pop3.CodeSysPerm, Text: "not from there"}, "-ERR [SYS/PERM] not from there ("},
		"wrapped":            {fmt.Errorf("list: %w", pop3.ErrTemporary), "-ERR [SYS/TEMP] temporary failure, try again later ("},
		"for its own reason": {errDisk, "-ERR [SYS/TEMP] temporary failure, try again later ("},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.srv.Close()
				done := 0
				w.srv.CheckConn = func(_ context.Context, s *pop3.Session) error {
					if s.ID == "" || s.RemoteAddr.String() != w.client {
						t.Errorf("session %+v", s)
					}
					return test.err
				}
				w.srv.Done = func(*pop3.Session, *pop3.Summary) { done++ }
				line, rest := greetingOf(t, w)
				if !strings.HasPrefix(line, test.want) || test.err != nil && rest != io.EOF {
					t.Errorf("%q, then %v", line, rest)
				}
				synctest.Wait()
				if done != 1 {
					t.Errorf("Done was called %d times", done)
				}
				if logged := strings.Contains(w.log.String(), errDisk.Error()); logged != (test.err == errDisk) {
					t.Errorf("log: %s", w.log.String())
				}
			})
		})
	}
}

// TestCheckConnValues: what CheckConn knew is known under TLS; what came in the
// clear behind it is not.
func TestCheckConnValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen any
		w := newWorld(t, []string{"tls"})
		defer w.srv.Close()
		w.srv.CheckConn = func(_ context.Context, s *pop3.Session) error { s.Set("from", "home"); return nil }
		w.srv.Backend = pop3.BackendFunc(func(_ context.Context, s *pop3.Session, _ string) (pop3.Drop, error) {
			seen = s.Values["from"]
			return nil, pop3.ErrPermanent
		})
		conn, err := w.dial()
		if err != nil {
			t.Fatal(err)
		}
		d := pop3.Dialer{TLS: pop3.TLSRequired, TLSConfig: w.clientTLS, User: "alice", Password: "open  sesame "}
		if _, err := d.Start(context.Background(), conn, "pop.example.com"); !errors.Is(err, pop3.ErrPermanent) {
			t.Error(err)
		}
		if seen != "home" {
			t.Errorf("Values: %v", seen)
		}
	})
}

// TestDone: it is called once for each session that was served, however it ends,
// and not for one that was turned away at once.
func TestDone(t *testing.T) {
	for _, how := range []string{"quit", "leave", "panic", "close"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				words := []string(nil)
				if how == "panic" {
					words = []string{"panic=open"}
				}
				w := newWorld(t, words)
				defer w.srv.Close()
				var user []string
				w.srv.Done = func(s *pop3.Session, _ *pop3.Summary) { user = append(user, s.User) }
				conn, err := w.dial()
				if err != nil {
					t.Fatal(err)
				}
				d := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "alice", Password: "open  sesame "}
				c, err := d.Start(context.Background(), conn, "x")
				switch how {
				case "quit":
					err = c.Quit(context.Background())
				case "leave":
					err = c.Close()
				case "close":
					err = w.srv.Close()
				case "panic":
					if err == nil {
						t.Error("no error of a login that panicked")
					}
					err = nil
				}
				synctest.Wait()
				if err != nil || len(user) != 1 || user[0] != "alice" {
					t.Errorf("Done for %q, %v", user, err)
				}
			})
		})
	}
}

// TestSessionClose: a callback can end its session without a word.
func TestSessionClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		w.srv.Backend = pop3.BackendFunc(func(_ context.Context, s *pop3.Session, _ string) (pop3.Drop, error) {
			if s.String() != s.ID+" ["+w.client+"]" {
				t.Errorf("session %s", s)
			}
			return nil, s.Close()
		})
		conn, err := w.dial()
		if err != nil {
			t.Fatal(err)
		}
		d := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "alice", Password: "open  sesame "}
		var refused *pop3.Error
		if _, err := d.Start(context.Background(), conn, "x"); err == nil || errors.As(err, &refused) {
			t.Error(err)
		}
	})
	if err := errors.Join(new(pop3.Session).Close(), new(pop3.Session).End()); err != nil {
		t.Error(err)
	}
}

// TestServerNobodyCanUse: what could never work does not start.
func TestServerNobodyCanUse(t *testing.T) {
	for name, srv := range map[string]*pop3.Server{
		"TLS without a certificate": {TLSConfig: &tls.Config{}},
		"TLS without settings":      {TLSMode: pop3.ImplicitTLS},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { srv.Close() })
		if err := srv.Serve(l); err == nil || errors.Is(err, pop3.ErrServerClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrServerClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &pop3.Server{Log: slog.New(slog.DiscardHandler)}
	srv.Close()
	if err := srv.Serve(l); !errors.Is(err, pop3.ErrServerClosed) || err.Error() != "pop3: server closed" {
		t.Error(err)
	}
}

func TestListenAndServeTLS(t *testing.T) {
	certPEM, keyPEM, err := certs.SelfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for name, text := range map[string][]byte{cert: certPEM, key: keyPEM} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	srv := &pop3.Server{Addr: free.Addr().String(), TLSMode: pop3.ImplicitTLS, Log: slog.New(slog.DiscardHandler)}
	ended := make(chan error, 1)
	go func() { ended <- srv.ListenAndServeTLS(cert, key) }()
	d := pop3.Dialer{TLS: pop3.TLSFromStart, TLSConfig: &tls.Config{InsecureSkipVerify: true}, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	var c *pop3.Client
	for range 500 {
		if c, err = d.Dial(context.Background(), srv.Addr); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.TLS() == nil {
		t.Error("no TLS")
	}
	srv.Close()
	if err := <-ended; !errors.Is(err, pop3.ErrServerClosed) {
		t.Error(err)
	}
	if err := srv.ListenAndServeTLS(cert, filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestLocalAddr: the client dials from the address it was told to.
func TestLocalAddr(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	from := make(chan string, 1)
	srv := &pop3.Server{Log: slog.New(slog.DiscardHandler), CheckConn: func(_ context.Context, s *pop3.Session) error {
		from <- s.RemoteAddr.String()
		return nil
	}}
	go srv.Serve(l)
	defer srv.Close()
	d := pop3.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}
	c, err := d.Dial(context.Background(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := <-from; !strings.HasPrefix(got, "127.0.0.1:") || got != c.LocalAddr().String() || c.RemoteAddr().String() != l.Addr().String() {
		t.Errorf("from %s, %v to %v", got, c.LocalAddr(), c.RemoteAddr())
	}
	d.LocalAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}
	if _, err := d.Dial(context.Background(), l.Addr().String()); err == nil {
		t.Error("dialled from an address that is not ours")
	}
}

// TestFreeFrom: ConnsPerMinute does not bind who is in these networks.
func TestFreeFrom(t *testing.T) {
	for _, free := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			defer w.srv.Close()
			w.srv.Limits.ConnsPerMinute = 2
			if free {
				w.srv.Limits.FreeFrom = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
			}
			welcome := 0
			for range 5 {
				if line, _ := greetingOf(t, w); strings.HasPrefix(line, "+OK") {
					welcome++
				}
			}
			if want := map[bool]int{false: 1, true: 5}[free]; welcome != want {
				t.Errorf("free %v: %d of 5 were served, want %d", free, welcome, want)
			}
		})
	}
}

// TestClientCommand: a line of the caller's own, and what is answered.
func TestClientCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		c, _ := fetching(t, longMails...)
		if text, err := c.Command(ctx, "STAT"); text != fmt.Sprintf("2 %d", len(longMails[0])+len(longMails[1])) || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		_, err := c.Command(ctx, "XFROB a b")
		var refused *pop3.Error
		if !errors.As(err, &refused) || refused.Command != "XFROB" {
			t.Errorf("%v", err)
		}
		if _, err := c.Command(ctx, "NOOP\r\nDELE 1"); !errors.Is(err, pop3.ErrBadArgument) {
			t.Error(err)
		}
		if err := c.Noop(ctx); err != nil {
			t.Error("behind a refusal:", err)
		}
	})
}

// TestErrorTexts: an error says once what it is about.
func TestErrorTexts(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&pop3.Error{Text: "no"}, "pop3: no"},
		{&pop3.Error{Code: pop3.CodeInUse, Text: "no"}, "pop3: [IN-USE] no"},
		{&pop3.Error{Code: pop3.CodeInUse, Text: "no", Err: errDisk}, "pop3: [IN-USE] no: the disk sighs"},
		{&pop3.Error{Code: pop3.CodeAuth, Command: "PASS", Text: "no"}, "pop3: PASS: [AUTH] no"},
		{&pop3.Error{Code: pop3.CodeAuth, Command: "AUTH", Text: "no"}, "pop3: AUTH: no"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%q instead of %q", got, test.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		c, w := fetching(t, longMails...)
		if err := c.Dele(ctx, 9); !strings.HasPrefix(err.Error(), "pop3: DELE: there is no message 9, only 2 in the maildrop (") {
			t.Error(err)
		}
		w.srv.Close()
		first, second := c.Noop(ctx), c.Noop(ctx)
		if first == nil || !errors.Is(second, pop3.ErrClosed) || strings.Count(second.Error(), "pop3: ") != 1 {
			t.Errorf("%v; then %v", first, second)
		}
		if want := "pop3: client is closed: " + strings.TrimPrefix(first.Error(), "pop3: "); second.Error() != want {
			t.Errorf("%q instead of %q", second, want)
		}
	})
}

// TestSafeName: whatever a server calls a message, its name is one of a file in
// the folder at hand, no two share one, and letters' case does not matter to it.
func TestSafeName(t *testing.T) {
	taken := map[string]string{}
	uids := []string{
		"", ".", "..", "../../etc/passwd", "/etc/passwd", `..\..\x`, "a/b", "a\\b", "a:b", "C:", "con", "NUL", "nul.txt", "-rf", "~", "a b",
		"a\x00b", "a\nb", "é", "\xff", "=2e", ".", "A", "a", "ABC", "abc", "=41", "uid-a", strings.Repeat("x", 70), strings.Repeat("x", 71), strings.Repeat("X", 70),
		strings.Repeat("/", 70), strings.Repeat("x", 9000), "*?\"<>|", "a.", "a ", "trailing.", "$(x)", "`x`",
	}
	for _, uid := range uids {
		name := pop3.SafeName(uid)
		if other, ok := taken[strings.ToLower(name)]; ok && other != uid {
			t.Errorf("%q and %q are both %q", uid, other, name)
		}
		taken[strings.ToLower(name)] = uid
		if len(name) == 0 || len(name) > 255 || name[0] == '.' || name[0] == '-' || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_=.") != "" || filepath.Base(name) != name {
			t.Errorf("%q became %q", uid, name)
		}
	}
	if name := pop3.SafeName("1234abcd-5_6"); name != "uid-1234abcd-5_6" {
		t.Errorf("an ordinary one became %q", name)
	}
}

func FuzzSafeName(f *testing.F) {
	f.Add("../x", "..=2fx")
	f.Add("a", "A")
	f.Fuzz(func(t *testing.T, a, b string) {
		one, two := pop3.SafeName(a), pop3.SafeName(b)
		if (a == b) != strings.EqualFold(one, two) {
			t.Errorf("%q is %q, %q is %q", a, one, b, two)
		}
		if filepath.Base(one) != one || len(one) > 255 || !strings.HasPrefix(one, "uid") {
			t.Errorf("%q is %q", a, one)
		}
	})
}

// TestInUseWaits: a maildrop that another session holds for a moment is opened
// when that has gone; one that stays locked is [IN-USE] after a while.
func TestInUseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		first, w := fetching(t, longMails...)
		login := func() error {
			conn, err := w.dial()
			if err != nil {
				t.Fatal(err)
			}
			d := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "bob", Password: "sesame"}
			c, err := d.Start(ctx, conn, "x")
			if err == nil {
				c.Close()
			}
			return err
		}
		began := time.Now()
		if err := login(); !errors.Is(err, pop3.ErrInUse) {
			t.Error(err)
		}
		if took := time.Since(began); took < time.Second || took > 3*time.Second {
			t.Errorf("refused after %v", took)
		}
		time.AfterFunc(700*time.Millisecond, func() { first.Quit(ctx) })
		if err := login(); err != nil {
			t.Error("the maildrop was free in time:", err)
		}
	})
}

// TestInUseWaitIsBounded: a limit of one's own, none at all, and the end of the
// connection.
func TestInUseWaitIsBounded(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{-1: 0, 100 * time.Millisecond: 100 * time.Millisecond, 5 * time.Second: 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, []string{"open=inuse"})
			defer w.srv.Close()
			w.srv.Limits.InUse = limit
			conn, err := w.dial()
			if err != nil {
				t.Fatal(err)
			}
			d := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "alice", Password: "open  sesame "}
			began := time.Now()
			if _, err := d.Start(context.Background(), conn, "x"); !errors.Is(err, pop3.ErrInUse) {
				t.Error(err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("limit %v: refused after %v", limit, took)
			}
		})
	}
}

// TestOpenEndsWithSession: a store that waits within Drop.Open is let go when the
// session is ended by force.
func TestOpenEndsWithSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		waits := waitingDrop{closed: make(chan error, 1)}
		w.srv.Backend = pop3.BackendFunc(func(context.Context, *pop3.Session, string) (pop3.Drop, error) { return waits, nil })
		conn, err := w.dial()
		if err != nil {
			t.Fatal(err)
		}
		d := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "alice", Password: "open  sesame "}
		c, err := d.Start(context.Background(), conn, "x")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, func() { w.srv.Close() })
		if _, err := c.Retr(context.Background(), 1); err == nil {
			t.Error("a message that could not be opened")
		}
		if err := <-waits.closed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// waitingDrop opens no message until the context ends.
type waitingDrop struct{ closed chan error }

func (d waitingDrop) Len() int                            { return 1 }
func (d waitingDrop) Size(int) int64                      { return 1 }
func (d waitingDrop) UID(int) string                      { return "a" }
func (d waitingDrop) Remove(context.Context, []int) error { return nil }
func (d waitingDrop) Close() error                        { return nil }
func (d waitingDrop) Open(ctx context.Context, _ int) (io.ReadCloser, error) {
	<-ctx.Done()
	d.closed <- ctx.Err()
	return nil, ctx.Err()
}

// sticky is a maildrop that says what became of its end.
type sticky struct {
	pop3.Drop
	err error
}

func (s sticky) Close() error { return errors.Join(s.Drop.Close(), s.err) }

// TestMaildropDoesNotClose: that a maildrop did not close is in the log, and the client hears nothing of it; one that did is no news.
func TestMaildropDoesNotClose(t *testing.T) {
	for _, fault := range []error{nil, errDisk} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			defer w.srv.Close()
			w.srv.Backend = pop3.BackendFunc(func(ctx context.Context, s *pop3.Session, mailbox string) (pop3.Drop, error) {
				d, err := w.mem.Open(ctx, s, mailbox)
				return sticky{d, fault}, err
			})
			conn, err := w.dial()
			if err != nil {
				t.Fatal(err)
			}
			c, err := (&pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "alice", Password: "open  sesame "}).Start(t.Context(), conn, "x")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Quit(t.Context()); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			if said := strings.Contains(w.log.String(), "maildrop did not close"); said != (fault != nil) {
				t.Errorf("%v: %s", fault, w.log.String())
			}
		})
	}
}
