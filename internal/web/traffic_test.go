package web

import (
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// TestTraffic: what the sessions, messages and attempts say is what is added up, each in its place.
func TestTraffic(t *testing.T) {
	m := NewMetrics(func() Moment { return Moment{} })
	m.Accepted(&post.Accepted{Service: "smtp"})
	m.Accepted(&post.Accepted{Service: "submission"})
	m.SMTPRefused("smtp", &smtp.Refusal{Session: &smtp.Session{}, Command: "RCPT", Reply: &smtp.Reply{Code: 550, Enhanced: "5.1.1"}})
	m.SMTPRefused("smtp", &smtp.Refusal{Session: &smtp.Session{}, Command: "RCPT", Reply: &smtp.Reply{Code: 451}}) // not for good
	m.Attempted(&queue.Attempt{Status: queue.Delivered})
	m.Attempted(&queue.Attempt{Status: queue.Pending})
	m.Attempted(&queue.Attempt{Status: queue.Pending})
	m.POP3Done(&pop3.Session{}, &pop3.Summary{FailedLogins: 4, FailedBy: map[string]int{"PLAIN": 4}})
	if got, want := m.Traffic(), (Traffic{Taken: 2, Refused: 1, Delivered: 1, Deferred: 2, BadLogins: 4}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
}

// TestHistory: each event is in the span in which it came, for a day and no longer, and none is counted twice.
func TestHistory(t *testing.T) {
	var taken int64
	h := &History{Totals: func() Traffic { return Traffic{Taken: taken} }}
	pass := func(d time.Duration) {
		for range d / time.Minute {
			h.Turn()
		}
	}
	total := func(all []Traffic) (n int64) {
		for _, s := range all {
			n += s.Taken
		}
		return n
	}
	for minute := range int64(100) { // the n-th minute brings n
		taken += minute
		pass(time.Minute)
	}
	taken += 1000 // in the minute that passes now
	hour := h.Spans(60, 1)
	if len(hour) != 60 || hour[59].Taken != 1000 || hour[58].Taken != 99 || hour[0].Taken != 41 {
		t.Errorf("%d spans, from %d to %d and %d", len(hour), hour[0].Taken, hour[58].Taken, hour[59].Taken)
	}
	day := h.Spans(96, 15)
	if n := total(day); len(day) != 96 || n != 1000+99*100/2 {
		t.Errorf("%d in %d spans", n, len(day))
	}
	if day[95].Taken != 1000+99+98+97+96+95+94+93+92+91+90+89+88+87+86 {
		t.Errorf("the last span has %d", day[95].Taken)
	}
	pass(23*time.Hour + 20*time.Minute)
	if n := total(h.Spans(96, 15)); n == 0 || n >= 1000+99*100/2 {
		t.Errorf("%d after most of a day", n)
	}
	pass(39 * time.Minute)
	if n := total(h.Spans(96, 15)); n != 1000 {
		t.Errorf("%d after a little more", n)
	}
	pass(time.Hour)
	if n := total(h.Spans(96, 15)); n != 0 {
		t.Errorf("%d after a day", n)
	}
}
