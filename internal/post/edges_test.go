package post

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// TestMostAliases: so many aliases of one message have entries of their own, which say by
// whom they were forwarded, and those beyond go without.
func TestMostAliases(t *testing.T) {
	o := newOutbound(t, "")
	mailtest.Edge(t, "aliases", mostAliases, func(n int) bool {
		var to []remote
		for i := range n {
			alias := smtp.Path{Local: fmt.Sprint("a", i), Domain: "mail.test"}
			to = append(to, remote{rcpt: smtp.Recipient{Path: alias}, path: smtp.Path{Local: fmt.Sprint("x", i), Domain: "far.test"}, forwarded: true})
		}
		parts, err := o.parts(village{}, &smtp.Envelope{From: smtp.Path{Local: "ann", Domain: "third.test"}}, to)
		if err != nil {
			t.Fatal(err)
		}
		named, reached := 0, 0
		for _, p := range parts {
			if p.first != "" {
				named++
			}
			reached += len(p.to)
		}
		if reached != n || named > mostAliases {
			t.Errorf("%d aliases: %d recipients in %d entries, %d named", n, reached, len(parts), named)
		}
		return named == n
	})
}

// TestOnwardKeepsTheAddress: the address that the sender knows goes along, as what it is,
// unless the sender has said another.
func TestOnwardKeepsTheAddress(t *testing.T) {
	elsewhere := accounts.Targets{Local: true, Elsewhere: []smtp.Path{{Local: "x", Domain: "far.test"}}}
	for _, tt := range []struct {
		local, typ, given string
		want              string
	}{
		{"ann", "", "", "rfc822;ann@mail.test"}, {"änn", "", "", "utf-8;änn@mail.test"}, {"ann", "rfc822", "first@else.test", "rfc822;first@else.test"},
	} {
		r := onward(smtp.Recipient{Path: smtp.Path{Local: tt.local, Domain: "mail.test"}, Params: smtp.RcptParams{ORcptType: tt.typ, ORcpt: tt.given}}, elsewhere)
		if got := r.Params.ORcptType + ";" + r.Params.ORcpt; got != tt.want {
			t.Errorf("%s: %s, want %s", tt.local, got, tt.want)
		}
	}
	if r := onward(smtp.Recipient{Path: smtp.Path{Local: "x", Domain: "far.test"}}, accounts.Targets{}); r.Params.ORcpt != "" {
		t.Errorf("of another host: %+v", r.Params)
	}
}

// TestGrants: what a mailbox here cannot do is refused for one, and is the next hop's
// business elsewhere.
func TestGrants(t *testing.T) {
	later, since := time.Now().Add(time.Hour), time.Unix(0, 0)
	here, away := accounts.Targets{Mailboxes: []domains.Address{"ann@mail.test"}}, accounts.Targets{Elsewhere: []smtp.Path{{Local: "x", Domain: "far.test"}}}
	for _, tt := range []struct {
		found  accounts.Targets
		mail   smtp.Params
		params smtp.RcptParams
		want   error
	}{
		{here, smtp.Params{}, smtp.RcptParams{}, nil}, {here, smtp.Params{HoldUntil: later}, smtp.RcptParams{}, errNotHeld}, {here, smtp.Params{HoldUntil: since}, smtp.RcptParams{}, nil},
		{here, smtp.Params{}, smtp.RcptParams{RRVS: since}, nil}, {here, smtp.Params{}, smtp.RcptParams{RRVS: since, RRVSReject: true}, errNotKnown},
		{away, smtp.Params{HoldUntil: later}, smtp.RcptParams{RRVS: since, RRVSReject: true}, nil},
	} {
		err := grants(&smtp.Envelope{Params: tt.mail}, &smtp.Recipient{Params: tt.params}, tt.found)
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%+v %+v: %v, want %v", tt.mail, tt.params, err, tt.want)
		}
	}
}

// TestDeliveredTo: an alias that has forwarded a message says so in one line, or not at all.
func TestDeliveredTo(t *testing.T) {
	for _, c := range []struct {
		alias smtp.Path
		utf8  bool
		want  string
	}{
		{smtp.Path{Local: "ann", Domain: "mail.test"}, false, "Delivered-To: ann@mail.test\r\n"},
		{smtp.Path{Local: "änn", Domain: "mail.test"}, true, "Delivered-To: änn@mail.test\r\n"},
		{smtp.Path{Local: "änn", Domain: "mail.test"}, false, ""},
		{smtp.Path{Local: "ann\r\nX-Evil: x", Domain: "mail.test"}, false, ""},
		{smtp.Path{Local: "ann\nX-Evil: x", Domain: "mail.test"}, true, ""},
		{smtp.Path{Local: "ann", Domain: "mail.test\r"}, false, ""},
		{smtp.Path{Local: "postmaster"}, false, ""},
		{smtp.Path{Local: "SRS0=x=y=third.test=ann", Domain: "mail.test"}, false, ""},
	} {
		if got := deliveredTo(c.alias, c.utf8); got != c.want {
			t.Errorf("%q: %q, want %q", c.alias, got, c.want)
		}
	}
}

// TestForwardLoops: a message that one of its aliases has sent away is in a loop, however many the alias leads to and
// however the field is written; one that only passed by other aliases, or by one that stays here, is not.
func TestForwardLoops(t *testing.T) {
	away := accounts.Targets{Local: true, Elsewhere: []smtp.Path{at("x@far.test")}}
	both := accounts.Targets{Local: true, Mailboxes: alice.Mailboxes, Elsewhere: []smtp.Path{at("x@far.test"), at("y@far.test")}}
	here := accounts.Targets{Local: true, Mailboxes: alice.Mailboxes}
	for _, c := range []struct {
		to    accounts.Targets
		alias string
		field string
		want  bool
	}{
		{away, "list@mail.test", "list@mail.test", true}, {both, "list@mail.test", "list@mail.test", true}, {away, "list@mail.test", " <LIST@Mail.Test>", true},
		{here, "list@mail.test", "list@mail.test", false}, {away, "list@mail.test", "other@mail.test", false}, {away, "list@mail.test", "no address", false},
		{accounts.Targets{Elsewhere: []smtp.Path{at("x@far.test")}}, "x@far.test", "x@far.test", false}, {away, "SRS0=a=b=c.test=d@mail.test", "SRS0=a=b=c.test=d@mail.test", false},
	} {
		header, _, err := rfc2822.Peek(strings.NewReader("Delivered-To: nobody@else.test\r\nDelivered-To: "+c.field+"\r\n\r\n"), commonHeader)
		if err != nil {
			t.Fatal(err)
		}
		e := &smtp.Envelope{To: []smtp.Recipient{{Path: at("first@mail.test"), Value: here}, {Path: at(c.alias), Value: c.to}}}
		if got := forwardLoop(village{}, e, header); got != c.want {
			t.Errorf("%s, delivered to %q: a loop: %v", c.alias, c.field, got)
		}
	}
}

// TestIdle: what is counted of somebody is forgotten as soon as nothing is lost by that, and no sooner for any of its parts.
func TestIdle(t *testing.T) {
	now := time.Now()
	old := ledger{Hour: Period{Since: now.Add(-rateHour)}, Day: Period{Since: now.Add(-rateDay)}, Told: now.Add(-rateDay), Lifted: now}
	if !old.idle(now) {
		t.Error("what is over is kept")
	}
	for name, change := range map[string]func(l *ledger){
		"held": func(l *ledger) { l.Held = true }, "hour": func(l *ledger) { l.Hour.Since = l.Hour.Since.Add(1) }, "day": func(l *ledger) { l.Day.Since = l.Day.Since.Add(1) },
		"lifted": func(l *ledger) { l.Lifted = now.Add(1) }, "told": func(l *ledger) { l.Told = l.Told.Add(1) },
	} {
		l := old
		if change(&l); l.idle(now) {
			t.Errorf("%s: it is forgotten", name)
		}
	}
}

// TestClaimOfStranger: strangers' domains are counted by the network that they come from, and so shown.
func TestClaimOfStranger(t *testing.T) {
	limits := &Limits{SenderDomain: Rate{Hour: Amount{Messages: 7}}}
	for address, want := range map[string]string{"192.0.2.77:25": "192.0.2.0/24", "[2001:db8:1:2::3]:25": "2001:db8:1::/48"} {
		s := sessionOf("", address)
		s.Envelope = &smtp.Envelope{From: smtp.Path{Local: "x", Domain: "Far.TEST"}}
		c := incomingFrom(limits, s)
		if c.whose != OfSenderDomain || c.name != "far.test" || c.network.String() != want || c.rate != limits.SenderDomain {
			t.Errorf("%s: %+v", address, c)
		}
	}
}

// TestFullInOrder: those who have met a limit are listed by what they are and their names, the first so many.
func TestFullInOrder(t *testing.T) {
	p := sends(Rate{Hour: Amount{Messages: 1}})
	for i := range mostFull + 5 {
		for range 2 {
			p.mayName(sessionOf(fmt.Sprintf("u%03d@mail.test", (i*37)%(mostFull+5)), "192.0.2.7:1"))
		}
	}
	all := p.Full()
	if len(all) != mostFull {
		t.Fatalf("%d of %d", len(all), mostFull)
	}
	for i, l := range all {
		if want := fmt.Sprintf("u%03d@mail.test", i); l.Name != want {
			t.Fatalf("the %dth is %s", i, l.Name)
		}
	}
}

// TestNeedsUTF8: every character beyond ASCII, and none of it.
func TestNeedsUTF8(t *testing.T) {
	for text, want := range map[string]bool{"x": false, "\x7f": false, "\u0080": true, "ü": true, "\U0001f4ee": true} {
		m, err := rfc2822.Read(strings.NewReader("Subject: " + text + "\r\n\r\nü\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := needsUTF8(&smtp.Envelope{}, &m.Header); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	m, _ := rfc2822.Read(strings.NewReader("Subject: x\r\n\r\n"))
	for name, e := range map[string]*smtp.Envelope{"sender": {From: smtp.Path{Local: "ü", Domain: "a.test"}}, "recipient": {To: []smtp.Recipient{{}, {Path: smtp.Path{Local: "ü", Domain: "a.test"}}}}} {
		if !needsUTF8(e, &m.Header) {
			t.Errorf("the %s has more than ASCII", name)
		}
	}
}

// TestReaches: a report comes to who has room, here or in the queue, and to nobody else.
func TestReaches(t *testing.T) {
	p, _ := newPost(t, village{})
	dir := village{"ann@mail.test": {Mailboxes: []domains.Address{"ann@mail.test"}}}
	o := newOutbound(t, "")
	o.need.Mailboxes = p.Mailboxes
	ann, far, nobody := smtp.Path{Local: "ann", Domain: "mail.test"}, smtp.Path{Local: "x", Domain: "far.test"}, smtp.Path{Local: "no", Domain: "mail.test"}
	const huge = 1 << 60
	for name, c := range map[string]struct {
		to   smtp.Path
		size int64
		want bool
	}{"here": {ann, 100, true}, "elsewhere": {far, 100, true}, "nobody": {nobody, 100, false}, "no room here": {ann, huge, false}, "no room in the queue": {far, huge, false}} {
		if got := o.reaches(t.Context(), dir, c.to, func(domains.Address) int64 { return c.size }); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
