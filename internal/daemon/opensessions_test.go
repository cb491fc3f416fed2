package daemon

import (
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// inPOP3 is a session of POP3 in which somebody has logged in.
func (w *testWorld) inPOP3(name, password string) *talk {
	w.t.Helper()
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: USER " + name + "\nS: +OK\nC: PASS " + password + "\nS: +OK")
	return k
}

// inSMTP is one of SMTP.
func (w *testWorld) inSMTP(name, password string) *talk {
	w.t.Helper()
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO home.test\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO home.test\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00"+password)) + "\nS: 235")
	return k
}

// goesOn reports whether a session answers to a command. One that has ended has said why before, and does not say more.
func (k *talk) goesOn() bool {
	k.t.Helper()
	io.WriteString(k.c, "NOOP\r\n")
	line, err := k.r.ReadString('\n')
	if err != nil {
		k.t.Error("a session has ended without a word:", err)
		return false
	}
	if !strings.HasPrefix(line, "421 4.7.0 What this session logged in by") && !strings.HasPrefix(line, "-ERR [SYS/TEMP] what this session logged in by") {
		return true
	}
	if more, err := k.r.ReadString('\n'); err == nil {
		k.t.Errorf("%q after its last word", more)
	}
	return false
}

// TestWordsInTheMiddle: who is in the midst of a message, or has marked some for removal, hears why it ends as well; nothing is delivered or removed.
func TestWordsInTheMiddle(t *testing.T) {
	w := start(t, withUsers)
	v := w.user("alice@mail.test", testPassword)
	v.app("phone", testPassword) // a mail tells her
	in := w.inPOP3("alice@mail.test", testPassword)
	in.play("C: DELE 1\nS: +OK")
	data, chunk := w.inSMTP("alice@mail.test", testPassword), w.inSMTP("alice@mail.test", testPassword)
	data.play("C: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: half a message")
	chunk.play("C: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: BDAT 100 LAST\nC: Subject: some of it")
	if code, page := v.post("/account/password", "do", "change", "old", testPassword, "new", "a better one", "again", "a better one"); code != 200 {
		t.Fatal(code, page)
	}
	for _, k := range []*talk{data, chunk} {
		if line, err := k.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "421 4.7.0 What this session") {
			t.Errorf("in the midst of a message: %q, %v", line, err)
		}
		if line, err := k.r.ReadString('\n'); err == nil {
			t.Errorf("%q after its last word", line)
		}
	}
	if in.goesOn() {
		t.Error("POP3 goes on")
	}
	peertest.Await(t, "the maildrop to be free", func() bool { return w.fetches("alice@mail.test", "a better one") })
	if got := w.mailboxBy("alice@mail.test", "a better one"); len(got) != 2 {
		t.Errorf("%d messages, of which none was to be removed", len(got))
	}
	if got := w.mailbox("bob@mail.test"); len(got) != 0 {
		t.Errorf("half a message was delivered: %q", got)
	}
}

// app makes a password for a device at the page.
func (v *visitor) app(name, password string, more ...string) string {
	v.t.Helper()
	code, page := v.post("/account/devices", append([]string{"do", "add", "name", name, "password", password}, more...)...)
	shown := regexp.MustCompile(` is ([a-z2-7]{26}) `).FindStringSubmatch(page)
	if code != 200 || shown == nil {
		v.t.Fatal(code, page)
	}
	return shown[1]
}

// TestSessionsEnd: a session of a mail program ends when the password that opened it is changed, its app password is ended, or the account goes
// or is blocked; by the page, by the file, or by another process. Those of others, and of other passwords, go on.
func TestSessionsEnd(t *testing.T) {
	w := start(t, withAdmin(t, ""))
	v := w.user("alice@mail.test", testPassword)
	phone, laptop := v.app("phone", testPassword), v.app("laptop", testPassword)
	ends := func(what string, k *talk) {
		t.Helper()
		if k.goesOn() {
			t.Error(what, "goes on")
		}
	}
	on := func(what string, k *talk) {
		t.Helper()
		if !k.goesOn() {
			t.Error(what, "has ended")
		}
	}
	byPhone, byLaptop, byPassword, bob := w.inSMTP("alice@mail.test", phone), w.inSMTP("alice@mail.test", laptop), w.inSMTP("alice@mail.test", testPassword), w.inPOP3("bob@mail.test", testPassword)
	fetches := w.inPOP3("alice@mail.test", phone)

	_, page := v.see("/account/devices")
	id := regexp.MustCompile(`name="id" value="([a-z2-7]+)"`).FindStringSubmatch(page)
	if code, _ := v.post("/account/devices", "do", "revoke", "id", id[1]); code != 200 {
		t.Fatal(code)
	}
	ends("the telephone, sending", byPhone)
	ends("the telephone, fetching", fetches)
	on("the laptop", byLaptop)
	on("the password", byPassword)
	if code, _ := v.post("/account/password", "do", "change", "old", testPassword, "new", "a better one", "again", "a better one"); code != 200 {
		t.Fatal(code)
	}
	ends("the password", byPassword)
	on("the laptop", byLaptop)

	byPassword = w.inPOP3("alice@mail.test", "a better one")
	// Another process, as a command is.
	if err := w.preferences.Change(t.Context(), "alice@mail.test", func(p *preferences.Preferences) error {
		p.Password = nil
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.endSessions("")
	ends("the password that was taken back", byPassword)
	on("the laptop", byLaptop)
	on("bob", bob)

	// An administrator blocks one account, and takes another one out of the file.
	if code, page := w.admin().does("/admin/accounts/alice@mail.test", "block"); code != 200 {
		t.Fatal(code, page)
	}
	ends("the laptop of an account that is blocked", byLaptop)
	on("bob", bob)
	text := strings.Replace(strings.Replace(w.text(), `"bob@mail.test": `, `"bert@mail.test": `, 1), `, "bob@mail.test"]`, `]`, 1)
	if err := os.WriteFile(filepath.Join(w.dir, "t.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	ends("bob, who is gone", bob)
	if log := w.logs.String(); strings.Count(log, "a session was ended, as its password does not open the account any more") != 6 {
		t.Error(log)
	}
}

// TestSessionOfChallenge: a session that began with a challenge knows which secret answered it, as one with a password does.
func TestSessionOfChallenge(t *testing.T) {
	w := start(t, withUsers)
	if got := w.state().credentials.Opens(domains.Address("alice@mail.test"), "nonsense"); got {
		t.Error("nonsense opens")
	}
	v := w.user("alice@mail.test", testPassword)
	phone := v.app("phone", testPassword)
	for _, mechanism := range []string{"CRAM-MD5", "SCRAM-SHA-256"} {
		byPhone, byPassword := w.challenged(mechanism, "alice@mail.test", phone), w.challenged(mechanism, "alice@mail.test", testPassword)
		_, page := v.see("/account/devices")
		id := regexp.MustCompile(`name="id" value="([a-z2-7]+)"`).FindStringSubmatch(page)
		if code, _ := v.post("/account/devices", "do", "revoke", "id", id[1]); code != 200 {
			t.Fatal(code)
		}
		if byPhone.goesOn() || !byPassword.goesOn() {
			t.Error(mechanism)
		}
		phone = v.app("phone", testPassword)
	}
}

// challenged is a session of SMTP in which somebody has logged in by a mechanism that asks.
func (w *testWorld) challenged(mechanism, name, password string) *talk {
	w.t.Helper()
	client, err := sasl.ScramClient(mechanism, "", name, password, nil)
	if mechanism == "CRAM-MD5" {
		client, err = sasl.CRAMMD5Client(name, password), nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO home.test\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO home.test\nS: 250")
	_, initial, err := client.Start(w.t.Context())
	line := "AUTH " + mechanism
	if initial != nil {
		line += " " + base64.StdEncoding.EncodeToString(initial)
	}
	for err == nil {
		io.WriteString(k.c, line+"\r\n")
		said := strings.TrimSpace(k.reply())
		if strings.HasPrefix(said, "235") {
			return k
		}
		challenge, isAsked := strings.CutPrefix(said, "334 ")
		if !isAsked {
			w.t.Fatal(said)
		}
		var response []byte
		if response, err = base64.StdEncoding.DecodeString(challenge); err == nil {
			response, err = client.Next(w.t.Context(), response)
		}
		line = base64.StdEncoding.EncodeToString(response)
	}
	w.t.Fatal(err)
	return nil
}
