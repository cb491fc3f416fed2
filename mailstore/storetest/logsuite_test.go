//go:build linux

package storetest_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/storetest"
)

// TestLogStore: a store of quite another kind passes the suite. It has no
// quotas, keeps no flags and its maildrops are no Keepers; the suite asks for
// none of these where they are missing.
func TestLogStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) mailstore.Store { return openLog(t, dir) })
}

func openLog(t testing.TB, dir string) *logStore {
	t.Helper()
	l, err := openLogStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func put(t testing.TB, s mailstore.Store, body string, users ...string) {
	t.Helper()
	d, err := s.Create(context.Background(), mailstore.Meta{}, users...)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(d, body)
	if err := d.Commit(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
}

// bodies reads a mailbox.
func bodies(t testing.TB, s mailstore.Store, user string) []string {
	t.Helper()
	m, err := s.Open(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var out []string
	for i := range m.Len() {
		r, err := m.Open(context.Background(), i)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

// TestLogStoreTorn cuts the log inside its last record, at every octet, and
// leaves zeros or other octets there: what was acknowledged before is there, the
// last message is not, and the store goes on.
func TestLogStoreTorn(t *testing.T) {
	const user = "alice@example.org"
	dir := t.TempDir()
	l := openLog(t, dir)
	put(t, l, "first\r\n", user)
	put(t, l, "second\r\n", user, "bob@example.org")
	whole := l.end
	put(t, l, "third\r\n", user)
	l.Close()
	all, err := os.ReadFile(filepath.Join(dir, "00000000.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for cut := int(whole); cut < len(all); cut++ {
		for name, rest := range map[string][]byte{"nothing": nil, "zeros": make([]byte, len(all)-cut), "noise": all[:len(all)-cut]} {
			torn := append(append([]byte(nil), all[:cut]...), rest...)
			if string(torn) == string(all) {
				continue // zeros where there were zeros
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "00000000.seg"), torn, 0o600); err != nil {
				t.Fatal(err)
			}
			for round := range 2 {
				l := openLog(t, dir)
				want := []string{"first\r\n", "second\r\n", "fourth\r\n"}[:2+round]
				if got := bodies(t, l, user); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("cut at %d, then %s: %q, want %q", cut, name, got, want)
				}
				if round == 0 {
					put(t, l, "fourth\r\n", user)
				}
				l.Close()
			}
		}
	}
}
