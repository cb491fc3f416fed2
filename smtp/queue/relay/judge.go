package relay

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

type fate uint8

const (
	final     fate = iota // the result stands
	nextRound             // the same host may take it in another transaction
	nextHost              // this host will not, another may
)

type verdict struct {
	fate
	*refusal
}

// judge decides what a failure means (RFC 5321 §4.2.1, §4.5.3.1.10, §4.5.4.1).
// taken: the same transaction took other recipients.
func (a *transfer) judge(res *smtp.RcptResult, c *conn, taken bool) verdict {
	host := c.t.host
	var step *smtp.ClientError
	op := ""
	if errors.As(res.Err, &step) {
		op = step.Op
	}
	reply := res.Reply
	if reply == nil {
		errors.As(res.Err, &reply)
	}
	switch {
	case res.InDoubt:
		// Another host would deliver a second copy for certain; later, this
		// one may know.
		return verdict{final, inDoubt(host, res.Err)}
	case reply != nil && reply.Code == 421:
		return verdict{nextHost, fromReply(reply)}
	case reply != nil && a.isOurs(reply, c):
		return verdict{final, a.misconfigured(reply, c)}
	case reply != nil && reply.Code >= 400:
		v := verdict{final, fromReply(reply)}
		if op == "RCPT" && isTooMany(reply, taken) {
			v.fate = nextRound
			v.permanent = false
		}
		return v
	case errors.Is(res.Err, smtp.ErrRecipients):
		return verdict{nextRound, refuse("4.5.3", "%s takes fewer recipients at a time", host)}
	case errors.Is(res.Err, smtp.ErrTooBigForServer):
		return verdict{final, &refusal{permanent: true, code: 552, enhanced: "5.3.4", text: cause(res.Err)}}
	case errors.Is(res.Err, smtp.ErrUnsupported):
		return verdict{final, refuse("5.6.7", "%s cannot take it: %v", host, cause(res.Err))}
	case errors.Is(res.Err, smtp.ErrBadCommand):
		return verdict{final, refuse("5.1.3", "the address cannot be sent to: %v", cause(res.Err))}
	}
	return verdict{nextHost, refuse("4.4.2", "conversation with %s failed at %s: %v", host, op, cause(res.Err))}
}

// inDoubt is the refusal where there was no answer to the message, or none that can be read.
func inDoubt(host string, err error) *refusal {
	if errors.Is(err, smtp.ErrProtocol) {
		return refuse("4.5.0", "%s may have taken the message: its answer makes no sense (%s)", host, innermost(err))
	}
	return refuse("4.4.2", "connection to %s was lost after the message was sent: %s", host, innermost(err))
}

// innermost is what went wrong in the end, without the words of those who passed it on.
func innermost(err error) string {
	for {
		var inner error
		switch e := err.(type) {
		case *smtp.ClientError:
			inner = e.Err
		case interface{ Unwrap() []error }:
			all := e.Unwrap()
			inner = all[len(all)-1]
		}
		if inner == nil {
			return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "smtp: "), "textual: ")
		}
		err = inner
	}
}

// isTooMany reports whether a recipient was refused for being one too many. 552 is
// what old servers say for 452 (RFC 5321 §4.5.3.1.10), if they took others, and
// what all say for a full mailbox, with or without the code for it.
func isTooMany(reply *smtp.Response, taken bool) bool {
	if reply.Code == 552 {
		return taken && (reply.Enhanced == "" || reply.Enhanced == "5.5.3")
	}
	return reply.Code == 452
}

// wasTaken reports whether RCPT was answered well, whatever came later.
func wasTaken(res smtp.RcptResult) bool {
	var step *smtp.ClientError
	return res.Err == nil || errors.As(res.Err, &step) && (step.Op == "message" || step.Op == "DATA" || step.Op == "BDAT")
}

// isOurs: what RFC 4954 §6 and RFC 3207 §4 have a server say to a client that
// has not logged in, not well enough, or not under TLS. Of a route that is our
// settings' fault, and no reason to return other people's mail; where it is a
// host of the DNS, only TLS can be what it misses, which may work next time.
func (a *transfer) isOurs(reply *smtp.Response, c *conn) bool {
	switch reply.Code {
	case 530:
		return a.route != nil || c.TLS() == nil
	case 534, 535, 538:
		return a.route != nil
	}
	return false
}

// misconfigured is the refusal for it, in words of our own. All that goes by the
// route waits.
func (a *transfer) misconfigured(reply *smtp.Response, c *conn) *refusal {
	enhanced := "4" + strings.TrimLeft(fromReply(reply).enhanced, "5")
	said := fmt.Sprintf("%s answered %d %s", c.t.host, reply.Code, strings.TrimSpace(reply.Enhanced+" "+reply.Text))
	switch {
	case a.route == nil:
		return refuse(enhanced, "%s; there was no TLS", said)
	case a.route.User == "":
		said += "; route " + a.route.Name + " has no user to log in as"
	default:
		said += "; route " + a.route.Name + " is logged in as " + a.route.User
	}
	r := refuse(enhanced, "%s", said)
	r.unreachable = true
	return r
}

func fromReply(reply *smtp.Response) *refusal {
	r := &refusal{permanent: reply.Permanent(), code: reply.Code, enhanced: reply.Enhanced, text: reply.Text}
	if r.enhanced == "" {
		r.enhanced = fmt.Sprintf("%d.0.0", reply.Code/100)
	}
	return r
}

func (r *refusal) into(out *queue.Result) {
	res := r.result()
	res.Host, res.TLS = out.Host, out.TLS
	*out = res
}

func setReply(out *queue.Result, reply *smtp.Response) {
	if reply != nil {
		out.Code, out.Enhanced, out.Text = reply.Code, reply.Enhanced, shortened(reply.Text)
	}
}

// cause is an error's text without the prefixes that repeat what we say.
func cause(err error) string {
	var step *smtp.ClientError
	if errors.As(err, &step) && step.Err != nil {
		err = step.Err
	}
	return strings.TrimPrefix(err.Error(), "smtp: ")
}
