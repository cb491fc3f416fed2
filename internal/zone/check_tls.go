package zone

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/smtp"
)

// tlsa looks whether the keys that the DNS announces are those that the server shows.
func (k *checking) tlsa() {
	name := "_25._tcp." + k.plan.Host
	v, ok := k.see(name, dns.TypeTLSA)
	if !ok || len(v.records) == 0 {
		return
	}
	if why := k.insecure[v.zone.name]; why != "" && !k.bogus {
		k.say(name, dns.TypeTLSA, Note, "nobody goes by the TLSA records as far as can be seen: in %s, %s", trim(v.zone.name), why)
	}
	var fitting []dns.RR
	usable := slices.DeleteFunc(slices.Clone(v.records), func(rr dns.RR) bool { return !k.usable(name, rr.(*dns.TLSA)) })
	for _, a := range k.plan.Addresses {
		at := net.JoinHostPort(a.String(), "25")
		chain, err := k.shownAt(at)
		if err != nil {
			k.say(name, dns.TypeTLSA, Unknown, "what certificate the server shows at %s could not be seen: %v", at, err)
			continue
		}
		before := len(fitting)
		for _, rr := range usable {
			if fits(rr.(*dns.TLSA), chain) {
				fitting = append(fitting, rr)
			}
		}
		if len(fitting) == before {
			sum := sha256.Sum256(chain[0].RawSubjectPublicKeyInfo)
			k.say(name, dns.TypeTLSA, Dangerous, "no TLSA record fits the certificate shown at %s: mail from everybody who goes by them is held up; it should be %q", at, "3 1 1 "+hex.EncodeToString(sum[:]))
			continue
		}
		k.say(name, dns.TypeTLSA, OK, "the server shows at %s what the TLSA records say", at)
	}
	for _, rr := range usable {
		t := rr.(*dns.TLSA)
		if len(fitting) > 0 && !slices.Contains(fitting, rr) && !k.announced(t) {
			k.say(name, dns.TypeTLSA, Note, "\"%d %d %d %.16s…\" fits no certificate that is shown, and is none that comes next: a leftover", t.Usage, t.Selector, t.MatchingType, t.Certificate)
		}
	}
	for _, key := range k.plan.TLSKeys {
		if !key.Next {
			continue
		}
		have := slices.ContainsFunc(v.records, func(rr dns.RR) bool { sum, ok := spki(rr.(*dns.TLSA)); return ok && sum == key.SPKI })
		if !have {
			k.say(name, dns.TypeTLSA, Differs, "the key that the server shows next is not announced: add %q before it is used", "3 1 1 "+hex.EncodeToString(key.SPKI[:]))
		}
	}
}

// announced reports whether a record is of one of the server's keys.
func (k *checking) announced(t *dns.TLSA) bool {
	sum, ok := spki(t)
	return ok && slices.ContainsFunc(k.plan.TLSKeys, func(key TLSKey) bool { return key.SPKI == sum })
}

// usable reports whether a record is one that SMTP clients go by, and says so if not
// (RFC 7672 §3.1).
func (k *checking) usable(name string, t *dns.TLSA) bool {
	switch data, err := hex.DecodeString(t.Certificate); {
	case t.Usage != 2 && t.Usage != 3:
		k.say(name, dns.TypeTLSA, Differs, "the usage of \"%d %d %d\" is not for mail; it is 3, or 2 for an authority (RFC 7672 §3.1.3)", t.Usage, t.Selector, t.MatchingType)
	case t.Selector > 1 || t.MatchingType > 2:
		k.say(name, dns.TypeTLSA, Differs, "nobody understands \"%d %d %d\"", t.Usage, t.Selector, t.MatchingType)
	case err != nil || t.MatchingType == 1 && len(data) != sha256.Size || t.MatchingType == 2 && len(data) != sha512.Size:
		k.say(name, dns.TypeTLSA, Differs, "the digest in \"%d %d %d %.20s…\" has %d octets, which is not the length of one", t.Usage, t.Selector, t.MatchingType, t.Certificate, len(data))
	default:
		return true
	}
	return false
}

// fits reports whether a record is of a certificate in a chain: the first one, or of
// an authority any behind it.
func fits(t *dns.TLSA, chain []*x509.Certificate) bool {
	if t.Usage == 3 {
		chain = chain[:1]
	}
	return slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return t.Verify(c) == nil })
}

// shownAt is the chain of certificates that a server shows behind STARTTLS.
func (k *checking) shownAt(address string) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(k.ctx, 15*time.Second)
	defer cancel()
	d := &smtp.Dialer{Hello: k.plan.Host, TLS: smtp.TLSRequired, TLSConfig: &tls.Config{InsecureSkipVerify: true, ServerName: k.plan.Host}}
	c, err := d.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	state := c.TLS()
	c.Quit(ctx)
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil, errors.New("it shows none")
	}
	return state.PeerCertificates, nil
}

// issuers looks whether the authority that certificates come from may issue them
// (RFC 8659 §3).
func (k *checking) issuers() {
	for _, want := range k.plan.CAA {
		at, found := k.authorities(want.Name)
		if len(found) == 0 || slices.ContainsFunc(found, func(c *dns.CAA) bool { return allows(c, want) }) {
			continue
		}
		var values []string
		for _, c := range found {
			values = append(values, fmt.Sprintf("%q", c.Value))
		}
		k.say(at, dns.TypeCAA, Dangerous, "certificates for %s come from %q, and only %s may issue them: the next one will be refused", want.Name, want.value(), strings.Join(values, " and "))
	}
}

// authorities are those that may issue certificates for a name, by the records at it
// or at the nearest name above.
func (k *checking) authorities(name string) (at string, found []*dns.CAA) {
	for at = dns.Fqdn(name); at != "."; {
		m, err := k.recurse(k.ctx, at, dns.TypeCAA)
		if err != nil {
			return at, nil
		}
		for _, rr := range m.Answer {
			if c, ok := rr.(*dns.CAA); ok && c.Tag == "issue" {
				found = append(found, c)
			}
		}
		if len(found) > 0 || hasType(m.Answer, dns.TypeCAA) {
			return at, found
		}
		off, end := dns.NextLabel(at, 0)
		if end {
			break
		}
		at = at[off:]
	}
	return at, nil
}

// services looks whether programs that go by SRV records find what is there.
func (k *checking) services() {
	for _, r := range k.plan.Records() {
		want, ok := r.RR.(*dns.SRV)
		if !ok || want.Target == "." {
			continue // what is not here may be elsewhere
		}
		v, ok := k.see(Name(want), dns.TypeSRV)
		if !ok || v.wild || len(v.records) == 0 {
			continue
		}
		if !slices.ContainsFunc(v.records, func(rr dns.RR) bool {
			have, ok := rr.(*dns.SRV)
			return ok && strings.EqualFold(have.Target, want.Target) && have.Port == want.Port
		}) {
			k.say(Name(want), dns.TypeSRV, Differs, "mail programs are led to %s, and the service is at %s port %d", values(v.records), trim(want.Target), want.Port)
		}
	}
}

// outward tries whether anybody can be reached at port 25.
func (k *checking) outward() {
	if k.Dialled == "" {
		return
	}
	ctx, cancel := context.WithTimeout(k.ctx, 20*time.Second)
	defer cancel()
	d := &smtp.Dialer{Hello: k.plan.Host, DialContext: k.dial}
	c, err := d.Dial(ctx, k.Dialled)
	if err != nil {
		k.sayOf(k.plan.Host, "port 25", Dangerous, "%s cannot be reached: %v; many providers open port 25 outward only when they are asked to", k.Dialled, err)
		return
	}
	c.Quit(ctx)
	k.sayOf(k.plan.Host, "port 25", OK, "%s answers: mail can leave", k.Dialled)
}
