package post

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// top is all that is put above a message. It is made here and nowhere else, in this
// order, when the message has passed:
//
//	Return-Path       in mailboxes (RFC 5321 §4.4)
//	Delivered-To      for whom an alias leads to another host (forward.go)
//	results of inspectors, in mailboxes, in the order of Post.Inspectors
//	Received
//	other fields of inspectors
//	Date, Message-ID  where a user's program left them out (RFC 6409 §8)
//
// All but what is found is known before, so that those who store the message can
// keep room for it.
type top struct {
	returnPath string
	results    string
	received   string
	found      string
	completed  string // with the seam below it
	messageID  string // the one in completed, if there is one
}

// newTop makes what is known before the message comes.
func (r *Receiver) newTop(e *smtp.Envelope, header *rfc2822.Section) (*top, error) {
	path, err := rfc2822.ReturnPath(e.From.String())
	if err != nil {
		return nil, fmt.Errorf("return path: %w", err)
	}
	name, now := r.rules(e.Session).ServerName, time.Now()
	t := &top{returnPath: path.Raw(), received: received(e, name, now).String()}
	if r.Submission {
		// Only what is missing, never a change (RFC 6409 §8.2, §8.3).
		for _, missing := range header.Missing("Date", "Message-ID") {
			switch missing {
			case "Date":
				t.completed += rfc2822.DateField(now).Raw()
			case "Message-ID":
				field := rfc2822.MessageIDField(name, now)
				t.completed, t.messageID = t.completed+field.Raw(), field.Value()
			}
		}
	}
	t.completed += header.Seam() // nothing of the message may become part of ours
	return t, nil
}

// local is the whole text in mailboxes.
func (t *top) local() []byte { return t.with(t.returnPath, t.results) }

// with is the whole text below what is for some copies only.
func (t *top) with(first ...string) []byte {
	size := t.size()
	for _, s := range first {
		size += len(s)
	}
	text := make([]byte, 0, size)
	for _, s := range first {
		text = append(text, s...)
	}
	text = append(text, t.received...)
	return append(append(text, t.found...), t.completed...)
}

// size is the octets of what everybody gets.
func (t *top) size() int { return len(t.received) + len(t.found) + len(t.completed) }

// localSize is the octets of what mailboxes get beside it.
func (t *top) localSize() int64 { return int64(len(t.returnPath) + len(t.results)) }

// room stands for what is not found yet, in the text that those who store the message
// are told to expect: so many octets of lines.
func room(octets int) string {
	if octets > len(emptyLines) {
		return strings.Repeat(emptyLines, octets/len(emptyLines)+1)[:octets]
	}
	return emptyLines[:octets]
}

// emptyLines are as many as inspectors want to have for most messages.
var emptyLines = strings.Repeat(strings.Repeat(".", 74)+"\r\n", 64)

// received is the trace field of this host. The recipient is named only when
// there is one: several would tell each of the others, blind copies too
// (RFC 5321 §7.2).
func received(e *smtp.Envelope, name string, now time.Time) rfc2822.Received {
	field := rfc2822.Received{
		From:     e.Session.Helo,
		FromRDNS: e.Session.Name,
		By:       name,
		With:     e.Protocol(),
		ID:       e.ID,
		Date:     now,
	}
	if e.Session.RemoteAddr == nil {
		field.With = "local" // a program of this host, through the submission socket
	} else {
		if ap, err := netip.ParseAddrPort(e.Session.RemoteAddr.String()); err == nil {
			field.FromIP = ap.Addr()
		}
	}
	if e.Session.TLS != nil {
		field.TLS = strings.ReplaceAll(tls.VersionName(e.Session.TLS.Version), " ", "") + " " + tls.CipherSuiteName(e.Session.TLS.CipherSuite)
	}
	if len(e.To) == 1 {
		field.For = e.To[0].Path.String()
	}
	return field
}
