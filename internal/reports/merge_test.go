package reports

import (
	"net/netip"
	"testing"
)

// TestMergeCounts: what two servers have counted comes to what one would have.
func TestMergeCounts(t *testing.T) {
	row := func(from string, n int64) *countedRow {
		return &countedRow{Source: netip.MustParseAddr("192.0.2.1"), Disposition: "none", From: from, Count: n}
	}
	c := &counted{Rows: []*countedRow{row("a.test", 1), row("b.test", 2)}, Further: 1}
	c.merge(&counted{Policy: Policy{P: "reject"}, Rows: []*countedRow{nil, row("b.test", 4), row("c.test", 8)}, Further: 2})
	if len(c.Rows) != 3 || c.Rows[0].Count != 1 || c.Rows[1].Count != 6 || c.Rows[2].Count != 8 || c.Further != 3 || c.Policy.P != "reject" {
		t.Errorf("%+v", c)
	}
	for i := range maxCounted + 7 {
		c.merge(&counted{Rows: []*countedRow{row(string(rune('A'+i)), 1)}})
	}
	if len(c.Rows) != maxCounted || c.Further != 13 {
		t.Errorf("%d rows and %d further", len(c.Rows), c.Further)
	}
}
