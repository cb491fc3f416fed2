package daemon

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/mailstore"
)

func TestReceiveAndFetch(t *testing.T) {
	w := start(t, "")
	w.dial("127.0.0.1:0").play(`
		S: 220 mail.test
		C: EHLO client.test
		S: 250
		C: MAIL FROM:<sender@far.test>
		S: 250
		C: RCPT TO:<team@mail.test>
		S: 250
		C: RCPT TO:<nobody@mail.test>
		S: 550 5.1.1
		C: RCPT TO:<somebody@far.test>
		S: 550 5.7.1
		C: RCPT TO:<"../../etc/passwd"@mail.test>
		S: 550 5.1.1
		C: RCPT TO:<Alice+news@MAIL.test>
		S: 250
		C: DATA
		S: 354
		C: Subject: x\r\n\r\n..dot\r\n.
		S: 250 2.0.0
		C: QUIT
		S: 221`)
	for _, user := range []string{"alice@mail.test", "bob@mail.test"} {
		got := w.mailbox(user)
		if len(got) != 1 {
			t.Fatalf("%s has %d messages, want one", user, len(got))
		}
		if !strings.HasPrefix(got[0], "Return-Path: <sender@far.test>\r\nReceived: from client.test ([127.0.0.1])\r\n\tby mail.test with ESMTP\r\n") ||
			!strings.HasSuffix(got[0], "\r\nSubject: x\r\n\r\n.dot\r\n") {
			t.Errorf("%s got %q", user, got[0])
		}
		if strings.Contains(got[0], "for <") {
			t.Error("the trace field names one of two recipients")
		}
	}
}

func TestSubmission(t *testing.T) {
	w := start(t, `"Queue": {"deliver": false},`)
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO client.test\nS: 250\nC: MAIL FROM:<alice@mail.test>\nS: 530\nC: AUTH PLAIN AGFsaWNlAGJvYg==\nS: 5")
	k.startTLS("STARTTLS", "220")
	plain := base64.StdEncoding.EncodeToString([]byte("\x00alice@mail.test\x00" + testPassword))
	k.play(`
		C: EHLO client.test
		S: 250
		C: AUTH PLAIN ` + plain + `
		S: 235
		C: MAIL FROM:<bob@mail.test>
		S: 550 5.7.1
		C: MAIL FROM:<alice+x@mail.test>
		S: 250
		C: RCPT TO:<friend@far.test>
		S: 550 5.7.1 This server does not send
		C: RCPT TO:<bob@mail.test>
		S: 250
		C: DATA
		S: 354
		C: Subject: bare\r\n\r\nx\r\n.
		S: 250
		C: MAIL FROM:<alice@mail.test>
		S: 250
		C: RCPT TO:<bob@mail.test>
		S: 250
		C: DATA
		S: 354
		C: Date: Fri, 20 Nov 2026 12:00:00 +0000\r\nMessage-ID: <a@b>\r\nSubject: full\r\n\r\nx\r\n.
		S: 250`)
	got := w.mailbox("bob@mail.test")
	if len(got) != 2 {
		t.Fatalf("%d messages", len(got))
	}
	for _, m := range got {
		if !strings.Contains(m, "with ESMTPSA (TLS1.3 ") {
			t.Errorf("the trace field does not tell how it came: %q", m)
		}
		for _, field := range []string{"\r\nDate: ", "\r\nMessage-ID: <"} {
			if n := strings.Count(m, field); n != 1 {
				t.Errorf("%d times %q in %q", n, field, m)
			}
		}
	}
}

// TestNobodyGetsInWithout: an older project let any unknown user log in with
// an empty password, because a map gives "" for what it does not hold.
func TestNobodyGetsInWithout(t *testing.T) {
	t.Parallel()
	w := start(t, `"Auth": {"max_failures_per_address": 99, "max_failures_per_account": 99},`)
	for _, c := range []struct{ user, password string }{
		{"nobody@mail.test", ""}, {"", ""}, {"alice@mail.test", ""}, {"./alice@mail.test", ""},
		{"nobody@mail.test", testPassword}, {"alice@mail.test", testPassword + " "},
	} {
		k := w.dial("127.0.0.4:0")
		k.play("S: +OK")
		k.startTLS("STLS", "+OK")
		plain := base64.StdEncoding.EncodeToString([]byte("\x00" + c.user + "\x00" + c.password))
		k.play("C: AUTH PLAIN " + plain + "\nS: -ERR")
		k.play("C: STAT\nS: -ERR")
	}
}

// TestNoSecretIsLogged plays logins, right and wrong, with everything logged,
// and looks for the password in each form it crosses the wire in.
func TestNoSecretIsLogged(t *testing.T) {
	w := start(t, "")
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	plain := b64("\x00alice@mail.test\x00" + testPassword)
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250\nC: AUTH PLAIN " + plain + "\nS: 5")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO c.test\nS: 250\nC: AUTH LOGIN\nS: 334\nC: " + b64("alice@mail.test") + "\nS: 334\nC: " + b64(testPassword) + "\nS: 235\nC: QUIT\nS: 221")
	k = w.dial("127.0.0.4:0")
	k.play("S: +OK\nC: PASS " + testPassword + "\nS: -ERR\nC: USER alice@mail.test\nS: -ERR")
	k.startTLS("STLS", "+OK")
	k.play("C: USER alice@mail.test\nS: +OK\nC: PASS wrong " + testPassword + "\nS: -ERR\nC: AUTH PLAIN\nS: +\nC: " + plain + "\nS: +OK\nC: QUIT\nS: +OK")
	w.playMistyped()
	w.stop()
	for _, secret := range []string{testPassword, plain, b64(testPassword), "$argon2id$", "SCRAM-SHA-256$"} {
		if strings.Contains(w.logs.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(w.logs.String(), "EHLO c.test") {
		t.Error("the log does not hold the dialogue: nothing was tested")
	}
}

// playMistyped sends the password where none is asked for.
func (w *testWorld) playMistyped() {
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO c.test\nS: 250\nC: AUTH " + testPassword + "\nS: 50\nC: AUTH PLAIN" + testPassword + "\nS: 50\nC: " + testPassword + "\nS: 500\nC: QUIT\nS: 221")
	k = w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: AUTH " + testPassword + "\nS: -ERR\nC: APOP " + testPassword + "\nS: -ERR\nC: " + testPassword + "\nS: -ERR\n" +
		"C: USER alice@mail.test " + testPassword + "\nS: +OK\nC: AUTH x\nS: -ERR\nC: PASS wrong\nS: -ERR [AUTH]\nC: QUIT\nS: +OK")
}

// TestVrfy: users and trusted networks may ask who is here, where the settings have it so;
// strangers hear nothing, and nobody does by default.
func TestVrfy(t *testing.T) {
	const nothing = "C: VRFY alice@mail.test\nS: 252 2.5.1\nC: VRFY nosuch@mail.test\nS: 252 2.5.1\nC: EXPN team@mail.test\nS: 502"
	login := func(w *testWorld) *talk {
		k := w.dial("127.0.0.2:0")
		k.play("S: 220\nC: EHLO c.test\nS: 250")
		k.startTLS("STARTTLS", "220")
		k.play("C: EHLO c.test\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00alice@mail.test\x00"+testPassword)) + "\nS: 235")
		return k
	}
	w := start(t, "")
	login(w).play(nothing)
	w.dial("127.0.0.1:0").play("S: 220\nC: EHLO c.test\nS: 250\n" + nothing)

	w = start(t, `"SMTP": {"vrfy": true},`)
	w.dial("127.0.0.1:0").play("S: 220\nC: EHLO c.test\nS: 250\n" + nothing)
	k := login(w)
	k.play(`
		C: VRFY Alice@MAIL.test
		S: 250 2.1.5 <alice@mail.test>
		C: VRFY <alice+x@mail.test>
		S: 250 2.1.5 <alice+x@mail.test>
		C: VRFY team
		S: 250 2.1.5 <team@mail.test>
		C: VRFY nosuch@mail.test
		S: 550 5.1.1
		C: VRFY friend@far.test
		S: 252 2.5.1
		C: VRFY a b
		S: 501 5.1.3
		C: EXPN bob
		S: 250 2.1.5 <bob@mail.test>
		C: EXPN nosuch
		S: 550 5.1.1`)
	fmt.Fprint(k.c, "EXPN team@mail.test\r\n")
	first, _ := k.r.ReadString('\n')
	last, err := k.r.ReadString('\n')
	if first != "250-2.1.5 <alice@mail.test>\r\n" || last != "250 2.1.5 <bob@mail.test>\r\n" {
		t.Errorf("EXPN: %q %q, %v", first, last, err)
	}

	w = start(t, `"SMTP": {"vrfy": true, "relay_from": ["127.0.0.1/32"]},`)
	w.dial("127.0.0.1:0").play("S: 220\nC: EHLO c.test\nS: 250\nC: VRFY bob\nS: 250 2.1.5 <bob@mail.test>")
}

func TestGuessesAreThrottled(t *testing.T) {
	w := start(t, `"Auth": {"max_failures_per_address": 2},`)
	try := func(password, want string) {
		t.Helper()
		k := w.dial("127.0.0.2:0")
		k.play("S: 220\nC: EHLO c.test\nS: 250")
		k.startTLS("STARTTLS", "220")
		k.play("C: EHLO c.test\nS: 250\nC: AUTH PLAIN " +
			base64.StdEncoding.EncodeToString([]byte("\x00alice@mail.test\x00"+password)) + "\nS: " + want)
	}
	try("wrong", "535 5.7.8")
	try("wrong too", "535 5.7.8")
	try(testPassword, "4")

	// The operator sees it, and lifts it.
	client := control.NewClient(w.state().settings.Admin.Socket)
	var s Status
	if err := client.Call(t.Context(), "status", nil, &s); err != nil || len(s.Lockouts) != 1 || s.Lockouts[0].Address != "127.0.0.1/32" {
		t.Errorf("status: %+v, %v", s.Lockouts, err)
	}
	if !strings.Contains(w.logs.String(), "no more are checked\" address=127.0.0.1/32 until=") {
		t.Error("the log does not tell of it")
	}
	if err := client.Call(t.Context(), "unlock", UnlockRequest{Who: "127.0.0.5"}, nil); err == nil {
		t.Error("somebody was unlocked who was not locked out")
	}
	if err := client.Call(t.Context(), "unlock", UnlockRequest{Who: "127.0.0.1"}, nil); err != nil {
		t.Error(err)
	}
	try(testPassword, "235")
}

func TestLMTP(t *testing.T) {
	w := start(t, "")
	k := w.dial("lmtp")
	k.play(`
		S: 220
		C: LHLO mta.test
		S: 250
		C: MAIL FROM:<a@far.test>
		S: 250
		C: RCPT TO:<alice@mail.test>
		S: 250
		C: RCPT TO:<nobody@mail.test>
		S: 550
		C: RCPT TO:<bob@mail.test>
		S: 250
		C: DATA
		S: 354
		C: Subject: l\r\n\r\nx\r\n.
		S: 250
		S: 250
		C: QUIT
		S: 221`)
	if a, b := len(w.mailbox("alice@mail.test")), len(w.mailbox("bob@mail.test")); a != 1 || b != 1 {
		t.Errorf("alice has %d messages and bob %d", a, b)
	}
}

func TestProxyHeader(t *testing.T) {
	w := start(t, "")
	k := w.dial("127.0.0.7:0")
	k.play(`
		C: PROXY TCP4 203.0.113.9 127.0.0.1 1234 25
		S: 220
		C: EHLO client.test
		S: 250
		C: MAIL FROM:<a@far.test>
		S: 250
		C: RCPT TO:<alice@mail.test>
		S: 250
		C: DATA
		S: 354
		C: Subject: p\r\n\r\nx\r\n.
		S: 250`)
	// Version 2: signature, PROXY over TCP and IPv4, 12 octets of addresses;
	// STARTTLS comes behind it.
	k = w.dial("127.0.0.7:0")
	fmt.Fprint(k.c, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x0a\x7f\x00\x00\x01\x11\xd7\x00\x19")
	k.play("S: 220\nC: EHLO client.test\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO client.test\nS: 250\nC: QUIT\nS: 221")
	k = w.dial("127.0.0.7:0")
	k.play("C: EHLO client.test")
	if _, err := k.r.ReadString('\n'); err == nil {
		t.Error("a proxy that does not tell the client's address is served")
	}
	// From elsewhere the header is a wrong first line, and changes nothing.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	c, err := d.Dial("tcp", w.Addrs()["127.0.0.7:0"].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	k.c = c
	k.r.Reset(c)
	k.play("S: 220\nC: PROXY TCP4 203.0.113.9 127.0.0.1 1234 25\nS: 500")
	w.stop()
	for _, remote := range []string{"remote=203.0.113.9:1234", "remote=203.0.113.10:4567"} {
		if !strings.Contains(w.logs.String(), remote) {
			t.Errorf("the client's address is not in the log: %s", remote)
		}
	}
}

// broken is a store in which something fails.
type broken struct {
	post.Mailboxes
	create, commit, write, room error
}

func (b *broken) Room(ctx context.Context, user string, size int64) error {
	if b.room != nil {
		return b.room
	}
	return b.Mailboxes.Room(ctx, user, size)
}

func (b *broken) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	if b.create != nil {
		return nil, b.create
	}
	d, err := b.Mailboxes.Create(ctx, m, users...)
	return &brokenDelivery{d, b}, err
}

type brokenDelivery struct {
	mailstore.Delivery
	b *broken
}

func (d *brokenDelivery) Write(p []byte) (int, error) {
	if d.b.write != nil {
		return 0, d.b.write
	}
	return d.Delivery.Write(p)
}

func (d *brokenDelivery) Commit(ctx context.Context, top []byte) error {
	if d.b.commit != nil {
		return d.b.commit
	}
	return d.Delivery.Commit(ctx, top)
}

// TestStoreFails: whatever fails, the client hears that it should try again,
// the session stays in step, nothing is stored, and the next message is.
func TestStoreFails(t *testing.T) {
	w := start(t, "")
	whole := w.post.Mailboxes
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250")
	send := func(store post.Mailboxes, rcpt, data string) {
		t.Helper()
		w.post.Mailboxes = store // between commands of the only session
		k.play("C: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: " + rcpt)
		if data != "" {
			k.play("C: DATA\nS: 354\nC: Subject: s\\r\\n\\r\\nMAIL FROM:<x@y>\\r\\n.\nS: " + data)
		}
		k.play("C: RSET\nS: 250")
	}
	disk := errors.New("input/output error")
	send(&broken{Mailboxes: whole, room: mailstore.ErrOverQuota}, "452 4.2.2", "")
	send(&broken{Mailboxes: whole, room: mailstore.ErrNoSpace}, "452 4.3.1", "")
	send(&broken{Mailboxes: whole, create: mailstore.ErrNoSpace}, "250", "452 4.3.1")
	send(&broken{Mailboxes: whole, write: mailstore.ErrNoSpace}, "250", "452 4.3.1")
	send(&broken{Mailboxes: whole, write: disk}, "250", "451 4.3.0")
	send(&broken{Mailboxes: whole, commit: disk}, "250", "451 4.3.0")
	send(&broken{Mailboxes: whole, commit: mailstore.ErrPoisoned}, "250", "451 4.3.0")
	send(&broken{Mailboxes: whole, commit: mailstore.ErrOverQuota}, "250", "452 4.2.2")
	if got := w.mailbox("alice@mail.test"); len(got) != 0 {
		t.Errorf("%d messages were stored though every one was refused", len(got))
	}
	send(whole, "250", "250")
	if got := w.mailbox("alice@mail.test"); len(got) != 1 {
		t.Errorf("%d messages, want the one that was accepted", len(got))
	}
	if !strings.Contains(w.logs.String(), "input/output error") {
		t.Error("the log does not say what failed")
	}
}

func TestQuota(t *testing.T) {
	w := start(t, `"Store": {"quota": "4KiB"},`)
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<a@far.test> SIZE=5000\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 552 5.2.2\nC: RSET\nS: 250")
	k.play("C: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\nC: " +
		strings.Repeat(`some text of fifty octets, more or less, in a line\r\n`, 100) + ".\nS: 552 5.2.2")
	if got := w.mailbox("alice@mail.test"); len(got) != 0 {
		t.Errorf("%d messages in a mailbox too small for them", len(got))
	}
	// What fits once there is room is another matter.
	for _, answer := range []string{"250", "452 4.2.2"} {
		k.play("C: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\nC: " +
			strings.Repeat(`some text of fifty octets, more or less, in a line\r\n`, 50) + ".\nS: " + answer)
	}
	k.play("C: MAIL FROM:<a@far.test> SIZE=3000\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 452 4.2.2")
	if log := w.logs.String(); !strings.Contains(log, "5000 octets, the quota is 4096") || !strings.Contains(log, "and 3000 more, the quota is 4096") {
		t.Errorf("the log does not name quota and size:\n%s", log)
	}
}

func TestLoop(t *testing.T) {
	w := start(t, `"SMTP": {"max_hops": 30},`)
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<>\nS: 250\nC: RCPT TO:<postmaster>\nS: 250\nC: DATA\nS: 354\nC: " +
		strings.Repeat(`Received: from a by b; Fri, 20 Nov 2026 12:00:00 +0000\r\n`, 31) + "\\r\\n.\nS: 554 5.4.6")
}
