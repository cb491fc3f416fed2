package sealedmail

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"
)

// ChunkSize is how many octets of a message are sealed at a time (age's STREAM).
const ChunkSize = chunkSize

// HeadSize is how many octets stand before the first chunk.
const HeadSize = headSize + nonceSize

// SealedChunkSize is how long a chunk of ChunkSize octets is when it is sealed.
const SealedChunkSize = chunkSize + tagSize

// A Sealer makes one age file chunk by chunk, in any order: Seal is enough for who has a message from its
// first octet to its last, but what stands on top of a mail is known last. The file is Head, then the chunks by number, each of
// ChunkSize octets but the last, which has one octet at least unless it is the first as well.
//
// No two different chunks may be sealed under one number. It is not safe for concurrent use.
type Sealer struct {
	head []byte
	aead cipher.AEAD
}

// NewSealer begins a file for a mailbox's public key.
func NewSealer(recipient string) (*Sealer, error) {
	r, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		return nil, fmt.Errorf("sealedmail: read public key: %w", err)
	}
	// age writes the header and the nonce at once; what it would make of the rest is not asked for.
	var head bytes.Buffer
	spy := &fileKey{to: r}
	if _, err := age.Encrypt(&head, spy); err != nil {
		return nil, fmt.Errorf("sealedmail: seal message: %w", err)
	}
	if head.Len() != HeadSize {
		return nil, errors.New("sealedmail: header of an unexpected size")
	}
	key, err := hkdf.Key(sha256.New, spy.key, head.Bytes()[headSize:], "payload", chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("sealedmail: seal message: %w", err)
	}
	clear(spy.key)
	s := &Sealer{head: head.Bytes()}
	if s.aead, err = chacha20poly1305.New(key); err != nil {
		return nil, fmt.Errorf("sealedmail: seal message: %w", err)
	}
	clear(key)
	return s, nil
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

// Head is what the file begins with, HeadSize octets. It must not be changed.
func (s *Sealer) Head() []byte { return s.head }

// AppendChunk appends chunk n, sealed, to dst, which must not overlap plain.
func (s *Sealer) AppendChunk(dst, plain []byte, n uint64, last bool) []byte {
	return s.aead.Seal(dst, chunkNonce(n, last), plain, nil)
}

// openChunk opens a chunk in place.
func (s *Sealer) openChunk(sealed []byte, n uint64, last bool) ([]byte, error) {
	plain, err := s.aead.Open(sealed[:0], chunkNonce(n, last), sealed, nil)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// chunkNonce is a big-endian number of eleven octets, and whether it is the last (age, "Payload").
func chunkNonce(n uint64, last bool) []byte {
	var nonce [chacha20poly1305.NonceSize]byte
	for i := 10; n > 0; i-- {
		nonce[i] = byte(n)
		n >>= 8
	}
	if last {
		nonce[11] = 1
	}
	return nonce[:]
}

// Reread gives back what was sealed with this Sealer in the chunks from first on, of which r has the octets; whether the last
// of them was sealed as the last of the file is last.
func (s *Sealer) Reread(r io.Reader, first uint64, last bool, take func(plain []byte) error) error {
	buf := make([]byte, SealedChunkSize)
	next := make([]byte, SealedChunkSize)
	n, err := io.ReadFull(r, buf)
	for n > 0 {
		more := 0
		if err == nil {
			more, err = io.ReadFull(r, next)
		}
		if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		plain, bad := s.openChunk(buf[:n], first, last && more == 0)
		if bad != nil {
			return bad
		}
		if err := take(plain); err != nil {
			return err
		}
		buf, next, n = next, buf, more
		first++
	}
	return nil
}

// Key is what a public key is called where there is little room: 8 letters and digits, that
// stand behind "age1" in it.
func Key(recipient string) string {
	if len(recipient) < 12 {
		return ""
	}
	return recipient[4:12]
}
