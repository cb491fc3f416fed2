package pop3_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"

	"github.com/postrider-mail/postrider/pop3"
)

// TestProxyProtocol: a wrapped listener's addresses are the session's. The
// header comes before everything else, TLS from the first octet included.
func TestProxyProtocol(t *testing.T) {
	server, client := certificates(t)
	h := proxyproto.HeaderProxyFromAddrs(2,
		&net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 4711}, &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 110})
	v2, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"PROXY TCP4 203.0.113.9 198.51.100.1 4711 110\r\n", string(v2)} {
		for _, implicit := range []bool{false, true} {
			addrs := make(chan string, 1)
			srv := benchServer(pop3.BackendFunc(func(_ context.Context, s *pop3.Session, _ string) (pop3.Drop, error) {
				addrs <- s.RemoteAddr.String() + " " + s.LocalAddr.String()
				return virtualDrop{}, nil
			}))
			if implicit {
				srv.TLSConfig, srv.TLSMode = server, pop3.ImplicitTLS
			}
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go srv.Serve(&proxyproto.Listener{Listener: inner})
			c, err := net.Dial("tcp", inner.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, header)
			if implicit {
				c = tls.Client(c, client)
			}
			io.WriteString(c, "USER alice\r\nPASS x\r\nQUIT\r\n")
			said, err := io.ReadAll(bufio.NewReader(c))
			if err != nil || !strings.HasSuffix(string(said), "+OK bye\r\n") {
				t.Fatalf("implicit %v: %q, %v", implicit, said, err)
			}
			if got := <-addrs; got != "203.0.113.9:4711 198.51.100.1:110" {
				t.Errorf("implicit %v: connection of %s", implicit, got)
			}
			srv.Close()
		}
	}
}
