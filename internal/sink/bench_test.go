package sink

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkPut is what it costs to take a message of about 2 kB.
func BenchmarkPut(b *testing.B) {
	box := NewBox(Limits{Messages: 1000}, Sorting{})
	raw := []byte("From: Alice <alice@example.com>\r\nTo: bob@example.com\r\nSubject: Your order\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\n" + strings.Repeat("Some words of a message that is neither short nor long.\r\n", 32))
	e := Envelope{From: "alice@example.com", To: []string{"bob@example.com"}, Received: time.Now(), Host: "sink.test"}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if err := box.Put(b.Context(), NewID(), e, raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFind lists and searches 100,000 messages of about 1 kB each.
func BenchmarkFind(b *testing.B) {
	box := NewBox(Limits{}, Sorting{})
	for i := range 100_000 {
		raw := fmt.Sprintf("From: u%d@example.com\r\nTo: bob@example.com\r\nSubject: Order %d\r\n\r\n%s\r\n", i%1000, i, strings.Repeat("Some words of a message. ", 36))
		if err := box.Put(b.Context(), NewID(), Envelope{To: []string{fmt.Sprintf("u%d@x.test", i%1000)}, Received: time.Now(), Host: "h"}, []byte(raw)); err != nil {
			b.Fatal(err)
		}
	}
	for _, query := range []string{"", "subject:99999", "nothingofthiskind", "from:u7@ message", "-is:read larger:100"} {
		b.Run(query, func(b *testing.B) {
			s := ParseSearch(query, time.UTC)
			for b.Loop() {
				box.Find(Query{Search: s, Limit: 50})
			}
		})
	}
}
