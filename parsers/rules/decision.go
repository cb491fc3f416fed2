package rules

import (
	"cmp"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
)

// Phase is a moment of a session at which rules are evaluated.
type Phase uint8

// The phases, in their order.
const (
	AtConnect Phase = iota // the client has connected
	AtHelo                 // it has said HELO or EHLO
	AtFrom                 // MAIL
	AtTo                   // RCPT, once for each recipient
	AtData                 // DATA, or the first BDAT, before the message
	AtHeader               // the header of the message is there
	AtMessage              // all of it is
	phases
)

var phaseNames = [phases]string{"connect", "helo", "from", "to", "data", "header", "message"}

// String is the phase as rules have it, without "@".
func (p Phase) String() string {
	if p < phases {
		return phaseNames[p]
	}
	return "?"
}

// Action is what a rule does.
type Action uint8

// The actions. Those from Accept to Discard decide: no rule after it is looked at in that phase.
const (
	None       Action = iota // no rule decides
	Accept                   // nothing, whatever later rules say
	Reject                   // refuses for good
	Stall                    // refuses for now
	Answer                   // "reply": answers what the rule says
	Drop                     // closes the connection without a word
	Quarantine               // puts the message aside
	Redirect                 // delivers it to another mailbox
	Discard                  // says that it is accepted, and throws it away
	Tag                      // puts a field on top of it; later rules go on
	Delay                    // answers late; later rules go on
	SetWith                  // sets options; later rules go on
	Greylist                 // has a sender come again who has not done so; later rules go on, as they may refuse for good
)

var actionNames = [...]string{"none", "accept", "reject", "stall", "reply", "drop", "quarantine", "redirect", "discard", "tag", "delay", "set-with", "greylist"}

// String is the action as rules have it.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "?"
}

// decides reports whether an action ends a phase.
func (a Action) decides() bool { return a >= Accept && a <= Discard }

// Reply is an answer to a client, as RFC 5321 §4.2 and RFC 3463 have it.
type Reply struct {
	Code     int    // 200 to 599
	Enhanced string // such as "5.7.1"; empty if the rule gives none
	Text     string // newlines make several lines
}

// Options are what stands behind "with", of the rule that decides and, as far as it does not say
// so itself, of the last set-with before it that does. Those that a program has no use for it leaves.
type Options struct {
	Message    string // the text of the reply
	Note       string // for the log
	SaveDir    string // where a sink keeps the message, and others of the session
	TLS        string // tls-opt: "off", not to offer TLS; "no-client", not to ask for a certificate
	MakeYakker bool   // the client is to be taken for one that does nothing
	Mailbox    string // of Quarantine and Redirect: an address
}

// over is o with what it does not say taken from others.
func (o Options) over(others Options) Options {
	if o.Message == "" {
		o.Message = others.Message
	}
	if o.Note == "" {
		o.Note = others.Note
	}
	if o.SaveDir == "" {
		o.SaveDir = others.SaveDir
	}
	if o.TLS == "" {
		o.TLS = others.TLS
	}
	if o.Mailbox == "" {
		o.Mailbox = others.Mailbox
	}
	o.MakeYakker = o.MakeYakker || others.MakeYakker
	return o
}

// has reports whether an option is given.
func (o Options) has(option string) bool {
	switch option {
	case "message":
		return o.Message != ""
	case "note":
		return o.Note != ""
	case "savedir":
		return o.SaveDir != ""
	case "tls-opt":
		return o.TLS != ""
	case "make-yakker":
		return o.MakeYakker
	case "mailbox":
		return o.Mailbox != ""
	}
	return false
}

// Decision is what the rules say of one phase.
type Decision struct {
	Action Action // one that decides, or None
	// Rule is where the rule stands that decides; its Line is 0 if none does.
	Rule config.Position
	// Reply is the answer of a refusal: of Reject, Stall and Answer.
	Reply Reply
	Options
	// Tags are header fields for the top of the message, in the order of the rules.
	Tags []Field
	// Delay is how late to answer, and Delayed where the rules stand that say so.
	Delay   time.Duration
	Delayed []config.Position
	// Greylist, if its Rule.Line is not 0, says that the client is to come again unless it has done so, or
	// the program knows who it is. It is of no account where the client is refused.
	Greylist Again
}

// Again is what a greylist rule says, the first that is true.
type Again struct {
	Rule    config.Position
	Message string // in place of the program's own words
	Note    string
}

// Field is a header field that a rule puts on top.
type Field struct {
	Name, Value string
	Rule        config.Position
}

// Refuses reports whether the client is refused what it asks for: by a reply, or by the end of the connection.
func (d Decision) Refuses() bool { return d.Action.refuses(d.Reply.Code) }

func (a Action) refuses(code int) bool {
	return a == Reject || a == Stall || a == Drop || a == Answer && code >= 400
}

// replyOf is the answer of a rule in a phase.
func (r *rule) replyOf(p Phase, message string, over reached) Reply {
	reply := r.reply
	switch r.action {
	case Reject:
		reply = Reply{550, "5.7.1", "Refused by a rule of this server"}
		if p == AtConnect || p >= AtData {
			reply.Code = 554 // RFC 5321 §3.1, §3.3
		}
	case Stall:
		reply = Reply{450, "4.7.1", "Not now; try again later"}
		if p == AtConnect {
			reply.Code = 421
		} else if p >= AtData {
			reply.Code = 451
		}
	}
	switch {
	case r.action == Answer:
	case message != "":
		reply.Text = message
	case over.rate != nil && (r.action == Reject || r.action == Stall):
		reply.Text = cmp.Or(over.String(), reply.Text)
	}
	return reply
}

// firstPhase is the first at which an action means something, and whether it happens once.
func (a Action) firstPhase() (first, last Phase, once bool) {
	switch a {
	case Quarantine, Redirect, Discard, Tag:
		return AtMessage, AtMessage, true
	case Delay:
		return AtConnect, AtMessage, true
	case Greylist: // it remembers the sender and the recipient
		return AtTo, AtMessage, true
	}
	return AtConnect, AtMessage, false
}
