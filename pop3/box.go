package pop3

import (
	"context"
	"fmt"
	"math/bits"
)

// box is the session's view of its maildrop: which messages are marked as
// deleted, and the sums of the others.
type box struct {
	drop      Drop
	marked    set64
	retrieved set64
	left      int   // messages not marked
	octets    int64 // their sizes, once summed
	summed    bool
}

// set64 is a set of message indices.
type set64 []uint64

func (s set64) has(i int) bool { return i>>6 < len(s) && s[i>>6]&(1<<(i&63)) != 0 }

// add makes room for n indices the first time.
func (s *set64) add(i, n int) {
	if *s == nil {
		*s = make(set64, (n+63)/64)
	}
	(*s)[i>>6] |= 1 << (i & 63)
}

// slice gives the members in order.
func (s set64) slice() []int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	is := make([]int, 0, n)
	for k, w := range s {
		for ; w != 0; w &= w - 1 {
			is = append(is, k<<6+bits.TrailingZeros64(w))
		}
	}
	return is
}

func (b *box) open(d Drop) { *b = box{drop: d, left: d.Len()} }

// close unlocks the maildrop. Without one it does nothing.
func (b *box) close() error {
	if b.drop == nil {
		return nil
	}
	d := b.drop
	*b = box{}
	return d.Close()
}

// sum gives the number and the octets of the messages not marked. The sizes
// are asked for once: a store may have to open a file for each.
func (b *box) sum() (int64, int64) {
	if !b.summed {
		b.octets, b.summed = 0, true
		for i := range b.drop.Len() {
			if !b.marked.has(i) {
				b.octets += b.drop.Size(i)
			}
		}
	}
	return int64(b.left), b.octets
}

func (b *box) mark(i int) {
	b.marked.add(i, b.drop.Len())
	b.left--
	if b.summed {
		b.octets -= b.drop.Size(i)
	}
}

func (b *box) unmarkAll() {
	b.marked, b.left, b.summed = nil, b.drop.Len(), false
}

// number is the index of the live message that arg names. Every command that
// takes a message number asks it here: there is no message 0, none past the
// end, and none that is marked as deleted (RFC 1939 §5).
func (c *session) number(arg []byte) (int, reply) {
	n, ok := parseNumber(arg)
	count := c.box.drop.Len()
	switch {
	case !ok:
		return 0, c.bad("message number expected")
	case n == 0:
		return 0, failure("", "there is no message 0, the first one is 1")
	case n > int64(count):
		return 0, failure("", fmt.Sprintf("there is no message %s, only %d in the maildrop", arg[:min(len(arg), 20)], count))
	case c.box.marked.has(int(n - 1)):
		return 0, failure("", fmt.Sprintf("message %d is deleted", n))
	}
	return int(n - 1), reply{ok: true}
}

// parseNumber reads digits; what does not fit is the largest number.
func parseNumber(arg []byte) (n int64, ok bool) {
	const most = 1<<63 - 1
	for _, d := range arg {
		if d < '0' || d > '9' {
			return 0, false
		}
		if n > (most-int64(d-'0'))/10 {
			n = most
			continue
		}
		n = 10*n + int64(d-'0')
	}
	return n, len(arg) > 0
}

// dele marks a message (RFC 1939 §5).
func (c *session) dele(a *args) reply {
	i, r := c.number(a.v[0])
	if !r.ok {
		return r
	}
	c.box.mark(i)
	return ok("marked").with(int64(i + 1))
}

// rset takes all marks away (RFC 1939 §5).
func (c *session) rset(*args) reply {
	c.box.unmarkAll()
	return ok("")
}

// quit ends the session; behind a login this is the UPDATE state (RFC 1939
// §6). The answer comes when the maildrop is unlocked, so that a client that
// returns at once finds it free.
func (c *session) quit(*args) reply {
	c.why = "quit"
	r := ok(c.srv.Farewell)
	if c.srv.Farewell == "" {
		r.text = "bye"
	}
	r.end = true
	if c.state != transaction {
		return r
	}
	marked := c.box.drop.Len() - c.box.left
	if err := c.update(); err != nil {
		c.why = "quit, but nothing removed"
		r = c.refusal("removing messages", err)
		if _, chosen := answerOf(err); !chosen {
			r.text = "marked messages could not be removed"
		}
		r.end = true
	} else {
		c.tally.Deleted = marked
	}
	c.unlock()
	return r
}

// update removes what was marked.
func (c *session) update() error {
	b := &c.box
	if r, ok := b.drop.(Retriever); ok && b.retrieved != nil {
		if err := c.tell(r); err != nil {
			return err
		}
	}
	if b.left == b.drop.Len() {
		return nil
	}
	return b.drop.Remove(c.ctx, b.marked.slice())
}

func (c *session) tell(r Retriever) error {
	is := c.box.retrieved.slice()
	c.box.retrieved = nil
	return r.Retrieved(context.WithoutCancel(c.ctx), is)
}
