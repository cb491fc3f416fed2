package daily

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// common is what several servers have in common.
type common struct {
	mu     sync.Mutex
	m      map[string]string
	broken error
}

// server is one of them.
type server struct {
	*common
	name string
}

func (s server) Server() string { return s.name }

func (c *common) Update(_ context.Context, kind, name string, change func([]byte) ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return nil, c.broken
	}
	var text []byte
	if is, ok := c.m[kind+" "+name]; ok {
		text = []byte(is)
	}
	next, err := change(text)
	if err != nil || next == nil {
		return text, err
	}
	c.m[kind+" "+name] = string(next)
	return next, nil
}

func (c *common) Delete(_ context.Context, kind, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, kind+" "+name)
	return c.broken
}

func (c *common) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = err
}

// TestTogether: what several servers have counted of a domain it is told once, by one of them, with all of it; of a server that was not there
// when the others told, it is told later; and none tells while they cannot bring it together.
func TestTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &common{m: make(map[string]string)}
		var mu sync.Mutex
		var told []string
		failing := map[string]bool{}
		disks := map[string]*disk{}
		start := func(name string) (*Book[counts, *counts], func()) {
			if disks[name] == nil {
				disks[name] = &disk{m: make(map[string]string)}
			}
			b := &Book[counts, *counts]{Kind: "k", What: "results", Cache: disks[name], Most: 100, Seed: func() string { return name },
				Common: server{shared, name}, Add: func(to, more *counts) { to.N += more.N },
				Log: func() *slog.Logger { return slog.New(slog.DiscardHandler) },
				Send: func(_ context.Context, day time.Time, domain string, c *counts) error {
					mu.Lock()
					defer mu.Unlock()
					if failing[domain] {
						return errors.New("not now")
					}
					told = append(told, fmt.Sprintf("%s %s: %d", day.Format(form), domain, c.N))
					return nil
				}}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); b.Run(ctx) }()
			return b, func() { cancel(); <-done }
		}
		is := func(want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(told)
			if !slices.Equal(told, want) {
				t.Errorf("told\n%s\nnot\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
			}
			told = nil
		}
		count := func(b *Book[counts, *counts], domain string, n int) { b.Update(domain, func(c *counts) { c.N += n }) }

		a, endA := start("a")
		b, endB := start("b")
		c, endC := start("c")
		count(a, "one.test", 1)
		count(b, "one.test", 2)
		count(b, "two.test", 4)
		count(c, "one.test", 8)
		time.Sleep(23 * time.Hour)
		is()
		endC()
		time.Sleep(8 * time.Hour)
		is("2000-01-01 one.test: 3", "2000-01-01 two.test: 4")
		c, endC = start("c")
		time.Sleep(time.Hour)
		is("2000-01-01 one.test: 8")

		count(a, "one.test", 1)
		count(c, "one.test", 1)
		mu.Lock()
		failing["one.test"] = true
		mu.Unlock()
		time.Sleep(24 * time.Hour)
		is()
		endA()
		endB()
		endC()
		a, endA = start("a") // whoever has taken it still has
		b, endB = start("b")
		c, endC = start("c")
		mu.Lock()
		failing["one.test"] = false
		mu.Unlock()
		time.Sleep(2 * time.Hour)
		is("2000-01-02 one.test: 2")

		count(a, "one.test", 1)
		count(b, "one.test", 1)
		shared.fail(errors.New("away"))
		time.Sleep(24 * time.Hour)
		is()
		shared.fail(nil)
		time.Sleep(2 * time.Hour)
		is("2000-01-03 one.test: 2")
		time.Sleep(8 * 24 * time.Hour)
		is()
		if len(shared.m) > 0 {
			t.Errorf("still there: %q", shared.m)
		}
		for _, end := range []func(){endA, endB, endC} {
			end()
		}
		for name, d := range disks {
			if d.names() != "" {
				t.Errorf("%s still has %s", name, d.names())
			}
		}
	})
}
