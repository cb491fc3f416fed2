package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Outgoing is the envelope of a message to be sent.
type Outgoing struct {
	From Path // the zero Path for a bounce
	// To are the recipients; Path and Params count.
	To []Recipient
	// Params are the parameters of MAIL. Size, if known, lets the server
	// refuse a message before it is sent. Body says what the message holds:
	// "8BITMIME" if there are octets above 127, "BINARYMIME" if there are CR
	// or LF that are no line endings (Inspect finds out). What the server does
	// not offer is an ErrUnsupported where the message would suffer (BODY,
	// SMTPUTF8, REQUIRETLS, HOLDUNTIL, BY with Return); RET, ENVID, AUTH,
	// MT-PRIORITY and the parameters of RCPT are left out then, and it is the
	// caller's to do the next hop's part of DSN (RFC 3461 §5.2.2).
	Params Params
	// AllOrNothing: if one recipient is refused, the message is sent to none.
	AllOrNothing bool
}

// RcptResult is what became of one recipient.
type RcptResult struct {
	// Err is nil if the server has taken responsibility for the message to
	// this recipient. Otherwise it is a *ClientError that names the step and
	// holds the server's *Response, if it sent one.
	Err error
	// Reply is the server's last word about this recipient, also when it
	// accepted; nil if there was none.
	Reply *Response
	// InDoubt: the connection failed after the whole message had been sent
	// and before the server's answer, so that it may have been delivered
	// although Err is set. Err then holds ErrInDoubt.
	InDoubt bool
}

// errNotSent is the error of recipients that were accepted, when another was
// not and all had to be.
var errNotSent = errors.New("smtp: not sent because another recipient was refused")

// errUndecided is the error of recipients of whom nothing was heard although nothing
// went wrong. There are none; should there be, that is no success.
var errUndecided = errors.New("smtp: no step has decided about the recipient")

// Send sends one message, and returns one result for each of m.To, in order.
// The commands travel together where the server offers PIPELINING (RFC 2920),
// and the message in chunks where it offers CHUNKING (RFC 3030).
//
// Bare CR and LF in body become CRLF, except with Params.Body "BINARYMIME". The
// body is read to its end unless no recipient was accepted; if reading it
// fails, the message is not delivered. nil is the empty message.
//
// The error is nil when the conversation took its course, even if everybody
// was refused: the results say so. Otherwise it is also the error of every
// recipient whose fate was not decided by then.
func (c *Client) Send(ctx context.Context, m *Outgoing, body io.Reader) ([]RcptResult, error) {
	t := &Transaction{c: c, m: m, results: make([]RcptResult, len(m.To)), done: make([]bool, len(m.To))}
	err := c.enter(ctx)
	if err == nil {
		c.current = nil
		err = t.run(body)
		c.leave()
	} else {
		err = &ClientError{Op: "MAIL", Err: err}
	}
	return t.outcome(err)
}

// outcome makes err the error of every recipient whose fate was not decided. Only the
// server's own yes is success.
func (t *Transaction) outcome(err error) ([]RcptResult, error) {
	for i := range t.results {
		r := &t.results[i]
		if r.Err == nil && !t.done[i] {
			if err == nil {
				err = &ClientError{Op: "message", Err: errUndecided}
			}
			r.Err, r.InDoubt = err, t.doubt
			var e *ClientError
			if errors.As(err, &e) {
				r.Reply = e.Reply
			}
		}
	}
	return t.results, err
}

func (t *Transaction) run(body io.Reader) error {
	c := t.c
	if len(t.m.To) == 0 {
		return &ClientError{Op: "MAIL", Err: errors.New("smtp: no recipients")}
	}
	params, err := t.prepare()
	if err != nil {
		return err
	}
	chunking := t.chunking()
	var data *Response
	if c.has("PIPELINING") {
		data, err = t.pipeline(params, !chunking && !t.m.AllOrNothing)
	} else {
		err = t.stepwise(params)
	}
	if err != nil {
		return err
	}
	if t.refused != nil {
		for i := range t.results {
			if t.results[i].Err == nil {
				t.results[i] = RcptResult{Err: t.refused, Reply: t.refused.Reply}
			}
		}
		return nil
	}
	if len(t.accepted) == 0 || t.m.AllOrNothing && len(t.accepted) < len(t.m.To) {
		return t.nobody(data)
	}
	return t.message(body, chunking, data)
}

// answer reads the reply, or with LMTP the replies, to the whole message.
func (t *Transaction) answer(w *watcher) error {
	c := t.c
	refused := false
	var r *Response
	for n, i := range t.accepted {
		var err error
		switch {
		case n == 0:
			r, err = w.reply("message", c.times.DataEnd)
		case c.lmtp:
			r, err = c.reply("message", c.times.DataEnd)
		}
		if err != nil {
			return t.inDoubt(err)
		}
		t.record(i, r)
		refused = refused || r.Code >= 400
	}
	// A refusal may have crossed the end of a long message, and another one be
	// on its way as the answer to that. RSET then finds out.
	c.dirty = refused && w.done != nil
	return nil
}

// record notes the server's answer to the message for recipient i.
func (t *Transaction) record(i int, r *Response) {
	t.results[i].Reply = r
	if r.Code/100 == 2 {
		t.done[i] = true
	} else {
		t.results[i].Err = t.c.refused("message", r)
	}
}

// recordAll does so for all who have no answer yet.
func (t *Transaction) recordAll(op string, r *Response) {
	for _, i := range t.accepted {
		if !t.done[i] && t.results[i].Err == nil {
			t.results[i] = RcptResult{Reply: r, Err: t.c.refused(op, r)}
		}
	}
}

// inDoubt marks err as one behind which the message may have been delivered.
// A 421 is an answer, and leaves no doubt.
func (t *Transaction) inDoubt(err error) error {
	var e *ClientError
	if !errors.As(err, &e) {
		e = &ClientError{Err: err}
	}
	e.Op = "message"
	if e.Err != nil {
		t.doubt = true
		e.Err = fmt.Errorf("%w: %w", ErrInDoubt, e.Err)
	}
	return e
}
