package scan

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/milter"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// consultation is what one milter is asked about one transaction.
type consultation struct {
	m       *Milters
	set     Milter
	breaker *breaker
	session *smtp.Session
	ctx     context.Context // of the session

	begun   bool
	client  *milter.Client // nil: it is told no more
	last    time.Time      // when it answered last
	took    time.Duration  // for which it has had the message wait
	size    int64
	refused error // the answer to all that follows in this transaction
	discard bool
	failed  error // why it has no say
}

// close ends it, whatever has been said.
func (c *consultation) close() {
	if c.client != nil {
		c.client.Close()
		c.client = nil
	}
}

// tell counts what came of it.
func (c *consultation) tell(outcome string) {
	if c.m.Scanned != nil {
		c.m.Scanned(outcome, c.took)
	}
}

// ask takes one step. The error is the refusal that comes of it; refused says whether it is the milter's own.
func (c *consultation) ask(step func(*milter.Client) (milter.Answer, error)) (refused bool, err error) {
	if c.client == nil {
		return false, c.refused
	}
	idle := time.Since(c.last) >= cmp.Or(c.m.idle, clientIdle)
	a, err := step(c.client)
	c.last, c.took = time.Now(), c.client.Took()
	if err != nil {
		return false, c.fail(err, idle)
	}
	if a.Verdict == milter.Refuse {
		return true, c.refusal(&a)
	}
	c.discard = a.Verdict == milter.Discard
	if c.client.Accepted() { // or thrown away
		c.breaker.worked(c.log())
		c.close()
	}
	return false, nil
}

// final is ask for a step whose refusal is one of all that follows.
func (c *consultation) final(step func(*milter.Client) (milter.Answer, error)) error {
	refused, err := c.ask(step)
	if refused {
		c.refused = err
		c.breaker.worked(c.log())
		c.close()
		c.tell(c.outcomeOf(err))
	}
	return err
}

func (c *consultation) outcomeOf(err error) string {
	var reply *smtp.Reply
	if errors.As(err, &reply) && reply.Temporary() {
		return "later"
	}
	return "refused"
}

// refusal is a milter's as the client hears it: with the name of who refuses, whatever its words are.
func (c *consultation) refusal(a *milter.Answer) error {
	words := "The message is refused"
	if a.Code/100 == 4 {
		words = "The message is not taken now; try again later"
	}
	reply := &smtp.Reply{Code: a.Code, Enhanced: a.Enhanced, Text: c.set.Name + ": " + cmp.Or(a.Text, words)}
	return reply.Noting(slog.String("milter", c.set.Name+":"+c.outcomeOf(reply)))
}

// clientIdle is how long a client may be silent before a milter may have lost patience with it: no client shall be able to make it look ill.
const clientIdle = 10 * time.Second

// fail goes on without the milter. The error is the refusal of the message, where the settings have it so. idle: the milter has had
// to wait for the client before.
func (c *consultation) fail(err error, idle bool) error {
	c.failed = err
	c.close()
	switch {
	case errors.Is(err, errTooLarge):
		return nil
	case !errors.Is(err, errResting) && c.ctx.Err() == nil && !idle: // and not because the client is gone
		c.breaker.failed(time.Now(), err, c.log())
	}
	if !c.set.Later {
		return nil
	}
	c.tell("failed")
	c.refused = (&smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: c.set.Name + ": The message cannot be checked now; try again later"}).Noting(slog.String("milter", c.set.Name+":failed"))
	return c.refused
}

func (c *consultation) log() *slog.Logger { return c.m.Log.With("milter", c.set.Name) }

// begin tells of the client and its sender.
func (c *consultation) begin() {
	c.begun = true
	if !c.breaker.may(time.Now()) {
		c.fail(errResting, false)
		return
	}
	var err error
	if c.client, err = milter.Dial(c.ctx, c.set.Network, c.set.Address, c.set.Wait); err != nil {
		c.client = nil
		c.fail(err, false)
		return
	}
	c.last = time.Now()
	s := c.session
	addr, _ := netip.ParseAddrPort(remote(s))
	for _, step := range []func(*milter.Client) (milter.Answer, error){
		func(k *milter.Client) (milter.Answer, error) {
			return k.Connect(oneLine(s.Name), addr, milter.Macros{"j", oneLine(s.LocalName), "{daemon_name}", "postrider", "v", "Postrider"})
		},
		func(k *milter.Client) (milter.Answer, error) {
			var tls milter.Macros
			if version, cipher, ok := strings.Cut(s.TLSName(), " "); ok {
				tls = milter.Macros{"{tls_version}", version, "{cipher}", cipher}
			}
			return k.Helo(oneLine(s.Helo), tls)
		},
		func(k *milter.Client) (milter.Answer, error) {
			from := oneLine(s.Envelope.From.String())
			return k.Mail(from, milter.Macros{"i", s.Envelope.ID, "{mail_addr}", from})
		},
	} {
		c.final(step)
	}
}

// remote is a client's address with its port; "": it is a program of this host.
func remote(s *smtp.Session) string {
	if s.RemoteAddr == nil {
		return ""
	}
	return s.RemoteAddr.String()
}

// oneLine is what a stranger says as one line, whatever it is.
func oneLine(s string) string { return strings.Map(printable, s) }

// recipient tells of one. A refusal is about that one alone, unless it is of the client or the sender.
func (c *consultation) recipient(to *smtp.Recipient) error {
	if !c.begun {
		c.begin()
	}
	_, err := c.ask(func(k *milter.Client) (milter.Answer, error) {
		path := oneLine(to.Path.String())
		return k.Rcpt(path, milter.Macros{"{rcpt_addr}", path})
	})
	return err
}

// notAField is what a line of a header is called that is no field: a milter sees all octets of the message.
const notAField = "X-Not-A-Field"

// header tells of the message's.
func (c *consultation) header(h *rfc2822.Section) error {
	c.size = int64(h.Size())
	if err := c.final((*milter.Client).Data); err != nil {
		return err
	}
	for f := range h.All() {
		err := c.final(func(k *milter.Client) (milter.Answer, error) {
			return k.Header(cmp.Or(f.Name(), notAField), strings.TrimSuffix(f.Body(), "\r\n"))
		})
		if err != nil || c.client == nil {
			return err
		}
	}
	return c.final((*milter.Client).EndHeader)
}

// body tells of a piece.
func (c *consultation) body(p []byte) error {
	c.size += int64(len(p))
	if c.client != nil && c.set.MaxSize > 0 && c.size > c.set.MaxSize {
		return c.fail(errTooLarge, false)
	}
	return c.final(func(k *milter.Client) (milter.Answer, error) { return k.Body(p) })
}

// end tells that the message is there, and hears what is to be done with it.
func (c *consultation) end(w *wishes) error {
	if c.client != nil {
		w.exact = c.client.Exact()
	}
	err := c.final(func(k *milter.Client) (milter.Answer, error) {
		return k.End(milter.Macros{"i", c.session.Envelope.ID}, w.take)
	})
	if c.client != nil {
		c.breaker.worked(c.log())
	}
	return err
}

// outcome is what came of a message that is not refused.
func (c *consultation) outcome(w *wishes) string {
	switch {
	case c.discard:
		return "discarded"
	case errors.Is(c.failed, errTooLarge):
		return "skipped"
	case c.failed != nil:
		return "failed"
	case w.quarantine != "":
		return "marked"
	}
	return "clean"
}
