package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// Notification is a message the queue writes about an entry.
type Notification struct {
	// ID is the same each time this is told, and no other's: whoever keeps it can
	// tell a notification that a crash has repeated. It is a valid Entry.ID.
	ID string
	// To is the entry's sender, null where it has none.
	To smtp.Path
	// Kind is Bounce, Delay or Success.
	Kind Kind
	// Proven: To is whoever sent the message, beyond doubt. Others get no more of
	// them than docs/limits.md tells.
	Proven bool
	// Undeliverable: the entry has the null sender, and nobody but a postmaster can be
	// told.
	Undeliverable bool
	// Entry is what it is about.
	Entry *Entry
	// Body and SMTPUTF8 say what Message needs of those that carry it.
	Body     smtp.Body
	SMTPUTF8 bool
	// Message is a whole message with CRLF lines, multipart/report (RFC 3464).
	// Its return path is the null sender.
	Message []byte
}

// ErrWait is an error of Queue.Notify that says that nothing is wrong: there are too many
// notifications for now, and this one is to be tried again.
var ErrWait = errors.New("queue: notifications have to wait")

// Kind of a notification.
type Kind string

// The kinds of notification.
const (
	Bounce  Kind = "bounce"
	Delay   Kind = "delay"
	Success Kind = "success"
)

// returnMost is the largest message, in octets, that goes back whole; of a
// larger one the header section does, whatever RET asks (RFC 3461 §6.2 allows
// it), so that a bounce never needs much memory.
const returnMost = 1 << 20

// knows: an entry of this id is in the queue, or has just been settled.
func (q *Queue) knows(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.index[id] != nil
}

// compose writes a notification. a.mu is held.
func (q *Queue) compose(ctx context.Context, a *active, kind Kind, to []int) (*Notification, error) {
	e := a.e
	body, err := q.Spool.Open(ctx, e.ID)
	if err != nil {
		return nil, fmt.Errorf("compose notification: %w", err)
	}
	defer body.Close()
	now, id := time.Now(), noticeID(e.ID, kind, to)
	r := &rfc2822.Report{
		To: q.behind(e.From).String(), Date: now, MessageID: q.messageID(id, now),
		ReportingMTA: q.config().Hostname, OriginalEnvelopeID: e.Params.EnvID, ArrivalDate: e.Queued,
		Original: body, UTF8: e.Params.SMTPUTF8,
	}
	// RFC 3461 §4.3: RET=FULL concerns failures; other news return headers.
	// To somebody who may not have sent it, a message is not returned.
	if e.Params.Ret != smtp.RetHeaders && kind == Bounce && e.Params.Size <= returnMost && e.proven() {
		r.Return = rfc2822.ReturnFull
	}
	for _, i := range to {
		r.Recipients = append(r.Recipients, q.status(a, kind, i))
	}
	if e.Params.Body == smtp.BodyBinaryMIME { // a text may hold no such thing, so headers only
		r.Return = rfc2822.ReturnHeaders
	}
	var out bytes.Buffer
	if _, err := r.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("compose notification: %w", err)
	}
	n := &Notification{ID: id, To: e.From, Kind: kind, Proven: e.proven(), Entry: e, SMTPUTF8: e.Params.SMTPUTF8, Message: out.Bytes()}
	if !ascii(n.Message) {
		n.Body = smtp.Body8BitMIME
	}
	return n, nil
}

// noticeID names a notification of a kind about some recipients of an entry.
// Each recipient is told of once.
func noticeID(id string, kind Kind, to []int) string {
	h := fnv.New64a()
	fmt.Fprint(h, id, kind, to)
	return fmt.Sprintf("%.30s-%.1s%s", id, kind, strconv.FormatUint(h.Sum64(), 36))
}

// messageID makes a Message-ID that is the same when a crash has repeated the
// notification, so that a mailbox may show one of two.
func (q *Queue) messageID(id string, now time.Time) string {
	whole := rfc2822.NewMessageID(q.config().Hostname, now)
	return "<" + id + whole[strings.LastIndexByte(whole, '@'):]
}

// behind is who reads what is sent to an entry's sender.
func (q *Queue) behind(from smtp.Path) smtp.Path {
	if q.Behind != nil && !from.IsNull() {
		return q.Behind(from)
	}
	return from
}

// status is one recipient's part of a notification.
func (q *Queue) status(a *active, kind Kind, i int) rfc2822.RecipientStatus {
	r, rcpt := &a.st.To[i], a.e.To[i]
	s := rfc2822.RecipientStatus{
		FinalRecipient: rcpt.Path.String(), Status: r.Last.Enhanced, LastAttempt: r.Last.Time, FinalLogID: a.e.ID,
	}
	if p := rcpt.Params; p.ORcpt != "" {
		s.OriginalRecipient = p.ORcptType + ";" + p.ORcpt
	}
	if r.Last.Code != 0 {
		s.RemoteMTA = remoteMTA(r.Last.Host)
		s.DiagnosticCode = diagnostic(&r.Last)
	}
	switch {
	case kind == Delay:
		s.Action = rfc2822.Delayed
		s.WillRetryUntil = q.givesUpAt(a.e, rcpt)
		s.Status = class(s.Status, '4', "4.0.0")
	case kind == Success:
		s.Action = rfc2822.Relayed
		if r.Last.Final {
			s.Action = rfc2822.Delivered
		}
		s.Status = class(s.Status, '2', "2.0.0")
	case r.Status == Expired && a.e.overdue(r.Last.Time):
		s.Action, s.Status = rfc2822.Failed, "5.4.7" // RFC 2852
	case r.Status == Expired:
		s.Action = rfc2822.Failed
		// Too long in the queue (RFC 3463 §3.5: X.4.7), whatever was said last.
		s.Status = class(s.Status, '4', "4.4.7")
	default:
		s.Action = rfc2822.Failed
		s.Status = class(s.Status, '5', "5.0.0")
	}
	if s.DiagnosticCode == "" && r.Last.Text != "" {
		s.DiagnosticCode = r.Last.Text
	}
	if s.Action == rfc2822.Failed {
		s.Advice = advice(&r.Last, q.behind(a.e.From))
	}
	return s
}

// senderWords are those by which hosts name what they have checked, where they have no
// code for it.
var senderWords = regexp.MustCompile(`(?i)\b(SPF|DKIM|DMARC|unauthenticated)\b`)

// Disbelieved reports whether a host has refused a message because it could not make sure who
// it is from (SPF, DKIM, DMARC, the name of the client's address: RFC 7372). The author of
// the message can do nothing about that.
func (r *Result) Disbelieved() bool {
	if r.Code < 500 || !strings.HasPrefix(r.Enhanced, "5.7.") {
		return false
	}
	switch r.Enhanced {
	case "5.7.20", "5.7.21", "5.7.22", "5.7.23", "5.7.24", "5.7.25", "5.7.26":
		return true
	}
	return senderWords.MatchString(r.Text)
}

// advice is what a refusal means where its text hardly says it to who wrote the message.
func advice(r *Result, from smtp.Path) string {
	domain := from.DomainName().String()
	if !r.Disbelieved() || domain == "" {
		return ""
	}
	what := "could not make sure that the message is from " + domain + " (SPF, DKIM, DMARC)"
	if r.Enhanced == "5.7.25" {
		what = "found no right name for the address of the server that sends for " + domain
	}
	return "The host " + what + ". It is not about what was written: please tell the postmaster of " + domain + "."
}

// remoteMTA is the name in a Result's Host: "mx.example.org" of
// "mx.example.org [192.0.2.1]:25", and "[192.0.2.1]" of "192.0.2.1:25".
func remoteMTA(host string) string {
	name, _, _ := strings.Cut(host, " ")
	if a, err := netip.ParseAddrPort(name); err == nil {
		return "[" + a.Addr().String() + "]"
	}
	return name
}

// class returns status if it is of the class, or otherwise.
func class(status string, c byte, otherwise string) string {
	if len(status) > 0 && status[0] == c {
		return status
	}
	return otherwise
}

func diagnostic(r *Result) string {
	s := fmt.Sprint(r.Code)
	if r.Enhanced != "" {
		s += " " + r.Enhanced
	}
	return s + " " + r.Text
}

func ascii(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r >= 0x80 }) < 0
}

// SubmitNotification queues a notification for its recipient. It is what
// happens where Queue.Notify is nil, and what Notify does for a sender who is
// not local. It is not refused for a queue that is full: the entry it is about
// will leave. One that is in the queue already, because the process died before
// it could note that it had been sent, is not queued again.
func (q *Queue) SubmitNotification(ctx context.Context, n *Notification) error {
	q.start()
	e := &Entry{
		Class: Notice, Params: smtp.Params{Body: n.Body, SMTPUTF8: n.SMTPUTF8},
		To: []Recipient{{Path: n.To, Params: smtp.RcptParams{Notify: smtp.NotifyNever}}},
	}
	if n.ID != "" { // one for each address, should Notify send it to several
		h := fnv.New32a()
		io.WriteString(h, n.To.String())
		e.ID = fmt.Sprintf("%.50s-%s", n.ID, strconv.FormatUint(uint64(h.Sum32()), 36))
		if q.knows(e.ID) {
			return nil
		}
	}
	if q.dropNotice(n) {
		return nil
	}
	w, err := q.begin(durable.WithoutReserve(ctx), e)
	if errors.Is(err, ErrExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("queue notification: %w", err)
	}
	if err := fill(ctx, w, bytes.NewReader(n.Message)); !errors.Is(err, ErrExists) {
		return err
	}
	return nil
}
