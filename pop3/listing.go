package pop3

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// stat answers with the number and the octets of the messages not marked
// (RFC 1939 §5).
func (c *session) stat(*args) reply {
	count, octets := c.box.sum()
	return ok("").with(count, octets)
}

// list gives the size of one message or of all (RFC 1939 §5).
func (c *session) list(a *args) reply {
	if a.n == 1 {
		i, r := c.number(a.v[0])
		if !r.ok {
			return r
		}
		return ok("").with(int64(i+1), c.box.drop.Size(i))
	}
	r := ok("messages").with(int64(c.box.left))
	r.body = func() error {
		return c.each(func(b []byte, i int) []byte {
			return strconv.AppendInt(append(b, ' '), c.box.drop.Size(i), 10)
		})
	}
	return r
}

// uidl gives the unique id of one message or of all (RFC 1939 §7).
func (c *session) uidl(a *args) reply {
	if a.n == 1 {
		i, r := c.number(a.v[0])
		if !r.ok {
			return r
		}
		return ok(uid(c.box.drop, i)).with(int64(i + 1))
	}
	r := ok("")
	r.body = func() error {
		return c.each(func(b []byte, i int) []byte {
			return append(append(b, ' '), uid(c.box.drop, i)...)
		})
	}
	return r
}

// each writes a line for each message not marked: its number, and what f
// appends, at most maxReply octets.
func (c *session) each(f func(b []byte, i int) []byte) error {
	for i := range c.box.drop.Len() {
		if c.box.marked.has(i) {
			continue
		}
		b := strconv.AppendInt(c.w.short(maxReply), int64(i+1), 10)
		c.w.done(append(f(b, i), '\r', '\n'))
		if c.w.err != nil {
			return c.w.err
		}
	}
	c.w.done(append(c.w.short(maxReply), ".\r\n"...))
	return c.w.err
}

// uid is the message's unique id. One that RFC 1939 §7 does not allow, which
// could pass for something else on the wire, is replaced by its digest: that is
// as stable and as unique.
func uid(d Drop, i int) string {
	id := d.UID(i)
	if validUID(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

func validUID(id string) bool {
	if id == "" || len(id) > 70 {
		return false
	}
	for i := range len(id) {
		if id[i] < 0x21 || id[i] > 0x7e {
			return false
		}
	}
	return true
}
