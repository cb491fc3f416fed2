package accounts

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Accounts that were taken over from elsewhere have the hash of a password, and no keys
// for SCRAM, which one such account keeps from all others. When its owner logs in with
// the password, the keys are made of it and remembered with the logins; they are good
// for as long as the account has that hash.

// learnt are keys made at logins. The zero value is ready.
type learnt struct {
	mu sync.Mutex
	by map[domains.Address]learntKeys
}

type learntKeys struct {
	of    string // what the stored password was, as hashOf gives it
	scram *sasl.ScramKeys
}

// hashOf names a stored password without telling it.
func hashOf(stored conf.Secret) string {
	sum := sha256.Sum256([]byte(stored))
	return hex.EncodeToString(sum[:])
}

func (l *learnt) put(address domains.Address, k learntKeys) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = make(map[domains.Address]learntKeys)
	}
	l.by[address] = k
}

// learn makes the keys that an account lacks, of its password that was right.
func (c *Credentials) learn(address domains.Address, a *conf.Account, p *preferences.Preferences, password []byte) {
	k := c.keys[address]
	if !c.derive || k == nil || k.scram.Load() != nil {
		return
	}
	scram, err := c.deriveScram(address, p, password)
	if err != nil {
		return // one that SCRAM has no way to send
	}
	c.learnt.put(address, learntKeys{hashOf(a.Password), scram})
	c.adopt(address, a)
}

// adopt gives an account the keys that were made of its password.
func (c *Credentials) adopt(address domains.Address, a *conf.Account) {
	c.learnt.mu.Lock()
	made, ok := c.learnt.by[address]
	c.learnt.mu.Unlock()
	if !ok || made.of != hashOf(a.Password) || !c.keys[address].scram.CompareAndSwap(nil, made.scram) {
		return
	}
	if canLogIn(a) && c.withoutScram.Add(-1) == 0 {
		c.log.Info("all accounts have keys for a mechanism now: it is offered", "mechanism", "SCRAM-SHA-256")
	}
}

// adoptAll does so for all accounts.
func (c *Credentials) adoptAll() {
	if !c.derive {
		return
	}
	for address, a := range c.dir.Accounts() {
		if c.keys[address].scram.Load() == nil {
			c.adopt(address, a)
		}
	}
}

func canLogIn(a *conf.Account) bool { return a.Password != "" && !a.Disabled }

// learntMemory is what of it is to survive a restart: the keys of accounts that are
// there, and still have the password.
func (c *Credentials) learntMemory() (all []remembered) {
	c.learnt.mu.Lock()
	defer c.learnt.mu.Unlock()
	for address, k := range c.learnt.by {
		if a := c.dir.Account(address); a != nil && hashOf(a.Password) == k.of {
			all = append(all, remembered{Account: address, Of: k.of, Scram: sasl.FormatScram(sasl.ScramSHA256, k.scram)})
		}
	}
	return all
}

// recallLearnt takes up what learntMemory gave.
func (c *Credentials) recallLearnt(all []remembered) {
	for _, r := range all {
		if kind, scram, err := sasl.ParseScram(r.Scram); r.Scram != "" && err == nil && kind == sasl.ScramSHA256 {
			c.learnt.put(r.Account, learntKeys{r.Of, scram})
		}
	}
	c.adoptAll()
}
