package smtp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	netsmtp "net/smtp"
	"runtime"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/smtp"
)

// sample is an ordinary message of several parts, 1.6 kB.
//
//go:embed testdata/sample.eml
var sample []byte

// discard serves what the benchmarks send.
func discard(change func(*smtp.Server)) *smtp.Server {
	srv := &smtp.Server{
		Hostname:  "mx.example.com",
		Log:       slog.New(slog.DiscardHandler),
		Limits:    smtp.Limits{Conns: -1, ConnsPerBlock: -1, Idle: -1},
		CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			_, err := io.Copy(io.Discard, e.Data)
			return err
		}),
	}
	if change != nil {
		change(srv)
	}
	return srv
}

// listen serves srv on loopback until the benchmark ends.
func listen(b *testing.B, srv *smtp.Server) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	b.Cleanup(func() {
		srv.Close()
		if err := <-served; !errors.Is(err, smtp.ErrServerClosed) {
			b.Error(err)
		}
	})
	return l.Addr().String()
}

// lean is a client that allocates nothing, so that what is measured is the
// server.
type lean struct {
	net.Conn
	buf  [4096]byte
	n    int
	fail func(...any)
}

// say sends text and waits for so many replies, the last of which must have
// the code.
func (c *lean) say(text []byte, replies int, code string) {
	if len(text) > 0 {
		if _, err := c.Write(text); err != nil {
			c.fail(err)
		}
	}
	for {
		for c.n > 0 {
			i := bytes.IndexByte(c.buf[:c.n], '\n')
			if i < 3 {
				break
			}
			final := c.buf[3] == ' '
			if final {
				replies--
			}
			if final && replies == 0 && string(c.buf[:3]) != code {
				c.fail(string(c.buf[:i]))
			}
			c.n = copy(c.buf[:], c.buf[i+1:c.n])
		}
		if replies <= 0 {
			return
		}
		n, err := c.Read(c.buf[c.n:])
		if err != nil {
			c.fail(err)
		}
		c.n += n
	}
}

var (
	ehlo = []byte("EHLO client.example.net\r\n")
	from = []byte("MAIL FROM:<ann@example.net>\r\n")
	to   = []byte("RCPT TO:<bob@example.com>\r\n")
	data = []byte("DATA\r\n")
	quit = []byte("QUIT\r\n")
	body = stuffed(sample)
)

func stuffed(m []byte) []byte {
	return append(bytes.ReplaceAll(m, []byte("\r\n."), []byte("\r\n..")), ".\r\n"...)
}

// hello connects and introduces itself.
func hello(b *testing.B, conn net.Conn, err error) *lean {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	c := &lean{Conn: conn, fail: b.Fatal}
	c.say(nil, 1, "220")
	c.say(ehlo, 1, "250")
	return c
}

func dial(b *testing.B, addr string) *lean {
	conn, err := net.Dial("tcp", addr)
	return hello(b, conn, err)
}

func (c *lean) mail(message []byte) {
	c.say(from, 1, "250")
	c.say(to, 1, "250")
	c.say(data, 1, "354")
	c.say(message, 1, "250")
}

// BenchmarkRawProcessingSequence is one session over a pipe, with one recipient
// that is refused.
func BenchmarkRawProcessingSequence(b *testing.B) {
	srv := discard(nil)
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		client, server := net.Pipe()
		go srv.ServeConn(server)
		c := &lean{Conn: client, fail: b.Fatal}
		c.say(nil, 1, "220")
		c.say([]byte("HELO client.example.net\r\n"), 1, "250")
		c.say(from, 1, "250")
		c.say(to, 1, "250")
		c.say([]byte("RCPT TO:\r\n"), 1, "501")
		c.say(data, 1, "354")
		c.say(body, 1, "250")
		c.say(quit, 1, "221")
		client.Close()
	}
}

// BenchmarkNetSMTP is one connection for each message, with Go's own client.
func BenchmarkNetSMTP(b *testing.B) {
	addr := listen(b, discard(nil))
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		if err := netsmtp.SendMail(addr, nil, "ann@example.net", []string{"bob@example.com"}, sample); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConnection is one connection for each message.
func BenchmarkConnection(b *testing.B) {
	addr := listen(b, discard(nil))
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		c := dial(b, addr)
		c.mail(body)
		c.say(quit, 1, "221")
		c.Close()
	}
}

// BenchmarkSameConnection sends all messages over one connection.
func BenchmarkSameConnection(b *testing.B) {
	c := dial(b, listen(b, discard(nil)))
	defer c.Close()
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		c.mail(body)
	}
}

// BenchmarkPipelined sends MAIL, RCPT and DATA together.
func BenchmarkPipelined(b *testing.B) {
	c := dial(b, listen(b, discard(nil)))
	defer c.Close()
	batch := bytes.Join([][]byte{from, to, data}, nil)
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		c.say(batch, 3, "354")
		c.say(body, 1, "250")
	}
}

// BenchmarkBDAT sends each message in one write.
func BenchmarkBDAT(b *testing.B) {
	c := dial(b, listen(b, discard(nil)))
	defer c.Close()
	whole := bytes.Join([][]byte{from, to, fmt.Appendf(nil, "BDAT %d LAST\r\n", len(sample)), sample}, nil)
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		c.say(whole, 3, "250")
	}
}

// BenchmarkRecipients sends a message to a hundred recipients, pipelined.
func BenchmarkRecipients(b *testing.B) {
	c := dial(b, listen(b, discard(nil)))
	defer c.Close()
	batch := bytes.Join([][]byte{from, bytes.Repeat(to, 100), data}, nil)
	b.ReportAllocs()
	for b.Loop() {
		c.say(batch, 102, "354")
		c.say(body, 1, "250")
	}
}

func bigMail() []byte {
	line := []byte("This is a line of ordinary text in a big message, 72 octets of it, wow.\r\n")
	m := bytes.Repeat(line, 16<<20/len(line))
	return append(append([]byte("Subject: big\r\n\r\n"), m...), ".\r\n"...)
}

// Benchmark16MiB sends big messages over one connection.
func Benchmark16MiB(b *testing.B) {
	c := dial(b, listen(b, discard(nil)))
	defer c.Close()
	m := bigMail()
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		c.mail(m)
	}
}

// Benchmark16MiBBDAT sends the same in chunks of 1 MiB.
func Benchmark16MiBBDAT(b *testing.B) {
	c := dial(b, listen(b, discard(nil)))
	defer c.Close()
	m := bigMail()
	const size = 1 << 20
	chunk := fmt.Appendf(nil, "BDAT %d\r\n", size)
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		c.say(from, 1, "250")
		c.say(to, 1, "250")
		for i := 0; i+size <= len(m); i += size {
			c.Write(chunk)
			c.say(m[i:i+size], 1, "250")
		}
		c.say([]byte("BDAT 2 LAST\r\n\r\n"), 1, "250")
	}
}

// BenchmarkTLS is one connection with STARTTLS for each message.
func BenchmarkTLS(b *testing.B) {
	server, client := certificates(b)
	addr := listen(b, discard(func(s *smtp.Server) { s.TLSConfig = server }))
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		c := dialTLS(b, addr, client)
		c.mail(body)
		c.say(quit, 1, "221")
		c.Close()
	}
}

// BenchmarkTLSSameConnection sends all messages over one connection with TLS.
func BenchmarkTLSSameConnection(b *testing.B) {
	server, client := certificates(b)
	c := dialTLS(b, listen(b, discard(func(s *smtp.Server) { s.TLSConfig = server })), client)
	defer c.Close()
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		c.mail(body)
	}
}

func dialTLS(b *testing.B, addr string, config *tls.Config) *lean {
	c := dial(b, addr)
	c.say([]byte("STARTTLS\r\n"), 1, "220")
	t := tls.Client(c.Conn, config)
	if err := t.Handshake(); err != nil {
		b.Fatal(err)
	}
	s := &lean{Conn: t, fail: b.Fatal}
	s.say(ehlo, 1, "250")
	return s
}

// BenchmarkAuth is one connection with AUTH PLAIN for each message.
func BenchmarkAuth(b *testing.B) {
	addr := listen(b, discard(func(s *smtp.Server) {
		s.CleartextAuth = true
		s.Credentials = sasl.PasswordFunc(func(user, password, _ string) error { return nil })
	}))
	b.ReportAllocs()
	for b.Loop() {
		c := dial(b, addr)
		c.say([]byte("AUTH PLAIN AHRlc3QAc2VzYW1l\r\n"), 1, "235")
		c.mail(body)
		c.say(quit, 1, "221")
		c.Close()
	}
}

// BenchmarkIdle reports the memory that a connection holds that waits after
// EHLO, the client's side left out.
func BenchmarkIdle(b *testing.B) {
	idle(b, func() *smtp.Server { return discard(nil) }, dial)
}

// BenchmarkIdleTLS is BenchmarkIdle under TLS.
func BenchmarkIdleTLS(b *testing.B) {
	server, client := certificates(b)
	idle(b, func() *smtp.Server { return discard(func(s *smtp.Server) { s.TLSConfig = server }) }, func(b *testing.B, addr string) *lean {
		return dialTLS(b, addr, client)
	})
}

// idle measures by closing the server's side: what the collector then finds is
// what the sessions held.
func idle(b *testing.B, serve func() *smtp.Server, dial func(*testing.B, string) *lean) {
	const conns = 1000
	for b.Loop() {
		srv := serve()
		addr := listen(b, srv)
		clients := make([]*lean, conns)
		for i := range clients {
			clients[i] = dial(b, addr)
		}
		held := memory()
		srv.Close()
		for srv.Sessions() > 0 {
			runtime.Gosched()
		}
		b.ReportMetric(float64(held-memory())/conns, "bytes/conn")
		for _, c := range clients {
			c.Close()
		}
	}
}

func memory() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
