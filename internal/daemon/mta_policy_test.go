package daemon

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// policyDomain is a domain with a policy of TLS, and what is to become of mail
// for it.
type policyDomain struct {
	name    string
	records string // IP stands for the address of all hosts, END for the digest of the certificate, ANCHOR for that of its issuer
	zone    peertest.Zone
	sts     string // the policy file, if there is one

	delivered bool
	says      string // what stands in the log line of the attempt
}

// policyWorld is a Postfix that is the host of all domains, a DNS that leads
// there, and our daemon, which asks it and trusts it.
func policyWorld(t *testing.T, domains []policyDomain) (*testWorld, *peertest.MTA) {
	t.Helper()
	ip := peertest.LoopbackIP(t, 25, 443)
	var names, hosts []string
	for _, d := range domains {
		names = append(names, d.name)
		if !strings.HasPrefix(d.name, "other-name") {
			hosts = append(hosts, "mx."+d.name)
		}
	}
	a := peertest.NewAuthority(t)
	cert := a.Issue(t, hosts...)
	cert.PEM += a.PEM // DANE-TA looks for it in the chain
	values := strings.NewReplacer("IP", ip, "END", spkiDigest(t, cert.TLS.Certificate[0]), "ANCHOR", certDigest(t, a))
	var zones []peertest.Zone
	for _, d := range domains {
		z := d.zone
		z.Name, z.Records = d.name, values.Replace("@ MX 10 mx\nmx A IP\n"+d.records)
		if d.sts != "" {
			z.Records += "\nmta-sts A " + ip + "\n_mta-sts TXT \"v=STSv1; id=1\"\n"
		}
		zones = append(zones, z)
	}
	peer := peertest.Postfix(t, peertest.Options{Cert: cert, IP: ip, Port: 25, Domains: names})
	servePolicies(t, a, ip, domains)
	w := start(t, fmt.Sprintf(`
		"SMTP": {"relay_from": ["127.0.0.1/32"]},
		"Queue": {"dial_private": ["127.0.0.0/8"], "dns_servers": [%q], "dnssec_trusted": true, "ca_file": %q, "retry_first": "1s"},
	`, peertest.DNS(t, zones...), caFile(t, a)))
	return w, peer
}

func spkiDigest(t *testing.T, der []byte) string {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

func certDigest(t *testing.T, a *peertest.Authority) string {
	t.Helper()
	sum := sha256.Sum256(a.DER())
	return hex.EncodeToString(sum[:])
}

// servePolicies is the web server of mta-sts.<domain> for each domain.
func servePolicies(t *testing.T, a *peertest.Authority, ip string, domains []policyDomain) {
	t.Helper()
	policies := map[string]string{}
	var names []string
	for _, d := range domains {
		if d.sts != "" {
			policies["mta-sts."+d.name] = strings.ReplaceAll(d.sts, "\n", "\r\n")
			names = append(names, "mta-sts."+d.name)
		}
	}
	if len(names) == 0 {
		return
	}
	l, err := net.Listen("tcp", ip+":443")
	if err != nil {
		t.Fatal(err)
	}
	trusted, stranger := a.Issue(t, names...), peertest.NewAuthority(t).Issue(t, names...)
	s := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, ok := policies[r.Host]
			if !ok || r.URL.Path != "/.well-known/mta-sts.txt" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprint(w, text)
		}),
		TLSConfig: &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if strings.HasPrefix(h.ServerName, "mta-sts.stranger") {
				return &stranger.TLS, nil
			}
			return &trusted.TLS, nil
		}},
	}
	go s.ServeTLS(l, "", "")
	t.Cleanup(func() { s.Close() })
}

// tryPolicies sends a message to each domain and looks at what becomes of it.
func tryPolicies(t *testing.T, domains []policyDomain) {
	w, peer := policyWorld(t, domains)
	deliveries := 0
	for _, d := range domains {
		submit(t, w.Addrs()["127.0.0.1:0"].String(), "Subject: "+d.name+"\r\n\r\nx\r\n", "bob@mail.test", "box@"+d.name)
		if d.delivered {
			deliveries++
		}
	}
	for _, d := range domains {
		t.Run(d.name, func(t *testing.T) {
			status := "status=pending"
			if d.delivered {
				status = "status=delivered"
			}
			line := (&testWorld{Daemon: w.Daemon, t: t, logs: w.logs}).logged("attempt", "to=box@"+d.name)
			if !strings.Contains(line, status) || !strings.Contains(line, d.says) {
				t.Errorf("want %s and %q:\n%s", status, d.says, line)
			}
		})
	}
	got := strings.Join(peer.Received(peertest.Box, deliveries), "\n")
	for _, d := range domains {
		if arrived := strings.Contains(got, "Subject: "+d.name+"\n"); arrived != d.delivered {
			t.Errorf("%s: arrived: %v", d.name, arrived)
		}
	}
}

// tamperWith changes the records of a type, so that their signature does not
// fit any more.
func tamperWith(typ, from, to string) func(string) string {
	return func(zone string) string {
		var b strings.Builder
		for line := range strings.Lines(zone) {
			if f := strings.Fields(line); len(f) > 2 && f[2] == typ {
				line = strings.Replace(line, from, to, 1)
			}
			b.WriteString(line)
		}
		return b.String()
	}
}

// TestDANE: zones that Knot signed and Unbound validated decide whether mail
// goes to a Postfix (RFC 7672).
func TestDANE(t *testing.T) {
	wrong := strings.Repeat("00", 32)
	tryPolicies(t, []policyDomain{
		{name: "end.test", records: "_25._tcp.mx TLSA 3 1 1 END", delivered: true, says: "verified by dane"},
		{name: "anchor.test", records: "_25._tcp.mx TLSA 2 0 1 ANCHOR", delivered: true, says: "verified by dane"},
		{name: "other-name.test", records: "_25._tcp.mx TLSA 2 0 1 ANCHOR", says: "TLS policy (dane)"},
		{name: "rollover.test", records: "_25._tcp.mx TLSA 3 1 1 " + wrong + "\n_25._tcp.mx TLSA 3 1 1 END", delivered: true, says: "verified by dane"},
		{name: "wrong.test", records: "_25._tcp.mx TLSA 3 1 1 " + wrong, says: "TLS policy (dane): certificate of mx.wrong.test: no TLSA record matches"},
		{name: "none.test", delivered: true, says: "TLS1.3 verified"},
		{name: "unsigned.test", records: "_25._tcp.mx TLSA 3 1 1 " + wrong, zone: peertest.Zone{Unsigned: true}, delivered: true, says: "TLS1.3 verified"},
		{name: "bogus.test", records: "_25._tcp.mx TLSA 3 1 1 END", zone: peertest.Zone{Tamper: tamperWith("TLSA", "\t3 1 1 ", "\t3 0 1 ")},
			says: "TLSA records of mx.bogus.test cannot be had"},
		{name: "bogus-mx.test", records: "_25._tcp.mx TLSA 3 1 1 END", zone: peertest.Zone{Tamper: tamperWith("MX", "\t10 ", "\t20 ")}, says: "look up MX of bogus-mx.test"},
		{name: "expired.test", records: "_25._tcp.mx TLSA 3 1 1 END", zone: peertest.Zone{Signed: time.Now().AddDate(0, -1, 0)}, says: "look up MX of expired.test"},
	})
}

// TestMTASTS: policies that a web server shows decide whether mail goes to a
// Postfix (RFC 8461).
func TestMTASTS(t *testing.T) {
	policy := func(mode, mx string) string {
		return "version: STSv1\nmode: " + mode + "\nmx: " + mx + "\nmax_age: 604800\n"
	}
	unsigned := peertest.Zone{Unsigned: true}
	tryPolicies(t, []policyDomain{
		{name: "enforce.test", sts: policy("enforce", "mx.enforce.test"), zone: unsigned, delivered: true, says: "verified by mta-sts"},
		{name: "wildcard.test", sts: policy("enforce", "*.wildcard.test"), zone: unsigned, delivered: true, says: "verified by mta-sts"},
		{name: "other-host.test", sts: policy("enforce", "mail.other-host.test"), zone: unsigned,
			says: "mx.other-host.test is not among the hosts that the MTA-STS policy of other-host.test names"},
		{name: "other-name.test", sts: policy("enforce", "mx.other-name.test"), zone: unsigned,
			says: "TLS policy (mta-sts): certificate of mx.other-name.test"},
		{name: "other-name-testing.test", sts: policy("testing", "mx.other-name-testing.test"), zone: unsigned, delivered: true, says: "TLS1.3 unverified"},
		{name: "stranger.test", sts: policy("enforce", "mail.elsewhere.test"), zone: unsigned, delivered: true, says: "TLS1.3"},
		{name: "no-policy.test", zone: unsigned, delivered: true, says: "TLS1.3 verified"},
		// RFC 8461 §2: DANE comes first.
		{name: "dane-first.test", sts: policy("enforce", "mail.dane-first.test"), records: "_25._tcp.mx TLSA 3 1 1 END", delivered: true, says: "verified by dane"},
	})
}
