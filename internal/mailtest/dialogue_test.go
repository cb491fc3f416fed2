package mailtest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, line string
		want          bool
		vars          string
	}{
		{"250 OK", "250 OK", true, "map[]"},
		{"250 OK", "250 OK ", false, ""},
		{"250 ...", "250 ", true, "map[]"},
		{"250 ...", "250", false, ""},
		{"...", "", true, "map[]"},
		{"a...b...c", "aXbYbZc", true, "map[]"},
		{"a...b", "aXbY", false, ""},
		{"+OK <{stamp}>", "+OK <1.2@x>", true, "map[stamp:1.2@x]"},
		{"{a} {b}.", "x y z.", true, "map[a:x b:y z]"},
		{"{", "{", true, "map[]"},
	} {
		vars := make(map[string]string)
		got := match(c.pattern, c.line, vars)
		if got != c.want || got && fmt.Sprint(vars) != c.vars {
			t.Errorf("match(%q, %q) = %v %v, want %v %s", c.pattern, c.line, got, vars, c.want, c.vars)
		}
	}
}

func TestParseDialogues(t *testing.T) {
	all, err := parseDialogues("x.txt", "# comment\n\n=== one\nserver a b=c\nC: hello\nC* 2 twice\nC! \"raw\\n\"\nS: x\n=== two\nserver d\n")
	if err != nil || len(all) != 2 {
		t.Fatalf("%d dialogues, %v", len(all), err)
	}
	if d := all[0]; d.Name != "x/one" || fmt.Sprint(d.Server) != "[a b=c]" || d.Said() != "hello\r\ntwice\r\ntwice\r\nraw\n" {
		t.Errorf("%+v says %q", d, d.Said())
	}
	for _, bad := range []string{"C: too early\n", "=== x\nD: unknown\n"} {
		if _, err := parseDialogues("x.txt", bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// recorder notes that a test was failed.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Helper()                      {}
func (r *recorder) Errorf(f string, args ...any) { r.failed = fmt.Sprintf(f, args...) }

// echo answers each line with itself, "quit" with the end, and "slow" a minute
// later.
func echo(c net.Conn) {
	defer c.Close()
	io.WriteString(c, "hello\r\n")
	s := bufio.NewScanner(c)
	for s.Scan() {
		switch s.Text() {
		case "quit":
			return
		case "slow":
			time.Sleep(time.Minute)
		}
		if _, err := io.WriteString(c, s.Text()+"\r\n"); err != nil {
			return
		}
	}
}

// TestPlay: a dialogue that goes as written passes, and every deviation fails.
func TestPlay(t *testing.T) {
	for script, want := range map[string]string{
		"S: hello\nC: a\nC: b\nS: a\nS: b\nsilent\nC: quit\nclosed":     "",
		"S: hello\nC* 3 a\nC: b\nS* a\nS: b":                            "",
		"S: hello\nC: slow\nsilent\nwait 59s\nsilent\nwait 1s\nS! slow": "",
		"S: hello\nC: slow\nS: slow":                                    "",
		"S: {word}\nC: {word} again\nS: hello again\ndo count {word}":   "",
		"S: hello\nhangup\nconnect\nS: hello":                           "",
		"S: other":                                                      "server says \"hello\"",
		"S: hello\nC: slow\nS! slow":                                    "said nothing yet",
		"silent":                                                        "server says",
		"S: hello\nC: quit\nsilent":                                     "has ended",
		"S: hello\nclosed":                                              "still open",
		"S: hello\nC: a\nclosed":                                        "server says",
		"S: hello\nS: more":                                             "says nothing",
		"S: hello\nC: quit\nS: more":                                    "says nothing",
		"S: hello\nwait long":                                           "invalid duration",
		"S: hello\ndo unknown":                                          "no such step",
	} {
		synctest.Test(t, func(t *testing.T) {
			all, err := parseDialogues("x.txt", "=== x\n"+script+"\n")
			if err != nil {
				t.Fatal(err)
			}
			r := &recorder{TB: t}
			p := &Player{
				Idle: synctest.Wait,
				Dial: func() (net.Conn, error) {
					c, s := Pipe("192.0.2.1:1", "192.0.2.2:2")
					if s.RemoteAddr().String() != "192.0.2.1:1" || s.LocalAddr().String() != "192.0.2.2:2" {
						t.Errorf("addresses are %v, %v", s.RemoteAddr(), s.LocalAddr())
					}
					go echo(s)
					return c, nil
				},
				Steps: map[string]func(string) error{"count": func(arg string) error {
					if arg != "hello" {
						return fmt.Errorf("argument is %q", arg)
					}
					return nil
				}},
			}
			p.Play(r, all[0])
			time.Sleep(time.Hour) // until the server has noticed
			if (r.failed == "") != (want == "") || !strings.Contains(r.failed, want) {
				t.Errorf("%q: failed with %q, want %q", script, r.failed, want)
			}
		})
	}
}
