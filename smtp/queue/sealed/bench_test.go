package sealed_test

import (
	"testing"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// BenchmarkLoad: an entry is loaded for each attempt, before its message is opened for that.
func BenchmarkLoad(b *testing.B) {
	s := open(b, b.TempDir(), true)
	put(b, s, "a", top, long())
	for name, from := range map[string]queue.Spool{"sealed": s, "the spool inside": s.Spool} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := from.Load(b.Context(), "a"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
