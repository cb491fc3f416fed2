package resolver

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// state is what became of a question.
type state uint8

const (
	found  state = iota
	noData       // the name has no such records
	noName       // the name does not exist
	failed       // nobody knows
)

// result is the answer to a question, as it is remembered.
type result struct {
	state         state
	records       any           // a slice of what the type of the question makes of its records
	end           string        // of the CNAMEs, where there were any
	ttl           time.Duration // as it came
	at, expires   time.Time     // of the memory
	secure, owner bool          // validated by DNSSEC; said by a zone's own server
	err           *net.DNSError // unless found
}

// keep is for how long a result is remembered. That of 0 s is remembered a little, for
// the same message asks again.
func (r *result) keep() time.Duration {
	switch r.state {
	case found:
		return min(max(r.ttl, minTTL), maxTTL)
	case failed:
		return failureTTL
	}
	return min(max(r.ttl, minTTL), maxNegative)
}

// size is about what a result takes, in octets.
func (r *result) size() int64 {
	n := len(r.end)
	switch records := r.records.(type) {
	case []string:
		for _, s := range records {
			n += len(s) + 24
		}
	case []netip.Addr:
		n += 24 * len(records)
	case []MX:
		for _, mx := range records {
			n += len(mx.Host) + 40
		}
	case []TLSA:
		for _, t := range records {
			n += len(t.Data) + 48
		}
	case []SOA:
		for _, s := range records {
			n += len(s.Server) + len(s.Mailbox) + 80
		}
	}
	return int64(n)
}

// resolve finds the answer to a question. Where a server leaves off in the middle of a chain
// of CNAMEs, it is asked for the rest.
func (u *upstream) resolve(ctx context.Context, q question) *result {
	name, ok := spelled(q.name)
	if !ok {
		return nothing(&result{state: noName}, q)
	}
	res := &result{secure: u.Trusted, owner: true, ttl: maxTTL}
	for range maxChain {
		reply, err := u.exchange(ctx, name, q.qtype)
		if err != nil {
			return failure(q, err)
		}
		res.secure = res.secure && reply.AuthenticatedData
		res.owner = res.owner && reply.Authoritative
		owner, ttl, hops := follow(reply.Answer, dns.CanonicalName(name), q.qtype)
		if hops > 0 {
			name = strings.TrimSuffix(owner, ".")
			res.end, res.ttl = name, min(res.ttl, ttl)
		}
		if hops == maxChain {
			return failure(q, errLongChain)
		}
		if reply.Rcode == dns.RcodeNameError {
			res.state, res.ttl = noName, min(res.ttl, negativeTTL(reply, owner))
			return nothing(res, q)
		}
		own := ownedBy(reply.Answer, owner, q.qtype)
		if len(own) > 0 {
			for _, rr := range own {
				res.ttl = min(res.ttl, seconds(rr.Header().Ttl))
			}
			if res.records = decode(q, own); res.size() > largestAnswer {
				return failure(q, errTooLarge)
			}
			return res
		}
		if hops == 0 || u.direct || hasSOA(reply) {
			res.state, res.ttl = noData, min(res.ttl, negativeTTL(reply, owner))
			return nothing(res, q)
		}
	}
	return failure(q, errLongChain)
}

// spelled gives a name as the library reads it in a reply: with escapes for what is special
// there, which is in names that senders make up. It reports false for what the DNS cannot have.
func spelled(name string) (string, bool) {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return "", false
	}
	var wire [256]byte
	n, err := dns.PackDomainName(dns.Fqdn(name), wire[:], 0, nil, false)
	if err != nil {
		return "", false
	}
	name, _, err = dns.UnpackDomainName(wire[:n], 0)
	return name, err == nil
}

var (
	errLongChain = errors.New("the CNAMEs have no end")
	errTooLarge  = errors.New("the answer is too large")
)

// failure is the result where nobody knows.
func failure(q question, err error) *result {
	e := &net.DNSError{UnwrapErr: err, Err: err.Error(), Name: q.name, IsTimeout: isTimeout(err), IsTemporary: true}
	return &result{state: failed, err: e}
}

// nothing completes the result where there are no records.
func nothing(r *result, q question) *result {
	r.err = &net.DNSError{Err: "no records of the type " + typeName(q.qtype), Name: q.name, IsNotFound: true}
	if r.state == noName {
		r.err.Err, r.err.UnwrapErr = "no such name", ErrNoName
	}
	return r
}

func typeName(qtype uint16) string { return dns.Type(qtype).String() }

func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 { // RFC 2181 §8
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// follow goes through the CNAMEs of an answer, in whatever order they stand, to
// the name that the records are under, and says how many there were and the least TTL of
// them.
func follow(answer []dns.RR, name string, qtype uint16) (owner string, ttl time.Duration, hops int) {
	ttl = maxTTL
	if qtype == dns.TypeCNAME {
		return name, ttl, 0
	}
	for ; hops < maxChain; hops++ {
		i := slices.IndexFunc(answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeCNAME && belongs(rr, name) })
		if i < 0 {
			break
		}
		c, ok := answer[i].(*dns.CNAME)
		if !ok {
			break
		}
		name = dns.CanonicalName(c.Target)
		ttl = min(ttl, seconds(c.Hdr.Ttl))
	}
	return name, ttl, hops
}

func belongs(rr dns.RR, owner string) bool {
	return rr.Header().Class == dns.ClassINET && dns.CanonicalName(rr.Header().Name) == owner
}

// ownedBy are the records that were asked for. What else stands in an answer is
// nobody's business.
func ownedBy(answer []dns.RR, owner string, qtype uint16) (own []dns.RR) {
	for _, rr := range answer {
		if rr.Header().Rrtype == qtype && belongs(rr, owner) {
			own = append(own, rr)
		}
	}
	return own
}

func hasSOA(m *dns.Msg) bool {
	return slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
}

// negativeTTL is for how long it holds that something is not there (RFC 2308 §5): what the
// SOA record of a zone around the name says, else not at all.
func negativeTTL(m *dns.Msg, name string) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok && soa.Hdr.Class == dns.ClassINET && dns.IsSubDomain(dns.CanonicalName(soa.Hdr.Name), name) {
			return min(seconds(soa.Hdr.Ttl), seconds(soa.Minttl))
		}
	}
	return 0
}

// decode makes of records what is kept of them.
func decode(q question, own []dns.RR) any {
	if q.text {
		return gather(own, func(rr dns.RR) (string, bool) { return strings.TrimPrefix(rr.String(), rr.Header().String()), true })
	}
	switch q.qtype {
	case dns.TypeA, dns.TypeAAAA:
		return gather(own, address)
	case dns.TypeMX:
		return gather(own, func(rr *dns.MX) (MX, bool) { return MX{strings.TrimSuffix(rr.Mx, "."), rr.Preference}, true })
	case dns.TypeTXT:
		return gather(own, func(rr *dns.TXT) (string, bool) { return text(rr.Txt), true })
	case dns.TypeTLSA:
		return gather(own, func(rr *dns.TLSA) (TLSA, bool) {
			data, err := hex.DecodeString(rr.Certificate)
			return TLSA{rr.Usage, rr.Selector, rr.MatchingType, data}, err == nil
		})
	case dns.TypePTR: // with the dot at the end, as LookupAddr has it
		return gather(own, func(rr *dns.PTR) (string, bool) { return rr.Ptr, isHost(rr.Ptr) })
	case dns.TypeCNAME:
		return gather(own, func(rr *dns.CNAME) (string, bool) { return strings.TrimSuffix(rr.Target, "."), true })
	case dns.TypeNS:
		return gather(own, func(rr *dns.NS) (string, bool) { return strings.TrimSuffix(rr.Ns, "."), true })
	case dns.TypeSOA:
		return gather(own, func(rr *dns.SOA) (SOA, bool) {
			return SOA{strings.TrimSuffix(rr.Ns, "."), strings.TrimSuffix(rr.Mbox, "."), rr.Serial, seconds(rr.Minttl)}, true
		})
	}
	return nil
}

func gather[R dns.RR, T any](own []dns.RR, pick func(R) (T, bool)) []T {
	all := make([]T, 0, len(own))
	for _, rr := range own {
		if rr, ok := rr.(R); ok {
			if v, ok := pick(rr); ok {
				all = append(all, v)
			}
		}
	}
	return all
}

func address(rr dns.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *dns.A:
		return netip.AddrFromSlice(rr.A.To4())
	case *dns.AAAA:
		return netip.AddrFromSlice(rr.AAAA.To16())
	}
	return netip.Addr{}, false
}

// text joins the strings of a record (RFC 7208 §3.3, RFC 8461 §3.1). The library has them as in a
// zone file, with a backslash before what is special there: these are the octets.
func text(parts []string) string {
	joined := strings.Join(parts, "")
	if !strings.Contains(joined, `\`) {
		return joined
	}
	var b strings.Builder
	for i := 0; i < len(joined); i++ {
		c := joined[i]
		if c == '\\' && i+3 < len(joined) && isDigits(joined[i+1:i+4]) {
			c = (joined[i+1]-'0')*100 + (joined[i+2]-'0')*10 + joined[i+3] - '0'
			i += 3
		} else if c == '\\' && i+1 < len(joined) {
			i++
			c = joined[i]
		}
		b.WriteByte(c)
	}
	return b.String()
}

func isDigits(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < '0' || c > '9' })
}

// isHost reports whether a name of the DNS can be that of a host: underscores are in use.
func isHost(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	})
}
