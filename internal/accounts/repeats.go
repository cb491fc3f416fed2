package accounts

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// A device that was left with an old password tries it again and again. That is
// one guess, however often it is made: it tells whoever makes it nothing new. To
// know it again, a tag of it is kept, under a key that is made at the start and
// never leaves the process. The tag is of the stored string as well, so that a
// password that has become the right one is checked.

// tag stands for one wrong password.
type tag [16]byte

const (
	// tagsPerLogin is how many wrong passwords are known again, for each account
	// and place: a device or two in a household.
	tagsPerLogin = 4
	// repeatEntries bounds the table, so that guesses from very many places cost
	// bounded memory.
	repeatEntries = 1 << 14
)

// repeats knows wrong passwords again. The zero value works.
type repeats struct {
	mu   sync.Mutex
	key  []byte
	seen map[login][]tag // the latest last
}

// tagOf is the tag of a password for an account.
func (r *repeats) tagOf(account domains.Address, stored string, password []byte) (t tag) {
	r.mu.Lock()
	if r.key == nil {
		r.key = make([]byte, 32)
		rand.Read(r.key)
	}
	key := r.key
	r.mu.Unlock()
	h := hmac.New(sha256.New, key)
	for _, s := range []string{account.String(), stored} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	h.Write(password)
	copy(t[:], h.Sum(nil))
	return t
}

// has reports whether a password was wrong from there already.
func (r *repeats) has(l login, t tag) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.seen[l], t)
}

// add notes a password that was wrong, and reports whether it is a new one: of
// those checked at the same time, only one is.
func (r *repeats) add(l login, t tag) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	tags, ok := r.seen[l]
	if slices.Contains(tags, t) {
		return false
	}
	if !ok && len(r.seen) >= repeatEntries {
		for other := range r.seen { // any: it costs its owner one guess more
			delete(r.seen, other)
			break
		}
	}
	if r.seen == nil {
		r.seen = make(map[login][]tag)
	}
	if len(tags) == tagsPerLogin {
		tags = slices.Delete(tags, 0, 1)
	}
	r.seen[l] = append(tags, t)
	return true
}
