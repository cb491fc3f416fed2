package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/cipher/acme"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
)

// TestNamesByThemselves: mta-sts., autoconfig. and autodiscover. of each domain get certificates as soon as the DNS leads them here, also
// those that begin to later and of domains that come by a reload; the authority is not asked for names that lead elsewhere, and one that it
// refuses keeps no other waiting. On port 443 it is served beside them all.
func TestNamesByThemselves(t *testing.T) {
	t.Parallel()
	zone := mailtest.NewZone(t, "mail.test. 1 IN A 127.0.0.1", "mta-sts.mail.test. 1 IN CNAME mail.test.", "autoconfig.mail.test. 1 IN CNAME mail.test.",
		"autodiscover.mail.test. 1 IN A 127.0.0.1", "autodiscover.mail.test. 1 IN A 192.0.2.1", "mta-sts.second.test. 1 IN A 127.0.0.1",
		"autoconfig.second.test. 1 IN A 192.0.2.1", "mta-sts.third.test. 1 IN A 127.0.0.1")
	server := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg { return zone.Reply(q) })
	for challenge, options := range map[string]func(port int) peertest.PebbleOptions{
		conf.ChallengeHTTP: func(port int) peertest.PebbleOptions { return peertest.PebbleOptions{HTTPPort: port} },
		conf.ChallengeALPN: func(port int) peertest.PebbleOptions { return peertest.PebbleOptions{TLSPort: port} },
	} {
		t.Run(challenge, func(t *testing.T) {
			port, webPort := peertest.FreePort(t), 0
			o := options(port)
			o.Blocked = []string{"mta-sts.second.test"}
			ca := peertest.Pebble(t, o)
			if webPort = port; challenge == conf.ChallengeHTTP {
				webPort = peertest.FreePort(t)
			}
			w := start(t, fmt.Sprintf(`"TLS": {"ACME": {"accept_terms": true, "directory": %q, "directory_ca_file": %q, "challenge": %q, "listen": "127.0.0.1:%d"}},
				"Queue": {"dns_servers": [%q]}, "DNS": {"mta_sts": "testing"}, "Web": {"listen": "127.0.0.1:%d", "tls": "implicit", "autoconfig": true}, "Domains": {"second.test": {}},`,
				ca.Directory, ca.CAFile, challenge, port, server, webPort))
			has := func(want ...string) {
				t.Helper()
				peertest.Await(t, strings.Join(want, "; "), func() bool {
					var all []string
					for _, c := range w.status(time.Now()).Certificates {
						if is := c.Names[0]; c.From == ca.Directory {
							if c.NotAfter.IsZero() {
								is += " is missing"
							}
							all = append(all, is)
						}
					}
					slices.Sort(all)
					return slices.Equal(all, want)
				})
			}
			has("autoconfig.mail.test", "mail.test", "mta-sts.mail.test", "mta-sts.second.test is missing")
			// The policy is there, by a certificate for its name.
			believed := x509.NewCertPool() // who issued the last
			get := func(name string) (leaf *x509.Certificate, status int) {
				t.Helper()
				client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: name}, DisableKeepAlives: true}}
				r, err := http.NewRequest("GET", fmt.Sprintf("https://127.0.0.1:%d/.well-known/mta-sts.txt", webPort), nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Host = name
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				chain := resp.TLS.PeerCertificates
				believed.AddCert(chain[len(chain)-1])
				return chain[0], resp.StatusCode
			}
			if leaf, status := get("mta-sts.mail.test"); !fromPebble(leaf) || leaf.VerifyHostname("mta-sts.mail.test") != nil || status != 200 {
				t.Errorf("%v by %v, %d", leaf.DNSNames, leaf.Issuer, status)
			}
			sender := &relay.STS{Resolver: ownDNS{w: w}, HTTP: &http.Client{Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: believed}, DisableKeepAlives: true,
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", webPort))
				},
			}}}
			if p, err := sender.Policy(t.Context(), "mail.test"); err != nil || p == nil || p.Mode != relay.STSTesting || !p.Match("mail.test") {
				t.Errorf("a sender finds %+v, %v", p, err)
			}
			if leaf, _ := get("mta-sts.second.test"); leaf.VerifyHostname("mail.test") != nil {
				t.Errorf("%v by %v", leaf.DNSNames, leaf.Issuer)
			}
			for _, not := range []string{"autodiscover", "autoconfig.second"} {
				if strings.Contains(ca.Logs(), not) {
					t.Errorf("the authority was asked for %s, which leads elsewhere", not)
				}
			}
			// A domain more, whose names lead here already.
			w.change(`"second.test": {}`, `"second.test": {}, "third.test": {}`)
			if err := w.Reload(); err != nil {
				t.Fatal(err)
			}
			has("autoconfig.mail.test", "mail.test", "mta-sts.mail.test", "mta-sts.second.test is missing", "mta-sts.third.test")
			if s := w.state().settings; acme.AccountURI(s.TLS.ACME.Folder, ca.Directory) == "" {
				t.Error("it is not known whose account it is")
			}
			// Without the pages nobody asks for them.
			w.change(`"mta_sts": "testing"`, `"mta_sts": "off"`)
			if err := w.Reload(); err != nil {
				t.Fatal(err)
			}
			has("autoconfig.mail.test", "mail.test")
		})
	}
}
