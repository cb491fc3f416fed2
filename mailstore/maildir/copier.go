package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// copier copies messages and makes them durable in batches.
type copier struct {
	ctx      context.Context
	c        *durable.Disk
	fs       durable.FS
	previous string
	progress func(Copied)
	sum      Copied
	err      error
	unread   map[string]error // messages that could not be read, by path, and why

	shared map[inodeOf]string // where a file with several names was copied to

	files    []durable.File // written, not yet durable
	dirs     map[string]bool
	reported time.Time
}

// batch is how many files stay open until they are synced together, dirBatch how
// many directories are remembered.
const (
	batch    = 256
	dirBatch = 1024
)

// inodeOf tells files apart.
type inodeOf struct{ dev, ino uint64 }

// sharedMax bounds the memory of copier.shared; when it is full it is forgotten,
// and some messages are copied twice.
const sharedMax = 1 << 17

// again links a message that was copied already, for another of its recipients.
func (c *copier) again(info fs.FileInfo, dst string) bool {
	id, names := fileID(info)
	if names < 2 {
		return false
	}
	if first, ok := c.shared[id]; ok && c.fs.Link(first, dst) == nil {
		return true
	}
	if c.shared == nil || len(c.shared) >= sharedMax {
		c.shared = make(map[inodeOf]string)
	}
	c.shared[id] = dst
	return false
}

// openMessage opens a message to be copied. One that cannot be read is noted, and
// both results are nil; fs.ErrNotExist is the caller's to deal with.
func (c *copier) openMessage(name string) (*os.File, fs.FileInfo, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, nil, err
	}
	in, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, c.unreadable(name, err)
	}
	info, err := in.Stat()
	if err != nil {
		in.Close()
		return nil, nil, c.unreadable(name, err)
	}
	return in, info, nil
}

// unreadable notes a message that cannot be read. An error that would be that of
// every other message too is given back.
func (c *copier) unreadable(name string, err error) error {
	if tooMany(err) {
		return err
	}
	if c.unread == nil {
		c.unread = make(map[string]error)
	}
	c.unread[name] = err
	c.sum.Failed = int64(len(c.unread))
	return nil
}

// incomplete is nil if every message could be read.
func (c *copier) incomplete() error {
	if c.sum.Failed == 0 {
		return nil
	}
	err := fmt.Errorf("%w: %d", ErrIncomplete, c.sum.Failed)
	for i, name := range slices.Sorted(maps.Keys(c.unread)) {
		if i == 10 {
			return fmt.Errorf("%w, and others", err)
		}
		err = fmt.Errorf("%w, %w", err, c.unread[name])
	}
	return err
}

// copy writes a message to dst; both results are nil if it could not be read.
func (c *copier) copy(in *os.File, dst string, info fs.FileInfo) (durable.File, error) {
	f, err := c.fs.Create(dst)
	if err != nil {
		return nil, err
	}
	from := &readErr{r: in}
	if _, err = io.Copy(f, from); err == nil {
		err = os.Chtimes(dst, info.ModTime(), info.ModTime())
	}
	if err == nil {
		c.sum.Copied++
		c.sum.Octets += info.Size()
		return f, nil
	}
	f.Close()
	_ = c.fs.Remove(dst)
	if from.err != nil {
		return nil, c.unreadable(in.Name(), from.err)
	}
	return nil, err
}

// readErr remembers whether it was the reading that failed.
type readErr struct {
	r   io.Reader
	err error
}

func (r *readErr) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

func (c *copier) dirty(dir string) {
	if c.dirs == nil {
		c.dirs = make(map[string]bool)
	}
	c.dirs[dir] = true
}

// flushFull flushes when enough has gathered.
func (c *copier) flushFull() error {
	if len(c.files) < batch && len(c.dirs) < dirBatch {
		return nil
	}
	return c.flush()
}

// flush makes the open files and the directories touched durable.
func (c *copier) flush() error {
	tx := &durable.Tx{Files: c.files}
	for d := range c.dirs {
		tx.EarlyDirs = append(tx.EarlyDirs, d)
	}
	c.files, c.dirs = nil, nil
	return c.c.Commit(c.ctx, tx)
}

// closeFiles lets go of what a failure left open.
func (c *copier) closeFiles() {
	for _, f := range c.files {
		_ = f.Close()
	}
	c.files = nil
}

func (c *copier) tell(always bool) {
	if c.progress != nil && (always || time.Since(c.reported) > 200*time.Millisecond) {
		c.reported = time.Now()
		c.progress(c.sum)
	}
}
