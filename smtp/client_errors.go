package smtp

import (
	"errors"
	"strings"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// Errors of the client side. A server's refusal is not among them: it is a
// *Response, found with errors.As.
var (
	// ErrUnsupported: the message or the caller needs an extension that the
	// server does not offer. The connection is unharmed.
	// Where a message or a recipient needs it, it is a *MissingError.
	ErrUnsupported = errors.New("smtp: the server does not offer what is needed")
	// ErrTooBigForServer: the server has announced by SIZE that it takes no
	// messages as big as Params.Size (RFC 1870). Nothing was sent.
	ErrTooBigForServer = errors.New("smtp: the message is bigger than the server takes")
	// ErrInDoubt: the connection failed between the last octet of the message
	// and the server's answer to it, or the answer is none (ErrProtocol). The
	// server may or may not have taken the message; to send it again may deliver it
	// twice (RFC 5321 §4.5.3.2.6).
	ErrInDoubt = errors.New("smtp: the message was sent and may have been taken, but there is no answer to it")
	// ErrProtocol: the server's reply makes no sense, or is none. The
	// connection was closed.
	ErrProtocol = errors.New("smtp: the server broke the protocol")
	// ErrBadCommand: a name, address or parameter holds octets that cannot
	// stand in a command. Nothing was sent.
	ErrBadCommand = errors.New("smtp: control character or space in a command argument")
	// ErrClientClosed: the connection is closed.
	ErrClientClosed = errors.New("smtp: client connection is closed")
	// ErrCleartext: a password would have crossed the network unencrypted.
	ErrCleartext = errors.New("smtp: will not send a password without TLS")
	// ErrRecipients: the server takes fewer recipients at a time (RFC 9422);
	// send to the rest in another transaction.
	ErrRecipients = errors.New("smtp: more recipients than the server takes at a time")
)

// ClientError says at which step of the dialogue something failed.
type ClientError struct {
	// Op is the command ("MAIL", "DATA"), with its mechanism if that was chosen
	// ("AUTH PLAIN"), or "dial", "greeting" or "message"; the last is what was to be
	// answered to the end of the message.
	Op string
	// Reply is what the server said, as far as it could be read; Code is 0 in
	// a reply that was not well formed. nil if it said nothing.
	Reply *Response
	// Err is the cause if it is not the reply itself.
	Err error
}

// Error names the step, the cause and the reply.
func (e *ClientError) Error() string {
	return "smtp: " + e.words()
}

// words is Error without the package's name, which an error around this one
// has said already.
func (e *ClientError) words() string {
	s := e.Op
	if e.Err != nil {
		s += ": " + strings.ReplaceAll(": "+e.Err.Error(), ": smtp: ", ": ")[2:]
	}
	if e.Reply != nil {
		s += ": " + e.Reply.Error()
	}
	return s
}

// Unwrap gives the reply and the cause.
func (e *ClientError) Unwrap() []error {
	var errs []error
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	if e.Reply != nil {
		errs = append(errs, e.Reply)
	}
	return errs
}

// Temporary reports whether the same may succeed at another time or with another
// server. Only a 5yz reply says no, and what no other try would change: a
// command that cannot be written, an extension that is not there, a message too
// big.
func (e *ClientError) Temporary() bool {
	var r *Response
	if errors.As(e, &r) && r.Permanent() {
		return false
	}
	return !errors.Is(e.Err, ErrBadCommand) && !errors.Is(e.Err, ErrUnsupported) && !errors.Is(e.Err, ErrTooBigForServer)
}

// isGarbled reports whether err is about what the server said, rather than about
// the connection.
func isGarbled(err error) bool {
	return errors.Is(err, textual.ErrMalformedReply) || errors.Is(err, textual.ErrReplyTooBig) ||
		errors.Is(err, textual.ErrBareCR) || errors.Is(err, textual.ErrBareLF) || errors.Is(err, textual.ErrLineTooLong)
}
