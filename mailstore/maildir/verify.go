package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider-mail/postrider/internal/durable"
	"github.com/postrider-mail/postrider/mailstore"
)

// Problem is something Verify found.
type Problem struct {
	User   string // the mailbox, "" for the store as a whole
	Path   string // below the root
	What   string // what is wrong, in words
	Repair string // what would put it right, "" if only a person can
	Fixed  bool   // that was done
}

// String is the problem on one line.
func (p Problem) String() string {
	s := p.Path + ": " + p.What
	switch {
	case p.Fixed:
		s += "; " + p.Repair
	case p.Repair != "":
		s += "; -fix: " + p.Repair
	}
	return s
}

// Verified sums a verification up.
type Verified struct {
	Mailboxes, Messages, Problems, Fixed int64
	Octets                               int64 // on the disk
}

// Verify reads every message of every mailbox and compares it with its name. It
// reports unreadable and misplaced files, sizes that are not true, and unique
// ids that occur twice. With fix it repairs what can be repaired by giving a
// file a true or unique name or its right place, holding the mailbox's lock
// meanwhile. It never deletes anything and never changes a message. It may run
// beside the daemon.
func (s *Store) Verify(ctx context.Context, fix bool, report func(Problem)) (Verified, error) {
	v := &verifier{s: s, ctx: ctx, fix: fix && s.mode != ReadOnly, report: report}
	err := s.walk(ctx, func(domain, local, user string) bool {
		v.err = v.mailbox(user)
		return v.err == nil
	})
	if err == nil {
		err = v.err
	}
	if err == nil && !s.single {
		err = v.strays()
	}
	return v.sum, wrap("maildir: verify", err)
}

type verifier struct {
	s      *Store
	ctx    context.Context
	fix    bool
	report func(Problem)
	sum    Verified
	err    error
}

// found reports a problem. repair does what is said in p.Repair.
func (v *verifier) found(p Problem, repair func() error) {
	if rel, err := filepath.Rel(v.s.root, p.Path); err == nil {
		p.Path = rel
	}
	v.sum.Problems++
	if v.fix && repair != nil {
		if err := repair(); err != nil {
			p.What += fmt.Sprintf(" (repair failed: %v)", err)
		} else {
			p.Fixed = true
			v.sum.Fixed++
		}
	}
	v.report(p)
}

// mailbox verifies one mailbox.
func (v *verifier) mailbox(user string) error {
	b, err := v.s.box(user)
	if err != nil {
		return err
	}
	v.sum.Mailboxes++
	for _, sub := range []string{"tmp", "new", "cur"} {
		if _, err := os.Stat(b.sub(sub, "")); errors.Is(err, fs.ErrNotExist) {
			v.found(Problem{User: user, Path: b.sub(sub, ""), What: "directory is missing", Repair: "made"},
				func() error { return v.s.c.MkdirAll(v.ctx, v.s.root, b.sub(sub, "")) })
		}
	}
	if v.fix {
		lock, err := b.lock()
		if errors.Is(err, mailstore.ErrLocked) {
			v.found(Problem{User: user, Path: b.dir, What: "mailbox is in use, not verified: try again"}, nil)
			return nil
		}
		if err != nil {
			return err
		}
		defer lock.Close()
	}
	return v.messages(b)
}

func (v *verifier) messages(b *box) error {
	seen := make(map[string]string) // uid -> path
	// cur first: what a repair moves from new to cur is then not met again.
	for _, sub := range []string{"cur", "new"} {
		ents, err := os.ReadDir(b.sub(sub, ""))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range ents {
			if err := v.ctx.Err(); err != nil {
				return err
			}
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			path := b.sub(sub, e.Name())
			if !e.Type().IsRegular() {
				v.found(Problem{User: b.user, Path: path, What: "is no regular file"}, nil)
				continue
			}
			v.message(b, sub, e.Name(), seen)
		}
	}
	return nil
}

// message verifies one file: can it be read, is it what its name says, is it
// where it belongs, is its id its own.
func (v *verifier) message(b *box, sub, name string, seen map[string]string) {
	path := b.sub(sub, name)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return // moved or removed meanwhile
	}
	v.sum.Messages++
	if err != nil {
		v.found(Problem{User: b.user, Path: path, What: "cannot be read: " + err.Error(), Repair: "mode set to 0600"},
			func() error { return os.Chmod(path, 0o600) })
		return
	}
	disk, wire, err := wireSize(file)
	file.Close()
	if err != nil {
		v.found(Problem{User: b.user, Path: path, What: "cannot be read: " + err.Error()}, nil)
		return
	}
	v.sum.Octets += disk
	f := parseName(name)
	if f.exact {
		wire = disk
	}
	rename := func(newSub, newName string) func() error {
		return func() error { return v.rename(b, path, newSub, newName) }
	}
	suffix := name[len(f.stable):]
	switch other, twice := seen[f.uid]; {
	case f.disk >= 0 && f.disk != disk, f.wire >= 0 && f.wire != wire:
		uid := ""
		if f.uid != base(name) {
			uid = f.uid
		}
		v.found(Problem{User: b.user, Path: path,
			What:   fmt.Sprintf("name says %d octets (%d on the wire), file has %d (%d)", f.disk, f.wire, disk, wire),
			Repair: "renamed to tell the truth"},
			rename(sub, base(name)+sizeFields(disk, wire, f.exact, uid)+suffix))
	case twice:
		v.found(Problem{User: b.user, Path: path, What: "unique id is also that of " + filepath.Base(other),
			Repair: "renamed to an id of its own"},
			rename(sub, v.s.name.next(timeOf(f))+sizeFields(disk, wire, f.exact, "")+suffix))
	case sub == "new" && f.flags != "":
		v.found(Problem{User: b.user, Path: path, What: "has flags but is in new", Repair: "moved to cur"},
			rename("cur", name))
	}
	seen[f.uid] = path
}

// rename gives a message another name without ever putting one in another's
// place: a link is refused where a name is taken, a rename is not. The old name
// goes only when the new one is durable.
func (v *verifier) rename(b *box, path, sub, name string) error {
	err := v.s.c.Commit(v.ctx, &durable.Tx{Steps: []durable.Step{durable.Link(path, b.sub(sub, name))}})
	if err != nil {
		return err
	}
	return v.s.c.Commit(v.ctx, &durable.Tx{Steps: []durable.Step{durable.Remove(path)}})
}

// strays looks for what no mailbox is: mail there is seen by nobody.
func (v *verifier) strays() error {
	domains, err := os.ReadDir(v.s.root)
	if err != nil {
		return err
	}
	for _, d := range domains {
		if strings.HasPrefix(d.Name(), ".") {
			continue
		}
		dir := filepath.Join(v.s.root, d.Name())
		ents, err := os.ReadDir(dir)
		if err != nil {
			v.found(Problem{Path: dir, What: "is no directory of a domain"}, nil)
			continue
		}
		for _, e := range ents {
			path := filepath.Join(dir, e.Name())
			if _, ok := boxUser(d.Name(), e.Name()); !ok {
				v.found(Problem{Path: path, What: "is not how this store spells a mailbox"}, nil)
			} else if !isMaildir(path) && !unfinished(path) {
				v.found(Problem{Path: path, What: "is no Maildir"}, nil)
			}
		}
	}
	return nil
}

// unfinished reports whether a mailbox was being made when a crash came: nothing
// can be in it, and the next delivery completes it.
func unfinished(dir string) bool {
	ents, err := os.ReadDir(dir)
	return err == nil && (len(ents) == 0 || len(ents) == 1 && ents[0].Name() == "tmp")
}
