package queue

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// Attempt is what an attempt has come to for one recipient, for those who count or
// write it down. The Queue's own line about it is one; see Queue.Attempted.
type Attempt struct {
	Entry       *Entry // Entry.Class says whose mail it is
	To          Recipient
	Destination string // as Transport.Destination calls it
	// Result is what came back. Where Result.Busy is set, nobody was asked and no
	// attempt counted.
	Result Result
	// Status is what the recipient is by now: Expired, too, where Result was Pending
	// once too often.
	Status Status
	// Number is how many attempts there have been for the recipient, this one included.
	Number int
	// Delay is the time since the message came, or since it was let go.
	Delay time.Duration
}

// LogValue implements slog.LogValuer: the keys of the line about an attempt.
func (a *Attempt) LogValue() slog.Value {
	r := &a.Result
	return slog.GroupValue(slog.String("queue", a.Entry.ID), slog.String("id", a.Entry.Session),
		slog.String("from", a.Entry.From.String()), slog.String("to", a.To.Path.String()),
		slog.String("status", string(a.Status)), slog.Int("attempt", a.Number), slog.String("host", r.Host), slog.String("tls", r.TLS),
		slog.Int("code", r.Code), slog.String("enhanced", r.Enhanced), slog.String("text", oneLine(r.Text)),
		slog.Duration("delay", a.Delay.Round(time.Millisecond)))
}

// oneLine bounds a text for the log.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "")
	}
	return s
}

// attempted tells what came of an attempt for some recipients.
func (q *Queue) attempted(all []*Attempt) {
	for _, a := range all {
		level := slog.LevelInfo
		if a.Result.Busy {
			level = slog.LevelDebug // none was made
		}
		q.log().LogAttrs(context.Background(), level, "attempt", slog.Any("", a))
		if q.Attempted != nil {
			q.Attempted(a)
		}
	}
}

// LogValue implements slog.LogValuer: the keys of the line about a notification.
func (n *Notification) LogValue() slog.Value {
	return slog.GroupValue(slog.String("queue", n.Entry.ID), slog.String("id", n.Entry.Session), slog.String("kind", string(n.Kind)),
		slog.String("to", n.To.String()))
}

// notified tells that a notification is on its way. a.mu of its entry is held.
func (q *Queue) notified(ctx context.Context, n *Notification) {
	q.countNotice(n.Kind)
	q.log().LogAttrs(ctx, slog.LevelInfo, "notification", slog.Any("", n))
	if q.Notified != nil {
		q.Notified(n)
	}
}
