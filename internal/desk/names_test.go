package desk

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestPart: a list goes on after its mark, whether that is still there or not, and nothing is shown twice.
func TestPart(t *testing.T) {
	all := []domains.Name{"a", "b", "bc", "d", "e"}
	for _, c := range []struct {
		s    admin.Slice
		want string
		next string
	}{
		{admin.Slice{Limit: 2}, "a b", "b"}, {admin.Slice{Limit: 2, After: "b"}, "bc d", "d"}, {admin.Slice{Limit: 2, After: "d"}, "e", ""},
		{admin.Slice{Limit: 2, After: "ba"}, "bc d", "d"}, {admin.Slice{Limit: 5}, "a b bc d e", ""}, {admin.Slice{Limit: 2, Find: "B"}, "b bc", ""},
		{admin.Slice{Limit: 1, Find: "b"}, "b", "b"}, {admin.Slice{Limit: 2, After: "z"}, "", ""},
	} {
		l := &list[domains.Name]{names: slices.Values([]domains.Name{"bc", "e", "a", "d", "b"})}
		l.begin.Do(func() {}) // nobody sorts it
		if found, next := l.part(c.s); strings.Join(textsOfNames(found), " ") != c.want || next != c.next {
			t.Errorf("%+v of what is not sorted: %q and %q", c.s, found, next)
		}
		found, next := part(all, c.s)
		if got := strings.Join(textsOfNames(found), " "); got != c.want || next != c.next {
			t.Errorf("%+v: %q and %q, want %q and %q", c.s, got, next, c.want, c.next)
		}
	}
}

// TestSortedBeside: whoever asks first has a part at once, made of no more names than are needed; beside that all are sorted, once, and found so later.
func TestSortedBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		l := &list[domains.Name]{names: func(yield func(domains.Name) bool) {
			asked.Add(1)
			for _, n := range []domains.Name{"d", "c", "b", "a"} {
				if !yield(n) {
					return
				}
			}
		}}
		for range 3 {
			if found, next := l.part(admin.Slice{Limit: 2}); strings.Join(textsOfNames(found), " ") != "a b" || next != "b" {
				t.Errorf("%q and %q", found, next)
			}
			synctest.Wait()
		}
		if all := l.sorted.Load(); all == nil || len(*all) != 4 || !slices.IsSorted(*all) {
			t.Error("not sorted")
		}
		if asked.Load() != 2 {
			t.Errorf("all names are gone through %d times, not for the first part and for the order", asked.Load())
		}
		for limit := range 6 {
			if found := first(l.names, admin.Slice{Limit: limit}); len(found) != min(4, limit+1) {
				t.Errorf("%d names are kept for %d", len(found), limit)
			}
		}
	})
}

func textsOfNames(names []domains.Name) (all []string) {
	for _, n := range names {
		all = append(all, n.String())
	}
	return all
}

// BenchmarkNames is a part of the list of 100,000 accounts, from its middle, and with a text that none has.
func BenchmarkNames(b *testing.B) {
	const n = 100_000
	var text strings.Builder
	text.WriteString(`{"server_name": "mail.test", "data_dir": "data", "Accounts": {`)
	for i := range n {
		fmt.Fprintf(&text, "%q: {},\n", fmt.Sprintf("user%d@mail.test", i))
	}
	text.WriteString("}}")
	name := filepath.Join(b.TempDir(), "mail.conf")
	if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	s, err := conf.Load(name)
	if err != nil {
		b.Fatal(err)
	}
	dir := accounts.NewDirectory(s)
	for name, slice := range map[string]admin.Slice{"middle": {After: "user5", Limit: 50}, "nothing": {Find: "nobody", Limit: 50}} {
		b.Run(name, func(b *testing.B) {
			l := NewNames(s, dir)
			for b.Loop() {
				l.accounts.part(slice)
			}
		})
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if found := first(maps.Keys(dir.Accounts()), admin.Slice{After: "user5", Limit: 50}); len(found) != 51 {
				b.Fatal(len(found))
			}
		}
	})
	b.Run("where", func(b *testing.B) { // what the page of one account asks beside
		for b.Loop() {
			s.WhereAccount("user77@mail.test")
		}
	})
	b.Run("settings", func(b *testing.B) {
		for b.Loop() {
			s.List()
		}
	})
}
