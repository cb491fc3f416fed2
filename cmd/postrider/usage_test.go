package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong with a command line is said in its first line, with what to
// write instead, and where the help is in the last.
func TestUsage(t *testing.T) {
	for _, c := range []struct{ line, first, more string }{
		{"bogus", `unknown command "postrider bogus"`, "postrider"},
		{"statsu", `unknown command "postrider statsu"; did you mean "postrider status"?`, "postrider"},
		{"user ad", `did you mean "postrider user add"?`, "postrider user"},
		{"queue show", "ID is missing", "postrider queue show"},
		{"queue route", "ID is missing", "postrider queue route"},
		{"conf init", "SERVER_NAME is missing", "postrider conf init"},
		{"conf init mail.test", "-c DIR is missing", "postrider conf init"},
		{"import --format eml", "ADDRESS is missing", "postrider import"},
		{"import --format eml a", "FROM is missing", "postrider import"},
		{"export --format eml a", "TO is missing", "postrider export"},
		{"restore", "BACKUP is missing", "postrider restore"},
		{"store backup a b", `"b" is one word too much`, "postrider store backup"},
		{"serve here", `"here" is one word too much`, "postrider serve"},
		{"serve -c", "flag needs an argument", "postrider serve"},
		{"check --json", "unknown flag: --json", "postrider check"},
		{"dns push --server ns1.test a.test", "--key is missing", "postrider dns push"},
		{"dns show --zone --json", "--json and --zone: one of them at a time", "postrider dns show"},
		{"user add --keep --fresh a@b.test", "--fresh and --keep: one of them at a time", "postrider user add"},
		{"store verify --conf a --mail b", "--conf and --mail: one of them at a time", "postrider store verify"},
		{"help bogus", `unknown command "postrider bogus"`, "postrider"},
		{"help user ad", `did you mean "postrider user add"?`, "postrider user"},
		{"completion tcsh", `unknown command "postrider completion tcsh"`, "postrider completion"},
		{"sendmail", "no recipient", "postrider sendmail"},
	} {
		code, out, said := command(t, "", strings.Fields(c.line)...)
		first, _, _ := strings.Cut(said, "\n")
		want := exitUsage
		if c.line == "sendmail" {
			want = exitUsageSendmail
		}
		if code != want || out != "" || !strings.HasPrefix(first, "postrider: ") || !strings.Contains(first, c.first) ||
			!strings.HasSuffix(said, "\n\""+c.more+" --help\" says more.\n") || strings.Count(said, "\n") > 6 {
			t.Errorf("postrider %s: exit %d, %s%s", c.line, code, out, said)
		}
	}
}

// Without a configuration, the commands that need one say how to name it.
func TestNoConfiguration(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, line := range []string{"check", "conf show", "user list", "user add --generate a@b.test", "status", "reload", "queue list", "store stat"} {
		code, _, said := command(t, "", strings.Fields(line)...)
		if code != exitError || !strings.Contains(said, "with -c DIR") {
			t.Errorf("postrider %s: exit %d, %s", line, code, said)
		}
	}
	code, _, said := command(t, "", "sendmail", "--socket", "none", "a@b.test")
	if code != exitTryLater || !strings.Contains(said, "no daemon is running there; name its socket with --socket") {
		t.Errorf("sendmail: exit %d, %s", code, said)
	}
}

// The completions of a shell are loaded as a user would and know the commands.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if script, _ := must(t, "", "completion", shell); !strings.Contains(script, "__complete") {
			t.Errorf("%s: %s", shell, script)
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	script := `PATH=$1:$PATH; source <(postrider completion bash) && complete -p postrider && postrider __complete us`
	out, err := exec.Command(bash, "--norc", "-c", script, "bash", filepath.Dir(binary(t))).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "-F __start_postrider postrider") || !strings.Contains(string(out), "user\t") {
		t.Errorf("%v: %s", err, out)
	}
}
