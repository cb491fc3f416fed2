package pop3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// retr sends a message (RFC 1939 §5).
func (c *session) retr(a *args) reply {
	i, src, r := c.message(a.v[0])
	if !r.ok {
		return r
	}
	if w, ok := src.(Whole); ok {
		if err := w.Check(c.ctx); err != nil {
			src.Close()
			return c.unreadable(err)
		}
	}
	r = ok("octets").with(c.box.drop.Size(i))
	r.body = func() error {
		defer src.Close()
		n, err := c.copy(src, r.numbers[0])
		if err != nil {
			return err
		}
		c.tally.Retrieved++
		c.tally.Octets += n
		if _, ok := c.box.drop.(Retriever); ok {
			c.box.retrieved.add(i, c.box.drop.Len())
		}
		return nil
	}
	return r
}

// top sends a message's header, the blank line, and as many lines of the body
// as were asked for (RFC 1939 §7).
func (c *session) top(a *args) reply {
	lines, ok1 := parseNumber(a.v[1])
	if !ok1 {
		return c.bad("number of lines expected")
	}
	_, src, r := c.message(a.v[0])
	if !r.ok {
		return r
	}
	r = ok("")
	r.body = func() error {
		defer src.Close()
		_, err := c.copy(&topReader{src: src, lines: lines}, 0)
		if err == nil {
			c.tally.Tops++
		}
		return err
	}
	return r
}

// message opens the message that arg names.
func (c *session) message(arg []byte) (int, io.ReadCloser, reply) {
	i, r := c.number(arg)
	if !r.ok {
		return 0, nil, r
	}
	if d, ok := c.box.drop.(Internationalized); ok && !c.pub.UTF8 && d.UTF8(c.ctx, i) {
		return 0, nil, failure(CodeUTF8, ErrUTF8.(*Error).Text)
	}
	src, err := c.box.drop.Open(c.ctx, i)
	if err != nil {
		return 0, nil, c.unreadable(err)
	}
	return i, src, reply{ok: true}
}

// unreadable is the answer where a message cannot be read.
func (c *session) unreadable(err error) reply {
	r := c.refusal("opening a message", err)
	if _, chosen := answerOf(err); !chosen {
		r.text = "message cannot be read"
	}
	return r
}

// copy sends all of src, and says that it is complete if it is. size is how
// many octets it must have at least; more are sent, too, since nothing is gained
// by keeping them back.
func (c *session) copy(src io.Reader, size int64) (int64, error) {
	text := c.w.text()
	n, err := text.readFrom(src)
	switch {
	case c.w.err != nil:
		return n, c.w.err
	case err != nil:
		return n, c.broken(err)
	case n < size:
		return n, c.broken(fmt.Errorf("message has %d octets instead of %d: %w", n, size, io.ErrUnexpectedEOF))
	case n > size && size > 0:
		c.srv.conf.log.LogAttrs(c.ctx, slog.LevelWarn, "message is longer than it should be", c.pub.LogAttrs(slog.Int64("octets", n), slog.Int64("announced", size))...)
	}
	return n, text.end()
}

// errBroken is what the session ends with when the store fails within a text.
var errBroken = errors.New("message could not be read to its end")

// broken notes a failure of the store that the client can only be told by
// cutting the connection.
func (c *session) broken(err error) error {
	c.failed("message could not be read to its end", err)
	c.why = "store failed while sending"
	return errBroken
}

// topReader gives a message's header, the blank line, and lines more lines.
type topReader struct {
	src   io.Reader
	lines int64
	body  bool // behind the blank line
	cr    bool // behind a CR that begins a line
	begun bool // within a line, behind more than that
	done  bool
}

// Read implements io.Reader.
func (t *topReader) Read(p []byte) (int, error) {
	if t.done {
		return 0, io.EOF
	}
	n, err := t.src.Read(p)
	for i := 0; i < n; {
		lf := bytes.IndexByte(p[i:n], '\n')
		if lf < 0 {
			t.add(p[i:n])
			break
		}
		t.add(p[i : i+lf])
		blank := !t.begun
		i += lf + 1
		t.cr, t.begun = false, false
		switch {
		case t.body:
			t.lines--
		case blank:
			t.body = true
		}
		if t.body && t.lines == 0 {
			t.done = true
			return i, nil
		}
	}
	return n, err
}

// add notes a part of a line.
func (t *topReader) add(p []byte) {
	if len(p) == 0 {
		return
	}
	t.begun = t.begun || t.cr || len(p) > 1 || p[0] != '\r'
	t.cr = true
}
