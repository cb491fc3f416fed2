package rfc2822

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func structure(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "structure", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestStructureFiles: messages whose structure is damaged, and what a person sees
// of them elsewhere.
func TestStructureFiles(t *testing.T) {
	const parted, guessed = " multipart/mixed\n1 text/plain \"hello\"\n", "!  multipart without boundary\n"
	for name, want := range map[string]string{
		"blanks-around-slash.eml":           parted,
		"semicolon-missing.eml":             parted,
		"header-ends-in-a-blank.eml":        parted + "!  no empty line after the header\n",
		"no-empty-line-before-boundary.eml": parted + "2 text/plain \"second\"\n!  no empty line after the header\n",
		"boundary-misspelt.eml":             parted + guessed,
		"boundary-never-occurs.eml":         " multipart/mixed\n1 text/plain \"All that the sender wrote.\\n\"\n" + guessed,
	} {
		for kind, text := range map[string]string{"LF": structure(t, name), "CRLF": crlf(structure(t, name))} {
			got := strings.ReplaceAll(tree(t, text, strings.NewReader(text)), `\r\n`, `\n`)
			if got != want {
				t.Errorf("%s, %s:\n%swant\n%s", name, kind, got, want)
			}
			if got := strings.ReplaceAll(tree(t, text, iotest.OneByteReader(strings.NewReader(text))), `\r\n`, `\n`); got != want {
				t.Errorf("%s, %s, one byte at a time:\n%s", name, kind, got)
			}
		}
	}
}

// enclosures put a message's body part into others: as it is, in a multipart, in a
// message within a multipart, and in an encoded one.
var enclosures = map[string]string{
	"alone":     "%s",
	"multipart": "Content-Type: multipart/mixed; boundary=outer\n\n--outer\n%s\n--outer\n\nfooter\n--outer--\n",
	"message":   "Content-Type: multipart/mixed; boundary=outer\n\n--outer\nContent-Type: message/rfc822\n\n%s\n--outer--\n",
	"unclosed":  "Content-Type: multipart/mixed; boundary=outer\n\n--outer\n%s\n",
	"guessed":   "Content-Type: multipart/mixed; boundary=other\n\n--outer\nContent-Type: text/plain\n\nfirst\n--outer\n%s\n--outer--\n",
}

// TestEveryTextIsFound: wherever the damage is, the text is found as text.
func TestEveryTextIsFound(t *testing.T) {
	const head, part, end = "Content-Type: multipart/mixed; boundary=b1\n", "--b1\nContent-Type: text/plain\n\nhello needle\n", "--b1--\n"
	damaged := map[string]string{
		"nothing":                  head + "\n" + part + end,
		"no empty line":            head + part + end,
		"blanks for an empty line": head + " \t\n" + part + end,
		"junk before the boundary": head + "junk\n" + part + end,
		"field behind":             head + "X: 1\n" + part + end,
		"no closing line":          head + "\n" + part,
		"closed only":              head + "\nneedle\n" + end,
		"closed before":            head + "\n" + end + "needle\n",
		"closed before the part":   head + "\n" + end + part,
		"no boundary line":         head + "\nneedle\n",
		"no body part header":      head + "\n--b1\nneedle\n" + end,
		"another boundary":         head + "\n" + strings.ReplaceAll(part+end, "b1", "b2"),
		"boundary longer":          head + "\n" + strings.ReplaceAll(part+end, "b1", "b1x"),
		"boundary in quotes":       strings.Replace(head, "b1", `"<b1>"`, 1) + "\n" + part + end,
		"no boundary parameter":    strings.Replace(head, "; boundary=b1", "", 1) + "\n" + part + end,
		"empty boundary":           strings.Replace(head, "b1", `""`, 1) + "\n" + part + end,
		"blank boundary":           strings.Replace(head, "b1", `" "`, 1) + "\n" + part + end,
		"no semicolon":             strings.Replace(head, "; boundary", " charset=x boundary", 1) + "\n" + part + end,
		"a comma":                  strings.Replace(head, ";", ",", 1) + "\n" + part + end,
		"a comment":                strings.Replace(head, "b1", "b1(b2)", 1) + "\n" + part + end,
		"blanks":                   strings.Replace(head, "/", " / ", 1) + "\n" + part + end,
		"a type of comments":       strings.Replace(head, "/", "(a)/(b) ", 1) + "\n" + part + end,
		"an alternative":           strings.Replace(head, "mixed", "alternative", 1) + "\nneedle\n",
		"a digest":                 strings.Replace(head, "mixed", "digest", 1) + "\nneedle\n",
		"a report":                 strings.Replace(head, "mixed", "report", 1) + "\nneedle\n",
		"an encoding":              head + "Content-Transfer-Encoding: base64\n\nbmVlZGxlCg==\n",
		"a charset":                strings.Replace(head, ";", "; charset=utf-16be;", 1) + "Content-Transfer-Encoding: base64\n\nAG4AZQBlAGQAbABl\n",
		"part type text":           head + "\n--b1\nContent-Type: text\n\nneedle\n" + end,
		"part type with a comma":   head + "\n--b1\nContent-Type: text/plain, charset=us-ascii\n\nneedle\n" + end,
		"part type without half":   head + "\n--b1\nContent-Type: /plain\n\nneedle\n" + end,
		"part type in quotes":      head + "\n--b1\nContent-Type: \"text/plain\"\n\nneedle\n" + end,
		"part type with blanks":    head + "\n--b1\nContent-Type: (c) text (x) / plain (y); charset=us-ascii\n\nneedle\n" + end,
		"multiparts side by side":  head + "\n--b1\n" + strings.Replace(head, "b1", "b2", 1) + "\nneedle\n--b1\n\nother\n" + end,
	}
	for _, n := range []int{maxPreamble - 40, maxPreamble - 1, maxPreamble, maxPreamble + 1, 3 * maxPreamble} {
		long := strings.Repeat("y", n)
		damaged[fmt.Sprint("one line of ", n)] = head + "\n" + long + " needle\n"
		damaged[fmt.Sprint("lines of ", n)] = head + "\nneedle\n" + strings.Repeat("yyyyyyy\n", n/8)
		damaged[fmt.Sprint("text before the part of ", n)] = head + "\n" + long + "\n" + part + end
		damaged[fmt.Sprint("text before another's part of ", n)] = head + "\n" + long + "\n" + strings.ReplaceAll(part+end, "b1", "b2")
		damaged[fmt.Sprint("another's part, and text of ", n)] = head + "\n" + strings.ReplaceAll(part, "b1", "b2") + long + "\n" + part + end
	}
	for what, text := range damaged {
		for where, around := range enclosures {
			for _, eol := range []string{"\n", "\r\n"} {
				in := strings.ReplaceAll(fmt.Sprintf(around, text), "\n", eol)
				m, _ := ReadString(in)
				c, err := m.Content(Limits{}, 0)
				if err != nil {
					t.Errorf("%s, %s: %v", what, where, err)
					continue
				}
				found := strings.Contains(c.Text, "needle")
				for _, a := range c.Attachments { // messages are attachments
					var b strings.Builder
					if _, err := m.WritePart(&b, Limits{}, a.Path); err != nil {
						t.Errorf("%s, %s: %v", what, where, err)
					}
					inner, _ := ReadString(b.String())
					if c, _ := inner.Content(Limits{}, 0); a.MediaType == "message/rfc822" && strings.Contains(c.Text, "needle") {
						found = true
					}
				}
				if !found {
					t.Errorf("%s, %s: no text in %q %+v\n%.300q", what, where, c.Text, c.Attachments, in)
				}
				if where == "multipart" && !strings.Contains(c.Text, "footer") {
					t.Errorf("%s: the part behind is lost: %.200q", what, c.Text)
				}
				pathsDiffer(t, what+", "+where, m)
			}
		}
	}
}

// pathsDiffer: no two parts of a walk have the same path.
func pathsDiffer(t *testing.T, what string, m *Message) {
	t.Helper()
	seen := map[string]bool{}
	_ = m.Walk(Limits{}, func(_ []int, p *Part) error {
		if seen[p.Path()] {
			t.Errorf("%s: two parts are %q", what, p.Path())
		}
		seen[p.Path()] = true
		return nil
	})
}

// TestTextIsNoBoundary: lines of dashes in a text do not make it a multipart.
func TestTextIsNoBoundary(t *testing.T) {
	for _, text := range []string{
		"-- \nAda\n", "--\n\nAda\n", "-----Original Message-----\nFrom: a\n\nx\n", "----------\n\nx\n----------\n", "-----BEGIN PGP MESSAGE-----\nVersion: 1\n\nx\n-----END PGP MESSAGE-----\n",
		"--option\n\nx --option--\n", "--" + strings.Repeat("x", 71) + "\nContent-Type: text/plain\n\nx\n",
	} {
		in := "Content-Type: multipart/mixed; boundary=never\n\n" + text
		if got, want := tree(t, in, strings.NewReader(in)), "multipart/mixed\n1 text/plain "; strings.Count(got, "\n") != 3 || !strings.Contains(got, want) {
			t.Errorf("%q:\n%s", text, got)
		}
	}
	long := "--" + strings.Repeat("x", 70)
	for _, text := range []string{"--x\nContent-Type: text/plain\n\na\n", "--x\n\na\n--x--\n", "--x\nX: 1\n\na\n--x--\n", long + "\nContent-ID: <a@b>\n\na\n", "text\n--x \ncontent-type: text/plain\n\na\n"} {
		in := "Content-Type: multipart/mixed; boundary=never\n\n" + text
		m, _ := ReadString(in)
		if c, _ := m.Content(Limits{}, 0); strings.TrimSpace(c.Text) != "a" {
			t.Errorf("%q: %q", text, c.Text)
		}
	}
}

// TestBoundaryInHeader: only the message's own boundary ends its header.
func TestBoundaryInHeader(t *testing.T) {
	for in, want := range map[string]int{ // fields that are the message's, junk lines included
		"Content-Type: multipart/mixed; boundary=b\n--b\nX: 1\n\n":                    1,
		"Content-Type: multipart/mixed; boundary=b\n--b--\nX: 1\n\n":                  1,
		"Content-Type: multipart/mixed; boundary=b\n--bb\nX: 1\n\n":                   3,
		"Content-Type: multipart/mixed; boundary=b\n--c\nX: 1\n--b\nY: 1\n\n":         3,
		"--b\nContent-Type: multipart/mixed; boundary=b\nX: 1\n\n":                    0,
		"A: 1\n--b\nContent-Type: multipart/mixed; boundary=b\nX: 1\n\n":              4,
		"Content-Type: a/b; boundary=\"b\n \"\n--b\nX: 1\n\n":                         1,
		"Content-Type: a/b; boundary=x\nContent-Type: c/d; boundary=b\n--b\nX: 1\n\n": 4,
		"X-Content-Type: a/b; boundary=b\n--b\nX: 1\n\n":                              3,
		"content-TYPE: a/b; BOUNDARY=b\n--b \t\nX: 1\n\n":                             1,
		"Content-Type: a/b\n--\nX: 1\n\n":                                             3,
		"Content-Type: a/b; boundary=\" \"\n--\nX: 1\n\n":                             3,
	} {
		for kind, text := range map[string]string{"LF": in, "CRLF": crlf(in)} {
			m, _ := ReadString(text)
			streamed, _ := Read(iotest.OneByteReader(strings.NewReader(text)))
			if m.Header.Len() != want || streamed.Header.Len() != want {
				t.Errorf("%q, %s: %d and %d fields, want %d", in, kind, m.Header.Len(), streamed.Header.Len(), want)
			}
			if octets(m) != text {
				t.Errorf("%q: written as %q", text, octets(m))
			}
		}
	}
	ReadString("Content-Type: a/b\n" + strings.Repeat("--x\nA: 1\n", 100000)) // a quadratic one would take minutes
}
