package sealed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// TestCrash plays power cuts after every operation: what was acknowledged is there once, in clear or sealed, whatever was going on.
func TestCrash(t *testing.T) {
	root := crashtest.Scratch(t)
	rec, err := crashtest.NewRecorder(root)
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	rec.Each = true
	inner, err := maildir.Open(root, maildir.WithReserve(0), maildir.WithDisk(durable.New(rec)))
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	sealing := false
	keys := newRing(func(u string) bool { return sealing && u == ann })
	s := unlocked{New(inner, keys.recipient, nil), keys}
	want := make(map[string]string) // body by its first word
	put := func(key string, n int, users ...string) {
		body := key + " " + long(n) + "\r\n"
		want[key] = body
		deliver(t, s, "", body, users...)
		rec.Mark(key)
	}
	put("m0", 0, ann)
	put("m1", 3000, ann, bob)
	sealing = true
	put("m2", 10, ann)
	put("m3", 100_000, ann, bob)
	convert := func(do func(m mailstore.SealedDrop) (int, bool, error)) {
		m := drop(t, inner, ann).(mailstore.SealedDrop)
		defer m.Close()
		if _, done, err := do(m); err != nil || !done {
			t.Fatal(err)
		}
	}
	convert(func(m mailstore.SealedDrop) (int, bool, error) {
		return SealDrop(context.Background(), m, keys.of(ann).Recipient(), time.Time{})
	})
	rec.Mark("sealed")
	convert(func(m mailstore.SealedDrop) (int, bool, error) {
		return UnsealDrop(context.Background(), m, keys.of(ann), time.Time{})
	})
	rec.Mark("unsealed")
	dir := filepath.Join(crashtest.Scratch(t), "disk")
	for n := 0; n <= rec.Len() && !t.Failed(); n++ {
		for _, how := range crashtest.Outcomes(uint64(n)) {
			if err := rec.Crash(root, n, how, dir); err != nil {
				t.Fatal(err)
			}
			after(t, fmt.Sprintf("after %d operations, %s", n, how.Name), dir, rec.Marks(n), want, keys)
			os.RemoveAll(dir)
		}
	}
}

func after(t *testing.T, when, dir string, marks []string, want map[string]string, keys *ring) {
	t.Helper()
	s := openStore(t, dir, keys)
	defer s.Close()
	for _, user := range []string{ann, bob} {
		m := drop(t, s, user)
		seen := make(map[string]int)
		for i := range m.Len() {
			text, err := readAll(m, i)
			key, _, _ := strings.Cut(text, " ")
			if err != nil || text != want[key] {
				t.Fatalf("%s: %s: %.30q, %v", when, user, text, err)
			}
			seen[key]++
		}
		m.Close()
		for _, mark := range marks {
			if (mark == "m1" || mark == "m3" || user == ann && want[mark] != "") && seen[mark] == 0 {
				t.Fatalf("%s: %s has lost %s", when, user, mark)
			}
		}
		for key, n := range seen {
			if n != 1 {
				t.Fatalf("%s: %s has %s %d times", when, user, key, n)
			}
		}
	}
	// Whatever was left, sealing goes on from there and ends.
	m := drop(t, s.inner, ann).(mailstore.SealedDrop)
	if _, done, err := SealDrop(t.Context(), m, keys.of(ann).Recipient(), time.Time{}); err != nil || !done {
		t.Fatalf("%s: %v", when, err)
	}
	m.Close()
	for _, f := range files(t, dir, ann) {
		if !strings.Contains(f, ",K=") {
			t.Fatalf("%s: %s is not sealed", when, f)
		}
	}
}
