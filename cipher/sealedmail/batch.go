package sealedmail

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"filippo.io/age"
)

// A Batch is one age header for several files to the same public key. What is dear about a header is its two multiplications on the curve, and these are
// made once for all of them. Each file has a random nonce and with it a payload key of its own, so that nothing of one opens as a part of another, and each
// is for age a file as any other.
//
// The key from which those of the files are derived is held until Forget: who reads the memory before that opens
// the files of the batch, and no other. Give it few messages, and a short life. It may be used concurrently.
type Batch struct {
	header []byte // with its MAC, headSize octets

	mu  sync.Mutex
	key []byte // age's file key; nil: forgotten
}

// NewBatch makes a header for a mailbox's public key.
func NewBatch(recipient string) (*Batch, error) {
	r, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		return nil, fmt.Errorf("sealedmail: read public key: %w", err)
	}
	// age writes the header and a nonce at once; what it would make of the rest is not asked for.
	var head bytes.Buffer
	spy := &fileKey{to: r}
	if _, err := age.Encrypt(&head, spy); err != nil {
		return nil, fmt.Errorf("sealedmail: seal message: %w", err)
	}
	if head.Len() != HeadSize {
		return nil, errors.New("sealedmail: header of an unexpected size")
	}
	return &Batch{header: head.Bytes()[:headSize:headSize], key: spy.key}, nil
}

// fileKey is a recipient that keeps the file's key.
type fileKey struct {
	to  *age.X25519Recipient
	key []byte
}

func (f *fileKey) Wrap(key []byte) ([]*age.Stanza, error) {
	f.key = bytes.Clone(key)
	return f.to.Wrap(key)
}

// ErrForgotten: the batch makes no more files.
var ErrForgotten = errors.New("sealedmail: the key of the batch is forgotten")

// Sealer begins a file of the batch. The error is ErrForgotten after Forget.
func (b *Batch) Sealer() (*Sealer, error) {
	head := make([]byte, HeadSize)
	copy(head, b.header)
	nonce := head[headSize:]
	rand.Read(nonce) // never fails: crypto/rand ends the process instead
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.key == nil {
		return nil, ErrForgotten
	}
	aead, err := payload(b.key, nonce)
	return &Sealer{head, aead}, err
}

// Forget overwrites the key. Sealers that were made before go on.
func (b *Batch) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.key)
	b.key = nil
}
