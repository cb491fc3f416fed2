package accounts

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// What is known of failed logins, and of who has logged in from where, survives a
// restart: otherwise strangers who guess at an account right after it lock out its
// owner, who is a stranger then too.

// remembered is one entry of the throttle. Either may be empty: Block for what was
// counted at an account, Account for what was counted from a place.
type remembered struct {
	Block   netip.Prefix    `json:"block,omitzero"`
	Account domains.Address `json:"account,omitempty"`
	Last    time.Time       `json:"last,omitzero"` // success, of an account from a place
	Level   float64         `json:"level,omitempty"`
	At      time.Time       `json:"at,omitzero"`

	// The step of the last code of an administrator.
	Admin string `json:"admin,omitempty"`
	Step  int64  `json:"step,omitempty"`

	// Keys that were made of an account's password, and of which.
	Scram string `json:"scram,omitempty"`
	Of    string `json:"of,omitempty"`

	// When an app password was used last (At), by what protocol, and from which address.
	App     string `json:"app,omitempty"`
	Service string `json:"service,omitempty"`
	Address string `json:"address,omitempty"`
}

// Memory is what is to survive a restart, for Recall.
func (c *Credentials) Memory() ([]byte, error) {
	t, now := c.throttle, time.Now()
	t.mu.Lock()
	all := make([]remembered, 0, len(t.blocks)+len(t.accounts)+len(t.known))
	for block, b := range t.blocks {
		all = append(all, remembered{Block: block, Level: b.level, At: b.at})
	}
	for account, b := range t.accounts {
		all = append(all, remembered{Account: account, Level: b.level, At: b.at})
	}
	for l, h := range t.known {
		if t.isKnown(l, now) {
			all = append(all, remembered{Block: l.block, Account: l.account, Last: h.last, Level: h.level, At: h.at})
		}
	}
	t.mu.Unlock()
	return json.Marshal(slices.Concat(c.codes.memory(now), c.learntMemory(), c.usesMemory(), all))
}

// Recall takes up what Memory gave before a restart. What was counted since
// stays.
func (c *Credentials) Recall(memory []byte) error {
	var all []remembered
	if err := json.Unmarshal(memory, &all); err != nil {
		return fmt.Errorf("what was known of failed logins: %w", err)
	}
	c.recallLearnt(all)
	c.recallUses(all)
	t, now := c.throttle, time.Now()
	c.codes.recall(all, now)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range all[:min(len(all), 3*throttleEntries)] {
		if r.At.After(now) { // the clock was set
			r.At = now
		}
		b := bucket{level: max(0, r.Level), at: r.At}
		switch {
		case r.Scram != "", r.App != "":
		case r.Account == "" && r.Block.IsValid():
			keep(t.blocks, r.Block, b)
		case r.Account != "" && !r.Block.IsValid():
			keep(t.accounts, r.Account, b)
		case r.Account != "" && !r.Last.After(now):
			keep(t.known, login{r.Block, r.Account}, home{last: r.Last, bucket: b})
		}
	}
	return nil
}

// keep adds what is not there and has room.
func keep[K comparable, V any](m map[K]V, k K, v V) {
	if _, ok := m[k]; !ok && len(m) < throttleEntries {
		m[k] = v
	}
}
