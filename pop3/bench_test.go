package pop3_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/pop3"
)

// shelf is a maildrop of equal messages in a file, so that what is measured is
// this package and the page cache, and no store.
type shelf struct {
	file string
	n    int
	size int64
}

func (s shelf) Open(context.Context, *pop3.Session, string) (pop3.Drop, error) { return s.drop(), nil }

func (s shelf) drop() *shelfDrop {
	d := &shelfDrop{shelf: s, uids: make([]string, s.n)}
	for i := range d.uids {
		d.uids[i] = "1732112345.M123456P" + strconv.Itoa(100000+i)
	}
	return d
}

type shelfDrop struct {
	shelf
	uids []string
}

func (d *shelfDrop) Len() int                                         { return d.n }
func (d *shelfDrop) Size(int) int64                                   { return d.size }
func (d *shelfDrop) UID(i int) string                                 { return d.uids[i] }
func (d *shelfDrop) Open(context.Context, int) (io.ReadCloser, error) { return os.Open(d.file) }
func (d *shelfDrop) Remove(context.Context, []int) error              { return nil }
func (d *shelfDrop) Close() error                                     { return nil }

// steady is a Backend that opens one drop again and again, as a store with a
// cached listing does.
type steady struct{ d pop3.Drop }

func (s steady) Open(context.Context, *pop3.Session, string) (pop3.Drop, error) { return s.d, nil }

// everybody lets everybody in: what a password costs is not this package's.
type everybody struct{}

func (everybody) Offers(kind sasl.Kind) bool { return kind == sasl.Password }
func (everybody) Verify(_ context.Context, _, user string, _ []byte) (string, error) {
	return user, nil
}
func (everybody) Secret(context.Context, sasl.Kind, string) (sasl.Secret, string, error) {
	return sasl.Secret{}, "", sasl.ErrDenied
}

func newShelf(b testing.TB, n, size int) shelf {
	name := filepath.Join(b.TempDir(), "mail")
	head := "Subject: benchmark\r\nFrom: a@example.com\r\n\r\n"
	text := bytes.Repeat([]byte(strings.Repeat("Lorem ipsum, ", 6)[:74]+"\r\n"), size/76+1)
	text = append([]byte(head), text...)[:size-2]
	text = append(bytes.TrimRight(text, "\r\n"), "\r\n"...)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		b.Fatal(err)
	}
	return shelf{name, n, int64(len(text))}
}

func benchServer(backend pop3.Backend) *pop3.Server {
	return &pop3.Server{
		Hostname: "pop.example.com", Backend: backend, Credentials: everybody{}, CleartextAuth: true,
		Limits: pop3.Limits{Conns: -1, ConnsPerBlock: -1},
		Log:    slog.New(slog.DiscardHandler),
	}
}

// player is a connection that sends commands again and again after a login, and
// takes the answers: a plain connection's writer, without a network behind it.
type player struct {
	scripted
	b      *testing.B
	again  []byte // sent b.N times
	rest   []byte
	taken  int64
	writes int64
	ending bool
}

func (p *player) Read(buf []byte) (int, error) {
	for len(p.rest) == 0 {
		switch {
		case p.ending:
			return 0, io.EOF
		case p.b.Loop():
			p.rest = p.again
		default:
			p.rest, p.ending = []byte("QUIT\r\n"), true
		}
	}
	n := copy(buf, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *player) Write(b []byte) (int, error) {
	p.taken += int64(len(b))
	p.writes++
	return len(b), nil
}

func (p *player) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 110} }
func (p *player) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 4711} }

// play measures a session that repeats commands.
func playBench(b *testing.B, backend pop3.Backend, commands string, octets int64) {
	b.ReportAllocs()
	if octets > 0 {
		b.SetBytes(octets)
	}
	p := &player{b: b, rest: []byte("USER alice\r\nPASS x\r\n"), again: []byte(commands)}
	benchServer(backend).ServeConn(p)
	if p.taken < octets*int64(b.N) {
		b.Fatalf("%d octets", p.taken)
	}
}

func BenchmarkRetr(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"2kB", 2 << 10}, {"64kB", 64 << 10}, {"16MiB", 16 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			s := newShelf(b, 1, size.n)
			playBench(b, steady{s.drop()}, "RETR 1\r\n", s.size)
		})
	}
}

func BenchmarkTop(b *testing.B) {
	s := newShelf(b, 1, 64<<10)
	playBench(b, steady{s.drop()}, "TOP 1 0\r\n", 0)
}

// BenchmarkRetrPipelined retrieves 1,000 small messages in each round.
func BenchmarkRetrPipelined(b *testing.B) {
	s := newShelf(b, 1000, 2<<10)
	var commands strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&commands, "RETR %d\r\n", i+1)
	}
	playBench(b, steady{s.drop()}, commands.String(), 1000*s.size)
}

func BenchmarkListings(b *testing.B) {
	s := newShelf(b, 100_000, 2<<10)
	d := s.drop()
	for _, verb := range []string{"LIST", "UIDL", "STAT", "LIST 99999", "NOOP"} {
		b.Run(strings.ReplaceAll(verb, " ", "_"), func(b *testing.B) { playBench(b, steady{d}, verb+"\r\n", 0) })
	}
}

// BenchmarkSession is a poll over TCP: connect, log in, STAT, QUIT.
func BenchmarkSession(b *testing.B) {
	s := newShelf(b, 1000, 2<<10)
	srv := benchServer(steady{s.drop()})
	addr := listen(b, srv)
	answer := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		for _, command := range []string{"", "USER alice\r\n", "PASS x\r\n", "STAT\r\n", "QUIT\r\n"} {
			io.WriteString(c, command)
			if n, err := c.Read(answer); err != nil || answer[0] != '+' {
				b.Fatalf("%s: %q, %v", command, answer[:n], err)
			}
		}
		c.Close()
	}
}

// BenchmarkRetrTCP retrieves over a loopback connection, the client's work
// included.
func BenchmarkRetrTCP(b *testing.B) {
	for _, size := range []int{2 << 10, 64 << 10, 16 << 20} {
		b.Run(strconv.Itoa(size>>10)+"kB", func(b *testing.B) {
			s := newShelf(b, 1000, size)
			addr := listen(b, benchServer(steady{s.drop()}))
			ctx := context.Background()
			c, err := (&pop3.Dialer{User: "alice", Password: "x", AllowCleartextAuth: true}).Dial(ctx, addr)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(s.size)
			b.ReportAllocs()
			numbers := make([]int, 1000)
			for i := range numbers {
				numbers[i] = i + 1
			}
			left := b.N
			b.ResetTimer()
			for left > 0 {
				some := numbers[:min(left, 1000)]
				left -= len(some)
				err := c.RetrAll(ctx, some, func(_ int, m *pop3.Text, err error) error {
					if err == nil {
						_, err = io.Copy(io.Discard, m)
					}
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			c.Quit(ctx)
		})
	}
}

func listen(b testing.TB, srv *pop3.Server) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go srv.Serve(l)
	b.Cleanup(func() { srv.Close() })
	return l.Addr().String()
}

// BenchmarkIdle tells what an idle session holds that has logged in: heap and
// stacks, both ends' kernel buffers aside.
func BenchmarkIdle(b *testing.B) {
	const sessions = 2000
	s := newShelf(b, 1, 2<<10)
	srv := benchServer(steady{s.drop()})
	addr := listen(b, srv)
	for b.Loop() {
		conns := make([]net.Conn, 0, sessions)
		answer := make([]byte, 4096)
		before := inUse()
		for range sessions {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			conns = append(conns, c)
			for _, command := range []string{"", "USER alice\r\n", "PASS x\r\n", "STAT\r\n"} {
				io.WriteString(c, command)
				if _, err := c.Read(answer); err != nil {
					b.Fatal(err)
				}
			}
		}
		time.Sleep(50 * time.Millisecond)
		after := inUse()
		b.ReportMetric(float64(after-before)/sessions, "B/session")
		for _, c := range conns {
			c.Close()
		}
	}
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
