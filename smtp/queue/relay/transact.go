package relay

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// over sends the message to the open recipients over one connection, and keeps
// the connection or ends it. An error means that those still open are to be
// tried elsewhere.
func (a *transfer) over(ctx context.Context, c *conn) error {
	err := a.needs(c)
	for round := 0; err == nil && len(a.open) > 0; round++ {
		if round == maxRounds {
			a.conclude(queue.Result{Status: queue.Pending, Host: c.t.String(), TLS: c.tls, Enhanced: "4.5.3",
				Text: fmt.Sprintf("%s takes too few recipients at a time", c.t.host)})
			break
		}
		err = a.transaction(ctx, c)
	}
	a.release(ctx, c)
	return err
}

// release keeps a connection for the next message, or ends it.
func (a *transfer) release(ctx context.Context, c *conn) {
	keep, most := a.r.IdleTime, a.r.MessagesPerConnection
	if keep <= 0 {
		keep = defaultIdle
	}
	if most <= 0 {
		most = defaultMost
	}
	if a.d.More != nil && !a.d.More() {
		keep /= 5 // somebody may come, but nobody waits
	}
	switch {
	case !c.Usable():
		c.Close()
	case c.sent >= most || ctx.Err() != nil || c.d.waived: // for this message and no other
		a.r.pool.quit(c)
	default:
		a.r.pool.put(c, keep)
	}
}

// needs reports whether the other side can carry this message unharmed. What it
// cannot is refused and never changed.
func (a *transfer) needs(c *conn) error {
	e := a.d.Entry
	lacks := func(ext string) bool { _, ok := c.Extension(ext); return !ok }
	switch {
	case e.Params.RequireTLS && !c.verified:
		return refuse("5.7.10", "the message requires TLS all the way, and %s is not verified", c.t.host)
	case e.Params.RequireTLS && lacks("REQUIRETLS"):
		// RFC 8689 §4.2.1, and the code it registers.
		return refuse("5.7.30", "the message requires TLS all the way, and %s does not offer REQUIRETLS", c.t.host)
	case e.Params.By != nil && e.Params.By.Return && lacks("DELIVERBY"):
		// RFC 2852: it is returned and not relayed without the deadline.
		return refuse("5.3.3", "the message is to be returned if it is late, and %s does not offer DELIVERBY", c.t.host)
	case e.Params.SMTPUTF8 && lacks("SMTPUTF8"):
		return refuse("5.6.7", "the message needs SMTPUTF8, and %s does not offer it", c.t.host)
	case e.Params.Body == smtp.BodyBinaryMIME && lacks("BINARYMIME"):
		return refuse("5.6.3", "the message is BINARYMIME, and %s does not offer it", c.t.host)
	}
	if !lacks("8BITMIME") || e.Params.Body == smtp.BodyBinaryMIME {
		return nil
	}
	if eight, err := a.isEightBit(); err != nil {
		return err
	} else if eight {
		return refuse("5.6.3", "the message has 8-bit data, and %s does not offer 8BITMIME", c.t.host)
	}
	return nil
}

// isEightBit looks into the message: what was declared says what may be in it.
func (a *transfer) isEightBit() (bool, error) {
	body, err := a.d.Open()
	if err != nil {
		return false, refuse("4.3.0", "the message cannot be read now: %v", err)
	}
	defer body.Close()
	return hasEightBit(body)
}

// lookAhead is isEightBit for a message that is open already, and that can be
// read again from its beginning.
func (a *transfer) lookAhead(body io.Reader) (bool, error) {
	seeker, ok := body.(io.Seeker)
	if !ok {
		return a.isEightBit()
	}
	eight, err := hasEightBit(body)
	if err == nil {
		if _, err = seeker.Seek(0, io.SeekStart); err != nil {
			err = refuse("4.3.0", "the message cannot be read now: %v", err)
		}
	}
	return eight, err
}

func hasEightBit(body io.Reader) (bool, error) {
	buf := make([]byte, 4<<10)
	for {
		n, err := body.Read(buf)
		for _, b := range buf[:n] {
			if b >= 0x80 {
				return true, nil
			}
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, refuse("4.3.0", "the message cannot be read now: %v", err)
		}
	}
}

// mail is the envelope for the open recipients.
func (a *transfer) mail(c *conn, body io.Reader) (*smtp.Outgoing, error) {
	e := a.d.Entry
	m := &smtp.Outgoing{From: e.From, Params: e.Params}
	m.Params.HoldUntil = time.Time{} // it was held here
	if _, ok := c.Extension("8BITMIME"); !ok && e.Params.Body != smtp.BodyBinaryMIME {
		m.Params.Body = "" // needs has looked
	} else if e.Params.Body == "" || e.Params.Body == smtp.Body7Bit {
		m.Params.Body = ""
		if eight, err := a.lookAhead(body); err != nil {
			return nil, err
		} else if eight {
			m.Params.Body = smtp.Body8BitMIME
		}
	}
	for _, i := range a.open {
		m.To = append(m.To, smtp.Recipient{Path: a.d.To[i].Path, Params: a.d.To[i].Params})
	}
	return m, nil
}

// transaction sends the message once, to those open, and settles those whose
// fate it decides.
func (a *transfer) transaction(ctx context.Context, c *conn) error {
	a.dropUnproven(c)
	if len(a.open) == 0 {
		return nil
	}
	body, err := a.d.Open()
	if err != nil {
		return refuse("4.3.0", "the message cannot be read now: %v", err)
	}
	defer body.Close()
	m, err := a.mail(c, body)
	if err != nil {
		return err
	}
	watched := &watchedReader{r: body}
	results, err := c.Send(ctx, m, watched)
	c.sent++
	if watched.err != nil {
		a.conclude(refuse("4.3.0", "the message cannot be read now: %v", watched.err).result())
		return nil
	}
	return a.sort(c, results, err)
}

// dropUnproven gives up recipients that are to be refused where nobody can tell
// whether the mailbox has had its owner for long enough (RFC 7293).
func (a *transfer) dropUnproven(c *conn) {
	if _, ok := c.Extension("RRVS"); ok {
		return
	}
	a.open = slices.DeleteFunc(a.open, func(i int) bool {
		p := a.d.To[i].Params
		if p.RRVS.IsZero() || !p.RRVSReject {
			return false
		}
		a.results[i] = refuse("5.7.19", "%s cannot tell since when the mailbox has its owner: it does not offer RRVS", c.t.host).result()
		return true
	})
}

// sort turns the results of one transaction into ours. Those that may do
// better in another transaction or on another host stay open; the error says
// that it must be another host.
func (a *transfer) sort(c *conn, results []smtp.RcptResult, sendErr error) error {
	open := a.open
	a.open = nil
	taken := slices.ContainsFunc(results, wasTaken)
	accepted, again := 0, []int(nil)
	var elsewhere *refusal
	_, dsn := c.Extension("DSN")
	lmtp := a.route != nil && a.route.LMTP
	for n, i := range open {
		res := &results[n]
		out := queue.Result{Host: c.t.String(), TLS: c.tls}
		if res.Err == nil {
			out.Status, out.Relayed, out.Final = queue.Delivered, dsn && !lmtp, lmtp
			setReply(&out, res.Reply)
			a.results[i] = out
			accepted++
			continue
		}
		switch v := a.judge(res, c, taken); v.fate {
		case final:
			v.refusal.into(&out)
			a.results[i] = out
		case nextRound:
			again = append(again, i)
			v.refusal.into(&out)
			a.results[i] = out // unless the next round changes it
		case nextHost:
			a.open = append(a.open, i)
			elsewhere = v.refusal
		}
	}
	if accepted > 0 {
		for _, i := range open {
			a.results[i].Unreachable = false // it took something
		}
	}
	if accepted > 0 && c.Usable() {
		a.open = append(a.open, again...) // each round makes progress
	}
	if elsewhere == nil && sendErr != nil && len(a.open) > 0 {
		elsewhere = asRefusal(sendErr)
	}
	if elsewhere != nil {
		return elsewhere
	}
	return nil
}

// watchedReader remembers that the message could not be read.
type watchedReader struct {
	r   io.Reader
	err error
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
