package trace

import (
	"bytes"
	"compress/flate"
	"context"
	"hash/maphash"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	// blockText is how much text a block of a Ring has, in octets: what is unpacked to see one line of it.
	blockText = 64 << 10
	// filterWords times 64 is how many bits tell of a block's words, about fourteen for each.
	filterWords = 512
	// filterBits are set by one word.
	filterBits = 4
)

// Ring keeps the newest lines of a log in memory, packed, and finds those that have some words without
// unpacking the others. Lines are written to it as to a file, whole ones. Its methods may be called concurrently.
type Ring struct {
	mu     sync.Mutex
	most   int // octets
	blocks []*block
	packed int    // what they take, in octets
	text   []byte // of the block that is not full yet
	from   time.Time
	first  int64 // the number of its first line
	next   int64 // that of the next line
	packer *flate.Writer
	seed   maphash.Seed
	lost   bool          // lines have gone
	news   chan struct{} // closed at the next line; nil: nobody waits
	closed bool
}

// block is lines that are full and packed. It does not change.
type block struct {
	packed []byte
	size   int // of the text
	filter [filterWords]uint64
	first  int64 // the number of its first line
	lines  int64
	from   time.Time // when that was written
}

// NewRing makes one that takes so many octets at most, beside the newest lines; 0: it keeps nothing.
func NewRing(octets int) *Ring {
	return &Ring{most: octets, seed: maphash.MakeSeed(), next: 1, first: 1}
}

// Bound changes how much it takes.
func (r *Ring) Bound(octets int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.most = octets; octets == 0 && r.next > r.first {
		r.text, r.first, r.lost = nil, r.next, true
	}
	r.makeRoom()
}

// Write implements io.Writer for one line at a time. Lines for the journal, which has times of its own, get one.
func (r *Ring) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.most == 0 || len(line) == 0 {
		return len(line), nil
	}
	now := time.Now()
	if len(r.text) > 0 && len(r.text)+len(line) > blockText {
		r.seal()
	}
	if len(r.text) == 0 {
		r.from, r.first = now, r.next
		if r.text == nil {
			r.text = make([]byte, 0, blockText)
		}
	}
	if line[0] == '<' {
		r.text = append(now.AppendFormat(r.text, time.RFC3339Nano), ' ')
	}
	r.text = append(r.text, line...)
	if line[len(line)-1] != '\n' {
		r.text = append(r.text, '\n')
	}
	r.next++
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
	return len(line), nil
}

// seal packs the block that is full. r.mu is held.
func (r *Ring) seal() {
	b := &block{size: len(r.text), first: r.first, lines: r.next - r.first, from: r.from}
	low := lower(make([]byte, 0, len(r.text)), r.text)
	eachWord(low, func(from, to int) {
		r.bits(low[from:to], func(i, bit uint64) bool { b.filter[i] |= bit; return true })
	})
	var out bytes.Buffer
	if r.packer == nil {
		r.packer, _ = flate.NewWriter(&out, flate.BestSpeed) // it fails for other levels only
	} else {
		r.packer.Reset(&out)
	}
	r.packer.Write(r.text) // into memory
	r.packer.Close()
	b.packed = slices.Clip(out.Bytes())
	r.blocks = append(r.blocks, b)
	r.packed += b.octets()
	r.text = r.text[:0]
	if cap(r.text) > 2*blockText { // a line was longer than usual
		r.text = nil
	}
	r.makeRoom()
}

func (b *block) octets() int { return len(b.packed) + filterWords*8 + 128 }

// bits are those that a word sets in a filter, as long as do wants them.
func (r *Ring) bits(word []byte, do func(i, bit uint64) bool) bool {
	h := maphash.Bytes(r.seed, word)
	step := h>>32 | 1
	for range filterBits {
		if !do(h/64%filterWords, 1<<(h%64)) {
			return false
		}
		h += step
	}
	return true
}

// makeRoom forgets the oldest. r.mu is held.
func (r *Ring) makeRoom() {
	n := 0
	for ; n < len(r.blocks) && r.packed > r.most; n++ {
		r.packed -= r.blocks[n].octets()
		r.lost = true
	}
	r.blocks = slices.Delete(r.blocks, 0, n)
}

// Close wakes whoever waits for more.
func (r *Ring) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
}

// Next is the number that the next line will have: they are counted from 1 on.
func (r *Ring) Next() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// Wait waits until there is the line of that number, and returns at once if there is. It reports whether it
// makes sense to wait again.
func (r *Ring) Wait(ctx context.Context, number int64) bool {
	r.mu.Lock()
	if r.closed || r.next > number {
		defer r.mu.Unlock()
		return !r.closed
	}
	if r.news == nil {
		r.news = make(chan struct{})
	}
	news := r.news
	r.mu.Unlock()
	select {
	case <-news:
		return true
	case <-ctx.Done():
		return false
	}
}

// Number is the number that a line has in the Ring that it comes from.
func (l *Line) Number() int64 { return l.at }

// snapshot is what a Ring has at a moment.
type snapshot struct {
	*Ring
	blocks []*block
	text   []byte
	from   time.Time
	next   int64
	lost   bool
}

func (r *Ring) now() *snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &snapshot{r, slices.Clone(r.blocks), slices.Clone(r.text), r.from, r.next, r.lost}
}

// Lines implements Log. It does not keep lines from being written.
func (r *Ring) Lines(ctx context.Context, hint Hint, do func(Line) bool) error {
	return r.now().lines(ctx, hint, do)
}

func (s *snapshot) lines(ctx context.Context, hint Hint, do func(Line) bool) error {
	w := &unpacking{reading: newReading(ctx, hint, do), at: s.next - 1}
	w.oldest = s.from
	if len(s.text) > 0 && !backward(s.text, w.line) {
		return w.end()
	}
	for _, b := range slices.Backward(s.blocks) {
		if ctx.Err() != nil {
			return w.end()
		}
		w.at = b.first + b.lines - 1
		of, ok := hint.those(func(word string) bool { return s.has(b, word) })
		if w.Hint = of; ok {
			text, err := w.unpack(b)
			if err != nil {
				return err
			}
			if !backward(text, w.line) {
				return w.end()
			}
		} else if !do(Line{Time: b.from}) {
			return nil
		}
		w.oldest = b.from
	}
	if s.lost {
		return &Left{Before: w.oldest, Why: "no older lines are in memory"}
	}
	return nil
}

// has reports whether a block may have a word.
func (r *Ring) has(b *block, word string) bool {
	return r.bits([]byte(word), func(i, bit uint64) bool { return b.filter[i]&bit != 0 })
}

// unpacking is blocks that are being read.
type unpacking struct {
	*reading
	at   int64 // the number of the next line
	from bytes.Reader
	z    io.ReadCloser
	text []byte
}

func (w *unpacking) unpack(b *block) ([]byte, error) {
	if w.from.Reset(b.packed); w.z == nil {
		w.z = flate.NewReader(&w.from)
	} else if err := w.z.(flate.Resetter).Reset(&w.from, nil); err != nil {
		return nil, err
	}
	w.text = slices.Grow(w.text[:0], b.size)[:b.size]
	_, err := io.ReadFull(w.z, w.text)
	return w.text, err
}

func (w *unpacking) line(text []byte) bool {
	w.number = w.at
	w.at--
	return w.reading.line(text)
}

// end is how it ends before its time.
func (w *unpacking) end() error {
	if w.done {
		return nil
	}
	return w.late()
}
