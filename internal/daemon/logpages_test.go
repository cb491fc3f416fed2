package daemon

import (
	"html"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMailPage: what became of a message is found by what its client was told, also in the files that older lines have
// gone to, and the log is there as it is written.
func TestMailPage(t *testing.T) {
	w := start(t, withAdmin(t, `"Log": {"file": "`+filepath.Join(t.TempDir(), "mail.log")+`"},`))
	d := w.dial("127.0.0.1:0")
	d.play("S: 220\nC: EHLO x.test\nS: 250\nC: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<nobody@mail.test>\nS: 550\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: DATA\nS: 354\n" +
		"C: Message-ID: <m1@far.test>\\r\\n\\r\\nx\\r\\n.\nS: 250\nC: QUIT\nS: 221")
	v := w.visitor()
	if code, page := v.see("/admin/log/more"); code != 200 || !strings.Contains(page, `name="password"`) {
		t.Fatal("without a login:", code, page)
	}
	v.post("/admin/login", "name", "ann", "password", testPassword)
	page := ""
	waitFor(t, func() bool {
		_, page = v.see("/admin/mail?term=m1@far.test")
		return strings.Contains(page, "the session ended")
	})
	id := regexp.MustCompile(`term=(\w+-\d+)`).FindStringSubmatch(page)
	if id == nil {
		t.Fatal(page)
	}
	for _, where := range []string{"memory", "file"} {
		_, page = v.see("/admin/mail?term=" + id[1])
		page = html.UnescapeString(page)
		for _, want := range []string{"Message " + id[1] + " from <a@far.test>, Message-ID <m1@far.test>", "RCPT for <nobody@mail.test> was refused: 550 5.1.1", "<bob@mail.test> was delivered to the mailbox bob@mail.test", "1 accepted, 1 refused"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q in %s", where, want, page)
			}
		}
		w.recent.Bound(0)
	}
	for address, want := range map[string]string{
		"bob@mail.test": "goes to the mailbox bob@mail.test.", "nobody@mail.test": "Nobody has this address", "x@else.test": "leaves for another host", "%3Cscript%3E@mail.test": "",
	} {
		if _, page := v.see("/admin/mail?to=" + address); !strings.Contains(page, want) || strings.Contains(page, "<script>") {
			t.Errorf("%s: no %q in %s", address, want, page)
		}
	}
	w.recent.Bound(1 << 20)
	w.log.Info("a line", "words", "<script>")
	if code, page := v.see("/admin/log"); code != 200 || !strings.Contains(page, "&lt;script&gt;") || strings.Contains(page, "<script>") {
		t.Error(code, page)
	}
	if code, page := v.see("/admin/log/more?next=1&text=script"); code != 200 || !strings.Contains(page, `a line`) || strings.Contains(page, "<script>") {
		t.Error(code, page)
	}
}
