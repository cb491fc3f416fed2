package mailtest

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// TestEdge: a limit that is off by one to either side fails.
func TestEdge(t *testing.T) {
	for off := -1; off <= 1; off++ {
		r := &recorder{TB: t}
		Edge(r, "x", 10, func(n int) bool { return n <= 10+off })
		if (r.failed == "") != (off == 0) {
			t.Errorf("off by %d: %q", off, r.failed)
		}
	}
}

// TestOctets: one octet judged wrongly at one place fails.
func TestOctets(t *testing.T) {
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	for _, wrong := range []string{"", "9", "x", "119", "191", "911", "11\x80"} {
		r := &recorder{TB: t}
		Octets(r, "digits", "11", func(s string) bool {
			for i := range len(s) {
				if !digit(s[i]) {
					return s == wrong
				}
			}
			return s != wrong
		}, digit)
		if (r.failed == "") != (wrong == "") {
			t.Errorf("with %q wrong: %q", wrong, r.failed)
		}
	}
}

// TestDescriptors: a file that is not closed fails.
func TestDescriptors(t *testing.T) {
	var held []*os.File
	for _, closes := range []bool{true, false} {
		r := &recorder{TB: t}
		Descriptors(r, func() {
			f, err := os.Open(".")
			if err != nil {
				t.Fatal(err)
			}
			if held = append(held, f); closes {
				f.Close()
			}
		})
		if (r.failed == "") != closes {
			t.Errorf("closed %v: %q", closes, r.failed)
		}
	}
	for _, f := range held {
		f.Close()
	}
}

// TestEachCall: every call fails once, alone.
func TestEachCall(t *testing.T) {
	var seen []string
	failed := EachCall(t, func(_ *testing.T, n *Nth) {
		s := ""
		for _, call := range []string{"a", "b", "c"} {
			if n.Fail(call) != nil {
				s += call
			}
		}
		seen = append(seen, s+n.Failed())
	})
	if fmt.Sprint(failed) != "[a b c]" || !slices.Equal(seen, []string{"aa", "bb", "cc", ""}) {
		t.Errorf("%q, seen %q", failed, seen)
	}
	var none *Nth
	if none.Fail("a") != nil || none.Failed() != "" {
		t.Error("no Nth lets nothing fail")
	}
}
