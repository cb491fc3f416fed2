package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMailRules: what is wrong with rules is told at its place, as with any setting; those that are right are as
// they would be in a file.
func TestMailRules(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	write("mail.rules", "accept ip 10.0.0.0/8\nstall al\n")
	write("good.rules", "reject from ./list\n")
	write("list", "@spam.example\n")
	const world = `{"server_name": "mail.example.com", "Accounts": {"junk@example.com": ""},
"Rules": [
	%s
]}`
	for rules, want := range map[string]string{
		`"reject form a@b.example"`:                                             `t.conf:3:10: "form" is no condition; did you mean "from"?`,
		`{"do": "rejct", "if": "all"}`:                                          `t.conf:3:2: "rejct" is no action; did you mean "reject"?`,
		`{"if": "all"}`:                                                         `t.conf:3:2: Rules[0]: "do" is missing`,
		`{"rule": "reject all", "do": "stall"}`:                                 `t.conf:3:2: Rules[0]: "rule" is the whole rule`,
		`{"rule": "reject all", "if": "all"}`:                                   `t.conf:3:2: Rules[0]: "rule" is the whole rule`,
		`{"rule": "reject all", "at": "to"}`:                                    `t.conf:3:2: Rules[0]: "rule" is the whole rule`,
		`{"rule": "reject all", "with": {"note": "n"}}`:                         `t.conf:3:2: Rules[0]: "rule" is the whole rule`,
		`{"with": {"note": "n"}}`:                                               `t.conf:3:2: Rules[0]: "do" is missing`,
		`{"do": "reject", "if": "all\nstall all"}`:                              `t.conf:3:2: Rules[0]: each rule is one of its own`,
		`{"do": "reject", "fi": "all"}`:                                         `unknown key; did you mean "if"?`,
		`"include mail.rules"`:                                                  `mail.rules:2:7: "al" is no condition`,
		`"include none.rules"`:                                                  `none.rules: no such file or directory`,
		`"quarantine all"`:                                                      `t.conf:3:3: nothing says where the message is put`,
		`"quarantine all with mailbox jnk@example.com"`:                         `t.conf:3:3: there is no account jnk@example.com; did you mean junk@example.com?`,
		`"redirect x@elsewhere.example all"`:                                    `t.conf:3:3: there is no account x@elsewhere.example`,
		`"set-with all with mailbox junk@example.com", "quarantine all"`:        "",
		`"include good.rules", {"at": "to", "do": "tag \"X: y\"", "if": "all"}`: "tag acts on a message as a whole",
		`"include good.rules", {"at": "to", "do": "reject", "if": "to a@", "with": {"message": "a \"b\" \\ c", "note": "n"}}`: "",
	} {
		s, problems := Verify(write("t.conf", strings.Replace(world, "%s", rules, 1)), Probes{})
		var all []string
		for _, p := range problems {
			if text := p.Error(); !strings.Contains(text, "data_dir") && !strings.Contains(text, "listen") && !strings.Contains(text, "Listeners") {
				all = append(all, text)
			}
		}
		if got := strings.Join(all, "\n"); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %s", rules, got)
		}
		if want == "" {
			if set, err := s.MailRules(); err != nil || set.Len() != 2 {
				t.Errorf("%s: %v", rules, err)
			}
		}
	}
	s, _ := Verify(write("t.conf", strings.Replace(world, "%s", `"reject ip 10.0.0.0/8", "accept ip 10.1.0.0/16", "accept from boss@example.com", "reject from ./missing", "reject to a@b with savedir x make-yakker"`, 1)), Probes{})
	var notes []string
	for _, a := range s.Advice() {
		notes = append(notes, a.Error())
	}
	for _, want := range []string{"t.conf:3:27: this is never looked at: the rule at", "anybody can say", "missing: no such file or directory; the rule is never true",
		`"savedir" is for "postrider sink"`, `"make-yakker" is for "postrider sink"`} {
		if !strings.Contains(strings.Join(notes, "\n"), want) {
			t.Errorf("nothing says %q: %q", want, notes)
		}
	}
}
