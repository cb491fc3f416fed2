package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// oldSink is "postrider sink" with a command line of the old sinkhole, at a port that is free.
func oldSink(t *testing.T, args ...string) (addrs []string, stop func()) {
	t.Helper()
	n := 0
	for _, a := range args {
		if strings.HasSuffix(a, ":0") {
			n++
		}
	}
	cmd := exec.Command(binary(t), append([]string{"sink"}, args...)...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("sink: %v", err)
		}
	}
	t.Cleanup(stop)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		name, at, _ := strings.Cut(lines.Text(), " ")
		if name != "SMTP" {
			t.Errorf("it says %q", lines.Text())
		}
		if addrs = append(addrs, strings.TrimSpace(at)); len(addrs) == n {
			return addrs, stop
		}
	}
	t.Fatal("it ended before it said where it listens")
	return nil, nil
}

// TestOldSink: a command line of the old sinkhole, with its flags behind one dash, does what it did.
func TestOldSink(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	one, two := write("one.rules", "@from accept from ann@bad.test\n"), write("two.rules", "@from reject from @bad.test with message \"Two\"\n")
	addrs, stop := oldSink(t, "-helo", "old.test", "-d", filepath.Join(dir, "saved"), "-save-hash", "msg", "-l", filepath.Join(dir, "log"), "-smtplog="+filepath.Join(dir, "talk"),
		"-r", one+","+two, "-fromreject", write("from", "@refused.test"), "-toaccept", write("to", "# all of\n@here.test"), "-heloreject", write("helo", ".bad.test"),
		"-dncount", "4", "-dndur", "30m", "-minphase", "helo", "-dnlog", filepath.Join(dir, "idle"), "-statsperip", "-pprof", "localhost:1", "127.0.0.1:0", "127.0.0.1:0")
	if len(addrs) != 2 {
		t.Fatal(addrs)
	}
	message := []string{"RCPT TO:<bob@here.test>", "DATA", "Subject: s\r\n\r\nx\r\n."}
	for _, c := range []struct {
		lines []string
		want  string // of the last answer
	}{
		{[]string{"EHLO"}, "501"}, // that it has no name the server says itself
		{[]string{"EHLO x.bad.test"}, "550"},
		{[]string{"EHLO c.test", "MAIL FROM:<a@refused.test>"}, "550"},
		{[]string{"EHLO c.test", "MAIL FROM:<bob@bad.test>"}, "550 5.7.1 Two"},
		{[]string{"EHLO c.test", "MAIL FROM:<ann@bad.test>"}, "250"},
		{[]string{"EHLO c.test", "MAIL FROM:<a@unqualified>"}, "550"}, // the rules that are there
		{[]string{"EHLO c.test", "MAIL FROM:<a@x.test>", "RCPT TO:<bob@elsewhere.test>"}, "550"},
		{append([]string{"EHLO c.test", "MAIL FROM:<a@x.test>"}, message...), "250"},
		{append([]string{"EHLO d.test", "MAIL FROM:<b@x.test>"}, message...), "250"},
	} {
		got := mailtest.Talk(t, addrs[0], c.lines...)
		if last := got[len(got)-1]; !strings.HasPrefix(last, c.want) || !strings.HasPrefix(got[0], "220 old.test ") {
			t.Errorf("%q: %q", c.lines, got)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "saved", "*"))
	if err != nil || len(names) != 2 {
		t.Error(names, err)
	}
	var taken struct{ From, File string }
	if err := json.Unmarshal([]byte(strings.SplitN(read("log"), "\n", 2)[0]), &taken); err != nil || taken.From != "a@x.test" || taken.File+".eml" != names[0] {
		t.Error(taken, err, names)
	}
	if text, err := os.ReadFile(names[0]); err != nil || string(text) != "Subject: s\r\n\r\nx\r\n" {
		t.Errorf("%q, %v", text, err)
	}
	if talk := read("talk"); !strings.Contains(talk, "C: EHLO x.bad.test\n") || !strings.Contains(talk, "S: 220 old.test ESMTP") {
		t.Error(talk)
	}
	// Two were refused at their names, and two more say nothing: the next one is turned away.
	mailtest.Talk(t, addrs[1])
	mailtest.Talk(t, addrs[1])
	turned := ""
	for range 100 {
		if turned = mailtest.Talk(t, addrs[1])[0]; strings.HasPrefix(turned, "421 You have come too often") || strings.HasPrefix(turned, "421 4.7.0 You have come too often") {
			break
		}
	}
	if !strings.Contains(turned, "too often") {
		t.Error(turned)
	}
	stop()
	if idle := read("idle"); !strings.Contains(idle, `"msg":"nothing done"`) || !strings.Contains(idle, `"reached":"nothing"`) {
		t.Error(idle)
	}
}

// TestOldSinkRefuses: what keeps nothing is asked back, and -M keeps and refuses.
func TestOldSinkRefuses(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"127.0.0.1:0", "nothing says where messages are saved"},
		{"-save-hash body -M 127.0.0.1:0", `--save-hash: "body" is none of msg, full and all`},
		{"-minphase connect", `--minphase: "connect" is none of`},
		{"-dndur soon", "--dndur: "},
		{"-dncount -1", "--dncount: -1 is no number"},
		{"-helo a --hostname b", "helo"},
		{"-conncfg /nowhere/x", "/nowhere/x"},
		{"-l /nowhere/x", "--log: "},
		{"-smtplog /nowhere/x", "--smtplog: "},
		{"-dnlog /nowhere/x", "--dnlog: "},
		{"-r /nowhere/x", "/nowhere/x"},
		{"-c a.pem,b.pem -k a.key", "there are 2 files of certificates and 1 of keys"},
	} {
		if code, _, said := command(t, "", append([]string{"sink", "--smtp", "", "--http", "127.0.0.1:0", "--pop3", ""}, strings.Fields(c.args)...)...); code == exitOK || !strings.Contains(said, c.want) {
			t.Errorf("%s: %d %s", c.args, code, said)
		}
	}
	dir := t.TempDir()
	addrs, _ := oldSink(t, "-M", "-d", dir, "-nostdrules", "127.0.0.1:0")
	got := mailtest.Talk(t, addrs[0], "EHLO c.test", "MAIL FROM:<a@unqualified>", "RCPT TO:<b@c.test>", "DATA", "A: b\r\n\r\n.")
	if !strings.HasPrefix(got[len(got)-1], "554 5.7.1 No message is accepted here") {
		t.Errorf("%q", got)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*.eml")); len(names) != 1 {
		t.Error(names)
	}
	addrs, _ = oldSink(t, "-force-receive", "127.0.0.1:0")
	for range 3 { // more than one message needs no room
		got = mailtest.Talk(t, addrs[0], "EHLO c.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@c.test>", "DATA", "A: b\r\n\r\n.")
		if !strings.HasPrefix(got[len(got)-1], "250") {
			t.Errorf("%q", got)
		}
	}
	if got := oldSinkArgs([]string{"sink", "-dncount=3", "-S", "-d", "x", "--", "-helo"}); fmt.Sprint(got) != "[sink --dncount=3 -S -d x -- -helo]" {
		t.Error(got)
	}
	if got := oldSinkArgs([]string{"serve", "-helo"}); got[1] != "-helo" {
		t.Error(got)
	}
}
