package sink

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp/dkim"
)

// fakeDNS is a DNS in memory: texts by name. What does not stand in it does not exist.
type fakeDNS struct {
	texts map[string]string
	asked atomic.Int32
	slow  bool
}

func (d *fakeDNS) LookupTXT(ctx context.Context, name string) ([]string, error) {
	d.asked.Add(1)
	if d.slow {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if text, ok := d.texts[strings.TrimSuffix(name, ".")]; ok {
		return []string{text}, nil
	}
	return nil, &net.DNSError{Err: "no such name", Name: name, IsNotFound: true}
}

func (d *fakeDNS) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	_, err := d.LookupTXT(ctx, host)
	return nil, err
}

func (d *fakeDNS) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	_, err := d.LookupTXT(ctx, name)
	return nil, err
}

func (d *fakeDNS) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	return d.LookupTXT(ctx, addr)
}

func (d *fakeDNS) NameExists(_ context.Context, name string) (bool, error) {
	_, ok := d.texts[strings.TrimSuffix(name, ".")]
	return ok, nil
}

// signedMail is a message with a signature of example.com, and the DNS that has its key and policies.
func signedMail(t *testing.T) (raw string, dns *fakeDNS) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.Record(public)
	if err != nil {
		t.Fatal(err)
	}
	header, body := "From: Shop <shop@example.com>\r\nTo: bob@x.test\r\nSubject: x\r\n\r\n", "body\r\n"
	signing, err := (&dkim.Signer{Domain: "example.com", Keys: []dkim.SigningKey{{Selector: "s1", Key: private}}}).Sign(header)
	if err != nil {
		t.Fatal(err)
	}
	signing.Write([]byte(body))
	fields, err := signing.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(fields, "") + header + body, &fakeDNS{texts: map[string]string{
		strings.TrimSuffix(dkim.RecordName("s1", "example.com"), "."): record,
		"example.com":        "v=spf1 ip4:192.0.2.1 -all",
		"_dmarc.example.com": "v=DMARC1; p=reject",
	}}
}

// TestJudge: what other hosts would say of a message is said with the DNS, and what can be seen without it is said without.
func TestJudge(t *testing.T) {
	raw, dns := signedMail(t)
	j := &Judge{DNS: dns}
	good, bad, none := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.Addr{}
	for name, c := range map[string]struct {
		judge   *Judge
		raw     string
		from    string
		ask     bool
		leaving netip.Addr
		spf     string
		dkim    string
		dmarc   string
		done    string // what becomes of it
		body    bool
	}{
		"all good":         {j, raw, "bounce@example.com", true, good, "pass", "pass", "pass", "none", true},
		"another address":  {j, raw, "bounce@example.com", true, bad, "fail", "pass", "pass", "none", true},
		"fixed address":    {&Judge{DNS: dns, Leaving: good}, raw, "bounce@example.com", true, none, "pass", "pass", "pass", "none", true},
		"from here":        {j, raw, "bounce@example.com", true, none, "none", "pass", "pass", "none", true},
		"changed body":     {j, raw + "more\r\n", "bounce@other.test", true, good, "none", "fail", "fail", "reject", false},
		"changed subject":  {j, strings.Replace(raw, "Subject: x", "Subject: y", 1), "x@other.test", true, good, "none", "fail", "fail", "reject", true},
		"SPF alone":        {j, strings.Replace(raw, "Subject: x", "Subject: y", 1), "x@example.com", true, good, "pass", "fail", "pass", "none", true},
		"null sender":      {j, raw, "", true, good, "pass", "pass", "pass", "none", true},
		"not asked":        {j, raw, "bounce@example.com", false, good, NotAsked, NotAsked, NotAsked, "", true},
		"not asked, local": {j, raw, "bounce@example.com", false, none, "none", NotAsked, NotAsked, "", true},
		"broken, unasked":  {j, raw + "more\r\n", "bounce@example.com", false, good, NotAsked, "fail", NotAsked, "", false},
		"nobody to ask":    {nil, raw, "bounce@example.com", true, good, NotAsked, NotAsked, NotAsked, "", true},
		"no From":          {j, "Subject: x\r\n\r\n", "x@example.com", false, good, NotAsked, "", "permerror", "", false},
		"unsigned":         {j, "From: a@other.test\r\n\r\n", "x@example.com", true, good, "pass", "", "none", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			before := dns.asked.Load()
			m := newMessage("id", Envelope{From: c.from, Helo: "example.com", Client: "127.0.0.1:1", Host: "sink.test"}, []byte(c.raw))
			v := c.judge.Judge(t.Context(), m, []byte(c.raw), c.ask, c.leaving)
			signature := SignatureFound{}
			if len(v.DKIM) > 0 {
				signature = v.DKIM[0]
			}
			if v.SPF.Result != c.spf || signature.Result != c.dkim || v.DMARC.Result != c.dmarc || v.DMARC.Disposition != c.done || signature.Body != c.body {
				t.Errorf("%+v", v)
			}
			if name == "no From" && v.DMARC.Why != "no domain in From" {
				t.Errorf("%q", v.DMARC.Why)
			}
			if asked := dns.asked.Load() > before; asked != (c.ask && c.judge != nil) {
				t.Errorf("the DNS was asked: %v", asked)
			}
			if len(v.DKIM) > 0 && (!signature.Aligned || signature.Domain != "example.com" || signature.Selector != "s1") {
				t.Errorf("%+v", signature)
			}
		})
	}
}

// TestJudgeSlowDNS: a DNS that never answers is waited for so long and no longer.
func TestJudgeSlowDNS(t *testing.T) {
	raw, dns := signedMail(t)
	dns.slow = true
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		m := newMessage("id", Envelope{From: "a@example.com"}, []byte(raw))
		v := (&Judge{DNS: dns, Within: time.Second}).Judge(t.Context(), m, []byte(raw), true, netip.MustParseAddr("192.0.2.1"))
		if took := time.Since(begun); took > 1100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if v.SPF.Result != "temperror" || v.DKIM[0].Result != "temperror" || v.DMARC.Result != "temperror" || !strings.Contains(v.DMARC.Why, "in time") {
			t.Errorf("%+v", v)
		}
	})
}

// TestAligned: one of the domains is the other or above it; a top-level domain is of nobody.
func TestAligned(t *testing.T) {
	for domain, want := range map[string]bool{"example.com": true, "mail.Example.COM": true, "com": false, "": false, "example.org": false, "notexample.com": false} {
		if v := (&Judgement{From: []string{"example.com"}}); v.aligned(domain) != want {
			t.Errorf("%s: %v", domain, !want)
		}
	}
	if v := (&Judgement{From: []string{"news.example.com"}}); !v.aligned("example.com") || (&Judgement{}).aligned("example.com") {
		t.Error("above, or without an author")
	}
}
