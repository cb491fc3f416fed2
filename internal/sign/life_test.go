package sign

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

const home domains.Name = "mail.test"

// day is long enough for whatever takes hours.
const day = 24 * time.Hour

var usual = Settings{Domains: []domains.Name{home}, Rotate: 90 * day, Keep: 12 * day}

// zone is a domain's DNS: what each of its servers shows, by name.
type zone map[string]map[string]string

// zones guards all of them.
var zones sync.Mutex

// Watch implements Watcher.
func (z zone) Watch(_ context.Context, name string) (all []Answer, err error) {
	zones.Lock()
	defer zones.Unlock()
	for _, server := range slices.Sorted(maps.Keys(z)) {
		a := Answer{Server: server}
		switch record := z[server][name]; {
		case z[server] == nil:
			a.Err = errors.New("time-out")
		case record != "":
			a.Records = []string{record}
		}
		all = append(all, a)
	}
	return all, nil
}

// publish has servers show what the ring wants there, and nothing else.
func (z zone) publish(r *Ring, servers ...string) {
	keys := r.Keys()
	zones.Lock()
	defer zones.Unlock()
	for _, server := range servers {
		clear(z[server])
		for _, k := range keys {
			if k.Record() != "" {
				z[server][k.Name()] = k.Record()
			}
		}
	}
}

// change lets a test do something to a zone.
func (z zone) change(f func()) {
	zones.Lock()
	defer zones.Unlock()
	f()
}

func two() zone { return zone{"ns1": {}, "ns2": {}} }

func open(t *testing.T, dir string, s Settings, w Watcher) *Ring {
	t.Helper()
	r, err := Open(dir, s, w, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run starts the clockwork; it stops with the test.
func run(t *testing.T, r *Ring) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	synctest.Wait()
}

// selectors of the keys that sign for a domain now.
func (r *Ring) selectors(d domains.Name) (all []string) {
	if s := (*r.signers.Load())[d]; s != nil {
		for _, k := range s.Keys {
			all = append(all, k.Selector)
		}
	}
	return all
}

// newest is the newest key in a phase.
func (r *Ring) newest(p Phase) *Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(home, "rsa", p)
}

// trouble is what is wrong with a key, as the clockwork last wrote it.
func (r *Ring) trouble(k *Key) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return k.Trouble
}

func phases(r *Ring) string {
	var all []string
	for _, k := range r.Keys() {
		all = append(all, k.Selector+" "+string(k.Phase))
	}
	return strings.Join(all, ", ")
}

// after lets time pass, and what is due then happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestFirstKey: it is made by itself, is the owner's alone, and signs when every server of the
// zone shows it, not before.
func TestFirstKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, z := filepath.Join(t.TempDir(), "dkim"), two()
		r := open(t, dir, usual, z)
		run(t, r)
		keys := r.Keys()
		if len(keys) != 1 || keys[0].Phase != Announced || keys[0].Type != "rsa" {
			t.Fatalf("%+v", keys)
		}
		info, err := os.Stat(r.path(&keys[0]))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key's file: %v, %v", info, err)
		}
		z.publish(r, "ns1")
		after(3 * day)
		if got := r.selectors(home); got != nil {
			t.Errorf("%v signs, and ns2 does not show it", got)
		}
		if p := r.Problems(); len(p) != 1 || !strings.Contains(p[0], "ns2 shows no record") {
			t.Errorf("%q", p)
		}
		z.publish(r, "ns2")
		after(time.Hour)
		if got := r.selectors(home); len(got) != 1 || r.Problems() != nil {
			t.Errorf("%v sign, problems: %q", got, r.Problems())
		}
		if again := open(t, dir, usual, nil); len(again.selectors(home)) != 1 {
			t.Error("another start does not sign")
		}
	})
}

// TestYear: keys change with nobody but the DNS following, late and one server after
// another. At no moment is there a signature by a key that a server does not show, and every
// record stays for as long as mail signed with it may be under way.
func TestYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := two()
		r := open(t, t.TempDir(), usual, z)
		run(t, r)
		last := make(map[string]time.Time) // when a selector signed
		signed := 0
		for hour := range 3 * 365 * 24 / 3 {
			after(3 * time.Hour)
			for _, selector := range r.selectors(home) {
				signed++
				last[selector] = time.Now()
				for server := range z {
					if z[server][dkim.RecordName(selector, home.String())] == "" {
						t.Fatalf("hour %d: %s signs, and %s does not show it", hour, selector, server)
					}
				}
			}
			for selector, when := range last {
				if time.Since(when) < usual.Keep && z["ns1"][dkim.RecordName(selector, home.String())] == "" {
					t.Fatalf("hour %d: the record of %s went %v after its last signature", hour, selector, time.Since(when))
				}
			}
			if hour%17 == 0 {
				z.publish(r, "ns1")
			}
			if hour%23 == 0 {
				z.publish(r, "ns2")
			}
		}
		if len(last) < 10 || signed < 8000 {
			t.Errorf("%d keys in three years, signing %d times: %s", len(last), signed, phases(r))
		}
		for selector, n := range count(r) {
			if n > 1 {
				t.Errorf("selector %s was used %d times", selector, n)
			}
		}
	})
}

func count(r *Ring) map[string]int {
	n := make(map[string]int)
	for _, k := range r.Keys() {
		n[k.Selector]++
	}
	return n
}

// TestServerAway: one of the zone's servers that cannot be asked keeps the next key waiting
// for an hour, not for ever; while none can be asked everything stays.
func TestServerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z, s := two(), usual
		s.Rotate = 0
		r := open(t, t.TempDir(), s, z)
		run(t, r)
		z.publish(r, "ns1", "ns2")
		after(2 * time.Hour)
		first := r.selectors(home)
		z.change(func() { z["ns2"] = nil })
		if err := r.Rotate(t.Context(), home); err != nil {
			t.Fatal(err)
		}
		z.publish(r, "ns1")
		after(50 * time.Minute)
		if got := r.selectors(home); !slices.Equal(got, first) {
			t.Errorf("%v signs already", got)
		}
		after(3 * time.Hour)
		next := r.selectors(home)
		if len(next) != 1 || slices.Equal(next, first) {
			t.Errorf("%v signs: %s", next, phases(r))
		}
		z.change(func() { z["ns1"] = nil })
		after(30 * day)
		if got := r.selectors(home); !slices.Equal(got, next) {
			t.Errorf("DNS that cannot be asked changed what signs to %v", got)
		}
	})
}

// TestRecordVanishes: a key whose record is taken away signs no more; the one before does
// if it is still shown.
func TestRecordVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := two()
		r := open(t, t.TempDir(), usual, z)
		run(t, r)
		z.publish(r, "ns1", "ns2")
		after(2 * time.Hour)
		first := r.selectors(home)
		if err := r.Rotate(t.Context(), home); err != nil {
			t.Fatal(err)
		}
		if err := r.Rotate(t.Context(), home); err == nil {
			t.Error("two are announced at once")
		}
		z.publish(r, "ns1", "ns2")
		after(2 * time.Hour)
		second := r.selectors(home)
		if len(second) != 1 || slices.Equal(first, second) {
			t.Fatalf("%v, then %v: %s", first, second, phases(r))
		}
		z.change(func() { delete(z["ns2"], dkim.RecordName(second[0], home.String())) })
		after(2 * time.Hour)
		if got := r.selectors(home); !slices.Equal(got, first) {
			t.Errorf("%v signs: %s", got, phases(r))
		}
		z.change(func() { clear(z["ns1"]) })
		after(2 * time.Hour)
		if got := r.selectors(home); got != nil {
			t.Errorf("%v signs: %s", got, phases(r))
		}
	})
}

// TestBackup: with the keys of a backup made before a change of keys the old one signs, whose record
// the DNS still has, and no selector is used again for another key.
func TestBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, z := t.TempDir(), two()
		s := usual
		s.Rotate = 0
		r := open(t, dir, s, z)
		run(t, r)
		z.publish(r, "ns1", "ns2")
		after(2 * time.Hour)
		old := r.selectors(home)
		backup := filepath.Join(t.TempDir(), "dkim")
		if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		after(40 * day)
		if err := r.Rotate(t.Context(), home); err != nil {
			t.Fatal(err)
		}
		z.publish(r, "ns1", "ns2")
		after(2 * time.Hour)
		lost := r.selectors(home)
		restored := open(t, backup, s, z)
		run(t, restored)
		if got := restored.selectors(home); !slices.Equal(got, old) {
			t.Errorf("%v signs, not %v", got, old)
		}
		if err := restored.Rotate(t.Context(), home); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Minute)
		if k := restored.newest(Announced); k == nil || k.Selector == lost[0] {
			t.Errorf("%+v is announced, and %v stands for another key: %s", k, lost, phases(restored))
		}
	})
}

// TestImport: a key of another server signs under its own selector as soon as the DNS is seen
// to show it, whatever program made the file.
func TestImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := two()
		r := open(t, t.TempDir(), usual, z)
		run(t, r)
		key, err := dkim.GenerateKey("rsa")
		if err != nil {
			t.Fatal(err)
		}
		record, err := dkim.Record(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"", "a b", "-a", "a..b", "../x"} {
			if err := r.Import(t.Context(), home, bad, key); err == nil {
				t.Errorf("selector %q was taken", bad)
			}
		}
		if err := r.Import(t.Context(), "other.test", "old", key); err == nil {
			t.Error("a key for a domain of others was taken")
		}
		// The record says a little more, as old ones do.
		z.change(func() {
			for server := range z {
				z[server][dkim.RecordName("old", home.String())] = strings.Replace(record, "v=DKIM1;", "v=DKIM1; n=made long ago;", 1)
			}
		})
		if err := r.Import(t.Context(), home, "old", key); err != nil {
			t.Fatal(err)
		}
		if err := r.Import(t.Context(), home, "old", key); err == nil {
			t.Error("one selector was taken twice")
		}
		after(time.Minute)
		if got := r.selectors(home); len(got) != 1 || got[0] != "old" {
			t.Errorf("%v signs: %s", got, phases(r))
		}
	})
}

// TestRevoke: what was revoked signs no more at once, is published as revoked, and is
// replaced.
func TestRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := two()
		r := open(t, t.TempDir(), usual, z)
		run(t, r)
		z.publish(r, "ns1", "ns2")
		after(2 * time.Hour)
		bad := r.selectors(home)[0]
		if err := r.Revoke(t.Context(), home, "none"); !errors.Is(err, ErrNoKey) {
			t.Errorf("%v", err)
		}
		if err := r.Revoke(t.Context(), home, bad); err != nil {
			t.Fatal(err)
		}
		if got := r.selectors(home); got != nil {
			t.Errorf("%v signs", got)
		}
		after(time.Minute)
		z.publish(r, "ns1", "ns2")
		if got := z["ns1"][dkim.RecordName(bad, home.String())]; got != "v=DKIM1; p=" {
			t.Errorf("published: %q", got)
		}
		after(2 * time.Hour)
		if got := r.selectors(home); len(got) != 1 || got[0] == bad {
			t.Errorf("%v signs: %s", got, phases(r))
		}
	})
}

// TestBothTypes: a second key beside that of RSA signs as well, each as soon as it is shown.
func TestBothTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, z := usual, two()
		s.Ed25519 = true
		r := open(t, t.TempDir(), s, z)
		run(t, r)
		z.publish(r, "ns1", "ns2")
		after(2 * time.Hour)
		if got := r.selectors(home); len(got) != 2 {
			t.Errorf("%v sign: %s", got, phases(r))
		}
		after(200 * day)
		z.publish(r, "ns1", "ns2")
		after(day)
		if got := r.selectors(home); len(got) != 2 || strings.Count(phases(r), "retired") != 2 {
			t.Errorf("%v sign: %s", got, phases(r))
		}
	})
}

// TestFixedSelectors: where names are led here once and for all, keys have them in turns, and each
// is free again when nothing signed with its last key can be under way.
func TestFixedSelectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, z := usual, two()
		s.Selectors = map[domains.Name][]string{home: {"left", "right"}}
		r := open(t, t.TempDir(), s, z)
		run(t, r)
		had := make(map[string]bool) // keys that signed
		last := make(map[string]time.Time)
		for range 365 * 3 {
			z.publish(r, "ns1", "ns2")
			after(day)
			for _, k := range r.Keys() {
				if k.Phase != Signing {
					continue
				}
				if k.Selector != "left" && k.Selector != "right" {
					t.Fatalf("selector %s", k.Selector)
				}
				if at, ok := last[k.Public]; ok && time.Since(at) > 2*day {
					t.Fatalf("a key signs again after %v", time.Since(at))
				}
				had[k.Public], last[k.Public] = true, time.Now()
			}
			for _, k := range r.Keys() {
				if at, ok := last[k.Public]; ok && time.Since(at) < s.Keep && k.Record() == "" {
					t.Fatalf("the record of %s goes %v after its last signature", k.Selector, time.Since(at))
				}
			}
		}
		if len(had) < 10 {
			t.Errorf("%d keys in three years: %s", len(had), phases(r))
		}
	})
}
