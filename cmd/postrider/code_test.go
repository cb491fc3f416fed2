package main

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

// TestDrawCode reads what was drawn back, square by square.
func TestDrawCode(t *testing.T) {
	code, err := qr.Encode("AEBA-GBAF-AYDQ-QCIK-BMGA-2DQP-CAIR-EEYU-ENGR", qr.M)
	if err != nil {
		t.Fatal(err)
	}
	for _, terminal := range []bool{false, true} {
		var b strings.Builder
		drawCode(&b, code, terminal)
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) < (code.Size+2*quiet)/2 {
			t.Fatalf("%d lines", len(lines))
		}
		for n, line := range lines {
			line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m")
			x := 0
			for _, r := range line {
				above, below := r == '█' || r == '▀', r == '█' || r == '▄'
				if cx, cy := x-quiet, 2*n-quiet; above != code.Black(cx, cy) || below != code.Black(cx, cy+1) {
					t.Fatalf("%d, %d: %q", cx, cy, r)
				}
				x++
			}
			if x != code.Size+2*quiet || terminal == (line == lines[n]) {
				t.Errorf("line %d has %d squares: %q", n, x, line)
			}
		}
	}
}
