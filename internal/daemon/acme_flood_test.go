package daemon

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// TestChallengeFlood: who holds as many connections as there can be where the authority comes by HTTP,
// and never sends the request that was begun, does not keep the authority out.
func TestChallengeFlood(t *testing.T) {
	port := peertest.FreePort(t)
	start(t, fmt.Sprintf(`"TLS": {"ACME": {"accept_terms": true, "directory": "https://127.0.0.1:1/nobody", "listen": "127.0.0.1:%d"}},`, port))
	dial := func(from string) net.Conn {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), forEver)
		defer cancel()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(forEver))
		return c
	}
	for range maxChallengeConns {
		io.WriteString(dial("127.0.0.66"), "POST /.well-known/acme-challenge/x HTTP/1.1\r\nHost: mail.test\r\nContent-Length: 100\r\n\r\nx")
	}
	c := dial("127.0.0.1")
	io.WriteString(c, "GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: mail.test\r\nConnection: close\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 404") {
		t.Errorf("%q, %v", line, err)
	}
}
