package sealed

import (
	"errors"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
)

// Messages that come for one mailbox within a moment share a header (sealedmail.Batch): what a header costs is most of what a small message costs.
// Its key is held no longer than that moment, and not for more than a few messages.
const (
	batchMost = 64
	batchTime = 10 * time.Second
)

// batches are those of the moment, by public key. The zero value is ready.
type batches struct {
	mu sync.Mutex
	of map[string]*batch
}

type batch struct {
	make func() (*sealedmail.Batch, error) // once
	used int                               // messages
}

// sealer begins a file for a public key.
func (b *batches) sealer(key string) (*sealedmail.Sealer, error) {
	for {
		made, err := b.take(key).make()
		if err != nil {
			return nil, err
		}
		s, err := made.Sealer()
		if !errors.Is(err, sealedmail.ErrForgotten) {
			return s, err
		}
	}
}

// take gives the batch of the moment, counting one more message.
func (b *batches) take(key string) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.of[key]
	if p == nil || p.used == batchMost { // one that is full ends with its moment
		p = &batch{make: sync.OnceValues(func() (*sealedmail.Batch, error) { return sealedmail.NewBatch(key) })}
		if b.of == nil {
			b.of = make(map[string]*batch)
		}
		b.of[key] = p
		time.AfterFunc(batchTime, func() { b.drop(key, p) })
	}
	p.used++
	return p
}

// drop ends a batch whose moment is over.
func (b *batches) drop(key string, p *batch) {
	b.mu.Lock()
	if b.of[key] == p {
		delete(b.of, key)
	}
	b.mu.Unlock()
	if made, err := p.make(); err == nil {
		made.Forget()
	}
}
