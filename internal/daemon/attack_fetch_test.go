package daemon

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fill puts so many messages into a mailbox, as another Maildir program would.
func (v *victim) fill(user string, n, size int) {
	v.t.Helper()
	dir := filepath.Join(v.dir, "data", "mail", "mail.test", user, "cur")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		v.t.Fatal(err)
	}
	text := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("y", 76)+"\r\n", size/78)
	for i := range n {
		name := fmt.Sprintf("%d.M%d.host,S=%d,W=%d:2,S", 1700000000+i, i, len(text), len(text))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			v.t.Fatal(err)
		}
	}
}

// owner is a POP3 session of somebody who has logged in; nil if that failed.
func (v *victim) owner(from int, user string) *talk {
	k, err := v.stranger(from, "pop3")
	if err != nil {
		return nil
	}
	io.WriteString(k.c, "STLS\r\n")
	for range 2 { // the greeting, and the answer
		if !k.until("+OK") {
			return nil
		}
	}
	c := tls.Client(k.c, &tls.Config{InsecureSkipVerify: true})
	k.c, k.r = c, bufio.NewReader(c)
	fmt.Fprintf(k.c, "USER %s\r\nPASS %s\r\n", user, testPassword)
	if !k.until("+OK") {
		return nil
	}
	line, _ := k.r.ReadString('\n')
	if !strings.HasPrefix(line, "+OK") {
		k.c.Close()
		return nil
	}
	return k
}

// TestAttackStorm: users ask for everything, over and over, and do not read; or
// read one octet a while.
func TestAttackStorm(t *testing.T) {
	v := underAttack(t, `"POP3": {"login_delay": "0s", "max_connections_per_address": 500}, "Auth": {"max_failures_per_address": 1000},`)
	n := heavy(2000, 100_000)
	v.fill("alice", n, 1000)
	v.serves()
	before := v.cost()
	var h hold
	used := v.spend(fmt.Sprintf("LIST, UIDL, TOP and RETR a thousand times each of %d messages, unread", n), func() {
		k := v.owner(1, "alice@mail.test")
		if k == nil {
			t.Fatal("no login")
		}
		h.add(k.c)
		k.c.SetDeadline(time.Now().Add(3 * time.Second))
		for range 1000 {
			if _, err := io.WriteString(k.c, "LIST\r\nUIDL\r\nTOP 1 99999\r\nRETR 2\r\n"); err != nil {
				break
			}
		}
	})
	if used.rss > 64<<10 {
		t.Error("too dear")
	}
	h.letGo()
	v.recovered(before)
	var in, busy atomic.Int32
	used = v.spend("100 sessions of one account", func() {
		v.swarm(100, func(i int) {
			if k := v.owner(i, "alice@mail.test"); k != nil {
				in.Add(1)
				io.WriteString(k.c, "LIST\r\nQUIT\r\n")
				io.Copy(io.Discard, k.r)
				k.c.Close()
			} else {
				busy.Add(1)
			}
		})
	})
	t.Logf("%d were let in, %d found the maildrop in use or the server busy", in.Load(), busy.Load())
	if in.Load() == 0 || used.rss > 128<<10 {
		t.Error("too dear, or nobody got in")
	}
	v.serves()
	v.recovered(before)
}

// TestAttackInjection: commands behind STARTTLS and STLS in the clear are not
// obeyed under TLS, and not before it.
func TestAttackInjection(t *testing.T) {
	v := underAttack(t, `"SMTP": {"tarpit": "0s"},`)
	for _, c := range []struct{ protocol, text string }{
		{"smtp", "EHLO x\r\nSTARTTLS\r\nMAIL FROM:<evil@far.test>\r\nRCPT TO:<alice@mail.test>\r\nDATA\r\nx\r\n.\r\n"},
		{"submission", "EHLO x\r\nSTARTTLS\r\nEHLO y\r\n"},
		{"pop3", "STLS\r\nUSER alice@mail.test\r\nPASS x\r\nLIST\r\n"},
	} {
		k := v.attacker(1, c.protocol)
		io.WriteString(k.c, c.text)
		k.c.SetReadDeadline(time.Now().Add(3 * time.Second))
		answer, _ := io.ReadAll(k.r)
		if strings.Contains(string(answer), "354") || strings.Contains(string(answer), "+OK send PASS") || strings.Contains(string(answer), "250 2.1") {
			t.Errorf("%s: what came in the clear behind the command for TLS was obeyed: %q", c.protocol, answer)
		}
	}
	v.serves()
}

// TestAttackSmuggling: whatever a message ends with that is not CRLF.CRLF, what
// is behind it is no second message.
func TestAttackSmuggling(t *testing.T) {
	for _, mode := range []string{"reject", "normalise"} {
		v := underAttack(t, `"SMTP": {"tarpit": "0s", "max_errors": 1000, "bare_newline": "`+mode+`"},`)
		for i, ending := range []string{
			"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r.\r", "\n.\r", "\r\n.\r", "\r.\n", "\r\r\n.\r\r\n", "\r\n.\r\r\n", "\r\r\n.\r\n\r",
			"\n\r.\r\n", "\n\r\n\r.\r\n\r", "\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n .\r\n", "\r\n. \r\n", "\r\n..\r\n", "\x00",
		} {
			if strings.Contains(ending, "\r\n.\r\n") {
				continue // an end after all
			}
			for _, bdat := range []bool{false, true} {
				k := v.attacker(i, "smtp")
				message := "Subject: first\r\n\r\nfirst" + ending + "MAIL FROM:<evil@far.test>\r\nRCPT TO:<alice@mail.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"
				io.WriteString(k.c, "EHLO x\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<alice@mail.test>\r\n")
				if bdat {
					io.WriteString(k.c, "BDAT "+strconv.Itoa(len(message))+" LAST\r\n"+message+"QUIT\r\n")
				} else {
					io.WriteString(k.c, "DATA\r\n")
					k.until("354")
					io.WriteString(k.c, message+".\r\nQUIT\r\n")
				}
				answer, _ := io.ReadAll(k.r)
				if n := strings.Count(string(answer), "\r\n250 2.0.0 Queued"); n > 1 || !strings.Contains(string(answer), "\r\n221 ") {
					t.Errorf("%s, %q: %q", mode, ending, answer)
				}
			}
		}
		accepted := strings.Count(v.log(), "msg=delivered")
		files, err := filepath.Glob(filepath.Join(v.dir, "data", "mail", "mail.test", "alice", "new", "*"))
		if err != nil || len(files) != accepted || strings.Contains(v.log(), "from=evil@far.test") {
			t.Errorf("%s: %d messages accepted, %d in the mailbox", mode, accepted, len(files))
		}
		for _, name := range files {
			text, _ := os.ReadFile(name)
			if s := string(text); !strings.HasPrefix(s, "Return-Path: <a@far.test>\nReceived: from x ([127.") || strings.Contains(s, "\r") {
				t.Errorf("%s: %q", mode, s)
			}
		}
		v.serves()
	}
}
