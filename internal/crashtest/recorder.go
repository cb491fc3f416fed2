// Package crashtest finds out what a power cut would leave behind. A [Recorder]
// stands on the seam of package durable and writes down every operation;
// [Recorder.Crash] takes any prefix of that record and makes a directory such as
// a disk could hold after a crash at that point: what was synced is there, and what
// was not is there, partly there, or not there.
//
// The model is stricter than the file systems in use: every unsynced name may
// or may not have been made, in any combination, and the unsynced part of a file
// may be missing, short, zeros or full of holes. It grants two things that all of them do: a
// rename within one directory is atomic, and one between two directories never
// loses the file. It grants a third to files without a name, which is why only
// file systems that do it are given any: contents
// synced before there was a name are there when the name is.
package crashtest

import (
	"bytes"
	"errors"
	"sync"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

type kind uint8

const (
	create kind = iota + 1
	unnamed
	write
	writeAt
	mkdir
	link
	linkFile
	rename
	remove
	syncStart // of a file, a directory or, with no name, everything
	syncDone
	mark
)

// event is one line of the record.
type event struct {
	kind     kind
	name, to string
	data     []byte
	off      int // of a writeAt
	start    int // of a syncDone: the index of its syncStart
}

// Recorder is a durable.FS that works on a real directory and records. Its
// syncs do nothing to the disk, they are only recorded.
type Recorder struct {
	*Unnamed
	// Forget, if set, is asked about each sync: "file", "dir" or "all", and
	// the name. One it returns true for is reported as done but not recorded,
	// as if that sync had been left out of the code: the checker must notice.
	Forget func(what, name string) bool
	// Each makes syncing everything at once unsupported, as most systems do.
	// Whole makes every sync one of everything.
	Each, Whole bool

	mu     sync.Mutex
	events []event
}

// NewRecorder records what is done through it below root.
func NewRecorder(root string) (*Recorder, error) {
	fsys, err := NewUnnamed(root)
	if err != nil {
		return nil, err
	}
	return &Recorder{Unnamed: fsys}, nil
}

// Mark writes a label into the record: an acknowledgement, for instance.
func (r *Recorder) Mark(label string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event{kind: mark, name: label})
}

// Len is the number of events so far.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// Marks lists the labels among the first n events.
func (r *Recorder) Marks(n int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.events[:n] {
		if e.kind == mark {
			out = append(out, e.name)
		}
	}
	return out
}

// do runs an operation and records it if it succeeded, without letting another
// one in between.
func (r *Recorder) do(e event, op func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := op(); err != nil {
		return err
	}
	r.events = append(r.events, e)
	return nil
}

// sync records the beginning and the end: what is written between the two is
// not covered, and whoever waits goes on only after the end.
func (r *Recorder) sync(what, name string) error {
	if r.Whole {
		what, name = "all", ""
	}
	if r.Forget != nil && r.Forget(what, name) {
		return nil
	}
	r.mu.Lock()
	start := len(r.events)
	r.events = append(r.events, event{kind: syncStart, name: name})
	r.mu.Unlock()
	r.mu.Lock()
	r.events = append(r.events, event{kind: syncDone, name: name, start: start})
	r.mu.Unlock()
	return nil
}

// Create implements durable.FS.
func (r *Recorder) Create(name string) (durable.File, error) {
	var f durable.File
	err := r.do(event{kind: create, name: name}, func() (err error) {
		f, err = r.Unnamed.Create(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &file{File: f, r: r}, nil
}

// CreateUnnamed implements durable.FS.
func (r *Recorder) CreateUnnamed(dir string) (durable.File, error) {
	// The name is only known afterwards, and no other event may come between.
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.Unnamed.CreateUnnamed(dir)
	if err != nil {
		return nil, err
	}
	r.events = append(r.events, event{kind: unnamed, name: f.Name()})
	return &file{File: f, r: r}, nil
}

// LinkFile implements durable.FS.
func (r *Recorder) LinkFile(f durable.File, newname string) error {
	return r.do(event{kind: linkFile, name: f.Name(), to: newname}, func() error {
		return r.Unnamed.LinkFile(f.(*file).File, newname)
	})
}

// Mkdir implements durable.FS.
func (r *Recorder) Mkdir(name string) error {
	return r.do(event{kind: mkdir, name: name}, func() error { return r.Unnamed.Mkdir(name) })
}

// Link implements durable.FS.
func (r *Recorder) Link(oldname, newname string) error {
	return r.do(event{kind: link, name: oldname, to: newname}, func() error { return r.Unnamed.Link(oldname, newname) })
}

// Rename implements durable.FS.
func (r *Recorder) Rename(oldname, newname string) error {
	return r.do(event{kind: rename, name: oldname, to: newname}, func() error { return r.Unnamed.Rename(oldname, newname) })
}

// Remove implements durable.FS.
func (r *Recorder) Remove(name string) error {
	return r.do(event{kind: remove, name: name}, func() error { return r.Unnamed.Remove(name) })
}

// SyncDir implements durable.FS.
func (r *Recorder) SyncDir(name string) error { return r.sync("dir", name) }

// SyncAll implements durable.FS.
func (r *Recorder) SyncAll() error {
	if r.Each {
		return errors.ErrUnsupported
	}
	return r.sync("all", "")
}

// Covers implements durable.FS: everything recorded is on one file system.
func (r *Recorder) Covers(string) bool { return true }

type file struct {
	durable.File
	r *Recorder
}

func (f *file) Write(p []byte) (n int, err error) {
	err = f.r.do(event{kind: write, name: f.Name(), data: bytes.Clone(p)}, func() error {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.r.do(event{kind: writeAt, name: f.Name(), data: bytes.Clone(p), off: int(off)}, func() error {
		n, err = f.File.WriteAt(p, off)
		return err
	})
	return n, err
}

func (f *file) Sync() error { return f.r.sync("file", f.Name()) }
