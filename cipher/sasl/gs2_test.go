package sasl

import (
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestGS2: a header that is not of the form is none, whatever could be made of it.
func TestGS2(t *testing.T) {
	for s, want := range map[string]string{
		"n,,rest": "n  rest", "y,,": "y  ", "p=tls-exporter,,x": "p tls-exporter x", "n,a=bob,x": "n bob x", "p=x,a=b=2Cc,": "p x b,c ",
		"": "", "n": "", "n,": "", "x,,": "", "nn,,": "", "N,,": "", "p,,": "", "p=,,": "", "P=x,,": "", ",,": "", "n,b=x,": "", "n,a=,": "", "n,a=b=2,": "", "n,a=b=3E,": "", "n,bob,": "",
	} {
		g, rest, err := parseGS2(s)
		got := strings.Join(strings.Fields(string(g.flag)+" "+g.binding+" "+g.authzid+" "+rest), " ")
		if (err != nil) != (want == "") || err == nil && got != strings.Join(strings.Fields(want), " ") {
			t.Errorf("%q: %q, %v, want %q", s, got, err, want)
		}
	}
	mailtest.Edge(t, "name of a binding", 64, func(n int) bool { _, _, err := parseGS2("p=" + strings.Repeat("x", n) + ",,"); return err == nil })
	mailtest.Edge(t, "name", maxName, func(n int) bool { _, err := prepareName(strings.Repeat("x", n)); return err == nil })
	mailtest.Edge(t, "nonce", 512, func(n int) bool { return printable(strings.Repeat("x", n)) })
	mailtest.Octets(t, "nonce", "ab", printable, func(c byte) bool { return c >= 0x21 && c <= 0x7e && c != ',' })
}
