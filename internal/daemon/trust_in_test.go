package daemon

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/rfc2822"
)

// sendmail brings a message as a program of this host.
func (w *testWorld) sendmail(from string, to []string, text string) error {
	var id string
	query := url.Values{"from": {from}, "to": to}
	return control.NewClient(filepath.Join(w.dir, "data", "control.sock")).Stream(w.t.Context(), "submit?"+query.Encode(), strings.NewReader(text), &id)
}

// TestWhoIsOurs: whose mail is signed and whose is checked follows from how it came, never from what it says.
// What is from a domain of ours and came from one of ours is signed, what a stranger brings is checked, and
// nothing is both.
func TestWhoIsOurs(t *testing.T) {
	sink, got := sinkServer(t)
	l := newLab(t)
	// A stranger cannot write as us here unless told so; that he is refused by default TestOwnDomainForged shows.
	w := startTrusting(t, l, `"Routes": [`+route("far.test", sink.Port, "")+`]`, `"Verify": {"own_domains": "note", "dmarc": "note"}, "SMTP": {"own_fields": "none"}, "Aliases": {"away@mail.test": "friend@far.test"},`)
	w.signs()
	overTLS := func(k *talk) *talk {
		k.startTLS("STARTTLS", "220")
		return k
	}
	ways := map[string]struct {
		come    func() *talk // nil: a program of this host
		trusted bool
		to      string
	}{
		"login at 587":           {func() *talk { return w.login() }, true, "friend@far.test"},
		"program of this host":   {nil, true, "friend@far.test"},
		"network that may relay": {func() *talk { return w.from("192.0.2.65") }, true, "friend@far.test"},
		"the same, mapped":       {func() *talk { return w.from("IPV6:::ffff:192.0.2.65") }, true, "friend@far.test"},
		"stranger":               {func() *talk { return w.from(stranger) }, false, "away@mail.test"},
		"stranger, mapped":       {func() *talk { return w.from("IPV6:::ffff:" + stranger) }, false, "away@mail.test"},
		"stranger under TLS":     {func() *talk { k := overTLS(w.from(stranger)); k.play("C: EHLO x.test\nS: 250"); return k }, false, "away@mail.test"},
	}
	for name, way := range ways {
		for _, author := range []string{"bob@mail.test", "ann@elsewhere.test"} {
			text := "From: " + author + "\r\nTo: you@far.test\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x>\r\nSubject: who\r\n\r\nbody\r\n"
			if way.come == nil {
				if err := w.sendmail("bob@mail.test", []string{way.to, "alice@mail.test"}, text); err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
			} else if reply := way.come().bring("<bob@mail.test>", []string{way.to, "alice@mail.test"}, text); !strings.HasPrefix(reply, "250") {
				t.Errorf("%s: %s", name, reply)
				continue
			}
			_, _, far := left(t, got)
			here := w.only("alice@mail.test")
			signed, checked := len(l.signatures(t, far)) == 1, strings.Contains(here, "Authentication-Results:")
			if ours := author == "bob@mail.test"; signed != (way.trusted && ours) || checked == way.trusted {
				t.Errorf("%s, from %s: signed %t, checked %t\n%s", name, author, signed, checked, here)
			}
			if strings.Contains(far, "Authentication-Results:") {
				t.Errorf("%s: results left this host\n%s", name, far)
			}
			if signed {
				l.verifies(t, name, far)
			}
		}
	}
}

// nothing fails if there is mail for alice.
func (w *testWorld) nothing(what string) {
	w.t.Helper()
	if n := len(w.fetch("alice@mail.test")); n != 0 {
		w.t.Errorf("%s: %d messages are stored", what, n)
		w.forget("alice@mail.test")
	}
}

// TestPoliciesServed: what a domain asks for and what was found out about a message make what is done with it, and
// each of these is a line of the log.
func TestPoliciesServed(t *testing.T) {
	l := newLab(t)
	w := startTrusting(t, l, "", "")
	for _, policy := range []string{"none", "quarantine", "reject"} {
		for _, c := range []struct {
			name, from, sign, dmarc string
			done                    map[string]string
		}{
			{"pass", "x@good.test", policy + ".test", "pass", map[string]string{"none": "taken", "quarantine": "taken", "reject": "taken"}},
			{"fail", "x@good.test", "", "fail", map[string]string{"none": "taken", "quarantine": "marked", "reject": "refused"}},
			// What the author's domain might have said cannot be known now; that others' are silent excuses nothing.
			{"temperror", "x@servfail." + policy + ".test", "", "fail", map[string]string{"none": "taken", "quarantine": "marked", "reject": "marked"}},
			{"temperror of another", "x@servfail.other.example", "", "fail", map[string]string{"none": "taken", "quarantine": "marked", "reject": "refused"}},
		} {
			what := policy + " " + c.name
			id := policy + "." + strings.ReplaceAll(c.name, " ", "-")
			text := "From: x@" + policy + ".test\r\nMessage-ID: <" + id + "@x>\r\n\r\nbody\r\n"
			if c.sign != "" {
				text = signedBy(t, c.sign, text)
			}
			reply := w.from(stranger).bring("<"+c.from+">", []string{"alice@mail.test"}, text)
			if c.done[policy] == "refused" {
				if !strings.HasPrefix(reply, "550 5.7.26 ") || !strings.Contains(reply, policy+".test asks for p="+policy) {
					t.Errorf("%s: %s", what, reply)
				}
				w.logged("refused", "command=DATA", "5.7.26", policy+".test asks for p="+policy, " author="+policy+".test ", " dmarc=fail ", " spf_domain=", "level=INFO")
				w.nothing(what)
				continue
			}
			if !strings.HasPrefix(reply, "250") {
				t.Errorf("%s: %s", what, reply)
				continue
			}
			results, above, _ := stored(t, w.only("alice@mail.test"))
			marked := slices.Contains(above, "X-Spam-Flag")
			if result(results, "dmarc") != c.dmarc || marked != (c.done[policy] == "marked") {
				t.Errorf("%s: %+v, marked %t", what, results, marked)
			}
			facts := []string{"msg=delivered", "message_id=<" + id + "@x>", "dmarc=" + c.dmarc, "spf=", "dkim="}
			if marked {
				facts = append(facts, "marked=")
			}
			w.logged(facts...)
		}
	}
}

// TestNoAuthorServed: what the settings say is done with mail whose From names nobody, and by default it is marked; the
// answer to what is refused says what is wrong with it, and nobody is blamed for the author's domain.
func TestNoAuthorServed(t *testing.T) {
	l := newLab(t)
	w := startTrusting(t, l, "", "")
	for _, from := range []string{"", "From: nobody\r\n", "From: x@plain.test\r\nFrom: x@plain.test\r\n"} {
		if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, from+"Subject: x\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
			t.Errorf("%q: %s", from, reply)
			continue
		}
		if _, above, _ := stored(t, w.only("alice@mail.test")); !slices.Contains(above, "X-Spam-Flag") {
			t.Errorf("%q is not marked: %q", from, above)
		}
	}
	w.change(`"DKIM": {"sign": true`, `"Verify": {"no_author": "refuse"}, "DKIM": {"sign": true`)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, "Subject: x\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "550 5.6.0 ") {
		t.Error(reply)
	}
	w.nothing("From is missing")
	w.logged("refused", "command=DATA", "5.6.0", `author="" `)
}

// TestOwnDomainForged: a stranger who writes as one of us is refused, and the answer says what to do
// if he may; a host that the settings name is marked, one that SPF or a signature shows to be ours is let in.
func TestOwnDomainForged(t *testing.T) {
	l := newLab(t)
	w := startTrusting(t, l, "", "")
	text := "From: Boss <boss@second.test>\r\nSubject: pay\r\n\r\nnow\r\n"
	reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, text)
	if !strings.HasPrefix(reply, "550 5.7.26 ") || !strings.Contains(reply, "second.test") || !strings.Contains(reply, "Verify.forwarders") {
		t.Error(reply)
	}
	w.logged("refused", "second.test", "Verify.forwarders")
	w.nothing("as one of us")
	if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, signedBy(t, "mail.test", strings.Replace(text, "second.test", "mail.test", 1))); !strings.HasPrefix(reply, "550") {
		t.Error(reply) // its selector is not in the DNS
	}
	w.change(`"DKIM": {"sign": true`, `"Verify": {"forwarders": [".good.test"]}, "DKIM": {"sign": true`)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, text); !strings.HasPrefix(reply, "250") {
		t.Error(reply)
	}
	if _, above, _ := stored(t, w.only("alice@mail.test")); !slices.Contains(above, "X-Spam-Flag") {
		t.Errorf("not marked: %q", above)
	}
}

// TestCheckSwitched: a reload switches the checks off and on, for the next message.
func TestCheckSwitched(t *testing.T) {
	w := startTrusting(t, newLab(t), "", `"Verify": {"check": true},`)
	text := "From: x@reject.test\r\n\r\nbody\r\n"
	bring := func() string { return w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, text) }
	if reply := bring(); !strings.HasPrefix(reply, "550 5.7.26") {
		t.Fatal(reply)
	}
	for _, c := range []struct{ old, new, reply string }{
		{`"check": true`, `"check": false`, "250"},
		{`"check": false`, `"check": true`, "550"},
		{`"check": true`, `"check": true, "dmarc": "mark"`, "250"},
	} {
		w.change(c.old, c.new)
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		if reply := bring(); !strings.HasPrefix(reply, c.reply) {
			t.Errorf("with %s: %s", c.new, reply)
		}
		if c.reply == "250" {
			if here := w.only("alice@mail.test"); strings.Contains(here, "Authentication-Results") != strings.Contains(c.new, "mark") {
				t.Errorf("with %s: %s", c.new, here)
			}
		}
	}
}

// TestNothingByLMTP: what comes by LMTP has been judged by who brings it, and is nobody's submission.
func TestNothingByLMTP(t *testing.T) {
	l := newLab(t)
	w := startTrusting(t, l, "", "")
	w.signs()
	ours := "Authentication-Results: mail.test; dkim=pass header.d=x.test\r\n"
	// Also over a network, and from one that may relay.
	w.change(`{"address": "unix:`, `{"address": "127.0.0.10:0", "protocol": "lmtp"}, {"address": "unix:`)
	w.change(`"relay_from": [`, `"relay_from": ["127.0.0.1/32", `)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ listener, client string }{{"lmtp", ""}, {"127.0.0.10:0", ""}, {"127.0.0.10:0", stranger}} {
		listener := c.listener + " " + c.client
		k := w.dial(c.listener)
		k.play("S: 220\nC: LHLO x\nS: 250")
		if c.client != "" {
			k.play("C: XCLIENT ADDR=" + c.client + "\nS: 220\nC: LHLO x\nS: 250")
		}
		if reply := k.bring("<bob@mail.test>", []string{"alice@mail.test"}, ours+"From: bob@mail.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
		here := w.only("alice@mail.test")
		if strings.Contains(here, "DKIM-Signature") || strings.Count(here, "Authentication-Results") != 1 || !strings.Contains(here, ours) {
			t.Errorf("%s:\n%s", listener, here)
		}
	}
}

// forged and foreign are spellings of Authentication-Results that are in our name, and that are not.
var (
	forged = []string{
		"Authentication-Results: mail.test; dkim=pass header.d=bank.test\r\n",
		"authentication-results: MAIL.TEST; spf=pass\r\n",
		"AUTHENTICATION-RESULTS: Mail.Test 1; none\r\n",
		"Authentication-Results: \"mail.test\"; dmarc=pass\r\n",
		"Authentication-Results:\r\n mail.test;\r\n dmarc=pass\r\n",
		"Authentication-Results: (ours) mail.test (really); dmarc=pass\r\n",
		"Authentication-Results: mail.test\r\n",
		"Authentication-Results:mail.test;none\r\n",
		"Authentication-Results: \"mai\\l.test\" 1 ; spf=pass\r\n",
		"Authentication-Results: mail.test.; dmarc=pass\r\n",
		"Authentication-Results : mail.test; dmarc=pass\r\n",
	}
	foreign = []string{
		"Authentication-Results: mx.good.test; dkim=pass header.d=bank.test\r\n",
		"authentication-results:  notmail.test;\r\n\tspf=pass\r\n",
		"Authentication-Results: mail.test.example; none\r\n",
		"Authentication-Results: x.mail.test; none\r\n",
		"Authentication-Results: (mail.test) other.test; none\r\n",
		"Authentication-Results: other.test; none (mail.test; dmarc=pass)\r\n",
		"Authentication-Results: \"other.test; mail.test\"; none\r\n",
		"ARC-Authentication-Results: i=1; mail.test; dmarc=pass\r\n",
		"X-Authentication-Results: mail.test; dmarc=pass\r\n",
		"Authentication-Results: test; dmarc=pass\r\n",
	}
)

// TestForgedResults: results in our name that a stranger brings are taken out in any spelling, those of others
// stay octet for octet, ours stand on top, and none of them changes what is found.
func TestForgedResults(t *testing.T) {
	w := startTrusting(t, newLab(t), "", "")
	rest := "From: x@good.test\r\nSubject: s\r\n\r\nAuthentication-Results: mail.test; in the body\r\n"
	for i := range max(len(forged), len(foreign)) {
		bad, good := forged[i%len(forged)], foreign[i%len(foreign)]
		for _, text := range []string{bad + good + rest, good + bad + rest, good + "From: x@good.test\r\n" + bad + rest[len("From: x@good.test\r\n"):]} {
			if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, text); !strings.HasPrefix(reply, "250") {
				t.Fatalf("%q: %s", text, reply)
			}
			here := w.only("alice@mail.test")
			if at := strings.Index(here, "\r\n") + 2; !strings.HasPrefix(here[at:], "Authentication-Results: mail.test;") {
				t.Errorf("ours are not on top:\n%s", here)
			}
			results, _, came := stored(t, here)
			if want := strings.Replace(text, bad, "", 1); came != want {
				t.Errorf("of %q\nthere is %q\nnot      %q", text, came, want)
			}
			if result(results, "spf") != "pass" || result(results, "dmarc") != "pass" || result(results, "dkim") != "none" || result(results, "iprev") != "pass" {
				t.Errorf("%q: %+v", bad, results)
			}
		}
	}
	// The same message with and without such fields has the same fate.
	for _, with := range []string{"", forged[0], foreign[0], forged[0] + forged[0] + foreign[0]} {
		if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, with+"From: x@reject.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "550 5.7.26") {
			t.Errorf("with %q: %s", with, reply)
		}
	}
}

// TestOctetsBelowResults: however long a message is, what stands below our fields is what came, and is
// hashed once and right: at the edges of what is kept in memory, of the header, and far beyond.
func TestOctetsBelowResults(t *testing.T) {
	w := startTrusting(t, newLab(t), "", "")
	line := "0123456789 abcdefghijklmnopqrstuvwxyz\r\n"
	header := "From: x@good.test\r\nX-Long: " + strings.Repeat("y", 900) + "\r\nSubject: s\r\n\r\n"
	k := w.from(stranger)
	for _, size := range []int{0, 1, 100, 32 << 10, 64<<10 - 4200, 64<<10 - 3000, 64<<10 - 2500, 64<<10 - 2048, 64<<10 - 1500, 64<<10 - 500, 64<<10 - 1, 64 << 10, 64<<10 + 1, 200 << 10, 3 << 20} {
		body := strings.Repeat(line, size/len(line)+1)[:size]
		if size > 2 {
			body = body[:size-2] + "\r\n"
		}
		body = strings.ReplaceAll(strings.ReplaceAll(body, "\r\r\n", "x\r\n"), "\r\n\n", "\r\nx")
		if size == 1 {
			body = "\r\n"
		}
		for name, text := range map[string]string{
			"as it is":                    signedBy(t, "good.test", header+body),
			"with a forged field above":   forged[0] + signedBy(t, "good.test", header+body),
			"with one in the middle":      signedBy(t, "good.test", strings.Replace(header, "Subject:", foreign[0]+"Subject:", 1)+body),
			"with one that is taken away": signedBy(t, "good.test", header+body),
		} {
			send := text
			if name == "with one that is taken away" {
				send = strings.Replace(text, "Subject: s", forged[4]+"Subject: s", 1)
			}
			if reply := k.bring("<x@good.test>", []string{"alice@mail.test"}, send); !strings.HasPrefix(reply, "250") {
				t.Fatalf("%d octets %s: %s", size, name, reply)
			}
			results, _, came := stored(t, w.only("alice@mail.test"))
			if want := strings.TrimPrefix(text, forged[0]); came != want {
				t.Errorf("%d octets %s: %d octets came, not %d", size, name, len(came), len(want))
			}
			if result(results, "dkim") != "pass" {
				t.Errorf("%d octets %s: %+v", size, name, results)
			}
		}
	}
}

// TestLists: a list that changes what it carries and stands for itself is marked where the author's domain asks to refuse;
// one that stands for nothing is refused, unless the settings trust it.
func TestLists(t *testing.T) {
	w := startTrusting(t, newLab(t), "", "")
	text := signedBy(t, "reject.test", "From: ann@reject.test\r\nSubject: s\r\n\r\nbody\r\n") + "-- \r\nthe list's footer\r\n"
	list := "List-Id: <l.list.test>\r\n" + text
	for _, c := range []struct{ name, client, from, text, want string }{
		{"stands for itself", "192.0.2.9", "bounces@list.test", list, "250"},
		{"by a signature", stranger, "bounces@other.test", signedBy(t, "list.test", list), "250"},
		{"stands for nothing", stranger, "bounces@list.test", list, "550 5.7.26 "},
		{"no list", "192.0.2.9", "bounces@list.test", text, "550 5.7.26 "},
	} {
		reply := w.from(c.client).bring("<"+c.from+">", []string{"alice@mail.test"}, c.text)
		if !strings.HasPrefix(reply, c.want) {
			t.Errorf("%s: %s", c.name, reply)
		}
		if strings.HasPrefix(c.want, "550") && !strings.Contains(reply, "reject.test") {
			t.Errorf("%s: %s", c.name, reply)
		}
		if strings.HasPrefix(reply, "250") {
			results, above, _ := stored(t, w.only("alice@mail.test"))
			if !slices.Contains(above, "X-Spam-Flag") || result(results, "dmarc") != "fail" {
				t.Errorf("%s: %q, %+v", c.name, above, results)
			}
		}
	}
	w.change(`"DKIM": {"sign": true`, `"Verify": {"forwarders": ["192.0.2.7"]}, "DKIM": {"sign": true`)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if reply := w.from(stranger).bring("<bounces@list.test>", []string{"alice@mail.test"}, list); !strings.HasPrefix(reply, "250") {
		t.Errorf("trusted: %s", reply)
	}
}

// TestShownAuthors: the domain that is judged is the one a reader sees; of several none passes.
func TestShownAuthors(t *testing.T) {
	w := startTrusting(t, newLab(t), "", `"Verify": {"dmarc": "note"},`)
	for _, c := range []struct{ header, dmarc, domain string }{
		{"From: x@good.test", "pass", "good.test"},
		{"From: X <x@good.test>", "pass", "good.test"},
		{"From: <x@good.test>", "pass", "good.test"},
		{"From: \"ann@reject.test\" <x@good.test>", "pass", "good.test"},
		{"From: \"x@good.test\" <ann@reject.test>", "fail", "reject.test"},
		{"From: x@good.test (ann@reject.test)", "pass", "good.test"},
		{"From: (x@good.test) ann@reject.test", "fail", "reject.test"},
		{"From: \"x@good.test\"@reject.test", "fail", "reject.test"},
		{"From: \"ann@reject.test\"@good.test", "pass", "good.test"},
		{"From: =?utf-8?q?x=40good=2Etest?= <ann@reject.test>", "fail", "reject.test"},
		{"From: =?utf-8?q?ann=40reject=2Etest_=3Cx=3E?= <x@good.test>", "pass", "good.test"},
		{"From: <@good.test:ann@reject.test>", "fail", "reject.test"},
		{"From: <@reject.test:x@good.test>", "pass", "good.test"},
		{"From: x@good.test, y@good.test", "pass", "good.test"},
		{"From: x@good.test, y@GOOD.test", "pass", "good.test"},
		{"From: x@good.test, ann@reject.test", "permerror", ""},
		{"From: ann@reject.test, x@good.test", "permerror", ""},
		{"From: friends: x@good.test;", "pass", "good.test"},
		{"From: friends: x@good.test, ann@reject.test;", "permerror", ""},
		{"From: friends:;", "permerror", ""},
		{"From:", "permerror", ""},
		{"From: nobody", "permerror", ""},
		{"Subject: no From", "permerror", ""},
		{"From: x@good.test\r\nFrom: x@good.test", "permerror", ""},
		{"From: x@good.test\r\nFrom: ann@reject.test", "permerror", ""},
		{"From: x@good.test\r\nfrom : ann@reject.test", "permerror", ""},
		{"From: X\r\n <x@good.test>", "pass", "good.test"},
		{"From: x@good.test\r\nSender: ann@reject.test", "pass", "good.test"},
	} {
		if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, c.header+"\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
			t.Errorf("%q: %s", c.header, reply)
			continue
		}
		results, _, _ := stored(t, w.only("alice@mail.test"))
		if got := result(results, "dmarc"); got != c.dmarc || domainJudged(results) != c.domain {
			t.Errorf("%q: %s for %q, not %s for %q", c.header, got, domainJudged(results), c.dmarc, c.domain)
		}
	}
}

// domainJudged is that of the author.
func domainJudged(r rfc2822.AuthResults) string {
	for _, m := range r.Results {
		for _, p := range m.Props {
			if m.Method == "dmarc" && p.Property == "from" {
				return p.Value
			}
		}
	}
	return ""
}

// TestDNSAway: while no server of the DNS answers, mail is taken and refused by nobody, and the results say so.
func TestDNSAway(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	w := startTrusting(t, l, "", "")
	l.mu.Lock()
	l.dead = true
	l.mu.Unlock()
	// One in our own name: it is what the least excuses.
	if reply := w.from(stranger).bring("<boss@mail.test>", []string{"alice@mail.test"}, "From: boss@mail.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	results, above, _ := stored(t, w.only("alice@mail.test"))
	if result(results, "spf") != "temperror" || result(results, "dmarc") != "temperror" || !slices.Contains(above, "X-Spam-Flag") {
		t.Errorf("%q, %+v", above, results)
	}
}

// TestBehindGateway: strangers who all come from one private address are not judged by it, and the status says so.
func TestBehindGateway(t *testing.T) {
	w := startTrusting(t, newLab(t), "", "")
	k := w.from("10.0.0.1")
	for i := range 60 {
		reply := k.bring("<x@plain.test>", []string{"alice@mail.test"}, fmt.Sprintf("From: x@plain.test\r\nSubject: %d\r\n\r\nx\r\n", i))
		if !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
	}
	for _, here := range w.fetch("alice@mail.test") {
		if results, _, _ := stored(t, here); result(results, "spf") != "none" {
			t.Errorf("%+v", results)
		}
	}
	s := askDaemon[Status](w, "status", nil)
	if len(s.Errors) != 1 || !strings.Contains(s.Errors[0], "10.0.0.1") || !strings.Contains(s.Errors[0], "proxy_from") {
		t.Errorf("the status says %q", s.Errors)
	}
	if all := s.problems(); len(all) == 0 || !all[0].Bad || !strings.Contains(all[0].Text, "10.0.0.1") {
		t.Errorf("the pages say %+v", all)
	}
	w.logged("level=ERROR", "all strangers come from one private address", "address=10.0.0.1", "proxy_from")
	if n := strings.Count(w.logs.String(), "all strangers come from one"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	// One stranger with an address of his own, and it is over.
	if reply := w.from(stranger).bring("<x@plain.test>", []string{"alice@mail.test"}, "From: x@plain.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if s := askDaemon[Status](w, "status", nil); len(s.Errors) != 0 {
		t.Errorf("then the status says %q", s.Errors)
	}
}
