package post

import (
	"io"
	"sync/atomic"

	"github.com/postrider-mail/postrider/rfc2822"
)

const (
	// commonHeader is how much of a header is looked at in any case, in octets.
	// Few have more than a tenth of it.
	commonHeader = 64 << 10
	// longHeader is how much is looked at while no more than mostLong messages
	// with a header beyond commonHeader are on their way in. A stranger can keep
	// a connection in the middle of a header for long, and has many.
	longHeader = 1 << 20
	mostLong   = 32
)

// longHeaders counts the messages whose long headers are in memory.
type longHeaders struct{ long atomic.Int32 }

// peek returns the header that r begins with, as far as it is looked at, and a
// reader of the whole. done is to be called when the message is through.
func (h *longHeaders) peek(r io.Reader) (header *rfc2822.Section, whole io.Reader, done func(), err error) {
	done = func() {}
	header, whole, err = rfc2822.Peek(r, commonHeader)
	if err != nil || !header.Truncated() {
		return header, whole, done, err
	}
	if h.long.Add(1) > mostLong {
		h.long.Add(-1)
		return header, whole, done, nil
	}
	header, whole, err = rfc2822.Peek(whole, longHeader)
	if err != nil {
		h.long.Add(-1) // the client is gone, and nobody calls done for an error
		return header, whole, done, err
	}
	return header, whole, func() { h.long.Add(-1) }, nil
}
