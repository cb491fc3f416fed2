// Package sealed keeps the messages of a queue sealed with a key of the server while they wait. It is a queue.Spool around
// another, whichever that is: envelopes and states are there as they were, for these are what a queue goes by and what an operator is shown; messages
// are sealed when they come and opened when they are read, in constant memory.
//
// # What a sealed message is
//
// For the spool inside it is a message like any other:
//
//	"PRSQ" 0x02          magic and version
//	name                 of the key, eight octets (Keys.Name)
//	size                 of the message inside, eight octets, big-endian
//	length               of what follows, four octets, big-endian
//	box                  the top of the message (seal.Key.Seal), at least an empty one
//	stream               its body (seal.Key.EncryptWriter)
//
// as the top is known last and stands first. Version 1, which had neither name nor size, is read for ever. No mail begins with the magic, which is no header
// field. So it is seen of each message whether it is
// sealed: those that were there before are read as they are, and sealed ones as long as their key is there, also when no more are sealed. Both parts are
// bound to the entry's id, and the box to what stands before it: what was put into another entry, or in front of another message, does not open.
package sealed

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
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
	magic1    = "PRSQ\x01"
	magic     = "PRSQ\x02"
	nameSize  = 8
	headSize1 = len(magic1) + 4
	headSize  = len(magic) + nameSize + 8 + 4
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
	name []byte
}

// NewKeys makes Keys of seal.KeySize octets, which are for nothing else. sealing: messages that come are sealed. The error is seal.ErrKey.
func NewKeys(secret []byte, sealing bool) (*Keys, error) {
	key, err := seal.NewKey(secret)
	if err != nil {
		return nil, err
	}
	name, err := key.Derive("name")
	if err != nil {
		return nil, err
	}
	return &Keys{key, sealing, name[:nameSize]}, nil
}

// Name tells a key from others, and nothing else of it; empty for no key.
func (k *Keys) Name() string {
	if k == nil {
		return ""
	}
	return hex.EncodeToString(k.name)
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
	if p, ok := s.Spool.(Passer); ok {
		var but [][]byte
		if keys.name != nil {
			but = [][]byte{append([]byte(magic), keys.name...)}
		}
		p.Pass([]byte(magic), but...)
	}
}

// Passer is a queue.Shared that leaves entries to others, with which this process could do nothing.
type Passer interface {
	// Pass has Claim pass over entries whose message begins so, but for those that begin with one of but.
	Pass(begins []byte, but ...[]byte)
}

// Sealed counts the messages that are sealed, by the name of their key ("" for those of version 1). Each message is opened for that.
func (s *Spool) Sealed(ctx context.Context) (map[string]int, error) {
	by := make(map[string]int)
	err := s.Scan(ctx, func(id string, _ *queue.State) error {
		r, err := s.Spool.Open(ctx, id)
		if err != nil {
			return err
		}
		defer r.Close()
		if h, _, err := readHead(r); err == nil && h != nil {
			by[hex.EncodeToString(h.name)]++
		}
		return nil
	})
	return by, err
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
	return &writer{inner: inner, body: body, keys: u, id: e.ID}, nil
}

// writer seals one message.
type writer struct {
	inner queue.Writer
	body  io.WriteCloser
	keys  *Keys
	id    string
	size  int64 // of the body
	done  bool
}

// Write implements queue.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, queue.ErrClosed
	}
	n, err := w.body.Write(p)
	w.size += int64(n)
	return n, err
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
	head = append([]byte(magic), w.keys.name...)
	head = binary.BigEndian.AppendUint64(head, uint64(w.size+int64(len(top))))
	box, err := w.keys.key.Seal(top, append(sealedFor("top", w.id+" "), head...))
	if err == nil {
		err = w.body.Close()
	}
	if err != nil {
		w.inner.Abort()
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(head, uint32(len(box))), box...), nil
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
	var from io.Reader = bytes.NewReader(e.Head)
	if e.Head == nil {
		r, err := s.Spool.Open(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		defer r.Close()
		from = r
	}
	if err := trueSizes(e, st, from); err != nil {
		return nil, nil, err
	}
	return e, st, nil
}

// trueSizes sets the sizes of an entry to those of the message inside, of which from reads the beginning.
func trueSizes(e *queue.Entry, st *queue.State, from io.Reader) error {
	h, _, err := readHead(from)
	e.Head = nil // how the message inside begins is not known
	if err != nil || h == nil {
		return err
	}
	whole := e.Params.Size
	if e.Params.Size, err = h.plain(whole); err != nil {
		return fmt.Errorf("sealed message of %s: %d octets: %w", e.ID, whole, err)
	}
	if st.Size == whole { // as the spool inside has set it; what was saved since is ours
		st.Size = e.Params.Size
	}
	return nil
}

// head is how a sealed message begins.
type head struct {
	text []byte // what the box is bound to
	name []byte // of its key; nil in version 1
	size int64  // of the message inside; -1 in version 1
	box  int    // its length
}

// plain is how long the message inside is, where all is so long.
func (h *head) plain(whole int64) (int64, error) {
	if h.size >= 0 {
		return h.size, nil
	}
	body, err := seal.PlainStreamSize(whole - int64(headSize1+h.box))
	return body + int64(h.box-seal.Overhead), err
}

// readHead reads how a message begins; of one that is not sealed, h is nil, and plain what was read of it.
func readHead(r io.Reader) (h *head, plain []byte, err error) {
	text := make([]byte, headSize)
	n, err := io.ReadFull(r, text[:headSize1])
	switch {
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, text[:n], nil
	case err != nil:
		return nil, nil, err
	}
	h = &head{size: -1}
	switch string(text[:len(magic)]) {
	default:
		return nil, text[:n], nil
	case magic1:
		text = text[:headSize1]
	case magic:
		if _, err := io.ReadFull(r, text[n:]); err != nil {
			return nil, nil, fmt.Errorf("sealed message: %w", noEnd{err})
		}
		h.text, h.name = text[:headSize-4], text[len(magic):len(magic)+nameSize]
		h.size = int64(binary.BigEndian.Uint64(text[len(magic)+nameSize:]))
		if h.size < 0 {
			return nil, nil, fmt.Errorf("sealed message: its size: %w", seal.ErrOpen)
		}
	}
	long := binary.BigEndian.Uint32(text[len(text)-4:])
	if long < seal.Overhead || long > topMost {
		return nil, nil, fmt.Errorf("sealed message: a top of %d octets: %w", long, seal.ErrOpen)
	}
	h.box = int(long)
	return h, nil, nil
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
	h, plain, err := readHead(r)
	if err != nil {
		return nil, fmt.Errorf("open message of %s: %w", id, err)
	}
	if h == nil {
		return io.MultiReader(bytes.NewReader(plain), r), nil
	}
	box := make([]byte, h.box)
	if _, err := io.ReadFull(r, box); err != nil {
		return nil, fmt.Errorf("open sealed message of %s: %w", id, noEnd{err})
	}
	keys, bound := s.keys.Load(), sealedFor("top", id)
	if h.text != nil {
		bound = append(sealedFor("top", id+" "), h.text...)
		if !bytes.Equal(h.name, keys.name) {
			return nil, fmt.Errorf("open sealed message of %s: %w: it is sealed with %x, and that of this server is %q", id, ErrKey, h.name, keys.Name())
		}
	}
	key := keys.key
	top, err := key.Open(box, bound)
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
