package sign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/postrider-mail/postrider/smtp/resolver"
)

// DNS is a Watcher: it finds the servers of a zone through a resolver, and asks each.
// Where none of them can be reached it has what the resolver itself knows, which may be
// as old as its memory.
type DNS struct{ Resolver *resolver.Resolver }

// maxAliases bounds a chain of CNAMEs.
const maxAliases = 8

// Watch implements Watcher.
func (d DNS) Watch(ctx context.Context, name string) ([]Answer, error) {
	for range maxAliases {
		servers, err := d.servers(ctx, name)
		if err != nil {
			return nil, err
		}
		all, target := d.ask(ctx, servers, name)
		if target == "" {
			return d.orResolver(ctx, name, all), nil
		}
		name = target
	}
	return nil, fmt.Errorf("%s: an alias of an alias, and so on without end", name)
}

// server is one of a zone's.
type server struct {
	name  string
	addrs []string
	err   error // why it has no address
}

// servers are those of the zone that a name is in: of the nearest name above it that
// has any.
func (d DNS) servers(ctx context.Context, name string) ([]server, error) {
	for zone := name; zone != "" && zone != "."; _, zone, _ = strings.Cut(zone, ".") {
		ns, err := d.Resolver.NS(ctx, zone)
		if err != nil && !errors.Is(err, resolver.ErrNoName) {
			return nil, err
		}
		// An alias has the servers of another zone.
		if len(ns.Records) == 0 || !strings.EqualFold(strings.TrimSuffix(ns.Name, "."), strings.TrimSuffix(zone, ".")) {
			continue
		}
		var all []server
		for _, host := range slices.Sorted(slices.Values(ns.Records)) {
			s := server{name: host}
			addrs, err := d.Resolver.Addr(ctx, host)
			if s.err = err; err == nil && len(addrs.Records) == 0 {
				s.err = errors.New("it has no address")
			}
			for _, a := range addrs.Records {
				s.addrs = append(s.addrs, netip.AddrPortFrom(a, 53).String())
			}
			all = append(all, s)
		}
		return all, nil
	}
	return nil, fmt.Errorf("no zone is known that %s is in", name)
}

// mostAddresses bounds the addresses of one server that are asked.
const mostAddresses = 16

// ask asks each server at each of its addresses, behind which may be machines that do not learn of a new record at the same
// time; all together, since some may not answer. target is the name that it is an alias of, if it is one.
func (d DNS) ask(ctx context.Context, servers []server, name string) (all []Answer, target string) {
	answers := make([][]Answer, len(servers))
	aliases := make([][]string, len(servers))
	var asked sync.WaitGroup
	for i, s := range servers {
		addrs := s.addrs[:min(len(s.addrs), mostAddresses)]
		answers[i], aliases[i] = make([]Answer, len(addrs)), make([]string, len(addrs))
		for j, addr := range addrs {
			asked.Go(func() { answers[i][j], aliases[i][j] = d.askAt(ctx, s.name, addr, name) })
		}
	}
	asked.Wait()
	for i, s := range servers {
		for _, alias := range aliases[i] {
			target = cmp.Or(target, alias)
		}
		all = append(all, heard(s, answers[i])...)
	}
	return all, target
}

// heard are the answers of a server's addresses. That this host does not reach all of them, for want of IPv6 as a rule,
// matters only where there is none it does.
func heard(s server, answers []Answer) (all []Answer) {
	if s.err != nil {
		return []Answer{{Server: s.name, Err: s.err}}
	}
	failed := func(a Answer) bool { return a.Err != nil }
	if !slices.ContainsFunc(answers, func(a Answer) bool { return !failed(a) }) {
		return answers[:min(1, len(answers))]
	}
	return slices.DeleteFunc(answers, failed)
}

// askAt asks at one address.
func (d DNS) askAt(ctx context.Context, server, addr, name string) (a Answer, target string) {
	a.Server = server
	at := d.Resolver.At(addr)
	alias, err := at.CNAME(ctx, name)
	if err == nil && len(alias.Records) > 0 {
		return a, alias.Records[0] + "."
	}
	txt, err := at.TXT(ctx, name)
	if err != nil && !errors.Is(err, resolver.ErrNoName) {
		a.Err = err
	}
	a.Records = txt.Records
	return a, ""
}

// orResolver adds what the resolver says where no server of the zone says anything.
func (d DNS) orResolver(ctx context.Context, name string, all []Answer) []Answer {
	if slices.ContainsFunc(all, func(a Answer) bool { return a.Err == nil }) {
		return all
	}
	txt, err := d.Resolver.TXT(ctx, name)
	if err == nil || errors.Is(err, resolver.ErrNoName) {
		all = append(all, Answer{Server: "the resolver", Records: txt.Records})
	}
	return all
}
