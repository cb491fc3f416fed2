package resolver

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestSpans: however long an answer took, it is counted in one span: that of the first bound that it is not beyond.
func TestSpans(t *testing.T) {
	for i, bound := range Bounds {
		for took, want := range map[time.Duration]int{bound: i, bound + 1: i + 1} {
			var c counts
			c.answered(dns.TypeMX, found, took)
			for span := range c.spans {
				if n := c.spans[span].Load(); (n == 1) != (span == want) {
					t.Errorf("%v: %d in span %d, not in %d", took, n, span, want)
				}
			}
		}
	}
	var c counts
	c.answered(dns.TypeMX, found, 24*time.Hour)
	if c.spans[len(Bounds)].Load() != 1 {
		t.Error("a day is in no span")
	}
}
