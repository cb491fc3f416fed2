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

	"github.com/postrider-mail/postrider/internal/durable"
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

// Dir is a Cache in a directory: <dir>/<kind>/<domain>.
type Dir struct {
	dir string
	c   *durable.Committer

	mu sync.Mutex // ReplaceFile wants one at a time for each name
}

// OpenDir makes a Cache in dir, which must exist.
func OpenDir(ctx context.Context, dir string, c *durable.Committer) (*Dir, error) {
	for _, kind := range []string{"sts", "seen", "tlsrpt", "queue"} {
		if err := c.MkdirAll(ctx, dir, filepath.Join(dir, kind)); err != nil {
			return nil, fmt.Errorf("open cache: %w", err)
		}
	}
	return &Dir{dir: dir, c: c}, nil
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
	return d.c.ReplaceFile(ctx, filepath.Join(d.dir, kind, domain), data)
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
	return d.c.Commit(ctx, &durable.Tx{Steps: []durable.Step{durable.Remove(name)}})
}

// fileName: a domain in ASCII is a file name as it is, as long as it has
// nothing else in it.
func fileName(domain string) bool {
	return domain != "" && len(domain) <= 250 && domain[0] != '.' && !strings.ContainsFunc(domain, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}
