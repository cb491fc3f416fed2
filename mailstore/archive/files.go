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

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore"
)

// eml is a list of files, each one message.
type eml struct {
	names []string
	open  *os.File
}

// FromFiles yields one message per file, in the order given. A directory stands
// for the .eml files in it. A message is all of its file: also a From_ line that some
// programs leave on top, as one that came that way is exported so and has to come back
// as it was. For files of an mbox there is FromMbox.
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
		return nil, &MessageError{name, bare(err)}
	}
	e.open = f
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is no regular file")
	}
	if err != nil {
		return nil, &MessageError{name, bare(err)}
	}
	return &Message{Name: name, Received: info.ModTime(), Body: f, Size: info.Size()}, nil
}

// bare takes off what a MessageError says already.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (e *eml) Close() error {
	if e.open == nil {
		return nil
	}
	err := e.open.Close()
	e.open = nil
	return err
}

// ExportFiles writes each message of an open maildrop, octet for octet, to a
// file in dir named by its unique id. One that is there already is passed over, as
// is one that cannot be read: the error is then ErrIncomplete.
func ExportFiles(ctx context.Context, m mailstore.Maildrop, dir string, progress func(Stats)) (Stats, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Stats{}, fmt.Errorf("archive: export: %w", err)
	}
	e := &exporter{progress: progress, end: func() error { return sys.SyncFolder(dir) }}
	e.add = func(i int, received time.Time, _ string) (int64, error) {
		return exportFile(ctx, m, i, filepath.Join(dir, fileName(m.UID(i))+".eml"), received)
	}
	return e.run(ctx, m)
}

func exportFile(ctx context.Context, m mailstore.Maildrop, i int, name string, received time.Time) (int64, error) {
	if _, err := os.Lstat(name); err == nil {
		return 0, fs.ErrExist
	}
	r, err := m.Open(ctx, i)
	if err != nil {
		return 0, unreadable(err)
	}
	defer r.Close()
	part := name + ".partial"
	f, err := createNew(part)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, marked{r})
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
	} else {
		_ = os.Remove(part)
	}
	return n, err
}

// createNew makes a file. One that is there, because an export was interrupted, is
// removed and not taken: whoever made it could read what is written.
func createNew(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	if err := os.Remove(name); err != nil {
		return nil, err
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
