package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Transport maps of Postfix, transport(5), in their text.

// readTransports reads a transport map.
func readTransports(r io.Reader, f *takeoverFlags, _ domains.Name) (all []conf.NewRoute, bad []error) {
	first := make(map[string]int)
	err := logicalLines(r, true, func(n int, line string) {
		where := fmt.Sprintf("%s:%d", f.file, n)
		end := strings.IndexAny(line+" ", " \t")
		pattern, result := strings.ToLower(line[:end]), strings.TrimSpace(line[end:])
		route := conf.NewRoute{Where: where, Domain: pattern}
		err := forOneDomain(pattern)
		switch at := first[pattern]; {
		case err != nil:
		case at > 0:
			err = fmt.Errorf("it stands in line %d already, which counts", at)
		default:
			first[pattern] = n
			err = transport(&route, result)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %s: %w", where, pattern, err))
			return
		}
		all = append(all, route)
	})
	if err != nil {
		bad = append(bad, fmt.Errorf("%s: %w", f.file, err))
	}
	return all, bad
}

// forOneDomain says why a pattern is none of those that a route can have.
func forOneDomain(pattern string) error {
	switch {
	case strings.HasPrefix(pattern, "/") || strings.HasPrefix(pattern, "!/") || pattern == "if" || pattern == "endif":
		return fmt.Errorf("a regular expression; a route is for a domain")
	case strings.Contains(pattern, "@"):
		return fmt.Errorf("a route is for a domain, not for one address of it")
	}
	return nil
}

// transport reads a result, "transport:nexthop".
func transport(r *conf.NewRoute, result string) error {
	service, hop, ok := strings.Cut(result, ":")
	if !ok {
		return fmt.Errorf("%q has no colon", result)
	}
	switch service = strings.TrimSpace(service); service {
	case "", "smtp", "relay":
	case "lmtp":
		r.LMTP = true
	case "local", "virtual":
		r.Here = true
		return nil
	case "error", "retry":
		return fmt.Errorf("mail for it is refused there; a rule can refuse it here, see: postrider conf doc Rules")
	case "discard":
		return fmt.Errorf("mail for it is thrown away there, which a route cannot do")
	default:
		return fmt.Errorf("%s is a service of that host's master.cf, of which the map says nothing; write a route for what it does", service)
	}
	hops := strings.FieldsFunc(hop, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })
	for i, h := range hops {
		one, err := nextHop(h, r.LMTP)
		switch {
		case err != nil:
			return err
		case i > 0 && (one.MX != r.MX || one.Port != r.Port):
			return fmt.Errorf("its hosts have several ports, or some are asked for MX records and others not; a route has one port for all")
		}
		r.MX, r.Port, r.TLS, r.Hosts = one.MX, one.Port, one.TLS, append(r.Hosts, one.Hosts...)
	}
	if r.LMTP && len(hops) == 0 {
		return fmt.Errorf("LMTP to whatever host the domain names; write a route with its name")
	}
	return nil
}

// nextHop reads one destination: "[host]" as it is, "host" by its MX records, each with ":port"; for LMTP, which asks for
// no MX records, also "inet:host" and "unix:/path".
func nextHop(text string, lmtp bool) (r conf.NewRoute, err error) {
	host := text
	if lmtp {
		if socket, ok := strings.CutPrefix(host, "unix:"); ok {
			if !path.IsAbs(socket) {
				return r, fmt.Errorf("the socket %s is below that host's queue_directory; write a route with its whole path", socket)
			}
			r.Hosts = []string{socket}
			return r, nil
		}
		host = strings.TrimPrefix(host, "inet:")
	}
	r.MX = !lmtp
	port := ""
	if rest, ok := strings.CutPrefix(host, "["); ok {
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return r, fmt.Errorf("%q: a bracket is not closed", text)
		}
		r.MX = false
		host, port = strings.TrimPrefix(strings.ToLower(rest[:end]), "ipv6:"), strings.TrimPrefix(rest[end+1:], ":")
	} else if name, p, ok := strings.Cut(host, ":"); ok {
		host, port = name, p
	}
	if _, err := netip.ParseAddr(host); err == nil {
		r.MX = false
	}
	if r.Hosts = []string{host}; port == "" {
		return r, nil
	}
	if r.Port, err = portOf(port); err != nil {
		return r, fmt.Errorf("%q: there is no port %s", text, port)
	}
	if r.Port == 465 {
		r.TLS = "implicit" // Postfix does so by smtp_tls_wrappermode, without which the port would not answer it
	}
	return r, nil
}

// portOf reads a port by its number or name.
func portOf(text string) (int, error) {
	if i := slices.Index([]string{"smtp", "submission", "submissions", "smtps", "lmtp"}, text); i >= 0 {
		return []int{25, 587, 465, 465, 24}[i], nil // /etc/services may not be there
	}
	if n, err := strconv.ParseUint(text, 10, 16); err == nil && n > 0 {
		return int(n), nil
	}
	return net.LookupPort("tcp", text)
}
