package smtp

import (
	"github.com/postrider-mail/postrider/internal/netserve"
)

// settled is what a Server has worked out of its fields.
type settled struct{}

func (s *Server) settle() error { return s.err }

func (s *Server) session(c *netserve.Conn) {}
