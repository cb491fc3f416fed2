package sealed

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

// bucket is storage in memory.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func (b *bucket) Put(_ context.Context, key string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = bytes.Clone(data)
	return nil
}

func (b *bucket) Get(_ context.Context, key string, _ int) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if data, there := b.objects[key]; there {
		return bytes.Clone(data), nil
	}
	return nil, fs.ErrNotExist
}

func (b *bucket) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
	return nil
}

func (b *bucket) List(_ context.Context, prefix string) iter.Seq2[string, error] {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := slices.Sorted(maps.Keys(b.objects))
	return func(yield func(string, error) bool) {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && !yield(key, nil) {
				return
			}
		}
	}
}

// all is what is in it.
func (b *bucket) all() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Join(slices.Collect(maps.Values(b.objects)), nil)
}

// inBucket: large messages of a sealed mailbox are in a bucket as those of others are, and in clear in neither place, also where their top
// needs more room than was kept. What is sealed and unsealed in place stays in the bucket; what nothing names any more is removed from it.
func inBucket(t *testing.T, dsn string) {
	b := &bucket{objects: make(map[string][]byte)}
	large := postgres.WithObjects(b, 64<<10, 0)
	t.Run("Convert", func(t *testing.T) { convertInDatabase(t, dsn, large) })

	clear(b.objects)
	r := newRing(everybody)
	inner := inDatabase(t, dsn, t.Name(), large)
	s := unlocked{New(inner, r.recipient, nil), r}
	const marked = "a line that is marked\r\n"
	bodies := []string{strings.Repeat(marked, 4_000), strings.Repeat(marked, 80_000), strings.Repeat(marked, 200)}
	top := "Subject: top\r\n" + strings.Repeat("X-Top: of which nobody knew\r\n", 40)
	for _, body := range bodies {
		d, err := s.Create(t.Context(), mailstore.Meta{Top: []byte("Subject: top\r\n")}, ann)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(d, body)
		if err := d.Commit(t.Context(), []byte(top)); err != nil {
			t.Fatal(err)
		}
	}
	if n := sql(t, inner, `select from $.body where object is not null and octets is not null`); n != 2 {
		t.Errorf("%d messages are in the bucket", n)
	}
	if all := b.all(); len(all) < 1_800_000 || bytes.Contains(all, []byte("marked")) {
		t.Errorf("%d octets in the bucket", len(all))
	}
	m := drop(t, s, ann)
	defer m.Close()
	for i, body := range bodies {
		if text, err := readAll(m, i); text != top+body || err != nil {
			t.Errorf("%d octets of %d, %v", len(text), len(top+body), err)
		}
	}
	clear(b.objects)
	for i := range 2 {
		if text, err := readAll(m, i); err == nil || text != "" {
			t.Errorf("%d octets of a message whose pieces are lost, %v", len(text), err)
		}
	}
}
