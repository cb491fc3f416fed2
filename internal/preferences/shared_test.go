package preferences_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// documents are those of servers on one database, which may be away.
type documents struct {
	cluster.Store
	away   atomic.Bool
	gets   atomic.Int64
	mu     sync.Mutex
	all    map[string]cluster.Version
	before func() // of the next Put
}

var errGone = errors.New("connection refused")

func newDocuments(t *testing.T) *documents {
	return &documents{Store: cluster.NewFiles(t.TempDir()), all: make(map[string]cluster.Version)}
}

func (d *documents) Get(ctx context.Context, name string, known cluster.Version) ([]byte, cluster.Version, error) {
	d.gets.Add(1)
	if d.away.Load() {
		return nil, "", errGone
	}
	return d.Store.Get(ctx, name, known)
}

func (d *documents) Put(ctx context.Context, changes ...cluster.Change) ([]cluster.Version, error) {
	if d.away.Load() {
		return nil, errGone
	}
	if before := d.before; before != nil {
		d.before = nil
		before()
	}
	now, err := d.Store.Put(ctx, changes...)
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, v := range now {
		d.all[changes[i].Name] = v
	}
	return now, err
}

func (d *documents) Changed(_ context.Context, prefix string, since cluster.Mark) (map[string]cluster.Version, cluster.Mark, error) {
	if d.away.Load() {
		return nil, since, errGone
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	all := maps.Clone(d.all)
	maps.DeleteFunc(all, func(name string, _ cluster.Version) bool { return !strings.HasPrefix(name, prefix) })
	return all, since + 1, nil
}

// a server is a store on documents.
type server struct {
	*preferences.Store
	t     *testing.T
	dir   string
	heard []domains.Address
}

func alone(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, dir: filepath.Join(t.TempDir(), "preferences")}
	disk, err := durable.Open(filepath.Dir(s.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	if s.Store, err = preferences.Open(t.Context(), s.dir, disk); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) join(d *documents) *server {
	s.t.Helper()
	s.Share(d, func(a domains.Address) { s.heard = append(s.heard, a) })
	s.follow()
	return s
}

func (s *server) follow() {
	s.t.Helper()
	if err := s.Follow(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

const ann = domains.Address("ann@mail.test")

func (s *server) forward(to string) error {
	return s.Change(s.t.Context(), ann, func(p *preferences.Preferences) error {
		p.Forward = nil
		if to != "" {
			p.Forward = &preferences.Forward{To: to}
		}
		return nil
	})
}

// has checks where mail of ann goes; empty: nothing is decided.
func (s *server) has(to string) {
	s.t.Helper()
	p, err := s.Of(ann)
	is := ""
	if p != nil && p.Forward != nil {
		is = p.Forward.To
	}
	if is != to || err != nil || (p == nil) != (to == "") {
		s.t.Errorf("it is %q, %v, not %q", is, err, to)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestShared: what is decided at one server holds at the others, is taken back there, and is in a file that nobody else can read.
func TestShared(t *testing.T) {
	t.Parallel()
	d := newDocuments(t)
	a, b := alone(t).join(d), alone(t).join(d)
	must(t, a.forward("ann@a.test"))
	a.has("ann@a.test")
	b.has("")
	b.follow()
	b.has("ann@a.test")
	if len(b.heard) != 1 || b.heard[0] != ann {
		t.Errorf("heard of %q", b.heard)
	}
	files, _ := filepath.Glob(filepath.Join(b.dir, "*"))
	if len(files) != 1 {
		t.Fatalf("%q", files)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	must(t, b.forward("ann@b.test")) // made to the newest, whatever the file is
	a.follow()
	a.has("ann@b.test")
	must(t, a.forward(""))
	b.follow()
	b.has("")
	a.follow()
	a.has("")
}

// TestSharedAnew: a login that is to be refused asks for what was changed a moment ago; where the database is away it does not ask again and again.
func TestSharedAnew(t *testing.T) {
	t.Parallel()
	d := newDocuments(t)
	a, b := alone(t).join(d), alone(t).join(d)
	must(t, a.forward("ann@a.test"))
	if !b.Anew(t.Context(), ann) || b.Anew(t.Context(), ann) || b.Anew(t.Context(), "nobody@mail.test") {
		t.Error("what was changed is not known")
	}
	b.has("ann@a.test")
	must(t, a.forward("ann@c.test"))
	d.away.Store(true)
	if b.Anew(t.Context(), ann) {
		t.Error("something was heard of nobody")
	}
	b.has("ann@a.test")
	d.away.Store(false)
	if b.Anew(t.Context(), ann) {
		t.Error("it was asked again at once")
	}
}

// TestSharedAway: the last known holds, also after a start, and nothing is changed.
func TestSharedAway(t *testing.T) {
	t.Parallel()
	d := newDocuments(t)
	a, b := alone(t).join(d), alone(t).join(d)
	must(t, a.forward("ann@a.test"))
	b.follow()
	d.away.Store(true)
	for _, err := range []error{b.forward("ann@b.test"), b.forward(""), b.Remove(t.Context(), ann), b.Copy(t.Context(), ann, "eve@mail.test")} {
		if !errors.Is(err, preferences.ErrAway) {
			t.Errorf("%v", err)
		}
	}
	if n, err := b.Retire(t.Context(), func(func(domains.Address) bool) {}, nil); n != 0 || !errors.Is(err, preferences.ErrAway) {
		t.Errorf("%d %v", n, err)
	}
	if err := b.Follow(t.Context()); !errors.Is(err, errGone) {
		t.Error(err)
	}
	b.has("ann@a.test")
	d.away.Store(false)
	b.follow()
	b.has("ann@a.test")
}

// TestSharedRace: of two changes at once none is lost: the second is refused in words.
func TestSharedRace(t *testing.T) {
	t.Parallel()
	d := newDocuments(t)
	a, b := alone(t).join(d), alone(t).join(d)
	for range 2 { // the first, and one more
		d.before = func() { must(t, b.forward("ann@b.test")) }
		if err := a.forward("ann@a.test"); !errors.Is(err, preferences.ErrElsewhere) {
			t.Errorf("%v", err)
		}
		a.follow()
		a.has("ann@b.test")
		must(t, b.forward("ann@c.test"))
	}
}

// TestSharedAdopts: what the first server has had for itself is that of all, and never takes the place of anything, nor comes back.
func TestSharedAdopts(t *testing.T) {
	t.Parallel()
	d := newDocuments(t)
	a, b, c := alone(t), alone(t), alone(t)
	must(t, a.forward("ann@a.test"))
	must(t, b.forward("ann@b.test"))
	must(t, c.forward("ann@c.test"))
	a.join(d)
	a.has("ann@a.test")
	b.join(d)
	b.has("ann@a.test")
	must(t, a.forward(""))
	c.join(d)
	c.has("")
	b.follow()
	b.has("")
}

// TestSharedEnds: an account that is removed at one server has nothing at the others, whatever they have in files; one that is put aside is
// found by who renames it, and nowhere by who gets its name.
func TestSharedEnds(t *testing.T) {
	t.Parallel()
	d := newDocuments(t)
	a, b := alone(t).join(d), alone(t).join(d)
	must(t, a.forward("ann@a.test"))
	b.follow()
	must(t, a.Remove(t.Context(), ann))
	b.follow()
	b.has("")
	if left, _ := filepath.Glob(filepath.Join(b.dir, "*")); len(left) > 0 {
		t.Errorf("%q", left)
	}
	must(t, b.forward("ann@b.test"))
	a.follow()
	if n, err := b.Retire(t.Context(), func(func(domains.Address) bool) {}, nil); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	a.follow()
	a.has("")
	b.has("")
	must(t, a.Copy(t.Context(), ann, "eve@mail.test"))
	b.follow()
	if p, err := b.Of("eve@mail.test"); err != nil || p == nil || p.Account != "eve@mail.test" || p.Forward.To != "ann@b.test" {
		t.Errorf("%+v %v", p, err)
	}
	must(t, a.Remove(t.Context(), ann))
	a.has("")
}

// TestSharedAnswers: who was answered by one server is answered by no other; another absence is told to all again; while nobody can be asked nobody is answered.
func TestSharedAnswers(t *testing.T) {
	t.Parallel()
	d := newDocuments(t)
	a, b, c := alone(t), alone(t), alone(t)
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	note := func(s *server, sender domains.Address, want preferences.Answer) {
		t.Helper()
		if is, err := s.Note(t.Context(), ann, sender, now); is != want || err != nil {
			t.Errorf("%s: %v, %v; not %v", sender, is, err, want)
		}
	}
	note(a, "bob@far.test", preferences.First) // before it was one of several
	note(c, "cid@far.test", preferences.First)
	a.join(d)
	b.join(d)
	note(a, "dan@far.test", preferences.First)
	note(b, "bob@far.test", preferences.Again)
	note(b, "dan@far.test", preferences.Again)
	must(t, b.Unnote(t.Context(), ann, "dan@far.test"))
	note(a, "dan@far.test", preferences.First)
	must(t, b.Forget(t.Context(), ann))
	note(a, "bob@far.test", preferences.First)
	must(t, a.Remove(t.Context(), ann))
	c.join(d)
	note(c, "bob@far.test", preferences.First)
	note(c, "cid@far.test", preferences.First)
	d.away.Store(true)
	if is, err := a.Note(t.Context(), ann, "eve@far.test", now); is == preferences.First || err == nil {
		t.Errorf("%v %v", is, err)
	}
}

// TestSharedPredecessor: what was put aside is forgotten at all servers once the name is given to somebody else, and a server that has not heard of that
// gives it to nobody either.
func TestSharedPredecessor(t *testing.T) {
	t.Parallel()
	d := newDocuments(t)
	a, b, c := alone(t).join(d), alone(t).join(d), alone(t).join(d)
	must(t, a.forward("ann@a.test"))
	b.follow()
	c.follow()
	if n, err := a.Retire(t.Context(), func(func(domains.Address) bool) {}, nil); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	b.follow()
	c.follow()
	must(t, a.Remove(t.Context(), ann))
	b.follow()
	if left, _ := filepath.Glob(filepath.Join(b.dir, "*")); len(left) > 0 {
		t.Errorf("%q", left)
	}
	must(t, a.forward("new@a.test"))
	must(t, a.forward("")) // and c has heard of none of it
	for _, s := range []*server{a, b, c} {
		must(t, s.Copy(t.Context(), ann, "eve@mail.test"))
		if p, err := s.Of("eve@mail.test"); p != nil || err != nil {
			t.Errorf("%+v %v", p, err)
		}
	}
}

// TestSharedHeard: whoever is logged in hears of what another server has changed, also where a refused login or a change had it taken up first.
func TestSharedHeard(t *testing.T) {
	t.Parallel()
	d := newDocuments(t)
	a, b := alone(t).join(d), alone(t).join(d)
	must(t, a.forward("ann@a.test"))
	if !b.Anew(t.Context(), ann) {
		t.Fatal("nothing is new")
	}
	b.follow()
	if len(b.heard) != 1 {
		t.Errorf("after a login: heard of %q", b.heard)
	}
	must(t, a.forward("ann@c.test"))
	must(t, b.forward("ann@b.test"))
	b.follow()
	b.follow()
	if len(b.heard) != 2 {
		t.Errorf("after a change: heard of %q", b.heard)
	}
	must(t, a.forward("ann@d.test"))
	if !b.Anew(t.Context(), ann) {
		t.Fatal("nothing is new")
	}
	d.away.Store(true)
	if err := b.Follow(t.Context()); !errors.Is(err, errGone) || len(b.heard) != 3 {
		t.Errorf("after a login, and without a database: heard of %q, %v", b.heard, err)
	}
}

// picky refuses names as PostgreSQL does.
type picky struct{ *documents }

func (p picky) Get(ctx context.Context, name string, known cluster.Version) ([]byte, cluster.Version, error) {
	if !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return nil, "", errors.New("invalid byte sequence for encoding \"UTF8\" (SQLSTATE 22021)")
	}
	return p.documents.Get(ctx, name, known)
}

// TestSharedAnewStrange: names that are nobody's keep nobody else from being asked about.
func TestSharedAnewStrange(t *testing.T) {
	t.Parallel()
	d := newDocuments(t)
	a, b := alone(t).join(d), alone(t)
	b.Share(picky{d}, nil)
	b.follow()
	must(t, a.forward("ann@a.test"))
	for _, name := range []domains.Address{"a\x00nn@mail.test", "\xff@mail.test"} {
		if b.Anew(t.Context(), name) {
			t.Errorf("%q", name)
		}
	}
	if !b.Anew(t.Context(), ann) {
		t.Error("a stranger's name keeps others from being asked about")
	}
}

// TestSharedAnewOften: whoever tries passwords has the database asked so often and no more; what is not asked for Follow brings.
func TestSharedAnewOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDocuments(t)
		a, b := alone(t).join(d), alone(t).join(d)
		must(t, a.forward("ann@a.test"))
		for range 1000 {
			if b.Anew(t.Context(), "nobody@mail.test") {
				t.Fatal("something is known of nobody")
			}
		}
		if n := d.gets.Load(); n > 200 {
			t.Errorf("it was asked for %d times in a moment", n)
		}
		if b.Anew(t.Context(), ann) {
			t.Error("it was asked again")
		}
		time.Sleep(time.Second)
		if !b.Anew(t.Context(), ann) {
			t.Error("it is not asked any more")
		}
	})
}
