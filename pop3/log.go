package pop3

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
)

// tally counts what a session did, for its line in the log.
type tally struct {
	commands, failures                 int
	messages, retrieved, tops, deleted int
	octets                             int64 // of messages retrieved
}

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

func (s *Server) tracing(ctx context.Context) bool {
	return s.Trace != nil || s.conf.log.Enabled(ctx, slog.LevelDebug)
}

// attrs are the facts that every line about the session carries.
func (c *conn) attrs(more ...any) []any {
	a := []any{"session", c.ID}
	if c.User != "" {
		a = append(a, "user", c.User)
	}
	if c.RemoteAddr != nil {
		a = append(a, "remote", c.RemoteAddr.String())
	}
	return append(a, more...)
}

// summarize writes the session's one line.
func (c *conn) summarize() {
	t := &c.tally
	more := []any{"tls", c.TLS != nil, "commands", t.commands}
	if c.state == transaction {
		more = append(more, "messages", t.messages, "retrieved", t.retrieved, "top", t.tops, "deleted", t.deleted, "octets", t.octets)
	}
	if t.failures > 0 {
		more = append(more, "failed_logins", t.failures)
	}
	more = append(more, "sent", c.w.sent, "took", time.Since(c.began).Round(time.Microsecond), "end", c.why)
	c.srv.conf.log.Info("pop3 session", c.attrs(more...)...)
}

// traceCommand shows a command without what it wants to keep secret.
func (c *conn) traceCommand(cmd *command, line []byte) {
	text := string(line)
	if cmd == nil {
		// It may be a password that was sent a line too late.
		c.trace('r', "(unknown command)")
		return
	}
	switch cmd.verb {
	case "PASS":
		text = "PASS ***"
	case "APOP", "AUTH":
		words := strings.SplitN(text, " ", 3)
		if len(words) == 3 {
			words[2] = "***"
		}
		text = strings.Join(words, " ")
	}
	c.trace('r', text)
}

func (c *conn) trace(dir byte, line string) {
	line = printable(line)
	if c.srv.Trace != nil {
		c.srv.Trace(&c.Session, dir, line)
		return
	}
	c.srv.conf.log.Debug("pop3", c.attrs("dir", string(dir), "line", line)...)
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

func (c *conn) remark(text string) {
	if c.tracing {
		c.trace('#', text)
	}
}
