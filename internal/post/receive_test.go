package post

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
)

// village is a directory of the mailboxes it names, all of one domain.
type village map[domains.Address]accounts.Targets

func (v village) Home() domains.Name       { return "mail.test" }
func (v village) IsLocal(p smtp.Path) bool { return p.Domain == "" || p.Domain == "mail.test" }
func (v village) Address(p smtp.Path) domains.Address {
	return domains.At(p.Local, domains.Canonical(cmp.Or(p.Domain, "mail.test")))
}
func (v village) Resolve(p smtp.Path) accounts.Targets {
	if !v.IsLocal(p) {
		return accounts.Targets{Elsewhere: []smtp.Path{p}}
	}
	found := v[v.Address(p)]
	found.Local = true
	return found
}
func (v village) Qualify(p smtp.Path) smtp.Path { return p }
func (v village) MaySend(account domains.Address, from smtp.Path) bool {
	return v.Address(from) == account
}

// newPost is a way in to the mailboxes of a directory, without a way out.
func newPost(t *testing.T, dir Directory) (*Post, *maildir.Store) {
	t.Helper()
	store, err := maildir.Open(t.TempDir(), maildir.WithReserve(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	rules := &Rules{ServerName: "mail.test", Directory: dir, MaxHops: 30}
	return &Post{Rules: func() *Rules { return rules }, Mailboxes: store, Log: slog.New(slog.DiscardHandler)}, store
}

// TestNobodyDecided: a recipient for whom nothing is to be stored, through whatever
// mistake, makes the handler fail.
func TestNobodyDecided(t *testing.T) {
	p, store := newPost(t, village{})
	r := &Receiver{Post: p}
	for name, value := range map[string]any{
		"nothing": nil, "pointer": &accounts.Targets{Mailboxes: []domains.Address{"alice@mail.test"}}, "no targets": accounts.Targets{}, "another type": "alice@mail.test",
	} {
		for _, beside := range [][]smtp.Recipient{nil, {{Path: smtp.Path{Local: "bob", Domain: "mail.test"}, Value: accounts.Targets{Mailboxes: []domains.Address{"bob@mail.test"}}}}} {
			e := &smtp.Envelope{Session: &smtp.Session{Identity: lineserver.Identity{ID: "s"}}, ID: "s-1", From: smtp.Path{Local: "a", Domain: "far.test"}, Data: strings.NewReader("Subject: x\r\n\r\nx\r\n"),
				To: append(beside, smtp.Recipient{Path: smtp.Path{Local: "alice", Domain: "mail.test"}, Value: value})}
			if err := r.ServeSMTP(context.Background(), e); err == nil {
				t.Errorf("%s: taken for stored", name)
			} else if reply := (*smtp.Reply)(nil); errors.As(err, &reply) && !reply.Temporary() {
				t.Errorf("%s: %v, refused for good", name, err)
			}
		}
	}
	if err := r.ServeSMTP(context.Background(), &smtp.Envelope{Session: &smtp.Session{}, Data: strings.NewReader("x\r\n")}); err == nil {
		t.Error("a message for no recipient at all was taken for stored")
	}
	for _, user := range []string{"alice@mail.test", "bob@mail.test"} {
		if u, err := store.Usage(context.Background(), user); err != nil || u.Messages != 0 {
			t.Errorf("%s holds %d messages (%v)", user, u.Messages, err)
		}
	}
}

// TestOneSetOfRules: what was decided at MAIL holds to the end of the transaction,
// whatever is reloaded meanwhile, and the next one goes by the new rules.
func TestOneSetOfRules(t *testing.T) {
	ctx := context.Background()
	p, store := newPost(t, village{})
	before := &Rules{ServerName: "old.test", Directory: village{"alice@mail.test": {Mailboxes: []domains.Address{"alice@mail.test"}}}}
	after := &Rules{ServerName: "new.test", Directory: village{}}
	now := before
	p.Rules = func() *Rules { return now }
	r := &Receiver{Post: p}
	s := &smtp.Session{Identity: lineserver.Identity{ID: "s"}}
	mail := func() (*smtp.Envelope, error) {
		e := &smtp.Envelope{Session: s, ID: "s-1", From: smtp.Path{Local: "a", Domain: "far.test"}, Data: strings.NewReader("Subject: x\r\n\r\nx\r\n")}
		s.Envelope = e
		if err := r.CheckSender(ctx, s, e.From, &e.Params); err != nil {
			t.Fatal(err)
		}
		now = after
		rcpt := smtp.Recipient{Path: smtp.Path{Local: "alice", Domain: "mail.test"}}
		err := r.CheckRcpt(ctx, s, &rcpt)
		e.To = append(e.To, rcpt)
		return e, err
	}
	e, err := mail()
	if err == nil {
		err = r.ServeSMTP(ctx, e)
	}
	if err != nil {
		t.Fatal(err)
	}
	box, err := store.Open(ctx, "alice@mail.test")
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	if text := mailtest.Text(t, box, 0); !strings.Contains(text, "by old.test") {
		t.Errorf("half of it by other rules: %q", text)
	}
	if _, err := mail(); !errors.Is(err, smtp.ErrNoSuchUser) {
		t.Errorf("the next transaction: %v", err)
	}
}
