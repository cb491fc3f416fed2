package logs

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/postrider-mail/postrider/internal/conf"
)

// File is where log lines go. It can be pointed elsewhere while loggers that
// write to it live on, which is how a reload changes the file, and how a rotated
// one is let go. It may be used concurrently.
type File struct {
	mu   sync.Mutex
	w    io.Writer
	file *os.File // nil for standard error

	journal bool // w is the journal's

	also io.Writer // gets every line too; nil: nobody does

	leftOut atomic.Int64 // lines about strangers
}

// LeftOut is how many lines about strangers were not written down.
func (l *File) LeftOut() int64 { return l.leftOut.Load() }

// NewFile makes a File that writes to w until it is pointed elsewhere.
func NewFile(w io.Writer) *File { return &File{w: w, journal: isJournal(w)} }

// Also has every line written to w as well, whatever becomes of it otherwise.
func (l *File) Also(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.also = w
}

// Write appends one log line.
func (l *File) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.also != nil {
		l.also.Write(p)
	}
	return l.w.Write(p)
}

// toJournal reports whether lines go to the journal now.
func (l *File) toJournal() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.journal
}

// Open points the log at the named file, or at fallback if the name is empty.
// On an error it stays where it was.
func (l *File) Open(name string, fallback io.Writer) error {
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
	l.w, l.file, l.journal = w, file, file == nil && isJournal(w)
	l.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return nil
}

// Close lets the file go; what is written from then on is lost.
func (l *File) Close() { l.Open("", io.Discard) }

// New returns a logger that writes as the settings say, in lines that
// strangers can neither forge nor fill the disk with. level is set, and may be
// changed later.
func New(to *File, s conf.Log, level *slog.LevelVar) *slog.Logger {
	level.Set(s.Level)
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: tame}
	handler := func(w io.Writer) slog.Handler {
		if s.Format == conf.LogJSON {
			return slog.NewJSONHandler(w, opts)
		}
		return slog.NewTextHandler(w, opts)
	}
	return slog.New(quietLog{choice{to, handler(to), newPriorities(to, handler)}, &strangers{total: &to.leftOut}})
}

// longestValue is how much of a value is written down, in octets. A stranger
// may give a name of many kilobytes, and give it often.
const longestValue = 512

// tame makes what others have said fit for a log, whoever reads it with
// whatever: an address is text in either format, and so is everything that
// could steer a terminal or turn around the direction of writing. (Line ends,
// quotes and the controls of ASCII the handlers of slog escape themselves.)
func tame(_ []string, a slog.Attr) slog.Attr {
	var text string
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		text = v.String()
	case slog.KindAny:
		switch v := v.Any().(type) {
		case error:
			text = v.Error()
		case net.Addr:
			text = v.String()
		default:
			return a
		}
	default:
		return a
	}
	most := longestValue
	switch a.Key {
	case "stack", "panic", "err", "line": // our own words, for the most part
		most = 16 * longestValue
	}
	if len(text) > most {
		text = fmt.Sprintf("%s... (%d octets)", text[:most], len(text))
	}
	a.Value = slog.StringValue(Escape(text, beyondASCII))
	return a
}

// beyondASCII knows what is not printable beyond ASCII: within it, the handlers
// of slog escape it themselves.
func beyondASCII(r rune) bool { return r >= 0x7f && !unicode.IsPrint(r) }
