package archive

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

// texts are all short ones of line ends and one letter, and long ones whose line ends
// lie around the end of a buffer.
func texts() iter.Seq[string] {
	return func(yield func(string) bool) {
		const alphabet = "\r\na"
		var all func(prefix string, n int) bool
		all = func(prefix string, n int) bool {
			if n == 0 {
				return yield(prefix)
			}
			for i := range len(alphabet) {
				if !all(prefix+alphabet[i:i+1], n-1) {
					return false
				}
			}
			return true
		}
		for n := range 7 {
			if !all("", n) {
				return
			}
		}
		for before := 4090; before < 4100; before++ {
			for _, end := range []string{"\r\n", "\n", "\r", "\r\r\n", "\r\n\r\n", "\n\n"} {
				if !yield(strings.Repeat("x", before) + end + "y\r\n") {
					return
				}
			}
		}
	}
}

// loneLF is a line end without its CR.
var loneLF = regexp.MustCompile(`(^|[^\r])\n`)

// withCRs is what crlfWriter is to make of a text. A match may end where the next begins.
func withCRs(text string) string {
	for loneLF.MatchString(text) {
		text = loneLF.ReplaceAllString(text, "$1\r\n")
	}
	return text
}

// TestCRLFWriter: each LF has a CR then and none has two, wherever the writes part the
// text, and the count is of what came out.
func TestCRLFWriter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for text := range texts() {
		want := withCRs(text)
		for range 3 {
			var out bytes.Buffer
			w := &crlfWriter{w: &out}
			for rest := text; rest != ""; {
				n := 1 + random.IntN(len(rest))
				if k, err := io.WriteString(w, rest[:n]); k != n || err != nil {
					t.Fatalf("%q: %d of %d, %v", text, k, n, err)
				}
				rest = rest[n:]
			}
			if out.String() != want || w.n != int64(len(want)) {
				t.Fatalf("%q became %q, counted as %d", text, &out, w.n)
			}
		}
	}
}

// TestLFReader: each CRLF is an LF then, and nothing else changes, however the text is
// read and however it comes.
func TestLFReader(t *testing.T) {
	for text := range texts() {
		want := strings.ReplaceAll(text, "\r\n", "\n")
		for name, r := range map[string]io.Reader{
			"whole":                   strings.NewReader(text),
			"octet by octet":          iotest.OneByteReader(strings.NewReader(text)),
			"its end with the last":   iotest.DataErrReader(strings.NewReader(text)),
			"halves":                  iotest.HalfReader(strings.NewReader(text)),
			"read with a buffer of 1": strings.NewReader(text),
		} {
			var in io.Reader = &lfReader{r: r}
			if strings.HasPrefix(name, "read with") {
				in = iotest.OneByteReader(in)
			}
			got, err := io.ReadAll(in)
			if err != nil || string(got) != want {
				t.Fatalf("%s: %q became %q, %v", name, text, got, err)
			}
		}
		if back := withCRs(want); !strings.Contains(text, "\r\r") && withCRs(text) == text && back != text {
			t.Fatalf("%q came back as %q", text, back)
		}
	}
}

// TestLinesFail: what goes wrong below is said, behind all that came before it.
func TestLinesFail(t *testing.T) {
	broken := errors.New("broken")
	for _, text := range []string{"", "a", "a\r", "a\r\n", strings.Repeat("x", 4096) + "\r"} {
		got, err := io.ReadAll(&lfReader{r: io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))})
		if want := strings.ReplaceAll(text, "\r\n", "\n"); !errors.Is(err, broken) || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	w := &crlfWriter{w: failing{broken}}
	if n, err := w.Write([]byte("a\n")); n != 0 || !errors.Is(err, broken) || w.n != 1 {
		t.Errorf("%d, %v, counted as %d", n, err, w.n)
	}
}

// failing takes one octet of each write.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 1, f.err }

// TestFlavours: each kind of mbox has one name, in any case.
func TestFlavours(t *testing.T) {
	for name, want := range map[string]Flavour{"mboxo": MboxO, "MBOXRD": MboxRD, "mboxcl": MboxCL, "MboxCL2": MboxCL2} {
		if got, err := ParseFlavour(name); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "mbox", "mboxcl3", " mboxo", "maildir"} {
		if got, err := ParseFlavour(name); err == nil || !strings.Contains(err.Error(), "mboxrd") {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
}

// TestMessageError: it says which message, and what is behind it can be asked for.
func TestMessageError(t *testing.T) {
	err := error(&MessageError{Name: "box, message 7", Err: io.ErrUnexpectedEOF})
	if err.Error() != "box, message 7: unexpected EOF" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}
