package textual

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"
)

// got is what a line turned out to be: its text or its error.
type got struct {
	line string
	err  error
}

var lineTests = []struct {
	name             string
	raw              string
	strict, tolerant []got
}{
	{"nothing", "", []got{{"", io.EOF}}, nil},
	{"one", "NOOP\r\n", []got{{"NOOP", nil}, {"", io.EOF}}, nil},
	{"empty lines", "\r\n\r\n", []got{{"", nil}, {"", nil}, {"", io.EOF}}, nil},
	{"longest", "12345678\r\nx\r\n", []got{{"12345678", nil}, {"x", nil}, {"", io.EOF}}, nil},
	{"too long", "123456789\r\nx\r\n", []got{{"", ErrLineTooLong}, {"x", nil}, {"", io.EOF}}, nil},
	{"much too long", strings.Repeat("1", 3*bulkSize) + "\r\nx\r\n", []got{{"", ErrLineTooLong}, {"x", nil}}, nil},
	{"longer than the buffer by one", strings.Repeat("1", smallSize) + "\r\nx\r\n", []got{{"", ErrLineTooLong}, {"x", nil}}, nil},
	{"not ended", "NOOP", []got{{"", io.ErrUnexpectedEOF}}, nil},
	{"too long and not ended", "123456789012", []got{{"", io.ErrUnexpectedEOF}}, nil},
	{"ended by CR", "NOOP\r", []got{{"", io.ErrUnexpectedEOF}}, nil},
	{"bare LF", "a\nb\r\nc\r\n", []got{{"", ErrBareLF}, {"c", nil}}, []got{{"a", nil}, {"b", nil}, {"c", nil}}},
	{"only bare LF", "a\n", []got{{"", io.ErrUnexpectedEOF}}, []got{{"a", nil}, {"", io.EOF}}},
	{"bare CR", "a\rb\r\nc\r\n", []got{{"", ErrBareCR}, {"c", nil}}, nil},
	{"CR CR LF", "a\r\r\nc\r\n", []got{{"", ErrBareCR}, {"c", nil}}, nil},
	{"LF CR LF", "a\n\r\nc\r\n", []got{{"", ErrBareLF}, {"c", nil}}, []got{{"a", nil}, {"", nil}, {"c", nil}}},
	{"LF CR", "a\n\rb\r\nc\r\n", []got{{"", ErrBareLF}, {"c", nil}}, []got{{"a", nil}, {"", ErrBareCR}, {"c", nil}}},
	{"NUL", "\x00\r\n", []got{{"\x00", nil}}, nil},
	{"CR where the limit is", "12345678\r", []got{{"", io.ErrUnexpectedEOF}}, nil},
	{"too long, CRs", "1234567\r\r\r\r\r\nx\r\n", []got{{"", ErrLineTooLong}, {"x", nil}}, nil},
}

func TestReadLine(t *testing.T) {
	for _, tt := range lineTests {
		for _, tolerant := range []bool{false, true} {
			want := tt.strict
			if tolerant && tt.tolerant != nil {
				want = tt.tolerant
			}
			for i := 0; i <= min(len(tt.raw), 40); i++ {
				src := io.MultiReader(strings.NewReader(tt.raw[:i]), strings.NewReader(tt.raw[i:]))
				checkLines(t, tt.name, src, tolerant, want)
			}
			checkLines(t, tt.name+", an octet at a time", iotest.OneByteReader(strings.NewReader(tt.raw)), tolerant, want)
			checkLines(t, tt.name+", empty reads", &stutter{strings.NewReader(tt.raw), false}, tolerant, want)
			checkLines(t, tt.name+", timeouts", &timeouts{strings.NewReader(tt.raw), 0}, tolerant, want)
		}
	}
}

func checkLines(t *testing.T, name string, src io.Reader, tolerant bool, want []got) {
	t.Helper()
	r := NewReader(src)
	r.Tolerant = tolerant
	for n, w := range want {
		line, err := r.ReadLine(8)
		for errors.Is(err, os.ErrDeadlineExceeded) {
			line, err = r.ReadLine(8)
		}
		if err != w.err || string(line) != w.line {
			t.Errorf("%s, tolerant %v, line %d: %q, %v; want %q, %v", name, tolerant, n, line, err, w.line, w.err)
			return
		}
	}
}

// timeouts gives two octets, then a timeout, and so on.
type timeouts struct {
	r io.Reader
	n int
}

func (s *timeouts) Read(p []byte) (int, error) {
	if s.n++; s.n%2 == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return s.r.Read(p[:2])
}

func TestReadLineLongest(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	r := NewReader(strings.NewReader(long + "\r\n" + long + "y\r\nNOOP\r\n"))
	if l, err := r.ReadLine(1 << 30); err != nil || string(l) != long {
		t.Errorf("%d octets, %v", len(l), err)
	}
	if _, err := r.ReadLine(1 << 30); err != ErrLineTooLong {
		t.Error(err)
	}
	if l, err := r.ReadLine(512); err != nil || string(l) != "NOOP" {
		t.Errorf("%q, %v", l, err)
	}
}

func TestReaderBuffers(t *testing.T) {
	r := NewReader(strings.NewReader(strings.Repeat("x", 5000) + "\r\nabc\r\n"))
	if r.Buffered() != 0 || len(r.Peek()) != 0 {
		t.Error("something is buffered at first")
	}
	if _, err := r.ReadLine(6000); err != nil {
		t.Fatal(err)
	}
	if r.bulk == nil {
		t.Error("a long line fits into the small buffer?")
	}
	if n, p := r.Buffered(), string(r.Peek()); n != 5 || p != "abc\r\n" {
		t.Errorf("%d buffered: %q", n, p)
	}
	if _, err := r.ReadLine(6000); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadLine(6000); err != io.EOF || r.bulk != nil {
		t.Errorf("%v; a Reader that waits for a line holds %p", err, r.bulk)
	}
	r.Reset(strings.NewReader("a\r\n"))
	if l, err := r.ReadLine(10); err != nil || string(l) != "a" {
		t.Errorf("%q, %v", l, err)
	}
}

// What a session that waits for its next command holds.
func TestIdleSize(t *testing.T) {
	if n := unsafe.Sizeof(Reader{}) + unsafe.Sizeof(Writer{}); n > 1024 {
		t.Errorf("a Reader and a Writer take %d octets", n)
	}
	w := NewWriter(io.Discard)
	r := NewReader(&endless{text: []byte(strings.Repeat("x", 600) + "\r\n")})
	for range 100 {
		r.ReadLine(1000)
		w.WriteReply(250, "", "ok")
		w.Flush()
	}
	r.src = iotest.ErrReader(io.EOF)
	for {
		if _, err := r.ReadLine(1000); err != nil {
			break
		}
	}
	if w.buf != nil {
		t.Error("the Writer holds a buffer")
	}
}

func TestReaderReadAndDiscard(t *testing.T) {
	data := strings.Repeat("0123456789", 10_000)
	r := NewReader(strings.NewReader("BDAT\r\n" + data + "NOOP\r\n"))
	r.ReadLine(10)
	if n, err := r.Read(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	part := make([]byte, 50_000)
	if _, err := io.ReadFull(r, part[:10]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, part[10:]); err != nil || string(part) != data[:50_000] {
		t.Fatal("raw octets differ", err)
	}
	if err := r.Discard(50_000); err != nil {
		t.Fatal(err)
	}
	if l, err := r.ReadLine(10); err != nil || string(l) != "NOOP" {
		t.Errorf("%q, %v", l, err)
	}
	if err := r.Discard(1); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	broken := errors.New("broken")
	r.Reset(iotest.ErrReader(broken))
	if err := r.Discard(1); err != broken {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 10)); err != broken {
		t.Error(err)
	}
	if _, err := r.ReadLine(10); err != broken {
		t.Error(err)
	}
	r.Reset(readerFunc(func([]byte) (int, error) { return 0, nil }))
	if _, err := r.ReadLine(10); err != io.ErrNoProgress {
		t.Error(err)
	}
}

func TestReaderDataWithError(t *testing.T) {
	r := NewReader(iotest.DataErrReader(strings.NewReader("a\r\nb\r\n")))
	for _, want := range []string{"a", "b"} {
		if l, err := r.ReadLine(10); err != nil || string(l) != want {
			t.Errorf("%q, %v", l, err)
		}
	}
	if n, err := r.Read(make([]byte, 10_000)); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
}

// Commands that come in a torrent are not read half a kilobyte at a time.
func TestReaderPipelineUsesLargeReads(t *testing.T) {
	reads := 0
	src := bytes.NewReader(bytes.Repeat([]byte("RCPT TO:<someone@example.org>\r\n"), 1000))
	r := NewReader(readerFunc(func(p []byte) (int, error) { reads++; return src.Read(p) }))
	for range 1000 {
		if _, err := r.ReadLine(510); err != nil {
			t.Fatal(err)
		}
	}
	if reads > 4 {
		t.Errorf("%d reads for 31 kB", reads)
	}
}

func TestNoAllocations(t *testing.T) {
	r := NewReader(&endless{text: []byte("MAIL FROM:<a@b> SIZE=10\r\n")})
	w := NewWriter(io.Discard)
	n := testing.AllocsPerRun(1000, func() {
		line, _ := r.ReadLine(510)
		verb, args := Command(line)
		if !Is(verb, "MAIL") {
			t.Fatal(verb)
		}
		for range Args(args) {
		}
		w.WriteReply(250, "2.1.0", "ok")
		w.Flush()
	})
	if n > 0.1 { // the pools may be emptied in between
		t.Errorf("%v allocations for a command and its reply", n)
	}
}

// TestNoAllocationsOfTexts: a text comes in and goes out without any.
func TestNoAllocationsOfTexts(t *testing.T) {
	text := []byte("a line of text\r\n..stuffed\r\nanother\r\n.\r\n")
	r, w := NewReader(&endless{text: text}), new(DotWriter)
	d := r.Dot(Reject)
	n := testing.AllocsPerRun(1000, func() {
		d.Reset(r, Reject)
		w.Reset(io.Discard, Reject)
		if _, err := d.WriteTo(w); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil || !d.Done() {
			t.Fatal(err)
		}
	})
	if n > 0.1 {
		t.Errorf("%v allocations for a text", n)
	}
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	pieces := 0
	w := NewWriter(writerFunc(func(p []byte) (int, error) { pieces++; return out.Write(p) }))
	io.WriteString(w, "a")
	w.WriteByte('b')
	w.Write([]byte("c"))
	w.WriteLine("d")
	if w.Buffered() != 6 || out.Len() != 0 {
		t.Errorf("%d buffered, %d written", w.Buffered(), out.Len())
	}
	if err := w.Flush(); err != nil || out.String() != "abcd\r\n" || pieces != 1 || w.buf != nil {
		t.Errorf("%q in %d pieces, %v, holds %p", out.String(), pieces, err, w.buf)
	}
	if err := w.Flush(); err != nil || pieces != 1 {
		t.Error("an empty flush writes", err)
	}
	out.Reset()
	var want strings.Builder
	for _, n := range []int{1, batchSize - 1, batchSize, 3 * batchSize, 10, batchSize / 2, batchSize - 5} {
		s := strings.Repeat("x", n)
		w.WriteString(s)
		w.WriteByte('-')
		w.Write([]byte(s))
		w.WriteReply(250, "", s[:min(n, 100)])
		want.WriteString(s + "-" + s + string(AppendReply(nil, 250, "", s[:min(n, 100)])))
	}
	w.WriteReply(250, "", strings.Repeat("long ", 2000))
	want.Write(AppendReply(nil, 250, "", strings.Repeat("long ", 2000)))
	if err := w.Flush(); err != nil || out.String() != want.String() {
		t.Errorf("what was written differs: %d octets of %d, %v", out.Len(), want.Len(), err)
	}
}

func TestWriterErrors(t *testing.T) {
	broken := errors.New("broken")
	w := NewWriter(failing{broken})
	w.WriteString("x")
	if err := w.Flush(); err != broken {
		t.Error(err)
	}
	if _, err := w.Write([]byte("x")); err != broken {
		t.Error(err)
	}
	if _, err := w.WriteString("x"); err != broken {
		t.Error(err)
	}
	if err := w.WriteByte('x'); err != broken {
		t.Error(err)
	}
	if err := w.WriteReply(250, "", "x"); err != broken {
		t.Error(err)
	}
	if err := w.WriteLine("x"); err != broken {
		t.Error(err)
	}
	w.Reset(io.Discard)
	if err := w.WriteLine("x"); err != nil || w.Flush() != nil {
		t.Error("an error survives Reset")
	}
	w.Reset(writerFunc(func(p []byte) (int, error) { return 1, nil }))
	w.WriteLine("x")
	if err := w.Flush(); err != io.ErrShortWrite {
		t.Error(err)
	}
}

// repeated is a source that repeats itself for 8 MiB, and counts.
type repeated struct {
	text string
	read int
}

func (e *repeated) Read(p []byte) (int, error) {
	if e.read > 8<<20 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = e.text[(e.read+i)%len(e.text)]
	}
	e.read += len(p)
	return len(p), nil
}

// TestEndlessLine: a line without end is given up after a MiB, one a little shorter
// is read to its end, and neither adds to the next.
func TestEndlessLine(t *testing.T) {
	for name, text := range map[string]string{"no end": "x", "CRs": "\r", "bare LFs": "x\n"} {
		src := &repeated{text: text}
		_, err := NewReader(src).ReadLine(100)
		if err != ErrEndlessLine || src.read > 1<<20+2*bulkSize {
			t.Errorf("%s: %v after %d octets", name, err, src.read)
		}
	}
	long := strings.Repeat("x", 1<<20-bulkSize) + "\r\n"
	r := NewReader(strings.NewReader(long + long + "next\r\n"))
	for range 2 {
		if _, err := r.ReadLine(100); err != ErrLineTooLong {
			t.Errorf("a long line: %v", err)
		}
	}
	if line, err := r.ReadLine(100); err != nil || string(line) != "next" {
		t.Errorf("behind it: %q, %v", line, err)
	}
}
