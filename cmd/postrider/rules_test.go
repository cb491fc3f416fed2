package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRulesCommand: rules are checked, put in order and tried, as files and as those of the settings.
func TestRulesCommand(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := write("good.rules", "accept   ip 192.0.2.0/24\n@to reject to bob@ not user @ with message \"He left\"\ntag \"X-Junk: yes\" header subject *invoice* dmarc fail\nquarantine  author @spam.test with mailbox junk@mail.test\n")
	bad := write("bad.rules", "rejct all\nreject ip 10.0.0.0/33\n")
	message := write("m.eml", "From: X <x@SPAM.test>\r\nSubject: Your Invoice\r\n\r\nbody\r\n")
	out, _ := must(t, "", "rules", "check", good)
	if !strings.Contains(out, "4 rules, nothing wrong") {
		t.Error(out)
	}
	code, _, said := command(t, "", "rules", "check", bad)
	for _, want := range []string{`bad.rules:1:1: "rejct" is no action; did you mean "reject"?`, "bad.rules:2:11: ", "2 problems"} {
		if code != exitError || !strings.Contains(said, want) {
			t.Errorf("%d: %s", code, said)
		}
	}
	if _, said := must(t, "", "rules", "check", write("odd.rules", "reject all\naccept all\n")); !strings.Contains(said, "odd.rules:2:1: this is never looked at: the rule at") {
		t.Error(said)
	}
	if _, said := must(t, "", "rules", "check", write("old.rules", "@to reject to @.old.test with savedir d\nset-with all with tls-opt off\n")); !strings.Contains(said, `old.rules:1:1: "savedir" is for "postrider sink"`) || strings.Contains(said, "tls-opt") {
		t.Error(said)
	}
	if out, _ := must(t, "", "rules", "test", write("again.rules", "greylist dns nodns\n@to stall rate ip >0/h\n"), "--ip", "192.0.2.7", "--dns", "nodns", "--to", "bob@mail.test"); !strings.Contains(out, "@to bob@mail.test: stall by") || !strings.Contains(out, "There may be 0 in 1h of this address, and this is number 1 since") {
		t.Error(out)
	}
	if out, _ := must(t, "", "rules", "test", write("again.rules", "greylist dns nodns\n"), "--ip", "192.0.2.7", "--dns", "nodns", "--to", "bob@mail.test"); !strings.Contains(out, "@to bob@mail.test: no rule decides, to come again by ") {
		t.Error(out)
	}
	if out, _ := must(t, "", "rules", "fmt", "--numbers", good); !strings.HasPrefix(out, "   1  accept ip 192.0.2.0/24\n   2  @to reject") {
		t.Error(out)
	}
	must(t, "", "rules", "fmt", "-w", good)
	text, err := os.ReadFile(good)
	info, _ := os.Stat(good)
	if err != nil || !strings.HasPrefix(string(text), "accept ip 192.0.2.0/24\n") || info.Mode().Perm() != 0o640 {
		t.Errorf("%s %v %v", text, err, info.Mode())
	}
	if out, _ := must(t, " reject  all", "rules", "fmt", "-"); out != "reject all\n" {
		t.Error(out)
	}
	out, _ = must(t, "", "rules", "test", good, "-f", message, "--ip", "198.51.100.1", "--from", "Ann@x.test", "--to", "alice@mail.test,Bob@mail.test", "--dmarc", "fail")
	for _, want := range []string{
		"@connect: no rule decides\n    " + good + ":1 accept ip 192.0.2.0/24: no\n", "@to alice@mail.test: no rule decides\n",
		"@to Bob@mail.test: reject by " + good + ":2, 550 5.7.1 He left\n", ":2 reject to bob@ not user @: yes\n",
		"@message: quarantine by " + good + ":4, to junk@mail.test, X-Junk: yes\n", ":3 tag header subject *invoice* dmarc fail: yes\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%s lacks\n%s", out, want)
		}
	}
	out, _ = must(t, "", "rules", "test", good, "-f", message, "--to", "bob@mail.test", "--user", "carol@mail.test")
	for _, want := range []string{":1 accept ip 192.0.2.0/24: unknown\n", `:2 reject to bob@ not user @: "not user @": no`, `:3 tag header subject *invoice* dmarc fail: "dmarc fail": unknown`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s lacks\n%s", out, want)
		}
	}
	for _, wrong := range []struct{ flag, value, says string }{
		{"--spf", "passed", `--spf: "passed" is none of pass, fail, `},
		{"--dns", "none", `--dns: "none" is none of nodns, `},
		{"--ip", "x", `--ip: "x" is no address`},
		{"--time", "noon", `"noon" is no time`},
		{"-f", filepath.Join(dir, "none"), "no such file"},
	} {
		if code, out, said := command(t, "", "rules", "test", good, wrong.flag, wrong.value); code != exitError || !strings.Contains(said, wrong.says) {
			t.Errorf("%v: %d %s %s", wrong, code, out, said)
		}
	}
	// Words stand as they do in rules, with commas between them.
	odd := write("dns.rules", "@to reject dns nodns,noforward\n")
	if out, _ := must(t, "", "rules", "test", odd, "--to", "bob@mail.test", "--dns", "exists,noforward"); !strings.Contains(out, "@to bob@mail.test: reject by ") {
		t.Error(out)
	}
	write("t.conf", `{"server_name": "mail.test", "Rules": ["include good.rules"], "Accounts": {"junk@mail.test": ""}}`)
	if out, _ := must(t, "", "rules", "check", "-c", dir); !strings.Contains(out, "4 rules") {
		t.Error(out)
	}
}
