package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/internal/zone"
)

// dnsConf is a configuration whose host is at a known address.
func dnsConf(t *testing.T, more string) string {
	t.Helper()
	return confDir(t, `{
		"server_name": "mail.example.test", "data_dir": "data",
		"Listeners": [{"address": "192.0.2.25:25", "protocol": "smtp"}, {"address": "192.0.2.25:995", "protocol": "pop3"}],
		"Domains": {"example.test": {"Accounts": {"alice": ""}}, "example.org": {}},
		`+more+`
	}`)
}

// TestDNSShow: the records follow from the settings, in each of the forms.
func TestDNSShow(t *testing.T) {
	dir := dnsConf(t, `"DNS": {"mta_sts": "testing", "dmarc_policy": "reject", "spf": ["include:_spf.example.net"]}, "Queue": {"own_addresses": ["2001:db8::25"]},`)
	out, _ := must(t, "", "dns", "show", "-c", dir, "Example.TEST")
	out = strings.Join(strings.Fields(out), " ")
	for _, want := range []string{
		"must mail.example.test A 192.0.2.25 must mail.example.test AAAA 2001:db8::25", "whoever gave you the address: 25.2.0.192.in-addr.arpa. 3600 IN PTR mail.example.test.", "10 mail.example.test.", "v=spf1 mx include:_spf.example.net -all",
		"v=DMARC1; p=reject; rua=mailto:postmaster@example.test", "0 1 995 mail.example.test.", "_pop3._tcp.example.test SRV 0 0 0 .", "v=STSv1; id=",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "example.org") {
		t.Errorf("another domain in\n%s", out)
	}
	if !strings.Contains(out, "._domainkey.example.test. 3600 IN TXT \"v=DKIM1; k=rsa; p=") || !strings.Contains(out, "the value alone: v=DKIM1; k=rsa; p=") {
		t.Errorf("no key in each of the ways in\n%s", out)
	}

	var views []recordView
	out, _ = must(t, "", "dns", "show", "-c", dir, "--json")
	if err := json.Unmarshal([]byte(out), &views); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, v := range views {
		if seen[v.Line] || v.Value == "" || v.Need == "" || len(v.Purpose) < 10 {
			t.Errorf("%+v", v)
		}
		seen[v.Line] = true
	}
	if !seen["example.org. 3600 IN MX 10 mail.example.test."] || !seen["example.test. 3600 IN MX 10 mail.example.test."] || len(seen) < 20 {
		t.Errorf("%d records: %v", len(seen), seen)
	}

	out, _ = must(t, "", "dns", "show", "-c", dir, "--zone", "example.org")
	records := 0
	p := dns.NewZoneParser(strings.NewReader(out), "example.org.", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		if records++; !dns.IsSubDomain("example.org.", rr.Header().Name) {
			t.Errorf("in another zone: %s", rr)
		}
	}
	if err := p.Err(); err != nil || records < 8 {
		t.Errorf("%d records, %v:\n%s", records, err, out)
	}
	out, _ = must(t, "", "dns", "show", "-c", dir, "--delegate", "dns.example.net", "example.org")
	if !strings.Contains(strings.Join(strings.Fields(out), " "), "_dmarc.example.org CNAME _dmarc.example.org.dns.example.net.") {
		t.Errorf("got\n%s", out)
	}
	out, _ = must(t, "", "dns", "show", "-c", dir, "--policy", "example.org")
	if out != "version: STSv1\r\nmode: testing\r\nmx: mail.example.test\r\nmax_age: 604800\r\n" {
		t.Errorf("got %q", out)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"example.net"}, exitError, "the mail of example.net is not kept here"},
		{[]string{"--delegate", "sub.example.org", "example.org"}, exitError, "is in the zone of example.org"},
		{[]string{"--policy"}, exitUsage, "name one domain"},
		{[]string{"--zone", "--json"}, exitUsage, "--json and --zone: one of them at a time"},
	} {
		code, _, said := command(t, "", append([]string{"dns", "show", "-c", dir}, c.args...)...)
		if code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%q: %d, %s", c.args, code, said)
		}
	}
}

// TestDNSCheckDead: a resolver that is not there is said, once for each thing that
// could not be asked, and is no crash.
func TestDNSCheckDead(t *testing.T) {
	dir := dnsConf(t, `"Queue": {"dns_servers": ["127.0.0.1:1"]},`)
	code, out, said := command(t, "", "dns", "check", "-c", dir, "example.test")
	if code != exitError || !strings.Contains(out, "unknown    example.test NS: the resolver 127.0.0.1:1 does not answer") || !strings.Contains(said, "faults; ") {
		t.Errorf("%d\n%s%s", code, out, said)
	}
	code, out, _ = command(t, "", "dns", "check", "-c", dir, "--json", "example.test")
	var reports []zone.Report
	if err := json.Unmarshal([]byte(out), &reports); err != nil || code != exitError || len(reports) != 1 || len(reports[0].Faults()) == 0 {
		t.Errorf("%d, %v\n%s", code, err, out)
	}
}

// TestDNSWhole: a domain goes from an empty zone to one that check has nothing to say
// of, by what push puts there.
func TestDNSWhole(t *testing.T) {
	if !peertest.OwnNetwork(t, "192.0.2.25/32", "192.0.2.53/32") {
		return
	}
	updater := peertest.Updater{Name: "mail", Algorithm: "hmac-sha256", Secret: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
	servers := peertest.ServeZones(t, "192.0.2.53:53", &updater, peertest.Zone{Name: "example.test", Unsigned: true},
		peertest.Zone{Name: "2.0.192.in-addr.arpa", Unsigned: true, Records: "25 PTR mail.example.test."})
	tops := map[string]*peertest.NameServer{"example.test": servers, "2.0.192.in-addr.arpa": servers}
	resolver := peertest.Recursor(t, "127.0.0.1:5301", true, tops)
	dir := dnsConf(t, `"Queue": {"dns_servers": ["`+resolver+`"]},`)
	key := filepath.Join(dir, "dns.key")
	if err := os.WriteFile(key, []byte("key \"mail\" { algorithm hmac-sha256; secret \""+updater.Secret+"\"; };\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	code, out, said := command(t, "", "dns", "check", "-c", dir, "example.test")
	if code != exitError || !strings.Contains(out, "missing    example.test MX") {
		t.Errorf("an empty zone: %d\n%s%s", code, out, said)
	}
	push := []string{"dns", "push", "-c", dir, "--server", "192.0.2.53", "--key", key, "example.test"}
	code, out, said = command(t, "", push...)
	if code != exitError || !strings.Contains(out, "+ example.test. 3600 IN MX 10 mail.example.test.\n") || !strings.Contains(said, "nothing was changed; --yes does it") {
		t.Errorf("without --yes: %d\n%s%s", code, out, said)
	}
	if len(servers.Ask(t, "example.test", dns.TypeMX)) != 0 {
		t.Error("it was changed without --yes")
	}
	if out, _ := must(t, "", append(push, "--yes")...); !strings.Contains(out, "changed at 192.0.2.53:53") {
		t.Errorf("got\n%s", out)
	}
	for range 2 {
		if out, _ := must(t, "", append(push, "--yes")...); out != "nothing to change\n" {
			t.Errorf("once more:\n%s", out)
		}
	}
	_, out, _ = command(t, "", "dns", "check", "-c", dir, "example.test")
	if !strings.Contains(out, "note       example.test MX: the resolver 127.0.0.1:5301 remembers an older answer") {
		t.Errorf("a resolver that remembers the empty zone:\n%s", out)
	}
	resolver = peertest.Recursor(t, "127.0.0.1:5302", true, tops) // one that remembers nothing
	if err := os.WriteFile(filepath.Join(dir, "resolver.conf"), []byte(`{"Queue": {"dns_servers": ["`+resolver+`"]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = must(t, "", "dns", "check", "-c", dir, "example.test")
	for _, want := range []string{"example.test: 0 faults", "ok         example.test MX", "mail from 192.0.2.25 as example.test: SPF pass (mx)", "mail from 192.0.2.25 as mail.example.test: SPF pass (a)"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	// A provider was written into the settings since: the SPF record is not ours to change, unless it is asked for.
	if err := os.WriteFile(filepath.Join(dir, "provider.conf"), []byte(`{"DNS": {"spf": ["ip4:198.51.100.7"]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, said := must(t, "", append(push, "--yes")...); out != "nothing to change\n" || !strings.Contains(said, `note: example.test TXT was not made here and is left as it is: it is "v=spf1 mx -all", and should be "v=spf1 mx ip4:198.51.100.7 -all"`) {
		t.Errorf("got\n%s%s", out, said)
	}
	for _, want := range []string{"- example.test. 3600 IN TXT \"v=spf1 mx -all\"\n+ example.test. 3600 IN TXT \"v=spf1 ip4:198.51.100.7 mx -all\"\nchanged at 192.0.2.53:53\n", "nothing to change\n"} {
		if out, said := must(t, "", append(push, "--yes", "--merge-spf")...); out != want || said != "" {
			t.Errorf("got\n%s%s", out, said)
		}
	}
	// The other domain's zone is not here at all.
	code, out, _ = command(t, "", "dns", "push", "-c", dir, "--server", "192.0.2.53", "--key", key, "--json", "--yes", "example.org")
	if code != exitOK || !strings.Contains(out, "example.org MX is not in a zone of this server") {
		t.Errorf("%d\n%s", code, out)
	}
	if err := errors.Join(os.WriteFile(key, []byte("mail:d3Jvbmc="), 0o600), os.Chmod(key, 0o644)); err != nil {
		t.Fatal(err)
	}
	code, _, said = command(t, "", push...)
	if code != exitError || !strings.Contains(said, "has another secret for the key mail") || !strings.Contains(said, "chmod 600") {
		t.Errorf("%d, %s", code, said)
	}
	code, out, _ = command(t, "", "dns", "check", "-c", dir, "--dial=192.0.2.25:2526", "example.test")
	if code != exitError || !strings.Contains(out, "192.0.2.25:2526 cannot be reached") {
		t.Errorf("%d\n%s", code, out)
	}
}

// TestDNSShowNextKey: the key that comes next is among the records, and a file that has none is found by the check.
func TestDNSShowNextKey(t *testing.T) {
	dir := dnsConf(t, `"DNS": {"next_key_file": "next.pem"},`)
	if code, out, said := command(t, "", "check", "-c", dir); code == 0 || !strings.Contains(out+said, "next_key_file") || !strings.Contains(out+said, "next.pem") {
		t.Errorf("check: %d\n%s%s", code, out, said)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "next.pem"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := must(t, "", "dns", "show", "-c", dir, "example.test")
	if want := fmt.Sprintf("3 1 1 %x", sha256.Sum256(spki)); !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
		t.Errorf("no %q in\n%s", want, out)
	}
}
