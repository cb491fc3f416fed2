package smtp

import (
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// Limits bound what one client can make the server hold, wait for and do. In
// every field 0 means the default, which its tag tells, and a negative value no
// limit. The defaults are the minima of RFC 5321 §4.5.3 or better.
type Limits struct {
	MessageSize int64 `default:"52428800"` // octets of one message as RFC 1870 counts them: 50 MiB
	Recipients  int   `default:"1000"`     // in one transaction; at least 100 by the RFC
	// AllRecipients bounds what all sessions hold together, the first 100 of
	// each transaction not counted. Beyond it, 452.
	AllRecipients int `default:"50000"`
	Line          int `default:"4096"` // octets of a command line without its CRLF (510 by the RFC), at most 32 kB
	Errors        int `default:"20"`   // refused commands before 421 and the end, since the last message accepted
	AuthErrors    int `default:"3"`    // failed AUTH before 421 and the end
	// Idle is how many commands may pass without a message being accepted or
	// a recipient named before 421 and the end, and how many messages may be
	// begun and given up without one being accepted.
	Idle int `default:"100"`
	// Messages is how many transactions one connection may make.
	Messages int `default:"none"`

	Command time.Duration `default:"5m"` // to wait for a command
	// Session is the time a whole connection may take, messages in progress
	// aside.
	Session time.Duration `default:"1h"`
	// Login is the time from the greeting to AUTH where RequireAuth is set.
	Login time.Duration `default:"5m"`
	// Data is the wait for the next piece of a message
	// (RFC 5321 §4.5.3.2.5).
	Data time.Duration `default:"3m"`
	// MinRate is how many octets per second a message must arrive at, averaged
	// from its beginning after a minute of grace, over the time spent waiting
	// for them. Who takes longer must be faster: twice as fast
	// after an hour, three times after two.
	MinRate   int           `default:"100"`
	Handshake time.Duration `default:"1m"` // for TLS
	Reply     time.Duration `default:"5m"` // to write replies to a client that does not read

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

// endless is how many octets of a message too big are read and dropped for the
// sake of answering in step. Beyond, the client is cut off.
func (l *Limits) endless() int64 {
	if l.MessageSize <= 0 || l.MessageSize > math.MaxInt64/16 {
		return math.MaxInt64
	}
	return 10*l.MessageSize + 1<<20
}

var errNoEnd = errors.New("smtp: message goes on far beyond its limit")
