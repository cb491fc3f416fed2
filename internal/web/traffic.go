package web

import (
	"sync"

	dto "github.com/prometheus/client_model/go"
)

// Traffic is how much has come and gone, since the start or within a span.
type Traffic struct {
	Taken     int64 // messages, by SMTP and LMTP
	Refused   int64 // connections, senders, recipients and messages, for good
	Delivered int64 // recipients of other hosts
	Deferred  int64 // attempts that will be repeated
	BadLogins int64
}

// Add adds another one's numbers.
func (t *Traffic) Add(o Traffic) {
	t.Taken += o.Taken
	t.Refused += o.Refused
	t.Delivered += o.Delivered
	t.Deferred += o.Deferred
	t.BadLogins += o.BadLogins
}

func (t Traffic) less(o Traffic) Traffic {
	return Traffic{t.Taken - o.Taken, t.Refused - o.Refused, t.Delivered - o.Delivered, t.Deferred - o.Deferred, t.BadLogins - o.BadLogins}
}

// Traffic is what was counted since the start.
func (m *Metrics) Traffic() Traffic {
	return Traffic{
		Taken:     m.messages.sum(1, "accepted"),
		Refused:   m.refusals.sum(1, "refused"),
		Delivered: m.attempts.sum(0, "delivered"),
		Deferred:  m.attempts.sum(0, "deferred"),
		BadLogins: m.auth.sum(2, "failed"),
	}
}

// sum adds up the series whose label, by its place, has a value.
func (t *table) sum(label int, value string) (n int64) {
	for key, c := range t.of {
		var m dto.Metric
		if key[label] == value && c.Write(&m) == nil {
			n += int64(m.Counter.GetValue())
		}
	}
	return n
}

// minutes is how many of them a History remembers: a day.
const minutes = 24 * 60

// History remembers the traffic of the last day, minute by minute. It costs whoever counts nothing:
// what was counted is read once a minute. Its methods may be called concurrently.
type History struct {
	// Totals is what was counted since the start.
	Totals func() Traffic

	mu    sync.Mutex
	ring  [minutes]Traffic
	at    int     // of the minute that passes now
	begun Traffic // what had been counted when it began
}

// Turn begins the next minute; it is to be called once in each. One in which the process did not run is left out.
func (h *History) Turn() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Totals() // under the lock: what is read earlier may be less than what a minute began with
	h.ring[h.at] = now.less(h.begun)
	h.begun = now
	h.at = (h.at + 1) % minutes
	h.ring[h.at] = Traffic{}
}

// Spans returns the last n spans of so many minutes each, the oldest first; the minute that passes now is
// part of the last. n*each is a day at most.
func (h *History) Spans(n, each int) []Traffic {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Totals() // under the lock: what is read earlier may be less than what a minute began with
	all := make([]Traffic, n)
	for i := range min(n*each, minutes) {
		t := h.ring[(h.at-i+minutes)%minutes]
		if i == 0 {
			t = now.less(h.begun)
		}
		all[n-1-i/each].Add(t)
	}
	return all
}
