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

// wire is the connection while a message is sent: each piece has a time limit.
type wire struct{ c *Client }

func (w wire) Write(p []byte) (int, error) {
	w.c.push(w.c.times.DataBlock)
	return w.c.conn.Write(p)
}

// data sends the message behind DATA, whose reply is start.
func (t *transaction) data(start *Reply, body io.Reader) error {
	c := t.c
	if start.Code/100 != 3 {
		t.settleAll("DATA", start)
		return nil
	}
	if err := c.inStep("DATA"); err != nil {
		return err
	}
	m := &message{r: body}
	var dots textual.DotWriter
	dots.Reset(wire{c}, textual.Normalise)
	if _, err := dots.ReadFrom(m); err != nil {
		return t.unsent("DATA", m, err)
	}
	// The last piece and the dot leave together. From here on the server may
	// have the whole message.
	if err := dots.Close(); err != nil {
		if r, ok := t.lastWords(); ok {
			c.Close()
			t.settleAll("message", r)
			return nil
		}
		return t.inDoubt(c.broken("message", err))
	}
	return t.answer()
}

// unsent ends the connection because the message could not be sent to its end:
// a dot now would make its beginning pass for the whole.
func (t *transaction) unsent(op string, m *message, err error) error {
	c := t.c
	if m.err != nil {
		c.Close()
		return &ClientError{Op: op, Err: fmt.Errorf("reading the message: %w", m.err)}
	}
	if r, ok := t.lastWords(); ok {
		c.Close()
		t.settleAll("message", r)
		return nil
	}
	return c.broken(op, err)
}

// lastWords is for when the connection broke while we were sending: the server
// may have said why before it hung up.
func (t *transaction) lastWords() (*Reply, bool) {
	t.c.await(lastWordsWait)
	got, err := t.c.r.ReadReply(maxReplyLine, maxReplyLines)
	if err != nil || got.Code < 400 {
		return nil, false
	}
	r := newReply(got, "message")
	t.c.showReply("message", r)
	return r, true
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
	t   *transaction
	buf *[chunkHead + sendChunk]byte
	n   int // octets in the chunk

	sent   chan struct{} // one for each chunk whose answer is to be read
	done   chan struct{} // closed when all were
	answer error         // why reading them ended; to be looked at behind done

	mu     sync.Mutex
	failed *Reply // the first refusal
}

// errChunkRefused stops the sending of further chunks.
var errChunkRefused = errors.New("smtp: chunk refused")

// chunks sends the message with BDAT.
func (t *transaction) chunks(body io.Reader) error {
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
			t.c.await(lastWordsWait) // the connection is broken: don't wait long
		}
		<-k.done
		if err == nil || errors.Is(err, errChunkRefused) {
			err = firstOf(k.answer, err)
		}
	}
	return k.finish(m, err)
}

// finish reads the answer to the message, or cleans up behind a failure.
func (k *chunker) finish(m *message, err error) error {
	t, c := k.t, k.t.c
	switch {
	case k.failed != nil:
		t.settleAll("BDAT", k.failed)
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
		return t.answer()
	}
	var e *ClientError
	if !errors.As(err, &e) {
		if r, ok := t.lastWords(); ok {
			c.Close()
			t.doubt = false
			t.settleAll("message", r)
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
	if k.t.m.Params.Body == "BINARYMIME" {
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
	_, err := wire{c}.Write(k.buf[start : chunkHead+k.n])
	k.n = 0
	switch {
	case err != nil || last:
		return err
	case !c.has("PIPELINING"):
		if err := k.read(); err != nil {
			return err
		}
		return k.refusedErr()
	case k.sent == nil:
		k.sent, k.done = make(chan struct{}, sendWindow), make(chan struct{})
		go k.readAll()
	}
	k.sent <- struct{}{}
	return nil
}

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
	r, err := k.t.c.reply("BDAT", k.t.c.times.DataEnd)
	if err != nil {
		return err
	}
	if r.Code/100 != 2 {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.failed == nil {
			k.failed = r
		}
	}
	return nil
}

func (k *chunker) refusal() *Reply {
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
