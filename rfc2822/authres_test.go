package rfc2822

import (
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAuthResultsField(t *testing.T) {
	for _, tt := range []struct {
		a    AuthResults
		want string
	}{
		{AuthResults{AuthServID: "mx.example.org"}, "mx.example.org; none"},
		{AuthResults{AuthServID: "mx.example.org", Version: 1}, "mx.example.org 1; none"},
		{AuthResults{}, "unknown; none"},
		{AuthResults{AuthServID: "mx.example.org", Results: []AuthResult{
			{Method: "spf", Result: "pass", Props: []AuthProp{{"smtp", "mailfrom", "a@example.com"}}},
			{Method: "dkim", Version: 1, Result: "fail", Comment: "bad (sig)", Reason: "body hash", Props: []AuthProp{{"header", "i", "@example.com"}, {"header", "b", "a=b"}}},
		}}, "mx.example.org;\r\n\tspf=pass\r\n\t smtp.mailfrom=a@example.com;\r\n\tdkim/1=fail (bad ?sig?)\r\n\t reason=\"body hash\"\r\n\t header.i=@example.com\r\n\t header.b=\"a=b\""},
		{AuthResults{AuthServID: "a b", Results: []AuthResult{{Method: "x\r\ny", Result: ";", Props: []AuthProp{{"smtp", "h.e=lo", "e\r\nX: \"1\"\\\x00"}}}}},
			"\"a b\";\r\n\txy=unknown\r\n\t smtp.helo=\"e??X: \\\"1\\\"\\\\?\""},
		{AuthResults{AuthServID: "ü", Results: []AuthResult{{Method: "spf", Result: "none", Comment: "ü", Props: []AuthProp{{"smtp", "mailfrom", "ü@ü.example"}}}}},
			"\"?\";\r\n\tspf=none (?)\r\n\t smtp.mailfrom=\"?@?.example\""},
		{AuthResults{UTF8: true, AuthServID: "ü.example", Results: []AuthResult{{Method: "spf", Result: "none", Comment: "ü\u0085\u2028\xff", Props: []AuthProp{{"smtp", "mailfrom", "ü@ü.example"}}}}},
			"\"ü.example\";\r\n\tspf=none (ü???)\r\n\t smtp.mailfrom=\"ü@ü.example\""},
		{AuthResults{AuthServID: strings.Repeat("x", 600)}, strings.Repeat("x", 400) + "; none"},
		{AuthResults{UTF8: true, AuthServID: strings.Repeat("ü", 201) + "y"}, `"` + strings.Repeat("ü", 200) + `"; none`},
	} {
		if got := tt.a.Field().Raw(); got != "Authentication-Results: "+tt.want+"\r\n" {
			t.Errorf("%q\nwant %q", got, tt.want)
		}
	}
	// No pvalue of RFC 8601 §2.2 without quotes.
	for _, v := range []string{"", "a@b@c", "a..b@c", "a@", "a@[192.0.2.1]", "a b@c", "a@b..c", "2001:db8::1", "a/b", `"a b"@c`, "a,b", "a;b"} {
		a := AuthResults{AuthServID: "x", Results: []AuthResult{{Method: "m", Result: "pass", Props: []AuthProp{{"smtp", "p", v}}}}}
		if got := a.Field().Value(); !strings.Contains(got, `smtp.p="`) {
			t.Errorf("%q: %q", v, got)
		}
	}
}

// TestAuthResultsLines: however long the texts of strangers are, no line has more than 998 octets.
func TestAuthResultsLines(t *testing.T) {
	long := strings.Repeat(`"`, 5000)
	a := AuthResults{UTF8: true, AuthServID: long, Results: []AuthResult{{Method: strings.Repeat("a", 5000), Result: strings.Repeat("a", 5000), Comment: long, Reason: long,
		Props: []AuthProp{{strings.Repeat("a", 5000), strings.Repeat("a", 5000), long}}}}}
	for line := range strings.Lines(a.Field().Raw()) {
		if len(line) > hardLine+2 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
}

// appendixB are the examples of RFC 8601, and further fields of real hosts.
var appendixB = []struct {
	value string
	want  AuthResults
}{
	{"example.org 1; none", AuthResults{AuthServID: "example.org", Version: 1}},
	{"example.com;\r\n          spf=pass smtp.mailfrom=example.net", AuthResults{AuthServID: "example.com", Results: []AuthResult{
		{Method: "spf", Result: "pass", Props: []AuthProp{{"smtp", "mailfrom", "example.net"}}}}}},
	{"example.com;\r\n          auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n          spf=pass smtp.mailfrom=example.net", AuthResults{AuthServID: "example.com", Results: []AuthResult{
		{Method: "auth", Result: "pass", Comment: "cram-md5", Props: []AuthProp{{"smtp", "auth", "sender@example.net"}}},
		{Method: "spf", Result: "pass", Props: []AuthProp{{"smtp", "mailfrom", "example.net"}}}}}},
	{"example.com;\r\n          iprev=pass\r\n          policy.iprev=192.0.2.200", AuthResults{AuthServID: "example.com", Results: []AuthResult{
		{Method: "iprev", Result: "pass", Props: []AuthProp{{"policy", "iprev", "192.0.2.200"}}}}}},
	{"example.com;\r\n          dkim=pass reason=\"good signature\"\r\n            header.i=@mail-router.example.net;\r\n          dkim=fail reason=\"bad signature\"\r\n            header.i=@newyork.example.com",
		AuthResults{AuthServID: "example.com", Results: []AuthResult{
			{Method: "dkim", Result: "pass", Reason: "good signature", Props: []AuthProp{{"header", "i", "@mail-router.example.net"}}},
			{Method: "dkim", Result: "fail", Reason: "bad signature", Props: []AuthProp{{"header", "i", "@newyork.example.com"}}}}}},
	{"example.net;\r\n          dkim=pass (good signature) header.i=@newyork.example.com", AuthResults{AuthServID: "example.net", Results: []AuthResult{
		{Method: "dkim", Result: "pass", Comment: "good signature", Props: []AuthProp{{"header", "i", "@newyork.example.com"}}}}}},
	{"foo.example.net (foobar) 1 (baz);\r\n    dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n      policy (A dot can go here) . (like that) expired\r\n      (this surprised me) = (as I wasn't expecting it) 1362471462",
		AuthResults{AuthServID: "foo.example.net", Version: 1, Results: []AuthResult{{Method: "dkim", Version: 1, Result: "fail",
			Comment: "Because I like it One yay wait for it A dot can go here like that this surprised me as I wasn't expecting it",
			Props:   []AuthProp{{"policy", "expired", "1362471462"}}}}}},
	{"mx.google.com;\r\n       dkim=pass header.i=@example.com header.s=s1 header.b=abc/D+f=;\r\n       spf=pass (google.com: domain of a@example.com; designates 2001:db8::1 as permitted sender) smtp.mailfrom=\"b=1@example.com\"",
		AuthResults{AuthServID: "mx.google.com", Results: []AuthResult{
			{Method: "dkim", Result: "pass", Props: []AuthProp{{"header", "i", "@example.com"}, {"header", "s", "s1"}, {"header", "b", "abc/D+f="}}},
			{Method: "spf", Result: "pass", Comment: "google.com: domain of a@example.com; designates 2001:db8::1 as permitted sender", Props: []AuthProp{{"smtp", "mailfrom", "b=1@example.com"}}}}}},
	{`x; dmarc=fail (p=none; \) dis=none) action=none header.from=example.com; `, AuthResults{AuthServID: "x", Results: []AuthResult{
		{Method: "dmarc", Result: "fail", Comment: "p=none; ) dis=none", Props: []AuthProp{{"", "action", "none"}, {"header", "from", "example.com"}}}}}},
	{`"a; \"b" ; spf=none smtp.mailfrom="j. \"d\""@example.com`, AuthResults{AuthServID: `a; "b`, Results: []AuthResult{
		{Method: "spf", Result: "none", Props: []AuthProp{{"smtp", "mailfrom", `"j. \"d\""@example.com`}}}}}},
	{"größe.example; spf=pass smtp.mailfrom=jürgen@größe.example", AuthResults{UTF8: true, AuthServID: "größe.example", Results: []AuthResult{
		{Method: "spf", Result: "pass", Props: []AuthProp{{"smtp", "mailfrom", "jürgen@größe.example"}}}}}},
	{"x; NONE (nothing; at all)", AuthResults{AuthServID: "x"}},
}

func TestParseAuthResults(t *testing.T) {
	for _, tt := range appendixB {
		got, ok := ParseAuthResults(tt.value)
		if !ok || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q:\n%+v %v\n%+v", tt.value, got, ok, tt.want)
		}
	}
	for in, id := range map[string]string{
		"": "", ";": "", "x": "x", "x;": "x", "x 1": "x", "x 1a; none": "x", "x y; none": "x", `"open; none`: "", "(open; none": "",
		"x; spf": "x", "x; spf=": "x", "x; spf=pass smtp": "x", "x; spf=pass smtp.": "x", "x; spf=pass smtp.a": "x", "x; spf=pass (": "x", "x; none; spf=pass": "x",
		"x; spf=pass; none": "x", "x; spf/=pass": "x", "x; spf/99999999999=pass": "x", "x; =pass": "x", `x; spf=pass reason="`: "x", "x; spf=pass; dkim": "x",
		"x; none/1": "x", "x; spf=pass, dkim=pass": "x", "; spf=pass": "", "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=example.com; dkim=none": "spf=pass",
	} {
		if got, ok := ParseAuthResults(in); ok || got.AuthServID != id {
			t.Errorf("%q: %+v %v", in, got, ok)
		}
	}
	if got, ok := ParseAuthResults("x; spf=pass smtp.a=b; dkim"); ok || len(got.Results) != 1 || got.Results[0].Method != "spf" {
		t.Errorf("what stands before a fault is lost: %+v", got)
	}
}

// ours are spellings of mx.example.org that strangers may try, foreign what only looks like it.
var ours = []string{
	"Authentication-Results: mx.example.org; spf=pass", "AUTHENTICATION-RESULTS:MX.Example.ORG;dkim=pass",
	"authentication-results : \"mx.example.org\"; none", "Authentication-Results: (c;(d)) mx.example.org (e) 1 (f); none",
	"Authentication-Results:\r\n\tmx.example.org\r\n 1;\r\n spf=pass", "Authentication-Results: mx.example.org.; spf=pass",
	"Authentication-Results: mx.example.org", "Authentication-Results: \"mx\\.example.org\"; spf=pass", "Authentication-Results: \"mx.example.org; spf=pass",
	"Authentication-Results: mx.example.org 99999999999999999999; spf=pass", "Authentication-Results: (a (b) mx.example.org; spf=pass",
	"Authentication-Results: \x00mx.example.org; spf=pass", "Authentication-Results: =?utf-8?q?mx.example.org?=; spf=pass",
	"Authentication-Results: mx.example.org(c);spf=pass", "Authentication-Results: mx.example.org spf=pass", "Authentication-Results: (\r\n c\\)) \r\n\t\"MX.EXAMPLE.ORG\"/1; x=y",
	"Authentication-Results: bücher.example; spf=pass", "Authentication-Results: xn--bcher-kva.example; spf=pass",
}

var foreign = []string{
	"Authentication-Results: mx.example.com; spf=pass", "Authentication-Results: amx.example.org; spf=pass", "Authentication-Results: mx.example.org.example.com; none",
	"Authentication-Results: example.org; none", "Authentication-Results: (mx.example.org) mx.example.com; none", "Authentication-Results: \"\"; spf=pass",
	"Authentication-Results: ; spf=pass smtp.helo=mx.example.org", "Authentication-Results: spf=pass (mx.example.org: ok) smtp.mailfrom=mx.example.org",
	"Authentication-Results:", "Authentication-Results: a; spf=pass reason=\"; mx.example.org; spf=pass\"", "X-Authentication-Results: mx.example.org; spf=pass",
	"ARC-Authentication-Results: i=1; mx.example.org; spf=pass", "Authentication-Results-2: mx.example.org; none", "Received: from mx.example.org", "Authentication-Results: 192.0.2.1; none",
}

func TestAuthResultsOf(t *testing.T) {
	for _, raw := range ours {
		if !AuthResultsOf(parseField(raw+"\r\n"), "other.example", "mx.example.org", "BÜCHER.example") {
			t.Errorf("not found: %q", raw)
		}
	}
	for _, raw := range foreign {
		if AuthResultsOf(parseField(raw+"\r\n"), "mx.example.org", "bücher.example") {
			t.Errorf("taken for ours: %q", raw)
		}
	}
	if AuthResultsOf(parseField(ours[0] + "\r\n")) {
		t.Error("ours without a name")
	}
}

// TestAuthResultsTaken: what is forged goes, and everything else stays as it is.
func TestAuthResultsTaken(t *testing.T) {
	section, _, _ := ParseHeader(strings.Join(ours, "\r\n") + "\r\n" + strings.Join(foreign, "\r\n") + "\r\n\r\n")
	var kept strings.Builder
	for f := range section.All() {
		if !AuthResultsOf(f, "mx.example.org", "xn--bcher-kva.example") {
			kept.WriteString(f.Raw())
		}
	}
	if want := strings.Join(foreign, "\r\n") + "\r\n"; kept.String() != want {
		t.Errorf("%q\n%q", kept.String(), want)
	}
}

// FuzzAuthResults: whatever strangers say, one field is written with the results
// and properties that were meant, and it reads back as it was written.
func FuzzAuthResults(f *testing.F) {
	for _, s := range []string{"", "a@example.com", "a\r\nX: 1", `";`, "(", ")", "\\", "x; spf=pass", "\xff\x00", "ü@ü.example", " reason=x", strings.Repeat("é\"", 300), "none", "\u2028", "a@@b", "1"} {
		f.Add(s, s, s, s, 1, true)
		f.Add("mx.example.org", "spf", "pass", s, 0, false)
	}
	f.Fuzz(func(t *testing.T, id, word, text, value string, version int, utf bool) {
		a := AuthResults{AuthServID: id, Version: version, UTF8: utf}
		for _, p := range [][]AuthProp{nil, {{word, text, value}}, {{"smtp", "mailfrom", value}, {"header", word, text}}} {
			a.Results = append(a.Results, AuthResult{Method: word, Version: version, Result: text, Comment: text, Reason: value, Props: p})
		}
		field := a.Field()
		section, _, defects := ParseHeader(field.Raw() + "Next: 1\r\n\r\n")
		if section.Len() != 2 || len(defects) > 0 {
			t.Fatalf("%q: %d fields, %v", field.Raw(), section.Len(), defects)
		}
		if !utf && !allASCII([]byte(field.Raw())) || !utf8.ValidString(field.Raw()) {
			t.Fatalf("%q", field.Raw())
		}
		for _, value := range []string{field.Value(), field.Body()} {
			got, ok := ParseAuthResults(value)
			if !ok || !reflect.DeepEqual(got, written(a)) {
				t.Fatalf("%q:\n%+v %v\n%+v", value, got, ok, written(a))
			}
			if again := got.Field().Raw(); again != field.Raw() {
				t.Fatalf("%q\n%q", field.Raw(), again)
			}
		}
		if id := made(id, 400, utf); id != "" && !AuthResultsOf(field, id) && !strings.ContainsAny(id, "; \"\\()") {
			t.Fatalf("%q is not found in %q", id, field.Raw())
		}
	})
}

// written is what is left of results when they have been written.
func written(a AuthResults) AuthResults {
	name := func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			if strings.IndexByte("-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c) >= 0 && b.Len() < 60 {
				b.WriteByte(c)
			}
		}
		if b.Len() == 0 {
			return "unknown"
		}
		return b.String()
	}
	number := func(n int) int { return max(n, 0) }
	out := AuthResults{AuthServID: made(a.AuthServID, 400, a.UTF8), Version: number(a.Version)}
	if a.AuthServID == "" {
		out.AuthServID = "unknown"
	}
	for _, r := range a.Results {
		comment := strings.NewReplacer("(", "?", ")", "?", "\\", "?", `"`, "?").Replace(strings.TrimSpace(made(r.Comment, 300, a.UTF8)))
		w := AuthResult{Method: name(r.Method), Version: number(r.Version), Result: name(r.Result), Comment: comment, Reason: made(r.Reason, 400, a.UTF8)}
		for _, p := range r.Props {
			w.Props = append(w.Props, AuthProp{name(p.Type), name(p.Property), made(p.Value, 400, a.UTF8)})
		}
		out.Results = append(out.Results, w)
	}
	out.UTF8 = !isASCII(a.Field().Raw())
	return out
}

func made(s string, most int, utf bool) string {
	out := ""
	for _, c := range s {
		piece := string(c)
		if c < 32 || c >= 127 && c <= 159 || c == 0xfffd || c == 0x2028 || c == 0x2029 || c > 127 && !utf {
			piece = "?"
		}
		if len(out)+len(piece) > most {
			break
		}
		out += piece
	}
	return out
}

// FuzzParseAuthResults: nothing a stranger writes ends the reader, and what could be
// read is written as a field that reads the same.
func FuzzParseAuthResults(f *testing.F) {
	for _, tt := range appendixB {
		f.Add(tt.value)
	}
	for _, s := range append(ours, foreign...) {
		_, value, _ := strings.Cut(s, ":")
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		field := parseField("Authentication-Results: " + value)
		a, ok := ParseAuthResults(value)
		AuthResultsOf(field, "mx.example.org")
		if !ok {
			return
		}
		if a.AuthServID == "" {
			t.Fatalf("%q: no host", value)
		}
		w := a.Field()
		again, ok := ParseAuthResults(w.Body())
		if !ok || len(again.Results) != len(a.Results) || again.Field().Raw() != w.Raw() {
			t.Fatalf("%q: %q, %q", value, w.Raw(), again.Field().Raw())
		}
	})
}

// likeAuthres is what python3-authres reads of fields.
const likeAuthres = `
import authres, json, re, sys
def plain(value): # it leaves quoted pairs as they are
    return re.sub(r'\\(.)', r'\1', value or "")
def seen(text):
    try:
        h = authres.AuthenticationResultsHeader.parse(text)
    except authres.core.SyntaxError as e:
        sys.exit("%r: %s" % (text, e))
    return [h.authserv_id] + [[r.method, r.result, plain(r.reason)] + [[p.type, p.name, plain(p.value)] for p in r.properties] for r in h.results if r.method]
json.dump([seen(t) for t in json.load(sys.stdin)], sys.stdout)
`

// TestAuthResultsLikePython: another program reads what is written here, and reads what
// the RFC has as examples as it is read here.
func TestAuthResultsLikePython(t *testing.T) {
	// Of several, it is the one that packages of Debian are for.
	if exec.Command("/usr/bin/python3", "-c", "import authres").Run() != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3-authres is not installed")
		}
		t.Skip("python3-authres is not installed")
	}
	var all []AuthResults
	var fields []string
	for _, tt := range appendixB[:6] { // of the seventh authres does not read the comment behind a version
		all, fields = append(all, tt.want), append(fields, "Authentication-Results: "+unfold(tt.value))
	}
	for _, evil := range []string{"a@example.com", "@example.com", "x; spf=pass", `"`, "(", ")", `\`, "a b", "2001:db8::1", "a\r\nb: c", "a=b/c", `"x y"@example.com`, strings.Repeat("z", 399)} {
		a := AuthResults{AuthServID: "mx.example.org", Results: []AuthResult{
			{Method: "spf", Result: "pass", Comment: evil, Reason: evil, Props: []AuthProp{{"smtp", "helo", evil}}},
			{Method: "dkim", Result: "fail", Props: []AuthProp{{"header", "d", evil}}}}}
		all, fields = append(all, written(a)), append(fields, strings.TrimSpace(a.Field().Raw()))
	}
	cmd := exec.Command("/usr/bin/python3", "-c", likeAuthres)
	input, _ := json.Marshal(fields)
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(input)), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var theirs []any
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatal(err)
	}
	for i, a := range all {
		want := []any{a.AuthServID}
		for _, r := range a.Results {
			line := []any{r.Method, r.Result, r.Reason}
			for _, p := range r.Props {
				line = append(line, []any{p.Type, p.Property, p.Value})
			}
			want = append(want, line)
		}
		if !reflect.DeepEqual(theirs[i], any(want)) {
			t.Errorf("%s\ntheirs %q\nours   %q", fields[i], theirs[i], want)
		}
	}
}
