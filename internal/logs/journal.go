package logs

import (
	"context"
	"io"
	"log/slog"
)

// choice is a handler that writes lines in the way of the journal, or plain, by
// where the file leads at the time.
type choice struct {
	to      *File
	plain   slog.Handler
	journal slog.Handler
}

func (c choice) now() slog.Handler {
	if c.to.toJournal() {
		return c.journal
	}
	return c.plain
}

// Enabled implements slog.Handler.
func (c choice) Enabled(ctx context.Context, level slog.Level) bool {
	return c.plain.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (c choice) Handle(ctx context.Context, r slog.Record) error { return c.now().Handle(ctx, r) }

// WithAttrs implements slog.Handler.
func (c choice) WithAttrs(attrs []slog.Attr) slog.Handler {
	return choice{c.to, c.plain.WithAttrs(attrs), c.journal.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (c choice) WithGroup(name string) slog.Handler {
	return choice{c.to, c.plain.WithGroup(name), c.journal.WithGroup(name)}
}

// priorities puts before each line what sd-daemon(3) wants there, so that
// "journalctl -p warning" finds it: one handler for each priority.
type priorities [4]slog.Handler

// prefixes are the priorities debug, info, warning and err of syslog.
var prefixes = [...]string{"<7>", "<6>", "<4>", "<3>"}

// newPriorities makes them of handlers that write to w.
func newPriorities(w io.Writer, handler func(io.Writer) slog.Handler) slog.Handler {
	var p priorities
	for i := range p {
		p[i] = handler(prefixed{prefixes[i], w})
	}
	return p
}

// of is the index of a level's priority.
func (p priorities) of(level slog.Level) int {
	switch {
	case level < slog.LevelInfo:
		return 0
	case level < slog.LevelWarn:
		return 1
	case level < slog.LevelError:
		return 2
	}
	return 3
}

// Enabled implements slog.Handler.
func (p priorities) Enabled(ctx context.Context, level slog.Level) bool {
	return p[0].Enabled(ctx, level)
}

// Handle implements slog.Handler. The journal has times of its own.
func (p priorities) Handle(ctx context.Context, r slog.Record) error {
	untimed := slog.Record{Message: r.Message, Level: r.Level, PC: r.PC}
	r.Attrs(func(a slog.Attr) bool { untimed.AddAttrs(a); return true })
	return p[p.of(r.Level)].Handle(ctx, untimed)
}

// WithAttrs implements slog.Handler.
func (p priorities) WithAttrs(attrs []slog.Attr) slog.Handler {
	for i := range p {
		p[i] = p[i].WithAttrs(attrs)
	}
	return p
}

// WithGroup implements slog.Handler.
func (p priorities) WithGroup(name string) slog.Handler {
	for i := range p {
		p[i] = p[i].WithGroup(name)
	}
	return p
}

// prefixed writes each line behind a prefix, in one piece.
type prefixed struct {
	prefix string
	w      io.Writer
}

// Write implements io.Writer.
func (p prefixed) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
