package zone

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
)

// sts looks at the MTA-STS policy as a sender does (RFC 8461 §3).
func (k *checking) sts() {
	p := k.plan
	name := "_mta-sts." + p.Domain
	v, ok := k.see(name, dns.TypeTXT)
	if !ok {
		return
	}
	if p.STS == STSOff && len(v.ofKind(kindSTS)) == 0 {
		return
	}
	value, ok := k.single(name, kindSTS, "v=STSv1; id="+p.policyID(), p.STS != STSOff)
	if !ok {
		return
	}
	id := k.stsID(name, value)
	if k.bogus {
		return
	}
	text, policy := k.fetchPolicy()
	if policy == nil {
		return
	}
	host := "mta-sts." + p.Domain
	k.comparePolicy(host, policy)
	if policy.Mode != relay.STSNone {
		k.certificates(policy)
	}
	switch {
	case id == "":
	case p.STS == STSOff:
		k.say(name, dns.TypeTXT, Note, `there is a policy, although "DNS": {"mta_sts"} is off`)
	case id != p.policyID() && text == p.Policy():
		k.say(name, dns.TypeTXT, Differs, "the id %s is stale: it is that of another policy than the one that is fetched, and others who know that one do not fetch this; it should be %q", id, "v=STSv1; id="+p.policyID())
	case text != p.Policy() && len(k.report.faultsAt(host)) == 0:
		k.say(host, dns.TypeTXT, Note, "the policy is another than the one made here (\"postrider dns show --policy %s\"), and does as well", p.Domain)
	}
}

// faultsAt are the faults found at a name.
func (r *Report) faultsAt(name string) (all []Finding) {
	for _, f := range r.Faults() {
		if f.Name == name {
			all = append(all, f)
		}
	}
	return all
}

var stsID = regexp.MustCompile(`^v=STSv1; *id=([A-Za-z0-9]{1,32}) *(;.*)?$`)

// stsID reads the record: version first, and an id of letters and digits (RFC 8461 §3.1).
func (k *checking) stsID(name, value string) string {
	m := stsID.FindStringSubmatch(value)
	if m == nil {
		k.say(name, dns.TypeTXT, Differs, "%q is no MTA-STS record; it should look like %q, with 1 to 32 letters and digits", value, "v=STSv1; id="+k.plan.policyID())
		return ""
	}
	return m[1]
}

// fetchPolicy fetches the policy over HTTPS, and says what keeps a sender from it.
func (k *checking) fetchPolicy() (text string, policy *relay.STSPolicy) {
	host := "mta-sts." + k.plan.Domain
	wrong := func(format string, args ...any) (string, *relay.STSPolicy) {
		k.say(host, dns.TypeA, Dangerous, "the policy cannot be fetched, so there is none: "+format, args...)
		return "", nil
	}
	url := "https://" + host + "/.well-known/mta-sts.txt"
	ctx, cancel := context.WithTimeout(k.ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return wrong("%v", err)
	}
	resp, err := k.web().Do(req)
	if err != nil {
		return wrong("%s", whyNoHTTPS(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return wrong("%s redirects to %q, and redirects are not followed (RFC 8461 §3.3)", url, resp.Header.Get("Location"))
	}
	if resp.StatusCode != http.StatusOK {
		return wrong("%s answers %s", url, resp.Status)
	}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t != "text/plain" {
		return wrong("%s is of the type %q, and not text/plain", url, resp.Header.Get("Content-Type"))
	}
	const most = 64 << 10
	data, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return wrong("%v", err)
	}
	if len(data) > most {
		return wrong("%s has more than %d octets", url, most)
	}
	policy, err = relay.ParseSTSPolicy(data)
	if err != nil {
		return wrong("%v", err)
	}
	if bare := bytes.Count(data, []byte("\n")) - bytes.Count(data, []byte("\r\n")); bare > 0 {
		k.say(host, dns.TypeA, Differs, "%d lines of the policy do not end with CRLF, which some senders refuse (RFC 8461 §3.2)", bare)
	}
	return string(data), policy
}

// web is a client that finds hosts through the resolver and follows no redirect.
func (k *checking) web() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: k.dial, TLSClientConfig: &tls.Config{RootCAs: k.Roots}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// certificates looks whether the hosts of a policy show what those who go by it want to see (RFC 8461 §4.2).
func (k *checking) certificates(policy *relay.STSPolicy) {
	for _, host := range k.plan.exchangers() {
		if !policy.Match(host) {
			continue
		}
		ctx, cancel := context.WithTimeout(k.ctx, 15*time.Second)
		d := &smtp.Dialer{Hello: k.plan.Host, TLS: smtp.TLSRequired, DialContext: k.dial, TLSConfig: &tls.Config{RootCAs: k.Roots, ServerName: host}}
		c, err := d.Dial(ctx, net.JoinHostPort(host, "25"))
		if err == nil {
			c.Quit(ctx)
		}
		cancel()
		why, untrusted := whyUntrusted(err)
		switch {
		case untrusted:
			k.sayOf(host, "port 25", Dangerous, "who goes by the MTA-STS policy does not deliver there: its %s", why)
		case errors.Is(err, smtp.ErrUnsupported):
			k.sayOf(host, "port 25", Dangerous, "who goes by the MTA-STS policy does not deliver there: it offers no STARTTLS")
		case err != nil:
			state := Unknown
			if host != k.plan.Host { // it may be away, or port 25 outward closed
				state = Note
			}
			k.sayOf(host, "port 25", state, "whether it shows a certificate that those believe who go by the MTA-STS policy could not be seen: %v", err)
		default:
			k.sayOf(host, "port 25", OK, "its certificate is one for those who go by the MTA-STS policy")
		}
	}
}

// whyNoHTTPS says in words why there is no connection.
func whyNoHTTPS(err error) string {
	var lookup *net.DNSError
	if why, untrusted := whyUntrusted(err); untrusted {
		return "the web server's " + why
	}
	if errors.As(err, &lookup) && lookup.IsNotFound {
		return "the name " + lookup.Name + " is not in the DNS"
	}
	return err.Error()
}

// whyUntrusted says what is wrong with a certificate, if that is it.
func whyUntrusted(err error) (why string, untrusted bool) {
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate has expired, or is not valid yet: " + invalid.Cert.NotBefore.Format(time.DateOnly) + " to " + invalid.Cert.NotAfter.Format(time.DateOnly), true
	case errors.As(err, &invalid):
		return "certificate is not valid: " + invalid.Error(), true
	case errors.As(err, &name):
		names := name.Certificate.DNSNames
		if len(names) > 5 {
			names = append(slices.Clone(names[:5]), "…")
		}
		return fmt.Sprintf("certificate is for %s, and not for %s", orNone(strings.Join(names, ", ")), name.Host), true
	case errors.As(err, &authority):
		return "certificate is from an authority that is not believed", true
	}
	return "", false
}

// comparePolicy compares a policy with what the plan says and with where mail goes.
func (k *checking) comparePolicy(host string, policy *relay.STSPolicy) {
	p := k.plan
	if p.STS != STSOff && string(policy.Mode) != string(p.STS) {
		k.say(host, dns.TypeA, Differs, `the policy's mode is %q, and "DNS": {"mta_sts"} says %q`, policy.Mode, p.STS)
	}
	if policy.Mode == relay.STSNone {
		return
	}
	v, ok := k.see(p.Domain, dns.TypeMX)
	if !ok {
		return
	}
	left := false
	for _, rr := range v.records {
		mx := trim(dns.CanonicalName(rr.(*dns.MX).Mx))
		if policy.Match(mx) || mx == "" {
			left = true
			continue
		}
		k.say(host, dns.TypeA, Dangerous, "the policy has no line \"mx: %s\", and mail goes there by the MX records: who knows the policy does not deliver there until %s; list the old hosts and the new ones until then",
			mx, time.Now().Add(policy.MaxAge).Format(time.DateOnly))
	}
	if left && policy.MaxAge < 24*time.Hour {
		k.say(host, dns.TypeA, Note, "others keep the policy for %v only, and whoever can hold back their queries for so long gets around it", policy.MaxAge)
	}
	if left && len(k.report.faultsAt(host)) == 0 {
		k.say(host, dns.TypeA, OK, "others fetch the policy: %s", policy.Mode)
	}
}
