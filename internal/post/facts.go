package post

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// Accepted sums up a message that is on stable storage.
type Accepted struct {
	Envelope   *smtp.Envelope
	Service    string        // "smtp", "lmtp" or "submission"
	MessageID  string        // as the message has it, with brackets; empty if it has none
	Size       int64         // in octets, as everybody gets it
	Mailboxes  int           // that have it
	Elsewhere  int           // addresses on other hosts that it is queued for
	Full       int           // mailboxes that had no room
	Recipients int           // that the client named
	Took       time.Duration // from its last octet until it was on stable storage
	Facts      []slog.Attr   // of those who looked at it
}

// Stranger is nobody: of mail that was accepted every line is written.
func (a *Accepted) Stranger() net.Addr { return nil }

// LogValue implements slog.LogValuer.
func (a *Accepted) LogValue() slog.Value {
	return slog.GroupValue(append(a.attrs(), slog.Int("recipients", a.Recipients), slog.Int("mailboxes", a.Mailboxes),
		slog.Int("elsewhere", a.Elsewhere), slog.Int("full", a.Full), slog.Int64("octets", a.Size))...)
}

// attrs are the facts that every line about the message carries.
func (a *Accepted) attrs() []slog.Attr {
	s := a.Envelope.Session
	attrs := []slog.Attr{slog.String("service", a.Service), slog.String("session", s.ID), slog.String("id", a.Envelope.ID),
		slog.String("from", a.Envelope.From.String()), slog.String("message_id", a.MessageID)}
	if s.TLS != nil {
		attrs = append(attrs, slog.String("tls", tls.VersionName(s.TLS.Version)+" "+tls.CipherSuiteName(s.TLS.CipherSuite)))
	}
	attrs = append(attrs, slog.String("user", s.User), slog.String("remote", remoteOf(s)))
	return append(attrs, a.Facts...)
}

// remoteOf names where a client is: programs of this host have no address.
func remoteOf(s *smtp.Session) string {
	if s.RemoteAddr == nil {
		return "local"
	}
	return s.RemoteAddr.String()
}

// Copy is one way of an accepted message: from a recipient into a mailbox, or into
// the queue.
type Copy struct {
	*Accepted
	To      smtp.Path       // the recipient as the client wrote it
	Mailbox domains.Address // empty if the copy leaves
	Next    smtp.Path       // the address on another host that it is queued for
	Queue   string          // and the entry of the queue
}

// LogValue implements slog.LogValuer.
func (c *Copy) LogValue() slog.Value {
	attrs := append(c.attrs(), slog.String("to", c.To.String()))
	if c.Mailbox != "" {
		attrs = append(attrs, slog.String("mailbox", c.Mailbox.String()))
	} else {
		attrs = append(attrs, slog.String("next", c.Next.String()), slog.String("queue", c.Queue))
	}
	return slog.GroupValue(append(attrs, slog.Int64("octets", c.Size))...)
}

// summary is what became of a message that was accepted.
func (d *delivery) summary() *Accepted {
	return &Accepted{
		Envelope: d.e, Service: d.r.service(d.e.Session), MessageID: d.m.messageID(), Size: d.size,
		Mailboxes: len(d.to.mailboxes), Elsewhere: len(d.to.elsewhere), Full: len(d.to.failed), Recipients: len(d.e.To), Facts: d.m.facts,
		Took: time.Since(d.m.ended),
	}
}

// service is what the listener serves, as the settings call it.
func (r *Receiver) service(s *smtp.Session) string {
	switch {
	case r.Submission:
		return "submission"
	case s.LMTP:
		return "lmtp"
	}
	return "smtp"
}

// messageID is the message's own, or the one that stands on top of it.
func (m *message) messageID() string {
	return strings.TrimSpace(m.header.Get("Message-ID") + m.top.messageID)
}

// copies are the ways of a message, so that each mailbox and each address is there
// once, and each recipient too: an alias of many mailboxes that is named many times
// does not make the log longer than the message's own work.
func (d *delivery) copies(a *Accepted) (all []*Copy) {
	queued := make(map[leg]string)
	for _, entry := range d.entries {
		for _, path := range entry.to {
			queued[leg{path, entry.by}] = entry.id
		}
	}
	type way struct {
		mailbox domains.Address
		queue   string
		next    smtp.Path
	}
	seen := make(map[way]bool)
	for i := range d.e.To {
		rcpt := &d.e.To[i]
		if rcpt.Result != nil {
			continue
		}
		named := false
		add := func(c *Copy) {
			if key := (way{c.Mailbox, c.Queue, c.Next}); !named || !seen[key] {
				named, seen[key] = true, true
				all = append(all, c)
			}
		}
		t, _ := targetsOf(rcpt)
		for _, mailbox := range t.Mailboxes {
			if d.to.failed[mailbox] == nil && !d.to.released[mailbox] {
				if place := d.to.instead[mailbox]; place != "" {
					mailbox = place
				}
				add(&Copy{Accepted: a, To: rcpt.Path, Mailbox: mailbox})
			}
		}
		for _, to := range t.Elsewhere {
			add(&Copy{Accepted: a, To: rcpt.Path, Next: to, Queue: queued[leg{to: to}]})
		}
		for _, on := range t.Onward {
			if id := queued[leg{on.To, on.Account}]; id != "" {
				add(&Copy{Accepted: a, To: rcpt.Path, Next: on.To, Queue: id})
			}
		}
	}
	return all
}

// single reports whether a message went one way only, from its only recipient to one
// mailbox or address: the line about that copy says all that a sum would.
func (a *Accepted) single() bool {
	return a.Recipients == 1 && a.Mailboxes+a.Elsewhere == 1 && a.Full == 0
}

// tell writes down what became of an accepted message: a line for each copy, and
// one that sums up several.
func (d *delivery) tell(log *slog.Logger) {
	ctx := context.Background()
	logged := log.Enabled(ctx, slog.LevelInfo)
	if !logged && d.r.Accepted == nil {
		return
	}
	a := d.summary()
	if d.r.Accepted != nil {
		d.r.Accepted(a)
	}
	if !logged {
		return
	}
	for _, c := range d.copies(a) {
		event := "delivered"
		if c.Mailbox == "" {
			event = "queued"
		}
		log.LogAttrs(ctx, slog.LevelInfo, event, slog.Any("", c))
	}
	if !a.single() {
		log.LogAttrs(ctx, slog.LevelInfo, "message accepted", slog.Any("", a))
	}
}

// tellInstead writes down where a message went in place of its recipients.
func (d *delivery) tellInstead(log *slog.Logger) {
	a := d.summary()
	a.Mailboxes, a.Elsewhere = 1, 0
	to := make([]string, len(d.e.To))
	for i := range d.e.To {
		to[i] = d.e.To[i].Path.String()
	}
	attrs := append(a.attrs(), slog.String("to", strings.Join(to, ",")))
	event := "discarded"
	if place := d.m.instead.Mailbox; place != "" {
		event = "put aside"
		attrs = append(attrs, slog.String("mailbox", place.String()))
	} else {
		a.Mailboxes = 0
	}
	if d.r.Accepted != nil {
		d.r.Accepted(a)
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, event, append(attrs, slog.Int64("octets", a.Size))...)
}

// localRefusal is a program of this host that was refused; package smtp tells of
// clients.
func (p *Post) localRefusal(s *smtp.Session, command, from, to string, err error) {
	p.Log.Info("refused", "service", "submission", "session", s.ID, "id", s.ID, "command", command,
		"from", from, "to", to, "reply", err, "user", s.User, "remote", remoteOf(s))
}
