package queue

import (
	"container/heap"
	"math"
	"time"
)

// item is all that memory holds of an entry that waits. A million of them must
// fit into a small machine: about 130 octets each, with the index.
type item struct {
	id     string
	next   int64 // unix nanoseconds at which something is due; heap order
	queued int64 // unix nanoseconds
	size   int64
	a      *active // not nil: loaded
	pos    int32   // in the heap, or -1
	flags  flags
}

type flags uint8

const (
	held    flags = 1 << iota // not in the heap until released
	forced                    // all recipients are due, whatever the state says (but see HoldUntil)
	parked                    // in its destination's list
	removed                   // gone from the spool; forgotten as soon as nobody works on it
	claimed                   // an operator's command works on it
	fresh                     // its first attempt was written down with it, and not made yet
	renewed                   // another entry of this id came while it was at its end
)

// never is the time of what is not due.
const never = math.MaxInt64

// sooner makes an item due at t, unless it is due before.
func (it *item) sooner(t time.Time) {
	if it.next != never {
		it.next = min(it.next, t.UnixNano())
	}
}

func newItem(id string, st *State) *item {
	it := &item{id: id, queued: st.Queued.UnixNano(), size: st.Size, pos: -1}
	it.follow(st)
	return it
}

// follow takes over from a state what memory holds of it.
func (it *item) follow(st *State) {
	it.next = never
	it.flags &^= held
	if st.Held {
		it.flags |= held
		return
	}
	if next := st.Next(); !next.IsZero() {
		it.next = next.UnixNano()
	}
	if st.Settled() {
		it.next = it.queued // it was to be removed
	}
}

// waiting is a heap of items by the time they are due, for container/heap.
type waiting []*item

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].next < w[j].next }
func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].pos, w[j].pos = int32(i), int32(j)
}

func (w *waiting) Push(x any) {
	it := x.(*item)
	it.pos = int32(len(*w))
	*w = append(*w, it)
}

func (w *waiting) Pop() any {
	last := len(*w) - 1
	it := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	it.pos = -1
	return it
}

// put files an item under its time, wherever it was; one that is never due is
// taken out.
func (w *waiting) put(it *item) {
	switch {
	case it.next == never:
		w.take(it)
	case it.pos < 0:
		heap.Push(w, it)
	default:
		heap.Fix(w, int(it.pos))
	}
}

func (w *waiting) take(it *item) {
	if it.pos >= 0 {
		heap.Remove(w, int(it.pos))
	}
}

// due takes the first item out if its time has come, and says how long that
// will be otherwise.
func (w *waiting) due(now time.Time) (it *item, wait time.Duration) {
	if len(*w) == 0 {
		return nil, math.MaxInt64
	}
	if wait = time.Duration((*w)[0].next - now.UnixNano()); wait > 0 {
		return nil, wait
	}
	return heap.Pop(w).(*item), 0
}
