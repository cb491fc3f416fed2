package milter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A packet is a length of four octets, and as many octets, of which the first says what it is.
const (
	lengthSize = 4
	// mostAnswer is how many octets an answer may have. Those of libmilter have less than 64 KiB, and what they mean is a
	// line or a header field.
	mostAnswer = 64 << 10
	// mostChunk is how many octets of a body are sent at a time (libmilter's MILTER_CHUNK_SIZE).
	mostChunk = 65535
)

// Errors of a milter that cannot be asked. Others are those of the network.
var (
	// ErrSlow: it has not answered in time, or has let a message wait for too long altogether.
	ErrSlow = errors.New("the milter is too slow")
	// ErrGarbage: it has sent what is no answer, or an answer to what it was not asked.
	ErrGarbage = errors.New("the milter's answer cannot be understood")
)

// wire carries packets, within a time.
type wire struct {
	conn net.Conn
	r    *bufio.Reader
	wait time.Duration // for one answer
	left time.Duration // for all that are to come
}

// within does what may take some time, and counts it.
func (w *wire) within(do func() error) error {
	if w.left <= 0 {
		return ErrSlow
	}
	begun := time.Now()
	w.conn.SetDeadline(begun.Add(min(w.wait, w.left)))
	err := do()
	w.left -= time.Since(begun)
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return ErrSlow
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the milter has closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// send writes a packet.
func (w *wire) send(command byte, data []byte) error {
	if w.r.Buffered() > 0 {
		return fmt.Errorf("%w: it answers what it was not asked", ErrGarbage)
	}
	head := binary.BigEndian.AppendUint32(make([]byte, 0, lengthSize+1), uint32(len(data)+1))
	packet := net.Buffers{append(head, command), data}
	_, err := packet.WriteTo(w.conn)
	return err
}

// head reads the beginning of a packet: what it is, and how many octets follow.
func (w *wire) head() (code byte, size int64, err error) {
	var head [lengthSize]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return 0, 0, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 {
		return 0, 0, fmt.Errorf("%w: a packet without a command", ErrGarbage)
	}
	code, err = w.r.ReadByte()
	return code, int64(n) - 1, err
}

// data reads the rest of a packet.
func (w *wire) data(code byte, size int64) ([]byte, error) {
	if size > mostAnswer {
		return nil, fmt.Errorf("%w: %q with %d octets", ErrGarbage, code, size)
	}
	data := make([]byte, size)
	_, err := io.ReadFull(w.r, data)
	return data, err
}

// pass reads the rest of a packet that nobody wants.
func (w *wire) pass(size int64) error {
	_, err := io.CopyN(io.Discard, w.r, size)
	return err
}
