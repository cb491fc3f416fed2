package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

type protocol string

func (p *protocol) UnmarshalText(text []byte) error {
	if string(text) != "smtp" && string(text) != "pop3" {
		return fmt.Errorf("%q is not one of \"smtp\" and \"pop3\"", text)
	}
	*p = protocol(text)
	return nil
}

// targets is a list that may be written as one text.
type targets []string

func (t *targets) UnmarshalText(text []byte) error { *t = targets{string(text)}; return nil }

type Base struct {
	Common string `json:"common"`
}

type listener struct {
	Address  string
	Protocol protocol `json:"protocol"`
	Limits   *limits
}

type limits struct {
	Max int `json:"max"`
}

type settings struct {
	Base
	ServerName string           `json:"server_name"`
	Ratio      float64          `json:"ratio"`
	Small      int8             `json:"small"`
	Count      uint             `json:"count"`
	On         bool             `json:"on"`
	Timeout    time.Duration    `json:"timeout"`
	Retry      []time.Duration  `json:"retry"`
	MaxSize    Size             `json:"max_size"`
	From       []netip.Prefix   `json:"from"`
	Level      slog.Level       `json:"level"`
	Pair       [2]int           `json:"pair"`
	When       time.Time        `json:"when"`
	Raw        json.RawMessage  `json:"raw"`
	Any        any              `json:"any"`
	ByNumber   map[int]string   `json:"by_number"`
	ByProtocol map[protocol]int `json:"by_protocol"`
	Listeners  []listener
	SMTP       struct {
		MaxSize Size   `json:"max_message_size"`
		Greet   string `json:"greeting"`
	}
	Aliases map[string]targets
	Hidden  string `json:"-"`
	Reader  io.Reader
	private int
}

func TestDecode(t *testing.T) {
	const text = `{
		"common": "c", "server_name": "mail", "ratio": 1.5, "small": -7, "count": 3, "on": true,
		"timeout": "1d12h", "retry": ["5m", "10m"], "max_size": "50MiB",
		"from": ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"], "level": "warn", "pair": [1, 2],
		"when": "2026-01-02T03:04:05Z", "raw": {"x": [1, "two", null, true]}, "any": {"a": [1, "b", false, null]},
		"by_number": {"1": "one", "-2": "minus"}, "by_protocol": {"smtp": 1},
		"Listeners": [{"address": ":25", "protocol": "smtp"}, {"Address": ":110", "protocol": "pop3", "Limits": {"max": 5}}],
		"SMTP": {"max_message_size": 1000}, "SMTP": {"greeting": "hi"},
		"Aliases": {"a@b": "c@d", "e@f": ["g@h", "i@j"]},
	}`
	var got settings
	got.SMTP.Greet = "default"
	if err := Parse(text, &got); err != nil {
		t.Fatal(err)
	}
	var want settings
	want.Common, want.ServerName, want.Ratio, want.Small, want.Count, want.On = "c", "mail", 1.5, -7, 3, true
	want.Timeout, want.Retry, want.MaxSize = 36*time.Hour, []time.Duration{5 * time.Minute, 10 * time.Minute}, 50*MiB
	want.From = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/32")}
	want.Level, want.Pair, want.When = slog.LevelWarn, [2]int{1, 2}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want.Raw = json.RawMessage(`{"x":[1,"two",null,true]}`)
	want.Any = map[string]any{"a": []any{1.0, "b", false, nil}}
	want.ByNumber, want.ByProtocol = map[int]string{1: "one", -2: "minus"}, map[protocol]int{"smtp": 1}
	want.Listeners = []listener{{":25", "smtp", nil}, {":110", "pop3", &limits{5}}}
	want.SMTP.MaxSize, want.SMTP.Greet, want.private = 1000, "hi", 0
	want.Aliases = map[string]targets{"a@b": {"c@d"}, "e@f": {"g@h", "i@j"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Every row is decoded into settings; want are the problems in order, without
// the lines that show the place.
var problems = []struct {
	name, text string
	want       []string
}{
	{"unknown key", `{"server_nmae": "x"}`, []string{`t:1:2: server_nmae: unknown key; did you mean "server_name"?`}},
	{"unknown key, other habit", `{"serverName": "x"}`, []string{`t:1:2: serverName: unknown key; did you mean "server_name"?`}},
	{"unknown key of an inner object", `{"max_message_size": 1}`, []string{`t:1:2: max_message_size: unknown key; did you mean SMTP.max_message_size?`}},
	{"unknown key, renamed", `{"SMTP": {"timeout": 5}}`, []string{`t:1:11: SMTP.timeout: unknown key; it is now idle_timeout`}},
	{"unknown key, no idea", "{\n  \"zzzzzz\": 1\n}", []string{`t:2:3: zzzzzz: unknown key`}},
	{"unknown key in a list", `{"Listeners": [{"adress": ""}]}`, []string{`t:1:17: Listeners[0].adress: unknown key; did you mean "Address"?`}},
	{"unknown key of an inner object, no idea", `{"Listeners": [{"zzzzzz": ""}]}`, []string{`t:1:17: Listeners[0].zzzzzz: unknown key; there are Address, protocol, Limits`}},
	{"excluded field", `{"Hidden": "x"}`, []string{`t:1:2: Hidden: unknown key`}},
	{"unexported field", `{"private": 1}`, []string{`t:1:2: private: unknown key`}},
	{"several", "{\n\"on\": 1,\n\"x y\": 2,\n\"small\": 300\n}", []string{
		`t:2:7: on: found the number 1 where true or false should stand`,
		`t:3:1: "x y": unknown key`,
		`t:4:10: small: 300 is too large`}},
	{"quoted bool", `{"on": "true"}`, []string{`t:1:8: on: found a text in quotes where true or false (without quotes) should stand`}},
	{"quoted number", `{"count": "3"}`, []string{`t:1:11: count: found a text in quotes where a number (without quotes) should stand`}},
	{"negative", `{"count": -3}`, []string{`t:1:11: count: -3 should be a whole number that is not negative`}},
	{"fraction", `{"count": 3.5}`, []string{`t:1:11: count: 3.5 should be a whole number`}},
	{"huge", `{"ratio": 1e999}`, []string{`t:1:11: ratio: 1e999 is too large`}},
	{"number for text", `{"server_name": 5}`, []string{`t:1:17: server_name: found the number 5 where a text in quotes should stand`}},
	{"bool for enum", `{"Listeners": [{"protocol": true}]}`, []string{`t:1:29: Listeners[0].protocol: found true where a text in quotes should stand`}},
	{"bad enum", `{"Listeners": [{"protocol": "imap"}]}`, []string{`t:1:29: Listeners[0].protocol: "imap" is not one of "smtp" and "pop3"`}},
	{"duration without unit", `{"timeout": 5}`, []string{`t:1:13: timeout: found the number 5 where a duration in quotes, like "30s", "5m" or "5d", should stand`}},
	{"bad duration", `{"timeout": "5 minutes"}`, []string{`t:1:13: timeout: "5 minutes" is not a duration; write one like "30s", "5m", "2h" or "5d"`}},
	{"bad duration in a list", `{"retry": ["5m", "x"]}`, []string{`t:1:18: retry[1]: "x" is not a duration; write one like "30s", "5m", "2h" or "5d"`}},
	{"bool for size", `{"max_size": true}`, []string{`t:1:14: max_size: found true where a size, like "50MB" or "64KiB", should stand`}},
	{"bad size", `{"max_size": "50 MB/s"}`, []string{`t:1:14: max_size: "50 MB/s" is not a size; write one like "50MB" or "64KiB"`}},
	{"network with host bits", `{"from": ["10.1.2.3/8"]}`, []string{`t:1:11: from[0]: "10.1.2.3/8" is an address within a network; write "10.0.0.0/8" for the network or "10.1.2.3" for the address`}},
	{"no network", `{"from": ["localhost"]}`, []string{`t:1:11: from[0]: "localhost" is not a network; write one like "10.0.0.0/8" or "2001:db8::/32"`}},
	{"number for network", `{"from": [10]}`, []string{`t:1:11: from[0]: found the number 10 where a network in quotes, like "10.0.0.0/8", should stand`}},
	{"text for list", `{"from": "10.0.0.0/8"}`, []string{`t:1:10: from: found a text in quotes where a list [...] should stand`}},
	{"list for object", `{"SMTP": []}`, []string{`t:1:10: SMTP: found a list where an object {...} should stand`}},
	{"object for list", `{"Listeners": {}}`, []string{`t:1:15: Listeners: found an object where a list [...] should stand`}},
	{"text for map", `{"Aliases": "x"}`, []string{`t:1:13: Aliases: found a text in quotes where an object {...} should stand`}},
	{"number for one or many", `{"Aliases": {"a@b": 5}}`, []string{`t:1:21: Aliases."a@b": found the number 5 where a list [...] should stand`}},
	{"bad map key", `{"by_number": {"x": "y"}}`, []string{`t:1:16: by_number.x: x should be a whole number`}},
	{"bad map key that reads itself", `{"by_protocol": {"x": 1}}`, []string{`t:1:18: by_protocol.x: "x" is not one of "smtp" and "pop3"`}},
	{"array of another length", `{"pair": [1]}`, []string{`t:1:10: pair: found 1 items where 2 should stand`}},
	{"bad time", `{"when": "yesterday"}`, []string{`t:1:10: when: parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"`}},
	{"interface", `{"Reader": "x"}`, []string{`t:1:12: Reader: a io.Reader cannot be configured`}},
	{"scalar twice", "{\"count\": 1,\n \"count\": 2}", []string{`t:2:2: "count" stands here for the second time, the first is on line 1`}},
	{"scalar twice in merged objects", "{\"SMTP\": {\"greeting\": \"a\"},\n \"SMTP\": {\"greeting\": \"b\"}}", []string{`t:2:11: "greeting" stands here for the second time, the first is on line 1`}},
	{"list twice", `{"from": [], "from": []}`, []string{`t:1:14: "from" stands here for the second time, the first is on line 1`}},
	{"object and scalar", `{"SMTP": {}, "SMTP": 1}`, []string{`t:1:14: "SMTP" stands here for the second time, the first is on line 1`}},
	{"top level is a list", `[]`, []string{`t:1:1: found a list where an object {...} should stand`}},

	{"missing comma", "{\"a\": 1\n \"b\": 2}", []string{`t:1:8: a comma is missing here`}},
	{"missing colon", `{"a" 1}`, []string{`t:1:6: found "1" where a colon after the key "a" should stand`}},
	{"missing value", `{"a": }`, []string{`t:1:7: found "}" where a value should stand; is something missing before it?`}},
	{"two commas", `{"a": 1,,}`, []string{`t:1:10: found "}" where a key in quotes should stand; is something missing before it?`}},
	{"no quotes on the key", `{a: 1}`, []string{`t:1:2: found "a" where a key in quotes should stand; texts and keys stand in quotes`}},
	{"single quotes", `{'a': 1}`, []string{`t:1:2: found "'" where a key in quotes should stand; strings stand in double quotes`}},
	{"yes", `{"on": yes}`, []string{`t:1:8: found "yes" where a value should stand; write true or false`}},
	{"no quotes on the value", `{"a": 10m}`, []string{`t:1:7: "10m" is not a number; put a text in quotes`}},
	{"leading zero", `{"a": 007}`, []string{`t:1:7: "007" is not a number; put a text in quotes`}},
	{"bad escape", `{"a": "C:\mail"}`, []string{`t:1:10: not an escape sequence; write \\ for a backslash`}},
	{"half a surrogate", `{"a": "\ud800"}`, []string{`t:1:8: not an escape sequence; write \\ for a backslash`}},
	{"other half", `{"a": "\udc00"}`, []string{`t:1:8: not an escape sequence; write \\ for a backslash`}},
	{"short escape", `{"a": "\u00"}`, []string{`t:1:8: not an escape sequence; write \\ for a backslash`}},
	{"tab in a string", "{\"a\": \"x\ty\"}", []string{`t:1:9: a control character in a string; write \u0009`}},
	{"unclosed string", "{\"a\": \"x\n}", []string{`t:1:7: this string is not closed on its line`}},
	{"unclosed comment", "{} /* x", []string{`t:1:4: this comment is not closed; it needs a */`}},
	{"unclosed object", `{"a": 1`, []string{`t:1:8: the file ends where '}' at the end of the object should stand; the object was opened on line 1`}},
	{"unclosed after comma", `{"a": 1,`, []string{`t:1:9: the file ends where '}' at the end of the object should stand; the object was opened on line 1`}},
	{"unclosed list", `[1`, []string{`t:1:3: the file ends where ']' at the end of the list should stand; the list was opened on line 1`}},
	{"wrong bracket", `[1}`, []string{`t:1:3: found "}" where a comma or ']' should stand; the list was opened on line 1`}},
	{"more behind the end", `{} {}`, []string{`t:1:4: found "{" where the end of the file should stand`}},
	{"not UTF-8", "{\n\"a\": \"\xff\"}", []string{`t:2:7: this is not UTF-8; save the file as UTF-8`}},
	{"UTF-16", "\xff\xfe{\x00}\x00", []string{`t:1:1: the file is in UTF-16; save it as UTF-8`}},
	{"too deep", strings.Repeat("[", 65), []string{`t:1:65: objects and lists are nested deeper than 64`}},
	{"columns count characters", `{"server_name": "äöü", "on": 1}`, []string{`t:1:30: on: found the number 1 where true or false should stand`}},
	{"a byte order mark has no column", "\uFEFF{\"x\": 1}", []string{`t:1:2: x: unknown key`}},
}

func TestProblems(t *testing.T) {
	for _, c := range problems {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
				d := Decoder{Name: "t", DuplicateObjects: true, Renamed: map[string]string{"SMTP.timeout": "it is now idle_timeout"}}
				var s settings
				err := d.Decode(r, &s)
				var errs Errors
				if !errors.As(err, &errs) {
					t.Fatalf("got %v, want Errors", err)
				}
				var got []string
				for _, e := range errs {
					got = append(got, e.Brief())
				}
				if !reflect.DeepEqual(got, c.want) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				}
			}
		})
	}
}

func TestStrictByDefault(t *testing.T) {
	var v any
	err := new(Decoder).Decode(strings.NewReader(`{"a": {}, "a": {}}`), &v)
	if err == nil || !strings.Contains(err.Error(), "configuration:1:11: \"a\" stands here for the second time") {
		t.Errorf("repeated objects: %v", err)
	}
	d := Decoder{AllowUnknown: true}
	var s settings
	if err := d.Decode(strings.NewReader(`{"zzz": 1, "count": 2}`), &s); err != nil || s.Count != 2 {
		t.Errorf("AllowUnknown: %v, count %d", err, s.Count)
	}
}

func TestNull(t *testing.T) {
	s := settings{ServerName: "x", Retry: []time.Duration{1}, Any: 1}
	s.Listeners = []listener{{Limits: &limits{}}}
	if err := Parse(`{"server_name": null, "retry": null, "any": null, "Listeners": [{"Limits": null}]}`, &s); err != nil {
		t.Fatal(err)
	}
	if s.ServerName != "x" || s.Retry != nil || s.Any != nil || s.Listeners[0].Limits != nil {
		t.Errorf("got %+v", s)
	}
}

func TestEmpty(t *testing.T) {
	for _, text := range []string{"", "  \n", "# nothing yet\n", "\uFEFF"} {
		s := settings{ServerName: "x"}
		if err := Parse(text, &s); err != nil || s.ServerName != "x" {
			t.Errorf("%q: %v, %+v", text, err, s)
		}
	}
}

func TestDecodeInto(t *testing.T) {
	var s settings
	var nothing *settings
	for _, into := range []any{s, nothing, nil} {
		if err := Parse("{}", into); err == nil {
			t.Errorf("decoding into %T succeeded", into)
		}
	}
	if err := new(Decoder).Decode(iotest.ErrReader(io.ErrUnexpectedEOF), &s); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a reader that fails: %v", err)
	}
	type tree struct {
		*Base
		Next *tree `json:"next"`
	}
	var v tree
	if err := Parse(`{"common": "x", "next": {"next": {"common": "y"}}}`, &v); err != nil || v.Common != "x" || v.Next.Next.Common != "y" {
		t.Errorf("pointers: %v", err)
	}
	type loop struct{ *loop }
	if err := Parse(`{"x": 1}`, &loop{}); err == nil {
		t.Error("an unknown key in a type that embeds itself was accepted")
	}
}

func TestLimits(t *testing.T) {
	var v any
	if err := Parse(`{"a": "`+strings.Repeat("x", maxSize)+`"}`, &v); err == nil || !strings.Contains(err.Error(), "larger than 32MiB") {
		t.Errorf("a huge text: %v", err)
	}
	err := Parse("["+strings.Repeat("[],", maxValues+1)+"]", &v)
	if err == nil || !strings.Contains(err.Error(), "more than 1048576 values") {
		t.Errorf("too many values: %v", err)
	}
	var m struct{}
	err = Parse("{"+manyKeys(1000)+"}", &m)
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != maxErrors {
		t.Errorf("%d problems reported, want %d", len(errs), maxErrors)
	}
	err = Parse("{"+strings.Repeat(`"a": 1, `, 1000)+"}", &v)
	if !errors.As(err, &errs) || len(errs) != maxErrors {
		t.Errorf("%d repeated keys reported, want %d", len(errs), maxErrors)
	}
}

// TestOneLongLine: two hundred problems on one line of megabytes are told
// without showing it two hundred times.
func TestOneLongLine(t *testing.T) {
	var v any
	var s struct{}
	for _, err := range []error{
		Parse("{"+strings.Repeat(`"a":1,`, 1000000)+"}", &v),
		Parse("{"+strings.ReplaceAll(manyKeys(100000), "\n", "")+"}", &s),
	} {
		var errs Errors
		if !errors.As(err, &errs) || len(errs) != maxErrors || len(err.Error()) > 100*maxErrors {
			t.Errorf("%d problems in %d octets", len(errs), len(fmt.Sprint(err)))
		}
	}
}

// TestNumbers: none is silently another one.
func TestNumbers(t *testing.T) {
	for text, want := range map[string]any{
		"1": 1.0, "-1.5e3": -1500.0, "9007199254740991": 9007199254740991.0, "9007199254740992": 9007199254740992.0, "9007199254740993": json.Number("9007199254740993"),
		"-12345678901234567890": json.Number("-12345678901234567890"), "18446744073709551616": 18446744073709551616.0, "1e400": json.Number("1e400"), "0.1": 0.1,
	} {
		var v map[string]any
		if err := Parse(`{"x": `+text+`}`, &v); err != nil || v["x"] != want {
			t.Errorf("%s: %T %v, %v", text, v["x"], v["x"], err)
		}
	}
	for text, want := range map[string]string{
		"NaN": "texts and keys stand in quotes", "-Infinity": "is not a number", "1e400": "too large", "01": "is not a number", ".5": "a value should stand", "0x10": "is not a number",
	} {
		var v struct{ X float64 }
		if err := Parse(`{"x": `+text+`}`, &v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", text, v.X, err)
		}
	}
	for text, want := range map[string]string{
		"9223372036854775808": "too large", "1e3": "a whole number", "1.0": "a whole number",
	} {
		var v struct{ X int64 }
		if err := Parse(`{"x": `+text+`}`, &v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", text, v.X, err)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "\"key%d\": {\"x\": [%d]},\n", i, i)
	}
	return b.String()
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := distance(c.a, c.b, 10); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a, 10); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
	if got := distance(strings.Repeat("a", 100), "a", 5); got != 5 {
		t.Errorf("a long key: %d", got)
	}
}

// FuzzDecode: no text does more than fill the value or say where it is wrong;
// what is plain JSON is read as encoding/json reads it.
func FuzzDecode(f *testing.F) {
	for _, c := range problems {
		f.Add(c.text)
	}
	suite(f, func(_ string, text []byte) { f.Add(string(text)) })
	f.Fuzz(func(t *testing.T, text string) {
		var v any
		err := Parse(text, &v)
		check(t, text, err)
		var want any
		if json.Unmarshal([]byte(text), &want) == nil && err == nil && v != nil {
			if !reflect.DeepEqual(rounded(v), want) && !strings.Contains(text, `"`) {
				t.Fatalf("%q: read %v, encoding/json reads %v", text, v, want)
			}
		}
		var s settings
		check(t, text, Parse(text, &s))
		// A secret marked as one shows in no error.
		if strings.Contains(text, "hunter2") {
			return
		}
		for _, secret := range []string{`"hunter2"`, `hunter2`, `"hunter2`} {
			d := Decoder{Hide: func(key, _ string) bool { return key == "secret" }}
			err := d.Decode(strings.NewReader(`{"secret": `+secret+`, "x": `+text+"}"), &settings{})
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("%q: the secret shows in %v", text, err)
			}
		}
	})
}

// rounded is v with float64 in the place of json.Number, objects left out.
func rounded(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64()
		return f
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = rounded(v[i])
		}
		return list
	}
	return v
}

// check fails unless err is nil or Errors at places within text.
func check(t *testing.T, text string, err error) {
	if err == nil {
		return
	}
	var errs Errors
	if !errors.As(err, &errs) || len(errs) == 0 {
		t.Fatalf("%q: %v, which is no Errors", text, err)
	}
	lines := strings.Split(text, "\n")
	for _, e := range errs {
		if e.Line < 1 || e.Line > len(lines) || e.Col < 1 || e.Col > len(lines[e.Line-1])+1 {
			t.Fatalf("%q: %d:%d is no place in it", text, e.Line, e.Col)
		}
		if shown := e.Error(); strings.ContainsFunc(shown, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) {
			t.Fatalf("%q: the error has control characters: %q", text, shown)
		}
	}
}
