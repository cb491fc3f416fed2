package daemon

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/published"
)

// nameless remembers which IPv6 addresses of this host have no name, so that whoever looks at the status does not wait for the
// DNS each time.
type nameless struct {
	mu    sync.Mutex
	asked time.Time
	of    []netip.Addr // that were asked about
	found []netip.Addr // those without a name
}

const (
	// namesKept is how long what the DNS said is good, and namesTime how long it is asked.
	namesKept, namesTime = 10 * time.Minute, time.Second
)

// look returns which addresses have no name. One that the DNS says nothing about has one, as far as anybody knows.
func (n *nameless) look(addrs []netip.Addr, lookup func(ctx context.Context, addr string) ([]string, error)) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.asked) < namesKept && slices.Equal(n.of, addrs) {
		return n.found
	}
	ctx, cancel := context.WithTimeout(context.Background(), namesTime)
	defer cancel()
	n.found = nil
	for _, a := range addrs {
		_, err := lookup(ctx, a.String())
		if unknown := (*net.DNSError)(nil); errors.As(err, &unknown) && unknown.IsNotFound {
			n.found = append(n.found, a)
		}
	}
	n.asked, n.of = time.Now(), addrs
	return n.found
}

// family says by which addresses mail leaves where that is worth knowing, and what is wrong with them; empty: nothing.
func (d *Daemon) family() (note, warning string) {
	s := d.state().settings
	if d.post.Outbound == nil || s.OnlyHere() {
		return "", ""
	}
	six := slices.DeleteFunc(published.Interfaces(), netip.Addr.Is4)
	var without []netip.Addr
	if len(six) > 0 {
		without = d.unnamed.look(six, d.dns.LookupAddr)
	}
	return familyWords(s, six, without)
}

// familyWords is family for these IPv6 addresses, some of which have no name.
func familyWords(s *conf.Settings, six, without []netip.Addr) (note, warning string) {
	var names []string
	for _, a := range without {
		names = append(names, a.String())
	}
	list, verb := strings.Join(names, ", "), "has"
	if len(names) > 1 {
		verb = "have"
	}
	const set = "mail leaves by IPv4 where a host has such an address (Queue.prefer_ipv4)"
	switch {
	case s.Queue.PreferIPv4 && len(six) == 0:
		return "Queue.prefer_ipv4 changes nothing: this host has no public IPv6 address", ""
	case s.Queue.PreferIPv4 && len(without) == 0:
		return set + "; its IPv6 addresses have names, so that it is not needed", ""
	case s.Queue.PreferIPv4:
		return set + ", as " + list + " " + verb + " no name (PTR)", ""
	case len(without) > 0:
		return "", "large providers refuse mail that leaves from " + list + ", which " + verb + ` no name (PTR); until that is mended, "Queue": {"prefer_ipv4": true} sends by IPv4 where that is possible`
	}
	return "", ""
}
