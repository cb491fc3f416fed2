package maildir

import (
	"context"
	"fmt"
	"hash/maphash"
	"path/filepath"
	"strings"
	"sync"

	"github.com/postrider-mail/postrider/mailstore"
)

// usage is what a mailbox or domain holds, as far as we know. It comes from a
// listing and is kept up with our own deliveries and removals; what other
// programs do is noticed whenever the directory is read again, and always
// before a message is refused.
type usage struct {
	known    bool
	messages int64
	octets   int64
}

func (u *usage) add(messages, octets int64) {
	u.messages = max(u.messages+messages, 0)
	u.octets = max(u.octets+octets, 0)
}

// exceeds reports whether one more message of size octets is too much.
func (u usage) exceeds(q Quota, size int64) bool {
	return u.refuse(q, size) != nil
}

// refuse is nil if one more message of size octets fits, and says what does not.
func (u usage) refuse(q Quota, size int64) error {
	return q.Refuse(mailstore.Usage{Messages: u.messages, Octets: u.octets}, size)
}

// domainsInfo holds the usage of domains that have a quota.
type domainsInfo struct {
	mu sync.Mutex
	m  map[string]*usage
}

func (u *domainsInfo) add(domain string, messages, octets int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if d := u.m[domain]; d != nil {
		d.add(messages, octets)
	}
}

func domainOf(user string) string { return user[strings.LastIndexByte(user, '@')+1:] }

// setUse takes over a listing's figures. box.mu must be held.
func (b *box) setUse(messages, octets int64) {
	if b.use.known {
		b.s.domains.add(domainOf(b.user), messages-b.use.messages, octets-b.use.octets)
	}
	b.use = usage{known: true, messages: messages, octets: octets}
}

// total is what is there and what is about to be. box.mu must be held.
func (b *box) total() usage {
	u := b.use
	u.add(b.inflight.messages, b.inflight.octets)
	u.add(b.aside.use.messages, b.aside.use.octets)
	return u
}

// begin counts a delivery under way, so that two at once do not both take the
// last room.
func (b *box) begin(octets int64) {
	b.mu.Lock()
	b.inflight.add(1, octets)
	b.mu.Unlock()
	b.s.domains.add(domainOf(b.user), 1, octets)
}

// end ends a delivery begun.
func (b *box) end(octets int64, delivered bool) {
	b.mu.Lock()
	b.inflight.add(-1, -octets)
	if delivered && b.use.known {
		b.use.add(1, octets)
	}
	b.mu.Unlock()
	if !delivered {
		b.s.domains.add(domainOf(b.user), -1, -octets)
	}
}

// addUse notes a removal or a correction.
func (b *box) addUse(messages, octets int64) {
	b.mu.Lock()
	known := b.use.known
	if known {
		b.use.add(messages, octets)
	}
	b.mu.Unlock()
	if known {
		b.s.domains.add(domainOf(b.user), messages, octets)
	}
}

// Usage implements mailstore.Store.
func (s *Store) Usage(ctx context.Context, user string) (mailstore.Usage, error) {
	b, err := s.box(user)
	if err != nil {
		return mailstore.Usage{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	list, err := b.current()
	if err != nil {
		return mailstore.Usage{}, err
	}
	return mailstore.Usage{Messages: int64(len(list.entries)), Octets: list.octets}, nil
}

// Room implements mailstore.Store.
func (s *Store) Room(ctx context.Context, user string, size int64) error {
	b, err := s.box(user)
	if err != nil {
		return err
	}
	if err := s.Err(); err != nil {
		return err
	}
	if err := s.c.Space().Room(ctx, s.reserve, size); err != nil {
		return wrap("maildir", err)
	}
	return s.checkQuota(ctx, b, size)
}

func (s *Store) checkQuota(ctx context.Context, b *box, size int64) error {
	if s.boxQuota != nil {
		if q := s.boxQuota(b.user); q != (Quota{}) {
			if err := b.checkQuota(q, size); err != nil {
				return err
			}
		}
	}
	if s.domainQuota != nil {
		domain := domainOf(b.user)
		if q := s.domainQuota(domain); q != (Quota{}) {
			b.mu.Lock()
			err := b.countAside() // the domain's sum learns of it
			b.mu.Unlock()
			if err != nil {
				return err
			}
			return s.checkDomain(ctx, domain, q, size)
		}
	}
	return nil
}

func (b *box) checkQuota(q Quota, size int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.countAside(); err != nil {
		return err
	}
	if b.use.known && !b.total().exceeds(q, size) {
		return nil
	}
	if _, err := b.current(); err != nil { // sets use
		return err
	}
	return b.total().refuse(q, size)
}

func (s *Store) checkDomain(ctx context.Context, domain string, q Quota, size int64) error {
	s.domains.mu.Lock()
	u, ok := s.domains.m[domain]
	fits := ok && u.known && !u.exceeds(q, size)
	s.domains.mu.Unlock()
	if fits {
		return nil
	}
	sum, err := s.countDomain(ctx, domain)
	if err != nil {
		return err
	}
	if err := sum.refuse(q, size); err != nil {
		return fmt.Errorf("domain %s: %w", domain, err)
	}
	return nil
}

// countDomain adds up the mailboxes of a domain. It reads every directory that
// has changed, so a domain that stays full costs two stat calls per mailbox and
// refusal.
func (s *Store) countDomain(ctx context.Context, domain string) (usage, error) {
	s.domains.mu.Lock()
	if s.domains.m == nil {
		s.domains.m = make(map[string]*usage)
	}
	// What comes while we count may be seen in its mailbox or not. It is added,
	// so that at worst too much is known, and then all is counted again before
	// anybody is refused.
	meanwhile := &usage{}
	s.domains.m[domain] = meanwhile
	s.domains.mu.Unlock()
	sum := usage{known: true}
	enc, err := encodePart(domain)
	if err != nil {
		return sum, err
	}
	locals, err := subdirs(filepath.Join(s.root, enc))
	if err != nil {
		return sum, err
	}
	for _, local := range locals {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		user, ok := boxUser(enc, local)
		if !ok {
			continue
		}
		u, err := s.used(ctx, user)
		if err != nil {
			return sum, err
		}
		sum.add(u.messages, u.octets)
	}
	s.domains.mu.Lock()
	defer s.domains.mu.Unlock()
	if s.domains.m[domain] == meanwhile { // else somebody has begun after us
		meanwhile.add(sum.messages, sum.octets)
		meanwhile.known = true
	}
	return sum, nil
}

// reserve takes the room for a finished message in every mailbox, or in none.
// release says how the delivery ended.
func (d *delivery) reserve(ctx context.Context) (release func(delivered bool), err error) {
	var taken []*box
	release = func(delivered bool) {
		for _, b := range taken {
			b.end(d.wire, delivered)
		}
	}
	var refused map[string]error
	for _, b := range d.boxes {
		err := d.s.checkQuota(ctx, b, d.wire)
		if err == nil {
			b.begin(d.wire)
			taken = append(taken, b)
			err = d.copyApart(b)
		}
		refused = d.refuse(refused, b, err)
	}
	if err = ctx.Err(); err != nil {
		d.Abort() // what was found out while time ran out says nothing of the mailboxes
	} else {
		err = refusal(refused)
	}
	if err != nil {
		release(false)
	}
	return release, err
}

// claim reports whether an id is taken in the mailbox, and takes it if not. The
// set holds hashes: 100,000 ids are a few megabytes, and a false "taken" only
// costs a message its old id.
func (b *box) claim(uid string) (taken bool, err error) {
	if !validUID(uid) {
		return true, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids == nil {
		list, err := b.current()
		if err != nil {
			return false, err
		}
		b.ids = make(map[uint64]struct{}, len(list.entries))
		for _, e := range list.entries {
			b.ids[maphash.String(b.s.seed, e.uid)] = struct{}{}
		}
	}
	h := maphash.String(b.s.seed, uid)
	if _, ok := b.ids[h]; ok {
		return true, nil
	}
	b.ids[h] = struct{}{}
	return false, nil
}
