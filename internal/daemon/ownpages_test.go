package daemon

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/pages/user"
	"github.com/postrider-mail/postrider/internal/peertest"
)

// user is a browser in which somebody has logged in.
func (w *testWorld) user(name, password string) *visitor {
	w.t.Helper()
	v := w.visitor()
	if code, page := v.post("/account/login", "name", name, "password", password); code != 200 || !strings.Contains(page, "Log out") {
		w.t.Fatal(code, page)
	}
	return v
}

// in reports whether a session goes on.
func (v *visitor) in() bool {
	_, page := v.see("/account/")
	return strings.Contains(page, "Log out")
}

// fetches reports whether a password opens a mailbox.
func (w *testWorld) fetches(name, password string) bool {
	w.t.Helper()
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: USER " + name + "\nS: +OK\nC: PASS " + password)
	defer k.c.Close()
	return strings.HasPrefix(k.reply(), "+OK")
}

const withUsers = `"Web": {"listen": "127.0.0.1:0"},`

// TestChangePassword: the one of now is asked for, every other session ends, and the old one opens nothing any more, after a restart neither. An
// administrator's new one is the one that opens.
func TestChangePassword(t *testing.T) {
	w := start(t, withUsers)
	v, other := w.user("alice@mail.test", testPassword), w.user("alice@mail.test", testPassword)
	if code, page := v.post("/account/password", "do", "change", "old", "wrong", "new", "a better one", "again", "a better one"); code != 422 || !strings.Contains(page, "that is not the password of this account") || strings.Contains(page, "a better one") {
		t.Error("a wrong one:", code, page)
	}
	if code, page := v.post("/account/password", "do", "change", "old", testPassword, "new", "a better one", "again", "another"); code != 422 || !strings.Contains(page, "that is not the same") {
		t.Error("not the same:", code, page)
	}
	if code, page := v.post("/account/password", "do", "change", "old", testPassword, "new", "short", "again", "short"); code != 422 || !strings.Contains(page, "fewer than 8 characters") {
		t.Error("a short one:", code, page)
	}
	if !w.fetches("alice@mail.test", testPassword) || !other.in() {
		t.Fatal("something has changed")
	}
	if code, page := v.post("/account/password", "do", "change", "old", testPassword, "new", " a better one", "again", " a better one"); code != 200 || !strings.Contains(page, "The password is changed") {
		t.Fatal(code, page)
	}
	if !v.in() || other.in() {
		t.Error("this session goes on:", v.in(), "and the other:", other.in())
	}
	if w.fetches("alice@mail.test", testPassword) || !w.fetches("alice@mail.test", " a better one") || !w.fetches("bob@mail.test", testPassword) {
		t.Error("which password opens")
	}
	if log := w.logs.String(); !strings.Contains(log, `msg="changed by page" service=web area=account user=alice@mail.test remote=127.0.0.1 page=Password action=change apps_revoked=false`) ||
		strings.Contains(log, "better") {
		t.Error(log)
	}
	if err := w.rewrite(withUsers); err != nil {
		t.Fatal(err)
	}
	if w.fetches("alice@mail.test", testPassword) || !w.fetches("alice@mail.test", " a better one") || !v.in() {
		t.Error("after a reload")
	}
	var err error
	if w.account, err = newAccount(); err != nil { // the same password, set anew
		t.Fatal(err)
	}
	if err := w.rewrite(withUsers); err != nil {
		t.Fatal(err)
	}
	if !w.fetches("alice@mail.test", testPassword) || w.fetches("alice@mail.test", " a better one") || v.in() {
		t.Error("after an administrator has set one")
	}
}

// TestDevices: a password for a device is shown once, fetches and sends by every mechanism and opens no page; it is ended alone, and with the password where that
// is ticked.
func TestDevices(t *testing.T) {
	w := start(t, withUsers)
	v := w.user("alice@mail.test", testPassword)
	if code, page := v.post("/account/devices", "do", "add", "name", "phone", "password", "wrong"); code != 422 || !strings.Contains(page, "that is not the password") {
		t.Error("without the password:", code, page)
	}
	add := func(name string) string {
		t.Helper()
		code, page := v.post("/account/devices", "do", "add", "name", name, "password", testPassword)
		shown := regexp.MustCompile(` is ([a-z2-7]{26}) `).FindStringSubmatch(page)
		if code != 200 || shown == nil {
			t.Fatal(code, page)
		}
		if _, again := v.see("/account/devices"); strings.Contains(again, shown[1]) {
			t.Error("shown again")
		}
		return shown[1]
	}
	phone, laptop := add("phone"), add("<b>laptop")
	for _, password := range []string{phone, laptop, testPassword} {
		if !w.fetches("alice@mail.test", password) {
			t.Error("it does not fetch:", password)
		}
	}
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO home.test\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO home.test\nS: 250")
	k.play("C: AUTH LOGIN\nS: 334\nC: YWxpY2VAbWFpbC50ZXN0\nS: 334\nC: " + base64.StdEncoding.EncodeToString([]byte(phone)) + "\nS: 235\nC: MAIL FROM:<alice@mail.test>\nS: 250")
	if code, _ := w.visitor().post("/account/login", "name", "alice@mail.test", "password", phone); code != 422 {
		t.Error("it opens the pages:", code)
	}
	_, page := v.see("/account/devices")
	if strings.Contains(page, "<b>laptop") || !strings.Contains(page, "&lt;b&gt;laptop") || !strings.Contains(page, `<span class="tag">submission</span> from 127.0.0.1`) || strings.Contains(page, "never") {
		t.Error(page)
	}
	if strings.Contains(w.logs.String(), phone) || strings.Contains(w.logs.String(), laptop) {
		t.Error("it is in the log")
	}
	id := regexp.MustCompile(`name="id" value="([a-z2-7]+)"`).FindStringSubmatch(page)
	if code, page := v.post("/account/devices", "do", "revoke", "id", id[1]); code != 200 || !strings.Contains(page, "phone can fetch and send no more") {
		t.Error(code, page)
	}
	if code, _ := v.post("/account/devices", "do", "revoke", "id", id[1]); code != 404 {
		t.Error("ended twice:", code)
	}
	if w.fetches("alice@mail.test", phone) || !w.fetches("alice@mail.test", laptop) {
		t.Error("which is ended")
	}
	if code, page := v.post("/account/password", "do", "change", "old", testPassword, "new", "a better one", "again", "a better one"); code != 200 || strings.Contains(page, "no app passwords") {
		t.Error(code, page)
	}
	if !w.fetches("alice@mail.test", laptop) {
		t.Error("ended without being asked")
	}
	if code, page := v.post("/account/password", "do", "change", "old", "a better one", "new", "the best one", "again", "the best one", "revoke", "1"); code != 200 || !strings.Contains(page, "no app passwords") {
		t.Error(code, page)
	}
	if w.fetches("alice@mail.test", laptop) {
		t.Error("it goes on")
	}
	if told := w.mailboxBy("alice@mail.test", "the best one"); len(told) != 4 {
		t.Errorf("told of %d changes, not 4: %q", len(told), told)
	}
}

// TestDeviceEndedByAdmin: an administrator sees an account's devices, not their passwords, and ends one: who is in by it is out, the other goes on, and the log says who it was.
func TestDeviceEndedByAdmin(t *testing.T) {
	w := start(t, withAdmin(t, ""))
	v := w.user("alice@mail.test", testPassword)
	made := make(map[string]string)
	for _, name := range []string{"phone", "<b>laptop"} {
		_, page := v.post("/account/devices", "do", "add", "name", name, "password", testPassword)
		shown := regexp.MustCompile(` is ([a-z2-7]{26}) `).FindStringSubmatch(page)
		if shown == nil {
			t.Fatal(page)
		}
		made[name] = shown[1]
	}
	if !w.fetches("alice@mail.test", made["phone"]) {
		t.Error("it does not fetch")
	}
	ann := w.visitor()
	ann.post("/admin/login", "name", "ann", "password", testPassword)
	const at = "/admin/accounts/alice@mail.test"
	code, page := ann.see(at)
	id := regexp.MustCompile(`name="id" value="([a-z2-7]+)"><button class="danger" name="do" value="end" aria-label="End the password of phone"`).FindStringSubmatch(page)
	if code != 200 || id == nil || strings.Contains(page, "<b>laptop") || !strings.Contains(page, `<span class="tag">pop3</span> from 127.0.0.1`) || strings.Contains(page, made["phone"]) {
		t.Fatal(code, page)
	}
	if code, page := ann.post(at, "do", "end", "id", id[1]); code != 200 || !strings.Contains(page, "The password of phone is ended.") || strings.Contains(page, "of phone\"") {
		t.Error(code, page)
	}
	if code, _ := ann.post(at, "do", "end", "id", id[1]); code != 404 {
		t.Error("ended twice:", code)
	}
	if code, _ := ann.post("/admin/accounts/nobody@mail.test", "do", "end", "id", id[1]); code != 404 {
		t.Error("of nobody:", code)
	}
	if w.fetches("alice@mail.test", made["phone"]) || !w.fetches("alice@mail.test", made["<b>laptop"]) {
		t.Error("which is ended")
	}
	if !strings.Contains(w.logs.String(), "area=admin user=ann remote=127.0.0.1 page=Account action=end account=alice@mail.test app=phone") {
		t.Error(w.logs)
	}
}

// TestForwardPage: mail goes on once the code is told that was sent to the other address; the user is told; another password, an address that is here
// and a wrong code change nothing.
func TestForwardPage(t *testing.T) {
	sink, got := sinkServer(t)
	w := start(t, withUsers+`"Queue": {"Routes": [`+route("far.test", sink.Port, "")+`]},`)
	v := w.user("alice@mail.test", testPassword)
	for to, why := range map[string]string{"": "write the address", "nobody": "no whole address", "bob@mail.test": "is of this server", "a b@far.test": "no whole address"} {
		if code, page := v.post("/account/forward", "do", "ask", "to", to, "password", testPassword); code != 422 || !strings.Contains(page, why) {
			t.Errorf("%q: %d %s", to, code, page)
		}
	}
	if code, page := v.post("/account/forward", "do", "ask", "to", "friend@far.test", "password", "wrong"); code != 422 || !strings.Contains(page, `value="friend@far.test"`) || !strings.Contains(page, "that is not the password") {
		t.Error(code, page)
	}
	if code, page := v.post("/account/forward", "do", "ask", "to", "friend@far.test", "password", testPassword); code != 200 || !strings.Contains(page, "A code was sent to friend@far.test") {
		t.Fatal(code, page)
	}
	m := receive(t, got)
	code := regexp.MustCompile(`the code is ([a-z2-7]{8})`).FindStringSubmatch(m)
	if !strings.HasPrefix(m, "<> <friend@far.test>\n") || code == nil || !strings.Contains(m, "From: Postrider <postmaster@mail.test>") {
		t.Fatal(m)
	}
	send := func() {
		w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, "Subject: s\r\n\r\nx")
	}
	send()
	w.drained()
	if len(got) != 0 {
		t.Error("it goes there unconfirmed:", <-got)
	}
	if status, page := v.post("/account/forward", "do", "confirm", "code", "aaaaaaaa"); status != 422 || !strings.Contains(page, "not the code") {
		t.Error(status, page)
	}
	if status, page := v.post("/account/forward", "do", "confirm", "code", code[1]); status != 200 || !strings.Contains(page, "Mail goes on to friend@far.test from now on.") {
		t.Fatal(status, page)
	}
	send()
	if m := receive(t, got); !strings.HasPrefix(m, "<alice@mail.test> <friend@far.test>\n") {
		t.Error(m)
	}
	if status, page := v.post("/account/forward", "do", "end"); status != 200 || !strings.Contains(page, "Mail stays here.") {
		t.Error(status, page)
	}
	here := w.mailbox("alice@mail.test")
	if told := strings.Join(here, ""); len(here) != 3 || !strings.Contains(told, "Mail for alice@mail.test stays here, as was asked for from 127.0.0.1.") { // no copy was asked for
		t.Errorf("%q", here)
	}
	if log := w.logs.String(); strings.Contains(log, code[1]) || !strings.Contains(log, `action=ask to=friend@far.test keep=false`) {
		t.Error(log)
	}
}

// TestAbsencePage: what was written wrong comes back with the reason; what is kept is told, and to whoever had another text before.
func TestAbsencePage(t *testing.T) {
	sink, got := sinkServer(t)
	w := start(t, withAdmin(t, `"Queue": {"Routes": [`+route("third.test", sink.Port, "")+`]},`))
	v := w.user("alice@mail.test", testPassword)
	for _, tt := range []struct{ text, from, until, why string }{
		{"", "", "", "there is no text"}, {"x", "2030-02-01", "2030-01-01", "the last day is before the first"}, {"x", "tomorrow", "", "is no day"},
	} {
		if code, page := v.post("/account/absence", "do", "keep", "text", tt.text, "subject", "kept <as> it is", "from", tt.from, "until", tt.until); code != 422 || !strings.Contains(page, tt.why) || !strings.Contains(page, "kept &lt;as&gt; it is") {
			t.Errorf("%+v: %d %s", tt, code, page)
		}
	}
	send := func() {
		w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, "From: a@third.test\r\nTo: alice@mail.test\r\nSubject: s\r\n\r\nx")
		w.settled()
	}
	send()
	for i, text := range []string{"I am away.", "I am still away."} {
		if code, page := v.post("/account/absence", "do", "keep", "text", text); code != 200 || !strings.Contains(page, "Senders are answered now.") || !strings.Contains(page, text+"</textarea>") {
			t.Fatal(code, page)
		}
		send()
		send()
		if len(got) != 1 {
			t.Fatalf("text %d: %d answers", i, len(got))
		}
		if m := <-got; !strings.Contains(m, text) {
			t.Error(m)
		}
	}
	if _, page := w.admin().see("/admin/accounts/alice@mail.test"); !strings.Contains(page, "senders are told of an absence") || !strings.Contains(page, "0 of 500 messages this hour") {
		t.Error(page)
	}
	if code, page := v.post("/account/absence", "do", "end"); code != 200 || !strings.Contains(page, "Nobody is answered.") {
		t.Error(code, page)
	}
}

// TestUserMay: what the settings do not let users decide is neither shown nor done; it is back when they do.
func TestUserMay(t *testing.T) {
	if fmt.Sprint(conf.New().Web.UserMay) != fmt.Sprint([]string{user.MayPassword, user.MayAppPasswords, user.MayForward, user.MayAbsence, user.MayJunk}) {
		t.Error("the pages and the settings have other names")
	}
	w := start(t, withUsers)
	v := w.user("alice@mail.test", testPassword)
	if err := w.rewrite(`"Web": {"listen": "127.0.0.1:0", "user_may": []},`); err != nil {
		t.Fatal(err)
	}
	for path, form := range map[string][]string{
		"password": {"do", "change", "old", testPassword, "new", "a better one", "again", "a better one"},
		"devices":  {"do", "add", "name", "phone", "password", testPassword},
		"forward":  {"do", "ask", "to", "x@far.test", "password", testPassword},
		"absence":  {"do", "keep", "text", "x"},
		"junk":     {"do", "release", "id", "x"},
	} {
		if code, page := v.see("/account/" + path); code != 403 || !strings.Contains(page, "the administrator of this server has switched this off") {
			t.Error(path, page)
		}
		if _, page := v.post("/account/"+path, form...); !strings.Contains(page, "the administrator of this server has switched this off") {
			t.Error(path, page)
		}
	}
	if p, err := w.preferences.Of("alice@mail.test"); p != nil || err != nil {
		t.Error(p, err)
	}
}

// TestOtherSites: a form of another site changes nothing, whatever it sends along.
func TestOtherSites(t *testing.T) {
	w := start(t, withUsers)
	v := w.user("alice@mail.test", testPassword)
	for _, path := range []string{"password", "devices", "forward", "absence", "junk"} {
		form := url.Values{"do": {"keep"}, "text": {"x"}}
		r, err := http.NewRequest("POST", v.base+"/account/"+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://evil.test")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if code, _ := v.answer(v.Do(r)); code != 403 {
			t.Error(path, code)
		}
		if code, page := w.visitor().post("/account/"+path, "do", "keep", "text", "x"); code != 200 || !strings.Contains(page, "The session has ended. Nothing was changed.") {
			t.Error("without a session:", path, code, page)
		}
	}
	if p, err := w.preferences.Of("alice@mail.test"); p != nil || err != nil {
		t.Error(p, err)
	}
}

// TestAccountGone: what a user had decided does not count for somebody who has the name later, though nobody told the server by a command.
func TestAccountGone(t *testing.T) {
	w := start(t, withUsers)
	w.forwards("alice@mail.test", "friend@far.test", false)
	file := filepath.Join(w.dir, "t.conf")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, edited := range []string{strings.Replace(strings.Replace(string(text), `"alice@mail.test": `, `"alice2@mail.test": `, 1), `["alice@mail.test",`, `[`, 1), string(text)} {
		if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		if p, err := w.preferences.Of("alice@mail.test"); p != nil || err != nil {
			t.Error(p, err)
		}
	}
	if !strings.Contains(w.logs.String(), `msg="what users of accounts that are gone had decided is put aside" accounts=1`) {
		t.Error(w.logs)
	}
}

// TestOnlyDevices: the password of the account is for the pages alone once its user says so by it, which he can where there is a device; programs that
// were in by it are out, and what a device has for its last day is told.
func TestOnlyDevices(t *testing.T) {
	w := start(t, withUsers)
	v := w.user("alice@mail.test", testPassword)
	only := func(on, password string) (int, string) {
		return v.post("/account/devices", "do", "only", "only", on, "proof", password)
	}
	if code, page := only("1", testPassword); code != 422 || !strings.Contains(page, "make a password for a device first") {
		t.Error("without a device:", code, page)
	}
	for until, why := range map[string]string{"2001-01-01": "that day has passed", "soon": "is no day"} {
		if code, page := v.post("/account/devices", "do", "add", "name", "phone", "password", testPassword, "until", until); code != 422 || !strings.Contains(page, why) || !strings.Contains(page, `value="`+until+`" aria-describedby="d-until"`) {
			t.Error(until, code, page)
		}
	}
	if code, page := v.post("/account/devices/phone", "do", "ask", "name", "phone", "password", testPassword); code != 422 || !strings.Contains(page, "from its own host alone") {
		t.Error("a profile where there is nothing to put into it:", code, page)
	}
	phone := v.app("phone", testPassword, "until", "2999-12-31")
	if code, page := only("1", "wrong"); code != 422 || !strings.Contains(page, "that is not the password of this account") || !w.fetches("alice@mail.test", testPassword) {
		t.Error("by a wrong password:", code, page)
	}
	byPassword, byPhone := w.inPOP3("alice@mail.test", testPassword), w.inSMTP("alice@mail.test", phone)
	if code, page := only("1", testPassword); code != 200 || !strings.Contains(page, "opens these pages alone") || !strings.Contains(page, "2999-12-31") {
		t.Error(code, page)
	}
	if byPassword.goesOn() || !byPhone.goesOn() || w.fetches("alice@mail.test", testPassword) || !w.fetches("alice@mail.test", phone) || !v.in() {
		t.Error("what opens what")
	}
	if code, page := only("0", testPassword); code != 200 || !strings.Contains(page, "as well") || !w.fetches("alice@mail.test", testPassword) {
		t.Error(code, page)
	}
	if told := strings.Join(w.mailbox("alice@mail.test"), ""); strings.Count(told, "Subject: How mail programs log in was changed") != 2 {
		t.Error(told)
	}
}

// TestOnlyDevicesOfOneKind: where the devices only send, or only fetch, the user is told what no program could do any more, and has his way if he is sure.
func TestOnlyDevicesOfOneKind(t *testing.T) {
	w := start(t, withUsers)
	for who, c := range map[string]struct{ does, lost string }{"alice@mail.test": {"send", "no program could fetch mail"}, "bob@mail.test": {"fetch", "no program could send mail"}} {
		v := w.user(who, testPassword)
		v.app("one", testPassword, "only", c.does)
		code, page := v.post("/account/devices", "do", "only", "only", "1", "proof", testPassword)
		if code != 422 || !strings.Contains(page, c.lost) || !strings.Contains(page, `name="sure"`) || !w.fetches(who, testPassword) {
			t.Error(who, code, page)
		}
		if code, page := v.post("/account/devices", "do", "only", "only", "1", "proof", testPassword, "sure", "1"); code != 200 || !strings.Contains(page, "opens these pages alone") || w.fetches(who, testPassword) {
			t.Error(who, "who is sure:", code, page)
		}
	}
}

// TestPhone: a link sets one device up, once and within ten minutes, with a password that is made when it is used and is in the list; another one
// ends it; nobody else's password or account does, and it is not in the log.
func TestPhone(t *testing.T) {
	fromElsewhere := fmt.Sprintf(`{"address": "0.0.0.0:%d", "protocol": "pop3"}, {"address": "0.0.0.0:%d", "protocol": "submission"}, {"address": "127.0.0.2:0"`, peertest.FreePort(t), peertest.FreePort(t))
	w := startWith(t, strings.Replace(testConf, `{"address": "127.0.0.2:0"`, fromElsewhere, 1), withUsers)
	v := w.user("alice@mail.test", testPassword)
	ask := func(name, password string) (int, string) {
		return v.post("/account/devices/phone", "do", "ask", "name", name, "password", password)
	}
	if code, page := ask("phone", "wrong"); code != 422 || !strings.Contains(page, "that is not the password") || strings.Contains(page, "<svg class=\"qr\"") {
		t.Error(code, page)
	}
	if code, page := ask("", testPassword); code != 422 || !strings.Contains(page, "say which device") {
		t.Error(code, page)
	}
	link := func() string {
		t.Helper()
		_, page := v.see("/account/devices/phone")
		m := regexp.MustCompile(`http://[^/]+(/account/setup/[a-z2-7]{26})<`).FindStringSubmatch(page)
		if m == nil || !strings.Contains(page, `<path d="M0 0h7v1`) || !strings.Contains(page, "by a name of this host") {
			t.Fatal(page)
		}
		return m[1]
	}
	if code, _ := ask("phone", testPassword); code != 200 {
		t.Fatal(code)
	}
	first := link()
	if code, _ := ask("phone", testPassword); code != 200 {
		t.Fatal(code)
	}
	second := link()
	stranger := w.visitor()
	if code, _ := stranger.see(first); code != 410 {
		t.Error("the first, once there is another one:", code)
	}
	if resp, err := stranger.Head(stranger.base + second); err != nil || resp.StatusCode != 200 {
		t.Error("HEAD:", err)
	}
	if code, page := stranger.post(second, "do", "x"); code != 405 {
		t.Error("POST:", code, page)
	}
	if p, err := w.preferences.Of("alice@mail.test"); p != nil || err != nil {
		t.Error("a password was made before:", p, err)
	}
	code, profile := stranger.see(second)
	m := regexp.MustCompile(`<key>IncomingPassword</key>\s*<string>([a-z2-7]{26})</string>`).FindStringSubmatch(profile)
	if code != 200 || m == nil || !strings.Contains(profile, "<string>mail.test</string>") {
		t.Fatal(code, profile)
	}
	if !w.fetches("alice@mail.test", m[1]) {
		t.Error("it does not fetch")
	}
	for _, gone := range []string{second, "/account/setup/", "/account/setup/" + strings.Repeat("a", 26)} {
		if code, _ := stranger.see(gone); code != 410 && code != 404 && gone != "/account/setup/" {
			t.Error(gone, code)
		}
	}
	if _, page := v.see("/account/devices"); !strings.Contains(page, "<td>phone</td>") {
		t.Error(page)
	}
	if code, page := ask("phone", testPassword); code != 422 || !strings.Contains(page, "of that name already") {
		t.Error("of the same name:", code, page)
	}
	if code, _ := ask("tablet", testPassword); code != 200 {
		t.Fatal(code)
	}
	before := link()
	if code, page := v.post("/account/password", "do", "change", "old", testPassword, "new", "a better one", "again", "a better one", "revoke", "1"); code != 200 {
		t.Fatal(code, page)
	}
	if code, profile := stranger.see(before); code != 410 || w.fetches("alice@mail.test", testPassword) {
		t.Error("what was begun with a password that was changed:", code, profile)
	}
	if code, _ := ask("tablet", "a better one"); code != 200 {
		t.Fatal(code)
	}
	third := link()
	if err := w.rewrite(`"Web": {"listen": "127.0.0.1:0", "user_may": ["absence"]},`); err != nil {
		t.Fatal(err)
	}
	if code, _ := stranger.see(third); code != 403 {
		t.Error("where it is not allowed any more:", code)
	}
	if log := w.logs.String(); strings.Contains(log, second[len("/account/setup/"):]) || strings.Contains(log, m[1]) || !strings.Contains(log, `msg="a device was set up" user=alice@mail.test app=phone`) {
		t.Error(log)
	}
}

// TestPhoneSigned: where the server has a certificate that somebody believes, the profile is signed with it.
func TestPhoneSigned(t *testing.T) {
	cert := peertest.NewAuthority(t).Issue(t, "mail.test")
	dir := t.TempDir()
	for name, text := range map[string]string{"crt": cert.PEM, "key": cert.KeyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fromElsewhere := fmt.Sprintf(`{"address": "0.0.0.0:%d", "protocol": "pop3"}, {"address": "0.0.0.0:%d", "protocol": "submission"}, {"address": "127.0.0.2:0"`, peertest.FreePort(t), peertest.FreePort(t))
	w := startWith(t, strings.Replace(testConf, `{"address": "127.0.0.2:0"`, fromElsewhere, 1), withUsers+fmt.Sprintf(`"TLS": {"certificate_file": %q, "certificate_key_file": %q},`, filepath.Join(dir, "crt"), filepath.Join(dir, "key")))
	v := w.user("alice@mail.test", testPassword)
	if code, page := v.post("/account/devices/phone", "do", "ask", "name", "phone", "password", testPassword); code != 200 {
		t.Fatal(code, page)
	}
	_, page := v.see("/account/devices/phone")
	link := regexp.MustCompile(`/account/setup/[a-z2-7]{26}`).FindString(page)
	code, profile := w.visitor().see(link)
	if code != 200 || !strings.HasPrefix(profile, "\x30\x82") || !strings.Contains(profile, "<key>IncomingPassword</key>") || strings.Contains(w.logs.String(), "is not signed") {
		t.Errorf("%d %q\n%s", code, profile, w.logs)
	}
}
