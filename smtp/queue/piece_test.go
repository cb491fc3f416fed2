package queue

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPiece: pieces give every entry once, in order, whatever comes and goes in between, also where many came at
// the same moment.
func TestPiece(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		for i := range 25 {
			e := entry(fmt.Sprintf("x%02d", 99-i), fmt.Sprintf("bob@d%d.example", i%5))
			f.submit(t, e)
			if i%10 == 9 {
				time.Sleep(time.Second)
			}
		}
		synctest.Wait()
		whole, err := f.List(t.Context(), Filter{Limit: 1000})
		must(t, err)
		var want, got []string
		for _, v := range whole {
			want = append(want, v.ID)
		}
		flt := Filter{Limit: 4}
		for {
			p, err := f.Piece(t.Context(), flt)
			must(t, err)
			for _, v := range p.Entries {
				got = append(got, v.ID)
			}
			if flt.After = p.After; p.After == "" {
				break
			}
			if len(got) == 4 { // the mark's own entry goes, and one that was seen
				must(t, f.Remove(t.Context(), got[3]))
				must(t, f.Remove(t.Context(), got[0]))
				time.Sleep(time.Second)
				f.submit(t, entry("new", "bob@d1.example"))
			}
		}
		if strings.Join(got, " ") != strings.Join(append(want, "new"), " ") {
			t.Errorf("got  %v\nwant %v and new", got, want)
		}
		if _, err := f.Piece(t.Context(), Filter{After: "nonsense"}); err == nil {
			t.Error("a mark that is none is taken")
		}
	})
}

// TestPieceLooks: one with a filter looks at no more entries than it may, and says where to go on.
func TestPieceLooks(t *testing.T) {
	inQueue(t, func(t *testing.T, f *fixture) {
		for i := range 20 {
			f.submit(t, entry(fmt.Sprintf("e%02d", i), fmt.Sprintf("bob@d%d.example", i%10)))
			time.Sleep(time.Second)
		}
		var found []string
		flt := Filter{To: "d7.example", Look: 5}
		pieces := 0
		for {
			p, err := f.Piece(t.Context(), flt)
			must(t, err)
			if pieces++; p.Looked > 5 {
				t.Fatal("looked at", p.Looked)
			}
			for _, v := range p.Entries {
				found = append(found, v.ID)
			}
			if flt.After = p.After; p.After == "" {
				break
			}
		}
		if strings.Join(found, " ") != "e07 e17" || pieces != 4 {
			t.Error(found, pieces)
		}
	})
}

// BenchmarkPiece is 50 of 100,000 entries, from the middle.
func BenchmarkPiece(b *testing.B) {
	q, stop := largeQueue(b, 100_000)
	defer stop()
	middle := q.oldest(50_000, false, beforeAll)[49_999].mark()
	for b.Loop() {
		after, err := parseMark(middle)
		if got := q.oldest(51, false, after); err != nil || len(got) != 51 {
			b.Fatal(len(got), err)
		}
	}
}
