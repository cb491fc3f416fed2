package measure

import (
	"os"
	"sync"
)

// Log is the least a disk can be asked for: one file, only ever appended to,
// with one sync of its contents for all who wait.
type Log struct {
	f       *os.File
	mu      sync.Mutex
	leading bool
	waiting []chan bool
	failed  error
}

// NewLog makes a log in dir.
func NewLog(dir string) (*Log, error) {
	f, err := os.CreateTemp(dir, "log-")
	if err != nil {
		return nil, err
	}
	return &Log{f: f}, nil
}

// Close closes the file.
func (l *Log) Close() error { return l.f.Close() }

// Append writes p and returns when it is on the disk.
func (l *Log) Append(p []byte) error {
	l.mu.Lock()
	if _, err := l.f.Write(p); err != nil {
		l.mu.Unlock()
		return err
	}
	wake := make(chan bool, 1)
	l.waiting = append(l.waiting, wake)
	if l.leading {
		l.mu.Unlock()
		lead := <-wake
		l.mu.Lock()
		if !lead {
			defer l.mu.Unlock()
			return l.failed
		}
	}
	l.leading = true
	group := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	err := DataSync(l.f)
	l.mu.Lock()
	if err != nil {
		l.failed = err
	}
	if len(l.waiting) > 0 {
		l.waiting[0] <- true
	} else {
		l.leading = false
	}
	l.mu.Unlock()
	for _, w := range group {
		if w != wake {
			w <- false
		}
	}
	return err
}
