package config_test

import (
	"testing"

	"github.com/postrider-mail/postrider/parsers/config"
)

func TestRename(t *testing.T) {
	for _, c := range []struct{ src, to, want string }{
		{`{"a": {"k": 1, "o": 2}} // c`, "n", `{"a": {"n": 1, "o": 2}} // c`},
		{"{\"a\": { # x\n\t\"k\" /* y */ : 1, \"o\": 2}}", "n", "{\"a\": { # x\n\t\"n\" /* y */ : 1, \"o\": 2}}"},
		{`{"a": {"k": {"x": 1}, "k": {"y": 2}}}`, `q"`, `{"a": {"q\"": {"x": 1}, "q\"": {"y": 2}}}`},
		{`{"a": {"k": 1}, "a": {"k\u0020": 2}}`, "n", `{"a": {"n": 1}, "a": {"k\u0020": 2}}`},
		{`{"a": {"\u006b": 1}}`, "n", `{"a": {"n": 1}}`},
		{`{"a": {"o": 1}}`, "n", `{"a": {"o": 1}}`},
		{`{"a": 7}`, "n", `{"a": 7}`},
		{`{"a": {"k": 1}}`, "k", `{"a": {"k": 1}}`},
		{``, "n", ``},
	} {
		got, err := config.Rename([]byte(c.src), c.to, "a", "k")
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.src, got, err, c.want)
		}
	}
	for _, src := range []string{`{"k": 1}`, ``, `[1]`} { // no path at all leads to no key
		if got, err := config.Rename([]byte(src), "n"); err != nil || string(got) != src {
			t.Errorf("%s: %s, %v", src, got, err)
		}
	}
	if _, err := config.Rename([]byte(`{"a": {"k": 1, "n": 2}}`), "n", "a", "k"); err == nil {
		t.Error("two keys of one name were made")
	}
	if _, err := config.Rename([]byte(`{"a": `), "n", "a", "k"); err == nil {
		t.Error("a broken text was edited")
	}
}
