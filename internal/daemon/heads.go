package daemon

import (
	"io"
	"sync/atomic"

	"github.com/postrider-mail/postrider/rfc2822"
)

const (
	// commonHead is how much of a header is looked at in any case, in octets.
	// Few have more than a tenth of it.
	commonHead = 64 << 10
	// longHead is how much is looked at while no more than manyHeads messages
	// with a header beyond commonHead are on their way in. A stranger can keep
	// a connection in the middle of a header for long, and has many.
	longHead  = 1 << 20
	manyHeads = 32
)

// heads counts the messages whose long headers are in memory.
type heads struct{ long atomic.Int32 }

// peek returns the header that r begins with, as far as it is looked at, and a
// reader of the whole. done is to be called when the message is through.
func (h *heads) peek(r io.Reader) (header *rfc2822.Section, whole io.Reader, done func(), err error) {
	done = func() {}
	header, whole, err = rfc2822.Peek(r, commonHead)
	if err != nil || !header.Truncated() {
		return header, whole, done, err
	}
	if h.long.Add(1) > manyHeads {
		h.long.Add(-1)
		return header, whole, done, nil
	}
	header, whole, err = rfc2822.Peek(whole, longHead)
	if err != nil {
		h.long.Add(-1) // the client is gone, and nobody calls done for an error
		return header, whole, done, err
	}
	return header, whole, func() { h.long.Add(-1) }, nil
}
