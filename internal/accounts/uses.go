package accounts

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// When each app password was used last, so that its user sees which device is still his. It is in memory and written
// down with the logins: a file of its own would be one more write for every login.

// Use is when something was used last, and how.
type Use struct {
	At      time.Time
	Service string // as the settings call it: "pop3" or "submission"
	Address string // of the client
}

type usedApp struct {
	account domains.Address
	id      string
}

// uses are those of all app passwords. The zero value is ready. It holds those that there are or were: only who has logged
// in with one makes an entry.
type uses struct {
	mu sync.Mutex
	by map[usedApp]Use
}

// note writes down that an app password was used by the client of a context.
func (u *uses) note(ctx context.Context, account domains.Address, id string) {
	peer := sasl.PeerOf(ctx)
	address := ""
	if peer.RemoteAddr != nil {
		address = peer.RemoteAddr.String()
		if host, _, err := net.SplitHostPort(address); err == nil {
			address = host
		}
	}
	u.put(usedApp{account, id}, Use{At: time.Now().UTC().Truncate(time.Second), Service: serviceOf(peer), Address: address})
}

func (u *uses) put(k usedApp, use Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by == nil {
		u.by = make(map[usedApp]Use)
	}
	if !use.At.Before(u.by[k].At) {
		u.by[k] = use
	}
}

// AppUse is when an app password was used last; the zero Use: never, as far as is known.
func (c *Credentials) AppUse(account domains.Address, id string) Use {
	c.uses.mu.Lock()
	defer c.uses.mu.Unlock()
	return c.uses.by[usedApp{account, id}]
}

// usesMemory is what of it is to survive a restart: of the app passwords that there still are. Those that are gone are forgotten.
func (c *Credentials) usesMemory() (all []remembered) {
	if c.kept == nil {
		return nil
	}
	c.uses.mu.Lock()
	defer c.uses.mu.Unlock()
	there := make(map[usedApp]bool)
	looked := make(map[domains.Address]bool)
	for k, use := range c.uses.by {
		if !looked[k.account] {
			looked[k.account] = true
			if p, err := c.kept.Of(k.account); err == nil && p != nil {
				for _, app := range p.Apps {
					there[usedApp{k.account, app.ID}] = true
				}
			}
		}
		if !there[k] {
			delete(c.uses.by, k)
			continue
		}
		all = append(all, remembered{Account: k.account, App: k.id, At: use.At, Service: use.Service, Address: use.Address})
	}
	return all
}

// recallUses takes up what usesMemory gave.
func (c *Credentials) recallUses(all []remembered) {
	for _, r := range all {
		if r.App != "" {
			c.uses.put(usedApp{r.Account, r.App}, Use{At: r.At, Service: r.Service, Address: r.Address})
		}
	}
}
