package smtp

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// message is the reader's side of a body: it tells an error of the body from
// one of the connection.
type message struct {
	r   io.Reader
	err error
}

func (m *message) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}

// data sends the message behind DATA, whose reply is start.
func (t *Transaction) data(start *Response, body io.Reader) error {
	c := t.c
	if start.Code/100 != 3 {
		t.recordAll("DATA", start)
		return nil
	}
	w := &t.watch
	w.c, w.sending = c, true
	if c.r.Buffered() > 0 {
		return t.unsent(w, errEarly) // "354 go on" and no in one breath
	}
	m := &message{r: body}
	var dots textual.DotWriter
	dots.Reset(w, textual.Normalise)
	if _, err := dots.ReadFrom(m); err != nil {
		if m.err != nil {
			// A dot now would make its beginning pass for the whole.
			w.stop()
			return &ClientError{Op: "DATA", Err: fmt.Errorf("reading the message: %w", m.err)}
		}
		return t.unsent(w, err)
	}
	if !w.last() {
		return t.unsent(w, errEarly)
	}
	// The last piece and the dot leave together. From here on the server may
	// have the whole message.
	if err := dots.Close(); err != nil {
		if err := t.unsent(w, err); err != nil {
			return t.inDoubt(err)
		}
		return nil
	}
	return t.answer(w)
}

// unsent ends the connection because the server did not hear the message to its
// end. If it has said why, that is its answer.
func (t *Transaction) unsent(w *watcher, cause error) error {
	c := t.c
	r, err := w.lastWords(cause)
	if err != nil {
		var e *ClientError
		if errors.As(err, &e) {
			e.Op = "DATA"
		}
		return err
	}
	defer c.Close()
	if !c.lmtp {
		t.recordAll("message", r)
		return nil
	}
	for n, i := range t.accepted { // each has a reply of its own
		if n > 0 {
			if r, err = c.reply("message", lastWordsWait); err != nil {
				return err
			}
			if r.Code < 400 {
				return c.broken("message", ErrProtocol)
			}
		}
		t.record(i, r)
	}
	return nil
}

// lastWords is for when the connection broke while we were sending: the server
// may have said why before it hung up.
func (t *Transaction) lastWords() (*Response, bool) {
	t.watch.c = t.c
	r, err := t.watch.lastWords(io.ErrUnexpectedEOF)
	return r, err == nil
}

// lastWordsWait is how long: what is not on its way already is not coming.
const lastWordsWait = 2 * time.Second

// sendChunk is the size of a BDAT chunk, and sendWindow how many of them may
// be unanswered where commands may be pipelined: 4 MiB on their way keep a
// long and fat line busy.
const (
	sendChunk  = 64 << 10
	sendWindow = 64
	chunkHead  = len("BDAT 65536 LAST\r\n")
)

var sendPool = sync.Pool{New: func() any { return new([chunkHead + sendChunk]byte) }}

// chunker sends what is written to it as BDAT commands (RFC 3030 §2). The
// commands' text is put in front of the octets, so that each chunk leaves in
// one piece.
type chunker struct {
	t   *Transaction
	buf *[chunkHead + sendChunk]byte
	n   int // octets in the chunk

	sent   chan struct{} // one for each chunk whose answer is to be read
	done   chan struct{} // closed when all were
	answer error         // why reading them ended; to be looked at behind done

	mu     sync.Mutex
	failed *Response // the first refusal
	hurry  bool      // what is not on its way is not coming
}

// errChunkRefused stops the sending of further chunks.
var errChunkRefused = errors.New("smtp: chunk refused")

// chunks sends the message with BDAT.
func (t *Transaction) chunks(body io.Reader) error {
	k := &chunker{t: t, buf: sendPool.Get().(*[chunkHead + sendChunk]byte)}
	defer sendPool.Put(k.buf)
	m := &message{r: body}
	err := k.copy(m)
	if err == nil {
		err = k.send(true)
	}
	if k.sent != nil {
		close(k.sent)
		if err != nil && !errors.Is(err, errChunkRefused) && m.err == nil {
			k.hurryUp() // the connection is broken
		}
		<-k.done
		if m.err == nil {
			err = firstOf(k.answer, err) // it may have been 421 that ended the sending
		}
	}
	return k.finish(m, err)
}

// finish reads the answer to the message, or cleans up behind a failure.
func (k *chunker) finish(m *message, err error) error {
	t, c := k.t, k.t.c
	switch {
	case k.failed != nil:
		t.recordAll("BDAT", k.failed)
		if t.doubt || err != nil && !errors.Is(err, errChunkRefused) {
			// The last chunk is out, and what the server says to it behind a
			// refusal differs between servers; or the connection is broken.
			c.Close()
		}
		t.doubt = false
		return nil
	case m.err != nil && c.Usable():
		// Without LAST there is no message; the next RSET says so.
		return &ClientError{Op: "BDAT", Err: fmt.Errorf("reading the message: %w", m.err)}
	case err == nil:
		t.doubt = false
		t.watch.c = c
		return t.answer(&t.watch)
	}
	var e *ClientError
	if !errors.As(err, &e) {
		if r, ok := t.lastWords(); ok {
			c.Close()
			t.doubt = false
			t.recordAll("message", r)
			return nil
		}
		e = c.broken("BDAT", err)
	}
	if t.doubt {
		t.doubt = false
		return t.inDoubt(e)
	}
	return e
}

// copy sends the message but for its last chunk.
func (k *chunker) copy(m *message) error {
	if k.t.m.Params.Body == BodyBinaryMIME {
		for {
			n, err := m.Read(k.room())
			k.n += n
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if k.n == sendChunk {
				if err := k.send(false); err != nil {
					return err
				}
			}
		}
	}
	var lines textual.LineWriter
	lines.Reset(k, textual.Normalise)
	if _, err := lines.ReadFrom(m); err != nil {
		return err
	}
	return lines.Close()
}

func (k *chunker) room() []byte { return k.buf[chunkHead+k.n:] }

// Write adds to the chunk. A full one is sent when there is more, so that the
// last chunk has something in it.
func (k *chunker) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if k.n == sendChunk {
			if err := k.send(false); err != nil {
				return 0, err
			}
		}
		n := copy(k.room(), p)
		k.n += n
		p = p[n:]
	}
	return total, nil
}

// send sends the chunk that was gathered. All but the last are answered on the
// way: by a goroutine of their own if commands may be pipelined, so that the
// server is never waiting for us to read.
func (k *chunker) send(last bool) error {
	c := k.t.c
	if k.refusal() != nil {
		return errChunkRefused
	}
	var head [chunkHead]byte
	h := append(head[:0], "BDAT "...)
	h = strconv.AppendInt(h, int64(k.n), 10)
	if last {
		h = append(h, " LAST"...)
		k.t.doubt = true
	}
	c.show("BDAT", h)
	h = append(h, "\r\n"...)
	start := chunkHead - len(h)
	copy(k.buf[start:], h)
	piped := !last && c.has("PIPELINING")
	if piped {
		k.expect()
	}
	err := k.write(k.buf[start : chunkHead+k.n])
	k.n = 0
	switch {
	case err != nil || last || piped:
		return err
	default:
		if err := k.read(); err != nil {
			return err
		}
		return k.refusedErr()
	}
}

// expect has the answer to one more chunk read, from before the chunk is sent:
// a server that does not take it says so and may hang up.
func (k *chunker) expect() {
	if k.sent == nil {
		k.sent, k.done = make(chan struct{}, sendWindow), make(chan struct{})
		go k.readAll()
	}
	k.sent <- struct{}{}
}

// write sends a chunk in one piece. If there was a refusal, the server may not
// be reading any more.
func (k *chunker) write(p []byte) error {
	c := k.t.c
	d := c.times.DataBlock
	k.mu.Lock()
	if k.failed != nil {
		d = min(d, refusedWait)
	}
	c.push(d)
	k.mu.Unlock()
	_, err := c.conn.Write(p)
	return err
}

// refusedWait is how long a server that has refused a chunk has to read the one
// that is under way.
const refusedWait = 10 * time.Second

// readAll reads the answer to each chunk sent. After an error it goes on
// taking chunks off the list, since the sender must not wait for it.
func (k *chunker) readAll() {
	defer close(k.done)
	for range k.sent {
		if k.answer == nil {
			k.answer = k.read()
		}
	}
}

// read reads the answer to one chunk.
func (k *chunker) read() error {
	c := k.t.c
	k.mu.Lock()
	if k.hurry {
		c.await(lastWordsWait)
	} else {
		c.await(c.times.DataEnd)
	}
	k.mu.Unlock()
	got, err := c.r.ReadReply(maxReplyLine, maxReplyLines)
	r, err := c.said("BDAT", got, err)
	if err != nil {
		return err
	}
	if r.Code/100 != 2 {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.failed == nil {
			k.failed = r
			c.push(min(c.times.DataBlock, refusedWait))
		}
	}
	return nil
}

// hurryUp has what is being read now, and what is read from now on, be there
// soon.
func (k *chunker) hurryUp() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hurry = true
	k.t.c.await(lastWordsWait)
}

func (k *chunker) refusal() *Response {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

func (k *chunker) refusedErr() error {
	if k.refusal() != nil {
		return errChunkRefused
	}
	return nil
}
