package daemon

import (
	"strings"
	"testing"
)

// TestForwardLoop: mail that an alias has sent away and that comes back to it is
// refused at once; the same alias with another message is not.
func TestForwardLoop(t *testing.T) {
	w, got := startRelaying(t)
	w.greeted().send("<ann@third.test>", []string{"<Only@mail.test>"}, "Delivered-To: other@mail.test\r\nSubject: s\r\n\r\nx")
	m := receive(t, got)
	_, text, _ := strings.Cut(m, "\n")
	if !strings.HasPrefix(text, "Delivered-To: Only@mail.test\r\nReceived: ") {
		t.Fatalf("forwarded as %q", m)
	}
	w.greeted().play("C: MAIL FROM:<ann@third.test>\nS: 250\nC: RCPT TO:<only@mail.test>\nS: 250\nC: DATA\nS: 354\nC: " +
		strings.ReplaceAll(text, "\r\n", `\r\n`) + `\r\n.` + "\nS: 554 5.4.6")
	// To a mailbox here, and to others elsewhere, it may go.
	w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>", "<x@far.test>"}, "Delivered-To: only@mail.test\r\nSubject: s\r\n\r\nx")
	if m = receive(t, got); strings.Count(m, "Delivered-To") != 1 {
		t.Errorf("sent on as %q", m)
	}
}

// TestForwardedApart: nobody who gets a message by one alias reads of another.
func TestForwardedApart(t *testing.T) {
	w, got := startRelaying(t)
	w.greeted().send("<ann@third.test>", []string{"<only@mail.test>", "<gone@mail.test>", "<direct@far.test>"}, "Subject: s\r\n\r\nx")
	for range 3 { // and the bounce of the one that is refused
		m := receive(t, got)
		if strings.HasPrefix(m, "<> ") {
			continue
		}
		for _, alias := range []string{"only@mail.test", "gone@mail.test"} {
			if strings.Contains(m, "Delivered-To: "+alias) && strings.Count(m, "Delivered-To") != 1 {
				t.Errorf("%q", m)
			}
		}
		if strings.Contains(m, "<direct@far.test>\n") && strings.Contains(m, "Delivered-To") {
			t.Errorf("%q", m)
		}
	}
}
