package post

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
)

// TestVrfy: who is trusted is told who is here, where the settings have it so; nobody else hears anything.
func TestVrfy(t *testing.T) {
	t.Parallel()
	many := accounts.Targets{}
	for i := range mostExpanded + 7 {
		many.Mailboxes = append(many.Mailboxes, domains.At(fmt.Sprint("u", i), "mail.test"))
	}
	exact := accounts.Targets{Mailboxes: many.Mailboxes[:mostExpanded]}
	dir := village{"alice@mail.test": alice, "many@mail.test": many, "exact@mail.test": exact, "list@mail.test": {Mailboxes: alice.Mailboxes, Elsewhere: []smtp.Path{at("X@far.test")}}}
	for _, c := range []struct {
		user    string
		lookups bool
		arg     string
		expand  bool
		want    string // code, text; empty: nothing
	}{
		{"ann", true, "alice", false, "250 <alice@mail.test>"}, {"ann", true, "<Alice@mail.test>", false, "250 <alice@mail.test>"}, {"ann", true, "nobody", false, "550 No such user here"},
		{"ann", true, "x@far.test", false, "252 Not an address of this server"}, {"ann", true, "a@b@c", false, "501 That is no address"},
		{"ann", true, "list", true, "250 <alice@mail.test>|<X@far.test>"}, {"ann", true, "list", false, "250 <list@mail.test>"}, {"ann", true, "nobody", true, "550 No such user here"},
		{"ann", true, "many", true, "250 <u0@mail.test>|...|<u99@mail.test>|and 7 more"}, {"ann", true, "exact", true, "250 <u0@mail.test>|...|<u99@mail.test>"},
		{"", true, "alice", false, ""}, {"ann", false, "alice", false, ""}, {"", true, "list", true, ""},
	} {
		p, _ := newPost(t, dir)
		p.Rules().Lookups = c.lookups
		r := (&Receiver{Post: p}).Vrfy(t.Context(), &smtp.Session{Identity: lineserver.Identity{User: c.user}}, c.arg, c.expand)
		got := ""
		if r != nil {
			lines := strings.Split(r.Text, "\n")
			if len(lines) > 5 {
				lines = slices.Replace(lines, 1, mostExpanded-1, "...")
			}
			got = fmt.Sprint(r.Code, " ", strings.Join(lines, "|"))
		}
		if got != c.want {
			t.Errorf("%q asks for %q: %q, want %q", c.user, c.arg, got, c.want)
		}
	}
}

// TestForgedResultsGo: what a stranger says in our name is taken out, and nothing else of his message; what comes by LMTP
// or from those who are trusted stays as it is.
func TestForgedResultsGo(t *testing.T) {
	t.Parallel()
	const forged, theirs = "Authentication-Results: mail.test; spf=pass\r\n", "Authentication-Results: far.test; spf=pass\r\n"
	body := "\r\n" + forged + strings.Repeat("body\r\n", 20_000)
	for name, c := range map[string]struct {
		visit visit
		goes  bool
	}{
		"a stranger": {visit{from: "a@far.test"}, true}, "a user": {visit{user: "ann@mail.test", from: "ann@mail.test"}, false}, "by LMTP": {visit{from: "a@far.test", lmtp: true}, false},
	} {
		p, store := newPost(t, village{"alice@mail.test": alice})
		log := keepLog(p)
		if err := c.visit.send(p, forged+theirs+"Subject: s\r\n"+forged+body, "alice@mail.test"); err != nil {
			t.Fatal(err)
		}
		box, err := store.Open(t.Context(), "alice@mail.test")
		if err != nil {
			t.Fatal(err)
		}
		want := forged + theirs + "Subject: s\r\n" + forged + body
		if c.goes {
			want = theirs + "Subject: s\r\n" + body
		}
		if got := mailtest.Text(t, box, 0); !strings.HasSuffix(got, "\r\n"+want) || c.goes != strings.Contains(log.String(), "taken out of a message") || c.goes != strings.Contains(log.String(), "fields=2") {
			t.Errorf("%s: %.300q, %s", name, got, log)
		}
		box.Close()
	}
}

// TestUTF8IsSeen: SMTPUTF8 is asked of the next host where the header or an address holds more than ASCII, whatever the
// client has claimed.
func TestUTF8IsSeen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		claimed          bool
		from, to, header string
		want             bool
	}{
		{true, "a@far.test", "alice@mail.test", "Subject: s\r\n", false}, {true, "a@far.test", "alice@mail.test", "Subject: s\x7f\r\n", false},
		{true, "a@far.test", "alice@mail.test", "Subject: ß\r\n", true}, {true, "a@far.test", "alice@mail.test", "Subject: \xff\r\n", true}, {true, "ä@far.test", "alice@mail.test", "Subject: s\r\n", true},
		{true, "a@far.test", "ä@mail.test", "Subject: s\r\n", true}, {false, "a@far.test", "alice@mail.test", "Subject: ß\r\n", false},
		{true, "a@far.test", "alice@mail.test", strings.Repeat("X-Y: "+strings.Repeat("z", 900)+"\r\n", 1200), true}, // more than is looked at
	} {
		p, _ := newPost(t, village{"alice@mail.test": alice, "ä@mail.test": alice})
		var e *smtp.Envelope
		v := visit{user: "ann@mail.test", from: c.from, params: smtp.Params{SMTPUTF8: c.claimed}, busy: func(_ *Receiver, sent *smtp.Envelope) { e = sent }}
		if err := v.send(p, c.header+"\r\nbödy\r\n", c.to); err != nil || e.Params.SMTPUTF8 != c.want {
			t.Errorf("%.40q from %s to %s, claimed: %v: %v, %v", c.header, c.from, c.to, c.claimed, e.Params.SMTPUTF8, err)
		}
	}
}

// TestReceivedTells: who brought the message, how and for whom.
func TestReceivedTells(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		identity lineserver.Identity
		lmtp     bool
		to       []string
		want     []string
	}{
		{lineserver.Identity{RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4}}, false, []string{"alice@mail.test"}, []string{"[192.0.2.1]", "with SMTP", "for <alice@mail.test>"}},
		{lineserver.Identity{RemoteAddr: &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 4}}, true, []string{"alice@mail.test", "bob@mail.test"}, []string{"[IPv6:2001:db8::1]", "with LMTP", ""}},
		{lineserver.Identity{}, false, []string{"alice@mail.test"}, []string{"", "with local", "for <alice@mail.test>"}},
		{lineserver.Identity{RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4}, TLS: &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}}, false, nil,
			[]string{"[192.0.2.1]", "(TLS1.3 TLS_AES_128_GCM_SHA256)", ""}},
	} {
		e := &smtp.Envelope{Session: &smtp.Session{Identity: c.identity, LMTP: c.lmtp, Helo: "me.far.test"}, ID: "s-1"}
		for _, to := range c.to {
			e.To = append(e.To, smtp.Recipient{Path: at(to)})
		}
		got := received(e, "mail.test", now).String()
		for i, part := range []string{"[", "with ", "for <"} {
			if c.want[i] != "" && !strings.Contains(got, c.want[i]) || c.want[i] == "" && strings.Contains(got, part) {
				t.Errorf("%+v: %q, want %q", c.identity, got, c.want)
			}
		}
		if !strings.Contains(got, "by mail.test") || !strings.Contains(got, "me.far.test") || !strings.Contains(got, "id s-1") {
			t.Errorf("%q", got)
		}
	}
}

// TestSpeaksForWhom: a user speaks for the domains of his addresses, that of a sender that is not his excepted.
func TestSpeaksForWhom(t *testing.T) {
	t.Parallel()
	p, _ := newPost(t, nil)
	p.Rules().Directory = hamlet{village{}}
	s := &smtp.Session{Identity: lineserver.Identity{User: "ann@town.test"}}
	for _, c := range []struct {
		from, asked string
		want        bool
	}{
		{"sales@mail.test", "boss@town.test", true}, {"sales@mail.test", "boss@mail.test", true}, {"boss@mail.test", "boss@mail.test", false}, {"boss@mail.test", "sales@mail.test", true},
		{"boss@far.test", "boss@far.test", false}, {"", "boss@far.test", false},
	} {
		speaks := (&Receiver{Post: p}).speaksFor(&smtp.Envelope{Session: s, From: at(c.from)})
		if got := speaks(at(c.asked)); got != c.want {
			t.Errorf("from %q, for %s: %v", c.from, c.asked, got)
		}
	}
}

// TestWhatIsReported: a report of success names the recipient as the sender did, with its code; one that holds more than
// ASCII says so.
func TestWhatIsReported(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		subject, to string
		body        smtp.Body
	}{{"plain", "alice@mail.test", ""}, {"plain\x7f", "alice@mail.test", ""}, {"größer", "alice@mail.test", smtp.Body8BitMIME}, {"\u0080", "alice@mail.test", smtp.Body8BitMIME}} {
		p, _ := newPost(t, village{"alice@mail.test": alice})
		r := &Receiver{Post: p}
		e := &smtp.Envelope{Session: &smtp.Session{Helo: "me.test"}, ID: "s-1", From: at("ann@mail.test"), To: []smtp.Recipient{
			{Path: at("Alice@mail.test"), Value: alice, Params: smtp.RcptParams{Notify: smtp.NotifySuccess, ORcptType: "rfc822", ORcpt: "first@else.test"}},
			{Path: at("quiet@mail.test"), Value: alice}, {Path: at("refused@mail.test"), Value: alice, Result: smtp.ErrMailboxFull, Params: smtp.RcptParams{Notify: smtp.NotifySuccess}},
			{Path: at("list@mail.test"), Value: accounts.Targets{Local: true, Mailboxes: alice.Mailboxes, Elsewhere: []smtp.Path{at("x@far.test")}}, Params: smtp.RcptParams{Notify: smtp.NotifySuccess}},
			{Path: at("x@far.test"), Value: accounts.Targets{Elsewhere: []smtp.Path{at("x@far.test")}}, Params: smtp.RcptParams{Notify: smtp.NotifySuccess}},
		}}
		e.Session.Envelope, e.Params.SMTPUTF8 = e, c.body != "" // or it would be converted
		to, err := gather(e)
		if err != nil {
			t.Fatal(err)
		}
		header, _, err := rfc2822.Peek(strings.NewReader("Subject: "+c.subject+"\r\n\r\nthe body\r\n"), commonHeader)
		if err != nil {
			t.Fatal(err)
		}
		n, err := r.compose(e, &message{header: header, top: &top{completed: "X-Added: x\r\n"}}, queue.Success, success(e, to))
		if err != nil || n.Body != c.body || n.To != e.From || !n.Proven {
			t.Fatalf("%q: %q to %v, %v", c.subject, n.Body, n.To, err)
		}
		m, err := rfc2822.ReadString(string(n.Message))
		if err != nil {
			t.Fatal(err)
		}
		report, err := m.ParseReport(rfc2822.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range report.Recipients {
			got = append(got, fmt.Sprint(s.FinalRecipient, " ", s.OriginalRecipient, " ", s.Action, " ", s.Status))
		}
		if want := []string{"Alice@mail.test rfc822;first@else.test delivered 2.0.0", "list@mail.test  expanded 2.0.0"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if report.Returned == nil || report.Returned.Get("X-Added") != "x" || strings.Contains(string(n.Message), "the body") {
			t.Errorf("what came back: %+v", report.Returned)
		}
	}
}

// TestDirectoryIsLent: who brings a report to mailboxes of which one is full leaves the directory's own list as it is.
func TestDirectoryIsLent(t *testing.T) {
	t.Parallel()
	store, err := maildir.Open(t.TempDir(), maildir.WithReserve(0))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	o := newOutbound(t, "")
	o.need.Mailboxes = filling{store, "tiny@mail.test"}
	list := []domains.Address{"tiny@mail.test", "alice@mail.test", "bob@mail.test"}
	before := slices.Clone(list)
	if err := o.deliver(t.Context(), list, []byte("Subject: s\r\n\r\nx\r\n")); err != nil || !slices.Equal(list, before) {
		t.Errorf("%v, %q", err, list)
	}
	if got := held(t, store, "tiny", "alice", "bob"); got != "tiny 0, alice 1, bob 1" {
		t.Error(got)
	}
}

// TestNoticesOfOurs: a report to somebody elsewhere is signed, queued as a notice of ours, and not to everybody without end.
func TestNoticesOfOurs(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, "tls@mail.test")
	var entries []*queue.Entry
	var tops []int
	o.queue.Spool = watchedSpool{o.queue.Spool, &entries, &tops}
	o.need.Sign = func(m []byte) ([]byte, error) { return append([]byte("X-Signed: x\r\n"), m...), nil }
	for _, c := range []struct{ from, to string }{{"tls@mail.test", "no address"}, {"no address", "tls@far.test"}} {
		if err := o.SendReport(t.Context(), c.from, c.to, smtp.NotifyNever, []byte("Subject: s\r\n\r\nx\r\n")); err == nil {
			t.Errorf("from %q to %q: sent", c.from, c.to)
		}
	}
	sent := 0
	var err error
	for err == nil && sent < 1000 {
		if err = o.SendReport(t.Context(), "tls@mail.test", "tls@far.test", smtp.NotifyNever, []byte("Subject: s\r\n\r\nx\r\n")); err == nil {
			sent++
		}
	}
	if !errors.Is(err, errTooMany) || sent == 0 || sent != len(entries) {
		t.Fatalf("%d sent, %d queued, then %v", sent, len(entries), err)
	}
	if e := entries[0]; e.Class != queue.Notice || !e.Proven || e.From.String() != "tls@mail.test" || e.To[0].Params.Notify != smtp.NotifyNever {
		t.Errorf("%+v", e)
	}
	all, err := o.spooled(t.Context())
	if err != nil || !strings.HasPrefix(all["tls@far.test"], "X-Signed: x\r\nSubject") {
		t.Errorf("%q, %v", all, err)
	}
	o.need.Sign = func([]byte) ([]byte, error) { return nil, errors.New("no key") }
	if err := o.SendReport(t.Context(), "tls@mail.test", "tls@other.test", smtp.NotifyNever, nil); err == nil || len(entries) != sent {
		t.Errorf("what cannot be signed: %v", err)
	}
}

// TestQueueTells: what the way out says of itself: routes by name, what it has learnt, that it is full.
func TestQueueTells(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, "")
	if err := o.KnowsRoute("backup"); err == nil || !strings.Contains(err.Error(), "Queue.Routes is empty") {
		t.Error(err)
	}
	s := sending(nil)
	s.Relay.Routes = map[string]*relay.Route{"backup": {}, "another": {}}
	o.Reconfigure(s)
	for name, want := range map[string]string{"": "", "backup": "", "nothing": `there is no route "nothing"; there are: another, backup`} {
		if err := o.KnowsRoute(name); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	memory := learnt{o.cache}
	if data, err := memory.Recall(t.Context()); err != nil || len(data) != 0 {
		t.Errorf("before it has learnt: %q, %v", data, err)
	}
	if err := memory.Remember(t.Context(), []byte("hosts")); err != nil {
		t.Fatal(err)
	}
	if data, err := memory.Recall(context.Background()); err != nil || string(data) != "hosts" {
		t.Errorf("%q, %v", data, err)
	}
	s = sending(nil)
	s.Queue.MaxOctets = 1000
	o.Reconfigure(s)
	for size, full := range map[int64]bool{1000: false, 1001: true} {
		if err := o.room(t.Context(), size); errors.Is(err, smtp.ErrNoSpace) != full || (err != nil) != full {
			t.Errorf("%d octets: %v", size, err)
		}
	}
	if none := (*Outbound)(nil); none.Starving() != nil || o.Starving() != nil {
		t.Error("mail waits in an empty queue")
	}
}

// TestGuessingIsListed: those that have guessed the most come first, so many of them, and nobody who has only erred; users,
// programs of this host and other refusals are not counted.
func TestGuessingIsListed(t *testing.T) {
	t.Parallel()
	p, _ := newPost(t, village{})
	log := keepLog(p)
	r := &Receiver{Post: p}
	from := func(i int) *smtp.Session {
		return &smtp.Session{Identity: lineserver.Identity{ID: "s", RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, byte(i)), Port: 4}}}
	}
	unknown := &smtp.Refusal{Command: "RCPT", Reply: smtp.ErrNoSuchUser.Reply()}
	for i := range 2 * mostGuessing {
		for range manyGuesses + i - 1 {
			r.Refused(from(i), unknown)
		}
	}
	all := p.Guessing()
	if len(all) != mostGuessing || all[0].Network != netip.MustParsePrefix("192.0.2.39/32").String() || all[0].Unknown != manyGuesses+2*mostGuessing-2 {
		t.Errorf("%d: %+v", len(all), all)
	}
	if !slices.IsSortedFunc(all, func(a, b Guessing) int { return b.Unknown - a.Unknown }) {
		t.Errorf("%+v", all)
	}
	mailtest.Edge(t, "refusals that are not too many", manyGuesses-1, func(n int) bool {
		p, _ := newPost(t, village{})
		r := &Receiver{Post: p}
		for range n {
			r.Refused(from(1), unknown)
		}
		return len(p.Guessing()) == 0
	})
	if n := strings.Count(log.String(), "recipients are guessed"); n == 0 || !strings.Contains(log.String(), "remote=192.0.2.1:4 unknown=20 within=") {
		t.Errorf("%d lines: %s", n, log)
	}
	quiet, _ := newPost(t, village{})
	quiet.Rules().RelayFrom = []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}
	r = &Receiver{Post: quiet}
	user := from(1)
	user.User = "ann@mail.test"
	for range 3 * manyGuesses {
		r.Refused(user, unknown)
		r.Refused(from(9), unknown)
		r.Refused(&smtp.Session{}, unknown)
		r.Refused(from(2), &smtp.Refusal{Command: "VRFY", Reply: smtp.ErrNoSuchUser.Reply()})
		r.Refused(from(2), &smtp.Refusal{Command: "RCPT", Reply: smtp.ErrMailboxFull.Reply()})
	}
	if all := quiet.Guessing(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// TestAcceptedIsCounted: who counts hears of each message, also where nothing of it is written down.
func TestAcceptedIsCounted(t *testing.T) {
	t.Parallel()
	for _, logged := range []bool{true, false} {
		p, _ := newPost(t, village{"alice@mail.test": alice, "away@mail.test": {Elsewhere: []smtp.Path{at("x@far.test")}}})
		withOutbound(t, p)
		if logged {
			keepLog(p)
		} else {
			p.Log = slog.New(slog.DiscardHandler)
		}
		var got []*Accepted
		p.Accepted = func(a *Accepted) { got = append(got, a) }
		text := "Message-ID: <m@far.test>\r\n\r\nx\r\n"
		if err := (visit{from: "a@far.test"}).send(p, text, "alice@mail.test", "away@mail.test"); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Mailboxes != 1 || got[0].Elsewhere != 1 || got[0].Recipients != 2 || got[0].MessageID != "<m@far.test>" || got[0].Size <= int64(len(text)) || got[0].Stranger() != nil {
			t.Errorf("logged %v: %+v", logged, got)
		}
	}
}
