package textual

import "errors"

// Errors after which the conversation is still in step: what was wrong has
// been read to its end, and the next read begins behind it. Compare with
// errors.Is.
var (
	// ErrLineTooLong: the line was longer than allowed and has been discarded.
	ErrLineTooLong = errors.New("textual: line too long")
	// ErrBareCR: a CR that is not followed by LF (RFC 5321 §2.3.8).
	ErrBareCR = errors.New("textual: bare CR")
	// ErrBareLF: an LF that does not follow a CR (RFC 5321 §2.3.8).
	ErrBareLF = errors.New("textual: bare LF")
	// ErrTooBig: a dot-stuffed text was bigger than its limit.
	ErrTooBig = errors.New("textual: text too big")
)

// ErrEndlessLine: a MiB of a line has been read and discarded, and it goes on. The
// conversation should end: what follows is still that line.
var ErrEndlessLine = errors.New("textual: line without end")

// Errors of replies (RFC 5321 §4.2). After them a client cannot know which
// reply answers which command, and should close the connection.
var (
	// ErrMalformedReply: the line is no reply, or the codes of a multi-line
	// reply differ.
	ErrMalformedReply = errors.New("textual: malformed reply")
	// ErrReplyTooBig: more lines than allowed, or one longer than allowed.
	ErrReplyTooBig = errors.New("textual: reply too big")
)

// Errors of Parser.ParseStrict.
var (
	// ErrUnbalanced: a bracket was opened and never closed, or closed and
	// never opened.
	ErrUnbalanced = errors.New("textual: unbalanced bracket")
	// ErrTooLong: the statement is longer than Parser.MaxLen.
	ErrTooLong = errors.New("textual: statement too long")
	// ErrAffix: Parser.Prefix or Parser.Suffix is missing.
	ErrAffix = errors.New("textual: prefix or suffix missing")
	// ErrTooMany: more arguments than Parser.MaxArgs.
	ErrTooMany = errors.New("textual: too many arguments")
)
