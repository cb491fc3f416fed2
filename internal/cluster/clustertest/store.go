// Package clustertest is what every cluster.Store has to do, whatever it is made of.
package clustertest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postrider-mail/postrider/internal/cluster"
)

// Run tests stores. open gives another handle on the same documents at each call within one test; every test has its own.
func Run(t *testing.T, open func(t *testing.T) cluster.Store) {
	t.Run("Documents", func(t *testing.T) { documents(t, open(t), open(t)) })
	t.Run("Together", func(t *testing.T) { together(t, open(t), open(t)) })
	t.Run("Race", func(t *testing.T) { race(t, open(t), open(t)) })
	t.Run("Update", func(t *testing.T) { update(t, open(t), open(t)) })
}

func is(t *testing.T, s cluster.Store, name, want string) cluster.Version {
	t.Helper()
	text, v, err := s.Get(t.Context(), name, "")
	if err != nil || string(text) != want || (v == "") != (text == nil) {
		t.Errorf("%s is %q (version %q), %v; not %q", name, text, v, err, want)
	}
	return v
}

func put(t *testing.T, s cluster.Store, changes ...cluster.Change) []cluster.Version {
	t.Helper()
	now, err := s.Put(t.Context(), changes...)
	if err != nil || len(now) != len(changes) {
		t.Fatal(now, err)
	}
	return now
}

// documents: what one handle puts, the other gets; and nobody replaces what he has not seen.
func documents(t *testing.T, a, b cluster.Store) {
	is(t, a, "some/document", "")
	first := put(t, a, cluster.Change{Name: "some/document", Text: []byte("one")})[0]
	if v := is(t, b, "some/document", "one"); v != first {
		t.Errorf("version %q, and %q was put", v, first)
	}
	if text, v, err := b.Get(t.Context(), "some/document", first); text != nil || v != first || err != nil {
		t.Errorf("what is known came again: %q %q %v", text, v, err)
	}
	second := put(t, b, cluster.Change{Name: "some/document", Text: []byte("two\x00\xff\r\n"), Was: first})[0]
	for _, was := range []cluster.Version{"", first, "nonsense"} {
		if _, err := a.Put(t.Context(), cluster.Change{Name: "some/document", Text: []byte("three"), Was: was}); !errors.Is(err, cluster.ErrChanged) {
			t.Errorf("version %q was replaced: %v", was, err)
		}
	}
	is(t, a, "some/document", "two\x00\xff\r\n")
	if _, err := a.Put(t.Context(), cluster.Change{Name: "another", Text: []byte("x"), Was: second}); !errors.Is(err, cluster.ErrChanged) {
		t.Errorf("one that is not there was replaced: %v", err)
	}
	put(t, a, cluster.Change{Name: "some/document", Text: []byte("three"), Anyway: true})
	is(t, b, "some/document", "three")
	put(t, a, cluster.Change{Name: "some/document", Anyway: true}, cluster.Change{Name: "none/there", Anyway: true})
	is(t, b, "some/document", "")
	large := bytes.Repeat([]byte("large "), 100_000)
	put(t, a, cluster.Change{Name: "some/document", Text: large})
	is(t, b, "some/document", string(large))
}

// together: several changes are made, or none.
func together(t *testing.T, a, b cluster.Store) {
	now := put(t, a, cluster.Change{Name: "x/secret.key", Text: []byte("s"), Anyway: true}, cluster.Change{Name: "x/list", Text: []byte("l")})
	if _, err := b.Put(t.Context(), cluster.Change{Name: "x/secret.key", Text: []byte("other"), Anyway: true}, cluster.Change{Name: "x/list", Text: []byte("other")}); !errors.Is(err, cluster.ErrChanged) {
		t.Error(err)
	}
	is(t, a, "x/secret.key", "s")
	put(t, b, cluster.Change{Name: "x/list", Text: []byte("m"), Was: now[1]}, cluster.Change{Name: "x/secret.key", Was: now[0]})
	is(t, a, "x/secret.key", "")
	is(t, a, "x/list", "m")
}

// race: of all who make the same document, one has made it.
func race(t *testing.T, a, b cluster.Store) {
	var made atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			_, err := []cluster.Store{a, b}[i%2].Put(t.Context(), cluster.Change{Name: "raced", Text: fmt.Append(nil, i)})
			if err == nil {
				made.Add(1)
			} else if !errors.Is(err, cluster.ErrChanged) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("%d have made it", n)
	}
}

// update: nothing that is added is lost, however many add at once.
func update(t *testing.T, a, b cluster.Store) {
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			for done := false; !done; {
				_, err := cluster.Update(t.Context(), []cluster.Store{a, b}[i%2], "sum", func(text []byte) ([]byte, error) { return append(text, 'x'), nil })
				if done = err == nil; err != nil && !errors.Is(err, cluster.ErrChanged) {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	is(t, a, "sum", "xxxxxx")
	text, err := cluster.Update(t.Context(), b, "sum", func([]byte) ([]byte, error) { return nil, nil })
	if string(text) != "xxxxxx" || err != nil {
		t.Errorf("left as it is: %q %v", text, err)
	}
	refused := errors.New("refused")
	text, err = cluster.Update(t.Context(), b, "sum", func([]byte) ([]byte, error) { return []byte("y"), refused })
	if string(text) != "xxxxxx" || !errors.Is(err, refused) {
		t.Errorf("a change that is refused: %q %v", text, err)
	}
	is(t, a, "sum", "xxxxxx")
}
