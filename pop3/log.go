package pop3

import (
	"context"
	"io"
	"log/slog"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// TraceWriter writes a transcript: the session's id, "r", "w" or "#", and the
// line.
func TraceWriter(w io.Writer) Tracer {
	write := lineserver.Transcript(w)
	return func(s *Session, dir byte, line string) { write(s.ID, dir, line) }
}

func (s *Server) tracing(ctx context.Context) bool {
	return s.Trace != nil || s.conf.log.Enabled(ctx, slog.LevelDebug)
}

// failed writes an error of ours into the log.
func (c *session) failed(what string, err error) {
	c.pub.LogError(c.srv.conf.log, what, slog.Any("err", err))
}

// traceCommand shows a command without what it wants to keep secret.
func (c *session) traceCommand(cmd *command, line []byte) {
	if cmd == nil {
		// It may be a password that was sent a line too late.
		c.trace('r', "(unknown command)")
		return
	}
	c.trace('r', redact(string(line)))
}

func (c *session) trace(dir byte, line string) {
	line = lineserver.Printable(line)
	if c.srv.Trace != nil {
		c.srv.Trace(&c.pub, dir, line)
		return
	}
	c.pub.LogDialogue(c.srv.conf.log, dir, line)
}

func (c *session) remark(text string) {
	if c.tracing {
		c.trace('#', text)
	}
}
