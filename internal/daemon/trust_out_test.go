package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dmarc"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// checkedByDKIMPy verifies messages with another's program.
const checkedByDKIMPy = `
import dkim, json, sys
job = json.load(sys.stdin)
def zone(name, timeout=5):
    return job["key"].encode() if name.decode().rstrip(".") == "k1._domainkey.mail.test" else None
out = {}
for name, text in job["messages"].items():
    try:
        out[name] = "pass" if dkim.verify(text.encode("latin1"), dnsfunc=zone) else "fail"
    except dkim.MessageFormatError as e:
        out[name] = str(e)
json.dump(out, sys.stdout)
`

// dkimpy fails for messages that dkimpy does not verify.
func dkimpy(t *testing.T, messages map[string]string) {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's, which has its packages
	if err := exec.Command(python, "-c", "import dkim").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3-dkim is not installed")
		}
		t.Log("python3-dkim is not installed: ours alone have verified")
		return
	}
	key, err := trustKey()
	if err != nil {
		t.Fatal(err)
	}
	job := struct {
		Key      string            `json:"key"`
		Messages map[string]string `json:"messages"`
	}{recordOf(t, key), map[string]string{}}
	for name, text := range messages {
		latin := make([]rune, len(text))
		for i := range len(text) {
			latin[i] = rune(text[i])
		}
		job.Messages[name] = string(latin)
	}
	in, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", checkedByDKIMPy)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]string
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatal(err)
	}
	for name, text := range messages {
		if strings.HasPrefix(name, "blank before the colon") && strings.HasPrefix(said[name], "Unexpected characters") {
			continue // that is nothing to it
		}
		if said[name] != "pass" {
			t.Errorf("dkimpy says %q of %s:\n%.3000s", said[name], name, text)
		}
	}
}

// aligned is what DMARC says of a message from 127.0.0.1, of a host that calls itself mail.test.
func (l *lab) aligned(t *testing.T, from, text string) string {
	t.Helper()
	r := l.resolver()
	from = strings.Trim(from, "<>")
	c := spf.Checker{Resolver: r, Receiver: "far.test"}
	o := c.Check(t.Context(), spf.Query{IP: netip.MustParseAddr("127.0.0.1"), Helo: "mail.test", MailFrom: from})
	var p dmarc.Passed
	if o.Result == spf.Pass {
		p.SPF = o.Domain
	}
	for _, s := range l.signatures(t, text) {
		if f := strings.Fields(s); f[0] == "pass" {
			p.DKIM = append(p.DKIM, f[1])
		}
	}
	m, err := rfc2822.ReadString(text)
	if err != nil {
		t.Fatal(err)
	}
	checker := dmarc.Checker{Resolver: r}
	d := checker.CheckMessage(t.Context(), m.Header.Named("From"), p)
	return fmt.Sprintf("spf=%s dkim=%t dmarc=%s", o.Result, len(p.DKIM) > 0, d.Result)
}

// TestAllIsSigned: whatever leaves in the name of a domain here is signed with its key, be it a user's, a program's
// or of this host's own making, and passes DMARC in its strictest form by the null sender too.
func TestAllIsSigned(t *testing.T) {
	var refuse atomic.Bool
	sink, got := sinkServer(t, func(s *smtp.Server) {
		check := s.CheckRcpt
		s.CheckRcpt = func(ctx context.Context, session *smtp.Session, to *smtp.Recipient) error {
			if to.Path.Local == "later" && refuse.Load() {
				return &smtp.Reply{Code: 451, Enhanced: "4.7.1", Text: "Later"}
			}
			return check(ctx, session, to)
		}
	})
	l := newLab(t)
	w := startTrusting(t, l, `"Routes": [`+route("far.test", sink.Port, "")+`], "delay_warning_after": "1s", "tls_report": "tls@mail.test"`,
		`"Reports": {"address": "dmarc@mail.test", "send_dmarc": true},`)
	w.signs()
	const text = "From: Bob <bob@mail.test>\r\nTo: you@far.test\r\nSubject: s\r\n\r\nbody  \r\n.dot\r\n\r\n"
	all := map[string]string{}
	took := func(what, sender string) {
		t.Helper()
		from, _, m := left(t, got)
		if from != sender {
			t.Errorf("%s came from %s", what, from)
		}
		all[what] = m
		l.verifies(t, what, m)
		if d := l.aligned(t, from, m); d != "spf=pass dkim=true dmarc=pass" {
			t.Errorf("%s: %s\n%s", what, d, m)
		}
	}
	w.login().bring("<bob@mail.test>", []string{"friend@far.test"}, text)
	took("mail of a user", "<bob@mail.test>")
	if err := w.sendmail("bob@mail.test", []string{"friend@far.test"}, text); err != nil {
		t.Fatal(err)
	}
	took("mail of a program", "<bob@mail.test>")
	if err := w.sendmail("root@mail.test", []string{"friend@far.test"}, "Subject: cron\r\n\r\nhello\r\n"); err != nil {
		t.Fatal(err)
	}
	took("mail of root", "<root@mail.test>")

	relayed := func(params string, to string) {
		t.Helper()
		k := w.from("192.0.2.65")
		k.play("C: MAIL FROM:<ann@far.test>\nS: 250\nC: RCPT TO:<" + to + ">" + params + "\nS: 250\nC: DATA\nS: 354\nC: " +
			`From: ann@far.test\r\nSubject: s\r\n\r\nx\r\n.` + "\nS: 250")
	}
	relayed("", "no-such@far.test")
	took("a bounce", "<>")
	relayed(" NOTIFY=SUCCESS", "alice@mail.test")
	took("news of success", "<>")
	refuse.Store(true)
	relayed(" NOTIFY=DELAY,FAILURE", "later@far.test")
	took("news of a delay", "<>")
	refuse.Store(false)
	if _, to, _ := left(t, got); to != "<later@far.test>" {
		t.Errorf("then came mail for %s", to)
	}
	r := w.post.Outbound.TLSReports()
	r.Add(relay.TLSResult{Domain: "good.test", PolicyType: "no-policy-found", Host: "mx.good.test"})
	l.add(t, `_smtp._tls.good.test. 60 IN TXT "v=TLSRPTv1; rua=mailto:tls@far.test"`)
	day := time.Now().UTC().Format(time.DateOnly)
	if err := r.SendDay(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	took("a report about TLS", "<tls@mail.test>")
	w.reporting.Count(reports.Result{Domain: "far.test", Policy: reports.Policy{P: "none"}, Wanted: []reports.Destination{{Address: "dmarc@far.test"}},
		Source: netip.MustParseAddr("203.0.113.66"), Disposition: "none", From: "far.test", Recipients: []string{"alice@mail.test"}})
	if err := w.reporting.SendDay(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	took("a report about DMARC", "<dmarc@mail.test>")
	dkimpy(t, all)
}

// manyForms are messages that software on the way has broken the signatures of.
func manyForms() map[string]string {
	const h = "From: bob@mail.test\r\nTo: you@far.test\r\nSubject: s\r\n"
	long := func(n int) string { return strings.Repeat("x", n) + "\r\n" }
	var references strings.Builder
	for i := range 60 {
		fmt.Fprintf(&references, " <%040d@mail.test>", i)
	}
	return map[string]string{
		"apostrophe in a bare name":   "From: Pat O'Neil <bob@mail.test>\r\nTo: you@far.test\r\n\r\nx\r\n",
		"dots in a bare name":         "From: J. R. R. Bob <bob@mail.test>\r\n\r\nx\r\n",
		"raw UTF-8 in a name":         "From: Bøb <bob@mail.test>\r\nTo: you@far.test\r\n\r\nx\r\n",
		"raw UTF-8 in the subject":    "From: bob@mail.test\r\nSubject: grüße\r\n\r\nx\r\n",
		"raw Latin-1 in the subject":  "From: bob@mail.test\r\nSubject: gr\xfc\xdfe\r\n\r\nx\r\n",
		"encoded words":               "From: =?utf-8?q?B=C3=B8b?= <bob@mail.test>\r\nSubject: =?utf-8?b?w7g=?=\r\n\r\nx\r\n",
		"long References, one line":   h + "References:" + references.String()[:3000] + "\r\n\r\nx\r\n",
		"long References, folded":     h + "References:" + strings.ReplaceAll(references.String(), " <", "\r\n <") + "\r\n\r\nx\r\n",
		"many recipients":             "From: bob@mail.test\r\nTo: " + strings.Repeat("someone@far.test, ", 200) + "you@far.test\r\n\r\nx\r\n",
		"tabs and blanks in fields":   "From:\t bob@mail.test \t\r\nSubject:   a   b \t c  \r\n\r\nx\r\n",
		"a field folded with a blank": h + "X-A: a\r\n \t \r\n b\r\n\r\nx\r\n",
		"blank before the colon":      "From : bob@mail.test\r\nSubject : s\r\n\r\nx\r\n",
		"field names in all cases":    "FROM: bob@mail.test\r\nsubject: s\r\nMESSAGE-ID: <a@b>\r\ndate: Mon, 30 Nov 2026 10:00:00 +0000\r\n\r\nx\r\n",
		"the same field twice":        h + "Subject: again\r\nTo: other@far.test\r\nX-A: 1\r\nX-A: 2\r\n\r\nx\r\n",
		"no Date, no Message-ID":      h + "\r\nx\r\n",
		"a Date that is none":         h + "Date: yesterday\r\nMessage-ID: none\r\n\r\nx\r\n",
		"an old signature":            h + "DKIM-Signature: v=1; a=rsa-sha256; d=mail.test; s=old; h=from; bh=AAAA; b=AAAA\r\n\r\nx\r\n",
		"line of 998":                 h + "\r\n" + long(998),
		"line of 999":                 h + "\r\n" + long(999),
		"line of 5000":                h + "\r\n" + long(5000),
		"field of 998":                h + "X-A: " + long(993) + "\r\nx\r\n",
		"field of 5000":               h + "X-A: " + long(4990) + "\r\nx\r\n",
		"blanks before a line end":    h + "\r\na  \r\nb\t\r\n   \r\nc\r\n",
		"blanks at the end":           h + "\r\na\r\n  \r\n\t\r\n",
		"many empty lines at the end": h + "\r\na\r\n\r\n\r\n\r\n",
		"empty body":                  h + "\r\n",
		"only a newline":              h + "\r\n\r\n",
		"only newlines":               h + "\r\n\r\n\r\n\r\n",
		"one blank":                   h + "\r\n \r\n",
		"no last newline":             h + "\r\nno end",
		"dots":                        h + "\r\n.\r\n..\r\n.x\r\nx.\r\n",
		"From at the start of a line": h + "\r\nFrom here on\r\n>From there\r\n",
		"UTF-8 in the body":           h + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngrüße\r\n",
		"Latin-1 in the body":         h + "\r\ngr\xfc\xdfe\r\n",
		"NUL in the body":             h + "\r\na\x00b\r\n",
		"control characters":          h + "\r\na\x01\x08\x1b[31m\x7f\r\n",
		"quoted-printable":            h + "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BC=\r\n=C3=9Fe=20\r\n",
		"multipart":                   h + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"a b\"\r\n\r\npre\r\n--a b\r\n\r\none\r\n--a b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nø\r\n--a b--\r\nepilogue",
		"two authors of one domain":   "From: bob@mail.test, bob@mail.test\r\nSender: bob@mail.test\r\n\r\nx\r\n",
		"an address list in a group":  h + "Cc: friends: a@far.test, b@far.test;\r\n\r\nx\r\n",
		"more than memory holds":      h + "\r\n" + strings.Repeat("0123456789 abcdef \r\n", 8000),
	}
}

// bareForms are those that have line ends of more than one kind; they come by programs of this host.
var bareForms = map[string]string{
	"LF alone":      "From: bob@mail.test\nTo: you@far.test\nSubject: s\n\na\n\nb  \n",
	"both":          "From: bob@mail.test\r\nTo: you@far.test\nSubject: s\r\n\na\r\nb\n\r\nc\n",
	"CR in a line":  "From: bob@mail.test\nSubject: s\n\na\rb\r\r\nc\n",
	"only a header": "From: bob@mail.test\nSubject: s\n",
}

// TestNothingBetween: whatever form a message has and however it comes, it leaves with a signature that passes, or is
// refused, or comes back: to a host that knows no extension as well, for which nothing is converted after it was signed.
func TestNothingBetween(t *testing.T) {
	t.Parallel()
	plain, got := sinkServer(t, func(s *smtp.Server) {
		s.Extensions.Hide = []string{"8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "SIZE", "PIPELINING", "DSN"}
	})
	able, same := sinkServer(t)
	l := newLab(t)
	w := startTrusting(t, l, `"Routes": [`+route("far.test", plain.Port, "")+`,`+route("able.test", able.Port, "")+`]`, "")
	w.signs()
	k := w.login()
	all := map[string]string{}
	fate := func(what, to string, arrived chan string, reply string) {
		t.Helper()
		if !strings.HasPrefix(reply, "250") {
			if reply[0] != '5' {
				t.Errorf("%s: %s", what, reply)
			}
			return
		}
		for deadline := time.Now().Add(forEver); time.Now().Before(deadline); {
			select {
			case m := <-arrived:
				_, text, _ := strings.Cut(m, "\n")
				all[what] = text
				l.verifies(t, what, text)
				return
			case <-time.After(50 * time.Millisecond):
			}
			if u, err := w.store.Usage(t.Context(), "bob@mail.test"); err == nil && u.Messages > 0 {
				if bounce := w.only("bob@mail.test"); !strings.Contains(bounce, "Action: failed") || !strings.Contains(bounce, to) {
					t.Errorf("%s: %s", what, bounce)
				}
				if to == "friend@able.test" && !strings.HasPrefix(what, "NUL") {
					t.Errorf("%s: came back from a host that can take it", what)
				}
				return
			}
		}
		t.Errorf("%s: it is lost\n%.3000s", what, w.logs.Take())
	}
	for _, to := range []string{"friend@far.test", "friend@able.test"} {
		arrived := map[string]chan string{"friend@far.test": got, "friend@able.test": same}[to]
		for name, text := range manyForms() {
			fate(name+" of a user to "+to, to, arrived, k.bring("<bob@mail.test> BODY=8BITMIME SMTPUTF8", []string{to}, ended(text)))
		}
		programs := manyForms()
		for name, text := range bareForms {
			programs[name] = text
		}
		for name, text := range programs {
			reply := "250"
			if err := w.sendmail("bob@mail.test", []string{to}, text); err != nil {
				reply = "5 " + err.Error()
			}
			fate(name+" of a program to "+to, to, arrived, reply)
		}
	}
	if len(all) < 120 {
		t.Errorf("only %d messages have left", len(all))
	}
	dkimpy(t, all)
}

// ended is a message as DATA can carry it.
func ended(text string) string {
	if strings.HasSuffix(text, "\r\n") {
		return text
	}
	return text + "\r\n"
}

var (
	signature = regexp.MustCompile(`(?s)DKIM-Signature: .*?\r\n(?:[^ \t])`)
	times     = regexp.MustCompile(`t=(\d+); x=(\d+);`)
)

// TestSignedOnce: a message is signed once, however many destinations it has; the signature stays the same over
// retries and a restart, and is good for longer than any message may be under way.
func TestSignedOnce(t *testing.T) {
	t.Parallel()
	var refuse atomic.Bool
	refuse.Store(true)
	seen := make(chan string, 100)
	refusing := func(s *smtp.Server) {
		handler := s.Handler
		s.Handler = smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
			if !refuse.Load() {
				return handler.ServeSMTP(ctx, e)
			}
			text, err := io.ReadAll(e.Data)
			if err != nil {
				return err
			}
			seen <- string(text)
			return &smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "Later"}
		})
	}
	one, gotOne := sinkServer(t, refusing)
	two, gotTwo := sinkServer(t)
	l := newLab(t)
	w := startTrusting(t, l, `"expire_after": "40d", "Routes": [`+route("far.test", one.Port, "")+`,`+route("third.test", two.Port, "")+`]`, "")
	w.signs()
	w.login().bring("<bob@mail.test>", []string{"a@far.test", "b@third.test", "c@third.test", "alice@mail.test"}, "From: bob@mail.test\r\n\r\nx\r\n")
	_, _, second := left(t, gotTwo)
	want := signature.FindString(second)
	if want == "" {
		t.Fatalf("not signed: %s", second)
	}
	same := func(what, text string) {
		t.Helper()
		if strings.Count(text, "DKIM-Signature:") != 1 || !strings.Contains(text, want) {
			t.Errorf("%s:\n%s\nnot\n%s", what, text, want)
		}
		l.verifies(t, what, text)
	}
	same("in the mailbox here", w.only("alice@mail.test"))
	same("the first attempt", <-seen)
	same("the second", <-seen)
	w.stop()
	for len(seen) > 0 {
		<-seen
	}
	w.again()
	same("after a restart", <-seen)
	refuse.Store(false)
	_, _, first := left(t, gotOne)
	same("delivered", first)

	at := times.FindStringSubmatch(strings.Join(strings.Fields(want), " "))
	if at == nil {
		t.Fatalf("no times in %s", want)
	}
	made, _ := strconv.ParseInt(at[1], 10, 64)
	until, _ := strconv.ParseInt(at[2], 10, 64)
	// A user may have it held for 31 days, and then it may be in the queue for as long as that takes.
	if good, need := time.Duration(until-made)*time.Second, (31+40+7)*24*time.Hour; good < need {
		t.Errorf("it is good for %v, and may be under way for %v", good, need)
	}
}

// TestForwardedUntouched: what strangers send through an alias to another host keeps the signatures it has and gets none
// of ours; what was found of it is not told there.
func TestForwardedUntouched(t *testing.T) {
	sink, got := sinkServer(t)
	l := newLab(t)
	w := startTrusting(t, l, `"Routes": [`+route("far.test", sink.Port, "")+`]`, `"Aliases": {"away@mail.test": ["friend@far.test", "alice@mail.test"]},`)
	w.signs()
	text := signedBy(t, "list.test", signedBy(t, "good.test", "From: news@good.test\r\nSubject: s\r\n\r\nbody  \r\n"))
	if reply := w.from(stranger).bring("<x@good.test>", []string{"away@mail.test"}, text); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	from, _, far := left(t, got)
	if !strings.HasPrefix(from, "<SRS0=") || !strings.HasSuffix(far, text) || strings.Contains(strings.TrimSuffix(far, text), "DKIM-Signature") || strings.Contains(far, "Authentication-Results") {
		t.Errorf("from %s:\n%s", from, far)
	}
	if all := l.signatures(t, far); !slices.Equal(all, []string{"pass list.test s", "pass good.test s"}) {
		t.Errorf("%q", all)
	}
	if _, _, came := stored(t, w.only("alice@mail.test")); came != text {
		t.Errorf("here: %q", came)
	}
}

// TestForwardedToWhoChecks: of mail in the name of a domain that asks to refuse, what is signed passes an alias; what has SPF
// alone is refused behind it, and that comes back to its sender once; the log has said before that it would.
func TestForwardedToWhoChecks(t *testing.T) {
	l := newLab(t)
	sink, got := sinkServer(t, func(s *smtp.Server) {
		handler := s.Handler
		s.Handler = smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
			text, err := io.ReadAll(e.Data)
			if err != nil {
				return err
			}
			if strings.HasSuffix(l.aligned(t, e.From.String(), string(text)), "dmarc=fail") {
				return &smtp.Reply{Code: 550, Enhanced: "5.7.26", Text: "DMARC"}
			}
			e.Data = bytes.NewReader(text)
			return handler.ServeSMTP(ctx, e)
		})
	})
	w := startTrusting(t, l, `"Routes": [`+route("far.test", sink.Port, "")+`,`+route("good.test", sink.Port, "")+`]`, `"Aliases": {"away@mail.test": ["friend@far.test", "alice@mail.test"]},`)
	const text = "From: ann@good.test\r\nSubject: s\r\n\r\nbody\r\n"
	bring := func(client, text string) string {
		return w.from(client).bring("<ann@good.test>", []string{"away@mail.test"}, text)
	}
	for name, c := range map[string]struct{ client, text string }{
		"DKIM": {"192.0.2.9", signedBy(t, "good.test", text)},
		"both": {stranger, signedBy(t, "good.test", text)},
	} {
		if reply := bring(c.client, c.text); !strings.HasPrefix(reply, "250") {
			t.Fatalf("%s: %s", name, reply)
		}
		if _, to, m := left(t, got); to != "<friend@far.test>" || !strings.HasSuffix(m, c.text) {
			t.Errorf("%s: for %s came %s", name, to, m)
		}
		w.only("alice@mail.test")
		if strings.Contains(w.logs.String(), "only_spf=") {
			t.Errorf("%s: the log says that it will be refused", name)
		}
	}
	if reply := bring(stranger, text); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	w.logged("msg=queued", "only_spf=reject")
	from, to, m := left(t, got)
	if from != "<>" || to != "<ann@good.test>" || !strings.Contains(m, "5.7.26") {
		t.Errorf("from %s for %s: %s", from, to, m)
	}
	w.only("alice@mail.test")
	w.drained()
	if all := w.doubted.problems(); all != nil {
		t.Errorf("that is no fault of ours: %q", all)
	}
	if len(got) != 0 {
		t.Errorf("another one came: %s", <-got)
	}
	if reply := bring("192.0.2.9", text); !strings.HasPrefix(reply, "550 5.7.26") {
		t.Errorf("neither: %s", reply)
	}
}

// TestUnsigned: without a key that the DNS shows, mail leaves unsigned and the status says so, or is kept from leaving
// where the settings want that; a reload decides anew.
func TestUnsigned(t *testing.T) {
	sink, got := sinkServer(t)
	l := newLab(t)
	w := startTrusting(t, l, `"Routes": [`+route("far.test", sink.Port, "")+`]`, `"Verify": {"check": true},`)
	const text = "From: bob@mail.test\r\nSubject: s\r\n\r\nx\r\n"
	leaves := func(signatures int) {
		t.Helper()
		if reply := w.login().bring("<bob@mail.test>", []string{"a@far.test"}, text); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
		if _, _, m := left(t, got); len(l.signatures(t, m)) != signatures {
			t.Errorf("not %d signatures: %s", signatures, m)
		}
	}
	change := func(old, new string) {
		t.Helper()
		w.change(old, new)
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	leaves(0)
	peertest.Await(t, "a warning", func() bool {
		return slices.ContainsFunc(w.status(time.Now()).Warnings, func(s string) bool {
			return strings.Contains(s, "mail from mail.test is not signed") && strings.Contains(s, "postrider dns show mail.test")
		})
	})
	change(`"rotate": "0s"`, `"rotate": "0s", "require": true`)
	if reply := w.login().bring("<bob@mail.test>", []string{"a@far.test"}, text); !strings.HasPrefix(reply, "451 4.7.5") {
		t.Errorf("required: %s", reply)
	}
	if err := w.sendmail("bob@mail.test", []string{"a@far.test"}, text); err == nil || !strings.Contains(err.Error(), "4.7.5") {
		t.Errorf("required of programs: %v", err)
	}
	// Mail of others is not ours to sign.
	if reply := w.from("192.0.2.65").bring("<ann@else.test>", []string{"a@far.test"}, "From: ann@else.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
		t.Errorf("of another domain: %s", reply)
	}
	left(t, got)
	w.signs()
	leaves(1)
	change(`"sign": true`, `"sign": false`)
	leaves(0)
	change(`"sign": false`, `"sign": true`)
	leaves(1)
}

// TestOthersDoubt: mail of ours that another host does not believe to be from here is a sentence in the status and one
// warning in the log, however often, and words in the bounce.
func TestOthersDoubt(t *testing.T) {
	sink, _ := sinkServer(t, func(s *smtp.Server) {
		s.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			io.Copy(io.Discard, e.Data)
			return &smtp.Reply{Code: 550, Enhanced: "5.7.26", Text: "Unauthenticated mail from mail.test is not accepted due to domain's DMARC policy"}
		})
	})
	w := startTrusting(t, newLab(t), `"Routes": [`+route("far.test", sink.Port, "")+`]`, "")
	for range 2 {
		w.login().bring("<bob@mail.test>", []string{"a@far.test"}, "From: bob@mail.test\r\n\r\nx\r\n")
		if bounce := strings.Join(strings.Fields(w.only("bob@mail.test")), " "); !strings.Contains(bounce, "please tell the postmaster of mail.test") {
			t.Errorf("the bounce: %s", bounce)
		}
	}
	// Mail of others, forwarded or relayed, is none of ours.
	w.from("192.0.2.65").bring("<ann@else.test>", []string{"a@far.test"}, "From: ann@else.test\r\n\r\nx\r\n")
	w.drained()
	if n := strings.Count(w.logs.String(), "another host does not believe that mail is from here"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	all := w.doubted.problems()
	if len(all) != 1 || !strings.Contains(all[0], "refused 2 times to believe that mail is from mail.test (postrider dns check mail.test)") || !strings.Contains(all[0], "DMARC policy") {
		t.Errorf("the status: %q", all)
	}
}

// TestPreferIPv4: of a host with both kinds of addresses the IPv6 one is dialled first, and with the setting not at all.
func TestPreferIPv4(t *testing.T) {
	for _, prefer := range []bool{false, true} {
		var sink *net.TCPAddr
		var got chan string
		var six net.Listener
		err := errors.New("not tried")
		for try := 0; err != nil && try < 5; try++ { // the port may be taken over IPv6
			sink, got = sinkServer(t)
			six, err = net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(sink.Port)))
		}
		if err != nil {
			t.Skip("there is no IPv6 here")
		}
		t.Cleanup(func() { six.Close() })
		var dialled atomic.Int64
		go func() {
			for {
				c, err := six.Accept()
				if err != nil {
					return
				}
				dialled.Add(1)
				c.Close()
			}
		}()
		l := newLab(t)
		l.add(t, "mx.far.test. 60 IN A 127.0.0.1", "mx.far.test. 60 IN AAAA ::1")
		w := startTrusting(t, l, fmt.Sprintf(`"prefer_ipv4": %t, "Routes": [{"domain": "far.test", "host": "mx.far.test", "port": %d, "tls": "none"}]`, prefer, sink.Port), "")
		if reply := w.login().bring("<bob@mail.test>", []string{"friend@far.test"}, "From: bob@mail.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
		left(t, got)
		if n := dialled.Load(); prefer != (n == 0) {
			t.Errorf("preferred: %t, and the IPv6 address was dialled %d times", prefer, n)
		}
	}
}
