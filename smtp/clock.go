package smtp

import (
	"math"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// clock rules how long a session may wait. Two clocks run while it waits for a
// command: one for the command, from its first to its last octet, and one for
// the whole session. A message in progress is ruled by the wait for its next
// octets and by the rate at which it must arrive, so that a big message on a
// slow line is not cut off, and one octet a minute is.
type clock struct {
	limits  *Limits
	end     time.Time // of the session
	login   time.Time // when the client must have logged in; zero: it has, or need not
	line    time.Time // when the command must be complete; zero: not begun
	octets  int64     // of the message, as they crossed the wire
	written time.Time // when the deadline for writing was set

	receiving bool          // a message is in progress
	asked     time.Time     // when its next octets were asked for
	waited    time.Duration // for its octets so far: what the handler takes is not the client's
}

// grace is how long a message may take before its rate counts.
const grace = time.Minute

func (c *clock) begin(l *Limits, began time.Time, mustLogIn bool) {
	c.limits = l
	if mustLogIn {
		c.login = lineserver.Deadline(began, l.Login)
	}
	c.end = lineserver.Deadline(began, l.Session)
}

// await begins the wait for a command.
func (c *clock) await() { c.line = time.Time{} }

// receive begins a message, and done ends it.
func (c *clock) receive() { c.receiving, c.octets, c.waited = true, 0, 0 }

func (c *clock) done() { c.receiving = false }

// deadline is until when the next octet must be here; zero if it may take for
// ever.
func (c *clock) deadline() time.Time {
	now := time.Now()
	if !c.receiving {
		if c.line.IsZero() {
			c.line = lineserver.Deadline(now, c.limits.Command)
		}
		return lineserver.Earlier(lineserver.Earlier(c.line, c.login), c.end)
	}
	c.asked = now
	t := lineserver.Deadline(now, c.limits.Data)
	if c.limits.MinRate > 0 {
		t = lineserver.Earlier(t, now.Add(grace+paid(c.octets, c.limits.MinRate)-c.waited))
	}
	return t
}

// arrived notes that n octets came of what deadline was asked for.
func (c *clock) arrived(n int) {
	c.octets += int64(n)
	if c.receiving {
		c.waited += time.Since(c.asked)
	}
}

// paid is how long a message of n octets so far may take. What is demanded by
// the time t is rate × t × (1 + t/demanding): a short message may come over a
// line as slow as that, and nobody can trickle for days.
func paid(n int64, rate int) time.Duration {
	t := demanding.Seconds()
	seconds := t / 2 * (math.Sqrt(1+4*float64(n)/(float64(rate)*t)) - 1)
	return time.Duration(seconds * float64(time.Second))
}

// demanding is after how long a message must have come twice as fast.
const demanding = time.Hour

// source is the session as its Reader sees it: every read from the network
// first sends what the client waits for, and then waits only so long.
type source session

func (s *source) Read(p []byte) (int, error) {
	// Also when half a command is here: the client may want its answers before
	// it sends the other half (RFC 2920 §3.2).
	if s.w.Buffered() > 0 {
		if err := s.w.Flush(); err != nil {
			return 0, err
		}
	}
	// Should setting a deadline fail, the read says why.
	if t := s.clock.deadline(); s.clock.receiving {
		s.conn.BusyUntil(t)
	} else {
		s.conn.AwaitUntil(t)
	}
	n, err := s.readLines(p)
	if s.clock.receiving && s.clock.octets > s.srv.limits.endless() {
		return 0, errNoEnd
	}
	return n, err
}

// sink is the session as its Writer sees it.
type sink session

func (s *sink) Write(p []byte) (int, error) {
	if d := s.srv.limits.Reply; d > 0 {
		// One deadline serves many replies: it is moved on when an eighth of it
		// has gone.
		if now := time.Now(); now.Sub(s.clock.written) > d/8 {
			s.clock.written = now
			s.conn.SetWriteDeadline(now.Add(d))
		}
	}
	return s.net.Write(p)
}
