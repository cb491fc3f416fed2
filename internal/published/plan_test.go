package published

import (
	"crypto/sha256"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/sign"
	"github.com/postrider-mail/postrider/internal/zone"
)

// planOf is the plan of a domain by a configuration.
func planOf(t *testing.T, domain, text string, keys zone.Keys) *zone.Plan {
	t.Helper()
	name := filepath.Join(t.TempDir(), "mail.conf")
	if err := os.WriteFile(name, []byte(`{"server_name": "Mail.Example.TEST", "data_dir": "data",`+text+`}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := conf.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Plan(s, domain, keys)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNothingSigns: where nothing is to be signed, no key that never will is asked for; what signed before is.
func TestNothingSigns(t *testing.T) {
	for _, on := range []bool{true, false} {
		s := &conf.Settings{DKIM: conf.DKIM{Sign: on}}
		keys := Keys{Settings: s, All: []sign.Key{{Domain: "a.test", Selector: "s1", Phase: sign.Retired}, {Domain: "a.test", Selector: "s2", Phase: sign.Announced}}}
		got, err := keys.DKIMKeys("a.test")
		if want := map[bool]int{true: 2, false: 1}[on]; err != nil || len(got) != want || got[0].Selector != "s1" {
			t.Errorf("sign %v: %+v, %v", on, got, err)
		}
	}
}

func netips(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// TestPlanAddresses: those that the world reaches, and no others; those that mail
// leaves from have the names given there.
func TestPlanAddresses(t *testing.T) {
	p := planOf(t, "example.test", `
		"Listeners": [
			{"address": "192.0.2.25:25", "protocol": "smtp"}, {"address": "127.0.0.1:25", "protocol": "smtp"}, {"address": "10.0.0.1:25", "protocol": "smtp"},
			{"address": "[2001:db8::25]:25", "protocol": "smtp"}, {"address": "192.0.2.99:995", "protocol": "pop3"}, {"address": "unix:/tmp/x", "protocol": "lmtp"}],
		"Queue": {"own_addresses": ["::ffff:192.0.2.30", "192.0.2.25"], "Domains": {
			"a.test": {"source_address": "192.0.2.40", "ehlo_name": "Out.Example.TEST"}, "b.test": {"source_address": "192.0.2.25"}, "c.test": {"tls": "verify"},
			"d.test": {"ehlo_name": "news.example.test"}}}`, nil)
	if want := netips("192.0.2.25", "192.0.2.30", "2001:db8::25"); !slices.Equal(p.Addresses, want) {
		t.Errorf("got %v, want %v", p.Addresses, want)
	}
	var got []string
	for _, from := range p.Sending {
		got = append(got, from.Hello+" "+from.Address.String())
	}
	want := []string{"mail.example.test 192.0.2.25", "mail.example.test 192.0.2.30", "mail.example.test 2001:db8::25", "out.example.test 192.0.2.40",
		"news.example.test 192.0.2.25", "news.example.test 192.0.2.30", "news.example.test 2001:db8::25"}
	if !slices.Equal(got, want) {
		t.Errorf("mail leaves from %q", got)
	}
	if p := planOf(t, "example.test", `"Listeners": [{"address": "127.0.0.1:25", "protocol": "smtp"}]`, nil); len(p.Addresses) != 0 || len(p.Sending) != 0 || len(p.Notes()) == 0 {
		t.Errorf("a host that nobody reaches: %v, %v, %q", p.Addresses, p.Sending, p.Notes())
	}
}

// TestPlanServices: what is served to the world, with TLS, at the port it has.
func TestPlanServices(t *testing.T) {
	p := planOf(t, "example.test", `"Listeners": [
		{"address": ":1995", "protocol": "pop3", "tls": "implicit"}, {"address": "127.0.0.1:110", "protocol": "pop3"}, {"address": ":1110", "protocol": "pop3", "tls": "off"},
		{"address": ":587", "protocol": "submission"}, {"address": ":2587", "protocol": "submission"}, {"address": ":25", "protocol": "smtp"}]`, nil)
	want := []zone.Service{{Name: "submissions"}, {Name: "submission", Port: 587}, {Name: "pop3s", Port: 1995}, {Name: "pop3"}, {Name: "imaps"}, {Name: "imap"}}
	if !slices.Equal(p.Services, want) {
		t.Errorf("got %v", p.Services)
	}
	for address, more := range map[string][2]zone.Service{
		`":993"`:                  {{Name: "imaps", Port: 993}, {Name: "imap"}},
		`"mail.EXAMPLE.test:993"`: {{Name: "imaps", Port: 993}, {Name: "imap"}},
		`"imap.example.test:143"`: {{Name: "imaps"}, {Name: "imap", Port: 143, Host: "imap.example.test"}},
		`"imap.example.test:143", "tls": "implicit"`: {{Name: "imaps", Port: 143, Host: "imap.example.test"}, {Name: "imap"}},
	} {
		p := planOf(t, "example.test", `"IMAP": {"address": `+address+`}`, nil)
		if got := p.Services[len(p.Services)-2:]; !slices.Equal(got, more[:]) {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// TestPlanSettings: the rest follows from the settings, and Smarthost from a route.
func TestPlanSettings(t *testing.T) {
	p := planOf(t, "Example.TEST", "", nil)
	if p.Domain != "example.test" || p.Host != "mail.example.test" || p.ReportsTo != "postmaster" || p.STS != zone.STSOff || p.DMARC != "none" || p.Smarthost || p.CAA != nil {
		t.Errorf("%+v", p)
	}
	p = planOf(t, "example.test", `
		"Queue": {"Routes": [{"domain": "*", "host": "smtp.provider.test"}]}, "TLS": {"ACME": {"accept_terms": true, "names": ["mail.example.test", "Pop.example.test"]}},
		"DNS": {"reports_to": "none", "mta_sts": "enforce", "dmarc_policy": "reject", "spf": ["include:x.test"], "other_mx": ["mx2.test"]}`, nil)
	wantCAA := []zone.CAA{{Name: "mail.example.test", Issuer: "letsencrypt.org", Method: "http-01"}, {Name: "pop.example.test", Issuer: "letsencrypt.org", Method: "http-01"}}
	if p.ReportsTo != "" || p.STS != zone.STSEnforce || p.DMARC != "reject" || !p.Smarthost || !slices.Equal(p.SPF, []string{"include:x.test"}) || !slices.Equal(p.OtherMX, []string{"mx2.test"}) || !slices.Equal(p.CAA, wantCAA) {
		t.Errorf("%+v", p)
	}
	if p := planOf(t, "example.test", `"TLS": {"ACME": {"accept_terms": true, "directory": "https://ca.house.test/acme"}}`, nil); p.CAA != nil {
		t.Errorf("another authority, whose name in CAA records nobody knows: %v", p.CAA)
	}
}

// TestPlanReports: reports are asked for where they are read.
func TestPlanReports(t *testing.T) {
	domains := `"Domains": {"example.test": {}, "example.org": {}}, "Reports": {"address": ["Reports@Example.TEST", "dmarc@example.org"]}`
	for _, c := range []struct{ domain, text, want string }{
		{"example.test", domains, "reports@example.test"}, {"example.org", domains, "dmarc@example.org"}, {"mail.example.test", domains, "reports@example.test"},
		{"example.test", domains + `, "DNS": {"reports_to": "else@where.test"}`, "else@where.test"}, {"example.test", domains + `, "DNS": {"reports_to": "none"}`, ""},
		{"example.test", `"Domains": {"example.test": {}}`, "postmaster"},
	} {
		if p := planOf(t, c.domain, c.text, nil); p.ReportsTo != c.want {
			t.Errorf("%s: %q, want %q", c.domain, p.ReportsTo, c.want)
		}
	}
}

type fixedKeys map[string][]zone.Key

func (k fixedKeys) DKIMKeys(domain string) ([]zone.Key, error) { return k[domain], nil }

// TestPlanKeys: keys are those of the domain and of the host.
func TestPlanKeys(t *testing.T) {
	keys := fixedKeys{"example.test": {{Domain: "example.test", Selector: "a"}}, "mail.example.test": {{Domain: "mail.example.test", Selector: "b"}}, "other.test": {{Selector: "c"}}}
	if p := planOf(t, "example.test", "", keys); len(p.Keys) != 2 || p.Keys[0].Selector != "a" || p.Keys[1].Selector != "b" {
		t.Errorf("%+v", p.Keys)
	}
	if p := planOf(t, "mail.example.test", "", keys); len(p.Keys) != 1 {
		t.Errorf("%+v", p.Keys)
	}
}

// TestPlanCertificate: the keys are those of the certificate that a client is shown
// who asks for the server, whichever comes first in the settings.
func TestPlanCertificate(t *testing.T) {
	dir := t.TempDir()
	pair := func(name string) string {
		p := certs.Keypair{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
		if _, err := certs.EnsureSelfSigned(p, name); err != nil {
			t.Fatal(err)
		}
		return `{"cert_file": "` + p.Cert + `", "key_file": "` + p.Key + `"}`
	}
	p := planOf(t, "example.test", `"TLS": {"certificates": [`+pair("www.example.test")+`,`+pair("mail.example.test")+`]}`, nil)
	only := planOf(t, "example.test", `"TLS": {"certificates": [`+pair("mail.example.test")+`]}`, nil)
	other := planOf(t, "example.test", `"TLS": {"certificates": [`+pair("www.example.test")+`]}`, nil)
	if len(p.TLSKeys) != 1 || p.TLSKeys[0] != only.TLSKeys[0] || len(other.TLSKeys) != 1 || other.TLSKeys[0] == only.TLSKeys[0] {
		t.Errorf("%v, alone %v, of another name %v", p.TLSKeys, only.TLSKeys, other.TLSKeys)
	}
	if p := planOf(t, "example.test", "", nil); len(p.TLSKeys) != 0 {
		t.Errorf("keys of no certificate: %v", p.TLSKeys)
	}
}

// TestPlanIssued: of an authority's certificates, of either kind of key, those for the server's name if it asks for that, else those for its first.
func TestPlanIssued(t *testing.T) {
	folder := t.TempDir()
	keys := make(map[zone.TLSKey]string)
	for _, name := range []string{"a.example.test", "mail.example.test", "mail.example.test+rsa"} {
		p := certs.Keypair{Cert: filepath.Join(folder, name), Key: filepath.Join(folder, name+".key")}
		if _, err := certs.EnsureSelfSigned(p, "mail.example.test"); err != nil {
			t.Fatal(err)
		}
		keys[zone.TLSKey{SPKI: sha256.Sum256(leafOf(p.Cert).RawSubjectPublicKeyInfo)}] = name
	}
	for names, want := range map[string]string{
		`"a.example.test", "Mail.Example.Test"`: "mail.example.test mail.example.test+rsa", `"mail.example.test", "a.example.test"`: "mail.example.test mail.example.test+rsa",
		`"A.example.test"`: "a.example.test", `"b.example.test"`: "",
	} {
		p := planOf(t, "example.test", `"TLS": {"ACME": {"accept_terms": true, "folder": "`+folder+`", "names": [`+names+`]}}`, nil)
		var got []string
		for _, k := range p.TLSKeys {
			got = append(got, keys[k])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", names, got, want)
		}
	}
}

// TestSelectors: a selector that is kept for a domain is named as long as no key has it.
func TestSelectors(t *testing.T) {
	s := &conf.Settings{DKIM: conf.DKIM{Sign: true}, Domains: map[string]*conf.Domain{"A.test": {DKIMSelectors: []string{"s1", "s2"}}, "b.test": {DKIMSelectors: []string{"s3"}}, "c.test": nil}}
	keys := Keys{Settings: s, All: []sign.Key{{Domain: "a.test", Selector: "s1", Phase: sign.Signing}, {Domain: "a.test", Selector: "s2", Phase: sign.Gone}, {Domain: "b.test", Selector: "s3", Phase: sign.Revoked}}}
	for domain, want := range map[string][]zone.Key{
		"a.test": {{Domain: "a.test", Selector: "s1", State: zone.Signing}, {Domain: "a.test", Selector: "s2", State: zone.Reserved}},
		"b.test": {{Domain: "b.test", Selector: "s3", State: zone.Gone}}, "c.test": nil,
	} {
		got, err := keys.DKIMKeys(domain)
		for i := range got {
			got[i].Value = ""
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %+v, %v", domain, got, err)
		}
	}
}

// TestModes: what policies have ripened to counts where they are to ripen, and nowhere else.
func TestModes(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mta-sts.json"), []byte(`{"a.test": {"mode": "enforce"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string][2]zone.STSMode{
		"auto": {zone.STSEnforce, zone.STSTesting}, "off": {zone.STSOff, zone.STSOff}, "testing": {zone.STSTesting, zone.STSTesting}, "enforce": {zone.STSEnforce, zone.STSEnforce},
	} {
		s := &conf.Settings{DataDir: dir, DNS: conf.DNS{MTASTS: setting}}
		for i, domain := range []string{"A.test", "b.test"} {
			if got := PolicyPlan(s, domain, ripened(s)).STS; got != want[i] {
				t.Errorf("%s, %s: %q, want %q", setting, domain, got, want[i])
			}
		}
	}
}
