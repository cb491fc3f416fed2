package smtp

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
)

// group is the recipients of a message that one pattern chose.
type group struct {
	h       Handler
	pattern string
	to      []int // in Envelope.To
}

// groups is a Handler that gives the message to the Handlers of all groups, one
// after the other.
type groups struct {
	all    []*group
	memory int
	dir    string
}

// add adds recipient i to the group of its pattern.
func (s *groups) add(h Handler, pattern string, i int) {
	for _, g := range s.all {
		if g.pattern == pattern {
			g.to = append(g.to, i)
			return
		}
	}
	s.all = append(s.all, &group{h, pattern, []int{i}})
}

// ServeSMTP implements Handler.
func (s *groups) ServeSMTP(ctx context.Context, e *Envelope) error {
	switch len(s.all) {
	case 0:
		return ErrNoSuchUser
	case 1:
		return s.all[0].h.ServeSMTP(ctx, e)
	}
	var held copies
	defer held.close()
	if err := held.take(e.Data, s.memory, s.dir); err != nil {
		return err
	}
	lmtp := e.Session != nil && e.Session.LMTP
	id := e.ID
	for _, g := range s.all {
		if err := g.serve(ctx, e, id, held.reader(), lmtp); err != nil {
			return err
		}
	}
	return nil
}

// serve calls the group's Handler with a copy of the envelope. Over LMTP every
// answer belongs to the group's recipients; otherwise an error is the answer
// for all.
func (g *group) serve(ctx context.Context, e *Envelope, id string, data io.Reader, lmtp bool) error {
	part := *e
	part.ID, part.Data = id, data
	part.To = make([]Recipient, len(g.to))
	for n, i := range g.to {
		part.To[n] = e.To[i]
	}
	err := g.h.ServeSMTP(ctx, &part)
	for n, i := range g.to {
		result := part.To[n].Result
		if !accepts(err) {
			result = err
		}
		if !lmtp && !accepts(result) {
			return result
		}
		e.To[i].Result, e.To[i].Value = nil, part.To[n].Value
		if lmtp {
			e.To[i].Result = firstOf(result, err)
		}
	}
	if e.ID == id {
		e.ID = part.ID // one of them may name the message for the 250
	}
	return nil
}

// defaultMemory is how much of a message for several Handlers is held in
// memory.
const defaultMemory = 1 << 20

// copies holds a message so that it can be read several times.
type copies struct {
	memory bytes.Buffer
	file   *os.File // the rest; nil if there is none
	size   int64    // of the file
}

// take reads the message to its end.
func (c *copies) take(data io.Reader, memory int, dir string) error {
	if data == nil {
		return nil
	}
	if memory <= 0 {
		memory = defaultMemory
	}
	_, err := io.CopyN(&c.memory, data, int64(memory))
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return err
	}
	next := make([]byte, 32<<10)
	n, err := io.ReadFull(data, next)
	if n == 0 && err == io.EOF {
		return nil
	}
	f, ferr := os.CreateTemp(dir, "smtp-*.eml")
	if ferr != nil {
		return ErrTryLater.With(ferr)
	}
	c.file = f
	for ; n > 0; n, err = io.ReadFull(data, next) {
		if _, ferr := f.Write(next[:n]); ferr != nil {
			return ErrTryLater.With(ferr)
		}
		c.size += int64(n)
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// reader reads the message from its beginning.
func (c *copies) reader() io.Reader {
	memory := bytes.NewReader(slices.Clip(c.memory.Bytes()))
	if c.file == nil {
		return memory
	}
	return io.MultiReader(memory, io.NewSectionReader(c.file, 0, c.size))
}

func (c *copies) close() {
	if c.file != nil {
		c.file.Close()
		os.Remove(c.file.Name())
	}
}
