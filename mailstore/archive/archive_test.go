package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/archive"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

const user = "alice@example.org"

func store(t testing.TB, dir string, opts ...maildir.Option) *maildir.Store {
	t.Helper()
	s, err := maildir.Open(dir, append(opts, maildir.WithReserve(0))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func drop(t testing.TB, s *maildir.Store) mailstore.Maildrop {
	t.Helper()
	m, err := s.Open(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// holds lists "uid body" of every message.
func holds(t testing.TB, s *maildir.Store) (uids, bodies []string) {
	t.Helper()
	m := drop(t, s)
	defer m.Close()
	for i, text := range mailtest.Texts(t, m) {
		uids, bodies = append(uids, m.UID(i)), append(bodies, text)
	}
	slices.Sort(bodies)
	return uids, bodies
}

// Messages that are hard on an mbox, all with CRLF and a last line end.
var hard = []string{
	"Subject: plain\r\n\r\nhello\r\n",
	"Subject: from\r\n\r\nFrom here\r\n>From there\r\n>>From afar\r\n From\r\nFrom\r\n",
	"Subject: after blank\r\n\r\n\r\nFrom x Thu Jan  1 00:00:00 1970\r\n\r\nFrom y\r\n",
	"Subject: blank lines at the end\r\n\r\nx\r\n\r\n\r\n\r\n",
	"Subject: header only\r\n",
	"Subject: empty body\r\n\r\n",
	"Content-Length: 3\r\nSubject: its own length\r\n\r\nlonger than that\r\n",
	"Content-Length: 99999\r\nSubject: its own length\r\n\r\nshorter than that\r\n",
	"Subject: long\r\n\r\n" + strings.Repeat("y", 200_000) + "\r\nFrom z\r\n",
	"Subject: many\r\n\r\n" + strings.Repeat("From line\r\n\r\n", 20_000),
	"Return-Path: <bob@example.org>\r\nSubject: last\r\n\r\nend\r\n",
}

func fill(t testing.TB, s *maildir.Store, bodies ...string) {
	t.Helper()
	for i, b := range bodies {
		d, err := s.Create(context.Background(), mailstore.Meta{Received: time.Unix(1700000000+int64(i), 0)}, user)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(d, b)
		if err := d.Commit(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMbox(t *testing.T) {
	// Of other readers too much to ask: Python takes the first line for its own.
	hard := append(slices.Clone(hard), "From : x\r\nSubject: begins like an mbox\r\n>From y\r\nFrom z\r\n\r\nFrom w\r\n")
	src := store(t, t.TempDir())
	fill(t, src, hard...)
	for _, name := range []string{"mboxo", "mboxrd", "mboxcl", "mboxcl2"} {
		f, err := archive.ParseFlavour(name)
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		w := archive.NewMboxWriter(&file, f)
		m := drop(t, src)
		if s, err := archive.ExportMbox(context.Background(), m, w, nil); err != nil || int(s.Done) != len(hard) {
			t.Fatalf("%s: %+v, %v", name, s, err)
		}
		m.Close()
		want := slices.Clone(hard)
		if f == archive.MboxO || f == archive.MboxCL {
			// What these flavours cannot say, and only that, comes back changed.
			for i := range want {
				want[i] = strings.ReplaceAll(want[i], "\n>From ", "\nFrom ")
			}
		}
		for _, r := range []io.Reader{
			bytes.NewReader(file.Bytes()),
			iotest.HalfReader(bytes.NewReader(file.Bytes())),
			bytes.NewReader(bytes.ReplaceAll(file.Bytes(), []byte("\n"), []byte("\r\n"))),
		} {
			if _, crlf := r.(*bytes.Reader); crlf && strings.HasPrefix(name, "mboxcl") && r.(*bytes.Reader).Size() != int64(file.Len()) {
				continue // the lengths no longer count the lines right
			}
			dst := store(t, t.TempDir())
			s, err := archive.Import(context.Background(), dst, user, archive.FromMbox(r, f, ""), archive.Options{})
			if err != nil || int(s.Done) != len(hard) {
				t.Errorf("%s: import: %+v, %v", name, s, err)
			}
			_, got := holds(t, dst)
			slices.Sort(want)
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Errorf("%s: got  %.120q (%d)\nwant %.120q (%d)", name, got[i], len(got[i]), want[i], len(want[i]))
				}
			}
		}
	}
	if _, err := archive.ParseFlavour("mmdf"); err == nil {
		t.Error("mmdf is taken for an mbox")
	}
}

func TestMboxTime(t *testing.T) {
	for line, want := range map[string]int64{
		"From a@b Thu Jan  1 00:01:40 1970\n":               100,
		"From a@b Thu Jan  1 00:01:40 1970 remote from x\n": 100,
		"From a@b  Thu Jan 1 00:01:40 1970 +0000\n":         100,
		"From \"a b\"@c Thu Jan  1 00:01:40 1970\n":         100,
		"From a@b Thu Jan  1 00:01:40 GMT 1970\n":           100,
		"From a@b Thu Jan  1 01:01:40 +0100 1970\n":         100,
		"From a@b Thu Jan  1 00:01 1970\n":                  60,
		"From - Thu Jan 01 00:01:40 1970\r\n":               100,
	} {
		src := archive.FromMbox(strings.NewReader(line+"x: y\n\n"), archive.MboxRD, "")
		m, err := src.Next()
		if err != nil || m.Received.Unix() != want {
			t.Errorf("%q: %v, %v", line, m, err)
		}
	}
	src := archive.FromMbox(strings.NewReader("Subject: no mbox\n\nx\n"), archive.MboxRD, "")
	if _, err := src.Next(); !errors.Is(err, archive.ErrNotMbox) {
		t.Errorf("no mbox: %v", err)
	}
	src = archive.FromMbox(strings.NewReader(""), archive.MboxRD, "")
	if _, err := src.Next(); err != io.EOF {
		t.Errorf("empty file: %v", err)
	}
}

// TestContentLength: a sender's own Content-Length, in a file whose writer added
// none, does not swallow the messages behind; a true one is gone by.
func TestContentLength(t *testing.T) {
	big := strings.Repeat("all work and no play\n", 5000)
	true1 := fmt.Sprintf("From a Thu Jan  1 00:00:00 1970\nSubject: true\nContent-Length: %d\n\n%s\n", len(big)+len("\nFrom x\n"), big+"\nFrom x\n")
	for name, c := range map[string]struct {
		file string
		want int
	}{
		"beyond the end": {"From a Thu Jan  1 00:00:00 1970\nContent-Length: 999999999\n\nx\n\nFrom b Thu Jan  1 00:00:00 1970\n\ny\n\n", 2},
		"for ever":       {"From a Thu Jan  1 00:00:00 1970\nContent-Length: 9223372036854775807\n\nx\n\nFrom b Thu Jan  1 00:00:00 1970\n\ny\n\n", 2},
		"into a message": {"From a Thu Jan  1 00:00:00 1970\nContent-Length: 70000\n\nx\n\nFrom b Thu Jan  1 00:00:00 1970\n\n" + big + "\n", 2},
		"true":           {true1 + "From b Thu Jan  1 00:00:00 1970\n\ny\n\n", 2},
		"true, the last": {true1, 1},
	} {
		src := archive.FromMbox(strings.NewReader(c.file), archive.MboxCL2, "")
		n := 0
		for {
			m, err := src.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, m.Body); err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != c.want {
			t.Errorf("%s: %d messages, want %d", name, n, c.want)
		}
	}
}

// broken is a maildrop one of whose messages cannot be read.
type broken struct {
	mailstore.Maildrop
	late bool // only its end cannot
}

func (b broken) Open(ctx context.Context, i int) (io.ReadCloser, error) {
	switch {
	case i != 1:
		return b.Maildrop.Open(ctx, i)
	case b.late:
		return io.NopCloser(io.MultiReader(strings.NewReader("Subject: half\r\n"), iotest.ErrReader(errors.New("bad sector")))), nil
	}
	return nil, errors.New("bad sector")
}

// TestUnreadable: a message that cannot be read costs no other, and is said.
func TestUnreadable(t *testing.T) {
	ctx := context.Background()
	s := store(t, t.TempDir())
	fill(t, s, "one\r\n", "two\r\n", "three\r\n")
	want := archive.Stats{Done: 2, Failed: 1}
	check := func(what string, got archive.Stats, err error) {
		t.Helper()
		got.Octets = 0
		if got != want || !errors.Is(err, archive.ErrIncomplete) || !strings.Contains(err.Error(), "bad sector") {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	for _, late := range []bool{false, true} {
		m := broken{drop(t, s), late}
		dir := t.TempDir()
		st, err := archive.ExportFiles(ctx, m, dir, nil)
		check("eml", st, err)
		if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 2 {
			t.Errorf("eml: %q", names)
		}
		var file bytes.Buffer
		st, err = archive.ExportMbox(ctx, m, archive.NewMboxWriter(&file, archive.MboxCL2), nil)
		check("mboxcl2", st, err)
		if !late {
			st, err = archive.ExportMbox(ctx, m, archive.NewMboxWriter(&file, archive.MboxRD), nil)
			check("mboxrd", st, err)
		}
		if strings.Contains(file.String(), "half") {
			t.Error("half a message in the mbox")
		}
		var said []string
		st, err = archive.Import(ctx, store(t, t.TempDir()), user, archive.FromMaildrop(context.Background(), m), archive.Options{
			Problem: func(name string, err error) { said = append(said, err.Error()) }})
		if st.Done != 2 || st.Failed != 1 || err != nil || len(said) != 1 {
			t.Errorf("import: %+v, %v, %q", st, err, said)
		}
		m.Close()
	}
	good := filepath.Join(t.TempDir(), "good.eml")
	if err := os.WriteFile(good, []byte("Subject: x\n\ny\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := archive.FromFiles(good, good)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(good); err != nil {
		t.Fatal(err)
	}
	st, err := archive.Import(ctx, s, user, src, archive.Options{Problem: func(string, error) {}})
	if st.Failed != 2 || err != nil {
		t.Errorf("files that vanished: %+v, %v", st, err)
	}
}

// TestResume: an import stopped in the middle is started again and completes
// without doubling anything; also where the source holds the same message twice.
func TestResume(t *testing.T) {
	var file strings.Builder
	for i := range 50 {
		fmt.Fprintf(&file, "From x Thu Jan  1 00:00:00 1970\nSubject: %d\n\nbody\n\n", i/2)
	}
	dst := store(t, t.TempDir())
	cut := io.MultiReader(strings.NewReader(file.String()[:1000]), iotest.ErrReader(errors.New("unplugged")))
	s, err := archive.Import(context.Background(), dst, user, archive.FromMbox(cut, archive.MboxRD, ""), archive.Options{})
	if err == nil || s.Done == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	for range 2 {
		if s, err = archive.Import(context.Background(), dst, user,
			archive.FromMbox(strings.NewReader(file.String()), archive.MboxRD, ""), archive.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if s.Done != 0 || s.Skipped != 50 {
		t.Errorf("third time: %+v", s)
	}
	if uids, _ := holds(t, dst); len(uids) != 50 {
		t.Errorf("%d messages", len(uids))
	}
}

// TestMaildir: into a Maildir and back: ids, flags, times and octets stay.
func TestMaildir(t *testing.T) {
	ctx := context.Background()
	src := store(t, t.TempDir())
	bodies := append(slices.Clone(hard), "bare\nLF", "CR CR LF\r\r\n", "")
	fill(t, src, bodies...)
	single := filepath.Join(t.TempDir(), "Maildir")
	out := store(t, single, maildir.Single(), maildir.WithMode(maildir.Share))
	for want := range 2 {
		from := archive.FromMaildrop(context.Background(), drop(t, src))
		s, err := archive.Import(ctx, out, user, from, archive.Options{})
		if err != nil || int(s.Skipped) != want*len(bodies) {
			t.Fatalf("%+v, %v", s, err)
		}
		if err := from.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cur, _ := os.ReadDir(filepath.Join(single, "new"))
	if len(cur) != len(bodies) {
		t.Errorf("%d files in the Maildir", len(cur))
	}
	back := store(t, t.TempDir())
	from := store(t, single, maildir.Single(), maildir.WithMode(maildir.ReadOnly))
	if _, err := archive.Import(ctx, back, user, archive.FromMaildrop(context.Background(), drop(t, from)), archive.Options{}); err != nil {
		t.Fatal(err)
	}
	ids, got := holds(t, back)
	wantIDs, want := holds(t, src)
	if !slices.Equal(got, want) || !slices.Equal(ids, wantIDs) {
		t.Errorf("ids %q\nwant %q", ids, wantIDs)
	}
}

func TestFiles(t *testing.T) {
	ctx := context.Background()
	src := store(t, t.TempDir())
	fill(t, src, hard...)
	dir := filepath.Join(t.TempDir(), "out")
	for round := range 2 {
		m := drop(t, src)
		if s, err := archive.ExportFiles(ctx, m, dir, nil); err != nil || int(s.Skipped) != round*len(hard) {
			t.Fatalf("%+v, %v", s, err)
		}
		m.Close()
	}
	in, err := archive.FromFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	back := store(t, t.TempDir())
	if s, err := archive.Import(ctx, back, user, in, archive.Options{}); err != nil || int(s.Done) != len(hard) {
		t.Fatalf("%+v, %v", s, err)
	}
	_, got := holds(t, back)
	if want := slices.Sorted(slices.Values(hard)); !slices.Equal(got, want) {
		t.Error("messages changed")
	}
}

// checkNothingLost: every line of an mbox that is neither empty nor a From_ line is in a
// message, in order.
func checkNothingLost(t *testing.T, file []byte) {
	t.Helper()
	var want, got []byte
	for i, line := range bytes.SplitAfter(bytes.TrimLeft(file, "\r\n"), []byte("\n")) {
		if _, from := archive.FromLine(line); i > 0 && !from && len(bytes.TrimRight(line, "\r\n")) > 0 {
			want = append(want, line...)
		}
	}
	src := archive.FromMbox(bytes.NewReader(file), archive.MboxO, "")
	for {
		m, err := src.Next()
		if errors.Is(err, archive.ErrDoubtful) {
			continue
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return // refused, and so nothing is lost without a word
		}
		b, err := io.ReadAll(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			if len(bytes.TrimRight(line, "\r\n")) > 0 {
				got = append(got, line...)
			}
		}
	}
	want = bytes.ReplaceAll(append([]byte("\n"), want...), []byte("\n>From "), []byte("\nFrom "))[1:]
	if !bytes.Equal(got, want) {
		t.Fatalf("in the messages: %q, in the file: %q", got, want)
	}
}

// FuzzMbox: no file, however broken, makes the reader fail or loop, and what
// mboxrd wrote it reads back.
func FuzzMbox(f *testing.F) {
	f.Add([]byte("From x\nContent-Length: 5\n\nab\n\nFrom y Thu Jan  1 00:00:00 1970\n\n"), uint8(2))
	f.Add([]byte("From x\n\n\n\nFrom y\n>From\n"), uint8(0))
	f.Add([]byte("From x\nStatus: RO\n\nFrom me\nFrom y Thu Jan  1 00:00:00 1970\n\n>From y\n\nFrom z\nX: y\n"), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, k uint8) {
		src := archive.FromMbox(bytes.NewReader(data), archive.Flavour(k%4+1), "")
		total := 0
		for {
			m, err := src.Next()
			if err != nil {
				if errors.Is(err, archive.ErrDoubtful) {
					continue
				}
				if err != io.EOF && !errors.Is(err, archive.ErrNotMbox) && !errors.Is(err, archive.ErrCRLines) {
					t.Fatal(err)
				}
				break
			}
			b, err := io.ReadAll(m.Body)
			if err != nil {
				t.Fatal(err)
			}
			total += len(b)
		}
		if total > len(data) {
			t.Fatalf("%d octets out of %d", total, len(data))
		}
		checkNothingLost(t, data)
		// Any text as a message, there and back.
		msg := "A: b\n\n" + strings.ReplaceAll(string(data), "\r", "") + "\n"
		var file bytes.Buffer
		w := archive.NewMboxWriter(&file, archive.MboxRD)
		for range 2 {
			if _, err := w.Add(time.Time{}, func() (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(msg)), nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
		src = archive.FromMbox(&file, archive.MboxRD, "")
		for range 2 {
			m, err := src.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(m.Body); string(b) != msg {
				t.Fatalf("%q became %q", msg, b)
			}
		}
	})
}

// TestMaxMessage: a message that is too large is named, whatever was said of its size, and the others come.
func TestMaxMessage(t *testing.T) {
	s := store(t, t.TempDir())
	mbox := "From a@b Mon Jan  1 00:00:00 2024\nSubject: 1\n\nsmall\n\nFrom a@b Mon Jan  1 00:00:00 2024\nSubject: 2\n\n" + strings.Repeat("x", 5000) +
		"\n\nFrom a@b Mon Jan  1 00:00:00 2024\nSubject: 3\n\nsmall too\n"
	src := archive.FromMbox(strings.NewReader(mbox), archive.MboxRD, "")
	var failed []error
	stats, err := archive.Import(t.Context(), s, "a@b.test", src, archive.Options{MaxMessage: 1000, Problem: func(_ string, err error) { failed = append(failed, err) }})
	if err != nil || stats.Done != 2 || len(failed) != 1 || !errors.Is(failed[0], archive.ErrTooLarge) {
		t.Errorf("%+v, %v, %v", stats, failed, err)
	}
}
