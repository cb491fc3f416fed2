package queue

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
)

// TestCheckOctetByOctet: no octet that could end a line gets into the queue, by whichever
// field, and all others do.
func TestCheckOctetByOctet(t *testing.T) {
	for what, set := range map[string]func(e *Entry, s string){
		"sender":    func(e *Entry, s string) { e.From.Local = s },
		"domain":    func(e *Entry, s string) { e.From.Domain = s },
		"recipient": func(e *Entry, s string) { e.To[1].Path.Local = s },
		"type":      func(e *Entry, s string) { e.To[1].Params.ORcptType = s },
		"session":   func(e *Entry, s string) { e.Session = s },
		"user":      func(e *Entry, s string) { e.User = s },
	} {
		mailtest.Octets(t, what, "ab", func(s string) bool {
			e := entry("a", "bob@example.net", "carol@example.net")
			set(e, s)
			return e.Check() == nil
		}, func(c byte) bool { return c >= ' ' && c != 0x7f })
	}
	id := func(s string) bool { return ValidID(s) }
	mailtest.Octets(t, "id", "ab", id, func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
	})
	mailtest.Edge(t, "id", 64, func(n int) bool { return ValidID(strings.Repeat("x", n)) })
	mailtest.Edge(t, "priority", 9, func(n int) bool {
		e := entry("a", "bob@example.net")
		e.Params.Priority = n
		least := entry("a", "bob@example.net")
		least.Params.Priority = -n
		return e.Check() == nil && least.Check() == nil
	})
	mailtest.Edge(t, "class", int(classes)-1, func(n int) bool {
		e := entry("a", "bob@example.net")
		e.Class = Class(n)
		return e.Check() == nil
	})
}

// TestClonesShareNothing: what happens to a copy does not happen to the original.
func TestClonesShareNothing(t *testing.T) {
	e := entry("a", "bob@example.net", "carol@example.net")
	e.Params.By = &smtp.DeliverBy{Trace: true}
	c := e.Clone()
	c.To[1].Path.Local, c.Params.By.Trace = "dave", false
	if e.To[1].Path.Local != "carol" || !e.Params.By.Trace {
		t.Error("an entry shares with its copy")
	}
	st := NewState(e)
	d := st.Clone()
	d.To[0].Status = Failed
	if st.To[0].Status != Pending {
		t.Error("a state shares with its copy")
	}
}

// TestNextIsTheEarliest: an entry is due when the first of its recipients is, in
// whichever order they stand, and those that are settled do not count.
func TestNextIsTheEarliest(t *testing.T) {
	at := func(minutes int) time.Time { return time.Unix(0, 0).Add(time.Duration(minutes) * time.Minute) }
	for _, tt := range []struct {
		times []int // negative: settled
		want  int   // -1: never
	}{{[]int{1, 2}, 1}, {[]int{2, 1}, 1}, {[]int{-1, 2}, 2}, {[]int{3, -1, 2}, 2}, {[]int{-1, -2}, -1}} {
		st := &State{}
		for _, m := range tt.times {
			r := RcptState{Status: Pending, Next: at(m)}
			if m < 0 {
				r = RcptState{Status: Delivered, Reported: true, Next: at(-m)}
			}
			st.To = append(st.To, r)
		}
		if got := st.Next(); tt.want < 0 && !got.IsZero() || tt.want >= 0 && !got.Equal(at(tt.want)) {
			t.Errorf("%v: %v", tt.times, got)
		}
		st.Held = true
		if !st.Next().IsZero() {
			t.Errorf("%v: held, and due", tt.times)
		}
	}
}

// TestSRSOnEveryDay: an address that was made on any day of the cycle comes back until it
// is 21 days old, and no longer.
func TestSRSOnEveryDay(t *testing.T) {
	s := srs()
	const day = 24 * time.Hour
	for n := range srsCycle + 40 {
		made := time.Unix(0, 0).Add(time.Duration(n) * day)
		p, err := s.Forward(address("ann@example.org"), made)
		if err != nil {
			t.Fatal(err)
		}
		for age, want := range map[time.Duration]error{-2: ErrStale, -1: nil, 0: nil, 1: nil, 20: nil, 21: nil, 22: ErrStale, 500: ErrStale} {
			back, err := s.Reverse(p, made.Add(age*day))
			if err != want || err == nil && back.String() != "ann@example.org" {
				t.Fatalf("made on day %d, %d days old: %v, %v", n, age, back, err)
			}
		}
	}
}

// TestNoSuchHostBounce is the report of a failure for which there was no reply: it names
// no host and quotes nobody.
func TestNoSuchHostBounce(t *testing.T) {
	e := entry("a", "bob@example.net")
	e.Queued = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	_, _, parts := notice(t, e, message, Result{Status: Failed, Enhanced: "5.1.2", Text: "no such domain", Host: "mx.example.net"}, time.Hour)
	want := "message/delivery-status\nReporting-MTA: dns; mail.example.org\r\nArrival-Date: Sat, 01 Jan 2000 00:00:00 +0000\r\n\r\n" +
		"Final-Recipient: rfc822; bob@example.net\r\nAction: failed\r\nStatus: 5.1.2\r\n" +
		"Diagnostic-Code: x-local; no such domain\r\nLast-Attempt-Date: Sat, 01 Jan 2000 00:00:00 +0000\r\nFinal-Log-ID: a\r\n"
	if len(parts) != 3 || mailtest.Differ(strings.TrimRight(parts[1], "\r\n"), strings.TrimRight(want, "\r\n")) != "" {
		t.Errorf("the report is\n%s", parts[1])
	}
}

// TestFailureAndSuccess: where one recipient has it and another was refused, the sender
// who asked hears of both.
func TestFailureAndSuccess(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.world.answer = fates
		e := entry("a", "no@example.net", "yes@example.net")
		e.To[1].Params.Notify = smtp.NotifySuccess
		f.submit(t, e)
		time.Sleep(time.Hour)
		synctest.Wait()
		if told := f.notes.kinds(); told != "bounce success" {
			t.Errorf("the sender hears of %q", told)
		}
	})
}

// TestCollect: what there is to tell of a recipient, by what is known of him.
func TestCollect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.start()
		long := time.Now().Add(-5 * time.Hour)
		tried := Result{Time: time.Now(), Status: Pending, Code: 451}
		for _, tt := range []struct {
			r    RcptState
			want string // failed, delayed, succeeded
		}{
			{RcptState{Status: Pending}, "[] [] []"}, // nothing has been tried yet
			{RcptState{Status: Pending, Attempts: 1}, "[] [0] []"},
			{RcptState{Status: Pending, Last: tried}, "[] [0] []"},
			{RcptState{Status: Pending, Attempts: 1, Warned: true}, "[] [] []"},
			{RcptState{Status: Failed}, "[0] [] []"},
			{RcptState{Status: Expired}, "[0] [] []"},
			{RcptState{Status: Failed, Reported: true}, "[] [] []"},
			{RcptState{Status: Delivered}, "[] [] []"},
		} {
			e := entry("a", "bob@example.net")
			e.Queued = long
			a := &active{it: &item{}, e: e, st: &State{Queued: long, To: []RcptState{tt.r}}}
			n := f.collect(a)
			if got := fmt.Sprint(n.failed, n.delayed, n.succeeded); got != tt.want {
				t.Errorf("%+v: %s, want %s", tt.r, got, tt.want)
			}
		}
	})
}

// TestWorst: of the results of an attempt the destination learns from the one that says
// most about it.
func TestWorst(t *testing.T) {
	for _, tt := range []struct {
		results []Result
		want    int
	}{
		{[]Result{ok, grey}, 1}, {[]Result{grey, ok}, 0}, {[]Result{grey, gone}, 1}, {[]Result{gone, grey}, 0},
		{[]Result{never5, ok}, 0}, {[]Result{ok, never5, grey, gone}, 3},
	} {
		if w := worst(tt.results); w != &tt.results[tt.want] {
			t.Errorf("%v: %v", tt.results, w)
		}
	}
	if worst(nil) != nil {
		t.Error("no results, and one is the worst")
	}
}

// TestLearn: one place more after a success, fewer after a host has had enough, half when
// it says so or is not there; and never more than may be.
func TestLearn(t *testing.T) {
	now := time.Now()
	slowDown := Result{Status: Pending, Code: 421}
	for _, tt := range []struct {
		results []Result
		window  float64
		fails   int
	}{
		{[]Result{ok}, 5, 0}, {[]Result{ok, ok}, 6, 0}, {[]Result{never5}, 5, 0},
		{[]Result{grey}, 3.75, 0}, {[]Result{slowDown}, 2, 0}, {[]Result{slowDown, ok}, 2.5, 0}, {[]Result{slowDown, slowDown, slowDown}, 1, 0},
		{[]Result{gone}, 2, 1}, {[]Result{gone, gone}, 1, 1}, {[]Result{gone, grey}, 1.5, 0},
		{[]Result{ok, ok, ok, ok, ok, ok, ok, ok, ok, ok}, 10, 0},
	} {
		d := &destination{window: firstWindow}
		for i := range tt.results {
			d.learn(&tt.results[i], 10, now)
		}
		if d.window != tt.window || d.fails != tt.fails {
			t.Errorf("%v: window %v, want %v; %d failures", tt.results, d.window, tt.window, d.fails)
		}
	}
}

// TestForcedOnce: an entry that was made due once is not due for ever.
func TestForcedOnce(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.world.answer = func(*Delivery, Recipient) Result { return grey }
		f.submit(t, entry("a", "bob@a.example"))
		time.Sleep(time.Minute)
		if n, err := f.Flush(t.Context(), ""); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		synctest.Wait()
		if n := f.world.count(); n != 2 {
			t.Fatalf("%d attempts", n)
		}
		must(t, f.Hold(t.Context(), "a"))
		must(t, f.Release(t.Context(), "a")) // due: it is loaded once more
		synctest.Wait()
		n := f.world.count()
		time.Sleep(4 * time.Minute) // the third waits for longer
		synctest.Wait()
		if got := f.world.count(); got != n {
			t.Errorf("%d attempts, and %d minutes later %d", n, 4, got)
		}
		if f.index["a"].wishes&forced != 0 {
			t.Error("it is due for ever")
		}
	})
}

// TestForcedAlone: where only one recipient is due, the other waits, also if all were due
// once because an operator said so.
func TestForcedAlone(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.world.answer = func(d *Delivery, r Recipient) Result {
			if r.Path.Local == "busy" {
				return Result{Status: Pending, Busy: true, Text: "busy"} // comes again in a minute
			}
			return grey
		}
		f.submit(t, entry("a", "busy@a.example", "bob@b.example"))
		time.Sleep(10 * time.Second)
		if _, err := f.Flush(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		bobs := 0
		for _, a := range f.world.attempts {
			if a.destination == "b.example" {
				bobs++
			}
		}
		if bobs != 2 {
			t.Errorf("bob was tried %d times within three minutes", bobs)
		}
	})
}

// TestSettledIsListed: an entry of which only the report is left to be made is in the list.
func TestSettledIsListed(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.world.answer = fates
		f.notes.err = mailtest.ErrNth
		f.submit(t, entry("a", "no@example.net"))
		time.Sleep(time.Minute)
		synctest.Wait()
		list, err := f.List(t.Context(), Filter{})
		if err != nil || len(list) != 1 || list[0].Recipients[0].Status != Failed || list[0].Recipients[0].Reported {
			t.Errorf("%+v, %v", list, err)
		}
		list, err = f.List(t.Context(), Filter{To: "example.net"})
		if err != nil || len(list) != 0 {
			t.Errorf("who waits at example.net: %+v, %v", list, err)
		}
		f.notes.mu.Lock()
		f.notes.err = nil
		f.notes.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if f.spool.len() != 0 || f.notes.kinds() != "bounce" {
			t.Errorf("%d left, told %q", f.spool.len(), f.notes.kinds())
		}
	})
}

// TestMemoryIsBounded: however much comes at once, no more entries are in memory than may
// be, and all are delivered.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.Concurrency = 3
		f.world.took = time.Second
		f.run(t)
		defer f.stop(t)
		most := 0
		for i := range 100 {
			e := entry(fmt.Sprintf("e%03d", i), fmt.Sprintf("bob@d%d.example", i))
			e.Class = []Class{Ordinary, Stranger}[i%2]
			f.submit(t, e)
			f.mu.Lock()
			most = max(most, f.loaded)
			f.mu.Unlock()
		}
		if limit := f.maxLoaded(); most > limit {
			t.Errorf("%d entries in memory with a bound of %d", most, limit)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if f.spool.len() != 0 || f.world.count() != 100 {
			t.Errorf("%d left, %d attempts", f.spool.len(), f.world.count())
		}
	})
}

// TestCountersAreGolden: programs read the names and units of the counters.
func TestCountersAreGolden(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		f.world.answer = func(_ *Delivery, r Recipient) Result {
			if r.Path.Local == "gone" {
				return gone
			}
			return grey
		}
		queued := time.Now()
		f.submit(t, entry("a", "gone@a.example"))
		f.submit(t, entry("b", "bob@b.example", "carol@c.example"))
		time.Sleep(time.Second)
		synctest.Wait()
		must(t, f.Hold(t.Context(), "b"))
		c := f.Counters()
		if !c.Oldest.Equal(queued) {
			t.Errorf("the oldest is of %v, not %v", c.Oldest, queued)
		}
		got, err := json.Marshal(c)
		must(t, err)
		const none = `{"entries":0,"running":0,"waiting":0,"starving":false,"starved":0,"gave_way":0}`
		want := fmt.Sprintf(`{"entries":2,"octets":%d,"active":0,"held":1,"oldest":"2000-01-01T00:00:00Z","destinations":1,"down":1,"corrupt":0,`, 2*len(message)) +
			`"accepted":2,"delivered":0,"deferred":3,"failed":0,"expired":0,"notices":{},"dropped":0,"classes":{"notice":` + none + `,"ordinary":` + none + `,"stranger":` + none + `},` +
			`"delay":[0,0,0,0,0,0,0,0,0,0],"delay_bounds":[100000000,1000000000,10000000000,60000000000,600000000000,3600000000000,14400000000000,86400000000000,432000000000000],"delay_sum":0}`
		if string(got) != want {
			t.Error(mailtest.Differ(string(got), want))
		}
	})
}

// TestUnpark: entries for which a destination had no place come when half of its places
// are free.
func TestUnpark(t *testing.T) {
	mailtest.Edge(t, "jobs", backlog/2, func(n int) bool {
		f := newFixture()
		f.start()
		l := &lane{jobs: make([]*job, n), parked: []*item{{state: itemParked, listed: true, pos: -1}}}
		f.unpark(l)
		return len(l.parked) == 0 && len(f.wait) == 1
	})
}

// TestUnreachable: a destination is counted as down if it was not there when it was tried
// last.
func TestUnreachable(t *testing.T) {
	ds := destinations{by: map[string]*destination{"a": {}, "b": {fails: 1}, "c": {running: 1}, "d": {fails: 3}}}
	if n := ds.unreachable(); n != 2 {
		t.Errorf("%d are down", n)
	}
}

// TestReportsTogether: whatever there is to tell at the same time, each piece is told.
func TestReportsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := time.Now().Add(-5 * time.Hour)
		fate := map[string]RcptState{
			"bounce":  {Status: Failed, Attempts: 1, Last: Result{Time: long, Code: 550}},
			"delay":   {Status: Pending, Attempts: 1, Last: Result{Time: long, Code: 451}},
			"success": {Status: Delivered, Attempts: 1, Last: Result{Time: long, Code: 250}},
		}
		for _, want := range []string{"bounce", "delay", "success", "bounce delay", "bounce success", "delay success", "bounce delay success"} {
			f := newFixture()
			f.start()
			e := entry("a")
			e.Queued = long
			st := &State{Queued: long}
			for _, kind := range strings.Fields(want) {
				e.To = append(e.To, Recipient{Path: address("bob@example.net"), Params: smtp.RcptParams{Notify: smtp.NotifySuccess | smtp.NotifyFailure | smtp.NotifyDelay}})
				st.To = append(st.To, fate[kind])
			}
			f.spool.entries["a"] = &stored{e, st.Clone(), []byte(message)}
			a := &active{it: &item{}, e: e, st: st}
			must(t, f.report(t.Context(), a))
			if got := f.notes.kinds(); got != want {
				t.Errorf("%q is told of %q", got, want)
			}
			must(t, f.report(t.Context(), a))
			if got := f.notes.kinds(); got != want {
				t.Errorf("%q is told after %q was", got, want)
			}
		}
	})
}

// TestSharesOfClasses: of however many places, ordinary mail always has one that others
// cannot take, where there are two.
func TestSharesOfClasses(t *testing.T) {
	for places, want := range map[int]string{1: "1 1 1", 2: "2 1 1", 3: "3 2 1", 16: "14 9 2", 20: "18 12 2", 200: "176 113 25", 2000: "1750 1125 250"} {
		if got := fmt.Sprint(Ordinary.most(places), Stranger.most(places), Notice.most(places)); got != want {
			t.Errorf("of %d places: %s, want %s", places, got, want)
		}
	}
}

// TestWaits: a destination of which anything is to be done is not forgotten.
func TestWaits(t *testing.T) {
	for what, change := range map[string]func(d *destination){
		"job": func(d *destination) { d.lanes[Notice].jobs = []*job{{}} }, "parked": func(d *destination) { d.lanes[Ordinary].parked = []*item{{}} }, "running": func(d *destination) { d.running = 1 },
	} {
		d := &destination{}
		if d.waits() {
			t.Error("nothing is to be done")
		}
		if change(d); !d.waits() {
			t.Error(what)
		}
	}
}

// TestNotificationAsEntry: a notification is of its own class, from nobody, and nobody is
// told what becomes of it.
func TestNotificationAsEntry(t *testing.T) {
	f := newFixture()
	must(t, f.SubmitNotification(t.Context(), &Notification{ID: "n", To: address("ann@example.org"), Proven: true, Message: []byte(message), Body: smtp.Body8BitMIME, SMTPUTF8: true}))
	if len(f.spool.entries) != 1 {
		t.Fatalf("%d entries", len(f.spool.entries))
	}
	for _, s := range f.spool.entries {
		if e := s.e; e.Class != Notice || !e.From.IsNull() || e.To[0].Params.Notify != smtp.NotifyNever || e.To[0].Path != address("ann@example.org") || e.Params.Body != smtp.Body8BitMIME || !e.Params.SMTPUTF8 || string(s.body) != message {
			t.Errorf("%+v", e)
		}
	}
}
