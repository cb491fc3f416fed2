package textual

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// chopped gives its text in two pieces and then, if it lasts, in single octets.
type chopped struct {
	s     string
	first int
}

func (c *chopped) Read(p []byte) (int, error) {
	if c.s == "" {
		return 0, io.EOF
	}
	n := 1
	if c.first > 0 {
		n, c.first = min(c.first, len(c.s)), 0
	} else if len(c.s) > 64 {
		n = len(c.s) / 2
	}
	n = copy(p, c.s[:n])
	c.s = c.s[n:]
	return n, nil
}

// FuzzDotReader compares with the definition, an octet at a time, for every
// split of the input, and checks what the modes promise.
func FuzzDotReader(f *testing.F) {
	for _, tt := range endings {
		f.Add(tt.raw, uint16(0))
	}
	f.Add("x\r\n.\r\n", uint16(smallSize-3))
	f.Add("x\r\n.\r\n", uint16(bulkSize-3))
	f.Fuzz(func(t *testing.T, raw string, pad uint16) {
		raw = strings.Repeat("p", int(pad)) + raw
		for _, mode := range []Mode{Reject, Normalise, Keep} {
			want, wantRest, wantErr := refDecode(raw, mode)
			for i := 0; i <= min(len(raw), 64); i++ {
				r := NewReader(&chopped{raw, len(raw) - i})
				got, err := io.ReadAll(r.Dot(mode))
				if err != wantErr {
					t.Fatalf("mode %d, split %d from the end: %v, want %v", mode, i, err, wantErr)
				}
				if err == nil && string(got) != want {
					t.Fatalf("mode %d, split %d from the end: %q, want %q", mode, i, got, want)
				}
				if err == io.ErrUnexpectedEOF {
					continue
				}
				if rest, _ := io.ReadAll(r); string(rest) != wantRest {
					t.Fatalf("mode %d, split %d from the end: behind the end %q, want %q", mode, i, rest, wantRest)
				}
			}
			if _, fault := refNormalise(want); wantErr == nil && fault != nil && mode != Keep {
				t.Errorf("mode %d lets through %v", mode, fault)
			}
		}
	})
}

// FuzzDotRoundTrip checks that the reader gives back what the writer was
// given, with its line endings in order, whatever the pieces were, and that
// the writer's output is well formed.
func FuzzDotRoundTrip(f *testing.F) {
	for _, tt := range texts {
		f.Add(tt.text, "QUIT\r\n", uint8(3))
	}
	f.Fuzz(func(t *testing.T, text, behind string, piece uint8) {
		var wire bytes.Buffer
		d := NewDotWriter(&wire)
		for rest := text; rest != ""; {
			n := min(int(piece)+1, len(rest))
			d.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if want := refEncode(text); wire.String() != want {
			t.Fatalf("wrote %q, want %q", wire.String(), want)
		}
		if _, fault := refNormalise(wire.String()); fault != nil {
			t.Errorf("wrote a %v", fault)
		}
		r := NewReader(&chopped{wire.String() + behind, int(piece)})
		got, err := io.ReadAll(r.Dot(Reject))
		want, _ := refNormalise(text)
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		if err != nil || string(got) != want {
			t.Errorf("read %q, %v; want %q", got, err, want)
		}
		if rest, _ := io.ReadAll(r); string(rest) != behind {
			t.Errorf("behind the end %q, want %q", rest, behind)
		}
	})
}

// refLines is ReadLine's definition.
func refLines(raw string, max int, tolerant bool) (lines []got) {
	for raw != "" {
		end := strings.Index(raw, "\r\n") + 1
		if lf := strings.IndexByte(raw, '\n'); tolerant {
			end = lf
		} else if end == 0 {
			end = -1
		}
		if end < 0 {
			return append(lines, got{"", io.ErrUnexpectedEOF})
		}
		line := strings.TrimSuffix(raw[:end], "\r")
		raw = raw[end+1:]
		switch {
		case len(line) > max && strings.IndexByte(line, '\n') >= 0:
			lines = append(lines, got{"either", ErrLineTooLong})
		case strings.IndexByte(line, '\n') >= 0:
			lines = append(lines, got{"", ErrBareLF})
		case len(line) > max:
			lines = append(lines, got{"", ErrLineTooLong})
		case strings.IndexByte(line, '\r') >= 0:
			lines = append(lines, got{"", ErrBareCR})
		default:
			lines = append(lines, got{line, nil})
		}
	}
	return append(lines, got{"", io.EOF})
}

// FuzzReadLine compares with the definition for every split of the input.
func FuzzReadLine(f *testing.F) {
	for _, tt := range lineTests {
		f.Add(tt.raw, uint16(8), false)
		f.Add(tt.raw, uint16(8), true)
	}
	f.Fuzz(func(t *testing.T, raw string, max uint16, tolerant bool) {
		limit := min(int(max), MaxLine)
		want := refLines(raw, limit, tolerant)
		for i := 0; i <= min(len(raw), 64); i++ {
			r := NewReader(&chopped{raw, i})
			r.Tolerant = tolerant
			for n, w := range want {
				line, err := r.ReadLine(limit)
				if w.line == "either" && err == ErrBareLF { // whichever was noticed first
					continue
				}
				if err != w.err || err == nil && string(line) != w.line {
					t.Fatalf("split at %d, line %d: %q, %v; want %q, %v", i, n, line, err, w.line, w.err)
				}
			}
		}
	})
}
