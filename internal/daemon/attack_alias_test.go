package daemon

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestAttackAliases: an alias for many mailboxes, named as often as one may
// under other details, and a chain of aliases as long as it can be.
func TestAttackAliases(t *testing.T) {
	t.Parallel()
	n := heavy(100, 1000)
	var domains, all strings.Builder
	for i := range n {
		fmt.Fprintf(&domains, "%q: {}, ", fmt.Sprintf("u%d@mail.test", i))
		fmt.Fprintf(&all, "%q, ", fmt.Sprintf("u%d@mail.test", i))
	}
	var chain strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&chain, "\"c%d@mail.test\": \"c%d@mail.test\", ", i, i+1)
	}
	v := underAttackWith(t, 0, fmt.Sprintf(`"SMTP": {"tarpit": "0s"},
		"Domains": {"mail.test": {"Accounts": {%s}}},
		"Aliases": {%s "c1000@mail.test": "alice@mail.test", "all@mail.test": [%s]},`,
		strings.ReplaceAll(domains.String(), "@mail.test", ""), chain.String(), all.String()))
	before := v.cost()
	for _, name := range []string{"all", "c0"} {
		used := v.spend(fmt.Sprintf("1000 recipients %s+N, where all is %d mailboxes and c0 1000 aliases away", name, n), func() {
			k := v.attacker(1, "smtp")
			defer k.c.Close()
			var b strings.Builder
			b.WriteString("EHLO x\r\nMAIL FROM:<a@far.test>\r\n")
			for j := range 1000 {
				fmt.Fprintf(&b, "RCPT TO:<%s+%d@mail.test>\r\n", name, j)
			}
			b.WriteString("DATA\r\n")
			go io.WriteString(k.c, b.String())
			if !k.until("354") {
				t.Errorf("%s: no message is wanted", name)
			}
			io.WriteString(k.c, "x\r\n.\r\nQUIT\r\n")
			if !k.until("221") {
				t.Errorf("%s: no answer", name)
			}
		})
		if used.cpu > 5*time.Second || used.rss > 64<<10 {
			t.Errorf("%s: too dear", name)
		}
	}
	v.serves()
	v.recovered(before)
}
