package daemon

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// listZone are two lists in health: bl.test lists 192.0.2.66 to 192.0.2.69 with codes of their own, wl.test speaks for .69.
var listZone = []string{
	"bl.test. 60 IN SOA ns.bl.test. x. 1 60 60 60 60", "wl.test. 60 IN SOA ns.wl.test. x. 1 60 60 60 60",
	"2.0.0.127.k3y.bl.test. 60 IN A 127.0.0.2", "2.0.0.127.wl.test. 60 IN A 127.0.5.1",
	"66.100.51.198.k3y.bl.test. 60 IN A 127.0.0.4", "66.100.51.198.k3y.bl.test. 60 IN A 127.0.0.10",
	"67.100.51.198.k3y.bl.test. 60 IN A 127.0.0.10", "68.100.51.198.k3y.bl.test. 60 IN A 127.0.0.99", "70.100.51.198.k3y.bl.test. 60 IN A 127.0.0.20",
	"69.100.51.198.k3y.bl.test. 60 IN A 127.0.0.4", "69.100.51.198.wl.test. 60 IN A 127.0.5.2",
}

const listSettings = `"Verify": {"reverse_name": "note", "hello": "note", "Lists": [
	{"name": "bl.example", "zone": "{key}.bl.test", "key": "k3y", "Codes": [
		{"codes": "127.0.0.2-9", "action": "refuse", "text": "see https://bl.example/{ip}"},
		{"codes": "127.0.0.10-11", "action": "mark"}, {"codes": "127.0.0.20", "action": "note"}]},
	{"zone": "wl.test", "Codes": [{"codes": "127.0.*.1-3", "action": "allow"}]},
]},`

const plainMail = "From: x@plain.test\r\nSubject: hello\r\n\r\nbody\r\n"

// listsTested waits until the first test of the DNS lists is over: what is asked from then on is about clients.
func (w *testWorld) listsTested() {
	w.t.Helper()
	lists := w.state().verify.Lists.Group
	if lists.Tend(w.t.Context(), w.dns); len(lists.Problems()) > 0 {
		w.t.Fatal(lists.Problems())
	}
}

// TestDNSLists: who is listed is refused at RCPT with the list's public name and text, each code has its own action, a list that
// allows comes first, who has logged in or may relay is never asked about, and no answer is no listing.
func TestDNSLists(t *testing.T) {
	l := newLab(t)
	l.add(t, listZone...)
	w := startTrusting(t, l, "", listSettings)
	w.listsTested()
	for _, c := range []struct{ client, reply, marked string }{
		{"198.51.100.66", "554 5.7.1 Not accepted: bl.example lists 198.51.100.66 (127.0.0.4): see https://bl.example/198.51.100.66", ""},
		{"198.51.100.67", "250", "bl.example lists 198.51.100.67 (127.0.0.10)"},
		{"198.51.100.68", "250", ""}, // a code that means nothing
		{"198.51.100.69", "250", ""}, // allowed
		{"198.51.100.70", "250", ""}, // noted
		{"198.51.100.71", "250", ""},
	} {
		l.askedBelow("bl.test")
		k := w.from(c.client)
		if n := l.askedBelow("bl.test"); n != 0 {
			t.Errorf("%s: asked before RCPT", c.client)
		}
		k.play("C: MAIL FROM:<x@plain.test>\nS: 250\nC: RCPT TO:<nobody@mail.test>\nS: 550 5.1.1")
		if n := l.askedBelow("bl.test"); n != 0 {
			t.Errorf("%s: asked for nobody's sake", c.client)
		}
		k.play("C: RCPT TO:<alice@mail.test>\nS: " + c.reply)
		if n := l.askedBelow("bl.test"); n != 1 {
			t.Errorf("%s: %d questions", c.client, n)
		}
		if c.reply != "250" {
			w.logged("refused", "command=RCPT", "list=bl.example", "code=127.0.0.4")
			continue
		}
		k.play("C: RCPT TO:<bob@mail.test>\nS: 250\nC: RSET\nS: 250")
		if reply := k.bring("<x@plain.test>", []string{"alice@mail.test"}, plainMail); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
		text := w.only("alice@mail.test")
		results, above, _ := stored(t, text)
		if got := strings.Contains(strings.Join(above, " "), "X-Spam-Flag"); got != (c.marked != "") || !strings.Contains(strings.Join(strings.Fields(text), " "), c.marked) {
			t.Errorf("%s: %s", c.client, text)
		}
		if allowed := result(results, "dnswl"); (allowed == "pass") != (c.client == "198.51.100.69") {
			t.Errorf("%s: dnswl=%s", c.client, allowed)
		}
	}
	w.logged("delivered", "lists=bl.example:127.0.0.20", "remote=198.51.100.70")
	w.logged("delivered", "lists=wl.test:127.0.5.2")
	// The postmaster hears those who are listed, too.
	if reply := w.from("198.51.100.66").bring("<x@plain.test>", []string{"postmaster@mail.test"}, plainMail); !strings.HasPrefix(reply, "250") {
		t.Error(reply)
	}
	if text := w.only("alice@mail.test"); !strings.Contains(text, "X-Spam-Flag: YES") {
		t.Error("not marked: ", text)
	}
	l.askedBelow("bl.test")
	for name, k := range map[string]*talk{"587": w.listedLogin(), "relay": w.from("192.0.2.66")} {
		if reply := k.bring("<bob@mail.test>", []string{"alice@mail.test"}, "From: bob@mail.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
			t.Errorf("%s: %s", name, reply)
		}
		if n := l.askedBelow("bl.test"); n != 0 {
			t.Errorf("%s: asked", name)
		}
		w.forget("alice@mail.test")
	}
	if strings.Contains(w.logs.String(), "k3y") {
		t.Error("the key is in the log")
	}
	for _, s := range w.state().settings.Values() {
		if strings.Contains(fmt.Sprint(s), "k3y") {
			t.Error("the key is shown: ", s)
		}
	}
}

// TestOwnEntries: lists are asked about the addresses of this host, once each, and an entry is told of until it is gone; one of a list that allows is none.
func TestOwnEntries(t *testing.T) {
	l := newLab(t)
	l.add(t, listZone...)
	l.add(t, "mail.test. 60 IN A 198.51.100.66", "mail.test. 60 IN A 198.51.100.69", "mail.test. 60 IN A 198.51.100.71", "mail.test. 60 IN A 10.0.0.1")
	w := startTrusting(t, l, "", withUsers+listSettings)
	w.listsTested()
	listed := func() string { return strings.Join(w.status(time.Now()).Warnings, "\n") }
	if strings.Contains(listed(), "of this host") {
		t.Error("before anybody has looked:", listed())
	}
	for range 2 {
		w.lookForOwnEntries(t.Context())
		// .69 is listed by bl.test as well, though wl.test speaks for it.
		if s := listed(); strings.Count(s, "bl.example lists 198.51.100.") != 2 || strings.Contains(s, "wl.test lists") || strings.Contains(s, "k3y") {
			t.Error(s)
		}
		if _, text := w.http("/metrics"); !strings.Contains(text, "postrider_dnslist_own_entries 2\n") {
			t.Error(text)
		}
	}
	// A look at which nothing is answered makes nothing of it go away, nor come anew afterwards.
	gone, stop := context.WithCancel(t.Context())
	stop()
	w.lookForOwnEntries(gone)
	if s := listed(); strings.Count(s, "bl.example lists 198.51.100.") != 2 {
		t.Error("after a look without answers:", s)
	}
	w.lookForOwnEntries(t.Context())
	if n := strings.Count(w.logs.String(), "a DNS list has an entry about this host"); n != 2 {
		t.Errorf("%d lines in the log", n)
	}
	if err := w.rewrite(""); err != nil {
		t.Fatal(err)
	}
	w.lookForOwnEntries(t.Context())
	if strings.Contains(listed(), "of this host (") {
		t.Error("without lists:", listed())
	}
}

// TestOwnEntriesUnanswered: what a list said of this host last counts while it does not answer, for a day; what it answers otherwise, or what is asked no
// more, is gone at once.
func TestOwnEntriesUnanswered(t *testing.T) {
	a, b := question{"bl", "192.0.2.1"}, question{"bl", "mail.test"}
	now := time.Now()
	entries := func(all ...question) map[question]ownEntry {
		found := make(map[question]ownEntry)
		for _, q := range all {
			found[q] = ownEntry{q.list + " lists " + q.subject, now}
		}
		return found
	}
	all, none := func(question) bool { return true }, func(question) bool { return false }
	for _, c := range []struct {
		what       string
		found      map[question]ownEntry
		unanswered func(question) bool
		later      time.Duration
		news, left int
	}{
		{"found", entries(a, b), none, 0, 2, 2}, {"again", entries(a, b), none, 0, 0, 2},
		{"one is not answered", entries(a), all, 0, 0, 2}, {"none is answered", entries(), all, staleEntry - 1, 0, 2},
		{"one is answered otherwise", entries(), func(q question) bool { return q == a }, 0, 0, 1}, {"too old", entries(), all, staleEntry, 0, 0}, {"anew", entries(a), none, 0, 1, 1},
	} {
		var o ownEntries
		if c.what != "found" && c.what != "anew" {
			o.put(entries(a, b), none, now)
		}
		if news := o.put(c.found, c.unanswered, now.Add(c.later)); len(news) != c.news || len(o.problems()) != c.left || o.count() != c.left {
			t.Errorf("%s: news %q, left %q", c.what, news, o.problems())
		}
	}
}

// listedLogin is a conversation of bob's from an address that is listed.
func (w *testWorld) listedLogin() *talk {
	w.t.Helper()
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO proxy.test\nS: 250\nC: XCLIENT ADDR=198.51.100.66\nS: 220\nC: EHLO home\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO home.test\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00bob@mail.test\x00"+testPassword)) + "\nS: 235")
	return k
}

// TestDNSListsOutOfUse: a list that answers nobody any more refuses nobody; status names it and its cure, and a reload that
// changes nothing of it does not forget that.
func TestDNSListsOutOfUse(t *testing.T) {
	for answer, cure := range map[string]string{"127.255.255.254": "a resolver of your own", "127.255.255.255": "pay the list", "127.255.255.252": "written right", "1.2.3.4": "take the list out", "127.0.0.2": "take the list out"} {
		l := newLab(t)
		l.add(t, "bl.test. 60 IN SOA ns.bl.test. x. 1 60 60 60 60")
		for _, host := range []string{"1.0.0.127", "2.0.0.127", "66.100.51.198"} {
			l.add(t, host+".k3y.bl.test. 60 IN A "+answer)
		}
		l.add(t, "2.0.0.127.wl.test. 60 IN A 127.0.5.1")
		w := startTrusting(t, l, "", listSettings)
		if reply := w.from("198.51.100.66").bring("<x@plain.test>", []string{"alice@mail.test"}, plainMail); !strings.HasPrefix(reply, "250") {
			t.Errorf("%s: %s", answer, reply)
		}
		if text := w.only("alice@mail.test"); strings.Contains(text, "X-Spam") {
			t.Errorf("%s: marked: %s", answer, text)
		}
		w.logged("a DNS list is out of use", "list=bl.example", cure)
		told := func() bool {
			s := strings.Join(w.status(w.born).Warnings, "\n")
			return strings.Contains(s, "bl.example") && strings.Contains(s, cure) && !strings.Contains(s, "k3y") && strings.Count(s, "the DNS list") == 1
		}
		if !told() {
			t.Errorf("%s: %q", answer, w.status(w.born).Warnings)
		}
		if err := w.Reload(); err != nil || !told() {
			t.Errorf("%s: after a reload: %q", answer, w.status(w.born).Warnings)
		}
		w.stop()
		if n := strings.Count(w.logs.String(), "out of use"); n != 1 {
			t.Errorf("%s: told %d times", answer, n)
		}
	}
}

// TestDNSListMayAllow: while a list that may allow does not answer, who is listed is to come again.
func TestDNSListMayAllow(t *testing.T) {
	l := newLab(t)
	l.add(t, listZone...)
	w := startTrusting(t, l, "", strings.Replace(listSettings, `"wl.test"`, `"servfail.wl.test"`, 1))
	// Out of use from the start it counts no more.
	w.from("198.51.100.66").play("C: MAIL FROM:<x@plain.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 554 5.7.1")
}

// TestHelloOurs: who calls himself this server is refused at RCPT, unless he may; offices and printers are not.
func TestHelloOurs(t *testing.T) {
	l := newLab(t)
	w := startTrusting(t, l, "", `"Verify": {"forwarders": ["198.51.100.5"]}, "Queue": {"own_names": ["mx.mail.test"], "own_addresses": ["203.0.113.9"]},`)
	for _, c := range []struct{ client, hello, reply string }{
		{stranger, "mail.test", "550 5.7.1 You are not mail.test, which is this server"},
		{stranger, "MAIL.test.", "550 5.7.1"}, {stranger, "mx.mail.test", "550 5.7.1"}, {stranger, "[203.0.113.9]", "550 5.7.1"},
		{"192.0.2.1", "mail.test", "250"},    // its SPF record has it
		{"198.51.100.5", "mail.test", "250"}, // the settings do
		{"10.0.0.9", "mail.test", "250"},     // who knows who that is
		{stranger, "DESKTOP-1", "250"}, {stranger, "[192.168.1.2]", "250"}, {stranger, "localhost", "250"}, {stranger, "-", "250"}, {stranger, "[IPv6:2001:db8::1]", "250"},
		{stranger, "sub.mail.test", "250"}, {stranger, "second.test", "250"},
	} {
		k := w.dial("127.0.0.1:0")
		k.play("S: 220\nC: EHLO proxy.test\nS: 250\nC: XCLIENT ADDR=" + c.client + "\nS: 220\nC: EHLO " + c.hello + "\nS: 250\nC: MAIL FROM:<x@plain.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: " + c.reply)
		if c.reply != "250" {
			w.logged("refused", "hello=own")
			continue
		}
		k.play("C: RSET\nS: 250")
		if reply := k.bring("<x@plain.test>", []string{"alice@mail.test"}, plainMail); !strings.HasPrefix(reply, "250") {
			t.Errorf("%s: %s", c.hello, reply)
		}
		text := strings.Join(strings.Fields(w.only("alice@mail.test")), " ")
		marked := strings.Contains(text, "X-Spam-Status: Yes") && strings.Contains(text, "there is no such host")
		if want := c.client == stranger; marked != want {
			t.Errorf("%s: marked %t: %s", c.hello, marked, text)
		}
		if c.hello == "DESKTOP-1" && !strings.Contains(text, "spf=fail") {
			t.Errorf("the other checks did not run: %s", text)
		}
	}
	// At the port for users all of them are names as good as any.
	for _, hello := range []string{"DESKTOP-1", "[192.168.1.2]", "localhost", "-", "[IPv6:2001:db8::1]", "mail.test"} {
		k := w.dial("127.0.0.2:0")
		k.play("S: 220\nC: EHLO " + hello + "\nS: 250")
		k.startTLS("STARTTLS", "220")
		k.play("C: EHLO " + hello + "\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00bob@mail.test\x00"+testPassword)) + "\nS: 235")
		if reply := k.bring("<bob@mail.test>", []string{"alice@mail.test"}, "From: bob@mail.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
			t.Errorf("%s: %s", hello, reply)
		}
		if text := w.only("alice@mail.test"); strings.Contains(text, "X-Spam") {
			t.Errorf("%s: %s", hello, text)
		}
	}
}

// TestReverseName: mail of hosts without a name, or with one that is not theirs, is marked where nothing speaks for it, never refused, and not
// where the DNS does not answer.
func TestReverseName(t *testing.T) {
	l := newLab(t)
	l.add(t, "8.100.51.198.in-addr.arpa. 60 IN PTR client.good.test.", "9.100.51.198.in-addr.arpa. 60 IN PTR mx.nine.test.", "mx.nine.test. 60 IN A 198.51.100.9",
		"10.100.51.198.in-addr.arpa. 60 IN PTR servfail.nine.test.", `spf.test. 60 IN TXT "v=spf1 ip4:198.51.100.0/24 -all"`)
	w := startTrusting(t, l, "", "")
	for _, c := range []struct {
		client, from string
		marked       bool
	}{
		{"198.51.100.7", "<x@none.example>", true}, {"198.51.100.8", "<x@none.example>", true}, {"198.51.100.9", "<x@none.example>", false},
		{"198.51.100.10", "<x@none.example>", false}, {"198.51.100.7", "<x@spf.test>", false},
	} {
		if reply := w.from(c.client).bring(c.from, []string{"alice@mail.test"}, "From: x@none.example\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
			t.Errorf("%+v: %s", c, reply)
		}
		text := w.only("alice@mail.test")
		if got := strings.Contains(text, "X-Spam-Flag: YES") && strings.Contains(strings.Join(strings.Fields(text), " "), "leads back to it"); got != c.marked {
			t.Errorf("%+v: %s", c, text)
		}
	}
}

// TestMarksOfStrangers: whatever a stranger writes in the name of our marks is below ours, and gone where the settings have it so.
func TestMarksOfStrangers(t *testing.T) {
	for _, strip := range []string{"false", "true"} {
		l := newLab(t)
		w := startTrusting(t, l, "", `"Verify": {"strip_marks": `+strip+`},`)
		for from, marked := range map[string]bool{"x@quarantine.test": true, "x@good.test": false} {
			theirs := "X-Spam-Flag: NO\r\nx-spam-status: No,\r\n score=-100\r\n"
			if !marked {
				theirs = "X-Spam-Flag: YES\r\n"
			}
			text := theirs + "From: " + from + "\r\nSubject: [SPAM] hello\r\n\r\nbody\r\n"
			if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, text); !strings.HasPrefix(reply, "250") {
				t.Fatal(reply)
			}
			got := w.only("alice@mail.test")
			_, above, rest := stored(t, got)
			if (strings.Contains(strings.Join(above, " "), "X-Spam-Flag") != marked) || strings.Count(strings.SplitN(got, "Received:", 2)[0], "X-Spam-Flag: YES") != map[bool]int{true: 1}[marked] {
				t.Errorf("strip %s, %s: %s", strip, from, got)
			}
			want := text
			if strip == "true" {
				want = strings.TrimPrefix(text, theirs)
				w.logged("marks of a stranger were taken out of a message")
			}
			if rest != want {
				t.Errorf("strip %s, %s: %q, want %q", strip, from, rest, want)
			}
		}
		w.stop()
	}
}
