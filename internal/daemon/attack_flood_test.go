package daemon

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// TestAttackDomainFlood: a domain sends without end from some addresses of its network. As
// many messages come in as may in an hour; others, and users, are served meanwhile.
func TestAttackDomainFlood(t *testing.T) {
	most := heavy(60, 4000)
	v := underAttack(t, fmt.Sprintf(`"Rates": {"SenderDomain": {"messages_per_hour": %d}, "Mailbox": {"messages_per_hour": 0}}, "Verify": {"check": false}, "SMTP": {"tarpit": "0s", "xclient_from": ["127.0.0.0/8"]},`, most))
	n := heavy(200, 5000)
	var tried, taken, refused atomic.Int64
	done := make(chan struct{})
	flood := func() {
		defer close(done)
		v.swarm(20, func(i int) {
			for tried.Load() < int64(n) {
				k, err := v.stranger(i, "smtp")
				if err != nil {
					return
				}
				ok := k.until("220") && k.says("EHLO flood.test", "250") && k.says(fmt.Sprintf("XCLIENT ADDR=198.51.100.%d", i%200+1), "220") && k.says("EHLO flood.test", "250")
				for ok && tried.Add(1) <= int64(n) && k.says("MAIL FROM:<x@flood.test>", "250") {
					if ok = k.says("RCPT TO:<alice@mail.test>", "250"); !ok {
						refused.Add(1)
						break
					}
					if ok = k.says("DATA", "354") && k.says("Subject: x\r\n\r\nx\r\n.", "250"); ok {
						taken.Add(1)
					}
				}
				k.c.Close()
			}
		})
	}
	v.spend(fmt.Sprintf("%d messages of one domain", n), func() {
		go flood()
		for serving := true; serving; {
			v.serves()
			select {
			case <-done:
				serving = false
			default:
			}
		}
	})
	if got := taken.Load(); got < int64(most) || got > int64(most)+20 || refused.Load() == 0 { // one more for each that was on its way
		t.Errorf("%d were taken and %d refused, want %d", got, refused.Load(), most)
	}
	if lines := strings.Count(v.log(), `msg="too much is sent" whose=sender_domain name="flood.test from 198.51.100.0/24"`); lines != 1 {
		t.Errorf("%d lines about it", lines)
	}
}

// says says a line and reports whether the reply begins so. Unlike play it may be used beside
// the test.
func (k *talk) says(line, want string) bool {
	fmt.Fprintf(k.c, "%s\r\n", line)
	for {
		reply, err := k.r.ReadString('\n')
		if err != nil || len(reply) < 4 {
			return false
		}
		if reply[3] != '-' {
			return strings.HasPrefix(reply, want)
		}
	}
}
