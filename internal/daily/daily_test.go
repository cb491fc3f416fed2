package daily

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// counts are what is counted here.
type counts struct {
	Sent
	N int `json:"n"`
}

// disk is a Cache.
type disk struct {
	mu     sync.Mutex
	m      map[string]string
	broken error
	puts   int
}

func (d *disk) Get(kind, name string) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	data, ok := d.m[kind+" "+name]
	return []byte(data), ok
}

func (d *disk) Put(_ context.Context, kind, name string, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.puts++
	if d.broken == nil {
		d.m[kind+" "+name] = string(data)
	}
	return d.broken
}

func (d *disk) Delete(_ context.Context, kind, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken == nil {
		delete(d.m, kind+" "+name)
	}
	return d.broken
}

func (d *disk) names() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(d.m)), ", ")
}

// teller tells others of counts.
type teller struct {
	*Book[counts, *counts]
	t     *testing.T
	cache *disk
	logs  bytes.Buffer // read once the book has stopped
	stop  func()

	mu   sync.Mutex
	told []string         // "hour of the whole test, domain: count", and whom
	fail map[string]error // by domain
	most int
}

func inTelling(t *testing.T, run func(k *teller)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := &teller{t: t, cache: &disk{m: make(map[string]string)}, fail: make(map[string]error), most: 3}
		k.begin()
		defer func() { k.stop() }()
		run(k)
	})
}

func (k *teller) begin() {
	k.Book = &Book[counts, *counts]{
		Kind: "kind", What: "things", Cache: k.cache, Most: k.most, Seed: func() string { return "mail.here.test" },
		Log: func() *slog.Logger { return slog.New(slog.NewTextHandler(&k.logs, nil)) },
		Send: func(_ context.Context, day time.Time, domain string, c *counts) error {
			k.mu.Lock()
			defer k.mu.Unlock()
			for _, to := range []string{"one", "two"} {
				if slices.Contains(c.Done, to) {
					continue
				}
				if to == "two" && k.fail[domain] != nil {
					return k.fail[domain]
				}
				k.told = append(k.told, fmt.Sprintf("%s %s=%d to %s", day.Format("Jan 2"), domain, c.N, to))
				c.Done = append(c.Done, to)
			}
			return nil
		},
	}
	ctx, cancel := context.WithCancel(k.t.Context())
	done := make(chan error, 1)
	book := k.Book
	go func() { done <- book.Run(ctx) }()
	synctest.Wait()
	k.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; (err != nil) != (k.cache.broken != nil) {
			k.t.Error(err)
		}
	})
}

func (k *teller) count(domain string, n int) { k.Update(domain, func(c *counts) { c.N += n }) }

func (k *teller) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (k *teller) has(when string, want ...string) {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Equal(k.told, want) {
		k.t.Errorf("%s: told %q, and not %q", when, k.told, want)
	}
}

func (k *teller) fails(domain string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail[domain] = err
}

// TestDay: a day is told once, after its end and within four hours of that, and is forgotten then; counts
// outlive a restart.
func TestDay(t *testing.T) {
	inTelling(t, func(k *teller) {
		k.count("b.test", 1)
		k.count("a.test", 2)
		k.pass(10 * time.Hour)
		k.stop()
		k.begin()
		k.count("b.test", 4)
		k.pass(13*time.Hour + 50*time.Minute)
		k.has("in the last minutes of the day")
		want := []string{"Jan 1 a.test=2 to one", "Jan 1 a.test=2 to two", "Jan 1 b.test=5 to one", "Jan 1 b.test=5 to two"}
		k.pass(time.Hour)
		k.count("a.test", 7) // of the next day
		k.pass(3*time.Hour + 20*time.Minute)
		k.has("four hours later", want...)
		k.pass(18 * time.Hour)
		k.stop()
		k.begin()
		k.pass(time.Hour)
		k.has("before the end of the next day", want...)
		k.pass(10 * 24 * time.Hour)
		k.has("days later", append(want, "Jan 2 a.test=7 to one", "Jan 2 a.test=7 to two")...)
		if left := k.cache.names(); left != "" {
			t.Errorf("left are %s", left)
		}
	})
}

// TestOwnHour: not everybody tells at the same time, nor one host each day.
func TestOwnHour(t *testing.T) {
	hours := make(map[time.Duration]bool)
	for host := range 20 {
		b := Book[counts, *counts]{Seed: func() string { return fmt.Sprint("host", host) }}
		for _, day := range []string{"2026-01-01", "2026-01-02"} {
			s := b.spread(day)
			if s < 0 || s >= 4*time.Hour || s != b.spread(day) {
				t.Errorf("host %d, %s: %v", host, day, s)
			}
			hours[s.Truncate(10*time.Minute)] = true
		}
	}
	if len(hours) < 10 {
		t.Errorf("40 days begin in %d different ten minutes", len(hours))
	}
}

// TestRetries: what could not be told is told again every hour, also after a restart, and only where it has not arrived; one domain
// that fails keeps no other from hearing, and after three days it is given up.
func TestRetries(t *testing.T) {
	inTelling(t, func(k *teller) {
		k.fails("bad.test", errors.New("no route"))
		k.fails("late.test", errors.New("not now"))
		for _, d := range []string{"bad.test", "good.test", "late.test"} {
			k.count(d, 1)
		}
		k.pass(29 * time.Hour)
		want := []string{"Jan 1 bad.test=1 to one", "Jan 1 good.test=1 to one", "Jan 1 good.test=1 to two", "Jan 1 late.test=1 to one"}
		k.has("after the day", want...)
		k.stop()
		k.begin()
		k.fails("late.test", nil)
		k.pass(2 * time.Hour)
		want = append(want, "Jan 1 late.test=1 to two")
		k.has("an hour later", want...)
		k.pass(3 * 24 * time.Hour)
		k.fails("bad.test", nil)
		k.pass(24 * time.Hour)
		k.has("after it was given up", want...)
		k.stop()
		logs := k.logs.String()
		if n := strings.Count(logs, "reports to others cannot be sent"); n < 30 || n > 60 {
			t.Errorf("tried in vain %d times", n)
		}
		if n := strings.Count(logs, `msg="reports to others are given up" what=things day=2000-01-01 domains=1`); n != 1 {
			t.Errorf("given up %d times:\n%s", n, logs)
		}
		if left := k.cache.names(); left != "" {
			t.Errorf("left are %s", left)
		}
	})
}

// TestFormerLives: days of weeks ago are forgotten, what cannot be read is counted anew, and what is nothing is no
// domain.
func TestFormerLives(t *testing.T) {
	inTelling(t, func(k *teller) {
		k.pass(100 * 24 * time.Hour)
		k.stop()
		today := time.Now().UTC()
		k.cache.m = map[string]string{
			"kind " + today.AddDate(0, 0, -50).Format(time.DateOnly): `{"old.test": {"n": 1}}`,
			"kind " + today.AddDate(0, 0, -1).Format(time.DateOnly):  `{"a.test": {"n": 3, "done": ["one"]}, "null.test": null}`,
			"kind " + today.Format(time.DateOnly):                    `{"broken`,
			"other 2000-01-01":                                       `{"b.test": {"n": 1}}`,
		}
		k.begin()
		seen := make(map[string]int)
		k.Each(func(domain string, c *counts) { seen[domain] += c.N })
		if !maps.Equal(seen, map[string]int{"old.test": 1, "a.test": 3}) {
			t.Errorf("%v", seen)
		}
		k.count("b.test", 1)
		k.pass(30 * time.Hour)
		k.has("a day later", "Apr 9 a.test=3 to two", "Apr 10 b.test=1 to one", "Apr 10 b.test=1 to two")
		if left := k.cache.names(); left != "other 2000-01-01" {
			t.Errorf("left are %s", left)
		}
	})
}

// TestBounded: strangers choose the domains of a day, and of some only there is room for counts; others are not
// disturbed by that.
func TestBounded(t *testing.T) {
	inTelling(t, func(k *teller) {
		for i := range 10 {
			k.count(fmt.Sprintf("%d.test", i), 1)
		}
		k.count("0.test", 1)
		n := 0
		k.Each(func(string, *counts) { n++ })
		if n != 3 {
			t.Errorf("%d domains", n)
		}
		k.pass(29 * time.Hour)
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(k.told) != 6 || k.told[0] != "Jan 1 0.test=2 to one" {
			t.Errorf("%q", k.told)
		}
	})
}

// TestFullDisk: counts that cannot be kept are counted on, said to be lost at a restart, and told all the same.
func TestFullDisk(t *testing.T) {
	inTelling(t, func(k *teller) {
		k.cache.mu.Lock()
		k.cache.broken = errors.New("disk full")
		k.cache.mu.Unlock()
		k.count("a.test", 1)
		k.pass(time.Hour)
		if k.Save(k.t.Context()) == nil {
			t.Error("saved on a full disk")
		}
		k.pass(28 * time.Hour)
		k.has("with a full disk", "Jan 1 a.test=1 to one", "Jan 1 a.test=1 to two")
		k.cache.mu.Lock()
		k.cache.broken = nil
		k.cache.mu.Unlock()
		k.stop()
		for _, line := range []string{"counts for reports are not kept", "counts for reports cannot be forgotten"} {
			if !strings.Contains(k.logs.String(), line) {
				t.Errorf("nothing says %q", line)
			}
		}
	})
}

// TestManyDomains: a crash in a long night does not tell all of them again: it is written down from time to
// time who has heard.
func TestManyDomains(t *testing.T) {
	inTelling(t, func(k *teller) {
		k.stop()
		k.most = 500
		k.begin()
		for i := range 200 {
			k.count(fmt.Sprintf("%03d.test", i), 1)
		}
		k.pass(time.Hour)
		before := k.cache.puts
		ctx, crash := context.WithCancel(k.t.Context())
		send := k.Send
		k.Send = func(ctx context.Context, day time.Time, domain string, c *counts) error {
			if domain == "120.test" {
				crash()
			}
			return send(ctx, day, domain, c)
		}
		if err := k.SendDay(ctx, "2000-01-01"); err != nil {
			t.Error(err)
		}
		if n := k.cache.puts - before; n != 3 { // two on the way, one at the end
			t.Errorf("written down %d times", n)
		}
		left := 0
		k.Each(func(string, *counts) { left++ })
		if left != 79 {
			t.Errorf("%d are left", left)
		}
		if k.SendDay(k.t.Context(), "yesterday") == nil {
			t.Error("a day that is none")
		}
	})
	if err := (&Book[counts, *counts]{}).Save(t.Context()); err != nil {
		t.Errorf("without a cache: %v", err)
	}
}
