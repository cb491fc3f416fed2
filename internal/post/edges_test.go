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
