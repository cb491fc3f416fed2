package daemon

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
)

// hold keeps connections open for the rest of the test.
type hold struct {
	mu  sync.Mutex
	all []io.Closer
}

func (h *hold) add(c io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, c)
}

func (h *hold) letGo() {
	for _, c := range h.all {
		c.Close()
	}
}

// TestAttackEnvelopes: strangers who name as many recipients as they may, each
// with as long a command as they may, and then wait.
func TestAttackEnvelopes(t *testing.T) {
	v := underAttack(t, `"SMTP": {"tarpit": "0s"},`)
	n := heavy(20, 1000)
	route := strings.Repeat("@relay.test,", 300) + "@relay.test"
	before := v.cost()
	var h hold
	used := v.spend(fmt.Sprintf("%d envelopes of 1000 recipients", n), func() {
		v.swarm(n, func(i int) {
			k, err := v.stranger(i, "smtp")
			if err != nil {
				return
			}
			h.add(k.c)
			var b strings.Builder
			b.WriteString("EHLO x\r\nMAIL FROM:<a@far.test>\r\n")
			for j := range 1000 {
				fmt.Fprintf(&b, "RCPT TO:<%s:alice+%0200d@mail.test>\r\n", route, j)
			}
			b.WriteString("NOOP marked\r\n")
			go io.WriteString(k.c, b.String())
			for {
				line, err := k.r.ReadString('\n')
				if err != nil || strings.HasPrefix(line, "250 2.0.0 OK") {
					return
				}
			}
		})
	})
	if used.rss > 32<<10+2500*n {
		t.Errorf("%d kB each", used.rss/n)
	}
	v.serves()
	h.letGo()
	v.recovered(before)
}

// TestAttackHeaders: strangers who send a header that does not end.
func TestAttackHeaders(t *testing.T) {
	v := underAttack(t, "")
	n := heavy(150, 1000)
	before := v.cost()
	var h hold
	used := v.spend(fmt.Sprintf("%d endless headers", n), func() {
		v.swarm(n, func(i int) {
			k, err := v.stranger(i, "smtp")
			if err != nil {
				return
			}
			h.add(k.c)
			io.WriteString(k.c, "EHLO x\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<alice@mail.test>\r\nDATA\r\n")
			line := "X-Y: " + strings.Repeat("z", 900) + "\r\n"
			io.WriteString(k.c, strings.Repeat(line, 2<<20/len(line)))
		})
	})
	if used.rss > 64<<10+400*n {
		t.Errorf("%d kB each", used.rss/n)
	}
	v.serves()
	h.letGo()
	v.recovered(before)
}

// TestAttackNames: guesses at accounts with very long names, from very many
// addresses: what is counted of each must not add up.
func TestAttackNames(t *testing.T) {
	v := underAttack(t, `"Auth": {"mechanisms": ["CRAM-MD5"]}, "SMTP": {"cleartext_auth": true, "tarpit": "0s"},`)
	n := heavy(500, 20000)
	before := v.cost()
	used := v.spend(fmt.Sprintf("%d guesses at long names", 3*n), func() {
		v.swarm(n, func(i int) {
			k, err := v.stranger(i, "submission")
			if err != nil {
				return
			}
			defer k.c.Close()
			k.r.ReadString('\n')
			io.WriteString(k.c, "EHLO x\r\n")
			k.reply()
			for j := range 3 {
				io.WriteString(k.c, "AUTH CRAM-MD5\r\n")
				k.reply()
				name := strings.Repeat("n", 480) + fmt.Sprint(i, "-", j)
				answer := base64.StdEncoding.EncodeToString([]byte(name + " 0123456789abcdef0123456789abcdef"))
				io.WriteString(k.c, answer+"\r\n")
				k.r.ReadString('\n')
			}
		})
	})
	if used.rss > 160<<10 {
		t.Errorf("%d octets a guess", used.rss<<10/(3*n))
	}
	v.serves()
	v.recovered(before)
}
