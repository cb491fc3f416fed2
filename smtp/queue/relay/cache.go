package relay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// Cache keeps small facts about domains over restarts. Losing it costs
// protection and nothing else. The methods are called concurrently.
type Cache interface {
	// Get returns what was put under a kind and a domain.
	Get(kind, domain string) ([]byte, bool)
	Put(ctx context.Context, kind, domain string, data []byte) error
	// Delete forgets it. What is not there is no error.
	Delete(ctx context.Context, kind, domain string) error
}

// Common is where several servers bring together what each has counted.
type Common interface {
	// Server tells this server from the others, also after a restart.
	Server() string
	// Update replaces what is under a name by what change makes of it (nil: leaves it); change may be called again, where another server was
	// faster. It returns what is there then.
	Update(ctx context.Context, kind, name string, change func(data []byte) ([]byte, error)) ([]byte, error)
	// Delete forgets it. What is not there is no error.
	Delete(ctx context.Context, kind, name string) error
}

// Dir is a Cache in a directory: <dir>/<kind>/<domain>.
type Dir struct {
	dir    string
	disk   *durable.Disk
	opened bool // disk is this one's own

	mu sync.Mutex // ReplaceFile wants one at a time for each name
}

// OpenDir makes a Cache in dir, which must exist. Close it when done.
func OpenDir(ctx context.Context, dir string, options ...DirOption) (*Dir, error) {
	d := &Dir{dir: dir}
	for _, o := range options {
		o(d)
	}
	if d.disk == nil {
		disk, err := durable.Open(dir)
		if err != nil {
			return nil, fmt.Errorf("open cache: %w", err)
		}
		d.disk, d.opened = disk, true
	}
	for _, kind := range []string{"sts", "seen", "tlsrpt", "dmarc", "queue"} {
		if err := d.disk.MkdirAll(ctx, dir, filepath.Join(dir, kind)); err != nil {
			return nil, errors.Join(fmt.Errorf("open cache: %w", err), d.Close())
		}
	}
	return d, nil
}

// DirOption changes how OpenDir sets a Dir up.
type DirOption func(*Dir)

// WithDisk makes the cache share a Disk with everything else on its file system,
// the queue for instance. The cache does not close it. The default is one of the
// cache's own.
func WithDisk(d *durable.Disk) DirOption { return func(c *Dir) { c.disk = d } }

// Close gives back what OpenDir opened. Nothing is put or deleted after it.
func (d *Dir) Close() error {
	if !d.opened {
		return nil
	}
	return d.disk.Close()
}

// Get implements Cache.
func (d *Dir) Get(kind, domain string) ([]byte, bool) {
	if !fileName(domain) {
		return nil, false
	}
	data, err := os.ReadFile(filepath.Join(d.dir, kind, domain))
	return data, err == nil
}

// Put implements Cache.
func (d *Dir) Put(ctx context.Context, kind, domain string, data []byte) error {
	if !fileName(domain) {
		return errors.New("cache: not a domain name")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.disk.ReplaceFile(ctx, filepath.Join(d.dir, kind, domain), data)
}

// Delete implements Cache.
func (d *Dir) Delete(ctx context.Context, kind, domain string) error {
	if !fileName(domain) {
		return errors.New("cache: not a domain name")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	name := filepath.Join(d.dir, kind, domain)
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.disk.Commit(ctx, &durable.Tx{Steps: []durable.Step{durable.Remove(name)}})
}

// fileName: a domain in ASCII is a file name as it is, as long as it has
// nothing else in it.
func fileName(domain string) bool {
	return domain != "" && len(domain) <= 250 && domain[0] != '.' && !strings.ContainsFunc(domain, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}
