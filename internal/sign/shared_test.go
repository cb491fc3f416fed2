package sign

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

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// shared is the ring of one of several servers.
func shared(t *testing.T, store cluster.Store, dir string, s Settings, w Watcher) *Ring {
	t.Helper()
	r, err := OpenShared(t.Context(), store, dir, s, w, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSharedLife: two servers whose keys are the same lead them through their life together: each key is made once, signs on both, and is
// retired and revoked for both.
func TestSharedLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, z := cluster.NewFiles(t.TempDir()), two()
		s := usual
		s.Rotate = 30 * 24 * time.Hour
		var all []*Ring
		for range 2 {
			r := shared(t, store, filepath.Join(t.TempDir(), "dkim"), s, z)
			run(t, r)
			all = append(all, r)
		}
		same := func() string {
			t.Helper()
			for _, r := range all {
				if err := r.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
			a, b := phases(all[0]), phases(all[1])
			if a != b || strings.Join(all[0].selectors(home), " ") != strings.Join(all[1].selectors(home), " ") {
				t.Errorf("one has %q and signs with %q, the other %q and %q", a, all[0].selectors(home), b, all[1].selectors(home))
			}
			return a
		}
		if n := strings.Count(same(), string(Announced)); n != 1 {
			t.Fatalf("%d keys: %s", n, phases(all[0]))
		}
		z.publish(all[0], "ns1", "ns2")
		time.Sleep(2 * time.Hour)
		if is := same(); !strings.HasSuffix(is, string(Signing)) || len(all[1].selectors(home)) != 1 {
			t.Fatal(is)
		}
		for range 3 { // months
			time.Sleep(s.Rotate + time.Hour)
			same()
			z.publish(all[1], "ns1", "ns2")
			time.Sleep(3 * time.Hour)
			if is := same(); strings.Count(is, string(Signing)) != 1 || strings.Contains(is, string(Announced)) {
				t.Errorf("after a rotation: %s", is)
			}
		}
		if n := len(all[0].Keys()); n != 4 {
			t.Errorf("%d keys were made: %s", n, phases(all[0]))
		}
		signs := all[0].selectors(home)[0]
		if err := all[0].Revoke(t.Context(), home, signs); err != nil {
			t.Fatal(err)
		}
		if is := same(); !strings.Contains(is, signs+" "+string(Revoked)) || len(all[1].selectors(home)) != 0 {
			t.Errorf("%s, and the other signs with %q", is, all[1].selectors(home))
		}
	})
}

// away is a store that may be gone.
type away struct {
	cluster.Store
	mu  sync.Mutex
	err error
}

func (a *away) set(err error) { a.mu.Lock(); a.err = err; a.mu.Unlock() }
func (a *away) is() error     { a.mu.Lock(); defer a.mu.Unlock(); return a.err }

func (a *away) Get(ctx context.Context, name string, known cluster.Version) ([]byte, cluster.Version, error) {
	if err := a.is(); err != nil {
		return nil, "", err
	}
	return a.Store.Get(ctx, name, known)
}

func (a *away) Put(ctx context.Context, changes ...cluster.Change) ([]cluster.Version, error) {
	if err := a.is(); err != nil {
		return nil, err
	}
	return a.Store.Put(ctx, changes...)
}

// TestSharedAdopted: the keys of the first server become those of all; the second's own are left alone. While the database is away, what was
// known goes on signing, also after new settings, and nothing is made; a server that starts meanwhile signs when it is back.
func TestSharedAdopted(t *testing.T) {
	t.Parallel()
	first, second := filepath.Join(t.TempDir(), "dkim"), filepath.Join(t.TempDir(), "dkim")
	for _, dir := range []string{first, second} {
		r := open(t, dir, usual, nil)
		if err := r.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.mu.Lock()
		r.promote(r.keys[0], time.Now())
		err := r.write(t.Context())
		r.unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	store := &away{Store: cluster.NewFiles(t.TempDir())}
	a := shared(t, store, first, usual, nil)
	b := shared(t, store, second, usual, nil)
	if a.Keys()[0].Public != open(t, first, usual, nil).Keys()[0].Public || b.Keys()[0].Public != a.Keys()[0].Public || len(b.Keys()) != 1 {
		t.Errorf("%+v %+v", a.Keys(), b.Keys())
	}
	store.set(errors.New("away"))
	b.Configure(usual)
	if err := b.Refresh(t.Context()); err == nil {
		t.Error("nobody says that it is away")
	}
	if err := b.Prepare(t.Context()); err == nil {
		t.Error("nobody says that it is away")
	}
	const text = "From: x@mail.test\r\n\r\nhello\r\n"
	if signed, err := b.Message([]byte(text)); err != nil || !strings.Contains(string(signed), dkim.FieldName) {
		t.Errorf("%v %s", err, signed)
	}
	late, err := OpenShared(t.Context(), store, second, usual, nil, slog.New(slog.DiscardHandler))
	if err == nil || len(late.Problems()) != 1 {
		t.Errorf("%v %q", err, late.Problems())
	}
	store.set(nil)
	if err := late.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	if signed, err := late.Message([]byte(text)); err != nil || !strings.Contains(string(signed), dkim.FieldName) {
		t.Errorf("%v %s", err, signed)
	}
	if _, err := os.Stat(filepath.Join(second, listFile)); err != nil {
		t.Error("what a server had for itself is gone")
	}
}

// TestSharedAdoptedLater: where the keys that this server had for itself cannot be brought along when it starts, none are made in their place:
// they are brought along as soon as they can be.
func TestSharedAdoptedLater(t *testing.T) {
	t.Parallel()
	for _, again := range []struct {
		name string
		does func(r *Ring) error
	}{{"refresh", func(r *Ring) error { return r.Refresh(t.Context()) }}, {"prepare", func(r *Ring) error { return r.Prepare(t.Context()) }}} {
		t.Run(again.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dkim")
			own := open(t, dir, usual, nil)
			if err := own.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			list := filepath.Join(dir, listFile)
			good, err := os.ReadFile(list)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(list, []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
			store := cluster.NewFiles(t.TempDir())
			r, err := OpenShared(t.Context(), store, dir, usual, nil, slog.New(slog.DiscardHandler))
			if err == nil || len(r.Problems()) != 1 {
				t.Errorf("%v %q", err, r.Problems())
			}
			if err := again.does(r); err == nil {
				t.Error("nobody says that the keys are missing")
			}
			if err := os.WriteFile(list, good, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := again.does(r); err != nil {
				t.Error(err)
			}
			if all := r.Keys(); len(all) != 1 || all[0].Public != own.Keys()[0].Public {
				t.Errorf("%+v", all)
			}
			if _, v, err := store.Get(t.Context(), r.file(&own.Keys()[0]), ""); v == "" || err != nil {
				t.Errorf("the private key stayed behind: %v", err)
			}
		})
	}
}

// deaf is a store that takes no changes for a while.
type deaf struct {
	cluster.Store
	is bool
}

func (d *deaf) Put(ctx context.Context, changes ...cluster.Change) ([]cluster.Version, error) {
	if d.is {
		return nil, errors.New("away")
	}
	return d.Store.Put(ctx, changes...)
}

// TestSharedNotDropped: a key whose end could not be written down, and that goes on as others have it, keeps its private part.
func TestSharedNotDropped(t *testing.T) {
	t.Parallel()
	common := cluster.NewFiles(t.TempDir())
	store := &deaf{Store: common}
	a := shared(t, store, filepath.Join(t.TempDir(), "dkim"), usual, nil)
	if err := a.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := shared(t, common, filepath.Join(t.TempDir(), "dkim"), usual, nil)
	k := a.Keys()[0]
	store.is = true
	if _, err := a.saw(t.Context(), k, sight{hidden: true, taken: true, why: "another key"}); err == nil {
		t.Fatal("nobody says that it is away")
	}
	store.is = false
	if _, err := b.saw(t.Context(), k, sight{why: "it is not seen"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.saw(t.Context(), k, sight{why: "it is not seen yet"}); err != nil {
		t.Fatal(err)
	}
	if all := a.Keys(); len(all) != 1 || all[0].Phase != Announced || all[0].Trouble != "it is not seen yet" {
		t.Fatalf("%+v", all)
	}
	if _, v, err := store.Get(t.Context(), a.file(&k), ""); v == "" || err != nil {
		t.Errorf("the private key of a key that is announced is gone: %v", err)
	}
}

// busy is a store that takes one change back, as a database may.
type busy struct {
	cluster.Store
	is bool
}

func (b *busy) Put(ctx context.Context, changes ...cluster.Change) ([]cluster.Version, error) {
	if b.is {
		b.is = false
		return nil, cluster.ErrChanged
	}
	return b.Store.Put(ctx, changes...)
}

// TestSharedTakenBack: a change that was taken back is made anew, also where the list is as it was; and the private part of a key that is gone goes.
func TestSharedTakenBack(t *testing.T) {
	t.Parallel()
	store := &busy{Store: cluster.NewFiles(t.TempDir())}
	r := shared(t, store, filepath.Join(t.TempDir(), "dkim"), usual, nil)
	if err := r.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := r.Keys()[0]
	store.is = true
	if taken, err := r.saw(t.Context(), k, sight{hidden: true, taken: true, why: "another key"}); !taken || err != nil {
		t.Fatal(taken, err)
	}
	if again := shared(t, store, filepath.Join(t.TempDir(), "dkim"), usual, nil).Keys(); len(again) != 1 || again[0].Phase != Gone {
		t.Errorf("%+v", again)
	}
	if _, v, err := store.Get(t.Context(), r.file(&k), ""); v != "" || err != nil {
		t.Errorf("its private part is there: %v", err)
	}
}

// keyless is a store that is gone just when private keys are to be read.
type keyless struct {
	cluster.Store
	is bool
}

func (k *keyless) Get(ctx context.Context, name string, known cluster.Version) ([]byte, cluster.Version, error) {
	if k.is && strings.HasSuffix(name, ".key") {
		return nil, "", errors.New("away")
	}
	return k.Store.Get(ctx, name, known)
}

// TestSharedKeysKnown: a database that goes away between the list and the keys costs no signature of a key that was known, whatever another server
// has done to the list; and keys that could not be read are read as soon as they can be.
func TestSharedKeysKnown(t *testing.T) {
	t.Parallel()
	common := cluster.NewFiles(t.TempDir())
	store := &keyless{Store: common}
	b := shared(t, common, filepath.Join(t.TempDir(), "dkim"), usual, nil)
	if err := b.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.saw(t.Context(), b.Keys()[0], sight{shown: true, whole: true}); err != nil {
		t.Fatal(err)
	}
	a := shared(t, store, filepath.Join(t.TempDir(), "dkim"), usual, nil)
	store.is = true
	late := shared(t, store, filepath.Join(t.TempDir(), "dkim"), usual, nil)
	if err := b.Rotate(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := a.Refresh(t.Context()); err != nil || len(a.Keys()) != 2 || len(a.selectors(home)) != 1 {
			t.Errorf("%v: %d keys, %q signs", err, len(a.Keys()), a.selectors(home))
		}
	}
	if p := late.Problems(); len(p) != 1 || !strings.Contains(p[0], "away") {
		t.Errorf("%q", p)
	}
	if err := late.Refresh(t.Context()); err != nil || len(late.selectors(home)) != 0 {
		t.Errorf("%v %q", err, late.selectors(home))
	}
	store.is = false
	if err := late.Refresh(t.Context()); err != nil || len(late.selectors(home)) != 1 || late.Keys()[0].Trouble != "" {
		t.Errorf("%v: %q signs, %q", err, late.selectors(home), late.Keys()[0].Trouble)
	}
}
