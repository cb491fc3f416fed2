package desk

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Names are those of accounts, aliases and domains, for whoever looks at a list of them. They
// may be used concurrently.
type Names struct {
	accounts, aliases *list[domains.Address]
	domains           func() []domains.Name
	written           func() map[domains.Address]bool // aliases that a file has
}

// NewNames returns the names of a directory that was made of settings. It sorts nothing yet.
func NewNames(s *conf.Settings, dir *accounts.Directory) *Names {
	return &Names{
		accounts: &list[domains.Address]{names: maps.Keys(dir.Accounts())},
		aliases:  &list[domains.Address]{names: maps.Keys(dir.Aliases())},
		domains:  sync.OnceValue(dir.Domains),
		written:  sync.OnceValue(s.WrittenAliases),
	}
}

// list is names in no order, of which parts in their order are asked for. It is sorted beside whoever asks for the first: that takes longer than
// somebody who looks at a page is to wait, where there are very many. It may be used concurrently.
type list[N ~string] struct {
	names  iter.Seq[N]
	begin  sync.Once
	sorted atomic.Pointer[[]N] // nil: not yet
}

// part is the part that is asked for, and the mark of the next one.
func (l *list[N]) part(s admin.Slice) (found []N, next string) {
	if all := l.sorted.Load(); all != nil {
		return part(*all, s)
	}
	l.begin.Do(func() {
		go func() {
			all := slices.Sorted(l.names)
			l.sorted.Store(&all)
		}()
	})
	return part(first(l.names, s), s)
}

// first are the first of the names that a part is made of, and the one behind, sorted.
func first[N ~string](names iter.Seq[N], s admin.Slice) (best []N) {
	find := strings.ToLower(s.Find)
	for name := range names {
		if len(best) > s.Limit && name >= best[s.Limit] || string(name) <= s.After && s.After != "" || !strings.Contains(string(name), find) {
			continue
		}
		at, _ := slices.BinarySearch(best, name)
		best = slices.Insert(best, at, name)
		best = best[:min(len(best), s.Limit+1)]
	}
	return best
}

// part is the part of sorted names that is asked for, and the mark of the next one.
func part[N ~string](all []N, s admin.Slice) (found []N, next string) {
	from, _ := slices.BinarySearch(all, N(s.After))
	find := strings.ToLower(s.Find)
	for _, name := range all[from:] {
		if string(name) == s.After && s.After != "" || !strings.Contains(string(name), find) {
			continue
		}
		if len(found) == s.Limit {
			return found, string(found[len(found)-1])
		}
		found = append(found, name)
	}
	return found, ""
}
