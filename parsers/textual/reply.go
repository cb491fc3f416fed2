package textual

import (
	"strings"
	"unicode/utf8"
)

// Reply is an SMTP reply as it was received (RFC 5321 §4.2).
type Reply struct {
	Code  int      // 200 to 599
	Lines []string // the text of each line, without code and separator
}

// maxReplyLine is how long a line AppendReply writes, with its CRLF
// (RFC 5321 §4.5.3.1.5).
const maxReplyLine = 512

// ReadReply reads a reply of one or more lines. maxLine is the longest line
// accepted in octets without its ending, maxLines the most lines.
//
// The errors are ErrMalformedReply and ErrReplyTooBig, then with what was read
// so far in the Reply, the offending line last and whole, or of one too long its
// code; and the errors of ReadLine.
func (r *Reader) ReadReply(maxLine, maxLines int) (Reply, error) {
	var reply Reply
	for {
		b, err := r.ReadLine(maxLine)
		if err == ErrLineTooLong {
			if code, _, _ := replyLine(r.head[:]); reply.Code == 0 {
				reply.Code = code
			}
			return reply, ErrReplyTooBig
		}
		if err != nil {
			return reply, err
		}
		code, more, text := replyLine(b)
		if code == 0 || reply.Code != 0 && code != reply.Code {
			reply.Lines = append(reply.Lines, string(b))
			return reply, ErrMalformedReply
		}
		reply.Code = code
		reply.Lines = append(reply.Lines, string(text))
		if !more {
			return reply, nil
		}
		if len(reply.Lines) == maxLines {
			return reply, ErrReplyTooBig
		}
	}
}

// replyLine takes a line apart:
//
//	Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
//	Reply-code = %x32-35 %x30-35 %x30-39
//
// The second digit is let range to 9, as servers use it. code is 0 if the line
// is none.
func replyLine(b []byte) (code int, more bool, text []byte) {
	if len(b) < 3 || b[0] < '2' || b[0] > '5' || !digit(b[1]) || !digit(b[2]) {
		return 0, false, nil
	}
	if len(b) > 3 {
		if b[3] != ' ' && b[3] != '-' {
			return 0, false, nil
		}
		more, text = b[3] == '-', b[4:]
	}
	return int(b[0]-'0')*100 + int(b[1]-'0')*10 + int(b[2]-'0'), more, text
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// AppendReply appends a reply to dst: code, and on each line the enhanced
// status code if it is not empty (RFC 2034 §4), and text. LF in text begins a
// new line; a line that would be longer than 512 octets is continued on the
// next, at a space if it has one. Control characters become "?", so that
// nothing in text can be taken for another reply.
func AppendReply(dst []byte, code int, enhanced, text string) []byte {
	room := maxReplyLine - len("250 ") - len("\r\n")
	if enhanced != "" {
		room = max(room-len(enhanced)-1, minReplyText)
	}
	for more := true; more; {
		var line string
		line, text, more = strings.Cut(text, "\n")
		line = strings.TrimSuffix(line, "\r")
		for len(line) > room {
			n := breakAt(line, room)
			dst = appendReplyLine(dst, code, enhanced, line[:n], true)
			line = strings.TrimPrefix(line[n:], " ")
		}
		dst = appendReplyLine(dst, code, enhanced, line, more)
	}
	return dst
}

// minReplyText is what a line has room for even behind an enhanced code that is
// none.
const minReplyText = 64

// breakAt is where a line longer than room is broken: before its last space
// within room, else between two characters.
func breakAt(line string, room int) int {
	if sp := strings.LastIndexByte(line[:room], ' '); sp > 0 {
		return sp
	}
	n := room
	for n > room-utf8.UTFMax && !utf8.RuneStart(line[n]) {
		n--
	}
	return n
}

func appendReplyLine(dst []byte, code int, enhanced, text string, more bool) []byte {
	sep := byte(' ')
	if more {
		sep = '-'
	}
	dst = append(dst, '0'+byte(code/100%10), '0'+byte(code/10%10), '0'+byte(code%10), sep)
	if enhanced != "" {
		dst = append(dst, enhanced...)
		dst = append(dst, ' ')
	}
	for i := range len(text) {
		c := text[i]
		if c < ' ' && c != '\t' || c == 0x7f {
			c = '?'
		}
		dst = append(dst, c)
	}
	return append(dst, '\r', '\n')
}
