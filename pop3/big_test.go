package pop3_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/pop3"
)

// virtual is a maildrop of n messages that are made as they are read.
type virtual struct {
	n    int
	line string
	rep  int // lines of each message
}

func (v virtual) Open(context.Context, *pop3.Session, string) (pop3.Drop, error) {
	return virtualDrop{v}, nil
}

type virtualDrop struct{ virtual }

func (d virtualDrop) Len() int                            { return d.n }
func (d virtualDrop) Size(int) int64                      { return int64(len(d.line) * d.rep) }
func (d virtualDrop) UID(i int) string                    { return strconv.Itoa(1e9 + i) }
func (d virtualDrop) Remove(context.Context, []int) error { return nil }
func (d virtualDrop) Close() error                        { return nil }
func (d virtualDrop) Open(context.Context, int) (io.ReadCloser, error) {
	return io.NopCloser(&repeated{line: d.line, left: d.rep}), nil
}

// repeated gives a line again and again.
type repeated struct {
	line string
	rest string
	left int
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.rest == "" {
			if r.left == 0 {
				if n == 0 {
					err = io.EOF
				}
				return n, err
			}
			r.rest, r.left = r.line, r.left-1
		}
		k := copy(p[n:], r.rest)
		r.rest, n = r.rest[k:], n+k
	}
	return n, nil
}

// session plays commands behind a login and gives what the server says.
func session(t *testing.T, backend pop3.Backend, commands string) string {
	c := &tape{scripted: scripted{r: strings.NewReader("USER alice\r\nPASS x\r\n" + commands)}}
	benchServer(backend).ServeConn(c)
	out := c.out.String()
	for range 3 {
		_, out, _ = strings.Cut(out, "\r\n")
	}
	return out
}

// TestBigListings: every one of 200,000 messages is listed.
func TestBigListings(t *testing.T) {
	const n = 200_000
	out := session(t, virtual{n: n, line: "1234567\r\n", rep: 3}, "STAT\r\nLIST\r\nDELE 3\r\nUIDL\r\n")
	r := bufio.NewScanner(strings.NewReader(out))
	expect := func(want string) {
		t.Helper()
		if !r.Scan() || r.Text() != want {
			t.Fatalf("%q, want %q", r.Text(), want)
		}
	}
	expect(fmt.Sprintf("+OK %d %d", n, n*27))
	expect(fmt.Sprintf("+OK %d messages", n))
	for i := range n {
		expect(fmt.Sprintf("%d 27", i+1))
	}
	expect(".")
	expect("+OK 3 marked")
	expect("+OK")
	for i := range n {
		if i != 2 {
			expect(fmt.Sprintf("%d %d", i+1, 1_000_000_000+i))
		}
	}
	expect(".")
}

// TestLongLines: a line may be as long as it likes.
func TestLongLines(t *testing.T) {
	line := strings.Repeat("x", 1<<20) + "\r\n"
	if out := session(t, virtual{n: 1, line: line, rep: 3}, "RETR 1\r\n"); out != fmt.Sprintf("+OK %d octets\r\n", 3*len(line))+strings.Repeat(line, 3)+".\r\n" {
		t.Errorf("%d octets", len(out))
	}
}

// sink counts, and keeps nothing.
type sink struct {
	tape
	n int64
}

func (s *sink) Write(p []byte) (int, error) { s.n += int64(len(p)); return len(p), nil }

// TestConstantMemory: a message of 256 MiB goes through a few buffers.
func TestConstantMemory(t *testing.T) {
	v := virtual{n: 1, line: strings.Repeat("x", 62) + "\r\n", rep: 4 << 20}
	c := &sink{tape: tape{scripted: scripted{r: strings.NewReader("USER alice\r\nPASS x\r\nRETR 1\r\nTOP 1 4000000\r\n")}}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	benchServer(v).ServeConn(c)
	runtime.ReadMemStats(&after)
	if c.n < 500<<20 {
		t.Errorf("only %d octets", c.n)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d octets allocated", used)
	}
}

// TestZeroServer: it serves, and it lets nobody in. The other modes of TLS
// want a configuration.
func TestZeroServer(t *testing.T) {
	for _, mode := range []pop3.TLSMode{pop3.RequireTLS, pop3.ImplicitTLS} {
		srv := &pop3.Server{TLSMode: mode}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Serve(l); err == nil {
			t.Error("serves without TLS")
		}
		if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
			t.Error("listener is open")
		}
	}
}
