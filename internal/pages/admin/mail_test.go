package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/trace"
)

// TestMail: whatever names a message leads to its whole way, in the words of "postrider trace".
func TestMail(t *testing.T) {
	r := logOf("word@far.test")
	do := visit(t, Server{Queue: &server{word: "why it waits"}, Mail: r, Lines: r})
	for _, term := range []string{"s1-1", "q1", "<word@far.test>", "word@far.test"} {
		found, err := trace.Find(t.Context(), r, trace.Query{Term: term})
		if err != nil || len(found.Ways) == 0 {
			t.Fatal(term, err)
		}
		status, page := do("GET", "/admin/mail?"+url.Values{"term": {term}}.Encode(), nil)
		page = html.UnescapeString(page)
		for _, w := range found.Ways {
			for _, l := range w.Lines {
				if !strings.Contains(page, l.Words()) {
					t.Errorf("%s: %d: no %q", term, status.StatusCode, l.Words())
				}
			}
		}
		if len(found.Ways) == 1 && !strings.Contains(page, "why it waits") {
			t.Errorf("%s: what the queue says is not there", term)
		}
	}
	for path, want := range map[string]string{
		"/admin/mail?term=gone":          "Nothing in the log fits.",
		"/admin/mail?since=soon":         `"soon" is no time`,
		"/admin/mail?from=word@far.test": "Message s1-1 from <word@far.test>",
		"/admin/mail?since=1h":           "Message s3-1 from",
		"/admin/mail?until=1h":           "Nothing in the log fits.",
	} {
		if _, page := do("GET", path, nil); !strings.Contains(html.UnescapeString(page), want) {
			t.Errorf("%s: no %q in %s", path, want, page)
		}
	}
}

// manyLines is a log of n lines about half as many messages, of which one in a hundred is from an address.
func manyLines(n int) *trace.Ring {
	r := trace.NewRing(256 << 20)
	at := time.Now().Add(-time.Duration(n) * time.Millisecond)
	var b []byte
	for i := range n / 2 {
		at := at.Add(time.Duration(2*i) * time.Millisecond).UTC().Format("2006-01-02T15:04:05.000Z")
		b = fmt.Appendf(b[:0], "time=%s level=INFO msg=delivered service=smtp session=sess%07d id=sess%07d-1 from=sender%d@far%d.test message_id=<mail%d@far.test> user=\"\" remote=192.0.2.1:4 spf=pass dkim=pass dmarc=pass to=bob@mail.test mailbox=bob@mail.test octets=%d\n", at, i, i, i%100, i%77, i, i)
		r.Write(b)
		b = fmt.Appendf(b[:0], "time=%s level=INFO msg=\"smtp session\" service=smtp session=sess%07d remote=192.0.2.1:4 took=31.5ms accepted=1 helo=far.test commands.ehlo=1 commands.mail=1 commands.rcpt=1\n", at, i)
		r.Write(b)
	}
	return r
}

// TestMailPages: from piece to piece every message is told once, the newest first.
func TestMailPages(t *testing.T) {
	const n = 1000
	r := manyLines(n)
	do := visit(t, Server{Mail: r})
	seen, path := map[string]int{}, "/admin/mail"
	next := regexp.MustCompile(`href="([^"]*)">Further`)
	last := ""
	for range n {
		_, page := do("GET", path, nil)
		for _, m := range regexp.MustCompile(`Message (sess\d+-1)`).FindAllStringSubmatch(page, -1) {
			if seen[m[1]]++; last != "" && m[1] >= last {
				t.Errorf("%s behind %s", m[1], last)
			}
			last = m[1]
		}
		m := next.FindStringSubmatch(page)
		if m == nil {
			break
		}
		path = html.UnescapeString(m[1])
	}
	if len(seen) != n/2 {
		t.Errorf("%d messages of %d", len(seen), n/2)
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("%s %d times", id, times)
		}
	}
}

// TestMailSize: pages stay small whatever strangers write, and however often.
func TestMailSize(t *testing.T) {
	r := trace.NewRing(16 << 20)
	l := slog.New(slog.NewTextHandler(r, nil))
	w := strings.Repeat(`"<&'`, 120)
	for i := range 60 {
		for range 100 {
			l.Info("refused", "session", fmt.Sprint("sess", i), "id", fmt.Sprintf("sess%d-1", i), "command", "RCPT", "from", w, "to", w, "reply", w, "helo", w, "message_id", w, "user", w)
		}
	}
	s := &server{word: w, entries: 10}
	do := visit(t, Server{Queue: s, Mail: r, Lines: r})
	for _, path := range []string{"/admin/mail", "/admin/mail?term=sess7-1", "/admin/log"} {
		if _, page := do("GET", path, nil); len(page) > 60_000 || !strings.Contains(page, "RCPT") {
			t.Errorf("%s: %d octets", path, len(page))
		}
	}
}

// TestTail: lines are there when the page is, and come when they are written; each once.
func TestTail(t *testing.T) {
	r := trace.NewRing(1 << 20)
	l := slog.New(slog.NewTextHandler(r, nil))
	for i := range 150 {
		l.Info("before", "n", i)
	}
	do := visit(t, Server{Lines: r})
	_, page := do("GET", "/admin/log", nil)
	if strings.Contains(page, "n=49<") || !strings.Contains(page, "n=50<") || !strings.Contains(page, "n=149<") || strings.Contains(page, "http-equiv") {
		t.Error(page)
	}
	if _, page := do("GET", "/admin/log?live=1", nil); !strings.Contains(page, `<meta http-equiv="refresh" content="5">`) {
		t.Error("it does not load itself")
	}
	if _, page := do("GET", "/admin/log?text=N%3D77", nil); strings.Count(page, "<li ") != 1 || !strings.Contains(page, "n=77") {
		t.Error(page)
	}
	more := func(query string) (got struct {
		Next  int64
		More  bool
		Lines []entry
	}) {
		t.Helper()
		resp, text := do("GET", "/admin/log/more?"+query, nil)
		if err := json.Unmarshal([]byte(text), &got); err != nil || resp.Header.Get("Content-Type") != "application/json" || strings.ContainsAny(text, "<>&") {
			t.Fatal(err, text)
		}
		return got
	}
	if got := more("next=150"); got.Next != 151 || len(got.Lines) != 1 || got.Lines[0].Text != "msg=before n=149" || got.Lines[0].Level != "info" {
		t.Errorf("%+v", got)
	}
	go func() {
		r.Wait(context.Background(), 0)
		l.Info("debugging", "n", 1)
		l.Warn("<script>", "id", "s1-1")
	}()
	if got := more("next=151&level=warn"); got.Next != 153 || len(got.Lines) != 1 || got.Lines[0].Of != "s1-1" || got.Lines[0].Text != "msg=<script> id=s1-1" {
		t.Errorf("%+v", got)
	}
	if got := more("next=1"); len(got.Lines) != linesOnPage || !got.More || got.Next != 153 {
		t.Errorf("%d lines, %v", len(got.Lines), got.More)
	}
	r.Close()
	if got := more("next=153"); len(got.Lines) != 0 || got.Next != 153 {
		t.Errorf("%+v", got)
	}
}

// TestTailKinds: who looks for logins sees those that failed and those that did not, by mail programs and by the pages, with from where and by what; and no line else.
func TestTailKinds(t *testing.T) {
	r := trace.NewRing(1 << 20)
	l := slog.New(slog.NewTextHandler(r, nil))
	say := func(event string, facts ...any) { l.Info(event, facts...) }
	say("login failed", "n", "A1", "service", "pop3", "remote", "192.0.2.1:5", "user", "x")
	say("smtp session", "n", "A2", "service", "submission", "user", "alice@mail.test", "remote", "192.0.2.1:5", "mechanism", "SCRAM-SHA-256")
	say("pop3 session", "n", "A3", "user", "alice@mail.test", "remote", "192.0.2.1:5")
	say("logged in to the pages", "n", "A4", "user", "ann")
	say("refused", "n", "A5", "command", "AUTH")
	say("smtp session", "n", "B1", "remote", "192.0.2.1:5")
	say("smtp session", "n", "B2", "user", "root", "remote", "local")
	say("refused", "n", "B3", "command", "RCPT")
	say("delivered", "n", "B4", "user", "alice@mail.test")
	say("changed by page", "n", "C1", "user", "ann")
	do := visit(t, Server{Lines: r})
	seen := func(page string) (all string) {
		return strings.Join(regexp.MustCompile(`n=[ABC]\d`).FindAllString(page, -1), " ")
	}
	for what, want := range map[string]string{
		"logins": "n=A1 n=A2 n=A3 n=A4 n=A5", "changes": "n=C1", "": "n=A1 n=A2 n=A3 n=A4 n=A5 n=B1 n=B2 n=B3 n=B4 n=C1", "logins&text=pop3": "n=A1 n=A3",
	} {
		_, page := do("GET", "/admin/log?what="+what, nil)
		if seen(page) != want || what != "" && !strings.Contains(page, `value="`+strings.TrimSuffix(what, "&text=pop3")+`" selected`) || what == "changes" && !strings.Contains(page, `data-more="/admin/log/more?what=changes"`) {
			t.Errorf("%q: %s\n%s", what, seen(page), page)
		}
	}
	if _, more := do("GET", "/admin/log/more?next=2&what=logins", nil); seen(more) != "n=A2 n=A3 n=A4 n=A5" {
		t.Error(more)
	}
}

// TestWatchers: so many wait and no more, and places become free.
func TestWatchers(t *testing.T) {
	r := trace.NewRing(1 << 20)
	s := Server{Lines: r}
	do := visit(t, s)
	answers := make(chan int, watchersAtOnce+1)
	ask := func() {
		resp, _ := do("GET", "/admin/log/more?next=0", nil)
		answers <- resp.StatusCode
	}
	for range watchersAtOnce + 1 {
		go ask()
	}
	if got := <-answers; got != 503 { // the others wait
		t.Error(got)
	}
	slog.New(slog.NewTextHandler(r, nil)).Info("x")
	for range watchersAtOnce {
		if got := <-answers; got != 200 {
			t.Error(got)
		}
	}
	go ask()
	r.Close()
	if got := <-answers; got != 200 {
		t.Error(got)
	}
}

// BenchmarkMailPage is a page of the newest results of a million lines.
func BenchmarkMailPage(b *testing.B) {
	r := manyLines(1_000_000)
	do := visit(b, Server{Mail: r, Lines: r})
	for _, path := range []string{"/admin/mail", "/admin/mail?term=sess0000123-1", "/admin/mail?term=mail77777@far.test", "/admin/mail?from=sender7@far7.test", "/admin/mail?to=mail.test&from=sender9@far9.test", "/admin/mail?term=nobody@else.test", "/admin/log"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				if r, page := do("GET", path, nil); r.StatusCode != 200 {
					b.Fatal(r.StatusCode)
				} else {
					b.ReportMetric(float64(len(page)), "octets")
				}
			}
		})
	}
}
