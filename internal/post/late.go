package post

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// lateRefusals remembers messages that were refused for everybody because some
// mailbox could not take them when all of them had come: the client had announced
// no size, or less. When the client sends the message again, the size is known at
// RCPT: the mailbox that is too full is refused there, alone, and the other
// recipients get the message. It is known once only, so that a smaller message
// from the same sender is not kept waiting for long. The zero value is ready.
type lateRefusals struct {
	mu   sync.Mutex
	seed maphash.Seed
	at   map[uint64]lateRefusal // by client's network, sender and mailbox
}

type lateRefusal struct {
	size  int64
	until time.Time
	used  string // the transaction that it is for; "" while none has asked
}

const (
	lateFor  = 24 * time.Hour // clients wait for hours between two attempts
	mostLate = 10000
)

// note remembers that a message of size octets did not fit.
func (l *lateRefusals) note(e *smtp.Envelope, mailbox domains.Address, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at, l.seed = make(map[uint64]lateRefusal), maphash.MakeSeed()
	}
	for key, r := range l.at {
		if len(l.at) < mostLate && time.Now().Before(r.until) {
			break
		}
		delete(l.at, key)
	}
	l.at[l.key(e, mailbox)] = lateRefusal{size: size, until: time.Now().Add(lateFor)}
}

// size is that of the message from the client's sender that did not fit into the
// mailbox last time, 0 where there is none.
func (l *lateRefusals) size(e *smtp.Envelope, mailbox domains.Address) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.at) == 0 {
		return 0
	}
	key := l.key(e, mailbox)
	r, ok := l.at[key]
	switch {
	case !ok:
		return 0
	case time.Now().After(r.until), r.used != "" && r.used != e.ID:
		delete(l.at, key)
		return 0
	}
	r.used = e.ID
	l.at[key] = r
	return r.size
}

// key takes the network and not the address: large senders try again from another
// host.
func (l *lateRefusals) key(e *smtp.Envelope, mailbox domains.Address) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	if e.Session.RemoteAddr != nil {
		if ap, err := netip.ParseAddrPort(e.Session.RemoteAddr.String()); err == nil {
			bits := 24
			if ap.Addr().Unmap().Is6() {
				bits = 48
			}
			network, _ := ap.Addr().Unmap().Prefix(bits)
			h.WriteString(network.String())
		}
	}
	for _, part := range []string{e.Session.User, e.From.String(), mailbox.String()} {
		h.WriteByte(0)
		h.WriteString(part)
	}
	return h.Sum64()
}
