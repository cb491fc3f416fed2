package daemon

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/control"
)

// TestAttackDescriptors: more strangers on every port than there are
// descriptors. Whoever comes with mail gets a place.
func TestAttackDescriptors(t *testing.T) {
	v := underAttackWith(t, 600, `"Queue": {"deliver": false, "concurrency": 1, "destination_concurrency": 1}, "SMTP": {"tarpit": "0s"},`)
	before := v.cost()
	var h hold
	v.spend("400 idle strangers on 600 descriptors", func() {
		v.swarm(400, func(i int) {
			if k, err := v.stranger(i%20, []string{"smtp", "submission", "pop3"}[i%3]); err == nil {
				h.add(k.c)
			}
		})
	})
	var s Status
	if err := control.NewClient(filepath.Join(v.dir, "data", "control.sock")).Call(context.Background(), "status", nil, &s); err != nil || s.Most > 200 || s.Sessions > s.Most+70 {
		t.Errorf("%d sessions of at most %d (%v)", s.Sessions, s.Most, err)
	}
	time.Sleep(time.Second) // 20 from each address share the patience of 10 s
	v.serves()
	h.letGo()
	v.recovered(before)
	if log := v.log(); strings.Contains(log, "too many open files") || !strings.Contains(log, "few descriptors") {
		t.Errorf("the log does not tell of few descriptors, or ran out of them:\n%s", tail(log))
	}
}

// TestAttackReload: settings read again without pause while mail comes in. No
// session is lost, and nothing is left of servers that were.
func TestAttackReload(t *testing.T) {
	v := underAttack(t, `"SMTP": {"tarpit": "0s"},`)
	v.serves()
	before := v.cost()
	var sent, failed atomic.Int32
	n := heavy(20, 500)
	v.spend(fmt.Sprintf("%d reloads under load", n), func() {
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			v.swarm(8, func(i int) {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if v.mail(i, "alice@mail.test", "x") {
						sent.Add(1)
					} else {
						failed.Add(1)
					}
				}
			})
		}()
		for range n {
			v.cmd.Process.Signal(syscall.SIGHUP)
			time.Sleep(10 * time.Millisecond)
		}
		close(stop)
		<-done
	})
	if failed.Load() > 0 || sent.Load() == 0 {
		t.Errorf("%d messages were sent, %d failed", sent.Load(), failed.Load())
	}
	if n := strings.Count(v.log(), `msg="settings read again"`); n == 0 {
		t.Error("nothing was read again")
	}
	v.serves()
	v.recovered(before)
}

// mail sends one message and reports whether it was accepted.
func (v *victim) mail(from int, to, text string) bool {
	k, err := v.stranger(from, "smtp")
	if err != nil {
		return false
	}
	defer k.c.Close()
	io.WriteString(k.c, "EHLO x\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<"+to+">\r\nDATA\r\n")
	if !k.until("354") {
		return false
	}
	io.WriteString(k.c, text+"\r\n.\r\nQUIT\r\n")
	return k.until("250 2.0.0 Queued") && k.until("221")
}

// until reads lines until one begins so, and reports whether one did.
func (k *talk) until(prefix string) bool {
	for {
		line, err := k.r.ReadString('\n')
		if err != nil || strings.HasPrefix(line, prefix) {
			return err == nil
		}
	}
}

// TestAttackTLS: handshakes that are none, or half, or end at once.
func TestAttackTLS(t *testing.T) {
	v := underAttack(t, `"SMTP": {"tarpit": "0s"},`)
	before := v.cost()
	n := heavy(100, 3000)
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		return string(b)
	}
	v.spend(fmt.Sprintf("%d handshakes with garbage, half of one, and many names", 3*n), func() {
		v.swarm(3*n, func(i int) {
			k, err := v.stranger(i, "smtp")
			if err != nil {
				return
			}
			defer k.c.Close()
			io.WriteString(k.c, "EHLO x\r\nSTARTTLS\r\n")
			if !k.until("220 2.0.0") {
				return
			}
			switch i % 3 {
			case 0:
				io.WriteString(k.c, random(rand.IntN(5000)))
			case 1:
				io.WriteString(k.c, "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc"+random(rand.IntN(500)))
			case 2:
				tls.Client(k.c, &tls.Config{InsecureSkipVerify: true, ServerName: fmt.Sprintf("n%d.test", i)}).Handshake()
			}
		})
	})
	v.serves()
	v.recovered(before)
}

// TestAttackFloods: commands by the thousand, and nobody reads the answers.
func TestAttackFloods(t *testing.T) {
	v := underAttack(t, `"SMTP": {"tarpit": "0s"},`)
	octets := heavy(4<<20, 64<<20)
	for name, c := range map[string]struct{ protocol, head, line string }{
		"NOOP":        {"smtp", "EHLO x\r\n", "NOOP\r\n"},
		"RCPT":        {"smtp", "EHLO x\r\nMAIL FROM:<>\r\n", "RCPT TO:<alice@mail.test>\r\n"},
		"nobody":      {"smtp", "EHLO x\r\nMAIL FROM:<>\r\n", "RCPT TO:<nobody@mail.test>\r\n"},
		"RSET":        {"smtp", "EHLO x\r\n", "MAIL FROM:<>\r\nRCPT TO:<alice@mail.test>\r\nRSET\r\n"},
		"BDAT 0":      {"smtp", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@mail.test>\r\n", "BDAT 0\r\n"},
		"BDAT 2^63-1": {"smtp", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@mail.test>\r\nBDAT 9223372036854775807\r\n", "x"},
		"NUL":         {"smtp", "", "\x00"},
		"one line":    {"smtp", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@mail.test>\r\nDATA\r\n", "x"},
		"LF":          {"smtp", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@mail.test>\r\nDATA\r\n", "\n"},
		"CR":          {"smtp", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@mail.test>\r\nDATA\r\n", "\r"},
		"CAPA":        {"pop3", "", "CAPA\r\n"},
		"USER":        {"pop3", "", "USER x\r\n"},
		"POP3 NUL":    {"pop3", "", "\x00"},
		"HELO":        {"smtp", "", "HELO " + strings.Repeat("x", 10000) + "\r\n"},
	} {
		before := v.cost()
		used := v.spend(fmt.Sprintf("%d MB of %s", octets>>20, name), func() {
			k := v.attacker(1, c.protocol)
			defer k.c.Close()
			k.c.SetDeadline(time.Now().Add(2 * time.Second))
			w := bufio.NewWriterSize(k.c, 64<<10)
			io.WriteString(w, c.head)
			piece := strings.Repeat(c.line, 1+(64<<10)/len(c.line))
			for sent := 0; sent < octets; sent += len(piece) {
				if _, err := io.WriteString(w, piece); err != nil {
					return
				}
			}
		})
		if used.rss > 32<<10 || used.cpu > 10*time.Second || used.log > 1<<20 {
			t.Errorf("%s costs too much", name)
		}
		v.recovered(before)
	}
	v.serves()
}

// TestAttackProxy: headers of the PROXY protocol that are none, from the proxy
// and from others.
func TestAttackProxy(t *testing.T) {
	v := underAttack(t, `"SMTP": {"tarpit": "0s"},`)
	before := v.cost()
	for _, header := range []string{
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "PROXY\r\n", "PROXY UNKNOWN\r\n", "PROXY TCP4 1 2 3 4", "PROXY TCP6 ::1 ::2 1 2\r\n",
		"PROXY TCP4 " + strings.Repeat("1", 10000), "\x00", "EHLO x\r\n", "",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + strings.Repeat("x", 1000),
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x00", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8" + strings.Repeat("\n", 0xd8),
	} {
		c, err := v.from("127.0.0.1", "proxied") // the proxy
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, header)
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		io.ReadAll(c)
		c.Close()
		k := v.attacker(5, "proxied") // somebody else
		io.WriteString(k.c, header+"\r\nQUIT\r\n")
		if answer := k.reply(); !strings.HasPrefix(answer, "220 ") {
			t.Errorf("%q from an address that is no proxy: %q", header, answer)
		}
		k.c.Close()
	}
	if strings.Contains(v.log(), "192.0.2.") {
		t.Error("an address was believed that no proxy told")
	}
	v.serves()
	v.recovered(before)
}
