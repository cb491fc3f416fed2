package queue

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// memory is a Spool without a disk, for tests of the queue itself.
type memory struct {
	mu      sync.Mutex
	entries map[string]*stored
	saves   int
	lent    int // messages opened and not closed
	// fail, if not nil, is asked before each change.
	fail func(op, id string) error
}

type stored struct {
	e    *Entry
	st   *State
	body []byte
}

func newMemory() *memory { return &memory{entries: map[string]*stored{}} }

func (m *memory) check(op, id string) error {
	if m.fail != nil {
		return m.fail(op, id)
	}
	return nil
}

type memWriter struct {
	bytes.Buffer
	m    *memory
	e    *Entry
	st   *State
	done bool
}

func (m *memory) Begin(_ context.Context, e *Entry, st *State) (Writer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries[e.ID] != nil {
		return nil, ErrExists
	}
	return &memWriter{m: m, e: e.Clone(), st: st.Clone()}, m.check("begin", e.ID)
}

func (w *memWriter) Commit(_ context.Context, top []byte) error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if err := w.m.check("commit", w.e.ID); err != nil || w.done {
		return cmpErr(err, ErrClosed)
	}
	w.done = true
	body := append(top[:len(top):len(top)], w.Bytes()...)
	w.e.Params.Size, w.st.Size = int64(len(body)), int64(len(body))
	w.m.entries[w.e.ID] = &stored{w.e, w.st, body}
	return nil
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (w *memWriter) Abort() error { w.done = true; return nil }

func (m *memory) Scan(_ context.Context, each func(string, *State) error) error {
	m.mu.Lock()
	all := map[string]*State{}
	for id, s := range m.entries {
		all[id] = s.st.Clone()
	}
	m.mu.Unlock()
	for id, st := range all {
		if err := each(id, st); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) get(op, id string) (*stored, error) {
	if err := m.check(op, id); err != nil {
		return nil, err
	}
	s := m.entries[id]
	if s == nil {
		return nil, ErrNotFound
	}
	return s, nil
}

func (m *memory) Load(_ context.Context, id string) (*Entry, *State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.get("load", id)
	if err != nil {
		return nil, nil, err
	}
	return s.e.Clone(), s.st.Clone(), nil
}

func (m *memory) Open(_ context.Context, id string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.get("open", id)
	if err != nil {
		return nil, err
	}
	m.lent++
	return &loan{bytes.NewReader(s.body), m}, nil
}

// loan is an open message.
type loan struct {
	io.Reader
	m *memory
}

func (l *loan) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.m.lent--
	return nil
}

func (m *memory) Save(_ context.Context, id string, st *State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.get("save", id)
	if err == nil {
		s.st = st.Clone()
		m.saves++
	}
	return err
}

func (m *memory) Remove(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.get("remove", id)
	if err == nil {
		delete(m.entries, id)
	}
	return err
}

func (m *memory) Room(context.Context, int64) error { return m.check("room", "") }

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}

func (m *memory) state(id string) *State {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.entries[id]; s != nil {
		return s.st.Clone()
	}
	return nil
}

// world is a Transport that does what a function says, and remembers.
type world struct {
	mu       sync.Mutex
	answer   func(d *Delivery, r Recipient) Result
	took     time.Duration
	attempts []attemptSeen
	running  map[string]int
	most     map[string]int
}

type attemptSeen struct {
	at          time.Time
	id          string
	to          []string
	destination string
	attempt     int
}

func (w *world) Destination(r Recipient, route string) string {
	if route != "" {
		return "route " + route
	}
	return r.Path.DomainName().String()
}

func (w *world) Deliver(ctx context.Context, d *Delivery) []Result {
	w.mu.Lock()
	if w.running == nil {
		w.running, w.most = map[string]int{}, map[string]int{}
	}
	w.running[d.Destination]++
	w.most[d.Destination] = max(w.most[d.Destination], w.running[d.Destination])
	seen := attemptSeen{at: time.Now(), id: d.Entry.ID, destination: d.Destination, attempt: d.Attempt}
	for _, r := range d.To {
		seen.to = append(seen.to, r.Path.String())
	}
	w.attempts = append(w.attempts, seen)
	took := w.took
	w.mu.Unlock()
	if took > 0 {
		select {
		case <-time.After(took):
		case <-ctx.Done():
		}
	}
	var results []Result
	for _, r := range d.To {
		res := ok
		if w.answer != nil {
			res = w.answer(d, r)
		}
		results = append(results, res)
	}
	w.mu.Lock()
	w.running[d.Destination]--
	w.mu.Unlock()
	return results
}

func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.attempts)
}

var (
	ok     = Result{Status: Delivered, Code: 250, Enhanced: "2.0.0", Text: "ok", Host: "mx.example.net [192.0.2.1]:25"}
	grey   = Result{Status: Pending, Code: 451, Enhanced: "4.7.1", Text: "Greylisted", Host: "mx.example.net [192.0.2.1]:25"}
	never5 = Result{Status: Failed, Code: 550, Enhanced: "5.1.1", Text: "No such user", Host: "mx.example.net [192.0.2.1]:25"}
	gone   = Result{Status: Pending, Text: "connect to 192.0.2.1:25: connection refused", Unreachable: true}
)

// note is a sender's mailbox.
type note struct {
	mu  sync.Mutex
	all []*Notification
	at  []time.Time
	err error
}

func (n *note) take(_ context.Context, m *Notification) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return n.err
	}
	n.all = append(n.all, m)
	n.at = append(n.at, time.Now())
	return nil
}

func (n *note) kinds() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var s []string
	for _, m := range n.all {
		s = append(s, string(m.Kind))
	}
	return strings.Join(s, " ")
}

type fixture struct {
	*Queue
	spool  *memory
	world  *world
	notes  *note
	lost   *note
	cancel context.CancelFunc
	ended  chan error
}

func newFixture() *fixture {
	f := &fixture{spool: newMemory(), world: &world{}, notes: &note{}, lost: &note{}}
	f.Queue = &Queue{Spool: f.spool, Transport: f.world, Config: Config{Hostname: "mail.example.org", Schedule: Schedule{Jitter: -1}}, Notify: f.notes.take, Undeliverable: f.lost.take,
		Log: slog.New(slog.DiscardHandler)}
	return f
}

func (f *fixture) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f.cancel, f.ended = cancel, make(chan error, 1)
	go func() { f.ended <- f.Run(ctx) }()
	synctest.Wait()
}

// stop ends the queue; a bubble must not be left before.
func (f *fixture) stop(t *testing.T) {
	t.Helper()
	f.cancel()
	if err := <-f.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	f.spool.mu.Lock()
	defer f.spool.mu.Unlock()
	if f.spool.lent != 0 {
		t.Errorf("%d messages are open still", f.spool.lent)
	}
}

// restart goes on with the same spool, as the next process does.
func (f *fixture) restart(t *testing.T) *fixture {
	f.stop(t)
	n := newFixture()
	n.spool, n.world, n.notes, n.lost = f.spool, f.world, f.notes, f.lost
	n.Queue.Spool, n.Queue.Transport, n.Queue.Notify, n.Queue.Undeliverable = n.spool, n.world, n.notes.take, n.lost.take
	n.run(t)
	return n
}

const message = "From: ann@example.org\r\nSubject: hello\r\n\r\nbody\r\n"

// address is one as a path; "" is the null path.
func address(s string) smtp.Path {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return smtp.Path{Local: s}
	}
	if p, err := smtp.ParseMailbox(s, smtp.PathUTF8); err == nil {
		return p
	}
	return smtp.Path{Local: s[:at], Domain: s[at+1:]}
}

func entry(id string, to ...string) *Entry {
	e := &Entry{ID: id, From: address("ann@example.org")}
	for _, a := range to {
		e.To = append(e.To, Recipient{Path: address(a)})
	}
	return e
}

func (f *fixture) submit(t *testing.T, e *Entry) {
	t.Helper()
	if err := f.Submit(t.Context(), e, strings.NewReader(message)); err != nil {
		t.Fatalf("Submit: %v", err)
	}
}

func (f *fixture) submitMany(t *testing.T, n int, domain func(i int) string) {
	t.Helper()
	for i := range n {
		f.submit(t, entry(fmt.Sprintf("e%05d", i), "bob@"+domain(i)))
	}
}

// submitStrangers queues n messages for as many domains never heard of before.
func (f *fixture) submitStrangers(t *testing.T, n int) {
	t.Helper()
	for range n {
		id := NewID(time.Now())
		f.submit(t, entry(id, "bob@"+id+".example"))
	}
}
