package queue

import "testing"

// around is a spool around another, as one that seals messages is.
type around struct{ Spool }

func (a around) Unwrap() Spool { return a.Spool }

// spoilt is a spool that has put entries aside.
type spoilt struct{ *memory }

func (spoilt) Corrupt() (int, error) { return 3, nil }

// TestWrapper: what a spool can do beyond the interface is found inside of others.
func TestWrapper(t *testing.T) {
	for _, s := range []Spool{spoilt{newMemory()}, around{spoilt{newMemory()}}, around{around{spoilt{newMemory()}}}} {
		if n := (&Queue{Spool: s}).Counters().Corrupt; n != 3 {
			t.Errorf("%T: %d", s, n)
		}
	}
	if n := (&Queue{Spool: around{newMemory()}}).Counters().Corrupt; n != 0 {
		t.Error(n)
	}
}
