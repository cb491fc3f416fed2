package main

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// host is a world whose programs send mail as root and as another user.
type host struct {
	*world
	place string // a folder that everybody can reach, with links to the program
}

func newHost(t *testing.T) *host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can be cron, and become other users")
	}
	place, err := os.MkdirTemp("", "postrider-host")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(place) })
	for _, open := range []string{place, filepath.Dir(binary(t))} {
		if err := os.Chmod(open, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"sendmail", "mailq", "newaliases"} {
		if err := os.Symlink(binary(t), filepath.Join(place, link)); err != nil {
			t.Fatal(err)
		}
	}
	return &host{newWorld(t, `"POP3": {"apop": true},`, `"POP3": {"apop": true},
	"Admin": {"submit_socket": "`+filepath.Join(place, "submit.sock")+`", "submit_as": {"nobody": ["www@mail.test", "*@shop.test"]}},`,
		`"deliver": false`, `"deliver": true`), place}
}

// as runs a program as a user of this host; only root can become another one.
func (h *host) as(who, stdin, program string, args ...string) (code int, output string) {
	h.t.Helper()
	cmd := exec.Command(filepath.Join(h.place, program), args...)
	cmd.Dir = h.place
	cmd.Env = append(os.Environ(), "POSTRIDER_SUBMIT="+filepath.Join(h.place, "submit.sock"), confVariable+"="+h.dir)
	cmd.Stdin = strings.NewReader(stdin)
	if who != "" {
		u, err := osuser.Lookup(who)
		if err != nil {
			h.t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// What programs of a host do with sendmail, and what becomes of it.
func TestSendmailOfPrograms(t *testing.T) {
	h := newHost(t)
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const plain = "Subject: x\n\nx\n"
	cron := "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> backup\n\nout\n"
	for _, c := range []struct {
		what, who, stdin, args string
		want                   []string // in what alice, the postmaster, gets
	}{
		{"cron", "", cron, "-FCronDaemon -i -oem root",
			[]string{"Return-Path: <root@mail.test>\r\n", "\r\nFrom: Cron Daemon <root@mail.test>\r\n", "\r\nTo: root\r\n"}},
		{"recipients of the header without a domain", "", cron, "-i -t", []string{"\r\nTo: root\r\n"}},
		{"to another name of this host", "", plain, "-i root@" + name, []string{"Subject: x"}},
		{"a monitor to the loopback's name", "", plain, "daemon@localhost", []string{"Subject: x"}},
		{"a line of an mbox on top", "", "From root Mon Jan  1 00:00:00 2024\n" + plain, "alice", []string{"\r\nSubject: x\r\n\r\nx\r\n"}},
		{"no From", "nobody", plain, "-F Web alice", []string{"Return-Path: <nobody@mail.test>\r\n", "\r\nFrom: Web <nobody@mail.test>\r\n"}},
		{"GNU mailutils", "nobody", "From: nobody <nobody@" + name + ">\n" + plain, "-oi -f nobody@" + name + " alice",
			[]string{"Return-Path: <nobody@mail.test>\r\n", "\r\nFrom: nobody <nobody@mail.test>\r\n"}},
		{"PHP", "nobody", "From: Shop <any@shop.test>\n" + plain, "-t -i -fwww@mail.test alice",
			[]string{"Return-Path: <www@mail.test>\r\n", "\r\nFrom: Shop <any@shop.test>\r\n"}},
		{"a blind copy", "", "Bcc: bob@mail.test\nTo: x@y.test\n" + plain, "alice", []string{"\r\nTo: x@y.test\r\nSubject: x\r\n"}},
	} {
		code, out := h.as(c.who, c.stdin, "sendmail", strings.Fields(c.args)...)
		got := h.fetchAll(user)
		if code != 0 || out != "" || len(got) != 1 {
			t.Errorf("%s: exit %d, %s, and alice got %d messages", c.what, code, out, len(got))
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(got[0], want) {
				t.Errorf("%s: no %q in\n%s", c.what, want, got[0])
			}
		}
		if strings.Contains(got[0], "Bcc") || strings.Contains(got[0], "\nFrom root") {
			t.Errorf("%s: still there in\n%s", c.what, got[0])
		}
	}
	for _, c := range []struct {
		what, who, program, stdin, args string
		code                            int
		want                            string
	}{
		{"nobody of that name", "", "sendmail", plain, "nosuch", exitNoUser, "No such user"},
		{"somebody else", "nobody", "sendmail", plain, "-f bob@mail.test alice", exitNotAllowed, "may not send as"},
		{"somebody else in From", "nobody", "sendmail", "From: bob@mail.test\n" + plain, "alice", exitNotAllowed, "may not write <bob@mail.test> in From"},
		{"no recipient", "", "sendmail", plain, "", exitUsageSendmail, "no recipient"},
		{"an unknown flag", "", "sendmail", plain, "-z", exitUsageSendmail, "unknown flag"},
		{"what is no address", "", "sendmail", "To: <<x\n" + plain, "-t", exitData, "To: "},
		{"a wrong word", "", "sendmail", plain, "-N sometimes alice", exitUnavailable, "sometimes"},
		{"no daemon", "", "sendmail", plain, "--socket nowhere alice", exitTryLater, "no daemon"},
		{"SMTP as somebody else", "nobody", "sendmail", "EHLO x\r\nMAIL FROM:<bob@mail.test>\r\nQUIT\r\n", "-bs", 0, "\r\n550 5.7.1 nobody@mail.test may not send as <bob@mail.test>"},
		{"SMTP to nobody", "nobody", "sendmail", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<nosuch@mail.test>\r\nQUIT\r\n", "-bs", 0, "\r\n550 5.1.1 "},
		{"the queue", "", "mailq", "", "", 0, "The queue is empty."},
		{"the queue", "", "sendmail", "", "-bp", 0, "The queue is empty."},
		{"a queue run", "", "sendmail", "", "-q", 0, "0 messages due now."},
		{"a queue run", "", "sendmail", "", "-q30m", 0, "0 messages due now."},
	} {
		code, out := h.as(c.who, c.stdin, c.program, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s", c.what, code, c.code, c.want, out)
		}
	}
	for _, line := range []string{"newaliases", "sendmail -bi"} {
		words := strings.Fields(line)
		if code, out := h.as("nobody", "", words[0], words[1:]...); code != 0 || out != "" {
			t.Errorf("%s: exit %d, %s", line, code, out)
		}
	}
	// A report of success, with the id that it has from the server.
	if code, out := h.as("", plain, "sendmail", "-f", "bob@mail.test", "-N", "success", "-R", "hdrs", "-V", "id7", "alice"); code != 0 {
		t.Fatal(code, out)
	}
	h.fetchAll(user)
	report := h.awaitOne("bob@mail.test")
	for _, want := range []string{"\r\nOriginal-Envelope-Id: id7\r\n", "\r\nAction: delivered\r\n", "\r\nMessage-ID: <", "\r\nSubject: x\r\n"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in the report\n%s", want, report)
		}
	}
	if strings.Count(report, "\r\nMessage-ID: <") != 2 {
		t.Errorf("the report does not say which message it is about:\n%s", report)
	}
}

// awaitOne waits for a message.
func (h *host) awaitOne(account string) string {
	h.t.Helper()
	for range 3600 {
		if got := h.fetchAll(account); len(got) > 0 {
			return got[0]
		}
		time.Sleep(50 * time.Millisecond)
	}
	h.t.Fatalf("%s got nothing\n%s", account, tail(h.log))
	return ""
}

// What users write in From is theirs, as the envelope is; a setting says what is
// looked at. Nobody but the blind recipients sees Bcc.
func TestOwnFields(t *testing.T) {
	for _, c := range []struct {
		setting, header string
		want            string
	}{
		{`from`, "From: alice@mail.test", "250"},
		{`from`, "From: Team <team@mail.test>, alice+x@mail.test", "250"},
		{`from`, "Subject: without", "250"},
		{`from`, "From: bob@mail.test", "550 5.7.1 alice@mail.test may not write <bob@mail.test> in From"},
		{`from`, "From: alice@mail.test\r\nFrom: bob@mail.test", "550 5.7.1"},
		{`from`, "From: alice@mail.test, bob@mail.test", "550 5.7.1"},
		{`from`, "From: nothing", "550 5.7.1"},
		{`from`, "From: alice@mail.test\r\nSender: bob@mail.test", "250"},
		{`both`, "From: alice@mail.test\r\nSender: bob@mail.test", "550 5.7.1"},
		{`none`, "From: bob@mail.test\r\nBcc: secret@mail.test", "250"},
	} {
		w := newWorld(t, `"SMTP": {`, `"SMTP": {"own_fields": "`+c.setting+`", `)
		out := w.submitted("MAIL FROM:<alice@mail.test>\r\nRCPT TO:<bob@mail.test>\r\nDATA\r\n" + c.header + "\r\n\r\nx\r\n.\r\nQUIT\r\n")
		if !strings.Contains(out, "\n354 ") || !strings.HasPrefix(out[strings.Index(out, "\n354 ")+1:][strings.Index(out[strings.Index(out, "\n354 ")+1:], "\n")+1:], c.want) {
			t.Errorf("%s, %q: want %s after 354:\n%s", c.setting, c.header, c.want, out)
		}
		if c.want == "250" {
			if got := w.fetchAll("bob@mail.test"); len(got) != 1 || strings.Contains(got[0], "secret") {
				t.Errorf("%s, %q: bob got %q", c.setting, c.header, got)
			}
		}
	}
}

// submitted speaks to the port of users, over TLS and logged in as alice.
func (w *world) submitted(dialogue string) string {
	w.t.Helper()
	c, err := tls.Dial("tcp", w.addrs["submissions"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Minute))
	login := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	if _, err := io.WriteString(c, "EHLO x\r\nAUTH PLAIN "+login+"\r\n"); err != nil {
		w.t.Fatal(err)
	}
	lines := bufio.NewReader(c)
	for { // the rest only when the answer is there
		line, err := lines.ReadString('\n')
		if err != nil {
			w.t.Fatal(line, err)
		}
		if strings.HasPrefix(line, "235") {
			break
		}
	}
	// Step by step where a reply must be awaited.
	before, after, _ := strings.Cut(dialogue, "DATA\r\n")
	io.WriteString(c, before+"DATA\r\n")
	var out strings.Builder
	for {
		line, err := lines.ReadString('\n')
		out.WriteString(line)
		if err != nil || strings.HasPrefix(line, "354") || strings.HasPrefix(line, "5") {
			break
		}
	}
	io.WriteString(c, after)
	rest, _ := io.ReadAll(lines)
	return out.String() + string(rest)
}

// TestSendmailTooMuch: what a program of this host sends counts as its user's; root may
// send any number.
func TestSendmailTooMuch(t *testing.T) {
	h := newHost(t)
	if err := os.WriteFile(filepath.Join(h.dir, "rates.conf"), []byte(`{"SMTP": {"messages_per_hour": 2}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, said, code := postrider(t, "reload", "-c", h.dir); code != 0 {
		t.Fatal(said)
	}
	for i, want := range []int{0, 0, exitTryLater, exitTryLater} {
		code, out := h.as("nobody", "Subject: x\n\nx\n", "sendmail", "alice", "bob")
		if code != want || want != 0 && !strings.Contains(out, "450 4.7.1 nobody@mail.test may have 2 messages an hour, has sent 2 since") {
			t.Errorf("message %d: exit %d, %s", i, code, out)
		}
		if code, out := h.as("", "Subject: x\n\nx\n", "sendmail", "alice"); code != 0 {
			t.Errorf("root's message %d: exit %d, %s", i, code, out)
		}
	}
	if out, _, _ := postrider(t, "status", "-c", h.dir); !strings.Contains(out, "  nobody@mail.test has met a limit, 2 messages an hour: 2 messages to 4 recipients since ") {
		t.Errorf("status says %s", out)
	}
}
