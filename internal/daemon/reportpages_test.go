package daemon

import (
	"html"
	"strings"
	"testing"
)

// TestReportPage: what others report is on its page as soon as it is kept.
func TestReportPage(t *testing.T) {
	w := start(t, withAdmin(t, `"Reports": {"address": "dmarc@mail.test"},`))
	v := w.visitor()
	v.post("/admin/login", "name", "ann", "password", testPassword)
	if code, page := v.see("/admin/reports"); code != 200 || !strings.Contains(page, "No report has come") {
		t.Fatal(code, page)
	}
	w.dial("127.0.0.1:0").play("S: 220\nC: EHLO big.test\nS: 250\nC: MAIL FROM:<dmarc@big.test>\nS: 250\nC: RCPT TO:<dmarc@mail.test>\nS: 250\nC: DATA\nS: 354\n" + dmarcMail("1"))
	w.kept(1)
	code, page := v.see("/admin/reports?domain=MAIL.test")
	page = html.UnescapeString(page)
	for _, want := range []string{"203.0.113.66", "mail.test", "big.test", "3 messages failed", "1 report: 3 messages, 0 passed"} {
		if code != 200 || !strings.Contains(page, want) {
			t.Errorf("%d, no %q in %s", code, want, page)
		}
	}
	if _, page := v.see("/admin/reports?domain=else.test"); strings.Contains(page, "203.0.113.66") {
		t.Error("it is about another domain")
	}
	if code, page := v.see("/admin/reports/refused"); code != 200 || !strings.Contains(page, "Nothing was refused for want of proof") {
		t.Error(code, page)
	}
}
