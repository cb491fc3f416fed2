package pop3

import (
	"net/netip"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// Limits bound what one client can make the server hold, wait for and do. In
// every field 0 means the default, which its tag tells, and a negative value no
// limit.
type Limits struct {
	// Line is the longest command line in octets with its CRLF.
	// RFC 2449 §4 wants 255 at least; bearer tokens need more. Answers to SASL
	// challenges may have 12288 (RFC 4954 §4) if this is less.
	Line       int `default:"4096"`
	Errors     int `default:"20"` // commands that are unknown, malformed or out of place before the end
	AuthErrors int `default:"3"`  // failed logins before the end

	// Early is how many commands there may be before a login.
	Early int `default:"100"`

	// Command is the wait for the next command; RFC 1939 §3 allows no less than
	// 10 minutes.
	Command time.Duration `default:"10m"`
	// Login is the time from the greeting to a login.
	Login time.Duration `default:"15m"`
	// Session is the time a whole connection may take. What
	// is being sent then is still sent to its end.
	Session time.Duration `default:"12h"`
	// Handshake is the time for the TLS handshake.
	Handshake time.Duration `default:"1m"`
	// Reply is the time to take each 32 kB of what is sent, or the last piece.
	Reply time.Duration `default:"5m"`
	// InUse is how long a login waits for a maildrop that another session holds,
	// before it is [IN-USE]. Two programs of one user that
	// poll at the same time, or a client that comes back before its broken
	// connection is noticed, need not know of each other.
	InUse time.Duration `default:"2s"`
	// FailureDelay is the pause before a failed login is answered.
	FailureDelay time.Duration `default:"1s"`

	Conns         int `default:"1000"` // at a time
	ConnsPerBlock int `default:"50"`   // at a time from one IPv4 address or IPv6 /64

	// ConnsPerMinute is how many connections a minute one IPv4 address or IPv6
	// /64 may make, half of them at once. It does not bind
	// loopback addresses and those in FreeFrom.
	ConnsPerMinute int `default:"none"`
	FreeFrom       []netip.Prefix

	// Patience is how long a client that has not logged in may stay when Conns
	// is reached and another one waits. Clients
	// from one address share it: of ten, each has a tenth. Without it, strangers
	// who do nothing could keep everybody out.
	Patience time.Duration `default:"10s"`
}

func (l Limits) withDefaults() Limits {
	lineserver.Defaults(&l)
	return l
}
