package daemon

import (
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/rfc2822"
)

// TestTraceStaysOurs: a message that begins with a continuation line, or has no
// header at all, does not become part of the trace fields put above it, and
// its octets arrive.
func TestTraceStaysOurs(t *testing.T) {
	w := start(t, "")
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250")
	for _, first := range []string{` (forged);\r\n by evil`, `no header at all`} {
		k.play("C: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\nC: " + first + `\r\nSubject: s\r\n\r\nbody\r\n.` + "\nS: 250")
	}
	for _, message := range w.mailbox("alice@mail.test") {
		m, err := rfc2822.ReadString(message)
		if err != nil {
			t.Fatal(err)
		}
		trace := m.Header.Get("Received")
		if !strings.HasSuffix(message, "\r\nSubject: s\r\n\r\nbody\r\n") || strings.Contains(trace, "evil") || strings.Contains(trace, "header at all") {
			t.Errorf("%q became the Received field %q", message, trace)
		}
		if headless := strings.Contains(message, "no header at all"); headless == m.Header.Has("Subject") {
			t.Errorf("the header of %q is %q", message, m.Header.String())
		}
	}
}
