package filter

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/greylist"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/smtp"
)

// greylisting is a filter with these rules and a greylist, whose wait is a minute.
func greylisting(t *testing.T, text string) *Filter {
	t.Helper()
	name := filepath.Join(t.TempDir(), "greylist")
	disk, err := durable.Open(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	table, err := greylist.Open(disk, name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	f := newFilter(t, text)
	f.Verifier.Greylist = func() *greylist.Table { return table }
	f.Greylist = func() greylist.Times {
		return greylist.Times{Wait: time.Minute, Window: 48 * time.Hour, Keep: 35 * 24 * time.Hour}
	}
	return f
}

// rcpt is what a client hears who sends from somebody to somebody; empty: it is taken.
func (f *Filter) rcpt(t *testing.T, s *smtp.Session, from, to string, trusted bool) string {
	t.Helper()
	path := func(text string) (p smtp.Path) {
		p.Local, p.Domain, _ = strings.Cut(text, "@")
		return p
	}
	err := f.Sender(t.Context(), s, path(from), trusted)
	if err == nil {
		err = f.Recipient(t.Context(), s, &smtp.Recipient{Path: path(to)})
	}
	if err == nil {
		return ""
	}
	r := replyOf(t, err)
	return fmt.Sprintf("%d %s", r.Code, r.Text)
}

// TestGreylistRule: whom a rule has come again hears when, does so once, and nobody has to who is trusted, cannot be told from others,
// or is refused anyway.
func TestGreylistRule(t *testing.T) {
	f := greylisting(t, "@to reject from @bad.test\ngreylist all with note new")
	synctest.Test(t, func(t *testing.T) {
		for range 2 { // asking again changes nothing
			if got := f.rcpt(t, session("198.51.100.7"), "ann@a.test", "bob@home.test", false); !strings.HasPrefix(got, "450 198.51.100.0/24 is not known here yet: come again in 60 seconds, at ") {
				t.Error(got)
			}
		}
		err := f.Recipient(t.Context(), func() *smtp.Session {
			s := session("198.51.100.7")
			f.Sender(t.Context(), s, smtp.Path{Local: "Ann", Domain: "A.test"}, false)
			return s
		}(), &smtp.Recipient{Path: smtp.Path{Local: "BOB", Domain: "home.test"}})
		if said := fmt.Sprint(replyOf(t, err).Facts()); said != "[greylist=198.51.100.0/24 wait=1m0s rule=t.rules:2 action=greylist note=new]" {
			t.Error(said)
		}
		time.Sleep(time.Minute)
		for _, from := range []string{"ann@a.test", "other@else.test", ""} { // one success opens the network
			if got := f.rcpt(t, session("198.51.100.99"), from, "bob@home.test", false); got != "" {
				t.Error(got)
			}
		}
		time.Sleep(34 * 24 * time.Hour)
		if got := f.rcpt(t, session("198.51.100.7"), "ann@a.test", "bob@home.test", false); got != "" {
			t.Error("after a month", got)
		}
		time.Sleep(36 * 24 * time.Hour)
		if got := f.rcpt(t, session("198.51.100.7"), "ann@a.test", "bob@home.test", false); got == "" {
			t.Error("it is known for ever")
		}

		user, local, lmtp := session("203.0.113.7"), session("127.0.0.1"), session("203.0.113.7")
		user.User, lmtp.LMTP = "ann@home.test", true
		for what, got := range map[string]string{
			"a user": f.rcpt(t, user, "ann@a.test", "bob@home.test", true), "who is trusted": f.rcpt(t, session("203.0.113.7"), "ann@a.test", "bob@home.test", true),
			"a gateway": f.rcpt(t, session("10.0.0.1"), "ann@a.test", "bob@home.test", false), "this host": f.rcpt(t, local, "ann@a.test", "bob@home.test", false), "LMTP": f.rcpt(t, lmtp, "ann@a.test", "bob@home.test", false),
		} {
			if got != "" {
				t.Errorf("%s: %s", what, got)
			}
		}
		known, waiting := f.Verifier.Greylist().Len()
		if got := f.rcpt(t, session("203.0.114.7"), "ann@bad.test", "bob@home.test", false); !strings.HasPrefix(got, "550") {
			t.Error(got)
		}
		if k, w := f.Verifier.Greylist().Len(); k != known || w != waiting {
			t.Error("who is refused for good is remembered")
		}
	})
}

// TestGreylistOfMessage: a rule about the message has all of it come again, in its own words; what comes from nobody's address, or where nothing can be
// remembered, is taken.
func TestGreylistOfMessage(t *testing.T) {
	f := greylisting(t, "greylist header subject hi* with message \"Your first mail here\"")
	synctest.Test(t, func(t *testing.T) {
		bring := func(s *smtp.Session) error {
			if err := f.Sender(t.Context(), s, smtp.Path{Local: "ann", Domain: "a.test"}, false); err != nil {
				t.Fatal(err)
			}
			_, err := f.message(t, s, "Subject: hi there\r\n\r\nx")
			return err
		}
		if r := replyOf(t, bring(session("198.51.100.7"))); r.Code != 450 || !strings.HasPrefix(r.Text, "Your first mail here: come again in 60 seconds, at ") {
			t.Error(r)
		}
		time.Sleep(61 * time.Second)
		if err := bring(session("198.51.100.8")); err != nil {
			t.Error(err)
		}
		if _, err := f.message(t, session("203.0.113.9"), "Subject: hi\r\n\r\n"); err != nil {
			t.Error("before MAIL nobody has a sender", err)
		}
		f.Verifier.Greylist = func() *greylist.Table { return nil }
		if err := bring(session("203.0.113.7")); err != nil {
			t.Error(err)
		}
		f.Greylist = nil
		if err := bring(session("203.0.113.7")); err != nil {
			t.Error(err)
		}
	})
}

// zone is a DNS with one SPF record for every domain, and nothing else.
type zone struct{ verify.Resolver }

func (zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if strings.HasPrefix(name, "pool.test") {
		return []string{"v=spf1 ip4:198.51.96.0/20 -all"}, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}
func (zone) LookupAddr(context.Context, string) ([]string, error) {
	return nil, &net.DNSError{IsNotFound: true}
}
func (zone) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, &net.DNSError{IsNotFound: true}
}
func (zone) LookupMX(context.Context, string) ([]*net.MX, error) {
	return nil, &net.DNSError{IsNotFound: true}
}
func (zone) Exists(context.Context, string) (bool, error) { return true, nil }

// TestGreylistPool: hosts of one domain, by SPF, are one sender, from whichever network the mail comes; forwarders never wait.
func TestGreylistPool(t *testing.T) {
	f := greylisting(t, "greylist all")
	table := f.Verifier.Greylist
	held := &verify.Rules{Name: "home.test", Forwarders: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	f.Verifier = &verify.Verifier{Rules: func() *verify.Rules { return held }, Resolver: zone{}, Greylist: table, Log: slog.New(slog.DiscardHandler)}
	synctest.Test(t, func(t *testing.T) {
		from := func(addr string) string {
			s := session(addr)
			if err := f.Verifier.Sender(t.Context(), s, smtp.Path{Local: "ann", Domain: "pool.test"}, false); err != nil {
				t.Fatal(err)
			}
			return f.rcpt(t, s, "ann@pool.test", "bob@home.test", false)
		}
		if got := from("198.51.100.7"); !strings.HasPrefix(got, "450 pool.test is not known here yet") {
			t.Error(got)
		}
		time.Sleep(time.Minute)
		for i := range 50 {
			if got := from(fmt.Sprintf("198.51.%d.%d", 96+i%5, i)); got != "" {
				t.Error(i, got)
			}
		}
		if got := from("203.0.112.7"); !strings.HasPrefix(got, "450 203.0.112.0/24 is not known here yet") {
			t.Error("SPF says fail, and it is known by the domain:", got)
		}
		if got := from("203.0.113.7"); got != "" {
			t.Error("a forwarder:", got)
		}
	})
}

// TestRatesOverDays: what rules allow in an hour or a day is that much, in every one of three days, for each user, network and
// sender's domain, and over reloads.
func TestRatesOverDays(t *testing.T) {
	const text = "@to stall rate user >10/h\n@to stall rate net >30/d not user @\n@to stall rate domain+net >20/d not user @"
	synctest.Test(t, func(t *testing.T) {
		set, err := rules.Parse("t.rules", text)
		if err != nil {
			t.Fatal(err)
		}
		f := newFilter(t, "")
		f.Rules = func() *rules.Set { return set }
		took := map[string]int{}
		bring := func(what, addr, user, from string) {
			s := session(addr)
			s.User = user
			switch got := f.rcpt(t, s, from, "bob@home.test", user != ""); {
			case got == "":
				took[what]++
			case !strings.HasPrefix(got, "450 There may be ") || !strings.Contains(got, "; try again at "):
				t.Error(what, got)
			}
		}
		for hour := range 72 {
			for i := range 4 {
				for range 5 {
					bring("ann", "203.0.113.7", "ann@home.test", "ann@home.test")
				}
				bring("eve", "203.0.113.7", "eve@home.test", "eve@home.test")
				bring("net", fmt.Sprintf("198.51.100.%d", i), "", fmt.Sprintf("x@many%d.test", hour))
				bring("domain", fmt.Sprintf("192.0.2.%d", i), "", "x@one.test")
			}
			if hour%7 == 0 { // a reload
				again, err := rules.Parse("t.rules", text)
				if err != nil {
					t.Fatal(err)
				}
				again.Resume(set)
				set = again
			}
			time.Sleep(time.Hour)
		}
		for what, want := range map[string]int{"ann": 720, "eve": 4 * 72, "net": 90, "domain": 60} {
			if took[what] != want {
				t.Errorf("%s: %d, want %d", what, took[what], want)
			}
		}
	})
}

// TestNextMessage: of a session's next message nothing is taken for what the one before was.
func TestNextMessage(t *testing.T) {
	f := newFilter(t, "@message reject header subject one\n@from reject from ann@\n@to reject to bob@\nstall from bob@\n@to stall rate user >0/h\n@from reject helo old.test")
	s := session("198.51.100.7")
	if _, err := f.message(t, s, "Subject: one\r\n\r\n"); err == nil {
		t.Error("the first")
	}
	for range 2 { // its fields are remembered, and forgotten
		if _, err := f.message(t, s, "Subject: two\r\n\r\n"); err != nil {
			t.Error(err)
		}
		if _, err := f.message(t, s, "Subject: one\r\n\r\n"); err == nil {
			t.Error("the third")
		}
	}
	for from, want := range map[string]string{"ann@a.test": "550", "cid@a.test": "", "bob@a.test": "450", "dan@a.test": ""} {
		if got := f.rcpt(t, s, from, "eve@home.test", false); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q", from, got)
		}
	}
	if got := f.rcpt(t, s, "cid@a.test", "bob@home.test", false); !strings.HasPrefix(got, "550") {
		t.Error("the recipient before:", got)
	}
	for name, want := range map[string]bool{"old.test": true, "new.test": false} { // whichever comes first
		for range 2 {
			if err := f.Helo(t.Context(), s, name); err != nil {
				t.Fatal(err)
			}
			s.Helo = name
			if err := f.Sender(t.Context(), s, smtp.Path{Local: "dan", Domain: "a.test"}, false); (err != nil) != want {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	now := newFilter(t, "@helo reject helo worst.test")
	if err := now.Helo(t.Context(), s, "worst.test"); err == nil { // s.Helo is the one before
		t.Error("the name of the moment is not asked about")
	}
	s.Helo = "worst.test"
	if err := now.Helo(t.Context(), s, "fine.test"); err != nil {
		t.Error(err)
	}
	none := newFilter(t, "")
	if i := none.Inspect(t.Context(), &post.Look{Envelope: &smtp.Envelope{Session: session("198.51.100.7")}}); i != nil {
		t.Error("without rules a message is looked at")
	}
	none.Rules = func() *rules.Set { return nil }
	if err := none.Connect(t.Context(), session("198.51.100.7")); err != nil {
		t.Error(err)
	}
	if _, err := none.message(t, session("198.51.100.7"), "\r\n"); err != nil {
		t.Error(err)
	}
	if got := none.rcpt(t, session("198.51.100.7"), "a@b.test", "c@d.test", false); got != "" {
		t.Error(got)
	}
}

// TestProxyTellsLater: rules judge the client that a proxy names in the middle of a session, not the proxy.
func TestProxyTellsLater(t *testing.T) {
	f := newFilter(t, "reject ip 198.51.100.7 helo-has ehlo,helo")
	s := session("198.51.100.8")
	if err := f.Connect(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.RemoteAddr = session("198.51.100.7").RemoteAddr
	if err := f.Helo(t.Context(), s, "x.test"); err == nil {
		t.Error("the address before is remembered")
	}
	s.RemoteAddr, s.Helo = session("198.51.100.8").RemoteAddr, "x.test"
	if err := f.Sender(t.Context(), s, smtp.Path{}, false); err != nil {
		t.Error(err)
	}
	s.RemoteAddr = session("198.51.100.7").RemoteAddr
	if err := f.Data(t.Context(), s); err == nil {
		t.Error("the address before is remembered, behind MAIL")
	}
}
