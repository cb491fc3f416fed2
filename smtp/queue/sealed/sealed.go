// Package sealed keeps the messages of a queue sealed with a key of the server while they wait. It is a queue.Spool around
// another, whichever that is: envelopes and states are there as they were, for these are what a queue goes by and what an operator is shown; messages
// are sealed when they come and opened when they are read, in constant memory.
//
// # What a sealed message is
//
// For the spool inside it is a message like any other:
//
//	"PRSQ" 0x01          magic and version
//	length               of what follows, four octets, big-endian
//	box                  the top of the message (seal.Key.Seal), at least an empty one
//	stream               its body (seal.Key.EncryptWriter)
//
// as the top is known last and stands first. No mail begins with the magic, which is no header field. So it is seen of each message whether it is
// sealed: those that were there before are read as they are, and sealed ones as long as their key is there, also when no more are sealed. Both parts are
// bound to the entry's id: what was put into another entry does not open.
package sealed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// ErrKey: a message is sealed, and its key is not there, or is another one. It stays in the queue.
var ErrKey = errors.New("sealed queue: no key that opens the message")

const (
	magic    = "PRSQ\x01"
	headSize = len(magic) + 4
	// topMost bounds the top of a message that is read, in octets.
	topMost = 16 << 20
)

// Spool is a queue.Spool around another. Its methods may be called concurrently.
type Spool struct {
	queue.Spool
	keys atomic.Pointer[Keys]
}

var (
	_ queue.Wrapper  = (*Spool)(nil)
	_ queue.Together = (*Spool)(nil)
)

// Keys open sealed messages, and may seal those that come. The zero value does neither.
type Keys struct {
	key  seal.Key
	seal bool
}

// NewKeys makes Keys of seal.KeySize octets, which are for nothing else. sealing: messages that come are sealed. The error is seal.ErrKey.
func NewKeys(secret []byte, sealing bool) (*Keys, error) {
	key, err := seal.NewKey(secret)
	return &Keys{key, sealing}, err
}

// New makes a spool around inner, which seals nothing and opens nothing before Use.
func New(inner queue.Spool) *Spool {
	s := &Spool{Spool: inner}
	s.Use(nil)
	return s
}

// Use has messages sealed and opened with these keys from now on; nil: none.
func (s *Spool) Use(keys *Keys) {
	if keys == nil {
		keys = new(Keys)
	}
	s.keys.Store(keys)
}

// Unwrap implements queue.Wrapper.
func (s *Spool) Unwrap() queue.Spool { return s.Spool }

// sealedFor binds a part of a message to its entry.
func sealedFor(part, id string) []byte { return []byte("queue " + part + " " + id) }

// Begin implements queue.Spool.
func (s *Spool) Begin(ctx context.Context, e *queue.Entry, st *queue.State) (queue.Writer, error) {
	u := s.keys.Load()
	if !u.seal {
		return s.Spool.Begin(ctx, e, st)
	}
	more := e.Clone()
	more.Top = headSize + seal.Overhead + max(e.Top, 0)
	if e.Params.Size > 0 {
		more.Params.Size = int64(headSize+seal.Overhead) + seal.StreamSize(e.Params.Size)
	}
	inner, err := s.Spool.Begin(ctx, more, st)
	if err != nil {
		return nil, err
	}
	body, err := u.key.EncryptWriter(inner, sealedFor("message", e.ID))
	if err != nil {
		inner.Abort()
		return nil, err
	}
	return &writer{inner: inner, body: body, key: u.key, id: e.ID}, nil
}

// writer seals one message.
type writer struct {
	inner queue.Writer
	body  io.WriteCloser
	key   seal.Key
	id    string
	done  bool
}

// Write implements queue.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, queue.ErrClosed
	}
	return w.body.Write(p)
}

// Commit implements queue.Writer.
func (w *writer) Commit(ctx context.Context, top []byte) error {
	head, err := w.finish(top)
	if err != nil {
		return err
	}
	return w.inner.Commit(ctx, head)
}

// finish writes what is left of the body, and returns what stands above it.
func (w *writer) finish(top []byte) (head []byte, err error) {
	if w.done {
		return nil, queue.ErrClosed
	}
	w.done = true
	box, err := w.key.Seal(top, sealedFor("top", w.id))
	if err == nil {
		err = w.body.Close()
	}
	if err != nil {
		w.inner.Abort()
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32([]byte(magic), uint32(len(box))), box...), nil
}

// CommitAll implements queue.Together, as far as the spool inside is that.
func (s *Spool) CommitAll(ctx context.Context, writers []queue.Writer, tops [][]byte) (err error) {
	inner, heads := slices.Clone(writers), slices.Clone(tops)
	for i := range writers {
		if w, ok := writers[i].(*writer); ok { // those of before Use are the spool's own
			inner[i] = w.inner
			if heads[i], err = w.finish(tops[i]); err != nil {
				break
			}
		}
	}
	if err != nil {
		for _, w := range writers {
			w.Abort()
		}
		return err
	}
	if together, ok := s.Spool.(queue.Together); ok {
		return together.CommitAll(ctx, inner, heads)
	}
	for i, w := range inner {
		if err := w.Commit(ctx, heads[i]); err != nil {
			for _, w := range inner[i+1:] {
				w.Abort()
			}
			return err
		}
	}
	return nil
}

// Abort implements queue.Writer.
func (w *writer) Abort() error {
	w.done = true
	return w.inner.Abort()
}

// Load implements queue.Spool. Sizes are those of the message.
func (s *Spool) Load(ctx context.Context, id string) (*queue.Entry, *queue.State, error) {
	e, st, err := s.Spool.Load(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	r, err := s.Spool.Open(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	box, _, err := readHead(r)
	if err != nil || box < 0 {
		return e, st, err
	}
	whole := e.Params.Size
	body, err := seal.PlainStreamSize(whole - int64(headSize+box))
	if err != nil {
		return nil, nil, fmt.Errorf("sealed message of %s: %d octets: %w", id, whole, err)
	}
	e.Params.Size = body + int64(box-seal.Overhead)
	if st.Size == whole { // as the spool inside has set it; what was saved since is ours
		st.Size = e.Params.Size
	}
	return e, st, nil
}

// readHead reads how a message begins, and gives the length of its box; of one that is not sealed, -1 and what was read of it.
func readHead(r io.Reader) (box int, plain []byte, err error) {
	head := make([]byte, headSize)
	n, err := io.ReadFull(r, head)
	switch {
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return -1, head[:n], nil
	case err != nil:
		return 0, nil, err
	case string(head[:len(magic)]) != magic:
		return -1, head, nil
	}
	long := binary.BigEndian.Uint32(head[len(magic):])
	if long < seal.Overhead || long > topMost {
		return 0, nil, fmt.Errorf("sealed message: a top of %d octets: %w", long, seal.ErrOpen)
	}
	return int(long), nil, nil
}

// Open implements queue.Spool. The error is ErrKey for a message that is sealed with a key that is not there.
func (s *Spool) Open(ctx context.Context, id string) (io.ReadCloser, error) {
	r, err := s.Spool.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	plain, err := s.open(r, id)
	if err != nil {
		r.Close()
		return nil, err
	}
	return opened{plain, r}, nil
}

// opened is what is in a message, and what that is read from.
type opened struct {
	io.Reader
	io.Closer
}

func (s *Spool) open(r io.Reader, id string) (io.Reader, error) {
	long, plain, err := readHead(r)
	if err != nil {
		return nil, fmt.Errorf("open message of %s: %w", id, err)
	}
	if long < 0 {
		return io.MultiReader(bytes.NewReader(plain), r), nil
	}
	box := make([]byte, long)
	if _, err := io.ReadFull(r, box); err != nil {
		return nil, fmt.Errorf("open sealed message of %s: %w", id, noEnd{err})
	}
	key := s.keys.Load().key
	top, err := key.Open(box, sealedFor("top", id))
	if err != nil {
		return nil, fmt.Errorf("open sealed message of %s: %w: %w", id, ErrKey, err)
	}
	body, err := key.DecryptReader(r, sealedFor("message", id))
	if err != nil {
		return nil, fmt.Errorf("open sealed message of %s: %w", id, err)
	}
	return io.MultiReader(bytes.NewReader(top), body), nil
}

// noEnd keeps a reader from taking a message that ends too early for one that ends.
type noEnd struct{ error }
