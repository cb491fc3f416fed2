package daemon

import (
	"reflect"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/pages/user"
	"github.com/postrider-mail/postrider/internal/web"
)

// TestWays: a user is told what mail programs are told by themselves, in the words of their forms.
func TestWays(t *testing.T) {
	mail := &web.Mail{POP3: web.Port{Number: 995, Implicit: true}, SMTP: web.Port{Number: 587}}
	want := []user.Way{{Protocol: "POP3", Host: "mx.mail.test", Port: 995, Security: "SSL/TLS"}, {Protocol: "SMTP", Host: "mx.mail.test", Port: 587, Security: "STARTTLS"}}
	if got := waysOf("mx.mail.test", mail); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	mail.IMAP, want = web.Port{Host: "imap.mail.test", Number: 993, Implicit: true}, append([]user.Way{{Protocol: "IMAP", Host: "imap.mail.test", Port: 993, Security: "SSL/TLS"}}, want...)
	if got := waysOf("mx.mail.test", mail); !reflect.DeepEqual(got, want) {
		t.Errorf("with IMAP: %+v", got)
	}
	if got := waysOf("mx.mail.test", nil); len(got) != 0 {
		t.Errorf("where nobody is told: %+v", got)
	}
}

// TestAccountPageByHand: where programs find nothing by themselves, users are told all the same what to enter; and where no
// program can come from elsewhere, that.
func TestAccountPageByHand(t *testing.T) {
	w := start(t, withUsers)
	v := w.user("alice@mail.test", testPassword)
	if _, page := v.see("/account/"); !strings.Contains(page, "takes mail programs from its own host alone") {
		t.Error(page)
	}
	st := *w.state()
	settings := *st.settings
	settings.Listeners = []conf.Listener{{Address: ":995", Protocol: conf.ProtocolPOP3, TLS: conf.TLSImplicit}, {Address: ":587", Protocol: conf.ProtocolSubmission, TLS: conf.TLSStartTLS}}
	st.settings = &settings
	w.now.Store(&st)
	if _, page := v.see("/account/"); !strings.Contains(page, "A mail program asks for these settings:") || !strings.Contains(page, ">995<") || !strings.Contains(page, ">587<") || strings.Contains(page, "mobileconfig") {
		t.Error(page)
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
