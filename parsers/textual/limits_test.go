package textual

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestLimits: what is as long as a limit allows is taken, and one more is not.
func TestLimits(t *testing.T) {
	for _, max := range []int{1, 100, smallSize - 3, smallSize - 2, smallSize - 1, smallSize, batchSize, MaxLine} {
		mailtest.Edge(t, "line", max, func(n int) bool {
			line, err := NewReader(strings.NewReader(strings.Repeat("x", n) + "\r\n")).ReadLine(max)
			return err == nil && len(line) == n
		})
		mailtest.Edge(t, "text", max+2, func(n int) bool { // its line end included
			d := NewReader(strings.NewReader(strings.Repeat("x", n-2) + "\r\n.\r\n")).Dot(Reject)
			d.Limit = int64(max + 2)
			got, err := io.ReadAll(d)
			return err == nil && len(got) == n
		})
		mailtest.Edge(t, "statement", max, func(n int) bool {
			p := Parser{ArgumentSeparators: []byte(" "), MaxLen: max}
			st, err := p.ParseStrict(strings.Repeat("x", n))
			return err == nil && len(st.Name) == n
		})
		reply := min(max+4, MaxLine)
		mailtest.Edge(t, "line of a reply", reply, func(n int) bool {
			_, err := NewReader(strings.NewReader("250 "+strings.Repeat("x", n-4)+"\r\n")).ReadReply(reply, 1)
			return err == nil
		})
	}
	mailtest.Edge(t, "lines of a reply", 5, func(n int) bool {
		r, err := NewReader(strings.NewReader(strings.Repeat("250-x\r\n", n-1)+"250 x\r\n")).ReadReply(100, 5)
		return err == nil && len(r.Lines) == n
	})
	mailtest.Edge(t, "arguments", 3, func(n int) bool {
		st, err := POP3.ParseStrict(strings.Repeat(" x", n)[1:])
		return err == nil && len(st.Arguments) == n
	})
}

// TestWritesAroundTheBuffer: two writes of whichever kind, of whichever sizes around the
// buffer's, come out as they went in.
func TestWritesAroundTheBuffer(t *testing.T) {
	var around []int
	for _, size := range []int{1, 3, batchSize / 2, batchSize - maxReplyLine, batchSize, 2 * batchSize} {
		for d := -2; d <= 2; d++ {
			if size+d > 0 {
				around = append(around, size+d)
			}
		}
	}
	text := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", batchSize)
	writes := []func(w *Writer, s string){
		func(w *Writer, s string) { w.Write([]byte(s)) },
		func(w *Writer, s string) { w.WriteString(s) },
		func(w *Writer, s string) { w.WriteByte(s[0]); w.WriteString(s[1:]) },
	}
	for _, a := range around {
		for _, b := range around {
			for i := range len(writes) * len(writes) {
				var out bytes.Buffer
				w := NewWriter(&out)
				writes[i%len(writes)](w, text[:a])
				writes[i/len(writes)](w, text[a:a+b])
				reply := string(AppendReply(nil, 250, "2.0.0", "ok"))
				w.WriteReply(250, "2.0.0", "ok")
				if w.Flush(); out.String() != text[:a+b]+reply {
					t.Fatalf("%d and %d octets, ways %d: %s", a, b, i, mailtest.Differ(out.String(), text[:a+b]+reply))
				}
			}
		}
	}
}

// TestDoneAfterTheEnd: a text is done when its end was read, and not before.
func TestDoneAfterTheEnd(t *testing.T) {
	d := NewReader(strings.NewReader("hello\r\n.\r\nQUIT\r\n")).Dot(Reject)
	if d.Done() {
		t.Error("done before anything was read")
	}
	if _, err := io.ReadAll(d); err != nil || !d.Done() {
		t.Errorf("not done at the end: %v", err)
	}
	cut := NewReader(strings.NewReader("hello\r\n")).Dot(Reject)
	if _, err := io.ReadAll(cut); err != io.ErrUnexpectedEOF || cut.Done() {
		t.Errorf("cut off: %v, done %v", err, cut.Done())
	}
	faulty := NewReader(strings.NewReader("a\nb\r\n.\r\n")).Dot(Reject)
	if _, err := io.ReadAll(faulty); err != ErrBareLF || !faulty.Done() {
		t.Errorf("faulty: %v, done %v", err, faulty.Done())
	}
}

// slow is a source that runs out of time behind some octets, once or before each more.
type slow struct {
	pieces []string
	beside bool // the error comes with octets
	late   bool
}

func (s *slow) Read(p []byte) (int, error) {
	if s.late {
		s.late = false
		return 0, os.ErrDeadlineExceeded
	}
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	s.pieces = s.pieces[1:]
	if s.beside {
		return n, os.ErrDeadlineExceeded
	}
	s.late = true
	return n, nil
}

// TestTimeoutLosesNothing: an error of the source is reported once, behind the octets that
// came before it, and what comes afterwards is read.
func TestTimeoutLosesNothing(t *testing.T) {
	for _, beside := range []bool{true, false} {
		r := NewReader(&slow{pieces: []string{"NO", "OP\r", "\nQU", "IT\r\nrest"}, beside: beside})
		var got []string
		timeouts := 0
		for len(got) < 2 && timeouts < 10 {
			line, err := r.ReadLine(100)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				timeouts++
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(line))
		}
		if strings.Join(got, " ") != "NOOP QUIT" || timeouts != 3 {
			t.Errorf("beside %v: %q after %d timeouts", beside, got, timeouts)
		}
		p := make([]byte, 10)
		if n, err := r.Read(p); err != nil || string(p[:n]) != "rest" {
			t.Errorf("beside %v: then %q, %v", beside, p[:n], err)
		}
		if _, err := r.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("beside %v: then %v", beside, err)
		}
		if _, err := r.Read(p); err != io.EOF {
			t.Errorf("beside %v: at last %v", beside, err)
		}
	}
}

// stingy is a destination that fails at its n-th write, or takes one octet less and says
// nothing.
type stingy struct {
	n      *mailtest.Nth
	silent bool
	got    int
}

func (s *stingy) Write(p []byte) (int, error) {
	if err := s.n.Fail("write of " + strconv.Itoa(len(p))); err != nil {
		if s.silent {
			return len(p) - 1, nil
		}
		return 0, err
	}
	s.got += len(p)
	return len(p), nil
}

// TestWriteErrorsStay: after the first error nothing more is written, and every call says so.
func TestWriteErrorsStay(t *testing.T) {
	for _, silent := range []bool{false, true} {
		mailtest.EachCall(t, func(t *testing.T, n *mailtest.Nth) {
			dst := &stingy{n: n, silent: silent}
			w := NewWriter(dst)
			var first error
			for i, write := range []func() error{
				func() error { _, err := w.Write(make([]byte, batchSize-1)); return err },
				func() error { _, err := w.Write(make([]byte, batchSize)); return err },
				func() error { _, err := w.WriteString(strings.Repeat("x", 2*batchSize)); return err },
				func() error { return w.WriteReply(250, "", "ok") },
				func() error { return w.WriteByte('x') },
				w.Flush,
			} {
				was := dst.got
				err := write()
				if first != nil && (err != first || dst.got != was) {
					t.Errorf("call %d behind %v: %v, %d octets more", i, first, err, dst.got-was)
				}
				if first == nil {
					first = err
				}
			}
			if (first != nil) != (n.Failed() != "") || silent && first != nil && first != io.ErrShortWrite {
				t.Errorf("%q fails: %v", n.Failed(), first)
			}
		})
	}
}

// TestLongReplyIsBroken: a line of a reply that is too long goes on in another, at a space
// where it has one, and between two characters where it has none.
func TestLongReplyIsBroken(t *testing.T) {
	for _, text := range []string{strings.Repeat("word ", 300), strings.Repeat("x", 1500), strings.Repeat("ž", 700), strings.Repeat("あ", 500), "x" + strings.Repeat("あ", 500), strings.Repeat("x", 511) + " " + strings.Repeat("y", 511)} {
		reply := string(AppendReply(nil, 250, "2.0.0", text))
		var got []string
		for line := range strings.SplitSeq(strings.TrimSuffix(reply, "\r\n"), "\r\n") {
			rest, ok := strings.CutPrefix(line[4:], "2.0.0 ")
			if !ok || len(line)+2 > maxReplyLine || !utf8.ValidString(line) || strings.HasPrefix(rest, "ord ") {
				t.Errorf("a line of %d octets: %q", len(line), line)
			}
			got = append(got, rest)
		}
		sep := ""
		if strings.Contains(text, " ") {
			sep = " "
		}
		whole := strings.Join(got, sep)
		if strings.ReplaceAll(whole, " ", "") != strings.ReplaceAll(text, " ", "") {
			t.Errorf("became %q", reply)
		}
		if strings.HasPrefix(text, "word ") && strings.Contains(strings.ReplaceAll(whole, "word", ""), "w") {
			t.Errorf("a word is broken: %q", reply)
		}
	}
}
