package daemon

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/queue/sealed"
)

// newSending makes of one set of settings how mail leaves by it. before are those in force; nil at the start.
func (d *Daemon) newSending(s, before *conf.Settings) (*post.Sending, error) {
	relay, err := newRelay(s, d.dns)
	if err != nil {
		return nil, err
	}
	for i := range s.Queue.Routes {
		if r := &s.Queue.Routes[i]; r.Signature != "" {
			relay.Routes[r.Label(i)].Copy = d.keys.Only(r.Signature)
		}
	}
	keys, err := queueKeys(s, before)
	if err != nil {
		return nil, err
	}
	srs, err := d.newSRS(s)
	return &post.Sending{Queue: queueConfig(s), Relay: relay, STS: s.Queue.MTASTS, SRS: srs, Keys: keys, Own: rateOf(s.Rates.Own)}, err
}

// queueKeys are what messages are sealed with while they wait, made of the server's key; nil without one. What waits sealed is opened when no more is sealed, too.
// A key that has vanished under a running server is not made anew: what waits needs it, and what another seals would be lost when it is back.
func queueKeys(s, before *conf.Settings) (*sealed.Keys, error) {
	key, err := seal.LoadKey(s.SecretKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if !s.Queue.Seal {
			return nil, nil
		}
		if before == nil || before.SecretKeyFile != s.SecretKeyFile {
			key, _, err = seal.EnsureKey(s.SecretKeyFile)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key of the queue: %w", err)
	}
	secret, err := key.Derive("queue")
	if err != nil {
		return nil, fmt.Errorf("key of the queue: %w", err)
	}
	return sealed.NewKeys(secret, s.Queue.Seal)
}

// queueConfig is what the queue takes from one set of settings.
func queueConfig(s *conf.Settings) queue.Config {
	c := &s.Queue
	return queue.Config{
		Hostname:               domains.Canonical(s.ServerName).String(), // in reports: in ASCII
		Schedule:               schedule(c.For(nil)),
		Schedules:              schedules(c),
		Concurrency:            c.Concurrency,
		DestinationConcurrency: c.DestinationConcurrency,
		MaxEntries:             c.MaxMessages,
		MaxOctets:              int64(c.MaxOctets),
	}
}

// schedules are those of the domains that have times of their own.
func schedules(c *conf.Queue) (all domains.Map[queue.Schedule]) {
	for key, d := range c.Domains {
		for _, pattern := range conf.QueueNames(key) {
			if d.OwnTimes() {
				all.Set(pattern, schedule(c.For(d)))
			}
		}
	}
	return all
}

func schedule(d conf.QueueDomain) queue.Schedule {
	s := queue.Schedule{First: d.RetryFirst, Max: d.RetryMax, GiveUp: d.ExpireAfter, Warn: d.DelayWarningAfter}
	if s.Warn == 0 {
		s.Warn = -1 // the settings' "never"
	}
	return s
}

// newRelay makes what delivers.
func newRelay(s *conf.Settings, dns relay.Resolver) (*relay.Relay, error) {
	roots, err := authorities(s.Queue.CAFile)
	if err != nil {
		return nil, err
	}
	r := &relay.Relay{
		Hostname:   domains.Canonical(s.ServerName).String(), // said in EHLO: in ASCII
		Resolver:   dns,
		OwnAddrs:   append(ownAddrs(s), s.Queue.OwnAddresses...),
		PreferIPv4: s.Queue.PreferIPv4,
		Routes:     make(map[string]*relay.Route),
		Roots:      roots,

		MessagesPerConnection: s.Queue.MessagesPerConnection,
		Private:               s.Queue.DialPrivate,
		AddressConcurrency:    s.Queue.DestinationConcurrency,
	}
	for _, name := range s.Queue.OwnNames {
		r.OwnNames = append(r.OwnNames, domains.Canonical(name).String())
	}
	if s.TLS.MinVersion == "1.3" {
		r.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13}
	}
	for i := range s.Queue.Routes {
		c := &s.Queue.Routes[i]
		route, err := routeOf(c.Label(i), c, s.SecretKeyFile)
		if err != nil {
			return nil, err
		}
		r.Routes[route.Name] = route
	}
	r.Domains, err = byDomain(&s.Queue)
	return r, err
}

// byDomain is what is different for some domains.
func byDomain(c *conf.Queue) (all domains.Map[relay.Domain], err error) {
	for key, d := range c.Domains {
		own := relay.Domain{Source: relay.Source{Addr: d.SourceAddress, Hello: domains.Canonical(d.EHLOName).String()}}
		if own.Level, err = relay.ParseLevel(d.TLS); err != nil {
			return all, fmt.Errorf("mail to %s: %w", key, err)
		}
		for _, pattern := range conf.QueueNames(key) {
			all.Set(pattern, own)
		}
	}
	for i := range c.Routes {
		if pattern := c.Routes[i].Domain; pattern != "" {
			d, _ := all.Of(pattern)
			d.Route = c.Routes[i].Label(i)
			all.Set(pattern, d)
		}
	}
	return all, nil
}

// authorities are those of the system and of a file; nil, which is the
// system's alone, without one.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificate authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without any
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificate authorities: there is no certificate in %s", file)
	}
	return pool, nil
}

func routeOf(name string, c *conf.Route, keyFile string) (*relay.Route, error) {
	route := &relay.Route{
		Name: name, Hosts: c.Host, MX: c.MX, Port: uint16(c.Port),
		LMTP: c.Protocol == "lmtp", User: c.User, Password: string(c.Password), Mechanisms: c.Mechanisms,
	}
	if c.Password.IsSealed() {
		clear, err := accounts.OpenSealed(keyFile, string(c.Password), c.Subject())
		if err != nil {
			return nil, fmt.Errorf("password of route %s: %w", name, err)
		}
		route.Password = clear
	}
	if c.TLS == "implicit" {
		route.ImplicitTLS, route.TLS = true, relay.Verify
		route.Port = cmp.Or(route.Port, 465)
		return route, nil
	}
	level, err := relay.ParseLevel(c.TLS)
	if err != nil {
		return nil, fmt.Errorf("route %s: %w", name, err)
	}
	if (level == relay.Auto || level == "") && c.User != "" { // a password is for a host that has shown who it is
		level = relay.Verify
	}
	route.TLS = level
	return route, nil
}

// ownAddrs are the addresses at which this host takes mail in: a domain whose
// mail exchangers lead here would loop.
func ownAddrs(s *conf.Settings) (own []netip.Addr) {
	for _, l := range s.Listeners {
		if l.Protocol != conf.ProtocolSMTP || !strings.HasSuffix(l.Address, ":25") {
			continue
		}
		host, _, _ := net.SplitHostPort(l.Address)
		if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() {
			own = append(own, a)
			continue
		}
		addrs, _ := net.InterfaceAddrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				own = append(own, p.Addr())
			}
		}
	}
	return own
}
