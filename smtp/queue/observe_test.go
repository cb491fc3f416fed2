package queue

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// observed is what a queue has told.
type observed struct {
	mu       sync.Mutex
	attempts []string
	notices  []string
}

// watch has a queue tell o, and write its log for people to read.
func (o *observed) watch(q *Queue) *bytes.Buffer {
	var log bytes.Buffer
	q.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	q.Attempted = func(a *Attempt) {
		q.Counters() // whoever is told may look
		o.mu.Lock()
		defer o.mu.Unlock()
		o.attempts = append(o.attempts, fmt.Sprint(a.To.Path.Local, " ", a.Destination, " ", a.Number, " ", a.Status, " ", a.Result.Status, " ", a.Result.Code, " ", a.Result.TLS, " ", a.Entry.Class, " ", a.Delay))
	}
	q.Notified = func(n *Notification) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.notices = append(o.notices, fmt.Sprint(n.Kind, " ", n.To, " ", n.Undeliverable))
	}
	return &log
}

// TestObserved: each result of an attempt and each notification is told once, as a
// value whose line the log has.
func TestObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		var o observed
		log := o.watch(f.Queue)
		f.world.answer = func(d *Delivery, r Recipient) Result {
			switch r.Path.Local {
			case "no-such":
				return never5
			case "late":
				if d.Attempt == 1 {
					return grey
				}
			case "never":
				return grey
			}
			safe := ok
			safe.TLS, safe.Text = "TLS1.3 verified by dane", "two\r\nlines"
			return safe
		}
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "ben@x.test", "no-such@x.test", "late@x.test"))
		null := from(Stranger, "", "b", "no-such@y.test")
		null.From = address("")
		f.submit(t, null)
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		f.submit(t, entry("c", "never@z.test"))
		time.Sleep(10 * 24 * time.Hour)
		synctest.Wait()
		o.mu.Lock()
		defer o.mu.Unlock()
		var first []string
		tries := 0
		for _, a := range o.attempts {
			if strings.HasPrefix(a, "never ") {
				tries++
				continue
			}
			first = append(first, a[:strings.LastIndexByte(a, ' ')])
		}
		slices.Sort(first)
		slices.Sort(o.notices[:2]) // of two messages at the same time
		want := []string{
			"ben x.test 1 delivered delivered 250 TLS1.3 verified by dane ordinary",
			"late x.test 1 pending pending 451  ordinary",
			"late x.test 2 delivered delivered 250 TLS1.3 verified by dane ordinary",
			"no-such x.test 1 failed failed 550  ordinary",
			"no-such y.test 1 failed failed 550  stranger",
		}
		if !slices.Equal(first, want) {
			t.Errorf("told of attempts\n%s\nwant\n%s", strings.Join(first, "\n"), strings.Join(want, "\n"))
		}
		last := o.attempts[len(o.attempts)-1]
		if !strings.HasPrefix(last, fmt.Sprintf("never z.test %d expired pending 451 ", tries)) {
			t.Errorf("of %d attempts the last is told as %q", tries, last)
		}
		if got, want := strings.Join(o.notices, ", "), "bounce  true, bounce ann@example.org false, delay ann@example.org false, bounce ann@example.org false"; got != want {
			t.Errorf("told of notifications %s, want %s", got, want)
		}
		if n := strings.Count(log.String(), " msg=attempt queue="); n != len(o.attempts) {
			t.Errorf("%d lines about %d attempts", n, len(o.attempts))
		}
		if n := strings.Count(log.String(), " msg=notification queue="); n != len(o.notices) {
			t.Errorf("%d lines about %d notifications", n, len(o.notices))
		}
		for _, line := range []string{
			`msg=attempt queue=a id="" from=ann@example.org to=ben@x.test status=delivered attempt=1 host="mx.example.net [192.0.2.1]:25" tls="TLS1.3 verified by dane" code=250 enhanced=2.0.0 text="two lines" delay=0s` + "\n",
			`msg=notification queue=a id="" kind=bounce to=ann@example.org` + "\n",
		} {
			if !strings.Contains(log.String(), line) {
				t.Errorf("no line %s in\n%s", line, log)
			}
		}
	})
}

// TestBusyIsNoAttempt: where nobody was asked, whoever counts is told so, and the line
// is for those who look closely.
func TestBusyIsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		var o observed
		log := o.watch(f.Queue)
		busy := true
		var told []bool
		count := f.Queue.Attempted
		f.Queue.Attempted = func(a *Attempt) { count(a); told = append(told, a.Result.Busy) }
		f.world.answer = func(*Delivery, Recipient) Result {
			if busy {
				busy = false
				return Result{Status: Pending, Busy: true, Text: "too many at once"}
			}
			return ok
		}
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "ben@x.test"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if fmt.Sprint(told) != "[true false]" || !strings.Contains(o.attempts[1], "ben x.test 1 delivered") {
			t.Errorf("told %v, %q", told, o.attempts)
		}
		if !strings.Contains(log.String(), "level=DEBUG msg=attempt") || strings.Count(log.String(), "level=INFO msg=attempt") != 1 {
			t.Errorf("the log has\n%s", log)
		}
	})
}
