package post

import (
	"testing"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// TestOnward: what of a recipient's wishes goes on to where an alias leads.
func TestOnward(t *testing.T) {
	one, two := accounts.Targets{Elsewhere: []smtp.Path{{Local: "a", Domain: "x.test"}}, Local: true}, accounts.Targets{Mailboxes: []domains.Address{"b"}, Elsewhere: []smtp.Path{{Local: "a", Domain: "x.test"}}, Local: true}
	direct := accounts.Targets{Elsewhere: []smtp.Path{{Local: "a", Domain: "x.test"}}}
	const s, f, d, n = smtp.NotifySuccess, smtp.NotifyFailure, smtp.NotifyDelay, smtp.NotifyNever
	for _, c := range []struct {
		name      string
		to        accounts.Targets
		notify    smtp.Notify
		orcpt     string
		want      smtp.Notify
		wantORcpt string
	}{
		{"no alias", direct, s, "", s, ""},
		{"one target", one, s | f, "", s | f, "list@mail.test"},
		{"several", two, s | f | d, "", f | d, "list@mail.test"},
		{"several, success only", two, s, "", n, "list@mail.test"},
		{"several, never", two, n, "", n, "list@mail.test"},
		{"several, default", two, 0, "", 0, "list@mail.test"},
		{"named before", two, f, "old@y.test", f, "old@y.test"},
	} {
		r := smtp.Recipient{Path: smtp.Path{Local: "list", Domain: "mail.test"}, Params: smtp.RcptParams{Notify: c.notify, ORcpt: c.orcpt}}
		if got := onward(r, c.to).Params; got.Notify != c.want || got.ORcpt != c.wantORcpt {
			t.Errorf("%s: got %+v", c.name, got)
		}
	}
}
