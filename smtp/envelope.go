package smtp

import (
	"context"
	"io"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// Session is one connection as callbacks see it. It belongs to the
// connection's goroutine: callbacks may read it and set Values until they
// return, and must not keep it. Its ID is in every 4yz and 5yz reply; a message in
// progress when it is closed ends with ErrAborted.
type Session struct {
	lineserver.Identity
	// LocalName is this server's own name, as in its greeting: the "by" of a
	// Received field.
	LocalName string
	// Helo is what HELO, EHLO or LHLO said, fit to stand in a Received field as
	// it is: what is no letter, digit or one of "-._+~[]:%" has become "?".
	// Empty before.
	Helo  string
	ESMTP bool // EHLO or LHLO rather than HELO
	LMTP  bool // this server speaks LMTP (RFC 2033)
	// NoTLS, set by CheckConn or CheckHelo, keeps STARTTLS from a client whose
	// TLS is known to be broken, and which would otherwise never deliver.
	NoTLS bool
	// NoClientCertificate, set likewise, has STARTTLS ask this client for no certificate, whatever TLSConfig says: some end the
	// handshake where they are asked for one that they do not have.
	NoClientCertificate bool
	// Name is the client's host name as a trusted proxy told it (XCLIENT or
	// XFORWARD NAME); this package itself never asks the DNS.
	Name string
	// Forward is what a trusted content filter's client told about the mail's
	// original client (XFORWARD): attribute names to values. It is forgotten at
	// the end of each transaction.
	Forward map[string]string
	// Envelope is the transaction between MAIL and its end; nil outside.
	Envelope *Envelope
}

// Envelope is one mail transaction.
type Envelope struct {
	// Session is the connection the mail came by: LocalName, Helo, User,
	// RemoteAddr and TLS are its fields. It is nil only in an Envelope that did
	// not come from a server.
	Session *Session

	ID     string      // of this transaction; begins with the session's id, echoed in the 250
	From   Path        // From.IsNull() for a bounce
	To     []Recipient // accepted ones, in the client's order, at least one
	Params Params      // of MAIL
	// Data is the message as sent: dots unstuffed, lines end in CRLF. It is
	// read from the network as the handler reads it, ends with io.EOF only
	// when the whole message has arrived, and with ErrTooBig, ErrBareLineEnd,
	// ErrNUL or ErrAborted otherwise; the handler then returns that error. What the
	// handler leaves is read and thrown away. nil before DATA or BDAT.
	Data io.Reader
}

// Recipient is one accepted RCPT.
type Recipient struct {
	Path   Path
	Params RcptParams
	// Value is for CheckRcpt to leave its decision to the Handler.
	Value any
	// Result is for the Handler of an LMTP server to answer for this recipient
	// alone; it counts when ServeSMTP returns nil. Over SMTP there is one
	// answer for all, so that any Result that is not nil becomes that answer.
	Result error
}

// String is the recipient's address.
func (r Recipient) String() string { return r.Path.String() }

// Handler takes responsibility for a message. ServeSMTP returns nil only when
// every copy it answers for is on stable storage: 250 is sent then, and the
// client forgets the message. A *Reply is sent as it is, and a positive one means
// the same as nil; any other error is 451 and goes to the log. e and e.Data must
// not be used after it returns.
type Handler interface {
	ServeSMTP(ctx context.Context, e *Envelope) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, e *Envelope) error

// ServeSMTP calls f.
func (f HandlerFunc) ServeSMTP(ctx context.Context, e *Envelope) error { return f(ctx, e) }

// Protocol is the keyword for the "with" clause of a Received field
// (RFC 3848, RFC 6531 §4.3): SMTP, ESMTP, ESMTPSA, LMTPS, UTF8SMTPSA and so on.
func (e *Envelope) Protocol() string {
	base, s := "SMTP", e.Session
	switch {
	case s == nil:
		return base
	case s.LMTP:
		base = "LMTP"
	case s.ESMTP && !e.Params.SMTPUTF8:
		base = "ESMTP"
	case !s.ESMTP:
		return base
	}
	if e.Params.SMTPUTF8 {
		base = "UTF8" + base
	}
	if s.TLS != nil {
		base += "S"
	}
	if s.User != "" {
		base += "A"
	}
	return base
}
