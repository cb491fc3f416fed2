package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

// ErrIncomplete: an export was finished, but lacks messages that could not be
// read. The error's text names the first ten.
var ErrIncomplete = errors.New("archive: some messages could not be read")

// readError marks that it was the reading of a message that failed.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// unreadable marks an error, except that the message is gone: that is none.
func unreadable(err error) error {
	if errors.Is(err, mailstore.ErrGone) {
		return err
	}
	return readError{err}
}

// marked marks the errors of reading, which io.Copy mixes with those of writing.
type marked struct{ r io.Reader }

func (m marked) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && err != io.EOF {
		err = readError{err}
	}
	return n, err
}

// exporter runs add for every message of a maildrop.
type exporter struct {
	add      func(i int, received time.Time, flags string) (int64, error)
	end      func() error // after the last
	progress func(Stats)  // may be nil

	stats Stats
	bad   error // those that could not be read
}

func (e *exporter) run(ctx context.Context, m mailstore.Maildrop) (Stats, error) {
	reported := time.Now()
	for i := range m.Len() {
		err := ctx.Err()
		if err == nil {
			err = e.message(m, i)
		}
		if err != nil {
			return e.stats, fmt.Errorf("archive: export: %w", err)
		}
		if e.progress != nil && time.Since(reported) > 200*time.Millisecond {
			reported = time.Now()
			e.progress(e.stats)
		}
	}
	err := e.end()
	if err == nil {
		err = e.bad
	}
	if err != nil {
		err = fmt.Errorf("archive: export: %w", err)
	}
	if e.progress != nil {
		e.progress(e.stats)
	}
	return e.stats, err
}

// message exports one message. One that is gone or cannot be read is no error.
func (e *exporter) message(m mailstore.Maildrop, i int) error {
	var received time.Time
	var flags string
	if details, ok := m.(mailstore.Details); ok {
		received, flags = details.Received(i), details.Flags(i)
	}
	n, err := e.add(i, received, flags)
	var bad readError
	switch {
	case errors.Is(err, mailstore.ErrGone):
	case errors.Is(err, fs.ErrExist):
		e.stats.Skipped++
	case errors.As(err, &bad):
		e.failed(m.UID(i), bad.error)
	case err != nil:
		return err
	default:
		e.stats.Done++
		e.stats.Octets += n
	}
	return nil
}

func (e *exporter) failed(uid string, err error) {
	if e.bad == nil {
		e.bad = ErrIncomplete
	}
	if e.stats.Failed++; e.stats.Failed <= 10 {
		e.bad = fmt.Errorf("%w; %s: %w", e.bad, uid, err)
	}
}
