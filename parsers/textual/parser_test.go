package textual

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

var parserTests = []struct {
	name   string
	parser Parser
	in     string
	want   []string
	offset []int
	err    error
}{
	{"SMTP", SMTP, "MAIL FROM:<a b@c> SIZE=10", []string{"MAIL", "FROM:<a b@c>", "SIZE=10"}, []int{0, 5, 18}, nil},
	{"SMTP, quoted", SMTP, `RCPT TO:<"a \"> b"@c> X`, []string{"RCPT", `TO:<"a \"> b"@c>`, "X"}, nil, nil},
	{"SMTP, white space", SMTP, " \tNOOP \t x \r\n", []string{"NOOP", "x"}, []int{2, 9}, nil},
	{"empty", SMTP, "", nil, nil, nil},
	{"blank", SMTP, "   ", nil, nil, nil},
	{"POP3", POP3, "TOP 1 10", []string{"TOP", "1", "10"}, []int{0, 4, 6}, nil},
	{"POP3, too many", POP3, "TOP 1 10 x", []string{"TOP", "1", "10 x"}, nil, ErrTooMany},
	{"PASS", Parser{ArgumentSeparators: []byte(" "), MaxArgs: 2}, "PASS a  b ", []string{"PASS", "a  b "}, nil, ErrTooMany},
	{"no separators", Parser{}, "a b", []string{"a b"}, nil, nil},
	{"prefix and suffix", Parser{Prefix: "+", Suffix: ";", ArgumentSeparators: []byte(",")}, "+a,b;", []string{"a", "b"}, []int{1, 3}, nil},
	{"prefix missing", Parser{Prefix: "+", ArgumentSeparators: []byte(",")}, "a,b", []string{"a", "b"}, nil, ErrAffix},
	{"suffix missing", Parser{Suffix: ";", ArgumentSeparators: []byte(",")}, "a,b", []string{"a", "b"}, nil, ErrAffix},
	{"prefix is suffix", Parser{Prefix: "ab", Suffix: "ba"}, "aba", []string{"a"}, nil, ErrAffix},
	{"open brackets", Parser{OpenBrackets: true, Brackets: []byte("<>"), ArgumentSeparators: []byte(" :")}, "MAIL FROM:<a b> x", []string{"MAIL", "FROM", "a b", "x"}, []int{0, 5, 10, 16}, nil},
	{"open brackets within", Parser{OpenBrackets: true, Brackets: []byte("()")}, "a(b)c()d", []string{"abcd"}, nil, nil},
	{"open, empty", Parser{OpenBrackets: true, Brackets: []byte("()"), ArgumentSeparators: []byte(" ")}, "a () b", []string{"a", "", "b"}, nil, nil},
	{"open with escapes", Parser{OpenBrackets: true, Brackets: []byte(`""`), ArgumentSeparators: []byte(" "), Escape: '\\'}, `"a\" \\b" \c`, []string{`a" \b`, `\c`}, nil, nil},
	{"open, quotes within", Parser{OpenBrackets: true, Brackets: []byte(`<">"`), ArgumentSeparators: []byte(" "), Escape: '\\'}, `<"a \">b"@c> "d"`, []string{`"a \">b"@c`, "d"}, nil, nil},
	{"several pairs", Parser{Brackets: []byte("([)]"), ArgumentSeparators: []byte(" ")}, "(a ] b) [c ( d]", []string{"(a ] b)", "[c ( d]"}, nil, nil},
	{"never closed", SMTP, "MAIL <a b", []string{"MAIL", "<a b"}, nil, ErrUnbalanced},
	{"never opened", SMTP, "MAIL a> b", []string{"MAIL", "a>", "b"}, nil, ErrUnbalanced},
	{"escape at the end", SMTP, `"a\`, []string{`"a\`}, nil, ErrUnbalanced},
	{"too long", Parser{ArgumentSeparators: []byte(" "), MaxLen: 3}, "a bcd", []string{"a", "b"}, nil, ErrTooLong},
	{"odd brackets", Parser{Brackets: []byte("<>x"), ArgumentSeparators: []byte(" ")}, "<a > b", []string{"<a >", "b"}, nil, nil},
	{"UTF-8 stays as it is", SMTP, "é ü", []string{"é", "ü"}, []int{0, 3}, nil},
	{"invalid UTF-8 too", SMTP, "\xff \xfe", []string{"\xff", "\xfe"}, nil, nil},
}

func TestParser(t *testing.T) {
	for _, tt := range parserTests {
		st := tt.parser.Parse(tt.in)
		if !reflect.DeepEqual(st.Arguments, tt.want) || st.Raw != tt.in || len(tt.want) > 0 && st.Name != tt.want[0] {
			t.Errorf("%s: %+v", tt.name, st)
		}
		if tt.offset != nil && !reflect.DeepEqual(st.Offset, tt.offset) {
			t.Errorf("%s: offsets %v, want %v", tt.name, st.Offset, tt.offset)
		}
		strict, err := tt.parser.ParseStrict(tt.in)
		if err != tt.err || !reflect.DeepEqual(strict, st) {
			t.Errorf("%s: strict %+v, %v; want %v", tt.name, strict, err, tt.err)
		}
	}
}

// Literals written for gomaild's parser compile and mean the same.
func TestParserOldFields(t *testing.T) {
	p := Parser{Prefix: "", Suffix: "", OpenBrackets: true, Brackets: []byte{'<', '>'}, ArgumentSeparators: []byte{' '}, Trim: true}
	st := p.Parse("RCPT TO:<a@b>\r\n")
	if st.Raw != "RCPT TO:<a@b>\r\n" || st.Name != "RCPT" || len(st.Arguments) != 2 || st.Arguments[1] != "TO:a@b" {
		t.Errorf("%+v", st)
	}
}

// A megabyte is parsed in one pass; a quadratic parser would not come to the
// end of this test.
func TestParserLarge(t *testing.T) {
	for _, tt := range []struct {
		in   string
		args int
	}{{strings.Repeat("<", 1<<20), 1}, {strings.Repeat("a ", 1<<19), 1 << 19}, {strings.Repeat(`"\"`, 1<<18), 1}} {
		p := SMTP
		for _, p.OpenBrackets = range []bool{false, true} {
			if st := p.Parse(tt.in); len(st.Arguments) != tt.args {
				t.Errorf("%.10s...: %d arguments", tt.in, len(st.Arguments))
			}
		}
	}
}

// FuzzParser checks that each argument is where Offset says, that they are in
// order and do not overlap, and that Parse and ParseStrict agree.
func FuzzParser(f *testing.F) {
	for _, tt := range parserTests {
		f.Add(tt.in, string(tt.parser.Brackets), string(tt.parser.ArgumentSeparators), tt.parser.Escape, tt.parser.MaxArgs, tt.parser.OpenBrackets)
	}
	f.Fuzz(func(t *testing.T, in, brackets, separators string, escape byte, maxArgs int, open bool) {
		p := Parser{Brackets: []byte(brackets), ArgumentSeparators: []byte(separators), Escape: escape, MaxArgs: maxArgs, OpenBrackets: open}
		st, err := p.ParseStrict(in)
		if loose := p.Parse(in); !reflect.DeepEqual(loose, st) {
			t.Fatalf("Parse %+v, ParseStrict %+v", loose, st)
		}
		if maxArgs > 0 && len(st.Arguments) > maxArgs {
			t.Errorf("%d arguments", len(st.Arguments))
		}
		if len(st.Offset) != len(st.Arguments) {
			t.Fatalf("%d offsets for %d arguments", len(st.Offset), len(st.Arguments))
		}
		end := 0
		for i, at := range st.Offset {
			if at < end || at > len(in) {
				t.Fatalf("argument %d at %d, the one before ends at %d", i, at, end)
			}
			if !open && !only(in[end:at], separators) {
				t.Errorf("%q before argument %d belongs to none", in[end:at], i)
			}
			if !open {
				if end = at + len(st.Arguments[i]); in[at:end] != st.Arguments[i] {
					t.Errorf("argument %d is %q, at its offset stands %q", i, st.Arguments[i], in[at:end])
				}
			} else {
				end = at
			}
		}
		if err == nil && !open && !only(in[end:], separators) {
			t.Errorf("%q is in no argument", in[end:])
		}
	})
}

// only reports whether s consists of octets of set.
func only(s, set string) bool {
	for _, c := range []byte(s) {
		if strings.IndexByte(set, c) < 0 {
			return false
		}
	}
	return true
}

func TestCommand(t *testing.T) {
	for _, tt := range []struct{ in, verb, args string }{
		{"NOOP", "NOOP", ""},
		{"noop ", "noop", ""},
		{" MAIL  FROM:<a@b>\t", "MAIL", "FROM:<a@b>"},
		{"MAIL\tFROM", "MAIL", "FROM"},
		{"", "", ""},
		{"  ", "", ""},
	} {
		verb, args := Command([]byte(tt.in))
		if string(verb) != tt.verb || string(args) != tt.args {
			t.Errorf("%q: %q, %q", tt.in, verb, args)
		}
	}
	for _, tt := range []struct{ in, verb, args string }{
		{"PASS  a b ", "PASS", " a b "}, {"QUIT", "QUIT", ""}, {"QUIT ", "QUIT", ""},
	} {
		verb, args := Cut([]byte(tt.in))
		if string(verb) != tt.verb || string(args) != tt.args {
			t.Errorf("Cut %q: %q, %q", tt.in, verb, args)
		}
	}
}

func TestIs(t *testing.T) {
	for _, tt := range []struct {
		word, keyword string
		want          bool
	}{{"mail", "MAIL", true}, {"MaIl", "MAIL", true}, {"MAIL", "MAI", false}, {"", "", true}, {"KELVIN", "\u212aELVIN", false}, {"ı", "I", false}, {"x-1", "X-1", true}} {
		if Is([]byte(tt.word), tt.keyword) != tt.want {
			t.Errorf("Is(%q, %q)", tt.word, tt.keyword)
		}
	}
	if got := Upper([]byte("aZ-é1")); string(got) != "AZ-é1" {
		t.Errorf("%q", got)
	}
}

func TestArgs(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"  ", nil},
		{"a b", []string{"a", "b"}},
		{`FROM:<"x y"@z> SIZE=1`, []string{`FROM:<"x y"@z>`, "SIZE=1"}},
		{`<a b> "c d"e f`, []string{"<a b>", `"c d"e`, "f"}},
		{`"a\" b" c`, []string{`"a\" b"`, "c"}},
		{`"a b`, []string{`"a b`}},
		{`<a b`, []string{`<a b`}},
		{`<">" x> y`, []string{`<">" x>`, "y"}},
		{"a\t b", []string{"a", "b"}},
	} {
		var got []string
		for arg := range Args([]byte(tt.in)) {
			got = append(got, string(arg))
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %q", tt.in, got)
		}
	}
	for arg := range Args([]byte("a b")) {
		if string(arg) != "a" {
			t.Error("goes on behind break")
		}
		break
	}
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{`"a b"`: "a b", `a`: "a", `"a\"b\\"`: `a"b\`, `""`: "", `"`: `"`, ``: ``, `"\"`: `\`, `"a`: `"a`, `"\a\b"`: "ab"} {
		if got := Unquote([]byte(in)); string(got) != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestErrorsAreDistinct(t *testing.T) {
	all := []error{ErrLineTooLong, ErrBareCR, ErrBareLF, ErrTooBig, ErrMalformedReply, ErrReplyTooBig, ErrUnbalanced, ErrTooLong, ErrAffix, ErrTooMany}
	for i, a := range all {
		for j, b := range all {
			if errors.Is(a, b) != (i == j) || (a.Error() == b.Error()) != (i == j) {
				t.Errorf("%v and %v", a, b)
			}
		}
	}
}
