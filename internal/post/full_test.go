package post

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// street is where alice, bob and ann live, and an alias of the first two.
func street() village {
	return village{
		"alice@mail.test": alice, "bob@mail.test": {Mailboxes: []domains.Address{"bob@mail.test"}}, "ann@mail.test": {Mailboxes: []domains.Address{"ann@mail.test"}},
		"both@mail.test": {Mailboxes: []domains.Address{"alice@mail.test", "bob@mail.test"}}, "also@mail.test": {Mailboxes: []domains.Address{"bob@mail.test"}},
	}
}

// withOutbound lets reports of ours reach the mailboxes.
func withOutbound(t *testing.T, p *Post) {
	p.Outbound = newOutbound(t, "")
	dir := p.Rules().Directory
	p.Outbound.need.Mailboxes, p.Outbound.need.Directory = p.Mailboxes, func() Directory { return dir }
}

// held is how many messages each has.
func held(t *testing.T, store *maildir.Store, users ...string) string {
	t.Helper()
	var all []string
	for _, user := range users {
		u, err := store.Usage(t.Context(), user+"@mail.test")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(user, " ", u.Messages))
	}
	return strings.Join(all, ", ")
}

// TestFullBehindData: a mailbox turns out to be full when the message has come. Who hears of it, and who has the message,
// is as docs/flow.md has it: nobody is told a lie, and nothing is told to an address that may be forged.
func TestFullBehindData(t *testing.T) {
	t.Parallel()
	user := visit{user: "ann@mail.test", from: "ann@mail.test", submission: true}
	stranger := visit{from: "ann@mail.test"}
	never := user
	never.notify = smtp.NotifyNever
	delay := user
	delay.notify = smtp.NotifyDelay
	failure := user
	failure.notify = smtp.NotifyFailure
	lmtp := visit{from: "ann@mail.test", lmtp: true}
	over, large := mailstore.ErrOverQuota, mailstore.ErrNeverFits
	for _, c := range []struct {
		name   string
		visit  visit
		to     string
		full   map[string]error
		noway  bool   // no mail leaves, nor do reports
		reply  string // for all
		each   string // codes of recipients by LMTP
		held   string // of alice and bob
		report string // ann is told of these
	}{
		{"a user's", user, "bob alice", map[string]error{"bob": over}, false, "", "", "alice 1, bob 0", "bob@mail.test"},
		{"a user's, to himself too", user, "bob ann alice", map[string]error{"bob": over}, false, "", "", "alice 1, bob 0", "bob@mail.test"},
		{"a user's, larger than it may hold", user, "bob alice", map[string]error{"bob": large}, false, "", "", "alice 1, bob 0", "bob@mail.test"},
		{"a user's who wants to hear of failures", failure, "bob alice", map[string]error{"bob": over}, false, "", "", "alice 1, bob 0", "bob@mail.test"},
		{"a user's who wants to hear nothing", never, "bob alice", map[string]error{"bob": over}, false, "452 4.2.2", "", "alice 0, bob 0", ""},
		{"a user's who wants to hear of delays alone", delay, "bob alice", map[string]error{"bob": over}, false, "452 4.2.2", "", "alice 0, bob 0", ""},
		{"a user's from nobody", visit{user: "ann@mail.test"}, "bob alice", map[string]error{"bob": over}, false, "452 4.2.2", "", "alice 0, bob 0", ""},
		{"a user's, where no mail leaves", user, "bob alice", map[string]error{"bob": over}, true, "452 4.2.2", "", "alice 0, bob 0", ""},
		{"a user's whose own mailbox is full", user, "bob alice", map[string]error{"bob": over, "ann": over}, false, "451 4.3.0", "", "alice 1, bob 0", ""},
		{"a stranger's", stranger, "bob alice", map[string]error{"bob": over}, false, "452 4.2.2", "", "alice 0, bob 0", ""},
		{"a stranger's, larger than it may hold", stranger, "bob alice", map[string]error{"bob": large}, false, "452 4.2.2", "", "alice 0, bob 0", ""},
		{"for full mailboxes only", user, "bob", map[string]error{"bob": over}, false, "452 4.2.2", "", "alice 0, bob 0", ""},
		{"that fits into no mailbox of all", user, "alice bob", map[string]error{"alice": large, "bob": large}, false, "552 5.2.2", "", "alice 0, bob 0", ""},
		{"that fits into one of them some day", user, "alice bob", map[string]error{"alice": over, "bob": large}, false, "452 4.2.2", "", "alice 0, bob 0", ""},
		{"a stranger's, that fits into no mailbox", stranger, "bob", map[string]error{"bob": large}, false, "552 5.2.2", "", "alice 0, bob 0", ""},
		{"an alias's, of a user", user, "both", map[string]error{"bob": over}, false, "", "", "alice 1, bob 0", "both@mail.test"},
		{"an alias's, of a stranger", stranger, "both", map[string]error{"bob": over}, false, "452 4.2.2", "", "alice 0, bob 0", ""},
		{"two names of one, of a user", user, "bob also alice", map[string]error{"bob": over}, false, "", "", "alice 1, bob 0", "bob@mail.test also@mail.test"},
		{"by LMTP", lmtp, "bob alice", map[string]error{"bob": over}, false, "", "452 0", "alice 1, bob 0", ""},
		{"by LMTP, larger than it may hold", lmtp, "bob alice", map[string]error{"bob": large}, false, "", "552 0", "alice 1, bob 0", ""},
		{"by LMTP, an alias's", lmtp, "both", map[string]error{"bob": over}, false, "", "452", "alice 0, bob 0", ""},
		{"by LMTP, an alias's and one's", lmtp, "both alice", map[string]error{"bob": over}, false, "", "452 0", "alice 1, bob 0", ""},
		{"by LMTP, both", lmtp, "bob alice", map[string]error{"bob": over, "alice": over}, false, "", "452 452", "alice 0, bob 0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, store := newPost(t, street())
			full := make(map[string]error)
			for name, why := range c.full {
				full[name+"@mail.test"] = why
			}
			var sent *smtp.Envelope
			c.visit.busy = func(_ *Receiver, e *smtp.Envelope) { sent = e }
			p.Mailboxes = lately{store, full}
			if !c.noway {
				withOutbound(t, p)
			}
			var to []string
			for name := range strings.FieldsSeq(c.to) {
				to = append(to, name+"@mail.test")
			}
			before := held(t, store, "ann")
			err := c.visit.send(p, "Subject: s\r\nX-Own: x\r\n\r\n"+strings.Repeat("body\r\n", 1000), to...)
			var reply *smtp.Reply
			switch {
			case c.reply == "" && err != nil:
				t.Fatal(err)
			case c.reply != "" && (!errors.As(err, &reply) || fmt.Sprint(reply.Code, " ", reply.Enhanced) != c.reply):
				t.Errorf("%v, want %s", err, c.reply)
			}
			if got := held(t, store, "alice", "bob"); got != c.held {
				t.Errorf("%s, want %s", got, c.held)
			}
			if c.each != "" {
				var codes []string
				for i := range sent.To {
					code := 0
					if errors.As(sent.To[i].Result, &reply) {
						code = reply.Code
					}
					codes = append(codes, fmt.Sprint(code))
				}
				if strings.Join(codes, " ") != c.each {
					t.Errorf("answers %q, want %s", codes, c.each)
				}
			}
			if c.report == "" {
				if got := held(t, store, "ann"); got != before {
					t.Errorf("a report: %s", got)
				}
				return
			}
			told(t, store, strings.Fields(c.report))
		})
	}
}

// told looks at the report that ann has.
func told(t *testing.T, store *maildir.Store, want []string) {
	t.Helper()
	box, err := store.Open(t.Context(), "ann@mail.test")
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	for i := range box.Len() {
		m, err := rfc2822.ReadString(mailtest.Text(t, box, i))
		if err != nil {
			t.Fatal(err)
		}
		report, err := m.ParseReport(rfc2822.Limits{})
		if err != nil {
			continue
		}
		var got []string
		for _, r := range report.Recipients {
			if r.Action != rfc2822.Failed || r.Status != "5.2.2" || !strings.HasPrefix(r.DiagnosticCode, "552 5.2.2 ") {
				t.Errorf("%+v", r)
			}
			got = append(got, r.FinalRecipient)
		}
		if !slices.Equal(got, want) || report.Returned == nil || report.Returned.Get("X-Own") != "x" {
			t.Errorf("told of %q, want %q, of the message with %+v", got, want, report.Returned)
		}
		return
	}
	t.Errorf("no report among %d messages", box.Len())
}

// TestFullAtRcpt: what is known to have no room when the recipient is named is refused there, alone: for now, or for good
// where the message as announced can never fit. Of several mailboxes one that has room will do for a user.
func TestFullAtRcpt(t *testing.T) {
	t.Parallel()
	user, stranger := visit{user: "ann@mail.test", from: "ann@mail.test", submission: true}, visit{from: "a@far.test"}
	for _, c := range []struct {
		name  string
		visit visit
		size  int64 // announced
		to    string
		noway bool
		want  string
	}{
		{"there is room", stranger, 0, "alice", false, ""},
		{"none", stranger, 0, "bob", false, "452 4.2.2"},
		{"none, for a user", user, 0, "bob", false, "452 4.2.2"},
		{"nor will there be", stranger, 5000, "bob", false, "552 5.2.2"},
		{"too large for the rest", stranger, 100_000, "alice", false, "552 5.2.2"},
		{"one of two, for a user", user, 0, "both", false, ""},
		{"one of two, where no report leaves", user, 0, "both", true, "452 4.2.2"},
		{"one of two, for a stranger", stranger, 0, "both", false, "452 4.2.2"},
		{"somebody else's", stranger, 0, "x@far.test", false, "550 5.7.1"},
		{"somebody else's, of a user", user, 0, "x@far.test", false, ""},
		{"somebody else's, where no mail leaves", user, 0, "x@far.test", true, "550 5.7.1"},
		{"nobody", stranger, 0, "nobody", false, "550 5.1.1"},
	} {
		store, err := maildir.Open(t.TempDir(), maildir.WithReserve(0), maildir.WithQuota(func(u string) maildir.Quota {
			switch u {
			case "bob@mail.test":
				return maildir.Quota{Octets: 1000, Messages: 1}
			case "alice@mail.test":
				return maildir.Quota{Octets: 50_000}
			}
			return maildir.Quota{}
		}))
		if err != nil {
			t.Fatal(err)
		}
		p, _ := newPost(t, street())
		log := keepLog(p)
		if err := fill(t, store, 500, "bob@mail.test"); err != nil {
			t.Fatal(err)
		}
		p.Mailboxes = store
		if !c.noway {
			withOutbound(t, p)
		}
		if !strings.Contains(c.to, "@") {
			c.to += "@mail.test"
		}
		reached := false
		c.visit.params.Size, c.visit.busy = c.size, func(*Receiver, *smtp.Envelope) { reached = true }
		err = c.visit.send(p, "Subject: s\r\n\r\nx\r\n", c.to)
		var reply *smtp.Reply
		if errors.As(err, &reply); (c.want == "") != reached || c.want != "" && (reply == nil || fmt.Sprint(reply.Code, " ", reply.Enhanced) != c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if quiet := strings.HasPrefix(c.want, "452") || strings.HasPrefix(c.want, "552"); quiet != strings.Contains(log.String(), "recipient refused") || quiet && reply.Unwrap() != nil {
			t.Errorf("%s: %v, and the log has %s", c.name, err, log)
		}
		store.Close()
	}
}

// fill puts a message of so many octets into a mailbox.
func fill(t *testing.T, store *maildir.Store, octets int, user string) error {
	t.Helper()
	d, err := store.Create(t.Context(), mailstore.Meta{}, user)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(d, strings.Repeat("x", octets-2)+"\r\n"); err != nil {
		return err
	}
	return d.Commit(t.Context(), nil)
}

// TestLateKnown: what had no room behind DATA is refused at RCPT when it comes again, alone and for now, once; a
// message that was announced larger is another one.
func TestLateKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		announced int64
		again     bool // it is refused at RCPT
	}{{0, true}, {100, true}, {1 << 20, false}} {
		store, err := maildir.Open(t.TempDir(), maildir.WithReserve(0), maildir.WithQuota(func(u string) maildir.Quota {
			if u == "bob@mail.test" {
				return maildir.Quota{Octets: 2 << 20}
			}
			return maildir.Quota{}
		}))
		if err != nil {
			t.Fatal(err)
		}
		p, _ := newPost(t, street())
		if err := fill(t, store, 2<<20-50_000, "bob@mail.test"); err != nil {
			t.Fatal(err)
		}
		p.Mailboxes = store
		text := "Subject: s\r\n\r\n" + strings.Repeat("0123456789\r\n", 5000)
		if err := (visit{from: "a@far.test"}).send(p, text, "bob@mail.test", "alice@mail.test"); !errors.Is(err, smtp.ErrMailboxFull) {
			t.Errorf("the first time: %v", err)
		}
		reached := false
		v := visit{from: "a@far.test", params: smtp.Params{Size: c.announced}, busy: func(*Receiver, *smtp.Envelope) { reached = true }}
		err = v.send(p, text, "bob@mail.test")
		var reply *smtp.Reply
		if errors.As(err, &reply); c.announced > 50_000 {
			if reply == nil || reached { // by what it says itself
				t.Errorf("announced as %d: %v", c.announced, err)
			}
		} else if reached == c.again || reply == nil || reply.Code != 452 {
			t.Errorf("announced as %d: %v, behind RCPT: %v", c.announced, err, reached)
		}
		store.Close()
	}
}

// TestNobodyTwice: two addresses that lead to one elsewhere are one copy, by the wish of the one who was named himself.
func TestNobodyTwice(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"x@far.test", "list@mail.test"}, {"list@mail.test", "x@far.test"}} {
		p, _ := newPost(t, village{"list@mail.test": {Elsewhere: []smtp.Path{at("x@far.test")}}})
		withOutbound(t, p)
		log := keepLog(p)
		if err := (visit{user: "ann@mail.test", from: "ann@mail.test"}).send(p, "Subject: s\r\n\r\nx\r\n", order...); err != nil {
			t.Fatal(err)
		}
		all, err := p.Outbound.spooled(t.Context())
		if err != nil || len(all) != 1 || strings.Contains(all["x@far.test"], "Delivered-To") {
			t.Errorf("%v: %q, %v", order, all, err)
		}
		if n := strings.Count(log.String(), "msg=queued"); n != 2 || !strings.Contains(log.String(), "next=x@far.test queue=") || strings.Contains(log.String(), `queue=""`) {
			t.Errorf("%v: %s", order, log)
		}
	}
}
