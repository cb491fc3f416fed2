package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// Level is how much TLS a destination must show.
type Level string

// The levels, from the lowest. The empty one is none: a less particular one
// counts, and Auto in the end.
const (
	Auto    Level = "auto"    // May, raised by DANE, MTA-STS and what was seen before
	None    Level = "none"    // no TLS
	May     Level = "may"     // TLS where offered, whatever the certificate
	Encrypt Level = "encrypt" // TLS, whatever the certificate
	Verify  Level = "verify"  // TLS and a certificate of the public PKI for the host
	DANE    Level = "dane"    // TLS and a certificate that TLSA records name
)

// ParseLevel reads a level as a configuration has it.
func ParseLevel(s string) (Level, error) {
	switch l := Level(strings.ToLower(s)); l {
	case "", None, May, Encrypt, Verify, DANE, Auto:
		return l, nil
	}
	return "", fmt.Errorf("parse TLS level %q: not one of auto, none, may, encrypt, verify, dane", s)
}

// demand is what one target must show for one message.
type demand struct {
	level Level  // never Auto
	by    string // whose demand it is, in one word or two: "configuration", "mta-sts", "dane", "seen before"
	// tlsa are usable records, for DANE.
	tlsa []resolver.TLSA
	// names are those the certificate may be for; the first is said in SNI.
	names []string
	// policy is MTA-STS's, in force or in testing.
	policy *STSPolicy
	// waived: the sender does without what would be demanded otherwise.
	waived bool
}

// domainPolicy is what holds for all hosts of a domain.
type domainPolicy struct {
	domain   string
	level    Level // of the configuration
	explicit bool
	route    bool // the hosts are a route's
	sts      *STSPolicy
	stsErr   error
	seen     bool
}

// policyOf looks up what a domain asks. route's level, or the domain's in the
// configuration, comes before all else; for a message with REQUIRETLS the
// domain's policy has a say about the hosts all the same.
func (r *Relay) policyOf(ctx context.Context, domain domains.Name, route *Route, requireTLS bool) domainPolicy {
	p := domainPolicy{domain: domain.String(), route: route != nil}
	if route != nil {
		p.level, p.explicit = route.TLS, true
		if p.level == Auto || p.level == "" {
			p.level = May
		}
		return p
	}
	p.level = r.level(domain)
	p.explicit = p.level != Auto
	literal := domain.IsLiteral()
	if r.STS != nil && !literal && (!p.explicit || requireTLS) {
		p.sts, p.stsErr = r.STS.Policy(ctx, domain.String())
	}
	if !p.explicit {
		p.level = May
		p.seen = !literal && r.seen.verified(domain.String())
	}
	return p
}

// confirm refuses, for a message with REQUIRETLS, hosts that anybody who can
// forge DNS answers may have named: their certificates prove nothing then
// (RFC 8689 §4.2.1).
func (p domainPolicy) confirm(t target) error {
	switch {
	case p.route, t.literal, t.mxSecure:
		return nil
	case p.sts != nil && p.sts.Mode != STSNone && p.sts.Match(t.host):
		return nil
	case p.stsErr != nil:
		return refuse("4.7.0", "the message requires TLS all the way, and the MTA-STS policy of %s cannot be had: %v", p.domain, p.stsErr)
	}
	return refuse("5.7.10", "the message requires TLS all the way, and neither DNSSEC nor MTA-STS confirms that %s is a host of %s", t.host, p.domain)
}

// level is the configured level of a domain.
func (r *Relay) level(domain domains.Name) Level {
	for d := range r.Domains.Each(domain) {
		if d.Level != "" {
			return d.Level
		}
	}
	return Auto
}

// demandOf decides what one target must show. An error is a refusal: this
// target must not be used.
func (r *Relay) demandOf(ctx context.Context, p domainPolicy, t target, requireTLS bool) (demand, error) {
	d := demand{level: p.level, by: "configuration", names: []string{t.host}}
	if requireTLS {
		if err := p.confirm(t); err != nil {
			return d, err
		}
	}
	if p.explicit && p.level != DANE {
		return r.require(d, t, requireTLS)
	}
	if !p.explicit {
		d.by = "default"
	}
	applies, err := r.demandDANE(ctx, &d, p, t)
	if err != nil || applies {
		return d, err
	}
	if p.sts != nil && p.sts.Mode != STSNone {
		d.policy = p.sts
		if p.sts.Mode == STSEnforce {
			if !p.sts.Match(t.host) {
				return d, refuse("4.7.0", "TLS policy: %s is not among the hosts that the MTA-STS policy of %s names", t.host, p.domain)
			}
			d.level, d.by = Verify, "mta-sts"
			return d, nil
		}
	}
	if p.seen {
		d.level, d.by = Verify, "seen before"
	}
	return r.require(d, t, requireTLS)
}

// demandDANE applies TLSA records where there are any (RFC 7672 §2.2). With
// DANE in force MTA-STS has no say (RFC 8461 §2).
func (r *Relay) demandDANE(ctx context.Context, d *demand, p domainPolicy, t target) (applies bool, err error) {
	switch {
	case t.mxSecure:
	case !p.explicit:
		return false, nil
	case !t.literal:
		// Somebody who forges MX records has a host with good TLSA records.
		return false, refuse("4.7.5", "TLS policy: dane is configured for %s, but DNSSEC does not confirm that %s is its host", p.domain, t.host)
	}
	records, base, err := r.lookupTLSA(ctx, t)
	if err != nil {
		if !p.explicit {
			d.by = "dane"
		}
		return false, refuse("4.7.5", "TLS policy: TLSA records of %s cannot be had: %v", t.host, err)
	}
	if len(records) == 0 {
		if p.explicit {
			return false, refuse("4.7.5", "TLS policy: dane is configured for %s, but %s has no validated TLSA records", p.domain, t.host)
		}
		return false, nil
	}
	usable := slices.DeleteFunc(slices.Clone(records), func(t resolver.TLSA) bool { return !usable(t) })
	if len(usable) == 0 {
		if p.explicit {
			return false, refuse("4.7.5", "TLS policy: dane is configured for %s, but no TLSA record of %s is usable", p.domain, t.host)
		}
		// RFC 7672 §2.2: encryption is mandatory even so, and authentication
		// impossible by DANE. Whoever else demands it is still heard.
		d.level, d.by = Encrypt, "dane"
		return false, nil
	}
	d.level, d.by, d.tlsa = DANE, "dane", usable
	d.names = []string{base}
	for _, name := range []string{t.host, p.domain} {
		if !slices.Contains(d.names, name) && (name == t.host || !p.route) {
			d.names = append(d.names, name)
		}
	}
	return true, nil
}

// require raises a demand for a message with REQUIRETLS (RFC 8689 §4.2.1):
// verified TLS, whatever the configuration allows.
func (r *Relay) require(d demand, t target, requireTLS bool) (demand, error) {
	if !requireTLS || d.level == Verify || d.level == DANE {
		return d, nil
	}
	d.level, d.by = Verify, "requiretls"
	return d, nil
}

// needsTLS reports whether a connection in the clear is out of the question.
func (d demand) needsTLS() bool { return d.level != None && d.level != May }

// tlsConfig is for the handshake. The certificate is looked at by check, after
// it, so that one place decides and the cause can be told.
func (r *Relay) tlsConfig(d demand) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.TLSConfig != nil {
		c = r.TLSConfig.Clone()
	}
	if !d.needsTLS() && c.MinVersion == tls.VersionTLS12 {
		c.MinVersion = tls.VersionTLS10 // better than the clear, where that is the alternative
		if c.CipherSuites == nil {
			c.CipherSuites = anySuites()
		}
	}
	c.InsecureSkipVerify = true // see check
	c.ServerName = d.names[0]
	return c
}

// anySuites are the cipher suites of Go and, after them, those without forward
// secrecy, for hosts that have no others. RC4 and 3DES are no better than the clear.
func anySuites() (ids []uint16) {
	for _, s := range tls.CipherSuites() {
		ids = append(ids, s.ID)
	}
	for _, s := range tls.InsecureCipherSuites() {
		if !strings.Contains(s.Name, "RC4") && !strings.Contains(s.Name, "3DES") {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// check reports whether what host showed meets the demand, and whether it was
// verified, by DANE or the public PKI. pki is why the public PKI does not.
func (r *Relay) check(d demand, host string, cs *tls.ConnectionState) (verified bool, pki, err error) {
	now := time.Now()
	pki = r.verifyPKI(cs.PeerCertificates, host, now)
	if d.level == DANE {
		err := verifyDANE(d.tlsa, cs.PeerCertificates, d.names, now)
		return err == nil, pki, err
	}
	if d.level == Verify {
		return pki == nil, pki, pki
	}
	return pki == nil, pki, nil
}

func (r *Relay) verifyPKI(chain []*x509.Certificate, host string, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the server shows no certificate")
	}
	others := x509.NewCertPool()
	for _, c := range chain[1:] {
		others.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: r.Roots, Intermediates: others, CurrentTime: now})
	return err
}

// describe is a connection's TLS in a few words.
func describe(cs *tls.ConnectionState, d demand, verified bool) string {
	s := strings.ReplaceAll(tls.VersionName(cs.Version), " ", "")
	switch {
	case verified && d.level == DANE:
		return s + " verified by dane"
	case verified && d.by == "mta-sts":
		return s + " verified by mta-sts"
	case verified:
		return s + " verified"
	}
	return s + " unverified"
}
