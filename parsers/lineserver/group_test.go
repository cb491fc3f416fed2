package lineserver_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// pipeListener hands out the server ends of net.Pipes, so that a test runs in
// a synctest bubble.
type pipeListener struct {
	conns  chan net.Conn
	errs   chan error
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{make(chan net.Conn), make(chan error), make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial(t *testing.T) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	l.conns <- server
	return client
}

// wait reads until the connection ends or its deadline passes, as an idle
// session does, and says goodbye when it was woken.
func idle(c *lineserver.Conn) {
	c.AwaitUntil(time.Time{})
	_, err := c.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) && c.Stopping() {
		io.WriteString(c, "bye")
	}
}

func TestShutdownWakesIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g lineserver.Group
		l := newPipeListener()
		served := make(chan error, 1)
		go func() { served <- g.Serve(l, idle) }()
		c := l.dial(t)
		synctest.Wait()
		go g.Shutdown(context.Background())
		got, _ := io.ReadAll(c)
		if string(got) != "bye" {
			t.Errorf("idle session said %q, want bye", got)
		}
		if err := <-served; !errors.Is(err, lineserver.ErrClosed) {
			t.Errorf("Serve returned %v, want ErrClosed", err)
		}
	})
}

// TestExpel: a session that waits, one that works, and one that is about to, reads nothing more and says goodbye; a client that does not read is cut off.
func TestExpel(t *testing.T) {
	for name, wait := range map[string]func(*lineserver.Conn){
		"idle": func(c *lineserver.Conn) { c.AwaitUntil(time.Time{}) },
		"busy": func(c *lineserver.Conn) { c.BusyUntil(time.Time{}) },
		"about to": func(c *lineserver.Conn) {
			for !c.Expelled() {
				time.Sleep(time.Millisecond)
			}
			c.BusyUntil(time.Now().Add(time.Hour))
		},
	} {
		for _, reads := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				var g lineserver.Group
				l := newPipeListener()
				conns, said := make(chan *lineserver.Conn, 1), make(chan error, 1)
				go g.Serve(l, func(c *lineserver.Conn) {
					conns <- c
					wait(c)
					_, err := c.Read(make([]byte, 1))
					if errors.Is(err, os.ErrDeadlineExceeded) && c.Expelled() && c.Stopping() {
						_, err = io.WriteString(c, "bye")
					}
					said <- err
				})
				c := l.dial(t)
				id := lineserver.NewIdentity(<-conns)
				if name != "about to" {
					synctest.Wait()
				}
				if err := id.End(); err != nil {
					t.Error(err)
				}
				if reads {
					if text, _ := io.ReadAll(c); string(text) != "bye" {
						t.Errorf("%s: %q", name, text)
					}
				}
				if err := <-said; reads != (err == nil) {
					t.Errorf("%s, who reads %v: %v", name, reads, err)
				}
				synctest.Wait()
				if n := g.Len(); n != 0 {
					t.Errorf("%s: %d connections", name, n)
				}
				g.Close()
			})
		}
	}
}

func TestShutdownLetsBusyFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g lineserver.Group
		l := newPipeListener()
		go g.Serve(l, func(c *lineserver.Conn) {
			c.BusyUntil(time.Time{})
			io.ReadFull(c, make([]byte, 4))
			idle(c)
		})
		c := l.dial(t)
		c.Write([]byte("ma"))
		synctest.Wait()
		down := make(chan error, 1)
		go func() { down <- g.Shutdown(context.Background()) }()
		synctest.Wait()
		select {
		case <-down:
			t.Fatal("Shutdown did not wait for the busy session")
		default:
		}
		c.Write([]byte("il"))
		if got, _ := io.ReadAll(c); string(got) != "bye" {
			t.Errorf("session said %q, want bye", got)
		}
		if err := <-down; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// TestShutdownDuringHandshake: a handshake has a few seconds, or what is left of
// its own time, before and after the shutdown has begun; then the wait for a
// command ends at once.
func TestShutdownDuringHandshake(t *testing.T) {
	for _, c := range []struct {
		name        string
		limit, want time.Duration // limit 0: none
		late        bool          // the handshake begins after the shutdown
	}{
		{"without limit", 0, 5 * time.Second, false},
		{"long limit", time.Minute, 5 * time.Second, false},
		{"short limit", 2 * time.Second, 2 * time.Second, false},
		{"late", time.Minute, 5 * time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, took := newPipeListener(), make(chan time.Duration, 2)
				var g lineserver.Group
				go g.Serve(l, func(conn *lineserver.Conn) {
					if c.late {
						time.Sleep(time.Second)
					}
					began := time.Now()
					conn.Handshake(cmp.Or(c.limit, -1), func(context.Context) error {
						conn.Read(make([]byte, 1))
						return nil
					})
					took <- time.Since(began)
					conn.AwaitUntil(time.Time{})
					began = time.Now()
					conn.Read(make([]byte, 1))
					took <- time.Since(began)
				})
				l.dial(t)
				synctest.Wait()
				g.Shutdown(t.Context())
				if handshake, command := <-took, <-took; handshake != c.want || command != 0 {
					t.Errorf("the handshake had %v, want %v; the command %v", handshake, c.want, command)
				}
			})
		})
	}
}

func TestShutdownGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g lineserver.Group
		l := newPipeListener()
		go g.Serve(l, func(c *lineserver.Conn) {
			c.BusyUntil(time.Time{})
			io.ReadAll(c)
			<-c.Context().Done()
		})
		l.dial(t)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := g.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v, want deadline exceeded", err)
		}
		synctest.Wait()
		if n := g.Len(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
}

func TestCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lineserver.Group{MaxConns: 2}
		l := newPipeListener()
		refused := make(chan lineserver.Refusal, 10)
		go g.Serve(l, func(c *lineserver.Conn) {
			refused <- c.Refused
			if c.Refused == lineserver.Welcome {
				idle(c)
			}
		})
		for range 3 {
			l.dial(t)
			synctest.Wait()
		}
		for i, want := range []lineserver.Refusal{lineserver.Welcome, lineserver.Welcome, lineserver.TooMany} {
			if got := <-refused; got != want {
				t.Errorf("connection %d: refusal %v, want %v", i, got, want)
			}
		}
		g.Close()
	})
}

func TestAcceptBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g lineserver.Group
		l := newPipeListener()
		go g.Serve(l, idle)
		start := time.Now()
		for range 12 {
			l.errs <- errors.New("too many open files")
		}
		l.dial(t)
		// 5 ms doubling to one second: 5+10+…+640+1000+1000+1000+1000.
		if got, want := time.Since(start), 5275*time.Millisecond; got != want {
			t.Errorf("waited %v over twelve errors, want %v", got, want)
		}
		g.Close()
	})
}

func TestPerBlock(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := lineserver.Group{MaxPerBlock: 1}
	refused := make(chan lineserver.Refusal, 3)
	go g.Serve(l, func(c *lineserver.Conn) {
		refused <- c.Refused
		io.ReadAll(c)
	})
	defer g.Close()
	from := func(ip string) {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	for _, step := range []struct {
		from string
		want lineserver.Refusal
	}{{"127.0.0.1", lineserver.Welcome}, {"127.0.0.1", lineserver.TooMuchOf}, {"127.0.0.2", lineserver.Welcome}} {
		from(step.from)
		if got := <-refused; got != step.want {
			t.Errorf("from %s: refusal %v, want %v", step.from, got, step.want)
		}
	}
}

// TestNoBlock: connections without an IP address are nobody's block.
func TestNoBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lineserver.Group{MaxPerBlock: 1}
		l := newPipeListener()
		refused := make(chan lineserver.Refusal, 3)
		go g.Serve(l, func(c *lineserver.Conn) {
			refused <- c.Refused
			idle(c)
		})
		for range 3 {
			l.dial(t)
			if r := <-refused; r != lineserver.Welcome {
				t.Errorf("refused: %v", r)
			}
		}
		g.Close()
	})
}

func TestBlock(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.7:25", "192.0.2.7/32"},
		{"[::ffff:192.0.2.7]:25", "192.0.2.7/32"},
		{"[2001:db8:1:2:3::4]:25", "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:25", "fe80::/64"},
	} {
		a, err := net.ResolveTCPAddr("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := lineserver.Block(a).String(); got != c.want {
			t.Errorf("Block(%s) = %s, want %s", c.addr, got, c.want)
		}
	}
	client, _ := net.Pipe()
	if p := lineserver.Block(client.RemoteAddr()); p.IsValid() {
		t.Errorf("Block of a pipe is %v, want none", p)
	}
}

// Connections that come while a shutdown waits for the last one, from other
// listeners, are turned away and waited for too; for the race detector.
func TestConnectionsDuringShutdown(t *testing.T) {
	for range 200 {
		var g lineserver.Group
		var ended atomic.Int32
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				client, server := net.Pipe()
				client.Close()
				g.ServeConn(server, func(*lineserver.Conn) { ended.Add(1) })
			})
		}
		all.Go(func() {
			if err := g.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if err := g.Shutdown(context.Background()); err != nil {
				t.Errorf("again: %v", err)
			}
		})
		all.Wait()
		if n := ended.Load(); n != 4 || g.Len() != 0 {
			t.Fatalf("%d of 4 sessions ended, %d left", n, g.Len())
		}
	}
}

// text is an address of another kind.
type text string

func (t text) Network() string { return "test" }
func (t text) String() string  { return string(t) }

func TestWithin(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for addr, want := range map[net.Addr]bool{
		nil:                              false,
		&net.TCPAddr{}:                   false,
		&net.UnixAddr{Name: "192.0.2.1"}: false,
		text("192.0.2.1:25"):             true,
		text("192.0.3.1:25"):             false,
		text("[2001:db8::1%eth0]:25"):    true,
		text("[::ffff:192.0.2.1]:25"):    true,
		text("192.0.2.1"):                false,
		text("pipe"):                     false,
	} {
		if got := lineserver.Within(addr, networks); got != want {
			t.Errorf("%v: %v", addr, got)
		}
		if lineserver.Within(addr, nil) {
			t.Errorf("%v is in no network", addr)
		}
	}
	for _, ip := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"} {
		if !lineserver.Within(&net.TCPAddr{IP: net.ParseIP(ip)}, networks) {
			t.Errorf("%s is not found", ip)
		}
	}
}
