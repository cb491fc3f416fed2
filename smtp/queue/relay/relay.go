package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// Relay is a queue.Transport. Resolver and Hostname must be set; no field may
// be changed after the first attempt.
type Relay struct {
	// Hostname is said in EHLO, unless Domains has another for the domain.
	Hostname string
	Resolver Resolver

	// OwnNames and OwnAddrs are further names and the addresses under which
	// this host receives mail: mail that the DNS sends there loops.
	OwnNames []string
	OwnAddrs []netip.Addr

	// Routes are the ways other than the DNS, by name, and Domains what is
	// particular about mail to some domains.
	Routes  map[string]*Route
	Domains domains.Map[Domain]

	// STS finds MTA-STS policies; nil for none.
	STS *STS
	// Roots are the authorities certificates are checked with; the system's
	// where nil. TLSConfig is the base of what is used, for example for its
	// MinVersion; it may be nil.
	Roots     *x509.CertPool
	TLSConfig *tls.Config
	// Cache remembers over restarts which domains have shown verified TLS;
	// memory only where nil.
	Cache Cache
	// Report, where not nil, hears the outcome of each TLS session, for
	// TLS-RPT, but of those that carry notices of our own: reports among them.
	Report func(TLSResult)

	// PreferIPv4: of a host that has IPv4 addresses no others are dialled.
	PreferIPv4 bool

	// Private are networks that are dialled where the DNS of a domain leads there,
	// although they are not Public. What a route names is always dialled.
	Private Networks
	// AddressConcurrency bounds the attempts under way at one address of the DNS, an
	// IPv4 address or an IPv6 /64, for each queue.Class; 20 where zero, a quarter
	// of it until the address has answered.
	AddressConcurrency int

	// Port is where hosts of the DNS are dialled; 25 where zero.
	Port uint16
	// Dial makes connections; net.Dialer, with source as its local address
	// where that is valid, where nil. network is "tcp" or "unix".
	Dial func(ctx context.Context, network, address string, source netip.Addr) (net.Conn, error)
	// Timeouts of the dialogue; the defaults of smtp.ClientTimeouts where zero.
	Timeouts smtp.ClientTimeouts

	// IdleTime is how long a connection is kept for the next message; 5
	// seconds where zero. MessagesPerConnection is the most it carries; 100
	// where zero.
	IdleTime              time.Duration
	MessagesPerConnection int

	// Log is for what has no place in a result; slog.Default where nil.
	Log *slog.Logger

	once sync.Once
	seen seen
	pool pool
	dead deadHosts
	load hostLoad
}

// Domain is what is particular about mail to a domain. What it leaves empty a less
// particular pattern of Relay.Domains may say.
type Domain struct {
	// Route names one of Relay.Routes. A name that is not there stands for the
	// DNS.
	Route string
	// Level is the TLS that is demanded. It overrides MTA-STS, DANE and what was
	// seen before, unless it is Auto.
	Level Level
	// Source is how we present ourselves.
	Source Source
}

// Source is how we present ourselves.
type Source struct {
	Addr  netip.Addr // to bind to, for hosts of its family; invalid: any
	Hello string     // Hostname where empty
}

func (s Source) set() bool { return s.Addr.IsValid() || s.Hello != "" }

var _ queue.Transport = (*Relay)(nil)

// The bounds of one attempt: a domain may list any number of hosts.
const (
	maxTargets   = 10 // addresses dialled
	maxHosts     = 10 // hosts looked up
	maxRounds    = 20 // transactions, for a server that takes few recipients each
	defaultIdle  = 5 * time.Second
	defaultMost  = 100
	defaultPort  = 25
	dialTimeout  = 30 * time.Second
	attemptLimit = time.Hour // whatever the time-outs of its steps add up to
	slowest      = 16 << 10  // octets of a message that may take a second more
)

func (r *Relay) start() {
	r.once.Do(func() { r.seen.cache = r.Cache })
}

func (r *Relay) port() uint16 {
	if r.Port != 0 {
		return r.Port
	}
	return defaultPort
}

func (r *Relay) log() *slog.Logger {
	if r.Log != nil {
		return r.Log
	}
	return slog.Default()
}

// Destination implements queue.Transport: the name of a route, or the domain.
func (r *Relay) Destination(rcpt queue.Recipient, route string) string {
	domain := rcpt.Path.DomainName()
	if way := r.routeOf(domain, route); way != nil {
		return "route:" + way.Name
	}
	return domain.String()
}

// Close closes the connections that are kept for reuse.
func (r *Relay) Close() error {
	r.pool.close()
	return nil
}

// Deliver implements queue.Transport.
func (r *Relay) Deliver(ctx context.Context, d *queue.Delivery) []queue.Result {
	r.start()
	ctx, cancel := context.WithTimeout(ctx, attemptLimit+time.Duration(d.Entry.Params.Size/slowest)*time.Second)
	defer cancel()
	a := &transfer{r: r, d: d, results: make([]queue.Result, len(d.To)), open: make([]int, len(d.To))}
	for i := range a.open {
		a.open[i] = i
	}
	a.domain = d.To[0].Path.DomainName()
	a.route = r.routeOf(a.domain, d.Route)
	a.run(ctx)
	return a.results
}

// transfer is one Delivery on its way.
type transfer struct {
	r       *Relay
	d       *queue.Delivery
	route   *Route // nil: by the DNS
	domain  domains.Name
	policy  domainPolicy
	results []queue.Result
	open    []int // recipients without a result yet
	waives  *bool // what waivesTLS has found
	eight   *bool // what isEightBit has
	busy    bool  // an address was not dialled for too many others
	dialled int   // addresses
}

// conclude gives all recipients without a result this one.
func (a *transfer) conclude(res queue.Result) {
	for _, i := range a.open {
		a.results[i] = res
	}
	a.open = nil
}

// run tries one host after the other until every recipient has a result. What
// is tried next after what is RFC 5321 §5.1.
func (a *transfer) run(ctx context.Context) {
	if c := a.r.pool.take(a.key()); c != nil {
		if a.over(ctx, c) == nil {
			return
		}
	}
	last := a.tryAll(ctx)
	if len(a.open) == 0 {
		return
	}
	if last == nil {
		last = refuse("4.4.1", "no host for %s", a.domain)
	}
	res := last.result()
	res.Busy = a.busy && a.dialled == 0 && res.Status == queue.Pending
	a.conclude(res)
}

// tryAll returns why the last target that was tried did not serve. It prefers
// a reason that is not final: where one host may do later, the mail waits.
func (a *transfer) tryAll(ctx context.Context) *refusal {
	a.waits(true)
	h, err := a.hosts(ctx)
	if err != nil {
		return a.ofRoute(asRefusal(err))
	}
	a.policy = a.r.policyOf(ctx, a.domain, a.route, a.d.Entry.Params.RequireTLS)
	a.reportPolicy()
	var last *refusal
	note := func(err error) {
		why := asRefusal(err)
		if last == nil || last.permanent || !why.permanent {
			why.unreachable = why.unreachable && (last == nil || last.unreachable)
			last = why
		}
	}
	for _, name := range h.names[:min(len(h.names), maxHosts)] {
		targets, err := a.targets(ctx, h, name)
		if err != nil {
			note(a.ofRoute(asRefusal(err)))
			if a.route == nil && asRefusal(err).loop {
				return last
			}
			continue
		}
		for _, t := range targets {
			if why, dead := a.isDead(t); dead {
				note(why)
				continue
			}
			if a.dialled >= maxTargets || ctx.Err() != nil {
				return last
			}
			if err := a.try(ctx, t); err != nil {
				note(err)
			}
			if len(a.open) == 0 {
				return nil
			}
		}
	}
	return last
}

// ofRoute is why no host was found, of which the route's settings may be the
// reason, or a DNS that has lost its memory: nothing for which other people's mail
// is returned. All that goes by the route waits.
func (a *transfer) ofRoute(why *refusal) *refusal {
	if a.route == nil || !why.permanent {
		return why
	}
	later := *why
	later.permanent, later.unreachable = false, true
	later.enhanced = "4" + strings.TrimLeft(why.enhanced, "5")
	later.text += " (of route " + a.route.Name + ")"
	return &later
}

func (a *transfer) hosts(ctx context.Context) (hosts, error) {
	if a.route != nil {
		return a.r.routeHosts(ctx, a.route)
	}
	return a.r.findHosts(ctx, a.domain.String())
}

func (a *transfer) targets(ctx context.Context, h hosts, name string) ([]target, error) {
	port := a.r.port()
	if a.route != nil {
		port = a.route.port()
		if isSocket(name) {
			return []target{{host: name, name: name, socket: name, literal: true}}, nil
		}
	}
	targets, err := a.r.addresses(ctx, h, name, port)
	if err != nil || a.route != nil {
		return targets, err
	}
	return a.r.publicOnly(name, targets)
}

// waits tells the queue whether anything has been heard of a host.
func (a *transfer) waits(yes bool) {
	if a.d.Waits != nil {
		a.d.Waits(yes)
	}
}

// try makes a connection to one target and delivers over it. An error means
// that the next target is to be tried for the recipients still open.
func (a *transfer) try(ctx context.Context, t target) error {
	a.waits(true)
	if a.route == nil {
		leave := a.r.load.enter(ctx, a.loadKey(t), a.r.perAddress())
		if leave == nil {
			a.busy = true
			return refuse("4.4.5", "too many attempts are under way at %s", t)
		}
		defer leave()
		if why, dead := a.isDead(t); dead {
			return why // found while this one stood in line
		}
	}
	a.dialled++
	began := time.Now()
	c, err := a.connect(ctx, t)
	if err != nil {
		why := asRefusal(err)
		switch {
		case why.login:
			a.r.dead.note(a.login(t), why)
		case why.unreachable && (ctx.Err() == nil || context.Cause(ctx) == queue.ErrGaveWay && time.Since(began) >= inLine):
			a.r.dead.note(t.String(), why)
			a.r.load.note(a.loadKey(t), false)
		}
		return why
	}
	a.waits(false)
	a.r.load.note(a.loadKey(t), true)
	a.r.dead.forget(t.String(), a.login(t))
	return a.over(ctx, c)
}

func (a *transfer) loadKey(t target) loadKey { return keyOf(t.addr.Addr(), a.d.Entry.Class) }

func (r *Relay) perAddress() int {
	if r.AddressConcurrency > 0 {
		return r.AddressConcurrency
	}
	return defaultPerAddress
}

// isDead says why a target is not to be tried now.
func (a *transfer) isDead(t target) (*refusal, bool) {
	if why, dead := a.r.dead.look(t.String()); dead {
		return why, true
	}
	return a.r.dead.look(a.login(t))
}

// login names a target as far as our login there is concerned.
func (a *transfer) login(t target) string {
	if a.route == nil {
		return t.String()
	}
	return "route " + a.route.Name + " by " + t.String()
}

// key names connections that can serve one another's messages.
func (a *transfer) key() string {
	key := a.d.Destination
	if a.d.Entry.Params.RequireTLS {
		key += " requiretls"
	}
	return key
}

func asRefusal(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return &refusal{enhanced: "4.4.0", text: err.Error()}
}
