package published

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/sign"
	"github.com/postrider-mail/postrider/internal/zone"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// OpenKeys opens the keys that sign mail by these settings: those that several servers have in a store, or (nil) those in the data
// directory of one. watcher may be nil for who does not run the ring. As sign.Open does, it returns a ring beside an error.
func OpenKeys(ctx context.Context, s *conf.Settings, shared cluster.Store, watcher sign.Watcher, log *slog.Logger) (*sign.Ring, error) {
	dir := filepath.Join(s.DataDir, "dkim")
	if shared != nil {
		return sign.OpenShared(ctx, shared, dir, Signing(s), watcher, log)
	}
	return sign.Open(dir, Signing(s), watcher, log)
}

// keepAfterQueue is how much longer than any queue a signature is good, and the record of
// a key that signs no more is needed: users may have had the message held, and who gets it
// may look at it late.
const keepAfterQueue = post.LongestHold + 7*24*time.Hour

// Signing is what one set of settings says about signatures.
func Signing(s *conf.Settings) sign.Settings {
	longest := s.Queue.ExpireAfter
	for _, q := range s.Queue.Domains {
		longest = max(longest, q.ExpireAfter)
	}
	out := sign.Settings{Ed25519: s.DKIM.Ed25519, Rotate: s.DKIM.Rotate, Require: s.DKIM.Require,
		Keep: longest + keepAfterQueue, Selectors: make(map[domains.Name][]string)}
	for name, d := range s.Domains {
		if d != nil && len(d.DKIMSelectors) > 0 {
			out.Selectors[domains.Canonical(name)] = d.DKIMSelectors
		}
	}
	if !s.DKIM.Sign {
		return out
	}
	for _, name := range s.Book().Domains() {
		// Nobody can publish a key for a literal, or for a name of one label.
		if strings.Contains(name.String(), ".") && !name.IsLiteral() {
			out.Domains = append(out.Domains, name)
		}
	}
	return out
}

// Keys are DKIM keys as the zones of their domains should show them.
type Keys struct {
	All      []sign.Key
	Settings *conf.Settings // whose domains may have fixed selectors
}

// states are the phases of a key in the terms of what the DNS shows.
var states = map[sign.Phase]zone.KeyState{sign.Announced: zone.Announced, sign.Signing: zone.Signing, sign.Retired: zone.Retired, sign.Revoked: zone.Gone}

// DKIMKeys implements zone.Keys.
func (k Keys) DKIMKeys(domain string) (all []zone.Key, err error) {
	used := make(map[string]bool)
	for _, key := range k.All {
		state, ok := states[key.Phase]
		if !ok || key.Domain.String() != domain {
			continue
		}
		used[key.Selector] = true
		if state == zone.Announced && !k.Settings.DKIM.Sign {
			continue // it will never sign
		}
		all = append(all, zone.Key{Domain: domain, Selector: key.Selector, Value: key.Record(), State: state})
	}
	for _, s := range Signing(k.Settings).Selectors[domains.Canonical(domain)] {
		if !used[s] {
			all = append(all, zone.Key{Domain: domain, Selector: s, State: zone.Reserved})
		}
	}
	return all, nil
}
