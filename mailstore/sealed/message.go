package sealed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/mailstore"
)

const (
	headSize  = int64(sealedmail.HeadSize)
	chunkStep = int64(sealedmail.SealedChunkSize)
)

// message reads one sealed message, a chunk at a time.
type message struct {
	file   io.ReadCloser
	octets int64 // of the file
	opener *sealedmail.Opener
	n      uint64 // the next chunk
	chunks uint64
	buf    *chunk // nil: closed
	used   int    // octets of buf
	plain  []byte // of buf, not yet read
	left   int64  // octets that are to be read
	err    error
	fail   func(error) error // hears of damage

	reopen func(context.Context) (io.ReadCloser, int64, error) // the file once more, for Check
}

// chunk is one that is sealed, and is opened in place.
type chunk [sealedmail.SealedChunkSize]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// giveBack clears what was in clear.
func (c *chunk) giveBack(used int) {
	clear(c[:used])
	chunks.Put(c)
}

// newMessage opens the first chunk, and compares its field. The file's length has been checked.
func newMessage(file io.ReadCloser, octets int64, mark string, size int64, keys *sealedmail.Unlocked) (*message, error) {
	head := make([]byte, sealedmail.HeadSize)
	if _, err := io.ReadFull(file, head); err != nil {
		return nil, damaged(err)
	}
	opener, err := keys.Opener(head)
	if err != nil {
		return nil, damaged(err)
	}
	m := &message{file: file, octets: octets, opener: opener, chunks: countChunks(octets), buf: chunks.Get().(*chunk), left: size}
	m.fail = func(err error) error { return err }
	err = m.next()
	if want := field(mark); err == nil && (len(m.plain) < len(want) || string(m.plain[:len(want)]) != want) {
		err = fmt.Errorf("%w: in it is another message than its name says", mailstore.ErrDamaged)
	}
	if err != nil {
		m.release()
		return nil, err
	}
	m.plain = m.plain[len(field(mark)):]
	return m, nil
}

// countChunks is how many chunks a file of that many octets has.
func countChunks(octets int64) uint64 {
	return uint64((octets - headSize + chunkStep - 1) / chunkStep)
}

// chunkSpan is where chunk n stands in the file.
func (m *message) chunkSpan(n uint64) (at int64, length int) {
	at = headSize + int64(n)*chunkStep
	return at, int(min(m.octets-at, chunkStep))
}

// next opens the next chunk.
func (m *message) next() error {
	_, length := m.chunkSpan(m.n)
	sealed := m.buf[:length]
	if _, err := io.ReadFull(m.file, sealed); err != nil {
		return damaged(err)
	}
	plain, err := m.opener.OpenChunk(sealed, m.n, m.n+1 == m.chunks)
	if err != nil {
		return damaged(err)
	}
	m.plain, m.used = plain, max(m.used, len(plain))
	m.n++
	return nil
}

// Read implements io.Reader.
func (m *message) Read(p []byte) (int, error) {
	for len(m.plain) == 0 && m.err == nil {
		switch {
		case m.buf == nil:
			return 0, io.ErrClosedPipe
		case m.n < m.chunks:
			if err := m.next(); err != nil {
				m.err = m.fail(err)
			}
		case m.left != 0:
			m.err = m.fail(fmt.Errorf("%w: it ends %d octets from where it should", mailstore.ErrDamaged, m.left))
		default:
			m.err = io.EOF
		}
	}
	if len(m.plain) == 0 {
		return 0, m.err
	}
	n := copy(p, m.plain)
	m.plain = m.plain[n:]
	m.left -= int64(n)
	return n, nil
}

// checkers is how many chunks of a message are checked at a time.
const checkers = 4

// Check opens all chunks once before anybody is given any of them. The first was opened with the message.
func (m *message) Check(ctx context.Context) error {
	if m.chunks == 1 {
		return nil
	}
	err := m.checkAll(ctx)
	if err != nil {
		return m.fail(err)
	}
	return nil
}

func (m *message) checkAll(ctx context.Context) error {
	from, ok := m.file.(io.ReaderAt)
	if !ok {
		return m.checkAgain(ctx)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	step := uint64(min(checkers, runtime.GOMAXPROCS(0), int(m.chunks-1)))
	for first := range step {
		all.Go(func() {
			if err := m.checkEach(ctx, from, 1+first, step); err != nil {
				stop(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// checkAgain checks a file that can be read from its beginning only.
func (m *message) checkAgain(ctx context.Context) error {
	file, octets, err := m.reopen(ctx)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.CopyN(io.Discard, file, headSize); err != nil || octets != m.octets {
		return damaged(errors.Join(io.ErrUnexpectedEOF, err))
	}
	again := &message{file: file, octets: octets, opener: m.opener, chunks: m.chunks, buf: chunks.Get().(*chunk)}
	defer again.release()
	for again.n < again.chunks {
		if err := errors.Join(ctx.Err(), again.next()); err != nil {
			return err
		}
	}
	return nil
}

// checkEach opens chunks at equal distances.
func (m *message) checkEach(ctx context.Context, from io.ReaderAt, first, step uint64) error {
	buf, used := chunks.Get().(*chunk), 0
	defer func() { buf.giveBack(used) }()
	for n := first; n < m.chunks && ctx.Err() == nil; n += step {
		at, length := m.chunkSpan(n)
		if got, err := from.ReadAt(buf[:length], at); got < length {
			return damaged(err)
		}
		used = max(used, length)
		if _, err := m.opener.OpenChunk(buf[:length], n, n+1 == m.chunks); err != nil {
			return damaged(err)
		}
	}
	return nil
}

// Close implements io.Closer.
func (m *message) Close() error {
	m.release()
	return m.file.Close()
}

// release gives the chunk back.
func (m *message) release() {
	if m.buf != nil {
		m.buf.giveBack(m.used)
		m.buf, m.plain = nil, nil
	}
}
