package pop3

import (
	"crypto/tls"
	"net"

	"github.com/postrider-mail/postrider/internal/netserve"
)

// Session is one connection, as callbacks see it.
type Session struct {
	ID   string // random; in every log line and every -ERR
	User string // the account that logged in; empty before
	// RemoteAddr and LocalAddr are the connection's ends; RemoteAddr is the
	// original client's where a trusted proxy told it (XCLIENT).
	RemoteAddr, LocalAddr net.Addr
	TLS                   *tls.ConnectionState // nil in the clear
	UTF8                  bool                 // the client sent UTF8 (RFC 6856 §2.1)
	// Values is for the callbacks' own use. It is emptied by STLS.
	Values map[any]any
}

// Set puts a value into Values, making the map if needed.
func (s *Session) Set(key, value any) {
	if s.Values == nil {
		s.Values = make(map[any]any)
	}
	s.Values[key] = value
}

func (s *Server) session(c *netserve.Conn) {}
