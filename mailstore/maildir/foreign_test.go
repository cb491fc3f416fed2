package maildir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

const who = "alice@example.org"

// plant puts a file into the mailbox as another program would.
func plant(t testing.TB, s *maildir.Store, sub, name, data string) string {
	t.Helper()
	dir, err := s.Path(who)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, sub, name)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func deliver(t testing.TB, s *maildir.Store, m mailstore.Meta, body string, users ...string) error {
	t.Helper()
	d, err := s.Create(context.Background(), m, users...)
	if err != nil {
		return err
	}
	defer d.Abort()
	if _, err := io.WriteString(d, body); err != nil {
		return err
	}
	return d.Commit(context.Background(), m.Top)
}

func drop(t testing.TB, s *maildir.Store, user string) mailstore.Maildrop {
	t.Helper()
	m, err := s.Open(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func read(t testing.TB, m mailstore.Maildrop, i int) string {
	t.Helper()
	r, err := m.Open(context.Background(), i)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != m.Size(i) {
		t.Errorf("message %d: Size %d, %d octets", i, m.Size(i), len(b))
	}
	return string(b)
}

func TestForeignFiles(t *testing.T) {
	s := open(t, t.TempDir())
	for name, c := range map[string]struct{ disk, wire string }{
		"1.plain.host":               {"a\nb\n", "a\r\nb\r\n"},
		"2.flags.host:2,S":           {"a\n", "a\r\n"},
		"3.crlf.host":                {"a\r\nb\r\n", "a\r\nb\r\n"},
		"4.mixed.host":               {"a\r\nb\n\r\r\n", "a\r\nb\r\n\r\r\n"},
		"5.true.host,S=4,W=6:2,":     {"a\nb\n", "a\r\nb\r\n"},
		"6.lies.host,S=99,W=100:2,":  {"a\nb\n", "a\r\nb\r\n"},
		"7.onlyS.host,S=4":           {"a\nb\n", "a\r\nb\r\n"},
		"8.onlyW.host,W=1":           {"a\nb\n", "a\r\nb\r\n"},
		"not a maildir name":         {"a\n", "a\r\n"},
		"9.crlfcounted.host,S=3,W=3": {"a\r\n", "a\r\n"},
	} {
		path := plant(t, s, "cur", name, c.disk)
		m := drop(t, s, who)
		if m.Len() != 1 {
			t.Fatalf("%s: %d messages", name, m.Len())
		}
		if got := read(t, m, 0); got != c.wire {
			t.Errorf("%s: %q, want %q", name, got, c.wire)
		}
		m.Close()
		os.Remove(path)
	}
	// What is no message.
	path := plant(t, s, "new", ".hidden", "x")
	if err := os.Mkdir(filepath.Join(filepath.Dir(path), "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(filepath.Dir(path), "1.link")); err != nil {
		t.Fatal(err)
	}
	if m := drop(t, s, who); m.Len() != 0 {
		t.Errorf("%d messages", m.Len())
	}
}

// TestLyingName: a name in our own form is believed for the listing and found
// out when the file is opened, for this session and the next.
func TestLyingName(t *testing.T) {
	s := open(t, t.TempDir())
	plant(t, s, "new", "1700000000.M000001P0123456789abQ1.h,S=100,W=110", "short\n")
	m := drop(t, s, who)
	if m.Size(0) != 110 {
		t.Fatalf("Size = %d", m.Size(0))
	}
	for range 2 {
		if got := read(t, m, 0); got != "short\r\n" {
			t.Errorf("got %q", got)
		}
		m.Close()
		m = drop(t, s, who)
	}
	if u, err := s.Usage(context.Background(), who); err != nil || u.Octets != 7 {
		t.Errorf("Usage = %+v, %v", u, err)
	}
}

func TestRepeatedNames(t *testing.T) {
	s := open(t, t.TempDir())
	plant(t, s, "new", "1.same.host", "one\n")
	plant(t, s, "cur", "1.same.host:2,S", "two\n")
	plant(t, s, "cur", "1.same.host,S=6:2,", "three\n")
	plant(t, s, "cur", "1.same.host,S=6:2,F", "fourr\n")
	plant(t, s, "new", "2.x,U=1.same.host", "five\n")
	var first []string
	for range 2 {
		m := drop(t, s, who)
		var uids []string
		for i := range m.Len() {
			read(t, m, i)
			uids = append(uids, m.UID(i))
		}
		m.Close()
		if slices.Sort(uids); len(slices.Compact(slices.Clone(uids))) != 5 {
			t.Fatalf("UIDs %q", uids)
		}
		if first != nil && !slices.Equal(first, uids) {
			t.Errorf("UIDs changed from %q to %q", first, uids)
		}
		first = uids
		s.Close()
		s = open(t, s.Root())
	}
}

// TestMovedWhileOpen: another program marks messages read, moves them back and
// deletes some while a session is open.
func TestMovedWhileOpen(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range 6 {
		if err := deliver(t, s, mailstore.Meta{}, fmt.Sprint(i, "\r\n"), who); err != nil {
			t.Fatal(err)
		}
	}
	m := drop(t, s, who)
	uid := m.UID(3)
	dir, _ := s.Path(who)
	names, _ := filepath.Glob(filepath.Join(dir, "new", "*"))
	slices.Sort(names)
	move := func(i int, to string) {
		from, _ := filepath.Glob(filepath.Join(dir, "*", m.UID(i)+"*"))
		if err := os.Rename(from[0], filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	move(1, "cur/"+filepath.Base(names[1])+":2,S")
	move(3, "cur/"+filepath.Base(names[3])+":2,")
	os.Remove(names[4])
	os.Remove(names[5])
	for i := range 4 {
		if got := read(t, m, i); got != fmt.Sprint(i, "\r\n") {
			t.Errorf("message %d is %q", i, got)
		}
	}
	move(3, "cur/"+filepath.Base(names[3])+":2,FS")
	move(1, "new/"+filepath.Base(names[1]))
	if got := read(t, m, 3) + read(t, m, 1); got != "3\r\n1\r\n" {
		t.Errorf("moved again: %q", got)
	}
	if _, err := m.Open(context.Background(), 4); !errors.Is(err, mailstore.ErrGone) {
		t.Errorf("deleted message: %v", err)
	}
	if m.UID(3) != uid {
		t.Error("UID changed")
	}
	move(3, "new/"+filepath.Base(names[3]))
	move(2, "cur/"+filepath.Base(names[2])+":2,T")
	if err := m.Remove(context.Background(), []int{1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	m.Close()
	m = drop(t, s, who)
	if m.Len() != 1 || read(t, m, 0) != "0\r\n" {
		t.Errorf("%d messages left", m.Len())
	}
}

// TestForeignTraffic: others deliver, flag and delete while sessions come and
// go. Every message is seen whole, and none is seen twice in one session.
func TestForeignTraffic(t *testing.T) {
	s := open(t, t.TempDir())
	path := plant(t, s, "new", "0.first", "m0\n")
	dir := filepath.Dir(filepath.Dir(path))
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { // an MTA and a mail reader
		for i := 1; ctx.Err() == nil; i++ {
			name := fmt.Sprintf("%d.foreign", i)
			tmp := filepath.Join(dir, "tmp", name)
			os.WriteFile(tmp, []byte(fmt.Sprintf("m%d\n", i)), 0o600)
			os.Rename(tmp, filepath.Join(dir, "new", name))
			old := fmt.Sprintf("%d.foreign", i-5)
			os.Rename(filepath.Join(dir, "new", old), filepath.Join(dir, "cur", old+":2,S"))
			old = fmt.Sprintf("%d.foreign", i-8)
			os.Rename(filepath.Join(dir, "cur", old+":2,S"), filepath.Join(dir, "new", old))
			old = fmt.Sprintf("%d.foreign", i-20)
			os.Remove(filepath.Join(dir, "new", old))
		}
	})
	for range 100 {
		m, err := s.Open(ctx, who)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		for i := range m.Len() {
			r, err := m.Open(context.Background(), i)
			if errors.Is(err, mailstore.ErrGone) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(r)
			r.Close()
			if seen[string(b)] || !strings.HasPrefix(string(b), "m") || !strings.HasSuffix(string(b), "\r\n") {
				t.Errorf("%q (seen %v)", b, seen[string(b)])
			}
			seen[string(b)] = true
		}
		m.Close()
	}
	stop()
	wg.Wait()
}

// TestListingCache: a listing from memory must never be an old one.
func TestListingCache(t *testing.T) {
	s := open(t, t.TempDir())
	plant(t, s, "new", "0.x", "x\n")
	for i := 1; i < 300; i++ {
		drop(t, s, who).Close()
		plant(t, s, []string{"new", "cur"}[i%2], fmt.Sprintf("%d.x", i), "x\n")
		m := drop(t, s, who)
		if m.Len() != i+1 {
			t.Fatalf("%d messages, want %d", m.Len(), i+1)
		}
		m.Close()
		if i%100 == 0 {
			old := time.Now().Add(-time.Hour)
			dir, _ := s.Path(who)
			os.Chtimes(filepath.Join(dir, "new"), old, old)
			os.Chtimes(filepath.Join(dir, "cur"), old, old)
			drop(t, s, who).Close() // settled now
		}
	}
}

func TestCacheBound(t *testing.T) {
	s := open(t, t.TempDir(), maildir.WithCache(50))
	for i := range 30 {
		user := fmt.Sprintf("u%d@x", i%15)
		for range 3 {
			if err := deliver(t, s, mailstore.Meta{UID: fmt.Sprint("id", i)}, "x\r\n", user); err != nil {
				t.Fatal(err)
			}
		}
		drop(t, s, user).Close()
	}
	for i := range 15 {
		m := drop(t, s, fmt.Sprintf("u%d@x", i))
		if m.Len() != 6 {
			t.Errorf("%d messages", m.Len())
		}
		m.Close()
	}
}

// TestRepeatedImportedUID: whose id is taken keeps the one it got instead,
// whatever becomes of the messages before it.
func TestRepeatedImportedUID(t *testing.T) {
	s := open(t, t.TempDir())
	plant(t, s, "new", "1.first.h", "first\n")
	plant(t, s, "new", "2.a.h,S=3,W=4,U=same", "a1\n")
	plant(t, s, "new", "3.b.h,S=3,W=4,U=same", "b1\n")
	m := drop(t, s, who)
	before := m.UID(2)
	if before == "same" || m.UID(1) != "same" {
		t.Errorf("ids %q, %q", m.UID(1), before)
	}
	if err := m.Remove(context.Background(), []int{0}); err != nil {
		t.Fatal(err)
	}
	m.Close()
	s.Close()
	s = open(t, s.Root())
	if m := drop(t, s, who); m.Len() != 2 || m.UID(1) != before {
		t.Errorf("after a restart %q, before %q", m.UID(1), before)
	}
}

// TestForeignWireSize: another program's W= is believed no further than the first
// reading of the message: what goes out has CRLF, whatever the name says.
func TestForeignWireSize(t *testing.T) {
	for _, name := range []string{
		"1.a.h,S=8,W=8",                   // would mean that it holds CRLF, or no line end
		"1.a.h,S=8,W=9",                   // one line end too few
		"1.a.h,S=8,W=7",                   // less than there is
		"1.a.h,S=8,W=17",                  // more than can be
		"1.a.h,S=8,W=9223372036854775807", // would be a full mailbox
		"1.a.h,S=8,X=9",                   // kept exactly, in another size
		"1.a.h,S=8",
	} {
		s := open(t, t.TempDir())
		plant(t, s, "new", name, "one\ntwo\n")
		want := "one\r\ntwo\r\n"
		if strings.Contains(name, "X=") {
			want = "one\ntwo\n"
		}
		m := drop(t, s, who)
		if got := read(t, m, 0); got != want || m.Size(0) != int64(len(want)) {
			t.Errorf("%s: %q, Size %d", name, got, m.Size(0))
		}
		if u, err := s.Usage(context.Background(), who); err != nil || u.Octets != int64(len(want)) {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
}

// TestListingWhileRenamed: another program marks messages as read and unread all
// the time. A directory read meanwhile may show a message under two names or under
// none; a session shows it once, under its id.
func TestListingWhileRenamed(t *testing.T) {
	s := open(t, t.TempDir())
	const n = 3000
	for i := range n {
		plant(t, s, "cur", fmt.Sprintf("17%08d.M1P1.a-host-with-a-name-that-fills-the-buffers,S=2,W=3:2,", i), "x\n")
	}
	want := len(uids(t, s))
	if want != n {
		t.Fatalf("%d messages", want)
	}
	dir, _ := s.Path(who)
	stop := make(chan struct{})
	var churn sync.WaitGroup
	churn.Go(func() {
		for round := 0; ; round++ {
			names, _ := os.ReadDir(filepath.Join(dir, "cur"))
			for i, e := range names {
				select {
				case <-stop:
					return
				default:
				}
				stable, _, _ := strings.Cut(e.Name(), ":")
				to := stable + ":2," + []string{"", "S", "RS", "FS"}[(round+i)%4]
				os.Rename(filepath.Join(dir, "cur", e.Name()), filepath.Join(dir, "cur", to))
			}
		}
	})
	defer churn.Wait()
	defer close(stop)
	for range 15 {
		got := uids(t, s)
		if len(got) != n {
			t.Fatalf("%d messages, want %d", len(got), n)
		}
		for uid := range got {
			if !strings.HasPrefix(uid, "17") {
				t.Fatalf("a message of two names: %q", uid)
			}
		}
	}
}

func uids(t *testing.T, s *maildir.Store) map[string]bool {
	t.Helper()
	m := drop(t, s, who)
	defer m.Close()
	out := make(map[string]bool)
	for i := range m.Len() {
		if out[m.UID(i)] {
			t.Errorf("id %q twice", m.UID(i))
		}
		out[m.UID(i)] = true
	}
	return out
}
