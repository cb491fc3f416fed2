package seal

import (
	"bufio"
	gocipher "crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// A sealed stream is
//
//	"PRSS" 0x01              magic and version
//	salt                     32 random bytes
//	chunk …                  64 KiB of plaintext each, the last may be shorter
//
// Each chunk is ChaCha20-Poly1305 under a key of this stream alone (HKDF of the
// Key, the salt and the context), with its number and whether it is the last in
// the nonce: the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015).
// So chunks can be neither reordered, nor repeated, nor left out at the end.
// There is always a last chunk; it is empty only if the stream is.
const (
	streamMagic = "PRSS\x01"
	streamHead  = len(streamMagic) + saltSize
	saltSize    = 32
	chunkSize   = 64 << 10
	sealedChunk = chunkSize + chacha20poly1305.Overhead
)

// StreamSize is the size in bytes of what EncryptWriter writes for that many
// bytes of plaintext.
func StreamSize(plain int64) int64 {
	chunks := max(1, (plain+chunkSize-1)/chunkSize)
	return int64(streamHead) + plain + chunks*chacha20poly1305.Overhead
}

// PlainStreamSize is StreamSize's inverse. The error is ErrTruncated for a size that no sealed stream has.
func PlainStreamSize(sealed int64) (int64, error) {
	chunks := (sealed - int64(streamHead) + sealedChunk - 1) / sealedChunk
	plain := sealed - int64(streamHead) - chunks*chacha20poly1305.Overhead
	if plain < 0 || StreamSize(plain) != sealed {
		return 0, ErrTruncated
	}
	return plain, nil
}

// streamAEAD derives the stream's own cipher.
func (k Key) streamAEAD(salt, context []byte) (gocipher.AEAD, error) {
	sub, err := k.subkey("stream")
	if err != nil {
		return nil, err
	}
	own, err := hkdf.Key(sha256.New, sub, salt, "postrider stream v1 "+string(context), chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("seal: derive stream key: %w", err)
	}
	return chacha20poly1305.New(own)
}

// streamNonce is the chunk's number in eleven bytes, then 1 for the last chunk.
func streamNonce(n uint64, last bool) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSize)
	binary.BigEndian.PutUint64(nonce[3:], n)
	if last {
		nonce[11] = 1
	}
	return nonce
}

// EncryptWriter seals a stream in constant memory (some 130 KiB). What is
// written is complete only after Close, which does not close w. context is as
// for Seal.
func (k Key) EncryptWriter(w io.Writer, context []byte) (io.WriteCloser, error) {
	head := make([]byte, streamHead)
	copy(head, streamMagic)
	salt := head[len(streamMagic):]
	rand.Read(salt)
	aead, err := k.streamAEAD(salt, context)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(head); err != nil {
		return nil, fmt.Errorf("seal: write sealed stream: %w", err)
	}
	return &encryptWriter{w: w, aead: aead, plain: make([]byte, 0, chunkSize), sealed: make([]byte, 0, sealedChunk)}, nil
}

type encryptWriter struct {
	w      io.Writer
	aead   gocipher.AEAD
	n      uint64
	plain  []byte // waits: until there is more, it may be the last chunk
	sealed []byte
	err    error
}

func (e *encryptWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && e.err == nil {
		if len(e.plain) == chunkSize {
			e.flush(false)
		}
		m := copy(e.plain[len(e.plain):chunkSize], p)
		e.plain = e.plain[:len(e.plain)+m]
		p, n = p[m:], n+m
	}
	return n, e.err
}

func (e *encryptWriter) flush(last bool) {
	// Eleven bytes count further than 2^64, and nobody writes 2^64 chunks.
	e.sealed = e.aead.Seal(e.sealed[:0], streamNonce(e.n, last), e.plain, nil)
	e.n++
	e.plain = e.plain[:0]
	if _, err := e.w.Write(e.sealed); err != nil {
		e.err = fmt.Errorf("seal: write sealed stream: %w", err)
	}
}

var errClosed = errors.New("seal: sealed stream is closed")

func (e *encryptWriter) Close() error {
	if e.err != nil {
		if e.err == errClosed {
			return nil
		}
		return e.err
	}
	e.flush(true)
	if e.err != nil {
		return e.err
	}
	e.err = errClosed
	return nil
}

// DecryptReader opens a stream sealed by EncryptWriter in constant memory. It
// gives only bytes that were sealed, in their order; io.EOF comes only at the
// stream's own end. Otherwise the error is ErrTruncated, ErrOpen, or r's.
func (k Key) DecryptReader(r io.Reader, context []byte) (io.Reader, error) {
	head := make([]byte, streamHead)
	if _, err := io.ReadFull(r, head); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, ErrTruncated
		}
		return nil, fmt.Errorf("seal: read sealed stream: %w", err)
	}
	if string(head[:len(streamMagic)]) != streamMagic {
		return nil, fmt.Errorf("%w: not a sealed stream", ErrOpen)
	}
	aead, err := k.streamAEAD(head[len(streamMagic):], context)
	if err != nil {
		return nil, err
	}
	return &decryptReader{r: bufio.NewReaderSize(r, sealedChunk), aead: aead, sealed: make([]byte, sealedChunk)}, nil
}

type decryptReader struct {
	r      *bufio.Reader
	aead   gocipher.AEAD
	n      uint64
	sealed []byte
	plain  []byte // opened and not yet read
	err    error
}

func (d *decryptReader) Read(p []byte) (int, error) {
	for len(d.plain) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		d.next()
	}
	n := copy(p, d.plain)
	d.plain = d.plain[n:]
	return n, nil
}

// next opens one chunk. It is the last one if nothing stands behind it.
func (d *decryptReader) next() {
	n, err := io.ReadFull(d.r, d.sealed)
	last := err == io.EOF || err == io.ErrUnexpectedEOF
	if err == nil {
		_, err = d.r.Peek(1)
		last = err == io.EOF
	}
	if err != nil && !last {
		d.err = fmt.Errorf("seal: read sealed stream: %w", err)
		return
	}
	plain, err := d.aead.Open(d.sealed[:0], streamNonce(d.n, last), d.sealed[:n], nil)
	switch {
	case err != nil && last:
		d.err = ErrTruncated
	case err != nil:
		d.err = ErrOpen
	case last && len(plain) == 0 && d.n > 0:
		d.err = fmt.Errorf("%w: empty last chunk", ErrOpen)
	case last:
		d.err = io.EOF
	}
	if err == nil {
		d.plain = plain
	}
	d.n++
}
