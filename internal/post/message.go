package post

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// message is a message on its way in: what is put on top of it, and the rest,
// octet for octet as it comes.
type message struct {
	returnPath []byte    // for mailboxes only (RFC 5321 §4.4)
	trace      []byte    // for everybody
	body       io.Reader // the message as the client sent it
	header     *rfc2822.Section
	done       func() // gives back the room that its header takes
}

// errLoop: the message has passed more hosts than any honest one.
var errLoop = &smtp.Reply{Code: 554, Enhanced: "5.4.6", Text: "Too many Received fields: the message goes round in a loop"}

// read looks at the header of the message that e.Data begins with and decides
// what goes on top.
func (r *Receiver) read(e *smtp.Envelope) (*message, error) {
	header, body, done, err := r.long.peek(e.Data)
	if err != nil {
		return nil, err
	}
	m := &message{body: body, header: header, done: done}
	if err := r.onTop(e, m); err != nil {
		done()
		return nil, err
	}
	return m, nil
}

// onTop is what read puts on top of the message.
func (r *Receiver) onTop(e *smtp.Envelope, m *message) error {
	rules, header := r.rules(e.Session), m.header
	if hops := rules.MaxHops; hops > 0 && len(header.Named("Received")) > hops {
		return errLoop
	}
	if forwardLoop(rules.Directory, e, header) {
		return errForwardLoop
	}
	now := time.Now()
	m.trace = append(m.trace, r.received(e, rules.ServerName, now).String()...)
	if r.Submission {
		// RFC 6409 §8.2, §8.3: only what is missing, never a change.
		for _, missing := range header.Missing("Date", "Message-ID") {
			switch missing {
			case "Date":
				m.trace = append(m.trace, rfc2822.DateField(now).Raw()...)
			case "Message-ID":
				m.trace = append(m.trace, rfc2822.MessageIDField(rules.ServerName, now).Raw()...)
			}
		}
	}
	m.trace = append(m.trace, header.Seam()...) // nothing of the message may become part of ours
	path, err := rfc2822.ReturnPath(e.From.String())
	if err != nil {
		return fmt.Errorf("return path: %w", err)
	}
	m.returnPath = []byte(path.Raw())
	return nil
}

// received is the trace field of this host. The recipient is named only when
// there is one: several would tell each of the others, blind copies too
// (RFC 5321 §7.2).
func (r *Receiver) received(e *smtp.Envelope, name string, now time.Time) rfc2822.Received {
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

// writeTo writes trace fields and message, through a buffer that holds as much
// of the message as is ever in memory, and returns the octets written.
func (m *message) writeTo(w io.Writer, buffer []byte) (int64, error) {
	n, err := w.Write(m.trace)
	if err != nil {
		return int64(n), err
	}
	// The wrappers keep io.CopyBuffer from finding a way around the buffer.
	size, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{m.body}, buffer)
	return size + int64(n), err
}
