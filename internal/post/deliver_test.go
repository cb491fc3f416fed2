package post

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// watched are mailboxes, and a spool, that note what they are asked for.
type watched struct {
	Mailboxes
	asked *[]context.Context
	metas *[]mailstore.Meta
}

func (w watched) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	*w.asked, *w.metas = append(*w.asked, ctx), append(*w.metas, m)
	return w.Mailboxes.Create(ctx, m, users...)
}

func (w watched) Room(ctx context.Context, user string, size int64) error {
	*w.asked = append(*w.asked, ctx)
	return w.Mailboxes.Room(ctx, user, size)
}

type watchedSpool struct {
	queue.Spool
	entries *[]*queue.Entry
	tops    *[]int
}

func (w watchedSpool) Begin(ctx context.Context, e *queue.Entry, st *queue.State) (queue.Writer, error) {
	*w.entries = append(*w.entries, e)
	writer, err := w.Spool.Begin(ctx, e, st)
	return watchedWriter{writer, w.tops}, err
}

type watchedWriter struct {
	queue.Writer
	tops *[]int
}

func (w watchedWriter) Commit(ctx context.Context, top []byte) error {
	*w.tops = append(*w.tops, len(top))
	return w.Writer.Commit(ctx, top)
}

// TestWhoseMessage: what a client is decides on whose account its message is held: what a stranger
// has the disk and the queue hold is his, what everybody else has is not.
func TestWhoseMessage(t *testing.T) {
	t.Parallel()
	here := netip.MustParsePrefix("192.0.2.0/24")
	for name, c := range map[string]struct {
		visit     visit
		relay     []netip.Prefix
		counted   bool // as a stranger's, by his address
		class     queue.Class
		elsewhere string
	}{
		"stranger":       {visit{from: "a@far.test"}, nil, true, queue.Stranger, "away@mail.test"},
		"logged in":      {visit{from: "ann@mail.test", user: "ann@mail.test", submission: true}, nil, false, queue.Ordinary, "x@far.test"},
		"a relayed host": {visit{from: "a@far.test"}, []netip.Prefix{here}, false, queue.Ordinary, "x@far.test"},
		"by LMTP":        {visit{from: "a@far.test", lmtp: true}, nil, false, queue.Stranger, "away@mail.test"},
	} {
		for _, size := range []int{10, 200 << 10} {
			p, store := newPost(t, village{"alice@mail.test": alice, "ann@mail.test": alice, "away@mail.test": {Elsewhere: []smtp.Path{at("y@far.test")}}})
			p.Rules().RelayFrom = c.relay
			var asked []context.Context
			var metas []mailstore.Meta
			var entries []*queue.Entry
			var tops []int
			p.Mailboxes, p.Outbound = watched{store, &asked, &metas}, newOutbound(t, "")
			p.Outbound.queue.Spool = watchedSpool{p.Outbound.queue.Spool, &entries, &tops}
			if err := c.visit.send(p, "Subject: s\r\n\r\n"+strings.Repeat("0123456789\r\n", size/12), "alice@mail.test", c.elsewhere); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, ctx := range asked {
				if marked := ctx != context.Background(); marked != c.counted {
					t.Errorf("%s: counted as a stranger's: %v", name, marked)
				}
			}
			if len(asked) < 2 || len(metas) != 1 || len(entries) != 1 {
				t.Fatalf("%s: asked %d times, for %d deliveries and %d entries", name, len(asked), len(metas), len(entries))
			}
			if entries[0].Class != c.class {
				t.Errorf("%s: the entry is %v", name, entries[0].Class)
			}
			if entries[0].Top != tops[0] {
				t.Errorf("%s: room for %d octets on top was asked for, and %d came", name, entries[0].Top, tops[0])
			}
		}
	}
}

// TestExactOctets: a message that is no lines (BODY=BINARYMIME) is kept as it is.
func TestExactOctets(t *testing.T) {
	t.Parallel()
	for body, exact := range map[smtp.Body]bool{"": false, smtp.Body8BitMIME: false, smtp.BodyBinaryMIME: true} {
		p, store := newPost(t, village{"alice@mail.test": alice})
		text := "Subject: s\r\n\r\nlines\r\n"
		if exact {
			text = "Subject: s\r\n\r\nbare\nLF and \r CR"
		}
		var asked []context.Context
		var metas []mailstore.Meta
		p.Mailboxes = watched{store, &asked, &metas}
		if err := (visit{from: "a@far.test", params: smtp.Params{Body: body}}).send(p, text, "alice@mail.test"); err != nil {
			t.Fatal(err)
		}
		if metas[0].Exact != exact {
			t.Errorf("%q: exact: %v", body, metas[0].Exact)
		}
		box, err := store.Open(t.Context(), "alice@mail.test")
		if err != nil {
			t.Fatal(err)
		}
		if got := mailtest.Text(t, box, 0); !strings.HasSuffix(got, "\r\n"+text) {
			t.Errorf("%q: %q", body, got)
		}
		box.Close()
	}
}

// TestOnlyElsewhere: a message without a mailbox here asks the mailboxes for nothing.
func TestOnlyElsewhere(t *testing.T) {
	t.Parallel()
	p, _ := newPost(t, village{"away@mail.test": {Elsewhere: []smtp.Path{at("y@far.test")}}})
	p.Mailboxes, p.Outbound = nil, newOutbound(t, "")
	if err := (visit{from: "a@far.test"}).send(p, "Subject: s\r\n\r\nx\r\n", "away@mail.test"); err != nil || p.Outbound.queue.Counters().Entries != 1 {
		t.Errorf("%v, %d entries", err, p.Outbound.queue.Counters().Entries)
	}
}

// TestMostTargets: so many mailboxes and addresses elsewhere a message may lead to before
// another recipient is refused for now.
func TestMostTargets(t *testing.T) {
	t.Parallel()
	mailtest.Edge(t, "targets before the last recipient", mostTargets-1, func(n int) bool {
		many := accounts.Targets{}
		for i := range n {
			if i%2 == 0 {
				many.Mailboxes = append(many.Mailboxes, domains.At(fmt.Sprint("u", i), "mail.test"))
			} else {
				many.Elsewhere = append(many.Elsewhere, smtp.Path{Local: fmt.Sprint("u", i), Domain: "far.test"})
			}
		}
		e := &smtp.Envelope{To: []smtp.Recipient{{Value: many}}}
		p, _ := newPost(t, village{"alice@mail.test": alice})
		s := &smtp.Session{Envelope: e}
		err := (&Receiver{Post: p}).CheckRcpt(t.Context(), s, &smtp.Recipient{Path: at("alice@mail.test")})
		if err != nil && !errors.Is(err, smtp.ErrTooManyRecipients) {
			t.Error(err)
		}
		return err == nil
	})
}

// TestHops: a message has passed so many hosts, and is in no loop; none at all is any number.
func TestHops(t *testing.T) {
	t.Parallel()
	const received = "Received: from a.test by b.test; Mon, 30 Nov 2026 12:00:00 +0000\r\n"
	took := func(hops, n int) bool {
		p, store := newPost(t, village{"alice@mail.test": alice})
		p.Rules().MaxHops = hops
		err := visit{from: "a@far.test"}.send(p, strings.Repeat(received, n)+"\r\nx\r\n", "alice@mail.test")
		if err != nil && !errors.Is(err, errLoop) || (err == nil) != (messages(t, store) == 1) {
			t.Error(err)
		}
		return err == nil
	}
	for _, hops := range []int{1, 2, 30} {
		mailtest.Edge(t, "hops", hops, func(n int) bool { return took(hops, n) })
	}
	if !took(0, 200) {
		t.Error("any number is not taken")
	}
}

// TestSuccessIsTold: who has logged in and asks for it hears of success where the mail stays
// here; a stranger, whose address may be anybody's, hears of none, and neither does the null sender.
func TestSuccessIsTold(t *testing.T) {
	t.Parallel()
	const ask = smtp.NotifySuccess
	for name, c := range map[string]struct {
		visit visit
		want  int // reports for ann
	}{
		"a user who asks":     {visit{user: "ann@mail.test", from: "ann@mail.test", submission: true, notify: ask}, 1},
		"a user who does not": {visit{user: "ann@mail.test", from: "ann@mail.test", submission: true}, 0},
		"failure only":        {visit{user: "ann@mail.test", from: "ann@mail.test", submission: true, notify: smtp.NotifyFailure}, 0},
		"a stranger":          {visit{from: "ann@mail.test", notify: ask}, 0},
		"nobody, from a user": {visit{user: "ann@mail.test", notify: ask}, 0},
		"the null sender":     {visit{notify: ask}, 0},
	} {
		p, store := newPost(t, village{"alice@mail.test": alice, "ann@mail.test": {Mailboxes: []domains.Address{"ann@mail.test"}}})
		dir := p.Rules().Directory
		p.Outbound = newOutbound(t, "")
		p.Outbound.need.Mailboxes, p.Outbound.need.Directory = store, func() Directory { return dir }
		if err := c.visit.send(p, "Subject: s\r\n\r\nx\r\n", "alice@mail.test"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		u, err := store.Usage(t.Context(), "ann@mail.test")
		if err != nil || int(u.Messages) != c.want || messages(t, store) != 1 {
			t.Errorf("%s: %d reports (%v), want %d", name, u.Messages, err, c.want)
		}
	}
}

// TestRatesCountUsers: what users submit is counted, at RCPT, and
// nothing else is.
func TestRatesCountUsers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		visit visit
		rate  Rate
		want  int // messages of two recipients that are taken, of three
	}{
		"a user, messages":   {visit{user: "ann@mail.test", from: "ann@mail.test", submission: true}, Rate{Hour: Amount{Messages: 2}}, 2},
		"a user, recipients": {visit{user: "ann@mail.test", from: "ann@mail.test", submission: true}, Rate{Hour: Amount{Recipients: 4}}, 2},
		"any number":         {visit{user: "ann@mail.test", from: "ann@mail.test", submission: true}, Rate{}, 3},
		"on another port":    {visit{user: "ann@mail.test", from: "ann@mail.test"}, Rate{Hour: Amount{Messages: 1, Recipients: 2}}, 1},
		"a stranger":         {visit{from: "a@far.test"}, Rate{Hour: Amount{Messages: 1, Recipients: 1}}, 3},
	} {
		p, _ := newPost(t, village{"alice@mail.test": alice, "ann@mail.test": alice})
		p.Rules().Limits = &Limits{Account: func(domains.Address) Rate { return c.rate }, Domain: func(domains.Name) Rate { return Rate{} }}
		taken := 0
		for range 3 {
			if c.visit.send(p, "Subject: s\r\n\r\nx\r\n", "alice@mail.test", "ann@mail.test") == nil {
				taken++
			}
		}
		if full := p.Full(); taken != c.want || (len(full) > 0) != (c.want < 3) {
			t.Errorf("%s: %d taken, full: %v", name, taken, full)
		}
	}
}

// lately are mailboxes of which those named have this much room less than was asked for at RCPT.
type lately struct {
	*maildir.Store
	refused map[string]error
}

func (l lately) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	d, err := l.Store.Create(ctx, m, users...)
	return &lateDelivery{Delivery: d, refused: l.refused, left: slices.Clone(users)}, err
}

type lateDelivery struct {
	mailstore.Delivery
	refused map[string]error
	left    []string
}

func (d *lateDelivery) Exclude(users ...string) {
	d.left = slices.DeleteFunc(d.left, func(u string) bool { return slices.Contains(users, u) })
	d.Delivery.Exclude(users...)
}

func (d *lateDelivery) Commit(ctx context.Context, top []byte) error {
	full := make(map[string]error)
	for _, u := range d.left {
		if err := d.refused[u]; err != nil {
			full[u] = err
		}
	}
	if len(full) > 0 {
		return &mailstore.Refused{Mailboxes: full}
	}
	return d.Delivery.Commit(ctx, top)
}

// TestLateIsForNow: that a mailbox had no room behind DATA is remembered for the next attempt where it
// will come again, and only there: what can never fit says nothing of the sender's next message.
func TestLateIsForNow(t *testing.T) {
	t.Parallel()
	for why, remembered := range map[error]bool{mailstore.ErrOverQuota: true, mailstore.ErrNeverFits: false} {
		p, store := newPost(t, village{"alice@mail.test": alice})
		p.Mailboxes = lately{store, map[string]error{"alice@mail.test": why}}
		text := "Subject: s\r\n\r\nx\r\n"
		var reply *smtp.Reply
		if err := (visit{from: "a@far.test"}).send(p, text, "alice@mail.test"); !errors.As(err, &reply) || reply.Temporary() != remembered {
			t.Errorf("%v: answered %v", why, err)
		}
		if got := len(p.late.at) > 0; got != remembered {
			t.Errorf("%v: remembered: %v", why, got)
		}
		for _, r := range p.late.at {
			if r.size <= int64(len(text)) || r.size > int64(len(text))+500 {
				t.Errorf("a message of %d octets is remembered as %d", len(text), r.size)
			}
		}
		p.Mailboxes = filling{store, "alice@mail.test"} // known before any of it has come
		p.late = lateRefusals{}
		if err := (visit{from: "a@far.test"}).send(p, text, "alice@mail.test"); err == nil || len(p.late.at) != 0 {
			t.Errorf("refused before its data, and remembered: %v, %d", err, len(p.late.at))
		}
	}
}
