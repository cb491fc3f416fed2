package greylist

import (
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// MostKeys is how many senders and attempts are remembered.
const MostKeys = 1_000_000

// Times are how long it takes, by the settings of the moment.
type Times struct {
	Wait   time.Duration // before a second attempt counts
	Window time.Duration // by which it has to be made
	Keep   time.Duration // that who has made it is known, from his last message on
}

// refresh is how old what is known of a sender may get before it is written down again.
const refresh = 24 * time.Hour

// Table is what is known. Make it with Open; its methods may be called concurrently.
type Table struct {
	disk *durable.Disk
	name string
	log  *slog.Logger
	most int

	mu      sync.Mutex
	known   map[uint64]uint32 // senders: when they came last, in seconds of Unix time
	waiting map[uint64]uint32 // attempts: when they were made first
	file    *os.File          // nil if it cannot be written
	records int               // in it
	retry   time.Time         // when it is tried again to write it; zero while it can be
	closed  bool

	tally *cluster.Tally // nil: no other server remembers with this one
}

// Try decides about an attempt of a sender. ok: he is known, or comes again as he was told. Otherwise he is to come again at a time, or later.
func (t *Table) Try(sender, attempt string, times Times, now time.Time) (again time.Time, ok bool) {
	who, what := number('k', sender, ""), number('w', sender, attempt)
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.known[who]; ok && t.within(last, times.Keep, now) {
		if !t.within(last, refresh, now) {
			t.set(t.known, 'k', who, now, times)
		}
		return now, true
	}
	first, came := t.waiting[what]
	since := time.Unix(int64(first), 0)
	switch {
	case !came || now.Before(since) || !t.within(first, times.Window, now): // the clock may have been set back
		t.set(t.waiting, 'w', what, now, times)
		return now.Add(times.Wait), false
	case now.Before(since.Add(times.Wait)):
		return since.Add(times.Wait), false
	}
	delete(t.waiting, what)
	t.set(t.known, 'k', who, now, times)
	return now, true
}

// within reports whether a time is no longer ago than that.
func (t *Table) within(at uint32, long time.Duration, now time.Time) bool {
	return now.Sub(time.Unix(int64(at), 0)) <= long
}

// set remembers something, and writes it down.
func (t *Table) set(in map[uint64]uint32, kind byte, key uint64, now time.Time, times Times) {
	t.room(in, key, now, times)
	in[key] = uint32(now.Unix())
	t.append(kind, key, in[key])
	t.tell(kind, key, in[key], times)
}

// room sees to it that there is room for something.
func (t *Table) room(in map[uint64]uint32, key uint64, now time.Time, times Times) {
	if _, there := in[key]; !there && len(t.known)+len(t.waiting) >= t.most {
		t.forget(times, now)
	}
}

// forget makes room: what is too old goes, else some of those that wait, whom strangers can make any number of,
// and only then some that are known.
func (t *Table) forget(times Times, now time.Time) {
	for key, at := range t.waiting {
		if !t.within(at, times.Window, now) {
			delete(t.waiting, key)
		}
	}
	for key, at := range t.known {
		if !t.within(at, times.Keep, now) {
			delete(t.known, key)
		}
	}
	for _, in := range []map[uint64]uint32{t.waiting, t.known} {
		for key := range in {
			if len(t.known)+len(t.waiting) <= t.most-t.most/16 {
				return
			}
			delete(in, key)
		}
	}
}

// Len is how many senders are known, and how many attempts wait for a second one.
func (t *Table) Len() (known, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.known), len(t.waiting)
}

// number is what a sender or an attempt is known by. Who finds two of one number has saved a minute.
func number(kind byte, sender, attempt string) uint64 {
	text := make([]byte, 0, 128)
	text = append(append(append(append(text, kind), sender...), 0), attempt...)
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:])
}
