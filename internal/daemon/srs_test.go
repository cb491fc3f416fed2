package daemon

import (
	"fmt"
	"strings"
	"testing"
)

// send plays one message; to are RCPT arguments, each answered by 250.
func (k *talk) send(from string, to []string, text string) {
	k.t.Helper()
	k.play("C: MAIL FROM:" + from + "\nS: 250")
	for _, r := range to {
		k.play("C: RCPT TO:" + r + "\nS: 250")
	}
	k.play("C: DATA\nS: 354\nC: " + strings.ReplaceAll(text, "\r\n", `\r\n`) + `\r\n.` + "\nS: 250")
}

func (w *testWorld) greeted() *talk {
	w.t.Helper()
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO client.test\nS: 250")
	return k
}

func (w *testWorld) waitFor(user string, n int) []string {
	w.t.Helper()
	var here []string
	if within(forEver, func() bool { return w.stored(user) >= n }) {
		if here = w.mailbox(user); len(here) >= n {
			return here
		}
	}
	w.t.Fatalf("%d messages for %s, not %d\n%s", len(here), user, n, w.logs)
	return nil
}

// drained waits until nothing is in the queue.
func (w *testWorld) drained() {
	w.t.Helper()
	if !within(forEver, func() bool { return w.post.Outbound.Queue().Counters().Entries == 0 }) {
		w.t.Fatalf("the queue is not empty\n%s", w.logs)
	}
}

// senderOf is the envelope sender of a message the sink got.
func senderOf(got string) string {
	from, _, _ := strings.Cut(strings.TrimPrefix(got, "<"), ">")
	return from
}

// TestForwardedSender: whose sender is rewritten, and whose not; the message
// is not touched.
func TestForwardedSender(t *testing.T) {
	w, got := startRelaying(t)
	for _, c := range []struct{ from, to, want string }{
		{"<Ann.B@third.test>", "<only@mail.test>", "=third.test=Ann.B@mail.test"},
		{"<Ann.B@third.test>", "<friend@far.test>", "Ann.B@third.test"},
		{"<alice@mail.test>", "<only@mail.test>", "alice@mail.test"},
		{"<bob@second.test>", "<only@mail.test>", "bob@second.test"}, // ours as well
		{"<>", "<only@mail.test>", ""},
		{`<"two words"@third.test>`, "<only@mail.test>", `=third.test=two words"@mail.test`},
		{"<SRS0=abcd=xy=origin.test=ann@third.test>", "<only@mail.test>", "=third.test==abcd=xy=origin.test=ann@mail.test"},
	} {
		w.greeted().send(c.from, []string{c.to}, "Subject: s\r\n\r\n bo dy \r\n")
		m := receive(t, got)
		from := senderOf(m)
		if c.want == "" && from != "" || strings.HasPrefix(from, "SRS") != strings.HasPrefix(c.want, "=") && from[0] != '"' || !strings.HasSuffix(from, c.want) {
			t.Errorf("from %s to %s: the sender became %q, want %q", c.from, c.to, from, c.want)
		}
		if !strings.HasSuffix(m, "\r\nSubject: s\r\n\r\n bo dy \r\n\r\n") {
			t.Errorf("from %s to %s: the message became %q", c.from, c.to, m)
		}
	}
}

// TestTwoSenders: one message to an alias and to an address elsewhere has two
// senders on its way.
func TestTwoSenders(t *testing.T) {
	w, got := startRelaying(t)
	w.greeted().send("<ann@third.test>", []string{"<only@mail.test>", "<other@far.test>"}, "Subject: s\r\n\r\nx")
	senders := make(map[string]string)
	for range 2 {
		m := receive(t, got)
		_, to, _ := strings.Cut(strings.SplitN(m, "\n", 2)[0], "> ")
		senders[to] = senderOf(m)
	}
	if senders["<other@far.test>"] != "ann@third.test" || !strings.HasPrefix(senders["<friend@far.test>"], "SRS0=") {
		t.Errorf("senders %v", senders)
	}
}

// TestBounceComesBack: a bounce to a rewritten sender goes on to the true one,
// for anybody who sends it; what was tampered with is refused.
func TestBounceComesBack(t *testing.T) {
	w, got := startRelaying(t)
	w.greeted().send("<Ann@third.test>", []string{"<only@mail.test>"}, "Subject: s\r\n\r\nx")
	from := senderOf(receive(t, got))
	local, _, _ := strings.Cut(from, "@")
	stranger := w.dial("127.0.0.7:0") // behind a proxy, so from anywhere
	fmt.Fprintf(stranger.c, "PROXY TCP4 192.0.2.99 192.0.2.1 4711 25\r\n")
	stranger.play("S: 220\nC: EHLO far.test\nS: 250\nC: MAIL FROM:<>\nS: 250")
	for _, c := range []struct{ to, want string }{
		{strings.Replace(from, "third.test", "victim.test", 1), "550 5.1.1"},
		{strings.Replace(from, "=Ann@", "=bob@", 1), "550 5.1.1"},
		{local[:5] + "aaaaaaaa" + local[13:] + "@mail.test", "550 5.1.1"},
		{"SRS0=x@mail.test", "550 5.1.1"},
		{"SRS1=x=y=z@mail.test", "550 5.1.1"},
		{strings.Replace(from, "@mail.test", "@other.test", 1), "550 5.7.1"},
		{strings.Replace(from, "SRS0=", "srs0=", 1), "250"},
		{strings.Replace(from, "@mail.test", "@MAIL.test", 1), "250"},
	} {
		stranger.play("C: RCPT TO:<" + c.to + ">\nS: " + c.want)
	}
	stranger.play(`
		C: DATA
		S: 354
		C: Subject: returned\r\n\r\nx\r\n.
		S: 250`)
	if back := receive(t, got); !strings.HasPrefix(back, "<> <Ann@third.test>\n") || !strings.Contains(back, "Subject: returned\r\n") {
		t.Errorf("what came back is %q", back)
	}
	w.drained()
	select {
	case m := <-got:
		t.Errorf("and again: %q", m)
	default:
	}
}

// TestOwnBounceOfForwarded: what the next host refuses of forwarded mail, the
// queue tells the true sender.
func TestOwnBounceOfForwarded(t *testing.T) {
	w, got := startRelaying(t)
	w.greeted().send("<ann@third.test>", []string{"<gone@mail.test>"}, "Subject: s\r\n\r\nx")
	m := receive(t, got)
	if !strings.HasPrefix(m, "<> <ann@third.test>\n") || !strings.Contains(m, "gone@mail.test") {
		t.Errorf("the sender got %q", m)
	}
	if !strings.Contains(m, "\r\nTo: <ann@third.test>\r\n") && !strings.Contains(m, "\r\nTo: ann@third.test\r\n") {
		t.Errorf("the sender got a bounce that is addressed to somebody else: %q", m)
	}
}
