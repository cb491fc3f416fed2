package smtp

import (
	"slices"
	"strings"
	"testing"
)

// TestExtensionTable: a keyword and a parameter have one row each, each row can
// be hidden, and what is written for the next hop is read there.
func TestExtensionTable(t *testing.T) {
	var keywords []string
	for i := range table {
		x := &table[i]
		if slices.Contains(keywords, x.keyword) || x.keyword != strings.ToUpper(x.keyword) {
			t.Errorf("%s has two rows, or small letters", x.keyword)
		}
		keywords = append(keywords, x.keyword)
		for j := range x.params {
			p := &x.params[j]
			if p.parse == nil || p.write == nil && p.name != "HOLDFOR" {
				t.Errorf("%s cannot be read or written", p.name)
			}
			if at, found, _ := findParam(p.verb, strings.ToLower(p.name)); at != i || found != p {
				t.Errorf("%s is found in the row of %s", p.name, table[at].keyword)
			}
		}
		everything := Extensions{DSN: true, RequireTLS: true, BinaryMIME: true, FutureRelease: 1, DeliverBy: true, Priority: true, RRVS: true}
		for _, hide := range []bool{false, true} {
			if everything.Hide = nil; hide {
				everything.Hide = []string{strings.ToLower(x.keyword)}
			}
			c, err := (&Server{Extensions: everything}).newSetup(false)
			if err != nil {
				t.Fatal(err)
			}
			if c.offers[i] && hide || c.offers[i] != c.offered[x.keyword] {
				t.Errorf("%s: hidden %v, offered %v", x.keyword, hide, c.offers[i])
			}
		}
	}
	for _, want := range []string{"FUTURERELEASE", "DELIVERBY", "MT-PRIORITY", "RRVS", "SIZE", "DSN"} {
		if !slices.Contains(keywords, want) {
			t.Errorf("%s has no row", want)
		}
	}
}
