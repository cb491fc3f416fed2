package daemon

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// listed are the names of accounts, aliases and domains in their order, made when somebody first looks at a list of them.
type listed struct {
	accounts, aliases func() []domains.Address
	domains           func() []domains.Name
	written           func() map[domains.Address]bool // aliases that a file has
}

func newListed(s *conf.Settings, dir *accounts.Directory) listed {
	return listed{
		accounts: sync.OnceValue(func() []domains.Address { return slices.Sorted(maps.Keys(dir.Accounts())) }),
		aliases:  sync.OnceValue(func() []domains.Address { return slices.Sorted(maps.Keys(dir.Aliases())) }),
		domains:  sync.OnceValue(dir.Domains),
		written:  sync.OnceValue(s.WrittenAliases),
	}
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
