package conf

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestTags: every bound in a tag can be read as a value of its setting, no word
// in a tag is misspelt, and the defaults keep to the bounds.
func TestTags(t *testing.T) {
	seen := make(map[reflect.Type]bool)
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if !isObject(typ) || seen[typ] {
			return
		}
		seen[typ] = true
		for _, f := range fieldsOf(typ) {
			name := typ.Name() + "." + f.Name
			for _, word := range strings.Split(f.Tag.Get("conf"), ",") {
				if word != "" && word != "path" && word != "restart" && word != "zero" {
					t.Errorf("%s: the word %q in its tag", name, word)
				}
			}
			for _, key := range []string{"min", "max"} {
				if bound := f.Tag.Get(key); bound != "" {
					if _, err := parseAmount(f.Type, bound); err != nil {
						t.Errorf("%s: %s: %v", name, key, err)
					}
				}
			}
			visit(f.Type)
		}
	}
	visit(reflect.TypeFor[Settings]())
	if len(seen) < 10 {
		t.Fatalf("only %d types seen", len(seen))
	}
	c := newChecker(New(), Probes{})
	c.ranges()
	if len(c.errs) > 0 {
		t.Errorf("a default is beyond its bounds: %v", c.errs)
	}
}

// TestBounds: for each setting with a bound, the bound itself is right and one
// beyond it is refused, with the bound in the text.
func TestBounds(t *testing.T) {
	tried := 0
	eachSetting(reflect.ValueOf(New()), func(s setting) {
		for key, beyond := range map[string]int64{"min": -1, "max": 1} {
			bound := s.tag.Get(key)
			if bound == "" {
				continue
			}
			tried++
			name := fmt.Sprint(s.steps...) + " " + key
			for _, delta := range []int64{0, beyond} {
				changed := New()
				eachSetting(reflect.ValueOf(changed), func(v setting) {
					if reflect.DeepEqual(v.steps, s.steps) {
						v.value.SetInt(amount(v.value.Type(), bound) + delta)
					}
				})
				c := newChecker(changed, Probes{})
				c.ranges()
				switch {
				case delta == 0 && len(c.errs) > 0:
					t.Errorf("%s: the bound itself is refused: %v", name, c.errs)
				case delta != 0 && len(c.errs) != 1:
					t.Errorf("%s: beyond it: %v", name, c.errs)
				case delta != 0 && !strings.Contains(c.errs[0].is.Error(), bound):
					t.Errorf("%s: the bound %s is not told: %v", name, bound, c.errs)
				}
			}
		}
	})
	if tried < 25 {
		t.Errorf("only %d bounds tried", tried)
	}
}

// TestNeedsRestart: what a running server cannot take over is named with its
// place and both values, and nothing else is.
func TestNeedsRestart(t *testing.T) {
	dir := t.TempDir()
	load := func(text string) *Settings {
		t.Helper()
		name := filepath.Join(dir, "mail.conf")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old := load(`{"server_name": "a.example", "data_dir": "/d", "SMTP": {"max_errors": 5}}`)
	if errs := old.NeedsRestart(load(`{"server_name": "b.example", "data_dir": "/d", "SMTP": {"max_errors": 6}}`)); len(errs) > 0 {
		t.Errorf("settings that can change: %v", errs)
	}
	errs := old.NeedsRestart(load("{\"server_name\": \"a.example\", \"data_dir\": \"/d\",\n\"Admin\": {\"submit_socket\": \"/run/s\"}, \"mail_dir\": \"/m\"}"))
	var b bytes.Buffer
	for _, err := range errs {
		fmt.Fprintln(&b, err)
	}
	for _, want := range []string{
		`mail.conf:2:28: Admin.submit_socket cannot change while the server runs (it was not set, and is "/run/s"): restart it`,
		`mail.conf:2:51: mail_dir cannot change while the server runs (it was "/d/mail", and is "/m"): restart it`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("missing: %s\ngot %s", want, b.String())
		}
	}
	if len(errs) != 2 {
		t.Errorf("%d errors", len(errs))
	}
	back := load(`{"server_name": "a.example", "data_dir": "/d", "Queue": {"deliver": false}}`)
	if errs := back.NeedsRestart(old); len(errs) != 1 || !strings.Contains(errs[0].Error(), "Queue.deliver") {
		t.Errorf("a setting taken back: %v", errs)
	}
}

// TestManualTellsRules: the bounds and the need of a restart are in the manual.
func TestManualTellsRules(t *testing.T) {
	var b bytes.Buffer
	if err := Reference(&b, "SMTP", "mail_dir"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"// At least 64KiB (RFC 5321 §4.5.3.1.7).", "// At most 1m (honest clients give up).", "// A change needs a restart."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("missing: %s", want)
		}
	}
}

// TestDefaultsGiveWay: a value that was written is not refused because of a
// default beside it.
func TestDefaultsGiveWay(t *testing.T) {
	for _, text := range []string{
		`"Queue": {"expire_after": "1h"}`,
		`"Queue": {"retry_first": "2h"}`,
		`"Queue": {"retry_max": "1m"}`,
		`"Queue": {"concurrency": 5}`,
		`"SMTP": {"max_connections": 10}`,
		`"SMTP": {"idle_timeout": "3h"}`,
		`"POP3": {"max_connections": 10, "idle_timeout": "1d"}`,
	} {
		dir := t.TempDir()
		name := filepath.Join(dir, "mail.conf")
		if err := os.WriteFile(name, []byte(`{"server_name": "a.example", "data_dir": ".", `+text+`}`), 0o600); err != nil {
			t.Fatal(err)
		}
		s, problems := Verify(name, Probes{})
		if len(problems) > 0 {
			t.Errorf("%s: %v", text, problems)
		}
		if text == `"Queue": {"expire_after": "1h"}` && s.Queue.DelayWarningAfter != 0 {
			t.Errorf("a warning after %v, and given up after an hour", s.Queue.DelayWarningAfter)
		}
	}
	both := New()
	both.giveWay()
	if !reflect.DeepEqual(both, New()) {
		t.Error("the defaults contradict each other")
	}
}

// TestPublicShare: networks are added up, each address once, those that are not
// public left out.
func TestPublicShare(t *testing.T) {
	v4, v6 := families()[0], families()[1]
	for _, test := range []struct {
		f    family
		nets string
		want float64
	}{
		{v4, "", 0},
		{v4, "8.0.0.0/8", v4.size(8)},
		{v4, "8.0.0.0/8 8.0.0.0/8 8.1.0.0/16", v4.size(8)},
		{v4, "8.1.0.0/16 8.0.0.0/8", v4.size(8)},
		{v4, "10.0.0.0/8 192.168.0.0/16 127.0.0.1/32", 0},
		{v4, "203.0.0.0/8", v4.size(8) - v4.size(24)},
		{v4, "2001::/16", 0},
		{v6, "2001::/16 8.0.0.0/8", v6.size(16) - v6.size(32)},
		{v6, "fd00::/8 fe80::/64", 0},
	} {
		var nets []netip.Prefix
		for text := range strings.FieldsSeq(test.nets) {
			nets = append(nets, netip.MustParsePrefix(text))
		}
		if got := test.f.public(nets); got != test.want {
			t.Errorf("%s %s: %g, want %g", test.f.name, test.nets, got, test.want)
		}
	}
	halves := []netip.Prefix{netip.MustParsePrefix("128.0.0.0/1"), netip.MustParsePrefix("0.0.0.0/1")}
	if got, whole := v4.public(halves), v4.public([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}); got != whole || got < 0.8 {
		t.Errorf("two halves are %g, the whole %g", got, whole)
	}
}

// TestAdviseTrusted: large public networks are worth a note, those in the house
// are not.
func TestAdviseTrusted(t *testing.T) {
	for nets, want := range map[string]bool{"8.8.0.0/16": true, "8.8.0.0/17": false, "10.0.0.0/8": false, "8.8.0.0/17 8.8.128.0/17": true, "2a00::/32": true, "2a00::/33": false} {
		s := New()
		s.ServerName = "a.example"
		for text := range strings.FieldsSeq(nets) {
			s.SMTP.RelayFrom = append(s.SMTP.RelayFrom, netip.MustParsePrefix(text))
		}
		got := false
		for _, err := range s.Advice() {
			got = got || strings.Contains(err.Error(), "relay_from")
		}
		if got != want {
			t.Errorf("%s: a note %v, want %v", nets, got, want)
		}
	}
}
