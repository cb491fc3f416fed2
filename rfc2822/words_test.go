package rfc2822

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func TestDecodeWords(t *testing.T) {
	tests := map[string]string{
		"plain":                                        "plain",
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?=":                  "Grüße",
		"=?UTF-8?B?R3LDvMOfZQ==?=":                     "Grüße",
		"=?utf-8?q?a?= =?utf-8?q?b?=":                  "ab",
		"=?utf-8?q?a?=\r\n =?utf-8?q?b?= c":            "ab c",
		"=?utf-8?q?a?= b =?utf-8?q?c?=":                "a b c",
		"=?utf-8?q?=C3?= =?utf-8?q?=BC?=":              "ü",  // split within a character
		"=?utf-8?b?w7w?= =?utf-8?q?=C3=BC?=":           "üü", // padding forgotten
		"=?utf-8?q?a?= =?iso-8859-1?q?=FC?=":           "aü",
		"=?utf-8?q?a?==?utf-8?q?b?=":                   "ab",
		"x=?utf-8?q?a?=y":                              "xay",
		"=?utf-8?q?begun =?utf-8?q?whole?= and":        "=?utf-8?q?begun whole and",
		"=?utf-8?b?=?utf-8?q?x?=":                      "=?utf-8?b?x",
		"=?utf-8?q?a b?=":                              "a b",
		"=?utf-8?q?a_b?=":                              "a b",
		"=?utf-8*en?q?a?=":                             "a",
		"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=":           "日本",
		"=?koi8-r?b?8NLJ18XU?=":                        "Привет",
		"=?gb2312?b?xOO6ww==?=":                        "你好",
		"=?ks_c_5601-1987?b?vsiz5w==?=":                "안녕",
		"=?big5?b?p0Gmbg==?=":                          "你好",
		"=?shift_jis?b?k/qWew==?=":                     "日本",
		"=?cp1252?q?=80?=":                             "€",
		"=?windows-1251?b?z/Do4uXy?=":                  "Привет",
		"=?utf-7?q?+AOQ-?=":                            "ä",
		"=?cp850?q?=81?=":                              "ü",
		"=?us-ascii?q?=fc?=":                           "ü",
		"=?klingon?q?a?=":                              "a", // ASCII needs no charset
		"=?klingon?q?a=FF?=":                           "=?klingon?q?a=FF?=",
		"=?klingon?q?=FF?= =?utf-8?q?b?=":              "=?klingon?q?=FF?= b",
		"=?utf-7?q?a+-b_+ACE-c+?=":                     "a+b !c\ufffd",
		"=?utf-7?q?+2D3cAA-_+AGEAY-?=":                 "\U0001f400 a",
		"=?utf-8?x?a?=":                                "=?utf-8?x?a?=",
		"=?utf-8?qq?a?=":                               "=?utf-8?qq?a?=",
		"=?utf-8?q?open":                               "=?utf-8?q?open",
		"=?utf-8?q?=?utf-8?q?a?=":                      "=?utf-8?q?a",
		"=?":                                           "=?",
		"=??q?a?=":                                     "=??q?a?=",
		"=?us-ascii?Q?caf=C3=A9?=":                     "café",
		"=?ASCII?b?Y2Fmw6k=?=":                         "café",
		"=?us-ascii?Q?caf=E9?=":                        "café",
		"=?us-ascii?q?=C3?= =?us-ascii?q?=A9?=":        "é",
		"=?" + strings.Repeat("x", 100):                "=?" + strings.Repeat("x", 100),
		"a =?" + strings.Repeat("x", 100) + "?q?b?= c": "a =?" + strings.Repeat("x", 100) + "?q?b?= c",
		"a =?utf-8?q?" + strings.Repeat("x", maxReadWord) + "?= c":   "a =?utf-8?q?" + strings.Repeat("x", maxReadWord) + "?= c",
		"a =?utf-8?q?" + strings.Repeat("x", maxReadWord-2) + "?= c": "a " + strings.Repeat("x", maxReadWord-2) + " c",
		"=?utf-8?q?=zz?=":             "=zz",
		"=?utf-8?q?=0D=0AX:_1?=":      "  X: 1",
		"=?utf-8?b?!!!!?=":            "",
		"raw \xfc":                    "raw ü",
		"raw ü":                       "raw ü",
		"raw \xfc =?utf-8?q?=C3=BC?=": "raw ü ü",
		"a\u2028b\x7f":                "a b ",
	}
	for in, want := range tests {
		if got := DecodeWords(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	m, _ := ReadString(sample(t, "words.eml"))
	if got := m.Header.Text("Subject"); got != "Grüße  und 日本Приветнихао" && got != "Grüße  und 日本Привет你好" {
		t.Errorf("%q", got)
	}
	if got := m.Header.Text("From"); !strings.HasPrefix(got, "JürgenMüller <") {
		t.Error(got)
	}
	if got := m.Header.Text("Nope"); got != "" {
		t.Error("Text finds what is not there:", got)
	}
	// Hostile text costs no quadratic time.
	for _, s := range []string{"=?", "=?a?q?", "=?a?q?x", "=?a?q?=?a?b?", "=?utf-8?q?a?= "} {
		DecodeWords(strings.Repeat(s, 100000)) // a quadratic one would take minutes
	}
}

func TestEncodeWords(t *testing.T) {
	for _, in := range []string{
		"", "plain text", "Grüße", "Hello Grüße aus Köln bye", "日本語の件名でとても長いものを書いてみるとどうなるか確かめるための文章です。日本語の件名でとても長いもの",
		"=?utf-8?q?not a word?=", "🙂 a 🙂", "ü  ü", strings.Repeat("long ", 30) + "ü", strings.Repeat("y", 950),
	} {
		out := EncodeWords(in)
		if !isASCII(out) || DecodeWords(out) != in {
			t.Errorf("%q: %q reads back as %q", in, out, DecodeWords(out))
		}
		for word := range strings.SplitSeq(out, " ") {
			if strings.HasPrefix(word, "=?") && len(word) > maxWord {
				t.Errorf("word of %d octets: %q", len(word), word)
			}
		}
		if _, err := NewField("Subject", out); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	if got := EncodeWords("a\r\nX: \xff"); got != "a X: =?utf-8?b?77+9?=" {
		t.Errorf("%q", got)
	}
}

func decodeWith(r io.Reader) string {
	b, err := io.ReadAll(r)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(b)
}

func TestTransferDecoders(t *testing.T) {
	long := strings.Repeat("0123456789", 1000)
	tests := []struct {
		qp       bool
		in, want string
		bad      bool
	}{
		{false, "SGVsbG8=", "Hello", false},
		{false, "SGVs\r\nbG8=\r\n", "Hello", false},
		{false, "SGVsbG8", "Hello", false},
		{false, "SGVsbG", "Hell", false},
		{false, "SGVsb", "Hel", true},
		{false, "SG*Vs!bG8=", "Hello", true},
		{false, "SGVsbG8=\r\ntrailing", "Hello", true},
		{false, "", "", false},
		{false, "====", "", false},
		{true, "plain\r\n", "plain\r\n", false},
		{true, "a=3Db=\r\nc=\nd\n", "a=bcd\n", false},
		{true, "blanks at the end  \t\r\nkept   inside", "blanks at the end\r\nkept   inside", false},
		{true, "soft = \r\nbreak", "soft break", false},
		{true, "end=", "end", false},
		{true, "end =20\r\n", "end  \r\n", false},
		{true, "a=zzb=4", "a=zzb=4", true},
		{true, "=e2=82=ac", "€", false},
		{true, long, long, false},
		{true, strings.Repeat("=3D", 4000), strings.Repeat("=", 4000), false},
		{true, strings.Repeat("x", 2046) + "=3D" + "y", strings.Repeat("x", 2046) + "=y", false},
		{true, strings.Repeat("x", 2047) + "=\r\n" + "y", strings.Repeat("x", 2047) + "y", false},
		{true, strings.Repeat("x", 2040) + strings.Repeat(" ", 20) + "\r\ny", strings.Repeat("x", 2040) + "\r\ny", false},
		{true, strings.Repeat(" ", 9000) + "x", strings.Repeat(" ", 9000) + "x", false},
	}
	for _, tt := range tests {
		for name, src := range map[string]io.Reader{"at once": strings.NewReader(tt.in), "one byte": iotest.OneByteReader(strings.NewReader(tt.in)), "half": iotest.HalfReader(strings.NewReader(tt.in))} {
			var got string
			var bad bool
			if tt.qp {
				r := newQPReader(src)
				got, bad = decodeWith(iotest.OneByteReader(r)), false
				bad = r.bad
			} else {
				r := &base64Reader{src: src}
				got = decodeWith(r)
				bad = r.bad
			}
			if got != tt.want || bad != tt.bad {
				t.Errorf("%.40q %s: %.80q bad %v, want %.80q", tt.in, name, got, bad, tt.want)
			}
		}
	}
	if got := decodeWith(&base64Reader{src: noProgress{}}); !strings.HasPrefix(got, "error") {
		t.Error("a source that gives nothing:", got)
	}
}

func TestCharsetReaders(t *testing.T) {
	tests := []struct{ charset, in, want string }{
		{"utf-8", "grüße\xff!", "grüße\ufffd!"},
		{"utf-8", "a\xc3", "a\ufffd"},
		{"utf-8", "\xe2\x82", "\ufffd\ufffd"},
		{"UTF8", strings.Repeat("€", 5000), strings.Repeat("€", 5000)},
		{"iso-8859-1", "gr\xfc\xdfe", "grüße"},
		{"iso-8859-15", "\xa4", "€"},
		{"iso-2022-jp", "\x1b$BF|K\\\x1b(B", "日本"},
		{"utf-16be", "\x00a\x20\xac", "a€"},
		{"utf-7", "Hi Mom +Jjo--!+- +AGE", "Hi Mom ☺-!+ a"},
		{"utf-7", "\xff+!a", "\ufffd\ufffd!a"},
		{"unicode-1-1-utf-7", "+" + strings.Repeat("IKw", 1), "€"},
		{"x-sjis", "\x93\xfa\x96\x7b", "日本"},
		{"\"latin1\"", "\xe9", "é"},
		{"cp437", "\x81", "ü"},
		{"macintosh", "\x8e", "é"},
	}
	for _, tt := range tests {
		for name, src := range map[string]io.Reader{"at once": strings.NewReader(tt.in), "one byte": iotest.OneByteReader(strings.NewReader(tt.in))} {
			r, ok := charsetReader(tt.charset, src)
			if got := decodeWith(r); !ok || got != tt.want {
				t.Errorf("%s %q %s: %q, want %q", tt.charset, tt.in, name, got, tt.want)
			}
			if !knownCharset(tt.charset) {
				t.Error(tt.charset)
			}
		}
		r, _ := charsetReader(tt.charset, strings.NewReader(tt.in))
		if got := decodeWith(iotest.OneByteReader(r)); got != tt.want {
			t.Errorf("%s %q read one byte at a time: %q", tt.charset, tt.in, got)
		}
		if got, ok := decodeCharset(tt.charset, tt.in); !ok || !utf8.ValidString(got) {
			t.Errorf("%s: %q", tt.charset, got)
		}
	}
	if _, ok := charsetReader("klingon", strings.NewReader("")); ok || knownCharset("klingon") {
		t.Error("klingon is no charset")
	}
}
