package verify

import (
	"fmt"
	"net/netip"
	"sync"
)

// nat notices when all strangers seem to come from one private address: a gateway, such
// as a container's, that hides who they are. Nothing that judges addresses works then.
type nat struct {
	mu   sync.Mutex
	addr netip.Addr
	n    int // senders in a row that came from it
}

// natRow is how many senders in a row make the sign certain.
const natRow = 50

// saw notes a sender's address. news: it is the one that makes it certain.
func (n *nat) saw(client netip.Addr) (news bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if client != n.addr || !private(client) {
		n.addr, n.n = client, 0
	}
	n.n++
	return n.n == natRow && private(client)
}

// gateway notes a sender's address, and writes down once that all of them seem to be one gateway's.
func (v *Verifier) gateway(client netip.Addr) {
	if v.nat.saw(client) && v.Log != nil {
		v.Log.Error("all strangers come from one private address", "address", client, "err", v.Problem())
	}
}

// Problem says what keeps strangers from being told apart, or nil.
func (v *Verifier) Problem() error {
	v.nat.mu.Lock()
	defer v.nat.mu.Unlock()
	if v.nat.n < natRow || !private(v.nat.addr) {
		return nil
	}
	return fmt.Errorf("the last %d senders from outside all came from %s, a private address: something in front of this server hides who they are. "+
		"SPF, the reverse name, DNS lists, the greylist and the throttle cannot tell them apart; have it send PROXY headers (proxy_from), or let it pass the addresses on", v.nat.n, v.nat.addr)
}
