package smtp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// TestBodyReadOrWritten: a message is the same whether it is read or written out, up
// to the NUL or the fault that it ends with, and nothing behind it is given out.
func TestBodyReadOrWritten(t *testing.T) {
	long := strings.Repeat("a line of a message\r\n", 4000)
	for _, c := range []struct {
		text, want string
		err        error
	}{
		{"", "", nil},
		{"a\r\n..b\r\n", "a\r\n.b\r\n", nil},
		{long, long, nil},
		{"\x00", "", ErrNUL},
		{"a\r\nb\x00c\r\nd\x00\r\n", "a\r\nb", ErrNUL},
		{long + "x\x00" + long, long + "x", ErrNUL},
		{"a\r\n..\x00\r\n", "a\r\n.", ErrNUL},
		{"a\nb\r\n", "a", ErrBareLineEnd},
	} {
		wire := c.text
		if wire != "" && !strings.HasSuffix(wire, "\r\n") {
			wire += "\r\n"
		}
		wire += ".\r\n"
		for name, slow := range map[string]func(io.Reader) io.Reader{"in pieces": iotest.HalfReader, "octet by octet": iotest.OneByteReader} {
			for _, how := range []string{"read", "written"} {
				b := &body{src: textual.NewReader(slow(strings.NewReader(wire))).Dot(textual.Reject)}
				var got bytes.Buffer
				var err error
				if how == "read" {
					_, err = io.Copy(&got, struct{ io.Reader }{b})
				} else {
					_, err = b.WriteTo(&got)
				}
				if err != c.err || c.err != ErrBareLineEnd && got.String() != c.want || !strings.HasPrefix(c.want, got.String()) {
					t.Errorf("%.20q %s %s: %d octets, %v; want %d, %v", c.text, name, how, got.Len(), err, len(c.want), c.err)
				}
				if n, again := b.WriteTo(&got); n != 0 || again != c.err {
					t.Errorf("%.20q %s %s, once more: %d, %v", c.text, name, how, n, again)
				}
			}
		}
	}
}

// TestBodyWriterFails: the error of a writer is not the message's, which can be read
// on where it stopped.
func TestBodyWriterFails(t *testing.T) {
	full := errors.New("full")
	b := &body{src: textual.NewReader(strings.NewReader("abc\r\ndef\r\n.\r\n")).Dot(textual.Reject)}
	n, err := b.WriteTo(writer(func(p []byte) (int, error) { return 2, full }))
	if n != 2 || err != full {
		t.Errorf("%d, %v", n, err)
	}
	if rest, err := io.ReadAll(b); string(rest) != "c\r\ndef\r\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
