package queue

import (
	"container/heap"
	"math"
	"time"
)

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
