package rules

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// known is a message of which everything is known.
func known() *Case {
	return &Case{
		Addrs: map[Fact]netip.Addr{IP: netip.MustParseAddr("192.0.2.7"), LocalIP: netip.MustParseAddr("198.51.100.1")},
		Text: map[Fact][]string{
			Helo: {"MX.Sender.Example"}, Host: {"mx.sender.example", "alias.sender.example"}, From: {"Ann@News.Sender.Example"}, To: {"bob@home.example"},
			User: {"carol@home.example"}, Author: {"ann@sender.example"}, Signer: {"sender.example"},
		},
		Fields:  map[string][]string{"subject": {"Hello, World"}, "x-two": {"a", "b"}, "x-empty": {""}},
		Said:    map[Fact]string{TLS: "on 1.3", SPF: "pass", DKIM: "fail", DMARC: "none", Trusted: "no", Host: "exists good", From: "quoted resolves", To: "", Helo: "ehlo"},
		Numbers: map[Fact]int64{Size: 10_000_000, Rcpts: 3},
		Lists:   map[string]bool{"bad.list.example": true, "good.list.example": false},
		Now:     time.Date(2026, 11, 30, 23, 30, 0, 0, time.UTC), // a Monday
	}
}

// outcome is what a condition comes to, of a rule for the phase where everything is known.
func outcome(t *testing.T, condition string, f Facts) truth {
	t.Helper()
	s, err := Parse("test.rules", "@message reject "+condition)
	if err != nil {
		t.Fatalf("%s: %v", condition, err)
	}
	all := make(allOf, 0, 2)
	for _, term := range s.rules[0].clauses[0].terms {
		all = append(all, term.node)
	}
	return all.eval(f)
}

// operatorTable is each operator with what it is true of, and what it is not. The same conditions are asked
// where nothing is known.
var operatorTable = map[string]struct{ yes, no []string }{
	"all":      {[]string{"all"}, nil},
	"from":     {[]string{"from ann@news.sender.example", "from @", "from ann@", "from @news.sender.example", "from @.sender.example", "from @.example", "from ANN@NEWS.sender.EXAMPLE"}, []string{"from <>", "from @sender.example", "from bob@", "from @.news.sender.example", "from ann@sender.example", "from @.ender.example"}},
	"to":       {[]string{"to bob@home.example", "to @home.example", "to @.example"}, []string{"to bob@other.example", "to @.home.example"}},
	"helo":     {[]string{"helo mx.sender.example", "helo .sender.example", "helo .example"}, []string{"helo sender.example", "helo .mx.sender.example"}},
	"ehlo":     {[]string{"ehlo mx.sender.example"}, []string{"ehlo localhost"}},
	"host":     {[]string{"host alias.sender.example", "host .sender.example"}, []string{"host other.example"}},
	"source":   {[]string{"source mx.sender.example", "source news.sender.example", "source alias.sender.example"}, []string{"source other.example"}},
	"ip":       {[]string{"ip 192.0.2.7", "ip 192.0.2.0/24", "ip 192.0.2.1-192.0.2.7", "ip ::ffff:192.0.2.7", "ip 0.0.0.0/0", "ip 192.0.2.9/24"}, []string{"ip 192.0.2.8", "ip 2001:db8::/32", "ip 192.0.2.8/29", "ip ::1"}},
	"dnsbl":    {[]string{"dnsbl bad.list.example"}, []string{"dnsbl good.list.example"}},
	"dbl":      {[]string{"dbl any bad.list.example", "dbl host,from bad.list.example", "dbl helo bad.list.example"}, []string{"dbl any good.list.example"}},
	"tls":      {[]string{"tls on", "tls 1.2,1.3"}, []string{"tls off", "tls 1.2"}},
	"from-has": {[]string{"from-has quoted", "from-has bad,quoted", "from-has resolves"}, []string{"from-has route", "from-has noat", "from-has unqualified", "from-has garbage", "from-has unknown", "from-has baddom", "from-has bad"}},
	"to-has":   {nil, []string{"to-has route", "to-has bad,quoted"}},
	"helo-has": {[]string{"helo-has ehlo", "helo-has none, ehlo"}, []string{"helo-has none", "helo-has helo", "helo-has nodots", "helo-has bareip", "helo-has properip", "helo-has myip", "helo-has remip", "helo-has remoteip", "helo-has otherip", "helo-has ip", "helo-has bogus"}},
	"dns":      {[]string{"dns good", "dns exists", "dns nodns,good"}, []string{"dns nodns", "dns noforward", "dns inconsistent"}},
	"spf":      {[]string{"spf pass", "spf fail,pass"}, []string{"spf fail", "spf softfail", "spf neutral,none,temperror,permerror"}},
	"dkim":     {[]string{"dkim fail"}, []string{"dkim pass", "dkim none,policy,neutral,temperror,permerror"}},
	"dmarc":    {[]string{"dmarc none"}, []string{"dmarc pass", "dmarc fail,temperror,permerror"}},
	"signer":   {[]string{"signer sender.example", "signer .example"}, []string{"signer .sender.example"}},
	"trusted":  {[]string{"trusted no"}, []string{"trusted yes"}},
	"user":     {[]string{"user @", "user carol@home.example", "user @home.example"}, []string{"user bob@"}},
	"author":   {[]string{"author @sender.example"}, []string{"author @other.example"}},
	"header":   {[]string{"header Subject *world", "header subject \"HELLO, w?rld\"", "header x-two b", "header x-empty *", "header x-empty \"\""}, []string{"header subject world", "header x-none *", "header x-two c", "header x-empty ?"}},
	"size":     {[]string{"size >9.9MB", "size >= 10MB", "size <10000001", "size <=10MB", "size 10MB", "size =10MB", "size > 1kB"}, []string{"size >10MB", "size <10MB", "size 1", "size >9223372036854775807"}},
	"rcpts":    {[]string{"rcpts >2", "rcpts 3", "rcpts <= 3"}, []string{"rcpts >3", "rcpts <3"}},
	"time":     {[]string{"time 22:00-06:00", "time 23:30-23:31", "time 0:00-24:00", "time 23:00-24:00"}, []string{"time 06:00-22:00", "time 23:31-23:30", "time 22:00-23:30"}},
	"day":      {[]string{"day mon", "day mon-fri", "day sat-mon", "day Monday,sun"}, []string{"day tue-sun", "day sat,sun"}},
}

func TestOperators(t *testing.T) {
	for _, o := range operators() {
		table, ok := operatorTable[o.name]
		if !ok && o.name != "first" && o.name != "every" && o.name != "chance" && o.name != "rate" {
			t.Errorf("%s: no table", o.name)
		}
		for want, conditions := range map[truth][]string{yes: table.yes, no: table.no} {
			for _, c := range conditions {
				if got := outcome(t, c, known()); got != want {
					t.Errorf("%s: %v, not %v", c, got, want)
				}
				if got := outcome(t, "not "+c, known()); got != negate(want) {
					t.Errorf("not %s: %v", c, got)
				}
			}
		}
	}
}

// TestUnknown: where a fact is not known, a condition on it is neither true nor false, nor is its
// opposite; what is known beside it still decides.
func TestUnknown(t *testing.T) {
	for name, table := range operatorTable {
		if name == "all" {
			continue
		}
		for _, c := range append(table.yes, table.no...) {
			for condition, want := range map[string]truth{
				c: unknown, "not " + c: unknown, "not (not " + c + ")": unknown,
				c + " or all": yes, "not (" + c + " all)": unknown, "(" + c + " not all)": no, "not (" + c + " or all)": no, "all or " + c: yes,
				c + " or not all": unknown,
			} {
				if got := outcome(t, condition, &Case{}); got != want {
					t.Errorf("%s: %v, not %v", condition, got, want)
				}
			}
			s, err := Parse("", "@message reject "+c+"\n@message stall not "+c+"\n@message accept all")
			if err != nil {
				t.Fatal(err)
			}
			if d := s.Eval(AtMessage, &Case{}); d.Action != Accept {
				t.Errorf("%s: %v, although nothing is known", c, d.Action)
			}
		}
	}
}

// TestOneFactMissing: a rule about something else goes on as if nothing were missing.
func TestOneFactMissing(t *testing.T) {
	for f := range facts {
		c := known()
		delete(c.Addrs, f)
		delete(c.Text, f)
		delete(c.Said, f)
		delete(c.Numbers, f)
		if f == Header {
			c.Fields = nil
		}
		if f != From && f != Host && f != Helo { // of which source and dbl may have the others
			if got := outcome(t, "source mx.sender.example", c); got != yes {
				t.Errorf("without %d: %v", f, got)
			}
		}
		s, err := Parse("", "@message reject not all or (from x@y ip 10.0.0.1)\n@message stall day mon")
		if err != nil {
			t.Fatal(err)
		}
		if d := s.Eval(AtMessage, c); d.Action != Stall {
			t.Errorf("without %d: %v", f, d.Action)
		}
	}
}

// TestWordsOfAddress: what can be read off an address.
func TestWordsOfAddress(t *testing.T) {
	for written, want := range map[string]string{
		"": "", "a@b.example": "", `"a b"@b.example`: "quoted", "a": "noat", "a@b": "unqualified", "@x.example,@y.example:a@b.example": "route", "a@[192.0.2.1]": "",
		"a@b..example": "garbage", "a b@c.example": "garbage", "<a@b.example": "garbage", "@b.example": "garbage", "a@": "unqualified garbage", "a@.example": "garbage", "a@b@c.example": "garbage", "@": "unqualified garbage", "a@[x": "garbage",
	} {
		hold, known := AddressWords(written)
		if hold != Word(From, split(want)...) {
			t.Errorf("%q: %b, not %s", written, hold, want)
		}
		if known&syntax != syntax {
			t.Errorf("%q: known %b", written, known)
		}
	}
}

func split(s string) (all []string) {
	return append(all, strings.Fields(s)...)
}

// TestWordsOfHelo: what can be read off HELO; none too, by which the ancestor fell over.
func TestWordsOfHelo(t *testing.T) {
	remote, local := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::1")
	for name, want := range map[string]string{
		"": "ehlo none", "mx.a.example": "ehlo", "DESKTOP-1": "ehlo nodots", "192.0.2.7": "ehlo bareip remip", "[192.0.2.7]": "ehlo properip remip", "[IPv6:2001:db8::1]": "ehlo properip myip",
		"[10.0.0.1]": "ehlo properip otherip", "[10.0.0.1": "ehlo", "-": "ehlo nodots", "2001:db8::1": "ehlo bareip myip",
	} {
		hold, known := HeloWords(name, true, remote, local)
		if hold != Word(Helo, split(want)...) || known != AllWords(Helo) {
			t.Errorf("%q: %b, not %s", name, hold, want)
		}
	}
	if hold, known := HeloWords("[10.0.0.1]", false, netip.Addr{}, local); hold != Word(Helo, "helo", "properip") || known&Word(Helo, "otherip") != 0 {
		t.Error(hold, known)
	}
}
