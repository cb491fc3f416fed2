package pop3

import (
	"io"
	"net"
	"sync"
	"time"
)

// pieceSize is how much is written at a time, each piece under a deadline of
// its own.
const pieceSize = 32 << 10

var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// output gathers answers until flush. It borrows its buffer only between the
// first octet and the flush, so that an idle session has none.
type output struct {
	dst   net.Conn
	limit time.Duration // for each piece
	buf   *[pieceSize]byte
	n     int
	sent  int64
	err   error // the first error; nothing is written after it
}

func (o *output) reset(dst net.Conn, limit time.Duration) {
	o.release()
	o.dst, o.limit = dst, limit
}

// Write adds p. A large piece is not copied if nothing waits before it.
func (o *output) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 && o.err == nil {
		switch {
		case o.n > 0 && o.n+len(p) > pieceSize:
			o.push()
		case o.n == 0 && len(p) >= pieceSize/2:
			n := min(len(p), pieceSize)
			o.put(p[:n])
			p = p[n:]
		default:
			o.n += copy(o.room(), p)
			p = nil
		}
	}
	if o.err != nil {
		return 0, o.err
	}
	return total, nil
}

// room is the free part of the buffer.
func (o *output) room() []byte {
	if o.buf == nil {
		o.buf = pieces.Get().(*[pieceSize]byte)
	}
	return o.buf[o.n:]
}

// short returns an empty slice with room for at least n octets, to be appended
// to and given to done. n is at most pieceSize.
func (o *output) short(n int) []byte {
	if o.n+n > pieceSize {
		o.push()
	}
	return o.room()[:0]
}

// done adds what was appended to the slice that short returned.
func (o *output) done(p []byte) { o.n += len(p) }

// push sends what was gathered.
func (o *output) push() {
	if o.n > 0 && o.err == nil {
		o.put(o.buf[:o.n])
	}
	o.n = 0
}

// flush sends what was gathered and gives the buffer back.
func (o *output) flush() error {
	o.push()
	o.release()
	return o.err
}

func (o *output) release() {
	if o.buf != nil {
		pieces.Put(o.buf)
		o.buf = nil
	}
	o.n = 0
}

func (o *output) put(p []byte) {
	if o.limit >= 0 {
		o.dst.SetWriteDeadline(time.Now().Add(o.limit))
	}
	n, err := o.dst.Write(p)
	o.sent += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	o.err = err
}
