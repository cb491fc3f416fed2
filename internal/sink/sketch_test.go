package sink

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSketch: what is in a text may be there, whatever its length; what is not is nearly always known not to be.
func TestSketch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		return string(b)
	}
	for _, n := range []int{0, 1, 2, 3, 63, 64, 511, 512, 5000, 300_000} {
		a, b := text(n), text(n)
		s := sketchOf(a + b)
		if len(s)*8 > max(leastBits/8, min(mostBits/8, 4*n)) {
			t.Errorf("%d octets have a sketch of %d", 2*n, len(s)*8)
		}
		for range 200 {
			from := r.IntN(n + 1)
			part := a[from:min(n, from+r.IntN(20))]
			if !s.mayHold(part) || !s.mayHold(b[from:min(n, from+5)]) {
				t.Fatalf("%q is in it", part)
			}
		}
		wrong := 0
		for range 200 {
			if s.mayHold(text(30)) {
				wrong++
			}
		}
		if wrong > 20 && n < 50_000 {
			t.Errorf("%d octets: %d of 200 might be there", n, wrong)
		}
	}
	if !sketch(nil).mayHold("abc") || sketchOf("abc").mayHold("abd") {
		t.Error("without a text, or with another one")
	}
}

// TestSearchHeader: a field of any name is found, whatever its case and wherever it stands in the header; what stands in
// the body or begins like it is none.
func TestSearchHeader(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	put(t, b, "A: 1\r\nX-Test: Ünïque\r\n\r\nbody\r\n", "a@x.test")
	put(t, b, "x-TEST: =?utf-8?q?=C3=BCN=C3=AFQUE?=\n\nbody\n", "a@x.test")
	put(t, b, "A: 1\r\nX-Tester: ünïque\r\n\r\nX-Test: ünïque\r\n", "a@x.test")
	put(t, b, "A: 1\r\n x-test: ünïque\r\n\r\n", "a@x.test")
	put(t, b, "", "a@x.test")
	if n := b.Find(Query{Search: ParseSearch("header:x-Test=ÜNÏque", time.UTC), Limit: -1}).Matched; n != 2 {
		t.Errorf("%d are found", n)
	}
	if named([]byte(strings.Repeat("a", 10)), "b") || named([]byte("abc"), "abc") || !named([]byte("abc:"), "ABC") {
		t.Error("a line without an end")
	}
}

// TestLongSearch: a list that several look through at once is found as one is: all that match, in their order, each once.
func TestLongSearch(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	var want []string
	for i := range 2*searchedTogether + 3 {
		text := "Subject: common\r\n\r\n"
		if i%1000 == 999 || i == 2*searchedTogether+2 {
			text = "Subject: rare\r\n\r\n"
		}
		if id := put(t, b, text, "a@x.test"); strings.Contains(text, "rare") {
			want = append([]string{id}, want...)
		}
	}
	for _, query := range []string{"rare", "subject:rare", "-common", "header:subject=rare"} {
		if p := find(b, "", query); p.Matched != len(want) || p.Total != 2*searchedTogether+3 || !slices.Equal(ids(p.Messages), want) {
			t.Errorf("%s: %d are found", query, p.Matched)
		}
	}
}
