package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// body is the Envelope.Data of one message: what its source reads, with the
// errors this package promises, and nothing once the handler has returned.
type body struct {
	src    io.Reader
	binary bool  // NUL is an octet like others (RFC 3030)
	err    error // io.EOF at the true end; otherwise why there is no more
	to     target
}

var errReturned = errors.New("smtp: Envelope.Data read after the handler returned")

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	if !b.binary {
		if i := bytes.IndexByte(p[:n], 0); i >= 0 {
			b.err = ErrNUL
			return i, b.err
		}
	}
	if err != nil {
		b.err = bodyError(err)
	}
	return n, b.err
}

// WriteTo implements io.WriterTo, so that io.Copy allocates nothing. After an
// error of w the message can be read on.
func (b *body) WriteTo(w io.Writer) (n int64, err error) {
	if b.err == io.EOF {
		return 0, nil
	}
	if src, ok := b.src.(io.WriterTo); ok && b.err == nil {
		return b.pass(src, w)
	}
	buf := bodyPool.Get().(*[32 << 10]byte)
	defer bodyPool.Put(buf)
	for err == nil {
		var got int
		got, err = b.Read(buf[:])
		if got > 0 {
			wrote, werr := w.Write(buf[:got])
			n += int64(wrote)
			if werr != nil {
				return n, werr
			}
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// pass is WriteTo for a source that has a buffer of its own, from which the message
// goes to w without a copy.
func (b *body) pass(src io.WriterTo, w io.Writer) (int64, error) {
	b.to = target{w: w}
	n, err := src.WriteTo(&b.to)
	switch {
	case b.to.nul:
		b.err = ErrNUL
	case b.to.err != nil:
		return n, b.to.err // the message itself may be well
	case err == nil:
		b.err = io.EOF
		return n, nil
	default:
		b.err = bodyError(err)
	}
	return n, b.err
}

// target passes on what stands before a NUL, and remembers what ended the writing.
type target struct {
	w   io.Writer
	nul bool
	err error // of w
}

// Write implements io.Writer.
func (t *target) Write(p []byte) (n int, err error) {
	i := bytes.IndexByte(p, 0)
	if i < 0 {
		i = len(p)
	}
	if i > 0 {
		n, err = t.w.Write(p[:i])
		t.err = err
	}
	if err == nil && n == i && i < len(p) {
		t.nul, err = true, ErrNUL
	}
	return n, err
}

// drain reads what the handler has left, for the sake of what is wrong with it.
func (b *body) drain() {
	if b.err == nil {
		b.WriteTo(io.Discard)
	}
}

var bodyPool = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// bodyError translates the errors of sources.
func bodyError(err error) error {
	switch {
	case err == io.EOF:
		return err
	case errors.Is(err, textual.ErrTooBig):
		return ErrTooBig
	case errors.Is(err, textual.ErrBareCR), errors.Is(err, textual.ErrBareLF):
		return ErrBareLineEnd
	case errors.Is(err, ErrAborted), errors.Is(err, ErrTooBig), errors.Is(err, ErrBareLineEnd):
		return err
	}
	return fmt.Errorf("%w: %w", ErrAborted, err)
}

// data is DATA (RFC 5321 §4.1.1.4): the message streams through the handler
// while it arrives.
func (s *session) data(args []byte) *Reply {
	if r := s.beginData(args); r != nil {
		s.distrust()
		return r
	}
	s.say(goAhead)
	if s.flush(); s.closing {
		s.reset()
		return nil // nobody has heard that he may send
	}
	s.clock.receive()
	s.dot.Limit = max(s.srv.limits.MessageSize, 0)
	s.dot.Reset(&s.r, s.newlines())
	b := &body{src: &s.dot}
	err := s.serve(b)
	b.drain()
	fault := b.err
	if !s.dot.Done() { // a fault came before the end
		if lost := s.dot.Drain(); lost != nil && (fault != ErrNUL || errors.Is(bodyError(lost), ErrAborted)) {
			fault = bodyError(lost)
		}
	}
	b.err = errReturned
	s.clock.done()
	if s.srv.tracer != nil {
		s.remark("message of " + strconv.FormatInt(s.dot.Size(), 10) + " octets")
	}
	return s.verdict(err, fault)
}

// beginData is what DATA and the first BDAT have in common.
func (s *session) beginData(args []byte) *Reply {
	switch {
	case len(args) > 0:
		return errNoArgument
	case s.env.Params.Body == BodyBinaryMIME:
		return errNeedBDAT // RFC 3030 §3
	}
	return s.checkData()
}

func (s *session) checkData() *Reply {
	if check := s.srv.hooks.data; check != nil {
		err := s.ask(func() error { return check(s.context(), &s.pub) })
		if r := s.decision(err, nil); !r.Positive() {
			return r
		}
	}
	return nil
}

// serve hands the message to its handler.
func (s *session) serve(b *body) error {
	s.env.Data = b
	return s.ask(func() error { return s.handler.ServeSMTP(s.context(), s.env) })
}

// verdict ends the transaction (RFC 5321 §4.1.1.4: also when it failed) and
// says what became of the message. err is the handler's answer, fault what was
// wrong with the message as it arrived; a faulty message is refused whatever
// the handler says.
func (s *session) verdict(err, fault error) *Reply {
	e, accepted := s.env, s.accepted
	defer s.reset()
	defer func() {
		if s.accepted == accepted {
			s.abandoned++
		}
	}()
	e.Data = nil
	if fault != nil && fault != io.EOF {
		if errors.Is(fault, ErrAborted) {
			return s.broken(fault)
		}
		err = fault
	}
	if s.srv.LMTP {
		for i := range e.To {
			result := err
			if accepts(err) && !isNil(e.To[i].Result) {
				result = e.To[i].Result
			}
			r := s.result(e, result)
			if i == len(e.To)-1 {
				return r // counted by the loop, one for all
			}
			if !r.Positive() {
				s.refuseIn(e, "DATA", e.To[i].Path.String(), r)
			}
			s.say(r)
		}
	}
	for i := range e.To {
		if r := e.To[i].Result; accepts(err) && !isNil(r) {
			err = r
		}
	}
	return s.result(e, err)
}

func (s *session) result(e *Envelope, err error) *Reply {
	r := s.decision(err, nil)
	if !r.Positive() {
		return r
	}
	s.junk, s.errors, s.abandoned, s.deferred = 0, 0, 0, 0
	s.accepted++
	if r == nil {
		r = &Reply{Code: 250, Enhanced: "2.0.0", Text: "Queued as " + e.ID}
	}
	return r
}

// broken ends a session whose message never became complete.
func (s *session) broken(err error) *Reply {
	s.closing = true
	s.err = err
	switch {
	case errors.Is(err, errNoEnd):
		s.hangUp()
		return errEndless
	case errors.Is(err, os.ErrDeadlineExceeded) && s.conn.Expelled():
		s.err = errExpelled
		s.hangUp()
		return errExpelled
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTimeout
	}
	return nil
}
