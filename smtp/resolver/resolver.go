package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// ErrNoName: the name does not exist (NXDOMAIN), which is more than that it has no
// records of the kind.
var ErrNoName = errors.New("resolver: no such name in the DNS")

// Config says whom a Resolver asks and how much it keeps.
type Config struct {
	// Servers are asked in turn, "127.0.0.1:53" or "::1"; where the port is missing it is 53. The
	// one that answered last comes first. Without any there is no answer; see ResolvConf.
	Servers []string
	// Trusted: the servers validate DNSSEC, and nobody can change their
	// answers on the way here, because they run on this host or behind a
	// tunnel. Only then is any answer Secure.
	Trusted bool
	// Timeout is the wait for one server; 5 seconds where zero. Each is asked
	// twice, the second time over TCP, and all of that takes 20 seconds at most.
	Timeout time.Duration
	// Dial connects to a server; net.Dialer where nil. network is "udp" or "tcp".
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// MaxEntries and MaxOctets bound what is remembered; 50,000 and 16 MiB where zero.
	MaxEntries int
	MaxOctets  int64
}

// The bounds within which answers are kept, whatever their TTL says.
const (
	minTTL      = 5 * time.Second // one message asks several times
	maxTTL      = 24 * time.Hour
	maxNegative = time.Hour
	failureTTL  = 5 * time.Second // RFC 9520 §3.2 wants 1 s at least
)

// The bounds of one question.
const (
	limit    = 20 * time.Second
	maxChain = 16 // CNAMEs followed
	// largestAnswer, in octets, is more than a message of 64 KiB of text can have; names that a message
	// says once and points to may be repeated to many times that.
	largestAnswer = 128 << 10
	maxQueries    = 1000 // under way at a time, each with a socket
	muteFor       = 60   // seconds for which a server that is mute over UDP is asked over TCP
)

func (c Config) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return 5 * time.Second
}

// Resolver asks the DNS. It is made by New; its methods may be called concurrently.
type Resolver struct {
	upstream atomic.Pointer[upstream]
	counts   *counts
	direct   bool      // asks a zone's own servers, and remembers nothing
	of       *Resolver // whose memory this is, and no more than that; nil: it asks
}

// now is what it knows by the present Config.
func (r *Resolver) now() *upstream {
	if r.of != nil {
		r = r.of
	}
	return r.upstream.Load()
}

// upstream is what a Resolver knows from one set of servers.
type upstream struct {
	Config
	direct bool
	counts *counts
	first  atomic.Int32   // of the servers, the one that answered last
	mute   []atomic.Int64 // by server: until when it is not asked over UDP, which it did not answer; Unix time
	places chan struct{}  // one for each query under way

	mu      sync.Mutex
	cache   cache
	flights map[question]*flight
}

// question is what is asked for. The name is in lower case, without the dot at the end.
type question struct {
	name  string
	qtype uint16
	text  bool // the records as text
}

// New makes a Resolver.
func New(c Config) *Resolver {
	r := &Resolver{counts: new(counts)}
	r.upstream.Store(newUpstream(c, r))
	return r
}

func newUpstream(c Config, r *Resolver) *upstream {
	if c.MaxEntries <= 0 {
		c.MaxEntries = 50_000
	}
	if c.MaxOctets <= 0 {
		c.MaxOctets = 16 << 20
	}
	c.Servers = slices.Clone(c.Servers)
	for i, s := range c.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			c.Servers[i] = net.JoinHostPort(strings.Trim(s, "[]"), "53")
		}
	}
	u := &upstream{Config: c, direct: r.direct, counts: r.counts, flights: make(map[question]*flight), places: make(chan struct{}, maxQueries)}
	u.mute = make([]atomic.Int64, len(c.Servers))
	u.cache = cache{maxEntries: c.MaxEntries, maxOctets: c.MaxOctets, counts: r.counts}
	return u
}

// Reconfigure has the Resolver ask by another Config from the next question on. What it has
// remembered is forgotten if the servers or the trust in them are others, or a Dial is set.
func (r *Resolver) Reconfigure(c Config) {
	old, u := r.upstream.Load(), newUpstream(c, r)
	if old.Trusted == u.Trusted && slices.Equal(old.Servers, u.Servers) && old.Dial == nil && u.Dial == nil &&
		old.Timeout == u.Timeout && old.MaxEntries == u.MaxEntries && old.MaxOctets == u.MaxOctets {
		return
	}
	r.upstream.Store(u)
}

// At returns a Resolver that asks these servers, a zone's own ones, in the manner of Config.Servers and as
// the Config is now: without recursion and without remembering anything. A server that is not
// authoritative for the name is an error. No answer is Secure. Its questions count among those of r.
func (r *Resolver) At(servers ...string) *Resolver {
	c := r.upstream.Load().Config
	c.Servers, c.Trusted = servers, false
	at := &Resolver{counts: r.counts, direct: true}
	at.upstream.Store(newUpstream(c, at))
	return at
}

// ResolvConf returns the servers of a resolv.conf(5) file.
func ResolvConf(name string) ([]string, error) {
	c, err := dns.ClientConfigFromFile(name)
	if err != nil {
		return nil, fmt.Errorf("read DNS servers: %w", err)
	}
	var servers []string
	for _, s := range c.Servers {
		servers = append(servers, net.JoinHostPort(s, c.Port))
	}
	return servers, nil
}

// flight is a question under way, and those who wait for its answer.
type flight struct {
	done    chan struct{}
	waiting int
	cancel  context.CancelFunc
	result  *result // once done is closed
}

// canonical gives the name of a question.
func canonical(name string) string {
	if len(name) > 1 {
		name = strings.TrimSuffix(name, ".")
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c >= 'A' && c <= 'Z' {
			return lower(name)
		}
	}
	return name
}

// lower knows no letters but those of ASCII: whatever else has a lower case is
// not the same name in the DNS (RFC 4343).
func lower(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, name)
}

// lookup returns what the DNS has for a question: from memory, from a query that is
// under way already, or from one of its own. The result is shared: nobody changes it.
// An error says that ctx was done first.
func (r *Resolver) lookup(ctx context.Context, q question) (*result, error) {
	u := r.now()
	u.mu.Lock()
	if res := u.cached(q, time.Now()); res != nil {
		u.mu.Unlock()
		u.counts.lookups.Add(1)
		u.counts.hits.Add(1)
		return res, nil
	}
	if r.of != nil {
		u.mu.Unlock()
		return nil, errNotRemembered
	}
	u.counts.lookups.Add(1)
	if err := ctx.Err(); err != nil {
		u.mu.Unlock()
		return nil, gaveUp(q.name, err)
	}
	f := u.flights[q]
	if f == nil {
		querying, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		q.name = strings.Clone(q.name) // it may be a piece of a whole message, which is not to be kept for it
		f = &flight{done: make(chan struct{}), cancel: cancel}
		u.flights[q] = f
		go u.answerAll(querying, q, f)
	} else {
		u.counts.joined.Add(1)
	}
	f.waiting++
	u.mu.Unlock()
	select {
	case <-f.done:
		return f.result, nil
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		if u.flights[q] == f {
			delete(u.flights, q) // whoever comes now asks anew
		}
	}
	return nil, gaveUp(q.name, ctx.Err())
}

// cached is what is remembered, if only that nothing has this name.
func (u *upstream) cached(q question, now time.Time) *result {
	if u.direct {
		return nil
	}
	if res := u.cache.get(q, now); res != nil {
		return res
	}
	return u.cache.get(question{name: q.name}, now)
}

// answerAll asks, remembers the answer and gives it to those who wait.
func (u *upstream) answerAll(ctx context.Context, q question, f *flight) {
	defer f.cancel()
	began := time.Now()
	f.result = u.resolve(ctx, q)
	u.counts.answered(q.qtype, f.result.state, time.Since(began))
	if f.result.state == failed {
		u.counts.failures.Add(1)
	}
	u.mu.Lock()
	if u.flights[q] == f {
		delete(u.flights, q)
		if !u.direct {
			key := q
			if f.result.state == noName && f.result.end == "" {
				key = question{name: q.name} // RFC 2308 §5: whatever the type
			}
			u.cache.put(key, f.result, time.Now())
		}
	}
	u.mu.Unlock()
	close(f.done)
}

// gaveUp is the error of a caller who would not wait any longer.
func gaveUp(name string, err error) *net.DNSError {
	return &net.DNSError{UnwrapErr: err, Err: err.Error(), Name: name, IsTimeout: errors.Is(err, context.DeadlineExceeded), IsTemporary: true}
}
