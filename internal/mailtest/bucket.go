package mailtest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Bucket is storage of large messages in memory, empty at first. A key is used once.
type Bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
}

// Put stores an object.
func (b *Bucket) Put(_ context.Context, key string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.objects[key]; there {
		return errors.New("a key was used twice")
	}
	if b.objects == nil {
		b.objects = make(map[string][]byte)
	}
	b.objects[key] = bytes.Clone(data)
	return nil
}

// Get returns an object.
func (b *Bucket) Get(_ context.Context, key string, most int) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	data, there := b.objects[key]
	if !there {
		return nil, fs.ErrNotExist
	}
	if len(data) > most {
		return nil, errors.New("too large")
	}
	return bytes.Clone(data), nil
}

// Delete removes an object.
func (b *Bucket) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
	return nil
}

// List are the keys that begin so.
func (b *Bucket) List(_ context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, key := range b.Keys() {
			if strings.HasPrefix(key, prefix) && !yield(key, nil) {
				return
			}
		}
	}
}

// Keys are all.
func (b *Bucket) Keys() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.objects))
}

// Change replaces all objects.
func (b *Bucket) Change(by func(data []byte) []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, data := range b.objects {
		b.objects[key] = by(data)
	}
}

// Clear loses all objects.
func (b *Bucket) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.objects)
}
