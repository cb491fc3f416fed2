package sealed_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/postgres"
	"github.com/postrider-mail/postrider/smtp/queue/sealed"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

// node opens a queue in a database that others have open, too.
func node(t *testing.T, dsn string, keys *sealed.Keys) (*sealed.Shared, *postgres.Spool) {
	t.Helper()
	h := fnv.New64a()
	io.WriteString(h, t.Name())
	db, err := database.Connect(t.Context(), dsn, database.Options{Schema: fmt.Sprintf("queue_%x", h.Sum64()), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	inner, err := postgres.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	s := sealed.NewShared(inner)
	s.Use(keys)
	return s, inner
}

func keysOf(t *testing.T, octet byte, sealing bool) *sealed.Keys {
	t.Helper()
	keys, err := sealed.NewKeys(bytes.Repeat([]byte{octet}, seal.KeySize), sealing)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestSharedSpool has the suite of spools pass in a database. An entry is taken by a server that has its key and by no other, which says how many it leaves;
// what is in clear is anybody's. Sizes are those of the messages, for who has no key as well.
func TestSharedSpool(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	t.Run("suite", func(t *testing.T) {
		var mu sync.Mutex
		last := make(map[string]*postgres.Spool)
		spooltest.Run(t, func(t *testing.T) queue.Spool {
			mu.Lock()
			defer mu.Unlock()
			if s := last[t.Name()]; s != nil {
				s.Close()
			}
			s, inner := node(t, dsn, keysOf(t, 7, true))
			last[t.Name()] = inner
			return s
		})
	})
	t.Run("keys", func(t *testing.T) {
		a, _ := node(t, dsn, keysOf(t, 7, true))
		put(t, a, "small", top, body)
		put(t, a, "large", top, long())
		a.Use(keysOf(t, 7, false))
		put(t, a, "plain", top, body)
		for _, id := range []string{"small", "large", "plain"} {
			a.Release(id, 0, false)
		}
		peertest.Await(t, "all to be free", func() bool {
			for _, id := range []string{"small", "large", "plain"} {
				if who, err := a.Holder(t.Context(), id); err != nil || who != "" {
					return false
				}
			}
			return true
		})
		for name, keys := range map[string]*sealed.Keys{"no key": nil, "another": keysOf(t, 8, true)} {
			b, inner := node(t, dsn, keys)
			got, err := b.Claim(t.Context(), 10)
			if err != nil || len(got) != 1 || got[0].Entry.ID != "plain" {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			if n, err := inner.Passed(t.Context()); n != 2 || err != nil {
				t.Errorf("%s: %d are left to others, %v", name, n, err)
			}
			if e, st, err := b.Load(t.Context(), "small"); err != nil || e.Params.Size != int64(len(top+body)) || st.Size != e.Params.Size {
				t.Errorf("%s: %+v, %v", name, e, err)
			}
			if c, err := b.Take(t.Context(), "large"); err != nil || c.State.Size != int64(len(top+long())) {
				t.Errorf("%s: %+v, %v", name, c, err)
			} else if _, err := read(t, b, "large"); !errors.Is(err, sealed.ErrKey) {
				t.Errorf("%s: %v", name, err)
			}
			inner.Close() // and what it has is free
		}
		b, inner := node(t, dsn, keysOf(t, 7, false))
		got, err := b.Claim(t.Context(), 10)
		if err != nil || len(got) != 3 {
			t.Fatalf("%+v, %v", got, err)
		}
		want := map[string]string{"small": top + body, "large": top + long(), "plain": top + body}
		for _, c := range got {
			id := c.Entry.ID
			if text, err := read(t, b, id); text != want[id] || c.Entry.Params.Size != int64(len(text)) || c.State.Size != int64(len(text)) {
				t.Errorf("%s: %d octets, %+v, %v", id, len(text), c, err)
			}
		}
		if n, err := inner.Passed(t.Context()); n != 0 || err != nil {
			t.Error(n, err)
		}
	})
}

// TestBound: size and key stand in clear in front of a message, and it does not open where either was changed.
func TestBound(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, true)
	put(t, s, "one", top, body)
	for name, at := range map[string]int{"the key": 6, "the size": 20} {
		r, err := s.Spool.Open(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		raw[at] ^= 1
		put(t, s.Spool, "x"+fmt.Sprint(at), string(raw[:40]), string(raw[40:]))
		if _, err := read(t, s, "x"+fmt.Sprint(at)); !errors.Is(err, sealed.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if by, err := s.Sealed(t.Context()); err != nil || len(by) != 2 || by[keysOf(t, 7, true).Name()] != 2 {
		t.Errorf("%v, %v", by, err)
	}
	if (*sealed.Keys)(nil).Name() != "" || keysOf(t, 7, true).Name() == keysOf(t, 8, true).Name() {
		t.Error("names of keys")
	}
}

// TestEnded: a writer that was committed takes nothing more, and who commits several finds his own lists as they were.
func TestEnded(t *testing.T) {
	s := open(t, t.TempDir(), true)
	var writers []queue.Writer
	for _, id := range []string{"a", "b"} {
		e := spooltest.Entry(id)
		w, err := s.Begin(t.Context(), e, queue.NewState(e))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, body)
		writers = append(writers, w)
	}
	mine, tops := slices.Clone(writers), [][]byte{[]byte(top), []byte(top)}
	if err := s.CommitAll(t.Context(), writers, tops); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(writers, mine) || string(tops[0]) != top || string(tops[1]) != top {
		t.Error("the lists were changed")
	}
	for _, w := range writers {
		if _, err := io.WriteString(w, "more"); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
		if err := w.Commit(t.Context(), nil); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
	}
}
