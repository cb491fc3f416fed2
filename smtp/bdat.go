package smtp

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// bdat is BDAT chunk-size [LAST] (RFC 3030 §2). The first one calls the
// handler, whose reads then pull in the chunks that follow: what the handler
// sees is one stream, and no goroutine stands between it and the network.
func (s *session) bdat(args []byte) *Reply {
	size, last, ok := parseChunk(args)
	if !ok || s.speaksLF {
		s.hangUp() // nobody knows where the next command begins
		return errBadChunk
	}
	if r := s.refuseChunk(); r != nil {
		return s.giveUpChunk(size, last, r)
	}
	s.clock.receive()
	defer s.clock.done()
	c := &chunks{s: s, left: size, last: last, limit: s.srv.limits.MessageSize}
	c.mode, c.binary = s.newlines(), s.env.Params.Body == BodyBinaryMIME
	b := &body{src: c, binary: c.binary}
	err := s.serve(b)
	if accepts(err) {
		b.drain()
	}
	fault := b.err
	b.err = errReturned
	if fault == io.EOF {
		fault = nil
	}
	switch {
	case c.lost != nil:
		s.reset()
		return s.broken(c.lost)
	case s.pending != nil: // given up between two chunks: the command behind them is next
		s.abandoned++
		s.reset()
		return nil
	case !c.last:
		r := s.decision(firstOf(fault, err), tryLater)
		s.abandoned++
		s.reset()
		return s.skipChunk(c.left, r)
	}
	if lost := s.r.Discard(c.left); lost != nil {
		s.reset()
		return s.broken(lost)
	}
	return s.verdict(err, fault)
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// parseChunk reads chunk-size [SP "LAST"].
func parseChunk(args []byte) (size int64, last, ok bool) {
	number, rest := textual.Command(args)
	if len(rest) > 0 {
		if last = textual.Is(rest, "LAST"); !last {
			return 0, false, false
		}
	}
	if len(number) == 0 || len(number) > 19 || len(bytes.Trim(number, "0123456789")) > 0 {
		return 0, false, false
	}
	size, err := strconv.ParseInt(string(number), 10, 64)
	return size, last, err == nil
}

// refuseChunk makes the checks that the loop leaves to commands with octets
// behind them.
func (s *session) refuseChunk() *Reply {
	switch {
	case s.refused:
		return errRefusedGreeting
	case s.srv.TLSMode == RequireTLS && s.pub.TLS == nil:
		return errNeedTLS
	case s.state != rcpts:
		return s.outOfOrder(&command{states: rcpts})
	}
	return s.checkData()
}

// giveUpChunk refuses the chunk at hand and with it the message: chunks that
// are on their way behind it must not be taken for another message (RFC 3030
// §2). An LMTP client that sent all of one waits for a reply for each
// recipient.
func (s *session) giveUpChunk(size int64, last bool, r *Reply) *Reply {
	recipients := 1
	if s.state == rcpts {
		if s.srv.LMTP && last {
			recipients = len(s.env.To)
		}
		s.abandoned++
		s.reset()
	}
	if r = s.skipChunk(size, r); r == nil {
		return nil
	}
	for range recipients - 1 {
		s.say(r)
	}
	return r
}

// skipChunk drops the octets of a refused chunk, so that none of them is taken
// for a command, and passes on the reply.
func (s *session) skipChunk(size int64, r *Reply) *Reply {
	if size > s.srv.limits.endless() {
		s.hangUp()
		return r
	}
	s.clock.receive()
	defer s.clock.done()
	if err := s.r.Discard(size); err != nil {
		return s.broken(err)
	}
	return r
}

// chunks is the message that a series of BDAT commands carries.
type chunks struct {
	s     *session
	left  int64 // octets of the chunk at hand
	last  bool  // it is the last chunk
	size  int64 // of the message so far
	limit int64
	lost  error // the connection's error

	mode   textual.Mode
	binary bool // any octets are legal
	ends   lineEnds
	stored int64 // octets that normalising has made of them
}

// Read implements io.Reader.
func (c *chunks) Read(p []byte) (int, error) {
	if c.binary {
		return c.raw(p)
	}
	if c.mode == textual.Normalise {
		n, err := c.ends.normalise(p, c.raw)
		if c.stored += int64(n); c.limit > 0 && c.stored > c.limit {
			return 0, ErrTooBig
		}
		return n, err
	}
	n, err := c.raw(p)
	if !c.ends.check(p[:n], err == io.EOF) {
		return 0, ErrBareLineEnd
	}
	return n, err
}

// raw reads the octets as they come, chunk after chunk.
func (c *chunks) raw(p []byte) (int, error) {
	for c.left == 0 {
		if c.last {
			return 0, io.EOF
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n, err := c.s.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.size += int64(n)
	switch {
	case n == 0 && err != nil:
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		c.lost = fmt.Errorf("%w: %w", ErrAborted, err)
		return 0, c.lost
	case c.limit > 0 && c.size > c.limit:
		return 0, ErrTooBig
	}
	return n, nil
}

// next acknowledges a chunk and waits for the next one. Whatever else the
// client says, other than to pass the time, gives the message up, and is
// obeyed when the handler has returned.
func (c *chunks) next() error {
	s := c.s
	s.answer(&Reply{Code: 250, Enhanced: "2.0.0", Text: strconv.FormatInt(c.size, 10) + " octets so far"})
	for !s.closing {
		line, err := s.r.ReadLine(s.srv.limits.Line)
		if s.conn.Expelled() {
			err = os.ErrDeadlineExceeded // what had come before is not obeyed either
		}
		if r := badLine(err); r != nil {
			s.answer(r)
			continue
		}
		if err != nil {
			c.lost = fmt.Errorf("%w: %w", ErrAborted, err)
			return c.lost
		}
		verb, args := textual.Command(line)
		cmd := s.find(verb)
		switch {
		case cmd != nil && cmd.flags&neutral != 0:
			s.traceCommand(cmd, line)
			s.counts[cmd.index]++
			s.junk++
			s.answer(cmd.run(s, args))
			continue
		case cmd == nil || cmd.name != "BDAT":
			s.pending = line
			return ErrAborted
		}
		s.traceCommand(cmd, line)
		s.counts[cmd.index]++
		size, last, ok := parseChunk(args)
		if !ok {
			s.say(errBadChunk)
			s.hangUp()
			break
		}
		if size == 0 && !last {
			s.junk++ // it passes the time, and its answer is counted so
		}
		c.left, c.last = size, last
		return nil
	}
	c.lost = ErrAborted
	return c.lost
}
