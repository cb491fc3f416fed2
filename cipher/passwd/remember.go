package passwd

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"sync"
	"time"
)

// memory holds which passwords were right. It keeps no password but a MAC of
// it under a key that was made at the start and never leaves the process; it
// keeps no failure, so that a wrong password can never be taken for a right
// one nor be tried any faster.
type memory struct {
	limit int
	life  time.Duration
	key   [32]byte

	mu      sync.Mutex
	entries map[string]remembered
}

type remembered struct {
	stored string // the string the password was right for
	tag    [sha256.Size]byte
	until  time.Time
}

func (m *memory) start(limit int, life time.Duration) {
	m.limit, m.life = limit, life
	if limit == 0 {
		m.limit = 10_000
	}
	if life == 0 {
		m.life = 10 * time.Minute
	}
	rand.Read(m.key[:])
	m.entries = make(map[string]remembered)
}

// tag binds account, stored string and password together.
func (m *memory) tag(account, stored string, password []byte) (tag [sha256.Size]byte) {
	h := hmac.New(sha256.New, m.key[:])
	var n [8]byte
	for _, s := range []string{account, stored} {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	h.Write(password)
	h.Sum(tag[:0])
	return tag
}

// holds reports whether password is known to be right. A changed stored string or
// an entry too old drops the entry.
func (m *memory) holds(account, stored string, password []byte) bool {
	m.mu.Lock()
	e, ok := m.entries[account]
	if ok && (e.stored != stored || !time.Now().Before(e.until)) {
		delete(m.entries, account)
		ok = false
	}
	m.mu.Unlock()
	if !ok || len(password) == 0 || len(password) > MaxPassword {
		return false
	}
	tag := m.tag(account, stored, password)
	return subtle.ConstantTimeCompare(tag[:], e.tag[:]) == 1
}

func (m *memory) add(account, stored string, password []byte) {
	if m.limit < 0 || m.life < 0 {
		return
	}
	e := remembered{stored, m.tag(account, stored, password), time.Now().Add(m.life)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.entries[account]; !ok && len(m.entries) >= m.limit {
		m.makeRoom()
	}
	m.entries[account] = e
}

// makeRoom drops an entry that is too old among the first few that come up,
// or else the last of those. Go's maps come up in no order, so nobody chooses
// the victim.
func (m *memory) makeRoom() {
	const look = 16
	victim, n := "", 0
	for account, e := range m.entries {
		victim = account
		if n++; n == look || !time.Now().Before(e.until) {
			break
		}
	}
	delete(m.entries, victim)
}
