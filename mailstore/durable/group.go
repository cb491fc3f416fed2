package durable

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"
)

// smallGroup is the number of files and directories up to which fsync for each
// is preferred over one syncfs (docs/storage.md, "Choosing").
const smallGroup = 3

// lonely is how many groups of one in a row show that there is no company to
// wait for: stepping aside for it costs a lone writer two switches of threads.
// From then on only every so many-th looks whether there is.
const lonely = 8

// fewBetween is up to how many between their phases are waited for
// (docs/storage.md, "Group commit").
const fewBetween = 16

// wait is one caller waiting for a sync that starts after now.
type wait struct {
	files []File
	dirs  []string
	err   error
	first bool      // if it goes well there will be a second for the same transaction
	away  bool      // counted in Disk.between
	wake  chan bool // true: lead the next group; false: done, err is set
}

// sync waits for a sync that begins after the call and covers the files'
// contents and the directories' entries. The first to come leads: it syncs for
// everybody gathered, itself among them, and passes the lead on to one of those
// who came meanwhile.
func (d *Disk) sync(w *wait) error {
	d.mu.Lock()
	if w.away {
		d.comeBack()
	}
	if d.failed != nil {
		defer d.mu.Unlock()
		return d.failed
	}
	d.pending = append(d.pending, w)
	if d.leading {
		w.wake = make(chan bool, 1)
		d.mu.Unlock()
		if lead := <-w.wake; !lead {
			return w.err
		}
		d.mu.Lock()
	}
	d.leading = true
	group, failed := d.gather()
	d.mu.Unlock()

	if failed == nil {
		began := time.Now()
		failed = d.fail(d.syncGroup(group))
		d.counts.sync(time.Since(began), len(group))
	}
	d.release(w, group, failed)
	return w.err
}

// gather waits for those who are about to ask and returns all who have. mu must
// be held; it is let go meanwhile.
//
// Those whose contents have just been made durable only publish, and then ask
// for the second phase: a sync that did not wait for them would serve half as many,
// and they would have to wait for all of it and then for one more. Of many there
// are enough without them, and the disk would be idle while they publish.
//
// Others may be about to ask as well. A sync shorter than the scheduler takes to
// notice a blocked thread would keep them all waiting, on a single processor,
// and the groups would stay as small as they are.
func (d *Disk) gather() ([]*wait, error) {
	if d.alone < lonely || d.alone%lonely == 0 {
		d.mu.Unlock()
		runtime.Gosched()
		d.mu.Lock()
	}
	for d.between > 0 && d.between <= fewBetween {
		d.back.Wait()
	}
	group := d.pending
	d.pending = nil
	if d.alone++; len(group) > 1 {
		d.alone = 0
	}
	return group, d.failed
}

// comeBack takes one off those between their phases. mu must be held.
func (d *Disk) comeBack() {
	if d.between--; d.between == 0 {
		d.back.Signal()
	}
}

// release lets the members of a finished group go and names the next leader.
func (d *Disk) release(leader *wait, group []*wait, err error) {
	d.mu.Lock()
	for _, w := range group {
		if err != nil {
			w.err = err
		}
		if w.first && w.err == nil {
			w.away = true
			d.between++
		}
	}
	if len(d.pending) > 0 {
		d.pending[0].wake <- true
	} else {
		d.leading = false
	}
	d.mu.Unlock()
	for _, w := range group {
		if w != leader {
			w.wake <- false
		}
	}
}

// fail poisons the Disk if err is not nil, and returns what callers get.
func (d *Disk) fail(err error) error {
	if err == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		d.failed = fmt.Errorf("%w: %w", ErrPoisoned, err)
	}
	return d.failed
}

// syncGroup makes everything the group waits for durable. An error is a failed
// sync; a directory that could not even be tried is the error of those waiters
// alone who asked for it.
func (d *Disk) syncGroup(group []*wait) error {
	n := 0
	for _, w := range group {
		n += len(w.files) + len(w.dirs)
	}
	whole := n > d.small
	if whole {
		err := d.fs.SyncAll()
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			whole = false
		case err != nil:
			return fmt.Errorf("sync file system: %w", err)
		}
	}
	skip := func(dir string) bool { return whole && d.fs.Covers(dir) }
	done := make(map[string]error, len(group))
	for _, w := range group {
		if err := syncFiles(w.files, skip); err != nil {
			return err
		}
		if err := d.syncDirs(w, done, skip); err != nil {
			return err
		}
	}
	return nil
}

func syncFiles(files []File, skip func(dir string) bool) error {
	for _, f := range files {
		if skip(filepath.Dir(f.Name())) {
			continue
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", f.Name(), err)
		}
	}
	return nil
}

// syncDirs syncs the directories of one waiter unless done knows them already.
func (d *Disk) syncDirs(w *wait, done map[string]error, skip func(string) bool) error {
	for _, dir := range w.dirs {
		if skip(dir) {
			continue
		}
		err, ok := done[dir]
		if !ok {
			err = d.fs.SyncDir(dir)
			done[dir] = err
		}
		if err == nil {
			continue
		}
		err = fmt.Errorf("sync directory %s: %w", dir, err)
		if !errors.Is(err, ErrNotTried) {
			return err
		}
		w.err = err
	}
	return nil
}
