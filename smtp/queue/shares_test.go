package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestShares: whoever comes in whatever order, all places together are not exceeded, nor a class's share; a class
// that has less than is kept free for it always gets one more; and one that is alone gets its whole share.
func TestShares(t *testing.T) {
	const seed = 20261130
	random := rand.New(rand.NewPCG(seed, seed))
	for most := 1; most <= 200; most++ {
		for range 5 {
			var p places
			var held []*run
			for range 20 * most {
				c := Class(random.IntN(classes))
				all := p.running[0] + p.running[1] + p.running[2]
				admitted := p.admits(c, most)
				switch {
				case admitted && (all >= most || p.running[c] >= c.most(most)):
					t.Fatalf("%d places, of which %v are taken: one more for %v", most, p.running, c)
				case !admitted && p.running[c] < c.reserve(most):
					t.Fatalf("%d places, of which %v are taken: none for %v, which has less than its reserve", most, p.running, c)
				case admitted:
					r := &run{class: c, user: fmt.Sprint(random.IntN(3)), unknown: random.IntN(2) == 0}
					p.take(r)
					held = append(held, r)
				case random.IntN(4) == 0 && len(held) > 0:
					i := random.IntN(len(held))
					p.leave(held[i])
					held = slices.Delete(held, i, i+1)
				}
			}
			for _, r := range held {
				p.leave(r)
			}
			if p.running != [classes]int{} || p.unknown != 0 || len(p.byUser) != 0 || len(p.runs) != 0 {
				t.Fatalf("when all are gone %+v are left", p)
			}
		}
		for c := range Class(classes) {
			var p places
			for p.admits(c, most) {
				p.take(&run{class: c})
			}
			if p.running[c] != c.most(most) {
				t.Errorf("%v alone has %d of %d places, not %d", c, p.running[c], most, c.most(most))
			}
			if p.admits((c+1)%classes, p.running[c]) { // by settings that allow fewer, now that they are taken
				t.Errorf("%v has %d places, which are all, and another gets one more", c, p.running[c])
			}
		}
	}
}

// TestSharesOfUnknown: destinations that are not known to answer get three quarters of the places, and a user among
// them eight in any case, and never the last.
func TestSharesOfUnknown(t *testing.T) {
	for most := 1; most <= 200; most++ {
		var p places
		taken := map[string]int{}
		for _, user := range []string{"first", "second", "third"} {
			for p.admitsUnknown(user, most) {
				p.take(&run{user: user, unknown: true})
				taken[user]++
			}
		}
		all := most - most/4
		if n := taken["first"]; n > max((all+1)/2, min(fewUnknown, all-1)) || n == 0 && all > 1 {
			t.Errorf("the first has %d of %d places of %d", n, all, most)
		}
		if sum := taken["first"] + taken["second"] + taken["third"]; sum > all || taken["second"] > taken["first"] || all > 4*fewUnknown && taken["third"] == 0 {
			t.Errorf("of %d places: %v", most, taken)
		}
	}
}

// TestRelieve: of those who hold a place and have heard of nobody for their time, as many give way as are waited for,
// the longest first, of the class that waits, and of others where that class has none.
func TestRelieve(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name    string
		waiting [classes]int
		runs    string // class, and minutes until it gives way; with an "h" behind it, it has heard of somebody
		want    string // who gives way
		again   time.Duration
	}{
		{"nobody waits", [classes]int{}, "0-1 1-1 2-1", "", time.Minute},
		{"one of its class", [classes]int{1, 0, 0}, "0-1 0-3 1-9 2-9", "0-3", time.Minute},
		{"two of its class", [classes]int{2, 0, 0}, "0-1 0-3 0-2 1-9", "0-3 0-2", time.Minute},
		{"more than there are", [classes]int{9, 0, 0}, "0-1 1-9", "0-1", time.Minute},
		{"of others, where it has none", [classes]int{0, 1, 0}, "0-1 2-3", "2-3", time.Minute},
		{"of both", [classes]int{0, 2, 0}, "0-1 2-3", "2-3 0-1", time.Minute},
		{"it is not time", [classes]int{1, 0, 0}, "0+1 0+2", "", time.Minute},
		{"it is soon time", [classes]int{1, 0, 0}, "0+0.5 0+2", "", 30 * time.Second},
		{"one is", [classes]int{2, 0, 0}, "0-1 0+0.25", "0-1", 15 * time.Second},
		{"they have been heard", [classes]int{2, 0, 0}, "0-1h 0-2", "0-2", time.Minute},
		{"each class its own", [classes]int{1, 1, 1}, "0-1 1-1 2-1 0-2 1-2 2-2", "0-2 1-2 2-2", time.Minute},
		{"who gave way once does not again", [classes]int{1, 0, 1}, "0-1 1-5 1-4", "0-1 1-5", time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := &Queue{Log: slog.New(slog.DiscardHandler)}
			for class, n := range c.waiting {
				for range n {
					q.ready[class] = append(q.ready[class], &lane{since: now})
				}
			}
			var gave []string
			for _, s := range strings.Fields(c.runs) {
				var class Class
				var minutes float64
				var heard string
				fmt.Sscanf(s, "%d%f%s", &class, &minutes, &heard)
				q.places.take(&run{class: class, waits: heard == "", until: now.Add(time.Duration(minutes * float64(time.Minute))), cancel: func(why error) {
					if !errors.Is(why, ErrGaveWay) {
						t.Errorf("%s: %v", s, why)
					}
					gave = append(gave, s)
				}})
			}
			again := q.relieve().Round(time.Second)
			slices.Sort(gave)
			want := strings.Fields(c.want)
			slices.Sort(want)
			if !slices.Equal(gave, want) || again != c.again {
				t.Errorf("%q gave way, want %q; again in %v, want %v", gave, want, again, c.again)
			}
			total := int64(0)
			for _, n := range q.places.gaveWay {
				total += n
			}
			if total != int64(len(want)) {
				t.Errorf("%d are counted", total)
			}
		})
	}
}

// TestLastOfALane: who waits in line with nothing to send any more, as the message was removed, is passed over.
func TestLastOfALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, m := newMuteFixture()
		f.Concurrency = 1
		f.run(t)
		defer f.stop(t)
		f.submit(t, from(Ordinary, "", "first", "v@first.mute"))
		synctest.Wait()
		f.submit(t, from(Ordinary, "", "second", "v@second.example"))
		f.submit(t, from(Ordinary, "", "third", "v@third.example"))
		synctest.Wait()
		if err := f.Remove(t.Context(), "second"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if _, ok := m.delay("third"); !ok {
			t.Error("the third is not sent")
		}
		if _, ok := m.delay("second"); ok {
			t.Error("what was removed is sent")
		}
	})
}

// holding is a Transport that keeps the contexts of its attempts.
type holding struct {
	Transport
	mu       sync.Mutex
	contexts []context.Context
}

func (h *holding) Deliver(ctx context.Context, d *Delivery) []Result {
	h.mu.Lock()
	h.contexts = append(h.contexts, ctx)
	h.mu.Unlock()
	return h.Transport.Deliver(ctx, d)
}

// TestAttemptEnds: what an attempt was given to live for ends with it, and does not gather in the queue's own.
func TestAttemptEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		h := &holding{Transport: f.Transport}
		f.Transport = h
		f.run(t)
		defer f.stop(t)
		for i := range 5 {
			f.submit(t, from(Ordinary, "", fmt.Sprint("m", i), "v@living.example"))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(h.contexts) != 5 {
			t.Fatalf("%d attempts", len(h.contexts))
		}
		for i, ctx := range h.contexts {
			if ctx.Err() == nil {
				t.Errorf("attempt %d lives on", i)
			}
		}
	})
}
