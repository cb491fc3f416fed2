package zone

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/peertest"
)

var updater = peertest.Updater{Name: "mail", Algorithm: "hmac-sha256", Secret: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}

func serverAt(a *peertest.NameServer) *Server {
	return &Server{Address: a.Address, Key: &UpdateKey{Name: "mail.", Algorithm: dns.HmacSHA256, Secret: updater.Secret}}
}

// push compares and applies, and returns what it did and what it left, one line
// each.
func push(t *testing.T, s *Server, records []Record) (did, left []string, err error) {
	t.Helper()
	changes, err := s.Compare(context.Background(), records)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range changes {
		for _, rr := range c.Remove {
			did = append(did, "- "+Line(rr))
		}
		for _, rr := range c.Add {
			did = append(did, "+ "+Line(rr))
		}
		if c.Left != "" {
			left = append(left, c.Left)
		}
	}
	return did, left, s.Apply(context.Background(), changes)
}

// everything is what the server has at the names of these records.
func everything(t *testing.T, a *peertest.NameServer, records []Record) string {
	t.Helper()
	var all []string
	for _, set := range sets(records) {
		for _, rr := range a.Ask(t, set[0].RR.Header().Name, set[0].RR.Header().Rrtype) {
			if rr.Header().Rrtype != dns.TypeRRSIG {
				rr.Header().Ttl = 0
				all = append(all, Line(rr))
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// TestPush: an empty zone gets all, and a second and third push change nothing.
func TestPush(t *testing.T) {
	for _, unsigned := range []bool{true, false} {
		a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test", Unsigned: unsigned})
		p := example()
		s := serverAt(a)
		did, left, err := push(t, s, p.Records())
		if err != nil || len(left) != 0 || len(did) < 18 {
			t.Fatalf("%v\n%s\nleft %q", err, strings.Join(did, "\n"), left)
		}
		if got := strings.Contains(strings.Join(did, "\n"), "TLSA"); got == unsigned {
			t.Errorf("TLSA pushed: %v, unsigned: %v", got, unsigned)
		}
		before := everything(t, a, p.Records())
		for range 2 {
			if did, left, err := push(t, s, p.Records()); err != nil || len(did)+len(left) != 0 {
				t.Errorf("%v, did %q, left %q", err, did, left)
			}
		}
		if after := everything(t, a, p.Records()); after != before {
			t.Errorf("before\n%s\nafter\n%s", before, after)
		}
		for _, r := range p.Records() {
			if srv, ok := r.RR.(*dns.SRV); r.Provider || ok && srv.Target == "." || r.SignedOnly && unsigned {
				continue
			}
			if !strings.Contains(before, strings.Replace(Line(r.RR), " 3600 ", " 0 ", 1)) {
				t.Errorf("missing: %s", r.RR)
			}
		}
	}
}

// TestPushBesideOthers: texts of others stay, an SPF or DMARC record by hand is
// named and left, and never is there a second one; keys and versions of ours are
// replaced.
func TestPushBesideOthers(t *testing.T) {
	const hand = `@ TXT "google-site-verification=abc"
@ TXT "v=spf1 include:_spf.hand.test ~all"
@ TXT "MS=ms123"
@ TXT "v=spf10 no version of ours"
@ MX 5 mx.hand.test.
_dmarc TXT "v=DMARC1; p=reject; rua=mailto:other@hand.test"
_smtp._tls TXT "a text"
s1._domainkey TXT "v=DKIM1; k=rsa; p=b2xk"
s1._domainkey TXT "k=rsa; p=b2xkZXI="
_mta-sts TXT "v=STSv1; id=1"
mta-sts A 192.0.2.80
_25._tcp.mail TLSA 3 1 1 00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa
_25._tcp.mail TLSA 2 0 1 11aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa
mail A 192.0.2.99
* TXT "a wildcard"
*.mail TXT "v=DMARC1; p=none"
`
	a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test", Records: hand})
	p := example()
	did, left, err := push(t, serverAt(a), p.Records())
	if err != nil {
		t.Fatal(err)
	}
	all, stays := strings.Join(did, "\n"), strings.Join(left, "\n")
	for _, want := range []string{
		"- s1._domainkey.example.test. 60 IN TXT \"v=DKIM1; k=rsa; p=b2xk\"", "- s1._domainkey.example.test. 60 IN TXT \"k=rsa; p=b2xkZXI=\"",
		"+ s1._domainkey.example.test.", "- _mta-sts.example.test.", "+ _mta-sts.example.test.", "+ _smtp._tls.example.test.",
		"- _25._tcp.mail.example.test. 60 IN TLSA 3 1 1 00aa", "+ _25._tcp.mail.example.test. 3600 IN TLSA 3 1 1 01", "+ _dmarc.mail.example.test.",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("did not %s", want)
		}
	}
	for _, not := range []string{"\n+ example.test. ", "- example.test.", "_dmarc.example.test.", "IN MX", "TLSA 2 0 1", "- mail", "+ mail.example.test. 3600 IN AAAA", "+ mta-sts", "wildcard", "a text"} {
		if strings.Contains(strings.ReplaceAll(all, "_dmarc.mail", ""), not) {
			t.Errorf("touched %s:\n%s", not, all)
		}
	}
	for _, want := range []string{
		"example.test TXT was not made here and is left as it is: it is \"v=spf1 include:_spf.hand.test ~all\", and should be \"v=spf1 a:mail",
		"_dmarc.example.test TXT was not made here", "example.test MX was not made here", "mail.example.test A was not made here", "mta-sts.example.test has other records",
	} {
		if !strings.Contains(stays, want) {
			t.Errorf("does not name %s:\n%s", want, stays)
		}
	}
	texts := everything(t, a, []Record{{RR: txt("example.test", "")}})
	if strings.Count(texts, "v=spf1 ") != 1 || !strings.Contains(texts, "google-site") || !strings.Contains(texts, "MS=ms123") || !strings.Contains(texts, "v=spf10") {
		t.Errorf("the texts of the domain are\n%s", texts)
	}
	if did, _, err := push(t, serverAt(a), p.Records()); err != nil || len(did) != 0 {
		t.Errorf("the second time: %v, %q", err, did)
	}
}

// TestPushDoubled: of two records the one to go is not ours to choose.
func TestPushDoubled(t *testing.T) {
	a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test", Records: `@ TXT "v=spf1 mx -all"
@ TXT "v=spf1 a:mail.example.test ip4:192.0.2.26 include:_spf.example.net -all"
_dmarc TXT "v=DMARC1; p=none"
_dmarc TXT "v=DMARC1; p=quarantine; rua=mailto:postmaster@example.test"`})
	_, left, err := push(t, serverAt(a), example().Records())
	stays := strings.Join(left, "\n")
	if err != nil || !strings.Contains(stays, "example.test has 2 SPF records") || !strings.Contains(stays, "_dmarc.example.test has 2 DMARC records") {
		t.Errorf("%v, left\n%s", err, stays)
	}
}

// TestPushChanged: a rotated key, another certificate and a stricter policy replace
// what was pushed before.
func TestPushChanged(t *testing.T) {
	a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test"})
	p, s := example(), serverAt(a)
	if _, _, err := push(t, s, p.Records()); err != nil {
		t.Fatal(err)
	}
	p.Keys[0].State = Gone
	p.TLSKeys = []TLSKey{{SPKI: [32]byte{2}}}
	p.DMARC, p.STS = "reject", STSEnforce
	did, left, err := push(t, s, p.Records())
	all := strings.Join(did, "\n")
	if err != nil || len(left) != 0 || len(did) != 9 {
		t.Errorf("%v, left %q, did\n%s", err, left, all)
	}
	for _, want := range []string{"+ s1._domainkey.example.test. 3600 IN TXT \"v=DKIM1; p=\"", "TLSA 3 1 1 01", "p=reject", "+ _mta-sts"} {
		if !strings.Contains(all, want) {
			t.Errorf("did not %s:\n%s", want, all)
		}
	}
	if did, left, err := push(t, s, p.Records()); err != nil || len(did)+len(left) != 0 {
		t.Errorf("%v, did %q, left %q", err, did, left)
	}
}

// TestPushRefused: what the server does not believe or allow is said in words, and
// nothing is changed.
func TestPushRefused(t *testing.T) {
	a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test"})
	p := example()
	for say, change := range map[string]func(*Server){
		"another secret for the key mail": func(s *Server) { s.Key.Secret = "d3Jvbmc=" },
		"knows no key of the name other":  func(s *Server) { s.Key.Name = "other." },
		"set them right":                  func(s *Server) { s.Now = func() time.Time { return time.Now().Add(10 * time.Minute) } },
		"differ by -":                     func(s *Server) { s.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) } },
	} {
		s := serverAt(a)
		change(s)
		if did, _, err := push(t, s, p.Records()); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v, did %q", say, err, did)
		}
	}
	if got := everything(t, a, p.Records()); got != "" {
		t.Errorf("changed:\n%s", got)
	}
	readOnly := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "other.test"})
	if did, left, err := push(t, serverAt(readOnly), p.Records()); err != nil || len(did) != 0 || !strings.Contains(strings.Join(left, "\n"), "example.test MX is not in a zone of this server") {
		t.Errorf("another server: %v, did %q, left %q", err, did, left)
	}
}

// TestPushRace: an update that rests on what has changed since does nothing.
func TestPushRace(t *testing.T) {
	a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test", Records: "@ TXT \"one\"\n"})
	p, s := example(), serverAt(a)
	changes, err := s.Compare(context.Background(), p.Records())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := push(t, s, []Record{{RR: txt("example.test", "v=spf1 mx -all")}}); err != nil {
		t.Fatal(err)
	}
	before := everything(t, a, p.Records())
	if err := s.Apply(context.Background(), changes); err == nil || !strings.Contains(err.Error(), "in the meantime") {
		t.Errorf("got %v", err)
	}
	if after := everything(t, a, p.Records()); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

// TestPushCut: a connection that breaks after any message leaves all of the update
// or nothing of it, and the next push brings the rest.
func TestPushCut(t *testing.T) {
	a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test", Records: "@ TXT \"one\"\n"})
	p := example()
	none := everything(t, a, p.Records())
	s := serverAt(a)
	changes, err := s.Compare(context.Background(), p.Records())
	if err != nil {
		t.Fatal(err)
	}
	for _, half := range []cut{{toServer: 100}, {toServer: 2000}, {toClient: 5}} {
		s.Address = half.listen(t, a.Address)
		if err := s.Apply(context.Background(), changes); err == nil {
			t.Errorf("%+v: no error", half)
		}
		if got := everything(t, a, p.Records()); half.toServer > 0 && got != none {
			t.Errorf("%+v: half of it is there:\n%s", half, got)
		}
	}
	s.Address = a.Address
	if _, _, err := push(t, s, p.Records()); err != nil {
		t.Fatal(err)
	}
	if did, left, err := push(t, s, p.Records()); err != nil || len(did)+len(left) != 0 {
		t.Errorf("%v, did %q, left %q", err, did, left)
	}
	texts := everything(t, a, []Record{{RR: txt("example.test", "")}})
	if strings.Count(texts, "v=spf1") != 1 || !strings.Contains(texts, "one") {
		t.Errorf("the texts are\n%s", texts)
	}
}

// TestPushDelegated: where a customer's name leads here by CNAME, what it leads to
// is changed, and the customer's zone is not asked for.
func TestPushDelegated(t *testing.T) {
	a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "dns.our.test"})
	p, s := example(), serverAt(a)
	s.Lead = func(_ context.Context, name string) (string, error) {
		switch name {
		case "s1._domainkey.example.test.", "_dmarc.example.test.":
			return name + "dns.our.test.", nil
		case "s2._domainkey.example.test.":
			return "s0._domainkey.example.test.", nil
		case "s0._domainkey.example.test.":
			return "s2._domainkey.example.test.", nil
		}
		return "", nil
	}
	if _, _, err := push(t, s, p.Records()); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("a circle: %v", err)
	}
	p.Keys = p.Keys[:1]
	did, _, err := push(t, s, p.Records())
	all := strings.Join(did, "\n")
	if err != nil || len(did) != 2 || !strings.Contains(all, "+ s1._domainkey.example.test.dns.our.test. ") || !strings.Contains(all, "+ _dmarc.example.test.dns.our.test.") {
		t.Errorf("%v, did\n%s", err, all)
	}
}

// TestPushUnderWildcard: a wildcard that leads every name elsewhere is no reason to
// put records there.
func TestPushUnderWildcard(t *testing.T) {
	a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test", Records: "* CNAME park.example.test.\npark A 192.0.2.80\npark TXT \"v=DMARC1; p=none\"\n"})
	p, s := example(), serverAt(a)
	did, left, err := push(t, s, p.Records())
	if err != nil || strings.Contains(strings.Join(did, "\n"), "park") || len(left) != 0 {
		t.Errorf("%v, left %q, did\n%s", err, left, strings.Join(did, "\n"))
	}
	if did, left, err := push(t, s, p.Records()); err != nil || len(did)+len(left) != 0 {
		t.Errorf("the second time: %v, did %q, left %q", err, did, left)
	}
}

// TestPushAccount: a CAA record that was pushed before it was known whose account it is gets it; one that somebody has
// written stays.
func TestPushAccount(t *testing.T) {
	for hand, want := range map[string]string{
		"letsencrypt.org; validationmethods=http-01":                                         "changed",
		"letsencrypt.org; accounturi=https://acme.example/acct/1; validationmethods=http-01": "nothing",
		"letsencrypt.org": "left",
		"letsencrypt.org; accounturi=https://acme.example/acct/2; validationmethods=http-01": "left",
		"other.test": "left",
	} {
		a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test", Records: `mail CAA 0 issue "` + hand + "\"\n"})
		var caa []Record
		for _, r := range example().Records() {
			if Type(r.RR) == "CAA" {
				caa = append(caa, r)
			}
		}
		did, left, err := push(t, serverAt(a), caa)
		got := map[bool]string{len(did) == 2: "changed", len(left) == 1: "left", len(did)+len(left) == 0: "nothing"}[true]
		if err != nil || got != want {
			t.Errorf("%s: %v, did %q, left %q", hand, err, did, left)
		}
		if did, _, err := push(t, serverAt(a), caa); err != nil || len(did) != 0 {
			t.Errorf("%s, once more: %v, did %q", hand, err, did)
		}
	}
}
