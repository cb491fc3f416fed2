package rfc2822

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// TestIdentity: what is read is what is written, whatever it is and however
// it arrives.
func TestIdentity(t *testing.T) {
	for name, text := range corpus(t) {
		readers := map[string]io.Reader{
			"section":  strings.NewReader(text),
			"stream":   stream(text),
			"one byte": iotest.OneByteReader(strings.NewReader(text)),
			"data+err": iotest.DataErrReader(strings.NewReader(text)),
		}
		for kind, r := range readers {
			m, err := Read(r)
			if err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
			var b strings.Builder
			n, err := m.WriteTo(&b)
			if err != nil || n != int64(len(text)) || b.String() != text {
				t.Errorf("%s, %s: not identical (%d of %d octets, %v)", name, kind, n, len(text), err)
			}
		}
		whole, _ := Read(strings.NewReader(text))
		bytewise, _ := Read(iotest.OneByteReader(strings.NewReader(text)))
		if kinds(whole.Defects) != kinds(bytewise.Defects) || whole.Header.Len() != bytewise.Header.Len() {
			t.Errorf("%s: one byte at a time gives %d fields, %q; at once %d, %q", name,
				bytewise.Header.Len(), kinds(bytewise.Defects), whole.Header.Len(), kinds(whole.Defects))
		}
		if m, _ := ReadString(text); octets(m) != text {
			t.Errorf("%s: Text differs", name)
		}
	}
}

func TestReadDefects(t *testing.T) {
	tests := []struct {
		in, fields, body, defects string
	}{
		{"", "", "", ""},
		{"A: 1\r\n\r\nb", "A", "b", ""},
		{"A: 1\n\nb", "A", "b", ""},
		{"A: 1\r\nb:\r\n\tx\r\n\r\n", "A b", "", ""},
		{"A: 1", "A", "", ""},
		{"A : 1\r\n\r\n", "A", "", ""},
		{"\r\nA: 1\r\n", "", "A: 1\r\n", ""},
		{"just text\r\nA: 1\r\n", "", "just text\r\nA: 1\r\n", "no header"},
		{": 1\r\n\r\n", "", ": 1\r\n\r\n", "no header"},
		{"gr\xc3\xbc: 1\r\n\r\n", "", "gr\xc3\xbc: 1\r\n\r\n", "no header"},
		{"From x y\r\nA: 1\r\n\r\nb", " A", "b", "mbox From line"},
		{">From x y\r\nA: 1\r\n\r\nb", " A", "b", "mbox From line"},
		{"From: x\r\n\r\nb", "From", "b", ""},
		{" x\r\nA: 1\r\n\r\nb", " A", "b", "continuation without a field"},
		{" x\r\n\r\nb", "", " x\r\n\r\nb", "no header"},
		{" x\r\nno field\r\nA: 1\r\n", "", " x\r\nno field\r\nA: 1\r\n", "no header"},
		{"A: 1\r\njunk\r\n x\r\nB: 2\r\n\r\nb", "A  B", "b", "line is not a header field"},
		{"A: 1\r\nText.\r\n\r\nMore: x\r\n", "A", "Text.\r\n\r\nMore: x\r\n", "no empty line after the header"},
		{"A: 1\r\nText.\r\nmore text\r\nB: 2\r\n\r\n", "A", "Text.\r\nmore text\r\nB: 2\r\n\r\n", "no empty line after the header"},
		{"A: 1\r\nText", "A", "Text", "no empty line after the header"},
		{"A: 1\r\n \r\n\r\nb", "A", "b", ""},
		{"A: a\rB: 1\r\n\r\n", "A", "", "bare CR"},
		{"A: 1\r\nB: 2\n\r\n", "A B", "", "bare LF among CRLF"},
		{"A: \x00\r\n\r\n", "A", "", "NUL octet"},
		{"A: \xfc\r\n\r\n", "A", "", "octets that are not UTF-8"},
		{"A: \xc3\xbc\r\n\r\n", "A", "", ""},
		{"A: " + strings.Repeat("x", 995) + "\r\n\r\n", "A", "", ""},
		{"A: " + strings.Repeat("x", 996) + "\r\n\r\n", "A", "", "line longer than 998 octets"},
		{"A: " + strings.Repeat("x", 996) + "\n\n", "A", "", "line longer than 998 octets"},
	}
	for _, tt := range tests {
		for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
			m, err := Read(r)
			if err != nil {
				t.Fatalf("%q: %v", tt.in, err)
			}
			var names []string
			for f := range m.Header.All() {
				names = append(names, f.Name())
			}
			b, _ := io.ReadAll(m.Body())
			if strings.Join(names, " ") != tt.fields || string(b) != tt.body || kinds(m.Defects) != tt.defects {
				t.Errorf("%.60q: fields %q, body %q, defects %q\nwant %q, %q, %q", tt.in, strings.Join(names, " "), b, kinds(m.Defects), tt.fields, tt.body, tt.defects)
			}
		}
		s, n, defects := ParseHeader(tt.in)
		if s.Size() != n || kinds(defects) != tt.defects || tt.in[n:] != tt.body {
			t.Errorf("ParseHeader(%.60q): %d octets, %q", tt.in, n, kinds(defects))
		}
	}
}

func TestDefectText(t *testing.T) {
	m, _ := ReadString("A: 1\r\nB: x\ry\r\n\r\n")
	if len(m.Defects) != 1 || m.Defects[0].Error() != "rfc2822: bare CR at octet 10" {
		t.Errorf("%v", m.Defects)
	}
	if s := (Defect{Kind: BadEncoding, Offset: -1, Part: "1.2"}).Error(); s != "rfc2822: bad transfer encoding in part 1.2" {
		t.Error(s)
	}
	if s := DefectKind(200).String(); s != "defect 200" {
		t.Error(s)
	}
}

func TestHeaderLimit(t *testing.T) {
	field := "X: " + strings.Repeat("x", 95) + "\r\n" // 100 octets
	text := strings.Repeat(field, 50) + "\r\nbody"
	for _, r := range []io.Reader{strings.NewReader(text), stream(text), iotest.OneByteReader(strings.NewReader(text))} {
		m, err := ReadLimited(r, Limits{HeaderBytes: 1050})
		if err != nil || m.Header.Len() != 10 || !m.Header.Truncated() || kinds(m.Defects) != "header section too long" {
			t.Fatalf("%d fields, %v, %q", m.Header.Len(), err, kinds(m.Defects))
		}
		if got := m.Header.Missing("Date"); got != nil {
			t.Errorf("a truncated section claims to miss %v", got)
		}
		if octets(m) != text {
			t.Error("not identical")
		}
	}
	m, _ := ReadLimited(stream("X: "+strings.Repeat("y", 5000)), Limits{HeaderBytes: 1000})
	if m.Header.Size() != 1000 || len(octets(m)) != 5003 {
		t.Errorf("one endless line: %d octets of header", m.Header.Size())
	}
}

// endless gives octets for ever and counts them.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.n += len(p)
	return len(p), nil
}

func TestReadStopsEarly(t *testing.T) {
	e := &endless{}
	if m, err := Read(e); err != nil || m.Header.Len() != 0 || e.n > 16384 {
		t.Errorf("no header: read %d octets, %v", e.n, err)
	}
	e = &endless{}
	m, err := Read(io.MultiReader(strings.NewReader("A: "), e))
	if err != nil || !m.Header.Truncated() || e.n > 1<<20+1 {
		t.Errorf("endless field: read %d octets, %v", e.n, err)
	}
}

func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	m, err := Read(io.MultiReader(strings.NewReader("A: 1\r\nB: 2"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || m == nil || m.Header.Get("B") != "2" {
		t.Fatalf("%v, %v", m, err)
	}
	m, err = Read(io.MultiReader(strings.NewReader("A: 1\r\n\r\nbody"), iotest.ErrReader(broken)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.WriteTo(io.Discard); !errors.Is(err, broken) {
		t.Errorf("WriteTo: %v", err)
	}
	if _, err := Read(noProgress{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type noProgress struct{}

func (noProgress) Read([]byte) (int, error) { return 0, nil }

// TestBigBody: memory does not grow with the body.
func TestBigBody(t *testing.T) {
	const size = 20 << 20
	text := "Subject: big\r\n\r\n"
	read := func() {
		m, err := Read(io.MultiReader(strings.NewReader(text), io.LimitReader(&endless{}, size)))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := m.WriteTo(onlyWriter{}); err != nil || n != size+int64(len(text)) {
			t.Fatalf("%d octets, %v", n, err)
		}
	}
	if got := allocated(read); got > 256<<10 {
		t.Errorf("%d octets allocated for a body of %d", got, size)
	}
}

type onlyWriter struct{}

func (onlyWriter) Write(p []byte) (int, error) { return len(p), nil }

func TestReadFile(t *testing.T) {
	name := filepath.Join("..", "testdata", "messages", "alternative.eml")
	m, err := ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := os.ReadFile(name)
	for range 2 {
		if octets(m) != string(want) || m.body.at == nil {
			t.Error("file differs")
		}
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error("second Close:", err)
	}
	if _, err := ReadFile(name + ".nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := ReadFile(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
	// A section may begin in the middle of a file, and a pipe is a stream.
	f, _ := os.Open(name)
	defer f.Close()
	_, _ = f.Seek(6, io.SeekStart)
	if m, _ := Read(f); octets(m) != string(want[6:]) {
		t.Error("reading from the middle of a file")
	}
	pr, pw, _ := os.Pipe()
	defer pr.Close()
	_, _ = pw.WriteString("A: 1\r\n\r\nb")
	pw.Close()
	if m, _ := Read(pr); octets(m) != "A: 1\r\n\r\nb" {
		t.Error("reading from a pipe")
	}
}

func TestStreamIsReadOnce(t *testing.T) {
	m, _ := Read(stream("A: 1\r\n\r\nbody"))
	if b, _ := io.ReadAll(m.Body()); string(b) != "body" {
		t.Error("body differs")
	}
	if _, err := m.WriteTo(io.Discard); !errors.Is(err, ErrBodyRead) {
		t.Error(err)
	}
	if _, err := m.Reader(); !errors.Is(err, ErrBodyRead) {
		t.Error(err)
	}
	if octets(m) != "" {
		t.Error("Text of a body that is gone")
	}
	var zero Message
	if b, _ := io.ReadAll(zero.Body()); len(b) != 0 || octets(&zero) != "" {
		t.Error("the zero message is not empty")
	}
	m, _ = Read(stream("A: 1\r\n\r\nbody"))
	r, err := m.Reader()
	if b, _ := io.ReadAll(r); err != nil || string(b) != "A: 1\r\n\r\nbody" {
		t.Errorf("Reader: %q, %v", b, err)
	}
}

func TestPeek(t *testing.T) {
	for name, text := range corpus(t) {
		for _, r := range []io.Reader{stream(text), iotest.OneByteReader(strings.NewReader(text)), strings.NewReader(text)} {
			head, whole, err := Peek(r, 0)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(whole)
			if err != nil || string(got) != text {
				t.Errorf("%s: the stream changed", name)
			}
			m, _ := ReadString(text)
			if head.String() != m.Header.String() {
				t.Errorf("%s: another section than Read's", name)
			}
		}
	}
	head, _, _ := Peek(stream("from: a@b\r\nDATE: now\r\n\r\nMessage-ID: no"), 0)
	if got := head.Missing("Date", "Message-ID", "From"); len(got) != 1 || got[0] != "Message-ID" {
		t.Errorf("Missing: %v", got)
	}
	if head, _, _ := Peek(stream("no header here"), 0); head.Seam() != "\r\n" || len(head.Missing("Date")) != 1 {
		t.Error("a message without header must be told apart")
	}
	head, whole, _ := Peek(stream(strings.Repeat("A: 1\r\n", 100)), 50)
	if got, _ := io.ReadAll(whole); !head.Truncated() || len(got) != 600 {
		t.Error("the limit of Peek")
	}
	broken := errors.New("gone")
	_, whole, err := Peek(io.MultiReader(strings.NewReader("A: 1"), iotest.ErrReader(broken)), 0)
	got, rerr := io.ReadAll(whole)
	if !errors.Is(err, broken) || !errors.Is(rerr, broken) || string(got) != "A: 1" {
		t.Errorf("%v, %q, %v", err, got, rerr)
	}
}

// failWriter fails after n octets.
type failWriter struct{ n int }

func (f *failWriter) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errors.New("writer is full")
	}
	return len(p), nil
}

// TestTruncatedSection: what is not all there is neither removed nor cut in two.
func TestTruncatedSection(t *testing.T) {
	in := "A: 1\r\nBcc: a,\r\n " + strings.Repeat("x", 100) + "\r\n\r\nbody"
	for _, change := range []func(*Section){
		func(h *Section) { h.Remove("Bcc") },
		func(h *Section) { h.Prepend(mustField(t, "X", "1")); h.Remove("X", "Bcc") },
	} {
		m, _ := ReadLimited(strings.NewReader(in), Limits{HeaderBytes: 50})
		change(&m.Header)
		if !m.Header.Truncated() || octets(m) != in {
			t.Errorf("%q", octets(m))
		}
	}
	m, _ := ReadLimited(strings.NewReader(in), Limits{HeaderBytes: 50})
	m.Header.Prepend(mustField(t, "X", "1"))
	if want := "X: 1\r\n" + in; octets(m) != want {
		t.Errorf("%q", octets(m))
	}
}

// TestSeam: whatever a message begins with, fields written above it stay whole,
// and the message's own fields stay fields.
func TestSeam(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "A: 1\r\n\r\n": "", "\r\nbody": "", "From x\r\nA: 1\r\n": "", "no header\r\n": "\r\n",
		" b\r\nA: 1\r\n": "X-Leading-Line:\r\n", "\tb\nA: 1\n": "X-Leading-Line:\n", " \r\n\r\n": "\r\n",
	} {
		head, r, err := Peek(strings.NewReader(in), 0)
		if err != nil || head.Seam() != want {
			t.Errorf("%q: %q, %v", in, head.Seam(), err)
		}
		rest, _ := io.ReadAll(r)
		m, _ := ReadString("Trace: ours\r\n" + head.Seam() + string(rest))
		if f, ok := m.Header.First("Trace"); !ok || f.Value() != "ours" || m.Header.Get("A") != head.Get("A") {
			t.Errorf("%q: the trace is %q", in, f.Raw())
		}
	}
}

// TestHeaderByteByByte: a long line that comes octet by octet is not looked
// through again with each of them.
func TestHeaderByteByByte(t *testing.T) {
	text := "A: " + strings.Repeat("x", 1<<20-10)
	m, err := Read(iotest.OneByteReader(strings.NewReader(text))) // a quadratic one would take half a minute
	if err != nil || m.Header.Size() != len(text) {
		t.Error(m.Header.Size(), err)
	}
}
