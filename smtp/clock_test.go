package smtp

import (
	"testing"
	"time"
)

// TestPaid: a message may come slowly if it is short; what takes long must come
// faster.
func TestPaid(t *testing.T) {
	for _, c := range []struct {
		octets int64
		most   time.Duration
	}{
		{0, 0},
		{6000, time.Minute},
		{720_000, time.Hour},
		{2_160_000, 2 * time.Hour},
		{50 << 20, 12 * time.Hour},
		{500 << 20, 38 * time.Hour},
	} {
		if got := paid(c.octets, 100); got > c.most || got < c.most*4/5 {
			t.Errorf("%d octets may take %v, want at most %v and not much less", c.octets, got, c.most)
		}
	}
}
