package sealed_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/sealed"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

var secret = bytes.Repeat([]byte{7}, seal.KeySize)

// open opens a spool in dir; the last process that had it open has ended.
func open(t testing.TB, dir string, sealing bool) *sealed.Spool {
	t.Helper()
	inner, err := spool.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	inner.MinFree = 0
	t.Cleanup(func() { inner.Close() })
	keys, err := sealed.NewKeys(secret, sealing)
	if err != nil {
		t.Fatal(err)
	}
	s := sealed.New(inner)
	s.Use(keys)
	return s
}

func TestSpool(t *testing.T) {
	for name, sealing := range map[string]bool{"sealing": true, "not any more": false} {
		t.Run(name, func(t *testing.T) {
			last := make(map[*testing.T]io.Closer)
			dirs := make(map[*testing.T]string)
			spooltest.Run(t, func(t *testing.T) queue.Spool {
				if dirs[t] == "" {
					dirs[t] = t.TempDir()
				} else {
					last[t].Close()
				}
				s := open(t, dirs[t], sealing)
				last[t] = s.Spool.(*spool.Spool)
				return s
			})
		})
	}
}

func put(t testing.TB, s queue.Spool, id, top, body string) {
	t.Helper()
	e := spooltest.Entry(id)
	w, err := s.Begin(t.Context(), e, queue.NewState(e))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []byte(top)); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, s queue.Spool, id string) (string, error) {
	t.Helper()
	r, err := s.Open(t.Context(), id)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

const (
	top  = "Received: marked\r\n"
	body = "Subject: marked\r\n\r\nmarked\r\n"
)

func long() string { return strings.Repeat(body, 10_000) }

// TestNothingInClear: no file has a word of a message, of its top or its body.
func TestNothingInClear(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, true)
	put(t, s, "small", top, body)
	put(t, s, "large", strings.Repeat(top, 2000), long())
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("marked")) {
			t.Errorf("%s has it in clear", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for id, want := range map[string]string{"small": top + body, "large": strings.Repeat(top, 2000) + long()} {
		if got, err := read(t, s, id); got != want {
			t.Errorf("%s: %d octets, %v", id, len(got), err)
		}
	}
}

// TestBeforeAndAfter: what was queued before messages were sealed is read as it is, and what was sealed when none are any more.
func TestBeforeAndAfter(t *testing.T) {
	s := open(t, t.TempDir(), false)
	put(t, s, "before", top, body)
	put(t, s, "empty", "", "")
	put(t, s, "short", "", "x")
	keys, err := sealed.NewKeys(secret, true)
	if err != nil {
		t.Fatal(err)
	}
	s.Use(keys)
	put(t, s, "after", top, body)
	for _, sealing := range []bool{true, false} {
		keys, _ := sealed.NewKeys(secret, sealing)
		s.Use(keys)
		for id, want := range map[string]string{"before": top + body, "after": top + body, "empty": "", "short": "x"} {
			e, st, err := s.Load(t.Context(), id)
			if err != nil || e.Params.Size != int64(len(want)) || st.Size != e.Params.Size {
				t.Errorf("%s: %+v, %v", id, st, err)
			}
			if got, err := read(t, s, id); got != want || err != nil {
				t.Errorf("%s: %q, %v", id, got, err)
			}
		}
	}
}

// TestOtherKey: without its key, or with another, a message is not sent as it stands there, and stays.
func TestOtherKey(t *testing.T) {
	s := open(t, t.TempDir(), true)
	put(t, s, "a", top, body)
	other, err := sealed.NewKeys(make([]byte, seal.KeySize), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*sealed.Keys{nil, other} {
		s.Use(keys)
		if got, err := read(t, s, "a"); !errors.Is(err, sealed.ErrKey) || errors.Is(err, queue.ErrCorrupt) || errors.Is(err, queue.ErrNotFound) || got != "" {
			t.Errorf("%q, %v", got, err)
		}
		if e, _, err := s.Load(t.Context(), "a"); err != nil || e.Params.Size != int64(len(top+body)) {
			t.Errorf("what is no secret cannot be shown: %v", err)
		}
	}
	right, _ := sealed.NewKeys(secret, false)
	s.Use(right)
	if got, err := read(t, s, "a"); got != top+body {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := sealed.NewKeys(secret[1:], true); !errors.Is(err, seal.ErrKey) {
		t.Error(err)
	}
}

// stolen gives the message of one entry for another.
type stolen struct {
	queue.Spool
	change func([]byte) []byte
	from   string
}

func (s stolen) Open(ctx context.Context, id string) (io.ReadCloser, error) {
	if s.from != "" {
		id = s.from
	}
	r, err := s.Spool.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	all, err := io.ReadAll(r)
	return io.NopCloser(bytes.NewReader(s.change(all))), err
}

// Load gives no head: a spool need not have one at hand.
func (s stolen) Load(ctx context.Context, id string) (*queue.Entry, *queue.State, error) {
	return headless(s.Spool.Load(ctx, id))
}

func (w *watched) Load(ctx context.Context, id string) (*queue.Entry, *queue.State, error) {
	return headless(w.Spool.Load(ctx, id))
}

func headless(e *queue.Entry, st *queue.State, err error) (*queue.Entry, *queue.State, error) {
	if e != nil {
		e.Head = nil
	}
	return e, st, err
}

// TestForeign: what was cut, changed or put into another entry is an error, and never a whole message.
func TestForeign(t *testing.T) {
	s := open(t, t.TempDir(), true)
	put(t, s, "a", top, long())
	put(t, s, "b", top, long())
	inner := s.Spool
	for name, st := range map[string]stolen{
		"of another entry": {inner, bytes.Clone, "b"},
		"cut in the head":  {inner, func(b []byte) []byte { return b[:7] }, ""},
		"cut in the top":   {inner, func(b []byte) []byte { return b[:40] }, ""},
		"no body":          {inner, func(b []byte) []byte { return b[:9+seal.Overhead+len(top)] }, ""},
		"cut":              {inner, func(b []byte) []byte { return b[:len(b)-1] }, ""},
		"cut at a chunk":   {inner, func(b []byte) []byte { return b[:9+seal.Overhead+len(top)+37+65552] }, ""},
		"more":             {inner, func(b []byte) []byte { return append(b, 0) }, ""},
		"changed":          {inner, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, ""},
		"a huge top":       {inner, func(b []byte) []byte { b[5] = 0xff; return b }, ""},
	} {
		s.Spool = st
		got, err := read(t, s, "a")
		if name == "cut in the head" { // no longer known to be sealed: the spool inside finds by its checksum that it is cut
			continue
		}
		if err == nil || got != "" && !strings.HasPrefix(top+long(), got) {
			t.Errorf("%s: %d octets, %v", name, len(got), err)
		}
	}
}

// watched is a spool inside that notes what it is told of an entry and what comes then, how many messages are open, and fails on demand.
type watched struct {
	queue.Spool
	told, came struct{ top, size int } // size: announced with all but the top of the message, written without what Commit has
	open       int
	fail, read error // of Open, and of what it gives
}

func (s *watched) Begin(ctx context.Context, e *queue.Entry, st *queue.State) (queue.Writer, error) {
	s.told.top, s.told.size = e.Top, int(e.Params.Size)
	s.came.size = 0
	w, err := s.Spool.Begin(ctx, e, st)
	return watchedWriter{w, s}, err
}

type watchedWriter struct {
	queue.Writer
	s *watched
}

func (w watchedWriter) Write(p []byte) (int, error) {
	w.s.came.size += len(p)
	return w.Writer.Write(p)
}

func (w watchedWriter) Commit(ctx context.Context, top []byte) error {
	w.s.came.top = len(top)
	return w.Writer.Commit(ctx, top)
}

func (s *watched) Open(ctx context.Context, id string) (io.ReadCloser, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	r, err := s.Spool.Open(ctx, id)
	if err == nil {
		s.open++
	}
	return watchedReader{r, s}, err
}

type watchedReader struct {
	io.ReadCloser
	s *watched
}

func (r watchedReader) Read(p []byte) (int, error) {
	if r.s.read != nil {
		return 0, r.s.read
	}
	return r.ReadCloser.Read(p)
}

func (r watchedReader) Close() error {
	r.s.open--
	return r.ReadCloser.Close()
}

// TestAnnounced: the spool inside is told of as many octets as come, so that it keeps the room that is needed and no more; of nothing where nothing
// is known.
func TestAnnounced(t *testing.T) {
	s := open(t, t.TempDir(), true)
	inner := &watched{Spool: s.Spool}
	s.Spool = inner
	for i, size := range []int{1, 1000, 1 << 16, 1<<16 + 1, 200_000} {
		e := spooltest.Entry("e" + strconv.Itoa(i))
		e.Top, e.Params.Size = 10*i, int64(size)
		w, err := s.Begin(t.Context(), e, queue.NewState(e))
		if err != nil {
			t.Fatal(err)
		}
		w.Write(make([]byte, size))
		if err := w.Commit(t.Context(), make([]byte, e.Top)); err != nil || inner.told.top != inner.came.top || inner.told.size != inner.came.size+inner.came.top-e.Top {
			t.Errorf("%d octets below %d: announced %v, written %v, %v", size, e.Top, inner.told, inner.came, err)
		}
	}
	e := spooltest.Entry("unknown")
	e.Params.Size = 0
	w, err := s.Begin(t.Context(), e, queue.NewState(e))
	if err != nil || inner.told.size != 0 {
		t.Errorf("a size that nobody knows: %v, %v", inner.told, err)
	}
	w.Abort()
}

// TestInsideFails: an error of the spool inside, whether a message is opened or read, is told, and what was opened is closed whatever comes of it.
func TestInsideFails(t *testing.T) {
	s := open(t, t.TempDir(), true)
	put(t, s, "a", top, body)
	inner := &watched{Spool: s.Spool}
	s.Spool = inner
	broken := errors.New("broken")
	for _, c := range []watched{{}, {fail: broken}, {read: broken}} {
		inner.fail, inner.read = c.fail, c.read
		want := errors.Join(c.fail, c.read) != nil
		if _, _, err := s.Load(t.Context(), "a"); errors.Is(err, broken) != want {
			t.Errorf("%v: Load: %v", want, err)
		}
		if _, err := read(t, s, "a"); errors.Is(err, broken) != want {
			t.Errorf("%v: Open: %v", want, err)
		}
		if inner.open != 0 {
			t.Errorf("%v: %d are open still", want, inner.open)
		}
	}
}

// TestTopBounds: how long the sealed top is, is believed no further than tops go; no memory is taken for what cannot be one.
func TestTopBounds(t *testing.T) {
	s := open(t, t.TempDir(), true)
	put(t, s, "a", top, body)
	inner := s.Spool
	for size, refused := range map[uint32]bool{0: true, seal.Overhead - 1: true, seal.Overhead: false, 16 << 20: false, 16<<20 + 1: true, 1<<32 - 1: true} {
		s.Spool = stolen{inner, func([]byte) []byte { return binary.BigEndian.AppendUint32([]byte("PRSQ\x01"), size) }, ""}
		_, err := s.Open(t.Context(), "a")
		if err == nil || errors.Is(err, seal.ErrOpen) != refused {
			t.Errorf("%d: %v", size, err)
		}
		if _, _, err := s.Load(t.Context(), "a"); refused && err == nil {
			t.Errorf("Load, %d: %v", size, err)
		}
	}
}

// TestConstantMemory: a message of 64 MiB takes no more memory than its chunks.
func TestConstantMemory(t *testing.T) {
	s := open(t, t.TempDir(), true)
	e := spooltest.Entry("a")
	w, err := s.Begin(t.Context(), e, queue.NewState(e))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	piece := bytes.Repeat([]byte("x"), 1<<20)
	for range 64 {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(struct{ io.Writer }{io.Discard}, r); n != 64<<20 || err != nil {
		t.Error(n, err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Errorf("%d octets allocated", n)
	}
}

// FuzzOpen: whatever the spool inside gives, it is what was sealed, what was never sealed, or an error.
func FuzzOpen(f *testing.F) {
	s := open(f, f.TempDir(), true)
	put(f, s, "a", top, body)
	inner := s.Spool
	r, err := inner.Open(f.Context(), "a")
	if err != nil {
		f.Fatal(err)
	}
	whole, _ := io.ReadAll(r)
	r.Close()
	f.Add(whole)
	f.Add([]byte(top + body))
	f.Add([]byte("PRSQ\x01"))
	f.Add([]byte("PRSQ\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := sealed.New(stolen{inner, func([]byte) []byte { return data }, ""})
		keys, _ := sealed.NewKeys(secret, true)
		s.Use(keys)
		got, err := read(t, s, "a")
		if err == nil && got != string(data) && got != top+body {
			t.Errorf("%q became %q", data, got)
		}
	})
}

// TestGolden: what an earlier version has left sealed in the queue is read by this one: a message of two chunks. Never change the files.
func TestGolden(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		data, err := os.ReadFile("testdata/" + version + ".sealed")
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, t.TempDir(), true)
		put(t, s, "golden", "", "")
		s.Spool = stolen{s.Spool, func([]byte) []byte { return data }, ""}
		if got, err := read(t, s, "golden"); err != nil || got != top+strings.Repeat(body, 2600) {
			t.Errorf("%s: %d octets, %v", version, len(got), err)
		}
	}
}
