package smtp

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

var anyEnding = regexp.MustCompile(`\r*\n|\r`)

// normal is what lineEnds makes of r.
func normal(r io.Reader, piece int) (string, int, error) {
	var l lineEnds
	var out bytes.Buffer
	p := make([]byte, piece)
	held := 0
	for {
		n, err := l.normalise(p, r.Read)
		out.Write(p[:n])
		held = max(held, cap(l.store))
		if err == io.EOF {
			return out.String(), held, nil
		}
		if err != nil {
			return out.String(), held, err
		}
	}
}

func TestNormaliseChunks(t *testing.T) {
	for _, in := range []string{
		"", "a", "a\r\n", "\n", "\r", "\r\r", "\r\r\n", "\n\n", "\n\r", "a\nb\rc\r\r\nd\r\r", "\r\n\r\n", "\ra", "a\r", "\r\r\ra\n\n\r\r\n",
		strings.Repeat("\r", 10000), strings.Repeat("\r", 10000) + "\n", strings.Repeat("\n", 10000), strings.Repeat("ab\r\n", 5000), strings.Repeat("\r", 5000) + "x",
	} {
		want := anyEnding.ReplaceAllString(in, "\r\n")
		for _, piece := range []int{1, 2, 3, 1000, 1 << 16} {
			for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "one": iotest.OneByteReader(strings.NewReader(in)), "half": iotest.HalfReader(strings.NewReader(in))} {
				got, held, err := normal(r, piece)
				if got != want || err != nil || held > 16<<10 {
					t.Errorf("%.20q by %s, %d at a time: %.20q, %v, %d octets held", in, name, piece, got, err, held)
				}
			}
		}
	}
}

func TestCheckChunks(t *testing.T) {
	for _, in := range []string{"", "a", "a\r\n", "\r\n\r\n", "\n", "\r", "\r\r\n", "a\nb", "a\rb", "\r\n\n", "\r\na\r", "a\r\nb\r\nc", "\r\n\r"} {
		want := !strings.ContainsAny(strings.ReplaceAll(in, "\r\n", ""), "\r\n")
		for cut := 0; cut <= len(in); cut++ {
			for cut2 := cut; cut2 <= len(in); cut2++ {
				var l lineEnds
				got := l.check([]byte(in[:cut]), false) && l.check([]byte(in[cut:cut2]), false) && l.check([]byte(in[cut2:]), true)
				if got != want {
					t.Errorf("%q cut at %d and %d: %v, want %v", in, cut, cut2, got, want)
				}
			}
		}
	}
}
