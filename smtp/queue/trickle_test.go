package queue

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// TestUnprovenHearsLittle: the sender of strangers' mail, who may be forged,
// hears of failures in a trickle, never of success, and has no message back.
func TestUnprovenHearsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.Queue.Notify = nil // through the queue itself
		var log bytes.Buffer
		f.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		f.world.answer = func(_ *Delivery, r Recipient) Result {
			if strings.HasPrefix(r.Path.Local, "no-such") {
				return never5
			}
			return ok
		}
		k := &kept{}
		f.Memory = k
		f.run(t)
		victims := func() (n int) {
			for _, a := range f.world.attempts {
				if strings.HasSuffix(a.to[0], "@victim.example") {
					n++
				}
			}
			return n
		}
		send := func(i int, victim, to string) {
			e := from(Stranger, "", fmt.Sprintf("x%05d", i), to)
			e.From, e.To[0].Params.Notify, e.Params.Ret = address(victim), smtp.NotifySuccess|smtp.NotifyFailure, "FULL"
			f.submit(t, e)
		}
		for i := range 50 {
			send(i, "v@victim.example", "bob@far.example")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := victims(); n != 0 {
			t.Errorf("%d reports of success", n)
		}
		for i := range 50 {
			send(100+i, "V@victim.example", "no-such@far.example")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := victims(); n != 3 {
			t.Errorf("%d bounces to one address", n)
		}
		for i := range 50 {
			send(200+i, fmt.Sprintf("v%d@victim.example", i), "no-such@far.example")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := victims(); n != 20 {
			t.Errorf("%d bounces to one domain", n)
		}
		for i := range 500 {
			send(1000+i, fmt.Sprintf("v@victim%d.example", i), "no-such@far.example")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := f.Counters().Notices[Bounce] - f.Counters().Dropped; n < 200 || n > 220 {
			t.Errorf("%d bounces in all", n)
		}
		if n := strings.Count(log.String(), "dropped"); n < 1 || n > 4 {
			t.Errorf("%d lines about what is dropped", n)
		}
		f.stop(t)
		n := newFixture()
		n.Memory = k
		n.run(t)
		defer n.stop(t)
		if n.trickle.admits(address("v@victim.example"), allBounces, time.Now()) {
			t.Error("a restart begins anew")
		}
		time.Sleep(3*time.Hour + time.Minute)
		synctest.Wait()
		if !n.trickle.admits(address("v@victim.example"), allBounces, time.Now()) {
			t.Error("no bounce for good")
		}
	})
}

// TestProvenHearsAll: users hear of everything, with all of the message.
func TestProvenHearsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(_ *Delivery, r Recipient) Result {
			if strings.HasPrefix(r.Path.Local, "no-such") {
				return never5
			}
			return ok
		}
		f.run(t)
		defer f.stop(t)
		for i, to := range []string{"bob@far.example", "no-such@far.example"} {
			for j, proven := range []bool{false, true} {
				e := entry(fmt.Sprintf("e%d%d", i, j), to)
				e.Proven = proven
				if proven {
					e.Class = Stranger // but found true
				}
				e.To[0].Params.Notify = smtp.NotifySuccess | smtp.NotifyFailure
				f.submit(t, e)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := f.notes.kinds(); strings.Count(got, "success") != 2 || strings.Count(got, "bounce") != 2 {
			t.Errorf("told: %s", got)
		}
		for _, n := range f.notes.all {
			if whole := strings.Contains(string(n.Message), "\r\nbody\r\n"); whole != (n.Kind == Bounce) || !n.Proven {
				t.Errorf("%s: whole %v, proven %v", n.Kind, whole, n.Proven)
			}
		}
	})
}

// TestTrickleBounded: it remembers so many and no more, however many there are.
func TestTrickleBounded(t *testing.T) {
	var tr trickle
	now := time.Now()
	for i := range 30000 {
		now = now.Add(paces[2].every)
		tr.admits(address(fmt.Sprintf("v@d%d.example", i)), allBounces, now)
	}
	if len(tr.buckets) > maxBuckets {
		t.Errorf("%d buckets", len(tr.buckets))
	}
	if !tr.admits(address("new@new.example"), allBounces, now.Add(time.Hour)) {
		t.Error("no room for a new one")
	}
}

// TestTrickleClockSetBack: what was counted by a clock that ran ahead by years does not
// count for years.
func TestTrickleClockSetBack(t *testing.T) {
	var tr trickle
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	to := address("ann@far.example")
	for tr.admits(to, allBounces, now.AddDate(10, 0, 0)) {
	}
	if tr.admits(to, allBounces, now) {
		t.Error("a clock that is set back gives one more at once")
	}
	if !tr.admits(to, allBounces, now.Add(paces[0].every)) {
		t.Error("an hour later there is none")
	}
	if tr.admits(to, allBounces, now.Add(paces[0].every+time.Minute)) {
		t.Error("an hour gives more than one")
	}
}

// TestReportsLeaveBounces: reports that somebody's many domains ask for do not use up what bounces
// may be sent, and both count for whom they go to.
func TestReportsLeaveBounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.run(t)
		sent := 0
		for i := range 1000 {
			if f.MayNotify(address(fmt.Sprintf("dmarc@d%d.example", i))) {
				sent++
			}
		}
		if sent != 200 {
			t.Errorf("%d reports at once", sent)
		}
		bounce := func(to string) bool { return !f.dropNotice(&Notification{To: address(to)}) }
		if !bounce("ann@honest.example") {
			t.Error("no bounce is sent after so many reports")
		}
		for range 2 {
			f.trickle.buckets[" reports"] = bucket{Left: 10, At: time.Now()}
			f.MayNotify(address("bob@victim.example"))
		}
		if !bounce("bob@victim.example") || bounce("bob@victim.example") {
			t.Error("reports do not count for whom they go to")
		}
	})
}
