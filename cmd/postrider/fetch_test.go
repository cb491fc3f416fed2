package main

import (
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/fetch"
	"github.com/postrider-mail/postrider/pop3/pop3test"
)

// TestReadLogins: words, quotes and comments; what is wrong is named by its line and shows no
// password.
func TestReadLogins(t *testing.T) {
	all, bad := readLogins(strings.NewReader(strings.Join([]string{
		"# a comment", "", "al secret al@Example.COM  # his", "al\tsecret\tbob@example.com\tpop.other.example", "carol@example.com \"a \\\"b\\\" \\\\ # c\"",
		"dave pw dave@example.com 192.0.2.1:1110", "eve \"\" eve@example.com ::1\r",
	}, "\n")), "old.example", "995")
	want := []fetch.Account{
		{Login: "al", Password: "secret", Server: "old.example:995", Address: "al@example.com"},
		{Login: "al", Password: "secret", Server: "pop.other.example:995", Address: "bob@example.com"},
		{Login: "carol@example.com", Password: `a "b" \ # c`, Server: "old.example:995", Address: "carol@example.com"},
		{Login: "dave", Password: "pw", Server: "192.0.2.1:1110", Address: "dave@example.com"},
		{Login: "eve", Password: "", Server: "[::1]:995", Address: "eve@example.com"},
	}
	if len(bad) > 0 || !slices.Equal(all, want) {
		t.Errorf("%+v, %v", all, bad)
	}
	for line, said := range map[string]string{
		"al": "1 words", "a geheim c d e": "5 words", `a "geheim`: "not closed", `a "geheim"x b@c.test`: "right behind", "al geheim": "no address",
		"al geheim al@b.test\nal other al@b.test": "line 1 already", "al geheim al@": "no address",
	} {
		_, bad := readLogins(strings.NewReader(line), "old.example", "995")
		if len(bad) != 1 || !strings.Contains(bad[0].Error(), said) || strings.Contains(bad[0].Error(), "geheim") {
			t.Errorf("%q: %v, want %q", line, bad, said)
		}
	}
	if _, bad := readLogins(strings.NewReader("al pw al@b.test"), "", "995"); len(bad) != 1 {
		t.Errorf("without a server: %v", bad)
	}
}

// fetchWorld is a configuration, a server full of mail, and a list with its one account.
func fetchWorld(t *testing.T, s *pop3test.Server, messages int) (dir, list string) {
	t.Helper()
	t.Cleanup(s.Close)
	for i := range messages {
		s.Add(fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat("x", i%70)))
	}
	dir = confDir(t, `{ "server_name": "mail.test", "data_dir": "data", "mail_dir": "mail" }`)
	return dir, put(t, fmt.Sprintf("%s %s alice@mail.test %s\n", pop3test.User, pop3test.Password, s.Addr), dir, "list")
}

// TestFetchCommand: by TLS if nothing else is said, with a certificate that is checked; what cannot be
// taken is named, with exit code 1; what has come is known below the data folder.
func TestFetchCommand(t *testing.T) {
	s := pop3test.NewTLSServer(pop3test.Fault{At: "RETR", Raw: "", Reply: nil, Delay: time.Millisecond})
	dir, list := fetchWorld(t, s, 20)
	code, out, errs := command(t, "", "fetch", "-c", dir, list)
	if code != exitError || !strings.Contains(errs, "--ca") || strings.Contains(out+errs, pop3test.Password) {
		t.Errorf("of an unknown authority: exit %d, %s%s", code, out, errs)
	}
	ca := put(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate.Raw})), dir, "ca.pem")
	out, errs = must(t, "", "fetch", "-c", dir, "--ca", ca, list)
	if !strings.Contains(out, "20 of 20 messages fetched") || !strings.Contains(errs, "there is no account alice@mail.test yet") {
		t.Errorf("%s%s", out, errs)
	}
	if files, err := os.ReadDir(filepath.Join(dir, "data", "fetch")); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	if out, _ := must(t, "", "fetch", "-c", dir, "--ca", ca, "--delete", list); !strings.Contains(out, "0 of 20 messages fetched (0 octets), 20 there already, 0 not taken, 20 removed there") || len(s.Messages()) != 0 {
		t.Errorf("%d left, %s", len(s.Messages()), out)
	}
	if err := os.Chmod(list, 0o640); err != nil {
		t.Fatal(err)
	}
	if said := fails(t, "", "fetch", "-c", dir, list); !strings.Contains(said, "chmod 600") {
		t.Error(said)
	}
	for _, wrong := range [][]string{{"--tls", "maybe"}, {"--at-once", "0"}, {"--ca", "missing"}} {
		if code, _, errs := command(t, "", append([]string{"fetch", "-c", dir, list}, wrong...)...); code == exitOK || errs == "" {
			t.Errorf("%s: exit %d, %s", wrong, code, errs)
		}
	}
}

// TestFetchNames: each account that fails and each message that does is named, the others come.
func TestFetchNames(t *testing.T) {
	s := pop3test.NewServer(pop3test.Fault{At: "RETR", Raw: "-ERR lost\r\n", Skip: 3, Times: 1})
	dir, list := fetchWorld(t, s, 10)
	gone := pop3test.NewServer()
	gone.Close()
	put(t, fmt.Sprintf("%[1]s wrong bob@mail.test %[2]s\n%[1]s %[3]s alice@mail.test %[2]s\n", pop3test.User, s.Addr, pop3test.Password), dir, "list")
	code, out, errs := command(t, "", "fetch", "-c", dir, "--tls", "off", list)
	for _, want := range []string{"alice@mail.test: message 4 (4): ", "lost", "bob@mail.test: not complete: ", "2 of 2 accounts not complete"} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %q in %s", want, errs)
		}
	}
	if code != exitError || !strings.Contains(out, "9 of 10 messages fetched") || !strings.Contains(out, "1 not taken") {
		t.Errorf("exit %d, %s", code, out)
	}
}

// TestFetchKilled: a process that is killed at any moment is called again, and in the end each message is
// there once, in order.
func TestFetchKilled(t *testing.T) {
	s := pop3test.NewServer()
	const messages = 400
	dir, list := fetchWorld(t, s, messages)
	var want []string
	for _, m := range s.Messages() {
		want = append(want, m.UID)
	}
	for round := range 12 {
		cmd := exec.Command(binary(t), "fetch", "-c", dir, "--tls", "off", list)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Later in each round, as the start takes its time.
		time.Sleep(time.Duration(20+15*round) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		s.SetFaults() // forgets nothing but what it has counted
	}
	var out string
	for range 100 { // the session that was killed may hold the maildrop for a moment
		var code int
		if code, out, _ = command(t, "", "fetch", "-c", dir, "--tls", "off", list); code == exitOK {
			break
		}
	}
	if got := uidsIn(t, filepath.Join(dir, "mail"), "alice@mail.test"); got != strings.Join(want, " ") {
		t.Errorf("%s: ids %.200s", out, got)
	}
}
