package pop3

import (
	"strconv"
	"strings"
)

// maxReply is the longest first line of a response, with its CRLF (RFC 2449 §4).
const maxReply = 512

// reply is what a command is answered with: "+OK", or "-ERR" with a response
// code, then numbers, then text, then a body if it is a multi-line response.
type reply struct {
	ok      bool
	code    Code
	text    string
	count   int // of numbers
	numbers [2]int64
	// body writes what follows, ".\r\n" included. If it fails, so that the
	// client cannot know how the rest should have been, the session ends there.
	body func() error
	end  bool // of the session
	mute bool // say nothing: the connection is gone
}

func ok(text string) reply { return reply{ok: true, text: text} }

func failure(code Code, text string) reply { return reply{code: code, text: text} }

// with puts numbers before the text.
func (r reply) with(numbers ...int64) reply {
	r.count = copy(r.numbers[:], numbers)
	return r
}

// appendTo appends r's first line. An -ERR carries the session's id, so that a
// user's complaint can be found in the log.
func (r *reply) appendTo(b []byte, id string) []byte {
	from := len(b)
	if r.ok {
		b = append(b, "+OK"...)
	} else {
		b = append(b, "-ERR"...)
	}
	if r.code != "" {
		b = append(b, " ["...)
		b = append(b, r.code...)
		b = append(b, ']')
	}
	for _, n := range r.numbers[:r.count] {
		b = append(b, ' ')
		b = strconv.AppendInt(b, n, 10)
	}
	if r.text != "" {
		b = append(b, ' ')
		b = appendText(b, r.text, maxReply-(len(b)-from)-len(" ()\r\n")-len(id))
	}
	if !r.ok && id != "" {
		b = append(b, " ("...)
		b = append(b, id...)
		b = append(b, ')')
	}
	return append(b, '\r', '\n')
}

// appendText appends at most room octets of text, on one line whatever is in
// it.
func appendText(b []byte, text string, room int) []byte {
	if len(text) > room {
		text = strings.ToValidUTF8(text[:room], "")
	}
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c == 0x7f {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

// say writes r. It leaves with the next flush.
func (c *session) say(r reply) {
	if r.mute {
		return
	}
	line := r.appendTo(c.w.short(maxReply), c.pub.ID)
	c.w.done(line)
	if c.tracing {
		c.trace('w', string(line[:len(line)-2]))
	}
	if r.body == nil {
		return
	}
	c.cut = true
	if err := r.body(); err != nil {
		c.w.err = err // and c.cut stays
		return
	}
	c.cut = false
}
