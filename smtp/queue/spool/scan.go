package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/postrider-mail/postrider/internal/dirents"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// readers is how many files are read at once: enough to keep a disk busy while
// states are parsed.
const readers = 16

// listed is an entry that a listing of its shard has shown.
type listed struct {
	id     string
	inode  uint64 // of the file to be read: the state's, where there is one
	shard  uint8
	stated bool
}

// Scan implements queue.Spool. It reads states only; an entry whose envelope or
// body is damaged is found when it is loaded.
//
// Names are listed first, and files then read by inode, which is about the order
// in which they lie on the disk: a million read in the order of the directories
// are a million movements of the head, or on a disk without one a million
// requests that nothing can join.
func (s *Spool) Scan(ctx context.Context, each func(id string, st *queue.State) error) error {
	all, err := s.list(ctx)
	if err != nil {
		return fmt.Errorf("scan spool: %w", err)
	}
	slices.SortFunc(all, func(a, b listed) int { return cmp.Compare(a.inode, b.inode) })
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	one := func(id string, st *queue.State) error {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := each(id, st)
		if err != nil {
			cancel(err)
		}
		return err
	}
	next := make(chan []listed)
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for some := range next {
				for _, l := range some {
					if err := s.scanOne(ctx, l, one); err != nil {
						cancel(err)
						break
					}
				}
			}
		})
	}
	for some := range slices.Chunk(all, 16) {
		if ctx.Err() != nil {
			break
		}
		next <- some
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("scan spool: %w", context.Cause(ctx))
	}
	return nil
}

// list finds all entries, and takes away the states of those that are gone.
func (s *Spool) list(ctx context.Context) ([]listed, error) {
	var all []listed
	for i := range s.shards {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if all, err = s.listShard(all, i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// listShard appends the entries of one shard.
func (s *Spool) listShard(all []listed, shard int) ([]listed, error) {
	dir := s.shard(shard)
	states := make(map[string]uint64)
	first := len(all)
	err := dirents.Read(dir, func(e *dirents.Entry) {
		file := string(e.Name)
		if queue.ValidID(file) {
			all = append(all, listed{id: file, inode: e.Inode, shard: uint8(shard)})
		} else if id, ok := strings.CutSuffix(file, stateExt); ok && queue.ValidID(id) {
			states[id] = e.Inode
		} else if id, ok := strings.CutSuffix(file, stateExt+tmpExt); ok && queue.ValidID(id) {
			if _, ok := states[id]; !ok {
				states[id] = 0 // if it belongs to an entry, the entry is looked at
			}
		} // all else is nothing of ours
	})
	if err != nil {
		return nil, err
	}
	for i := range all[first:] {
		l := &all[first+i]
		inode, ok := states[l.id]
		if ok {
			delete(states, l.id)
		}
		if inode != 0 {
			l.inode, l.stated = inode, true
		}
	}
	for id := range states {
		s.leftState(dir, id)
	}
	return all, nil
}

// leftState removes the state of an entry that is gone.
func (s *Spool) leftState(dir, id string) {
	name := s.path(id)
	if filepath.Join(dir, id) != name {
		return
	}
	// Not by what the listing holds: the entry may be younger than that.
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		s.removeState(name)
	}
}

// scanOne reads the state of one entry.
func (s *Spool) scanOne(ctx context.Context, l listed, each func(string, *queue.State) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir := s.shard(int(l.shard))
	name := filepath.Join(dir, l.id)
	st, err := scanEntry(name, l.stated)
	switch {
	case err == nil && name != s.path(l.id):
		// Somebody has put it back by hand, into the shard that came to mind.
		if err := s.disk.Commit(ctx, &durable.Tx{Steps: move(name, s.path(l.id))}); err != nil {
			s.Log.Error("queue entry is in the wrong shard and is passed over", "queue", l.id, "dir", dir, "err", err)
			return nil
		}
		return each(l.id, st)
	case err == nil:
		return each(l.id, st)
	case everywhere(err):
		return err
	case temporary(err):
		// One bad sector, or one file with the wrong owner, must not keep all
		// other mail from leaving.
		s.Log.Error("queue entry cannot be read and is passed over until the next start", "queue", l.id, "file", name, "err", err)
		return nil
	}
	if _, serr := os.Lstat(name); errors.Is(serr, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	s.putAside(ctx, name, l.id, err)
	return nil
}

// everywhere: the error is not about one file; the next would meet it as well.
func everywhere(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// scanEntry returns the state of an entry. Where one was saved, the entry's own
// file has been acknowledged long since and is not opened.
func scanEntry(name string, stated bool) (*queue.State, error) {
	if stated {
		data, err := readFile(name + stateExt)
		if err == nil {
			return parseState(data)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	f, err := openEntry(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return stateOf(name, f.state)
}
