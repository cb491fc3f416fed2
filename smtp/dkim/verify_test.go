package dkim

import (
	"crypto"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// setup is a signer with one key, and a verifier that finds it.
func setup(t testing.TB, key int) (*Signer, *Verifier, zone) {
	s := &Signer{Domain: "example.com", Keys: testKeys()[key : key+1]}
	z := published(t, s)
	return s, &Verifier{Resolver: z}, z
}

// TestMutation: no octet of the body, of a signed field or of the signature can be changed.
func TestMutation(t *testing.T) {
	s, v, _ := setup(t, 1)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for name, m := range corpus(t) {
		m = signed(t, s, m, 100)
		if statuses(verify(v, m, 1000)[:1]) != "pass" {
			t.Fatalf("%s does not pass", name)
		}
		for range 12 {
			i := random.IntN(len(m))
			changed := []byte(m)
			for changed[i] == m[i] {
				changed[i] = byte(random.UintN(256))
			}
			c := string(changed)
			if same(t, s, m, c) {
				continue
			}
			if r := verify(v, c, 1000); len(r) > 0 && r[0].Status == Pass {
				t.Errorf("%s: octet %d was %q and is %q: %+v", name, i, m[i], c[i], r[0])
			}
		}
	}
}

// TestSameSelector: each signature is checked by the key of its own domain and selector, also where another above it, which passes,
// shares one of the two: selectors such as "mail" are everybody's.
func TestSameSelector(t *testing.T) {
	const message = "From: a@b.example\r\nSubject: x\r\n\r\nbody\r\n"
	var keys [2]crypto.Signer
	for i := range keys {
		var err error
		if keys[i], err = GenerateKey("ed25519"); err != nil {
			t.Fatal(err)
		}
	}
	key := func(i int, selector string) []SigningKey { return []SigningKey{{Selector: selector, Key: keys[i]}} }
	mine, theirs := &Signer{Domain: "a.example", Keys: key(0, "mail")}, &Signer{Domain: "b.example", Keys: key(1, "mail")}
	second := &Signer{Domain: "a.example", Keys: key(1, "other")}
	z := published(t, mine)
	for _, s := range []*Signer{theirs, second} {
		maps.Copy(z, published(t, s))
	}
	v := &Verifier{Resolver: z}
	on := func(message string, all ...*Signer) string {
		for _, s := range all {
			message = signed(t, s, message, 100)
		}
		return statuses(verify(v, message, 100))
	}
	for _, both := range [][]*Signer{{mine, theirs}, {theirs, mine}, {mine, second}, {second, mine}} {
		if got := on(message, both...); got != "pass,pass" {
			t.Errorf("%s then %s: %s", both[0].Domain, both[1].Domain, got)
		}
	}
	forged := &Signer{Domain: "b.example", Keys: key(0, "mail")} // by who has the key of a.example
	if got := on(message, forged, mine); got != "pass,fail" {
		t.Errorf("forged below one that passes: %s", got)
	}
	if got := on(message, mine, forged); got != "fail,pass" {
		t.Errorf("forged above one that passes: %s", got)
	}
}

// TestUnusedBits: the last letter of a signature has bits that stand for nothing, and cannot
// be changed all the same.
func TestUnusedBits(t *testing.T) {
	s, v, _ := setup(t, 1) // 64 octets: the last letter has four such bits
	m := signed(t, s, "From: a@example.com\r\n\r\nx\r\n", 100)
	end := strings.Index(m, "==\r\n")
	if end < 0 || statuses(verify(v, m, 100)) != "pass" {
		t.Fatalf("%q", m)
	}
	last := strings.IndexByte(base64Letters, m[end-1])
	changed := m[:end-1] + string(base64Letters[last^1]) + m[end:]
	if got := statuses(verify(v, changed, 100)); got == "pass" {
		t.Errorf("%q passes", changed)
	}
}

// TestBareCR: within a signature, too, a line is folded by CR, LF and a blank, and a CR that lost its LF
// is an octet that was changed.
func TestBareCR(t *testing.T) {
	s, v, _ := setup(t, 1)
	m := signed(t, s, "From: a@example.com\r\n\r\nx\r\n", 100)
	_, signature, _ := strings.Cut(m, "; b=")
	folds := 0
	for i := range signature {
		if !strings.HasPrefix(signature[i:], "\r\n\t") && !strings.HasPrefix(signature[i:], "\r\n ") {
			if strings.HasPrefix(signature[i:], "\r\n") {
				break
			}
			continue
		}
		folds++
		for _, c := range " \t\r" {
			changed := m[:len(m)-len(signature)] + signature[:i+1] + string(c) + signature[i+2:]
			if got := statuses(verify(v, changed, 100)); got == "pass" {
				t.Errorf("%q passes", changed)
			}
		}
	}
	if folds == 0 {
		t.Errorf("the signature is not folded: %q", m)
	}
}

// same reports whether a changed message is the same to a signature: white space or
// the case of a name changed, or a field that is not signed. It says so by other
// means than the package itself: what it calls different is so for every reader.
func same(t *testing.T, s *Signer, a, b string) bool {
	t.Helper()
	ha, ba := parted(a)
	hb, bb := parted(b)
	return slices.Equal(plainFields(s, ha), plainFields(s, hb)) && plainBody(ba) == plainBody(bb)
}

var (
	blanks    = regexp.MustCompile(`[ \t]+`)
	lineEnds  = regexp.MustCompile(`[ \t]+(\r\n|$)`)
	folds     = regexp.MustCompile(`\r?\n([ \t])`)
	lastLines = regexp.MustCompile(`(\r\n)*$`)
)

func plainBody(s string) string {
	s = lineEnds.ReplaceAllString(s, "$1")
	return lastLines.ReplaceAllString(blanks.ReplaceAllString(s, " "), "")
}

func plainFields(s *Signer, header string) (fields []string) {
	for f := range strings.Lines(folds.ReplaceAllString(header, "$1")) {
		name, value, _ := strings.Cut(strings.TrimRight(f, "\r\n"), ":")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		own := name == "dkim-signature" && len(fields) == 0 // on top; others are not signed
		if !holds(DefaultFields(), name) && !own {
			continue
		}
		value = strings.Trim(blanks.ReplaceAllString(value, " "), " ")
		if own {
			value = strings.ReplaceAll(value, " ", "") // of base64 and lists
		}
		fields = append(fields, name+":"+value)
	}
	slices.SortStableFunc(fields, func(a, b string) int {
		return strings.Compare(strings.SplitN(a, ":", 2)[0], strings.SplitN(b, ":", 2)[0])
	})
	return fields
}

// TestPromising: what can still pass is known before the body.
func TestPromising(t *testing.T) {
	s := &Signer{Domain: "example.com", Keys: testKeys()}
	v := &Verifier{Resolver: published(t, s)}
	m := signed(t, s, simpleMessage, 100)
	head, body := parted(m)
	r := v.Verify(t.Context(), head)
	if open := r.Promising(); len(open) != 2 || open[0].Status != "" || open[1].Domain != "example.com" {
		t.Errorf("%+v", open)
	}
	write(r, strings.Replace(body, "Bob", "Eve", 1), 2)
	if got := r.Results(); statuses(got) != "fail,fail" || got[0].Reason != reasonBody {
		t.Errorf("%+v", got)
	}
	r = v.Verify(t.Context(), strings.Replace(head, "Hello", "Hallo", 1))
	if open := r.Promising(); len(open) != 0 {
		t.Errorf("%+v", open)
	}
	if got := r.Results(); statuses(got) != "fail,fail" || got[0].Reason != reasonSignature {
		t.Errorf("%+v", got)
	}
	r = v.Verify(t.Context(), "From: a@example.com\r\n")
	if r.Promising() != nil || r.Results() != nil || r.Skipped() != 0 {
		t.Error("an unsigned message has results")
	}
}

// TestResultsTwice: results stand, whatever is written later.
func TestResultsTwice(t *testing.T) {
	s, v, _ := setup(t, 1)
	head, body := parted(signed(t, s, simpleMessage, 100))
	r := v.Verify(t.Context(), head)
	write(r, body, 9)
	first := r.Results()
	write(r, "more", 1)
	if !slices.Equal(first, r.Results()) || statuses(first) != "pass" {
		t.Errorf("%+v, %+v", first, r.Results())
	}
}

// TestTesting: the failure of a key on trial is none, and its pass is marked.
func TestTesting(t *testing.T) {
	s, v, z := setup(t, 1)
	name := "e._domainkey.example.com"
	z[name] = []string{strings.Replace(z[name][0], "p=", "t=y; p=", 1)}
	m := signed(t, s, simpleMessage, 100)
	if r := verify(v, m, 10); statuses(r) != "pass" || !r[0].Testing {
		t.Errorf("%+v", r)
	}
	for _, changed := range []string{strings.Replace(m, "Bob,", "Eve,", 1), strings.Replace(m, "Subject: H", "Subject: h", 1)} {
		if r := verify(v, changed, 10); statuses(r) != "neutral" || r[0].Reason == "" {
			t.Errorf("%+v", r)
		}
	}
}

// TestMangled: a signature field that other software broke is noted, and the others count.
func TestMangled(t *testing.T) {
	s, v, _ := setup(t, 1)
	m := signed(t, s, simpleMessage, 100)
	field := m[:len(m)-len(simpleMessage)]
	for name, broken := range map[string]string{
		"encoded word": "DKIM-Signature: =?utf-8?q?v=3D1=3B_a=3Drsa-sha256=3B_d=3Dexample=2Ecom?=\r\n",
		"null":         "DKIM-Signature: (null)\r\n",
		"empty":        "DKIM-Signature:\r\n",
		"blank":        "DKIM-Signature: \t\r\n",
		"fold only":    "DKIM-Signature:\r\n \r\n",
		"long":         strings.Replace(field, "v=1;", "v=1; z="+strings.Repeat("x", 200_000)+";", 1),
		"NUL":          strings.Replace(field, "v=1;", "v=1; \x00;", 1),
		"NUL in value": strings.Replace(field, "d=example", "d=exa\x00mple", 1),
		"not UTF-8":    strings.Replace(field, "v=1;", "v=1; z=\xff;", 1),
		"many tags":    "DKIM-Signature: " + manyTags(1000) + "\r\n",
		"semicolons":   "DKIM-Signature: " + strings.Repeat(";", 50_000) + "\r\n",
		"no value":     "DKIM-Signature: v\r\n",
		"capitals":     strings.Replace(field, "v=1;", "V=1;", 1),
		"bare":         "DKIM-Signature: v=1",
	} {
		r := verify(v, broken+strings.Repeat("\r\n", 1-strings.Count(broken[len(broken)-1:], "\n"))+m, 100)
		if len(r) != 2 || r[0].Status != PermError || r[0].Reason == "" || r[1].Status != Pass {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestFieldNames: only DKIM-Signature is one, in any case and with blanks before its colon.
func TestFieldNames(t *testing.T) {
	s, v, _ := setup(t, 1)
	m := signed(t, s, simpleMessage, 100)
	value := strings.TrimPrefix(m, FieldName+":")
	for name, want := range map[string]string{"DKIM-Signature:": "pass", "dkim-SIGNATURE:": "pass", "DKIM-Signature \t:": "pass", "Content-Length:": "none",
		"X-DKIM-Signature:": "none", "DomainKey-Signature:": "none", " DKIM-Signature:": "none", "DKIM-Signature\x00:": "none", ":": "none"} {
		if got := statuses(verify(v, name+value, 100)); got != want {
			t.Errorf("%q: %s", name, got)
		}
	}
}

// TestHeaderEnds: however a header ends, it has been read to its end and no further.
func TestHeaderEnds(t *testing.T) {
	s, v, _ := setup(t, 1)
	m := signed(t, s, "Subject: Hello\r\nFrom: a@example.com\r\n\r\n", 100)
	head := strings.TrimSuffix(m, "\r\n\r\n")
	for end, want := range map[string]Status{"": Pass, "\r\n": Pass, "\r\n\r\n": Pass, "\n": Pass, "\r": Fail, " ": Pass, "\r\n ": Pass, "\r\n\t\r\n": Pass,
		"\r\n\r\nFrom: b@example.com": Pass, "\r\nFrom": Pass, "\r\nFrom:": Fail, "\r\nFrom: \r": Fail} {
		if r := v.Verify(t.Context(), head+end).Results(); len(r) != 1 || r[0].Status != want {
			t.Errorf("%q: %+v", end, r)
		}
	}
}

func manyTags(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "x%d=1; ", i)
	}
	return b.String()
}

// TestTagRules: what RFC 6376 §3.5 forbids in a signature is a permanent error by its name.
func TestTagRules(t *testing.T) {
	s, v, _ := setup(t, 1)
	s.Now = func() time.Time { return time.Unix(1_700_000_000, 0) }
	m := signed(t, s, simpleMessage, 100)
	for _, test := range []struct {
		from, to string
		reason   Reason
	}{
		{"v=1;", "", reasonMissingTag},
		{"v=1;", "v=2;", reasonVersion},
		{"a=ed25519-sha256;", "", reasonMissingTag},
		{"a=ed25519-sha256;", "a=rsa-sha1;", reasonSHA1},
		{"a=ed25519-sha256;", "a=rsa-sha512;", reasonAlgorithm},
		{"c=relaxed/relaxed;", "c=relaxed/nowsp;", reasonCanonical},
		{"c=relaxed/relaxed;", "c=/relaxed;", reasonCanonical},
		{"d=example.com;", "", reasonMissingTag},
		{"d=example.com;", "d=example.com.;", reasonDomain},
		{"d=example.com;", "d=;", reasonDomain},
		{"d=example.com;", "d=ex ample.com;", reasonDomain},
		{"d=example.com;", "d=*.com;", reasonDomain},
		{"d=example.com;", "d=-example.com;", reasonDomain},
		{"d=example.com;", "d=" + strings.Repeat("a.", 130) + "com;", reasonDomain},
		{"d=example.com;", "d=" + strings.Repeat("a", 64) + ".com;", reasonDomain},
		{"s=e;", "s=;", reasonSelector},
		{"s=e;", "s=a..b;", reasonSelector},
		{"s=e;", "s=e@b;", reasonSelector},
		{"s=e;", "s=" + strings.Repeat("a.", 120) + "b;", reasonSelector},
		{"s=e;", "s=e; i=@example.org;", reasonOtherIdentity},
		{"s=e;", "s=e; i=@com;", reasonOtherIdentity},
		{"s=e;", "s=e; i=@badexample.com;", reasonOtherIdentity},
		{"s=e;", "s=e; i=;", reasonIdentity},
		{"s=e;", "s=e; i=example.com;", reasonIdentity},
		{"s=e;", "s=e; i=a=0D=0AX:b@example.com;", reasonIdentity},
		{"s=e;", "s=e; i=a=00@example.com;", reasonIdentity},
		{"s=e;", "s=e; i=a=FF@example.com;", reasonIdentity},
		{"s=e;", "s=e; i=a=4@example.com;", reasonIdentity},
		{"s=e;", "s=e; i=a@example.com=;", reasonIdentity},
		{"s=e;", "s=e; t=1;", reasonTagTwice},
		{"s=e;", "s=e; ;", reasonTagSyntax},
		{"s=e;", "s=e; =1;", reasonTagSyntax},
		{"s=e;", "s=e; 1a=1;", reasonTagSyntax},
		{"t=1700000000;", "t=-1;", reasonTime},
		{"t=1700000000;", "t=;", reasonTime},
		{"t=1700000000;", "t=1.5;", reasonTime},
		{"t=1700000000;", "t=1234567890123;", reasonTime},
		{"s=e;", "s=e; x=1700000000;", reasonExpiresFirst},
		{"s=e;", "s=e; x=1600000000;", reasonExpiresFirst},
		{"s=e;", "s=e; x=0;", reasonExpiresFirst},
		{"s=e;", "s=e; x=1700000001;", reasonExpired},
		{"s=e;", "s=e; q=dns/mx;", reasonQuery},
		{"s=e;", "s=e; l=1e3;", reasonLength},
		{"s=e;", "s=e; l=-1;", reasonLength},
		{"s=e;", "s=e; l=" + strings.Repeat("9", 76) + ";", reasonLengthTooLong},
		{"s=e;", "s=e; l=" + strings.Repeat("9", 77) + ";", reasonLength},
		{"h=From:", "h=:", reasonFields},
		{"h=From:From:", "h=", reasonFrom},
		{"h=From:", "h=Fr om:", reasonFields},
		{"bh=", "xbh=", reasonMissingTag},
		{"bh=", "bh=*", reasonBase64},
		{"bh=", "bh=AAAA", reasonHashLength},
		{"\tb=", "\tb=*", reasonBase64},
		{" b=", " b=*", reasonBase64},
	} {
		changed := strings.Replace(m, test.from, test.to, 1)
		if changed == m {
			if strings.TrimSpace(test.from) == "b=" {
				continue // one of both ways to write it
			}
			t.Fatalf("no %q in %s", test.from, m)
		}
		if r := verify(v, changed, 100); len(r) != 1 || r[0].Status != PermError || r[0].Reason != test.reason {
			t.Errorf("%q for %q: %+v", test.to, test.from, r)
		}
	}
}

// TestReasons: a reason is fit for wherever it is put.
func TestReasons(t *testing.T) {
	for r := range allReasons(t) {
		if strings.Trim(string(r), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 =-") != "" || len(r) > 60 {
			t.Errorf("%q", r)
		}
	}
}

// allReasons are the constants of the package.
func allReasons(t testing.TB) map[Reason]bool {
	t.Helper()
	source, err := os.ReadFile("reasons.go")
	if err != nil {
		t.Fatal(err)
	}
	all := map[Reason]bool{"": true}
	for _, m := range regexp.MustCompile(`Reason = "(.*)"`).FindAllStringSubmatch(string(source), -1) {
		all[Reason(m[1])] = true
	}
	if len(all) < 40 {
		t.Fatalf("%d reasons", len(all))
	}
	return all
}

// TestBody: whether the body is the one that was signed is known without a key.
func TestBody(t *testing.T) {
	s, v, _ := setup(t, 1)
	m := signed(t, s, "From: a@example.com\r\n\r\nbody\r\n", 100)
	for _, v := range []*Verifier{v, {Resolver: zone{}}} {
		if r := verify(v, m, 100); !r[0].Body {
			t.Errorf("%+v", r[0])
		}
		if r := verify(v, m+"more\r\n", 100); r[0].Body || r[0].Status == Pass {
			t.Errorf("changed: %+v", r[0])
		}
	}
}
