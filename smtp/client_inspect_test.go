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
		want     Needs
		body     Body
	}{
		{"empty", "", Needs{}, "7BIT"},
		{"ASCII", "Subject: x\r\n\r\nhi\r\n", Needs{Size: 18}, "7BIT"},
		{"8-bit body", "Subject: x\r\n\r\nhé\r\n", Needs{Size: 19, EightBit: true}, "8BITMIME"},
		{"UTF-8 header", "Subject: é\r\n\r\nhi\r\n", Needs{Size: 19, EightBit: true, UTF8Header: true}, "8BITMIME"},
		{"UTF-8 in the second field, and in the body", "A: b\r\nSubject: é\r\n\r\né", Needs{Size: 23, EightBit: true, UTF8Header: true}, "8BITMIME"},
		{"no header", "\r\né", Needs{Size: 4, EightBit: true}, "8BITMIME"},
		{"NUL", "\r\n\x00", Needs{Size: 3, Binary: true}, "BINARYMIME"},
		{"bare LF", "a\nb\r\n", Needs{Size: 5, Binary: true}, "BINARYMIME"},
		{"bare CR", "a\rb\r\n", Needs{Size: 5, Binary: true}, "BINARYMIME"},
		{"CR at the end", "a\r", Needs{Size: 2, Binary: true}, "BINARYMIME"},
		{"CR CR LF", "a\r\r\n", Needs{Size: 4, Binary: true}, "BINARYMIME"},
		{"longest line", long + "\r\n", Needs{Size: 1000}, "7BIT"},
		{"too long a line", long + "x\r\n", Needs{Size: 1001, Binary: true}, "BINARYMIME"},
		{"too long a last line", "a\r\n" + long + "x", Needs{Size: 1002, Binary: true}, "BINARYMIME"},
	} {
		whole, err := Inspect(strings.NewReader(tt.in))
		if err != nil || whole != tt.want || whole.Body() != tt.body {
			t.Errorf("%s: %+v, %v", tt.name, whole, err)
		}
		if bytewise, err := Inspect(iotest.OneByteReader(strings.NewReader(tt.in))); err != nil || bytewise != whole {
			t.Errorf("%s, an octet at a time: %+v, %v", tt.name, bytewise, err)
		}
	}
	broken := errors.New("broken")
	if _, err := Inspect(iotest.ErrReader(broken)); err != broken {
		t.Error(err)
	}
}

// FuzzInspect checks that the answer does not depend on how the message
// arrives, and that a message without Binary has no line endings to change.
func FuzzInspect(f *testing.F) {
	f.Add("Subject: é\r\n\r\nx\ny\r\n")
	f.Add("a\r\r\n\r\n\x00")
	f.Fuzz(func(t *testing.T, s string) {
		whole, _ := Inspect(strings.NewReader(s))
		bytewise, _ := Inspect(iotest.OneByteReader(strings.NewReader(s)))
		if whole != bytewise || whole.Size != int64(len(s)) {
			t.Errorf("%+v at once, %+v an octet at a time", whole, bytewise)
		}
		plain := strings.ReplaceAll(s, "\r\n", "")
		if !whole.Binary && strings.ContainsAny(plain, "\r\n\x00") {
			t.Errorf("not binary")
		}
	})
}
