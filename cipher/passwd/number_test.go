package passwd

import "testing"

// TestNumber: a parameter is one plain number, and a hash has one spelling.
func TestNumber(t *testing.T) {
	for text, want := range map[string]int64{
		"m=0": 0, "m=9": 9, "m=10": 10, "m=11": -1, "m=": -1, "m=01": -1, "m=00": -1, "m=+1": -1, "m=-1": -1, "m= 1": -1,
		"t=1": -1, "1": -1, "": -1, "m=18446744073709551617": -1,
	} {
		n, ok := number(text, "m=", 10)
		if ok != (want >= 0) || ok && int64(n) != want {
			t.Errorf("%q: %d, %v", text, n, ok)
		}
	}
}
