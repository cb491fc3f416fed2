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

// After MostFails failures in a row a scanner rests for RestFor.
const (
	MostFails = 3
	RestFor   = 30 * time.Second
)

// may reports whether a message may ask.
func (b *breaker) may(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails < MostFails {
		return true
	}
	if now.Before(b.next) {
		return false
	}
	b.next = now.Add(RestFor) // others wait for what comes of this one
	return true
}

// failed notes that the scanner did not answer. The first time in a row of failures is
// told.
func (b *breaker) failed(now time.Time, err error, log *slog.Logger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails++
	b.reason, b.next = err, now.Add(RestFor)
	if b.fails == 1 {
		b.since = now
	}
	if b.fails == MostFails {
		log.Warn("the scanner does not answer", "err", err, "advice", "mail goes on as the setting \"down\" under Verify says")
	}
}

// worked notes an answer.
func (b *breaker) worked(log *slog.Logger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails >= MostFails {
		log.Info("the scanner answers again")
	}
	b.fails, b.reason = 0, nil
}

// broken is since when, and why, the scanner is left alone; nil: it is not.
func (b *breaker) broken() (since time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails < MostFails {
		return time.Time{}, nil
	}
	return b.since, b.reason
}
