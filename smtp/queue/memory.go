package queue

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Memory keeps what a Queue has learnt over restarts: some hundred kilobytes at
// most. Losing it costs fairness for a while, and no mail.
type Memory interface {
	// Recall returns what was given to Remember last; nothing where nothing was.
	Recall(ctx context.Context) ([]byte, error)
	// Remember replaces it.
	Remember(ctx context.Context, data []byte) error
}

// rememberEach is how often what was learnt is written down.
const rememberEach = 5 * time.Minute

// known are destinations that could be reached when they were tried last, by
// the class of the mail that reached them: strangers, who have as many domains
// as they like, make nobody forget those of users.
type known struct {
	names [classes]map[string]bool
	dirty bool
	saved time.Time
}

func (k *known) has(name string) bool {
	for c := range k.names {
		if k.names[c][name] {
			return true
		}
	}
	return false
}

func (k *known) note(c Class, name string) {
	names := k.names[c]
	if names[name] {
		return
	}
	if names == nil {
		names = make(map[string]bool)
		k.names[c] = names
	}
	if len(names) >= maxDests {
		for one := range names { // whichever
			delete(names, one)
			break
		}
	}
	names[name], k.dirty = true, true
}

func (k *known) forget(name string) {
	for c := range k.names {
		if k.names[c][name] {
			delete(k.names[c], name)
			k.dirty = true
		}
	}
}

// learnt is what a Memory keeps.
type learnt struct {
	Known   map[Class][]string `json:"known"`
	Trickle map[string]bucket  `json:"trickle"`
}

// remember writes down what was learnt, if there is anything new and it is time.
// The zero time is always late enough.
func (q *Queue) remember(ctx context.Context, now time.Time) {
	if q.Memory == nil {
		return
	}
	q.mu.Lock()
	due := (q.known.dirty || q.trickle.dirty) && (now.IsZero() || now.Sub(q.known.saved) >= rememberEach)
	if !due {
		q.mu.Unlock()
		return
	}
	l := learnt{Known: make(map[Class][]string), Trickle: maps.Clone(q.trickle.buckets)}
	for c, names := range q.known.names {
		if len(names) > 0 {
			l.Known[Class(c)] = slices.Sorted(maps.Keys(names))
		}
	}
	q.known.dirty, q.trickle.dirty, q.known.saved = false, false, now
	q.mu.Unlock()
	data, err := json.Marshal(l)
	if err == nil {
		err = q.Memory.Remember(ctx, data)
	}
	if err != nil && ctx.Err() == nil {
		q.log().Warn("what was learnt about other hosts cannot be written down", "err", err)
	}
}

// recollect takes up what was learnt before the start. What cannot be read was
// never known.
func (q *Queue) recollect(ctx context.Context) {
	if q.Memory == nil {
		return
	}
	var l learnt
	data, err := q.Memory.Recall(ctx)
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &l)
	}
	if err != nil {
		q.log().Warn("what was learnt about other hosts cannot be read", "err", err)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.known.saved = time.Now()
	for c, names := range l.Known {
		for _, name := range names[:min(len(names), maxDests)] {
			q.known.note(c, name)
		}
	}
	q.trickle.buckets = l.Trickle
	q.known.dirty = false
}
