package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/rfc2822"
)

func (w *testWorld) isAway(user, text string) {
	w.t.Helper()
	w.decides(user, func(p *preferences.Preferences) { p.Absence = &preferences.Absence{Text: text} })
}

// settled waits until nobody is being answered and nothing is in the queue.
func (w *testWorld) settled() {
	w.t.Helper()
	w.post.Settle()
	w.drained()
}

// TestAnswer: who writes to a user that is away is answered once, as RFC 3834 wants it, also after a restart.
func TestAnswer(t *testing.T) {
	w, got := startRelaying(t)
	w.isAway("alice@mail.test", "Zurück am 5. Januar.\n")
	const text = "From: Ann <ann@third.test>\r\nTo: \"A\" <alice@mail.test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@third.test>\r\nReferences: <0@third.test>\r\n\r\nsecret words\r\n"
	w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, text)
	m := receive(t, got)
	if !strings.HasPrefix(m, "<> <ann@third.test>\n") || strings.Contains(m, "secret words") {
		t.Errorf("%q", m)
	}
	_, message, _ := strings.Cut(m, "\n")
	header, _, _ := rfc2822.ParseHeader(message)
	for name, want := range map[string]string{
		"From": "alice@mail.test", "To": "ann@third.test", "Subject": "Auto: Grüße", "Auto-Submitted": "auto-replied",
		"In-Reply-To": "<1@third.test>", "References": "<0@third.test> <1@third.test>", "X-Auto-Response-Suppress": "All",
	} {
		if got := header.Text(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	parsed, err := rfc2822.ReadString(message)
	if err != nil {
		t.Fatal(err)
	}
	content, err := parsed.Content(rfc2822.Limits{}, 1<<20)
	if err != nil || content.Text != "Zurück am 5. Januar.\r\n" {
		t.Errorf("%+v %v", content, err)
	}
	again := strings.Replace(text, "<1@", "<2@", 1)
	w.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, again)
	w.settled()
	w.stop()
	w2 := &testWorld{t: t, dir: w.dir, logs: w.logs}
	if w2.Daemon, err = New(func() (*conf.Settings, error) { return conf.Load(w.dir) }, w.logs); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w2.Run(ctx) }()
	w2.stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(w2.stop)
	w2.greeted().send("<ann@third.test>", []string{"<alice@mail.test>"}, again)
	w2.settled()
	if len(got) != 0 {
		t.Errorf("answered again: %q", <-got)
	}
	w2.greeted().send("<ben@third.test>", []string{"<alice@mail.test>"}, text)
	if m := receive(t, got); !strings.HasPrefix(m, "<> <ben@third.test>\n") {
		t.Errorf("somebody else: %q", m)
	}
}

// TestNotAnswered: machines, lists, blind copies, groups, and the user himself hear nothing.
func TestNotAnswered(t *testing.T) {
	w, got := startRelaying(t)
	w.isAway("alice@mail.test", "away")
	for name, tt := range map[string]struct{ from, to, header string }{
		"a bounce":          {"<>", "", ""},
		"no-reply":          {"<no-reply@third.test>", "", ""},
		"noreply with more": {"<shop.NoReply+17@third.test>", "", ""},
		"mailer-daemon":     {"<MAILER-DAEMON@third.test>", "", ""},
		"an owner":          {"<owner-list@third.test>", "", ""},
		"a request":         {"<list-request@third.test>", "", ""},
		"a VERP":            {"<list-bounces+alice=mail.test@third.test>", "", ""},
		"a list":            {"", "", "List-Id: <x.third.test>"},
		"a newsletter":      {"", "", "List-Unsubscribe: <https://third.test/>"},
		"bulk":              {"", "", "Precedence: Bulk"},
		"an answer":         {"", "", "Auto-Submitted: auto-replied (vacation)"},
		"a program":         {"", "", "Auto-Submitted: (by cron) auto-generated; x=y"},
		"Exchange":          {"", "", "X-Auto-Response-Suppress: DR, OOF"},
		"a report":          {"", "", "Content-Type: multipart/report; report-type=delivery-status; boundary=x"},
		"junk elsewhere":    {"", "", "X-Spam-Status: Yes, score=9"},
		"a blind copy":      {"", "somebody@third.test", ""},
		"a group":           {"", "team@mail.test", ""},
		"a role":            {"", "postmaster@mail.test", ""},
		"a stray":           {"", "stray@mail.test", ""},
		"the user":          {"<alice+x@mail.test>", "", ""},
		"somebody's From":   {"", "", "Cc: x@third.test\r\nTo:"},
	} {
		from, to := tt.from, tt.to
		if from == "" {
			from = "<person@third.test>"
		}
		if to == "" {
			to = "alice@mail.test"
		}
		text := "From: x@third.test\r\n"
		if name != "somebody's From" {
			text += "To: " + to + "\r\n"
		}
		if tt.header != "" {
			text += tt.header + "\r\n"
		}
		w.greeted().send(from, []string{"<alice@mail.test>"}, text+"Subject: "+name+"\r\n\r\nx\r\n")
		w.settled()
		if len(got) != 0 {
			t.Errorf("%s: %q", name, <-got)
		}
	}
	w.greeted().send("<person@third.test>", []string{"<alice@mail.test>"}, "From: x@third.test\r\nTo: q@third.test\r\nCc: Alice+shop@mail.test\r\nAuto-Submitted: no\r\nSubject: s\r\n\r\nx\r\n")
	if m := receive(t, got); !strings.Contains(m, "\nFrom: Alice+shop@mail.test\r\n") {
		t.Errorf("a person: %q", m)
	}
}

// TestAwayBoth: two users who are both away have one answer each at most, here and at two servers.
func TestAwayBoth(t *testing.T) {
	w := start(t, "")
	for _, user := range []string{"alice@mail.test", "bob@mail.test"} {
		w.isAway(user, "away, says "+user)
	}
	w.login().bring("<bob@mail.test>", []string{"alice@mail.test"}, "From: bob@mail.test\r\nTo: alice@mail.test\r\nSubject: s\r\n\r\nx\r\n")
	here := w.waitFor("bob@mail.test", 1)
	w.settled()
	if len(here) != 1 || !strings.HasPrefix(here[0], "Return-Path: <>\r\n") || !strings.Contains(here[0], "away, says alice") {
		t.Errorf("%q", here)
	}
	w.keeps("alice@mail.test", 1)

	// Another server, whose answer comes back to this one.
	var far, near *testWorld
	sink, got := sinkServer(t)
	far, near = w, start(t, `"Queue": {"Routes": [`+route("far.test", sink.Port, "")+`]}, "SMTP": {"relay_from": ["127.0.0.1/32"]},`)
	near.isAway("alice@mail.test", "away")
	near.greeted().send("<ann@far.test>", []string{"<alice@mail.test>"}, "From: ann@far.test\r\nTo: alice@mail.test\r\nSubject: s\r\n\r\nx\r\n")
	_, answer, _ := strings.Cut(receive(t, got), "\n")
	// As another server would deliver it to somebody who is away there: even with a sender, it is silent.
	answer = strings.Replace(answer, "To: ann@far.test", "To: bob@mail.test", 1)
	far.greeted().send("<ann@far.test>", []string{"<bob@mail.test>"}, answer)
	far.settled()
	if n := far.post.Outbound.Queue().Counters().Accepted; n != 0 {
		t.Errorf("%d answers to an answer", n)
	}
}

// TestAwayDays: nobody is answered before the first day and after the last.
func TestAwayDays(t *testing.T) {
	w, got := startRelaying(t)
	day := func(n int) string { return time.Now().AddDate(0, 0, n).Format(time.DateOnly) }
	for i, tt := range []struct {
		from, until string
		want        bool
	}{{day(2), "", false}, {"", day(-2), false}, {day(-2), day(2), true}} {
		w.decides("alice@mail.test", func(p *preferences.Preferences) {
			p.Absence = &preferences.Absence{Text: "away", From: tt.from, Until: tt.until}
		})
		w.greeted().send(fmt.Sprintf("<ann%d@third.test>", i), []string{"<alice@mail.test>"}, "From: x@third.test\r\nTo: alice@mail.test\r\n\r\nx\r\n")
		w.settled()
		if (len(got) == 1) != tt.want {
			t.Errorf("from %q until %q: %d answers", tt.from, tt.until, len(got))
		}
	}
	if err := w.rewrite(`"Web": {"user_may": []}, "SMTP": {"relay_from": ["127.0.0.1/32"]},`); err != nil {
		t.Fatal(err)
	}
	before := w.post.Outbound.Queue().Counters().Accepted
	w.greeted().send("<bea@third.test>", []string{"<alice@mail.test>"}, "From: x@third.test\r\nTo: alice@mail.test\r\n\r\nx\r\n")
	w.post.Settle()
	if n := w.post.Outbound.Queue().Counters().Accepted; n != before {
		t.Error("answered though the settings forbid it")
	}
}

// TestAnswerKilled: whenever the program is killed, a sender has one answer at most; and it is there in the end, or was lost with the kill.
func TestAnswerKilled(t *testing.T) {
	sink, got := sinkServer(t)
	v := underAttack(t, `"SMTP": {"relay_from": ["127.0.0.1/32"]}, "Queue": {"retry_first": "1s", "retry_max": "1s", "Routes": [`+route("third.test", sink.Port, "")+`]},`)
	kill := func() {
		v.cmd.Process.Kill()
		<-v.ended
	}
	kill()
	disk, err := durable.Open(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	dir := filepath.Join(v.dir, "data")
	kept, err := preferences.Open(t.Context(), preferences.Dir(dir), disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.Change(t.Context(), "alice@mail.test", func(p *preferences.Preferences) error { p.Absence = &preferences.Absence{Text: "away"}; return nil }); err != nil {
		t.Fatal(err)
	}
	const rounds = 4
	for i := range rounds {
		v.again()
		for range 2 {
			k, err := v.stranger(1, "smtp")
			if err != nil {
				t.Fatal(err)
			}
			k.play("S: 220\nC: EHLO x.test\nS: 250")
			k.send(fmt.Sprintf("<ann%d@third.test>", i), []string{"<alice@mail.test>"}, "From: x@third.test\r\nTo: alice@mail.test\r\n\r\nx\r\n")
			k.c.Close()
		}
		time.Sleep(time.Duration(i) * 3 * time.Millisecond) // somewhere on the way
		kill()
	}
	v.again()
	v.stop()
	answers := make(map[string]map[string]bool) // Message-IDs: one that is sent again after a kill is the same answer
	for len(got) > 0 {
		m := <-got
		to, message, _ := strings.Cut(m, "\n")
		header, _, _ := rfc2822.ParseHeader(message)
		if answers[to] == nil {
			answers[to] = make(map[string]bool)
		}
		answers[to][header.Get("Message-ID")] = true
	}
	t.Logf("%d of %d senders were answered", len(answers), rounds)
	for to, ids := range answers {
		if len(ids) != 1 || !strings.HasPrefix(to, "<> <ann") {
			t.Errorf("%s: %v", to, ids)
		}
	}
}
