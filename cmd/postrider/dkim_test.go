package main

import (
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/sign"
)

// TestPrintKeys: the keys of a domain stand together, the oldest first.
func TestPrintKeys(t *testing.T) {
	var out strings.Builder
	printKeys(&out, []sign.Key{{Domain: "b.test", Selector: "s1"}, {Domain: "a.test", Selector: "s2"}, {Domain: "b.test", Selector: "s3"}, {Domain: "a.test", Selector: "s1"}})
	var got []string
	for line := range strings.Lines(out.String()) {
		words := strings.Fields(line)
		got = append(got, words[0]+"/"+words[1])
	}
	if want := "DOMAIN/SELECTOR a.test/s2 a.test/s1 b.test/s1 b.test/s3"; strings.Join(got, " ") != want {
		t.Errorf("got %q", got)
	}
}
