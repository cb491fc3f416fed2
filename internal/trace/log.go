package trace

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// Log is a log that is read from its end, since who looks for a message mostly wants a late one, and
// what is read has to end somewhere.
type Log interface {
	// Lines calls do with each line that may be of interest by the hint, the newest first, until do returns false or
	// ctx ends. Where none is for long, one without an event says how far back it is. A *Left is what it could not read; any
	// other error that nothing could be.
	Lines(ctx context.Context, hint Hint, do func(Line) bool) error
}

// Left says which lines were not looked at.
type Left struct {
	Before time.Time // those older than this; zero: nobody knows how old they are
	Why    string
	Late   bool // there was no time for more: who asks for what is before gets it
}

// Error implements error.
func (l *Left) Error() string {
	if l.Before.IsZero() {
		return "not all of the log was looked at: " + l.Why
	}
	return fmt.Sprintf("what is older than %s was not looked at: %s", l.Before.Local().Format(time.DateTime), l.Why)
}

// maxLine bounds a line of the log, in octets.
const maxLine = 1 << 20

// backward calls do with each line of a text, the last first, until do returns false. It reports
// whether do never did.
func backward(text []byte, do func(line []byte) bool) bool {
	text = bytes.TrimSuffix(text, []byte("\n"))
	for {
		i := bytes.LastIndexByte(text, '\n')
		if !do(text[i+1:]) {
			return false
		}
		if i < 0 {
			return true
		}
		text = text[:i]
	}
}
