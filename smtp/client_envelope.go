package smtp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// path is p as it stands between brackets, and whether it can stand there only
// under SMTPUTF8. A domain of other letters is written in A-labels where the
// local part needs no extension, for every server to understand (RFC 6531
// §3.2). Nothing in a path may end it before its end.
func path(p Path) (s string, utf8 bool, err error) {
	if strings.ContainsAny(p.Domain, " <>") {
		return "", false, ErrBadCommand
	}
	if isASCII(p.Local) && !isASCII(p.Domain) {
		p.Domain = domains.Canonical(p.Domain).String()
	}
	if p.IsNull() {
		return "", false, nil
	}
	return p.String(), !p.IsASCII(), nil
}

// queueMail and queueRcpt add the commands of the envelope.
func (t *Transaction) queueMail(params string) error {
	from, _, err := path(t.m.From)
	if err != nil {
		return &ClientError{Op: "MAIL", Err: err}
	}
	return t.c.queue("MAIL", "MAIL FROM:<", from, ">", params)
}

// queueRcpts adds RCPT for those recipients, from the i-th on, that can be
// named to this server, until the batch is full. It returns the next i.
func (t *Transaction) queueRcpts(i, most int) int {
	limit := t.rcptMax()
	for n := 0; i < len(t.m.To) && n < most; i++ {
		if t.queueRcpt(i, limit) {
			n++
		}
	}
	return i
}

// queueRcpt adds RCPT for recipient i, unless he cannot be named: limit is how
// many recipients the server takes, 0 for any number.
func (t *Transaction) queueRcpt(i, limit int) bool {
	to, params, err := t.rcpt(i)
	if err == nil && limit > 0 && len(t.asked) >= limit {
		err = ErrRecipients
	}
	if err == nil {
		err = t.c.queue("RCPT", "RCPT TO:<", to, ">", params)
	}
	if err != nil {
		var e *ClientError
		if !errors.As(err, &e) {
			e = &ClientError{Op: "RCPT", Err: err}
		}
		t.results[i].Err = e
		return false
	}
	t.asked = append(t.asked, i)
	return true
}

func (t *Transaction) rcpt(i int) (to, params string, err error) {
	r := &t.m.To[i]
	to, utf8, err := path(r.Path)
	if err == nil && utf8 && !t.utf8 {
		err = fmt.Errorf("%w: SMTPUTF8", ErrUnsupported)
	}
	if err == nil {
		params, err = t.rcptParams(&r.Params)
	}
	return to, params, err
}

// rcptMax is how many recipients the server takes (RFC 9422 §4.2); 0 if it
// does not say.
func (t *Transaction) rcptMax() int {
	for _, limit := range strings.Fields(t.c.ext["LIMITS"]) {
		if n, ok := strings.CutPrefix(strings.ToUpper(limit), "RCPTMAX="); ok {
			if n, err := strconv.Atoi(n); err == nil && n > 0 {
				return n
			}
		}
	}
	return 0
}

// rcptBatch is how many RCPT travel together. The replies to them must fit
// into what the network buffers, whatever the server does.
const rcptBatch = 100

// pipeline sends the envelope, and DATA behind it if withData, without waiting
// in between (RFC 2920 §3.1). It returns the reply to DATA.
func (t *Transaction) pipeline(params string, withData bool) (data *Response, err error) {
	c := t.c
	reset := c.dirty
	if reset {
		c.queue("RSET", "RSET")
	}
	if err := t.queueMail(params); err != nil {
		c.out = c.out[:0]
		return nil, err
	}
	for next, first := 0, true; (first || next < len(t.m.To)) && t.refused == nil; first = false {
		from := len(t.asked)
		next = t.queueRcpts(next, rcptBatch)
		ends := next == len(t.m.To)
		if len(t.asked) == 0 && ends {
			c.out = c.out[:0] // nobody who could be asked
			return nil, nil
		}
		if withData && ends {
			c.queue("DATA", "DATA")
		}
		wait, err := c.flushBeside("MAIL")
		if err == nil {
			data, err = t.replies(reset && first, first, from, withData && ends)
			if werr := wait(); err == nil {
				err = werr
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// replies reads the replies to a batch. When MAIL was refused, those behind it
// mean nothing.
func (t *Transaction) replies(reset, mail bool, from int, withData bool) (data *Response, err error) {
	c := t.c
	if reset {
		if err := t.resetReply(); err != nil {
			return nil, err
		}
	}
	if mail {
		if err := t.mailReply(); err != nil {
			return nil, err
		}
	}
	for _, i := range t.asked[from:] {
		if _, err := t.rcptReply(i); err != nil {
			return nil, err
		}
	}
	if withData {
		if data, err = c.reply("DATA", c.times.DataStart); err != nil {
			return nil, err
		}
	}
	if t.refused != nil { // and nobody was accepted
		return data, t.nobody(data)
	}
	return data, nil
}

// resetReply reads the reply to an RSET. Without it, the next message would go
// to the recipients of the one before.
func (t *Transaction) resetReply() error {
	r, err := t.c.reply("RSET", t.c.times.Command)
	if err == nil && r.Code/100 != 2 {
		t.c.Close()
		return &ClientError{Op: "RSET", Reply: r}
	}
	t.c.dirty = false
	return err
}

// mailReply reads the reply to MAIL.
func (t *Transaction) mailReply() error {
	r, err := t.c.reply("MAIL", t.c.times.Command)
	switch {
	case err != nil:
		return err
	case r.Code/100 == 2:
		t.c.dirty = true
	default:
		t.refused = t.c.refused("MAIL", r)
	}
	return nil
}

// rcptReply reads the reply to the RCPT of recipient i. If MAIL was refused it
// says nothing new.
func (t *Transaction) rcptReply(i int) (*Response, error) {
	r, err := t.c.reply("RCPT", t.c.times.Command)
	switch {
	case err != nil:
		return nil, err
	case t.refused != nil:
	case r.Code/100 == 2:
		t.accepted = append(t.accepted, i)
	default:
		t.results[i] = RcptResult{Reply: r, Err: t.c.refused("RCPT", r)}
	}
	return r, nil
}

// begin says MAIL by itself.
func (t *Transaction) begin(params string) error {
	c := t.c
	if c.dirty {
		c.queue("RSET", "RSET")
		if err := c.flush("RSET"); err != nil {
			return err
		}
		if err := t.resetReply(); err != nil {
			return err
		}
	}
	if err := t.queueMail(params); err != nil {
		return err
	}
	if err := c.flush("MAIL"); err != nil {
		return err
	}
	return t.mailReply()
}

// name says RCPT for the i-th recipient by itself. There is no response if he
// cannot be named to this server.
func (t *Transaction) name(i int) (*Response, error) {
	if !t.queueRcpt(i, t.rcptMax()) {
		return nil, nil
	}
	if err := t.c.flush("RCPT"); err != nil {
		return nil, err
	}
	return t.rcptReply(i)
}

// stepwise sends the envelope command by command.
func (t *Transaction) stepwise(params string) error {
	if err := t.begin(params); err != nil || t.refused != nil {
		return err
	}
	for i := range t.m.To {
		if _, err := t.name(i); err != nil {
			return err
		}
	}
	return nil
}

// nobody ends a transaction in which nothing is to be sent. data is the reply
// to DATA if that was sent already: a server that wants the message all the
// same gets an empty one, which it has nobody to deliver to (RFC 2920 §3.1).
func (t *Transaction) nobody(data *Response) error {
	c := t.c
	for _, i := range t.accepted {
		t.results[i].Err = &ClientError{Op: "RCPT", Err: errNotSent}
	}
	if data == nil || data.Code/100 != 3 {
		return nil
	}
	c.out = append(c.out, ".\r\n"...)
	if err := c.flush("DATA"); err != nil {
		return err
	}
	_, err := c.reply("message", c.times.DataEnd)
	c.dirty = false
	return err
}
