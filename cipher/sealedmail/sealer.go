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

// Head is what the file begins with, HeadSize octets. It must not be changed.
func (s *Sealer) Head() []byte { return s.head }

// AppendChunk appends chunk n, sealed, to dst, which must not overlap plain.
func (s *Sealer) AppendChunk(dst, plain []byte, n uint64, last bool) []byte {
	return s.aead.Seal(dst, chunkNonce(n, last), plain, nil)
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
		plain, bad := openChunk(s.aead, buf[:n], first, last && more == 0)
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

// An Opener opens one age file chunk by chunk, in any order: Unlocked.Open is enough for who reads a message from its first octet
// to its last. It may be used concurrently.
type Opener struct{ aead cipher.AEAD }

// Opener opens the file that begins with head, HeadSize octets. The error is ErrOpen where none of the keys opens it, or it has another recipient
// than one of X25519.
func (u *Unlocked) Opener(head []byte) (*Opener, error) {
	if len(head) != HeadSize {
		return nil, ErrOpen
	}
	var spy fileKey
	defer func() { clear(spy.key) }()
	ids := make([]age.Identity, len(u.keys))
	for i, k := range u.keys {
		ids[i] = spying{k, &spy}
	}
	if _, err := age.Decrypt(bytes.NewReader(head), ids...); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrOpen, err)
	}
	aead, err := payload(spy.key, head[headSize:])
	if err != nil {
		return nil, err
	}
	return &Opener{aead}, nil
}

// spying is an identity that keeps the file's key.
type spying struct {
	age.Identity
	spy *fileKey
}

func (s spying) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	key, err := s.Identity.Unwrap(stanzas)
	if err == nil {
		s.spy.key = bytes.Clone(key)
	}
	return key, err
}

// OpenChunk opens chunk n in place. The error is ErrOpen for one that is not what was sealed there.
func (o *Opener) OpenChunk(sealed []byte, n uint64, last bool) ([]byte, error) {
	return openChunk(o.aead, sealed, n, last)
}

func openChunk(aead cipher.AEAD, sealed []byte, n uint64, last bool) ([]byte, error) {
	plain, err := aead.Open(sealed[:0], chunkNonce(n, last), sealed, nil)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// payload is the cipher of a file's chunks.
func payload(fileKey, nonce []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, fileKey, nonce, "payload", chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("sealedmail: derive key: %w", err)
	}
	defer clear(key)
	return chacha20poly1305.New(key)
}

// Key is what a public key is called where there is little room: 8 letters and digits, that
// stand behind "age1" in it.
func Key(recipient string) string {
	if len(recipient) < 12 {
		return ""
	}
	return recipient[4:12]
}
