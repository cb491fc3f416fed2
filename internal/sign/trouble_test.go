package sign

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
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

// TestUnreadableList: keys whose list cannot be read keep nothing from going on, and stay as they are until
// somebody puts the list right; then they sign.
func TestUnreadableList(t *testing.T) {
	for name, garbage := range map[string]string{"half": `[{"domain": "mail.te`, "another": `{"keys": 1}`, "nothing in it": "[null]", "no name": `[{"domain": "mail.test"}]`, "empty": "", "zeros": "\x00\x00\x00"} {
		synctest.Test(t, func(t *testing.T) {
			dir, z := t.TempDir(), two()
			r := open(t, dir, usual, z)
			if err := r.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			z.publish(r, "ns1", "ns2")
			list := filepath.Join(dir, listFile)
			good, err := os.ReadFile(list)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(list, []byte(garbage), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err = Open(dir, usual, z, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), list) {
				t.Fatalf("%s: %v", name, err)
			}
			run(t, r)
			key, err := dkim.GenerateKey("ed25519")
			if err != nil {
				t.Fatal(err)
			}
			for what, err := range map[string]error{"rotated": r.Rotate(t.Context(), home), "imported": r.Import(t.Context(), home, "s", key), "revoked": r.Revoke(t.Context(), home, "s"), "prepared": r.Prepare(t.Context())} {
				if err == nil || !strings.Contains(err.Error(), list) {
					t.Errorf("%s: %s with %v", name, what, err)
				}
			}
			r.Configure(usual)
			if p := r.Problems(); len(p) != 1 || !strings.Contains(p[0], list) {
				t.Errorf("%s: %q", name, p)
			}
			after(3 * time.Hour)
			if text, _ := os.ReadFile(list); string(text) != garbage {
				t.Errorf("%s: there is %q now", name, text)
			}
			if err := os.WriteFile(list, good, 0o600); err != nil {
				t.Fatal(err)
			}
			after(2 * time.Hour)
			if len(r.selectors(home)) != 1 || r.Problems() != nil {
				t.Errorf("%s: put right, and %q", name, r.Problems())
			}
		})
	}
}

// TestRevokeFixed: of a name that stands for good the key that has it now is revoked, and the name is used again.
func TestRevokeFixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, z := usual, two()
		s.Selectors = map[domains.Name][]string{home: {"left", "right"}}
		r := open(t, t.TempDir(), s, z)
		run(t, r)
		for range 400 { // each has had several keys
			z.publish(r, "ns1", "ns2")
			after(day)
		}
		now := r.selectors(home)
		if err := r.Revoke(t.Context(), home, now[0]); err != nil {
			t.Fatal(err)
		}
		if got := r.selectors(home); got != nil {
			t.Errorf("%v still signs", got)
		}
		used := make(map[string]bool)
		for range 400 {
			z.publish(r, "ns1", "ns2")
			after(day)
			for _, selector := range r.selectors(home) {
				used[selector] = true
			}
		}
		if len(used) != 2 {
			t.Errorf("only %v have signed since", used)
		}
	})
}

// asked counts what is asked for, and one domain's servers say nothing.
type asked struct {
	zone
	mute string
	mu   sync.Mutex
	n    map[string]int
}

func (a *asked) Watch(ctx context.Context, name string) ([]Answer, error) {
	a.mu.Lock()
	a.n[name]++
	a.mu.Unlock()
	if strings.HasSuffix(name, a.mute) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return a.zone.Watch(ctx, name)
}

// TestManyDomains: one new key does not have those of all other domains looked at as often, and neither domains
// whose servers are gone nor one whose key cannot be written keep it waiting.
func TestManyDomains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := dkim.GenerateKey("ed25519")
		if err != nil {
			t.Fatal(err)
		}
		public, err := dkim.Record(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		text, err := dkim.FormatKey(key)
		if err != nil {
			t.Fatal(err)
		}
		dir, s := t.TempDir(), Settings{Keep: 12 * day}
		w := &asked{zone: zone{"ns": {}}, mute: ".gone.test.", n: make(map[string]int)}
		var keys []*Key
		for i := range 60 {
			d := domains.Name(fmt.Sprintf("d%d.test", i))
			if i%2 == 0 {
				d = domains.Name(fmt.Sprintf("d%d.gone.test", i))
			}
			k := &Key{Domain: d, Selector: "s", Type: "rsa", Phase: Signing, Since: time.Now(), Public: public}
			keys, s.Domains = append(keys, k), append(s.Domains, d)
			w.zone["ns"][k.Name()] = public
			if err := os.MkdirAll(filepath.Join(dir, d.String()), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, d.String(), "s.key"), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		list, err := json.Marshal(keys)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, listFile), list, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "full.test"), nil, 0o600); err != nil { // no directory: nothing can be written there
			t.Fatal(err)
		}
		s.Domains = append(s.Domains, home, "full.test")
		r := open(t, dir, s, w)
		run(t, r)
		after(30 * time.Minute)
		announced := r.newest(Announced)
		w.mu.Lock()
		clear(w.n)
		w.mu.Unlock()
		after(4 * time.Hour)
		w.mu.Lock()
		for name, n := range w.n {
			if most := 5; n > most && name != announced.Name() {
				t.Errorf("%s was asked for %d times in 4 hours", name, n)
			}
		}
		w.zone["ns"][announced.Name()] = announced.Public
		w.mu.Unlock()
		after(time.Hour)
		if len(r.selectors(home)) != 1 {
			t.Errorf("the new key does not sign: %s", phases(r))
		}
	})
}

// TestAllAtOnce: whatever operators, reloads, messages and the clockwork do at the same time, what is on disk in
// the end is what is in memory, and every key that may sign is there.
func TestAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, s, z := t.TempDir(), usual, two()
		s.Domains = []domains.Name{home, "b.test"}
		r := open(t, dir, s, z)
		run(t, r)
		z.publish(r, "ns1", "ns2")
		key, err := dkim.GenerateKey("ed25519")
		if err != nil {
			t.Fatal(err)
		}
		less := s
		less.Domains = s.Domains[:1]
		var all sync.WaitGroup
		for _, act := range []func(i int){
			func(int) { r.Rotate(t.Context(), home) },
			func(i int) { r.Import(t.Context(), home, fmt.Sprintf("i%d", i), key) },
			func(int) {
				for _, k := range r.Keys() {
					if k.Phase == Announced {
						r.Revoke(t.Context(), k.Domain, k.Selector)
						return
					}
				}
			},
			func(i int) { r.Configure([]Settings{s, less}[i%2]) },
			func(int) {
				if _, err := r.Message([]byte("From: x@mail.test\r\n\r\nx\r\n")); err != nil {
					t.Error(err)
				}
			},
			func(int) { r.Problems() },
			func(int) { r.Prepare(t.Context()) },
		} {
			all.Go(func() {
				for i := range 12 {
					act(i)
					time.Sleep(time.Minute)
				}
			})
		}
		all.Wait()
		r.Configure(s)
		after(day)
		again := open(t, dir, s, nil)
		if a, b := phases(r), phases(again); a != b {
			t.Errorf("%s in memory, %s on disk", a, b)
		}
		selectors := make(map[string]bool)
		for _, k := range again.Keys() {
			if selectors[k.Name()] {
				t.Errorf("%s stands for two keys", k.Name())
			}
			selectors[k.Name()] = true
			if _, err := again.readPrivate(t.Context(), &k); err != nil && k.watched() {
				t.Errorf("%s %s: %v", k.Name(), k.Phase, err)
			}
		}
	})
}

// TestLostFile: a key whose file is lost does not take the place of the one that signs.
func TestLostFile(t *testing.T) {
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
		lost := r.newest(Announced)
		file := r.path(lost)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		z.publish(r, "ns1", "ns2")
		after(2 * time.Hour)
		if got, trouble := r.selectors(home), r.trouble(lost); !slices.Equal(got, first) || trouble == "" {
			t.Errorf("%v signs, not %v: %s, %q", got, first, phases(r), trouble)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Hour)
		if got := r.selectors(home); len(got) != 1 || got[0] != lost.Selector {
			t.Errorf("put back, and %v signs: %s", got, phases(r))
		}
	})
}

// TestRemovedDomain: the trouble that a key had does not stay when its domain is taken from the settings.
func TestRemovedDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), usual, zone{"ns1": nil})
		run(t, r)
		after(2 * time.Hour)
		if keys := r.Keys(); len(keys) != 1 || keys[0].Trouble == "" {
			t.Fatalf("no trouble with %+v", keys)
		}
		r.Configure(Settings{Domains: []domains.Name{"other.test"}})
		for _, k := range r.Keys() {
			if k.Domain == home && k.Trouble != "" {
				t.Errorf("trouble with a key that nobody wants: %s", k.Trouble)
			}
		}
	})
}

// TestImportFails: a key that cannot be kept does not cost the one that was announced.
func TestImportFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, z := t.TempDir(), two()
		r := open(t, dir, usual, z)
		run(t, r)
		before := phases(r)
		key, err := dkim.GenerateKey("rsa")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, home.String(), "theirs.key"), 0o700); err != nil { // nothing can be put there
			t.Fatal(err)
		}
		if err := r.Import(t.Context(), home, "theirs", key); err == nil {
			t.Error("imported")
		}
		z.publish(r, "ns1", "ns2")
		after(2 * time.Hour)
		if again := phases(open(t, dir, usual, nil)); len(r.selectors(home)) != 1 || again != strings.Replace(before, "announced", "signing", 1) {
			t.Errorf("%s, then %s; on disk %s", before, phases(r), again)
		}
	})
}
