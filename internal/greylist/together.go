package greylist

import (
	"encoding/binary"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
)

// Kinds of numbers that servers tell each other: the key is a number of this table, and the number is the time in seconds of Unix time.
const (
	kindKnown   = "greylist known"
	kindWaiting = "greylist waiting"
)

// Together has who is told to come again remembered with other servers (nil: with none): who was told so by one may come to another. times
// are those of the moment. It is called once, before the first Try.
func (t *Table) Together(tally *cluster.Tally, times func() Times) {
	t.tally = tally
	tally.On(kindKnown, func(h cluster.Heard) { t.heard(t.known, 'k', h, times()) })
	tally.On(kindWaiting, func(h cluster.Heard) { t.heard(t.waiting, 'w', h, times()) })
}

// tell tells other servers. t.mu is held.
func (t *Table) tell(kind byte, key uint64, at uint32, times Times) {
	told := cluster.Told{Kind: kindKnown, Key: string(binary.BigEndian.AppendUint64(nil, key)), Level: float64(at), Replace: true, Lives: times.Keep}
	if kind == 'w' {
		told.Kind, told.Lives = kindWaiting, times.Window
	}
	t.tally.Tell(told)
}

// heard takes what a server has told: when a sender came last, or when an attempt was made first.
func (t *Table) heard(in map[uint64]uint32, kind byte, h cluster.Heard, times Times) {
	now := time.Now()
	if len(h.Key) != 8 {
		return
	}
	key := binary.BigEndian.Uint64([]byte(h.Key))
	at := uint32(max(0, min(h.Level, float64(now.Unix())))) // another's clock may be fast
	t.mu.Lock()
	defer t.mu.Unlock()
	mine, there := in[key]
	if there && (mine >= at || kind == 'w' && t.within(mine, times.Window, now)) {
		return
	}
	t.room(in, key, now, times)
	in[key] = at
	t.append(kind, key, at)
}
