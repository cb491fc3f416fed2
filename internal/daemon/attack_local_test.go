package daemon

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAttackLocal: users of this host at the local sockets, with requests that
// are none, that do not end, and that are as large as can be.
func TestAttackLocal(t *testing.T) {
	v := underAttackWith(t, 0, `"Admin": {"submit_socket": "submit.sock"}, "SMTP": {"tarpit": "0s", "max_message_size": "1MiB"},`)
	before := v.cost()
	requests := []string{
		"", "\x00", "\r\n\r\n", "GET", "EHLO x\r\n", strings.Repeat("A", 1<<20),
		"POST /status HTTP/1.1\r\nHost: x\r\n",
		"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx",
		"POST /queue/list HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{\"id\":\"" + strings.Repeat("a", 2<<20),
		"POST /submit?to=alice HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n" + strings.Repeat("x", 2<<20),
		"POST /submit?to=" + strings.Repeat("alice&to=", 5000) + "bob HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
		"POST /submit?from=" + strings.Repeat("%00", 100) + "&to=%0d%0aalice HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
		"POST /submit?to=alice HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nX: " + strings.Repeat("y", 100<<10) + "\r\n\r\nx",
		"POST /submit?to=alice HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nx",
		"POST /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	}
	for _, name := range []string{"data/control.sock", "submit.sock"} {
		used := v.spend(fmt.Sprintf("garbage at %s", name), func() {
			for range heavy(1, 20) {
				for _, r := range requests {
					c, err := net.Dial("unix", filepath.Join(v.dir, name))
					if err != nil {
						t.Fatal(err)
					}
					c.SetDeadline(time.Now().Add(100 * time.Millisecond))
					go io.WriteString(c, r)
					answer, _ := io.ReadAll(c)
					if strings.HasPrefix(string(answer), "HTTP/1.1 200") && !strings.Contains(r, "/status") {
						t.Errorf("%.80q was answered with %.200q", r, answer)
					}
					c.Close()
				}
			}
		})
		if used.rss > 48<<10 {
			t.Errorf("%s: too dear", name)
		}
		v.recovered(before)
	}
	var h hold
	v.spend("1000 connections that say nothing", func() {
		for range 1000 {
			if c, err := net.Dial("unix", filepath.Join(v.dir, "submit.sock")); err == nil {
				h.add(c)
			}
		}
	})
	if now := v.cost(); now.fds > before.fds+60 {
		t.Errorf("one user of this host holds %d descriptors", now.fds-before.fds)
	}
	v.serves()
	h.letGo()
	v.recovered(before)
}

// TestAttackLog: what strangers say of themselves makes no second line and
// steers no terminal.
func TestAttackLog(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		v := underAttackWith(t, 0, `"SMTP": {"tarpit": "0s", "cleartext_auth": true}, "POP3": {"cleartext_auth": true},`)
		if format == "json" {
			v = underAttackWith(t, 0, `"SMTP": {"tarpit": "0s", "cleartext_auth": true}, "POP3": {"cleartext_auth": true}, "Log": {"file": "log", "format": "json"},`)
		}
		evil := []string{"\x1b[2J\x1b]0;owned\x07", "\"x\" level=ERROR msg=\"forged", "\xff\xfe\xc0\x80", "\u202egnp.exe", "\u009b31m", "a\rb", "a\nlevel=ERROR msg=forged", "\x00", "{\"level\":\"ERROR\"}", strings.Repeat("n", 4000)}
		v.swarm(len(evil), func(i int) {
			e := evil[i]
			k := v.attacker(i, "smtp")
			for _, line := range []string{"EHLO " + e, "EHLO x", "MAIL FROM:<" + e + "@far.test>", "MAIL FROM:<\"" + e + "\"@far.test> SMTPUTF8", "RCPT TO:<\"" + e + "\"@mail.test>", "RCPT TO:<alice@mail.test>", "DATA", "X-" + e + ": " + e, "", e, ".", e, "QUIT"} {
				fmt.Fprintf(k.c, "%s\r\n", line)
			}
			io.ReadAll(k.r)
			k = v.attacker(i, "pop3")
			fmt.Fprintf(k.c, "USER %s\r\nPASS %s\r\n%s\r\nQUIT\r\n", e, e, e)
			io.ReadAll(k.r)
		})
		v.serves()
		v.stop()
		for line := range strings.Lines(v.log()) {
			whole := strings.HasPrefix(line, "time=20") && strings.Contains(line, " level=") || strings.HasPrefix(line, `{"time":"20`) && strings.HasSuffix(line, "}\n")
			if !whole || len(line) > 2000 {
				t.Errorf("%s: not a line of ours, or too long: %.300q", format, line)
			}
			for _, r := range line[:len(line)-1] {
				if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\ufffd' {
					t.Errorf("%s: %U in %.300q", format, r, line)
				}
			}
		}
	}
}
