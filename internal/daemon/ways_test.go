package daemon

import (
	"reflect"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/pages/user"
	"github.com/postrider-mail/postrider/internal/web"
)

// TestWays: a user is told what mail programs are told by themselves, in the words of their forms.
func TestWays(t *testing.T) {
	site := &web.Site{Host: "mx.mail.test", Mail: &web.Mail{POP3: web.Port{Number: 995, Implicit: true}, SMTP: web.Port{Number: 587}}}
	want := []user.Way{{Protocol: "POP3", Host: "mx.mail.test", Port: 995, Security: "SSL/TLS"}, {Protocol: "SMTP", Host: "mx.mail.test", Port: 587, Security: "STARTTLS"}}
	if got := waysOf(site); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := append(waysOf(nil), waysOf(&web.Site{})...); len(got) != 0 {
		t.Errorf("where nobody is told: %+v", got)
	}
}

// TestAccountPage: an account sees itself, what its program has to be told, and a profile that is its own.
func TestAccountPage(t *testing.T) {
	w := start(t, `"Web": {"listen": "127.0.0.1:0", "autoconfig": true},`)
	site := *w.state().site
	site.Mail = &web.Mail{POP3: web.Port{Number: 110}, SMTP: web.Port{Number: 465, Implicit: true}}
	s := *w.state()
	s.site = &site
	w.now.Store(&s)
	v := w.visitor()
	if code, page := v.post("/account/login", "name", "alice@mail.test", "password", testPassword); code != 200 || !strings.Contains(page, "alice@mail.test") || !strings.Contains(page, ">465<") {
		t.Fatal(code, page)
	}
	_, page := v.see("/account/")
	_, link, _ := strings.Cut(page, `href="/mail/profile`)
	link, _, _ = strings.Cut(link, `"`)
	if code, profile := v.see("/mail/profile" + link); code != 200 || !strings.Contains(profile, "<string>alice@mail.test</string>") {
		t.Errorf("/mail/profile%s: %d %s", link, code, profile)
	}
}
