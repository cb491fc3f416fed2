package rfc2822

import "testing"

// TestValidStatus: a class of three, and two numbers of up to three digits (RFC 3463 §2).
func TestValidStatus(t *testing.T) {
	for _, s := range []string{"2.0.0", "4.7.1", "5.1.10", "5.999.999", "4.0.000"} {
		if !validStatus(s) {
			t.Errorf("%s is none", s)
		}
	}
	for _, s := range []string{"", "5", "5.1", "5.1.", "5..1", ".1.1", "5.1.1.1", "1.0.0", "3.0.0", "6.0.0", "55.1.1", "5.1000.1", "5.1.1000", "5.x.1", "5.1.x", "5.-1.1", "5.1.+1", "5. 1.1", "5.1.1 ", "x.1.1", "5.1.\u0661"} {
		if validStatus(s) {
			t.Errorf("%q is one", s)
		}
	}
}
