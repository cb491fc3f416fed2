package sealedmail

import (
	"runtime"
	"sync"
)

// guarded is a secret outside of the memory that the collector moves and copies: locked, so that it is not written to swap, and left out of core
// dumps, as far as the system lets us. Where it does not, it is memory as any other. What it is used for makes copies that live as long as that.
type guarded struct {
	mu    sync.Mutex
	octet []byte // nil: forgotten
}

// guard takes a secret, which is cleared where it was.
func guard(secret []byte) *guarded {
	g := new(guarded)
	var free func()
	g.octet, free = lockedMemory(len(secret))
	copy(g.octet, secret)
	clear(secret)
	runtime.AddCleanup(g, func(free func()) { free() }, free)
	return g
}

// use calls f with the secret, which it must not keep; of one that is forgotten, with nothing.
func (g *guarded) use(f func(secret []byte)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(g.octet)
	runtime.KeepAlive(g)
}

// forget clears the secret.
func (g *guarded) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.octet)
	g.octet = nil
	runtime.KeepAlive(g)
}

// clone is another one.
func (g *guarded) clone() (other *guarded) {
	g.use(func(secret []byte) { other = guard(append([]byte(nil), secret...)) })
	return other
}
