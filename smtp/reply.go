package smtp

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// Reply is what a server answers to a command (RFC 5321 §4.2). It is an error,
// so that a callback chooses the answer by returning one. What a client was
// answered is a Response, so that no server passes on by accident what another
// one has said to it. A nil *Reply means the same as no error.
type Reply struct {
	Code     int    // 200 to 599
	Enhanced string // RFC 3463, such as "5.1.1"; empty if there is none
	Text     string // human readable; newlines make a multi-line reply

	cause  error
	facts  []slog.Attr
	unsaid bool
}

// Error is the reply on one line.
func (r *Reply) Error() string {
	if r == nil {
		return "no reply"
	}
	return oneLine(r.Code, r.Enhanced, r.Text)
}

func oneLine(code int, enhanced, text string) string {
	s := strconv.Itoa(code)
	if enhanced != "" {
		s += " " + enhanced
	}
	if text != "" {
		s += " " + strings.ReplaceAll(text, "\n", "; ")
	}
	return s
}

// Is reports whether target is a reply with the same code and enhanced code.
func (r *Reply) Is(target error) bool {
	return r != nil && sameCodes(r.Code, r.Enhanced, target)
}

// sameCodes reports whether target is a reply, of whichever type, with these
// codes. The text does not count.
func sameCodes(code int, enhanced string, target error) bool {
	switch t := target.(type) {
	case *Reply:
		return t != nil && t.Code == code && t.Enhanced == enhanced
	case *Response:
		return t != nil && t.Code == code && t.Enhanced == enhanced
	case StandardReply:
		c, e, _ := t.split()
		return c == code && e == enhanced
	}
	return false
}

// Unwrap returns the cause that With attached.
func (r *Reply) Unwrap() error {
	if r == nil {
		return nil
	}
	return r.cause
}

// With returns a copy of r that remembers err. The client never sees err; the
// log does. A nil Reply with an error becomes ErrTryLater.
func (r *Reply) With(err error) *Reply {
	switch {
	case r == nil && err == nil:
		return nil
	case r == nil:
		return ErrTryLater.With(err)
	}
	c := *r
	c.cause = err
	return &c
}

// Noting returns a copy of r that knows facts about what is refused, for the line of the log
// about it (Refusal). They are no trouble of ours, as the error of With is, and the client never sees them.
func (r *Reply) Noting(facts ...slog.Attr) *Reply {
	if r == nil {
		return nil
	}
	c := *r
	c.facts = append(slices.Clone(r.facts), facts...)
	return &c
}

// Facts returns what Noting added.
func (r *Reply) Facts() []slog.Attr {
	if r == nil {
		return nil
	}
	return slices.Clone(r.facts)
}

// Unsaid returns a copy of r that the client never hears: the connection is closed in its place, and the log
// tells of it as of any other refusal.
func (r *Reply) Unsaid() *Reply {
	if r == nil {
		return nil
	}
	c := *r
	c.unsaid = true
	return &c
}

// Textf returns a copy of r that says something else.
func (r *Reply) Textf(format string, args ...any) *Reply {
	if r == nil {
		return nil
	}
	c := *r
	c.Text = fmt.Sprintf(format, args...)
	return &c
}

// Temporary reports whether the same command may succeed later (4yz).
func (r *Reply) Temporary() bool { return r.class() == 4 }

// Permanent reports whether the same command would fail again (5yz).
func (r *Reply) Permanent() bool { return r.class() == 5 }

// Positive reports whether the command did what it should (2yz or 3yz); a nil
// Reply is positive.
func (r *Reply) Positive() bool { return r == nil || r.class() == 2 || r.class() == 3 }

func (r *Reply) class() int {
	if r == nil {
		return 0
	}
	return r.Code / 100
}

// answerTo is the reply to send for what a callback returned: yes for nil, a
// nil *Reply included; a *Reply as it is, positive ones only where nothing is
// wrapped around them, since an error that merely mentions a success is none.
// Anything else is a vague refusal, for what went wrong inside is nobody's
// business outside; known is false then.
func answerTo(err error, yes *Reply) (r *Reply, known bool) {
	switch e := err.(type) {
	case nil:
		return yes, true
	case *Reply:
		if e == nil {
			return yes, true
		}
		if usable(e) {
			return e, true
		}
		return tryLater, false
	case StandardReply:
		r = e.Reply()
	default:
		if !errors.As(err, &r) || r.Positive() {
			return tryLater, false
		}
	}
	if !usable(r) {
		return tryLater, false
	}
	return r, true
}

// usable reports whether r can be the answer to a command: 3yz would ask the
// client for more, and 221 belongs to QUIT.
func usable(r *Reply) bool {
	c := r.class()
	return c == 2 && r.Code != 221 || c == 4 || c == 5
}

// accepts reports whether a callback's answer is yes, in whatever words.
func accepts(err error) bool {
	if err == nil {
		return true
	}
	r, known := answerTo(err, nil)
	return known && r.Positive()
}

// isNil reports whether err is nothing: nil, or a nil *Reply in an error.
func isNil(err error) bool {
	r, is := err.(*Reply)
	return err == nil || is && r == nil
}
