package daemon

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// series is the value of one series at this moment.
func (w *testWorld) series(name string) string {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.metrics.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	m := regexp.MustCompile(`(?m)^postrider_` + regexp.QuoteMeta(name) + ` (.*)$`).FindStringSubmatch(rec.Body.String())
	if m == nil {
		return "none"
	}
	return m[1]
}

// TestLoginsCounted: a login is counted by its protocol and mechanism, and by how it ended; all series are there before.
func TestLoginsCounted(t *testing.T) {
	w := start(t, withUsers)
	name := func(protocol, mechanism, result string) string {
		return fmt.Sprintf(`auth_attempts_total{mechanism=%q,protocol=%q,result=%q}`, mechanism, protocol, result)
	}
	attempts := []struct {
		protocol, mechanism, result string
		do                          func()
	}{
		{"pop3", "USER", "ok", func() { w.inPOP3("alice@mail.test", testPassword).play("C: QUIT\nS: +OK") }},
		{"pop3", "USER", "failed", func() { w.fetches("alice@mail.test", "wrong") }},
		{"smtp", "PLAIN", "ok", func() { w.inSMTP("alice@mail.test", testPassword).play("C: QUIT\nS: 221") }},
		{"smtp", "PLAIN", "failed", func() {
			k := w.dial("127.0.0.2:0")
			k.play("S: 220\nC: EHLO home.test\nS: 250")
			k.startTLS("STARTTLS", "220")
			k.play("C: EHLO home.test\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00alice@mail.test\x00no")) + "\nS: 535\nC: QUIT\nS: 221")
		}},
		{"smtp", "SCRAM-SHA-256", "ok", func() { w.challenged("SCRAM-SHA-256", "alice@mail.test", testPassword).play("C: QUIT\nS: 221") }},
		{"smtp", "CRAM-MD5", "ok", func() { w.challenged("CRAM-MD5", "alice@mail.test", testPassword).play("C: QUIT\nS: 221") }},
		{"web", "form", "ok", func() { w.user("alice@mail.test", testPassword) }},
		{"web", "form", "failed", func() { w.visitor().post("/account/login", "name", "alice@mail.test", "password", "wrong") }},
	}
	for _, a := range attempts {
		if got := w.series(name(a.protocol, a.mechanism, a.result)); got != "0" {
			t.Errorf("before: %+v: %s", a, got)
		}
	}
	for _, a := range attempts {
		a.do()
		w.eventually("it is counted", func() bool { return w.series(name(a.protocol, a.mechanism, a.result)) == "1" })
	}
}

// TestNearlyFull: whoever's mailbox fills is told once, also over a restart, and again after it was emptied; the pages and the metrics say so.
func TestNearlyFull(t *testing.T) {
	w := start(t, withAdmin(t, `"Store": {"quota_messages": 10},`))
	send := func(n int) {
		t.Helper()
		for range n {
			w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, "Subject: s\r\n\r\nx")
		}
		w.tellFull(t.Context())
	}
	told := func() (n int) {
		for _, m := range w.mailbox("alice@mail.test") {
			n += strings.Count(m, "Subject: Your mailbox is nearly full")
		}
		return n
	}
	send(8)
	if told() != 0 || w.series("store_full_mailboxes") != "0" {
		t.Error("told at 80 %")
	}
	if _, page := w.user("alice@mail.test", testPassword).see("/account/"); !strings.Contains(page, "8 messages of 10") || strings.Contains(page, "nearly full") {
		t.Error(page)
	}
	send(1)
	if told() != 1 || w.series("store_full_mailboxes") != "1" {
		t.Error("told", told())
	}
	w.tellFull(t.Context())
	w.stop()
	w.again()
	w.tellFull(t.Context())
	if told() != 1 || w.series("store_full_mailboxes") != "1" {
		t.Error("told after a restart", told(), w.series("store_full_mailboxes"))
	}
	if _, page := w.user("alice@mail.test", testPassword).see("/account/"); !strings.Contains(page, "10 messages of 10") || !strings.Contains(page, "Your mailbox is nearly full") {
		t.Error(page)
	}
	box, err := w.store.Open(t.Context(), "alice@mail.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Remove(t.Context(), []int{0, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	box.Close()
	w.tellFull(t.Context())
	if w.series("store_full_mailboxes") != "0" {
		t.Error("it is full no more")
	}
	send(3)
	if told() != 2 {
		t.Error("told again:", told())
	}
}
