package post

import (
	"net/netip"
	"testing"
	"time"
)

// TestGuesses: it is told at twenty within an hour, and whenever they have doubled; of
// each network, however many there are.
func TestGuesses(t *testing.T) {
	var g guesses
	from, now := netip.MustParsePrefix("192.0.2.1/32"), time.Unix(1e9, 0)
	told := []int{}
	for range 100 {
		now = now.Add(2 * time.Second)
		if n, since := g.add(from, now); n > 0 {
			told = append(told, n)
			if !since.Equal(time.Unix(1e9+2, 0)) {
				t.Errorf("since %v", since)
			}
		}
	}
	if len(told) != 3 || told[0] != 20 || told[1] != 40 || told[2] != 80 {
		t.Errorf("told at %v", told)
	}
	now = now.Add(2 * guessInterval)
	if n, _ := g.add(from, now); n != 0 || g.by[from].unknown != 1 {
		t.Errorf("an hour later there are %d", g.by[from].unknown)
	}
	// A botnet: its table is bounded, its news are, and who has guessed a lot is not
	// forgotten for those who have come once.
	for range manyGuesses + 1 {
		g.add(from, now)
	}
	news := 0
	for i := range 4 * guessers {
		who := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
		if n, _ := g.add(who, now); n > 0 {
			news++
		}
	}
	if len(g.by) > guessers || news > 0 || g.by[from] == nil || g.by[from].unknown < manyGuesses {
		t.Errorf("%d networks, %d lines, of the one that guesses: %+v", len(g.by), news, g.by[from])
	}
	// News that comes too soon behind other news waits, and is not lost.
	other := netip.MustParsePrefix("192.0.2.2/32")
	g.last = now
	for range manyGuesses {
		if n, _ := g.add(other, now); n > 0 {
			t.Error("two lines at once")
		}
	}
	if n, _ := g.add(other, now.Add(guessNews)); n != manyGuesses+1 {
		t.Errorf("a second later it tells of %d", n)
	}
}
