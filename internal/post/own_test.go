package post

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
)

// hamlet is a village where accounts may send as the sales desk and nobody as himself: what an
// account is called and what it may send as are two questions.
type hamlet struct{ village }

func (h hamlet) MaySend(account domains.Address, from smtp.Path) bool {
	return from == at("sales@mail.test")
}

// TestOwnFields: what users' programs write into the fields that the settings name must be theirs,
// each address of each field; of others' mail, and of fields that are not named, nothing is asked.
func TestOwnFields(t *testing.T) {
	t.Parallel()
	user := visit{user: "ann@mail.test", from: "sales@mail.test", submission: true}
	stranger, relayed := visit{from: "boss@far.test"}, visit{user: "ann@mail.test", from: "sales@mail.test"}
	for _, c := range []struct {
		fields string // that must be the user's
		visit  visit
		header string
		want   string
	}{
		{"From", user, "From: ann@mail.test\r\n", ""},
		{"From", user, "From: Sales <SALES@mail.test>\r\n", "ann@mail.test may not write <SALES@mail.test> in From"},
		{"From", user, "From: Sales <sales@mail.test>\r\n", ""},
		{"From", user, "From: ann@mail.test, sales@mail.test\r\n", ""},
		{"From", user, "From: ann@mail.test, boss@far.test\r\n", "ann@mail.test may not write <boss@far.test> in From"},
		{"From", user, "From: ann@mail.test\r\nFrom: boss@far.test\r\n", "ann@mail.test may not write <boss@far.test> in From"},
		{"From", user, "From: The boss\r\n", "From names no address"},
		{"From", user, "From: ann@mail.test\r\nSender: boss@far.test\r\n", ""},
		{"From Sender", user, "From: ann@mail.test\r\nSender: boss@far.test\r\n", "ann@mail.test may not write <boss@far.test> in Sender"},
		{"From Sender", user, "Subject: none of them\r\n", ""},
		{"", user, "From: boss@far.test\r\n", ""},
		{"From", stranger, "From: ann@mail.test\r\n", ""},
		{"From", relayed, "From: boss@far.test\r\n", ""},
	} {
		p, store := newPost(t, nil)
		rules := p.Rules()
		rules.Directory, rules.OwnFields = hamlet{village{"alice@mail.test": alice}}, strings.Fields(c.fields)
		err := c.visit.send(p, c.header+"\r\nx\r\n", "alice@mail.test")
		if stored := messages(t, store) == 1; stored != (err == nil) {
			t.Errorf("%q %q: %v, stored: %v", c.fields, c.header, err, stored)
		}
		if reply := (*smtp.Reply)(nil); c.want == "" && err != nil || c.want != "" && (!errors.As(err, &reply) || reply.Code != 550 || reply.Text != c.want) {
			t.Errorf("%q %q: %v, want %q", c.fields, c.header, err, c.want)
		}
	}
}

// TestOwnsItself: a user of this host who has no account is the author of what bears his name, and
// may give it as the sender, whatever accounts may send as.
func TestOwnsItself(t *testing.T) {
	t.Parallel()
	dir := hamlet{village{}}
	for address, want := range map[string]bool{"www@mail.test": true, "sales@mail.test": true, "root@mail.test": false} {
		if got := owns(dir, "www@mail.test", at(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
		_, err := localSender(dir, address, true, "www@mail.test", false)
		if (err == nil) != want {
			t.Errorf("%s as the sender: %v", address, err)
		}
		if _, err := localSender(dir, address, true, "www@mail.test", true); err != nil {
			t.Errorf("%s, for root: %v", address, err)
		}
	}
}

// TestBlindCopies: nobody reads Bcc in a user's message, and all else of it is as it was; that
// of a stranger, where it is nobody's secret, stays.
func TestBlindCopies(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1000, 40 << 10, 200 << 10} {
		filler := strings.Repeat("X-Y: "+strings.Repeat("z", 900)+"\r\n", size/907)
		header := "Bcc: eve@far.test,\r\n\tmallory@far.test\r\nSubject: s\r\n" + filler + "BCC: eve@far.test\r\nTo: alice@mail.test\r\n"
		bare := "Subject: s\r\n" + filler + "To: alice@mail.test\r\n"
		body := "\r\nBcc: in the body\r\n" + strings.Repeat(".\r\n", 20000)
		for _, submission := range []bool{true, false} {
			p, store := newPost(t, village{"alice@mail.test": alice, "ann@mail.test": alice})
			if err := (visit{user: "ann@mail.test", from: "ann@mail.test", submission: submission}).send(p, header+body, "alice@mail.test"); err != nil {
				t.Fatal(err)
			}
			box, err := store.Open(t.Context(), "alice@mail.test")
			if err != nil {
				t.Fatal(err)
			}
			want := header + body
			if submission {
				want = bare + body
			}
			if got := mailtest.Text(t, box, 0); !strings.HasSuffix(got, "\r\n"+want) || submission && strings.Contains(got, "eve@") {
				t.Errorf("%d octets of header, submission %v: %d octets: %.300q", len(header), submission, len(got), got)
			}
			box.Close()
		}
	}
}

// TestHeaderTooLong: what stands beyond the part of a header that is looked at is not seen, so that a
// user's message is refused, for now if that part is small because of others.
func TestHeaderTooLong(t *testing.T) {
	t.Parallel()
	const line = "X-Y: 0123456789\r\n"
	for _, trusted := range []bool{true, false} { // by the settings, whatever is checked
		for limit, busy := range map[int]int32{longHeader: 0, commonHeader: mostLong} {
			mailtest.Edge(t, fmt.Sprint(limit, " of header in lines"), limit/len(line), func(n int) bool {
				p, store := newPost(t, village{"alice@mail.test": alice, "ann@mail.test": alice})
				if trusted {
					p.Rules().OwnFields = []string{"From"}
				}
				p.long.trusted.Store(busy)
				err := visit{user: "ann@mail.test", from: "ann@mail.test", submission: true}.send(p, strings.Repeat(line, n)+"\r\nx\r\n", "alice@mail.test")
				want := errTooLong
				if busy > 0 {
					want = errBusy
				}
				if err != nil && !errors.Is(err, want) || (err == nil) != (messages(t, store) == 1) {
					t.Errorf("%d lines: %v", n, err)
				}
				if got := p.long.trusted.Load(); got != busy {
					t.Errorf("%d lines: %d long headers are counted, want %d", n, got, busy)
				}
				return err == nil
			})
		}
	}
}

// TestRootMayWriteAnything: what root of this host submits is not bound to its name, and is sent without
// blind copies all the same.
func TestRootMayWriteAnything(t *testing.T) {
	t.Parallel()
	p, store := newPost(t, village{"alice@mail.test": alice})
	p.Rules().OwnFields = []string{"From"}
	r := &Receiver{Post: p, Submission: true, anybody: true}
	s := &smtp.Session{Identity: lineserver.Identity{ID: "s", User: "root@mail.test"}}
	e := &smtp.Envelope{Session: s, ID: "s-1", From: at("backup@far.test"), Data: strings.NewReader("From: backup@far.test\r\nBcc: eve@far.test\r\n\r\nx\r\n"),
		To: []smtp.Recipient{{Path: at("alice@mail.test"), Value: accounts.Targets{Local: true, Mailboxes: alice.Mailboxes}}}}
	s.Envelope = e
	if err := r.ServeSMTP(context.Background(), e); err != nil || messages(t, store) != 1 {
		t.Fatalf("%v, %d stored", err, messages(t, store))
	}
	box, err := store.Open(t.Context(), "alice@mail.test")
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	if got := mailtest.Text(t, box, 0); strings.Contains(got, "eve@") || !strings.Contains(got, "From: backup@far.test") {
		t.Errorf("%q", got)
	}
}
