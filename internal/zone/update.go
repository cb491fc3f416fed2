package zone

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/smtp/spf"
)

// Server is a name server that takes dynamic updates (RFC 2136) from who has its
// key. Everything it is asked is signed with the key, over TCP.
type Server struct {
	Address string // "192.0.2.53:53"
	Key     *UpdateKey
	// Lead returns where a CNAME outside of the server's zones leads, or "" if
	// there is none at the name. Without it such names are passed over.
	Lead func(ctx context.Context, name string) (string, error)
	// SPF, where it is not nil, has terms that an SPF record written by hand lacks added to it. It is asked
	// what the record costs then: one that others would fail with is left as it is.
	SPF spf.Resolver
	// Now is the clock that signatures are made by; time.Now where nil.
	Now func() time.Time
}

// exchangeTime is how long one question to a server may take.
const exchangeTime = 10 * time.Second

// fudge is how many seconds the clocks may differ by (RFC 8945 §10).
const fudge = 300

// exchange asks the server and checks the signature of its answer.
func (s *Server) exchange(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	m.SetTsig(s.Key.Name, s.Key.Algorithm, fudge, now().Unix())
	c := &dns.Client{Net: "tcp", Timeout: exchangeTime, TsigSecret: map[string]string{s.Key.Name: s.Key.Secret}}
	answer, _, err := c.ExchangeContext(ctx, m, s.Address)
	if answer != nil {
		if t := answer.IsTsig(); t != nil && t.Error != dns.RcodeSuccess {
			return nil, s.refused(t, now())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.Address, err)
	}
	// A server need not sign that it has nothing to do with the zone.
	if answer.IsTsig() == nil && answer.Rcode != dns.RcodeRefused && answer.Rcode != dns.RcodeNotAuth {
		return nil, fmt.Errorf("%s does not sign its answer, %s", s.Address, dns.RcodeToString[answer.Rcode])
	}
	return answer, nil
}

// refused says in words why a server does not believe our signature.
func (s *Server) refused(t *dns.TSIG, now time.Time) error {
	switch int(t.Error) {
	case dns.RcodeBadKey:
		return fmt.Errorf("%s knows no key of the name %s and this algorithm", s.Address, strings.TrimSuffix(s.Key.Name, "."))
	case dns.RcodeBadSig:
		return fmt.Errorf("%s has another secret for the key %s", s.Address, strings.TrimSuffix(s.Key.Name, "."))
	case dns.RcodeBadTime:
		off := ""
		if there, err := strconv.ParseUint(t.OtherData, 16, 64); err == nil && len(t.OtherData) == 12 {
			off = fmt.Sprintf(" by %v", now.Sub(time.Unix(int64(there), 0)).Round(time.Second))
		}
		return fmt.Errorf("the clocks of this host and of %s differ%s; set them right", s.Address, off)
	}
	return fmt.Errorf("%s does not believe the key: %s", s.Address, dns.RcodeToString[int(t.Error)])
}

// errNotHere: the server has no zone with the name in it.
var errNotHere = errors.New("not in a zone of this server")

// set is what a server has at a name of one type, wildcards aside.
type set struct {
	zone, name string // absolute
	kind       uint16
	records    []dns.RR
	any        bool // the name has something, of this or another type
}

// most CNAMEs that are followed.
const mostLeads = 8

// look finds the records of a name and type, at the end of a CNAME where there is
// one, but for CNAME itself.
func (s *Server) look(ctx context.Context, name string, kind uint16) (*set, error) {
	seen := map[string]bool{}
	for range mostLeads {
		name = dns.CanonicalName(name)
		if seen[name] {
			return nil, fmt.Errorf("the CNAMEs at %s lead round in a circle", name)
		}
		seen[name] = true
		q := new(dns.Msg)
		q.SetQuestion(name, kind)
		q.RecursionDesired = false
		a, err := s.exchange(ctx, q)
		if err != nil {
			return nil, err
		}
		if !a.Authoritative || a.Rcode != dns.RcodeSuccess && a.Rcode != dns.RcodeNameError {
			if name, err = s.lead(ctx, name); err != nil {
				return nil, err
			}
			continue
		}
		found := &set{name: name, kind: kind, any: a.Rcode == dns.RcodeSuccess, records: atName(a, name, kind)}
		target, within := alias(a, name), name
		if off, end := dns.NextLabel(name, 0); target != "" && !end {
			within = name[off:] // an SOA is looked for behind a CNAME as well, and the name of a zone has none
		}
		if found.zone, err = s.zoneOf(ctx, within); err != nil {
			return nil, err
		}
		if target != "" || len(found.records) > 0 {
			if wild, err := s.fromWildcard(ctx, found, a); err != nil || wild {
				return &set{zone: found.zone, name: name, kind: kind}, err
			}
		}
		if target == "" || kind == dns.TypeCNAME {
			return found, nil
		}
		name = target
	}
	return nil, fmt.Errorf("more than %d CNAMEs lead on from %s", mostLeads, name)
}

// atName are the records of an answer that stand at the name itself.
func atName(m *dns.Msg, name string, kind uint16) (records []dns.RR) {
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == kind && dns.CanonicalName(rr.Header().Name) == name {
			records = append(records, rr)
		}
	}
	return records
}

// fromWildcard reports whether a wildcard above the name gives the same answer. A
// record that is added to the name then stands alone there.
func (s *Server) fromWildcard(ctx context.Context, found *set, a *dns.Msg) (bool, error) {
	kind := dns.TypeCNAME
	if len(found.records) > 0 {
		kind = found.records[0].Header().Rrtype
	}
	shown := atName(a, found.name, kind)
	for off, end := dns.NextLabel(found.name, 0); !end && dns.IsSubDomain(found.zone, found.name[off:]); off, end = dns.NextLabel(found.name, off) {
		wild := "*." + found.name[off:]
		q := new(dns.Msg)
		q.SetQuestion(wild, kind)
		q.RecursionDesired = false
		answer, err := s.exchange(ctx, q)
		if err != nil {
			return false, err
		}
		there := atName(answer, wild, kind)
		for _, rr := range there {
			rr.Header().Name = found.name
		}
		if len(there) == len(shown) && len(without(there, shown)) == 0 {
			return true, nil
		}
	}
	return false, nil
}

// lead follows a CNAME that the server does not have.
func (s *Server) lead(ctx context.Context, name string) (string, error) {
	if s.Lead == nil {
		return "", errNotHere
	}
	target, err := s.Lead(ctx, name)
	if err == nil && target == "" {
		err = errNotHere
	}
	return target, err
}

// alias is where a CNAME of the name leads, or "".
func alias(m *dns.Msg, name string) string {
	for _, rr := range m.Answer {
		if c, ok := rr.(*dns.CNAME); ok && dns.CanonicalName(c.Hdr.Name) == name {
			return c.Target
		}
	}
	return ""
}

// zoneOf returns the apex of the server's zone that the name is in.
func (s *Server) zoneOf(ctx context.Context, name string) (string, error) {
	q := new(dns.Msg)
	q.SetQuestion(name, dns.TypeSOA)
	q.RecursionDesired = false
	a, err := s.exchange(ctx, q)
	if err != nil {
		return "", err
	}
	for _, rr := range append(a.Answer, a.Ns...) {
		if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, name) {
			return dns.CanonicalName(soa.Hdr.Name), nil
		}
	}
	return "", errNotHere
}

// signed reports whether a zone has DNSSEC keys.
func (s *Server) signed(ctx context.Context, zone string) (bool, error) {
	q := new(dns.Msg)
	q.SetQuestion(zone, dns.TypeDNSKEY)
	q.RecursionDesired = false
	a, err := s.exchange(ctx, q)
	if err != nil {
		return false, err
	}
	for _, rr := range a.Answer {
		if rr.Header().Rrtype == dns.TypeDNSKEY {
			return true, nil
		}
	}
	return false, nil
}

// update changes one zone, all of it or nothing (RFC 2136 §3.4).
func (s *Server) update(ctx context.Context, zone string, changes []*Change) error {
	m := new(dns.Msg)
	m.SetUpdate(zone)
	for _, c := range changes {
		c.prerequisites(m)
	}
	for _, c := range changes {
		m.Remove(copies(c.Remove))
		m.Insert(copies(c.Add))
	}
	a, err := s.exchange(ctx, m)
	if err != nil {
		return err
	}
	switch a.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeYXDomain, dns.RcodeYXRrset, dns.RcodeNXRrset, dns.RcodeNameError:
		return fmt.Errorf("%s was changed by somebody else in the meantime, and nothing was done; try again", zone)
	case dns.RcodeRefused, dns.RcodeNotAuth:
		return fmt.Errorf("%s does not let the key %s change these names of %s", s.Address, strings.TrimSuffix(s.Key.Name, "."), zone)
	}
	return fmt.Errorf("%s answers %s to the update of %s", s.Address, dns.RcodeToString[a.Rcode], zone)
}

// prerequisites makes an update fail where the set is not as it was seen.
func (c *Change) prerequisites(m *dns.Msg) {
	switch {
	case len(c.seen.records) > 0:
		m.Used(copies(c.seen.records))
	case c.Add[0].Header().Rrtype == dns.TypeCNAME:
		m.NameNotUsed(copies(c.Add[:1]))
	default:
		m.RRsetNotUsed(copies(c.Add[:1]))
	}
}

func copies(records []dns.RR) []dns.RR {
	all := make([]dns.RR, len(records))
	for i, rr := range records {
		all[i] = dns.Copy(rr)
	}
	return all
}

// spki is the digest of a TLSA record as a TLSKey has it.
func spki(t *dns.TLSA) (sum [32]byte, ok bool) {
	data, err := hex.DecodeString(t.Certificate)
	if err != nil || len(data) != len(sum) || t.Usage != 3 || t.Selector != 1 || t.MatchingType != 1 {
		return sum, false
	}
	return [32]byte(data), true
}
