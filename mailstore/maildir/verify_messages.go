package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// messages verifies one Maildir: a mailbox or a folder of one.
type messages struct {
	*verifier
	user string
	dir  string
	seen map[string]string // uid -> path
}

func (m *messages) found(path, what, repair string, do func() error) {
	m.verifier.found(Problem{User: m.user, Path: path, What: what, Repair: repair}, do)
}

func (m *messages) run() error {
	// cur first: what a repair moves from new to cur is then not met again.
	for _, sub := range []string{"cur", "new"} {
		if err := m.list(sub, func(e os.DirEntry) { m.message(sub, e.Name()) }); err != nil {
			return err
		}
	}
	if err := m.list("tmp", m.forgotten); err != nil {
		return err
	}
	return m.list("", m.lost)
}

// list calls fn for each regular file of a directory.
func (m *messages) list(sub string, fn func(e os.DirEntry)) error {
	dir := filepath.Join(m.dir, sub)
	if sub != "" && !m.place(m.user, dir) {
		return nil
	}
	ents, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		m.found(dir, "cannot be read: "+reason(err), "", nil)
		return nil
	}
	for _, e := range ents {
		if err := m.ctx.Err(); err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case e.Type().IsRegular():
			fn(e)
		case sub == "cur" || sub == "new":
			m.found(filepath.Join(dir, e.Name()), "is no regular file, so it is not shown", "", nil)
		}
	}
	return nil
}

// message verifies one file: can it be read, is it what its name says, is it
// where it belongs, is its id its own.
func (m *messages) message(sub, name string) {
	path := filepath.Join(m.dir, sub, name)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return // moved or removed meanwhile
	}
	m.sum.Messages++
	if err != nil {
		m.found(path, "cannot be read: "+reason(err), "mode set to 0600", func() error { return os.Chmod(path, 0o600) })
		return
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Mode().Perm()&0o004 == 0 {
		m.foreign(m.user, path, info)
	}
	disk, wire, err := wireSize(file)
	if err != nil {
		m.found(path, "cannot be read: "+reason(err)+": restore it from a backup", "", nil)
		return
	}
	m.sum.Octets += disk
	f := parseName(name)
	if f.exact {
		wire = disk
	}
	if f.seal != "" { // what is inside is for mailstore/sealed to judge
		wire = f.wire
	}
	m.compare(sub, name, f, disk, wire)
}

// compare judges a message that could be read. Several things may be wrong with
// it at once; one new name puts all of them right.
func (m *messages) compare(sub, name string, f fields, disk, wire int64) {
	path := filepath.Join(m.dir, sub, name)
	var what, repair []string
	start, uid := base(name), ""
	if f.uid != start {
		uid = f.uid
	}
	resize := false
	if said := lies(f, disk, wire); said != "" {
		what, repair, resize = append(what, said), append(repair, "renamed to tell the truth"), true
	}
	if other, twice := m.seen[f.uid]; twice {
		what = append(what, "unique id is also that of "+filepath.Base(other))
		repair = append(repair, "renamed to an id of its own")
		start, uid, resize = m.s.name.next(timeOf(f)), "", true
	}
	to := sub
	if sub == "new" && f.flags != "" {
		what, repair, to = append(what, "has flags but is in new"), append(repair, "moved to cur"), "cur"
	}
	m.seen[f.uid] = path
	if len(what) == 0 {
		if disk == 0 && f.disk != 0 {
			m.found(path, "is empty; if it was a message, restore it from a backup", "", nil)
		}
		return
	}
	if resize {
		name = start + sizeFields(disk, wire, f.exact, f.seal, uid) + name[len(f.stable):]
	}
	m.found(path, strings.Join(what, ", and "), strings.Join(repair, ", "),
		func() error { return m.rename(path, filepath.Join(m.dir, to, name)) })
}

// lies says in what a name is not true.
func lies(f fields, disk, wire int64) string {
	switch {
	case f.disk > disk:
		return fmt.Sprintf("is damaged: %d of %d octets are missing (restore brings it back from a backup)", f.disk-disk, f.disk)
	case f.disk >= 0 && f.disk < disk:
		return fmt.Sprintf("name says %d octets, file has %d", f.disk, disk)
	case f.seal != "" && !f.possible():
		return fmt.Sprintf("name says that %d octets are in a sealed file of %d", f.wire, disk)
	case f.wire >= 0 && f.wire != wire:
		return fmt.Sprintf("name says %d octets on the wire, there are %d", f.wire, wire)
	}
	return ""
}

// forgotten looks at a file in tmp. One that is as long as its name says was
// finished; nobody will see it there, and the server clears tmp of old files.
func (m *messages) forgotten(e os.DirEntry) {
	info, err := e.Info()
	if err != nil || time.Since(lastTouched(info)) < tmpAge {
		return
	}
	if f := parseName(e.Name()); f.disk == info.Size() {
		m.misplaced("tmp", e.Name(), f)
	}
}

// lost looks at a file beside tmp, new and cur: other programs keep lists of
// their own there, but nothing that is called like a message.
func (m *messages) lost(e os.DirEntry) {
	f := parseName(e.Name())
	parts := strings.SplitN(base(e.Name()), ".", 3)
	if f.sec > 1e8 && len(parts) == 3 || f.disk >= 0 {
		m.misplaced("", e.Name(), f)
	}
}

func (m *messages) misplaced(sub, name string, f fields) {
	to := "new"
	if f.flags != "" {
		to = "cur"
	}
	path := filepath.Join(m.dir, sub, name)
	m.found(path, "is a message outside of new and cur, where nobody sees it", "moved to "+to,
		func() error { return m.rename(path, filepath.Join(m.dir, to, name)) })
}
