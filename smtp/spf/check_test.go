package spf_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp/spf"
)

var _ spf.Resolver = net.DefaultResolver

// dns makes a zone of lines "name type value".
func dns(lines ...string) *zone {
	z := newZone()
	for _, line := range lines {
		f := strings.SplitN(line, " ", 3)
		switch name := f[0] + "."; f[1] {
		case "TXT":
			z.txt[name] = append(z.txt[name], f[2])
		case "A":
			z.ip[name] = append(z.ip[name], netip.MustParseAddr(f[2]))
		case "MX":
			z.mx[name] = append(z.mx[name], f[2])
		case "PTR":
			z.ptr[f[0]] = append(z.ptr[f[0]], f[2])
		case "FAILS":
			z.broken[name] = true
		}
	}
	return z
}

func check(t *testing.T, z *zone, ip, sender string) spf.Outcome {
	t.Helper()
	z.asked = nil
	o := spf.Check(t.Context(), spf.Query{IP: netip.MustParseAddr(ip), Helo: "mail.client.example", MailFrom: sender}, z)
	checkOutcome(t, o, z)
	return o
}

func TestOutcome(t *testing.T) {
	z := dns(
		"example.com TXT v=spf1 ip4:192.0.2.0/28 include:_spf.example.net a:late.example.com/24 ~all",
		"_spf.example.net TXT v=spf1 ip6:2001:db8::/32 ?all",
		"late.example.com A 198.51.100.1",
		"other.example TXT v=spf1 redirect=example.com",
		"open.example TXT v=spf1 ip4:192.0.2.1",
		"mail.client.example TXT v=spf1 a -all",
		"mail.client.example A 203.0.113.5",
		"fails.example FAILS",
		"includesfails.example TXT v=spf1 include:fails.example -all",
		"xn--bcher-kva.example TXT v=spf1 -all",
	)
	for _, test := range []struct{ ip, sender, want string }{
		{"192.0.2.15", "tim@example.com", "pass example.com ip4:192.0.2.0/28 0"},
		{"::ffff:192.0.2.15", "tim@example.com", "pass example.com ip4:192.0.2.0/28 0"},
		{"2001:db8::1", "tim@example.com", "pass example.com include:_spf.example.net 1"},
		{"2001:db9::1%eth0", "tim@example.com", "softfail example.com ~all 2"},
		{"198.51.100.77", `"a@b"@Example.COM.`, "pass Example.COM a:late.example.com/24 2"},
		{"203.0.113.5", "tim@example.com", "softfail example.com ~all 2"},
		{"203.0.113.5", "tim@other.example", "softfail other.example ~all 3"},
		{"203.0.113.5", "tim@open.example", "neutral open.example default 0"},
		{"203.0.113.5", "", "pass mail.client.example a 1"},
		{"203.0.113.6", "", "fail mail.client.example -all 1"},
		{"203.0.113.6", "tim@nowhere.example", "none nowhere.example  0"},
		{"203.0.113.6", "tim@fails.example", "temperror fails.example  0"},
		{"203.0.113.6", "tim@includesfails.example", "temperror includesfails.example  1"},
		{"203.0.113.6", "tim@bücher.example", "fail xn--bcher-kva.example -all 0"},
		{"203.0.113.6", "tim@one", "none   0"},
		{"203.0.113.6", "tim@[192.0.2.1]", "none   0"},
		{"203.0.113.6", "tim@192.0.2.1", "none   0"},
		{"203.0.113.6", "tim@a b.example", "none   0"},
		{"203.0.113.6", "tim@_a-b.example", "none _a-b.example  0"},
		{"203.0.113.6", "tim@a\x00b.example", "none   0"},
		{"203.0.113.6", `tim@a\.example.com`, "none   0"},
	} {
		o := check(t, z, test.ip, test.sender)
		got := fmt.Sprintf("%v %s %s %d", o.Result, o.Domain, o.Mechanism, o.Lookups)
		if got != test.want {
			t.Errorf("%s, %q: %s (%v); want %s", test.ip, test.sender, got, o.Err, test.want)
		}
		if o.Domain == "" && len(z.asked) > 0 {
			t.Errorf("%q: asked %q", test.sender, z.asked)
		}
		if (o.Identity == spf.Helo) != (test.sender == "") {
			t.Errorf("%q: identity %v", test.sender, o.Identity)
		}
	}
	if o := spf.Check(t.Context(), spf.Query{MailFrom: "tim@example.com"}, z); o.Result != spf.None || o.Err != spf.ErrNoAddress {
		t.Errorf("without an address: %+v", o)
	}
}

// TestMatchFirst: what is wrong with a record is wrong whichever term matches first.
func TestMatchFirst(t *testing.T) {
	eleven := strings.Repeat(" a:nothing.example", 11)
	for _, terms := range []string{
		"ip4:192.0.2.1 -all moo",
		"ip4:192.0.2.1 a:%{x}.example -all",
		"ip4:192.0.2.1 exp=a.example exp=a.example -all",
		"ip4:192.0.2.1 ip4:192.0.2.300 -all",
		"ip4:192.0.2.1 -all a:\x80.example",
		"ip4:192.0.2.1 -all redirect=",
		"ip4:192.0.2.1" + eleven,
		"ip4:192.0.2.1 include:x.example redirect=b.example" + eleven[:len(eleven)/11*9],
	} {
		if o := check(t, dns("example.com TXT v=spf1 "+terms), "192.0.2.1", "tim@example.com"); o.Result != spf.PermError || o.Queries != 1 {
			t.Errorf("%q: %v after %d queries", terms, o.Result, o.Queries)
		}
	}
	// What stands behind "all" is read, and costs nothing.
	if o := check(t, dns("example.com TXT v=spf1 -all"+eleven), "192.0.2.1", "tim@example.com"); o.Result != spf.Fail {
		t.Errorf("eleven terms behind all: %v", o.Err)
	}
}

func TestTermLimit(t *testing.T) {
	loop := dns("example.com TXT v=spf1 redirect=example.com")
	if o := check(t, loop, "192.0.2.1", "tim@example.com"); !errors.Is(o.Err, spf.ErrLookups) || o.Queries > 11 {
		t.Errorf("redirect to itself: %v after %d queries", o.Err, o.Queries)
	}
	loop = dns("example.com TXT v=spf1 include:b.example -all", "b.example TXT v=spf1 include:example.com -all")
	if o := check(t, loop, "192.0.2.1", "tim@example.com"); !errors.Is(o.Err, spf.ErrLookups) || o.Queries > 11 {
		t.Errorf("include in a circle: %v after %d queries", o.Err, o.Queries)
	}
	// Addresses of the names of an mx are not terms.
	lines := []string{"example.com TXT v=spf1 mx"}
	for i := range 9 {
		lines[0] += fmt.Sprintf(" include:i%d.example", i)
		lines = append(lines, fmt.Sprintf("i%d.example TXT v=spf1 ip4:198.51.100.%d -all", i, i))
	}
	for i := range 8 {
		lines = append(lines, fmt.Sprintf("example.com MX m%d.example", i), fmt.Sprintf("m%d.example A 203.0.113.%d", i, i))
	}
	z := dns(lines...)
	if o := check(t, z, "198.51.100.8", "tim@example.com"); o.Result != spf.Pass || o.Lookups != 10 || o.Queries != 1+9+9 {
		t.Errorf("mx with 8 names and nine includes: %v (%v), %d lookups, %d queries", o.Result, o.Err, o.Lookups, o.Queries)
	}
	z.txt["i8.example."] = []string{"v=spf1 a -all"}
	if o := check(t, z, "198.51.100.8", "tim@example.com"); !errors.Is(o.Err, spf.ErrLookups) {
		t.Errorf("one more within the last include: %v", o.Err)
	}
}

func TestHostLimit(t *testing.T) {
	lines := []string{"example.com TXT v=spf1 mx -all", "m0.example A 192.0.2.1"}
	for i := range 10 {
		lines = append(lines, fmt.Sprintf("example.com MX m%d.example", i))
	}
	if o := check(t, dns(lines...), "192.0.2.1", "tim@example.com"); o.Result != spf.Pass {
		t.Errorf("ten names: %v", o.Err)
	}
	lines = append(lines, "example.com MX m10.example")
	if o := check(t, dns(lines...), "192.0.2.1", "tim@example.com"); !errors.Is(o.Err, spf.ErrHosts) || o.Result != spf.PermError {
		t.Errorf("eleven names, the first of which matches: %v %v", o.Result, o.Err)
	}
	// Of a client's own names the first ten are looked at, once in an evaluation, and
	// they are no fault of the domain's.
	z := dns("example.com TXT v=spf1 ptr ptr ptr:b.example exists:%{p}.b.example -all")
	for i := range 50 {
		z.ptr["192.0.2.1"] = append(z.ptr["192.0.2.1"], fmt.Sprintf("n%d.example.com.", i))
	}
	z.ip["n10.example.com."] = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	if o := check(t, z, "192.0.2.1", "tim@example.com"); o.Result != spf.Fail || o.Queries != 1+1+10+1 {
		t.Errorf("fifty names: %v (%v), %d queries", o.Result, o.Err, o.Queries)
	}
	z.ip["n9.example.com."] = z.ip["n10.example.com."]
	if o := check(t, z, "192.0.2.1", "tim@example.com"); o.Result != spf.Pass {
		t.Errorf("the tenth is good: %v", o.Result)
	}
}

// TestVoids: terms count that the DNS has nothing for (§4.6.4), and only questions of
// the client's family are asked.
func TestVoids(t *testing.T) {
	z := dns("two.example A 2001:db8::1", "three.example A 2001:db8::2", "one.example A 2001:db8::3",
		"many.example MX v1.example", "many.example MX v2.example", "many.example MX v3.example")
	for _, test := range []struct {
		ip, terms string
		voids     int
		result    spf.Result
	}{
		{"192.0.2.1", "a:one.example a:two.example ip4:192.0.2.1", 2, spf.Pass},
		{"192.0.2.1", "a:one.example a:two.example a:three.example ip4:192.0.2.1", 3, spf.PermError},
		{"2001:db8::9", "a:one.example a:two.example a:three.example -all", 0, spf.Fail},
		{"2001:db8::9", "exists:one.example exists:two.example a:three.example -all", 2, spf.Fail}, // exists asks for A (§5.7)
		{"192.0.2.1", "mx:many.example -all", 1, spf.Fail},
		{"192.0.2.1", "mx:many.example mx:many.example a:none.example", 3, spf.PermError},
		{"192.0.2.1", "ptr ptr ptr -all", 1, spf.Fail},
		{"192.0.2.1", "a:a..b.example a:%{h}%{h}%{h}%{h}.x a:%{l}%{l}%{l}%{l}%{l}%{l}%{l}%{l}%{l}%{l}%{l}%{l}%{l}.example -all", 1, spf.Fail}, // of which one is a name
	} {
		z.txt["example.com."] = []string{"v=spf1 " + test.terms}
		o := check(t, z, test.ip, "postmaster@example.com")
		if o.Result != test.result || o.Voids != test.voids || (o.Result == spf.PermError) != errors.Is(o.Err, spf.ErrVoids) {
			t.Errorf("%s, %s: %v (%v) with %d voids", test.ip, test.terms, o.Result, o.Err, o.Voids)
		}
	}
}

func TestExplanation(t *testing.T) {
	for _, test := range []struct{ text, sender, want string }{
		{"%{i} may not send for %{o}; see http://%{d}/?s=%{S}&h=%{H}", "tim o'x@example.com", "192.0.2.1 may not send for example.com; see http://example.com/?s=tim%20o%27x%40example.com&h=evil%0D%0A.example"},
		{"%{l}", "a\r\n250 OK@example.com", "default"},
		{"%{L}", "a\r\n250 OK@example.com", "a%0D%0A250%20OK"},
		{"%{h}", "tim@example.com", "default"}, // it has CR LF
		{"%{l}", "jürgen@example.com", "default"},
		{"tab\there", "tim@example.com", "default"},
		{"Grüße", "tim@example.com", "default"},
		{"%{z}", "tim@example.com", "default"},
		{strings.Repeat("x", spf.MaxExplanation), "tim@example.com", strings.Repeat("x", spf.MaxExplanation)},
		{strings.Repeat("x", spf.MaxExplanation+1), "tim@example.com", "default"},
		{strings.Repeat("%{L}", 100), strings.Repeat("=", 1000) + "@example.com", "default"},
		{"%{r} %{c} %{t}", "tim@example.com", "mx.receiver.example 192.0.2.1 946684800"},
	} {
		synctest.Test(t, func(t *testing.T) { // its clock begins in the year 2000
			z := dns("example.com TXT v=spf1 -all exp=%{d}.why.example")
			z.txt["example.com.why.example."] = []string{test.text}
			c := &spf.Checker{Resolver: z, Receiver: "mx.receiver.example", Explanation: "default"}
			o := c.Check(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), Helo: "evil\r\n.example", MailFrom: test.sender})
			checkOutcome(t, o, z)
			if o.Result != spf.Fail || o.Explanation != test.want {
				t.Errorf("%.50q for %.50q: %v %q; want %q", test.text, test.sender, o.Result, o.Explanation, test.want)
			}
		})
	}
	c := &spf.Checker{Resolver: dns("example.com TXT v=spf1 -all"), Explanation: "a\r\nb"}
	if o := c.Check(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "example.com"}); o.Explanation != "" {
		t.Errorf("own explanation %q", o.Explanation)
	}
}

// TestLocalPartUTF8: nothing matches by a local part that is not ASCII (RFC 8616 §4).
func TestLocalPartUTF8(t *testing.T) {
	z := dns("example.com TXT v=spf1 exists:%{l}.u.example exists:%{S}.u.example -all")
	if o := check(t, z, "192.0.2.1", "jürgen@example.com"); o.Result != spf.Fail || o.Queries != 1 {
		t.Errorf("%v, asked %q", o.Result, z.asked)
	}
}

// TestNoAnswer: a DNS that does not answer is never "no record" and never a fail.
func TestNoAnswer(t *testing.T) {
	for _, terms := range []string{"a -all", "mx -all", "exists:a.example -all", "include:b.example -all", "redirect=b.example", "mx:m.example -all"} {
		z := dns("example.com TXT v=spf1 "+terms, "example.com FAILS", "a.example FAILS", "b.example FAILS", "m.example MX b.example")
		if o := check(t, z, "192.0.2.1", "tim@example.com"); o.Result != spf.TempError {
			t.Errorf("%s: %v", terms, o.Result)
		}
	}
	for _, err := range []error{errors.New("boom"), &net.DNSError{IsTimeout: true}, &net.DNSError{Err: "server misbehaving"}} {
		z := newZone()
		z.always = err
		if o := check(t, z, "192.0.2.1", "tim@example.com"); o.Result != spf.TempError || !errors.Is(o.Err, err) {
			t.Errorf("%v: %v %v", err, o.Result, o.Err)
		}
	}
	// The names of an address are the client's: without them the next term decides (§5.5).
	z := dns("example.com TXT v=spf1 ptr -all", "192.0.2.1 FAILS")
	z.broken["192.0.2.1"] = true
	if o := check(t, z, "192.0.2.1", "tim@example.com"); o.Result != spf.Fail {
		t.Errorf("no answer about the client's name: %v", o.Result)
	}
}

// slow answers when its time has come, or when the context has ended.
type slow struct {
	*zone
	wait time.Duration
}

func (s slow) sleep(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(s.wait):
	}
}

func (s slow) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	s.sleep(ctx)
	return s.zone.LookupAddr(ctx, addr)
}

func (s slow) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	s.sleep(ctx)
	return s.zone.LookupNetIP(ctx, network, name)
}

// TestTime: all queries together have twenty seconds, and what comes of a query that
// was cut off is a temperror also where its failure alone would be none.
func TestTime(t *testing.T) {
	for _, terms := range []string{"a a a a -all", "ptr -all", "exists:%{p}.example.com -all"} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			r := slow{dns("example.com TXT v=spf1 "+terms, "example.com A 198.51.100.1"), 9 * time.Second}
			if strings.Contains(terms, "p") {
				r.wait = 21 * time.Second
			}
			o := spf.Check(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "tim@example.com"}, r)
			if o.Result != spf.TempError || time.Since(start) != 20*time.Second {
				t.Errorf("%s: %v after %v", terms, o.Result, time.Since(start))
			}
		})
	}
}

// partial answers with records and an error, as net.Resolver does for a domain that
// has bad names among its good ones.
type partial struct{ *zone }

func (p partial) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	list, _ := p.zone.LookupMX(ctx, name)
	return list, &net.DNSError{Err: "DNS response contained records which contain invalid names"}
}

func TestPartialAnswer(t *testing.T) {
	z := dns("example.com TXT v=spf1 mx -all", "example.com MX m.example", "m.example A 192.0.2.1")
	o := spf.Check(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "tim@example.com"}, partial{z})
	if o.Result != spf.Pass {
		t.Errorf("%v %v", o.Result, o.Err)
	}
}

// TestBombs: records made to cost much are refused, or cost no more than their terms.
func TestBombs(t *testing.T) {
	lines := []string{}
	for i := range 10 {
		lines = append(lines, fmt.Sprintf("example.com MX m%d.example", i))
	}
	z := dns(lines...)
	long := strings.Repeat("%{L64r.-+,/_=}", 280)
	for _, text := range []string{
		"v=spf1" + strings.Repeat(" mx", 10) + " -all",
		"v=spf1" + strings.Repeat(" ip4:192.0.2.9", 290),
		"v=spf1 exists:" + long + ".example -all",
		"v=spf1 exists:%{l999999999999999999999r}.example -all",
		"v=spf1 include:%{d}.example.com include:%{d}.%{d} -all",
		"v=spf1 " + strings.Repeat("x", 5000),
		strings.Repeat("v=spf1 ", 600),
		"v=spf1 " + strings.Repeat("-", 4000),
		"v=spf1 " + strings.Repeat("a=%{d} ", 500),
	} {
		z.txt["example.com."] = []string{text}
		check(t, z, "192.0.2.1", strings.Repeat("a.b-c+", 200)+"@example.com")
	}
	z.txt["example.com."] = []string{"v=spf1 " + strings.Repeat(" ", spf.MaxRecord)}
	if o := check(t, z, "192.0.2.1", "tim@example.com"); !errors.Is(o.Err, spf.ErrTooLong) || o.Result != spf.PermError {
		t.Errorf("record too long: %v", o.Err)
	}
}

// TestErrors: an error names domain and term, so that a stranger's text in it breaks
// out of no line.
func TestErrors(t *testing.T) {
	z := dns("example.com TXT v=spf1 include:b.example", "b.example TXT v=spf1 a\r\nx")
	o := check(t, z, "192.0.2.1", "tim@example.com")
	var syntax *spf.SyntaxError
	if !errors.As(o.Err, &syntax) || strings.ContainsAny(o.Err.Error(), "\r\n") || !strings.Contains(o.Err.Error(), "b.example") {
		t.Errorf("error %q", o.Err)
	}
	var where *spf.Error
	z = dns("example.com TXT v=spf1 include:b.example")
	if o = check(t, z, "192.0.2.1", "tim@example.com"); !errors.As(o.Err, &where) || where.Domain != "b.example" || where.Term != "include:b.example" || !errors.Is(o.Err, spf.ErrNoRecord) {
		t.Errorf("error %v", o.Err)
	}
}

// TestBill: what a record costs is added up to the end, and stands with what costs it.
func TestBill(t *testing.T) {
	z := dns(
		"example.com TXT v=spf1 ip4:192.0.2.1 include:a.example mx redirect=c.example",
		"example.com MX m1.example", "example.com MX m2.example", "m1.example A 192.0.2.1", "m2.example A 192.0.2.1",
		"a.example TXT v=spf1 include:b.example a:none.example ~all a:behind.example",
		"b.example TXT v=spf1 ip4:192.0.2.1 exists:fails.example", "fails.example FAILS",
		"c.example TXT v=spf1 a:none.example a:none.example -all",
	)
	b, err := (&spf.Checker{Resolver: z}).Bill(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range b.Steps {
		failed := ""
		if s.Err != nil {
			failed = " !"
		}
		got = append(got, fmt.Sprintf("%s%s %s %d %d %d%s", strings.Repeat("-", s.Depth), s.Domain, s.Term, s.Lookups, s.Voids, s.Queries, failed))
	}
	want := []string{
		"example.com ip4:192.0.2.1 0 0 0",
		"example.com include:a.example 4 1 4",
		"-a.example include:b.example 2 0 2",
		"--b.example ip4:192.0.2.1 0 0 0",
		"--b.example exists:fails.example 1 0 1 !",
		"-a.example a:none.example 1 1 1",
		"-a.example ~all 0 0 0",
		"example.com mx 1 0 3",
		"example.com redirect=c.example 3 2 3",
		"-c.example a:none.example 1 1 1",
		"-c.example a:none.example 1 1 1",
		"-c.example -all 0 0 0",
	}
	if !slices.Equal(got, want) || b.Lookups != 8 || b.Voids != 3 || b.Queries != 11 || len(z.asked) != 11 {
		t.Errorf("%d lookups, %d voids, %d queries (%d):\n%s\nwant:\n%s", b.Lookups, b.Voids, b.Queries, len(z.asked), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestBillOfNothing: what has no address or no domain has no bill, and nobody is asked.
func TestBillOfNothing(t *testing.T) {
	for _, test := range []struct {
		q    spf.Query
		want error
	}{
		{spf.Query{MailFrom: "example.com"}, spf.ErrNoAddress},
		{spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "tim@[192.0.2.1]"}, spf.ErrBadDomain},
	} {
		z := dns("example.com TXT v=spf1 -all")
		if b, err := (&spf.Checker{Resolver: z}).Bill(t.Context(), test.q); !errors.Is(err, test.want) || len(b.Steps) != 0 || len(z.asked) != 0 {
			t.Errorf("%+v: %+v, %v; asked %q", test.q, b, err, z.asked)
		}
	}
}

// TestBillOfABrokenRedirect: a redirect that leads to nothing, or fails, is wrong in its step and ends no bill, as an include that does.
func TestBillOfABrokenRedirect(t *testing.T) {
	for _, term := range []string{"redirect=none.example", "redirect=fails.example", "redirect=two.example", "include:none.example", "include:fails.example"} {
		z := dns("example.com TXT v=spf1 "+term, "fails.example FAILS", "two.example TXT v=spf1 -all", "two.example TXT v=spf1 ~all")
		b, err := (&spf.Checker{Resolver: z}).Bill(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "example.com"})
		if err != nil || len(b.Steps) != 1 || b.Steps[0].Err == nil || b.Steps[0].Term != term {
			t.Errorf("%s: %+v, %v", term, b.Steps, err)
		}
		if o := check(t, z, "192.0.2.1", "example.com"); o.Err == nil {
			t.Errorf("%s: %v", term, o.Result)
		}
	}
}

// TestLongName: a name that macros make longer than the DNS can have loses labels from the left until it has 253
// octets (RFC 7208 §7.3), and not one more.
func TestLongName(t *testing.T) {
	label := strings.Repeat("x", 49) + "."
	long := strings.Repeat(label, 5) + "abc" // 253 octets
	for name, want := range map[string]string{
		long:              long,
		"left.of." + long: long,
		"x" + long:        strings.Repeat(label, 4) + "abc",
	} {
		z := dns("example.com TXT v=spf1 exists:%{h}.abc -all")
		c := &spf.Checker{Resolver: z}
		helo := strings.TrimSuffix(name, ".abc")
		c.Check(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), Helo: helo, MailFrom: "example.com"})
		if len(z.asked) != 2 || !strings.HasSuffix(z.asked[1], " "+want+".") {
			t.Errorf("%s (%d): asked %q; want %q", name, len(name), z.asked, want)
		}
	}
}

// TestBillEnds: what goes round in circles ends, and one too many is counted to its end.
func TestBillEnds(t *testing.T) {
	c := &spf.Checker{Resolver: dns("example.com TXT v=spf1 include:example.com include:example.com redirect=example.com")}
	b, err := c.Bill(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "example.com"})
	if !errors.Is(err, spf.ErrLookups) || b.Queries > 51 || b.Lookups > 51 || len(b.Steps) > 200 {
		t.Errorf("%v, %d queries, %d steps", err, b.Queries, len(b.Steps))
	}
	c.Resolver = dns("example.com TXT v=spf1" + strings.Repeat(" a:none.example", 13) + " -all")
	if b, err = c.Bill(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "example.com"}); err != nil || b.Lookups != 13 || b.Voids != 13 {
		t.Errorf("%v, %d lookups, %d voids", err, b.Lookups, b.Voids)
	}
	for text, want := range map[string]error{"v=spf1 -all moo": nil, "nothing": spf.ErrNoRecord} {
		c.Resolver = dns("example.com TXT " + text)
		if _, err := c.Bill(t.Context(), spf.Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "example.com"}); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestNameOfClient: of the names that are the client's the domain's own is taken, then one below it, then any, and none
// that does not lead back to it (RFC 7208 §7.3).
func TestNameOfClient(t *testing.T) {
	for names, want := range map[string]string{
		"other.example sub.example.com example.com":    "example.com",
		"other.example notexample.com sub.example.com": "sub.example.com",
		"other.example com":                            "other.example",
		"le.com notexample.com":                        "le.com",
		"forged.example":                               "unknown",
		"":                                             "unknown",
		"forged.example a.test":                        "a.test",
	} {
		lines := []string{"example.com TXT v=spf1 exists:%{p}.look.example -all"}
		for name := range strings.FieldsSeq(names) {
			lines = append(lines, "192.0.2.1 PTR "+name+".")
			if name != "forged.example" {
				lines = append(lines, name+" A 192.0.2.1")
			}
		}
		z := dns(lines...)
		check(t, z, "192.0.2.1", "tim@example.com")
		if asked := z.asked[len(z.asked)-1]; !strings.HasSuffix(asked, " "+want+".look.example.") {
			t.Errorf("%s: asked %q, want %s", names, asked, want)
		}
	}
}
