package sealed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/mailstore"
)

// Count is what a maildrop holds.
type Count struct {
	Messages int
	Plain    int
	Keys     map[string]int // sealed messages by the name of their key
}

// CountDrop counts what a maildrop of a SealedStore holds. No file is opened.
func CountDrop(m mailstore.SealedDrop) Count {
	marks := make([]string, m.Len())
	for i := range marks {
		marks[i] = m.Mark(i)
	}
	return CountMarks(marks)
}

// CountMarks is CountDrop for who has the marks of all messages: empty, of those that are not sealed.
func CountMarks(marks []string) Count {
	c := Count{Messages: len(marks), Keys: make(map[string]int)}
	for _, mark := range marks {
		if mark != "" {
			c.Keys[KeyOf(mark)]++
		} else {
			c.Plain++
		}
	}
	return c
}

// Add adds what is in another maildrop.
func (c *Count) Add(more Count) {
	c.Messages, c.Plain = c.Messages+more.Messages, c.Plain+more.Plain
	if c.Keys == nil {
		c.Keys = make(map[string]int)
	}
	for k, n := range more.Keys {
		c.Keys[k] += n
	}
}

// SealDrop seals messages that are not sealed to a public key, until there are none, or the time is over: done is false then, and it
// is to be called again with the maildrop opened anew. Each message is at every moment in one form or the other, and whole. One that cannot be
// read stays as it is; the error names the first of them.
func SealDrop(ctx context.Context, m mailstore.SealedDrop, recipient string, until time.Time) (did int, done bool, err error) {
	return convert(ctx, m, false, until, func(i int) error {
		seal := &mailstore.Seal{Mark: newMark(recipient), Size: m.Size(i)}
		return m.Replace(ctx, i, seal, func(w io.Writer) error {
			r, err := m.Open(ctx, i)
			if err != nil {
				return err
			}
			defer r.Close()
			message := &counted{r: r}
			err = SealFile(w, message, recipient, seal.Mark)
			seal.Size = message.n // where that is not what its name says, the message stays as it is: it would not be found whole when it is opened
			return err
		})
	})
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// SealFile writes a message as a sealed file.
func SealFile(w io.Writer, message io.Reader, recipient, mark string) error {
	out, err := sealedmail.Seal(w, recipient)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out, field(mark)); err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{message}, make([]byte, 32<<10)); err != nil {
		return err
	}
	return out.Close()
}

// UnsealDrop is the opposite of SealDrop.
func UnsealDrop(ctx context.Context, m mailstore.SealedDrop, keys *sealedmail.Unlocked, until time.Time) (did int, done bool, err error) {
	return convert(ctx, m, true, until, func(i int) error {
		return m.Replace(ctx, i, nil, func(w io.Writer) error {
			file, octets, err := m.OpenSealed(ctx, i)
			if err != nil {
				return err
			}
			defer file.Close()
			r, err := open(file, octets, m.Mark(i), m.Size(i), keys)
			if err != nil {
				return err
			}
			r.fail = func(err error) error { return err }
			_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, 32<<10))
			return err
		})
	})
}

// leaver is a maildrop that can take away what a crash has left of a message in another form.
type leaver interface {
	Leftovers(ctx context.Context, sealed bool) error
}

// patience is for how long past its time convert looks whether the next message can be had, where one cannot.
const patience = 10 * time.Second

// convert gives messages that are sealed, or are not, their other form.
func convert(ctx context.Context, m mailstore.SealedDrop, sealed bool, until time.Time, one func(i int) error) (did int, done bool, first error) {
	if l, ok := m.(leaver); ok {
		// Of two forms the sealed one is shown: where that is what is to go, it is made anew.
		if err := l.Leftovers(ctx, false); err != nil {
			return 0, false, err
		}
	}
	for i := range m.Len() {
		if (m.Mark(i) != "") != sealed {
			continue
		}
		if err := ctx.Err(); err != nil {
			return did, false, err
		}
		if did > 0 && !until.IsZero() && time.Now().After(until) {
			return did, false, first
		}
		switch err := one(i); {
		case err == nil:
			did++
		case errors.Is(err, mailstore.ErrGone):
		case errors.Is(err, mailstore.ErrUnavailable) && !until.IsZero() && time.Now().After(until.Add(patience)):
			return did, false, err // it is no single message that cannot be had
		case errors.Is(err, mailstore.ErrDamaged), errors.Is(err, mailstore.ErrUnavailable):
			if first == nil {
				first = fmt.Errorf("%s: %w", m.File(i), err)
			}
		default:
			return did, false, err
		}
	}
	return did, true, first
}
