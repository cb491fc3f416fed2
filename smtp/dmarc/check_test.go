package dmarc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp/dmarc"
)

var _ dmarc.Resolver = net.DefaultResolver

// zone is a DNS in memory; what does not stand in it does not exist.
type zone struct {
	txt    map[string][]string
	exist  []string
	broken map[string]bool // what is asked about these fails
	asked  []string
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if !strings.HasSuffix(name, ".") || len(name) > 254 {
		panic(name)
	}
	name = strings.TrimSuffix(name, ".")
	z.asked = append(z.asked, name)
	switch {
	case z.broken[name]:
		return nil, &net.DNSError{Err: "i/o timeout", Name: name, IsTimeout: true}
	case z.txt[name] == nil:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return z.txt[name], nil
}

func (z *zone) NameExists(_ context.Context, name string) (bool, error) {
	name = strings.TrimSuffix(name, ".")
	if z.broken[name] {
		return false, &net.DNSError{Err: "server misbehaving", Name: name}
	}
	for owner := range z.txt {
		if strings.HasSuffix("."+owner, "."+name) {
			return true, nil
		}
	}
	return slices.Contains(z.exist, name), nil
}

// dns makes a zone of lines "name text"; the names get their _dmarc.
func dns(lines ...string) *zone {
	z := &zone{txt: map[string][]string{}, broken: map[string]bool{}}
	for _, line := range lines {
		name, text, ok := strings.Cut(line, " ")
		if !strings.Contains(name, "_dmarc") {
			name = "_dmarc." + name
		}
		if !ok {
			z.broken[name] = true
		} else {
			z.txt[name] = append(z.txt[name], text)
		}
	}
	return z
}

// checkOutcome checks what is so of every outcome.
func checkOutcome(t *testing.T, o dmarc.Outcome, z *zone) {
	t.Helper()
	if !slices.Equal(o.Queries, z.asked) {
		t.Errorf("asked %q, says %q", z.asked, o.Queries)
	}
	sorted := slices.Sorted(slices.Values(z.asked))
	if len(slices.Compact(sorted)) != len(z.asked) {
		t.Errorf("asked twice: %q", z.asked)
	}
	if (o.Err == nil) != (o.Result == dmarc.Pass || o.Result == dmarc.Fail) {
		t.Errorf("%v with error %v", o.Result, o.Err)
	}
	if (o.Result == dmarc.Pass) != (o.SPF.Aligned || o.DKIM.Aligned) && o.Result != dmarc.None {
		t.Errorf("%v with %+v and %+v", o.Result, o.SPF, o.DKIM)
	}
	if (o.Result == dmarc.Pass || o.Result == dmarc.Fail) && (o.Record == nil || o.RecordDomain == "" || o.Policy == "") {
		t.Errorf("%v without a policy: %+v", o.Result, o)
	}
	if o.Disposition() != dmarc.Nothing && o.Result != dmarc.Fail {
		t.Errorf("%v disposes %s", o.Result, o.Disposition())
	}
}

func check(t *testing.T, z *zone, author string, p dmarc.Passed) dmarc.Outcome {
	t.Helper()
	z.asked = nil
	o := (&dmarc.Checker{Resolver: z}).Check(t.Context(), author, p)
	checkOutcome(t, o, z)
	return o
}

// TestTreeWalk runs the suite of cases.
func TestTreeWalk(t *testing.T) {
	text, err := os.ReadFile("testdata/treewalk.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name   string
		Zone   map[string]any
		Exists []string
		From   string
		DKIM   []string
		SPF    string
		Want   struct {
			Result, Policy, Org, Aligned string
			Queries                      []string
		}
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	run := 0
	for _, c := range cases {
		if c.Name == "" {
			continue // a note
		}
		run++
		t.Run(c.Name, func(t *testing.T) {
			z := dns()
			z.exist = c.Exists
			for name, records := range c.Zone {
				if records == "timeout" {
					z.broken[name] = true
					continue
				}
				for _, r := range records.([]any) {
					z.txt[name] = append(z.txt[name], r.(string))
				}
			}
			var addresses []string
			for _, domain := range strings.Split(c.From, ", ") {
				addresses = append(addresses, "tim@"+domain)
			}
			from, err := rfc2822.NewField("From", strings.Join(addresses, ", "))
			if err != nil {
				t.Fatal(err)
			}
			o := (&dmarc.Checker{Resolver: z}).CheckMessage(t.Context(), []rfc2822.Field{from}, dmarc.Passed{SPF: c.SPF, DKIM: c.DKIM})
			checkOutcome(t, o, z)
			want := c.Want.Result
			if len(addresses) > 1 {
				want = "permerror" // of "refused or permerror, never pass"
			}
			if o.Result.String() != want || c.Want.Policy != "" && string(o.Policy) != c.Want.Policy || c.Want.Org != "" && o.Organization != c.Want.Org {
				t.Errorf("%v (%v), policy %s, organization %s; want %+v", o.Result, o.Err, o.Policy, o.Organization, c.Want)
			}
			if c.Want.Queries != nil && !slices.Equal(o.Queries, c.Want.Queries) {
				t.Errorf("asked %q, want %q", o.Queries, c.Want.Queries)
			}
			if c.Want.Aligned == "dkim" && (!o.DKIM.Aligned || o.SPF.Aligned) {
				t.Errorf("DKIM %+v, SPF %+v", o.DKIM, o.SPF)
			}
		})
	}
	if run != 34 {
		t.Errorf("%d cases", run)
	}
}

// TestFirstRecordSuffices: what is settled by the domain's own record costs one query.
func TestFirstRecordSuffices(t *testing.T) {
	z := dns("a.example.com v=DMARC1; p=reject")
	for _, p := range []dmarc.Passed{
		{},
		{SPF: "a.example.com", DKIM: []string{"other.example.com", "A.example.com."}},
		{SPF: "example.net", DKIM: []string{"example.net", "example.org"}}, // have nothing in common
	} {
		p.DKIM = append(p.DKIM, "", "a b", "xn--\x00", strings.Repeat("a.", 200))
		want := dmarc.Fail
		if p.SPF == "a.example.com" {
			want = dmarc.Pass
		}
		if o := check(t, z, "a.example.com", p); o.Result != want || len(o.Queries) != 1 {
			t.Errorf("%+v: %v, asked %q", p, o.Result, o.Queries)
		}
	}
}

// TestOrganizationOutside: a domain outside of the author's organization is not asked
// about; the names that two walks have in common are asked for once.
func TestOrganizationOutside(t *testing.T) {
	z := dns("example.com v=DMARC1; p=reject")
	o := check(t, z, "a.example.com", dmarc.Passed{SPF: "b.c.example.com", DKIM: []string{"d.other.com", "e.example.com"}})
	want := []string{"_dmarc.a.example.com", "_dmarc.example.com", "_dmarc.com", "_dmarc.e.example.com", "_dmarc.b.c.example.com", "_dmarc.c.example.com"}
	if o.Result != dmarc.Pass || !slices.Equal(o.Queries, want) || o.DKIM.Domain != "e.example.com" || o.SPF.Domain != "b.c.example.com" {
		t.Errorf("%+v", o)
	}
	// The suffix itself is nobody's organization.
	z = dns("bank.example v=DMARC1; p=reject; psd=y")
	if o := check(t, z, "one.bank.example", dmarc.Passed{DKIM: []string{"bank.example", "two.bank.example"}}); o.Result != dmarc.Fail || o.Organization != "one.bank.example" || o.RecordDomain != "bank.example" ||
		slices.Contains(o.Queries, "_dmarc.example") { // above the suffix there is nobody
		t.Errorf("%+v", o)
	}
	if o := check(t, z, "bank.example", dmarc.Passed{DKIM: []string{"bank.example"}}); o.Result != dmarc.Pass || o.Organization != "bank.example" {
		t.Errorf("%+v", o)
	}
	if o := check(t, z, "bank.example", dmarc.Passed{DKIM: []string{"one.bank.example"}}); o.Result != dmarc.Fail {
		t.Errorf("%+v", o)
	}
	// A record between the domain and its organization is not asked.
	z = dns("bank.example v=DMARC1; p=reject; psd=y", "b.one.bank.example v=DMARC1; p=none")
	if o := check(t, z, "a.b.one.bank.example", dmarc.Passed{}); o.Organization != "one.bank.example" || o.RecordDomain != "bank.example" || o.Policy != dmarc.Reject {
		t.Errorf("%+v", o)
	}
}

// TestManyQueries: however many names somebody signs with, the number of queries is
// bounded.
func TestManyQueries(t *testing.T) {
	z := dns("example.com v=DMARC1; p=reject; psd=n", "x.example.com v=DMARC1; p=none; psd=n")
	var p dmarc.Passed
	for i := range 100 {
		p.DKIM = append(p.DKIM, fmt.Sprintf("%d.b.c.d.e.f.%d.g.h.i.j.k.x.example.com", i, i))
	}
	if o := check(t, z, "1.2.3.4.5.6.7.8.9.10.example.com", p); o.Result != dmarc.Fail || len(o.Queries) > 8*10 {
		t.Errorf("%v after %d queries", o.Result, len(o.Queries))
	}
	long := strings.Repeat(strings.Repeat("a", 60)+".", 4) + "example"
	if o := check(t, z, long, dmarc.Passed{}); o.Result != dmarc.None || slices.ContainsFunc(o.Queries, func(s string) bool { return len(s) > 253 }) {
		t.Errorf("%v, asked %q", o.Result, o.Queries)
	}
}

// TestNoAnswer: a DNS that does not answer is neither no policy nor a fail.
func TestNoAnswer(t *testing.T) {
	for _, test := range []struct {
		zone []string
		p    dmarc.Passed
		want dmarc.Result
	}{
		{[]string{"a.example.com"}, dmarc.Passed{DKIM: []string{"a.example.com"}}, dmarc.TempError},
		{[]string{"example.com"}, dmarc.Passed{DKIM: []string{"a.example.com"}}, dmarc.TempError},
		{[]string{"a.example.com v=DMARC1; p=reject", "com"}, dmarc.Passed{DKIM: []string{"a.example.com"}}, dmarc.Pass},
		{[]string{"a.example.com v=DMARC1; p=reject", "com"}, dmarc.Passed{SPF: "example.com"}, dmarc.TempError},
		{[]string{"a.example.com v=DMARC1; p=reject", "com"}, dmarc.Passed{SPF: "example.com", DKIM: []string{"a.example.com"}}, dmarc.Pass},
		{[]string{"example.com v=DMARC1; p=reject", "b.example.com"}, dmarc.Passed{SPF: "b.example.com"}, dmarc.TempError},
	} {
		if o := check(t, dns(test.zone...), "a.example.com", test.p); o.Result != test.want || o.Disposition() != dmarc.Nothing {
			t.Errorf("%q, %+v: %v", test.zone, test.p, o.Result)
		}
	}
	// Whether the name exists is asked if np says something else than sp, and not of what passes.
	z := dns("example.com v=DMARC1; p=none; np=reject")
	z.broken["a.example.com"] = true
	if o := check(t, z, "a.example.com", dmarc.Passed{}); o.Result != dmarc.TempError {
		t.Errorf("%v", o.Result)
	}
	if o := check(t, z, "a.example.com", dmarc.Passed{SPF: "example.com"}); o.Result != dmarc.Pass || o.Policy != dmarc.Nothing {
		t.Errorf("%v %v", o.Result, o.Policy)
	}
	delete(z.broken, "a.example.com")
	if o := check(t, z, "a.example.com", dmarc.Passed{SPF: "example.com"}); o.Result != dmarc.Pass || o.Policy != dmarc.Nothing {
		t.Errorf("%v %v", o.Result, o.Policy)
	}
	z.broken["a.example.com"] = true
	z.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=reject; np=reject"}
	if o := check(t, z, "a.example.com", dmarc.Passed{}); o.Result != dmarc.Fail {
		t.Errorf("%v", o.Result)
	}
	// Without a way to tell, every name exists.
	z.txt["_dmarc.example.com"] = []string{"v=DMARC1; p=none; np=reject"}
	only := struct{ dmarc.Resolver }{z}
	if o := (&dmarc.Checker{Resolver: only}).Check(t.Context(), "a.example.com", dmarc.Passed{}); o.Result != dmarc.Fail || o.Policy != dmarc.Nothing {
		t.Errorf("%v %v", o.Result, o.Policy)
	}
}

// silent never answers.
type silent struct{}

func (silent) LookupTXT(ctx context.Context, name string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := (&dmarc.Checker{Resolver: silent{}}).Check(t.Context(), "example.com", dmarc.Passed{})
		if o.Result != dmarc.TempError || time.Since(start) != 20*time.Second || !errors.Is(o.Err, context.DeadlineExceeded) {
			t.Errorf("%v (%v) after %v", o.Result, o.Err, time.Since(start))
		}
	})
}

// slow answers for one domain only.
type slow struct {
	*zone
	good string
}

func (s slow) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if name == s.good && ctx.Err() == nil {
		return s.zone.LookupTXT(ctx, name)
	}
	return silent{}.LookupTXT(ctx, name)
}

// late answers after some time.
type late struct {
	*zone
	wait map[string]time.Duration
}

func (l late) LookupTXT(ctx context.Context, name string) ([]string, error) {
	select {
	case <-time.After(l.wait[name]):
		return l.zone.LookupTXT(ctx, name)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestTimeOfTheLast: what those before have not needed is the time of the last.
func TestTimeOfTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := late{dns("a.a v=DMARC1; p=none", "strict.example v=DMARC1; p=reject"), map[string]time.Duration{"_dmarc.strict.example.": 15 * time.Second}}
		o := (&dmarc.Checker{Resolver: z}).CheckMessage(t.Context(), fields(t, "From: a@a.a, x@strict.example\r\n"), dmarc.Passed{})
		if o.Policy != dmarc.Reject {
			t.Errorf("%q, %v", o.Policy, o.Queries)
		}
	})
}

// TestSlowAuthors: domains that do not answer do not keep the one that does from being heard,
// wherever it stands, nor take more time than one.
func TestSlowAuthors(t *testing.T) {
	for _, from := range []string{"a@a.a, b@b.b, c@c.c, x@strict.example", "x@strict.example, a@a.a", "a@a.a, x@strict.example, b@b.b"} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			z := slow{dns("strict.example v=DMARC1; p=reject"), "_dmarc.strict.example."}
			o := (&dmarc.Checker{Resolver: z}).CheckMessage(t.Context(), fields(t, "From: "+from+"\r\n"), dmarc.Passed{})
			if o.Policy != dmarc.Reject || time.Since(start) > 20*time.Second {
				t.Errorf("%s: %q after %v", from, o.Policy, time.Since(start))
			}
		})
	}
}

func fields(t *testing.T, header string) []rfc2822.Field {
	t.Helper()
	m, err := rfc2822.ReadString(header + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	return m.Header.Named("From")
}

// TestAuthors: the domain that is judged is the one that a user sees, and there is
// none where it could be another.
func TestAuthors(t *testing.T) {
	longest := strings.Repeat(strings.Repeat("x", 49)+".", 5) + "abc" // 253 octets, as many as the DNS has room for
	for _, test := range []struct {
		from, domain string
		err          error
	}{
		{"tim@example.com", "example.com", nil},
		{"Tim <tim@EXAMPLE.com.>", "example.com", nil},
		{"friends: tim@example.com;", "example.com", nil},
		{"friends: a@example.com, b@example.com;", "example.com", nil},
		{"friends: a@example.com, b@bank.example;", "example.com bank.example", dmarc.ErrAuthors},
		{"nobody:;", "", dmarc.ErrNoAuthor},
		{"(x@bank.example) tim@example.com", "example.com", nil},
		{"tim@(bank.example)example.com (x@bank.example)", "example.com", nil},
		{"\"x@bank.example\" <tim@example.com>", "example.com", nil},
		{"\"x@bank.example, \" tim@example.com", "example.com", nil},
		{"x@bank.example <tim@example.com>", "example.com", nil},
		{"\"x@bank.example\"@example.com", "example.com", nil},
		{"=?utf-8?q?x=40bank.example?= <tim@example.com>", "example.com", nil},
		{"=?utf-8?q?x=40bank.example,?= tim@example.com", "example.com", nil},
		{"<@bank.example:tim@example.com>", "example.com", nil},
		{"tim%bank.example@example.com", "example.com", nil},
		{"a@example.com, b@Example.com", "example.com", nil},
		{"a@" + strings.Repeat("x", 63) + ".example", strings.Repeat("x", 63) + ".example", nil},
		{"a@" + strings.Repeat("x", 64) + ".example", "", dmarc.ErrNoAuthor},
		{"a@" + longest, longest, nil},
		{"a@x" + longest, "", dmarc.ErrNoAuthor},
		{"a@example.com, b@bank.example", "example.com bank.example", dmarc.ErrAuthors},
		{"<a@example.com> <b@bank.example>", "example.com bank.example", dmarc.ErrAuthors},
		{"a@example.com;b@bank.example", "example.com bank.example", dmarc.ErrAuthors},
		{"", "", dmarc.ErrNoAuthor},
		{"<>", "", dmarc.ErrNoAuthor},
		{"root", "", dmarc.ErrNoAuthor},
		{"tim@[192.0.2.1]", "", dmarc.ErrNoAuthor},
		{"tim@example.com, b@[192.0.2.1]", "example.com", dmarc.ErrUnreadable},
		{"tim@bücher.example", "xn--bcher-kva.example", nil},
		{"tim@ex\u202eample.com", "", dmarc.ErrNoAuthor},
		{"Byron, Ada <ada@example.com>", "example.com", nil},
		{"<x@@bank.example>, tim@example.com", "example.com", dmarc.ErrUnreadable},
		{"x@bank.example\\, <tim@example.com>", "example.com", dmarc.ErrUnreadable},
		{"tim@example.com\x00@bank.example", "", dmarc.ErrNoAuthor},
		{"tim@example.com@bank.example", "", dmarc.ErrNoAuthor},
		{"tim@example.com\r\n (x,\r\n y@bank.example)", "example.com", nil},
		{"a@a.example, b@b.example, c@c.example, d@d.example, e@e.example, f@A.example", "a.example b.example c.example d.example e.example", dmarc.ErrAuthors},
	} {
		list, err := dmarc.Authors(fields(t, "Subject: x\r\nFrom: "+test.from+"\r\n"))
		if strings.Join(list, " ") != test.domain || err != test.err {
			t.Errorf("%q: %q, %v; want %q, %v", test.from, list, err, test.domain, test.err)
		}
		z := dns("example.com v=DMARC1; p=reject", "bank.example v=DMARC1; p=quarantine")
		o := (&dmarc.Checker{Resolver: z}).CheckMessage(t.Context(), fields(t, "From: "+test.from+"\r\n"), dmarc.Passed{SPF: "example.com", DKIM: []string{"example.com", "bank.example"}})
		checkOutcome(t, o, z)
		if (test.err != nil) != (o.Result == dmarc.PermError) || o.Err != test.err && test.err != nil {
			t.Errorf("%q: %v (%v)", test.from, o.Result, o.Err)
		}
	}
}

// TestFields: two From fields never pass, whatever stands in them; the strictest policy
// of their domains is told.
func TestFields(t *testing.T) {
	p := dmarc.Passed{SPF: "example.com", DKIM: []string{"example.com", "bank.example"}}
	for header, policy := range map[string]dmarc.Policy{
		"":                            "",
		"Sender: tim@example.com\r\n": "",
		"From: tim@example.com\r\nFrom: tim@example.com\r\n":              dmarc.Nothing,
		"From: tim@example.com\r\nfrom: tim@bank.example\r\n":             dmarc.Quarantine,
		"From: tim@example.com\r\nFROM : x\r\nFrom: a@strict.example\r\n": dmarc.Reject,
		"From: a@strict.example\r\nFrom: tim@example.com\r\n":             dmarc.Reject,
		"From: a@none.example, b@example.com\r\n":                         dmarc.Nothing,
		"From: a@none.example, b@other.example\r\n":                       "",
		"From: a@example.com, b@a.test.example\r\n":                       dmarc.Quarantine,
		"From: a@a.a, b@b.b, c@c.c, d@d.d, e@e.e\r\n":                     dmarc.Reject, // whoever they are
	} {
		z := dns("example.com v=DMARC1; p=none", "bank.example v=DMARC1; p=quarantine", "strict.example v=DMARC1; p=reject", "test.example v=DMARC1; p=reject; t=y")
		o := (&dmarc.Checker{Resolver: z}).CheckMessage(t.Context(), fields(t, header), p)
		checkOutcome(t, o, z)
		if o.Result != dmarc.PermError || o.Policy != policy {
			t.Errorf("%q: %v (%v), policy %q; want %q", header, o.Result, o.Err, o.Policy, policy)
		}
	}
	if o := (&dmarc.Checker{}).Check(t.Context(), "a b", p); o.Result != dmarc.PermError {
		t.Errorf("%v", o.Result)
	}
}

func TestRecipients(t *testing.T) {
	z := dns(
		"example.com v=DMARC1; p=none",
		"example.com._report._dmarc.reports.example v=DMARC1",
		"example.com._report._dmarc.moved.example v=DMARC1; rua=mailto:new@moved.example,mailto:victim@other.example,mailto:second@moved.example!1k",
		"example.com._report._dmarc.elsewhere.example v=DMARC1; rua=mailto:victim@other.example",
		"example.com._report._dmarc.version.example v=dmarc1",
		"example.com._report._dmarc.slow.example",
	)
	r, err := dmarc.Parse("v=DMARC1; rua=mailto:a@example.com, mailto:b@sub.example.com!10m, mailto:c@reports.example, mailto:d@moved.example," +
		"mailto:e@elsewhere.example,mailto:f@version.example,mailto:g@stranger.example,mailto:h@slow.example,https://example.com/dmarc")
	if err != nil || len(r.RUA) != 9 {
		t.Fatal(err, r.RUA)
	}
	c := &dmarc.Checker{Resolver: z}
	list, err := c.Recipients(t.Context(), "example.com", r.RUA)
	var got []string
	for _, u := range list {
		got = append(got, fmt.Sprintf("%s %d", u.Address, u.MaxSize))
	}
	want := []string{"a@example.com 0", "b@sub.example.com 10485760", "c@reports.example 0", "new@moved.example 0", "second@moved.example 1024"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	var dnsError *net.DNSError
	if !errors.Is(err, dmarc.ErrNotPermitted) || !errors.Is(err, dmarc.ErrNotMailto) || !errors.As(err, &dnsError) || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("%v", err)
	}
	// Each addressee costs queries: there are ten of them at most.
	var many []dmarc.URI
	for i := range 100 {
		many = append(many, dmarc.URI{Address: fmt.Sprintf("a@%d.example", i)})
	}
	z.asked = nil
	if list, _ = c.Recipients(t.Context(), "example.com", many); len(list) > 0 || len(z.asked) > 10 {
		t.Errorf("%d addressees, %d queries", len(list), len(z.asked))
	}
	if _, err = c.Recipients(t.Context(), "a b", r.RUA); err == nil {
		t.Error("no domain")
	}
}

func TestOrganization(t *testing.T) {
	z := dns("example.com v=DMARC1; p=none", "x.example.com v=DMARC1; psd=n", "com.example")
	for domain, want := range map[string]string{"a.b.Example.com": "example.com", "a.x.example.com": "x.example.com", "a.b.c.nowhere": "a.b.c.nowhere"} {
		if got, err := (&dmarc.Checker{Resolver: z}).Organization(t.Context(), domain); got != want || err != nil {
			t.Errorf("%s: %s (%v)", domain, got, err)
		}
	}
	for _, domain := range []string{"a.com.example", "", "a@b"} {
		if got, err := (&dmarc.Checker{Resolver: z}).Organization(t.Context(), domain); err == nil {
			t.Errorf("%s: %s", domain, got)
		}
	}
}

func TestResultNames(t *testing.T) {
	got := []string{dmarc.None.String(), dmarc.Pass.String(), dmarc.Fail.String(), dmarc.TempError.String(), dmarc.PermError.String(), dmarc.Result(9).String()}
	if !reflect.DeepEqual(got, []string{"none", "pass", "fail", "temperror", "permerror", "Result(9)"}) {
		t.Errorf("%q", got)
	}
}

// TestTested: a policy in test mode is lowered, and said to be, where there is a step to lower it by.
func TestTested(t *testing.T) {
	for txt, want := range map[string]dmarc.Outcome{
		"p=reject; t=y":     {Policy: dmarc.Quarantine, Tested: true},
		"p=quarantine; t=y": {Policy: dmarc.Nothing, Tested: true},
		"p=none; t=y":       {Policy: dmarc.Nothing},
		"p=reject; t=n":     {Policy: dmarc.Reject},
		"p=reject":          {Policy: dmarc.Reject},
	} {
		if o := check(t, dns("example.com v=DMARC1; "+txt), "example.com", dmarc.Passed{}); o.Policy != want.Policy || o.Tested != want.Tested {
			t.Errorf("%s: %s, tested: %v", txt, o.Policy, o.Tested)
		}
	}
}
