package textual

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// refEncode is the writer's definition.
func refEncode(text string) string {
	text, _ = refNormalise(text)
	if text != "" && !strings.HasSuffix(text, "\r\n") {
		text += "\r\n"
	}
	if strings.HasPrefix(text, ".") {
		text = "." + text
	}
	return strings.ReplaceAll(text, "\r\n.", "\r\n..") + ".\r\n"
}

var texts = []struct {
	name, text, wire string
	reject           error
}{
	{"empty", "", ".\r\n", nil},
	{"one line", "a\r\n", "a\r\n.\r\n", nil},
	{"last line not ended", "a", "a\r\n.\r\n", nil},
	{"a dot", ".\r\n", "..\r\n.\r\n", nil},
	{"a dot not ended", ".", "..\r\n.\r\n", nil},
	{"two dots", "..", "...\r\n.\r\n", nil},
	{"dots within", "a.b.\r\n.c", "a.b.\r\n..c\r\n.\r\n", nil},
	{"an end within", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n", nil},
	{"empty lines", "\r\n\r\n", "\r\n\r\n.\r\n", nil},
	{"LF.LF", "a\n.\nb", "a\r\n..\r\nb\r\n.\r\n", ErrBareLF},
	{"LF.CRLF", "a\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n", ErrBareLF},
	{"CRLF.LF", "a\r\n.\nb", "a\r\n..\r\nb\r\n.\r\n", ErrBareLF},
	{"CR.CR", "a\r.\rb", "a\r\n..\r\nb\r\n.\r\n", ErrBareCR},
	{"CR.CRLF", "a\r.\r\nb", "a\r\n..\r\nb\r\n.\r\n", ErrBareCR},
	{"CR CR LF . CR CR LF", "a\r\r\n.\r\r\nb", "a\r\n..\r\nb\r\n.\r\n", ErrBareCR},
	{"CR at the end", "a\r", "a\r\n.\r\n", ErrBareCR},
	{"CRs at the end", "a\r\r", "a\r\n\r\n.\r\n", ErrBareCR},
	{"CR CR x", "\r\rx", "\r\n\r\nx\r\n.\r\n", ErrBareCR},
	{"LF CR", "\n\r", "\r\n\r\n.\r\n", ErrBareLF},
	{"NUL", "\x00", "\x00\r\n.\r\n", nil},
	{"long run of CRs", strings.Repeat("\r", 100) + "x", strings.Repeat("\r\n", 100) + "x\r\n.\r\n", ErrBareCR},
}

func TestDotWriter(t *testing.T) {
	for _, tt := range texts {
		if ref := refEncode(tt.text); ref != tt.wire {
			t.Errorf("%s: the reference gives %q", tt.name, ref)
		}
		for i := range len(tt.text) + 1 {
			for _, mode := range []Mode{Normalise, Reject} {
				var out bytes.Buffer
				var d DotWriter
				d.Reset(&out, mode)
				_, err1 := io.WriteString(&d, tt.text[:i])
				_, err2 := io.WriteString(&d, tt.text[i:])
				err := errors.Join(err1, err2, d.Close())
				if mode == Reject && tt.reject != nil {
					if !errors.Is(err, tt.reject) || strings.HasSuffix(out.String(), ".\r\n") {
						t.Errorf("%s, rejecting, split at %d: %v, wrote %q", tt.name, i, err, out.String())
					}
				} else if err != nil || out.String() != tt.wire {
					t.Errorf("%s, mode %d, split at %d: %q, %v; want %q", tt.name, mode, i, out.String(), err, tt.wire)
				}
			}
		}
		var out bytes.Buffer
		d := NewDotWriter(&out)
		n, err := d.ReadFrom(iotest.OneByteReader(strings.NewReader(tt.text)))
		if err := errors.Join(err, d.Close()); err != nil || out.String() != tt.wire || int(n) != len(tt.text) {
			t.Errorf("%s, an octet at a time: %q, %v; want %q", tt.name, out.String(), err, tt.wire)
		}
	}
}

func TestLineWriter(t *testing.T) {
	for _, tt := range texts {
		want, _ := refNormalise(tt.text)
		for i := range len(tt.text) + 1 {
			var out bytes.Buffer
			l := NewLineWriter(&out)
			_, err1 := io.WriteString(l, tt.text[:i])
			_, err2 := l.ReadFrom(strings.NewReader(tt.text[i:]))
			if err := errors.Join(err1, err2, l.Close()); err != nil || out.String() != want {
				t.Errorf("%s, split at %d: %q, %v; want %q", tt.name, i, out.String(), err, want)
			}
		}
		var l LineWriter
		l.Reset(io.Discard, Reject)
		_, err := io.WriteString(&l, tt.text)
		if err := errors.Join(err, l.Close()); !errors.Is(err, tt.reject) {
			t.Errorf("%s, rejecting: %v", tt.name, err)
		}
	}
}

// Large pieces, whatever they hold, and pieces of every size around the
// buffer's must come out the same.
func TestDotWriterLarge(t *testing.T) {
	lines := []string{"\r\n", ".\r\n", "a\n", "b\r", strings.Repeat("x", 3000) + "\r\n", strings.Repeat(".", 70), "y.z"}
	var text strings.Builder
	for i := range 2000 {
		text.WriteString(lines[i*7919%len(lines)])
	}
	clean := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 3000)
	for _, s := range []string{text.String(), clean} {
		want := refEncode(s)
		for _, size := range []int{len(s), bulkSize - 1, bulkSize, bulkSize / 2, 1000, 7} {
			var out bytes.Buffer
			d := NewDotWriter(&out)
			for rest := s; rest != ""; {
				n := min(size, len(rest))
				d.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			if err := d.Close(); err != nil || out.String() != want {
				t.Errorf("pieces of %d: differs (%d octets, want %d), %v", size, out.Len(), len(want), err)
			}
		}
	}
}

func TestDotWriterErrors(t *testing.T) {
	broken := errors.New("broken")
	d := NewDotWriter(failing{broken})
	if _, err := d.Write(make([]byte, bulkSize)); err != broken {
		t.Error(err)
	}
	if err := d.Close(); err != broken {
		t.Error(err)
	}
	var out bytes.Buffer
	d = NewDotWriter(&out)
	if _, err := d.ReadFrom(iotest.ErrReader(broken)); err != broken {
		t.Error(err)
	}
	d.Close()
	if _, err := d.Write([]byte("x")); err == nil {
		t.Error("written behind the end")
	}
	if d.Close() == nil || out.String() != ".\r\n" {
		t.Errorf("ended twice: %q", out.String())
	}
	d = NewDotWriter(&out)
	if _, err := d.ReadFrom(readerFunc(func([]byte) (int, error) { return 0, nil })); err != io.ErrNoProgress {
		t.Error(err)
	}
	d = NewDotWriter(writerFunc(func(p []byte) (int, error) { return 0, nil }))
	if err := d.Close(); err != io.ErrShortWrite {
		t.Error(err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
