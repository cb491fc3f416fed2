package spool

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

const (
	envelopeHead = "postrider-envelope 1"
	stateHead    = "postrider-state 1"
	endMark      = "end"
)

// A document is written line by line and ended by finish.
type document struct{ b []byte }

func newDocument(head string) *document {
	return &document{append(make([]byte, 0, 512), head+"\n"...)}
}

func (d *document) text(key, value string) {
	if value == "" {
		return
	}
	d.b = append(d.b, key...)
	d.b = append(d.b, ": "...)
	d.b = append(d.b, value...)
	d.b = append(d.b, '\n')
}

func (d *document) flag(key string, value bool) {
	if value {
		d.text(key, "yes")
	}
}

func (d *document) number(key string, value int64) {
	if value != 0 {
		d.text(key, strconv.FormatInt(value, 10))
	}
}

func (d *document) time(key string, t time.Time) {
	if !t.IsZero() {
		d.text(key, t.UTC().Format(time.RFC3339Nano))
	}
}

func (d *document) finish() []byte { return append(d.b, endMark+"\n"...) }

// proof is what an envelope says of the octets before it: how many of them are no
// part of the message, at the beginning, and the checksum of the others.
type proof struct {
	skip int64
	sum  uint32
}

// formatEnvelope writes an envelope. The entry has passed Check, so that no
// value can end its line.
func formatEnvelope(e *queue.Entry, p proof) []byte {
	d := newDocument(envelopeHead)
	d.text("id", e.ID)
	d.time("queued", e.Queued)
	d.text("from", e.From.String())
	m := &e.Params
	d.text("envid", smtp.EncodeXtext(m.EnvID))
	d.text("ret", string(m.Ret))
	d.text("body", string(m.Body))
	d.flag("smtputf8", m.SMTPUTF8)
	d.flag("requiretls", m.RequireTLS)
	d.time("notbefore", m.HoldUntil)
	d.by(m.By)
	d.number("priority", int64(m.Priority))
	d.text("session", e.Session)
	d.text("user", e.User)
	if e.Class != queue.Ordinary { // as of all that was written before there were classes
		d.text("class", e.Class.String())
	}
	d.flag("proven", e.Proven)
	d.number("size", m.Size)
	d.number("skip", p.skip)
	d.text("crc32c", fmt.Sprintf("%08x", p.sum))
	for _, r := range e.To {
		d.text("to", r.Path.String())
		d.text("notify", r.Params.Notify.String())
		if r.Params.ORcpt != "" {
			d.text("orcpt", r.Params.ORcptType+";"+smtp.EncodeXtext(r.Params.ORcpt))
		}
		d.rrvs(r.Params)
	}
	return d.finish()
}

// formatState writes a state. Texts that came from other hosts are made to
// fit one line.
func formatState(s *queue.State) []byte {
	d := newDocument(stateHead)
	d.time("queued", s.Queued)
	d.number("size", s.Size)
	d.flag("held", s.Held)
	d.text("cause", oneLine(s.Cause))
	d.text("route", oneLine(s.Route))
	for i := range s.To {
		r := &s.To[i]
		d.text("to", string(r.Status))
		d.number("attempts", int64(r.Attempts))
		d.time("next", r.Next)
		d.flag("warned", r.Warned)
		d.flag("reported", r.Reported)
		d.flag("expire", r.Expire)
		l := &r.Last
		d.time("last", l.Time)
		d.text("result", string(l.Status))
		d.number("code", int64(l.Code))
		d.text("enhanced", oneLine(l.Enhanced))
		d.text("text", oneLine(l.Text))
		d.text("host", oneLine(l.Host))
		d.text("tls", oneLine(l.TLS))
		d.flag("relayed", l.Relayed)
		d.flag("final", l.Final)
	}
	return d.finish()
}

// longest is the octets kept of a text that came from another host: the 4 to 8
// lines of a chatty reply.
const longest = 2048

// oneLine makes s fit to be a value: no control characters, no white space at
// the ends, valid UTF-8, bounded.
func oneLine(s string) string {
	clean := func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}
	if strings.ContainsFunc(s, func(r rune) bool { return clean(r) != r }) {
		s = strings.Map(clean, s)
	}
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "")
	}
	return strings.TrimSpace(s)
}

var errFormat = errors.New("not of the format")

// ErrNewer: a document is whole, and a newer version has written it: its number is higher, or it has a key that is not known here.
var ErrNewer = errors.New("written by a newer version")

// newerKey is a key that is not known.
func newerKey(key string) error {
	return fmt.Errorf("%w: %w: unknown key %q", errFormat, ErrNewer, key)
}

// isNewer reports whether a document is one of a version with a higher number than head has.
func isNewer(data []byte, head string) bool {
	kind, is, _ := strings.Cut(head, " ")
	first, rest, _ := strings.Cut(string(data), "\n")
	number, ok := strings.CutPrefix(first, kind+" ")
	n, err := strconv.Atoi(number)
	own, _ := strconv.Atoi(is)
	return ok && err == nil && n > own && strings.HasSuffix("\n"+rest, "\n"+endMark+"\n")
}

// each calls line with every key and value between the first line and the end
// mark, both of which must be there.
func each(data []byte, head string, line func(key, value string) error) error {
	rest, ok := strings.CutPrefix(string(data), head+"\n")
	if !ok && isNewer(data, head) {
		return fmt.Errorf("%w: %w: not %q", errFormat, ErrNewer, head)
	}
	if !ok {
		return fmt.Errorf("%w: does not begin with %q", errFormat, head)
	}
	rest, ok = strings.CutSuffix(rest, endMark+"\n")
	if !ok || rest != "" && rest[len(rest)-1] != '\n' {
		return fmt.Errorf("%w: no end mark", errFormat)
	}
	for n := 2; rest != ""; n++ {
		var l string
		l, rest, _ = strings.Cut(rest, "\n")
		key, value, ok := strings.Cut(l, ": ")
		if !ok || value == "" {
			return fmt.Errorf("%w: line %d is not \"key: value\"", errFormat, n)
		}
		if err := line(key, value); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return nil
}

func yes(value string) (bool, error) {
	if value != "yes" {
		return false, fmt.Errorf("%w: %q instead of \"yes\"", errFormat, value)
	}
	return true, nil
}

func parseTime(value string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, value)
	t = t.UTC()
	if year := t.Year(); err == nil && (year < 0 || year > 9999) {
		err = fmt.Errorf("%w: time %q has no such form in UTC", errFormat, value)
	}
	return t, err
}

// parseEnvelope reads what formatEnvelope wrote.
func parseEnvelope(data []byte) (e *queue.Entry, p proof, err error) {
	e = &queue.Entry{}
	err = each(data, envelopeHead, func(key, value string) error {
		switch key {
		case "to":
			e.To = append(e.To, queue.Recipient{Path: readPath(value)})
			return nil
		case "notify", "orcpt", "rrvs":
			return recipientLine(e, key, value)
		case "crc32c":
			n, err := strconv.ParseUint(value, 16, 32)
			p.sum = uint32(n)
			return err
		case "skip":
			p.skip, err = strconv.ParseInt(value, 10, 64)
			return err
		}
		return entryLine(e, key, value)
	})
	if err == nil {
		err = e.Check()
	}
	if err == nil && (e.Queued.IsZero() || e.Params.Size < 0 || p.skip < 0) {
		err = fmt.Errorf("%w: no time or size", errFormat)
	}
	if err != nil {
		return nil, proof{}, fmt.Errorf("parse envelope: %w", err)
	}
	return e, p, nil
}

func recipientLine(e *queue.Entry, key, value string) error {
	if len(e.To) == 0 {
		return fmt.Errorf("%w: %s before the first recipient", errFormat, key)
	}
	p := &e.To[len(e.To)-1].Params
	if key == "rrvs" {
		return readRRVS(p, value)
	}
	if key == "notify" {
		n, ok := smtp.ParseNotify(value)
		if p.Notify = n; !ok {
			return fmt.Errorf("%w: NOTIFY %q", errFormat, value)
		}
		return nil
	}
	p.ORcptType, p.ORcpt = "", ""
	if typ, address, ok := strings.Cut(value, ";"); ok && address != "" {
		p.ORcptType, p.ORcpt = typ, readXtext(address)
	}
	return nil
}

// readPath reads what Path.String wrote. An envelope that is on disk was accepted:
// what no command could name any more, such as an address that an earlier version
// took, is parted at its last "@" all the same, and it is for the next hop to
// refuse it.
func readPath(text string) smtp.Path {
	text = strings.Trim(text, " \t")
	if p, err := smtp.ParseMailbox(text, smtp.PathUTF8|smtp.PathLenient); err == nil {
		return p
	}
	if local, rest, ok := cutQuoted(text); ok && rest == "" {
		return smtp.Path{Local: local}
	} else if domain, more := strings.CutPrefix(rest, "@"); more && !strings.Contains(domain, "@") {
		return smtp.Path{Local: local, Domain: domain}
	}
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return smtp.Path{Local: text}
	}
	return smtp.Path{Local: text[:at], Domain: text[at+1:]}
}

// cutQuoted undoes the quoting of a local part and returns what stands behind it.
func cutQuoted(text string) (local, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", false
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], true
		case c == '\\' && i+1 < len(text):
			i++
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}

// readXtext decodes xtext; what is none stands for itself.
func readXtext(text string) string {
	if decoded, ok := smtp.DecodeXtext(text); ok {
		return decoded
	}
	return text
}

func entryLine(e *queue.Entry, key, value string) (err error) {
	p := &e.Params
	switch key {
	case "id":
		e.ID = value
	case "queued":
		e.Queued, err = parseTime(value)
	case "from":
		e.From = readPath(value)
	case "envid":
		p.EnvID = readXtext(value)
	case "ret":
		p.Ret = smtp.Ret(value)
	case "body":
		p.Body = smtp.Body(value)
	case "smtputf8":
		p.SMTPUTF8, err = yes(value)
	case "requiretls":
		p.RequireTLS, err = yes(value)
	case "notbefore":
		p.HoldUntil, err = parseTime(value)
	case "by":
		p.By, err = readBy(value)
	case "priority":
		p.Priority, err = strconv.Atoi(value)
	case "session":
		e.Session = value
	case "user":
		e.User = value
	case "class":
		e.Class, err = queue.ParseClass(value)
	case "proven":
		e.Proven, err = yes(value)
	case "size":
		p.Size, err = strconv.ParseInt(value, 10, 64)
	default:
		err = newerKey(key)
	}
	return err
}

// parseState reads what formatState wrote.
func parseState(data []byte) (*queue.State, error) {
	s := &queue.State{}
	err := each(data, stateHead, func(key, value string) (err error) {
		switch key {
		case "queued":
			s.Queued, err = parseTime(value)
		case "size":
			s.Size, err = strconv.ParseInt(value, 10, 64)
		case "held":
			s.Held, err = yes(value)
		case "cause":
			s.Cause = value
		case "route":
			s.Route = value
		case "to":
			s.To = append(s.To, queue.RcptState{})
			s.To[len(s.To)-1].Status, err = parseStatus(value)
		default:
			if len(s.To) > 0 {
				return rcptLine(&s.To[len(s.To)-1], key, value)
			}
			if err = rcptLine(new(queue.RcptState), key, value); !errors.Is(err, ErrNewer) {
				err = fmt.Errorf("%w: %s before the first recipient", errFormat, key)
			}
		}
		return err
	})
	if err == nil && (s.Queued.IsZero() || len(s.To) == 0) {
		err = fmt.Errorf("%w: no time or no recipient", errFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("parse state: %w", err)
	}
	return s, nil
}

func parseStatus(value string) (queue.Status, error) {
	switch s := queue.Status(value); s {
	case queue.Pending, queue.Delivered, queue.Failed, queue.Expired:
		return s, nil
	}
	return "", fmt.Errorf("%w: status %q", errFormat, value)
}

func rcptLine(r *queue.RcptState, key, value string) (err error) {
	switch key {
	case "attempts":
		r.Attempts, err = strconv.Atoi(value)
	case "next":
		r.Next, err = parseTime(value)
	case "warned":
		r.Warned, err = yes(value)
	case "reported":
		r.Reported, err = yes(value)
	case "expire":
		r.Expire, err = yes(value)
	case "last":
		r.Last.Time, err = parseTime(value)
	case "result":
		r.Last.Status, err = parseStatus(value)
	case "code":
		r.Last.Code, err = strconv.Atoi(value)
	case "enhanced":
		r.Last.Enhanced = value
	case "text":
		r.Last.Text = value
	case "host":
		r.Last.Host = value
	case "tls":
		r.Last.TLS = value
	case "relayed":
		r.Last.Relayed, err = yes(value)
	case "final":
		r.Last.Final, err = yes(value)
	default:
		err = newerKey(key)
	}
	return err
}
