package conf

import "time"

// giveWay lets a default make room for what was written: who sets expire_after
// to an hour need not learn that a warning comes after four by default.
func (s *Settings) giveWay() {
	written := func(steps ...any) bool { return s.text().Has(steps...) }
	atMost(written, &s.SMTP.MaxConnectionsPerAddress, s.SMTP.MaxConnections, "SMTP", "max_connections_per_address")
	atMost(written, &s.POP3.MaxConnectionsPerAddress, s.POP3.MaxConnections, "POP3", "max_connections_per_address")
	atLeast(written, &s.SMTP.SessionTimeout, s.SMTP.IdleTimeout, "SMTP", "session_timeout")
	atLeast(written, &s.POP3.SessionTimeout, s.POP3.IdleTimeout, "POP3", "session_timeout")
	atMost(written, &s.Web.MaxConnectionsPerAddress, s.Web.MaxConnections, "Web", "max_connections_per_address")
	s.ratesGiveWay(written)
	q := &s.Queue
	atMost(written, &q.DestinationConcurrency, q.Concurrency, "Queue", "destination_concurrency")
	atMost(written, &q.RetryFirst, max(q.ExpireAfter/2, time.Second), "Queue", "retry_first")
	atMost(written, &q.RetryFirst, q.RetryMax, "Queue", "retry_first")
	atLeast(written, &q.RetryMax, q.RetryFirst, "Queue", "retry_max")
	if q.DelayWarningAfter >= q.ExpireAfter && !written("Queue", "delay_warning_after") {
		q.DelayWarningAfter = 0 // the bounce comes before it
	}
}

type ordered interface{ int | time.Duration }

func atMost[T ordered](written func(...any) bool, value *T, most T, steps ...any) {
	if *value > most && !written(steps...) {
		*value = most
	}
}

func atLeast[T ordered](written func(...any) bool, value *T, least T, steps ...any) {
	if *value < least && !written(steps...) {
		*value = least
	}
}
