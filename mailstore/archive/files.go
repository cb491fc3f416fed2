package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

// eml is a list of files, each one message.
type eml struct {
	names []string
	open  *os.File
}

// FromFiles yields one message per file, in the order given. A directory stands
// for the .eml files in it.
func FromFiles(names ...string) (Source, error) {
	e := &eml{}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		if !info.IsDir() {
			e.names = append(e.names, name)
			continue
		}
		ents, err := os.ReadDir(name)
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		for _, f := range ents {
			if strings.EqualFold(filepath.Ext(f.Name()), ".eml") && f.Type().IsRegular() {
				e.names = append(e.names, filepath.Join(name, f.Name()))
			}
		}
	}
	return e, nil
}

func (e *eml) Next() (*Message, error) {
	if err := e.Close(); err != nil {
		return nil, err
	}
	if len(e.names) == 0 {
		return nil, io.EOF
	}
	name := e.names[0]
	e.names = e.names[1:]
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	e.open = f
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &Message{Name: name, Received: info.ModTime(), Body: f, Size: info.Size()}, nil
}

func (e *eml) Close() error {
	if e.open == nil {
		return nil
	}
	err := e.open.Close()
	e.open = nil
	return err
}

// each runs add for every message of a maildrop that is still there.
func each(ctx context.Context, m mailstore.Maildrop, progress func(Stats),
	add func(i int, received time.Time, flags string) (int64, error), end func() error) (Stats, error) {
	var s Stats
	details, _ := m.(mailstore.Details)
	told := time.Now()
	for i := range m.Len() {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		var received time.Time
		var flags string
		if details != nil {
			received, flags = details.Received(i), details.Flags(i)
		}
		n, err := add(i, received, flags)
		switch {
		case errors.Is(err, mailstore.ErrGone):
			continue
		case errors.Is(err, fs.ErrExist):
			s.Skipped++
		case err != nil:
			return s, fmt.Errorf("archive: export: %w", err)
		default:
			s.Done++
			s.Octets += n
		}
		if progress != nil && time.Since(told) > 200*time.Millisecond {
			told = time.Now()
			progress(s)
		}
	}
	if err := end(); err != nil {
		return s, fmt.Errorf("archive: export: %w", err)
	}
	if progress != nil {
		progress(s)
	}
	return s, nil
}

// ExportFiles writes each message of an open maildrop, octet for octet, to a
// file in dir named by its unique id. One that is there already is passed over.
func ExportFiles(ctx context.Context, m mailstore.Maildrop, dir string, progress func(Stats)) (Stats, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Stats{}, fmt.Errorf("archive: export: %w", err)
	}
	return each(ctx, m, progress, func(i int, received time.Time, _ string) (int64, error) {
		return exportFile(m, i, filepath.Join(dir, fileName(m.UID(i))+".eml"), received)
	}, func() error { return syncDir(dir) })
}

func exportFile(m mailstore.Maildrop, i int, name string, received time.Time) (int64, error) {
	if _, err := os.Lstat(name); err == nil {
		return 0, fs.ErrExist
	}
	r, err := m.Open(i)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	part := name + ".partial"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && !received.IsZero() {
		err = os.Chtimes(part, received, received)
	}
	if err == nil {
		err = os.Rename(part, name)
	}
	return n, err
}

// fileName makes a unique id a file name.
func fileName(uid string) string {
	var b strings.Builder
	for i := range len(uid) {
		c := uid[i]
		if strings.IndexByte(`/\:%*?"<>|`, c) >= 0 || c == '.' && i == 0 {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
