package queue

import (
	"math"
	"time"
)

// item is all that memory holds of an entry that waits. A million of them must
// fit into a small machine: about 130 octets each, with the index. Queue.mu guards
// it.
type item struct {
	id     string
	next   int64 // unix nanoseconds at which something is due; heap order
	queued int64 // unix nanoseconds
	size   int64
	a      *active // where loaded, what of
	pos    int32   // in the heap, or -1
	state  itemState
	wishes wishes
	fresh  bool // its first attempt was written down with it, and not made yet
	listed bool // it stands in a list of those for whom there was no place
}

// itemState is what is done about an entry now.
type itemState uint8

const (
	// itemWaiting: nobody works on it, until it is due. It is in the heap.
	itemWaiting itemState = iota
	// itemClaimed: it is being read from the disk, or a command works on it
	// there. Nobody else may.
	itemClaimed
	// itemLoaded: it is in memory, being delivered or in line for it; or to be
	// written, which failed, and is due again when the heap says so.
	itemLoaded
	// itemParked: it is due, and there was no place. Some list has it.
	itemParked
	// itemHeld: until it is released.
	itemHeld
	// itemGone: the queue knows it no more.
	itemGone
)

// wishes are what somebody wants of an item while others work on it, or when its
// turn comes.
type wishes uint8

const (
	forced  wishes = 1 << iota // all recipients are due, whatever the state says (but see HoldUntil)
	removed                    // gone from the spool; forgotten as soon as nobody works on it
	obeyed                     // its state was changed by orders, and is to be saved
	renewed                    // another entry of this id came while it was at its end
)

// never is the time of what is not due.
const never = math.MaxInt64

// sooner makes an item due at t, unless it is due before.
func (it *item) sooner(t time.Time) {
	if it.next != never {
		it.next = min(it.next, t.UnixNano())
	}
}

// parked reports whether a list of those for whom there was no place still counts it.
func (it *item) parked() bool { return it.listed && it.state != itemGone }

func newItem(id string, st *State) *item {
	it := &item{id: id, queued: st.Queued.UnixNano(), size: st.Size, pos: -1}
	it.follow(st)
	return it
}

// follow takes over from a state what memory holds of it.
func (it *item) follow(st *State) {
	it.next, it.state = never, itemWaiting
	if st.Held {
		it.state = itemHeld
		return
	}
	if next := st.Next(); !next.IsZero() {
		it.next = next.UnixNano()
	}
	if st.Settled() {
		it.next = it.queued // it was to be removed
	}
}
