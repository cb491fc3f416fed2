package queue

import (
	"strings"

	"github.com/postrider-mail/postrider/smtp"
)

// NewEntry makes an entry from what a server took, for those of its recipients
// that are to leave.
func NewEntry(e *smtp.Envelope, to []smtp.Recipient) *Entry {
	p := &e.Params
	n := &Entry{
		From: e.From.String(), Size: p.Size, EnvID: smtp.EncodeXtext(p.EnvID), Ret: p.Ret, Body: BodyType(p.Body),
		SMTPUTF8: p.SMTPUTF8, RequireTLS: p.RequireTLS, NotBefore: stamp(p.HoldUntil), Session: e.ID,
	}
	if e.Session != nil {
		n.User = e.Session.User
	}
	if p.HoldUntil.IsZero() {
		n.NotBefore = p.HoldUntil
	}
	for _, r := range to {
		q := Recipient{Address: r.Path.String(), Notify: notifyFrom(r.Params.Notify)}
		if r.Params.ORcpt != "" {
			q.ORcpt = r.Params.ORcptType + ";" + smtp.EncodeXtext(r.Params.ORcpt)
		}
		n.To = append(n.To, q)
	}
	return n
}

// Params are the parameters of MAIL with which the entry leaves.
func (e *Entry) Params() smtp.Params {
	return smtp.Params{
		Size: e.Size, Body: string(e.Body), SMTPUTF8: e.SMTPUTF8, RequireTLS: e.RequireTLS,
		Ret: e.Ret, EnvID: decodeXtext(e.EnvID),
	}
}

// Params are the parameters of RCPT with which the recipient leaves.
func (r Recipient) Params() smtp.RcptParams {
	p := smtp.RcptParams{Notify: notifyTo(r.Notify)}
	if typ, addr, ok := strings.Cut(r.ORcpt, ";"); ok {
		p.ORcptType, p.ORcpt = typ, decodeXtext(addr)
	}
	return p
}

var notifyPairs = [...]struct {
	ours   Notify
	theirs smtp.Notify
}{
	{NotifySuccess, smtp.NotifySuccess}, {NotifyFailure, smtp.NotifyFailure},
	{NotifyDelay, smtp.NotifyDelay}, {NotifyNever, smtp.NotifyNever},
}

func notifyFrom(n smtp.Notify) (out Notify) {
	for _, p := range notifyPairs {
		if n&p.theirs != 0 {
			out |= p.ours
		}
	}
	return out
}

func notifyTo(n Notify) (out smtp.Notify) {
	for _, p := range notifyPairs {
		if n&p.ours != 0 {
			out |= p.theirs
		}
	}
	return out
}

// decodeXtext undoes smtp.EncodeXtext; what is not xtext stays as it is.
func decodeXtext(s string) string {
	if !strings.Contains(s, "+") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unhex(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }
