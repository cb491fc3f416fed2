package textual

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// edges are the sizes of all buffers, and what a DotWriter does not copy.
var edges = []int{smallSize, batchSize, bulkSize, bulkSize / 2}

func anEdge(r *rand.Rand) int { return edges[r.IntN(len(edges))] }

// pieces reads text in pieces about the buffers' sizes.
func pieces(r *rand.Rand, text string) io.Reader {
	return mailtest.Pieces(r, strings.NewReader(text), anEdge(r))
}

// writeSome writes text in one of the ways there are, and ends it.
func writeSome(r *rand.Rand, w interface {
	io.WriteCloser
	io.ReaderFrom
}, text string) error {
	var err error
	if r.IntN(2) == 0 {
		err = mailtest.WritePieces(r, w, text, anEdge(r))
	} else {
		_, err = w.ReadFrom(pieces(r, text))
	}
	return errors.Join(err, w.Close())
}

// TestDotWriterEdges: wherever the buffers end, and in whatever pieces a text is
// written, its code is as defined; texts that are not in order as well.
func TestDotWriterEdges(t *testing.T) {
	for r, text := range (mailtest.Messages{Edges: edges, Wild: true}).Each(t) {
		var out bytes.Buffer
		for range 2 { // one behind the other
			if err := writeSome(r, NewDotWriter(&out), text); err != nil {
				t.Fatal(err)
			}
		}
		if d := mailtest.Differ(out.String(), strings.Repeat(refEncode(text), 2)); d != "" {
			t.Fatalf("DotWriter: %s", d)
		}
		out.Reset()
		if err := writeSome(r, NewLineWriter(&out), text); err != nil {
			t.Fatal(err)
		}
		want, fault := refNormalise(text)
		if d := mailtest.Differ(out.String(), want); d != "" {
			t.Fatalf("LineWriter: %s", d)
		}
		w := new(DotWriter)
		w.Reset(io.Discard, Reject)
		if err := writeSome(r, w, text); (err != nil) != (fault != nil) || err != nil && !errors.Is(err, fault) {
			t.Fatalf("DotWriter that rejects: %v, want %v", err, fault)
		}
	}
}

// TestDotReaderEdges: wherever the buffers end, in whatever pieces the code of
// texts comes and they are read, they are as defined, and what stands behind
// them is read next.
func TestDotReaderEdges(t *testing.T) {
	for r, text := range (mailtest.Messages{Edges: edges, Wild: true}).Each(t) {
		// Stuffed behind CRLF alone, which is not all that a writer does.
		raw := strings.ReplaceAll("\r\n"+text+"\r\n", "\r\n.", "\r\n..")[2:] + ".\r\n"
		for _, mode := range []Mode{Reject, Normalise, Keep} {
			want, rest, fault := refDecode(raw, mode)
			if rest != "" {
				t.Fatalf("the code ends before %q", rest)
			}
			in := NewReader(pieces(r, raw+raw+"QUIT\r\n"))
			for range 2 {
				d := in.Dot(mode)
				got, err := readSome(r, d)
				if err != fault {
					t.Fatalf("mode %d: %v, want %v", mode, err, fault)
				}
				if diff := mailtest.Differ(got, want); fault == nil && (diff != "" || d.Size() != int64(len(want))) {
					t.Fatalf("mode %d: size %d; %s", mode, d.Size(), diff)
				}
			}
			if line, err := in.ReadLine(100); string(line) != "QUIT" {
				t.Fatalf("behind the text: %q, %v", line, err)
			}
		}
	}
}

// readSome reads a text in one of the ways there are.
func readSome(r *rand.Rand, d *DotReader) (string, error) {
	var got strings.Builder
	var err error
	switch r.IntN(3) {
	case 0:
		_, err = d.WriteTo(&got)
	case 1:
		_, err = io.Copy(&got, struct{ io.Reader }{mailtest.Pieces(r, d, anEdge(r))})
	default: // a part, and the rest in another way
		_, err = io.CopyN(&got, struct{ io.Reader }{d}, int64(anEdge(r)))
		if err == nil {
			_, err = d.WriteTo(&got)
		} else if err == io.EOF {
			err = nil
		}
	}
	return got.String(), err
}

// TestWriterEdges: whatever the sizes of what is added, what comes out is what
// went in, in that order.
func TestWriterEdges(t *testing.T) {
	for r, text := range (mailtest.Messages{Edges: edges}).Each(t) {
		var out bytes.Buffer
		var want strings.Builder
		w := NewWriter(&out)
		for rest := text; rest != ""; {
			n := min(len(rest), max(1, []int{1, 2, 3, 100, batchSize, batchSize - w.Buffered(), anEdge(r)}[r.IntN(7)]-3+r.IntN(7)))
			part := rest[:n]
			rest = rest[n:]
			switch r.IntN(6) {
			case 0:
				w.WriteString(part)
			case 1:
				w.WriteByte(part[0])
				part = part[:1]
			case 2:
				w.WriteLine(part)
				part += "\r\n"
			case 3:
				w.WriteReply(250, "2.0.0", part)
				part = string(AppendReply(nil, 250, "2.0.0", part))
			case 4:
				w.Flush()
				part = ""
			default:
				p := []byte(part)
				w.Write(p)
				clear(p)
			}
			want.WriteString(part)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if d := mailtest.Differ(out.String(), want.String()); d != "" {
			t.Fatal(d)
		}
	}
}

// TestReaderEdges: lines, raw octets and what is passed over come as they are
// wherever the buffers end, in whatever pieces they arrive.
func TestReaderEdges(t *testing.T) {
	for r, text := range (mailtest.Messages{Edges: edges, Line: MaxLine}).Each(t) {
		in := NewReader(pieces(r, text))
		for rest := text; rest != ""; {
			n := min(len(rest), max(1, anEdge(r)-3+r.IntN(7)))
			switch r.IntN(4) {
			case 0:
				if err := in.Discard(int64(n)); err != nil {
					t.Fatal(err)
				}
			case 1:
				p := make([]byte, n)
				if _, err := io.ReadFull(in, p); err != nil || string(p) != rest[:n] {
					t.Fatalf("%d octets: %v; %s", n, err, mailtest.Differ(string(p), rest[:n]))
				}
			default:
				want, _, whole := strings.Cut(rest, "\r\n")
				n = len(want) + 2
				var fault error
				if strings.HasPrefix(want, "\n") { // its CR went with what was before
					want, fault = "", ErrBareLF
				}
				if !whole { // just that LF
					fault, n = io.ErrUnexpectedEOF, len(rest)
				}
				if line, err := in.ReadLine(MaxLine); string(line) != want || err != fault {
					t.Fatalf("%v; %s", err, mailtest.Differ(string(line), want))
				}
			}
			rest = rest[n:]
		}
		if in.Buffered() > 1 { // that LF may be left
			t.Fatalf("%d octets behind the end", in.Buffered())
		}
	}
}
