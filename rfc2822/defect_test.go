package rfc2822

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestDefectOffsets: a defect says which octet is the odd one, wherever in a field and
// in the header it stands.
func TestDefectOffsets(t *testing.T) {
	long := strings.Repeat("x", hardLine+1)
	for _, before := range []string{"", "A: 1\r\n", "From x\r\nA: gr\xc3\xbc\xc3\x9fe\r\n folded\r\nB:2\r\n"} {
		for _, name := range []string{"X: ", "X-Long:\r\n ", "X: gr\xc3\xbc\xc3\x9f "} {
			for odd, kind := range map[string]DefectKind{"\xff": NotUTF8, "\xc3(": NotUTF8, "\xed\xa0\x80": NotUTF8, "\xc3\r\n": NotUTF8, "\xef\xbf\xbd\x80": NotUTF8, "\x00": NulOctet, "\r": BareCR} {
				in := before + name + odd + "y\xc3\xbc\r\n\r\nbody\xff"
				at := len(before + name)
				if strings.HasPrefix(odd, "\xef") {
					at += 3 // U+FFFD itself is UTF-8
				}
				_, _, defects := ParseHeader(in)
				found := false
				for _, d := range defects {
					found = found || d.Kind == kind && d.Offset == int64(at)
				}
				if !found {
					t.Errorf("%q: %v, want %v at %d", in, defects, kind, at)
				}
			}
		}
		line := before + "X: a\r\n " + long + "\r\n\r\n"
		if _, _, defects := ParseHeader(line); !hasDefect(defects, LongLine, strings.Index(line, " xxx")) {
			t.Errorf("long line: %v", defects)
		}
		lf := before + "X: a\n b\r\n\r\n"
		if _, _, defects := ParseHeader(lf); before != "" && !hasDefect(defects, BareLF, strings.Index(lf, "\n b")) {
			t.Errorf("bare LF in %q: %v", lf, defects)
		}
		if before == "" {
			continue
		}
		junk := before + "junk\r\nX: 1\r\n\r\n"
		if _, _, defects := ParseHeader(junk); !hasDefect(defects, JunkLine, len(before)) {
			t.Errorf("junk: %v", defects)
		}
		none := before + "two words\r\nmore text\r\n"
		if _, _, defects := ParseHeader(none); !hasDefect(defects, MissingSeparator, len(before)) {
			t.Errorf("no empty line: %v", defects)
		}
	}
	// In a part it is counted from the part's own header.
	m, _ := ReadString("Content-Type: multipart/mixed; boundary=b\n\n--b\nX: ok\nY: \xff\n\n--b--")
	_ = m.Walk(Limits{}, func([]int, *Part) error { return nil })
	if len(m.Defects) != 1 || m.Defects[0] != (Defect{Kind: NotUTF8, Offset: 9, Part: "1"}) {
		t.Errorf("%v", m.Defects)
	}
}

func hasDefect(list []Defect, kind DefectKind, at int) bool {
	for _, d := range list {
		if d.Kind == kind && d.Offset == int64(at) {
			return true
		}
	}
	return false
}

// TestDefectsStay: what one reading of a message found is still known after another,
// and no reading tells it twice.
func TestDefectsStay(t *testing.T) {
	const text = "X: \xff\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\naGk=!\n--b\nContent-Type: text/plain; charset=klingon\n\nx\n--b\nContent-Type: a/b\n\nlast\n"
	m, _ := ReadString(text)
	readings := map[string]func(){
		"Content":          func() { _, _ = m.Content(Limits{}, 0) },
		"WritePart":        func() { _, _ = m.WritePart(io.Discard, Limits{}, []int{3}) },
		"WritePart of 1":   func() { _, _ = m.WritePart(io.Discard, Limits{}, []int{1}) },
		"Walk":             func() { _ = m.Walk(Limits{}, func([]int, *Part) error { return nil }) },
		"a walk cut short": func() { _ = m.Walk(Limits{}, func([]int, *Part) error { return io.ErrUnexpectedEOF }) },
		"ParseReport":      func() { _, _ = m.ParseReport(Limits{}) },
	}
	readings["Content"]()
	want := kinds(m.Defects)
	if want != "octets that are not UTF-8; bad transfer encoding; unknown charset; multipart not terminated" {
		t.Fatal(want)
	}
	for name, read := range readings {
		if read(); kinds(m.Defects) != want {
			t.Errorf("after %s: %s", name, kinds(m.Defects))
		}
	}
	for range 3 { // however often, and with whatever limits
		_ = m.Walk(Limits{Parts: 1}, func([]int, *Part) error { return nil })
	}
	if kinds(m.Defects) != want {
		t.Error(kinds(m.Defects))
	}
	many, _ := ReadString("Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: nonsense\n\n", 3000))
	for range 3 {
		_, _ = many.Content(Limits{Parts: 5000}, 0)
	}
	if len(many.Defects) > 2*maxDefects {
		t.Errorf("%d defects", len(many.Defects))
	}
}

// TestAllASCII compares with the loop one would write, at every length and place.
func TestAllASCII(t *testing.T) {
	for n := range 71 {
		p := []byte(strings.Repeat("a", n))
		if !allASCII(p) {
			t.Errorf("%d octets of ASCII are none", n)
		}
		for i := range n {
			for _, c := range []byte{0, 0x7f, 0x80, 0x81, 0xff} {
				p[i] = c
				if allASCII(p) != (c < 0x80) {
					t.Errorf("%#x at %d of %d", c, i, n)
				}
			}
			p[i] = 'a'
		}
	}
}

// TestDescriptors: no file stays open behind ReadFile but the one that Close closes.
func TestDescriptors(t *testing.T) {
	name := t.TempDir() + "/m.eml"
	if err := os.WriteFile(name, []byte("A: 1\r\n\r\nb"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mailtest.Descriptors(t, func() {
		if _, err := ReadFile(dir); err == nil {
			t.Fatal("a folder is no message")
		}
		m, err := ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAddressBudget: a list that takes too much to repair is given up, and says so.
func TestAddressBudget(t *testing.T) {
	for _, s := range []string{"(,", "\"(,", "a <(,"} {
		_, bad := ReadAddressList(strings.Repeat(s, 2000))
		if len(bad) == 0 || len(bad) > 100 || bad[len(bad)-1].Reason != "too much to repair" {
			t.Errorf("%q: %d errors", s, len(bad))
		}
	}
}

// TestLongStatusFields: a diagnostic of a long reply is whole in a report, and a word
// that cannot be folded is cut but not lost.
func TestLongStatusFields(t *testing.T) {
	words := "550 " + strings.Repeat("no such user here ", 80)
	word := "550 " + strings.Repeat("x", 1200)
	for in, want := range map[string]string{words: strings.TrimSpace(words), word: "550 " + strings.Repeat("x", 700)} {
		r := &Report{ReportingMTA: "mx", To: "a@b", Recipients: []RecipientStatus{{FinalRecipient: "c@d", Action: Failed, DiagnosticCode: in}}}
		m, _ := ReadString(write(t, r))
		got, err := m.ParseReport(Limits{})
		if err != nil || len(got.Recipients) != 1 || !strings.HasPrefix(got.Recipients[0].DiagnosticCode, want) {
			t.Errorf("%.40s…: %d octets of %d: %+v, %v", in, len(got.Recipients[0].DiagnosticCode), len(in), got, err)
		}
	}
}
