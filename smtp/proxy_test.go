package smtp_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	netsmtp "net/smtp"
	"testing"

	"github.com/pires/go-proxyproto"

	"github.com/postrider-mail/postrider/smtp"
)

// preceded sends a PROXY header in one piece with the first octets written.
type preceded struct {
	net.Conn
	header []byte
}

// Write implements net.Conn.
func (p *preceded) Write(b []byte) (int, error) {
	if p.header == nil {
		return p.Conn.Write(b)
	}
	n, err := p.Conn.Write(append(p.header, b...))
	n = max(n-len(p.header), 0)
	p.header = nil
	return n, err
}

// proxyHeaders are those a proxy for 203.0.113.9 sends.
func proxyHeaders(t *testing.T) map[string][]byte {
	all := map[string][]byte{"v1": []byte("PROXY TCP4 203.0.113.9 198.51.100.1 4711 465\r\n")}
	h := proxyproto.HeaderProxyFromAddrs(2,
		&net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 4711}, &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 465})
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	all["v2"] = b
	return all
}

// TestProxyHeaderBeforeTLS: the header comes before the first octet of TLS,
// also glued to it, and the session has the addresses it tells.
func TestProxyHeaderBeforeTLS(t *testing.T) {
	server, client := certificates(t)
	type end struct{ remote, local string }
	seen := make(chan end, 1)
	srv := &smtp.Server{
		Hostname:  "mx.example.com",
		Log:       slog.New(slog.DiscardHandler),
		TLSConfig: server,
		TLSMode:   smtp.ImplicitTLS,
		CheckConn: func(_ context.Context, s *smtp.Session) error {
			seen <- end{s.RemoteAddr.String(), s.LocalAddr.String()}
			return nil
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(&proxyproto.Listener{Listener: l})
	defer srv.Close()
	for name, header := range proxyHeaders(t) {
		for _, glued := range []bool{false, true} {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if glued {
				c = &preceded{c, header}
			} else {
				c.Write(header) // in one piece, as the protocol demands (§2.1)
			}
			s, err := netsmtp.NewClient(tls.Client(c, client), "mx.example.com")
			if err != nil {
				t.Errorf("%s, glued %v: %v", name, glued, err)
				c.Close()
				continue
			}
			if got := <-seen; got != (end{"203.0.113.9:4711", "198.51.100.1:465"}) {
				t.Errorf("%s, glued %v: connection of %v", name, glued, got)
			}
			if err := s.Quit(); err != nil && err != io.EOF {
				t.Errorf("%s, glued %v: %v", name, glued, err)
			}
		}
	}
}
