package daemon

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// TestRspamd: what the real one refuses is refused, what it marks is marked, or put aside, what it lets pass comes octet for octet;
// users' mail is not its business; and when it is killed, mail goes on.
func TestRspamd(t *testing.T) {
	t.Parallel()
	url, kill := peertest.Rspamd(t)
	w := start(t, fmt.Sprintf(`"Verify": {"check": false, "Scanner": {"url": %q, "wait": "20s"}}`, url))
	send := func(k *talk, body, want string) {
		k.play("C: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: DATA\nS: 354\n" +
			"C: Subject: x\\r\\nX-Spam-Flag: NO\\r\\n\\r\\n" + body + "\\r\\n.\nS: " + want)
	}
	k := w.stranger("192.0.2.7")
	send(k, peertest.RspamdRejects, "550 5.7.1 Gtube pattern")
	send(k, peertest.RspamdMarks, "250")
	send(k, "Nothing bad", "250")
	send(k, strings.Repeat("long line of a message\\r\\n", 3000), "250")
	all := w.fetch("bob@mail.test")
	if len(all) != 3 {
		t.Fatalf("%d messages", len(all))
	}
	for i, junk := range []bool{true, false, false} {
		if first := strings.Index(all[i], "X-Spam-Flag: YES"); (first >= 0 && first < strings.Index(all[i], "X-Spam-Flag: NO")) != junk {
			t.Errorf("message %d: %.400s", i, all[i])
		}
	}
	if log := w.logs.String(); !strings.Contains(log, "scan=reject score=15.0") {
		t.Error("the log does not say why it was refused")
	}
	u := w.loginAs("alice@mail.test")
	u.play("C: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: x\\r\\n\\r\\n" + peertest.RspamdRejects + "\\r\\n.\nS: 250")
	kill()
	for range 4 {
		send(k, peertest.RspamdRejects, "250")
	}
	if p := strings.Join(w.trustProblems(), "\n"); !strings.Contains(p, "Verify.Scanner") {
		t.Errorf("the status says %q", p)
	}
}
