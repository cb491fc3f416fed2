package smtp

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Transaction is a message that is sent step by step, so that each answer is
// there before the next step is decided: for proxies, which pass the answers
// on, and for asking whether a recipient would be accepted. Client.Begin makes
// one. Client.Send does all of it at once, with fewer round trips.
//
// It ends with Data, Bdat, Message or Reset, and when the Client begins another
// one or sends a message. It is not for concurrent use.
type Transaction struct {
	c        *Client
	m        *Outgoing
	results  []RcptResult
	done     []bool // a positive answer to the message was had
	asked    []int  // recipients that RCPT was sent for
	accepted []int
	utf8     bool         // MAIL said SMTPUTF8
	refused  *ClientError // MAIL was
	doubt    bool         // the whole message has left us, or may have
	watch    watcher      // of the reply to the message
}

// Errors of a Transaction used out of its order.
var (
	errOver     = errors.New("smtp: the transaction is over")
	errNobody   = errors.New("smtp: no recipient was accepted")
	errNotHello = errors.New("smtp: Hello has not been said")
)

// Begin says MAIL for m, of which From and Params count; Rcpt names the
// recipients. A refusal is a *ClientError with the server's *Response.
func (c *Client) Begin(ctx context.Context, m *Outgoing) (*Transaction, error) {
	if err := c.enter(ctx); err != nil {
		return nil, &ClientError{Op: "MAIL", Err: err}
	}
	defer c.leave()
	t := &Transaction{c: c, m: &Outgoing{From: m.From, Params: m.Params}}
	c.current = nil
	params, err := t.prepare()
	if err != nil {
		return nil, err
	}
	if err := t.begin(params); err != nil {
		return nil, err
	}
	if t.refused != nil {
		return nil, t.refused
	}
	c.current = t
	return t, nil
}

// prepare writes the parameters of MAIL.
func (t *Transaction) prepare() (params string, err error) {
	if t.c.hello == nil {
		return "", &ClientError{Op: "MAIL", Err: errNotHello}
	}
	if params, err = t.mailParams(); err != nil {
		return "", &ClientError{Op: "MAIL", Err: err}
	}
	return params, nil
}

// enter begins a call as Client.enter does, if the transaction is not over.
func (t *Transaction) enter(ctx context.Context, op string) error {
	err := t.c.enter(ctx)
	if err == nil && t.c.current != t {
		t.c.leave()
		err = errOver
	}
	if err != nil {
		return &ClientError{Op: op, Err: err}
	}
	return nil
}

// Rcpt names a recipient, whose Path and Params count, and returns the server's
// answer. It is also in the error if it is a refusal; the transaction goes on
// then. A recipient that needs SMTPUTF8 needs a Begin with Params.SMTPUTF8.
func (t *Transaction) Rcpt(ctx context.Context, to Recipient) (*Response, error) {
	if err := t.enter(ctx, "RCPT"); err != nil {
		return nil, err
	}
	defer t.c.leave()
	i := len(t.m.To)
	t.m.To, t.results, t.done = append(t.m.To, to), append(t.results, RcptResult{}), append(t.done, false)
	r, err := t.name(i)
	if err != nil {
		t.results[i].Err = err
		return nil, err
	}
	return r, t.results[i].Err
}

// Data sends the message by DATA and ends the transaction. The results and the
// error are those of Client.Send, for each recipient that Rcpt has named.
func (t *Transaction) Data(ctx context.Context, body io.Reader) ([]RcptResult, error) {
	return t.finish(ctx, "DATA", body)
}

// Bdat does so by BDAT (RFC 3030), which the server must offer.
func (t *Transaction) Bdat(ctx context.Context, body io.Reader) ([]RcptResult, error) {
	return t.finish(ctx, "BDAT", body)
}

// Message does so as Client.Send would: by BDAT where it is offered and wanted,
// otherwise by DATA.
func (t *Transaction) Message(ctx context.Context, body io.Reader) ([]RcptResult, error) {
	if t.chunking() {
		return t.finish(ctx, "BDAT", body)
	}
	return t.finish(ctx, "DATA", body)
}

// Reset gives the transaction up.
func (t *Transaction) Reset(ctx context.Context) error {
	if t.c.current != t {
		return nil
	}
	return t.c.Reset(ctx)
}

func (t *Transaction) chunking() bool {
	return t.c.has("CHUNKING") && (!t.c.opt.noChunking || t.m.Params.Body == BodyBinaryMIME)
}

func (t *Transaction) finish(ctx context.Context, verb string, body io.Reader) ([]RcptResult, error) {
	if err := t.enter(ctx, verb); err != nil {
		return t.outcome(err)
	}
	defer t.c.leave()
	var err error
	switch {
	case len(t.accepted) == 0:
		return t.outcome(&ClientError{Op: verb, Err: errNobody})
	case verb == "BDAT" && !t.c.has("CHUNKING"):
		err = ErrUnsupported
	case verb == "DATA" && t.m.Params.Body == BodyBinaryMIME:
		err = errors.New("smtp: BINARYMIME needs BDAT (RFC 3030 section 3)")
	}
	if err != nil {
		return t.outcome(&ClientError{Op: verb, Err: err})
	}
	t.c.current = nil
	return t.outcome(t.message(body, verb == "BDAT", nil))
}

// message sends the message behind the envelope. data is the reply to DATA if
// that was sent already.
func (t *Transaction) message(body io.Reader, chunking bool, data *Response) (err error) {
	if body == nil {
		body = strings.NewReader("")
	}
	c := t.c
	if chunking {
		return t.chunks(body)
	}
	if data == nil {
		if data, err = c.exchange("DATA", c.times.DataStart, "DATA"); err != nil {
			return err
		}
	}
	return t.data(data, body)
}
