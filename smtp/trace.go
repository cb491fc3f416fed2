package smtp

import (
	"fmt"
	"io"
	"strings"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// Tracer sees the lines of a dialogue: dir is 'r' for a line read, 'w' for a
// reply written and '#' for a remark. Credentials are replaced by "***" before
// it sees them, and messages are not shown. It is called by many sessions at
// once.
type Tracer func(s *Session, dir byte, line string)

// TraceWriter writes a transcript: the session's id, "r", "w" or "#", and the
// line.
func TraceWriter(w io.Writer) Tracer {
	write := lineserver.Transcript(w)
	return func(s *Session, dir byte, line string) { write(s.ID, dir, line) }
}

// traceCommand shows a command line; of AUTH no more than the mechanism, and not
// that where it is none: a password may stand in its place, or be run into it.
// Lines that are no command are not shown whole: they may be the password of
// somebody who is out of step.
func (s *session) traceCommand(c *command, line []byte) {
	if s.srv.tracer == nil {
		return
	}
	shown := string(line)
	verb, args := textual.Command(line)
	switch {
	case textual.Is(verb, "AUTH"):
		mechanism, response := textual.Command(args)
		shown = strings.TrimSpace("AUTH " + string(mechanism))
		switch _, err := sasl.Find(sasl.Mechanisms(), string(mechanism)); {
		case len(mechanism) > 0 && err != nil:
			shown = "AUTH ***"
		case len(response) > 0:
			shown += " ***"
		}
	case c == nil:
		shown = fmt.Sprintf("unknown command of %d octets", len(line))
	}
	s.srv.tracer(&s.pub, 'r', lineserver.Printable(shown))
}

func (s *session) traceSecret(line []byte) {
	if s.srv.tracer != nil {
		shown := "***"
		if string(line) == "*" {
			shown = "*"
		}
		s.srv.tracer(&s.pub, 'r', shown)
	}
}

func (s *session) traceReply(r *Reply) {
	if s.srv.tracer == nil {
		return
	}
	if r.Code == 334 {
		s.srv.tracer(&s.pub, 'w', "334 ***")
		return
	}
	s.srv.tracer(&s.pub, 'w', lineserver.Printable(r.Error()))
}

func (s *session) remark(text string) {
	if s.srv.tracer != nil {
		s.srv.tracer(&s.pub, '#', text)
	}
}
