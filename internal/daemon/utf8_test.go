package daemon

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
)

// TestNeedOfUTF8: what a message needs of the next host is what it holds, not what
// its client claims; net/smtp, for one, claims SMTPUTF8 wherever it is offered.
func TestNeedOfUTF8(t *testing.T) {
	sink, got := sinkServer(t, func(s *smtp.Server) { s.Extensions.Hide = []string{"SMTPUTF8"} })
	w := start(t, fmt.Sprintf(`"SMTP": {"relay_from": ["127.0.0.1/32"]},
		"Queue": {"Routes": [{"domain": "far.test", "host": "127.0.0.1", "port": %d, "tls": "none"}]},`, sink.Port))
	send := func(header string) {
		k := w.greeted()
		k.play("C: MAIL FROM:<alice@mail.test> BODY=8BITMIME SMTPUTF8\nS: 250\nC: RCPT TO:<x@far.test>\nS: 250\nC: DATA\nS: 354\nC: " +
			header + `\r\n\r\nBody: \xc3\xa9\r\n.` + "\nS: 250\nC: QUIT\nS: 221")
	}
	send("Subject: plain")
	if text := receive(t, got); !strings.Contains(text, "Subject: plain\r\n") {
		t.Errorf("arrived: %q", text)
	}
	send("Subject: caf\u00e9")
	waitFor(t, func() bool { return len(w.mailbox("alice@mail.test")) == 1 })
	if report := flat(w.mailbox("alice@mail.test")[0]); !strings.Contains(report, "Status: 5.6.7\r\n") {
		t.Errorf("what cannot be carried: %s", report)
	}
	if len(got) > 0 {
		t.Errorf("and yet it arrived: %q", <-got)
	}
}
