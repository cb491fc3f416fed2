package daemon

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/peertest"
)

// withMilters are settings with milters, each of them a name and an address, and more of Verify in front.
func withMilters(verify string, milters ...string) string {
	var all []string
	for i := 0; i < len(milters); i += 2 {
		all = append(all, fmt.Sprintf(`{"name": %q, "address": %q, "wait": "20s"}`, milters[i], milters[i+1]))
	}
	return fmt.Sprintf(`"Verify": {"check": false, %s "Milters": [%s]},`, verify, strings.Join(all, ", "))
}

// brings is a message of a stranger for bob, and the answer to it, or to what was refused before.
func (w *testWorld) brings(text string, to ...string) string {
	w.t.Helper()
	if to == nil {
		to = []string{"bob@mail.test"}
	}
	k := w.stranger("192.0.2.7")
	defer k.c.Close()
	return k.bring("<a@far.test>", to, text)
}

// TestLibmilter: what a milter on sendmail's own library may wish for, and what comes of it. Nothing that it wishes changes an octet of the
// message, and each refusal names it.
func TestLibmilter(t *testing.T) {
	t.Parallel()
	address, kill := peertest.Libmilter(t)
	w := start(t, withMilters(`"quarantine": "+junk",`, "lib", address)+`"Accounts": {"bob+junk@mail.test": `+testAccount(t)+`},`)
	const body = "Subject: x\r\n\r\nbody\r\n.\r\nend\r\n"
	for do, want := range map[string]string{
		"nothing": "250", "add X-A: b": "250", "progress": "250", "reject": "550 5.7.1 lib: The message is refused", "tempfail": "451 4.7.1 lib: The message is not taken now; try again later",
		"reply not 100% good": "554 5.7.1 lib: not 100% good", "discard": "250", "quarantine looks odd": "250", "lines": "554 5.7.1 two",
	} {
		text := "X-Do: " + do + "\r\n" + body
		if got := strings.TrimSpace(w.brings(text)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", do, got, want)
		}
		box := "bob@mail.test"
		if strings.HasPrefix(do, "quarantine") {
			box = "bob+junk@mail.test"
		}
		if want != "250" || do == "discard" {
			if n := w.stored("bob@mail.test"); n != 0 {
				t.Fatalf("%s: %d messages", do, n)
			}
			continue
		}
		got := w.only(box)
		switch {
		case !strings.HasSuffix(got, text):
			t.Errorf("%s: %q", do, got)
		case do == "add X-A: b" && !strings.Contains(got, "\r\nX-A: b\r\nX-Do: "):
			t.Errorf("%s: %q", do, got)
		case box != "bob@mail.test" && !strings.HasPrefix(got, "X-Quarantine: unsafe; lib: looks odd\r\n"):
			t.Errorf("%s: %q", do, got)
		}
	}
	w.logged("discarded", "milter=lib:discarded", "to=bob@mail.test")
	w.logged("refused", "command=DATA", "milter=lib:refused")
	w.logged("delivered", "milter=lib:marked", `aside="lib: looks odd"`)

	// What is added stands above what the message brought and below what is ours; what would change it is not done.
	text := "X-Do: add X-C: c\r\nX-Do: insert X-A: a\r\nX-Do: insert X-B: b\r\nX-Do: tell\r\nX-Do: body\r\nX-Do: to\r\nX-Do: not\r\nX-Do: from\r\nX-Do: change Subject: mine\r\nX-Do: remove Subject\r\nX-Do: change X-D: d\r\n" + body
	if got := w.brings(text); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	got := w.only("bob@mail.test")
	top, ok := strings.CutSuffix(got, text)
	_, received, _ := strings.Cut(top, "Received: ")
	if _, below, found := strings.Cut(received, "\r\nX-B: b\r\nX-A: a\r\nX-C: c\r\nX-Told: h.good.test 12 fields, 14 octets,\r\n <bob@mail.test>, i="); !ok || !found || !strings.HasSuffix(below, "\r\nX-D: d\r\n") {
		if _, below, found := strings.Cut(received, "\r\nX-B: b\r\nX-A: a\r\nX-C: c\r\nX-Told: h.good.test 12 fields, 14 octets, <bob@mail.test>, i="); !ok || !found || !strings.HasSuffix(below, "\r\nX-D: d\r\n") {
			t.Errorf("%q", got)
		}
	}
	w.nothing("a recipient whom the milter added")
	w.logged("delivered", "milter=lib:clean", `milter_refused="lib: replace body, lib: add recipient, lib: remove recipient, lib: change sender, lib: change field Subject, lib: remove field Subject"`, "from=a@far.test")

	// One recipient of two is refused; and users are not asked about.
	k := w.stranger("192.0.2.7")
	k.play("C: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: RCPT TO:<refused@mail.test>\nS: 550 5.1.1\nC: RCPT TO:<team@mail.test>\nS: 250\nC: DATA\nS: 354\nC: X-Do: tell\\r\\n\\r\\n.\nS: 250")
	w.forget("bob@mail.test")
	w.forget("alice@mail.test")
	u := w.loginAs("alice@mail.test")
	u.play("C: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: DATA\nS: 354\nC: From: alice@mail.test\\r\\nX-Do: reject\\r\\n\\r\\n.\nS: 250")
	w.forget("bob@mail.test")

	// Without it mail goes on, and says so; status does after three.
	kill()
	for range 4 {
		if got := w.brings("X-Spam-Status: No\r\nX-Do: reject\r\n" + body); !strings.HasPrefix(got, "250") {
			t.Error(got)
		}
	}
	for _, got := range w.fetch("bob@mail.test") {
		if ours := strings.Index(got, "X-Spam-Status: Unknown, not scanned by lib\r\n"); ours < 0 || ours > strings.Index(got, "X-Spam-Status: No") {
			t.Errorf("%q", got)
		}
	}
	if p := strings.Join(w.trustProblems(), "\n"); !strings.Contains(p, "the milter lib has not answered since ") || !strings.Contains(p, "nobody listens at ") && !strings.Contains(p, "there is no ") {
		t.Errorf("the status says %q", p)
	}
}

// TestMilterRefusesRecipient: a milter's word about one recipient, which all else speaks for.
func TestMilterRefusesRecipient(t *testing.T) {
	t.Parallel()
	address, _ := peertest.Libmilter(t)
	account := testAccount(t)
	w := start(t, withMilters("", "lib", address)+`"Accounts": {"refused@mail.test": `+account+`, "later@mail.test": `+account+`},`)
	k := w.stranger("192.0.2.7")
	k.play("C: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<refused@mail.test>\nS: 550 5.1.1 lib: not this one\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: RCPT TO:<later@mail.test>\nS: 451 4.7.1 lib: \nC: RCPT TO:<nobody@mail.test>\nS: 550 5.1.1 No such\n" +
		"C: DATA\nS: 354\nC: X-Do: tell\\r\\n\\r\\n.\nS: 250")
	if got := w.only("bob@mail.test"); !strings.Contains(got, "<bob@mail.test>, i=") || strings.Contains(got, "nobody@") {
		t.Errorf("%q", got)
	}
	w.logged("refused", "command=RCPT", "to=refused@mail.test", "milter=lib:refused")
}

// clamSettings are those of clamav-milter that docs/defence.md has.
func clamSettings(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/defence.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "`/etc/clamav/clamav-milter.conf`:\n\n   ```\n")
	block, _, found := strings.Cut(block, "   ```\n")
	if !found {
		t.Fatal("docs/defence.md has no settings of clamav-milter")
	}
	return strings.ReplaceAll(block, "   ", "")
}

// TestClamAV: the real one, with the settings of docs/defence.md. While it is not ready mail is what its own settings say, and no virus is seen where none is; ready, it refuses
// what it knows, also in the middle of a large message, and lets pass the rest octet for octet, with its word on top. When it is killed,
// mail goes on, or comes again.
func TestClamAV(t *testing.T) {
	t.Parallel()
	clam := peertest.NewClamAV(t, clamSettings(t))
	conf := strings.Replace(withMilters("", "clamav", clam.Address), `"wait": "20s"`, `"wait": "20s", "down": "later"`, 1)
	w := start(t, conf)
	const clean, infected = "Subject: x\r\nX-Virus-Status: Clean as can be\r\n\r\nbody\r\n", "Subject: x\r\n\r\n" + peertest.Virus + "\r\n"
	if got := w.brings(clean); !strings.HasPrefix(got, "451 4.7.1 clamav: ") || len(w.trustProblems()) > 0 {
		t.Errorf("not ready: %q, %q", got, w.trustProblems())
	}
	clam.Start()
	// Its milter looks for it now and then.
	peertest.Await(t, "clamav-milter to find clamd", func() bool {
		got := w.brings(clean)
		if !strings.HasPrefix(got, "250") && !strings.HasPrefix(got, "451 4.7.1 clamav: ") {
			t.Fatal(got)
		}
		return got[0] == '2'
	})
	top, ok := strings.CutSuffix(w.only("bob@mail.test"), clean)
	if _, below, _ := strings.Cut(top, "Received: "); !ok || !strings.Contains(below, "\r\nX-Virus-Status: Clean\r\n") || !strings.Contains(below, "\r\nX-Virus-Scanned: ") {
		t.Errorf("%q", top)
	}
	lines := strings.Repeat("a line of a long message, of which there are many\r\n", 20_000)
	for range 2 {
		for _, text := range []string{infected, "Subject: x\r\n\r\n" + lines + peertest.Virus + "\r\n" + lines} {
			if got := w.brings(text); !strings.HasPrefix(got, "550 5.7.1 clamav: virus "+peertest.VirusName) {
				t.Errorf("infected: %q", got)
			}
		}
		if got := w.brings("Subject: x\r\n\r\n" + lines); !strings.HasPrefix(got, "250") || !strings.HasSuffix(w.only("bob@mail.test"), "\r\n\r\n"+lines) {
			t.Errorf("clean and large: %q", got)
		}
	}
	w.logged("refused", "command=DATA", "milter=clamav:refused", "virus "+peertest.VirusName)
	clam.Stop()
	if got := w.brings(clean); !strings.HasPrefix(got, "451 4.7.1 clamav: ") {
		t.Errorf("clamd ended: %q", got)
	}
	clam.Kill()
	k := w.stranger("192.0.2.7")
	for range 4 {
		k.play("C: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 451 4.3.0 clamav: The message cannot be checked now; try again later\nC: RSET\nS: 250")
	}
	if p := strings.Join(w.trustProblems(), "\n"); !strings.Contains(p, "the milter clamav has not answered since ") || !strings.Contains(p, "at Verify.Milters") {
		t.Errorf("the status says %q", p)
	}
	if n := w.stored("bob@mail.test"); n != 0 {
		t.Errorf("%d messages", n)
	}
}

// TestClamAVQuarantine: what it has put aside is in our quarantine.
func TestClamAVQuarantine(t *testing.T) {
	t.Parallel()
	settings := strings.NewReplacer("OnInfected Reject\nRejectMsg virus %v\n", "OnInfected Quarantine\n", "OnFail Defer", "OnFail Accept").Replace(clamSettings(t))
	clam := peertest.NewClamAV(t, settings)
	clam.Start()
	w := start(t, withMilters(`"quarantine": "+junk",`, "clamav", clam.Address)+`"Accounts": {"bob+junk@mail.test": `+testAccount(t)+`},`)
	infected := "Subject: x\r\n\r\n" + peertest.Virus + "\r\n"
	peertest.Await(t, "a virus in quarantine", func() bool {
		if got := w.brings(infected); !strings.HasPrefix(got, "250") {
			t.Fatal(got)
		}
		return w.stored("bob+junk@mail.test") > 0
	})
	junk := w.only("bob+junk@mail.test")
	if !strings.HasPrefix(junk, "X-Quarantine: unsafe; clamav: ") || !strings.Contains(junk, "X-Spam-Flag: YES") || !strings.HasSuffix(junk, infected) || !strings.Contains(junk, "X-Virus-Status: Infected ("+peertest.VirusName) {
		t.Errorf("%q", junk)
	}
}

// TestOpenDKIM: the real one sees every octet that a signature is about, in simple form too, and its word stands on top of what a stranger
// says in its name. What has been changed on the way does not pass.
func TestOpenDKIM(t *testing.T) {
	t.Parallel()
	key, err := trustKey()
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, withMilters("", "dkim", peertest.OpenDKIM(t, "s._domainkey.good.test", recordOf(t, key))))
	text := signedBy(t, "good.test", "From: a@good.test\r\nTo: bob@mail.test\r\nSubject: a subject\r\n   that is folded,\r\n\ttwice\r\nMessage-ID: <1@good.test>\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\n\r\n"+strings.Repeat("line \t of the body  \r\n..\r\n", 5000)+"\r\n\r\n")
	forged := "Authentication-Results: dkim.test; dkim=fail header.d=good.test\r\n"
	for text, want := range map[string]string{text: "dkim=pass", strings.Replace(text, "..\r\n", ".\r\n", 1): "dkim=fail", forged + text: "dkim=pass"} {
		if got := w.brings(text); !strings.HasPrefix(got, "250") {
			t.Fatal(got)
		}
		got := w.only("bob@mail.test")
		top, ok := strings.CutSuffix(got, text)
		if _, below, _ := strings.Cut(top, "Received: "); !ok || !strings.Contains(below, "\r\nAuthentication-Results: dkim.test;") || !strings.Contains(below, want) {
			t.Errorf("want %s: %q", want, top)
		}
	}
	w.logged("delivered", "milter=dkim:clean", "milter_refused=", "dkim: remove field Authentication-Results")
}

// TestMilterSendsNothing: whatever a milter has done with mail of a forged sender, nothing is sent to him, and it is counted.
func TestMilterSendsNothing(t *testing.T) {
	t.Parallel()
	p, l := mailtest.MilterPacket, newLab(t)
	var mu sync.Mutex
	var answer []byte
	m := mailtest.NewMilter(t, func(command byte, data string) []byte {
		mu.Lock()
		defer mu.Unlock()
		return mailtest.MilterSays(0, map[byte][]byte{'E': answer})(command, data)
	})
	w := startTrusting(t, l, "", withMilters(`"quarantine": "+junk",`, "m", "unix:"+m.Address)+`"Accounts": {"bob+junk@mail.test": `+testAccount(t)+`},`)
	for outcome, says := range map[string][]byte{"refused": p('r', ""), "later": p('t', ""), "discarded": p('d', ""), "marked": append(p('q', "odd\x00"), p('c', "")...), "clean": append(p('+', "<x@far.test>\x00"), p('c', "")...), "failed": mailtest.Hangup} {
		mu.Lock()
		answer = says
		mu.Unlock()
		k := w.from(stranger)
		k.play("C: MAIL FROM:<victim@far.test>\nS: 250\nC: RCPT TO:<bob@mail.test> NOTIFY=FAILURE,DELAY\nS: 250\nC: DATA\nS: 354\nC: From: victim@far.test\\r\\n\\r\\nx\\r\\n.")
		if reply := k.reply(); strings.HasPrefix(reply, "250") == (outcome == "refused" || outcome == "later") {
			t.Errorf("%s: %s", outcome, reply)
		}
		told := httptest.NewRecorder()
		w.metrics.ServeHTTP(told, httptest.NewRequest("GET", "/metrics", nil))
		if !strings.Contains(told.Body.String(), fmt.Sprintf("postrider_milter_scans_total{outcome=%q} 1\n", outcome)) {
			t.Errorf("%s is not counted", outcome)
		}
	}
	if n := w.post.Outbound.Queue().Counters().Accepted; n > 0 {
		t.Errorf("%d messages were sent to the forged sender, or to whom the milter wants", n)
	}
}

// TestMiltersReloaded: a reload changes who is asked, from the next transaction on; several are asked in order, beside all else that looks
// at a message.
func TestMiltersReloaded(t *testing.T) {
	t.Parallel()
	no := mailtest.NewMilter(t, mailtest.MilterSays(0, map[byte][]byte{'E': mailtest.MilterPacket('r', "")}))
	adds := mailtest.NewMilter(t, mailtest.MilterSays(0, map[byte][]byte{'E': slices.Concat(mailtest.MilterPacket('h', "X-A\x00b\x00"), mailtest.MilterPacket('c', ""))}))
	w := start(t, "")
	set := func(milters ...string) {
		t.Helper()
		text := fmt.Sprintf(testConf, w.account, withMilters("", milters...))
		text = strings.ReplaceAll(text, "unix:lmtp.sock", "unix:"+filepath.Join(w.dir, "lmtp.sock"))
		if err := os.WriteFile(filepath.Join(w.dir, "t.conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	const text = "Subject: x\r\n\r\nbody\r\n"
	for _, c := range []struct {
		milters []string
		want    string
		field   bool
	}{
		{nil, "250", false},
		{[]string{"adds", "unix:" + adds.Address}, "250", true},
		{[]string{"adds", "unix:" + adds.Address, "no", "unix:" + no.Address}, "550 5.7.1 no: ", false},
		{[]string{"renamed", "unix:" + no.Address}, "550 5.7.1 renamed: ", false},
		{nil, "250", false},
	} {
		k := w.stranger("192.0.2.7")
		k.play("C: MAIL FROM:<a@far.test>\nS: 250")
		set(c.milters...)
		k.play("C: RSET\nS: 250")
		if got := k.bring("<a@far.test>", []string{"bob@mail.test"}, text); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q: %q, want %q", c.milters, got, c.want)
		}
		if c.want == "250" {
			if got := w.only("bob@mail.test"); strings.Contains(got, "\r\nX-A: b\r\nSubject") != c.field || !strings.HasSuffix(got, text) {
				t.Errorf("%q: %q", c.milters, got)
			}
		}
	}
	w.nothing("refused")
}
