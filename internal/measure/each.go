package measure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

// Each is the slow standard: files of one Maildir or another, written to tmp,
// synced, renamed and their directory synced, one by one, sharing nothing.
type Each struct {
	dir   string
	count atomic.Int64
}

// boxes is how many Maildirs Each writes to.
const boxes = 100

// NewEach makes the Maildirs in a directory below base.
func NewEach(base string) (*Each, error) {
	dir, err := os.MkdirTemp(base, "each-")
	if err != nil {
		return nil, err
	}
	for i := range boxes {
		for _, sub := range []string{"tmp", "new"} {
			if err := os.MkdirAll(filepath.Join(dir, fmt.Sprint(i), sub), 0o700); err != nil {
				return nil, err
			}
		}
	}
	return &Each{dir: dir}, nil
}

// Put writes one file and returns when it is on the disk, contents and name.
func (e *Each) Put(data []byte) error {
	i := e.count.Add(1)
	box, name := filepath.Join(e.dir, fmt.Sprint(i%boxes)), fmt.Sprint(i)
	f, err := os.OpenFile(filepath.Join(box, "tmp", name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(box, "new", name)); err != nil {
		return err
	}
	d, err := os.Open(filepath.Join(box, "new"))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
