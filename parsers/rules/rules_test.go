package rules

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
)

// files is a Compiler that sees these files only.
func files(all map[string]string) *Compiler {
	sys := fstest.MapFS{}
	for name, text := range all {
		sys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return &Compiler{Open: func(name string) (io.ReadCloser, error) { return sys.Open(strings.TrimPrefix(name, "/")) }}
}

func parse(t *testing.T, text string) *Set {
	t.Helper()
	s, err := Parse("t.rules", text)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return s
}

// TestOldLanguage: what the language's ancestor promised (phases, actions, how words combine).
func TestOldLanguage(t *testing.T) {
	for _, c := range []struct {
		text string
		at   Phase
		want Action
		line int
	}{
		{"accept all\nreject all", AtTo, Accept, 1},
		{"reject from a@b.example\nstall all", AtFrom, Stall, 2},
		{"@from reject all", AtTo, None, 0},
		{"@from reject all", AtFrom, Reject, 1},
		{"stall from @.sender.example helo .example", AtFrom, Stall, 1},
		{"stall from @.sender.example helo .other", AtFrom, None, 0},
		// "or" binds tighter than standing side by side: helo is asked of both.
		{"reject from a@b.example or from @.sender.example helo .other", AtFrom, None, 0},
		{"reject (from a@b.example helo .other) or from @.sender.example", AtFrom, Reject, 1},
		{"reject not from a@b.example or from @.sender.example", AtFrom, Reject, 1},
		{"reject not (from a@b.example or from @.sender.example)", AtFrom, None, 0},
		{"reject not not from @.sender.example", AtFrom, Reject, 1},
		{"reject from <>; from a@b.example; from @.sender.example with message \"third\"", AtFrom, Reject, 1},
		{"reject from <>;\n  from @.sender.example", AtFrom, Reject, 2},
		{"reject from <>;\naccept all", AtFrom, Accept, 2},
		{"reject \\\n  from @.sender.example \\\n  helo .example", AtFrom, Reject, 1},
		{"# a comment\n\n  # another\nreject all # behind\n", AtFrom, Reject, 4},
		{"reject all", AtConnect, Reject, 1},
		{"reject from @", AtConnect, None, 0}, // there is no sender yet
		{"reject from @", AtMessage, Reject, 1},
		{"reject to @", AtFrom, None, 0},
		{"reject to @", AtData, Reject, 1},
		{"\ufeffreject all\r\nstall all\r\n", AtFrom, Reject, 1},
		{"reject all", AtMessage, Reject, 1}, // a last line without its end
		{"reject from-has bad,route\nreject to-has bad,route\nreject helo-has none\n", AtTo, None, 0},
		{"reject tls off\naccept all", AtHelo, Accept, 2}, // STARTTLS comes later
		{"@helo reject tls on", AtHelo, Reject, 1},
		{"reply \"550 5.7.1 No\" all", AtTo, Answer, 1},
		{"drop all", AtTo, Drop, 1},
		{"discard all", AtTo, None, 0},
		{"discard all", AtMessage, Discard, 1},
		{"quarantine all with mailbox Junk@Home.Example", AtMessage, Quarantine, 1},
		{"redirect junk@home.example all", AtMessage, Redirect, 1},
		{"redirect junk@home.example all", AtTo, None, 0},
		{"@rcpt reject all", AtTo, Reject, 1},
		// Lists judge when users have logged in, unless a rule says otherwise.
		{"reject dnsbl bad.list.example", AtHelo, None, 0},
		{"reject dbl host bad.list.example", AtFrom, None, 0},
		{"reject dnsbl bad.list.example", AtTo, Reject, 1},
		{"@connect reject dnsbl bad.list.example", AtConnect, Reject, 1},
		{"@mail reject all", AtFrom, Reject, 1},
		{"@ehlo reject all", AtHelo, Reject, 1},
		{"@header reject header subject hello*", AtHeader, Reject, 1},
	} {
		d := parse(t, c.text).Eval(c.at, known())
		if d.Action != c.want || d.Rule.Line != c.line {
			t.Errorf("%s\nat %v: %v by line %d, not %v by line %d", c.text, c.at, d.Action, d.Rule.Line, c.want, c.line)
		}
	}
}

// TestOptions: what set-with and the rule that decides make of "with".
func TestOptions(t *testing.T) {
	s := parse(t, `set-with all with note "one" savedir dir tls-opt no-client
set-with from @ with note two make-yakker
set-with from <> with note three
set-with all with savedir other; all with savedir "of no clause after the first"
@from reject from ann@ with message "a \"b\" \\ c
second line" note mine
@helo accept all`)
	d := s.Eval(AtFrom, known())
	if d.Note != "mine" || d.SaveDir != "other" || d.TLS != "no-client" || !d.MakeYakker || d.Reply != (Reply{550, "5.7.1", "a \"b\" \\ c\nsecond line"}) {
		t.Errorf("%+v", d)
	}
	if d = s.Eval(AtHelo, known()); d.Note != "one" || d.SaveDir != "other" || d.Action != Accept {
		t.Errorf("%+v", d)
	}
	if d = s.Eval(AtTo, known()); d.Note != "two" || d.Action != None {
		t.Errorf("%+v", d)
	}
}

// TestReplies: the codes of each action in each phase.
func TestReplies(t *testing.T) {
	s := parse(t, "reject ip 192.0.2.0/24")
	stall := parse(t, "stall all with message \"Wait\"")
	answer := parse(t, "reply \"452 Full\" all")
	for p, codes := range [][2]int{{554, 421}, {550, 450}, {550, 450}, {550, 450}, {554, 451}, {554, 451}, {554, 451}} {
		d := s.Eval(Phase(p), known())
		if d.Reply.Code != codes[0] || d.Reply.Enhanced != "5.7.1" || !d.Refuses() {
			t.Errorf("%v: %+v", Phase(p), d.Reply)
		}
		if d = stall.Eval(Phase(p), known()); d.Reply.Code != codes[1] || d.Reply.Text != "Wait" || !d.Refuses() {
			t.Errorf("%v: %+v", Phase(p), d.Reply)
		}
		if d = answer.Eval(Phase(p), known()); d.Reply != (Reply{452, "", "Full"}) || !d.Refuses() {
			t.Errorf("%v: %+v", Phase(p), d.Reply)
		}
	}
	if d := parse(t, `reply "250 2.0.0 Thanks" all`).Eval(AtTo, known()); d.Refuses() || d.Reply.Code != 250 {
		t.Errorf("%+v", d)
	}
}

// TestGoingOn: actions that do not decide, and what they leave behind.
func TestGoingOn(t *testing.T) {
	s := parse(t, "tag \"X-One: 1\" all\n@message delay 2s all\ntag \"X-Two: two words\" from @; from ann@\ndelay 3s ip 10.0.0.1\nquarantine header subject *\ntag \"X-Three: 3\" all")
	d := s.Eval(AtMessage, known())
	if d.Action != Quarantine || d.Delay != 2*time.Second || len(d.Tags) != 2 || d.Tags[1].Name != "X-Two" || d.Tags[1].Value != "two words" || d.Tags[1].Rule.Line != 3 {
		t.Errorf("%+v", d)
	}
	if d = parse(t, "delay 5s ip 192.0.2.7").Eval(AtConnect, known()); d.Delay != 5*time.Second {
		t.Error(d)
	}
	if d = parse(t, "delay 5s ip 192.0.2.7").Eval(AtHelo, known()); d.Delay != 0 {
		t.Error("a delay happens again", d)
	}
}

// TestNullSender: MAIL FROM:<> is never refused; what would have been is at RCPT.
func TestNullSender(t *testing.T) {
	c := known()
	c.Text[From] = []string{""}
	for text, want := range map[string]Action{
		"@from reject from <>":                          Reject,
		"@from reject all":                              Reject,
		"reject from <>":                                Reject,
		"reject all":                                    Reject,
		"@from drop from <>":                            Drop,
		"@from stall first 1":                           Stall,
		"@from accept all\n@from reject all":            None,
		"@from accept all\n@to reject all":              Reject,
		"@to accept all\n@from reject from <>":          Reject,
		"@to accept all\nreject from <>":                Accept,
		"@from reject from @":                           None,
		"@from reply \"250 Fine\" all\n@to stall all":   Stall,
		"@to reject from ann@\n@from reject host .none": None,
	} {
		s := parse(t, text)
		if d := s.Eval(AtFrom, c); d.Action != None {
			t.Errorf("%s: %v at MAIL", text, d.Action)
		}
		if d := s.Eval(AtTo, c); d.Action != want {
			t.Errorf("%s: %v at RCPT, not %v", text, d.Action, want)
		}
	}
}

// TestCounting: what counts does so where all else is true, once for each transaction.
func TestCounting(t *testing.T) {
	run := func(text string, n int) (all string) {
		s := parse(t, text)
		for range n {
			for p := range phases {
				if s.Eval(p, known()).Refuses() {
					all += fmt.Sprint(p, " ")
				} else if p == AtMessage {
					all += ". "
				}
			}
		}
		return strings.TrimSpace(all)
	}
	for text, want := range map[string]string{
		"stall first 2":                              "connect . connect . . .",
		"stall every 2 from @":                       ". from . . from .",
		"@to stall not first 3":                      ". . . to .",
		"stall first 2 to bob@ from ann@":            "to . to . . .",
		"stall first 2 from nobody@":                 ". . . .",
		"@message stall every 1":                     "message message message message",
		"stall first 1 size >1; first 2 to bob@":     "from to . to . . .",
		"@data stall every 2 first 1":                ". data . . .",
		"stall every 2 every 2 from ann@":            ". . . from .",
		"@to reject not not first 1":                 "to . . . .",
		"@to reject chance 0%":                       ". . . .",
		"@to reject chance 100% to bob@home.example": "to . to . to . to .",
	} {
		if got := run(text, 4); got != want {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
	}
	a, b, c := run("@to reject chance 30% seed 7", 200), run("@to reject chance 30% seed 7", 200), run("@to reject chance 30% seed 8", 200)
	if n := strings.Count(a, "to"); a != b || a == c || n < 40 || n > 80 {
		t.Errorf("a seed does not fix the order: %d of 200", n)
	}
	s := parse(t, "@to reject first 1")
	for range 3 {
		if d, steps := s.Explain(AtTo, known()); d.Action != Reject || len(steps) != 1 || !steps[0].Holds {
			t.Error("to explain counts", d)
		}
	}
}

// problems is what is wrong with a text, each as line:column and words.
func problems(t *testing.T, c *Compiler, name, text string) []string {
	t.Helper()
	_, err := c.Compile(Source{Name: name, Text: text})
	if err == nil {
		return nil
	}
	var all config.Errors
	if !errors.As(err, &all) {
		t.Fatalf("%s: %T", text, err)
	}
	lines := make([]string, len(all))
	for i, e := range all {
		lines[i] = e.Brief()
	}
	return lines
}

// TestErrors: each says where it is and what was probably meant.
func TestErrors(t *testing.T) {
	c := files(nil)
	for text, want := range map[string]string{
		`reject header "" x`:               `r:1:15: "" is not the name of a header field; it stands without a colon`,
		`reject header "a:" x`:             `r:1:15: "a:" is not the name of a header field; it stands without a colon`,
		"rejct all":                        `r:1:1: "rejct" is no action; did you mean "reject"?`,
		"@form reject all":                 `r:1:1: "@form" is no phase; did you mean "@from"?`,
		"reject form a@b.example":          `r:1:8: "form" is no condition; did you mean "from"?`,
		"reject from-has rout":             `r:1:17: "rout" is none of route, noat, quoted, unqualified, garbage, resolves, unknown, baddom, bad; did you mean "route"?`,
		"reject all with mesage x":         `r:1:17: "mesage" is no option; did you mean "message"?`,
		"reject":                           `r:1:7: found the end of the file where it should stand when to reject; "all" is always`,
		"reject with message x":            `r:1:8: found "with" where it should stand when to reject; "all" is always`,
		"reject from":                      `r:1:12: found the end of the file where something, an address pattern (a@b, a@, @b, @.b, @ or <>) or a file, should stand behind "from"`,
		"set-with all":                     `r:1:1: set-with does nothing without options; write "with" and some behind what must be true`,
		"set-with all with":                `r:1:18: found the end of the file where options should stand behind "with"`,
		"@helo reject helo a.b from @":     `r:1:23: "from" is not known at @helo, but from @from on`,
		"@connect reject to a@b.c":         `r:1:17: "to" is not known at @connect, but from @to on`,
		"@to quarantine all":               `r:1:1: quarantine acts on a message as a whole, and is for @message alone`,
		"reject (all":                      `r:1:12: found the end of the file where a parenthesis should be closed`,
		"reject all)":                      `r:1:11: found ")" behind a rule, which ends with its line`,
		"reject or all":                    `r:1:8: found "or" where a condition should stand`,
		"reject all or":                    `r:1:14: found the end of the file where a condition should stand`,
		"reject not":                       `r:1:11: found the end of the file where a condition should stand`,
		"reject all accept all":            `r:1:12: found the action "accept" within a rule; each rule has a line of its own`,
		"reject @b.example":                `r:1:8: found "@b.example" where a condition should stand; an address stands behind from, to, user or author`,
		"reject ip [::1]/128":              `r:1:11: "[::1]/128": addresses stand without brackets; did you mean "::1/128"?`,
		"reject ip 10.0.0.0/33":            `r:1:11: "10.0.0.0/33": /33 is no length of a network of IPv4, which is up to 32`,
		"reject ip 10.1":                   `r:1:11: "10.1": a network has its length behind it; did you mean "10.1.0.0/16"?`,
		"reject ip 10.0.0.9-10.0.0.1":      `r:1:11: "10.0.0.9-10.0.0.1" is no range; write the first and the last address, as in "192.0.2.1-192.0.2.9"`,
		"reject ip 10.0.0.0/255.0.0.0":     `r:1:11: "10.0.0.0/255.0.0.0": the length of an IPv4 network is a number up to 32, as in "10.0.0.0/24"`,
		"reject from b.example":            `r:1:13: "b.example" is no address pattern, which has an @; did you mean "@b.example" or "b.example@"?`,
		"reject from *@b.example":          `r:1:13: "*@b.example": all addresses of a domain are written without *; did you mean "@b.example"?`,
		"reject from <a@b.example>":        `r:1:13: "<a@b.example>": an address stands without < and >; did you mean "a@b.example"?`,
		"reject host *.b.example":          `r:1:13: "*.b.example": all domains below one are written without *; did you mean ".b.example"?`,
		"reject host @b.example":           `r:1:13: "@b.example": a host has no @; did you mean "b.example"?`,
		"reject first 0":                   `r:1:14: "0" is no number from 1 on`,
		"reject chance 20":                 `r:1:15: "20" is no percentage; write one like 20% or 0.5%`,
		"reject (first 2) or all":          `r:1:9: "first" counts what all of a rule is true of, and cannot stand within parentheses`,
		"reject all or first 2":            `r:1:8: what counts cannot stand beside "or": it counts what all of a rule is true of`,
		"reject size >lots":                `r:1:13: "lots" is not a size; write one like "50MB" or "64KiB"`,
		"reject time 22-6":                 `r:1:13: hours are written like 22:00-06:00`,
		"reject day mo":                    `r:1:12: "mo" is no day; did you mean "mon"?`,
		"reject spf passed":                `r:1:12: "passed" is none of pass, fail, softfail, neutral, none, temperror, permerror; did you mean "pass"?`,
		"reply \"no\" all":                 `r:1:7: "no" does not begin with the code of a reply: 2yz accepts, 4yz refuses for now, 5yz for good`,
		"reply \"550 4.1.1 x\" all":        `r:1:7: the code 4.1.1 does not go with 550: both begin with the same digit (RFC 2034 §4)`,
		"tag Spam all":                     `r:1:5: "Spam" is no header field; write one like "X-Rule: yes"`,
		"delay soon all":                   `r:1:7: "soon" is not a duration; write one like "30s", "5m", "2h" or "5d"`,
		"redirect bob all":                 `r:1:10: "bob" is not the address of a mailbox`,
		"reject all with message \"x":      `r:1:25: this string has no end; write \" for a quote within it`,
		"reject all \\ all":                `r:1:12: a backslash stands at the end of a line that goes on, or before a quote within a string`,
		"include none":                     `r:1:9: none: file does not exist`,
		"include":                          `r:1:8: a file's name should stand behind "include"`,
		"reject header Subject: x":         `r:1:15: "Subject:" is not the name of a header field; it stands without a colon`,
		"reject dnsbl list":                `r:1:14: "list" is not the domain of a DNS list; write one like "list.example.org"`,
		"reject dbl hosts a.b":             `r:1:12: "hosts" is none of host, helo, ehlo, from and any; did you mean "host"?`,
		"reject all with tls-opt on":       `r:1:25: "on" is none of off and no-client`,
		"reject all with mailbox a@b":      `r:1:25: reject has no mailbox; quarantine has, and "redirect a@b"`,
		"set-with all with message \"\r\"": `r:1:27: a reply cannot have the character '\r'`,
	} {
		if got := problems(t, c, "r", text); len(got) != 1 || got[0] != want {
			t.Errorf("%s\n got %q\nwant %q", text, got, want)
		}
	}
	// All of them in one run.
	got := problems(t, c, "r", "rejct all\naccept all\nreject form x\n  stall ip 1.2.3\nreject all with\n")
	if len(got) != 4 || !strings.HasPrefix(got[2], "r:4:12: ") {
		t.Errorf("%q", got)
	}
	if got := problems(t, c, "r", strings.Repeat("x\n", 10_000)); len(got) != mostErrors {
		t.Errorf("%d problems told", len(got))
	}
	if got := problems(t, c, "r", "reject "+strings.Repeat("(", 100_000)+"all"); len(got) != 1 || !strings.Contains(got[0], "too many parentheses") {
		t.Errorf("%.200q", got)
	}
	if got := problems(t, c, "r", "reject "+strings.Repeat("not ", 100_000)+"all"); len(got) != 1 || !strings.Contains(got[0], "too many parentheses") {
		t.Errorf("%.200q", got)
	}
}

// TestIncludes: rules of other files stand where they are named; who includes himself is told how.
func TestIncludes(t *testing.T) {
	c := files(map[string]string{
		"etc/b": "reject from nobody@\ninclude sub/c\n", "etc/sub/c": "stall from @sender.example\naccept from @.sender.example", "etc/loop": "include sub/loop\n", "etc/sub/loop": "\ninclude file:../loop\n", "etc/self": "include ./self",
		"etc/many": strings.Repeat("include empty\n", 2000), "etc/empty": "",
	})
	for n := range 30 {
		more := files(map[string]string{fmt.Sprint("etc/d", n): fmt.Sprintf("include d%d\ninclude d%d", n+1, n+1)})
		open := c.Open
		c.Open = func(name string) (io.ReadCloser, error) {
			if f, err := more.Open(name); err == nil {
				return f, nil
			}
			return open(name)
		}
	}
	s, err := c.Compile(Source{Name: "/etc/a", Text: "include b\nreject all"}, Source{Name: "/etc/z", Text: "drop all"})
	if err != nil {
		t.Fatal(err)
	}
	if d := s.Eval(AtFrom, known()); d.Rule.String() != "/etc/sub/c:2:1" || d.Action != Accept || s.Len() != 5 {
		t.Errorf("%+v", d)
	}
	if want := []string{"/etc/a", "/etc/b", "/etc/sub/c", "/etc/z"}; !slices.Equal(s.Files(), want) {
		t.Errorf("%q", s.Files())
	}
	for file, want := range map[string]string{
		"self": "/etc/self:1:9: the file includes itself: /etc/self → /etc/self",
		"loop": "/etc/sub/loop:2:9: the file includes itself: /etc/loop → /etc/sub/loop → /etc/loop",
		"d0":   "too many files include each other; at most 16",
		"many": "too many files are included; at most 1000",
	} {
		got := problems(t, c, "/etc/top", "include "+file)
		if len(got) == 0 || len(got) > mostErrors || !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%s: %.300q", file, got)
		}
	}
	if got := problems(t, files(nil), "x", "include x"); len(got) != 1 || !strings.Contains(got[0], "includes itself") {
		t.Error(got)
	}
}

// TestPatternFiles: what stands in them, also on a last line that has no end.
func TestPatternFiles(t *testing.T) {
	all := map[string]string{
		"p/addresses": "# who\nNobody@x.example\n\n  @B.example  # a domain\n@.sub.example\nboss@\n<>\nüser@ü.example\n@bücher.example\nAnn@News.Sender.Example",
		"p/hosts":     "x.example\n.sender.example", "p/ips": "10.0.0.0/8\n2001:db8::/32\n192.0.2.7", "p/empty": "# nothing\n\n", "p/any": "@", "p/every": "a.example\nb.example\n",
	}
	c := files(all)
	for _, text := range []string{"from /p/addresses", "from file:addresses", "from ./addresses", "helo /p/hosts", "host /p/hosts", "ip /p/ips", "to /p/any", "from \"/p/addresses\""} {
		s, err := c.Compile(Source{Name: "/p/r", Text: "reject " + text})
		if err != nil {
			t.Fatal(err)
		}
		if d := s.Eval(AtMessage, known()); d.Action != Reject {
			t.Error(text)
		}
	}
	s, err := c.Compile(Source{Name: "/p/r", Text: "reject from ./addresses"})
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]Action{"nobody@x.example": Reject, "a@b.example": Reject, "a@c.b.example": None, "a@x.sub.example": Reject, "a@y.x.sub.example": Reject, "a@sub.example": None, "boss@anywhere.example": Reject,
		"": Reject, "a@xn--bcher-kva.example": Reject, "üser@xn--tda.example": Reject, "x@nobody@x.example": None, "a@xb.example": None, "x.sub.example": None, ".b.example": None, "@b.example": Reject, "sub.example": None} {
		k := known()
		k.Text[From] = []string{from}
		if d := s.Eval(AtMessage, k); d.Action != want {
			t.Errorf("%q: %v", from, d.Action)
		}
	}
	// A file that is missing or empty makes its rule one that is never true, under "not" as well; the others go on.
	for _, file := range []string{"/p/none", "/p/empty"} {
		for _, op := range []string{"from", "ip", "helo"} {
			s, err := c.Compile(Source{Name: "r", Text: fmt.Sprintf("reject not %s %s\nreject all or %[1]s %[2]s\naccept all; from x@", op, file)})
			if err != nil {
				t.Fatal(err)
			}
			if d := s.Eval(AtMessage, known()); d.Action != Accept {
				t.Errorf("%s %s: %v", op, file, d.Action)
			}
			told := slices.DeleteFunc(s.Warnings(), func(e *config.Error) bool { return !strings.Contains(e.Error(), file) })
			if len(told) != 1 {
				t.Errorf("%s is told %d times: %v", file, len(told), told)
			}
		}
	}
}

// TestMapSlips: a pattern file is read as strictly as rules are.
func TestMapSlips(t *testing.T) {
	c := files(map[string]string{
		"ips":   "10.0.0.0/8\n[::1]/128\n10.0.0.0/33\n10.1\n1.2.3.4,\n1.2.3.4 5.6.7.8\n10.0.0.*\nhost.example\n2001:db8::/129\n1.2.3.4-1.2.3.1\nfe80::1%eth0\n",
		"addrs": "b.example\n*@b.example\n<a@b.example>\na@*.b.example\na b@c.example\na@.b.example\n", "hosts": "*.b.example\n@b.example\nhttp://b.example\na..b.example\na,b\n",
	})
	for op, want := range map[string]int{"ip /ips": 10, "from /addrs": 6, "helo /hosts": 4} {
		got := problems(t, c, "r", "reject "+op)
		if len(got) != want {
			t.Errorf("%s: %d problems: %s", op, len(got), strings.Join(got, "\n"))
		}
		for _, g := range got {
			if !strings.Contains(g, ":") || !strings.HasPrefix(g, "/") {
				t.Error(g)
			}
		}
	}
}

// TestUnreadable: a file that cannot be read, other than that it is missing, is an error.
func TestUnreadable(t *testing.T) {
	c := &Compiler{Open: func(name string) (io.ReadCloser, error) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}}
	for _, text := range []string{"include x", "reject from ./x", "reject ip ./x"} {
		if got := problems(t, c, "r", text); len(got) != 1 || !strings.Contains(got[0], "x: permission denied") {
			t.Error(got)
		}
	}
}

// TestFilesAreClosed: whatever becomes of a file that is read, it is closed.
func TestFilesAreClosed(t *testing.T) {
	c := files(map[string]string{"etc/good": "reject all", "etc/bad": "rejct all", "etc/list": "a@b.example\n", "etc/odd": "@\n\x00", "etc/long": strings.Repeat("x", 20<<20)})
	inner, open := c.Open, 0
	c.Open = func(name string) (io.ReadCloser, error) {
		f, err := inner(name)
		if err != nil {
			return nil, err
		}
		open++
		return closedLater{f, &open}, nil
	}
	for _, text := range []string{"include good", "include bad", "include long", "reject from file:list", "reject from file:odd", "reject from file:long", "reject from file:none"} {
		before := open
		c.Compile(Source{Name: "/etc/top", Text: text})
		if open != 0 || before != 0 {
			t.Errorf("%s: %d files are open", text, open)
		}
	}
}

type closedLater struct {
	io.ReadCloser
	open *int
}

func (c closedLater) Close() error {
	*c.open--
	return c.ReadCloser.Close()
}

// TestAdvice: rules that let forgers in, and rules that are never looked at, with both places.
func TestAdvice(t *testing.T) {
	for text, want := range map[string]string{
		"accept from boss@home.example": `t.rules:1:1: anybody can say "from boss@home.example", and is accepted; add what shows that it is so, such as "spf pass", "dmarc pass" or "ip"`,
		"accept header x-pass yes":      `t.rules:1:1: anybody can say "header x-pass yes"`,
		"accept helo mx.home.example":   `t.rules:1:1: anybody`,
		"accept from boss@home.example spf pass\naccept author @home.example dmarc pass\naccept from <>\naccept ip 10.0.0.1 helo x.y": "",
		"reject ip 10.0.0.0/8\naccept ip 10.1.0.0/16":                   "t.rules:2:1: this is never looked at: the rule at t.rules:1:1 decides wherever it would",
		"reject ip 10.0.0.0/8\n\naccept ip 10.1.0.0/16 host .x.example": "t.rules:3:1: this is never looked at: the rule at t.rules:1:1",
		"accept ip 10.1.0.0/16\nreject ip 10.0.0.0/8":                   "",
		"reject from @b.example\nstall from a@b.example":                "t.rules:2:1: this is never looked at",
		"reject from @.b.example\nstall from @a.b.example":              "t.rules:2:1: this is never looked at",
		"reject from @.b.example\nstall from @b.example":                "",
		"reject from @.b.example\nstall from @.a.b.example":             "t.rules:2:1: this is never looked at",
		"reject from @\nstall from <>":                                  "",
		"reject from @\nstall from @.b.example":                         "t.rules:2:1: this",
		"reject host .b.example\nstall host a.b.example":                "t.rules:2:1: this",
		"reject all\ntag \"X: y\" all":                                  "t.rules:2:1: this",
		"@to reject all\nstall all":                                     "",
		"reject spf fail,softfail\nstall spf fail":                      "t.rules:2:1: this",
		"reject spf fail\nstall spf fail,softfail":                      "",
		"reject size >1MB\nstall size >2MB":                             "t.rules:2:1: this",
		"reject header subject x\nstall header subject x":               "t.rules:2:1: this",
		"reject header subject x\nstall header subject y":               "",
		"reject first 2\nstall all":                                     "",
		"tag \"X: y\" all\nstall all":                                   "",
		"reject ip 10.0.0.5/8":                                          `t.rules:1:11: "10.0.0.5/8" is an address within a network, and stands for all of it`,
	} {
		got := parse(t, text).Warnings()
		if want == "" && len(got) != 0 || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0].Brief(), want)) {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestFormsSpelledApart: address, domain and what is below it are three things, however an
// address is written; what shows which one matched.
func TestFormsSpelledApart(t *testing.T) {
	s := parse(t, "@from stall from a+x@b.example; from a@b.example; from @b.example; from @.b.example; from @xn--bcher-kva.example")
	for from, want := range map[string]string{
		"a@b.example": "from a@b.example", "A@B.EXAMPLE": "from a@b.example", "a+x@b.example": "from a+x@b.example", "a+y@b.example": "from @b.example", "c@b.example": "from @b.example", "a@c.b.example": "from @.b.example",
		"a@d.c.b.example": "from @.b.example", "a@xb.example": "", "a@b.example.other": "", "a@xn--bcher-kva.example": "from @xn--bcher-kva.example", "a=b.example@other.example": "", "\"a\"@b.example": "from @b.example", "@b.example": "from @b.example",
	} {
		c := &Case{Text: map[Fact][]string{From: {from}}}
		d, steps := s.Explain(AtFrom, c)
		got := ""
		if d.Action == Stall {
			got = steps[len(steps)-1].Text
		}
		if got != want {
			t.Errorf("%q: by %q, not %q", from, got, want)
		}
	}
}

// TestPlaceInAnotherFile: a text that is a part of a file has its places there.
func TestPlaceInAnotherFile(t *testing.T) {
	s, err := new(Compiler).Compile(Source{Name: "a.conf", Text: "reject all", Line: 7, Col: 12}, Source{Name: "a.conf", Text: "stall\\\n all", Line: 8, Col: 12})
	if err != nil {
		t.Fatal(err)
	}
	if d := s.Eval(AtTo, known()); d.Rule.String() != "a.conf:7:12" {
		t.Error(d.Rule)
	}
	if len(s.Files()) != 0 {
		t.Error(s.Files())
	}
	_, err = new(Compiler).Compile(Source{Name: "a.conf", Text: "reject al\nx", Line: 7, Col: 12})
	if err == nil || !strings.Contains(err.Error(), "a.conf:7:19: ") || !strings.Contains(err.Error(), "a.conf:8:1: ") {
		t.Error(err)
	}
}

// TestFormat: blanks and lines are put in order; nothing else changes.
func TestFormat(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"  reject   all":              "reject all\n",
		"reject all\n\n\n\nstall all": "reject all\n\nstall all\n",
		"\n\n# a\nreject ( all or  from <> )  with message \"a  b\"  # why\n\n": "# a\nreject (all or from <>) with message \"a  b\"  # why\n",
		"reject all \\\nfrom <>\\\n  \\\nto a@b.c":                              "reject all \\\n    from <> \\\n    to a@b.c\n",
		"reject from <> ;from a@b.c ;\nto a@b.c\nstall all;\naccept all":        "reject from <>; from a@b.c;\n    to a@b.c\nstall all;\naccept all\n",
		"reject all\r\nstall all\r\n":                                           "reject all\nstall all\n",
	} {
		got, err := Format("f", text)
		if err != nil || got != want {
			t.Errorf("%q: %q, not %q (%v)", text, got, want, err)
		}
		if again, _ := Format("f", got); again != got {
			t.Errorf("%q: formatted again it is %q", got, again)
		}
	}
	if _, err := Format("f", "reject all with message \"x"); err == nil || !strings.Contains(err.Error(), "f:1:25: ") {
		t.Error(err)
	}
}

// TestAddresses: of many spans, each address finds its own.
func TestAddresses(t *testing.T) {
	var all []span
	for _, text := range []string{"10.0.0.0/8", "10.1.0.0/16", "11.0.0.0-11.0.0.5", "2001:db8::/32", "2001:db8::1", "::/0"} {
		s, err := parseSpan(text)
		if err != nil {
			t.Fatal(err)
		}
		if text != "::/0" {
			all = append(all, s)
		} else if s.from != (wide{}) || s.to != (wide{1<<64 - 1, 1<<64 - 1}) {
			t.Error(s)
		}
	}
	set := newSpans(all)
	for text, want := range map[string]bool{"10.0.0.0": true, "10.255.255.255": true, "9.255.255.255": false, "11.0.0.5": true, "11.0.0.6": false, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff": true, "2001:db9::": false, "::": false} {
		if set.has(wideOf(netip.MustParseAddr(text))) != want {
			t.Error(text)
		}
	}
}

// TestManyAddresses: of more spans than are looked through, each address finds what a plain search finds.
func TestManyAddresses(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var all []span
	for range 5000 {
		from := r.Uint32() >> (r.UintN(2) * 16)
		to := from + min(r.Uint32()>>(8+r.UintN(24)), 1<<32-1-from)
		all = append(all, span{wide{0, 0xffff<<32 | uint64(from)}, wide{0, 0xffff<<32 | uint64(to)}})
		high := uint64(r.UintN(64))
		all = append(all, span{wide{high, 0}, wide{high, uint64(r.UintN(1000))}})
	}
	set := newSpans(slices.Clone(all))
	if set.begins == nil {
		t.Fatal("too few")
	}
	check := func(a wide) {
		want := slices.ContainsFunc(all, func(s span) bool { return !a.less(s.from) && !s.to.less(a) })
		if set.has(a) != want {
			t.Fatalf("%x: %v, not %v", a, !want, want)
		}
	}
	for i, s := range all {
		if i%5 == 0 {
			check(s.from)
			check(s.to)
			check(wide{s.from.high, s.from.low - 1})
			check(wide{s.to.high, s.to.low + 1})
		}
	}
	for _, a := range []uint32{0, 1, 1<<32 - 1, 1 << 31} {
		check(wide{0, 0xffff<<32 | uint64(a)})
	}
}

// TestManyPatterns: a table finds what its patterns find one by one.
func TestManyPatterns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	labels := []string{"a", "b", "c", "mail", "x-y", "example"}
	domain := func() string {
		d := labels[r.IntN(len(labels))]
		for range r.IntN(4) {
			d = labels[r.IntN(len(labels))] + "." + d
		}
		return d
	}
	for _, hosts := range []bool{true, false} {
		for range 200 {
			var text strings.Builder
			var ones []one
			for range 1 + r.IntN(20) {
				form := domain()
				switch {
				case hosts && r.IntN(2) == 0:
					form = "." + form
				case !hosts:
					form = []string{"@" + form, "a@" + form, "a@", "@." + form, "b@" + form, "<>"}[r.IntN(6)]
				}
				fmt.Fprintln(&text, form)
				ones = append(ones, newOne(form, hosts))
			}
			table := newTable(entries([]byte(text.String()), hosts, map[bool]syntaxOf{true: hostForm, false: addressForm}[hosts], func(_ int, line string, err error) { t.Fatal(line, err) }), hosts)
			for range 50 {
				s := domain()
				if !hosts {
					s = []string{"a@", "b@", "c@", "a.b@"}[r.IntN(4)] + s
				}
				if r.IntN(20) == 0 {
					s = ""
				}
				if want := slices.ContainsFunc(ones, func(n one) bool { return n.match(s) }); table.match(s) != want {
					t.Fatalf("%q in\n%s: %v", s, text.String(), !want)
				}
			}
		}
	}
}
