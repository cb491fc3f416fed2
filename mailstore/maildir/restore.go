package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// Restore brings the messages of a backup back that are not in the store, under
// the names they had, so that their unique ids stay. One that is in the store but
// has lost its end comes back whole; what is left of it stays, under an id of its
// own. What an IMAP server kept beside the messages comes back where it is missing.
// Restore removes and replaces nothing, may be repeated, and may run beside
// the daemon. users limits it to some mailboxes; none means all.
//
// A message of the backup that cannot be read is left out; the error is then
// ErrIncomplete.
func (s *Store) Restore(ctx context.Context, backup string, users []string, progress func(Copied)) (Copied, error) {
	c := &copier{ctx: ctx, progress: progress, c: s.c, fs: s.fs}
	err := s.restore(c, backup, users)
	c.tell(true)
	if err == nil {
		err = c.incomplete()
	}
	return c.sum, wrap("maildir: restore", err)
}

func (s *Store) restore(c *copier, backup string, users []string) error {
	from, err := Open(backup, WithMode(ReadOnly))
	if err != nil {
		return err
	}
	defer from.Close()
	wanted := make(map[string]bool) // true: found
	for _, u := range users {
		b, err := s.box(u)
		if err != nil {
			return err
		}
		wanted[b.user] = false
	}
	crew := newCrew(c, restorers)
	err = from.walk(c.ctx, func(domain, local, user string) bool {
		if _, ok := wanted[user]; ok || len(users) == 0 {
			wanted[user] = true
			crew.run(func(c *copier) error { return s.restoreBox(c, filepath.Join(from.root, domain, local), user) })
		}
		return !crew.failed()
	})
	if cerr := crew.wait(); err == nil {
		err = cerr
	}
	for user, found := range wanted {
		if err == nil && !found {
			err = fmt.Errorf("%w in the backup: %s", mailstore.ErrNoMailbox, user)
		}
	}
	return err
}

// restorers is how many mailboxes are restored at once, sharing syncs, and
// restoreBatch how many files each of them has open at most.
const (
	restorers    = 8
	restoreBatch = 64
)

// restoreBox restores a mailbox and its folders.
func (s *Store) restoreBox(c *copier, src, user string) error {
	b, err := s.box(user)
	if err != nil {
		return err
	}
	if err := b.ensure(c.ctx); err != nil {
		return err
	}
	c.sum.Mailboxes++
	folders, err := Folders(src)
	if err != nil {
		return err
	}
	for _, folder := range append([]string{""}, folders...) {
		r := &restorer{copier: c, s: s, src: filepath.Join(src, folder), dst: filepath.Join(b.dir, folder)}
		if folder != "" {
			err := s.c.MkdirAll(c.ctx, b.dir, filepath.Join(r.dst, "tmp"), filepath.Join(r.dst, "new"), filepath.Join(r.dst, "cur"))
			if err != nil {
				return err
			}
		}
		if err := r.run(); err != nil {
			r.abandon()
			return err
		}
	}
	return nil
}

// restorer restores one Maildir.
type restorer struct {
	*copier
	s        *Store
	src, dst string
	have     map[string][]where // what is in dst, by base
	steps    []durable.Step
}

func (r *restorer) run() error {
	var err error
	if r.have, err = byBase(r.dst); err != nil {
		return err
	}
	from, err := byBase(r.src)
	if err != nil {
		return err
	}
	for _, list := range from {
		for _, w := range list {
			if err := r.one(w, len(list) == 1); err != nil {
				return err
			}
			if len(r.files) >= restoreBatch {
				if err := r.publish(); err != nil {
					return err
				}
			}
			r.tell(false)
		}
	}
	if err := r.beside(); err != nil {
		return err
	}
	return r.publish()
}

// byBase lists a Maildir. It reads twice: a rename by another program may hide a
// message from one reading.
func byBase(dir string) (map[string][]where, error) {
	out := make(map[string][]where)
	for range 2 {
		for _, sub := range []string{"new", "cur"} {
			names, err := messageNames(filepath.Join(dir, sub))
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				w, k := where{sub, name}, base(name)
				if !slices.Contains(out[k], w) {
					out[k] = append(out[k], w)
				}
			}
		}
	}
	return out, nil
}

// there finds the message of a backup in the store: the same name but for the
// flags, or, where the name is the only one of its base on both sides, one that
// Verify has since corrected.
func (r *restorer) there(w where, only bool) (where, bool) {
	have := r.have[base(w.name)]
	for _, h := range have {
		if stable(h.name) == stable(w.name) {
			return h, true
		}
	}
	if only && len(have) == 1 {
		return have[0], true
	}
	return where{}, false
}

// one restores one message if that is needed.
func (r *restorer) one(w where, only bool) error {
	r.sum.Messages++
	in, info, err := r.openMessage(filepath.Join(r.src, w.sub, w.name))
	if err != nil || in == nil {
		return notGone(err)
	}
	defer in.Close()
	to := w
	if h, ok := r.there(w, only); ok {
		if !only || !r.damaged(h, w, info.Size()) {
			r.sum.Linked++
			return nil
		}
		if to, err = r.setAside(h, w); err != nil {
			return err
		}
	}
	f, err := r.copy(in, filepath.Join(r.dst, "tmp", r.s.tmpName()), info)
	if err != nil || f == nil {
		return err
	}
	r.files = append(r.files, f)
	r.steps = append(r.steps, durable.Publish(f.Name(), filepath.Join(r.dst, to.sub, to.name)))
	return nil
}

// damaged reports whether the store's file h is shorter than the backup's, and
// the backup's is as long as its name promises.
func (r *restorer) damaged(h, w where, size int64) bool {
	info, err := os.Stat(filepath.Join(r.dst, h.sub, h.name))
	here, there := parseName(h.name), parseName(w.name)
	if here.seal != there.seal { // sealed or unsealed since: files of other lengths, with one message
		return err == nil && there.disk == size && (info.Size() < here.disk || 0 <= here.wire && here.wire < there.wire)
	}
	return err == nil && info.Size() < size && there.disk == size
}

// setAside gives the damaged file h an id of its own, durably, and returns where
// the whole one belongs: in h's place, with h's flags.
func (r *restorer) setAside(h, w where) (where, error) {
	path := filepath.Join(r.dst, h.sub, h.name)
	file, err := os.Open(path)
	if err != nil {
		return where{}, err
	}
	defer file.Close()
	disk, wire, err := wireSize(file)
	if err != nil {
		return where{}, err
	}
	f, flags := parseName(h.name), h.name[len(stable(h.name)):]
	if f.exact {
		wire = disk
	}
	if f.seal != "" {
		wire = f.wire
	}
	aside := r.s.name.next(timeOf(f)) + sizeFields(disk, wire, f.exact, f.seal, "") + flags
	link := durable.Link(path, filepath.Join(r.dst, h.sub, aside))
	if err := r.c.Commit(r.ctx, &durable.Tx{Steps: []durable.Step{link}}); err != nil {
		return where{}, err
	}
	to := where{h.sub, stable(w.name) + flags}
	if to != h {
		r.steps = append(r.steps, durable.Remove(path))
	}
	return to, nil
}

// publish makes what was written so far durable and visible.
func (r *restorer) publish() error {
	tx := &durable.Tx{Files: r.files, Steps: r.steps}
	names := make([]string, len(r.files))
	for i, f := range r.files {
		names[i] = f.Name()
	}
	r.files, r.steps = nil, nil
	err := r.c.Commit(r.ctx, tx)
	if err != nil {
		r.remove(names)
	}
	return err
}

// abandon takes away what a failure left in tmp.
func (r *restorer) abandon() {
	names := make([]string, len(r.files))
	for i, f := range r.files {
		names[i] = f.Name()
	}
	r.closeFiles()
	r.remove(names)
}

func (r *restorer) remove(names []string) {
	for _, n := range names {
		if err := r.fs.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.s.log.Warn("unfinished copy is left", "file", n, "err", err)
		}
	}
}
