package queue

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// Queue delivers what its Spool holds. Spool and Transport must be set before
// the first method is called, and no field may be changed after it; Reconfigure
// puts another Config in place.
type Queue struct {
	// Spool keeps the entries. Transport makes the attempts.
	Spool     Spool
	Transport Transport

	Config

	// Memory keeps what has been learnt about destinations and who was told of
	// what, over restarts; nil for none.
	Memory Memory

	// Grace is the time running attempts get when Run is to end; 10 seconds
	// where zero.
	Grace time.Duration

	// Behind returns who is behind an entry's sender: for an address that SRS
	// made, the sender it was made of. Notifications are addressed to it in
	// their To field; they still go to the sender. nil where they are the same.
	Behind func(from smtp.Path) smtp.Path

	// Notify takes a notification to the sender of an entry: a bounce, the
	// news of a delay or of success. It returns nil when the notification is
	// on stable storage, and is asked again later where it returns an error.
	// Where Notify is nil, notifications go through the queue itself.
	Notify func(ctx context.Context, n *Notification) error
	// Undeliverable takes notice of an entry with the null sender that failed,
	// for which nobody can be told: it is to be kept for the postmaster. It
	// may be nil: the entry is then logged and counted, and dropped.
	Undeliverable func(ctx context.Context, n *Notification) error

	// Attempted is called when an attempt is over, for each of its recipients, and
	// Notified when a notification is on stable storage: to count, so that nobody has to
	// read the log for it. They may be called by several attempts at once, must not
	// block, and Notified must not call the Queue's methods. nil: nobody counts.
	Attempted func(*Attempt)
	Notified  func(*Notification)

	// Log is where a line about each of these goes; slog.Default where nil.
	Log *slog.Logger

	once    sync.Once
	newer   atomic.Pointer[Config] // in place of Config
	wake    chan struct{}          // for Run: look again
	scanned chan struct{}          // closed when Run has found what was in the spool
	mu      sync.Mutex             // guards all below
	index   map[string]*item
	wait    waiting
	dests   destinations
	known   known
	// unclaimed, where somebody waits for it, is closed when an item is not claimed
	// any more.
	unclaimed chan struct{}
	ready     [classes][]*lane // with a job and room at the destination to run it, in turn
	// loaded is how many entries are in memory, loadedBy of each class. Those of
	// a class beyond its share are parked in overflow.
	loaded   int
	loadedBy [classes]int
	overflow [classes][]*item
	jobs     int // attempts running
	places   places
	trickle  trickle
	octets   int64
	clock    time.Time // when watchClock last looked
	state    runState
	ctx      context.Context // of attempts, while Run runs
	group    sync.WaitGroup  // attempts
	count    counters
	polled   polled // where the Spool is a Shared
}

type runState uint8

const (
	idle runState = iota
	running
	stopped
)

const defaultGrace = 10 * time.Second

// Room returns nil if a message of size octets, 0 where unknown, may be
// accepted for delivery, or an error that is ErrFull: answer 452 before DATA.
func (q *Queue) Room(ctx context.Context, size int64) error {
	q.start()
	if c := q.config(); c.MaxEntries > 0 || c.MaxOctets > 0 {
		entries, octets, err := q.holds(ctx)
		if err != nil {
			return err
		}
		if c.MaxEntries > 0 && entries >= c.MaxEntries || c.MaxOctets > 0 && octets+size > c.MaxOctets {
			return ErrFull
		}
	}
	return q.Spool.Room(ctx, size)
}

// holds is how many entries and octets are in the queue.
func (q *Queue) holds(ctx context.Context) (entries int, octets int64, err error) {
	if s := q.share(); s != nil {
		c, err := s.Count(ctx)
		return c.Entries, c.Octets, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.index), q.octets, nil
}

func (q *Queue) start() {
	q.once.Do(func() {
		q.wake = make(chan struct{}, 1)
		q.scanned = make(chan struct{})
		q.index = make(map[string]*item)
		q.Config.longest = q.longestWait()
		q.count.delay = make([]int64, len(delayBounds)+1)
	})
}

// poke makes the loop look again.
func (q *Queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Queue) maxLoaded() int { return 10 * q.config().concurrency() }

func (q *Queue) log() *slog.Logger {
	if q.Log != nil {
		return q.Log
	}
	return slog.Default()
}

func (q *Queue) schedule(r Recipient) Schedule { return q.config().schedule(r.Path.DomainName()) }

func cmpOr[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// chance is what moves a retry within its jitter.
func chance() float64 { return rand.Float64() }
