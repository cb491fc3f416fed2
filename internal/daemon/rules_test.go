package daemon

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/peertest"
)

// ruled is a world with rules, in a file that its settings include. Files may be named beside it.
func ruled(t *testing.T, l *lab, text string, files map[string]string, extra string) *testWorld {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "mail.rules")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startTrusting(t, l, "", fmt.Sprintf(`"Rules": ["include %s"], %s`, name, extra))
}

// says is a message of one line with a subject.
func about(subject string) string {
	return "From: ann@good.test\r\nSubject: " + subject + "\r\n\r\nbody\r\n"
}

// count is how many messages a mailbox has.
func (w *testWorld) count(user string) int {
	m, err := w.store.Open(w.t.Context(), user)
	if err != nil {
		w.t.Fatal(err)
	}
	defer m.Close()
	return m.Len()
}

// pageExamples are the rules of docs/rules.md by the words above them.
func pageExamples(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, m := range regexp.MustCompile("(?s)\n## ([^\n]*)\n\n```rules\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		all[m[1]] = m[2]
	}
	return all
}

// TestRulesPage: each example of the page does what its words say.
func TestRulesPage(t *testing.T) {
	t.Parallel()
	examples := pageExamples(t)
	plays := map[string]func(t *testing.T, w *testWorld){
		"Refuse": func(t *testing.T, w *testWorld) {
			k := w.from(stranger)
			k.play("C: MAIL FROM:<a@blocked.test>\nS: 550 5.7.1 We do not take mail from you")
			k.play("C: MAIL FROM:<a@x.spam.test>\nS: 550 5.7.1\nC: MAIL FROM:<a@spam.test>\nS: 550 5.7.1\nC: MAIL FROM:<ann@good.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: all.zip!\\r\\n\\r\\nx\\r\\n.\nS: 554 5.7.1 Send no archives")
			w.logged("refused", "command=MAIL", "rule=", "mail.rules:4", "action=reject")
			w.logged("refused", "command=DATA", "mail.rules:8", "action=reply")
			k.play("C: EHLO 192.0.2.7\nS: 250\nC: MAIL FROM:<ann@good.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 550 5.7.1 Say who you are")
			if reply := w.from("198.51.100.9").bring("<a@spam.test>", []string{"bob@mail.test"}, about("all.zip")); !strings.HasPrefix(reply, "250") {
				t.Error(reply)
			}
		},
		"Mark": func(t *testing.T, w *testWorld) {
			text := "X-Suspicious: never\r\nList-Unsubscribe: <x>\r\n" + about("s")
			if reply := w.from("203.0.113.9").bring("<ann@good.test>", []string{"alice@mail.test"}, text); !strings.HasPrefix(reply, "250") {
				t.Fatal(reply)
			}
			got := w.only("alice@mail.test")
			if !strings.Contains(got, "X-Suspicious: no reverse name\r\nX-Suspicious: newsletter\r\n"+text) {
				t.Error(got)
			}
			w.logged("delivered", "tags=X-Suspicious,X-Suspicious")
			w.forget("alice@mail.test")
			if reply := w.from(stranger).bring("<ann@good.test>", []string{"alice@mail.test"}, about("s")+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 15000)); !strings.HasPrefix(reply, "250") {
				t.Fatal(reply)
			}
			if got := w.only("alice@mail.test"); !strings.Contains(got, "X-Suspicious: large\r\nFrom:") || strings.Contains(got, "reverse") {
				t.Errorf("%.500s", got)
			}
		},
		"Slow down": func(t *testing.T, w *testWorld) {
			k := w.from(stranger)
			k.play("C: MAIL FROM:<ann@good.test>\nS: 250" + strings.Repeat("\nC: RCPT TO:<alice@mail.test>\nS: 250", 3) + "\nC: RCPT TO:<alice@mail.test>\nS: 450 4.7.1 No more than 3")
			w.logged("refused", "command=RCPT", "mail.rules:2", "action=stall")
		},
		"Limit": func(t *testing.T, w *testWorld) {
			k := w.from(stranger)
			k.play("C: MAIL FROM:<a@bulk.test>\nS: 250" + strings.Repeat("\nC: RCPT TO:<alice@mail.test>\nS: 250", 3) +
				"\nC: RCPT TO:<alice@mail.test>\nS: 450 4.7.1 There may be 3 in 1h of this network and this domain, and this is number 4 since \nC: RSET\nS: 250\nC: MAIL FROM:<a@good.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250")
			w.logged("refused", "command=RCPT", "mail.rules:2", "action=stall")
			if err := w.Reload(); err != nil {
				t.Fatal(err)
			}
			w.from(stranger).play("C: MAIL FROM:<b@bulk.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 450 4.7.1 There may be 3 in 1h")
			w.state().settings.Verify.Greylist.Wait = time.Second // less than the settings allow
			k = w.from("203.0.113.9")
			const told = "450 4.7.1 203.0.113.0/24 is not known here yet: come again in 1 seconds, at "
			k.play("C: MAIL FROM:<ann@nothing.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: " + told)
			w.logged("refused", "command=RCPT", "greylist=203.0.113.0/24", "mail.rules:7", "action=greylist")
			time.Sleep(1100 * time.Millisecond)
			k.play("C: RCPT TO:<alice@mail.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250")
			robot := w.login()
			robot.play("C: MAIL FROM:<bob@mail.test>\nS: 250")
		},
		"Put aside": func(t *testing.T, w *testWorld) {
			for from, to := range map[string]string{"<x@lists.test>": "alice@mail.test", "<noise@news.test>": "", "<x@plain.test>": "bob@mail.test"} {
				subject := "s"
				if to == "bob@mail.test" {
					subject = "your invoice is here"
				}
				if reply := w.from(stranger).bring(from, []string{"carol@mail.test", "away@mail.test"}, strings.Replace(about(subject), "good.test", "plain.test", 1)); !strings.HasPrefix(reply, "250") {
					t.Errorf("%s: %s", from, reply)
				}
				for _, box := range []string{"alice@mail.test", "bob@mail.test", "carol@mail.test"} {
					n := w.count(box)
					if (n == 1) != (box == to) || n > 1 {
						t.Errorf("%s: %d messages for %s", from, n, box)
					}
					if n == 1 {
						if got := w.only(box); !strings.Contains(got, "X-Original-To: carol@mail.test\r\nX-Original-To: away@mail.test\r\n") {
							t.Error(got)
						}
					}
				}
			}
			w.logged("put aside", "mailbox=bob@mail.test", "mail.rules:3", "action=quarantine", `note="invoices of nobody"`)
			w.logged("put aside", "mailbox=alice@mail.test", "mail.rules:4", "action=redirect")
			w.logged("discarded", "from=noise@news.test", "mail.rules:5", "action=discard")
			w.drained() // nobody is written to
			if strings.Contains(w.logs.String(), "msg=queued") {
				t.Error("somebody is written to")
			}
		},
		"Break on purpose": func(t *testing.T, w *testWorld) {
			k := w.from(stranger)
			k.play("C: MAIL FROM:<ann@good.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 450\nC: RCPT TO:<alice@mail.test>\nS: 450\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: RSET\nS: 250")
			k.play("C: MAIL FROM:<flaky@fault.test>\nS: 250\nC: RSET\nS: 250\nC: MAIL FROM:<flaky@fault.test>")
			if rest, err := io.ReadAll(k.r); err != nil || len(rest) > 0 {
				t.Errorf("%q, %v", rest, err)
			}
			w.logged("refused", "command=MAIL", "mail.rules:4", "action=drop")
			if reply := w.from(stranger).bring("<full@fault.test>", []string{"bob@mail.test"}, about("s")); !strings.HasPrefix(reply, "452 4.3.1 Disk full") {
				t.Error(reply)
			}
			if w.count("bob@mail.test") != 0 {
				t.Error("what was refused is stored")
			}
			refused := 0
			for range 20 {
				k := w.from(stranger)
				k.play("C: MAIL FROM:<x@random.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: DATA")
				if strings.HasPrefix(k.reply(), "554") {
					refused++
				}
			}
			if refused != 3 { // what the seed has it
				t.Errorf("%d of 20 were refused", refused)
			}
		},
	}
	for name, text := range examples {
		if plays[name] == nil {
			t.Errorf("nobody tries the rules under %q", name)
		}
		_ = text
	}
	for name, play := range plays {
		t.Run(name, func(t *testing.T) {
			text, ok := examples[name]
			if !ok {
				t.Fatal("the page has no such rules")
			}
			l := newLab(t)
			play(t, ruled(t, l, text, map[string]string{"blocked": "# who\n@blocked.test"},
				`"Accounts": {"carol@mail.test": ""}, "Aliases": {"away@mail.test": "friend@far.test"}, "Verify": {"dmarc": "note", "own_domains": "note", "spf": "note"}`))
		})
	}
}

// TestRulesPhases: rules are asked at each phase, and refuse there; each refusal names its rule in the
// log.
func TestRulesPhases(t *testing.T) {
	l := newLab(t)
	w := ruled(t, l, `@helo reject helo bad.test
@from reject from one@good.test
@to reply "550 5.1.1 Not he" to alice@
@to stall user @mail.test to bob@mail.test
@data reject from two@good.test
@header reject header x-bad *
@message reject size >20kB
@from reject from <>
reject ip 203.0.113.77`, nil, "")
	for script, rule := range map[string]string{
		"C: EHLO bad.test\nS: 550":             "1",
		"C: HELO Bad.Test.\nS: 550":            "1",
		"C: MAIL FROM:<One@GOOD.test>\nS: 550": "2",
		"C: MAIL FROM:<ann@good.test>\nS: 250\nC: RCPT TO:<Alice+x@mail.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 550 5.1.1 Not he":                              "3",
		"C: MAIL FROM:<two@good.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: DATA\nS: 554":                                                                    "5",
		"C: MAIL FROM:<x@good.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: DATA\nS: 354\nC: X-Bad:\\r\\n\\r\\nx\\r\\n.\nS: 554":                               "6",
		"C: MAIL FROM:<x@good.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: DATA\nS: 354\nC: A: b\\r\\n\\r\\n" + strings.Repeat("x\\r\\n", 7000) + ".\nS: 554": "7",
		"C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 550":                                                                                                  "8",
	} {
		w.logs.Take()
		w.from(stranger).play(script)
		w.logged("refused", "mail.rules:"+rule+" ")
	}
	w.logs.Take()
	k := w.login()
	k.play("C: MAIL FROM:<bob@mail.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 450")
	w.logged("refused", "mail.rules:4 ", "user=bob@mail.test")
	if n := w.count("bob@mail.test"); n != 0 {
		t.Errorf("%d messages that were refused are stored", n)
	}
	// At the door.
	k = w.dial("127.0.0.7:0")
	fmt.Fprintf(k.c, "PROXY TCP4 203.0.113.77 127.0.0.7 4000 25\r\n")
	k.play("S: 554\nC: EHLO x.test\nS: 503\nC: QUIT\nS: 221")
	w.logged("refused", "command=CONNECT", "mail.rules:9 ")
}

// TestRulesKnow: what SPF, DKIM and DMARC have found out reaches rules, and what the DNS does not say makes none
// true, nor its opposite.
func TestRulesKnow(t *testing.T) {
	l := newLab(t)
	l.add(t, "servfail.bad.test. 60 IN A 127.0.0.1", "7.2.0.192.dead.test. 60 IN A 127.255.255.254", "7.2.0.192.lies.test. 60 IN A 192.0.2.1", "7.2.0.192.list.test. 60 IN A 127.0.0.4",
		"client.good.test.names.test. 60 IN A 127.0.0.2", "null.test. 60 IN MX 0 .", "mx.test. 60 IN MX 0 client.good.test.", "local.test. 60 IN A 10.0.0.1")
	w := ruled(t, l, `tag "X-Spf: pass" spf pass
tag "X-Spf: not" not spf pass
tag "X-Dkim: pass" dkim pass signer good.test
tag "X-Dmarc: pass" dmarc pass author ann@good.test
tag "X-Host: yes" host client.good.test dns good source .good.test
tag "X-Listed: list" dnsbl list.test
tag "X-Listed: dead" dnsbl dead.test or dnsbl lies.test
tag "X-Listed: not dead" not dnsbl dead.test
tag "X-Listed: not lies" not dnsbl lies.test
tag "X-Listed: none" not dnsbl none.test
tag "X-Listed: name" dbl host names.test
tag "X-Trusted: no" trusted no not user @
tag "X-Domain: bad" from-has baddom
tag "X-Domain: good" from-has resolves
tag "X-Domain: unknown" from-has unknown
tag "X-Rcpts: 2" rcpts 2 to bob@ to alice@`, nil, `"Verify": {"dmarc": "note", "spf": "note"}`)
	marks := func(from, text string) string {
		if reply := w.from(stranger).bring("<"+from+">", []string{"alice@mail.test", "bob@mail.test"}, text); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
		got := w.only("alice@mail.test")
		w.forget("alice@mail.test")
		w.forget("bob@mail.test")
		return strings.Join(regexp.MustCompile("(?m)^X-(?:Spf|Dkim|Dmarc|Host|Listed|Trusted|Domain|Rcpts): .*\r$").FindAllString(got, -1), "")
	}
	always := "X-Host: yes\rX-Listed: list\rX-Listed: none\rX-Listed: name\rX-Trusted: no\r"
	for from, want := range map[string]string{
		"ann@mx.test":    "X-Spf: not\r" + always + "X-Domain: good\rX-Rcpts: 2\r",
		"ann@null.test":  "X-Spf: not\r" + always + "X-Domain: bad\rX-Rcpts: 2\r",
		"ann@local.test": "X-Spf: not\r" + always + "X-Domain: bad\rX-Rcpts: 2\r",
		"ann@servfail.x": "X-Spf: not\r" + always + "X-Domain: unknown\rX-Rcpts: 2\r",
	} {
		if got := marks(from, "Subject: s\r\n\r\nx\r\n"); got != want {
			t.Errorf("%s: %q, not %q", from, got, want)
		}
	}
	got := marks("ann@good.test", signedBy(t, "good.test", "From: Ann <ann@good.test>\r\n\r\nx\r\n"))
	if want := "X-Spf: pass\rX-Dkim: pass\rX-Dmarc: pass\r" + always; !strings.HasPrefix(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
	// A user is not a stranger, and in no list.
	if reply := w.login().bring("<bob@mail.test>", []string{"alice@mail.test"}, "From: bob@mail.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if got := w.only("alice@mail.test"); strings.Contains(got, "X-Trusted") || strings.Contains(got, "X-Listed: list") || strings.Contains(got, "X-Spf") {
		t.Error(got)
	}
}

// TestRulesTellNobody: whatever rules do with mail whose sender is forged, he in whose name it was written hears nothing
// of it: all is decided before the client hears that its message was taken.
func TestRulesTellNobody(t *testing.T) {
	l := newLab(t)
	var text strings.Builder
	actions := []string{"accept", "reject", "stall", "drop", "discard", "quarantine", "redirect bob@mail.test", `reply "552 5.2.2 Full"`, `tag "X-A: b"`, "delay 1ms"}
	for i, action := range actions {
		with := ""
		if action == "quarantine" {
			with = " with mailbox bob@mail.test"
		}
		fmt.Fprintf(&text, "@message %s header subject rule%d%s\n", action, i, with)
	}
	w := ruled(t, l, text.String(), nil, `"Accounts": {"full@mail.test": {"quota": "1kB"}}, "Verify": {"dmarc": "note", "spf": "note"}`)
	for i, action := range actions {
		for _, params := range []string{"", " NOTIFY=SUCCESS,FAILURE"} {
			k := w.from(stranger)
			k.play("C: MAIL FROM:<victim@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>" + params + "\nS: 250\nC: DATA\nS: 354")
			fmt.Fprintf(k.c, "Subject: rule%d\r\n\r\nx\r\n.\r\n", i)
			if action == "drop" {
				if rest, err := io.ReadAll(k.r); err != nil || len(rest) > 0 {
					t.Errorf("%q, %v", rest, err)
				}
			} else if reply := k.reply(); strings.HasPrefix(reply, "250") != (i < 1 || i > 3 && i < 7 || i > 7) {
				t.Errorf("%s: %s", action, reply)
			}
		}
	}
	w.drained()
	if log := w.logs.String(); strings.Contains(log, "msg=queued") || strings.Contains(log, "msg=notification") {
		t.Error(log)
	}
}

// TestRulesReloaded: a rule that is not right leaves those before it in force, and names its place; at a first
// start it is an error. A pattern file that is missing is told once.
func TestRulesReloaded(t *testing.T) {
	w := start(t, `"Rules": ["reject from one@x.test", "reject from ./none", {"at": "from", "do": "reject", "if": "from four@x.test", "with": {"message": "a \"b\""}}],`)
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<one@x.test>\nS: 550\nC: MAIL FROM:<four@x.test>\nS: 550 5.7.1 a \"b\"\nC: MAIL FROM:<two@x.test>\nS: 250\nC: RSET\nS: 250")
	w.logged("refused", "t.conf:", "action=reject")
	name := filepath.Join(w.dir, "t.conf")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	change := func(from, to string) {
		if err := os.WriteFile(name, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change("reject from one@x.test", "rejct from two@x.test")
	if err := w.Reload(); err == nil || !strings.Contains(err.Error(), "t.conf:") || !strings.Contains(err.Error(), `did you mean "reject"`) {
		t.Error(err)
	}
	k.play("C: MAIL FROM:<one@x.test>\nS: 550\nC: MAIL FROM:<two@x.test>\nS: 250\nC: RSET\nS: 250")
	change("reject from one@x.test", "reject from two@x.test")
	if err := w.Reload(); err != nil {
		t.Error(err)
	}
	k.play("C: MAIL FROM:<two@x.test>\nS: 550\nC: MAIL FROM:<one@x.test>\nS: 250")
	peertest.Await(t, "a word about the file that is missing", func() bool { return strings.Contains(w.logs.String(), "none: no such file") })
	if n := strings.Count(w.logs.String(), "none: no such file"); n != 1 {
		t.Errorf("it is told %d times", n)
	}
}

// TestRulesAside: a message that is put aside is its very octets, once; a mailbox that cannot have it is a
// reason to try later, and no loss.
func TestRulesAside(t *testing.T) {
	l := newLab(t)
	w := ruled(t, l, "redirect full@mail.test from full@good.test\nquarantine all with mailbox bob@mail.test", nil, `"Accounts": {"full@mail.test": {"quota": "1kB"}}, "Verify": {"dmarc": "note"}`)
	for _, text := range mailtestTexts {
		if reply := w.from(stranger).bring("<ann@good.test>", []string{"alice@mail.test", "bob@mail.test"}, text); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
		if got := w.only("bob@mail.test"); !strings.HasSuffix(got, text) {
			t.Error(mailtest.Differ(got, text))
		}
		w.forget("bob@mail.test")
		w.nothing("put aside")
	}
	if reply := w.from(stranger).bring("<full@good.test>", []string{"alice@mail.test"}, about(strings.Repeat("x", 900))+strings.Repeat("line\r\n", 500)); !strings.HasPrefix(reply, "4") {
		t.Error(reply)
	}
	w.nothing("no room")
}

// mailtestTexts are messages with what goes wrong easily.
var mailtestTexts = []string{about("s"), "\r\nno header\r\n", "Subject: x\r\n\r\n.\r\n..\r\n", about("long") + strings.Repeat("0123456789\r\n", 20000)}
