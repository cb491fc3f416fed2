package durable

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNoSpace: the file system has no octets, or no files, beyond those that are
// kept free or held for messages that are being written.
var ErrNoSpace = errors.New("durable: no space left but what is kept free")

// Free is what a file system has, in octets and in files. Zero of all files says
// that it does not count them, as btrfs does not.
type Free struct {
	Octets, AllOctets int64
	Files, AllFiles   int64
}

// keptFiles is how many files are kept free: mail for whose file there is room
// may still want directories, states and locks.
func (f Free) keptFiles() int64 { return min(1000, max(10, f.AllFiles/100)) }

// Short is nil while keep octets and some files are left, else an error that is
// ErrNoSpace and says what is missing.
func (f Free) Short(keep int64) error {
	switch {
	case f.Octets < keep:
		return fmt.Errorf("%w: %d octets left, %d are kept free", ErrNoSpace, f.Octets, keep)
	case f.AllFiles > 0 && f.Files <= f.keptFiles():
		return fmt.Errorf("%w: %d files (inodes) left, %d are kept free", ErrNoSpace, f.Files, f.keptFiles())
	}
	return nil
}

// Space is the room on one file system. Everybody who writes messages there
// holds the room for each from its first octet to its end, so that those who
// come later know what is taken, written or not. Its methods may be called
// concurrently.
//
// What strangers have not finished gives way: who needs room that nobody else
// has is given that of the stranger's address that holds most. Somebody known
// may take from every stranger, a stranger only from those who hold more than
// he would himself. Messages that are nearly through are the last to go.
type Space struct {
	free func() (Free, error) // nil: nobody knows

	mu     sync.Mutex
	holds  map[*Hold]struct{}
	octets int64 // granted to holds and not yet written
	files  int64 // that holds are about to make
	// What the file system said last, when, and what was written since.
	last        Free
	asked       time.Time
	since, made int64
	// Of holds that are lost and not yet released, which happens at once but where
	// their owners are at work.
	backOctets, backFiles int64
}

// NewSpace returns the space of the file system that free tells about; nil is one
// that is never short.
func NewSpace(free func() (Free, error)) *Space {
	return &Space{free: free, holds: make(map[*Hold]struct{})}
}

// While there is plenty beyond what is kept and held, an answer of the file system
// serves for a moment: to ask with every message costs a twentieth of its delivery.
const (
	plenty      = 256 << 20 // octets
	plentyFiles = 10000
	moment      = 100 * time.Millisecond
)

// step is how many octets are written between two looks at the file system.
const step = 1 << 20

// Hold is the room of one message that is being written. Its owner calls Enter
// and Leave around everything done to the file.
type Hold struct {
	s        *Space
	keep     int64
	stranger string // by whose address it is counted; empty: of somebody known
	release  func()

	regardless bool // see WithoutReserve

	lost  atomic.Bool // somebody else was given the room
	using sync.Mutex  // held by the owner at work, and by who releases
	freed bool        // release was called; guarded by using

	// Guarded by s.mu.
	announced, granted, written, seen int64
	made, kept                        bool
}

type strangerKey struct{}

// WithStranger marks what is held under ctx as somebody's who is not known, and
// may lose it to others before it is finished. address is what all such holds of
// his are counted by.
func WithStranger(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, strangerKey{}, address)
}

type regardlessKey struct{}

// WithoutReserve lets what is begun under ctx go on whatever is left: for small
// messages by which larger ones come to their end.
func WithoutReserve(ctx context.Context) context.Context {
	return context.WithValue(ctx, regardlessKey{}, true)
}

func (s *Space) newHold(ctx context.Context, keep, size int64) *Hold {
	stranger, _ := ctx.Value(strangerKey{}).(string)
	regardless, _ := ctx.Value(regardlessKey{}).(bool)
	size = max(size, 0)
	return &Hold{s: s, keep: keep, stranger: stranger, regardless: regardless, announced: size, granted: size}
}

// Room reports whether a message of size octets (0 if unknown) could be held now
// so that keep octets stay free: nil, or an error that is ErrNoSpace.
func (s *Space) Room(ctx context.Context, keep, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.newHold(ctx, keep, size)
	s.add(h)
	defer s.drop(h)
	_, err := s.need(h)
	return err
}

// Begin holds the room for a message of size octets (0 if unknown), of which keep
// octets must stay free. Should the room be needed for somebody else, release is
// called, once, by another goroutine but never between Enter and Leave: it must
// give the octets back at once.
func (s *Space) Begin(ctx context.Context, keep, size int64, release func()) (*Hold, error) {
	h := s.newHold(ctx, keep, size)
	h.release = release
	s.mu.Lock()
	s.add(h)
	losers, err := s.need(h)
	if err != nil {
		s.drop(h)
	}
	s.mu.Unlock()
	takeBack(losers)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Enter begins work on the file. It is ErrNoSpace if the room was given to
// somebody else; then there is no file any more, and Leave is not to be called.
func (h *Hold) Enter() error {
	h.using.Lock()
	if !h.lost.Load() {
		return nil
	}
	h.free()
	h.using.Unlock()
	return errGaveWay
}

var errGaveWay = fmt.Errorf("%w: the message made room for others", ErrNoSpace)

// Leave ends what Enter began.
func (h *Hold) Leave() {
	h.using.Unlock()
	if h.lost.Load() { // who took it found the owner at work
		h.takeBack()
	}
}

// Spend says that n octets more are about to be written. The file system is looked
// at when that is more than was granted, and with every step.
func (h *Hold) Spend(n int64) error {
	h.s.mu.Lock()
	losers, err := h.spend(n)
	h.s.mu.Unlock()
	takeBack(losers)
	return err
}

func (h *Hold) spend(n int64) (losers []*Hold, err error) {
	if h.lost.Load() {
		return nil, errGaveWay
	}
	s := h.s
	more := max(0, h.written+n-h.granted)
	h.granted += more
	s.octets += more
	if h.written+n-h.seen >= step || more > 0 {
		if losers, err = s.need(h); err != nil {
			h.granted -= more
			s.octets -= more
			return nil, err
		}
		h.seen = h.written + n
	}
	h.written += n
	s.octets -= n
	s.since += n
	if !h.made {
		h.made = true
		s.files--
		s.made++
	}
	return losers, nil
}

// Keep makes the room safe from others: the message is whole and is about to be
// committed. It is called between Enter and Leave.
func (h *Hold) Keep() error {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.lost.Load() {
		return errGaveWay
	}
	h.kept = true
	return nil
}

// End says that the message has come to its end, whichever: what it has written
// now counts as everybody's. When it has returned, release is not called any more.
func (h *Hold) End() {
	h.s.mu.Lock()
	h.s.drop(h)
	h.s.mu.Unlock()
	h.using.Lock()
	h.release = func() {} // the owner does what is left to do
	if h.lost.Load() {
		h.free()
	}
	h.using.Unlock()
}

// add and drop count a hold and forget it. s.mu must be held.
func (s *Space) add(h *Hold) {
	s.holds[h] = struct{}{}
	s.octets += h.granted
	s.files++
}

func (s *Space) drop(h *Hold) {
	if _, ok := s.holds[h]; !ok {
		return
	}
	delete(s.holds, h)
	s.octets -= h.granted - h.written
	if !h.made {
		s.files--
	}
}

// comingBack counts what a lost hold gives back. s.mu must be held.
func (s *Space) comingBack(h *Hold, sign int64) {
	s.backOctets += sign * h.written
	if h.made {
		s.backFiles += sign
	}
}

// need finds out who must give way for h, whose wishes are counted already, and
// forgets them. s.mu must be held.
func (s *Space) need(h *Hold) (losers []*Hold, err error) {
	if s.free == nil || h.regardless {
		return nil, nil
	}
	f, err := s.look(h.keep)
	if err != nil {
		return nil, fmt.Errorf("durable: look for space: %w", err)
	}
	if short := h.keep + s.octets - s.backOctets - f.Octets; short > 0 {
		if losers = s.losers(h, short, (*Hold).size); losers == nil {
			return nil, fmt.Errorf("%w: %d octets left, %d are kept free, %d belong to messages that are coming in", ErrNoSpace, f.Octets, h.keep, s.octets-(h.granted-h.written))
		}
	}
	if short := f.keptFiles() + s.files - s.backFiles - f.Files; short > int64(len(losers)) && f.AllFiles > 0 {
		more := s.losers(h, short, (*Hold).one)
		if more == nil {
			return nil, fmt.Errorf("%w: %d files (inodes) left, %d are kept free", ErrNoSpace, f.Files, f.keptFiles())
		}
		losers = append(losers, more...) // whoever is there twice is forgotten once
	}
	if h.release == nil { // it was only asked
		return nil, nil
	}
	for _, l := range losers {
		if l.lost.Load() {
			continue
		}
		s.drop(l)
		s.comingBack(l, 1)
		l.lost.Store(true)
	}
	return losers, nil
}

// look is what the file system has left. s.mu must be held.
func (s *Space) look(keep int64) (f Free, err error) {
	f = s.last
	f.Octets -= s.since
	f.Files -= s.made
	enough := f.Octets-keep-s.octets > plenty && (f.AllFiles == 0 || f.Files-f.keptFiles()-s.files > plentyFiles)
	if enough && time.Since(s.asked) < moment {
		return f, nil
	}
	if f, err = s.free(); err != nil {
		return f, err
	}
	s.last, s.asked, s.since, s.made = f, time.Now(), 0, 0
	return f, nil
}

func (h *Hold) size() int64 { return h.granted }
func (h *Hold) one() int64  { return 1 }

// nearly reports whether seven eighths of what was announced are there, and little
// more: nobody stays nearly through by announcing one octet and writing on.
func (h *Hold) nearly() bool {
	return h.announced > 0 && h.written >= h.announced-h.announced/8 && h.written <= h.announced+h.announced/8+step
}

// takeBack gives back what the losers have written. s.mu must not be held.
func takeBack(losers []*Hold) {
	for _, l := range losers {
		l.takeBack()
	}
}

// takeBack leaves it to Leave where the owner is at work: two that took from each
// other must not wait for each other.
func (h *Hold) takeBack() {
	if h.using.TryLock() {
		h.free()
		h.using.Unlock()
	}
}

// free calls release, once. h.using must be held.
func (h *Hold) free() {
	if h.freed {
		return
	}
	h.freed = true
	h.release()
	h.s.mu.Lock()
	h.s.comingBack(h, -1)
	h.s.mu.Unlock()
}
