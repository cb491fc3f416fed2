package zone

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// garden is a server whose policies ripen, and what others find there.
type garden struct {
	*Ripening
	t    *testing.T
	stop context.CancelFunc

	mu      sync.Mutex
	mx      []string // beside the host
	trouble string
	err     error
	told    map[string]Told
	full    error // of the disk
	changed int
	looks   []STSMode
}

func plant(t *testing.T) *garden {
	g := &garden{t: t, told: make(map[string]Told)}
	g.begin(filepath.Join(t.TempDir(), "mta-sts.json"))
	t.Cleanup(func() { g.stop() })
	return g
}

// begin starts the server, for the first time or again.
func (g *garden) begin(file string) {
	g.Ripening = &Ripening{
		File: file, Log: slog.New(slog.DiscardHandler), Changed: func() { g.set(func() { g.changed++ }) },
		Write: func(_ context.Context, name string, text []byte) error {
			defer g.lock()()
			if g.full != nil {
				return g.full
			}
			return os.WriteFile(name, text, 0o600)
		},
		Plans: func() []*Plan {
			defer g.lock()()
			return []*Plan{{Domain: "example.test", Host: "mail.example.test", OtherMX: g.mx}}
		},
		Check: func(_ context.Context, p *Plan) (string, error) {
			defer g.lock()()
			g.looks = append(g.looks, p.STS)
			return g.trouble, g.err
		},
		Failures: func(since time.Time) (map[string]Told, error) {
			defer g.lock()()
			now := make(map[string]Told)
			for domain, told := range g.told {
				if told.At.After(since) {
					now[domain] = told
				}
			}
			return now, nil
		},
	}
	ctx, cancel := context.WithCancel(g.t.Context())
	g.stop = cancel
	go g.Run(ctx)
	synctest.Wait()
}

func (g *garden) lock() (unlock func()) {
	g.mu.Lock()
	return g.mu.Unlock
}

// set changes what there is.
func (g *garden) set(change func()) {
	defer g.lock()()
	change()
}

// pass lets time go by.
func (g *garden) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// is checks the mode that stands on disk.
func (g *garden) is(when string, want STSMode) {
	g.t.Helper()
	modes, err := ReadModes(g.File)
	mode := modes["example.test"]
	if mode == "" {
		mode = STSTesting
	}
	if err != nil || mode != want {
		g.t.Errorf("%s: %q, %v, and not %q", when, mode, err, want)
	}
}

const day = 24 * time.Hour

// TestRipens: after a week without a fault the policy is enforced, not before, once, and still so after a restart.
func TestRipens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := plant(t)
		g.pass(7*day - time.Hour)
		g.is("just before a week", STSTesting)
		g.stop()
		g.pass(time.Minute)
		g.begin(g.File) // in between
		g.pass(2 * time.Hour)
		g.is("after a week", STSEnforce)
		g.pass(30 * day)
		if g.changed != 1 || len(g.looks) < 30 || len(g.looks) > 42 {
			t.Errorf("changed %d times in %d looks", g.changed, len(g.looks))
		}
		if last := g.looks[len(g.looks)-1]; last != STSEnforce {
			t.Errorf("what is looked at is %q", last)
		}
		p := g.Plans()[0]
		p.STS = STSTesting
		before := p.policyID()
		if p.STS = STSEnforce; p.policyID() == before {
			t.Error("the id did not change")
		}
		// Whoever makes it fail does not get mail in the clear by that.
		g.set(func() { g.trouble = "the certificate has expired" })
		g.pass(30 * day)
		g.is("after a month of faults", STSEnforce)
		if all := g.Problems(); len(all) != 1 || !strings.Contains(all[0], "example.test (enforce): the certificate has expired") {
			t.Errorf("problems %q", all)
		}
		// Other hosts are tried anew.
		g.set(func() { g.trouble, g.mx = "", []string{"backup.test"} })
		g.pass(2 * time.Hour)
		g.is("with another host", STSTesting)
		g.pass(8 * day)
		g.is("with another host, a week later", STSEnforce)
	})
}

// TestRipensNot: a fault, a failure that others tell of, or days on which nobody looked begin the week anew; that a
// check cannot be made does not.
func TestRipensNot(t *testing.T) {
	for name, happens := range map[string]func(*garden){
		"a fault": func(g *garden) {
			g.set(func() { g.trouble = "no certificate" })
			g.pass(26 * time.Hour)
			g.set(func() { g.trouble = "" })
		},
		"a failure": func(g *garden) {
			g.set(func() { g.told["example.test"] = Told{time.Now(), "certificate-expired"} })
			g.pass(25 * time.Hour)
			if all := g.Problems(); len(all) != 1 || !strings.Contains(all[0], "(testing): certificate-expired") {
				g.t.Errorf("problems %q", all)
			}
			g.pass(day)
		},
		"three days off": func(g *garden) {
			g.stop()
			g.pass(3 * day)
			g.begin(g.File)
		},
		"three days without an answer": func(g *garden) {
			g.set(func() { g.err = errors.New("no DNS") })
			g.pass(3 * day)
			g.set(func() { g.err = nil })
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := plant(t)
			g.pass(5 * day)
			happens(g)
			g.pass(6*day + 20*time.Hour)
			g.is(name+", and not a week", STSTesting)
			g.pass(10 * time.Hour)
			g.is(name+", and a week", STSEnforce)
		})
	}
	for name, happens := range map[string]func(*garden){
		"a failure of another domain": func(g *garden) { g.set(func() { g.told["other.test"] = Told{time.Now(), "x"} }) },
		"a failure from before":       func(g *garden) { g.set(func() { g.told["example.test"] = Told{time.Now().Add(-8 * day), "x"} }) },
		"a day without an answer": func(g *garden) {
			g.set(func() { g.err = errors.New("no DNS") })
			g.pass(day)
			g.set(func() { g.err = nil })
		},
		"a day off": func(g *garden) {
			g.stop()
			g.pass(day)
			g.begin(g.File)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := plant(t)
			g.pass(5 * day)
			happens(g)
			g.pass(3*day + 2*time.Hour)
			g.is(name, STSEnforce)
		})
	}
}

// TestRipensOnDisk: what cannot be written down has not happened, what cannot be read is not written over, and what is
// no mode is none.
func TestRipensOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := plant(t)
		g.pass(6 * day)
		g.set(func() { g.full = errors.New("disk full") })
		g.pass(3 * day)
		g.is("with a full disk", STSTesting)
		if g.changed != 0 {
			t.Error("it was told to have changed")
		}
		g.set(func() { g.full = nil })
		g.pass(8 * day)
		g.is("once there is room", STSEnforce)
		g.stop()
		if err := os.WriteFile(g.File, []byte("{half"), 0o600); err != nil {
			t.Fatal(err)
		}
		g.begin(g.File)
		g.pass(9 * day)
		if text, err := os.ReadFile(g.File); err != nil || string(text) != "{half" {
			t.Errorf("%q, %v", text, err)
		}
		if _, err := ReadModes(g.File); err == nil {
			t.Error("half a file is read")
		}
	})
	file := filepath.Join(t.TempDir(), "modes")
	if err := os.WriteFile(file, []byte(`{"a.test": null, "b.test": {"mode": "none"}, "c.test": {"mode": "enforce"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if modes, err := ReadModes(file); err != nil || len(modes) != 1 || modes["c.test"] != STSEnforce {
		t.Errorf("%v, %v", modes, err)
	}
}
