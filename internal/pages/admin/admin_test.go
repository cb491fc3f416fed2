package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/trace"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// hostile are words of strangers that would run as script, or break out of where they stand.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'><svg onload=alert(1)>`, `javascript:alert(1)`, `</textarea><script>x</script>`,
	`{{.}}<b>`, "a\x00<i>", `&lt;script&gt;<u>`, `--><script>x</script>`, "\u202e<s>", `"autofocus onfocus="alert(1)`,
}

type open struct{}

func (open) Login(context.Context, pages.Visitor, string, string, string) (string, error) {
	return "ann", nil
}
func (open) Stamp(string) string { return "1" }

// server is a queue and an overview whose every word is the same.
type server struct {
	asked   queue.Filter // for last
	word    string
	entries int
	did     []string
}

func (s *server) view(i int) queue.View {
	r := queue.RecipientView{Address: s.word, Destination: s.word, Status: queue.Pending, Host: s.word, TLS: s.word, Enhanced: s.word, Text: s.word, Code: 450, Last: time.Now()}
	return queue.View{ID: fmt.Sprint("id", i), From: s.word, Route: s.word, Session: s.word, User: s.word, EnvID: s.word, By: s.word,
		Queued: time.Now(), Recipients: []queue.RecipientView{r, r, r}}
}

func (s *server) Piece(_ context.Context, f queue.Filter) (queue.Piece, error) {
	s.asked = f
	p := queue.Piece{After: s.word, Looked: 3}
	for i := range min(f.Limit, s.entries) {
		p.Entries = append(p.Entries, s.view(i))
	}
	return p, nil
}

func (s *server) Find(_ context.Context, name string) (string, error) { return name, nil }

func (s *server) Explain(_ context.Context, id string) (queue.Explanation, error) {
	if id == "gone" {
		return queue.Explanation{}, pages.ErrNotFound
	}
	return queue.Explanation{View: s.view(1), Why: []string{s.word}}, nil
}

func (s *server) Steer(_ context.Context, action, id string) error {
	if id == "id1" {
		return pages.ErrNotFound
	}
	s.did = append(s.did, action+" "+id)
	return nil
}

func (s *server) Route(_ context.Context, id, route string) error {
	if route == "none" {
		return errors.New("there is no route " + s.word)
	}
	s.did = append(s.did, "route "+id+" "+route)
	return nil
}

func (s *server) Routes() []string { return []string{s.word, "smart"} }

func (s *server) Standing() Standing {
	w := s.word
	return Standing{Name: w, Version: w, Queue: &queue.Counters{Entries: 1}, Problems: []Problem{{Text: w, Do: w, Bad: true}}, Ports: []Port{{w, w, w}},
		Certificates: []Certificate{{Names: []string{w}, From: w, Problem: w}}, Rooms: []Room{{Dir: w}}}
}

// all are all pages there are, in which every word is the server's.
func (s *server) all() Server {
	lines := logOf(s.word)
	leads := func(string) string { return s.word }
	return Server{Overview: s, Queue: s, Mail: lines, Lines: lines, Leads: leads, Reports: s}
}

func (s *server) Taken() bool { return true }

func (s *server) Last(days int, domain string) (*reports.Summary, []reports.Day, error) {
	w := s.word
	source := reports.Source{Address: netip.MustParseAddr("192.0.2.1"), Domain: w, Messages: 3, By: []string{w, w}, Auth: []string{w}, Reasons: []string{w}}
	failure, unread := reports.Failure{Domain: w, Kind: w, Host: w, Sessions: 1, By: []string{w}, Detail: w}, &reports.Report{Sender: w, Reason: w, Mail: w}
	byDay := make([]reports.Day, days)
	byDay[0] = reports.Day{Passed: math.MaxInt64, Failed: math.MaxInt64, Sessions: 1, FailedToOurs: -1}
	one, f, u := []reports.Source{source}, []reports.Failure{failure}, []*reports.Report{unread}
	for range s.entries {
		one = append(one, source)
	}
	return &reports.Summary{Reports: 4, Strangers: one, Ours: one, Passing: one, TLS: f, Unreadable: u, Untrusted: one, UntrustedTLS: f, UntrustedUnreadable: u}, byDay, nil
}

// logOf is a log of a message that was taken, one that was refused, and a session, in which every word of others is
// the same.
func logOf(w string) *trace.Ring {
	r := trace.NewRing(1 << 20)
	l := slog.New(slog.NewTextHandler(r, nil))
	l.Info("refused", "service", "smtp", "session", "s1", "id", "s1-1", "command", "RCPT", "from", w, "to", w, "reply", w, "err", w, "helo", w, "remote", "192.0.2.1:4")
	l.Info("queued", "service", "smtp", "session", "s1", "id", "s1-1", "from", w, "message_id", w, "user", w, "remote", w, "to", w, "next", w, "queue", "q1", "octets", w, "marked", w)
	l.Info("attempt", "queue", "q1", "id", "s1-1", "from", w, "to", w, "status", w, "host", w, "tls", w, "code", 450, "enhanced", w, "text", w)
	l.Warn("login failed", "session", "s2", "service", "pop3", "remote", "192.0.2.1:4", "user", w)
	l.Info("smtp session", "service", "smtp", "session", "s1", "remote", w, "took", "1s", "helo", w, "ended", w)
	l.Info("refused", "service", "smtp", "session", "s3", "id", "s3-1", "command", "DATA", "from", w, "to", w, "reply", w, "author", w, "spf", "fail", "spf_domain", w, "signers", w, "client", w, "helo", w)
	l.Warn(w, w, w)
	return r
}

// visit is a browser that has logged in.
func visit(t testing.TB, s Server) func(method, path string, form url.Values) (*http.Response, string) {
	area := pages.New(pages.Config{Name: "admin", Title: "Postrider", Logins: open{}, Log: slog.New(slog.DiscardHandler)})
	Add(area, s)
	v := pages.Visitor{Client: netip.MustParseAddr("127.0.0.1"), Host: "localhost"}
	var cookies []*http.Cookie
	do := func(method, path string, form url.Values) (*http.Response, string) {
		r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		area.ServeHTTP(w, r.WithContext(pages.WithVisitor(r.Context(), v)))
		resp := w.Result()
		b, _ := io.ReadAll(resp.Body)
		return resp, string(b)
	}
	r, _ := do("POST", "/admin/login", url.Values{"name": {"ann"}, "password": {"x"}})
	if cookies = r.Cookies(); len(cookies) != 1 {
		t.Fatal("no session:", r.StatusCode)
	}
	return do
}

// TestHostileWords: the pages have as many tags whatever strangers say, and no link that is script.
func TestHostileWords(t *testing.T) {
	for _, word := range hostile {
		plain, bad := &server{word: "plain", entries: 3}, &server{word: word, entries: 3}
		a, b := visit(t, plain.all()), visit(t, bad.all())
		for _, ask := range []struct {
			method, path string
			form         url.Values
		}{
			{"GET", "/admin/", nil},
			{"GET", "/admin/queue?from=WORD&to=WORD&reply=WORD&older=WORD&after=WORD", nil},
			{"GET", "/admin/queue/id2", nil},
			{"GET", "/admin/login?name=WORD&next=WORD", nil},
			{"GET", "/admin/WORD", nil},
			{"GET", "/admin/mail", nil},
			{"GET", "/admin/mail?term=s1-1", nil},
			{"GET", "/admin/mail?term=WORD@mail.test", nil},
			{"GET", "/admin/mail?term=WORD&from=WORD&to=WORD&since=WORD&until=WORD&after=WORD", nil},
			{"GET", "/admin/log", nil},
			{"GET", "/admin/reports", nil},
			{"GET", "/admin/reports?days=WORD&domain=WORD", nil},
			{"GET", "/admin/reports/refused", nil},
			{"GET", "/admin/log?live=1&level=WORD", nil},
			{"POST", "/admin/queue/id2", url.Values{"do": {"route"}, "route": {"none"}}},
			{"POST", "/admin/queue?from=WORD", url.Values{"do": {"remove"}, "id": {"WORD", "id2"}}},
			{"POST", "/admin/queue", url.Values{"do": {"WORD"}}},
		} {
			page := func(do func(string, string, url.Values) (*http.Response, string), word string) string {
				form := make(url.Values)
				for k, all := range ask.form {
					for _, v := range all {
						form.Add(k, strings.ReplaceAll(v, "WORD", word))
					}
				}
				r, page := do(ask.method, strings.ReplaceAll(ask.path, "WORD", url.QueryEscape(word)), form)
				if r.Header.Get("Content-Security-Policy") == "" || !strings.Contains(page, "</html>") && r.StatusCode != 404 {
					t.Fatalf("%s with %q: %d %s", ask.path, word, r.StatusCode, page)
				}
				return page
			}
			want, got := page(a, "plain"), page(b, word)
			if n, m := strings.Count(want, "<"), strings.Count(got, "<"); n != m {
				t.Errorf("%s with %q: %d tags, not %d:\n%s", ask.path, word, m, n, got)
			}
			if strings.Contains(got, `href="javascript:`) || strings.Contains(got, `action="javascript:`) || strings.Contains(got, `src="javascript:`) {
				t.Errorf("%s: a link is script:\n%s", ask.path, got)
			}
		}
	}
}

func TestSteer(t *testing.T) {
	s := &server{word: "plain", entries: 3}
	do := visit(t, Server{Overview: s, Queue: s})
	step := func(path string, form url.Values, status int, location string, did ...string) string {
		t.Helper()
		s.did = nil
		r, page := do("POST", path, form)
		if r.StatusCode != status || r.Header.Get("Location") != location || !slices.Equal(s.did, did) {
			t.Errorf("%s %v: %d %q %q, want %d %q %q", path, form, r.StatusCode, r.Header.Get("Location"), s.did, status, location, did)
		}
		return page
	}
	said := func(want string) {
		t.Helper()
		if _, page := do("GET", "/admin/queue", nil); !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	at := "/admin/queue/id2"
	step(at, url.Values{"do": {"hold"}}, 303, at, "hold id2")
	said("The message is held.")
	step(at, url.Values{"do": {"route"}, "route": {"smart"}}, 303, at, "route id2 smart")
	step(at, url.Values{"do": {"route"}, "route": {"none"}}, 422, "")
	if page := step(at, url.Values{"do": {"remove"}}, 422, ""); !strings.Contains(page, "Delete this message? Nobody is told") || !strings.Contains(page, `name="sure"`) {
		t.Error("it is not asked back:", page)
	}
	step(at, url.Values{"do": {"remove"}, "sure": {"1"}}, 303, "/admin/queue", "remove id2")
	said("The message is deleted.")
	step("/admin/queue/id1", url.Values{"do": {"hold"}}, 404, "")
	step("/admin/queue", url.Values{"do": {"retry"}}, 422, "")
	step("/admin/queue?from=x", url.Values{"do": {"retry"}, "id": {"id0", "id2"}}, 303, "/admin/queue?from=x", "retry id0", "retry id2")
	said("2 messages due now.")
	page := step("/admin/queue", url.Values{"do": {"expire"}, "id": {"id0", "id2"}}, 422, "")
	if !strings.Contains(page, "Give up 2 messages? The senders get a bounce") || strings.Count(page, "checked") != 2 {
		t.Error("it is not asked back, or what was ticked is lost:", page)
	}
	step("/admin/queue", url.Values{"do": {"expire"}, "id": {"id0", "id1", "id2"}, "sure": {"1"}}, 303, "/admin/queue", "expire id0", "expire id2")
	said("2 messages given up. 1 could not be: there is no such thing.")
	// The same form again: what it was about has gone, the page has not.
	if page := step("/admin/queue", url.Values{"do": {"expire"}, "id": {"id1"}, "sure": {"1"}}, 422, ""); !strings.Contains(page, "no longer in the queue") || !strings.Contains(page, "id0") {
		t.Error("a form sent twice:", page)
	}
	if page := step("/admin/queue", url.Values{"do": {"hold"}, "all": {"1"}}, 422, ""); !strings.Contains(page, "Hold: 3 messages?") {
		t.Error("all are not asked back:", page)
	}
	step("/admin/queue", url.Values{"do": {"hold"}, "all": {"1"}, "sure": {"1"}}, 303, "/admin/queue", "hold id0", "hold id2")
	if r, _ := do("GET", "/admin/queue/gone", nil); r.StatusCode != 404 {
		t.Error("what is not there:", r.StatusCode)
	}
	if r, _ := do("GET", "/admin/queue/find?name=id2", nil); r.StatusCode != 303 || r.Header.Get("Location") != at {
		t.Error("find:", r.StatusCode, r.Header.Get("Location"))
	}
}

// TestPageSize: a full page of long addresses and replies stays below 60 kB.
func TestPageSize(t *testing.T) {
	s := &server{word: strings.Repeat("long-word.", 100), entries: 1000}
	do := visit(t, Server{Overview: s, Queue: s})
	s.word = strings.Repeat("a", 320)
	if _, page := do("GET", "/admin/queue", nil); len(page) > 60_000 || strings.Count(page, "<tr>") != entriesOnPage+1 {
		t.Errorf("%d octets, %d rows", len(page), strings.Count(page, "<tr>"))
	}
	if _, page := do("GET", "/admin/queue/id2", nil); len(page) > 60_000 {
		t.Errorf("entry: %d octets", len(page))
	}
}

// large is a spool of many entries that takes no room.
type large struct {
	queue.Spool
	n int
}

func (l large) state() *queue.State {
	return &queue.State{Queued: time.Now(), Held: true, To: []queue.RcptState{{Status: queue.Pending, Next: time.Now().Add(time.Hour)}}}
}

func (l large) Scan(_ context.Context, each func(string, *queue.State) error) error {
	for i := range l.n {
		st := l.state()
		st.Queued = st.Queued.Add(time.Duration(i-l.n) * time.Second)
		if err := each(fmt.Sprintf("e%07d", i), st); err != nil {
			return err
		}
	}
	return nil
}

func (l large) Load(_ context.Context, id string) (*queue.Entry, *queue.State, error) {
	return &queue.Entry{ID: id, Queued: time.Now(), To: make([]queue.Recipient, 1)}, l.state(), nil
}

type nowhere struct{ queue.Transport }

func (nowhere) Destination(queue.Recipient, string) string { return "example.net" }

// real is a server's own queue.
type real struct {
	*server
	q *queue.Queue
}

func (r real) Piece(ctx context.Context, f queue.Filter) (queue.Piece, error) {
	return r.q.Piece(ctx, f)
}

// BenchmarkQueuePage is a page from the middle of 100,000 entries, with and without a filter that finds nothing.
func BenchmarkQueuePage(b *testing.B) {
	const n = 100_000
	q := &queue.Queue{Spool: large{n: n}, Transport: nowhere{}}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	for q.Counters().Entries < n {
		time.Sleep(10 * time.Millisecond)
	}
	middle, err := q.Piece(ctx, queue.Filter{Limit: n / 2})
	if err != nil {
		b.Fatal(err)
	}
	do := visit(b, Server{Queue: real{&server{}, q}})
	for name, path := range map[string]string{"all": "/admin/queue?after=" + middle.After, "filtered": "/admin/queue?from=nobody@example.org&after=" + middle.After} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r, page := do("GET", path, nil)
				if r.StatusCode != 200 {
					b.Fatal(r.StatusCode, page)
				}
				b.ReportMetric(float64(len(page)), "octets")
			}
		})
	}
}

// TestQueueFilter: what the form says is what is asked for, and stands in it again; an age that is none is any.
func TestQueueFilter(t *testing.T) {
	s := &server{}
	do := visit(t, Server{Queue: s})
	_, page := do("GET", "/admin/queue?from=a%40b&to=d.test&reply=4.7.1&older=4+h&held=1", nil)
	if f := s.asked; f.From != "a@b" || f.To != "d.test" || f.Reply != "4.7.1" || f.Older != 4*time.Hour || !f.Held {
		t.Errorf("%+v", f)
	}
	for _, want := range []string{`value="4.7.1"`, "<option selected>4 h</option>", `value="d.test"`, "Nothing in the queue fits"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
	if do("GET", "/admin/queue?older=soon", nil); s.asked.Older != 0 {
		t.Error(s.asked.Older)
	}
}

// TestNewestReply: of several recipients the list has the reply that came last.
func TestNewestReply(t *testing.T) {
	now := time.Now()
	at := newRow(queue.View{Recipients: []queue.RecipientView{
		{Address: "a", Last: now.Add(-time.Hour), Code: 450, Text: "old"}, {Address: "b", Last: now, Code: 451, Enhanced: "4.7.1", Text: "new"}, {Address: "c", Last: now.Add(-time.Minute), Text: "between"}}})
	if at.LastReply != "451 4.7.1 new" || at.More != 1 || strings.Join(at.To, " ") != "a b" {
		t.Errorf("%+v", at)
	}
}
