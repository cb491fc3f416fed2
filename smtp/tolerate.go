package smtp

import (
	"net/netip"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// Tolerance is a set of faults that a server forgives a client, see
// Server.Tolerate.
type Tolerance uint8

// The faults.
const (
	// TolerateBareNewlines puts CRLF in the place of a CR or LF of its own in a
	// message, which is refused otherwise. None is ever stored as it came, and
	// none ends a message.
	TolerateBareNewlines Tolerance = 1 << iota
	// TolerateLF takes lines that end in LF alone for commands. A client whose
	// very first line ends so speaks no CRLF at all: its message then is lines
	// that end in LF too, up to one of a single dot. Who began with CRLF, as
	// every server does that passes on the mail of others, ends its messages by
	// CRLF "." CRLF only. BDAT is not for clients that speak LF.
	TolerateLF
	// ToleratePaths takes addresses without angle brackets and what else
	// PathLenient allows in MAIL and RCPT.
	ToleratePaths

	TolerateAll = TolerateBareNewlines | TolerateLF | ToleratePaths
)

// TolerateFrom is a Server.Tolerate that forgives faults to clients of these
// networks; without any network, to nobody.
func TolerateFrom(faults Tolerance, networks ...netip.Prefix) func(*Session) Tolerance {
	return func(s *Session) Tolerance {
		if lineserver.Within(s.RemoteAddr, networks) {
			return faults
		}
		return 0
	}
}

// tolerate asks what is forgiven to the client from now on.
func (s *session) tolerate() {
	s.tolerance = 0
	if f := s.srv.Tolerate; f != nil {
		s.ask(func() error { s.tolerance = f(&s.pub); return nil })
	}
	s.r.Tolerant = s.tolerance&TolerateLF != 0
}

// paths is what is accepted in MAIL and RCPT beyond the grammar of RFC 5321.
func (s *session) paths() PathOption {
	if s.tolerance&ToleratePaths != 0 {
		return PathLenient
	}
	return 0
}

// newlines is what happens to a bare CR or LF in a message of this client.
func (s *session) newlines() textual.Mode {
	if s.tolerance&TolerateBareNewlines != 0 {
		return textual.Normalise
	}
	return textual.Reject
}
