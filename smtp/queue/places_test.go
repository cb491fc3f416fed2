package queue

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// mute is a Transport for which hosts of ".mute" say nothing for five minutes,
// as a greeting may take; all others take mail in 10 ms.
type mute struct {
	mu      sync.Mutex
	running map[Class]int
	most    map[Class]int
	took    map[string]time.Duration // by entry, from Queued to Delivered
}

func newMute() *mute {
	return &mute{running: map[Class]int{}, most: map[Class]int{}, took: map[string]time.Duration{}}
}

func (m *mute) Destination(r Recipient, _ string) string { return r.Path.DomainName().String() }

func (m *mute) Deliver(ctx context.Context, d *Delivery) []Result {
	m.count(d.Entry.Class, 1)
	defer m.count(d.Entry.Class, -1)
	if mute := strings.HasSuffix(d.Destination, ".mute"); mute || strings.HasSuffix(d.Destination, ".slow") {
		if d.Waits(true); !mute {
			d.Waits(false) // it has said something, and takes its time
		}
		select {
		case <-time.After(5 * time.Minute):
			if !mute {
				return []Result{{Status: Delivered, Code: 250}}
			}
		case <-ctx.Done():
		}
		return []Result{gone}
	}
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
	m.mu.Lock()
	m.took[d.Entry.ID] = time.Since(d.Since)
	m.mu.Unlock()
	return []Result{ok}
}

func (m *mute) count(c Class, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running[c] += n
	m.most[c] = max(m.most[c], m.running[c])
}

func (m *mute) delay(id string) (time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.took[id]
	return d, ok
}

func newMuteFixture() (*fixture, *mute) {
	f, m := newFixture(), newMute()
	f.Transport = m
	return f, m
}

// from is an entry of a class and user, to one recipient.
func from(c Class, user, id, to string) *Entry {
	e := entry(id, to)
	e.Class, e.User = c, user
	return e
}

// TestUsersKeepPlaces: whatever strangers cause, the mail of a user to a
// destination never heard of is attempted at once.
func TestUsersKeepPlaces(t *testing.T) {
	for _, c := range []struct {
		class Class
		user  string
		n     int
		most  int // of the 200 places
	}{
		{Notice, "", 500, 25},
		{Stranger, "", 500, 75},
		{Notice, "", 5000, 25}, // more than memory holds of a class
		{Ordinary, "mallory", 500, 75},
	} {
		t.Run(fmt.Sprint(c.class, c.n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, m := newMuteFixture()
				f.run(t)
				defer f.stop(t)
				for i := range c.n {
					f.submit(t, from(c.class, c.user, fmt.Sprintf("x%04d", i), fmt.Sprintf("v@s%d.mute", i)))
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				for i := range 6 {
					id := fmt.Sprintf("honest%d", i)
					f.submit(t, from(Ordinary, "bob", id, fmt.Sprintf("h@d%d.example", i)))
					time.Sleep(5 * time.Second)
					synctest.Wait()
					if d, ok := m.delay(id); !ok || d > time.Second {
						t.Errorf("honest message %d: %v after %v", i, ok, d)
					}
				}
				if n := m.most[c.class]; c.class != Ordinary && n != c.most || n > c.most+2 {
					t.Errorf("%d attempts of the class at a time, want %d", n, c.most)
				}
			})
		})
	}
}

// TestNoticesDoNotFillADestination: notices for a destination, more than its
// backlog, do not stand before a user's message for the same one.
func TestNoticesDoNotFillADestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.took = 20 * time.Second
		f.run(t)
		defer f.stop(t)
		for i := range 2 * backlog {
			f.submit(t, from(Notice, "", fmt.Sprintf("n%04d", i), "v@one.example"))
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		f.submit(t, from(Ordinary, "bob", "honest", "h@one.example"))
		time.Sleep(21 * time.Second)
		synctest.Wait()
		if f.spool.state("honest") != nil {
			t.Error("the user's message waits behind notices")
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if n := f.spool.len(); n != 0 {
			t.Errorf("%d left", n)
		}
	})
}

// TestNobodyStarves: ordinary mail without end for as many destinations as there
// are places does not keep the other classes from theirs.
func TestNobodyStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.took = time.Minute
		f.run(t)
		defer f.stop(t)
		for i := range 1000 {
			f.submit(t, from(Ordinary, fmt.Sprint("u", i%50), fmt.Sprintf("o%04d", i), fmt.Sprintf("v@o%d.example", i)))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		f.submit(t, from(Notice, "", "notice", "v@n.example"))
		f.submit(t, from(Stranger, "", "stranger", "v@s.example"))
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		if f.spool.state("notice") != nil || f.spool.state("stranger") != nil {
			t.Error("the classes without rank wait for all of the ordinary")
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
	})
}

func names(format string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return all
}

// TestGiveWay: attempts that hear of nobody hold a place for 30 seconds where
// others wait, and as long as they like where nobody does.
func TestGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, m := newMuteFixture()
		f.run(t)
		defer f.stop(t)
		f.submit(t, from(Notice, "", "alone", "v@alone.mute"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := f.Counters().Active; n != 1 {
			t.Fatalf("%d attempts, though nobody waits", n)
		}
		for i := range 40 {
			f.submit(t, from(Notice, "", fmt.Sprintf("x%02d", i), fmt.Sprintf("v@s%d.mute", i)))
		}
		f.submit(t, from(Notice, "", "last", "v@living.example"))
		time.Sleep(patience + time.Second)
		synctest.Wait()
		if d, ok := m.delay("last"); !ok || d > patience+time.Second {
			t.Errorf("the last notice: %v %v", ok, d)
		}
		gave := 0 // whichever of the forty had come first
		for _, id := range append(names("x%02d", 40), "alone") {
			r := f.spool.state(id).To[0]
			if !strings.Contains(r.Last.Text, "as other mail waited") {
				continue
			}
			if gave++; r.Status != Pending || r.Last.Status != Pending || r.Attempts != 1 {
				t.Errorf("%s gave way: %+v", id, r)
			}
		}
		c := f.Counters()
		if int64(gave) != c.Classes[Notice].GaveWay {
			t.Errorf("%d say that they gave way, %d have", gave, c.Classes[Notice].GaveWay)
		}
		if c.Classes[Notice].GaveWay < 17 || c.Classes[Notice].Running > 25 {
			t.Errorf("%+v", c.Classes[Notice])
		}
	})
}

// TestNeverCutOff: an attempt that has heard of the other side is not cut off,
// however long it takes and whoever waits.
func TestNeverCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, m := newMuteFixture()
		f.Concurrency = 4
		f.run(t)
		defer f.stop(t)
		for i := range 20 {
			f.submit(t, from(Ordinary, fmt.Sprint(i), fmt.Sprintf("o%02d", i), fmt.Sprintf("v@o%d.slow", i)))
		}
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if c := f.Counters(); c.Delivered != 20 || c.Deferred != 0 || m.most[Ordinary] != 3 {
			t.Errorf("%+v", c)
		}
	})
}

// TestStarvationIsTold: once, at WARN, and in the counters.
func TestStarvationIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newMuteFixture()
		var log bytes.Buffer
		f.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		f.run(t)
		for i := range 500 {
			f.submit(t, from(Notice, "", fmt.Sprintf("x%03d", i), fmt.Sprintf("v@s%d.mute", i)))
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if c := f.Counters().Classes[Notice]; c.Starved != 1 || c.Waiting == 0 {
			t.Errorf("%+v", c)
		}
		f.stop(t)
		if n := strings.Count(log.String(), "mail waits for a place"); n != 1 || !strings.Contains(log.String(), "class=notice") {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
	})
}

// kept is a Memory.
type kept struct {
	data   []byte
	writes int
}

func (k *kept) Recall(context.Context) ([]byte, error) { return k.data, nil }
func (k *kept) Remember(_ context.Context, data []byte) error {
	k.data, k.writes = data, k.writes+1
	return nil
}

// TestKnownSurvives: a destination that answered is known after a restart, in
// an orderly way or not, and strangers' domains do not push it out.
func TestKnownSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, k := newFixture(), &kept{}
		f.Memory = k
		f.run(t)
		f.submit(t, from(Ordinary, "bob", "a", "h@living.example"))
		time.Sleep(rememberEach + time.Minute)
		synctest.Wait()
		f.submit(t, from(Ordinary, "bob", "b", "h@other.example"))
		time.Sleep(rememberEach + time.Minute)
		synctest.Wait()
		if !strings.Contains(string(k.data), "living.example") {
			t.Errorf("what a crash would leave: %s", k.data)
		}
		f.submit(t, from(Ordinary, "bob", "c", "h@third.example"))
		time.Sleep(time.Second)
		synctest.Wait()
		f.stop(t)
		n := newFixture()
		n.Memory = k
		n.run(t)
		defer n.stop(t)
		for i := range maxDests + 10 {
			n.known.note(Stranger, fmt.Sprintf("s%d.example", i))
		}
		for _, name := range []string{"living.example", "other.example", "third.example"} {
			if !n.known.has(name) {
				t.Errorf("%s is not known any more", name)
			}
		}
		if len(n.known.names[Stranger]) > maxDests {
			t.Errorf("%d names", len(n.known.names[Stranger]))
		}
	})
	t.Run("garbage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture()
			f.Memory = &kept{data: []byte(`{"known": {"king": ["x"]}`)}
			f.run(t)
			defer f.stop(t)
			f.submit(t, entry("a", "h@living.example"))
			time.Sleep(time.Second)
			synctest.Wait()
			if f.spool.len() != 0 {
				t.Error("not delivered")
			}
		})
	})
}

// TestBusy: what was not tried because its address is busy comes again within a
// minute, and has not cost an attempt; after five days it is given up all the same.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		var free atomic.Bool
		f.world.answer = func(*Delivery, Recipient) Result {
			if free.Load() {
				return ok
			}
			return Result{Status: Pending, Busy: true, Text: "busy"}
		}
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "h@busy.example"))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if st := f.spool.state("a"); st.To[0].Attempts != 0 || st.To[0].Status != Pending {
			t.Errorf("%+v", st.To[0])
		}
		if n := f.world.count(); n < 10 || n > 21 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		if c := f.Counters(); c.Down != 0 {
			t.Error("a busy address is none in trouble")
		}
		free.Store(true)
		time.Sleep(2 * busyWait)
		synctest.Wait()
		if f.spool.len() != 0 {
			t.Error("not delivered")
		}
		free.Store(false)
		f.submit(t, entry("b", "h@busy.example"))
		time.Sleep(5*24*time.Hour + time.Hour)
		synctest.Wait()
		if f.spool.len() != 0 || f.notes.kinds() != "delay bounce" {
			t.Errorf("%d left, notes %s", f.spool.len(), f.notes.kinds())
		}
	})
}
