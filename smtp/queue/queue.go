package queue

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
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
	// them Room and Begin return ErrFull. No bound where zero. The queue's own
	// notifications are not refused.
	MaxEntries int
	MaxOctets  int64

	// Grace is the time running attempts get when Run is to end; 10 seconds
	// where zero.
	Grace time.Duration

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

	once   sync.Once
	wake   chan struct{} // for Run: look again
	mu     sync.Mutex    // guards all below
	index  map[string]*item
	wait   waiting
	dests  map[string]*destination
	prune  int            // when there are so many dests, useless ones are sorted out
	ready  []*destination // with a job and room to run it, in turn
	loaded int            // entries in memory
	jobs   int            // attempts running
	octets int64
	state  runState
	ctx    context.Context // of attempts, while Run runs
	group  sync.WaitGroup  // attempts
	count  counters
}

type runState uint8

const (
	idle runState = iota
	running
	stopped
)

const (
	defaultConcurrency     = 200
	defaultDestConcurrency = 20
	defaultGrace           = 10 * time.Second
)

// Room returns nil if a message of size octets, 0 where unknown, may be
// accepted for delivery, or an error that is ErrFull: answer 452 before DATA.
func (q *Queue) Room(ctx context.Context, size int64) error {
	q.start()
	q.mu.Lock()
	full := q.MaxEntries > 0 && len(q.index) >= q.MaxEntries || q.MaxOctets > 0 && q.octets+size > q.MaxOctets
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
	if err := q.Room(ctx, e.Size); err != nil {
		return nil, err
	}
	return q.begin(ctx, e)
}

func (q *Queue) begin(ctx context.Context, e *Entry) (Writer, error) {
	q.start()
	e = e.Clone()
	if e.Queued.IsZero() {
		e.Queued = time.Now()
	}
	e.Queued = e.Queued.Round(0).UTC()
	if e.ID == "" {
		e.ID = NewID(e.Queued)
	}
	if err := e.Check(); err != nil {
		return nil, err
	}
	st, first := NewState(e), q.isRunning() && e.NotBefore.Before(time.Now())
	if first {
		q.recordFirst(e, st)
	}
	w, err := q.Spool.Begin(ctx, e, st)
	if err != nil {
		return nil, err
	}
	return &writer{Writer: w, q: q, e: e, st: st, first: first}, nil
}

// recordFirst writes the first attempt down together with the entry: it will be
// made as soon as the entry is committed, and one write does for both.
func (q *Queue) recordFirst(e *Entry, st *State) {
	now := time.Now()
	for i := range st.To {
		st.To[i].Attempts = 1
		next, _ := q.schedule(e.To[i]).Next(1, e.since(), now, chance())
		st.To[i].Next = stamp(next)
	}
}

func (q *Queue) isRunning() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state == running
}

// writer lets the queue know of what its spool has committed.
type writer struct {
	Writer
	q    *Queue
	e    *Entry
	st   *State
	size int64
	// first: the first attempt is written down.
	first bool
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.size += int64(n)
	return n, err
}

func (w *writer) Commit(ctx context.Context) error {
	if err := w.Writer.Commit(ctx); err != nil {
		return err
	}
	w.e.Size, w.st.Size = w.size, w.size
	w.q.accept(w.e, w.st, w.first)
	return nil
}

// Submit queues a whole message. When it returns nil, the entry is on stable
// storage.
func (q *Queue) Submit(ctx context.Context, e *Entry, message io.Reader) error {
	w, err := q.Begin(ctx, e)
	if err != nil {
		return err
	}
	return fill(ctx, w, message)
}

func fill(ctx context.Context, w Writer, message io.Reader) error {
	defer w.Abort()
	if _, err := io.Copy(w, message); err != nil {
		return fmt.Errorf("queue message: %w", err)
	}
	return w.Commit(ctx)
}

// accept takes up an entry that has just been committed. While there is room
// in memory it need not be loaded again.
func (q *Queue) accept(e *Entry, st *State, first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count.accepted++
	it := newItem(e.ID, st)
	if q.index[it.id] != nil {
		return // the scan has seen it
	}
	q.add(it)
	if first {
		it.flags |= fresh
		it.next = it.queued
	}
	if q.state == running && q.loaded < q.maxLoaded() && it.next <= time.Now().UnixNano() {
		q.take(it, e, st)
		q.dispatch()
		return
	}
	q.wait.put(it)
	q.poke()
}

func (q *Queue) add(it *item) {
	q.index[it.id] = it
	q.octets += it.size
}

func (q *Queue) forget(it *item) {
	q.wait.take(it)
	if q.index[it.id] == it {
		delete(q.index, it.id)
		q.octets -= it.size
	}
}

// Run scans the spool and delivers until ctx ends. It then lets no new attempt
// begin, gives those that run the time of Grace, and returns nil. Entries may
// be queued before it and while it runs. It returns an error if the spool
// cannot be scanned, or if it is called a second time.
func (q *Queue) Run(ctx context.Context) error {
	q.start()
	attempts, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	q.mu.Lock()
	if q.state != idle {
		q.mu.Unlock()
		return ErrClosed
	}
	q.state, q.ctx = running, attempts
	q.mu.Unlock()

	err := q.Spool.Scan(ctx, func(id string, st *State) error {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.index[id] == nil {
			it := newItem(id, st)
			q.add(it)
			q.wait.put(it)
		}
		return nil
	})
	if err == nil {
		q.loop(ctx)
	}
	q.mu.Lock()
	q.state = stopped
	q.mu.Unlock()
	grace := time.AfterFunc(cmpOr(q.Grace, defaultGrace), cancel)
	defer grace.Stop()
	q.group.Wait()
	q.giveBack(attempts)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// giveBack takes first attempts back that were written down and not made: an
// orderly end, unlike a crash, is to cost nobody a wait. ctx is that of the
// time of grace.
func (q *Queue) giveBack(ctx context.Context) {
	q.mu.Lock()
	var ids []string
	for id, it := range q.index {
		if it.flags&fresh != 0 {
			ids = append(ids, id)
		}
	}
	q.mu.Unlock()
	next := make(chan string)
	var wg sync.WaitGroup
	for range min(len(ids), 32) { // they share syncs
		wg.Go(func() {
			for id := range next {
				if err := q.update(ctx, id, (*State).unattempted); err != nil && !isGone(err) {
					q.log().Warn("first attempt cannot be taken back", "id", id, "err", err)
				}
			}
		})
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			break // they wait for their second attempt
		}
		next <- id
	}
	close(next)
	wg.Wait()
}

// loop loads what is due until ctx ends.
func (q *Queue) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait := q.loadDue(ctx)
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
	}
}

// loadDue loads what is due, as far as memory allows, and returns the time
// until the next entry is.
func (q *Queue) loadDue(ctx context.Context) time.Duration {
	const longest = time.Hour // a clock that was set is noticed
	for ctx.Err() == nil {
		q.mu.Lock()
		if q.loaded >= q.maxLoaded() {
			q.mu.Unlock()
			return longest // the next entry that is done wakes the loop
		}
		it, wait := q.wait.due(time.Now())
		if it == nil {
			q.mu.Unlock()
			return min(wait, longest)
		}
		if it.flags&(held|claimed) != 0 {
			q.mu.Unlock()
			continue
		}
		if it.a != nil {
			q.resume(it)
			q.mu.Unlock()
			continue
		}
		q.loaded++ // its place is taken while the lock is not held
		it.flags |= claimed
		q.mu.Unlock()
		q.load(ctx, it)
	}
	return 0
}

// load brings an entry into memory. it is claimed.
func (q *Queue) load(ctx context.Context, it *item) {
	e, st, err := q.Spool.Load(ctx, it.id)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.loaded--
	it.flags &^= claimed
	if err != nil {
		q.lost(it, err)
		return
	}
	q.take(it, e, st)
	q.dispatch()
}

// lost files an entry that could not be loaded: for a minute if that may pass,
// for good if there is no such entry any more.
func (q *Queue) lost(it *item, err error) {
	switch {
	case isGone(err):
		q.log().Error("queue entry is gone", "id", it.id, "err", err)
		q.forget(it)
	default:
		q.log().Error("queue entry cannot be loaded now", "id", it.id, "err", err)
		q.postpone(it)
	}
}

func (q *Queue) postpone(it *item) {
	it.next = time.Now().Add(time.Minute).UnixNano()
	q.wait.put(it)
	q.poke()
}

func (q *Queue) start() {
	q.once.Do(func() {
		q.wake = make(chan struct{}, 1)
		q.index = make(map[string]*item)
		q.dests = make(map[string]*destination)
		q.prune = maxDests
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

func (q *Queue) maxLoaded() int { return 10 * cmpOr(q.Concurrency, defaultConcurrency) }

func (q *Queue) log() *slog.Logger {
	if q.Log != nil {
		return q.Log
	}
	return slog.Default()
}

func (q *Queue) schedule(r Recipient) Schedule {
	if len(q.Schedules) > 0 {
		if s, ok := q.Schedules[r.Domain()]; ok {
			return s
		}
	}
	return q.Schedule
}

// NewID makes an id for an entry queued at t: later ones sort after earlier
// ones, and nobody can guess one.
func NewID(t time.Time) string {
	stamp := strconv.FormatInt(t.UnixMicro()|1<<52, 36) // of constant length for a century
	return stamp + strconv.FormatUint(rand.Uint64N(36*36*36*36*36*36)|1<<30, 36)
}

func cmpOr[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// chance is what moves a retry within its jitter.
func chance() float64 { return rand.Float64() }
