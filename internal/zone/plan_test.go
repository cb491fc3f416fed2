package zone

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// dkimValue and anotherKey are the records of fresh RSA keys of 2048 bits.
var dkimValue, anotherKey = sync.OnceValue(newKey), sync.OnceValue(newKey)

func newKey() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

func addrs(texts ...string) (all []netip.Addr) {
	for _, t := range texts {
		all = append(all, netip.MustParseAddr(t))
	}
	return all
}

// senders are names and addresses in turn.
func senders(texts ...string) (all []Sender) {
	for i := 0; i < len(texts); i += 2 {
		all = append(all, Sender{netip.MustParseAddr(texts[i+1]), texts[i]})
	}
	return all
}

// example is a plan with something of everything.
func example() *Plan {
	return &Plan{
		Domain: "example.test", Host: "mail.example.test",
		Addresses: addrs("192.0.2.25", "2001:db8::25"), Sending: senders("mail.example.test", "192.0.2.25", "mail.example.test", "2001:db8::25", "out.example.test", "192.0.2.26"),
		OtherMX: []string{"backup.example.net"}, SPF: []string{"include:_spf.example.net"},
		Services: []Service{{Name: "submissions", Port: 465}, {Name: "pop3s", Port: 995}, {Name: "imaps"}, {Name: "imap", Port: 143, Host: "imap.example.test"}},
		Keys:     []Key{{"example.test", "s1", dkimValue(), Signing}, {"example.test", "s2", dkimValue(), Announced}, {"example.test", "s0", dkimValue(), Retired}, {"example.test", "old", dkimValue(), Gone}},
		DMARC:    "quarantine", ReportsTo: "postmaster", STS: STSTesting, Autoconfig: true,
		TLSKeys: []TLSKey{{SPKI: [32]byte{1}}, {SPKI: [32]byte{2}, Next: true}},
		CAA:     []CAA{{"mail.example.test", "letsencrypt.org", "https://acme.example/acct/1", "http-01"}},
	}
}

func lines(records []Record) string {
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintf(&b, "%s %s\n", r.Need, strings.ReplaceAll(Line(r.RR), dkimValue(), "KEY"))
	}
	return b.String()
}

// TestFirstKey: a key that comes next should be in the DNS; the first one of a domain must.
func TestFirstKey(t *testing.T) {
	p := example()
	p.Keys = append(p.Keys[1:3], Key{"mail.example.test", "s1", dkimValue(), Announced}, Key{"other.test", "s9", dkimValue(), Signing})
	got := lines(p.Records())
	for _, want := range []string{"must s2._domainkey.example.test.", "must s1._domainkey.mail.example.test.", "should s0._domainkey.example.test."} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

// TestRecords: every record that the settings ask for is there, once.
func TestRecords(t *testing.T) {
	p := example()
	for i := range p.Keys {
		p.Keys[i].Value = "v=DKIM1; k=rsa; p=KEY" + fmt.Sprint(i)
	}
	const want = `must mail.example.test. 3600 IN A 192.0.2.25
must mail.example.test. 3600 IN AAAA 2001:db8::25
must 25.2.0.192.in-addr.arpa. 3600 IN PTR mail.example.test.
must 5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 3600 IN PTR mail.example.test.
must 26.2.0.192.in-addr.arpa. 3600 IN PTR out.example.test.
should mail.example.test. 3600 IN TXT "v=spf1 a -all"
should _dmarc.mail.example.test. 3600 IN TXT "v=DMARC1; p=quarantine; rua=mailto:postmaster@mail.example.test"
must out.example.test. 3600 IN A 192.0.2.26
should out.example.test. 3600 IN TXT "v=spf1 a -all"
may _25._tcp.mail.example.test. 3600 IN TLSA 3 1 1 0100000000000000000000000000000000000000000000000000000000000000
may _25._tcp.mail.example.test. 3600 IN TLSA 3 1 1 0200000000000000000000000000000000000000000000000000000000000000
may mail.example.test. 3600 IN CAA 0 issue "letsencrypt.org; accounturi=https://acme.example/acct/1; validationmethods=http-01"
must example.test. 3600 IN MX 10 mail.example.test.
must example.test. 3600 IN MX 20 backup.example.net.
must example.test. 3600 IN TXT "v=spf1 a:mail.example.test ip4:192.0.2.26 include:_spf.example.net -all"
must s1._domainkey.example.test. 3600 IN TXT "v=DKIM1; k=rsa; p=KEY0"
should s2._domainkey.example.test. 3600 IN TXT "v=DKIM1; k=rsa; p=KEY1"
should s0._domainkey.example.test. 3600 IN TXT "v=DKIM1; k=rsa; p=KEY2"
may old._domainkey.example.test. 3600 IN TXT "v=DKIM1; p="
must _dmarc.example.test. 3600 IN TXT "v=DMARC1; p=quarantine; rua=mailto:postmaster@example.test"
should _mta-sts.example.test. 3600 IN TXT "v=STSv1; id=0d0236a42f9198ca8941"
should mta-sts.example.test. 3600 IN CNAME mail.example.test.
should _smtp._tls.example.test. 3600 IN TXT "v=TLSRPTv1; rua=mailto:postmaster@example.test"
may _submissions._tcp.example.test. 3600 IN SRV 0 1 465 mail.example.test.
may _pop3s._tcp.example.test. 3600 IN SRV 0 1 995 mail.example.test.
may _imaps._tcp.example.test. 3600 IN SRV 0 0 0 .
may _imap._tcp.example.test. 3600 IN SRV 0 1 143 imap.example.test.
may autoconfig.example.test. 3600 IN CNAME mail.example.test.
may _autodiscover._tcp.example.test. 3600 IN SRV 0 1 443 mail.example.test.
`
	if got := lines(p.Records()); got != want {
		t.Errorf("got\n%s", got)
	}
	for _, r := range p.Records() {
		if len(r.Purpose) < 15 {
			t.Errorf("%s: no purpose", r.RR)
		}
	}
}

// TestExternalReports: the domain of an address elsewhere has to agree, for both
// names that ask for reports; a name above or below has not.
func TestExternalReports(t *testing.T) {
	for to, want := range map[string]int{
		"dmarc@reports.test": 2, "dmarc@sub.example.test": 0, "dmarc@example.test": 0, "": 0, "postmaster": 0, "dmarc@notexample.test": 2,
	} {
		p := example()
		p.ReportsTo = to
		if got := strings.Count(lines(p.Records()), "._report._dmarc."); got != want {
			t.Errorf("%q: %d permissions, want %d", to, got, want)
		}
	}
}

// TestExternalReportsOfHost: where the host is another organization's, its own
// address needs no permission, and the domain's does.
func TestExternalReportsOfHost(t *testing.T) {
	p := example()
	p.Host, p.ReportsTo = "mx.reports.test", "dmarc@reports.test"
	if got := lines(p.Records()); strings.Count(got, "._report._dmarc.") != 1 || !strings.Contains(got, "should example.test._report._dmarc.reports.test.") {
		t.Errorf("got\n%s", got)
	}
}

// TestMailto: what an address's local part holds cannot end the tag or the list
// that the URI stands in.
func TestMailto(t *testing.T) {
	for in, want := range map[string]string{
		"a@b.test": "mailto:a@b.test", "a+b@c.test": "mailto:a+b@c.test",
		`"a;b,c!d"@e.test`: "mailto:%22a%3Bb%2Cc%21d%22@e.test",
	} {
		if got := mailto(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestPolicy: the id follows from what the policy says, and the lines end as
// RFC 8461 §3.2 has them.
func TestPolicy(t *testing.T) {
	p := example()
	const want = "version: STSv1\r\nmode: testing\r\nmx: mail.example.test\r\nmx: backup.example.net\r\nmax_age: 604800\r\n"
	if got := p.Policy(); got != want {
		t.Errorf("got %q", got)
	}
	seen := map[string]bool{p.policyID(): true}
	for _, change := range []func(){func() { p.STS = STSEnforce }, func() { p.OtherMX = nil }, func() { p.Host = "mx.example.test" }} {
		if change(); seen[p.policyID()] {
			t.Error("the id of another policy is the same")
		}
		seen[p.policyID()] = true
	}
	p.STS = STSOff
	if p.Policy() != "" || strings.Contains(lines(p.Records()), "mta-sts") {
		t.Error("a policy although there is none")
	}
}

// combinations are plans with every kind of option on and off, in n mixtures that
// are the same at each run.
func combinations(n int) []*Plan {
	r := mathrand.New(mathrand.NewPCG(1, 2))
	var all []*Plan
	for range n {
		p := example()
		p.Host = []string{"mail.example.test", "mail.example.test", "example.test", "mx.other.test"}[r.IntN(4)]
		for i := range p.Sending {
			if p.Sending[i].Hello == "mail.example.test" {
				p.Sending[i].Hello = p.Host
			}
		}
		p.DMARC = []string{"", "none", "quarantine", "reject"}[r.IntN(4)]
		p.ReportsTo = []string{"", "postmaster", "dmarc@other.test", `"a;b"@example.test`}[r.IntN(4)]
		p.STS = []STSMode{STSOff, STSTesting, STSEnforce}[r.IntN(3)]
		p.Smarthost, p.Autoconfig = r.IntN(2) == 0, r.IntN(2) == 0
		for _, drop := range []func(){
			func() { p.Addresses = p.Addresses[:1] }, func() { p.Sending = nil }, func() { p.OtherMX = nil }, func() { p.SPF = nil },
			func() { p.Services = nil }, func() { p.Keys = p.Keys[:1] }, func() { p.TLSKeys = nil }, func() { p.CAA = nil },
		} {
			if r.IntN(2) == 0 {
				drop()
			}
		}
		all = append(all, p)
	}
	return all
}

// TestOneOfEach: whatever is switched on, no name gets a second SPF or DMARC
// record, none a CNAME beside anything else, and no record comes twice.
func TestOneOfEach(t *testing.T) {
	for i, p := range combinations(500) {
		names := make(map[string][]string)
		for _, r := range p.Records() {
			what := Type(r.RR)
			if x, ok := r.RR.(*dns.TXT); ok {
				what = kindOf(text(x))
			}
			name := Name(r.RR)
			names[name] = append(names[name], what)
			if what != "A" && what != "AAAA" && what != "MX" && what != "TLSA" && slices.Index(names[name], what) != len(names[name])-1 {
				t.Errorf("%d: two %s records at %s", i, what, name)
			}
		}
		for name, kinds := range names {
			if slices.Contains(kinds, "CNAME") && len(kinds) > 1 {
				t.Errorf("%d: %s has %v", i, name, kinds)
			}
		}
	}
}

// TestZoneFile: BIND's own tool takes what is written, for every combination.
func TestZoneFile(t *testing.T) {
	tool, err := exec.LookPath("named-checkzone")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	for i, p := range combinations(40) {
		var b bytes.Buffer
		b.WriteString("$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\n")
		if err := WriteFile(&b, p.Domain, p.Records()); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(tool, "-i", "local", "-k", "fail", "-M", "fail", "-S", "fail", "-T", "warn", p.Domain, file).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("out-of-zone")) {
			t.Errorf("%v\n%s\n%s", err, out, b.Bytes())
		}
	}
}

// TestStrings: a long text is cut at 255 octets, nowhere within a character, and
// is whole again when it is put together.
func TestStrings(t *testing.T) {
	for n := range 800 {
		for _, unit := range []string{"a", "é", "日", "😀", `"`, `\`, ";"} {
			whole := strings.Repeat(unit, n)
			r := txt("x.test", whole)
			if got := text(r); got != whole {
				t.Fatalf("%d times %q: got %d octets", n, unit, len(got))
			}
			for _, s := range r.Txt {
				if raw := unescape(s); len(raw) > 255 || strings.ToValidUTF8(raw, "") != raw {
					t.Fatalf("%d times %q: a string %q", n, unit, raw)
				}
			}
			wire := make([]byte, 4096)
			end, err := dns.PackRR(r, wire, 0, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			back, _, err := dns.UnpackRR(wire[:end], 0)
			if err != nil || text(back.(*dns.TXT)) != whole {
				t.Fatalf("%d times %q does not survive the wire: %v", n, unit, err)
			}
		}
	}
}

// TestSPFRecord: whose mail the domain's is, by what else is known: other hosts that take mail send none, and a
// provider that is not named yet leaves it open.
func TestSPFRecord(t *testing.T) {
	for _, c := range []struct {
		change func(*Plan)
		want   string
	}{
		{func(*Plan) {}, "v=spf1 mx -all"},
		{func(p *Plan) { p.OtherMX = []string{"backup.example.net"} }, "v=spf1 a:mail.example.test -all"},
		{func(p *Plan) { p.SPF = []string{"include:_spf.example.net"} }, "v=spf1 mx include:_spf.example.net -all"},
		{func(p *Plan) { p.Smarthost = true }, "v=spf1 mx ?all"},
		{func(p *Plan) { p.Smarthost, p.SPF = true, []string{"include:_spf.example.net"} }, "v=spf1 mx include:_spf.example.net -all"},
		{func(p *Plan) {
			p.Sending = senders("out.example.test", "192.0.2.26", "o2.example.test", "192.0.2.26", "mail.example.test", "192.0.2.25")
		}, "v=spf1 mx ip4:192.0.2.26 -all"},
		{func(p *Plan) {
			p.Sending = senders("out.example.test", "2001:db8::26", "out.example.test", "::ffff:192.0.2.26")
		}, "v=spf1 mx ip6:2001:db8::26 ip4:192.0.2.26 -all"},
	} {
		p := &Plan{Domain: "example.test", Host: "mail.example.test", Addresses: addrs("192.0.2.25")}
		c.change(p)
		var got []string
		for _, r := range p.Records() {
			if value, ok := r.RR.(*dns.TXT); ok && Name(r.RR) == "example.test" {
				got = append(got, text(value))
			}
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestOneNameOfAnAddress: an address that mail leaves from under two names has one of them in the DNS, the first.
func TestOneNameOfAnAddress(t *testing.T) {
	p := &Plan{Domain: "example.test", Host: "mail.example.test", Addresses: addrs("192.0.2.25"),
		Sending: senders("out.example.test", "192.0.2.26", "o2.example.test", "192.0.2.26", "o2.example.test", "2001:db8::26")}
	var got []string
	for _, r := range p.Records() {
		if ptr, ok := r.RR.(*dns.PTR); ok && strings.HasPrefix(Name(r.RR), "26.2.0.192.") || ok && strings.HasPrefix(Name(r.RR), "6.2.0.0.") {
			got = append(got, ptr.Ptr)
		}
	}
	if strings.Join(got, " ") != "out.example.test. o2.example.test." {
		t.Errorf("%q", got)
	}
}

// TestUnescape: what a server has sent is read whatever its escapes are, also cut off.
func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a": "a", `a\`: `a\`, `a\1`: "a1", `a\12`: "a12", `a\065`: "aA", `a\065b`: "aAb", `\"\\`: `"\`, `\06x`: "06x", `\255`: "\xff", `\;`: ";",
	} {
		if got := unescape(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestKindOf: what a text is, is told by its version, whole, however it is written; a longer word is another version.
func TestKindOf(t *testing.T) {
	for value, want := range map[string]string{
		"v=spf1": kindSPF, "V=SPF1 -all": kindSPF, "\t\"v=spf1 mx\"": kindSPF, "v=spf1;": kindSPF, "v=spf10 -all": "", "v=spf1x": "", "v=spf2.0/pra": "",
		"v=DKIM1; p=": kindDKIM, "v=DKIM1": kindDKIM, "v=DKIM12; p=": "", "p=MII": kindDKIM, "k=rsa; p=": kindDKIM, "x=1; p=": "",
		"v=DMARC1; p=none": kindDMARC, "v=DMARC1p=none": "", "v=STSv1; id=1": kindSTS, "v=STSv1id": "", "v=TLSRPTv1;rua=": kindTLSRPT, "v=tlsrptv1x": "", "": "", "hello": "",
	} {
		if got := kindOf(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// TestDelegate: what changes is led away by CNAME, once, and what it leads to is
// the record itself; names that are the owner's stay theirs.
func TestDelegate(t *testing.T) {
	p := example()
	p.Keys = append(p.Keys, Key{Domain: "example.test", Selector: "next", State: Reserved})
	theirs, ours := p.Delegate("dns.our.test")
	their, our := lines(theirs), lines(ours)
	for _, want := range []string{
		"s1._domainkey.example.test. 3600 IN CNAME s1._domainkey.example.test.dns.our.test.\n",
		"next._domainkey.example.test. 3600 IN CNAME next._domainkey.example.test.dns.our.test.\n",
		"_dmarc.example.test. 3600 IN CNAME _dmarc.example.test.dns.our.test.\n",
		"_mta-sts.example.test. 3600 IN CNAME _mta-sts.example.test.dns.our.test.\n",
		"\nmust example.test. 3600 IN MX 10 mail.example.test.\n",
		"mta-sts.example.test. 3600 IN CNAME mail.example.test.\n",
	} {
		if !strings.Contains(their, want) {
			t.Errorf("theirs has no %s:\n%s", want, their)
		}
	}
	for _, want := range []string{
		`s1._domainkey.example.test.dns.our.test. 3600 IN TXT "v=DKIM1; k=rsa; p=`, `_dmarc.example.test.dns.our.test. 3600 IN TXT "v=DMARC1; p=quarantine`,
	} {
		if !strings.Contains(our, want) {
			t.Errorf("ours has no %s:\n%s", want, our)
		}
	}
	if strings.Contains(our, "next.") || strings.Contains(their, "IN TXT \"v=DKIM1") {
		t.Errorf("theirs\n%sours\n%s", their, our)
	}
}

func TestUpdateKey(t *testing.T) {
	want := UpdateKey{Name: "mail.", Algorithm: "hmac-sha256.", Secret: "c2VjcmV0"}
	for _, text := range []string{
		"key \"mail\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n",
		"# hmac-sha256:mail:other=\nkey:\n  - id: mail\n    algorithm: hmac-sha256\n    secret: c2VjcmV0\n",
		"hmac-sha256:mail:c2VjcmV0\n", "mail:c2VjcmV0", "// a comment\nkey mail. { algorithm \"hmac-sha256\"; secret c2VjcmV0; };",
	} {
		if k, err := ParseUpdateKey(text); err != nil || *k != want {
			t.Errorf("%q: %+v, %v", text, k, err)
		}
	}
	for text, say := range map[string]string{
		"": "no key", "{}": "no key", "hmac-md5:mail:c2VjcmV0": "algorithm", "mail:c2Vj=cmV0": "base64",
		"key \"mail\" { algorithm hmac-sha256; };": "no key", "algorithm hmac-sha256; secret c2VjcmV0;": "no key",
		"key \"a..b\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; };": "no name",
	} {
		if k, err := ParseUpdateKey(text); err == nil || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "c2V") {
			t.Errorf("%q: %+v, %v", text, k, err)
		}
	}
}
