package greylist

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

var times = Times{Wait: time.Minute, Window: 48 * time.Hour, Keep: 35 * 24 * time.Hour}

func open(t testing.TB, name string) *Table {
	t.Helper()
	disk, err := durable.Open(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	table, err := Open(disk, name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

// try is an attempt now.
func (t *Table) try(sender, attempt string) string {
	again, ok := t.Try(sender, attempt, times, time.Now())
	if ok {
		return "ok"
	}
	return time.Until(again).String()
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// TestTimes: what is answered, over months.
func TestTimes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "greylist")
	disk, err := durable.Open(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	table := &Table{disk: disk, name: name, log: slog.New(slog.DiscardHandler), most: 100, known: make(map[uint64]uint32), waiting: make(map[uint64]uint32), closed: true}
	synctest.Test(t, func(t *testing.T) {
		expect(t, "first", table.try("net 192.0.2.0/24", "a b"), "1m0s")
		time.Sleep(20 * time.Second)
		expect(t, "too early", table.try("net 192.0.2.0/24", "a b"), "40s")
		expect(t, "another message is no second attempt", table.try("net 192.0.2.0/24", "a c"), "1m0s")
		expect(t, "nor one of another sender", table.try("net 192.0.3.0/24", "a b"), "1m0s")
		time.Sleep(40 * time.Second)
		expect(t, "in time", table.try("net 192.0.2.0/24", "a b"), "ok")
		expect(t, "one success opens it", table.try("net 192.0.2.0/24", "x y"), "ok")
		for range 12 {
			time.Sleep(30 * 24 * time.Hour)
			expect(t, "it stays open as long as it is used", table.try("net 192.0.2.0/24", "x z"), "ok")
		}
		time.Sleep(36 * 24 * time.Hour)
		expect(t, "and no longer", table.try("net 192.0.2.0/24", "x y"), "1m0s")
		time.Sleep(49 * time.Hour)
		expect(t, "too late", table.try("net 192.0.2.0/24", "x y"), "1m0s")
		time.Sleep(47 * time.Hour)
		expect(t, "late, and not too late", table.try("net 192.0.2.0/24", "x y"), "ok")
		if _, ok := table.Try("net 192.0.4.0/24", "x", times, time.Now().Add(time.Hour)); ok {
			t.Error("unknown")
		}
		expect(t, "the clock was set back", table.try("net 192.0.4.0/24", "x"), "1m0s")
	})
}

// TestKilled: what was known is known again by a process that takes the file as a killed one left it, torn or not.
func TestKilled(t *testing.T) {
	name := filepath.Join(t.TempDir(), "greylist")
	first := open(t, name)
	start := time.Now()
	for i := range 100 {
		first.Try(fmt.Sprint("open ", i), "m", times, start)
		first.Try(fmt.Sprint("open ", i), "m", times, start.Add(time.Minute))
		first.Try(fmt.Sprint("wait ", i), "m", times, start)
	}
	text, err := os.ReadFile(name) // nobody has closed it
	if err != nil {
		t.Fatal(err)
	}
	for cut := range recordSize {
		other := filepath.Join(t.TempDir(), "greylist")
		if err := os.WriteFile(other, text[:len(text)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		second := open(t, other)
		for i := range 100 {
			if _, ok := second.Try(fmt.Sprint("open ", i), "other", times, start.Add(time.Hour)); !ok {
				t.Errorf("cut %d: %d is forgotten", cut, i)
			}
			if _, ok := second.Try(fmt.Sprint("wait ", i), "m", times, start.Add(time.Hour)); !ok && (cut == 0 || i < 99) {
				t.Errorf("cut %d: %d has to wait again", cut, i)
			}
		}
	}
	// One octet wrong costs one record.
	broken := bytes.Clone(text)
	broken[len(magic)+recordSize+3] ^= 1
	if err := os.WriteFile(name, broken, 0o600); err != nil {
		t.Fatal(err)
	}
	known, waiting := open(t, name).Len()
	if known < 99 || waiting < 99 {
		t.Errorf("%d known, %d waiting", known, waiting)
	}
	for _, nonsense := range []string{"", "x", magic[:5], magic, magic + "xyz", strings.Repeat("\x00", 1000), magic + strings.Repeat("\xff", 1000)} {
		if err := os.WriteFile(name, []byte(nonsense), 0o600); err != nil {
			t.Fatal(err)
		}
		if known, waiting := open(t, name).Len(); known+waiting != 0 {
			t.Errorf("%q: %d, %d", nonsense, known, waiting)
		}
	}
}

// TestFileStaysSmall: however often somebody is known anew, the file has what counts and a bounded rest.
func TestFileStaysSmall(t *testing.T) {
	name := filepath.Join(t.TempDir(), "greylist")
	table := open(t, name)
	now := time.Now()
	for range 3 * spare {
		table.Try("one", "m", times, now)
		now = now.Add(25 * time.Hour)
	}
	info, err := os.Stat(name)
	if err != nil || info.Size() > recordSize*(spare+100) {
		t.Errorf("%d octets, %v", info.Size(), err)
	}
}

// TestUnwritable: without a file it works as well, and says so once.
func TestUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	table := open(t, filepath.Join(dir, "greylist"))
	var told bytes.Buffer
	table.log = slog.New(slog.NewTextHandler(&told, nil))
	table.file.Close() // every write fails
	now := time.Now()
	for i := range 10 {
		table.Try(fmt.Sprint(i), "m", times, now)
		if _, ok := table.Try(fmt.Sprint(i), "m", times, now.Add(time.Hour)); !ok {
			t.Error("forgotten")
		}
	}
	if n := strings.Count(told.String(), "cannot be written down"); n != 1 {
		t.Errorf("told %d times", n)
	}
	table.retry = now.Add(-time.Minute) // a while later
	table.Try("later", "m", times, now)
	table.Try("later", "m", times, now.Add(time.Hour))
	if _, ok := open(t, table.name).Try("3", "m", times, now.Add(2*time.Hour)); !ok {
		t.Error("not written down afterwards")
	}
}

// TestBound: strangers who come once push out each other, and hardly anybody who is known.
func TestBound(t *testing.T) {
	table := open(t, filepath.Join(t.TempDir(), "greylist"))
	table.most = 2000
	now := time.Now()
	for i := range 1000 {
		table.Try(fmt.Sprint("good ", i), "m", times, now)
		table.Try(fmt.Sprint("good ", i), "m", times, now.Add(time.Minute))
	}
	for i := range 20_000 {
		table.Try(fmt.Sprint("bad ", i), "m", times, now.Add(time.Hour))
	}
	known, waiting := table.Len()
	if known != 1000 || known+waiting > 2000 {
		t.Errorf("%d known, %d waiting", known, waiting)
	}
	// Where all are known some of them go, and not those that come later.
	for i := range 3000 {
		table.Try(fmt.Sprint("more ", i), "m", times, now.Add(2*time.Hour))
		if _, ok := table.Try(fmt.Sprint("more ", i), "m", times, now.Add(3*time.Hour)); !ok {
			t.Fatalf("%d never comes through", i)
		}
	}
	if known, waiting = table.Len(); known+waiting > 2000 {
		t.Errorf("%d known, %d waiting", known, waiting)
	}
}

// TestFull: there may be as many as there may be, and not one more; what is too old makes room first.
func TestFull(t *testing.T) {
	const most = 100
	now := time.Now()
	fill := func() *Table {
		table := open(t, filepath.Join(t.TempDir(), "greylist"))
		if table.most != MostKeys {
			t.Errorf("room for %d", table.most)
		}
		table.most = most
		return table
	}
	table := fill()
	for i := range most {
		table.Try(fmt.Sprint(i), "m", times, now)
	}
	if _, waiting := table.Len(); waiting != most {
		t.Errorf("%d of %d wait", waiting, most)
	}
	table.Try("0", "m", times, now) // who is there takes no room
	if _, waiting := table.Len(); waiting != most {
		t.Errorf("%d wait after one of them has tried again", waiting)
	}
	table.Try("one more", "m", times, now)
	if _, waiting := table.Len(); waiting != most-most/16+1 {
		t.Errorf("%d wait after one more", waiting)
	}
	table = fill()
	comes := func(name string, at time.Time) {
		table.Try(name, "m", times, at)
		table.Try(name, "m", times, at.Add(times.Wait))
	}
	for i := range most / 4 {
		comes(fmt.Sprint("old known ", i), now.Add(-times.Keep-time.Hour))
		comes(fmt.Sprint("known ", i), now.Add(-times.Keep+time.Hour))
		table.Try(fmt.Sprint("old ", i), "m", times, now.Add(-times.Window-time.Hour))
		table.Try(fmt.Sprint("waits ", i), "m", times, now.Add(-times.Window+time.Hour))
	}
	table.Try("one more", "m", times, now)
	if known, waiting := table.Len(); known != most/4 || waiting != most/4+1 {
		t.Errorf("%d known, %d waiting", known, waiting)
	}
	for i := range most / 4 {
		for _, name := range []string{"known ", "waits "} {
			if _, ok := table.Try(fmt.Sprint(name, i), "m", times, now); !ok {
				t.Errorf("%s%d had to make room", name, i)
			}
		}
	}
}

// TestRecord: what the file has of a sender, octet for octet: those of before stay readable.
func TestRecord(t *testing.T) {
	name := filepath.Join(t.TempDir(), "greylist")
	now := time.Unix(1_800_000_000, 0)
	table := open(t, name)
	table.Try("net 192.0.2.0/24", "a b", times, now)
	text, err := os.ReadFile(name)
	if got := fmt.Sprintf("%q", text); err != nil || got != `"postrider-grey1\nZ0\xaa{\xf3\x8d\xe4\xf7kI\xd2\x00w\\-\xa9"` {
		t.Errorf("%s, %v", got, err)
	}
	table = open(t, name)
	table.Try("net 192.0.3.0/24", "a b", times, now)
	table.Try("net 192.0.3.0/24", "a b", times, now.Add(time.Hour))
	if table.records != 3 {
		t.Errorf("%d records are counted", table.records)
	}
	// The attempt that has come through waits in the file alone.
	if table = open(t, name); table.records != 3 || len(table.known) != 1 || len(table.waiting) != 2 {
		t.Errorf("%d records are counted, %d known, %d waiting", table.records, len(table.known), len(table.waiting))
	}
}

// TestClosed: what is asked afterwards is answered, and nothing is written any more; a file that is written anew leaves none open.
func TestClosed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "greylist")
	table := open(t, name)
	old := table.file
	table.mu.Lock()
	err := table.rewrite()
	table.mu.Unlock()
	if again := old.Close(); err != nil || !errors.Is(again, os.ErrClosed) {
		t.Errorf("the old file is open: %v, %v", err, again)
	}
	file := table.file
	if err := table.Close(); err != nil || !errors.Is(file.Close(), os.ErrClosed) {
		t.Errorf("the file is open: %v", err)
	}
	before, _ := os.ReadFile(name)
	done := make(chan bool)
	go func() {
		table.Try("one", "m", times, time.Now())
		if err := table.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("nobody is answered")
	}
	if after, err := os.ReadFile(name); err != nil || !bytes.Equal(before, after) {
		t.Errorf("%q is written, %v", after, err)
	}
}

// full is a table of so many keys.
func full(t testing.TB, n int) *Table {
	table := open(t, filepath.Join(t.TempDir(), "greylist"))
	table.closed = true // it takes long
	for i := range n {
		table.Try(fmt.Sprint("net ", i), "from to", times, time.Now())
	}
	table.closed = false
	return table
}

// TestMillion: a million keys take no more than 100 MB of memory, file and reading it included, and there are never more.
func TestMillion(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	table := full(t, MostKeys+1000)
	if known, waiting := table.Len(); known+waiting > MostKeys {
		t.Errorf("%d keys", known+waiting)
	}
	used := heap() - before
	t.Logf("%d octets, %d each", used, used/MostKeys)
	if used > 100e6 {
		t.Errorf("%d octets", used)
	}
	table.mu.Lock()
	err := table.rewrite()
	table.mu.Unlock()
	info, _ := os.Stat(table.name)
	if err != nil || info.Size() > 20e6 {
		t.Errorf("the file: %v, %v", info, err)
	}
	runtime.KeepAlive(table)
}

func BenchmarkTry(b *testing.B) {
	table := full(b, MostKeys/2)
	now := time.Now()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		table.Try("net "+fmt.Sprint(i), "from to", times, now)
	}
}
