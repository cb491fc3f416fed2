package daemon

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// fullWorld has two mailboxes with room for 4 KiB and some without limit; %s is
// the account of alice and bob, and what a test adds.
const fullWorld = `{
	"server_name": "mail.test",
	"data_dir": "data",
	"Listeners": [
		{"address": "127.0.0.1:0", "protocol": "smtp"},
		{"address": "127.0.0.4:0", "protocol": "pop3"},
		{"address": "unix:lmtp.sock", "protocol": "lmtp"},
	],
	"Accounts": {"alice@mail.test": %s, "bob@mail.test": %[1]s, "tiny@mail.test": {"quota": "4KiB"}, "tiny2@mail.test": {"quota": "4KiB"}},
	"Aliases": {
		"team@mail.test": ["tiny@mail.test", "bob@mail.test"],
		"small@mail.test": ["tiny@mail.test", "tiny2@mail.test"],
	},
	"SMTP": {"tarpit": "0s"},
	"Log": {"level": "debug"},
	"POP3": {"login_delay": "0s"},
	%s
}`

// trusting has a queue, whose mail goes to a sink, and believes its clients.
func trusting(t *testing.T) (*testWorld, chan string) {
	sink, got := sinkServer(t)
	return startWith(t, fullWorld, fmt.Sprintf(`
		"SMTP": {"relay_from": ["127.0.0.1/32"]},
		"Aliases": {"away@mail.test": ["tiny@mail.test", "friend@far.test"]},
		"Queue": {"forward": true, "Routes": [{"domain": "far.test", "host": "127.0.0.1", "port": %d, "tls": "none"}]},`, sink.Port)), got
}

// large is a message that the small mailboxes have no room for.
var large = "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcde\r\n", 400)

// offer brings a message to recipients, who are all taken, and returns the first
// n replies to its end.
func (k *talk) offer(n int, from string, to []string, text string) (replies []string) {
	k.t.Helper()
	k.play("C: MAIL FROM:" + from + "\nS: 250")
	for _, r := range to {
		k.play("C: RCPT TO:" + r + "\nS: 250")
	}
	k.play("C: DATA\nS: 354\nC: " + strings.ReplaceAll(text, "\r\n", `\r\n`) + ".")
	for range n {
		replies = append(replies, k.reply())
	}
	return replies
}

func (k *talk) expect(replies []string, want ...string) {
	k.t.Helper()
	for i, w := range want {
		if i >= len(replies) || !strings.HasPrefix(replies[i], w) {
			k.t.Fatalf("replies %q, want %q", replies, want)
		}
	}
}

// holds checks how many messages are in mailboxes, "alice 2 tiny 0".
func (w *testWorld) holds(want string) {
	w.t.Helper()
	var name string
	var n int64
	for r := strings.NewReader(want); ; {
		if _, err := fmt.Fscan(r, &name, &n); err != nil {
			return
		}
		u, err := w.store.Usage(context.Background(), name+"@mail.test")
		if err != nil || u.Messages != n {
			w.t.Errorf("%s holds %d messages (%v), want %d\n%s", name, u.Messages, err, n, w.logs)
		}
	}
}

// TestFullLMTP: each recipient is answered for alone (RFC 2033 §4.2), also where
// two lead to one mailbox.
func TestFullLMTP(t *testing.T) {
	w := startWith(t, fullWorld, "")
	k := w.dial("lmtp")
	k.play("S: 220\nC: LHLO c.test\nS: 250")
	to := []string{"<tiny@mail.test>", "<alice@mail.test>", "<tiny+x@mail.test>", "<bob@mail.test>"}
	k.expect(k.offer(4, "<a@far.test>", to, large), "552 5.2.2", "250", "552 5.2.2", "250")
	w.holds("tiny 0 alice 1 bob 1")
	// Announced, it is known at RCPT.
	k.play("C: MAIL FROM:<a@far.test> SIZE=7000\nS: 250\nC: RCPT TO:<tiny@mail.test>\nS: 552 5.2.2\nC: RSET\nS: 250")
	// Nobody has room: nothing is stored, and everybody hears so.
	k.expect(k.offer(2, "<b@far.test>", []string{"<tiny@mail.test>", "<tiny2@mail.test>"}, large), "552 5.2.2", "552 5.2.2")
	k.expect(k.offer(1, "<b@far.test>", []string{"<alice@mail.test>"}, large), "250")
	w.holds("tiny 0 tiny2 0 alice 2 bob 1")
	if text := strings.Join(w.mailbox("alice@mail.test"), ""); strings.Count(text, large) != 2 {
		t.Errorf("alice got something else: %.300q", text)
	}
}

// TestFullLMTPAlias: an alias that leads to a full mailbox and to another is one
// recipient with one answer. The other mailbox must not get one more copy with
// each attempt; but what somebody else asks for it gets.
func TestFullLMTPAlias(t *testing.T) {
	w := startWith(t, fullWorld, "")
	k := w.dial("lmtp")
	k.play("S: 220\nC: LHLO c.test\nS: 250")
	k.expect(k.offer(2, "<a@far.test>", []string{"<team@mail.test>", "<alice@mail.test>"}, large), "552 5.2.2", "250")
	w.holds("tiny 0 bob 0 alice 1")
	k.expect(k.offer(2, "<b@far.test>", []string{"<team@mail.test>", "<bob@mail.test>"}, large), "552 5.2.2", "250")
	w.holds("tiny 0 bob 1 alice 1")
}

// TestFullStranger: nobody is told at an address that a stranger gives. The
// message is refused for all, and when it comes again the full mailbox alone is: for
// now, since it may be another message, and for good when it has come for nobody else.
func TestFullStranger(t *testing.T) {
	w := startWith(t, fullWorld, "")
	for _, from := range []string{"<a@far.test>", "<>"} {
		k := w.greeted()
		to := []string{"<tiny@mail.test>", "<alice@mail.test>"}
		k.expect(k.offer(1, from, to, large), "452 4.2.2")
		w.holds("tiny 0 alice 0")
		k.play("C: MAIL FROM:" + from + "\nS: 250\nC: RCPT TO:<tiny@mail.test>\nS: 452 4.2.2\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: RCPT TO:<tiny+x@mail.test>\nS: 452 4.2.2\nC: DATA\nS: 354\nC: " +
			strings.ReplaceAll(large, "\r\n", `\r\n`) + ".\nS: 250")
		w.holds("tiny 0 alice 1")
		if got := w.mailbox("alice@mail.test"); len(got) != 1 || !strings.HasSuffix(got[0], large) {
			t.Errorf("alice got %.300q", got)
		}
		k.expect(k.offer(1, from, []string{"<tiny@mail.test>"}, large), "552 5.2.2")
		w.holds("tiny 0 alice 1")
		// What it has room for it gets, from others and from the same sender.
		k.expect(k.offer(1, "<other@far.test>", []string{"<tiny@mail.test>"}, "Subject: s\r\n\r\n"), "250")
		k.expect(k.offer(1, from, []string{"<tiny@mail.test>"}, "Subject: s\r\n\r\n"), "250")
		w.forget("alice@mail.test", "tiny@mail.test")
	}
	if c := w.post.Outbound.Queue().Counters(); c.Entries != 0 || c.Accepted != 0 {
		t.Errorf("something was queued: %+v", c)
	}
}

// TestFullOtherMessage: that one message was too large for a mailbox is no reason to
// refuse another of its sender for good, which is known by its size only when it is here.
func TestFullOtherMessage(t *testing.T) {
	w := startWith(t, fullWorld, "")
	k := w.greeted()
	k.expect(k.offer(1, "<a@far.test>", []string{"<tiny@mail.test>", "<alice@mail.test>"}, large), "452 4.2.2")
	k.play("C: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<tiny@mail.test>\nS: 452 4.2.2\nC: RSET\nS: 250")
	k.expect(k.offer(1, "<a@far.test>", []string{"<tiny@mail.test>"}, "Subject: small\r\n\r\n"), "250")
	w.holds("tiny 1 alice 0")
	// What is announced as too large is refused for good at once, seen before or not.
	k.expect(k.offer(1, "<b@far.test>", []string{"<tiny@mail.test>", "<alice@mail.test>"}, large), "452 4.2.2")
	k.play(fmt.Sprintf("C: MAIL FROM:<b@far.test> SIZE=%d\nS: 250\nC: RCPT TO:<tiny@mail.test>\nS: 552 5.2.2\nC: RSET\nS: 250", len(large)))
}

// forget empties mailboxes.
func (w *testWorld) forget(users ...string) {
	w.t.Helper()
	for _, u := range users {
		m, err := w.store.Open(context.Background(), u)
		if err != nil {
			w.t.Fatal(err)
		}
		for i := range m.Len() {
			if err := m.Remove(context.Background(), []int{i}); err != nil {
				w.t.Error(err)
			}
		}
		m.Close()
	}
}

// TestFullBounced: a client that is trusted hears 250, the others have the
// message, and the sender has a report about the one who does not.
func TestFullBounced(t *testing.T) {
	w, got := trusting(t)
	k := w.greeted()
	k.expect(k.offer(1, "<ann@far.test> ENVID=abc", []string{"<tiny+x@mail.test> ORCPT=rfc822;t@old.test", "<alice@mail.test>"}, large), "250")
	w.holds("tiny 0 alice 1")
	report := flat(receive(t, got))
	for _, want := range []string{"<> <ann@far.test>\n", "Original-Envelope-Id: abc\r\n", "Final-Recipient: rfc822;tiny+x@mail.test\r\n", "Original-Recipient: rfc822;t@old.test\r\n",
		"Action: failed\r\n", "Status: 5.2.2\r\n", "552 5.2.2 Message is larger than the mailbox may hold", "Subject: large\r\n"} {
		if !strings.Contains(report, want) {
			t.Errorf("%q is not in\n%s", want, report)
		}
	}
	if strings.Contains(report, "alice@") || strings.Contains(report, "0123456789abcde") {
		t.Errorf("the report tells too much:\n%s", report)
	}
	// A sender who lives here reads it in the mailbox.
	k.expect(k.offer(1, "<bob@mail.test>", []string{"<tiny@mail.test>", "<alice@mail.test>"}, large), "250")
	w.holds("tiny 0 alice 2 bob 1")
	if got := w.mailbox("bob@mail.test"); !strings.HasPrefix(got[0], "Return-Path: <>\r\n") || !strings.Contains(flat(got[0]), "Final-Recipient: rfc822;tiny@mail.test\r\n") {
		t.Errorf("bob got %q", got)
	}
	// Those of an alias that have room get it, here and elsewhere.
	k.expect(k.offer(1, "<bob@mail.test> SIZE=7000", []string{"<team@mail.test>"}, large), "250")
	w.holds("tiny 0 alice 2 bob 3")
	k.expect(k.offer(1, "<bob@mail.test>", []string{"<away@mail.test>"}, large), "250")
	w.holds("tiny 0 bob 4")
	if m := receive(t, got); !strings.HasPrefix(m, "<bob@mail.test> <friend@far.test>\nDelivered-To: away@mail.test\r\nReceived: ") || !strings.HasSuffix(m, large) {
		t.Errorf("elsewhere: %.300q", m)
	}
	// Asked for success as well: told of what failed, and not that it went well.
	k.expect(k.offer(1, "<bob@mail.test>", []string{"<tiny@mail.test> NOTIFY=SUCCESS,FAILURE", "<alice@mail.test>"}, large), "250")
	w.holds("tiny 0 bob 5 alice 3")
}

// TestFullNotBounced: where no report can be promised nobody gets the message and
// the client hears so, whatever it is that keeps the report back.
func TestFullNotBounced(t *testing.T) {
	w, _ := trusting(t)
	// Each sender is another, or the mailbox would be refused at RCPT (late.go).
	both := func(params string) []string { return []string{"<tiny@mail.test>" + params, "<alice@mail.test>"} }
	for name, c := range map[string]struct {
		from string
		to   []string
		want string
	}{
		"null sender":        {"<>", both(""), "452 4.2.2"},
		"none wanted":        {"<ann@far.test>", both(" NOTIFY=NEVER"), "452 4.2.2"},
		"success only":       {"<ben@far.test>", both(" NOTIFY=SUCCESS"), "452 4.2.2"},
		"nobody":             {"<nobody@mail.test>", both(""), "452 4.2.2"},
		"sender is full":     {"<tiny2@mail.test>", both(""), "452 4.2.2"},
		"all are full":       {"<alice@mail.test>", []string{"<tiny@mail.test>", "<tiny2@mail.test>"}, "552 5.2.2"},
		"alias of full ones": {"<bob@mail.test>", []string{"<small@mail.test>"}, "552 5.2.2"},
		"alias, none wanted": {"<cid@far.test>", []string{"<team@mail.test> NOTIFY=NEVER"}, "452 4.2.2"},
	} {
		k := w.greeted()
		if reply := k.offer(1, c.from, c.to, large); !strings.HasPrefix(reply[0], c.want) {
			t.Errorf("%s: %q, want %s", name, reply, c.want)
		}
		w.holds("tiny 0 tiny2 0 alice 0 bob 0")
	}
	if c := w.post.Outbound.Queue().Counters(); c.Entries != 0 || c.Accepted != 0 {
		t.Errorf("something was queued: %+v", c)
	}
}

// TestFullNoRoomForReport: nobody has the message where the sender's mailbox has no room
// for the report: with a header of that size in it, or beside the message itself. Each
// further attempt would leave one more with those who have room.
func TestFullNoRoomForReport(t *testing.T) {
	sink, _ := sinkServer(t)
	w := startWith(t, fullWorld, fmt.Sprintf(`
		"SMTP": {"relay_from": ["127.0.0.1/32"]},
		"Accounts": {"ben@mail.test": {"quota": "40KiB"}},
		"Queue": {"forward": true, "Routes": [{"domain": "far.test", "host": "127.0.0.1", "port": %d, "tls": "none"}]},`, sink.Port))
	const line = "0123456789abcde\r\n"
	for name, c := range map[string]struct {
		to   []string
		text string
		want string
		then string
	}{
		"a long header": {[]string{"<tiny@mail.test>", "<alice@mail.test>"}, "X: " + strings.Repeat(line+"\t", 2500) + "\r\n\r\nbody\r\n", "452 4.2.2", "tiny 0 alice 0 ben 0"},
		"to himself":    {[]string{"<tiny2@mail.test>", "<ben@mail.test>"}, "Subject: s\r\n\r\n" + strings.Repeat(line, 2200), "452 4.2.2", "tiny2 0 alice 0 ben 0"},
	} {
		k := w.greeted()
		if reply := k.offer(1, "<ben@mail.test>", c.to, c.text); !strings.HasPrefix(reply[0], c.want) {
			t.Errorf("%s: %q, want %s", name, reply, c.want)
		}
		w.holds(c.then)
	}
	k := w.greeted()
	k.play("C: MAIL FROM:<ben@mail.test>\nS: 250\nC: RCPT TO:<tiny2@mail.test>\nS: 452 4.2.2\nC: RSET\nS: 250") // known once
	k.expect(k.offer(1, "<ben@mail.test>", []string{"<tiny2@mail.test>", "<alice@mail.test>"}, large), "250")
	w.holds("tiny2 0 alice 1 ben 1")
}

// TestFullWithoutQueue: as above where no mail leaves at all.
func TestFullWithoutQueue(t *testing.T) {
	w := startWith(t, fullWorld, `"Queue": {"deliver": false}, "SMTP": {"relay_from": ["127.0.0.1/32"]},`)
	k := w.greeted()
	k.expect(k.offer(1, "<bob@mail.test>", []string{"<tiny@mail.test>", "<alice@mail.test>"}, large), "452 4.2.2")
	w.holds("tiny 0 alice 0 bob 0")
}

// TestFullForNow: a mailbox that another time has room for the message is no reason
// to return it.
func TestFullForNow(t *testing.T) {
	w := startWith(t, fullWorld, "")
	half := "Subject: half\r\n\r\n" + strings.Repeat("0123456789abcde\r\n", 150)
	k := w.dial("lmtp")
	k.play("S: 220\nC: LHLO c.test\nS: 250")
	to := []string{"<tiny@mail.test>", "<alice@mail.test>"}
	k.expect(k.offer(2, "<a@far.test>", to, half), "250", "250")
	k.expect(k.offer(2, "<a@far.test>", to, half), "452 4.2.2", "250")
	s := w.greeted()
	s.expect(s.offer(1, "<b@far.test>", []string{"<tiny@mail.test>"}, half), "452 4.2.2")
	w.holds("tiny 1 alice 2")
	w.forget("tiny@mail.test")
	k.expect(k.offer(1, "<a@far.test>", []string{"<tiny@mail.test>"}, half), "250")
}
