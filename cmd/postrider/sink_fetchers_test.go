package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
)

// TestSinkFetchers: programs that fetch mail find all of an inbox, the oldest first, and leave nothing behind.
func TestSinkFetchers(t *testing.T) {
	for name, run := range map[string]func(t *testing.T, dir, port string) (string, error){
		"fetchmail": func(t *testing.T, dir, port string) (string, error) {
			conf := fmt.Sprintf("set invisible\nset no syslog\nset idfile %[1]s/ids\npoll 127.0.0.1 proto pop3 port %[2]s user \"bob@x.test\" password \"any\" sslproto \"\" no rewrite stripcr fetchall mda \"sh -c 'cat >> %[1]s/got'\"\n", dir, port)
			if err := os.WriteFile(dir+"/rc", []byte(conf), 0o600); err != nil {
				t.Fatal(err)
			}
			return runPeer(t, dir, "", "fetchmail", "-f", dir+"/rc", "--nodetach", "--pidfile", dir+"/pid")
		},
		"getmail": func(t *testing.T, dir, port string) (string, error) {
			if os.Getuid() == 0 {
				t.Skip("getmail does not fetch for root")
			}
			conf := fmt.Sprintf("[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = %[2]s\nusername = bob@x.test\npassword = any\n[destination]\ntype = Mboxrd\npath = %[1]s/got\n[options]\ndelete = true\nreceived = false\ndelivered_to = false\n", dir, port)
			if err := os.WriteFile(dir+"/rc", []byte(conf), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir+"/got", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return runPeer(t, dir, "", "getmail", "--getmaildir", dir, "--rcfile", dir+"/rc")
		},
		"mpop": func(t *testing.T, dir, port string) (string, error) {
			conf := fmt.Sprintf("account default\nhost 127.0.0.1\nport %[2]s\nuser bob@x.test\npassword any\nauth user\ntls off\ndelivery mbox %[1]s/got\nuidls_file %[1]s/uidls\nkeep off\nreceived_header off\n", dir, port)
			if err := os.WriteFile(dir+"/rc", []byte(conf), 0o600); err != nil {
				t.Fatal(err)
			}
			return runPeer(t, dir, "", "mpop", "-C", dir+"/rc")
		},
	} {
		t.Run(name, func(t *testing.T) {
			peer(t, name)
			s := startSink(t, nil)
			var want []string
			for i := range 150 {
				want = append(want, strconv.Itoa(i))
				if err := smtp.SendMail(t.Context(), s.smtp, "a@b.test", []string{"bob@x.test", "carol@x.test"}, strings.NewReader(fmt.Sprintf("From: a@b.test\r\nX-N: %d\r\n\r\n.dot %d\r\n", i, i))); err != nil {
					t.Fatal(err)
				}
			}
			_, port, _ := net.SplitHostPort(s.pop3)
			dir := t.TempDir()
			out, err := run(t, dir, port)
			got, _ := os.ReadFile(filepath.Join(dir, "got"))
			var fields, texts []string
			for _, m := range regexp.MustCompile(`(?m)^(X-N:|\.dot) (\d+)\r?$`).FindAllStringSubmatch(string(got), -1) {
				if m[1] == "X-N:" {
					fields = append(fields, m[2])
				} else {
					texts = append(texts, m[2])
				}
			}
			if !slices.Equal(fields, want) || !slices.Equal(texts, want) {
				t.Errorf("%v %s: %v", err, out, fields)
			}
			var left struct{ Messages []struct{ ID string } }
			if s.get(t, "/inboxes/bob@x.test/messages", &left); len(left.Messages) != 0 {
				t.Errorf("%d are left", len(left.Messages))
			}
			if s.get(t, "/inboxes/carol@x.test/messages?limit=500", &left); len(left.Messages) != 150 {
				t.Errorf("%d are left in another inbox", len(left.Messages))
			}
		})
	}
}

// faultRules are each way for mail to fail, for a recipient of its own, and what two clients find: the code, or "" where the connection
// is lost; where it is 250 the mail passes, late.
var faultRules = []struct{ rule, to, from, code string }{
	{"@to stall to stall@", "stall@x.test", "a@b.test", "450"},
	{"@to reject to reject@", "reject@x.test", "a@b.test", "550"},
	{`@to reply "452 4.2.2 Full" to full@`, "full@x.test", "a@b.test", "452"},
	{"@from reject from evil@", "bob@x.test", "evil@b.test", "550"},
	{`@from reply "421 4.3.2 Going down" from down@`, "bob@x.test", "down@b.test", "421"},
	{"@data reject to data@", "data@x.test", "a@b.test", "554"},
	{"@data drop to datadrop@", "datadrop@x.test", "a@b.test", ""},
	{`@message reply "554 5.6.0 Junk" to junk@`, "junk@x.test", "a@b.test", "554"},
	{"@message drop to lost@", "lost@x.test", "a@b.test", ""},
	{"@to drop to gone@", "gone@x.test", "a@b.test", ""},
	{"@to delay 200ms to slow@", "slow@x.test", "a@b.test", "250"},
	{"@message delay 200ms to late@", "late@x.test", "a@b.test", "250"},
	{"discard to hole@", "hole@x.test", "a@b.test", "250"},
}

// TestSinkFaultKinds: two real clients see each kind of fault as what it is meant to be, and each is counted.
func TestSinkFaultKinds(t *testing.T) {
	var args []string
	for _, f := range faultRules {
		args = append(args, "--rule", f.rule)
	}
	s := startSink(t, nil, args...)
	_, port, _ := net.SplitHostPort(s.smtp)
	for _, f := range faultRules {
		out, err := runPeer(t, t.TempDir(), fmt.Sprintf(`
import smtplib
s = smtplib.SMTP("127.0.0.1", %s, timeout=30)
try:
    s.sendmail(%q, [%q], "Subject: x\r\n\r\nbody\r\n")
    print(250)
except smtplib.SMTPServerDisconnected:
    print("")
except smtplib.SMTPRecipientsRefused as e:
    print(*[code for code, _ in e.recipients.values()])
except smtplib.SMTPResponseException as e:
    print(e.smtp_code)
`, port, f.from, f.to), "python3", "-")
		if err != nil || strings.TrimSpace(out) != f.code {
			t.Errorf("%s: smtplib sees %q, %v", f.rule, out, err)
		}
		out, err = runPeer(t, t.TempDir(), "", "swaks", "--server", "127.0.0.1:"+port, "--from", f.from, "--to", f.to, "--body", "x", "--header", "Subject: x")
		refused := regexp.MustCompile(`(?m)^<\*\* +(\d{3})`).FindStringSubmatch(out)
		switch {
		case f.code == "250" && err != nil, f.code != "250" && err == nil:
			t.Errorf("%s: swaks ends with %v\n%s", f.rule, err, out)
		case f.code != "250" && f.code != "" && (refused == nil || refused[1] != f.code):
			t.Errorf("%s: swaks sees %q\n%s", f.rule, refused, out)
		}
	}
	var shown struct{ Struck []struct{ Times int } }
	s.get(t, "/inboxes/-/rules", &shown)
	if len(shown.Struck) != len(faultRules) {
		t.Fatalf("%+v", shown)
	}
	for i, rule := range shown.Struck {
		if rule.Times != 2 {
			t.Errorf("%s: struck %d times", faultRules[i].rule, rule.Times)
		}
	}
}
