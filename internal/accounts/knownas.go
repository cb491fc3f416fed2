package accounts

import (
	"context"
	"sync"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Others may find an account by a name that is not the address of its mailbox, and by that name alone: "carol", whose mail is carol.smith@. Whoever comes to the
// pages by such a name has a session of the mailbox, and decides about that, so the name is remembered that leads to it: for as long as the server runs, and with
// what the user has decided.

// knownAs are such names. The zero value knows none. It may be used concurrently, and outlives a reload.
type knownAs struct {
	mu sync.Mutex
	by map[domains.Address]domains.Address // by the account
}

// note remembers by what name an account was found.
func (k *knownAs) note(account, name domains.Address) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.by == nil {
		k.by = make(map[domains.Address]domains.Address)
	}
	if _, there := k.by[account]; !there && len(k.by) >= mostKnown {
		for other := range k.by { // any
			delete(k.by, other)
			break
		}
	}
	k.by[account] = name
}

// KnownAs is the name by which others know an account, where that is not its address; empty: its address, or nobody has come by another.
func (c *Credentials) KnownAs(account domains.Address) domains.Address {
	c.names.mu.Lock()
	name := c.names.by[account]
	c.names.mu.Unlock()
	if name == "" {
		if p, err := c.decided(account); err == nil && p != nil {
			name = p.KnownAs
		}
	}
	return name
}

// FindElsewhere returns the account of an address that others keep, as Directory.Find does, also where they know it by another name; nil if there is none.
func (c *Credentials) FindElsewhere(ctx context.Context, address domains.Address) (*Known, error) {
	k, _, err := c.findAs(ctx, address)
	return k, err
}

// findAs is FindElsewhere, with the name by which the account was found.
func (c *Credentials) findAs(ctx context.Context, address domains.Address) (k *Known, name domains.Address, err error) {
	if k, err = c.dir.Find(ctx, address); k != nil || err != nil {
		return k, address, err
	}
	if name = c.KnownAs(address); name == "" || name == address {
		return nil, address, nil
	}
	if k, err = c.dir.Find(ctx, name); k == nil || err != nil || k.Address != address { // the name is another's by now
		return nil, address, err
	}
	return k, name, nil
}
