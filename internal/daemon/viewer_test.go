package daemon

import (
	"context"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/mailstore"
)

// deliver puts a message into mailboxes.
func (w *testWorld) deliver(text string, users ...string) {
	w.t.Helper()
	d, err := w.store.Create(context.Background(), mailstore.Meta{ID: "t"}, users...)
	if err == nil {
		d.Write([]byte(text))
		err = d.Commit(context.Background(), nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestMailViewer: users see the mail in their own mailboxes and nobody else's, after a login, beside who fetches from them, and
// only where the settings say so; nothing is changed by it.
func TestMailViewer(t *testing.T) {
	w := start(t, withUsers)
	before := w.user("bob@mail.test", testPassword)
	if err := w.rewrite(`"Web": {"listen": "127.0.0.1:0", "viewer": true},`); err != nil {
		t.Fatal(err)
	}
	if code, page := before.see("/account/mail/"); code != 200 || !strings.Contains(page, "Nothing has come yet") {
		t.Errorf("an empty mailbox: %d %s", code, page)
	}
	if err := w.rewrite(withUsers); err != nil {
		t.Fatal(err)
	}
	w.deliver("Return-Path: <shop@far.test>\r\nSubject: for alice\r\nContent-Type: text/html\r\n\r\n<p>hello</p><script>alert(1)</script>\r\n", "alice@mail.test")
	w.deliver("Subject: for bob\r\n\r\nsecret\r\n", "bob@mail.test")
	alice := w.user("alice@mail.test", testPassword)
	if code, page := alice.see("/account/mail/"); code != 404 {
		t.Errorf("not switched on: %d %s", code, page)
	}
	if _, page := alice.see("/account/"); strings.Contains(page, "account/mail") {
		t.Error("there is a link to it")
	}
	if err := w.rewrite(`"Web": {"listen": "127.0.0.1:0", "viewer": true},`); err != nil {
		t.Fatal(err)
	}
	if _, page := alice.see("/account/"); !strings.Contains(page, `href="/account/mail/"`) {
		t.Error("there is no link to it")
	}
	for _, stranger := range []*visitor{w.visitor()} {
		if _, page := stranger.see("/account/mail/"); strings.Contains(page, "for alice") || !strings.Contains(page, "password") {
			t.Error(page)
		}
	}
	// Somebody who fetches is not locked out, nor does he lock out who looks.
	drop, err := w.store.Open(context.Background(), "alice@mail.test")
	if err != nil {
		t.Fatal(err)
	}
	code, list := alice.see("/account/mail/")
	id := regexp.MustCompile(`/account/mail/message/(\w+)`).FindStringSubmatch(list)
	if code != 200 || strings.Contains(list, "for bob") || id == nil {
		t.Fatal(code, list)
	}
	if code, page := alice.see("/account/mail/message/" + id[1]); code != 200 || !strings.Contains(page, "for alice") || !strings.Contains(page, "shop@far.test") || strings.Contains(page, "alert(1)") {
		t.Error(code, page)
	}
	if code, page := alice.see("/account/mail/view/" + id[1] + ".html"); code != 200 || !strings.Contains(page, "<p>hello</p>") || strings.Contains(page, "alert(1)") {
		t.Error(code, page)
	}
	if code, page := alice.see("/account/mail/api/v1/message/" + id[1] + "/raw"); code != 200 || !strings.HasPrefix(page, "Return-Path: <shop@far.test>\r\nSubject: for alice") {
		t.Error(code, page)
	}
	bob := w.user("bob@mail.test", testPassword)
	if code, _ := bob.see("/account/mail/message/" + id[1]); code != 404 {
		t.Error("another user sees it:", code)
	}
	for _, path := range []string{"/account/mail/delete", "/account/mail/api/v1/messages"} {
		if code, _ := alice.post(path, "all", "yes"); code < 400 {
			t.Error(path, code)
		}
	}
	if drop.Len() != 1 {
		t.Error("it is gone")
	}
	drop.Close()
	if code, page := bob.see("/account/mail/"); code != 200 || !strings.Contains(page, "for bob") {
		t.Error(code, page)
	}
	// What is behind another web server is not of this host.
	v := &viewers{d: w.Daemon}
	for _, from := range []pages.Visitor{{Client: netip.MustParseAddr("192.0.2.1"), Host: "localhost", Secure: true}, {Client: netip.MustParseAddr("127.0.0.1"), Host: "mail.test", Secure: true}, {Host: "localhost"}} {
		if v.shown(from) {
			t.Errorf("%+v sees mail", from)
		}
	}
}

// TestMailViewerSealed: what only its owner can read is no mail to show, and that is said.
func TestMailViewerSealed(t *testing.T) {
	w := start(t, `"Web": {"listen": "127.0.0.1:0", "viewer": true},`)
	w.deliver("Subject: before\r\n\r\nwords\r\n", alice)
	v := w.user(alice, testPassword)
	if code, page := v.see("/account/mail/"); code != 200 || !strings.Contains(page, "before") {
		t.Error(code, page)
	}
	w.seal(testPassword)
	if w.put(0, "Subject: s\r\n\r\nsecret words\r\n"); !w.reads(testPassword) {
		t.Fatal("the mailbox does not open")
	}
	v = w.user(alice, testPassword)
	for _, path := range []string{"/account/mail/", "/account/mail/message/x"} {
		if code, page := v.see(path); code != 403 || !strings.Contains(page, "your mailbox is sealed") {
			t.Error(path, code, page)
		}
	}
}
