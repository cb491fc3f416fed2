package daemon

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// decides changes what a user has decided.
func (w *testWorld) decides(user string, change func(p *preferences.Preferences)) {
	w.t.Helper()
	if err := w.preferences.Change(w.t.Context(), domains.Address(user), func(p *preferences.Preferences) error { change(p); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *testWorld) forwards(user, to string, keep bool) {
	w.t.Helper()
	w.decides(user, func(p *preferences.Preferences) { p.Forward = &preferences.Forward{To: to, Keep: keep} })
}

// keeps is the mail of a user, which are n messages.
func (w *testWorld) keeps(user string, n int) []string {
	w.t.Helper()
	all := w.mailbox(user)
	if len(all) != n {
		w.t.Errorf("%d messages for %s, not %d: %q", len(all), user, n, all)
	}
	return all
}

// TestUserForwards: what a user has forwarded leaves in his name with a copy kept or none; the client hears of it nothing, and it is
// told once whom it went to.
func TestUserForwards(t *testing.T) {
	w, got := startRelaying(t)
	w.forwards("alice@mail.test", "Friend@far.test", true)
	w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, "Subject: kept\r\n\r\nx")
	m := receive(t, got)
	if !strings.HasPrefix(m, "<alice@mail.test> <Friend@far.test>\nDelivered-To: alice@mail.test\r\nReceived: ") || !strings.HasSuffix(m, "\r\nSubject: kept\r\n\r\nx\r\n") {
		t.Errorf("forwarded as %q", m)
	}
	if here := w.keeps("alice@mail.test", 1); !strings.HasPrefix(here[0], "Return-Path: <ann@third.test>\r\n") || strings.Contains(here[0], "Delivered-To") {
		t.Errorf("kept: %q", here)
	}
	w.forwards("alice@mail.test", "Friend@far.test", false)
	w.logs.Take()
	w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>", "<bob@mail.test>"}, "Subject: not kept\r\n\r\nx")
	if m := receive(t, got); !strings.Contains(m, "Subject: not kept") {
		t.Error(m)
	}
	w.keeps("alice@mail.test", 1)
	w.keeps("bob@mail.test", 1)
	if log := w.logs.Take(); strings.Count(log, "mailbox=bob@mail.test") != 1 || strings.Contains(log, "mailbox=alice@mail.test") || strings.Count(log, "next=Friend@far.test") != 1 {
		t.Error(log)
	}
	// An alias that leads to both, a detail, and the same recipient twice: one copy.
	w.greeted().send("<ann@third.test>", []string{"<team@mail.test>", "<alice+x@mail.test>", "<alice@mail.test>", "<friend@far.test>"}, "Subject: many ways\r\n\r\nx")
	for range 2 { // friend and Friend are two addresses to this host
		receive(t, got)
	}
	w.drained()
	select {
	case m := <-got:
		t.Errorf("once more: %q", m)
	default:
	}
	w.keeps("alice@mail.test", 1)
	w.keeps("bob@mail.test", 2)
}

// TestForwardRefused: what the other host refuses is told to the user, and not to whoever wrote; where he kept no copy he has
// the message back, however large it is.
func TestForwardRefused(t *testing.T) {
	w, got := startRelaying(t)
	for _, keep := range []bool{true, false} {
		w.forwards("alice@mail.test", "no-such@far.test", keep)
		before := len(w.mailbox("alice@mail.test"))
		w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, "Subject: s\r\n\r\n"+strings.Repeat(strings.Repeat("y", 100)+"\r\n", 12000))
		here := w.waitFor("alice@mail.test", before+2)
		messages, reports := 0, 0
		for _, m := range here {
			if strings.Contains(m, "multipart/report") {
				reports++
			} else if len(m) > 1200000 {
				messages++
			}
		}
		if n := (before + 2) / 2; messages != n || reports != n {
			t.Errorf("keep %v: %d messages, %d reports", keep, messages, reports)
		}
	}
	w.drained()
	select {
	case m := <-got:
		t.Errorf("somebody else heard of it: %q", m)
	default:
	}
}

// TestForwardDown: while the host is down that mail is forwarded to, the copy is in the mailbox at once and the other waits; when its time is over the user is told, and has
// back what he kept no copy of. Who wrote hears nothing of it.
func TestForwardDown(t *testing.T) {
	sink, got := sinkServer(t)
	w := start(t, `"SMTP": {"relay_from": ["127.0.0.1/32"]}, "Queue": {"Routes": [`+route("far.test", 9, `, "tls": "none"`)+`, `+route("third.test", sink.Port, `, "tls": "none"`)+`]},`)
	w.forwards("alice@mail.test", "friend@far.test", true)
	w.forwards("bob@mail.test", "friend@far.test", false)
	w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, "Subject: kept\r\n\r\nx")
	if here := w.keeps("alice@mail.test", 1); !strings.Contains(strings.Join(here, ""), "Subject: kept") { // with the reply, for it is stored then
		t.Errorf("%q", here)
	}
	w.greeted().send("<ann@third.test>", []string{"<bob@mail.test>"}, "Subject: not kept\r\n\r\nx")
	w.keeps("bob@mail.test", 0)
	for _, e := range w.listed(2) {
		if err := w.post.Outbound.Queue().Expire(t.Context(), e.ID); err != nil { // as it does by itself in days
			t.Fatal(err)
		}
	}
	if hers := strings.Join(w.waitFor("alice@mail.test", 2), ""); strings.Count(hers, "Action: failed") != 1 || !strings.Contains(hers, "friend@far.test") {
		t.Errorf("%q", hers)
	}
	if his := strings.Join(w.waitFor("bob@mail.test", 2), ""); strings.Count(his, "Action: failed") != 1 || strings.Count(his, "Subject: not kept") < 2 {
		t.Errorf("%q", his)
	}
	w.drained()
	if len(got) != 0 {
		t.Errorf("who wrote hears of it: %q", <-got)
	}
}

// TestForwardComesBack: what was forwarded and comes back stays in the mailbox, and goes no second time.
func TestForwardComesBack(t *testing.T) {
	w, got := startRelaying(t)
	w.forwards("alice@mail.test", "friend@far.test", false)
	w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, "Subject: s\r\n\r\nx")
	_, text, _ := strings.Cut(receive(t, got), "\n")
	w.greeted().send("<alice@mail.test>", []string{"<alice@mail.test>"}, text)
	w.keeps("alice@mail.test", 1)
	w.drained()
	if len(got) != 0 {
		t.Errorf("a second turn: %q", <-got)
	}
}

// TestForwardForbidden: an administrator who forbids it ends what there is; and nobody forwards to an address that is here.
func TestForwardForbidden(t *testing.T) {
	w, got := startRelaying(t)
	w.forwards("alice@mail.test", "bob@second.test", false)
	w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, "Subject: s\r\n\r\nx")
	w.keeps("alice@mail.test", 1)
	w.forwards("alice@mail.test", "friend@far.test", false)
	before := w.post.Outbound.Queue().Counters().Accepted
	if err := w.rewrite(`"Web": {"user_may": ["password"]}, "SMTP": {"relay_from": ["127.0.0.1/32"]},`); err != nil {
		t.Fatal(err)
	}
	w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, "Subject: s\r\n\r\nx")
	w.keeps("alice@mail.test", 2)
	if n := w.post.Outbound.Queue().Counters().Accepted; n != before || len(got) != 0 {
		t.Error("it left")
	}
}

// TestForwardFull: a mailbox that is full takes nothing, forwarded or not, by SMTP or LMTP.
func TestForwardFull(t *testing.T) {
	w := start(t, `"Domains": {"second.test": {"Accounts": {"carol": {"quota": "none"}}}}, "Store": {"quota": "2KB"}, "Queue": {"Routes": [{"domain": "*", "host": "127.0.0.1", "port": 9, "tls": "none"}]},`)
	for _, keep := range []bool{true, false} {
		w.forwards("alice@mail.test", "friend@far.test", keep)
		w.takesNothing()
	}
}

func (w *testWorld) takesNothing() {
	w.t.Helper()
	text := "Subject: s\\r\\n\\r\\n" + strings.Repeat("y", 4000) + "\\r\\n."
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO x.test\nS: 250\nC: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\nC: " + text + "\nS: 552")
	l := w.dial("lmtp")
	l.play("S: 220\nC: LHLO x.test\nS: 250\nC: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\nC: " + text + "\nS: 552")
	l.play("C: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: RCPT TO:<carol@second.test>\nS: 250\nC: DATA\nS: 354\nC: " + text + "\nS: 552\nS: 250")
	if n := w.post.Outbound.Queue().Counters().Accepted; n != 0 {
		w.t.Errorf("%d left all the same", n)
	}
}

// TestJunkStays: what is marked is not forwarded, also where no copy is kept, and is not answered.
func TestJunkStays(t *testing.T) {
	sink, got := sinkServer(t)
	l := newLab(t)
	w := startTrusting(t, l, `"Routes": [`+route("far.test", sink.Port, "")+`, `+route("good.test", sink.Port, "")+`, `+route("none.test", sink.Port, "")+`]`, "")
	w.forwards("alice@mail.test", "friend@far.test", false)
	w.decides("alice@mail.test", func(p *preferences.Preferences) { p.Absence = &preferences.Absence{Text: "away"} })
	text := func(from string) string {
		return fmt.Sprintf("From: x@%s\r\nTo: alice@mail.test\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x>\r\nSubject: who\r\n\r\nbody\r\n", from)
	}
	if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, text("quarantine.test")); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if here := w.keeps("alice@mail.test", 1); !strings.Contains(here[0], "X-Spam-Flag: YES") {
		t.Fatalf("it is not marked: %q", here)
	}
	w.post.Settle()
	w.drained()
	if len(got) != 0 {
		t.Errorf("it left, or was answered: %q", <-got)
	}
	// Whose sender SPF does not believe is not answered, though it is no junk.
	if reply := w.from(stranger).bring("<x@none.test>", []string{"alice@mail.test"}, text("none.test")); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	w.settled()
	if m := receive(t, got); !strings.HasPrefix(m, "<alice@mail.test> <friend@far.test>\n") || len(got) != 0 {
		t.Errorf("what fails SPF: %q and %d more", m, len(got))
	}
	if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, text("good.test")); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	all := receive(t, got) + receive(t, got)
	if !strings.Contains(all, "<alice@mail.test> <friend@far.test>\n") || !strings.Contains(all, "<> <x@good.test>\n") || !strings.Contains(all, "Auto-Submitted: auto-replied") {
		t.Errorf("what is not marked: %q", all)
	}
	w.keeps("alice@mail.test", 1)
}
