package smtp

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

func TestInspect(t *testing.T) {
	long := strings.Repeat("x", 998)
	for _, tt := range []struct {
		name, in string
		want     needs
		body     Body
	}{
		{"empty", "", needs{}, "7BIT"},
		{"ASCII", "Subject: x\r\n\r\nhi\r\n", needs{size: 18}, "7BIT"},
		{"8-bit body", "Subject: x\r\n\r\nhé\r\n", needs{size: 19, eightBit: true}, "8BITMIME"},
		{"UTF-8 header", "Subject: é\r\n\r\nhi\r\n", needs{size: 19, eightBit: true, utf8Header: true}, "8BITMIME"},
		{"UTF-8 in the second field, and in the body", "A: b\r\nSubject: é\r\n\r\né", needs{size: 23, eightBit: true, utf8Header: true}, "8BITMIME"},
		{"no header", "\r\né", needs{size: 4, eightBit: true}, "8BITMIME"},
		{"NUL", "\r\n\x00", needs{size: 3, binary: true}, "BINARYMIME"},
		{"bare LF", "a\nb\r\n", needs{size: 5, binary: true}, "BINARYMIME"},
		{"bare CR", "a\rb\r\n", needs{size: 5, binary: true}, "BINARYMIME"},
		{"CR at the end", "a\r", needs{size: 2, binary: true}, "BINARYMIME"},
		{"CR CR LF", "a\r\r\n", needs{size: 4, binary: true}, "BINARYMIME"},
		{"longest line", long + "\r\n", needs{size: 1000}, "7BIT"},
		{"too long a line", long + "x\r\n", needs{size: 1001, binary: true}, "BINARYMIME"},
		{"too long a last line", "a\r\n" + long + "x", needs{size: 1002, binary: true}, "BINARYMIME"},
	} {
		whole, err := inspect(strings.NewReader(tt.in))
		if err != nil || whole != tt.want || whole.body() != tt.body {
			t.Errorf("%s: %+v, %v", tt.name, whole, err)
		}
		if bytewise, err := inspect(iotest.OneByteReader(strings.NewReader(tt.in))); err != nil || bytewise != whole {
			t.Errorf("%s, an octet at a time: %+v, %v", tt.name, bytewise, err)
		}
	}
	broken := errors.New("broken")
	if _, err := inspect(iotest.ErrReader(broken)); err != broken {
		t.Error(err)
	}
}

// FuzzInspect checks that the answer does not depend on how the message
// arrives, and that a message without binary has no line endings to change.
func FuzzInspect(f *testing.F) {
	f.Add("Subject: é\r\n\r\nx\ny\r\n")
	f.Add("a\r\r\n\r\n\x00")
	f.Fuzz(func(t *testing.T, s string) {
		whole, _ := inspect(strings.NewReader(s))
		bytewise, _ := inspect(iotest.OneByteReader(strings.NewReader(s)))
		if whole != bytewise || whole.size != int64(len(s)) {
			t.Errorf("%+v at once, %+v an octet at a time", whole, bytewise)
		}
		plain := strings.ReplaceAll(s, "\r\n", "")
		if !whole.binary && strings.ContainsAny(plain, "\r\n\x00") {
			t.Errorf("not binary")
		}
	})
}
