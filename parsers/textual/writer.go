package textual

import "io"

// Writer gathers what is written until Flush, so that a batch of replies or
// commands leaves in one piece. Between Flush and the next write it holds no
// buffer. It is not for concurrent use. The zero Writer is ready after Reset.
type Writer struct {
	dst io.Writer
	buf *[batchSize]byte // borrowed while n > 0
	n   int
	err error
}

// NewWriter returns a Writer to dst.
func NewWriter(dst io.Writer) *Writer { return &Writer{dst: dst} }

// Reset makes w write to dst and forgets what was not flushed and any error.
func (w *Writer) Reset(dst io.Writer) {
	w.release()
	w.dst, w.err = dst, nil
}

// Buffered is the number of octets that wait for Flush.
func (w *Writer) Buffered() int { return w.n }

// Write adds p. What is too large to be worth gathering goes out at once,
// behind what was gathered. After an error, every Write and Flush returns it.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err == nil && w.n+len(p) > batchSize {
		w.Flush()
		if len(p) >= batchSize/2 {
			w.put(p)
			return len(p), w.err
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	w.n += copy(w.room(), p)
	return len(p), nil
}

// WriteString adds s.
func (w *Writer) WriteString(s string) (int, error) {
	for rest := s; w.err == nil && rest != ""; {
		n := copy(w.room(), rest)
		w.n += n
		if rest = rest[n:]; rest != "" {
			w.Flush()
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(s), nil
}

// WriteLine adds s and CRLF. s must not contain CR or LF.
func (w *Writer) WriteLine(s string) error {
	w.WriteString(s)
	_, err := w.WriteString("\r\n")
	return err
}

// WriteByte adds c.
func (w *Writer) WriteByte(c byte) error {
	if w.n == batchSize {
		w.Flush()
	}
	if w.err == nil {
		w.room()[0] = c
		w.n++
	}
	return w.err
}

// WriteReply adds a reply as AppendReply makes it.
func (w *Writer) WriteReply(code int, enhanced, text string) error {
	if w.n > batchSize-maxReplyLine {
		w.Flush()
	}
	room := w.room()
	b := AppendReply(room[:0], code, enhanced, text)
	if w.err == nil && len(b) <= len(room) {
		w.n += len(b) // it was appended in place
		return nil
	}
	_, err := w.Write(b)
	return err
}

// Flush sends what was gathered and gives the buffer back.
func (w *Writer) Flush() error {
	if w.n > 0 && w.err == nil {
		w.put(w.buf[:w.n])
	}
	w.release()
	return w.err
}

func (w *Writer) put(p []byte) {
	if w.err != nil {
		return
	}
	n, err := w.dst.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.err = err
}

// room is the free part of the buffer, which is borrowed if there is none.
func (w *Writer) room() []byte {
	if w.buf == nil {
		w.buf = batchPool.Get().(*[batchSize]byte)
	}
	return w.buf[w.n:]
}

func (w *Writer) release() {
	if w.buf != nil {
		batchPool.Put(w.buf)
		w.buf = nil
	}
	w.n = 0
}
