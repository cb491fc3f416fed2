package archive_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/archive"
)

// TestFromDirectory: a directory stands for the regular files in it that end in
// .eml, in whatever case.
func TestFromDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.eml", "b.EML", "c.txt", "eml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "d.eml"), 0o700); err != nil {
		t.Fatal(err)
	}
	src, err := archive.FromFiles(dir, filepath.Join(dir, "c.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if got := all(t, src); !slices.Equal(got, []string{"a.eml", "b.EML", "c.txt"}) {
		t.Errorf("%q", got)
	}
}

// TestFileNames: every id is a file's name, and no other id's; what is there
// already is left as it is.
func TestFileNames(t *testing.T) {
	ids := []string{"plain", ".hidden", "a.b", "../up", `back\slash`, "a:b", "a*b?c", `"<|>"`, "100%"}
	want := []string{"%2ehidden.eml", "plain.eml", "a.b.eml", "%2e.%2fup.eml", "back%5cslash.eml", "a%3ab.eml", "a%2ab%3fc.eml", "%22%3c%7c%3e%22.eml", "100%25.eml"}
	dir := t.TempDir()
	for range 2 {
		st, err := archive.ExportFiles(context.Background(), named(ids), dir, nil)
		if err != nil || st.Done+st.Skipped != int64(len(ids)) || st.Octets != 3*st.Done || st.Failed != 0 {
			t.Fatalf("%+v, %v", st, err)
		}
	}
	ents, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range ents {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// named is a maildrop of messages with these ids.
type named []string

var _ mailstore.Maildrop = named{}

func (n named) Len() int         { return len(n) }
func (n named) Size(int) int64   { return 3 }
func (n named) UID(i int) string { return n[i] }
func (n named) Open(context.Context, int) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("x\r\n")), nil
}
func (n named) Remove(context.Context, []int) error { return nil }
func (n named) Close() error                        { return nil }

// TestLeftoverIsNotTaken: what an interrupted export has left, or somebody has put in its
// place, is not written to.
func TestLeftoverIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	s := store(t, filepath.Join(dir, "mail"))
	fill(t, s, "Subject: secret\r\n\r\nx\r\n")
	m := drop(t, s)
	defer m.Close()
	out, others := filepath.Join(dir, "out"), filepath.Join(dir, "others")
	if err := os.MkdirAll(out, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(others, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(out, m.UID(0)+".eml.partial")
	if err := os.Symlink(others, part); err != nil {
		t.Fatal(err)
	}
	sum, err := archive.ExportFiles(t.Context(), m, out, nil)
	if err != nil || sum.Done != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if text, err := os.ReadFile(others); err != nil || string(text) != "theirs" {
		t.Errorf("their file holds %q, %v", text, err)
	}
	info, err := os.Lstat(filepath.Join(out, m.UID(0)+".eml"))
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
		t.Errorf("the export is %v, %v", info, err)
	}
	if _, err := os.Lstat(part); err == nil {
		t.Error("the leftover is there still")
	}
	again, err := archive.ExportFiles(t.Context(), m, out, nil)
	if err != nil || again.Done != 0 {
		t.Errorf("what is there is exported again: %+v, %v", again, err)
	}
}
