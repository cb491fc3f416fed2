package textual

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

var replyTests = []struct {
	name, raw string
	want      Reply
	err       error
}{
	{"one line", "250 ok\r\n", Reply{250, []string{"ok"}}, nil},
	{"no text", "250 \r\n", Reply{250, []string{""}}, nil},
	{"no space", "250\r\n", Reply{250, []string{""}}, nil},
	{"two lines", "250-a\r\n250 b\r\n", Reply{250, []string{"a", "b"}}, nil},
	{"empty lines", "250-\r\n250\r\n", Reply{250, []string{"", ""}}, nil},
	{"second digit above 5", "291 x\r\n", Reply{291, []string{"x"}}, nil},
	{"enhanced code stays", "550 5.1.1 no\r\n", Reply{550, []string{"5.1.1 no"}}, nil},
	{"empty", "\r\n", Reply{0, []string{""}}, ErrMalformedReply},
	{"no code", "hello\r\n", Reply{0, []string{"hello"}}, ErrMalformedReply},
	{"class 1", "150 x\r\n", Reply{0, []string{"150 x"}}, ErrMalformedReply},
	{"class 6", "650 x\r\n", Reply{0, []string{"650 x"}}, ErrMalformedReply},
	{"two digits", "25 x\r\n", Reply{0, []string{"25 x"}}, ErrMalformedReply},
	{"four digits", "2500 x\r\n", Reply{0, []string{"2500 x"}}, ErrMalformedReply},
	{"letter", "2x0 x\r\n", Reply{0, []string{"2x0 x"}}, ErrMalformedReply},
	{"codes differ", "250-a\r\n251 b\r\n", Reply{250, []string{"a", "251 b"}}, ErrMalformedReply},
	{"no code in the second", "250-a\r\nb\r\n", Reply{250, []string{"a", "b"}}, ErrMalformedReply},
	{"end in between", "250-a\r\n", Reply{250, []string{"a"}}, io.EOF},
	{"end within", "250-a\r\n250", Reply{250, []string{"a"}}, io.ErrUnexpectedEOF},
	{"as many lines as allowed", strings.Repeat("250-x\r\n", 4) + "250 x\r\n", Reply{250, []string{"x", "x", "x", "x", "x"}}, nil},
	{"too many lines", strings.Repeat("250-x\r\n", 5) + "250 x\r\n", Reply{250, []string{"x", "x", "x", "x", "x"}}, ErrReplyTooBig},
	{"line too long", "250 " + strings.Repeat("x", 100) + "\r\n", Reply{Code: 250}, ErrReplyTooBig},
	{"bare LF", "250 a\n250 b\r\n", Reply{}, ErrBareLF},
	{"bare CR", "250 a\r250 b\r\n", Reply{}, ErrBareCR},
}

func TestReadReply(t *testing.T) {
	for _, tt := range replyTests {
		for _, src := range []io.Reader{strings.NewReader(tt.raw), iotest.OneByteReader(strings.NewReader(tt.raw))} {
			got, err := NewReader(src).ReadReply(50, 5)
			if !errors.Is(err, tt.err) || err == nil != (tt.err == nil) || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s: %v, %v; want %v, %v", tt.name, got, err, tt.want, tt.err)
			}
		}
	}
}

func TestAppendReply(t *testing.T) {
	long := strings.Repeat("0123456789 ", 100)
	for _, tt := range []struct {
		name, enhanced, text, want string
	}{
		{"plain", "", "ok", "250 ok\r\n"},
		{"empty", "", "", "250 \r\n"},
		{"enhanced", "2.1.0", "ok", "250 2.1.0 ok\r\n"},
		{"lines", "2.1.0", "a\nb\n\nc", "250-2.1.0 a\r\n250-2.1.0 b\r\n250-2.1.0 \r\n250 2.1.0 c\r\n"},
		{"CRLF", "", "a\r\nb", "250-a\r\n250 b\r\n"},
		{"injection", "", "a\r250 b\x00\x7f\tc", "250 a?250 b??\tc\r\n"},
		{"UTF-8", "", "é", "250 é\r\n"},
		{"long", "", long[:511], ""},
		{"long, two lines", "2.0.0", long + "\nend", ""},
		{"long without spaces", "", strings.Repeat("x", 2000), ""},
		{"long without ASCII", "2.0.0", "x" + strings.Repeat("é", 2000), ""},
		{"long, not UTF-8", "", strings.Repeat("\xa9", 2000), ""},
	} {
		got := string(AppendReply(nil, 250, tt.enhanced, tt.text))
		if tt.want != "" && got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		r, err := NewReader(strings.NewReader(got)).ReadReply(510, 100)
		if err != nil || r.Code != 250 {
			t.Errorf("%s: does not read back: %v, %v", tt.name, r, err)
		}
		if tt.want == "" {
			var text []string
			for _, l := range r.Lines {
				text = append(text, strings.TrimPrefix(l, tt.enhanced+" "))
			}
			clean := strings.NewReplacer(" ", "", "\n", "")
			if clean.Replace(strings.Join(text, "")) != clean.Replace(tt.text) {
				t.Errorf("%s: the text changed: %q", tt.name, text)
			}
		}
	}
}

// TestAppendReplyOdd: characters are not cut in two, an enhanced code that is
// none does no harm, and megabytes take linear time.
func TestAppendReplyOdd(t *testing.T) {
	got := string(AppendReply(nil, 250, "", "x"+strings.Repeat("é", 2000)))
	for line := range strings.SplitSeq(got, "\r\n") {
		if !utf8.ValidString(line) || len(line) > 510 {
			t.Errorf("%d octets: %q", len(line), line)
		}
	}
	if got := AppendReply(nil, 250, strings.Repeat("2", 1000), strings.Repeat("x", 100)); strings.Count(string(got), "x") != 100 {
		t.Errorf("%q", got)
	}
	for _, s := range []string{"x", " ", "\n", "x ", "\r\n"} {
		AppendReply(nil, 250, "", strings.Repeat(s, 10<<20)) // a quadratic one would take minutes
	}
}

// FuzzReply checks that whatever is said in a reply, one reply is read back,
// of lines that are short enough, and nothing behind it.
func FuzzReply(f *testing.F) {
	for _, tt := range replyTests {
		f.Add(tt.raw)
	}
	f.Add(strings.Repeat("x", 3000))
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := NewReader(strings.NewReader(s)).ReadReply(100, 10); err == nil {
			if got.Code < 200 || got.Code > 599 || len(got.Lines) < 1 || len(got.Lines) > 10 {
				t.Errorf("read %v", got)
			}
			again := AppendReply(nil, got.Code, "", strings.Join(got.Lines, "\n"))
			if back, err := NewReader(strings.NewReader(string(again))).ReadReply(510, 10); err != nil || back.Code != got.Code || len(back.Lines) != len(got.Lines) {
				t.Errorf("%v became %v, %v", got, back, err)
			}
		}
		r := NewReader(strings.NewReader(string(AppendReply(nil, 550, "5.0.0", s))))
		if got, err := r.ReadReply(510, 1<<20); err != nil || got.Code != 550 {
			t.Errorf("reply with %q: %v, %v", s, got, err)
		}
		if rest, _ := io.ReadAll(r); len(rest) > 0 {
			t.Errorf("reply with %q: %q is left", s, rest)
		}
	})
}
