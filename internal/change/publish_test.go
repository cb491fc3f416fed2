package change

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// watched is a file system that tells which directories were made durable, and of which one call fails.
type watched struct {
	durable.FS
	n    *mailtest.Nth
	dirs []string
}

func (w *watched) Covers(string) bool { return false }
func (w *watched) SyncAll() error     { return errors.ErrUnsupported }

func (w *watched) Create(name string) (durable.File, error) {
	if err := w.n.Fail("create"); err != nil {
		return nil, err
	}
	f, err := w.FS.Create(name)
	return &watchedFile{f, w.n}, err
}

func (w *watched) Rename(old, name string) error {
	if err := w.n.Fail("rename"); err != nil {
		return err
	}
	return w.FS.Rename(old, name)
}

func (w *watched) SyncDir(name string) error {
	if err := w.n.Fail("sync a folder"); err != nil {
		return err
	}
	w.dirs = append(w.dirs, name)
	return w.FS.SyncDir(name)
}

type watchedFile struct {
	durable.File
	n *mailtest.Nth
}

func (f *watchedFile) Write(p []byte) (int, error) {
	if err := f.n.Fail("write"); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *watchedFile) Sync() error {
	if err := f.n.Fail("sync a file"); err != nil {
		return err
	}
	return f.File.Sync()
}

// newNames are three edits: of both files, and of one that is new.
func newNames(dir string) []*conf.Edit {
	edits := []*conf.Edit{{File: filepath.Join(dir, "c.conf"), Text: []byte("{} // new\n"), New: true}}
	for _, name := range []string{"a.conf", "b.conf"} {
		edits = append(edits, &conf.Edit{File: filepath.Join(dir, name), Was: []byte(town[name]), Text: []byte("{} // other\n")})
	}
	return edits
}

// TestDiskFails: whatever the disk refuses, and when, a change that is not made leaves all files as they were; one that is
// made is durable, each folder of its files, and so is the list of what is to happen, before the first file is replaced.
func TestDiskFails(t *testing.T) {
	failed := mailtest.EachCall(t, func(t *testing.T, n *mailtest.Nth) {
		_, dir := folder(t)
		elsewhere := t.TempDir()
		real := filepath.Join(elsewhere, "b.conf") // in another folder
		if err := errors.Join(os.Rename(filepath.Join(dir, "b.conf"), real), os.Symlink(real, filepath.Join(dir, "b.conf"))); err != nil {
			t.Fatal(err)
		}
		disk, err := durable.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer disk.Close()
		w := &watched{FS: disk.FS(), n: n}
		p := &publication{folder: dir, disk: durable.New(w)}
		err = func() error {
			defer p.clean()
			for _, e := range newNames(dir) {
				if err := p.prepare(e, false); err != nil {
					return err
				}
			}
			return p.publish(t.Context())
		}()
		if n.Failed() != "" {
			if !errors.Is(err, mailtest.ErrNth) {
				t.Errorf("%s failed, and Apply says %v", n.Failed(), err)
			}
			untouched(t, dir, nil)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range newNames(dir) {
			if is := read(t, e.File); is != string(e.Text) {
				t.Errorf("%s holds %q", e.File, is)
			}
		}
		last := slices.Compact(slices.Sorted(slices.Values(w.dirs)))
		want := []string{dir, elsewhere}
		slices.Sort(want)
		if !slices.Equal(last, want) {
			t.Errorf("made durable: %v, want %v", last, want)
		}
		for _, in := range want {
			list, _ := os.ReadDir(in)
			for _, e := range list {
				if strings.HasPrefix(e.Name(), ".") {
					t.Errorf("%s is left", e.Name())
				}
			}
		}
	})
	for _, want := range []string{"create", "write", "sync a file", "rename", "sync a folder"} {
		if !slices.Contains(failed, want) {
			t.Errorf("%q was never tried: %v", want, failed)
		}
	}
}

// TestOneFileNeedsNoJournal: a change of one file is one step, of which nothing has to be written down.
func TestOneFileNeedsNoJournal(t *testing.T) {
	f, dir := folder(t)
	f.step = func() {
		if _, err := os.Stat(filepath.Join(dir, journalName)); err == nil {
			t.Error("something is written down")
		}
	}
	if _, err := f.Apply(t.Context(), addAlias(dir, "x@mail.test", "alice@mail.test")); err != nil {
		t.Fatal(err)
	}
}

// TestHandEditBesideNew: where a file was changed by hand, one that was to be new is not there either.
func TestHandEditBesideNew(t *testing.T) {
	for last := range 2 {
		_, dir := folder(t)
		edits := newNames(dir)
		hand := "{} // by hand\n"
		write(t, edits[1+last].File, hand)
		if err := New(t.Context(), dir, edits); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), filepath.Base(edits[1+last].File)) {
			t.Error(err)
		}
		untouched(t, dir, map[string]string{filepath.Base(edits[1+last].File): hand})
	}
}

// TestSwapUndone: what is found to be changed behind the exchange is put back.
func TestSwapUndone(t *testing.T) {
	_, dir := folder(t)
	name := filepath.Join(dir, "a.conf")
	p := &publication{folder: dir}
	defer p.clean()
	if err := p.prepare(&conf.Edit{File: name, Was: []byte(town["a.conf"]), Text: []byte("{}")}, false); err != nil {
		t.Fatal(err)
	}
	hand := "{} // by hand\n"
	if err := p.texts[0].exchange(func() { write(t, name, hand) }); !errors.Is(err, ErrChanged) || p.texts[0].done {
		t.Error(err, p.texts[0].done)
	}
	if is := read(t, name); is != hand {
		t.Errorf("%q", is)
	}
}

// TestRelativePath: a configuration that is named from where its owner stands.
func TestRelativePath(t *testing.T) {
	_, dir := folder(t)
	t.Chdir(dir)
	f := Files{Path: "."}
	if _, err := f.Apply(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	if is := read(t, "b.conf"); !strings.Contains(is, "robert@mail.test") {
		t.Error(is)
	}
	t.Chdir(filepath.Dir(dir))
	f = Files{Path: filepath.Join(filepath.Base(dir), "a.conf")} // one file
	if _, err := f.Apply(t.Context(), addAlias(f.Path, "x@mail.test", "alice@mail.test")); err != nil {
		t.Fatal(err)
	}
	if is := read(t, f.Path); !strings.Contains(is, "x@mail.test") {
		t.Error(is)
	}
}

// TestRecoverAnyStep: from wherever a change was cut short all files are as they were, or all as they are to be; also if what
// undoes it is cut short itself, and begins anew.
func TestRecoverAnyStep(t *testing.T) {
	for done := range 4 {
		for _, placed := range []string{"last", "first"} { // the new file
			_, dir := folder(t)
			edits := newNames(dir)
			if placed == "last" {
				edits = append(edits[1:], edits[0])
			}
			p := &publication{folder: dir}
			for _, e := range edits {
				if err := p.prepare(e, false); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.writeDown(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, text := range p.texts[:done] {
				if err := text.exchange(func() {}); err != nil {
					t.Fatal(err)
				}
			}
			p.disk.Close()
			journal := read(t, p.journal())
			want := map[string]string{}
			if done == len(edits) {
				for _, e := range edits {
					want[filepath.Base(e.File)] = string(e.Text)
				}
			}
			for round := range 3 {
				if err := Recover(t.Context(), dir); err != nil {
					t.Fatalf("%d of %d, the new one %s, round %d: %v", done, len(edits), placed, round, err)
				}
				untouched(t, dir, want)
				if _, err := os.Stat(filepath.Join(dir, "c.conf")); (err == nil) != (done == len(edits)) {
					t.Errorf("%d of %d, the new one %s: %v", done, len(edits), placed, err)
				}
				write(t, p.journal(), journal) // its removal was not durable
			}
		}
	}
}

// TestRecoverNothing: where no change was cut short nothing is locked, and nothing is written.
func TestRecoverNothing(t *testing.T) {
	_, dir := folder(t)
	unlock, err := lock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := Recover(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if err := Recover(t.Context(), filepath.Join(dir, "a.conf")); err != nil {
		t.Error(err)
	}
	untouched(t, dir, nil)
}

// TestJournalIsTheOwners: what is written down belongs to whom the folder belongs, as whom the server runs.
func TestJournalIsTheOwners(t *testing.T) {
	_, dir := folder(t)
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, 4321, 4321); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := Files{Path: dir}
	seen := 0
	f.step = func() {
		info, err := os.Stat(filepath.Join(dir, journalName))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		seen++
		if err != nil || ownerOf(info) != ownerOf(want) || info.Mode().Perm() != 0o600 {
			t.Error(info, err)
		}
	}
	if _, err := f.Apply(t.Context(), both); err != nil || seen == 0 {
		t.Error(seen, err)
	}
}

// TestLockGivesWay: who comes while another is at it waits; who gives up is told, and the folder is free afterwards.
func TestLockGivesWay(t *testing.T) {
	f, dir := folder(t)
	mailtest.Descriptors(t, func() {
		if _, err := f.Apply(t.Context(), func(*conf.Settings) ([]*conf.Edit, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
	})
	unlock, err := lock(t.Context(), filepath.Join(dir, "a.conf"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, dir); err == nil || !strings.Contains(err.Error(), "somebody else is changing the configuration") {
		t.Error(err)
	}
	came := make(chan error, 1)
	go func() {
		again, err := lock(t.Context(), dir)
		if err == nil {
			again()
		}
		came <- err
	}()
	select {
	case err := <-came:
		t.Error("it did not wait:", err)
	default:
	}
	unlock()
	if err := <-came; err != nil {
		t.Error(err)
	}
	if _, err := lock(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
