package smtp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"unicode"

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
	var mu sync.Mutex
	return func(s *Session, dir byte, line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, "%s %c %s\n", s.ID, dir, line)
	}
}

func traceTo(log *slog.Logger) Tracer {
	return func(s *Session, dir byte, line string) {
		log.Debug("dialogue", "session", s.ID, "dir", string(dir), "line", line)
	}
}

// traceCommand shows a command line, without what follows the mechanism of
// AUTH. Lines that are no command are not shown whole: they may be the
// password of somebody who is out of step.
func (s *session) traceCommand(c *command, line []byte) {
	if s.srv.tracer == nil {
		return
	}
	shown := string(line)
	verb, args := textual.Command(line)
	switch {
	case textual.Is(verb, "AUTH"):
		mechanism, response := textual.Command(args)
		shown = "AUTH " + string(mechanism)
		if len(response) > 0 {
			shown += " ***"
		}
	case c == nil:
		shown = fmt.Sprintf("unknown command of %d octets", len(line))
	}
	s.srv.tracer(&s.pub, 'r', printable(shown))
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
	s.srv.tracer(&s.pub, 'w', printable(r.Error()))
}

func (s *session) remark(text string) {
	if s.srv.tracer != nil {
		s.srv.tracer(&s.pub, '#', text)
	}
}

// printable replaces what could confuse whoever reads a transcript.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

func addrString(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// logEnd writes the session's line: who, how it went, how many of each
// command.
func (s *session) logEnd() {
	ctx := context.Background()
	if !s.srv.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attrs := []slog.Attr{
		slog.String("session", s.pub.ID),
		slog.String("remote", addrString(s.pub.RemoteAddr)),
		slog.Duration("took", s.clock.since()),
		slog.Int("accepted", s.accepted),
	}
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("helo", s.pub.Helo)
	add("user", s.pub.User)
	add("mechanism", s.mechanism)
	if s.pub.TLS != nil {
		add("tls", tlsName(s.pub.TLS))
	}
	if s.authErrors > 0 {
		attrs = append(attrs, slog.Int("failed_logins", s.authErrors))
	}
	if s.errors > 0 {
		attrs = append(attrs, slog.Int("errors", s.errors))
	}
	if s.err != nil {
		add("ended", s.err.Error())
	}
	var counts []any
	for i, n := range s.counts {
		if n > 0 {
			counts = append(counts, slog.Int(strings.ToLower(s.srv.names[i]), int(n)))
		}
	}
	attrs = append(attrs, slog.Group("commands", counts...))
	s.srv.log.LogAttrs(ctx, slog.LevelInfo, "smtp session", attrs...)
}
