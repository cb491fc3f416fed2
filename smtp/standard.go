package smtp

import (
	"errors"
	"strconv"
	"strings"
)

// StandardReply is a reply as a constant: nobody can change it. Return it from
// a callback as it is, or with a text or a cause of your own by Textf and With.
// Compare with errors.Is: a reply is another one when code and enhanced code
// are equal, whatever the text.
type StandardReply string

// Replies for callbacks to return.
const (
	// ErrNoSuchUser: the mailbox does not exist.
	ErrNoSuchUser StandardReply = "550 5.1.1 No such user here"
	// ErrBadSender: the sender's address is not acceptable.
	ErrBadSender StandardReply = "553 5.1.7 Sender address is not accepted"
	// ErrMoved: the mailbox has moved; Textf says where to.
	ErrMoved StandardReply = "551 5.1.6 The mailbox has moved"
	// ErrMailboxDisabled: the mailbox exists and accepts nothing.
	ErrMailboxDisabled StandardReply = "550 5.2.1 Mailbox is disabled"
	// ErrMailboxBusy: the mailbox cannot be written to now.
	ErrMailboxBusy StandardReply = "450 4.2.0 Mailbox is busy, try again later"
	// ErrMailboxFull: over quota; the sender may try again.
	ErrMailboxFull StandardReply = "452 4.2.2 Mailbox is full"
	// ErrTooBig: the message exceeds the size limit. Envelope.Data ends with it.
	ErrTooBig StandardReply = "552 5.3.4 Message is too big"
	// ErrTryLater: a failure of ours that will pass.
	ErrTryLater StandardReply = "451 4.3.0 Local problem, try again later"
	// ErrNoSpace: no room on our disk now.
	ErrNoSpace StandardReply = "452 4.3.1 Not enough storage, try again later"
	// ErrUnavailable: the server is about to close the connection.
	ErrUnavailable StandardReply = "421 4.3.2 Service is not available now, closing the connection"
	// ErrTransactionFailed: the message is refused, and no other code fits.
	ErrTransactionFailed StandardReply = "554 5.3.0 Transaction failed"
	// ErrLoop: the message goes round in circles.
	ErrLoop StandardReply = "554 5.4.6 Too many hops: the message goes round in a loop"
	// ErrGreylisted: try again in some minutes.
	ErrGreylisted StandardReply = "451 4.7.1 Greylisted, try again in a few minutes"
	// ErrAuthRequired: authenticate first (RFC 4954 §6).
	ErrAuthRequired StandardReply = "530 5.7.0 Authentication required"
	// ErrAuthFailed: wrong user or password (RFC 4954 §6).
	ErrAuthFailed StandardReply = "535 5.7.8 Authentication failed"
	// ErrRelayDenied: neither is the recipient ours nor the client.
	ErrRelayDenied StandardReply = "550 5.7.1 Relaying denied"
	// ErrRefused: policy.
	ErrRefused StandardReply = "550 5.7.1 Refused by policy"
	// ErrSenderNotOwned: the authenticated account may not use this sender.
	ErrSenderNotOwned StandardReply = "550 5.7.1 This sender address is not yours to use"
	// ErrTooManyRecipients: the rest belongs into another transaction (RFC 5321 §4.5.3.1.10).
	ErrTooManyRecipients StandardReply = "452 4.5.3 Too many recipients"
	// ErrTooManyMessages: the client sends too much.
	ErrTooManyMessages StandardReply = "450 4.7.0 Too many messages, try again later"
	// ErrBadContent: the message itself is refused.
	ErrBadContent StandardReply = "554 5.6.0 Message content is not accepted"
	// ErrNotImplemented: the command is not for use here.
	ErrNotImplemented StandardReply = "502 5.5.1 Not offered here"
	// ErrBareLineEnd: the message holds a CR or LF of its own, which the next
	// server could take for the end of a line. Envelope.Data ends with it.
	ErrBareLineEnd StandardReply = "550 5.6.0 Bare CR or LF in the message, see RFC 5321 section 2.3.8"
	// ErrNUL: the message holds a NUL, which some servers drop and others take
	// for an end (RFC 5321 §4.5.2 has none outside of BINARYMIME). Envelope.Data
	// ends with it.
	ErrNUL StandardReply = "550 5.6.0 NUL in the message, which only BODY=BINARYMIME may hold"
)

// tryLater and the other replies the engine itself needs again and again.
var (
	tryLater     = ErrTryLater.Reply()
	tooBig       = ErrTooBig.Reply()
	tooMany      = ErrTooManyRecipients.Reply()
	noSuchUser   = ErrNoSuchUser.Reply()
	relayDenied  = ErrRelayDenied.Reply()
	authRequired = ErrAuthRequired.Reply()
)

// ErrAborted is what Envelope.Data ends with when the message never became
// complete: the connection broke, the client was too slow, or it gave up
// between two chunks. Nobody hears the handler's answer then.
var ErrAborted = errors.New("smtp: the client aborted the message")

// split takes the reply apart: "550 5.1.1 Text", or "550 Text".
func (s StandardReply) split() (code int, enhanced, text string) {
	first, text, _ := strings.Cut(string(s), " ")
	code, _ = strconv.Atoi(first)
	word, rest, _ := strings.Cut(text, " ")
	if enhancedCode(word, code) != "" {
		enhanced, text = word, rest
	}
	return code, enhanced, text
}

// Reply returns the reply as a value whose fields can be read and changed.
func (s StandardReply) Reply() *Reply {
	code, enhanced, text := s.split()
	return &Reply{Code: code, Enhanced: enhanced, Text: text}
}

// Error is the reply on one line.
func (s StandardReply) Error() string { return string(s) }

// Is reports whether target is a reply with the same code and enhanced code.
func (s StandardReply) Is(target error) bool {
	code, enhanced, _ := s.split()
	return sameCodes(code, enhanced, target)
}

// As lets errors.As find a *Reply.
func (s StandardReply) As(target any) bool {
	r, ok := target.(**Reply)
	if ok {
		*r = s.Reply()
	}
	return ok
}

// With returns the reply with a cause, which the log sees and the client does
// not.
func (s StandardReply) With(err error) *Reply { return s.Reply().With(err) }

// Textf returns the reply with another text.
func (s StandardReply) Textf(format string, args ...any) *Reply {
	return s.Reply().Textf(format, args...)
}
