package rfc2822

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lines of a file of testdata, which has one value a line.
func lines(t testing.TB, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(b), "\n"), "\n")
}

// received is the parts of a trace field as text: name, address, name in the DNS,
// host, link, protocol, id, recipient.
func received(value string) string {
	r, _ := ParseReceived(value)
	ip := ""
	if r.FromIP.IsValid() {
		ip = r.FromIP.String()
	}
	return strings.Join([]string{r.From, ip, r.FromRDNS, r.By, r.Via, r.With, r.ID, r.For}, "|")
}

func TestReceivedFiles(t *testing.T) {
	for name, want := range map[string][]string{
		"received/helo-is-an-address-literal.txt": {"[8.8.8.8]|203.0.113.9|evil.example|mx.example.com||ESMTP|1|"},
		"received/address-elsewhere.txt": {
			"client.example|203.0.113.9||mx.example.com||SMTP||",
			"client.example|203.0.113.9||mx.example.com||SMTP||",
		},
		"received/from-without-a-name.txt": {"|203.0.113.9||mx.example.com||ESMTP|1|"},
		"received/two-from-clauses.txt":    {"a.example|203.0.113.9|a.example|mx.example.com|stdin|SMTP||"},
	} {
		for i, line := range lines(t, name) {
			if got := received(line); i >= len(want) || got != want[i] {
				t.Errorf("%s: %s\ngot  %s", name, line, got)
			}
		}
	}
}

// TestReceivedClientsWord: an address that the client named itself is not the one
// the host saw, wherever a host wrote it down.
func TestReceivedClientsWord(t *testing.T) {
	for in, want := range map[string]string{
		"from [8.8.8.8] (evil.example [203.0.113.9]) by mx":              "203.0.113.9",
		"from [8.8.8.8] (evil.example [IPv6:2001:db8::9]) by mx":         "2001:db8::9",
		"from [8.8.8.8] ([203.0.113.9]:4711) by mx":                      "203.0.113.9",
		"from [8.8.8.8] (203.0.113.9) by mx":                             "203.0.113.9",
		"from [8.8.8.8] [203.0.113.9] by mx":                             "203.0.113.9",
		"from [8.8.8.8] (localhost) by mx":                               "",
		"from 8.8.8.8 (203.0.113.9) by mx":                               "203.0.113.9",
		"from 8.8.8.8 by mx":                                             "",
		"from x (HELO [8.8.8.8]) (203.0.113.9) by mx":                    "203.0.113.9",
		"from x (EHLO [8.8.8.8]) ([203.0.113.9]) by mx":                  "203.0.113.9",
		"from unknown (HELO [8.8.8.8]) by mx":                            "",
		"from [203.0.113.9] (helo=[8.8.8.8]) by mx":                      "203.0.113.9",
		"from [203.0.113.9] (port=4711 helo=[8.8.8.8]) by mx":            "203.0.113.9",
		"from [203.0.113.9] (account a@b HELO [8.8.8.8]) by mx":          "203.0.113.9",
		"from host.example ([203.0.113.9] helo=[8.8.8.8]) by mx":         "203.0.113.9",
		"from host.example ([203.0.113.9]:25,helo=[8.8.8.8]) by mx":      "203.0.113.9",
		"from x (IDENT:[8.8.8.8]@host.example [203.0.113.9]) by mx":      "203.0.113.9",
		"from x ([8.8.8.8]@[203.0.113.9]) by mx":                         "203.0.113.9",
		"from x ([203.0.113.9], claiming to be \"[8.8.8.8]\") by mx":     "203.0.113.9",
		"from [203.0.113.9] by mx":                                       "203.0.113.9",
		"from [IPv6:::ffff:203.0.113.9] by mx":                           "203.0.113.9",
		"from x ([8.8.8.8.evil] [203.0.113.9]) by mx":                    "203.0.113.9",
		"from x (host [203.0.113.9] [port 25]) by mx":                    "203.0.113.9",
		"from x (a [203.0.113.9]) (b [8.8.8.8]) by mx":                   "203.0.113.9",
		"from [8.8.8.8] (using TLSv1.3 with cipher X (256/256 bits)) by": "",
		"from x by mx (8.8.8.8) with SMTP (2.1.1.3)":                     "",
		"by mx from (client [203.0.113.9])":                              "203.0.113.9",
	} {
		r, _ := ParseReceived(in)
		if want == "" && r.FromIP.IsValid() || want != "" && r.FromIP.String() != want {
			t.Errorf("%s: %v, want %s", in, r.FromIP, want)
		}
	}
}

func TestReceivedClauses(t *testing.T) {
	for in, want := range map[string]string{
		"from h [203.0.113.9] by mx":                                        "h|203.0.113.9||mx||||",
		"from h ([203.0.113.9:4711]) by mx":                                 "h|203.0.113.9||mx||||",
		"from h ([2001:db8::9]:25) by mx":                                   "h|2001:db8::9||mx||||",
		"from h (h.example [203.0.113.9] (may be forged)) by mx":            "h|203.0.113.9||mx||||",
		"from h (u@h.example [203.0.113.9]) by mx":                          "h|203.0.113.9|h.example|mx||||",
		"from h (localhost [127.0.0.1]) by mx":                              "h|127.0.0.1|localhost|mx||||",
		"from h (unknown [127.0.0.1]) by mx":                                "h|127.0.0.1||mx||||",
		"from dns.example (HELO said) (203.0.113.9) by 0":                   "said|203.0.113.9|dns.example|0||||",
		"from dns.example ([203.0.113.9] helo=said) by mx":                  "said|203.0.113.9|dns.example|mx||||",
		"from by mx.example with SMTP":                                      "|||mx.example||SMTP||",
		"from with SMTP id 5":                                               "|||||SMTP|5|",
		"from by ([203.0.113.9]) by mx":                                     "by|203.0.113.9||mx||||",
		"from a, by host, with SMTP;":                                       "a|||host||SMTP||",
		"from a by b with Microsoft SMTP Server id 8.1; 1 Jan 2026 1:00":    "a|||b||Microsoft SMTP Server|8.1|",
		"from a by b via Frontend Transport; 1 Jan 2026 1:00":               "a|||b|Frontend Transport|||",
		"by mx with LMTP id <x@y>":                                          "|||mx||LMTP|x@y|",
		"by mx id 1; Sun, 9 Sep 2001 01:46:40 +0000 for <u@x>":              "|||mx|||1|u@x",
		"by mx for <one@x>; 1 Jan 2026 1:00 for <two@x>":                    "|||mx||||one@x",
		"by one by two with A with B id 1 id 2 for a@b for c@d via e via f": "|||one|e|A|1|a@b",
		"rubbish (c) from a by b":                                           "a|||b||||",
		"from":                                                              "|||||||",
		"from ()":                                                           "|||||||",
		"from a (using TLSv1.2 with cipher X) by b":                         "a|||b||||",
		"from [192.0.2.1] by b":                                             "[192.0.2.1]|192.0.2.1||b||||",
		"by a id ; 1 Jan 2026 1:00":                                         "|||a||||",
	} {
		if got := received(in); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
	}
	if r, ok := ParseReceived("by mx id 1; Sun, 9 Sep 2001 01:46:40 +0000 for <u@x>"); !ok || r.Date.Unix() != 1e9 {
		t.Error(r.Date)
	}
	for _, s := range []string{"from ", "(", "by \"", "with <", "from ([", "a [1", "from helo=", "(helo "} {
		ParseReceived(strings.Repeat(s, 100000)) // a quadratic one would take minutes
	}
}

// TestReceivedSurvives: every field that Field writes is read as what it was made
// of, whatever the client called itself.
func TestReceivedSurvives(t *testing.T) {
	names := []string{"", "a.example", "by", "from", "For", "id", "with", "via", "[8.8.8.8]", "[IPv6:2001:db8::8]", "8.8.8.8", "helo", "EHLO", "unknown",
		"evil [8.8.8.8]", "a) ([8.8.8.8]", "x by y", "bücher.example", "[203.0.113.9]", "helo=x", "[8.8.8.8]@x", "a;b", "(", "x [8.8.8.8] (y"}
	dns := []string{"", "mx1.example.com", "localhost", "[8.8.8.8]", "8.8.8.8", "by", "HELO", "helo"}
	ips := []string{"", "203.0.113.9", "2001:db8::9"}
	rest := []Received{
		{By: "mx.example.org"}, {By: "by", With: "id", For: "u@x"}, {By: "from", Via: "from", With: "by", ID: "for", For: "u@x"},
		{By: "mx.example.org", With: "ESMTPS", TLS: "TLS1.3 X [8.8.8.8]", ID: "a@b"}, {By: "with", With: "with", ID: "id"}, {By: "mx", Via: "id", ID: "x", For: `"a b"@c`},
	}
	n := 0
	for _, name := range names {
		for _, rdns := range dns {
			for _, ip := range ips {
				for _, r := range rest {
					r.From, r.FromRDNS, r.Date = name, rdns, when
					if ip != "" {
						r.FromIP = netip.MustParseAddr(ip)
					}
					survives(t, r)
					n++
				}
			}
		}
	}
	if n < 3000 {
		t.Errorf("only %d fields", n)
	}
}

func survives(t *testing.T, r Received) {
	t.Helper()
	field := r.Field()
	got, ok := ParseReceived(field.Value())
	if !ok || got.FromIP != r.FromIP || got.By != r.By || got.Via != r.Via || got.With != r.With || got.ID != r.ID || got.For != r.For || got.TLS != r.TLS || !got.Date.Equal(r.Date) {
		t.Errorf("%q\nread as %+v\nmade of %+v", field.Raw(), got, r)
	}
	if safeDomain(r.From) != "" && got.From != r.From {
		t.Errorf("%q: client %q, was %q", field.Raw(), got.From, r.From)
	}
	want := r.FromRDNS
	if !isHostName(want) || !r.FromIP.IsValid() {
		want = ""
	}
	if got.FromRDNS != want {
		t.Errorf("%q: name in the DNS %q, was %q", field.Raw(), got.FromRDNS, want)
	}
}

// TestSafeDomain: what can stand in a Received field as a domain or an address literal, stands there, and nothing else.
func TestSafeDomain(t *testing.T) {
	for _, s := range []string{"a", "mx.example.com", "my_host", "-a", "a.", "bücher.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", strings.Repeat("a", 255)} {
		if got := safeDomain(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	for _, s := range []string{"", ".a", "a b", "a(b", "a;b", "a:b", "\x00", "\u0085", "\xff", "[", "]", "[]", "[a", "a]", "[192.0.2.1", "192.0.2.1]", "[a]b", "a[b]", "[ü]", "[.]", strings.Repeat("a", 256)} {
		if got := safeDomain(s); got != "" {
			t.Errorf("%q became %q", s, got)
		}
	}
}

// TestReceivedNow: a field without a date has the present one.
func TestReceivedNow(t *testing.T) {
	before := time.Now().Truncate(time.Second)
	r, _ := ParseReceived(Received{By: "mx"}.Field().Value())
	if r.Date.Before(before) {
		t.Errorf("%v is before %v", r.Date, before)
	}
}
