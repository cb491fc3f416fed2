package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve runs a Server on a free port.
func serve(t *testing.T, s *Server) (addr string, ended chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Log = slog.New(slog.DiscardHandler)
	ended = make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l.Addr().String(), ended
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// request sends one, and returns the status line.
func request(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	io.WriteString(c, text)
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

const plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// TestConnections: one address has no more connections than it may, and each is
// free again when it has ended.
func TestConnections(t *testing.T) {
	s := &Server{Handler: http.NotFoundHandler(), MaxConns: 10, MaxConnsPerBlock: 2}
	addr, _ := serve(t, s)
	first, second := dial(t, addr), dial(t, addr)
	for _, c := range []net.Conn{first, second} {
		if got := request(t, c, plain); got != "HTTP/1.1 404 Not Found" {
			t.Fatal(got)
		}
	}
	third := dial(t, addr)
	if got := request(t, third, ""); got != "HTTP/1.1 503 Service Unavailable" {
		t.Error(got)
	}
	if _, err := io.ReadAll(third); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	first.Close()
	for s.group.Len() > 1 {
		time.Sleep(time.Millisecond)
	}
	if got := request(t, dial(t, addr), plain); got != "HTTP/1.1 404 Not Found" {
		t.Error(got)
	}
}

// TestOffice: many mail programs behind one address, each asking at eight places at once, are
// all answered.
func TestOffice(t *testing.T) {
	s := &Server{Handler: http.NotFoundHandler(), MaxConns: 1000, MaxConnsPerBlock: 500}
	addr, _ := serve(t, s)
	var all sync.WaitGroup
	for range 50 * 8 {
		all.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(time.Minute))
			io.WriteString(c, plain)
			if line, err := bufio.NewReader(c).ReadString('\n'); line != "HTTP/1.1 404 Not Found\r\n" {
				t.Errorf("%q, %v", line, err)
			}
		})
	}
	all.Wait()
}

// TestTooLarge: a header and an address may be long, but not without end.
func TestTooLarge(t *testing.T) {
	addr, _ := serve(t, &Server{Handler: http.NotFoundHandler()})
	long := strings.Repeat("a", 10<<10)
	if got := request(t, dial(t, addr), "GET /?emailaddress="+long+" HTTP/1.1\r\nHost: a\r\n\r\n"); got != "HTTP/1.1 404 Not Found" {
		t.Error(got)
	}
	if got := request(t, dial(t, addr), "GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat(long, 4)+"\r\n\r\n"); got != "HTTP/1.1 431 Request Header Fields Too Large" {
		t.Error(got)
	}
}

// TestShutdown: a request that is being answered is answered, and nobody is left.
func TestShutdown(t *testing.T) {
	asked, go_ := make(chan struct{}), make(chan struct{})
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-go_
	})}
	addr, ended := serve(t, s)
	dial(t, addr) // says nothing
	c := dial(t, addr)
	io.WriteString(c, plain)
	<-asked
	down := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go func() { down <- s.Shutdown(ctx) }()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("it takes connections yet")
	}
	close(go_)
	if got := request(t, c, ""); got != "HTTP/1.1 200 OK" {
		t.Error(got)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	for s.group.Len() > 0 {
		time.Sleep(time.Millisecond)
	}
}
