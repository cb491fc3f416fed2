package queue

import (
	"context"
	"errors"
	"io"
	"time"
)

// Errors of a Spool and of a Queue. Compare with errors.Is.
var (
	// ErrNotFound: there is no such entry (any more).
	ErrNotFound = errors.New("queue: no such entry")
	// ErrExists: an entry of this ID is there already.
	ErrExists = errors.New("queue: entry exists")
	// ErrFull: there is no room now; a client is told 452 and tries later.
	ErrFull = errors.New("queue: full")
	// ErrCorrupt: the entry cannot be read. The spool has put it aside, where
	// an operator finds it; it is not in the queue any more.
	ErrCorrupt = errors.New("queue: corrupt entry")
	// ErrBusy: the entry is being delivered just now.
	ErrBusy = errors.New("queue: entry is being delivered")
	// ErrClosed: the queue or the spool takes nothing more.
	ErrClosed = errors.New("queue: closed")
)

// Spool keeps entries on stable storage. Its methods may be called
// concurrently, those that change an entry not for the same ID at once. What
// every one of them promises is checked by spooltest.Run.
type Spool interface {
	// Begin starts an entry in the given state. Nothing of it exists before
	// Commit. The entry has passed Check; its Size is what was announced, 0 if
	// nothing was. An error that is ErrExists or ErrFull says so, also one of the
	// Writer's, when there is no room any more for what is written.
	Begin(ctx context.Context, e *Entry, s *State) (Writer, error)

	// Scan calls each with every entry's id and state, in no order, and
	// returns its error if it returns one. What cannot be read is put aside
	// and passed over. The state belongs to the callee only during the call.
	// Entries committed or removed while it runs may be seen or not.
	Scan(ctx context.Context, each func(id string, s *State) error) error

	// Load returns an entry and its state. ErrNotFound, or ErrCorrupt for one
	// that could not be read and has been put aside; any other error is
	// temporary, and the entry is still there.
	Load(ctx context.Context, id string) (*Entry, *State, error)

	// Open streams the message, octet by octet what was written. It may be
	// read after the entry was removed.
	Open(ctx context.Context, id string) (io.ReadCloser, error)

	// Save replaces the state. When it returns nil the new state is on stable
	// storage; when it returns an error, or a crash comes before it returned,
	// the entry has the old state or the new one, whole. ErrNotFound if the
	// entry is not there.
	Save(ctx context.Context, id string, s *State) error

	// Remove takes the entry away, durably. If a crash comes before it
	// returned, the entry is there whole or is gone. ErrNotFound if it is not
	// there.
	Remove(ctx context.Context, id string) error

	// Room returns nil if a message of size octets (0 where unknown) could be
	// stored now, as far as can be told, and an error that is ErrFull if not.
	Room(ctx context.Context, size int64) error
}

// Writer takes the message of one entry: first its body, which is all that came,
// then what is to stand on top of that, which may depend on it. It must be ended by
// Commit or by Abort; Abort after Commit does nothing, so that it can be deferred.
type Writer interface {
	// Writer takes the body.
	io.Writer
	// Commit puts top, whole header fields or nothing, on top of the body, and then
	// the entry on stable storage: message, envelope, state, and
	// the name it is found by. When it returns nil the entry survives a power
	// failure. When it returns an error the entry must be taken as not queued,
	// although after a crash it may be found in the queue.
	Commit(ctx context.Context, top []byte) error
	// Abort forgets the entry.
	Abort() error
}

// Wrapper is a Spool around another one. What that can do beyond a Spool counts as the Wrapper's, but
// what takes Writers, which are the Wrapper's own.
type Wrapper interface {
	Spool
	// Unwrap returns the Spool inside.
	Unwrap() Spool
}

// find looks for something more that a spool can do, or one that it is around.
func find[T any](s Spool) (found T, ok bool) {
	for {
		if found, ok = s.(T); ok {
			return found, true
		}
		w, is := s.(Wrapper)
		if !is {
			return found, false
		}
		s = w.Unwrap()
	}
}

// Together is a Spool that can commit several entries as one, so that a message with
// several entries is queued for all of its recipients or for none of them. A Spool may be
// it; Queue.CommitAll is what uses it, and spooltest.Run tests it.
type Together interface {
	Spool
	// CommitAll is Commit of several Writers of this Spool, each with its top. When it
	// returns nil, all the entries are on stable storage; when it returns an error,
	// none may be taken as queued, and none is there unless a crash came between.
	// Every Writer has ended then.
	CommitAll(ctx context.Context, writers []Writer, tops [][]byte) error
}

// Transport makes attempts. Its methods are called concurrently.
type Transport interface {
	// Destination names where a recipient's mail goes next, such as its
	// domain or the name of a route. Recipients of one entry with the same
	// destination travel together, and connections are counted per
	// destination. route is State.Route. It must be cheap, and the same each
	// time while the configuration does not change.
	Destination(r Recipient, route string) string

	// Deliver makes one attempt and returns one result for each of d.To, in
	// order. It returns before long when ctx ends. It must not say Delivered
	// unless the next hop has said so for that recipient after the last dot.
	Deliver(ctx context.Context, d *Delivery) []Result
}

// Delivery is one attempt: the recipients of one entry that go to one
// destination.
type Delivery struct {
	Entry       *Entry      // not to be changed
	To          []Recipient // some of Entry.To
	Destination string
	Route       string    // State.Route
	Attempt     int       // 1 for the first
	Since       time.Time // when the entry was queued
	// Open opens the message; the transport closes it.
	Open func() (io.ReadCloser, error)
	// More reports whether other messages wait for the same destination, so
	// that it is worth keeping the connection.
	More func() bool
	// Waits, which may be nil, takes notice that the attempt waits for a host of
	// which nothing has been heard yet, or does so no more. While it waits, it is the
	// first to be cut off where other mail needs its place: its context ends
	// with the cause ErrGaveWay.
	Waits func(yes bool)
}
