package daemon

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestAttackHello: strangers who send as much of a ClientHello as TLS lets
// anybody send, and never its end.
func TestAttackHello(t *testing.T) {
	v := underAttack(t, `"SMTP": {"tarpit": "0s"},`)
	n := heavy(50, 1000)
	before := v.cost()
	var h hold
	used := v.spend(fmt.Sprintf("%d endless handshakes", n), func() {
		v.swarm(n, func(i int) {
			k, err := v.stranger(i, "smtp")
			if err != nil {
				return
			}
			h.add(k.c)
			io.WriteString(k.c, "EHLO x\r\nSTARTTLS\r\n")
			if !k.until("220 2.0.0") {
				return
			}
			record := strings.Repeat("x", 16000)
			io.WriteString(k.c, "\x16\x03\x01\x3e\x84\x01\x00\xff\xf0"+record) // of 65,520 octets
			for range 3 {
				io.WriteString(k.c, "\x16\x03\x01\x3e\x80"+record)
			}
		})
	})
	if used.rss > 32<<10+300*n {
		t.Errorf("%d kB each", used.rss/n)
	}
	v.serves()
	h.letGo()
	v.recovered(before)
}

// TestAttackEndlessLine: a command line that goes on is answered and cut off, before
// more of it than a few MiB was read.
func TestAttackEndlessLine(t *testing.T) {
	v := underAttack(t, `"SMTP": {"tarpit": "0s"},`)
	before := v.cost()
	for protocol, answer := range map[string]string{"smtp": "500 ", "submission": "500 ", "pop3": "-ERR "} {
		k := v.attacker(1, protocol)
		k.reply()
		piece, sent := []byte(strings.Repeat("x", 64<<10)), 0
		for sent < 256<<20 {
			n, err := k.c.Write(piece)
			if sent += n; err != nil {
				break
			}
		}
		if sent >= 256<<20 {
			t.Fatalf("%s: %d octets of a line were read", protocol, sent)
		}
		if line, err := k.r.ReadString('\n'); !strings.HasPrefix(line, answer) {
			t.Errorf("%s: %q, %v", protocol, line, err)
		}
		k.c.Close()
	}
	v.serves()
	v.recovered(before)
}
