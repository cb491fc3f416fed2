package durable

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// disk is a file system that is only counted.
type disk struct {
	t      *testing.T
	octets atomic.Int64
	files  atomic.Int64
	all    int64 // files; 0: not counted
	*Space
}

func newDisk(t *testing.T, octets, files, all int64) *disk {
	d := &disk{t: t, all: all}
	d.octets.Store(octets)
	d.files.Store(files)
	d.Space = NewSpace(func() (Free, error) {
		return Free{Octets: d.octets.Load(), Files: d.files.Load(), AllFiles: d.all}, nil
	})
	return d
}

const keep = 1000

// writing is a message on its way to a disk.
type writing struct {
	d      *disk
	h      *Hold
	there  int64
	gone   bool
	noFile bool
}

// begin starts a message; from is a stranger's address, "" somebody known.
func (d *disk) begin(from string, size int64) (*writing, error) {
	ctx := context.Background()
	if from != "" {
		ctx = WithStranger(ctx, from)
	}
	w := &writing{d: d, noFile: true}
	var err error
	w.h, err = d.Begin(ctx, keep, size, w.release)
	return w, err
}

func (d *disk) must(from string, size, write int64) *writing {
	d.t.Helper()
	w, err := d.begin(from, size)
	if err == nil {
		err = w.write(write)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return w
}

func (w *writing) release() {
	w.gone = true
	w.d.octets.Add(w.there)
	if !w.noFile {
		w.d.files.Add(1)
	}
}

func (w *writing) write(n int64) error {
	if err := w.h.Enter(); err != nil {
		return err
	}
	defer w.h.Leave()
	if n == 0 {
		return nil
	}
	if err := w.h.Spend(n); err != nil {
		return err
	}
	if w.noFile {
		w.noFile = false
		w.d.files.Add(-1)
	}
	w.there += n
	w.d.octets.Add(-n)
	return nil
}

func (d *disk) room(from string, size int64) error {
	ctx := context.Background()
	if from != "" {
		ctx = WithStranger(ctx, from)
	}
	return d.Room(ctx, keep, size)
}

// released demands that nothing is held any more.
func (d *disk) released() {
	d.t.Helper()
	if len(d.holds) != 0 || d.Space.octets|d.Space.files|d.backOctets|d.backFiles != 0 {
		d.t.Errorf("%d holds, %d octets and %d files, %d and %d of lost ones, are counted with nothing on its way", len(d.holds), d.Space.octets, d.Space.files, d.backOctets, d.backFiles)
	}
}

// TestSpaceHolds: what was granted is nobody else's before it is written.
func TestSpaceHolds(t *testing.T) {
	d := newDisk(t, 3000, 100, 200)
	a := d.must("", 1500, 0)
	for size, ok := range map[int64]bool{0: true, 500: true, 501: false} {
		if err := d.room("", size); (err == nil) != ok || err != nil && !errors.Is(err, ErrNoSpace) {
			t.Errorf("room for %d beside 1500 of 2000: %v", size, err)
		}
	}
	if _, err := d.begin("", 501); !errors.Is(err, ErrNoSpace) {
		t.Errorf("begun: %v", err)
	}
	if err := a.write(1500); err != nil { // as announced: no change
		t.Fatal(err)
	}
	if err := d.room("", 500); err != nil {
		t.Error(err)
	}
	if err := a.write(501); !errors.Is(err, ErrNoSpace) {
		t.Errorf("more than was announced, into what is kept: %v", err)
	}
	if err := a.write(500); err != nil {
		t.Errorf("more than was announced, where there is room: %v", err)
	}
	a.h.End()
	d.released()
	if d.octets.Load() != keep {
		t.Errorf("%d left", d.octets.Load())
	}
}

// TestSpaceLooksAgain: others fill the disk while a message comes.
func TestSpaceLooksAgain(t *testing.T) {
	d := newDisk(t, 100<<20, 100, 200)
	a := d.must("", 50<<20, 1<<20)
	d.octets.Store(2 << 20)
	var err error
	for n := 0; err == nil && n < 50; n++ {
		err = a.write(64 << 10)
	}
	if !errors.Is(err, ErrNoSpace) || a.there > 2*step {
		t.Errorf("after %d octets: %v", a.there, err)
	}
}

// TestSpaceMakesRoom: who gives way for whom.
func TestSpaceMakesRoom(t *testing.T) {
	type message struct {
		from            string
		announced, came int64
	}
	for _, c := range []struct {
		name string
		free int64 // above what is kept
		on   []message
		next message // announced is what it needs
		gone []int   // nil: next is refused
	}{
		{"somebody known takes from the largest", 10, []message{{"x", 0, 400}, {"x", 0, 300}, {"y", 0, 500}}, message{"", 100, 0}, []int{0}},
		{"no more than needed", 90, []message{{"x", 0, 400}, {"x", 0, 300}}, message{"", 100, 0}, []int{0}},
		{"from several", 0, []message{{"x", 0, 100}, {"y", 0, 100}, {"z", 0, 100}}, message{"", 250, 0}, []int{0, 1, 2}},
		{"nothing is enough", 0, []message{{"x", 0, 100}}, message{"", 200, 0}, nil},
		{"not from somebody known", 0, []message{{"", 0, 500}}, message{"", 1, 0}, nil},
		{"a stranger takes from who holds more", 0, []message{{"x", 0, 400}, {"x", 0, 300}}, message{"y", 100, 0}, []int{0}},
		{"a stranger does not take from who holds less", 0, []message{{"x", 0, 100}, {"y", 0, 100}}, message{"z", 100, 0}, nil},
		{"nor from himself", 0, []message{{"x", 0, 400}}, message{"x", 10, 0}, nil},
		{"a stranger does not take from somebody known", 0, []message{{"", 0, 400}}, message{"x", 10, 0}, nil},
		{"what is nearly through is the last", 0, []message{{"x", 400, 390}, {"y", 400, 100}}, message{"", 100, 0}, []int{1}},
		{"but it goes", 0, []message{{"x", 400, 390}, {"y", 400, 100}}, message{"", 500, 0}, []int{0, 1}},
		{"what is only announced gives way", 0, []message{{"x", 500, 0}}, message{"y", 20, 0}, []int{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sum := c.free
			for _, m := range c.on {
				sum += max(m.announced, m.came)
			}
			d := newDisk(t, keep+sum, 100, 0)
			var on []*writing
			for _, m := range c.on {
				on = append(on, d.must(m.from, m.announced, m.came))
			}
			asked := d.room(c.next.from, c.next.announced)
			w, err := d.begin(c.next.from, c.next.announced)
			if (asked == nil) != (err == nil) {
				t.Errorf("asked: %v, begun: %v", asked, err)
			}
			if (err == nil) != (c.gone != nil) {
				t.Fatalf("begun: %v", err)
			}
			for i, o := range on {
				if want := slices.Contains(c.gone, i); o.gone != want {
					t.Errorf("message %d gave way: %v, want %v", i, o.gone, want)
				}
				if err := o.write(0); (err != nil) != o.gone {
					t.Errorf("message %d goes on: %v", i, err)
				}
				o.h.End()
			}
			if err == nil {
				w.h.End()
			}
			d.released()
		})
	}
}

// TestSpaceNearly: what has brought far more than it announced is not nearly through.
func TestSpaceNearly(t *testing.T) {
	d := newDisk(t, keep+30*step, 100, 0)
	liar := d.must("x", 1, 20*step)
	honest := d.must("y", 10*step, 5*step)
	d.must("", step, 0)
	if !liar.gone || honest.gone {
		t.Errorf("gave way: %v, %v", liar.gone, honest.gone)
	}
}

// TestNearly: an eighth may be missing, and an eighth and a step may be more.
func TestNearly(t *testing.T) {
	const most = 900 + step
	for _, tt := range []struct {
		announced, written int64
		want               bool
	}{
		{0, 0, false}, {0, step, false}, {800, 699, false}, {800, 700, true}, {800, 800, true}, {800, most, true}, {800, most + 1, false},
	} {
		if got := (&Hold{announced: tt.announced, written: tt.written}).nearly(); got != tt.want {
			t.Errorf("%d of %d: nearly %v", tt.written, tt.announced, got)
		}
	}
}

// TestSpaceFilesAtOnce: plenty of octets says nothing about files: where these are few, the file system is asked every time.
func TestSpaceFilesAtOnce(t *testing.T) {
	d := newDisk(t, 1<<40, 11, 500) // 10 are kept free
	if err := d.room("", 0); err != nil {
		t.Fatal(err)
	}
	d.files.Store(10) // others took it
	if err := d.room("", 0); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a moment later, no file is left: %v", err)
	}
}

// TestSpaceOfNothing: a message of unknown size wants nothing beyond what is kept, and no less is anybody's.
func TestSpaceOfNothing(t *testing.T) {
	for free, ok := range map[int64]bool{keep - 1: false, keep: true} {
		if err := newDisk(t, free, 100, 0).room("", 0); (err == nil) != ok {
			t.Errorf("%d free of which %d are kept: %v", free, keep, err)
		}
	}
}

// TestSpaceKept: from Keep on nobody takes the room, and who has lost it cannot keep it.
func TestSpaceKept(t *testing.T) {
	d := newDisk(t, keep+1000, 100, 0)
	a, b := d.must("x", 0, 500), d.must("x", 0, 500)
	if err := a.h.Keep(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.begin("", 600); !errors.Is(err, ErrNoSpace) {
		t.Errorf("room of a message that is being committed: %v", err)
	}
	d.must("", 400, 400)
	if a.gone || !b.gone {
		t.Errorf("gave way: %v, %v", a.gone, b.gone)
	}
	if err := b.h.Keep(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("kept what was lost: %v", err)
	}
}

// TestSpaceFiles: files run out as octets do, and are not counted where there is
// no number.
func TestSpaceFiles(t *testing.T) {
	d := newDisk(t, 1<<40, 12, 500) // 10 are kept free
	a := d.must("", 0, 1)
	b := d.must("x", 0, 0) // has made none yet
	if err := d.room("y", 0); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a third file of two: %v", err)
	}
	d.must("", 0, 1)
	if a.gone || !b.gone {
		t.Errorf("gave way: %v, %v", a.gone, b.gone)
	}
	if err := newDisk(t, 1<<40, 0, 0).room("", 0); err != nil {
		t.Errorf("files are not counted: %v", err)
	}
	if err := newDisk(t, 1<<40, 0, 500).room("", 0); !errors.Is(err, ErrNoSpace) {
		t.Errorf("no files: %v", err)
	}
}

// TestSpaceComesBack: what was taken from somebody who is at work is there for others before he notices, octets and
// file, and only once.
func TestSpaceComesBack(t *testing.T) {
	d := newDisk(t, keep+500, 11, 500) // of which 10 are kept free
	a := d.must("x", 0, 500)
	if err := a.h.Enter(); err != nil {
		t.Fatal(err)
	}
	b, err := d.begin("", 500)
	if err != nil || a.gone {
		t.Fatalf("%v, and the owner's file is gone while he is at work: %v", err, a.gone)
	}
	if err := d.room("", 0); !errors.Is(err, ErrNoSpace) {
		t.Errorf("there is room for another: %v", err)
	}
	b.h.End() // it has written nothing
	if err := d.room("", 500); err != nil {
		t.Errorf("what is coming back: %v", err)
	}
	if err := d.room("", 501); !errors.Is(err, ErrNoSpace) {
		t.Errorf("more than is coming back: %v", err)
	}
	a.h.Leave()
	if err := d.room("", 500); err != nil || !a.gone {
		t.Errorf("what came back: %v, gone: %v", err, a.gone)
	}
	if err := d.room("", 501); !errors.Is(err, ErrNoSpace) {
		t.Errorf("what came back, twice: %v", err)
	}
	d.released()
}

// TestSpaceUnknown: where nobody knows, there is room.
func TestSpaceUnknown(t *testing.T) {
	if err := NewSpace(nil).Room(context.Background(), 1<<60, 1<<60); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	if err := NewSpace(func() (Free, error) { return Free{}, broken }).Room(context.Background(), 0, 0); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestSpaceAtOnce: three users and 21 strangers write messages of up to 2 MB at the
// same time on 7 MB. No user is refused, and nothing stays counted.
func TestSpaceAtOnce(t *testing.T) {
	const octets = 7 << 20
	d := newDisk(t, keep+octets, 1000, 2000)
	var all sync.WaitGroup
	var least atomic.Int64
	least.Store(1 << 60)
	for i := range 24 {
		all.Go(func() {
			from := string(rune('a' + i%7))
			if i%8 == 0 {
				from = ""
			}
			for range 200 {
				size := int64(rand.IntN(2 << 20))
				w, err := d.begin(from, size*int64(rand.IntN(2)))
				for left := size; err == nil && left > 0; left -= 64 << 10 {
					err = w.write(min(left, 64<<10))
					runtime.Gosched()
					if now := d.octets.Load(); now < least.Load() {
						least.Store(now)
					}
				}
				if w.h == nil {
					if from == "" {
						t.Errorf("refused to somebody known: %v", err)
					}
					continue
				}
				if err == nil && from == "" { // as if committed
					err = w.h.Enter()
					if err == nil {
						err = w.h.Keep()
						w.h.Leave()
					}
				}
				w.h.End()
				if from == "" && err != nil {
					t.Errorf("refused to somebody known: %v", err)
				}
				if !w.gone {
					w.release()
				}
			}
		})
	}
	all.Wait()
	d.released()
	if d.octets.Load() != keep+octets || d.files.Load() != 1000 {
		t.Errorf("%d octets and %d files are free, %d and %d were", d.octets.Load(), d.files.Load(), keep+octets, 1000)
	}
	t.Logf("%d octets above what is kept at the least", least.Load()-keep)
}

// TestSpaceAsksNowAndThen: while there is plenty the file system is asked once in a
// moment; what is written meanwhile counts, and where it gets short every time.
func TestSpaceAsksNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		free := Free{Octets: 1 << 30, Files: 1 << 20, AllFiles: 1 << 20}
		s := NewSpace(func() (Free, error) { asked++; return free, nil })
		room := func(want int) {
			t.Helper()
			if err := s.Room(t.Context(), 1<<20, 1000); err != nil || asked != want {
				t.Errorf("asked %d times, want %d: %v", asked, want, err)
			}
		}
		room(1)
		room(1)
		time.Sleep(time.Second)
		room(2)
		h, err := s.Begin(t.Context(), 1<<20, 0, func() {})
		if err != nil {
			t.Fatal(err)
		}
		defer h.End()
		for range 800 { // MiB: from then on there is not plenty
			if err := h.Enter(); err != nil {
				t.Fatal(err)
			}
			if err := h.Spend(1 << 20); err != nil {
				t.Fatal(err)
			}
			h.Leave()
			free.Octets -= 1 << 20
		}
		before := asked
		room(before + 1)
		room(before + 2)
	})
}
