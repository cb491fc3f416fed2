package dmarc

import (
	"fmt"
	"testing"
)

// TestRecordsAreBounded has strangers publish more records than are kept: what is read is right whichever of them were forgotten.
func TestRecordsAreBounded(t *testing.T) {
	var c Records
	for i := range 5 * generation {
		if r := c.parse(fmt.Sprintf("v=DMARC1; p=reject; rua=mailto:%d@example.com", i)); r == nil || r.P != Reject || len(r.RUA) != 1 {
			t.Fatal(i, r)
		}
		if n := len(c.young) + len(c.old); n > 2*generation {
			t.Fatalf("%d records are kept", n)
		}
	}
	if a, b := c.parse("v=DMARC1; p=none"), c.parse("v=DMARC1; p=none"); a != b || a.P != Nothing {
		t.Error("a record was read twice")
	}
	before := len(c.young)
	if c.parse("v=spf1 -all") != nil || len(c.young) != before {
		t.Error("what is no record is kept")
	}
	var none *Records
	if r := none.parse("v=DMARC1; p=quarantine"); r == nil || r.P != Quarantine {
		t.Error("without a memory nothing is read")
	}
}
