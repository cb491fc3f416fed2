package durable

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// Tx is one transaction: files already written, the names they are published
// under, and nothing in between that a crash could show.
//
// Files are made durable first; then the steps run, in order; then every
// directory a step touched is made durable. A transaction without Files, a
// removal for instance, has no first phase and costs one sync.
type Tx struct {
	// Files are written completely and still open. Commit makes their
	// contents durable and closes them, whatever it returns. One that
	// PublishFile names must be among them.
	Files []File
	// Steps publish. If one fails, those before it are undone (a removal
	// cannot be), and Commit returns its error.
	Steps []Step
	// Dirs are further directories to be made durable with the second phase,
	// beyond the parents of the names in Steps: those in which a directory
	// was made, for instance.
	Dirs []string
	// EarlyDirs are made durable together with Files, before any step runs:
	// the directory that is about to be renamed into place as a whole.
	EarlyDirs []string
	// Proven says that the published names prove their files (by size and
	// checksum) and that what a crash left torn is found and set aside before
	// anybody reads it. Steps then run without waiting for the contents, and
	// one sync makes both durable.
	Proven bool
}

// Step is one change of names. Make one with Link, Publish, PublishFile, Rename
// or Remove.
type Step struct {
	op       op
	old, new string
	file     File
}

type op uint8

const (
	opLink op = iota + 1
	opPublish
	opPublishFile
	opRename
	opReplace // a Rename that is not undone: the file it replaced is gone
	opRemove
)

// Link publishes oldname also as newname. It fails if newname exists.
func Link(oldname, newname string) Step { return Step{op: opLink, old: oldname, new: newname} }

// Publish renames oldname, which stands in a place that is cleaned at start, to
// newname. Only newname's directory is made durable: should a crash leave the
// old name behind as well, the cleaning takes it away.
func Publish(oldname, newname string) Step { return Step{op: opPublish, old: oldname, new: newname} }

// PublishFile gives a file that has no name (FS.CreateUnnamed) the name newname. It
// fails if newname exists. Several such steps give it several, but should somebody
// remove those it has before the next, that one fails.
func PublishFile(f File, newname string) Step { return Step{op: opPublishFile, file: f, new: newname} }

// Rename publishes oldname, a file or a directory, as newname, which should be
// free: a file of that name is replaced, and not brought back should the
// transaction fail. Disk.ReplaceFile is for that.
func Rename(oldname, newname string) Step { return Step{op: opRename, old: oldname, new: newname} }

// Remove takes a file or an empty directory away. One that is not there counts
// as removed.
func Remove(name string) Step { return Step{op: opRemove, old: name} }

func (s Step) run(fsys FS) error {
	switch s.op {
	case opLink:
		return fsys.Link(s.old, s.new)
	case opPublishFile:
		return fsys.LinkFile(s.file, s.new)
	case opRename, opPublish, opReplace:
		return fsys.Rename(s.old, s.new)
	case opRemove:
		if err := fsys.Remove(s.old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return errors.New("durable: zero Step")
}

// undo takes a step back as far as that is possible. Its errors have nobody
// to go to: the transaction has failed already, and what stays behind is a
// whole file that was not acknowledged.
func (s Step) undo(fsys FS) {
	switch s.op {
	case opLink, opPublishFile:
		_ = fsys.Remove(s.new)
	case opRename, opPublish:
		_ = fsys.Rename(s.new, s.old)
	}
}

// dirs lists each directory the second phase must make durable, once.
func (t *Tx) dirs() []string {
	out := make([]string, 0, len(t.Dirs)+2)
	add := func(d string) {
		// Few directories even for many steps: a linear look is the cheap one.
		for _, have := range out {
			if have == d {
				return
			}
		}
		out = append(out, d)
	}
	for _, d := range t.Dirs {
		add(d)
	}
	for _, s := range t.Steps {
		if s.new != "" {
			add(filepath.Dir(s.new))
		}
		if s.op == opRename || s.op == opRemove {
			add(filepath.Dir(s.old))
		}
	}
	return out
}

// publish runs the steps, all or, as far as they can be undone, none.
func (t *Tx) publish(fsys FS) error {
	for i, s := range t.Steps {
		if err := s.run(fsys); err != nil {
			t.unpublish(fsys, i)
			return err
		}
	}
	return nil
}

// unpublish undoes the first n steps in reverse order.
func (t *Tx) unpublish(fsys FS, n int) {
	for i := n - 1; i >= 0; i-- {
		t.Steps[i].undo(fsys)
	}
}

// names reports whether a step needs the files open.
func (t *Tx) names() bool {
	for _, s := range t.Steps {
		if s.op == opPublishFile {
			return true
		}
	}
	return false
}

func (t *Tx) closeFiles() error {
	var first error
	for _, f := range t.Files {
		if err := f.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
