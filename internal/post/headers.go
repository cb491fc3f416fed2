package post

import (
	"io"
	"sync/atomic"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

const (
	// commonHeader is how much of a header is looked at in any case, in octets.
	// Few have more than a tenth of it.
	commonHeader = 64 << 10
	// longHeader is how much is looked at while no more than mostLong messages
	// with a header beyond commonHeader are on their way in, of strangers and of others
	// each. A stranger can keep a connection in the middle of a header for long, and has many.
	longHeader = 1 << 20
	mostLong   = 32
)

// What decides about a message may stand beyond what can be looked at of its header.
var (
	errTooLong = &smtp.Reply{Code: 552, Enhanced: "5.3.4", Text: "The header of the message is too long"}
	errBusy    = &smtp.Reply{Code: 451, Enhanced: "4.3.2", Text: "Too many messages with long headers at a time"}
)

// TooLong is the answer to a message whose header is cut short and must not be. busy: only because
// too many others are as long now, so that another attempt may fare better.
func TooLong(busy bool) *smtp.Reply {
	if busy {
		return errBusy
	}
	return errTooLong
}

// longHeaders counts the messages whose long headers are in memory.
type longHeaders struct{ trusted, strangers atomic.Int32 }

// peek returns the message that r begins with: its header, as far as it is looked at, and a
// reader of the whole. Its done is to be called when the message is through.
func (h *longHeaders) peek(r io.Reader, trusted bool) (*message, error) {
	long := &h.strangers
	if trusted {
		long = &h.trusted
	}
	m := &message{done: func() {}}
	var err error
	m.header, m.body, err = rfc2822.Peek(r, commonHeader)
	if err != nil || !m.header.Truncated() {
		return m, err
	}
	if long.Add(1) > mostLong {
		long.Add(-1)
		m.busy = true
		return m, nil
	}
	m.header, m.body, err = rfc2822.Peek(m.body, longHeader)
	if err != nil {
		long.Add(-1) // the client is gone, and nobody calls done for an error
		return m, err
	}
	m.done = func() { long.Add(-1) }
	return m, nil
}
