package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/pop3"
)

// idsAt asks a server for the ids of a maildrop, by its order.
func idsAt(t *testing.T, addr, login, password string) (ids []string) {
	t.Helper()
	c, err := (&pop3.Dialer{User: login, Password: password}).Dial(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := c.UIDL(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		ids = append(ids, m.UID)
	}
	return ids
}

// dovecotAccounts are Dovecot's settings for accounts in a passwd-file, also for logins with any letters.
const dovecotAccounts = `protocols = imap pop3
auth_username_chars =
passdb {
  driver = passwd-file
  args = %[1]s
}
userdb {
  driver = passwd-file
  args = %[1]s
}
`

// TestFetchFromDovecot: by POP3, mailboxes of every kind and with every format of ids come over with the
// ids, the order and the octets that Dovecot gives.
func TestFetchFromDovecot(t *testing.T) {
	dir := t.TempDir()
	n := peertest.AsOrdinary(t, dir)
	kinds := map[string][]string{
		"maildir": {"%08Xu%08Xv", "%v.%u", "UID%u-%v", "%g", "%f", "%Mf", "%5u.%UXv"},
		"mdbox":   {"%08Xu%08Xv", "%v.%u", "UID%u-%v", "%g"},
		"sdbox":   {"%08Xu%08Xv", "%08Xv%08Xu", "UID%u-%v", "%g"},
	}
	var users, list strings.Builder
	var logins []string
	for kind, formats := range kinds {
		for i, format := range formats {
			login := fmt.Sprintf("%s%d", kind, i)
			logins = append(logins, login)
			fmt.Fprintf(&users, "%s:{PLAIN}pass word::::%s::userdb_mail=%s:~/%s userdb_pop3_uidl_format=%s\n",
				login, filepath.Join(dir, "home", login), kind, kind, strings.ReplaceAll(format, "%", "%%"))
			fmt.Fprintf(&list, "%s \"pass word\" %s@mail.test # kept as %s\n", login, login, kind)
		}
	}
	passwd := put(t, users.String(), dir, "users")
	n.Own(t, passwd)
	d := peertest.StartDovecot(t, n, filepath.Join(dir, "dovecot"), fmt.Sprintf(dovecotAccounts, passwd))
	for i, login := range logins {
		for m := range 3 {
			d.Admin(t, fmt.Sprintf("Received: by old.test; Fri, 22 Nov 2024 12:0%d:00 +0000\nSubject: %d\n\n.%s\n", (m+i)%3, m, login), "save", "-u", login)
		}
		if i%3 == 0 { // a number that is never given again
			d.Admin(t, "", "expunge", "-u", login, "mailbox", "INBOX", "uid", "2")
		}
	}
	mail := emptyStore(t)
	file := put(t, list.String(), t.TempDir(), "list")
	must(t, "", "fetch", "--mail", mail, "--server", d.POP3, "--tls", "off", "--at-once", "3", file)
	for _, login := range logins {
		want := idsAt(t, d.POP3, login, "pass word")
		if got := uidsIn(t, mail, login+"@mail.test"); len(want) < 2 || got != strings.Join(want, " ") {
			t.Errorf("%s: ids %s, in Dovecot %s", login, got, want)
		}
	}
	d.Admin(t, "Subject: late\n\nlate\n", "save", "-u", logins[0])
	out, _ := must(t, "", "fetch", "--mail", mail, "--server", d.POP3, "--tls", "off", file)
	if strings.Count(out, ": 0 of ") != len(logins)-1 || strings.Count(out, ": 1 of ") != 1 {
		t.Errorf("a second run says:\n%s", out)
	}
}
