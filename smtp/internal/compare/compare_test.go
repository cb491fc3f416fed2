// Package compare runs one client against this server, other Go servers and a
// floor that only counts octets, and prints how they compare. It is a module
// of its own, so that the others never become dependencies:
//
//	cd smtp/internal/compare && go test -run Ratios -v
package compare

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	peer "github.com/emersion/go-smtp"

	"github.com/postrider-mail/postrider/smtp"
)

// server is one of those compared: serve returns when l is closed.
type server struct {
	name  string
	serve func(l net.Listener)
}

var servers = []server{
	{"floor", serveFloor},
	{"postrider", servePostrider},
	{"go-smtp", serveGoSMTP},
}

// serveFloor answers with canned replies and looks at the messages only for
// their end, in large pieces: what any server must do at least.
func serveFloor(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go floor(c)
	}
}

func floor(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 32<<10)
	io.WriteString(c, "220 floor\r\n")
	ok, goAhead, bye := []byte("250 OK\r\n"), []byte("354 go\r\n"), []byte("221 bye\r\n")
	end := []byte("\r\n.\r\n")
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch line[0] {
		case 'D':
			c.Write(goAhead)
			for ended := false; !ended; {
				r.Peek(1)
				b, err := r.Peek(r.Buffered())
				if err != nil {
					return
				}
				ended = bytes.HasSuffix(b, end)
				if !ended && len(b) > len(end) {
					b = b[:len(b)-len(end)+1]
				} else if !ended {
					if _, err := r.Peek(len(b) + 1); err != nil {
						return
					}
					continue
				}
				r.Discard(len(b))
			}
			c.Write(ok)
		case 'Q':
			c.Write(bye)
			return
		default:
			c.Write(ok)
		}
	}
}

func servePostrider(l net.Listener) {
	s := &smtp.Server{
		Hostname:  "postrider",
		Log:       slog.New(slog.DiscardHandler),
		Limits:    smtp.Limits{Idle: -1, Conns: -1, ConnsPerBlock: -1},
		CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			_, err := io.Copy(io.Discard, e.Data)
			return err
		}),
	}
	s.Serve(l)
}

func serveGoSMTP(l net.Listener) {
	s := peer.NewServer(peer.BackendFunc(func(*peer.Conn) (peer.Session, error) { return sink{}, nil }))
	s.Domain, s.ErrorLog = "go-smtp", log.New(io.Discard, "", 0)
	s.ReadTimeout, s.WriteTimeout = 5*time.Minute, 5*time.Minute
	s.Serve(l)
}

type sink struct{}

func (sink) Reset()                               {}
func (sink) Logout() error                        { return nil }
func (sink) Mail(string, *peer.MailOptions) error { return nil }
func (sink) Rcpt(string, *peer.RcptOptions) error { return nil }
func (sink) Data(r io.Reader) error               { _, err := io.Copy(io.Discard, r); return err }

// client says what the workloads say, and allocates nothing on the way.
type client struct {
	net.Conn
	buf [4096]byte
	n   int
	b   testing.TB
}

func (c *client) say(text []byte) {
	if len(text) > 0 {
		if _, err := c.Write(text); err != nil {
			c.b.Fatal(err)
		}
	}
	for {
		for c.n > 0 {
			i := bytes.IndexByte(c.buf[:c.n], '\n')
			if i < 3 {
				break
			}
			final, class := c.buf[3] == ' ', c.buf[0]
			c.n = copy(c.buf[:], c.buf[i+1:c.n])
			if final && class > '3' {
				c.b.Fatalf("refused: %s", text[:min(len(text), 40)])
			}
			if final {
				return
			}
		}
		n, err := c.Read(c.buf[c.n:])
		if err != nil {
			c.b.Fatal(err)
		}
		c.n += n
	}
}

func dial(b testing.TB, addr string) *client {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	c := &client{Conn: conn, b: b}
	c.say(nil)
	c.say([]byte("EHLO client.example.net\r\n"))
	return c
}

var (
	from = []byte("MAIL FROM:<ann@example.net>\r\n")
	to   = []byte("RCPT TO:<bob@example.com>\r\n")
	data = []byte("DATA\r\n")
	quit = []byte("QUIT\r\n")
)

func (c *client) mail(m []byte) {
	c.say(from)
	c.say(to)
	c.say(data)
	c.say(m)
}

func small(t testing.TB) []byte {
	m, err := os.ReadFile("../../testdata/sample.eml")
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.ReplaceAll(m, []byte("\r\n."), []byte("\r\n..")), ".\r\n"...)
}

func big() []byte {
	line := []byte("This is a line of ordinary text in a big message, 72 octets of it, wow.\r\n")
	return append(bytes.Repeat(line, 16<<20/len(line)), ".\r\n"...)
}

// workloads are what is compared. Each opens what it needs and gives a function
// that sends one message.
var workloads = []struct {
	name string
	open func(t testing.TB, addr string) (send func(), octets int)
}{
	{"connection per 1.6 kB mail", func(t testing.TB, addr string) (func(), int) {
		m := small(t)
		return func() {
			c := dial(t, addr)
			c.mail(m)
			c.say(quit)
			c.Close()
		}, 0
	}},
	{"same connection, 1.6 kB mail", func(t testing.TB, addr string) (func(), int) {
		m, c := small(t), dial(t, addr)
		t.Cleanup(func() { c.Close() })
		return func() { c.mail(m) }, 0
	}},
	{"16 MiB mail", func(t testing.TB, addr string) (func(), int) {
		m, c := big(), dial(t, addr)
		t.Cleanup(func() { c.Close() })
		return func() { c.mail(m) }, len(m)
	}},
}

func listen(t testing.TB, s server) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.serve(l)
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// BenchmarkServers is every workload on every server.
func BenchmarkServers(b *testing.B) {
	for _, w := range workloads {
		for _, s := range servers {
			b.Run(w.name+"/"+s.name, func(b *testing.B) {
				send, octets := w.open(b, listen(b, s))
				b.SetBytes(int64(octets))
				b.ReportAllocs()
				for b.Loop() {
					send()
				}
			})
		}
	}
}
