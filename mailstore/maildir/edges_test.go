package maildir_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
)

// edges are the sizes of the buffers: of a chunk, of what waits before a file is
// made, and of both.
var edges = []int{32 << 10, 64 << 10, 96 << 10}

// TestFoldEdges: what is delivered is what is read, octet for octet, wherever the
// buffers end, in whatever pieces it is written and read; what the name says of
// its size is right; and a file with LF comes out with CRLF.
func TestFoldEdges(t *testing.T) {
	s, names := open(t, t.TempDir()), 0
	for r, mail := range (mailtest.Messages{Edges: edges, Wild: true, Count: 100}).Each(t) {
		if r.IntN(2) == 0 { // most messages can be folded
			mail = strings.ReplaceAll(strings.NewReplacer("\r\n", "\n", "\r", "").Replace(mail), "\n", "\r\n")
		}
		d, err := s.Create(context.Background(), mailstore.Meta{}, who)
		if err != nil {
			t.Fatal(err)
		}
		if err := mailtest.WritePieces(r, d, mail, edges[r.IntN(3)]); err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		foreign := mail
		if r.IntN(2) == 0 {
			foreign = strings.ReplaceAll(mail, "\r\n", "\n")
		}
		// A name is never another message's: the store may know it from the last one.
		names++
		plant(t, s, "cur", fmt.Sprintf("9999999999.foreign%d:2,S", names), foreign)
		m := drop(t, s, who)
		if m.Len() != 2 {
			t.Fatalf("%d messages, want 2", m.Len())
		}
		checkOctets(t, r, m, 0, mail)
		checkOctets(t, r, m, 1, crlf(foreign))
		if err := m.Remove(context.Background(), []int{0, 1}); err != nil {
			t.Fatal(err)
		}
		m.Close()
	}
}

// crlf is what comes out of a file: each LF with a CR before it.
func crlf(file string) string {
	return strings.ReplaceAll(strings.ReplaceAll(file, "\n", "\r\n"), "\r\r\n", "\r\n")
}

// checkOctets reads message i, twice, in pieces.
func checkOctets(t *testing.T, r *rand.Rand, m mailstore.Maildrop, i int, want string) {
	t.Helper()
	for range 2 {
		src, err := m.Open(context.Background(), i)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(mailtest.Pieces(r, src, edges[r.IntN(3)]))
		src.Close()
		if err != nil {
			t.Fatal(err)
		}
		if d := mailtest.Differ(string(b), want); d != "" {
			t.Fatalf("message %d: %s", i, d)
		}
		if m.Size(i) != int64(len(want)) {
			t.Fatalf("message %d: Size %d of %d octets", i, m.Size(i), len(want))
		}
	}
}
