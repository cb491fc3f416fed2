package postgres

import "testing"

// TestTurn: a look at the orders that there are is in vain only where some were struck off meanwhile. A node that saves states all the time would
// never hear of any.
func TestTurn(t *testing.T) {
	var c claims
	c.put("a", 1, 0)
	c.put("b", 2, 3)
	c.struck("a", c.get("a"))
	if c.turn != 0 {
		t.Error("a state that obeys no orders was saved, and is taken for one that does")
	}
	c.struck("b", c.get("b"))
	if is := c.get("b"); c.turn == 0 || is.seen != 0 || is.told != 0 {
		t.Errorf("turn %d, %+v", c.turn, is)
	}
}
