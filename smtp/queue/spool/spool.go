package spool

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/smtp/queue"
)

const defaultShards = 256

// maxFile bounds an envelope or a state that is read: a million recipients.
const maxFile = 64 << 20

// The names of an entry's files: the id, and for the state saved last the id
// with these; tmpExt is that of durable.ReplaceFile.
const (
	stateExt = ".state"
	tmpExt   = ".tmp"
)

// Spool is a queue.Spool in a directory. Make it with Open.
type Spool struct {
	// MinFree is the room in octets that is left free on the file system:
	// what would go below it is not accepted. 64 MiB after Open.
	MinFree int64
	// Log is told of entries put aside; slog.Default after Open.
	Log *slog.Logger

	dir    string
	shards int
	disk   *durable.Disk
	opened bool     // disk is this one's own
	lock   *os.File // held as long as this is
}

var _ queue.Spool = (*Spool)(nil)

// Open opens the spool in dir, which must exist, makes what is missing in it,
// and deletes what was being built when the last process ended. Only one
// process may have it open: an error that is ErrLocked says that another has.
// Close it when done.
func Open(ctx context.Context, dir string, options ...Option) (*Spool, error) {
	s := &Spool{MinFree: 64 << 20, Log: slog.Default(), dir: dir, shards: defaultShards}
	for _, o := range options {
		o(s)
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %w", err), s.Close())
	}
	return s, nil
}

// Option changes how Open sets a spool up.
type Option func(*Spool)

// WithDisk makes the spool share a Disk with everything else on its file system,
// a mail store for instance, so that they share their syncs. The spool does not
// close it. The default is one of the spool's own.
func WithDisk(d *durable.Disk) Option { return func(s *Spool) { s.disk = d } }

func (s *Spool) open(ctx context.Context) (err error) {
	if s.lock, err = lock(filepath.Join(s.dir, ".lock")); err != nil {
		return err
	}
	if s.disk == nil {
		if s.disk, err = durable.Open(s.dir); err != nil {
			return err
		}
		s.opened = true
	}
	return s.prepare(ctx)
}

// Close lets other processes open the spool. It is the last call: what is being
// written by then would be taken for left over by the next process.
func (s *Spool) Close() error {
	var err error
	if s.opened {
		err = s.disk.Close()
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// prepare makes what is missing and clears away what was being built.
func (s *Spool) prepare(ctx context.Context) error {
	for _, sub := range []string{"tmp", "msg", "corrupt"} {
		if err := s.disk.MkdirAll(ctx, s.dir, filepath.Join(s.dir, sub)); err != nil {
			return err
		}
	}
	for i := range s.shards {
		if err := s.disk.FS().Mkdir(s.shard(i)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := s.disk.Commit(ctx, &durable.Tx{Dirs: []string{filepath.Join(s.dir, "msg")}}); err != nil {
		return err
	}
	// Whoever made dir may not have made its own name durable. A parent that we
	// may not even open is not ours to make durable.
	err := s.disk.Commit(ctx, &durable.Tx{Dirs: []string{filepath.Dir(filepath.Clean(s.dir))}})
	if err != nil && !errors.Is(err, durable.ErrNotTried) {
		return err
	}
	return s.emptyTmp()
}

// emptyTmp needs no sync: what comes back after a crash is removed again. What
// cannot be removed, such as somebody's directory, is in nobody's way.
func (s *Spool) emptyTmp() error {
	tmp := filepath.Join(s.dir, "tmp")
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := s.disk.FS().Remove(filepath.Join(tmp, e.Name())); err != nil {
			s.Log.Warn("left in the spool", "file", filepath.Join(tmp, e.Name()), "err", err)
		}
	}
	return nil
}

func (s *Spool) shard(i int) string {
	const hex = "0123456789abcdef"
	return filepath.Join(s.dir, "msg", string([]byte{hex[i>>4], hex[i&15]}))
}

// path is where an entry lives. The id has been checked.
func (s *Spool) path(id string) string {
	h := fnv.New32a()
	io.WriteString(h, id)
	return filepath.Join(s.shard(int(h.Sum32()%uint32(s.shards))), id)
}

func (s *Spool) tmp(id string) string { return filepath.Join(s.dir, "tmp", id) }

// Load implements queue.Spool.
func (s *Spool) Load(ctx context.Context, id string) (*queue.Entry, *queue.State, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if !queue.ValidID(id) {
		return nil, nil, queue.ErrNotFound
	}
	name := s.path(id)
	e, st, err := load(name, id)
	if err == nil {
		return e, st, nil
	}
	return nil, nil, s.unreadable(ctx, name, id, err)
}

// unreadable decides what an error of reading an entry means, and puts one
// aside that is damaged.
func (s *Spool) unreadable(ctx context.Context, name, id string, err error) error {
	if _, serr := os.Lstat(name); errors.Is(serr, fs.ErrNotExist) {
		return queue.ErrNotFound
	}
	if temporary(err) {
		return fmt.Errorf("read entry %s: %w", id, err)
	}
	s.putAside(ctx, name, id, err)
	return fmt.Errorf("read entry %s: %w: %w", id, queue.ErrCorrupt, err)
}

// temporary: an error of the system, such as too many open files, says nothing
// about the entry. A file that is missing, or that is no file, does.
func temporary(err error) bool {
	var perr *fs.PathError
	return errors.As(err, &perr) && !errors.Is(err, fs.ErrNotExist) &&
		!errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.EISDIR)
}

func load(name, id string) (*queue.Entry, *queue.State, error) {
	f, err := openEntry(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	e, p, err := parseEnvelope(f.envelope)
	if err != nil {
		return nil, nil, err
	}
	st, err := stateOf(name, f.state)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case e.ID != id:
		return nil, nil, fmt.Errorf("%w: envelope of %s", errFormat, e.ID)
	case len(e.To) != len(st.To):
		return nil, nil, fmt.Errorf("%w: %d recipients in the envelope, %d in the state", errFormat, len(e.To), len(st.To))
	case f.body != p.skip+e.Params.Size:
		return nil, nil, fmt.Errorf("%w: body of %d octets, not %d", errFormat, f.body, e.Params.Size)
	}
	e.Head = make([]byte, min(e.Params.Size, headMost))
	if n, err := f.ReadAt(e.Head, p.skip); n < len(e.Head) {
		return nil, nil, err
	}
	return e, st, nil
}

// headMost is how much of a message is read with its entry, for who can tell by that what it is: opening it once more would cost more.
const headMost = 64

// Open implements queue.Spool. A message that is not what was committed ends
// with an error, and its entry is put aside.
func (s *Spool) Open(ctx context.Context, id string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !queue.ValidID(id) {
		return nil, queue.ErrNotFound
	}
	name := s.path(id)
	f, err := openEntry(name)
	if err != nil {
		return nil, s.unreadable(ctx, name, id, err)
	}
	_, p, err := parseEnvelope(f.envelope)
	if err != nil {
		f.Close()
		return nil, s.unreadable(ctx, name, id, err)
	}
	return newMessage(f, p, func(err error) { s.putAside(context.WithoutCancel(ctx), name, id, err) }), nil
}

// Save implements queue.Spool.
func (s *Spool) Save(ctx context.Context, id string, st *queue.State) error {
	if !queue.ValidID(id) {
		return queue.ErrNotFound
	}
	name := s.path(id)
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return queue.ErrNotFound
	}
	if err := s.disk.ReplaceFile(ctx, name+stateExt, formatState(st)); err != nil {
		return fmt.Errorf("save state of %s: %w", id, err)
	}
	return nil
}

// Remove implements queue.Spool. The state outlives the entry for a moment:
// were it the first to go, a crash could bring back the entry with the state
// it had at first.
func (s *Spool) Remove(ctx context.Context, id string) error {
	if !queue.ValidID(id) {
		return queue.ErrNotFound
	}
	if err := errors.Join(ctx.Err(), s.disk.Err()); err != nil {
		return fmt.Errorf("remove entry %s: %w", id, err)
	}
	name := s.path(id)
	_, err := os.Lstat(name + stateExt)
	stated := err == nil
	err = s.disk.FS().Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return queue.ErrNotFound
	}
	if err == nil {
		err = s.disk.Commit(ctx, &durable.Tx{Dirs: []string{filepath.Dir(name)}})
	}
	if err != nil {
		return fmt.Errorf("remove entry %s: %w", id, err)
	}
	if stated {
		s.removeState(name)
	}
	return nil
}

// removeState needs no sync: Scan removes the state of an entry that is gone.
func (s *Spool) removeState(name string) {
	for _, ext := range []string{stateExt + tmpExt, stateExt} {
		if err := s.disk.FS().Remove(name + ext); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.Log.Warn("state of a removed queue entry stays until the next start", "file", name+ext, "err", err)
		}
	}
}

// Room implements queue.Spool: there is room while the file system has MinFree
// more than the message takes and than is promised to those that are coming in,
// and some inodes.
func (s *Spool) Room(ctx context.Context, size int64) error {
	if err := s.disk.Err(); err != nil {
		return err
	}
	return explain(s.disk.Space().Room(ctx, s.MinFree, size))
}
