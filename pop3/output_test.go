package pop3

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// sink takes all that is written to it.
type sink struct {
	net.Conn
	bytes.Buffer
}

// Read and Write are those of the buffer.
func (s *sink) Read(p []byte) (int, error)  { return s.Buffer.Read(p) }
func (s *sink) Write(p []byte) (int, error) { return s.Buffer.Write(p) }

// TestOutputEdges: whatever the sizes of what is added and how, what comes out is
// what went in, in that order, and nothing is held back by flush.
func TestOutputEdges(t *testing.T) {
	for r, text := range (mailtest.Messages{Edges: []int{pieceSize, pieceSize / 2}}).Each(t) {
		var dst sink
		var want strings.Builder
		o := &output{dst: &dst, limit: -1}
		for rest := text; rest != ""; {
			n := []int{1, 100, pieceSize / 2, pieceSize, pieceSize - o.n, 2 * pieceSize}[r.IntN(6)] - 2 + r.IntN(5)
			n = min(len(rest), max(1, n))
			part := []byte(rest[:n])
			want.WriteString(rest[:n])
			rest = rest[n:]
			switch {
			case r.IntN(8) == 0:
				if o.flush(); dst.Len() != want.Len()-n {
					t.Fatalf("flush leaves %d octets of %d", dst.Len(), want.Len()-n)
				}
				fallthrough
			case r.IntN(3) > 0 || n > pieceSize:
				if got, err := o.Write(part); got != n || err != nil {
					t.Fatal(got, err)
				}
				clear(part)
			default:
				o.done(append(o.short(n), part...))
			}
		}
		if err := o.flush(); err != nil || o.sent != int64(len(text)) {
			t.Fatal(o.sent, err)
		}
		if d := mailtest.Differ(dst.String(), text); d != "" {
			t.Fatal(d)
		}
	}
}
