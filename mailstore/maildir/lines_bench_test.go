package maildir

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

var benchText = []byte(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 1000))

func BenchmarkFold(b *testing.B) {
	b.SetBytes(int64(len(benchText)))
	b.ReportAllocs()
	var dst []byte
	for range b.N {
		var f folder
		for p := benchText; len(p) > 0; {
			piece := p[:min(chunk, len(p))]
			dst, _, _ = f.fold(dst[:0], piece)
			p = p[len(piece):]
		}
	}
}

func BenchmarkUnfold(b *testing.B) {
	disk := bytes.ReplaceAll(benchText, []byte("\r\n"), []byte("\n"))
	b.SetBytes(int64(len(benchText)))
	b.ReportAllocs()
	buf := make([]byte, chunk)
	for range b.N {
		r := newLineReader(io.NopCloser(bytes.NewReader(disk)))
		for {
			if _, err := r.Read(buf); err != nil {
				break
			}
		}
		r.Close()
	}
}
