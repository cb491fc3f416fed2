package zone

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// unmatched returns what of want no finding is, and the findings that none of want
// is, each as "state: name: text".
func unmatched(findings []Finding, want []string) (missing []string, extra []string) {
	taken := make([]bool, len(findings))
	for _, w := range want {
		state, part, _ := strings.Cut(w, ": ")
		found := false
		for i, f := range findings {
			if string(f.State) == state && strings.Contains(f.Name+" "+f.Type+" "+f.Text, part) {
				taken[i], found = true, true
			}
		}
		if !found {
			missing = append(missing, w)
		}
	}
	for i, f := range findings {
		if !taken[i] {
			extra = append(extra, fmt.Sprintf("%s: %s %s %s", f.State, f.Name, f.Type, f.Text))
		}
	}
	return missing, extra
}

func ofState(findings []Finding, states ...State) (all []Finding) {
	for _, f := range findings {
		if slices.Contains(states, f.State) {
			all = append(all, f)
		}
	}
	return all
}

// TestCheck: each planted fault is named, nothing else is, and of a right zone nothing is said.
func TestCheck(t *testing.T) {
	if !peertest.OwnNetwork(t, labAddresses()...) {
		return
	}
	l := startLab(t, labCases())
	for _, c := range l.cases {
		r := l.checker.Check(context.Background(), l.plans[c.domain])
		missing, extra := unmatched(r.Faults(), c.want)
		if len(missing)+len(extra) > 0 {
			t.Errorf("%s: not said:\n\t%s\nsaid and not wanted:\n\t%s", c.domain, strings.Join(missing, "\n\t"), strings.Join(extra, "\n\t"))
		}
		missing, extra = unmatched(ofState(r.Findings, Note), c.notes)
		if len(missing)+len(extra) > 0 {
			t.Errorf("%s: not noted:\n\t%s\nnoted and not wanted:\n\t%s", c.domain, strings.Join(missing, "\n\t"), strings.Join(extra, "\n\t"))
		}
	}
}

// TestCheckResolver: which resolver was asked is said, and what it does not do is
// told apart from what the zone does not have.
func TestCheckResolver(t *testing.T) {
	if !peertest.OwnNetwork(t, labAddresses()...) {
		return
	}
	l := startLab(t, []*labCase{{domain: "signed.test"}, {domain: "plain.test", unsigned: true}})
	check := func(c Checker, domain, want string) {
		t.Helper()
		c.Roots = l.trust.Pool
		for _, f := range c.Check(context.Background(), l.plans[domain]).Findings {
			if f.Type == "DS" && f.Name == domain && strings.Contains(string(f.State)+": "+f.Text, want) {
				return
			}
		}
		t.Errorf("%s at %s: nothing says %s", domain, c.Resolver, want)
	}
	check(*l.checker, "signed.test", `ok: the zone is signed, and the resolver 127.0.0.1:53 has validated it; "dnssec_trusted" is off`)
	check(Checker{Resolver: l.checker.Resolver, Trusted: true}, "signed.test", "has validated it")
	check(*l.checker, "plain.test", "ok: the zone is not signed")
	dull := Checker{Resolver: peertest.Recursor(t, "127.0.0.1:5354", false, l.tops)}
	check(dull, "signed.test", "note: the zone is signed, but the resolver 127.0.0.1:5354 does not validate")
	check(dull, "plain.test", "ok: the zone is not signed")
	r := (&Checker{Resolver: "127.0.0.1:1"}).Check(context.Background(), l.plans["signed.test"])
	for _, f := range r.Faults() {
		if f.State != Unknown {
			t.Errorf("nobody answers: %+v", f)
		}
	}
	if len(r.Faults()) == 0 {
		t.Error("a resolver that is not there is no fault")
	}
}

// TestCheckDelegated: two customers lead their names to a zone of ours once; a new key
// and a stricter policy then need nothing but a push into ours.
func TestCheckDelegated(t *testing.T) {
	if !peertest.OwnNetwork(t, labAddresses()...) {
		return
	}
	led := func(z *zoneText, p *Plan) {
		theirs, ours := p.Delegate("dns.our.test")
		z.zones[p.Domain] = nil
		for _, r := range append(theirs, ours...) {
			z.place(Line(r.RR))
		}
	}
	var cases []*labCase
	for _, domain := range []string{"customer1.test", "customer2.test"} {
		c := &labCase{domain: domain}
		c.plan = func(p *Plan) {
			p.Host = "mx.dns.our.test"
			p.Sending, p.CAA = senders(p.Host, labHost, p.Host, labHost6), nil
			p.Keys = append(p.Keys[:1], Key{domain, "s5", "", Reserved})
			plan := p
			c.edit = func(z *zoneText) { led(z, plan) }
		}
		cases = append(cases, c)
	}
	l := startLab(t, cases)
	silent := func(when string) {
		t.Helper()
		for _, c := range cases {
			for _, f := range l.checker.Check(context.Background(), l.plans[c.domain]).Findings {
				if f.State != OK {
					t.Errorf("%s: %s: %s %s %s: %s", when, c.domain, f.State, f.Name, f.Type, f.Text)
				}
			}
		}
	}
	silent("at first")
	server := serverAt(l.zones)
	server.Lead = l.checker.Lead
	for _, c := range cases {
		p, before := l.plans[c.domain], l.zones.Ask(t, c.domain, dns.TypeSOA)
		p.Keys[1].Value, p.Keys[1].State, p.Keys[0].State = anotherKey(), Signing, Gone
		p.DMARC = "reject"
		did, left, err := push(t, server, p.Records())
		if all := strings.Join(did, "\n"); err != nil || len(left) > 0 || strings.Count(all, "+ ") < 3 || strings.Count(all, "dns.our.test. ") != len(did) {
			t.Fatalf("%v, left %q, did\n%s", err, left, all)
		}
		if after := l.zones.Ask(t, c.domain, dns.TypeSOA); before[0].String() != after[0].String() {
			t.Errorf("the customer's zone was changed: %v, %v", before[0], after[0])
		}
	}
	l.checker.Resolver = peertest.Recursor(t, "127.0.0.1:5353", true, l.tops) // one that remembers nothing
	silent("after the rotation")
}

// TestCheckShown: what is shown, put into a zone, is silent, for every combination of
// options.
func TestCheckShown(t *testing.T) {
	if !peertest.OwnNetwork(t, labAddresses()...) {
		return
	}
	var cases []*labCase
	for i, mix := range combinations(40) {
		domain := fmt.Sprintf("k%d.test", i)
		cases = append(cases, &labCase{domain: domain, unsigned: i%2 == 0, plan: func(p *Plan) {
			full := *p
			p.DMARC, p.STS, p.Smarthost, p.Autoconfig = mix.DMARC, mix.STS, mix.Smarthost, mix.Autoconfig
			if mix.Host == "example.test" {
				p.Host, p.CAA[0].Name = domain, domain
				p.Sending = senders(domain, labHost, domain, labHost6, "out."+domain, labOther)
			}
			if p.ReportsTo = mix.ReportsTo; strings.HasSuffix(mix.ReportsTo, "@other.test") {
				p.ReportsTo = "dmarc@reports.test"
			} else if strings.HasSuffix(mix.ReportsTo, "@example.test") {
				p.ReportsTo = `"a;b"@` + domain
			}
			p.Addresses = p.Addresses[:len(mix.Addresses)]
			if len(mix.Sending) == 0 {
				p.Sending = nil
			}
			for keep, drop := range map[*bool]func(){
				new(len(mix.OtherMX) > 0): func() { p.OtherMX = nil }, new(len(mix.SPF) > 0): func() { p.SPF = nil },
				new(len(mix.Services) > 0): func() { p.Services = nil },
				new(len(mix.Keys) > 1):     func() { p.Keys = full.Keys[:1] }, new(len(mix.TLSKeys) > 0): func() { p.TLSKeys = nil }, new(len(mix.CAA) > 0): func() { p.CAA = nil },
			} {
				if !*keep {
					drop()
				}
			}
		}})
	}
	l := startLab(t, cases)
	for i, c := range l.cases {
		r := l.checker.Check(context.Background(), l.plans[c.domain])
		for _, f := range r.Findings {
			tlsa := f.State == Note && f.Type == "TLSA" && c.unsigned
			if f.State != OK && !tlsa {
				t.Errorf("%s: %s %s %s: %s", c.domain, f.State, f.Name, f.Type, f.Text)
			}
		}
		if len(r.Findings) < 5 || len(r.Sending) == 0 && !l.plans[c.domain].Smarthost {
			t.Errorf("%d: nothing was looked at: %+v", i, r)
		}
	}
}

// labCases are right zones and zones with one fault each.
func labCases() []*labCase {
	serve := func(kind, text string) func(http.ResponseWriter, *http.Request, string) {
		return func(w http.ResponseWriter, _ *http.Request, policy string) {
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, strings.ReplaceAll(text, "POLICY", policy))
		}
	}
	key := func(z *zoneText, value string) {
		z.drop("s1._domainkey")
		z.add("s1._domainkey." + z.domain + ". TXT " + value)
	}
	lone := func(address string) func(*Plan) { // a host that nobody can connect to
		return func(p *Plan) {
			p.Addresses, p.Sending, p.TLSKeys, p.STS, p.Autoconfig = addrs(address), nil, nil, STSOff, false
		}
	}
	half := dkimValue()[:200]
	rest := dkimValue()[200:]
	return []*labCase{
		{domain: "right.test"},
		{domain: "right2.test", unsigned: true, plan: func(p *Plan) { p.TLSKeys = nil }},
		{domain: "wild.test", edit: func(z *zoneText) { z.add("* A 192.0.2.80"); z.add(`* TXT "anything"`) }},
		{domain: "wild2.test", edit: func(z *zoneText) { z.add("* CNAME www.other.test.") }},

		{domain: "ptr1.test", plan: lone("192.0.2.101"), edit: func(z *zoneText) { z.drop("PTR") }, want: []string{"missing: 192.0.2.101, which mail leaves from, has no name"}},
		{domain: "ptr2.test", plan: lone("192.0.2.102"), edit: func(z *zoneText) { z.sub("PTR mail.ptr2.test", "PTR www.other.test") }, want: []string{"differs: has the name www.other.test, and that does not lead back"}},
		{domain: "ptr3.test", plan: lone("192.0.2.103"), edit: func(z *zoneText) { z.sub("PTR mail.ptr3.test", "PTR dyn.ptr3.test"); z.add("dyn A 192.0.2.103") }, notes: []string{"note: has the name dyn.ptr3.test, and the server calls itself mail.ptr3.test"}},
		{domain: "ptr4.test", plan: lone("2001:db8::104"), edit: func(z *zoneText) { z.drop("PTR") }, want: []string{"missing: 2001:db8::104, which mail leaves from, has no name"}},
		{domain: "ptr5.test", plan: lone("2001:db8::105"), edit: func(z *zoneText) { z.sub("PTR mail.ptr5.test", "PTR www.other.test") }, want: []string{"differs: 2001:db8::105 has the name www.other.test"}},
		{domain: "ptr6.test", plan: lone("2001:db8::106"), edit: func(z *zoneText) { z.drop("IN AAAA") }, want: []string{"differs: 2001:db8::106 has the name mail.ptr6.test, and that does not lead back", "missing: does not lead to 2001:db8::106", "dangerous: ptr6.test", "dangerous: mail.ptr6.test"}},
		{domain: "mx1.test", edit: func(z *zoneText) { z.drop("MX 10") }, want: []string{"differs: goes to backup.other.test, and not to mail.mx1.test"}},
		{domain: "mx2.test", edit: func(z *zoneText) { z.drop(" MX ") }, want: []string{"missing: no MX", "dangerous: does not pass SPF"}, plan: func(p *Plan) { p.OtherMX = nil }},
		{domain: "mx3.test", edit: func(z *zoneText) { z.add("@ MX 5 mx.right.test.") }, want: []string{"differs: goes to mx.right.test as well", "dangerous: MX mx.right.test has no address", "differs: stand before it", "dangerous: has no line \"mx: mx.right.test\""}},
		{domain: "mx4.test", edit: func(z *zoneText) { z.add("@ MX 30 192.0.2.25.") }, want: []string{"dangerous: is an address", "dangerous: no line \"mx: 192.0.2.25\""}},
		{domain: "mx5.test", edit: func(z *zoneText) {
			z.sub("mail.mx5.test. 3600 IN A 192.0.2.25", "mail.mx5.test. CNAME mail.right.test.")
			z.drop("mail.mx5.test. 3600 IN AAAA")
			z.drop("mail.mx5.test. 3600 IN TXT")
			z.drop("mail.mx5.test. 3600 IN CAA")
		}, want: []string{"dangerous: it is a CNAME"}},
		{domain: "host1.test", edit: func(z *zoneText) { z.add("mail A " + labStranger) }, want: []string{"dangerous: leads to 192.0.2.99 as well"}},
		{domain: "host2.test", edit: func(z *zoneText) { z.drop("AAAA") }, want: []string{"missing: does not lead to 2001:db8::25", "dangerous: mail from 2001:db8::25, which is ours, does not pass SPF"}},

		{domain: "spf1.test", edit: func(z *zoneText) { z.add(`@ TXT "v=spf1 mx -all"`) }, want: []string{"doubled: there are 2 SPF records"}},
		{domain: "spf2.test", edit: func(z *zoneText) { z.drop("spf2.test. 3600 IN TXT \"v=spf1 a:mail") }, want: []string{"missing: no SPF record; it should be \"v=spf1 a:mail"}},
		{domain: "spf3.test", edit: func(z *zoneText) {
			z.sub("TXT \"v=spf1 a:mail.spf3.test ip4:192.0.2.26 include:_spf.other.test -all\"", "TXT \" v=spf1 a:mail.spf3.test -all\"")
		}, want: []string{"differs: something invisible", "missing: no SPF record"}},
		{domain: "spf4.test", edit: func(z *zoneText) {
			z.sub("TXT \"v=spf1 a:mail.spf4.test ip4:192.0.2.26 include:_spf.other.test -all\"", "TXT \"\\\"v=spf1 a:mail.spf4.test -all\\\"\"")
		}, want: []string{"differs: quotation mark", "missing: no SPF record"}},
		{domain: "spf5.test", edit: func(z *zoneText) {
			z.sub("v=spf1 a:mail.spf5.test ip4:192.0.2.26 include:_spf.other.test -all", "V=spf1 a:mail.spf5.test ip4:192.0.2.26 -all")
		}, want: []string{"differs: capitals"}},
		{domain: "spf6.test", edit: func(z *zoneText) {
			z.sub("spf6.test. 3600 IN TXT \"v=spf1 a:mail.spf6.test ip4:192.0.2.26", "spf6.test. TXT \"v=spf1 a:mail.spf6.test")
		}, want: []string{"dangerous: spf6.test TXT mail from 192.0.2.26, which is ours, does not pass SPF: fail, because of \"-all\""}},
		{domain: "spf7.test", edit: func(z *zoneText) { z.sub("include:_spf.other.test -all", "include:_spf.other.test +all") }, want: []string{"dangerous: \"+all\" in the SPF record lets anybody"}},
		{domain: "spf8.test", edit: func(z *zoneText) {
			z.sub("include:_spf.other.test -all", "include:_spf.other.test include:i.spf8.test -all")
			z.add(`i TXT "v=spf1 a:h.spf8.test a:h.spf8.test a:h.spf8.test a:h.spf8.test a:h.spf8.test a:h.spf8.test a:h.spf8.test a:h.spf8.test ?all"`)
			z.add("h A 192.0.2.201")
		}, want: []string{"dangerous: more lookups than others make"}},
		{domain: "spf9.test", edit: func(z *zoneText) {
			z.sub("include:_spf.other.test -all", "include:_spf.other.test include:i.spf9.test -all")
			z.add(`i TXT "v=spf1 a:h.spf9.test a:h.spf9.test a:h.spf9.test a:h.spf9.test a:h.spf9.test a:h.spf9.test ?all"`)
			z.add("h A 192.0.2.201")
		}, notes: []string{"note: 9 lookups of 10: a:mail.spf9.test 1, include:_spf.other.test 1, include:i.spf9.test 7"}},
		{domain: "spf10.test", edit: func(z *zoneText) {
			z.sub("include:_spf.other.test -all", "include:_spf.other.test a:no1.spf10.test a:no2.spf10.test -all")
		}, notes: []string{"note: 2 terms of the SPF record lead to nothing"}},
		{domain: "spf11.test", edit: func(z *zoneText) {
			z.sub("include:_spf.other.test -all", "include:_spf.other.test include:none.spf11.test -all")
		}, want: []string{"dangerous: \"include:none.spf11.test\""}},
		{domain: "spf12.test", edit: func(z *zoneText) { z.sub("include:_spf.other.test -all", "includes:_spf.other.test -all") }, want: []string{"differs: cannot be read"}},

		{domain: "key1.test", edit: func(z *zoneText) { z.drop("s1._domainkey") }, want: []string{"missing: s1._domainkey.key1.test"}},
		{domain: "key2.test", edit: func(z *zoneText) { key(z, `"`+half+`" " `+rest+`"`) }, want: []string{"dangerous: a blank stands within p=; not every verifier skips it (at octet 200"}},
		{domain: "key3.test", edit: func(z *zoneText) { key(z, `"\"`+half+`\"" "\"`+rest+`\""`) }, want: []string{"differs: s1._domainkey"}},
		{domain: "key4.test", edit: func(z *zoneText) { key(z, `"`+strings.ReplaceAll(half, ";", `\\;`)+`" "`+rest+`"`) }, want: []string{"differs: s1._domainkey"}},
		{domain: "key5.test", edit: func(z *zoneText) { key(z, `"`+half+`"`); z.add(`s1._domainkey TXT "` + rest + `"`) }, want: []string{"doubled: s1._domainkey"}},
		{domain: "key6.test", edit: func(z *zoneText) { key(z, `"`+half+`"`) }, want: []string{"differs: s1._domainkey"}},
		{domain: "key7.test", edit: func(z *zoneText) { key(z, `"v=DKIM1; k=rsa; s=email; p=`+half[18:]+`" "`+rest+`"`) }, want: []string{"dangerous: s1._domainkey"}},
		{domain: "key8.test", edit: func(z *zoneText) { key(z, `"v=DKIM1; k=rsa; t=y:s; p=`+half[18:]+`" "`+rest+`"`) }, want: []string{"dangerous: s1._domainkey"}},
		{domain: "key9.test", edit: func(z *zoneText) { key(z, `"v=DKIM1; k=rsa; p="`) }, want: []string{"differs: revoked"}},
		{domain: "key10.test", edit: func(z *zoneText) { z.drop("s1._domainkey"); z.add(`*._domainkey TXT "v=DKIM1; p="`) }, want: []string{"missing: a wildcard answers"}},
		{domain: "key11.test", edit: func(z *zoneText) { z.drop("s2._domainkey") }, notes: []string{"note: next DKIM key is not published yet"}},
		{domain: "first.test", plan: func(p *Plan) { p.Keys = p.Keys[1:2] }, edit: func(z *zoneText) { z.drop("s2._domainkey") }, want: []string{"missing: no mail of first.test is signed"}},

		{domain: "key12.test", edit: func(z *zoneText) { other := anotherKey(); key(z, `"`+other[:200]+`" "`+other[200:]+`"`) }, want: []string{"differs: s1._domainkey"}},
		{domain: "key13.test", edit: func(z *zoneText) { z.add("s1._domainkey TXT \"v=DKIM1; k=rsa; p=MIIB\"") }, want: []string{"doubled: s1._domainkey"}},

		{domain: "key14.test", edit: func(z *zoneText) { // a form that cuts elsewhere
			key(z, `"`+strings.Join([]string{half[:50], half[50:], rest[:1], rest[1:]}, `" "`)+`"`)
		}},

		{domain: "dmarc1.test", edit: func(z *zoneText) { z.add(`_dmarc TXT "v=DMARC1; p=reject"`) }, want: []string{"doubled: _dmarc.dmarc1.test TXT there are 2 DMARC"}},
		{domain: "dmarc2.test", edit: func(z *zoneText) { z.drop("_dmarc.dmarc2.test.") }, want: []string{"missing: no DMARC record"}},
		{domain: "dmarc3.test", edit: func(z *zoneText) {
			z.sub("_dmarc.dmarc3.test. 3600 IN TXT \"v=DMARC1", "_dmarc.dmarc3.test. TXT \"v=dmarc1")
		}, want: []string{"differs: is meant to be a DMARC record"}},
		{domain: "dmarc4.test", plan: func(p *Plan) { p.ReportsTo = "d@reports.test" }, edit: func(z *zoneText) { z.drop("_report._dmarc.reports.test") }, want: []string{"missing: dmarc4.test._report._dmarc.reports.test", "missing: mail.dmarc4.test._report._dmarc.reports.test"}},
		{domain: "dmarc5.test", edit: func(z *zoneText) {
			z.sub("_dmarc.dmarc5.test. 3600 IN TXT \"v=DMARC1; p=none", "_dmarc.dmarc5.test. TXT \"v=DMARC1; p=monitor")
		}, want: []string{"differs: none nor quarantine"}},
		{domain: "dmarc6.test", edit: func(z *zoneText) { z.drop("_dmarc.dmarc6.test."); z.add(`*.dmarc6.test. TXT "v=DMARC1; p=none"`) }, want: []string{"missing: a wildcard answers"}},

		{domain: "sts1.test", edit: func(z *zoneText) { z.sub("v=STSv1; id=", "v=STSv1; id=9") }, want: []string{"differs: is stale"}},
		{domain: "sts2.test", cert: "expired", want: []string{"dangerous: has expired"}},
		{domain: "sts3.test", cert: "other", want: []string{"dangerous: is for www.sts3.test, and not for mta-sts.sts3.test"}},
		{domain: "sts4.test", cert: "stranger", want: []string{"dangerous: authority that is not believed"}},
		{domain: "sts5.test", web: func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "https://www.other.test/", http.StatusFound)
		}, want: []string{"dangerous: redirects to"}},
		{domain: "sts6.test", web: serve("text/html", "POLICY"), want: []string{"dangerous: of the type"}},
		{domain: "sts7.test", web: func(w http.ResponseWriter, _ *http.Request, policy string) {
			serve("text/plain", strings.ReplaceAll(policy, "\r", ""))(w, nil, "")
		}, want: []string{"differs: do not end with CRLF"}},
		{domain: "sts8.test", web: serve("text/plain", "version: STSv1\r\nmode: enforce\r\nmx: backup.other.test\r\nmax_age: 604800\r\n"), want: []string{"dangerous: no line \"mx: mail.sts8.test\", and mail goes there by the MX records: who knows the policy does not deliver there until 20"}},
		{domain: "sts9.test", edit: func(z *zoneText) { z.add(`_mta-sts TXT "v=STSv1; id=1"`) }, want: []string{"doubled: 2 MTA-STS"}},
		{domain: "sts10.test", edit: func(z *zoneText) { z.drop("mta-sts.sts10.test. 3600 IN CNAME") }, want: []string{"dangerous: is not in the DNS"}},
		{domain: "sts11.test", edit: func(z *zoneText) { z.drop("_mta-sts") }, want: []string{"missing: no MTA-STS record"}},
		{domain: "sts12.test", web: func(w http.ResponseWriter, r *http.Request, _ string) { http.NotFound(w, r) }, want: []string{"dangerous: answers 404"}},
		{domain: "sts13.test", edit: func(z *zoneText) { z.sub("v=STSv1; id=", "v=STSv1; id=2026-11-30-") }, want: []string{"differs: letters and digits"}},
		{domain: "sts14.test", unnamed: true, want: []string{"dangerous: mail.sts14.test port 25 who goes by the MTA-STS policy does not deliver there: its certificate is for mail.lab.test, "}},
		{domain: "sts15.test", plan: func(p *Plan) { p.OtherMX = []string{"second.other.test"} }, want: []string{"dangerous: second.other.test port 25 who goes by the MTA-STS policy does not deliver there: it offers no STARTTLS"}},
		{domain: "sts16.test", plan: func(p *Plan) { p.OtherMX = []string{"silent.other.test"} }, notes: []string{"note: silent.other.test port 25 whether it shows a certificate"}},
		{domain: "sts17.test", unnamed: true, web: serve("text/plain", "version: STSv1\r\nmode: none\r\nmax_age: 604800\r\n"), want: []string{"differs: the policy's mode is \"none\""}},

		{domain: "tls1.test", edit: func(z *zoneText) { z.sub("TLSA 3 1 1 ", "TLSA 3 1 1 00") }, want: []string{"differs: which is not the length", "dangerous: no TLSA record fits", "differs: shows next is not announced"}},
		{domain: "tls2.test", edit: func(z *zoneText) { z.drop("TLSA 3 1 1"); z.add("_25._tcp.mail TLSA 3 1 1 " + strings.Repeat("ab", 32)) }, want: []string{"dangerous: no TLSA record fits the certificate shown at 192.0.2.25:25", "dangerous: [2001:db8::25]:25", "differs: shows next is not announced"}},
		{domain: "tls3.test", unsigned: true, notes: []string{"note: as far as can be seen: in tls3.test, the zone is not signed"}},
		{domain: "tls4.test", edit: func(z *zoneText) { z.add("_25._tcp.mail TLSA 1 0 1 " + strings.Repeat("ab", 32)) }, want: []string{"differs: is not for mail"}},

		{domain: "tls5.test", edit: func(z *zoneText) { z.add("_25._tcp.mail TLSA 3 1 1 " + strings.Repeat("ab", 32)) }, notes: []string{"note: \"3 1 1 abababababababab…\" fits no certificate that is shown"}},
		{domain: "tls6.test", plan: func(p *Plan) { // its host is in another zone, which is not signed
			p.Host = "mail.tls3.test"
			p.Sending, p.CAA = senders(p.Host, labHost, p.Host, labHost6), nil
		}, notes: []string{"note: as far as can be seen: in tls3.test, the zone is not signed"}},

		{domain: "ds1.test", ds: "12345 13 2 " + strings.Repeat("AB", 32), unsigned: true, want: []string{"dangerous: says that this one is signed (DS), and it has no keys"}},
		{domain: "ds2.test", ds: "12345 13 2 " + strings.Repeat("AB", 32), want: []string{"dangerous: names other keys (DS) than the zone has"}},
		{domain: "ds3.test", ds: "none", plan: func(p *Plan) { p.TLSKeys = nil }},

		{domain: "ds4.test", expired: true, want: []string{"dangerous: signatures do not verify, or have expired"}},

		{domain: "caa1.test", edit: func(z *zoneText) { z.sub("letsencrypt.org", "other-authority.test") }, want: []string{"dangerous: only \"other-authority.test"}},
		{domain: "caa2.test", edit: func(z *zoneText) { z.sub("acme.example/acct/1", "acme.example/acct/2") }, want: []string{"dangerous: caa2.test CAA certificates for mail.caa2.test come from \"letsencrypt.org; accounturi=https://acme.example/acct/1; validationmethods=http-01\", and only \"letsencrypt.org; accounturi=https://acme.example/acct/2"}},
		{domain: "caa3.test", edit: func(z *zoneText) { z.sub("validationmethods=http-01", "validationmethods=dns-01,tls-alpn-01") }, want: []string{"dangerous: the next one will be refused"}},
		{domain: "caa4.test", edit: func(z *zoneText) { z.sub("; validationmethods=http-01", "; ValidationMethods=dns-01,http-01") }},
		{domain: "caa5.test", plan: func(p *Plan) { p.CAA[0].Account = "" }, edit: func(z *zoneText) {
			z.sub("; validationmethods", "; accounturi=https://acme.example/acct/9; validationmethods")
		}},
		{domain: "srv1.test", edit: func(z *zoneText) {
			z.sub("_pop3s._tcp.srv1.test. 3600 IN SRV 0 1 995 mail", "_pop3s._tcp.srv1.test. SRV 0 1 995 imap")
		}, want: []string{"differs: led to \"0 1 995 imap.srv1.test.\""}},
		{domain: "auto1.test", programs: serve("text/html; charset=utf-8", "<html>Welcome</html>"), edit: func(z *zoneText) { z.drop("autoconfig."); z.add("* A " + labStranger) }, want: []string{
			"differs: autoconfig.auto1.test A mail programs that ask for the settings at https://autoconfig.auto1.test/mail/config-v1.1.xml get something else than is told here: a web site's page, of the type \"text/html\"; a wildcard leads there"}},
		{domain: "auto2.test", programs: serve("text/xml", "<clientConfig><hostname>pop.old.test</hostname></clientConfig>"), want: []string{"differs: settings that name other hosts"}},
		{domain: "auto3.test", programs: func(w http.ResponseWriter, r *http.Request, _ string) { http.NotFound(w, r) }, want: []string{"differs: than is told here: 404"}},
		{domain: "auto4.test", edit: func(z *zoneText) { z.drop("autoconfig.") }},
		{domain: "auto5.test", edit: func(z *zoneText) {
			z.drop("autoconfig.")
			z.add("autoconfig A " + labSilent)
		}, notes: []string{"note: get none: "}},
		{domain: "rpt1.test", edit: func(z *zoneText) { z.sub("v=TLSRPTv1; rua=mailto:", "v=TLSRPTv1; rua=") }, want: []string{"differs: neither mailto: nor https:"}},

		{domain: "ns1.test", unsigned: true, plan: func(p *Plan) { p.TLSKeys = nil }, second: func(z *zoneText) { z.drop("s1._domainkey") }, want: []string{"dangerous: do not agree on s1._domainkey.ns1.test"}},
		{domain: "ns2.test", edit: func(z *zoneText) { z.add("@ NS silent.other.test.") }, want: []string{"dangerous: silent.other.test (192.0.2.56) does not answer"}},
		{domain: "ns3.test", edit: func(z *zoneText) { z.add("@ NS second.other.test.") }, want: []string{"dangerous: does not have it"}},

		{domain: "lead1.test", edit: func(z *zoneText) {
			z.drop("s1._domainkey")
			z.add("s1._domainkey CNAME s9._domainkey")
			z.add("s9._domainkey CNAME s1._domainkey")
		}, want: []string{"dangerous: round in a circle"}},
		{domain: "lead2.test", edit: func(z *zoneText) { z.drop("s1._domainkey"); z.add("s1._domainkey CNAME gone.other.test.") }, want: []string{"missing: leads to gone.other.test, which is not there"}},
		{domain: "lead3.test", edit: func(z *zoneText) {
			z.sub("s1._domainkey.lead3.test.", "s1._domainkey.lead3.test.k")
			z.add("s1._domainkey CNAME s1._domainkey.lead3.test.k")
		}},
		{domain: "loose.test", ds: "loose", unsigned: true, plan: func(p *Plan) { p.TLSKeys = nil; p.Services = nil; p.Autoconfig = false }, edit: func(z *zoneText) { z.add("_dmarc.loose.test. CNAME gone.other.test.") }, want: []string{"dangerous: has a CNAME to gone.other.test beside its TXT"}},
		{domain: "loose2.test", ds: "loose", unsigned: true, plan: func(p *Plan) { p.TLSKeys = nil; p.Services = nil; p.Autoconfig = false }, edit: func(z *zoneText) {
			z.drop("_dmarc.loose2.test.")
			z.add("_dmarc.loose2.test. CNAME a.other.test.")
			z.add("_dmarc.loose2.test. CNAME b.other.test.")
		}, want: []string{"dangerous: has 2 CNAMEs"}},
	}
}
