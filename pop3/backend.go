package pop3

import (
	"context"
	"errors"
	"io"
)

// Backend knows the maildrops.
type Backend interface {
	// Open locks the account's maildrop and freezes its list (RFC 1939 §4). It
	// is called after account has proved who it is. ctx lives until the
	// session has ended; s must not be kept beyond that. As long as it returns
	// ErrInUse, it is called again for a moment, see Limits.InUse.
	//
	// An *Error chooses the answer; the errors of this package have one of
	// their own; any other is logged, and the client hears [SYS/TEMP] without
	// its text.
	Open(ctx context.Context, s *Session, account string) (Drop, error)
}

// BackendFunc makes a Backend of a function.
type BackendFunc func(ctx context.Context, s *Session, account string) (Drop, error)

// Open calls f.
func (f BackendFunc) Open(ctx context.Context, s *Session, account string) (Drop, error) {
	return f(ctx, s, account)
}

// Drop is a locked maildrop with a frozen list. Messages are counted from 0.
// It is used by one session only, one call at a time.
type Drop interface {
	// Len is the number of messages. It never changes.
	Len() int
	// Size is the exact number of octets Open will give. A message that gives
	// less is cut off, as broken; one that does not end with CRLF is sent with
	// one more.
	Size(i int) int64
	// UID is the message's unique id: 1 to 70 characters of 0x21 to 0x7E
	// (RFC 1939 §7), unique in the maildrop, the same in every session.
	UID(i int) string
	// Open streams the message, lines ending in CRLF. The octets are sent as
	// they are. ctx ends with the session, not before the reader is closed.
	Open(ctx context.Context, i int) (io.ReadCloser, error)
	// Remove deletes exactly these messages, all in one call, at QUIT. It
	// returns nil only when that will survive a crash.
	Remove(ctx context.Context, is []int) error
	// Close unlocks the maildrop. It is called once, however the session ends.
	Close() error
}

// Retriever is implemented by a Drop that wants to know which messages were
// retrieved: sent by RETR to their end, as far as the server can tell. It is
// called before QUIT is answered, with nothing it is told twice, and before
// Remove.
type Retriever interface {
	Retrieved(ctx context.Context, is []int) error
}

// Whole is implemented by readers of a Drop's Open that can tell beforehand whether a message can be read to its end. RETR asks
// before it answers, so that one that cannot is refused and not cut off in the middle, with the connection. TOP does not.
type Whole interface {
	Check(ctx context.Context) error
}

// Internationalized is implemented by a Drop that knows which messages have
// UTF-8 in their headers. They are given only to clients that sent UTF8; others
// hear [UTF8] (RFC 6856 §5). A Drop without it gives every client everything.
// Set Server.UTF8 where drops have it, so that clients can ask.
type Internationalized interface {
	UTF8(ctx context.Context, i int) bool
}

// Expiring is implemented by a Drop whose account has a retention or a login
// delay of its own. Set Server.Policy.PerUser where drops have it.
type Expiring interface {
	Policy() Policy
}

// Code is a response code (RFC 2449 §8): what stands in brackets behind -ERR.
type Code string

// The response codes.
const (
	CodeInUse      Code = "IN-USE"      // the maildrop is locked (RFC 2449 §8.1.2)
	CodeLoginDelay Code = "LOGIN-DELAY" // too soon after the last login (RFC 2449 §8.1.1)
	CodeSysTemp    Code = "SYS/TEMP"    // the server's fault, likely to pass (RFC 3206 §4)
	CodeSysPerm    Code = "SYS/PERM"    // the server's fault, for somebody to mend (RFC 3206 §4)
	CodeAuth       Code = "AUTH"        // the credentials are wrong (RFC 3206 §4)
	CodeUTF8       Code = "UTF8"        // the client should have sent UTF8 (RFC 6856 §5)
)

// Error is an -ERR response: what a Backend or Drop returns to choose the
// answer, and what a Client returns for the answer it got.
type Error struct {
	Code    Code   // may be empty
	Text    string // one line
	Err     error  // the reason, for the log; never sent
	Command string // what the server refused, such as "PASS"; empty in a greeting, and for a Backend
}

// Error gives "pop3: COMMAND: [CODE] text: reason", as far as these are there.
func (e *Error) Error() string {
	s := "pop3: "
	if e.Command != "" {
		s += e.Command + ": "
	}
	if e.Code != "" && string(e.Code) != e.Command { // "AUTH: [AUTH]" says nothing more
		s += "[" + string(e.Code) + "] "
	}
	s += e.Text
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the sentinel of e's code, such as ErrInUse.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Err == nil && t.Code == e.Code && t.Code != "" && sentinel(t)
}

func sentinel(e *Error) bool {
	switch error(e) {
	case ErrInUse, ErrLoginDelay, ErrTemporary, ErrPermanent, ErrAuth, ErrUTF8:
		return true
	}
	return false
}

// Errors with a response code, to be returned as they are, wrapped, or compared
// with errors.Is: an *Error of a Client is the one with its code.
var (
	ErrInUse      error = &Error{Code: CodeInUse, Text: "maildrop is locked by another session"}
	ErrLoginDelay error = &Error{Code: CodeLoginDelay, Text: "too soon after the last login, try again later"}
	ErrTemporary  error = &Error{Code: CodeSysTemp, Text: "temporary failure, try again later"}
	ErrPermanent  error = &Error{Code: CodeSysPerm, Text: "maildrop cannot be used, ask the administrator"}
	ErrAuth       error = &Error{Code: CodeAuth, Text: "authentication failed"}
	ErrUTF8       error = &Error{Code: CodeUTF8, Text: "message needs UTF8"}
)

// answerOf is what the client hears of err, and whether err chose it.
func answerOf(err error) (e *Error, chosen bool) {
	if errors.As(err, &e) {
		return e, true
	}
	return ErrTemporary.(*Error), false
}
