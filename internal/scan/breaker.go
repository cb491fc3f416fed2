package scan

import (
	"log/slog"
	"sync"
	"time"
)

// breaker leaves a scanner alone that has failed several times in a row, so that
// not every message waits for it, and has one message ask it again after a while.
type breaker struct {
	mu     sync.Mutex
	fails  int
	since  time.Time // of the first of these
	next   time.Time // when one message may ask again
	reason error
}

// After so many failures in a row the scanner rests for so long.
const (
	mostFails = 3
	restFor   = 30 * time.Second
)

// may reports whether a message may ask.
func (b *breaker) may(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails < mostFails {
		return true
	}
	if now.Before(b.next) {
		return false
	}
	b.next = now.Add(restFor) // others wait for what comes of this one
	return true
}

// failed notes that the scanner did not answer. The first time in a row of failures is
// told.
func (b *breaker) failed(now time.Time, err error, log *slog.Logger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails++
	b.reason, b.next = err, now.Add(restFor)
	if b.fails == 1 {
		b.since = now
	}
	if b.fails == mostFails {
		log.Warn("the scanner does not answer", "err", err, "advice", "mail goes on as Verify.Scanner says")
	}
}

// worked notes an answer.
func (b *breaker) worked(log *slog.Logger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails >= mostFails {
		log.Info("the scanner answers again")
	}
	b.fails, b.reason = 0, nil
}

// broken is since when, and why, the scanner is left alone; nil: it is not.
func (b *breaker) broken() (since time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails < mostFails {
		return time.Time{}, nil
	}
	return b.since, b.reason
}
