package relay

import (
	"context"
	"errors"
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
	case !c.Usable(): // it is closed
	case c.sent >= most || ctx.Err() != nil || c.d.waived: // for this message and no other
		a.r.pool.quit(c)
	default:
		a.r.pool.put(c, keep)
	}
}

// needs reports whether the other side can carry this message unharmed. What it
// cannot is refused and never changed.
func (a *transfer) needs(c *conn) error {
	p := a.d.Entry.Params
	p.HoldUntil = time.Time{} // it was held here
	if p.RequireTLS && !c.verified {
		return refuse("5.7.10", "the message requires TLS all the way, and %s is not verified", c.t.host)
	}
	if p.Body == smtp.BodyBinaryMIME {
		return a.missing(c, c.Missing(&p, nil))
	}
	p.Body = smtp.Body8BitMIME
	err := c.Missing(&p, nil)
	if err == nil {
		return nil
	}
	// What was declared says what may be in the message.
	eight, fault := a.isEightBit(nil)
	if fault != nil {
		return fault
	}
	if !eight {
		p.Body = ""
		err = c.Missing(&p, nil)
	}
	return a.missing(c, err)
}

// missing is the refusal for an extension that the other side lacks; nil if it lacks
// none.
func (a *transfer) missing(c *conn, err error) error {
	var m *smtp.MissingError
	if !errors.As(err, &m) {
		return nil
	}
	return refuse(m.Enhanced, "%s, and %s does not offer %s", m.Reason, c.t.host, m.Keyword)
}

// isEightBit looks into the message, once. body is the message if it is open
// already, and can be read again from its beginning.
func (a *transfer) isEightBit(body io.Reader) (bool, error) {
	if a.eight != nil {
		return *a.eight, nil
	}
	seeker, ok := body.(io.Seeker)
	if !ok {
		own, err := a.d.Open()
		if err != nil {
			return false, refuse("4.3.0", "the message cannot be read now: %v", err)
		}
		defer own.Close()
		body = own
	}
	eight, err := hasEightBit(body)
	if err == nil && ok {
		if _, err = seeker.Seek(0, io.SeekStart); err != nil {
			err = refuse("4.3.0", "the message cannot be read now: %v", err)
		}
	}
	if err == nil {
		a.eight = &eight
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
	if m.Params.Body == "" || m.Params.Body == smtp.Body7Bit || m.Params.Body == smtp.Body8BitMIME && a.eight != nil {
		m.Params.Body = ""
		if eight, err := a.isEightBit(body); err != nil {
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

// transaction sends the message once, to those open, and has results for those whose
// fate it decides.
func (a *transfer) transaction(ctx context.Context, c *conn) error {
	a.dropUnmet(c)
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
	if a.route != nil && a.route.Copy != nil {
		if watched.r, err = a.route.Copy(body); err != nil {
			return refuse("4.3.0", "the message cannot be read now: %v", err)
		}
	}
	results, err := c.Send(ctx, m, watched)
	c.sent++
	if watched.err != nil {
		a.conclude(refuse("4.3.0", "the message cannot be read now: %v", watched.err).result())
		return nil
	}
	return a.sort(c, results, err)
}

// dropUnmet gives up recipients whose wishes the other side would lose, such as to
// be refused where nobody can tell whether the mailbox has had its owner for long
// enough (RFC 7293).
func (a *transfer) dropUnmet(c *conn) {
	a.open = slices.DeleteFunc(a.open, func(i int) bool {
		var r *refusal
		if !errors.As(a.missing(c, c.Missing(nil, &a.d.To[i].Params)), &r) {
			return false
		}
		a.results[i] = r.result()
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
	lmtp := a.route != nil && a.route.LMTP
	for n, i := range open {
		res := &results[n]
		out := queue.Result{Host: c.t.String(), TLS: c.tls}
		if res.Err == nil {
			out.Status, out.Relayed, out.Final = queue.Delivered, c.Reports() && !lmtp, lmtp
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
