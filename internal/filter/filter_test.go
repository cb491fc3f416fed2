package filter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// newFilter has these rules, and no DNS.
func newFilter(t *testing.T, text string) *Filter {
	t.Helper()
	set, err := rules.Parse("t.rules", text)
	if err != nil {
		t.Fatal(err)
	}
	return &Filter{Rules: func() *rules.Set { return set }, Verifier: &verify.Verifier{Rules: func() *verify.Rules { return nil }}}
}

// session is one of a client at an address.
func session(addr string) *smtp.Session {
	return &smtp.Session{Identity: lineserver.Identity{ID: "s", RemoteAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr + ":4000")), LocalAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:25"))}}
}

func replyOf(t *testing.T, err error) *smtp.Reply {
	t.Helper()
	var r *smtp.Reply
	if !errors.As(err, &r) {
		t.Fatalf("%v is no reply", err)
	}
	return r
}

// message brings one, and returns what comes of it.
func (f *Filter) message(t *testing.T, s *smtp.Session, text string) (post.Findings, error) {
	t.Helper()
	header, _, err := rfc2822.Peek(strings.NewReader(text), 0)
	if err != nil {
		t.Fatal(err)
	}
	e := &smtp.Envelope{Session: s, ID: "s-1", To: []smtp.Recipient{{Path: smtp.Path{Local: "Bob", Domain: "home.test"}}}}
	i := f.Inspect(t.Context(), &post.Look{Envelope: e, Header: header})
	if i == nil {
		return post.Findings{}, nil
	}
	if _, err := io.WriteString(i, text[header.Size():]); err != nil {
		return post.Findings{}, err
	}
	return i.Findings(t.Context())
}

// TestDelay: a client waits as long as rules say, for four minutes at most, and no longer than he is there.
func TestDelay(t *testing.T) {
	for text, want := range map[string]time.Duration{"delay 3s all\ndelay 4s ip 192.0.2.7": 7 * time.Second, "delay 10m all": longestDelay, "delay 3s ip 10.0.0.1": 0, "delay 5s all\nreject all": 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			newFilter(t, text).Connect(t.Context(), session("192.0.2.7"))
			if took := time.Since(began); took != want {
				t.Errorf("%s: %v", text, took)
			}
			ctx, gone := context.WithTimeout(t.Context(), time.Second)
			defer gone()
			began = time.Now()
			newFilter(t, text).Connect(ctx, session("192.0.2.7"))
			if took := time.Since(began); took != min(want, time.Second) {
				t.Errorf("%s: %v, and he is gone", text, took)
			}
		})
	}
}

// TestRefusals: what rules refuse is refused with their words, and every refusal names its rule.
func TestRefusals(t *testing.T) {
	ctx := t.Context()
	for text, want := range map[string]string{
		"reject all": "550 5.7.1 Refused by a rule of this server", "stall all with message \"Wait\nPlease\"": "450 4.7.1 Wait; Please", "reply \"553 Never\" all": "553 Never",
		"drop all": "421 4.7.0 The connection is closed without a word", "accept all\nreject all": "", "reply \"250 Fine\" all": "", "reject user @": "",
	} {
		s := session("10.0.0.7")
		f := newFilter(t, text)
		err := f.Sender(ctx, s, smtp.Path{Local: "ann", Domain: "a.test"}, false)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		r := replyOf(t, err)
		if r.Error() != want || len(r.Facts()) < 2 || r.Facts()[0].String() != "rule=t.rules:1" {
			t.Errorf("%s: %v %v", text, r, r.Facts())
		}
	}
	// What names no mailbox goes where the settings put aside, and is marked.
	found, err := newFilter(t, "quarantine all with note why").message(t, session("10.0.0.7"), "A: b\r\n\r\nx")
	if err != nil || found.Aside != "why" || !found.Junk || len(found.Results) != 2 || found.Instead != nil {
		t.Error(found, err)
	}
	found, err = newFilter(t, "discard header a b size <20").message(t, session("10.0.0.7"), "A: b\r\n\r\nx")
	if err != nil || found.Instead == nil || found.Instead.Mailbox != "" {
		t.Error(found, err)
	}
	if _, err := newFilter(t, "@header reject header a *").message(t, session("10.0.0.7"), "A: b\r\n\r\nx"); !replyOf(t, err).Permanent() {
		t.Error(err)
	}
}

// TestOneSetOfRules: a message is judged by the rules that held at its MAIL; a reload counts from the next on.
func TestOneSetOfRules(t *testing.T) {
	f := newFilter(t, "@to reject all")
	now := f.Rules()
	f.Rules = func() *rules.Set { return now }
	s, to := session("10.0.0.7"), &smtp.Recipient{Path: smtp.Path{Local: "bob", Domain: "home.test"}}
	if err := f.Sender(t.Context(), s, smtp.Path{}, false); err != nil {
		t.Fatal(err)
	}
	now, _ = rules.Parse("new", "")
	if err := f.Recipient(t.Context(), s, to); err == nil {
		t.Error("a reload in the middle of a message")
	}
	if err := f.Sender(t.Context(), s, smtp.Path{}, false); err != nil {
		t.Fatal(err)
	}
	if err := f.Recipient(t.Context(), s, to); err != nil {
		t.Error(err)
	}
}

// TestNobody: a program of this host has no address, and rules about addresses say nothing of it.
func TestNobody(t *testing.T) {
	f := newFilter(t, "reject ip 0.0.0.0/0\nreject not ip 10.0.0.0/8\nreject host .x\nreject not host .x\nreject dnsbl l.test or dns nodns\nstall user ann@home.test")
	s := &smtp.Session{Identity: lineserver.Identity{ID: "s", User: "ann@home.test"}}
	if r := replyOf(t, f.Sender(t.Context(), s, smtp.Path{Local: "ann", Domain: "home.test"}, true)); r.Code != 450 {
		t.Error(r)
	}
}

// BenchmarkMessage is what twenty rules cost a message in all phases, where the DNS need not be asked.
func BenchmarkMessage(b *testing.B) {
	var text strings.Builder
	for i := range 4 {
		fmt.Fprintf(&text, "reject from spam%d@other.test or from @.bad%d.test\nreject ip 203.0.113.%d helo-has none,bareip\n@to stall to user%d@ not user @\ntag \"X-Rule: %d\" header subject *offer%d*\nreject size >%dMB\n", i, i, i, i, i, i, 10+i)
	}
	set, err := rules.Parse("t.rules", text.String())
	if err != nil {
		b.Fatal(err)
	}
	f := &Filter{Rules: func() *rules.Set { return set }, Verifier: &verify.Verifier{Rules: func() *verify.Rules { return nil }}}
	message := "From: ann@a.test\r\nSubject: hello\r\n\r\n"
	header, _, _ := rfc2822.Peek(strings.NewReader(message), 0)
	body := []byte(strings.Repeat("x", 2000))
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		s := session("192.0.2.7")
		f.Connect(ctx, s)
		f.Helo(ctx, s, "mx.a.test")
		f.Sender(ctx, s, smtp.Path{Local: "ann", Domain: "a.test"}, false)
		to := smtp.Recipient{Path: smtp.Path{Local: "bob", Domain: "home.test"}}
		f.Recipient(ctx, s, &to)
		f.Data(ctx, s)
		i := f.Inspect(ctx, &post.Look{Envelope: &smtp.Envelope{Session: s, To: []smtp.Recipient{to}}, Header: header})
		i.Write(body)
		if _, err := i.Findings(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// TestWhatIsAsked: what rules ask of a session and a message is what is so: of whom, for whom, by whom, and what
// stands in the header; also where there is nothing, and where it cannot be known.
func TestWhatIsAsked(t *testing.T) {
	long := "X-Long: " + strings.Repeat("x", 2<<20) + "\r\n"
	for _, c := range []struct {
		rule, user, text string
		to               []string
		want             string // where it decides: "f", "t" for the recipient of that number, "h", "m"; "" nowhere
	}{
		{"@from reject user @", "", "", nil, ""}, {"@from reject user @", "ann@home.test", "", nil, "f"}, {"@from reject not user @", "", "", nil, "f"}, {"@from reject not user @", "ann@home.test", "", nil, ""},
		{"@from reject user bob@home.test", "ann@home.test", "", nil, ""}, {"@from reject user ann@home.test", "ann@home.test", "", nil, "f"},
		{"@to reject to bob@home.test", "", "", []string{"ann@home.test", "bob@home.test", "cid@home.test"}, "t2"}, {"@to reject not to bob@home.test", "", "", []string{"bob@home.test", "ann@home.test"}, "t2"},
		{"@to reject rcpts >2", "", "", []string{"a@home.test", "b@home.test", "c@home.test"}, "t3"}, {"@data reject to bob@home.test", "", "", []string{"ann@home.test", "bob@home.test"}, "d"},
		{"@data reject to cid@home.test", "", "", []string{"ann@home.test"}, ""}, {"@data reject to ann@home.test", "", "", []string{"ann@home.test", "bob@home.test"}, "d"},
		{"@header reject header x-a *", "", "X-A: 1\r\n\r\n", []string{"a@home.test"}, "h"}, {"@header reject header x-a *", "", "X-B: 1\r\n\r\n", []string{"a@home.test"}, ""},
		{"@header reject not header x-a *", "", "X-B: 1\r\n\r\n", []string{"a@home.test"}, "h"}, {"@header reject not header x-a *", "", "X-A: 1\r\n\r\n", []string{"a@home.test"}, ""},
		// What stands behind the end of what is looked at is not known; what stands before it is.
		{"@header reject not header x-a *", "", long + "X-A: 1\r\n\r\n", []string{"a@home.test"}, ""}, {"@header reject header x-b 2", "", "X-B: 2\r\n" + long + "\r\n", []string{"a@home.test"}, "h"},
		{"@message reject size >9", "", "A: b\r\n\r\nxx", []string{"a@home.test"}, "m"}, {"@message reject size >10", "", "A: b\r\n\r\nxx", []string{"a@home.test"}, ""},
	} {
		s := session("10.0.0.7")
		s.User = c.user
		f := newFilter(t, c.rule)
		got := ""
		at := func(where string, err error) {
			if err != nil && got == "" {
				got = where
			}
		}
		at("f", f.Sender(t.Context(), s, smtp.Path{Local: "x", Domain: "far.test"}, false))
		s.Envelope = &smtp.Envelope{Session: s, ID: "s-1"}
		for i, to := range c.to {
			path, err := smtp.ParseMailbox(to, 0)
			if err != nil {
				t.Fatal(err)
			}
			rcpt := smtp.Recipient{Path: path}
			at("t"+string(rune('1'+i)), f.Recipient(t.Context(), s, &rcpt))
			s.Envelope.To = append(s.Envelope.To, rcpt)
		}
		if len(c.to) > 0 {
			at("d", f.Data(t.Context(), s))
			header, _, err := rfc2822.Peek(strings.NewReader(c.text), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			i := f.Inspect(t.Context(), &post.Look{Envelope: s.Envelope, Header: header})
			_, err = io.WriteString(i, c.text[min(header.Size(), len(c.text)):])
			at("h", err)
			_, err = i.Findings(t.Context())
			at("m", err)
		}
		if got != c.want {
			t.Errorf("%s, user %q, to %q, %.20q: decides at %q, want %q", c.rule, c.user, c.to, c.text, got, c.want)
		}
	}
	f := newFilter(t, "redirect ann@home.test all")
	found, err := f.message(t, session("10.0.0.7"), "A: b\r\n\r\n")
	if err != nil || found.Instead == nil || found.Instead.Mailbox != "ann@home.test" || len(found.Results) != 1 || found.Results[0] != "X-Original-To: Bob@home.test\r\n" {
		t.Errorf("redirected: %+v, %v", found, err)
	}
	if found, err := newFilter(t, `accept all`).message(t, session("10.0.0.7"), "A: b\r\n\r\n"); err != nil || len(found.Facts) != 2 {
		t.Errorf("a rule without a note: %v, %v", found.Facts, err)
	}
	if found, err := newFilter(t, `tag "X-A: b" all`).message(t, session("10.0.0.7"), "A: b\r\n\r\n"); err != nil || len(found.Facts) != 1 || found.Facts[0].String() != "tags=X-A" || len(found.Fields) != 1 || found.Fields[0] != "X-A: b\r\n" {
		t.Errorf("a tag: %+v, %v", found, err)
	}
	for text, want := range map[string]bool{"@helo set-with all with tls-opt off": true, "@helo set-with all with tls-opt no-client": false, "@helo set-with ip 192.0.2.1 with tls-opt off": false} {
		s := session("10.0.0.7")
		if err := newFilter(t, text).Helo(t.Context(), s, "h.test"); err != nil || s.NoTLS != want || s.NoClientCertificate != strings.Contains(text, "no-client") {
			t.Errorf("%s: %v, %v, %v", text, s.NoTLS, s.NoClientCertificate, err)
		}
	}
}

// TestOurAddress: a client that calls itself by the address it has come to is told from one that uses its own, or another's.
func TestOurAddress(t *testing.T) {
	for name, want := range map[string]string{"192.0.2.1": "myip", "[192.0.2.1]": "myip", "10.0.0.7": "remip", "[10.0.0.7]": "remip", "192.0.2.2": "otherip", "[IPv6:::ffff:192.0.2.1]": "myip"} {
		for _, word := range []string{"myip", "remip", "otherip"} {
			err := newFilter(t, "reject helo-has "+word).Helo(t.Context(), session("10.0.0.7"), name)
			if (err != nil) != (word == want) {
				t.Errorf("%s, %s: %v", name, word, err)
			}
		}
	}
}

// TestFieldsAreBounded: however many names rules ask for, each is answered rightly, and so many are remembered.
func TestFieldsAreBounded(t *testing.T) {
	var text, header strings.Builder
	for i := range mostFields + 10 {
		fmt.Fprintf(&text, "@message reject header x%d bad\n", i)
		fmt.Fprintf(&header, "X%d: good\r\n", i)
	}
	f := newFilter(t, text.String())
	s := session("10.0.0.7")
	if _, err := f.message(t, s, header.String()+"\r\n"); err != nil {
		t.Error(err)
	}
	if n := len(f.visit(s).fields); n != mostFields {
		t.Errorf("%d are remembered", n)
	}
	for _, i := range []int{0, mostFields - 1, mostFields, mostFields + 9} {
		bad := strings.Replace(header.String(), fmt.Sprintf("X%d: good", i), fmt.Sprintf("X%d: bad", i), 1)
		if _, err := f.message(t, s, bad+"\r\n"); err == nil {
			t.Errorf("field %d is not seen", i)
		}
	}
}

// TestDecided: whoever counts hears of every decision, and of nothing where rules have decided nothing.
func TestDecided(t *testing.T) {
	f := newFilter(t, "accept ip 10.0.0.7\nreject ip 10.0.0.8\nstall ip 10.0.0.9")
	var told []string
	f.Decided = func(action string) { told = append(told, action) }
	for _, addr := range []string{"10.0.0.7", "10.0.0.8", "10.0.0.6", "10.0.0.9"} {
		_ = f.Connect(t.Context(), session(addr)) // what the client hears is another test's matter
	}
	if got := strings.Join(told, " "); got != "accept reject stall" {
		t.Error(got)
	}
}
