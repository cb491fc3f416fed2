package smtp

import (
	"errors"
	"math"
	"net/netip"
	"time"
)

// Limits bound what one client can make the server hold, wait for and do. In
// every field 0 means the default and a negative value no limit. The defaults
// are the minima of RFC 5321 §4.5.3 or better.
type Limits struct {
	MessageSize int64 // octets of one message as RFC 1870 counts them; default 50 MiB
	Recipients  int   // in one transaction; default 1000, at least 100 by the RFC
	// AllRecipients bounds what all sessions hold together, the first 100 of
	// each transaction not counted; default 50,000. Beyond it, 452.
	AllRecipients int
	Line          int // octets of a command line without its CRLF; default 4096 (510 by the RFC), at most 32 kB
	Errors        int // refused commands before 421 and the end, since the last message accepted; default 20
	AuthErrors    int // failed AUTH before 421 and the end; default 3
	// Idle is how many commands may pass without a message being accepted or
	// a recipient named before 421 and the end, and how many messages may be
	// begun and given up without one being accepted; default 100.
	Idle int
	// Messages is how many transactions one connection may make; default none.
	Messages int

	Command time.Duration // to wait for a command; default 5 minutes
	// Session is the time a whole connection may take, messages in progress
	// aside; default 1 hour.
	Session time.Duration
	// Login is the time from the greeting to AUTH where RequireAuth is set;
	// default 5 minutes.
	Login time.Duration
	// Data is the wait for the next piece of a message; default 3 minutes
	// (RFC 5321 §4.5.3.2.5).
	Data time.Duration
	// MinRate is how many octets per second a message must arrive at, averaged
	// from its beginning after a minute of grace, over the time spent waiting
	// for them; default 100. Who takes longer must be faster: twice as fast
	// after an hour, three times after two.
	MinRate   int
	Handshake time.Duration // for TLS; default 1 minute
	Reply     time.Duration // to write replies to a client that does not read; default 5 minutes

	Conns         int // at a time; default 1000
	ConnsPerBlock int // at a time from one IPv4 address or IPv6 /64; default 50

	// ConnsPerMinute is how many connections a minute one IPv4 address or IPv6
	// /64 may make, half of them at once; default none. It does not bind
	// loopback addresses and those in FreeFrom.
	ConnsPerMinute int
	FreeFrom       []netip.Prefix

	// Patience is how long a client that has not logged in may stay when Conns
	// is reached and another one is at the door; default 10 seconds. Clients
	// from one address share it: of ten, each has a tenth. Without it, strangers
	// who do nothing could keep everybody out.
	Patience time.Duration
}

func (l Limits) withDefaults() Limits {
	set(&l.MessageSize, 50<<20)
	set(&l.Recipients, 1000)
	set(&l.AllRecipients, 50000)
	set(&l.Line, 4096)
	set(&l.Errors, 20)
	set(&l.AuthErrors, 3)
	set(&l.Idle, 100)
	set(&l.Messages, -1)
	set(&l.Command, 5*time.Minute)
	set(&l.Session, time.Hour)
	set(&l.Login, 5*time.Minute)
	set(&l.Data, 3*time.Minute)
	set(&l.MinRate, 100)
	set(&l.Handshake, time.Minute)
	set(&l.Reply, 5*time.Minute)
	set(&l.Conns, 1000)
	set(&l.ConnsPerBlock, 50)
	set(&l.ConnsPerMinute, -1)
	set(&l.Patience, 10*time.Second)
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

func set[T ~int | ~int64](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}
