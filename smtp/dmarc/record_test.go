package dmarc_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp/dmarc"
)

func TestIsRecord(t *testing.T) {
	for txt, want := range map[string]bool{
		"v=DMARC1": true, "v=DMARC1;": true, "v = DMARC1 ; p=none": true, "V=DMARC1; p=none": true, // names are in any case
		"v=dmarc1; p=none": false, "v=DMARC1 p=none": false, "v=DMARC2; p=none": false, "p=none; v=DMARC1": false, "; v=DMARC1": false,
		"": false, "v": false, " v=DMARC1; p=none": false, "v=": false, "DMARC1": false, "v=DMARC1\n; p=none": false, "\"v=DMARC1; p=none\"": false, "v=DMARC1, p=none": false,
		"v=DMARC1;" + strings.Repeat("x", dmarc.MaxRecord): false,
	} {
		if dmarc.IsRecord(txt) != want {
			t.Errorf("%.50q: %v", txt, !want)
		}
		if r, err := dmarc.Parse(txt); (err == nil) != want || (r != nil) != want {
			t.Errorf("%.50q: %v, %v", txt, r, err)
		}
	}
}

func TestParse(t *testing.T) {
	r, err := dmarc.Parse("v=DMARC1; P = Reject;sp=quarantine; np=none ; psd=Y; t=y; adkim=s; aspf=S; fo=1:D; rua=mailto:a@example.com!50k , mailto:B%2Bd@bücher.example; ruf=mailto:c@example.com; unknown=a=b;;")
	if err != nil || len(r.Faults) > 0 {
		t.Fatal(err, r.Faults)
	}
	got := fmt.Sprintf("%s %s %s %c %v %v %v %s %v %v %v", r.P, r.SP, r.NP, r.PSD, r.Testing, r.StrictDKIM, r.StrictSPF, r.FO, r.RUA, r.RUF, r.Applies())
	want := "reject quarantine none y true true true 1:d [{mailto:a@example.com a@example.com 51200} {mailto:B%2Bd@bücher.example B+d@xn--bcher-kva.example 0}] [{mailto:c@example.com c@example.com 0}] true"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r, _ = dmarc.Parse("v=DMARC1; p=none")
	if r.PSD != dmarc.PSDUnknown || r.FO != "0" || r.Testing || r.StrictDKIM || r.StrictSPF || r.SP != "" {
		t.Errorf("defaults: %+v", r)
	}
}

// TestFaults: what is wrong is named with its place, and counts as absent; where the
// policy itself is wrong the record is p=none if it wants reports, and else none (§4.10.1).
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		tags, rest, tag string // rest: the record from the fault on
		applies         bool
	}{
		{"p=reject; sp=x", "sp=x", "sp", false},
		{"p=reject; np=", "np=", "np", false},
		{"p=reject; sp=quarantin; rua=mailto:a@b.example", "sp=quarantin; rua=mailto:a@b.example", "sp", true},
		{"p=x; rua=mailto:a@b.example", "p=x; rua=mailto:a@b.example", "p", true},
		{"p=x; rua=a@b.example", "p=x; rua=a@b.example", "p", false},
		{"rua=mailto:a@b.example", "", "p", true},
		{"sp=reject", "", "p", false},
		{"p=reject; p=none", "p=none", "p", true},
		{"p=reject; none", "none", "", true},
		{"p=reject; psd=x", "psd=x", "psd", true},
		{"p=reject; psd=yu", "psd=yu", "psd", true},
		{"p=reject; t=1; sp=none", "t=1; sp=none", "t", true},
		{"p=reject; adkim=strict", "adkim=strict", "adkim", true},
		{"p=reject; aspf=", "aspf=", "aspf", true},
		{"p=reject; fo=1:x", "fo=1:x", "fo", true},
		{"p=reject; pct=50", "pct=50", "pct", true},
		{"p=reject; rf=afrf", "rf=afrf", "rf", true},
		{"p=reject; ri=86400", "ri=86400", "ri", true},
		{"p=reject; RUA = mailto:a@b.example, b@c.example", " b@c.example", "rua", true},
		{"p=reject; ruf=mailto:a@b.example!x,mailto:b@c.example", "mailto:a@b.example!x,mailto:b@c.example", "ruf", true},
	} {
		text := "v=DMARC1; " + test.tags
		r, err := dmarc.Parse(text)
		if err != nil || len(r.Faults) == 0 {
			t.Errorf("%q: %v, %v", test.tags, r, err)
			continue
		}
		f := r.Faults[0]
		if text[f.Offset:] != test.rest || !strings.EqualFold(f.Tag, test.tag) || r.Applies() != test.applies || f.Error() == "" {
			t.Errorf("%q: fault of %q at %q, applies %v: %v", test.tags, f.Tag, text[f.Offset:], r.Applies(), f)
		}
		if z := dns("example.com " + text); (check(t, z, "example.com", dmarc.Passed{}).Result == dmarc.Fail) != test.applies {
			t.Errorf("%q: applied %v", test.tags, !test.applies)
		}
	}
	z := dns("example.com v=DMARC1; p=reject; sp=x; rua=mailto:a@b.example")
	if o := check(t, z, "example.com", dmarc.Passed{}); o.Policy != dmarc.Nothing {
		t.Errorf("sp is wrong and reports are wanted: %s", o.Policy)
	}
}

func TestMistaken(t *testing.T) {
	for txt, want := range map[string]string{
		"v=DMARC1; p=none":           "",
		"v=DMARC1; p=x":              "",
		"v=spf1 -all":                "",
		"":                           "",
		"google-site-verification=x": "",
		"v=dmarc1; p=none":           "capitals",
		"V=Dmarc1":                   "capitals",
		" v=DMARC1; p=none":          "invisible",
		"\ufeffv=DMARC1; p=none":     "invisible",
		`"v=DMARC1; p=none"`:         "quotation mark",
		"v=DMARC1 p=none":            "semicolon",
		"v=DMARC1, p=none":           "semicolon",
		"v=DMARC1\\; p=none":         "semicolon",
		"p=none; v=DMARC1":           "first tag",
		"DMARC1; p=none":             "begin with",
		"v:DMARC1; p=none":           "begin with",
		"v=DMARC2; p=none":           "version",
		"v=DMARC1;" + strings.Repeat("x", dmarc.MaxRecord): "too long",
	} {
		if got := dmarc.Mistaken(txt); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%.40q: %q, want %q", txt, got, want)
		}
	}
}

func TestURIs(t *testing.T) {
	for text, want := range map[string]string{
		"mailto:a@b.example":            "a@b.example 0",
		"MAILTO:a@B.example":            "a@b.example 0",
		"mailto:a@b.example!10":         "a@b.example 10",
		"mailto:a@b.example!10K":        "a@b.example 10240",
		"mailto:a@b.example!1t":         "a@b.example 1099511627776",
		"mailto:a@b.example!99999999t":  fmt.Sprint("a@b.example ", int64(math.MaxInt64>>40)<<40),
		"mailto:a%21%25@b.example!2m":   "a!%@b.example 2097152",
		"mailto:a%40c@b.example":        "",
		"mailto:%22a,%20b%22@b.example": "", "mailto:%22a%2C%20b%22@b.example": `"a, b"@b.example 0`,
		"mailto:a@b.example?subject=x": "a@b.example 0",
		"https://b.example/x!1g":       " 1073741824",
		"mailto:a%0D%0AX@b.example":    "",
		"mailto:a%2Cb@b.example%00":    "",
		"mailto:a@b.example%0ARCPT":    "",
		"mailto:a@b.example%2Cc@d.x":   "",
		"mailto:a%zz@b.example":        "",
		"mailto:":                      "", "mailto:a": "", "mailto:@b.example": "", "a@b.example": "", "mailto:a@[192.0.2.1]": "", "mailto:a b@c.example": "",
		"mailto:a@b.example!": "", "mailto:a@b.example!m": "", "mailto:a@b.example!1x": "", "mailto:a@b.example!-1": "", "mailto:a!b@c.example!1m": "", "": "", "x y": "",
	} {
		r, err := dmarc.Parse("v=DMARC1; p=none; rua=" + text)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(r.RUA) > 0 {
			got = fmt.Sprintf("%s %d", r.RUA[0].Address, r.RUA[0].MaxSize)
		}
		if got != want || (got == "") != (len(r.Faults) > 0) {
			t.Errorf("%q: %q, %v; want %q", text, got, r.Faults, want)
		}
	}
}

// TestLongestRecord: one octet more is no record.
func TestLongestRecord(t *testing.T) {
	const begin = "v=DMARC1; p=reject; x="
	longest := begin + strings.Repeat("y", dmarc.MaxRecord-len(begin))
	if r, err := dmarc.Parse(longest); err != nil || r.P != dmarc.Reject || !dmarc.IsRecord(longest) {
		t.Error(r, err)
	}
	if r, err := dmarc.Parse(longest + "y"); r != nil || err != dmarc.ErrNoRecord || dmarc.IsRecord(longest+"y") {
		t.Error(r, err)
	}
}
