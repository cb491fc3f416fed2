package rules

import (
	"fmt"
	"strings"
	"testing"
)

// TestEdges: what is read and what is refused, at the last value of each.
func TestEdges(t *testing.T) {
	for text, want := range map[string]string{
		`tag "X:" all`:        "is one line of ASCII of up to 900 octets, and not empty",
		`tag "X: é" all`:      "is one line of ASCII",
		"tag \"X: a\tb\" all": "is one line of ASCII",
		`tag "X: ` + strings.Repeat("x", 901) + `" all`:     "is one line of ASCII",
		`tag "X: ` + strings.Repeat("x", 900) + `" all`:     "",
		`@to tag "X: y" all`:                                "r:1:5: tag acts on a message as a whole",
		"@from quarantine all with mailbox a@b":             "r:1:1: quarantine acts on a message as a whole, and is for @message alone",
		"reject time 7:60-8:00":                             "hours are written like",
		"reject time 7:59-24:00":                            "",
		"reject time 24:01-8:00":                            "hours are written like",
		"reject time 7:5-8:00":                              "hours are written like",
		"reject from @*.b.example":                          `did you mean "@.b.example"?`,
		"reject from a@*":                                   `did you mean "a@"?`,
		"# " + strings.Repeat("x", longestText-2):           "",
		"# " + strings.Repeat("x", longestText-1):           errTooLarge.Error(),
		"reject header subject " + strings.Repeat("x", 256): "",
		"reject header subject " + strings.Repeat("x", 257): "the text is too long",
	} {
		_, err := Parse("r", text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
	// Minutes count.
	c := known() // at 23:30
	for condition, want := range map[string]truth{"time 23:29-23:31": yes, "time 23:30-23:31": yes, "time 23:31-23:35": no, "time 23:00-23:30": no} {
		if got := outcome(t, condition, c); got != want {
			t.Errorf("%s: %v", condition, got)
		}
	}
	// What differs by the bit of a letter's case, and is no letter; and letters of more than one octet.
	c.Fields = map[string][]string{"subject": {"[x@ É"}}
	for text, want := range map[string]truth{`"{x@ é"`: no, "\"[x` é\"": no, `"[x@ é"`: yes, `"[X@ É"`: yes, `"[x@ ?"`: yes, `"[x@ ??"`: no, `"[x@ e"`: no} {
		if got := outcome(t, "header subject "+text, c); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	// What is below a domain has a label before it.
	c.Text[From], c.Text[Helo] = []string{"ann@.sender.example"}, []string{".sender.example"}
	set, err := files(map[string]string{"hosts": ".sender.example\n.x", "all": "@.sender.example\n@.x"}).Compile(Source{Name: "r", Text: "@message reject from @.sender.example; from ./all; helo .sender.example; helo ./hosts"})
	if err != nil {
		t.Fatal(err)
	}
	if d, steps := set.Explain(AtMessage, c); d.Action != None || len(steps) != 4 {
		t.Error(d.Rule, steps)
	}
}

// TestWritten: a rule is told of as it is written, with its blanks in order.
func TestWritten(t *testing.T) {
	s := parse(t, "reject  ( from   a@b.example  or ( not to  c@ ) )   first   3")
	_, steps := s.Explain(AtTo, &Case{Text: map[Fact][]string{From: {"a@b.example"}, To: {"d@e"}}})
	if len(steps) != 1 || steps[0].Text != "(from a@b.example or (not to c@)) first 3" {
		t.Errorf("%+v", steps)
	}
}

// TestManyWarnings: they are bounded, and networks that are the same in other words cover each other.
func TestManyWarnings(t *testing.T) {
	var text strings.Builder
	for i := range mostErrors + 50 {
		fmt.Fprintf(&text, "reject from ./none%d\n", i)
	}
	s, err := files(nil).Compile(Source{Name: "r", Text: text.String()})
	if err != nil || len(s.Warnings()) != mostErrors {
		t.Error(len(s.Warnings()), err)
	}
	s = parse(t, "accept ip 10.0.0.0-10.255.255.255\nreject ip 10.0.0.0/8\nreject ip 10.0.0.0-11.0.0.0\nreject ip 9.255.255.255-10.0.0.1")
	if w := s.Warnings(); len(w) != 1 || w[0].Line != 2 {
		t.Error(w)
	}
}
