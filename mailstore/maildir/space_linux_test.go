package maildir_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

func freeOn(t *testing.T, dir string) durable.Free {
	t.Helper()
	f, err := durable.FreeOn(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func from(address string) context.Context {
	return durable.WithStranger(context.Background(), address)
}

// TestUnfinishedLeavesReserve: messages that come in side by side leave free what is
// to be left free, and strangers' make room for others.
func TestUnfinishedLeavesReserve(t *testing.T) {
	const reserve = 8 << 20
	disk := mounted(t, "size=24m")
	s := open(t, filepath.Join(disk, "mail"), maildir.WithReserve(reserve))
	before := freeOn(t, disk)
	var unfinished []mailstore.Delivery
	for range 10 {
		d, err := s.Create(from("192.0.2.1/32"), mailstore.Meta{}, "bob@x")
		if err != nil {
			t.Fatal(err)
		}
		unfinished = append(unfinished, d)
	}
	piece := []byte(strings.Repeat(strings.Repeat("x", 1022)+"\r\n", 64))
	refused := 0
	for range 100 {
		for _, d := range unfinished {
			if _, err := d.Write(piece); errors.Is(err, mailstore.ErrNoSpace) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
			if f := freeOn(t, disk); f.Octets < reserve {
				t.Fatalf("%d octets are left of %d", f.Octets, reserve)
			}
		}
	}
	if refused == 0 {
		t.Fatal("nothing was refused")
	}
	// Another stranger's small message, and a user's large one.
	if err := s.Room(from("192.0.2.2/32"), "bob@x", 2000); err != nil {
		t.Errorf("room for another stranger: %v", err)
	}
	for ctx, size := range map[context.Context]int{from("192.0.2.2/32"): 2, context.Background(): 100} {
		d, err := s.Create(ctx, mailstore.Meta{Size: int64(size * len(piece))}, who)
		for range size {
			if err == nil {
				_, err = d.Write(piece)
			}
		}
		if err == nil {
			err = d.Commit(context.Background(), nil)
		}
		if err != nil {
			t.Errorf("%d pieces: %v", size, err)
		}
	}
	if f := freeOn(t, disk); f.Octets < reserve {
		t.Errorf("%d octets are left of %d", f.Octets, reserve)
	}
	for _, d := range unfinished {
		d.Abort()
	}
	if left, _ := filepath.Glob(filepath.Join(s.Root(), "*", "*", "tmp", "*")); len(left) > 0 {
		t.Errorf("left in tmp: %q", left)
	}
	m := drop(t, s, who)
	if m.Len() != 2 {
		t.Fatalf("%d messages", m.Len())
	}
	if err := m.Remove(context.Background(), []int{0, 1}); err != nil {
		t.Fatal(err)
	}
	m.Close()
	if f := freeOn(t, disk); f.Octets < before.Octets-(64<<10) {
		t.Errorf("%d octets are free, %d were before", f.Octets, before.Octets)
	}
}

// TestRoomAtOnce: strangers and users deliver at the same time on a disk that is too
// small for all of them. What was accepted is whole, nothing is left of the rest, and
// all room is there again.
func TestRoomAtOnce(t *testing.T) {
	disk := mounted(t, "size=16m")
	s := open(t, filepath.Join(disk, "mail"), maildir.WithReserve(4<<20))
	text := strings.Repeat(strings.Repeat("x", 1022)+"\r\n", 2<<10)
	var stored, lost atomic.Int64
	send := func(ctx context.Context, user string) error {
		d, err := s.Create(ctx, mailstore.Meta{}, user)
		if err != nil {
			return err
		}
		defer d.Abort()
		for rest := text; rest != ""; rest = rest[32<<10:] {
			if _, err := d.Write([]byte(rest[:32<<10])); err != nil {
				return err
			}
			runtime.Gosched()
		}
		return d.Commit(context.Background(), nil)
	}
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			for range 10 {
				err := send(from(fmt.Sprint("192.0.2.", i%4)), fmt.Sprintf("stranger%d@x", i))
				switch {
				case err == nil:
					stored.Add(1)
					m := drop(t, s, fmt.Sprintf("stranger%d@x", i))
					if read(t, m, 0) != text {
						t.Error("what was accepted is not whole")
					}
					m.Remove(context.Background(), []int{0})
					m.Close()
				case errors.Is(err, mailstore.ErrNoSpace):
					lost.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() {
		for range 20 {
			// Strangers' whole messages may fill the disk until they are removed.
			if err := send(context.Background(), who); err != nil && !errors.Is(err, mailstore.ErrNoSpace) {
				t.Errorf("a user's message: %v", err)
			}
			m := drop(t, s, who)
			for i := range m.Len() {
				if read(t, m, i) != text {
					t.Error("a user's message is not whole")
				}
				m.Remove(context.Background(), []int{i})
			}
			m.Close()
		}
	})
	all.Wait()
	t.Logf("%d of strangers' messages stored, %d made room", stored.Load(), lost.Load())
	if lost.Load() == 0 {
		t.Error("none made room")
	}
	if left, _ := filepath.Glob(filepath.Join(s.Root(), "*", "*", "*", "*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if err := s.Room(context.Background(), who, 11<<20); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestLostWhileIdle: the room of a message is given back although its sender is
// silent, and what then becomes of it is a refusal.
func TestLostWhileIdle(t *testing.T) {
	for name, end := range map[string]func(mailstore.Delivery) error{
		"write":  func(d mailstore.Delivery) error { _, err := d.Write([]byte("x")); return err },
		"commit": func(d mailstore.Delivery) error { return d.Commit(context.Background(), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			disk := mounted(t, "size=16m")
			s := open(t, filepath.Join(disk, "mail"), maildir.WithReserve(4<<20))
			d, err := s.Create(from("192.0.2.1/32"), mailstore.Meta{}, "bob@x")
			if err != nil {
				t.Fatal(err)
			}
			// Bare line ends: the message is written anew as it comes.
			if _, err := d.Write([]byte(strings.Repeat("x\r\n", 1<<20) + "y\n" + strings.Repeat("x\r\n", 1<<20))); err != nil {
				t.Fatal(err)
			}
			known, err := s.Create(context.Background(), mailstore.Meta{Size: 9 << 20}, who)
			if err != nil {
				t.Fatalf("somebody known is refused: %v", err)
			}
			defer known.Abort()
			if f := freeOn(t, disk); f.Octets < 15<<20 {
				t.Errorf("%d octets are free", f.Octets)
			}
			if err := end(d); !errors.Is(err, mailstore.ErrNoSpace) {
				t.Errorf("%s: %v", name, err)
			}
			if err := d.Abort(); err != nil {
				t.Error(err)
			}
			if u, _ := s.Usage(context.Background(), "bob@x"); u.Messages != 0 {
				t.Error("the message that made room is there")
			}
		})
	}
}

// TestNoInodes: who is told that there is room can deliver; without a file left,
// mail is read and removed, also from mailboxes never opened and by one session at
// a time, and then there is room again.
func TestNoInodes(t *testing.T) {
	disk := mounted(t, "size=16m,nr_inodes=100")
	s := open(t, filepath.Join(disk, "mail"), maildir.WithReserve(1<<20))
	share := open(t, s.Root(), maildir.WithMode(maildir.Share))
	sent := 0
	var full error
	for ; sent < 200; sent++ {
		if full = s.Room(context.Background(), who, 0); full != nil {
			break
		}
		if err := deliver(t, s, mailstore.Meta{}, fmt.Sprintf("%d\r\n", sent), who, "bob@x"); err != nil {
			t.Fatalf("message %d: there was room, and then: %v", sent, err)
		}
	}
	if !errors.Is(full, mailstore.ErrNoSpace) || !strings.Contains(full.Error(), "inodes") {
		t.Fatalf("after %d messages: %v", sent, full)
	}
	if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who); !errors.Is(err, mailstore.ErrNoSpace) {
		t.Errorf("delivered without room: %v", err)
	}
	for i := 0; ; i++ { // what is kept free
		if err := os.WriteFile(filepath.Join(disk, fmt.Sprint("other", i)), nil, 0o600); err != nil {
			break
		}
	}
	if f := freeOn(t, disk); f.Files != 0 {
		t.Fatalf("%d files are left", f.Files)
	}
	emptied(t, s, share, sent)
	if err := s.Room(context.Background(), who, 0); err != nil {
		t.Errorf("after removing: %v", err)
	}
	// A mailbox that never got mail, without room to make it, is empty.
	for i := 0; ; i++ {
		if err := os.WriteFile(filepath.Join(disk, fmt.Sprint("more", i)), nil, 0o600); err != nil {
			break
		}
	}
	if m := drop(t, s, "carol@x"); m.Len() != 0 || m.Remove(context.Background(), nil) != nil || m.Close() != nil {
		t.Error("a mailbox that is not there and cannot be made is not empty")
	}
}

// TestNoOctets is TestNoInodes for a disk that is full to its last octet.
func TestNoOctets(t *testing.T) {
	disk := mounted(t, "size=4m")
	s := open(t, filepath.Join(disk, "mail"), maildir.WithReserve(1<<20))
	share := open(t, s.Root(), maildir.WithMode(maildir.Share))
	const sent = 20
	for i := range sent {
		if err := deliver(t, s, mailstore.Meta{}, fmt.Sprintf("%d\r\n%s", i, strings.Repeat("x\r\n", 20000)), who, "bob@x"); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(disk, "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for piece := []byte(strings.Repeat("x", 4096)); err == nil; {
		_, err = f.Write(piece)
	}
	if err := s.Room(context.Background(), who, 0); !errors.Is(err, mailstore.ErrNoSpace) {
		t.Errorf("room on a full disk: %v", err)
	}
	emptied(t, s, share, sent)
}

// emptied reads and removes all mail, which nobody has opened before, and demands
// that only one session can, whoever else has the store open.
func emptied(t *testing.T, s, other *maildir.Store, want int) {
	t.Helper()
	for _, u := range []string{who, "bob@x"} {
		m := drop(t, s, u)
		if _, err := other.Open(context.Background(), u); !errors.Is(err, mailstore.ErrLocked) {
			t.Errorf("a second session: %v", err)
		}
		if m.Len() != want {
			t.Errorf("%s has %d messages, %d were delivered", u, m.Len(), want)
		}
		var all []int
		for i := range m.Len() {
			read(t, m, i)
			all = append(all, i)
		}
		if err := m.Remove(context.Background(), all); err != nil {
			t.Errorf("removing without room: %v", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		m = drop(t, other, u)
		if m.Len() != 0 {
			t.Errorf("%d messages are still there", m.Len())
		}
		m.Close()
	}
}

// TestLockOfOlderVersions: they know only the lock file, which is taken too where
// there is room for it, and respected.
func TestLockOfOlderVersions(t *testing.T) {
	s := open(t, t.TempDir())
	if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who); err != nil {
		t.Fatal(err)
	}
	dir, _ := s.Path(who)
	f, err := os.OpenFile(filepath.Join(dir, "postrider.lock"), os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := drop(t, s, who)
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		t.Errorf("an older version beside a session: %v", err)
	}
	m.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(context.Background(), who); !errors.Is(err, mailstore.ErrLocked) {
		t.Errorf("beside a session of an older version: %v", err)
	}
	unix.Flock(int(f.Fd()), unix.LOCK_UN)
	drop(t, s, who).Close()
}
