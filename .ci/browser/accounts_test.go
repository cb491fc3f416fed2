package browser_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// says fails unless the page that is open has a text.
func (b *browser) says(t *testing.T, want string) {
	t.Helper()
	if text := ask[string](t, b, "document.body.innerText"); !strings.Contains(text, want) {
		t.Errorf("no %q on the page:\n%s", want, text)
	}
}

// TestAccounts: an account is added, blocked and removed by keyboard, with script and without; what is wrong comes back with its
// value and the reason.
func TestAccounts(t *testing.T) {
	for _, v := range []view{views[0], views[5]} {
		t.Run(v.name, func(t *testing.T) {
			s, b := serve(t), open(t)
			b.as(t, v)
			b.logIn(t, s.url+"/admin/accounts/add", "ann")
			b.do(t, chromedp.SendKeys("#f-address", "carol"+kb.Enter), chromedp.WaitVisible(".why"))
			b.says(t, "write the whole address")
			if value := ask[string](t, b, `document.querySelector("#f-address").value`); value != "carol" {
				t.Errorf("the value is not kept: %q", value)
			}
			b.keep(t, "account-wrong-"+v.name)
			b.do(t, chromedp.SendKeys("#f-address", kb.End+"@mail.test"+kb.Enter), chromedp.WaitVisible(".flash"))
			b.says(t, "it is not shown again")
			b.keep(t, "account-added-"+v.name)
			b.do(t, chromedp.Focus(`button[value="block"]`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(`button[value="unblock"]`))
			b.do(t, chromedp.Focus(`button[value="remove"]`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(`input[value="delete"]`))
			b.keep(t, "account-remove-"+v.name)
			b.do(t, chromedp.Focus(`input[value="delete"]`), chromedp.KeyEvent(" "), chromedp.Focus(`button[value="remove"]`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(".flash"))
			b.says(t, "carol@mail.test is removed, and its mail is deleted.")
			for _, f := range b.takeFaults() {
				if !strings.Contains(f, "422") { // the form that was refused
					t.Error(f)
				}
			}
		})
	}
}
