package durable_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

func (d *diary) Mkdir(name string) error {
	d.note("mkdir", name)
	if filepath.Base(name) == "found" {
		return fs.ErrExist
	}
	return nil
}

// TestParents: each directory, found or made, is synced in its parent, and each
// parent once.
func TestParents(t *testing.T) {
	d := &diary{}
	err := durable.New(d).MkdirAll(context.Background(), "/near", "/near/found/made/new", "/near/found/cur", "/near")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"mkdir /near/found", "mkdir /near/found/made", "mkdir /near/found/made/new", "mkdir /near/found", "mkdir /near/found/cur",
		"sync /near", "sync /near/found", "sync /near/found/made"}
	if !slices.Equal(d.lines, want) {
		t.Errorf("%q", d.lines)
	}
	if err := durable.New(d).MkdirAll(context.Background(), "/near/found", "/near/else"); err == nil {
		t.Error("a directory that is not below the root was made")
	}
}

// TestModes: what is made is its owner's alone, and takes nobody's place.
func TestModes(t *testing.T) {
	dir := t.TempDir()
	fsys := openDisk(t, dir, modes["each"]).FS()
	made, sub := filepath.Join(dir, "file"), filepath.Join(dir, "dir")
	f, err := fsys.Create(made)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Write([]byte("x"))
	if err := fsys.Mkdir(sub); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{made: 0o600, sub: 0o700 | fs.ModeDir} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if _, err := fsys.Create(made); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the same name again: %v", err)
	}
	if err := fsys.Mkdir(sub); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the same directory again: %v", err)
	}
	if text, err := os.ReadFile(made); err != nil || string(text) != "x" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestReplaceLeft: what a crash or a full disk left of a replacement is in nobody's
// way, and a refused one leaves nothing.
func TestReplaceLeft(t *testing.T) {
	dir := t.TempDir()
	fsys := &crashtest.Faulty{FS: openDisk(t, dir, modes["each"]).FS()}
	d := durable.New(fsys)
	name := filepath.Join(dir, "state")
	if err := os.WriteFile(name+".tmp", []byte("left behind, and longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.ReplaceFile(context.Background(), name, []byte("one")); err != nil || !is(dir, "state=one") {
		t.Errorf("with something left: %v", err)
	}
	fsys.FailAt(2, syscall.ENOSPC) // the write
	if err := d.ReplaceFile(context.Background(), name, []byte("two")); !errors.Is(err, syscall.ENOSPC) || fsys.Failed() != "write "+filepath.Base(dir)+"/state.tmp" {
		t.Errorf("on a full disk: %v, %s", err, fsys.Failed())
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 || !is(dir, "state=one") || fsys.Open() != 0 {
		t.Errorf("left: %v, %d files open", entries, fsys.Open())
	}
	for at := 3; at < 10; at++ { // close, syncs, the rename
		dir := t.TempDir()
		fsys := &crashtest.Faulty{FS: openDisk(t, dir, modes["each"]).FS()}
		fsys.FailAt(at, syscall.EIO)
		err := durable.New(fsys).ReplaceFile(context.Background(), filepath.Join(dir, "state"), []byte("one"))
		if fsys.Failed() == "" {
			break
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 1 || len(entries) == 1 && entries[0].Name() != "state" || !errors.Is(err, syscall.EIO) {
			t.Errorf("%s fails: %v, left: %v", fsys.Failed(), err, entries)
		}
	}
}
