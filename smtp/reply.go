package smtp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Reply is what a server answers to a command (RFC 5321 §4.2), on either side
// of the wire. It is an error, so that a callback chooses the answer by
// returning one and a client's caller finds the server's words with errors.As.
type Reply struct {
	Code     int    // 200 to 599
	Enhanced string // RFC 3463, such as "5.1.1"; empty if there is none
	Text     string // human readable; newlines make a multi-line reply

	cause error
}

// Replies for callbacks to return. Compare with errors.Is: a reply is another
// when code and enhanced code are equal, whatever the text.
var (
	// ErrNoSuchUser: the mailbox does not exist.
	ErrNoSuchUser = &Reply{Code: 550, Enhanced: "5.1.1", Text: "No such user here"}
	// ErrMailboxDisabled: the mailbox exists and accepts nothing.
	ErrMailboxDisabled = &Reply{Code: 550, Enhanced: "5.2.1", Text: "Mailbox is disabled"}
	// ErrMailboxFull: over quota; the sender may try again.
	ErrMailboxFull = &Reply{Code: 452, Enhanced: "4.2.2", Text: "Mailbox is full"}
	// ErrTooBig: the message exceeds the size limit. Envelope.Data ends with it.
	ErrTooBig = &Reply{Code: 552, Enhanced: "5.3.4", Text: "Message is too big"}
	// ErrTryLater: a failure of ours that will pass.
	ErrTryLater = &Reply{Code: 451, Enhanced: "4.3.0", Text: "Local problem, try again later"}
	// ErrNoSpace: no room on our disk now.
	ErrNoSpace = &Reply{Code: 452, Enhanced: "4.3.1", Text: "Not enough storage, try again later"}
	// ErrUnavailable: the server is about to close the connection.
	ErrUnavailable = &Reply{Code: 421, Enhanced: "4.3.2", Text: "Service is not available now, closing the connection"}
	// ErrAuthRequired: authenticate first (RFC 4954 §6).
	ErrAuthRequired = &Reply{Code: 530, Enhanced: "5.7.0", Text: "Authentication required"}
	// ErrRelayDenied: neither is the recipient ours nor the client.
	ErrRelayDenied = &Reply{Code: 550, Enhanced: "5.7.1", Text: "Relaying denied"}
	// ErrRefused: policy.
	ErrRefused = &Reply{Code: 550, Enhanced: "5.7.1", Text: "Refused by policy"}
	// ErrSenderNotOwned: the authenticated account may not use this sender.
	ErrSenderNotOwned = &Reply{Code: 550, Enhanced: "5.7.1", Text: "This sender address is not yours to use"}
	// ErrTooManyRecipients: the rest belongs into another transaction (RFC 5321 §4.5.3.1.10).
	ErrTooManyRecipients = &Reply{Code: 452, Enhanced: "4.5.3", Text: "Too many recipients"}
	// ErrBareLineEnd: the message holds a CR or LF of its own, which the next
	// server could take for the end of a line. Envelope.Data ends with it.
	ErrBareLineEnd = &Reply{Code: 550, Enhanced: "5.6.0", Text: "Bare CR or LF in the message, see RFC 5321 section 2.3.8"}
)

// ErrAborted is what Envelope.Data ends with when the message never became
// complete: the connection broke, the client was too slow, or it gave up
// between two chunks. Nobody hears the handler's answer then.
var ErrAborted = errors.New("smtp: the client aborted the message")

// Error is the reply on one line.
func (r *Reply) Error() string {
	s := strconv.Itoa(r.Code)
	if r.Enhanced != "" {
		s += " " + r.Enhanced
	}
	if r.Text != "" {
		s += " " + strings.ReplaceAll(r.Text, "\n", "; ")
	}
	return s
}

// Is compares code and enhanced code.
func (r *Reply) Is(target error) bool {
	t, ok := target.(*Reply)
	return ok && t.Code == r.Code && t.Enhanced == r.Enhanced
}

// Unwrap is the cause that With attached.
func (r *Reply) Unwrap() error { return r.cause }

// With returns a copy of r that remembers err. The client never sees err; the
// log does.
func (r *Reply) With(err error) *Reply {
	c := *r
	c.cause = err
	return &c
}

// Textf returns a copy of r that says something else.
func (r *Reply) Textf(format string, args ...any) *Reply {
	c := *r
	c.Text = fmt.Sprintf(format, args...)
	return &c
}

// Temporary says whether the same command may succeed later (4yz).
func (r *Reply) Temporary() bool { return r.Code/100 == 4 }

// Permanent says whether the same command would fail again (5yz).
func (r *Reply) Permanent() bool { return r.Code/100 == 5 }

// Positive says whether the command did what it should (2yz or 3yz).
func (r *Reply) Positive() bool { return r.Code/100 == 2 || r.Code/100 == 3 }

// replyOf is the answer for a callback's error: the Reply in it, or a vague
// one, for what went wrong inside is nobody's business outside. ok is false
// when the error held no usable reply. A reply that is not a refusal would
// turn a failure into a success, and is replaced too.
func replyOf(err error) (r *Reply, ok bool) {
	if errors.As(err, &r) && r != nil && (r.Code/100 == 4 || r.Code/100 == 5) {
		return r, true
	}
	return ErrTryLater, false
}
