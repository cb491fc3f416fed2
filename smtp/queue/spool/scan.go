package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/postrider-mail/postrider/internal/durable"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// readers is how many shards are read at once: enough to keep a disk busy
// while states are parsed.
const readers = 8

// Scan implements queue.Spool. It reads states only; an entry whose envelope or
// body is damaged is found when it is loaded.
func (s *Spool) Scan(ctx context.Context, each func(id string, st *queue.State) error) error {
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
	next := make(chan int)
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for i := range next {
				if err := s.scanShard(ctx, s.shard(i), one); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range s.shards {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("scan spool: %w", context.Cause(ctx))
	}
	return nil
}

func (s *Spool) scanShard(ctx context.Context, dir string, each func(string, *queue.State) error) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, id := range names {
			if err := s.scanOne(ctx, dir, id, each); err != nil {
				return err
			}
		}
	}
}

func (s *Spool) scanOne(ctx context.Context, dir, id string, each func(string, *queue.State) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := filepath.Join(dir, id)
	if !queue.ValidID(id) {
		s.scanState(dir, id)
		return nil
	}
	st, err := scanEntry(name)
	switch {
	case err == nil && name != s.path(id):
		// Somebody has put it back by hand, into the shard that came to mind.
		if err := s.c.Commit(ctx, &durable.Tx{Steps: move(name, s.path(id))}); err != nil {
			s.Log.Error("queue entry is in the wrong shard and is passed over", "id", id, "dir", dir, "err", err)
			return nil
		}
		return each(id, st)
	case err == nil:
		return each(id, st)
	case errors.Is(err, syscall.EIO):
		// One bad sector must not keep all other mail from leaving.
		s.Log.Error("queue entry cannot be read and is passed over", "id", id, "err", err)
		return nil
	case temporary(err):
		return err
	}
	if _, serr := os.Lstat(name); errors.Is(serr, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if fi, serr := os.Stat(name); serr == nil && fi.Mode().IsRegular() && fi.Size() == 0 {
		// A crash while it was committed; there is nothing in it to be kept.
		err := s.c.FS().Remove(name)
		s.Log.Warn("empty file of a queue entry removed: it was never acknowledged", "id", id, "err", err)
		return nil
	}
	s.putAside(ctx, name, id, err)
	return nil
}

func scanEntry(name string) (*queue.State, error) {
	f, err := openEntry(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return stateOf(name, f.state)
}

// scanState removes the state of an entry that is gone. All else that has not
// the name of an entry is nothing of ours.
func (s *Spool) scanState(dir, file string) {
	id, ok := strings.CutSuffix(strings.TrimSuffix(file, tmpExt), stateExt)
	if !ok || !queue.ValidID(id) || filepath.Join(dir, id) != s.path(id) {
		return
	}
	// Not by what the listing holds: the entry may be younger than that.
	if _, err := os.Lstat(s.path(id)); errors.Is(err, fs.ErrNotExist) {
		s.removeState(s.path(id))
	}
}
