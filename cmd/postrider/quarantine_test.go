package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/greylist"
	"github.com/postrider-mail/postrider/internal/milter"
	"github.com/postrider-mail/postrider/internal/scan"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/smtp/dnslist"
)

// TestQuarantineCommands: what was put aside is listed, shown and released by command; what cannot be released is an error.
func TestQuarantineCommands(t *testing.T) {
	w := newWorldStopped(t, `"tarpit": "0s"`, `"tarpit": "0s"`, `"Queue": {"deliver": false}`, `"Queue": {"deliver": false}, "Verify": {"quarantine": "junk@mail.test"}, "Domains": {"mail.test": {"Accounts": {"junk": ""}}}`)
	dir := filepath.Join(w.dir, "data", "mail", "mail.test", "junk", "new")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"cur", "tmp"} {
		if err := os.MkdirAll(filepath.Join(filepath.Dir(dir), d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text := "X-Quarantine: for bob@mail.test; bl.test lists 192.0.2.1 (127.0.0.2)\nReturn-Path: <x@far.test>\nFrom: x@far.test\nSubject: a \x1b[31m red one\n\nbody\n"
	virus := "X-Quarantine: for bob@mail.test; unsafe; clamav: Eicar\nReturn-Path: <x@far.test>\n\nvirus\n"
	for name, text := range map[string]string{"1790000000.M1P1.host": text, "1790000001.M1P1.host": virus} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.start()
	out, said, code := postrider(t, "quarantine", "list", "-c", w.dir)
	if code != 0 || !strings.Contains(out, "bob@mail.test") || !strings.Contains(out, "bl.test lists 192.0.2.1") || strings.Contains(out, "\x1b") {
		t.Fatalf("list: %d %q %s", code, out, said)
	}
	id := strings.Fields(strings.Split(out, "\n")[1])[0]
	if out, said, code := postrider(t, "quarantine", "show", id, "-c", w.dir); code != 0 || !strings.Contains(out, "body") || strings.Contains(out, `\u000d`) || strings.Contains(out, "\x1b") {
		t.Errorf("show: %d %q %s", code, out, said)
	}
	if out, said, code := postrider(t, "quarantine", "release", id, "-c", w.dir); code != 0 || out != id+": delivered to bob@mail.test\n" {
		t.Errorf("release: %d %q %s", code, out, said)
	}
	if _, said, code := postrider(t, "quarantine", "release", id, "-c", w.dir); code != 1 || !strings.Contains(said, "no such message in quarantine") {
		t.Errorf("release again: %d %s", code, said)
	}
	if !strings.Contains(out, "unsafe: clamav: Eicar") {
		t.Errorf("the virus: %q", out)
	}
	bad := strings.Fields(strings.Split(out, "\n")[2])[0]
	if _, said, code := postrider(t, "quarantine", "release", bad, "-c", w.dir); code != 1 || !strings.Contains(said, "found something in this message: clamav: Eicar; --anyway releases it all the same") {
		t.Errorf("release the virus: %d %s", code, said)
	}
	if out, said, code := postrider(t, "quarantine", "release", "--anyway", bad, "-c", w.dir); code != 0 || out != bad+": delivered to bob@mail.test\n" {
		t.Errorf("release it anyway: %d %q %s", code, out, said)
	}
	if out, _, _ := postrider(t, "quarantine", "list", "--json", "-c", w.dir); strings.TrimSpace(out) != "[]" {
		t.Errorf("left: %q", out)
	}
}

// TestDefenceNumbers: the numbers of docs/defence.md are those that the program was built with, and no default is missing there.
func TestDefenceNumbers(t *testing.T) {
	text, err := os.ReadFile("../../docs/defence.md")
	if err != nil {
		t.Fatal(err)
	}
	v := conf.New().Verify
	duration := func(d time.Duration) string { return config.FormatDuration(d) }
	onOff := map[bool]string{true: "true", false: "false"}
	want := map[string]string{
		"Verify.own_hello": `"` + v.OwnHello + `"`, "Verify.reverse_name": `"` + v.ReverseName + `"`, "Verify.hello": `"` + v.Hello + `"`, "Verify.Lists": "none",
		"Verify.Greylist.on": onOff[v.Greylist.On], "Verify.Greylist.wait": duration(v.Greylist.Wait), "Verify.Greylist.window": duration(v.Greylist.Window), "Verify.Greylist.keep": duration(v.Greylist.Keep),
		"Verify.quarantine": "none", "Verify.quarantine_keep": duration(v.QuarantineKeep), "Verify.strip_marks": onOff[v.StripMarks],
		"all lists together, for one message": duration(dnslist.Wait), "test of a list in use, every": duration(dnslist.TestEvery), "test of a list out of use, every": duration(dnslist.RetryEvery),
		"errors in a row that have a list tested at once": "3", "keys in the greylist": "1,000,000", "lists": "20",
		"Verify.Scanner.url": "none", "Verify.Scanner.wait": duration(v.Scanner.Wait), "Verify.Scanner.max_size": v.Scanner.MaxSize.String(), "Verify.Scanner.down": `"` + v.Scanner.Down + `"`, "Verify.Scanner.greylist": onOff[v.Scanner.Greylist],
		"Verify.Milters": "none", "milters": "5", "wait of a milter": duration(conf.MilterWait), "max_size of a milter": conf.MilterSize.String(), "down of a milter": `"accept"`,
		"for all of a message a milter may take, times its wait": strconv.Itoa(milter.Patience), "header fields of one milter, in octets": "16,384",
		"failures in a row after which a scanner is left alone": strconv.Itoa(scan.MostFails), "for how long": duration(scan.RestFor),
	}
	if dnslist.ManyErrors != 3 || greylist.MostKeys != 1_000_000 || len(v.Lists) != 0 || v.Quarantine != "" || scan.MostAdded != 16384 || len(v.Milters) != 0 || conf.MostMilters != 5 {
		t.Error("the program has other numbers than this test")
	}
	got := make(map[string]string)
	_, numbers, _ := strings.Cut(string(text), "\n## The numbers\n")
	numbers, _, _ = strings.Cut(numbers, "\n## ")
	for _, m := range regexp.MustCompile("(?m)^\\| `?([^|`]+)`? \\| `?([^|`]+)`? \\|$").FindAllStringSubmatch(numbers, -1) {
		got[strings.TrimSpace(m[1])] = strings.TrimSpace(m[2])
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q on the page, and %q here", name, got[name], value)
		}
	}
	var extra []string
	for name := range got {
		if _, ok := want[name]; !ok && !strings.HasPrefix(name, "-") && name != "number" {
			extra = append(extra, name)
		}
	}
	if slices.Sort(extra); len(extra) > 0 {
		t.Errorf("on the page alone: %q", extra)
	}
}
