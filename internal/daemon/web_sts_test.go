package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// ownDNS is a DNS that has the TXT records which "postrider dns show" says.
type ownDNS struct {
	relay.Resolver
	w *testWorld
}

func (p ownDNS) TXT(_ context.Context, name string) (a resolver.Answer[string], _ error) {
	name = dns.Fqdn(name)
	for domain := range p.w.state().site.Domains {
		plan, err := published.Plan(p.w.state().settings, domain.String(), nil)
		if err != nil {
			return a, err
		}
		for _, r := range plan.Records() {
			if txt, ok := r.RR.(*dns.TXT); ok && r.RR.Header().Name == name {
				a.Records = append(a.Records, strings.Join(txt.Txt, ""))
			}
		}
	}
	return a, nil
}

// TestWebPolicy: the policies that our own relay fetches over HTTPS are those whose ids the
// DNS has, one for each domain, and a reload changes both.
func TestWebPolicy(t *testing.T) {
	pair, roots := policyCertificate(t, "mta-sts.mail.test", "mta-sts.second.test")
	settings := func(mode string) string {
		return fmt.Sprintf(`"Domains": {"second.test": {}}, "DNS": {"mta_sts": %q, "other_mx": ["backup.test"]}, "Web": {"listen": "127.0.0.1:0", "tls": "implicit"},
			"TLS": {"certificate_file": %q, "certificate_key_file": %q},`, mode, pair+".crt", pair+".key")
	}
	w := start(t, settings("testing"))
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", w.web.socket.Addr().String())
		},
	}}
	policy := func(domain string) *relay.STSPolicy {
		t.Helper()
		p, err := (&relay.STS{Resolver: ownDNS{w: w}, HTTP: client}).Policy(context.Background(), domain)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, domain := range []string{"mail.test", "second.test"} {
		p := policy(domain)
		if p == nil || p.Mode != relay.STSTesting || !p.Match("mail.test") || !p.Match("backup.test") || p.Match("other.test") {
			t.Errorf("%s: %+v", domain, p)
		}
		plan, err := published.Plan(w.state().settings, domain, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.state().site.Domains[domains.Canonical(domain)].Policy; got != plan.Policy() {
			t.Errorf("%s: served is %q, planned is %q", domain, got, plan.Policy())
		}
	}
	before, _ := ownDNS{w: w}.TXT(context.Background(), "_mta-sts.second.test")
	if err := w.rewrite(settings("enforce")); err != nil {
		t.Fatal(err)
	}
	after, _ := ownDNS{w: w}.TXT(context.Background(), "_mta-sts.second.test")
	if p := policy("second.test"); p.Mode != relay.STSEnforce {
		t.Errorf("after the reload: %+v", p)
	}
	if len(before.Records) != 1 || len(after.Records) != 1 || before.Records[0] == after.Records[0] {
		t.Errorf("the id was %q and is %q", before.Records, after.Records)
	}
	// By itself: it is tested at first, and enforced without a reload once that is written down, by other processes as well.
	if err := w.rewrite(settings("auto")); err != nil {
		t.Fatal(err)
	}
	if p := policy("second.test"); p.Mode != relay.STSTesting {
		t.Errorf("by itself, at first: %+v", p)
	}
	before, _ = ownDNS{w: w}.TXT(context.Background(), "_mta-sts.second.test")
	if err := os.WriteFile(published.ModesFile(w.state().settings), []byte(`{"second.test": {"mode": "enforce"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.policies.Changed()
	after, _ = ownDNS{w: w}.TXT(context.Background(), "_mta-sts.second.test")
	if p := policy("second.test"); p.Mode != relay.STSEnforce || policy("mail.test").Mode != relay.STSTesting {
		t.Errorf("by itself: %+v", p)
	}
	if len(before.Records) != 1 || len(after.Records) != 1 || before.Records[0] == after.Records[0] {
		t.Errorf("the id was %q and is %q", before.Records, after.Records)
	}
	if err := w.rewrite(settings("off")); err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get("https://mta-sts.second.test/.well-known/mta-sts.txt")
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 404 {
		t.Errorf("switched off: %s", resp.Status)
	}
}

// policyCertificate makes a certificate for these names, and the roots of who believes it.
func policyCertificate(t *testing.T, names ...string) (pair string, roots *x509.CertPool) {
	t.Helper()
	cert, key, err := certs.SelfSigned(names...)
	if err != nil {
		t.Fatal(err)
	}
	pair = filepath.Join(t.TempDir(), "web")
	for suffix, text := range map[string][]byte{".crt": cert, ".key": key} {
		if err := os.WriteFile(pair+suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return pair, roots
}
