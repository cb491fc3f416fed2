package post

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// counting adds a field that says how many octets it saw.
type counting struct {
	name   string
	most   int
	fields int
	fail   error // of Write
	refuse error // of Fields
	saw    *bytes.Buffer

	results  bool   // the fields are results
	unwanted string // local part of a sender
}

func (c *counting) Sender(_ context.Context, s *smtp.Session, from smtp.Path, trusted bool) error {
	if from.Local == c.unwanted {
		return smtp.ErrSenderNotOwned
	}
	s.Set(c, from.String())
	return nil
}

func (c *counting) Inspect(_ context.Context, look *Look) Inspection {
	if look.Header.Has("X-Leave-Alone") || look.Envelope.Session.Values[c] != look.Envelope.From.String() {
		return nil
	}
	c.saw = bytes.NewBufferString(look.Header.String())
	return c
}

func (c *counting) Write(p []byte) (int, error) {
	if c.fail != nil {
		return 0, c.fail
	}
	return c.saw.Write(p)
}

func (c *counting) Most() (results, fields int) { return c.most, c.most }

func (c *counting) Findings(context.Context) (found Findings, err error) {
	for i := range c.fields {
		f, err := rfc2822.NewField(c.name, fmt.Sprintf("%d of %d octets", i, c.saw.Len()))
		if err != nil {
			return found, err
		}
		if c.results {
			found.Results = append(found.Results, f.Raw())
		} else {
			found.Fields = append(found.Fields, f.Raw())
		}
	}
	return found, c.refuse
}

// mailTo takes a message from a client that sends it as it stands.
func mailTo(p *Post, text string, to ...string) error {
	return visit{user: "ann@mail.test", from: "ann@mail.test", submission: true}.send(p, text, to...)
}

// names are the header's field names from above to below.
func names(t *testing.T, text string) string {
	t.Helper()
	m, err := rfc2822.ReadString(text)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for f := range m.Header.All() {
		all = append(all, f.Name())
	}
	return strings.Join(all, " ")
}

var alice = accounts.Targets{Mailboxes: []domains.Address{"alice@mail.test"}}

// TestTopInOrder: all that stands on top is there in its order, whatever the size of the
// message and whatever was expected, and the message is below it, octet for octet, as it
// was shown to the inspectors.
func TestTopInOrder(t *testing.T) {
	for _, size := range []int{0, 1000, 64 << 10, 200_000} {
		for _, most := range []int{0, 40, 80, 5000} { // that is too little, and too much
			p, store := newPost(t, village{"alice@mail.test": alice, "ann@mail.test": alice, "list@mail.test": {
				Mailboxes: []domains.Address{"alice@mail.test"}, Elsewhere: []smtp.Path{{Local: "x", Domain: "far.test"}}}})
			p.Outbound = newOutbound(t, "")
			one, two := &counting{name: "X-One", most: most, fields: 1}, &counting{name: "X-Two", fields: 2}
			three := &counting{name: "X-Result", most: most, fields: 1, results: true}
			p.Inspectors = []Inspector{one, three, two}
			text := "Subject: s\r\n\r\n" + strings.Repeat("0123456789abcde\r\n", size/17)
			if err := mailTo(p, text, "alice@mail.test", "list@mail.test", "direct@far.test"); err != nil {
				t.Fatal(err)
			}
			if one.saw.String() != text || two.saw.String() != text {
				t.Errorf("%d octets: %d and %d were inspected", len(text), one.saw.Len(), two.saw.Len())
			}
			box, err := store.Open(t.Context(), "alice@mail.test")
			if err != nil {
				t.Fatal(err)
			}
			got := mailtest.Text(t, box, 0)
			box.Close()
			order := strings.Replace(names(t, got), " X-Padding", "", 1)
			if order != "Return-Path X-Result Received X-One X-Two X-Two Date Message-ID Subject" || !strings.HasSuffix(got, text) {
				t.Errorf("%d octets, %d expected: %s in %.600q", len(text), most, order, got)
			}
			if !strings.Contains(got, fmt.Sprintf("X-One: 0 of %d octets\r\n", len(text))) {
				t.Errorf("%d octets: %.600q", len(text), got)
			}
			queued(t, p.Outbound, text)
		}
	}
}

// TestTopAboveNoHeader: a message without header, or that begins with half a field, is
// below what stands on top as it came, with the seam between them and nothing else.
func TestTopAboveNoHeader(t *testing.T) {
	for text, seam := range map[string]string{"no header here\r\n": "\r\n\r\n", " half a field\r\nSubject: s\r\n\r\n": "\r\nX-Leading-Line:\r\n"} {
		for _, size := range []int{0, 200_000} {
			for _, most := range []int{0, 40, 5000} {
				p, store := newPost(t, village{"alice@mail.test": alice, "ann@mail.test": alice})
				p.Inspectors = []Inspector{&counting{name: "X-One", most: most, fields: 1}}
				text := text + strings.Repeat("0123456789abcde\r\n", size/17)
				if err := mailTo(p, text, "alice@mail.test"); err != nil {
					t.Fatal(err)
				}
				box, err := store.Open(t.Context(), "alice@mail.test")
				if err != nil {
					t.Fatal(err)
				}
				got := mailtest.Text(t, box, 0)
				box.Close()
				if !strings.HasSuffix(got, seam+text) {
					t.Errorf("%.20q, %d octets, %d expected: %.600q", text, len(text), most, got)
				}
			}
		}
	}
}

// queued looks at the entry for whom an alias leads elsewhere, and at the other.
func queued(t *testing.T, o *Outbound, text string) {
	t.Helper()
	want := map[string]string{
		"x@far.test":      "Delivered-To Received X-One X-Two X-Two Date Message-ID Subject",
		"direct@far.test": "Received X-One X-Two X-Two Date Message-ID Subject",
	}
	all, err := o.spooled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for to, message := range all {
		if order := names(t, message); order != want[to] || !strings.HasSuffix(message, text) {
			t.Errorf("to %s: %s in %.600q", to, order, message)
		}
		delete(want, to)
	}
	if len(want) > 0 {
		t.Errorf("nothing was queued for %v", want)
	}
}

// TestInspectorRefuses: what an inspector says is the answer, and nothing is stored.
func TestInspectorRefuses(t *testing.T) {
	virus := &smtp.Reply{Code: 554, Enhanced: "5.7.1", Text: "This is a virus"}
	for name, c := range map[string]*counting{
		"while it passes": {fail: virus}, "at the end": {refuse: virus}, "broken": {fail: errors.New("no answer")}, "broken at the end": {refuse: errors.New("no answer")},
	} {
		p, store := newPost(t, village{"alice@mail.test": alice, "ann@mail.test": alice})
		p.Inspectors = []Inspector{c}
		err := mailTo(p, "Subject: s\r\n\r\nx\r\n", "alice@mail.test")
		var reply *smtp.Reply
		if !errors.As(err, &reply) {
			t.Fatalf("%s: %v", name, err)
		}
		if broken := strings.HasPrefix(name, "broken"); broken != reply.Temporary() {
			t.Errorf("%s: %v", name, err)
		}
		if u, _ := store.Usage(t.Context(), "alice@mail.test"); u.Messages != 0 {
			t.Errorf("%s: stored", name)
		}
		if err := mailTo(p, "X-Leave-Alone: s\r\n\r\nx\r\n", "alice@mail.test"); err != nil {
			t.Errorf("%s: not looked at, and refused with %v", name, err)
		}
	}
}

// TestInspectorRefusesSender: a sender can be refused at MAIL, and others are not.
func TestInspectorRefusesSender(t *testing.T) {
	p, _ := newPost(t, village{"alice@mail.test": alice, "ann@mail.test": alice})
	p.Inspectors = []Inspector{&counting{name: "X-One", unwanted: "ann"}}
	if err := mailTo(p, "Subject: s\r\n\r\nx\r\n", "alice@mail.test"); !errors.Is(err, smtp.ErrSenderNotOwned) {
		t.Errorf("%v", err)
	}
	p.Inspectors = []Inspector{&counting{name: "X-One", unwanted: "bob"}}
	if err := mailTo(p, "Subject: s\r\n\r\nx\r\n", "alice@mail.test"); err != nil {
		t.Errorf("another sender: %v", err)
	}
}

// asking notes whom a client speaks for.
type asking struct{ speaksFor func(smtp.Path) bool }

func (a *asking) Sender(context.Context, *smtp.Session, smtp.Path, bool) error { return nil }

func (a *asking) Inspect(_ context.Context, look *Look) Inspection {
	a.speaksFor = look.SpeaksFor
	return nil
}

// TestSpeaksFor: inspectors are told whose domains the client speaks for, whatever its messages may say.
func TestSpeaksFor(t *testing.T) {
	p, _ := newPost(t, village{"alice@mail.test": alice, "ann@mail.test": alice})
	a := new(asking)
	p.Inspectors = []Inspector{a}
	if err := mailTo(p, "From: boss@other.test\r\n\r\nx\r\n", "alice@mail.test"); err != nil {
		t.Fatal(err)
	}
	at := func(domain string) smtp.Path { return smtp.Path{Local: "boss", Domain: domain} }
	if !a.speaksFor(at("mail.test")) || !a.speaksFor(at("Mail.TEST.")) || a.speaksFor(at("other.test")) {
		t.Error("a user speaks for another domain, or not for his own")
	}
	s := &smtp.Session{}
	stranger := (&Receiver{Post: p}).speaksFor(&smtp.Envelope{Session: s})
	s = &smtp.Session{Identity: lineserver.Identity{User: "root@mail.test"}}
	root := (&Receiver{Post: p, Submission: true, anybody: true}).speaksFor(&smtp.Envelope{Session: s})
	if stranger(at("mail.test")) || !root(at("other.test")) {
		t.Errorf("a stranger: %v, root: %v", stranger(at("mail.test")), root(at("other.test")))
	}
}
