package maildir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// A file has names on one mount only (link(2), rename(2): EXDEV), and a mailbox
// may be behind a mount or a symbolic link: large ones on another disk, folders
// on a slower one. What has to get there is copied into the tmp beside its place,
// and published like any other message.

// copyApart writes the message anew for a mailbox on another mount than the file,
// once.
func (d *delivery) copyApart(b *box) error {
	if d.apart[b] != nil || b.onMount() == d.home.onMount() {
		return nil
	}
	f, err := d.s.copyTo(d.file.Name(), b.sub("tmp", d.s.tmpName()))
	if err != nil {
		return wrap("maildir: copy", err)
	}
	if d.apart == nil {
		d.apart = make(map[*box]durable.File)
	}
	d.apart[b] = f
	return nil
}

// files are all that the delivery has written for mailboxes that get it. What
// was copied for others is thrown away.
func (d *delivery) files() []durable.File {
	files := []durable.File{d.file}
	for b, f := range d.apart {
		if slices.Contains(d.boxes, b) {
			files = append(files, f)
			continue
		}
		_ = f.Close()
		_ = d.s.fs.Remove(f.Name())
	}
	return files
}

// forgetPlaces: if a directory was gone or on another mount than thought, the
// next delivery finds out what is there now.
func (d *delivery) forgetPlaces(err error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EXDEV) {
		for b := range d.names {
			b.vanished()
		}
	}
}

// copyTo copies a file, which may still be open for writing elsewhere, and keeps
// its time. The copy is not yet durable.
func (s *Store) copyTo(from, to string) (durable.File, error) {
	in, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	out, err := s.fs.Create(to)
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = os.Chtimes(to, info.ModTime(), info.ModTime())
	}
	if err != nil {
		_ = out.Close()
		_ = s.fs.Remove(to)
		return nil, err
	}
	return out, nil
}

// moveApart moves a message's file to a Maildir on another mount: it is durable
// there before it is gone here.
func (m *maildrop) moveApart(from, to string) error {
	s := m.b.s
	tmp := filepath.Join(filepath.Dir(filepath.Dir(to)), "tmp", s.tmpName())
	f, err := s.copyTo(from, tmp)
	if err != nil {
		return err
	}
	// What was begun is finished, as in change.
	err = s.c.Commit(context.Background(), &durable.Tx{Files: []durable.File{f}, Steps: []durable.Step{durable.Publish(tmp, to)}})
	if err != nil {
		_ = s.fs.Remove(tmp)
		return err
	}
	return s.fs.Remove(from)
}
