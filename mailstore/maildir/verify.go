package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// Problem is something Verify found.
type Problem struct {
	User   string // the mailbox, "" for the store as a whole
	Path   string // below the root
	What   string // what is wrong, in words
	Repair string // what would put it right, "" if only a person can
	Fixed  bool   // that was done
}

// String is the problem on one line, whatever octets the path holds.
func (p Problem) String() string {
	s := p.Path
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		s = strconv.Quote(s)
	}
	s += ": " + p.What
	switch {
	case p.Fixed:
		s += "; " + p.Repair
	case p.Repair != "":
		s += "; --fix: " + p.Repair
	}
	return s
}

// Verified sums a verification up.
type Verified struct {
	Mailboxes, Messages, Problems, Fixed int64
	Octets                               int64 // on the disk
}

// Verify reads every message of every mailbox and its folders and compares it
// with its name. It reports damaged, unreadable and misplaced files, sizes that are
// not true, unique ids that occur twice, and what is not the store's owner's. With
// fix it repairs what can be repaired by giving a file a true or unique name or its
// right place, holding the mailbox's lock meanwhile. It never deletes anything and
// never changes a message. It may run beside the daemon.
//
// What cannot be read is a problem like others; the error is for what ends the
// verification.
func (s *Store) Verify(ctx context.Context, fix bool, report func(Problem)) (Verified, error) {
	v := &verifier{s: s, ctx: ctx, fix: fix && s.mode != ReadOnly, report: report}
	err := v.run()
	return v.sum, wrap("maildir: verify", err)
}

type verifier struct {
	s      *Store
	ctx    context.Context
	fix    bool
	owner  uint32 // of the store
	report func(Problem)
	sum    Verified
}

func (v *verifier) run() error {
	info, err := os.Stat(v.s.root)
	if err != nil {
		return err
	}
	v.owner = ownerOf(info)
	if v.s.single {
		return v.mailbox(singleUser)
	}
	domains, err := os.ReadDir(v.s.root)
	if err != nil {
		return err
	}
	for _, d := range domains {
		if strings.HasPrefix(d.Name(), ".") {
			continue
		}
		if err := v.domain(d.Name()); err != nil {
			return err
		}
	}
	return nil
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

// domain verifies the mailboxes of a domain, and looks for what is none: mail
// there is seen by nobody.
func (v *verifier) domain(domain string) error {
	dir := filepath.Join(v.s.root, domain)
	if !v.place("", dir) {
		return nil
	}
	ents, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		v.found(Problem{Path: dir, What: "is no readable directory of a domain: " + reason(err)}, nil)
		return nil
	}
	for _, e := range ents {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(dir, e.Name())
		user, ok := boxUser(domain, e.Name())
		if !v.place(user, path) {
			continue
		}
		switch {
		case !ok:
			v.found(Problem{Path: path, What: "is not how this store spells a mailbox, so nobody sees its mail" + spelling(domain, e.Name())}, nil)
		case holdsMail(path):
			if err := v.mailbox(user); err != nil {
				return err
			}
		case unfinished(path): // the next delivery completes it
		default:
			v.found(Problem{User: user, Path: path, What: "is no Maildir, or cannot be read"}, nil)
		}
	}
	return nil
}

// spelling says what a directory would have to be called.
func spelling(domain, local string) string {
	path, err := boxPath(local + "@" + domain)
	if err != nil {
		return ""
	}
	return "; that of " + local + "@" + domain + " is " + path
}

// unfinished reports whether a mailbox was being made when a crash came: nothing
// can be in it, and the next delivery completes it.
func unfinished(dir string) bool {
	ents, err := os.ReadDir(dir)
	return err == nil && (len(ents) == 0 || len(ents) == 1 && ents[0].Name() == "tmp")
}

// reason is an error without the path, which the problem names already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func (v *verifier) missing(user, dir, sub string) {
	path := filepath.Join(dir, sub)
	v.found(Problem{User: user, Path: path, What: "directory is missing", Repair: "made"},
		func() error { return v.s.c.MkdirAll(v.ctx, v.s.root, path) })
}

// mailbox verifies one mailbox and its folders.
func (v *verifier) mailbox(user string) error {
	b, err := v.s.box(user)
	if err != nil {
		return err
	}
	v.sum.Mailboxes++
	for _, sub := range []string{"tmp", "new", "cur"} {
		if _, err := os.Stat(b.sub(sub, "")); errors.Is(err, fs.ErrNotExist) {
			v.missing(user, b.dir, sub)
		}
	}
	if v.fix {
		lock, err := b.lock()
		if err != nil {
			why := "cannot be locked: " + reason(err)
			if errors.Is(err, mailstore.ErrLocked) {
				why = "is in use"
			}
			v.found(Problem{User: user, Path: b.dir, What: "mailbox " + why + ", not verified: try again"}, nil)
			return nil
		}
		defer lock.Close()
	}
	folders, err := Folders(b.dir)
	if err != nil {
		v.found(Problem{User: user, Path: b.dir, What: "cannot be read: " + reason(err)}, nil)
		return nil
	}
	for _, folder := range append([]string{""}, folders...) {
		if folder != "" && !v.place(user, filepath.Join(b.dir, folder)) {
			continue
		}
		m := &messages{verifier: v, user: user, dir: filepath.Join(b.dir, folder), seen: make(map[string]string)}
		if err := m.run(); err != nil {
			return err
		}
	}
	return nil
}

// place checks that the store's owner may work in a directory, and reports
// whether that is so by now. One that is not there is not its business.
func (v *verifier) place(user, dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return true
	}
	if v.foreign(user, dir, info) || info.Mode().Perm()&0o700 == 0o700 {
		return true
	}
	fixed := v.sum.Fixed
	v.found(Problem{User: user, Path: dir, What: fmt.Sprintf("has mode %#o: the server cannot work in it", info.Mode().Perm()),
		Repair: "mode set to 0700"}, func() error { return os.Chmod(dir, 0o700) })
	return v.sum.Fixed > fixed
}

// foreign reports what does not belong to the store's owner. The server runs as
// that user; whoever verifies may be root, to whom everything looks well.
func (v *verifier) foreign(user, path string, info fs.FileInfo) bool {
	uid := ownerOf(info)
	if uid == v.owner {
		return false
	}
	v.found(Problem{User: user, Path: path,
		What: fmt.Sprintf("belongs to user %d, the store to %d: chown it", uid, v.owner)}, nil)
	return true
}

// rename gives a message another name without ever putting one in another's
// place: a link is refused where a name is taken, a rename is not. The old name
// goes only when the new one is durable.
func (v *verifier) rename(from, to string) error {
	err := v.s.c.Commit(v.ctx, &durable.Tx{Steps: []durable.Step{durable.Link(from, to)}})
	if err != nil {
		return err
	}
	return v.s.c.Commit(v.ctx, &durable.Tx{Steps: []durable.Step{durable.Remove(from)}})
}
