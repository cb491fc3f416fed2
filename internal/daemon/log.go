package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/postrider-mail/postrider/conf"
)

// logFile is where log lines go. It can be pointed elsewhere while loggers
// that write to it live on, which is how a reload changes file, format and
// level, and how a rotated file is let go.
type logFile struct {
	mu   sync.Mutex
	w    io.Writer
	file *os.File // nil for standard error
}

// Write appends one log line.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// open points the log at the named file, or at fallback if the name is empty.
// On an error it stays where it was.
func (l *logFile) open(name string, fallback io.Writer) error {
	var file *os.File
	w := fallback
	if name != "" {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		file, w = f, f
	}
	l.mu.Lock()
	old := l.file
	l.w, l.file = w, file
	l.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return nil
}

func (l *logFile) close() { l.open("", io.Discard) }

// newLogger returns a logger that writes to w as the settings say.
func newLogger(w io.Writer, s conf.Log, level *slog.LevelVar) *slog.Logger {
	level.Set(s.Level)
	opts := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, opts)
	if s.Format == conf.LogJSON {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(quietLog{h, new(strangerLines)})
}
