package daemon

import (
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

// TestConnectionsByConcurrency: four connections to a database, and one for each fifty attempts at a time.
func TestConnectionsByConcurrency(t *testing.T) {
	for concurrency, want := range map[int]int{1: 4, 49: 4, 50: 5, 200: 8, 1000: 24} {
		s := conf.New()
		s.Queue.Concurrency = concurrency
		if n := connections(s); n != want {
			t.Errorf("%d: %d connections", concurrency, n)
		}
	}
}
