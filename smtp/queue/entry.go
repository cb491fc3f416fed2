package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// Entry is one message for one or more recipients on other hosts, as it was
// accepted. It does not change once it is in a Spool.
type Entry struct {
	// ID names the entry: 1 to 64 letters, digits, '-' and '_'. Begin makes
	// one where it is empty.
	ID string
	// Queued is when the entry was accepted. Begin sets it where it is zero.
	Queued time.Time
	// From is the return path; the null path is the null sender, for which
	// nothing is ever bounced.
	From smtp.Path
	// Params are the parameters of MAIL. Of them Size is, once the entry is
	// committed, how many octets the message has; HoldUntil, where not zero, is
	// when the first attempt may be made (RFC 4865), and giving up and warning
	// count from it.
	Params smtp.Params
	// To is at least one recipient.
	To []Recipient

	// Class says whose share of the queue the entry takes. Proven: the sender of
	// a Stranger's entry is not forged, as far as can be told; that of an Ordinary
	// one never is.
	Class  Class
	Proven bool

	// Session and User are for the log and the operator: the id of the
	// session that brought the message, and who was authenticated in it.
	Session, User string

	// Hold, where not empty, has the entry held from the beginning, for this Cause
	// (see State). It is not stored with the entry.
	Hold string

	// Top is how many octets Commit is expected to be given as the message's top,
	// at most. A spool may keep so much room free at the beginning of a large message,
	// and has to write it once more if the top turns out to need more. It is not
	// stored.
	Top int

	// Head is how the message begins, some dozens of octets, where a spool had them at hand when it loaded the entry; else nil.
	Head []byte
}

// Recipient is one address the entry goes to, and the parameters of its RCPT.
type Recipient struct {
	Path   smtp.Path
	Params smtp.RcptParams
}

// NewEntry makes an entry from what a server took, for those of its recipients
// that are to leave.
func NewEntry(e *smtp.Envelope, to []smtp.Recipient) *Entry {
	n := &Entry{From: e.From, Params: e.Params, Session: e.ID}
	n.Params.Auth = "" // what was said to us about the client is no other host's business
	if e.Session != nil {
		n.User = e.Session.User
	}
	for _, r := range to {
		n.To = append(n.To, Recipient{Path: r.Path, Params: r.Params})
	}
	return n
}

// proven reports whether From is whoever sent the entry. Only they hear of success,
// get a message back whole, and hear of every failure.
func (e *Entry) proven() bool { return e.Class == Ordinary || e.Proven }

// since is the time from which the entry's age counts.
func (e *Entry) since() time.Time {
	if e.Params.HoldUntil.After(e.Queued) {
		return e.Params.HoldUntil
	}
	return e.Queued
}

// Clone returns a copy that shares nothing with e.
func (e *Entry) Clone() *Entry {
	c := *e
	c.To = slices.Clone(e.To)
	if e.Params.By != nil {
		by := *e.Params.By
		c.Params.By = &by
	}
	return &c
}

// Check says what is wrong with an entry that is to be queued.
func (e *Entry) Check() error {
	if !ValidID(e.ID) {
		return fmt.Errorf("check entry: id %q", e.ID)
	}
	if len(e.To) == 0 {
		return errors.New("check entry: no recipient")
	}
	if !plain(e.From.Local) || !plain(e.From.Domain) || !plain(e.Session) || !plain(e.User) {
		return errors.New("check entry: control character in the envelope")
	}
	switch e.Params.Body {
	case "", smtp.Body7Bit, smtp.Body8BitMIME, smtp.BodyBinaryMIME:
	default:
		return fmt.Errorf("check entry: body type %q", e.Params.Body)
	}
	switch e.Params.Ret {
	case "", smtp.RetFull, smtp.RetHeaders:
	default:
		return fmt.Errorf("check entry: RET %q", e.Params.Ret)
	}
	if e.Params.Priority < -9 || e.Params.Priority > 9 {
		return fmt.Errorf("check entry: priority %d", e.Params.Priority)
	}
	if e.Class >= classes {
		return fmt.Errorf("check entry: %v", e.Class)
	}
	for _, r := range e.To {
		if r.Path.DomainName() == "" || !plain(r.Path.Local) || !plain(r.Path.Domain) || !plain(r.Params.ORcptType) {
			return fmt.Errorf("check entry: recipient %q", r.Path)
		}
	}
	return nil
}

// plain: what could end a line, of a file of ours or of a dialogue, has no
// place in an envelope.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// ValidID reports whether id can name an entry.
func ValidID(id string) bool {
	if len(id) < 1 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
