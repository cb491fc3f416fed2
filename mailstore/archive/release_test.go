package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/archive"
)

// lending is a maildrop that counts the messages opened and not yet closed. One of them
// may be gone.
type lending struct {
	mailstore.Maildrop
	gone int // its number, -1 for none
	lent int
}

type loan struct {
	io.ReadCloser
	m *lending
}

func (l *lending) Open(ctx context.Context, i int) (io.ReadCloser, error) {
	if i == l.gone {
		return nil, fmt.Errorf("message %d: %w", i, mailstore.ErrGone)
	}
	r, err := l.Maildrop.Open(ctx, i)
	if err == nil {
		l.lent++
	}
	return loan{r, l}, err
}

func (l loan) Close() error {
	l.m.lent--
	return l.ReadCloser.Close()
}

// TestLetsGo: whoever reads messages closes each of them, whatever the format; and one
// that was removed meanwhile makes no export incomplete.
func TestLetsGo(t *testing.T) {
	ctx := context.Background()
	src := store(t, t.TempDir())
	fill(t, src, hard...)
	exports := map[string]func(m mailstore.Maildrop) (archive.Stats, error){
		"eml": func(m mailstore.Maildrop) (archive.Stats, error) {
			return archive.ExportFiles(ctx, m, t.TempDir(), nil)
		},
		"maildrop": func(m mailstore.Maildrop) (archive.Stats, error) {
			return archive.Import(ctx, store(t, t.TempDir()), user, archive.FromMaildrop(ctx, m), archive.Options{})
		},
	}
	for _, f := range flavours {
		exports[string(rune('0'+f))] = func(m mailstore.Maildrop) (archive.Stats, error) {
			return archive.ExportMbox(ctx, m, archive.NewMboxWriter(io.Discard, f), nil)
		}
	}
	for name, export := range exports {
		for _, gone := range []int{-1, 0, 3, len(hard) - 1} {
			m := &lending{drop(t, src), gone, 0}
			want := int64(len(hard))
			if gone >= 0 {
				want--
			}
			s, err := export(m)
			m.Close()
			if err != nil || s.Done != want || s.Failed != 0 {
				t.Errorf("%s, message %d is gone: %+v, %v", name, gone, s, err)
			}
			if open := m.lent; open > 1 || open != 0 && name != "maildrop" {
				t.Errorf("%s: %d messages are open still", name, open)
			}
		}
	}
}

// TestFilesLetGo: one file is open at a time, and none after the last.
func TestFilesLetGo(t *testing.T) {
	fds := func() int {
		ents, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(ents)
	}
	dir := t.TempDir()
	const files = 20
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".eml"), []byte("Subject: x\n\n.\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := fds()
	src, err := archive.FromFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range files {
		if _, err := src.Next(); err != nil {
			t.Fatal(err)
		}
		if n := fds(); n > before+1 {
			t.Fatalf("%d descriptors, %d before", n, before)
		}
	}
	if _, err := src.Next(); err != io.EOF {
		t.Error(err)
	}
	if n := fds(); n > before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
}

// TestListsLetGo: nor is a list of ids open once it has been read, well or badly.
func TestListsLetGo(t *testing.T) {
	for _, text := range []string{"3 V1690000000 N4\n1 :17.M1\n", "no list"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "dovecot-uidlist"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		mailtest.Descriptors(t, func() { _, _ = archive.KnownIDs(dir, "") })
	}
}

// TestHeadersCutShort: a message that ends within its header, or before it, comes out of
// the counted flavours with their field and its own octets.
func TestHeadersCutShort(t *testing.T) {
	for _, mail := range []string{"", "Subject: x", "Subject: x\n", "From : y", "From x\nSubject: x", "Content-Length: 5", "\n", "\n\n"} {
		for _, f := range flavours {
			var file bytes.Buffer
			file.WriteString(mboxOf(t, f, func(r io.Reader) io.Reader { return r }, mail, "Subject: behind\n\n.\n"))
			want := mail
			if want != "" && !strings.HasSuffix(want, "\n") {
				want += "\n"
			}
			got := all(t, archive.FromMbox(&file, f, ""))
			if len(got) != 2 || got[0] != want || got[1] != "Subject: behind\n\n.\n" {
				t.Errorf("flavour %d: %q became %q", f, mail, got)
			}
		}
	}
}

// lendingStore is a store whose maildrops count what is open.
type lendingStore struct {
	mailstore.Store
	drops []*lending
}

func (s *lendingStore) Open(ctx context.Context, user string) (mailstore.Maildrop, error) {
	m, err := s.Store.Open(ctx, user)
	if err != nil {
		return nil, err
	}
	l := &lending{m, -1, 0}
	s.drops = append(s.drops, l)
	return l, nil
}

// TestComparingLetsGo: so does who compares messages with those that are there; and the
// mailbox can be opened by others afterwards.
func TestComparingLetsGo(t *testing.T) {
	dst := &lendingStore{Store: store(t, t.TempDir())}
	file := fromLine + "X-UIDL: 1\n\na\n\n" + fromLine + "X-UIDL: 2\n\nb\n\n"
	for _, text := range []string{file, file, strings.ReplaceAll(file, "b\n", "c\n")} {
		if _, err := archive.Import(context.Background(), dst, user, archive.FromMbox(strings.NewReader(text), archive.MboxRD, ""), archive.Options{}); err != nil {
			t.Fatal(err)
		}
		for _, m := range dst.drops {
			if m.lent != 0 {
				t.Errorf("%d messages are open still", m.lent)
			}
		}
		m, err := dst.Store.Open(context.Background(), user)
		if err != nil {
			t.Fatal(err)
		}
		m.Close()
	}
	if len(dst.drops) < 5 {
		t.Errorf("the mailbox was opened %d times, and so nothing compared", len(dst.drops))
	}
}

// shutStore is a store none of whose messages can be opened.
type shutStore struct {
	mailstore.Store
	why error
}

type shutDrop struct {
	mailstore.Maildrop
	why error
}

func (s shutStore) Open(ctx context.Context, user string) (mailstore.Maildrop, error) {
	m, err := s.Store.Open(ctx, user)
	return shutDrop{m, s.why}, err
}

func (d shutDrop) Open(context.Context, int) (io.ReadCloser, error) { return nil, d.why }

// TestComparingWithTheUnreadable: where the message that is there under an id cannot be looked at because it is sealed,
// or gone by now, its id says that it came; where the disk fails, nobody knows, and that is said.
func TestComparingWithTheUnreadable(t *testing.T) {
	inner := store(t, t.TempDir())
	file := fromLine + "X-UIDL: 1\n\na\n\n"
	in := func(dst mailstore.Store) (archive.Stats, error) {
		return archive.Import(t.Context(), dst, user, archive.FromMbox(strings.NewReader(file), archive.MboxRD, ""), archive.Options{})
	}
	if s, err := in(inner); s.Done != 1 || err != nil {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, why := range []error{mailstore.ErrGone, mailstore.ErrSealed} {
		if s, err := in(shutStore{inner, fmt.Errorf("1: %w", why)}); s.Skipped != 1 || s.Done != 0 || err != nil {
			t.Errorf("%v: %+v, %v", why, s, err)
		}
	}
	if s, err := in(shutStore{inner, errDisk}); s.Skipped != 0 || !errors.Is(err, errDisk) {
		t.Errorf("%+v, %v", s, err)
	}
	if _, bodies := holds(t, inner); len(bodies) != 1 {
		t.Errorf("%d messages", len(bodies))
	}
}

// TestFromLineLength: a line is looked at up to 1024 octets.
func TestFromLineLength(t *testing.T) {
	const sender, date = "From ", " Thu Jan  1 00:01:40 1970"
	for n, want := range map[int]bool{1023: true, 1024: true, 1025: false} {
		line := sender + strings.Repeat("a", n-len(sender)-len(date)) + date
		if at, ok := archive.FromLine([]byte(line)); ok != want || ok && at.Unix() != 100 {
			t.Errorf("%d octets: %v, %v", len(line), at, ok)
		}
	}
}
