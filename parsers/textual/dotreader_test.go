package textual

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// refDecode is the reader's definition, an octet at a time: first the lines of
// the octets as they arrive, then what becomes of bare CR and LF.
func refDecode(raw string, mode Mode) (text, rest string, err error) {
	var plain []byte
	for i := 0; ; i++ {
		if i == len(raw) {
			return "", "", io.ErrUnexpectedEOF
		}
		if i == 0 || i >= 2 && raw[i-2] == '\r' && raw[i-1] == '\n' {
			if strings.HasPrefix(raw[i:], ".\r\n") {
				rest = raw[i+3:]
				break
			}
			if raw[i] == '.' {
				continue
			}
		} else if mode == Keep && raw[i-1] == '\n' && strings.HasPrefix(raw[i:], "..") {
			continue
		}
		plain = append(plain, raw[i])
	}
	if mode == Keep {
		return string(plain), rest, nil
	}
	text, err = refNormalise(string(plain))
	if mode == Normalise {
		err = nil
	}
	return text, rest, err
}

// refNormalise gives each bare CR and LF, and each run of CRs with LF, as CRLF,
// and says which fault came first.
func refNormalise(s string) (string, error) {
	var out []byte
	var fault error
	note := func(err error) {
		if fault == nil {
			fault = err
		}
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\r':
			n := 1
			for i+n < len(s) && s[i+n] == '\r' {
				n++
			}
			if i+n < len(s) && s[i+n] == '\n' {
				if n > 1 {
					note(ErrBareCR)
				}
				out = append(out, "\r\n"...)
				i += n
				continue
			}
			note(ErrBareCR)
			out = append(out, strings.Repeat("\r\n", n)...)
			i += n - 1
		case '\n':
			note(ErrBareLF)
			out = append(out, "\r\n"...)
		default:
			out = append(out, s[i])
		}
	}
	return string(out), fault
}

// endings is what may stand where the end of a text is expected, and around it.
var endings = []struct {
	name, raw string
	text      string // in mode Normalise
	rest      string // behind the end; "-" if there is no end
	reject    error
}{
	{"empty", ".\r\n", "", "", nil},
	{"empty, then a command", ".\r\nQUIT\r\n", "", "QUIT\r\n", nil},
	{"one line", "a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n", nil},
	{"one empty line", "\r\n.\r\n", "\r\n", "", nil},
	{"a dot removed", "..\r\n.\r\n", ".\r\n", "", nil},
	{"two dots", "...\r\n.\r\n", "..\r\n", "", nil},
	{"a dot nobody doubled", ".a\r\n.\r\n", "a\r\n", "", nil},
	{"a dot within", "a.\r\n.\r\n", "a.\r\n", "", nil},
	{"a dot before text", "..a\r\n.\r\n", ".a\r\n", "", nil},
	{"dot, space", ". \r\n.\r\n", " \r\n", "", nil},
	{"LF.LF", "a\n.\nb\r\n.\r\nx", "a\r\n.\r\nb\r\n", "x", ErrBareLF},
	{"LF.CRLF", "a\n.\r\nb\r\n.\r\nx", "a\r\n.\r\nb\r\n", "x", ErrBareLF},
	{"CRLF.LF", "a\r\n.\nb\r\n.\r\nx", "a\r\n\r\nb\r\n", "x", ErrBareLF},
	{"CR.CRLF", "a\r.\r\nb\r\n.\r\nx", "a\r\n.\r\nb\r\n", "x", ErrBareCR},
	{"CRLF.CR", "a\r\n.\rb\r\n.\r\nx", "a\r\n\r\nb\r\n", "x", ErrBareCR},
	{"CR.CR", "a\r.\rb\r\n.\r\nx", "a\r\n.\r\nb\r\n", "x", ErrBareCR},
	{"LF.CR", "a\n.\rb\r\n.\r\nx", "a\r\n.\r\nb\r\n", "x", ErrBareLF},
	{"CR CR LF . CR CR LF", "a\r\r\n.\r\r\nb\r\n.\r\nx", "a\r\n\r\nb\r\n", "x", ErrBareCR},
	{"CR CR LF . CR LF", "a\r\r\n.\r\nx", "a\r\n", "x", ErrBareCR},
	{"CR LF CR . CR LF", "a\r\n\r.\r\nb\r\n.\r\nx", "a\r\n\r\n.\r\nb\r\n", "x", ErrBareCR},
	{"LF CR LF . CR LF", "a\n\r\n.\r\nx", "a\r\n\r\n", "x", ErrBareLF},
	{"LF CR . CR LF", "a\n\r.\r\nb\r\n.\r\nx", "a\r\n\r\n.\r\nb\r\n", "x", ErrBareLF},
	{"CR CR CR x", "\r\r\rx\r\n.\r\n", "\r\n\r\n\r\nx\r\n", "", ErrBareCR},
	{"CRLF CR CR x", "\r\n\r\rx\r\n.\r\n", "\r\n\r\n\r\nx\r\n", "", ErrBareCR},
	{"CR CR CR LF", "\r\r\r\n.\r\n", "\r\n", "", ErrBareCR},
	{"CRLF NUL . CRLF", "a\r\n\x00.\r\n.\r\nx", "a\r\n\x00.\r\n", "x", nil},
	{"CRLF . NUL CRLF", "a\r\n.\x00\r\n.\r\nx", "a\r\n\x00\r\n", "x", nil},
	{"NUL", "\x00\r\n.\r\n", "\x00\r\n", "", nil},
	{"dot, CR, end", "a\r\n.\r\r\n.\r\nx", "a\r\n\r\n", "x", ErrBareCR},
	{"other controls", "\x0b\x0c\x85\u2028\r\n.\r\n", "\x0b\x0c\x85\u2028\r\n", "", nil},
	{"stuffed end of another text", "..\r\n...\r\n.\r\n", ".\r\n..\r\n", "", nil},
	{"LF alone at first", "\n.\r\nb\r\n.\r\n", "\r\n.\r\nb\r\n", "", ErrBareLF},
	{"CR alone at first", "\r.\r\nb\r\n.\r\n", "\r\n.\r\nb\r\n", "", ErrBareCR},
	{"no end", "a\r\n.", "", "-", io.ErrUnexpectedEOF},
	{"no end after dot and CR", "a\r\n.\r", "", "-", io.ErrUnexpectedEOF},
	{"no end, LF.LF", "a\n.\n", "", "-", io.ErrUnexpectedEOF},
	{"nothing", "", "", "-", io.ErrUnexpectedEOF},
}

func TestDotReader(t *testing.T) {
	for _, tt := range endings {
		for _, mode := range []Mode{Reject, Normalise, Keep} {
			want, wantErr := tt.text, tt.reject
			if mode != Reject && tt.rest != "-" {
				wantErr = nil
			}
			ref, refRest, refErr := refDecode(tt.raw, mode)
			if mode == Keep {
				want = ref // and TestDotReaderKeep
			}
			if refErr != wantErr || tt.rest != "-" && (ref != want || refRest != tt.rest) {
				t.Errorf("%s, mode %d: the reference gives %q, %q, %v", tt.name, mode, ref, refRest, refErr)
			}
			for i := range len(tt.raw) + 1 {
				src := io.MultiReader(strings.NewReader(tt.raw[:i]), strings.NewReader(tt.raw[i:]))
				checkDot(t, fmt.Sprintf("%s, mode %d, split at %d", tt.name, mode, i), src, mode, want, tt.rest, wantErr)
			}
			checkDot(t, tt.name+", an octet at a time", iotest.OneByteReader(strings.NewReader(tt.raw)), mode, want, tt.rest, wantErr)
			checkDot(t, tt.name+", data with EOF", iotest.DataErrReader(strings.NewReader(tt.raw)), mode, want, tt.rest, wantErr)
			checkDot(t, tt.name+", empty reads", &stutter{strings.NewReader(tt.raw), false}, mode, want, tt.rest, wantErr)
		}
	}
}

func TestDotReaderKeep(t *testing.T) {
	for _, tt := range []struct{ raw, text string }{
		{"a\nb\rc\r\n.\r\n", "a\nb\rc\r\n"},
		{"a\n..b\n.c\n..\r\n...\r\n.\r\n", "a\n.b\n.c\n.\r\n..\r\n"},
		{"a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n"}, // no end
		{"\n..\r\n.\r\n", "\n.\r\n"},
		{"a\r..\r\n.\r\n", "a\r..\r\n"},
		{"a\r\r\n..\r\n.\r\n", "a\r\r\n.\r\n"},
		{"a\n\n..\n\r\n.\r\n", "a\n\n.\n\r\n"},
		{".\r\n", ""},
	} {
		for i := range len(tt.raw) + 1 {
			src := io.MultiReader(strings.NewReader(tt.raw[:i]), strings.NewReader(tt.raw[i:]+"+OK\r\n"))
			checkDot(t, fmt.Sprintf("%q, split at %d", tt.raw, i), src, Keep, tt.text, "+OK\r\n", nil)
		}
		checkDot(t, fmt.Sprintf("%q, an octet at a time", tt.raw), iotest.OneByteReader(strings.NewReader(tt.raw)), Keep, tt.text, "", nil)
	}
}

// A text too big is drained to its true end, also from behind an LF that was
// kept.
func TestDotReaderKeepTooBig(t *testing.T) {
	d := NewReader(strings.NewReader("a\n.\r\nb\r\n.\r\nQUIT\r\n")).Dot(Keep)
	d.Limit = 1
	if _, err := io.ReadAll(d); err != ErrTooBig || !d.Done() {
		t.Errorf("%v, done %v", err, d.Done())
	}
	if l, err := d.r.ReadLine(512); err != nil || string(l) != "QUIT" {
		t.Errorf("behind it %q, %v", l, err)
	}
}

// stutter gives an empty read before every other.
type stutter struct {
	r    io.Reader
	real bool
}

func (s *stutter) Read(p []byte) (int, error) {
	if s.real = !s.real; s.real {
		return 0, nil
	}
	return s.r.Read(p)
}

func checkDot(t *testing.T, name string, src io.Reader, mode Mode, text, rest string, wantErr error) {
	t.Helper()
	r := NewReader(src)
	d := r.Dot(mode)
	got, err := io.ReadAll(d)
	if err != wantErr {
		t.Errorf("%s: error %v, want %v", name, err, wantErr)
		return
	}
	if wantErr == nil && string(got) != text {
		t.Errorf("%s: text %q, want %q", name, got, text)
	}
	if _, again := d.Read(make([]byte, 1)); again != err && !(err == nil && again == io.EOF) {
		t.Errorf("%s: second report %v", name, again)
	}
	if done := wantErr != io.ErrUnexpectedEOF; d.Done() != done {
		t.Errorf("%s: Done is %v", name, d.Done())
	}
	if rest == "-" {
		return
	}
	if behind, err := io.ReadAll(r); err != nil || string(behind) != rest {
		t.Errorf("%s: behind the end %q, %v; want %q", name, behind, err, rest)
	}
}

// The end must be found wherever it falls on the edges of the buffers.
func TestDotReaderBufferEdges(t *testing.T) {
	for _, size := range []int{smallSize, bulkSize} {
		for pad := size - 12; pad < size+4; pad++ {
			for _, tt := range endings {
				if tt.rest == "-" {
					continue
				}
				line := strings.Repeat("x", pad)
				raw := line + "\r\n" + tt.raw
				checkDot(t, fmt.Sprint(tt.name, " behind ", pad), strings.NewReader(raw), Normalise, line+"\r\n"+tt.text, tt.rest, nil)
				checkDot(t, fmt.Sprint(tt.name, " behind ", pad), strings.NewReader(raw), Reject, line+"\r\n"+tt.text, tt.rest, tt.reject)
			}
		}
	}
}

func TestDotReaderLimit(t *testing.T) {
	text := strings.Repeat("0123456789abcd\r\n", 1000)
	for _, tt := range []struct {
		limit int64
		want  error
	}{{0, nil}, {16000, nil}, {16001, nil}, {15999, ErrTooBig}, {1, ErrTooBig}} {
		r := NewReader(strings.NewReader(text + ".\r\nQUIT\r\n"))
		d := r.Dot(Reject)
		d.Limit = tt.limit
		n, err := io.Copy(io.Discard, d)
		if err != tt.want || !d.Done() || tt.limit > 0 && n > tt.limit {
			t.Errorf("limit %d: %d octets, %v", tt.limit, n, err)
		}
		if l, err := r.ReadLine(512); err != nil || string(l) != "QUIT" {
			t.Errorf("limit %d: behind it %q, %v", tt.limit, l, err)
		}
	}
}

func TestDotReaderLimitCountsWhatIsReturned(t *testing.T) {
	const raw, text = "..\r\n\n\n.\r\n\r\n.\r\n", ".\r\n\r\n\r\n.\r\n\r\n"
	for limit, want := range map[int64]error{int64(len(text)): nil, int64(len(text)) - 1: ErrTooBig} {
		d := NewReader(strings.NewReader(raw)).Dot(Normalise)
		d.Limit = limit
		got, err := io.ReadAll(d)
		if err != want || !strings.HasPrefix(text, string(got)) {
			t.Errorf("limit %d: %q, %v", limit, got, err)
		}
		if want == nil && d.Size() != limit {
			t.Errorf("Size %d of %d octets", d.Size(), limit)
		}
	}
}

func TestDotReaderDrain(t *testing.T) {
	r := NewReader(strings.NewReader("a\r\n..b\r\n.\r\nNOOP\r\nc\nd\r\n.\r\nQUIT\r\nx"))
	d := r.Dot(Reject)
	d.Read(make([]byte, 1))
	if err := d.Drain(); err != nil {
		t.Error(err)
	}
	if l, _ := r.ReadLine(512); string(l) != "NOOP" {
		t.Errorf("behind the first: %q", l)
	}
	d.Reset(r, Reject)
	if err := d.Drain(); err != ErrBareLF {
		t.Error(err)
	}
	if l, _ := r.ReadLine(512); string(l) != "QUIT" {
		t.Errorf("behind the second: %q", l)
	}
	d.Reset(r, Reject)
	if err := d.Drain(); err != io.ErrUnexpectedEOF || d.Done() {
		t.Error(err, d.Done())
	}
}

func TestDotReaderSourceError(t *testing.T) {
	broken := errors.New("broken")
	d := NewReader(io.MultiReader(strings.NewReader("a\r\nb\n"), iotest.ErrReader(broken))).Dot(Reject)
	if _, err := io.ReadAll(d); err != broken || d.Done() {
		t.Errorf("got %v, Done %v", err, d.Done())
	}
}

func TestDotReaderWriteTo(t *testing.T) {
	var out bytes.Buffer
	d := NewReader(strings.NewReader("a\r\n..b\r\n.\r\n")).Dot(Reject)
	if n, err := d.WriteTo(&out); n != 7 || err != nil || out.String() != "a\r\n.b\r\n" {
		t.Errorf("%d, %v, %q", n, err, out.String())
	}
	full := errors.New("disk full")
	d = NewReader(strings.NewReader("a\r\n.\r\n")).Dot(Reject)
	if _, err := d.WriteTo(failing{full}); err != full {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// A run of CRs costs a number, not memory.
func TestDotReaderLongRunOfCRs(t *testing.T) {
	const n = 300_000
	raw := strings.Repeat("\r", n) + "x\r\n.\r\n"
	got, err := io.ReadAll(NewReader(strings.NewReader(raw)).Dot(Normalise))
	if want := strings.Repeat("\r\n", n) + "x\r\n"; err != nil || string(got) != want {
		t.Errorf("%d octets, %v", len(got), err)
	}
}
