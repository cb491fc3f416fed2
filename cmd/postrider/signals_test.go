package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// hangUp sends SIGHUP and waits for the line that says how it went.
func (w *world) hangUp(line string) {
	w.t.Helper()
	before := strings.Count(w.log.String(), line)
	if err := w.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		w.t.Fatal(err)
	}
	for range 3600 {
		if strings.Count(w.log.String(), line) > before {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatalf("SIGHUP, and no %q in the log\n%s", line, tail(w.log))
}

// TestHangUp: SIGHUP swaps certificates and limits; a broken file changes
// nothing; a session lives through all of it.
func TestHangUp(t *testing.T) {
	w := newWorld(t)
	session := dial(t, w.addrs["smtp"])
	session.expect("220 ")
	session.ask("EHLO client.test", "250 ")
	shown := func() string {
		t.Helper()
		c, err := tls.Dial("tcp", w.addrs["pop3s"], &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	size := func() int {
		t.Helper()
		d := dial(t, w.addrs["smtp"])
		d.expect("220 ")
		d.say("EHLO client.test")
		for {
			line, err := d.r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if n, ok := strings.CutPrefix(line[4:], "SIZE "); ok {
				size, _ := strconv.Atoi(strings.TrimSpace(n))
				return size
			}
		}
	}
	before := shown()
	w.edit(`"tarpit": "0s"`, `"tarpit": "0s", "max_message_size": "1MiB"`)
	certPEM, keyPEM, err := certs.SelfSigned("mail.test")
	if err != nil {
		t.Fatal(err)
	}
	w.write("mail.crt", string(certPEM))
	w.write("mail.key", string(keyPEM))
	w.hangUp("settings read again")
	after := shown()
	if after == before {
		t.Error("SIGHUP does not swap the certificate")
	}
	if got := size(); got != 1<<20 {
		t.Errorf("after SIGHUP the largest message is %d", got)
	}

	// Something wrong with any of it: all of it stays.
	w.edit(`"max_message_size": "1MiB"`, `"max_message_size": "2MiB", "idle_timeout": 5`)
	w.hangUp("the new settings cannot be used")
	if !regexp.MustCompile(`mail\.conf:\d+:\d+: SMTP\.idle_timeout`).MatchString(w.log.String()) {
		t.Errorf("the log does not say where the mistake is:\n%s", tail(w.log))
	}
	w.edit(`, "idle_timeout": 5`, "")
	w.write("mail.key", "damaged")
	w.hangUp("the new settings cannot be used")
	if got := size(); got != 1<<20 {
		t.Errorf("a reload that failed made the largest message %d", got)
	}
	if shown() != after {
		t.Error("a reload that failed swapped the certificate")
	}
	session.ask("NOOP", "250 ")
}

// TestOpenConfiguration: a file with secrets that others can read is refused,
// with the command that closes it, by check and by serve.
func TestOpenConfiguration(t *testing.T) {
	dir := confDir(t, userConf)
	must(t, "x-x-x-x-x", "user", "add", "-c", dir, "--stdin", "boss")
	file := filepath.Join(dir, "mail.conf")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"check", "serve"} {
		code, out, said := command(t, "", append(strings.Fields(c), "-c", dir)...)
		if code != exitError || !strings.Contains(said, "chmod 600 "+file) {
			t.Errorf("%s: exit %d, %s%s", c, code, out, said)
		}
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "check", "-c", dir)
}

// TestTwoOnOneStore: another daemon with ports, socket and configuration of
// its own, but the same mail, is refused and told who holds it.
func TestTwoOnOneStore(t *testing.T) {
	w := newWorld(t)
	other := confDir(t, fmt.Sprintf(`{"server_name": "other.test", "data_dir": "data", "mail_dir": %q,
		"Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}]}`, filepath.Join(w.dir, "data", "mail")))
	out, err := exec.Command(binary(t), "serve", "-c", other).CombinedOutput()
	if err == nil || !bytes.Contains(out, fmt.Append(nil, w.cmd.Process.Pid)) {
		t.Errorf("%v, and does not name process %d:\n%s", err, w.cmd.Process.Pid, out)
	}
}

// TestSyncedBefore250 watches the system calls of the daemon: between a
// message's last octets and its 250 there must be a sync of its contents, then
// its publication, then a sync of the directory.
func TestSyncedBefore250(t *testing.T) {
	strace := peer(t, "strace")
	w := newWorld(t)
	send(w.addrs["smtp"], "first") // the mailbox and its directories are there
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-y", "-s", "64", "-o", trace, "-p", strconv.Itoa(w.cmd.Process.Pid),
		"-e", "trace=fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,write,sendto,writev")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, _ := bufio.NewReader(stderr).ReadString('\n')
	if !strings.Contains(said, "attached") {
		cmd.Process.Kill()
		cmd.Wait()
		t.Skipf("strace may not attach: %s", said)
	}
	if !send(w.addrs["smtp"], "watched") {
		t.Error("the message was not taken")
	}
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait()
	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	steps := []string{
		`354 `,
		`(fsync|fdatasync|syncfs)\(.*(resumed|= 0)`,
		`(renameat2?|linkat|rename|link)\(.*/new/`,
		`(fsync|fdatasync|syncfs)\(.*(resumed|= 0)`,
		`250 2\.0\.0 .*queued|250 2\.0\.0 `,
	}
	at := 0
	lines := strings.Split(string(calls), "\n")
	for _, step := range steps {
		re := regexp.MustCompile(step)
		for at < len(lines) && !re.MatchString(lines[at]) {
			if step != steps[len(steps)-1] && strings.Contains(lines[at], `"250 2.0.0`) {
				t.Fatalf("250 before %s:\n%s", step, calls)
			}
			at++
		}
		if at == len(lines) {
			t.Fatalf("no %s after the step before it:\n%s", step, calls)
		}
		at++
	}
}
