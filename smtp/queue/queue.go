package queue

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Queue delivers what its Spool holds. Spool and Transport must be set before
// the first method is called, and no field may be changed after it.
type Queue struct {
	// Spool keeps the entries. Transport makes the attempts.
	Spool     Spool
	Transport Transport

	// Hostname is our own name, in notifications.
	Hostname string

	// Schedule is when to try again. Schedules overrides it by the
	// recipient's domain, in lower case.
	Schedule  Schedule
	Schedules map[string]Schedule

	// Concurrency bounds attempts running at once: in all, 200 where zero,
	// and for one destination, 20 where zero.
	Concurrency            int
	DestinationConcurrency int

	// MaxEntries and MaxOctets bound what is accepted into the queue; beyond
	// them Room and Begin return ErrFull. No bound where zero.
	MaxEntries int
	MaxOctets  int64

	// Notify takes a notification to the sender of an entry: a bounce, the
	// news of a delay or of success. It returns nil when the notification is
	// on stable storage, and is asked again later where it returns an error.
	// Where Notify is nil, notifications go through the queue itself.
	Notify func(ctx context.Context, n *Notification) error
	// Undeliverable takes notice of an entry with the null sender that failed,
	// for which nobody can be told: it is to be kept for the postmaster. It
	// may be nil: the entry is then logged and counted, and dropped.
	Undeliverable func(ctx context.Context, n *Notification) error

	// Log is where one line per attempt goes; slog.Default where nil.
	Log *slog.Logger

	once    sync.Once
	mu      sync.Mutex
	wake    chan struct{}
	index   map[string]*item
	waiting waiting
	dests   map[string]*destination
	ready   []*destination // with jobs and room to run one, in turn
	running int
	octets  int64
	closed  bool
	count   counters
}

// Notification is a message the queue writes about an entry.
type Notification struct {
	// To is the entry's sender, "" where it has none.
	To string
	// Kind is Bounce, Delay or Success.
	Kind Kind
	// Entry is what it is about.
	Entry *Entry
	// SMTPUTF8: Message needs it.
	SMTPUTF8 bool
	// Message is a whole message with CRLF lines, multipart/report (RFC 3464).
	// Its return path is the null sender.
	Message []byte
}

// Kind of a notification.
type Kind string

// The kinds of notification.
const (
	Bounce  Kind = "bounce"
	Delay   Kind = "delay"
	Success Kind = "success"
)

// Room returns nil if a message of size octets, 0 where unknown, may be
// accepted for delivery, or an error that is ErrFull: answer 452 before DATA.
func (q *Queue) Room(ctx context.Context, size int64) error {
	q.start()
	q.mu.Lock()
	full := q.closed || q.MaxEntries > 0 && len(q.index) >= q.MaxEntries || q.MaxOctets > 0 && q.octets+size > q.MaxOctets
	q.mu.Unlock()
	if full {
		return ErrFull
	}
	return q.Spool.Room(ctx, size)
}

// Begin starts an entry whose message is then written to the Writer. When the
// Writer's Commit has returned nil, the entry is on stable storage and due at
// once. An error that is ErrFull says that there is no room now.
func (q *Queue) Begin(ctx context.Context, e *Entry) (Writer, error) {
	return nil, errors.ErrUnsupported
}

// Submit queues a whole message. When it returns nil, the entry is on stable
// storage.
func (q *Queue) Submit(ctx context.Context, e *Entry, message io.Reader) error {
	w, err := q.Begin(ctx, e)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(w, message); err != nil {
		return err
	}
	return w.Commit(ctx)
}

// Run scans the spool and delivers until ctx ends. It then lets no new attempt
// begin, waits for those that run (their contexts have ended too), and returns
// nil. Entries may be queued before and while it runs. It returns an error if
// the spool cannot be scanned.
func (q *Queue) Run(ctx context.Context) error {
	return errors.ErrUnsupported
}

func (q *Queue) start() {
	q.once.Do(func() {
		q.wake = make(chan struct{}, 1)
		q.index = make(map[string]*item)
		q.dests = make(map[string]*destination)
	})
}

func (q *Queue) log() *slog.Logger {
	if q.Log != nil {
		return q.Log
	}
	return slog.Default()
}

func (q *Queue) schedule(domain string) Schedule {
	if s, ok := q.Schedules[domain]; ok {
		return s
	}
	return q.Schedule
}

func chance() float64 { return rand.Float64() }

type counters struct{}

type destination struct{ name string }

type item struct {
	id   string
	next time.Time
}

type waiting []*item
