package rfc2822

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
)

// tree describes a message's parts, one line each.
func tree(t testing.TB, text string, r io.Reader) string {
	t.Helper()
	m, err := Read(r)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	err = m.Walk(Limits{}, func(path []int, p *Part) error {
		fmt.Fprintf(&b, "%s %s", strings.Trim(fmt.Sprint(path), "[]"), p.MediaType)
		if name := p.FileName(); name != "" {
			fmt.Fprintf(&b, " name=%s", name)
		}
		if !p.IsMultipart() && !p.IsMessage() {
			body, err := io.ReadAll(p.Text())
			if err != nil {
				return err
			}
			if len(body) > 60 {
				body = append(body[:60], "…"...)
			}
			fmt.Fprintf(&b, " %q", body)
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Errorf("walk: %v", err)
	}
	for _, d := range m.Defects {
		fmt.Fprintf(&b, "! %s %s\n", d.Part, d.Kind)
	}
	return b.String()
}

func TestWalk(t *testing.T) {
	tests := map[string]string{
		"plain.eml":       ` text/plain "Hello Ben,\r\n\r\nthis is plain.\r\n\r\nAda\r\n"` + "\n",
		"8bit-latin1.eml": ` text/plain "Grüße aus Köln, naïve façade\r\n"` + "\n",
		"alternative.eml": ` multipart/alternative
1 text/plain "Grüße, € 100 soft"
2 text/html "<p>Grüße, € 100</p>"
`,
		"forwarded.eml": ` multipart/mixed
1 text/plain "See below."
2 message/rfc822
2 1 multipart/alternative
2 1 1 text/plain "Grüße, € 100 soft"
2 1 2 text/html "<p>Grüße, € 100</p>"
`,
		"digest.eml": ` multipart/digest
1 message/rfc822
1 1 text/plain "first body"
2 message/rfc822
2 1 text/plain "second body"
`,
		"bad-base64.eml": ` text/plain "Hello, world."
!  bad transfer encoding
`,
		"unterminated.eml": ` multipart/mixed
1 text/plain "first"
2 application/octet-stream "Hello world"
!  multipart not terminated
`,
		"no-boundary.eml": ` multipart/mixed
1 text/plain "text"
!  multipart without boundary
`,
		"empty.eml":     " text/plain \"\"\n",
		"no-header.eml": " text/plain \"This message has no header at all.\\r\\n\\r\\nIt goes on.\\r\\n\"\n!  no header\n",
	}
	for name, want := range tests {
		text := sample(t, name)
		for kind, r := range map[string]io.Reader{"at once": strings.NewReader(text), "one byte": iotest.OneByteReader(strings.NewReader(text))} {
			if got := tree(t, text, r); got != want {
				t.Errorf("%s, %s:\n%swant\n%s", name, kind, got, want)
			}
		}
	}
	got := tree(t, "", strings.NewReader(sample(t, "mixed-related.eml")))
	for _, want := range []string{"\n1 1 1 text/plain \"plain text\"\n", "\n1 2 image/png name=dot.png ", "\n2 application/pdf name=€ rates.pdf ", "\n3 text/plain name=passwd \"root\"\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestWalkBytewise: how the octets arrive makes no difference, for any sample.
func TestWalkBytewise(t *testing.T) {
	for name, text := range corpus(t) {
		if len(text) > 60000 {
			continue
		}
		whole := tree(t, text, strings.NewReader(text))
		if got := tree(t, text, iotest.OneByteReader(strings.NewReader(text))); got != whole {
			t.Errorf("%s:\n%sone byte at a time\n%s", name, whole, got)
		}
	}
}

// TestWalkAsGoMessage: where go-message can read a message, the leaves are the
// same, octet for octet.
func TestWalkAsGoMessage(t *testing.T) {
	// What go-message does otherwise, and why we do not.
	otherwise := map[string]string{}
	same := 0
	for name, text := range corpus(t) {
		theirs, err := goMessageLeaves(text)
		if err != nil || otherwise[name] != "" {
			continue
		}
		var ours []string
		m, _ := ReadString(text)
		err = m.Walk(Limits{}, func(_ []int, p *Part) error {
			if p.IsMultipart() && p.Params["boundary"] != "" {
				return nil
			}
			b, err := io.ReadAll(p.Decoded())
			ours = append(ours, string(b))
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if kinds(m.Defects) != "" {
			continue // malformed: go-message has other ways to repair
		}
		if strings.Join(ours, "\x00") != strings.Join(theirs, "\x00") {
			t.Errorf("%s: %d leaves, %d in go-message\n%.300q\n%.300q", name, len(ours), len(theirs), ours, theirs)
		}
		same++
	}
	if same < 100 {
		t.Errorf("only %d messages compared", same)
	}
	t.Logf("%d messages compared", same)
}

func goMessageLeaves(text string) ([]string, error) {
	reader := message.CharsetReader
	message.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // octets, not characters
	defer func() { message.CharsetReader = reader }()
	e, err := message.Read(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	var out []string
	err = e.Walk(func(_ []int, e *message.Entity, err error) error {
		if err != nil {
			return err
		}
		if e.MultipartReader() != nil {
			return nil
		}
		b, err := io.ReadAll(e.Body)
		out = append(out, string(b))
		return err
	})
	return out, err
}

func nest(levels int) string {
	var b strings.Builder
	for i := range levels {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("\r\ninnermost\r\n")
	for i := levels - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\r\n", i)
	}
	return b.String()
}

func TestWalkLimits(t *testing.T) {
	deep := nest(5000)
	m, _ := ReadString(deep)
	parts := 0
	err := m.Walk(Limits{}, func(path []int, p *Part) error { parts++; return nil })
	if err != nil || parts != 51 || !strings.Contains(kinds(m.Defects), "nested too deep") {
		t.Errorf("%d parts, %v, %v", parts, err, m.Defects)
	}

	many := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", 200000)
	m, _ = ReadString(many)
	parts = 0
	err = m.Walk(Limits{}, func([]int, *Part) error { parts++; return nil })
	var d Defect
	if !errors.As(err, &d) || d.Kind != TooManyParts || parts != 1000 {
		t.Errorf("%d parts, %v", parts, err)
	}

	long := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + strings.Repeat("X: y\r\n", 400000) + "\r\nbody\r\n--b--\r\n"
	m, _ = ReadString(long)
	fields := 0
	err = m.Walk(Limits{HeaderBytes: 600}, func(path []int, p *Part) error { fields = p.Header.Len(); return nil })
	if err != nil || fields != 100 || !strings.Contains(kinds(m.Defects), "header section too long") {
		t.Errorf("%d fields, %v, %v", fields, err, m.Defects)
	}

	m, _ = Read(io.MultiReader(strings.NewReader("A: 1\r\n\r\n"), &endless{}))
	err = m.Walk(Limits{Work: 1 << 20}, func([]int, *Part) error { return nil })
	if !errors.As(err, &d) || d.Kind != TooMuchWork {
		t.Errorf("endless body: %v", err)
	}
	m, _ = Read(io.MultiReader(strings.NewReader("A: 1\r\n\r\n"), &endless{}))
	err = m.Walk(Limits{Work: 1 << 20}, func(_ []int, p *Part) error { _, err := io.Copy(io.Discard, p.Raw()); return err })
	if !errors.As(err, &d) || d.Kind != TooMuchWork {
		t.Errorf("endless body read: %v", err)
	}
	// Messages in messages count as levels too, and so does base64 around them.
	m, _ = ReadString(strings.Repeat("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n", 500))
	parts = 0
	if err := m.Walk(Limits{Depth: 20}, func([]int, *Part) error { parts++; return nil }); err != nil || parts > 21 {
		t.Errorf("%d parts, %v", parts, err)
	}
}

func TestWalkControl(t *testing.T) {
	text := sample(t, "forwarded.eml")
	m, _ := ReadString(text)
	var paths []string
	walk := func(fn func(p *Part) error) string {
		paths = nil
		if err := m.Walk(Limits{}, func(_ []int, p *Part) error { paths = append(paths, p.Path()); return fn(p) }); err != nil {
			t.Error(err)
		}
		return strings.Join(paths, " ")
	}
	if got := walk(func(p *Part) error { return nil }); got != " 1 2 2.1 2.1.1 2.1.2" {
		t.Error(got)
	}
	if got := walk(func(p *Part) error {
		if p.IsMessage() {
			return ErrSkip
		}
		return nil
	}); got != " 1 2" {
		t.Error("ErrSkip:", got)
	}
	if got := walk(func(p *Part) error { // what stands behind what is skipped is not
		if !p.IsMultipart() && !p.IsMessage() {
			return fmt.Errorf("text: %w", ErrSkip)
		}
		return nil
	}); got != " 1 2 2.1 2.1.1 2.1.2" {
		t.Error("ErrSkip of texts:", got)
	}
	var inner string
	if got := walk(func(p *Part) error {
		if p.IsMessage() {
			b, err := io.ReadAll(p.Raw())
			inner = string(b)
			return err
		}
		return nil
	}); got != " 1 2" || !strings.HasPrefix(inner, "From: Ada") || !strings.HasSuffix(inner, "--alt--\r\n") {
		t.Errorf("a message that was read: %q %q", got, inner)
	}
	stop := errors.New("stop")
	if err := m.Walk(Limits{}, func([]int, *Part) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	s, _ := Read(stream(text))
	_ = s.Walk(Limits{}, func([]int, *Part) error { return nil })
	if err := s.Walk(Limits{}, func([]int, *Part) error { return nil }); !errors.Is(err, ErrBodyRead) {
		t.Error("second walk of a stream:", err)
	}
	broken := errors.New("disk on fire")
	for _, text := range []string{"A: 1\r\n\r\nx", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx", "Content-Type: message/rfc822\r\n\r\nA: 1"} {
		s, _ = Read(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)))
		if err := s.Walk(Limits{}, func([]int, *Part) error { return nil }); !errors.Is(err, broken) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWalkRepairs(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"similar boundaries", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--bb\nstill one\n--b-\nstill\n--b  \n\ntwo\n--b--  \nepilogue",
			" multipart/mixed\n1 text/plain \"one\\n--bb\\nstill one\\n--b-\\nstill\"\n2 text/plain \"two\"\n"},
		{"inner ended by outer", "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\na\n--o\n\nb\n--o--",
			" multipart/mixed\n1 multipart/mixed\n1 1 text/plain \"a\"\n2 text/plain \"b\"\n! 1 multipart not terminated\n"},
		{"header without empty line", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\nno header here\nat all\n--b--",
			" multipart/mixed\n1 text/html \"\"\n2 text/plain \"no header here\\nat all\"\n! 2 no header\n"},
		{"bad types", "Content-Type: nonsense\n\nx", " text/plain \"x\"\n!  bad Content-Type\n"},
		{"old type", "Content-Type: text\n\nx", " text/plain \"x\"\n"},
		{"unknown encoding", "Content-Transfer-Encoding: x-rot13\n\nx", " text/plain \"x\"\n!  unknown transfer encoding\n"},
		{"sloppy encoding", "Content-Transfer-Encoding: \"Base64\";\n\neA==", " text/plain \"x\"\n"},
		{"misspelt encodings", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: 8-bit\n\nx\n--b\nContent-Transfer-Encoding: QP\n\n=78\n--b\nContent-Transfer-Encoding: quoted printable\n\n=79\n--b--", " multipart/mixed\n1 text/plain \"x\"\n2 text/plain \"x\"\n3 text/plain \"y\"\n"},
		{"unknown charset", "Content-Type: text/plain; charset=klingon\n\nx\xff", " text/plain \"x�\"\n!  unknown charset\n"},
		{"uuencode", "Content-Transfer-Encoding: x-uuencode\n\ntext\nbegin 644 f\n#0V%T\n`\nend\n", " text/plain \"Cat\"\n"},
		{"text behind uuencode", "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 f\n#0V%T\n`\nend\nRegards, A\n", " text/plain \"Cat\"\n"},
		{"bad uuencode", "Content-Transfer-Encoding: uuencode\n\nbegin 644 f\n#0V\n", " text/plain \"C`\\x00\"\n!  bad transfer encoding\n"},
		{"bad quoted-printable", "Content-Transfer-Encoding: quoted-printable\n\na=ZZ=3d=\n=", " text/plain \"a=ZZ=\"\n!  bad transfer encoding\n"},
		{"boundary line at the very end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b", " multipart/mixed\n1 text/plain \"one\"\n2 text/plain \"\"\n!  multipart not terminated\n"},
		{"encoded message", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogMQoKaGVsbG8=!", " message/rfc822\n1 text/plain \"hello\"\n!  bad transfer encoding\n"},
		{"us-ascii that is UTF-8", "Content-Type: text/plain; charset=us-ascii\n\ngr\xc3\xbc\xc3\x9fe", " text/plain \"grüße\"\n"},
		{"cut behind a line", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n", " multipart/mixed\n1 text/plain \"one\\n\"\n!  multipart not terminated\n"},
		{"no part at all", "Content-Type: multipart/mixed; boundary=b\n\nnothing", " multipart/mixed\n1 text/plain \"nothing\"\n!  multipart without boundary\n"},
		{"boundary with a blank", "Content-Type: multipart/mixed; boundary=\"b \"\n\n--b\n\none\n--b--", " multipart/mixed\n1 text/plain \"one\"\n"},
	}
	for _, tt := range tests {
		for _, text := range []string{tt.in} {
			got := strings.ReplaceAll(tree(t, text, strings.NewReader(text)), "\x00", `\x00`)
			if got != tt.want {
				t.Errorf("%s:\n%swant\n%s", tt.name, got, tt.want)
			}
		}
	}
}

// TestWalkLongLines: lines longer than any buffer, and a CRLF across its edge.
func TestWalkLongLines(t *testing.T) {
	for _, n := range []int{8190, 8191, 8192, 8193, 16383, 16384, 100000} {
		short := strings.Repeat("x", n) // its CRLF belongs to the boundary
		m, _ := ReadString("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + short + "\r\n--b--\r\n")
		err := m.Walk(Limits{}, func(path []int, p *Part) error {
			if len(path) == 0 {
				return nil
			}
			got, err := io.ReadAll(p.Raw())
			if string(got) != short {
				t.Errorf("%d: %d octets before the boundary", n, len(got))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		body := short + "\r\n--not the boundary\r\n" + strings.Repeat("y", n) + "\r\r\n\r\n"
		m, _ = ReadString("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + body + "\r\n--b\r\n\r\n" + body + "\r\n--b--\r\n")
		err = m.Walk(Limits{}, func(path []int, p *Part) error {
			if len(path) == 1 {
				got, _ := io.ReadAll(p.Raw())
				if string(got) != body {
					t.Errorf("%d: part %d differs: %d octets of %d", n, path[0], len(got), len(body))
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestWalkReadersEnd: a part's reader that is kept beyond the walk is at its
// end; it never shows another message.
func TestWalkReadersEnd(t *testing.T) {
	var kept []io.Reader
	for _, name := range []string{"plain.eml", "alternative.eml", "8bit-latin1.eml"} {
		m, _ := Read(stream(sample(t, name)))
		if err := m.Walk(Limits{}, func(_ []int, p *Part) error { kept = append(kept, p.Raw(), p.Text()); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range kept {
		if b, err := io.ReadAll(r); len(b) != 0 || err != nil {
			t.Errorf("reader %d gives %q, %v", i, b, err)
		}
	}
}

func TestPart(t *testing.T) {
	m, _ := ReadString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: Base64\r\nContent-ID: <c@x>\r\nContent-Disposition: INLINE; filename=a/b.txt\r\n\r\n")
	err := m.Walk(Limits{}, func(path []int, p *Part) error {
		if p.ContentTransferEncoding() != "base64" || p.ContentID() != "c@x" || p.Disposition() != "inline" || p.FileName() != "b.txt" || p.Charset() != "utf-8" || p.Path() != "" {
			t.Errorf("%+v", p)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDefectsBounded: a hostile message does not buy memory with defects.
func TestDefectsBounded(t *testing.T) {
	junk := strings.Repeat("junk\r\nA: 1\n", 20000) + "\r\n"
	m, _ := ReadString("Content-Type: multipart/mixed; boundary=b\r\n" + junk + strings.Repeat("--b\r\nA: 1\r\n"+junk, 10))
	if err := m.Walk(Limits{}, func([]int, *Part) error { return nil }); err != nil || len(m.Defects) > 2*maxDefects+2 || len(m.Defects) < maxDefects {
		t.Errorf("%d defects, %v", len(m.Defects), err)
	}
}

// TestWhatIsAMessage: the types whose body is a message again, and what only looks like one.
func TestWhatIsAMessage(t *testing.T) {
	for name, want := range map[string]bool{
		"message/rfc822": true, "message/global": true, "message/news": true, "Message/RFC822": true,
		"message/partial": false, "message/external-body": false, "message/delivery-status": false, "message/rfc8222": false, "text/plain": false,
	} {
		m, err := ReadString("Content-Type: " + name + "\r\n\r\nSubject: inner\r\n\r\nbody\r\n")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := m.Walk(Limits{}, func(_ []int, p *Part) error {
			if n++; n == 1 && p.IsMessage() != want {
				t.Errorf("%s: a message: %v", name, p.IsMessage())
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if (n == 2) != want {
			t.Errorf("%s: %d parts", name, n)
		}
	}
}
