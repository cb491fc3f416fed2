package lineserver_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// limits has a field of each kind.
type limits struct {
	Wait   time.Duration `default:"5m"`
	Errors int           `default:"20"`
	Octets int64         `default:"5368709120"`
	Rate   int           `default:"none"`
	Other  string        // without a default
}

func TestDefaults(t *testing.T) {
	full := limits{5 * time.Minute, 20, 5 << 30, -1, ""}
	for name, test := range map[string]struct{ given, want limits }{
		"zero is the default":  {limits{}, full},
		"what is set stays":    {limits{time.Second, 1, 2, 3, "x"}, limits{time.Second, 1, 2, 3, "x"}},
		"negative is no limit": {limits{-1, -1, -5, -1, ""}, limits{-1, -1, -5, -1, ""}},
		"each by itself":       {limits{Errors: 7}, limits{5 * time.Minute, 7, 5 << 30, -1, ""}},
	} {
		got := test.given
		lineserver.Defaults(&got)
		if got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDefaultsThatAreNone(t *testing.T) {
	for name, bad := range map[string]any{
		"a word for a number": &struct {
			A int `default:"many"`
		}{},
		"a number for a time": &struct {
			A time.Duration `default:"5"`
		}{},
		"too big": &struct {
			A int8 `default:"128"`
		}{},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			lineserver.Defaults(bad)
		}()
	}
}

func TestDeadlines(t *testing.T) {
	var never time.Time
	a, b := time.Unix(10, 0), time.Unix(20, 0)
	for _, test := range []struct{ a, b, want time.Time }{{a, b, a}, {b, a, a}, {never, a, a}, {a, never, a}, {never, never, never}, {a, a, a}} {
		if got := lineserver.Earlier(test.a, test.b); !got.Equal(test.want) {
			t.Errorf("Earlier(%v, %v): %v", test.a, test.b, got)
		}
	}
	if got := lineserver.Deadline(a, 10*time.Second); !got.Equal(b) {
		t.Error(got)
	}
	if got := lineserver.Deadline(a, -1); !got.IsZero() {
		t.Errorf("no limit: %v", got)
	}
}

func TestTLSMode(t *testing.T) {
	with := &tls.Config{Certificates: make([]tls.Certificate, 1)}
	for _, test := range []struct {
		mode   lineserver.TLSMode
		config *tls.Config
		ok     bool
	}{
		{lineserver.StartTLS, nil, true}, {lineserver.RequireTLS, nil, false}, {lineserver.ImplicitTLS, nil, false},
		{lineserver.StartTLS, with, true}, {lineserver.ImplicitTLS, with, true},
		{lineserver.StartTLS, &tls.Config{}, false}, {lineserver.ImplicitTLS, &tls.Config{}, false},
		{lineserver.ImplicitTLS, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}, true},
		{lineserver.ImplicitTLS, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }}, true},
	} {
		if err := test.mode.Check(test.config); (err == nil) != test.ok {
			t.Errorf("%v with %v: %v", test.mode, test.config != nil, err)
		}
	}
	if s := lineserver.TLSMode(7).String() + lineserver.RequireTLS.String(); s != "7RequireTLS" {
		t.Error(s)
	}
	if _, err := lineserver.WithKeyPair(nil, filepath.Join(t.TempDir(), "none"), "none"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestTranscript(t *testing.T) {
	var b bytes.Buffer
	write := lineserver.Transcript(&b)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { write("id", 'r', "NOOP") })
	}
	all.Wait()
	if got := b.String(); got != strings.Repeat("id r NOOP\n", 50) {
		t.Errorf("%q", got)
	}
	if got := lineserver.Printable("a\x00\r\n\x1bé\u009b"); got != "a????é?" {
		t.Errorf("%q", got)
	}
	ids := make(map[string]bool)
	for range 1000 {
		ids[lineserver.NewID()] = true
	}
	if len(ids) != 1000 {
		t.Errorf("%d different ids of 1000", len(ids))
	}
}

func TestAttributes(t *testing.T) {
	type seen = lineserver.Attribute
	for args, want := range map[string]struct {
		all []seen
		ok  bool
	}{
		"":                          {nil, true},
		"ADDR=192.0.2.1  port=25":   {[]seen{{"ADDR", "192.0.2.1", true}, {"PORT", "25", true}}, true},
		"NAME=[UNAVAILABLE] HELO=":  {[]seen{{"NAME", "[UNAVAILABLE]", false}, {"HELO", "", false}}, true},
		"NAME=[tempunavail] LOGIN=": {[]seen{{"NAME", "[tempunavail]", false}, {"LOGIN", "", false}}, true},
		"LOGIN=a+2Bb+3d":            {[]seen{{"LOGIN", "a+b=", true}}, true},
		"A=1 B C=2":                 {[]seen{{"A", "1", true}, {"B", "", false}}, false},
		"=x":                        {[]seen{{"", "x", true}}, false},
		"A=+4 B=1":                  {[]seen{{"A", "", true}}, false},
		"A=a=b":                     {[]seen{{"A", "", true}}, false},
	} {
		var got []seen
		ok := true
		for a, good := range lineserver.Attributes(args) {
			got, ok = append(got, a), good
		}
		if ok != want.ok || len(got) != len(want.all) {
			t.Errorf("%q: %v, %v", args, got, ok)
			continue
		}
		for i := range got {
			if got[i] != want.all[i] {
				t.Errorf("%q: %+v, want %+v", args, got[i], want.all[i])
			}
		}
	}
	for text, want := range map[string]string{"192.0.2.1": "192.0.2.1", "IPv6:2001:db8::1": "2001:db8::1", "2001:db8::1": "2001:db8::1", "fe80::1%eth0": "", "x": "", "": ""} {
		ip, ok := lineserver.Attribute{Value: text}.Addr()
		if ok != (want != "") || ok && ip.String() != want {
			t.Errorf("%q: %v, %v", text, ip, ok)
		}
	}
	for text, want := range map[string]int{"0": 0, "65535": 65535, "65536": -1, "-1": -1, "x": -1, "": -1} {
		if port, ok := (lineserver.Attribute{Value: text}).Port(); ok != (want >= 0) || ok && int(port) != want {
			t.Errorf("%q: %v, %v", text, port, ok)
		}
	}
}

// FuzzXtext: what is decoded is one octet for each character or "+" with its
// digits, and nothing but xtext is decoded.
func FuzzXtext(f *testing.F) {
	for _, s := range []string{"", "abc", "+41", "a+2Bb", "+", "+4", "+4g", "é", "a=b", "a b", "+-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := lineserver.Xtext(s)
		hex := strings.Count(s, "+")
		bad := strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' || r == '=' })
		switch {
		case ok && bad:
			t.Errorf("%q is no xtext", s)
		case ok && len(got) != len(s)-2*hex:
			t.Errorf("%q became %q", s, got)
		case !ok && !bad && hex == 0:
			t.Errorf("%q was refused", s)
		}
	})
}
