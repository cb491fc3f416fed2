package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// Text is a message on its way from the server. It is read as it arrives, in
// constant memory, and must be read to its end or closed. The next command of
// its Client reads what is left and throws it away.
//
// The octets are the server's: only dots that were doubled on the way are
// removed. A CR or LF of its own, which a server that keeps to RFC 1939 §3 does
// not send, stays as it is; for SMTP such a message must be mended first
// (smtp.Client does). A message that does not end in CRLF gets one on the way.
type Text struct {
	// Size is the number of octets the server announced; -1 if it did not.
	Size int64

	c    *Client
	dots textual.DotReader
	stop func() bool
	err  error
}

// Retr asks for a message (RFC 1939 §5). ctx rules until the Text has been read
// or closed.
func (c *Client) Retr(ctx context.Context, number int) (*Text, error) {
	return c.open(ctx, "RETR", number, "RETR "+strconv.Itoa(number))
}

// Top asks for a message's header and lines of its body (RFC 1939 §7). ctx
// rules until the Text has been read or closed.
func (c *Client) Top(ctx context.Context, number, lines int) (*Text, error) {
	if lines < 0 {
		return nil, ErrBadArgument
	}
	return c.open(ctx, "TOP", number, "TOP "+strconv.Itoa(number)+" "+strconv.Itoa(lines))
}

func (c *Client) open(ctx context.Context, verb string, number int, line string) (t *Text, err error) {
	if number < 1 {
		return nil, ErrBadArgument
	}
	err = c.call(ctx, func() error {
		text, err := c.exchange(verb, line)
		if err == nil {
			t = c.begin(text)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if t.stop, err = c.enter(ctx); err != nil {
		return nil, c.fail(err)
	}
	return t, nil
}

// begin makes the Text that follows a response with this text.
func (c *Client) begin(text string) *Text {
	t := &Text{Size: -1, c: c}
	word, _ := textual.Command([]byte(text))
	if n, ok := parseNumber(word); ok {
		t.Size = n
	}
	t.dots.Reset(&c.r, textual.Keep)
	c.text = t
	return t
}

// Read implements io.Reader. io.EOF means that the message is complete: all of
// it was given to the caller. What was closed or left behind before is
// ErrSkipped.
func (t *Text) Read(p []byte) (int, error) {
	switch {
	case t.err != nil:
		return 0, t.err
	case t.c == nil:
		return 0, ErrClosed
	}
	n, err := t.dots.Read(p)
	if err != nil {
		err = t.end(err)
	}
	return n, err
}

// WriteTo implements io.WriterTo.
func (t *Text) WriteTo(w io.Writer) (int64, error) {
	var total int64
	p := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(p)
	for {
		n, err := t.Read(p[:])
		if n > 0 {
			written, werr := w.Write(p[:n])
			total += int64(written)
			if werr != nil {
				return total, werr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// Close throws away what is left, so that the next command can follow. To stop a
// long message at once, close the Client.
func (t *Text) Close() error {
	err := t.drain()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// drain reads to the message's end, and notes whether that was more than the
// caller had got.
func (t *Text) drain() error {
	if t.err == nil && t.c != nil {
		var one [1]byte
		n, err := t.dots.Read(one[:])
		if err == nil {
			err = t.dots.Drain()
		}
		switch {
		case err != nil && err != io.EOF:
			t.end(err)
		case n > 0:
			t.end(ErrSkipped)
		default:
			t.end(io.EOF)
		}
	}
	if t.err == io.EOF || t.err == ErrSkipped {
		return nil
	}
	return t.err
}

// end notes how the text ended.
func (t *Text) end(err error) error {
	if err != io.EOF && err != ErrSkipped {
		err = t.c.fail(fmt.Errorf("pop3: read message: %w", err))
	}
	t.err = err
	t.c.text = nil
	if t.stop != nil {
		t.stop()
	}
	return err
}
