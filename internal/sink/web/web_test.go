package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/sink"
)

// world is a server with a Box and ways to ask it.
type world struct {
	*testing.T
	box  *sink.Box
	conf *Server
	url  string
}

func newWorld(t *testing.T, change func(*Server)) *world {
	t.Helper()
	box := sink.NewBox(sink.Limits{}, sink.Sorting{})
	s := &Server{Box: box, Chaos: &sink.Chaos{}, Sessions: &sink.Sessions{}, Faults: &sink.Faults{}, Hostname: "sink.test", Version: "1", Log: slog.New(slog.DiscardHandler)}
	if err := s.Chaos.Set(sink.DefaultTriggers()); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	return &world{t, box, s, server.URL}
}

// put is a message to somebody.
func (w *world) put(raw string, to ...string) string {
	w.Helper()
	if to == nil {
		to = []string{"bob@example.com"}
	}
	id := sink.NewID()
	if err := w.box.Put(w.Context(), id, sink.Envelope{From: "alice@example.com", To: to, Received: time.Now(), Host: "sink.test"}, []byte(raw)); err != nil {
		w.Fatal(err)
	}
	return id
}

// ask sends a request and returns the code and the body.
func (w *world) ask(method, path, body string, fields ...string) (int, string, http.Header) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == "Host" {
			req.Host = fields[i+1]
		}
		req.Header.Set(fields[i], fields[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// get reads an answer into a value.
func (w *world) get(path string, into any) {
	w.Helper()
	code, text, _ := w.ask("GET", path, "")
	if code != 200 {
		w.Fatalf("GET %s: %d %s", path, code, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		w.Fatalf("GET %s: %v: %s", path, err, text)
	}
}

func (w *world) count() int { return w.box.Find(sink.Query{}).Total }

// What deletes, and what must not.
func TestDelete(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		code, left         int
	}{
		{"DELETE", "/api/v1/messages", "", 200, 0},
		{"DELETE", "/api/v1/messages", "{}", 200, 0},
		{"DELETE", "/api/v1/messages", `{"IDs":[]}`, 200, 0},
		{"DELETE", "/api/v1/messages", `{"ids":["ID"]}`, 200, 2},
		{"DELETE", "/api/v1/messages", `{"IDs":["ID","ID","nobody"],"foo":1}`, 200, 2},
		{"DELETE", "/api/v1/messages", `ids=ID`, 400, 3},
		{"DELETE", "/api/v1/messages", `{"IDs":["ID"`, 400, 3},
		{"DELETE", "/api/v1/messages", `{"IDs":"ID"}`, 400, 3},
		{"DELETE", "/api/v1/messages", `[]`, 400, 3},
		{"DELETE", "/api/v1/messages", `null`, 400, 3},
		{"DELETE", "/api/v1/search?query=subject:one", "", 200, 2},
		{"DELETE", "/api/v1/search?query=before:nonsense", "", 400, 3},
		{"DELETE", "/api/v1/search?query=larger:x", "", 400, 3},
		{"DELETE", "/api/v1/search?query=is:foo", "", 400, 3},
		{"DELETE", "/api/v1/search?query=+", "", 400, 3},
		{"DELETE", "/api/v1/search", "", 400, 3},
		{"DELETE", "/api/v1/messages/ID", "", 200, 2}, // MailHog's
		{"DELETE", "/api/v1/messages/nobody", "", 200, 3},
		{"DELETE", "/api/v1/message/ID", "", 405, 3},
		{"PUT", "/api/v1/messages/ID/read", "", 404, 3},
		{"DELETE", "/inboxes/-/messages/ID", "", 204, 2},
		{"DELETE", "/inboxes/-/messages/nobody", "", 404, 3},
		{"DELETE", "/inboxes/-", "", 405, 3},
		{"DELETE", "/inboxes/bob@example.com", "", 204, 1},
		{"DELETE", "/inboxes/bob@example.com/api/v1/messages", "", 200, 1},
		{"DELETE", "/inboxes/nobody@example.com", "", 404, 3},
		{"DELETE", "/", "", 405, 3},
		{"POST", "/delete", "all=yes", 303, 0},
		{"POST", "/delete", "query=before:nonsense", 400, 3},
		{"POST", "/delete", "", 303, 3},
	} {
		t.Run(c.method+c.path+c.body, func(t *testing.T) {
			w := newWorld(t, nil)
			id := w.put("Subject: one\r\n\r\n")
			w.put("Subject: two\r\n\r\n")
			w.put("Subject: three\r\n\r\n", "carol@example.com")
			kind := "application/json"
			if c.path == "/delete" {
				kind = "application/x-www-form-urlencoded"
			}
			code, text, _ := w.ask(c.method, strings.ReplaceAll(c.path, "ID", id), strings.ReplaceAll(c.body, `ID"`, id+`"`), "Content-Type", kind)
			if code != c.code || w.count() != c.left {
				t.Errorf("%d %q, %d left", code, text, w.count())
			}
		})
	}
}

// The six numbers of a list, the limits that lists and searches have each in their way, and
// times that every client can read.
func TestList(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 120 {
		subject := "plain"
		if i%18 == 0 {
			subject = "special"
		}
		w.put("Subject: " + subject + "\r\n\r\n")
	}
	var l struct {
		Total, Unread, Count, Start int
		MessagesCount               int `json:"messages_count"`
		MessagesUnread              int `json:"messages_unread"`
		Messages                    []struct{ ID, Subject, Created string }
	}
	w.get("/api/v1/search?query=special&start=5&limit=5", &l)
	if l.Total != 120 || l.Unread != 120 || l.Count != 2 || l.Start != 5 || l.MessagesCount != 7 || l.MessagesUnread != 7 || len(l.Messages) != 2 {
		t.Errorf("%+v", l)
	}
	for path, want := range map[string]int{
		"messages?limit=0": 120, "messages?limit=-1": 50, "messages?limit=abc": 50, "messages": 50, "messages?limit=7": 7, "messages?start=115": 5, "messages?start=500": 0, "messages?start=x": 50,
		"search?query=plain&limit=0": 0, "search?query=special": 7, "messages?before=2020-01-01": 0,
	} {
		w.get("/api/v1/"+path, &l)
		if len(l.Messages) != want || l.Total != 120 {
			t.Errorf("%s: %d, of %d", path, len(l.Messages), l.Total)
		}
		for _, m := range l.Messages {
			if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(m.Created) {
				t.Fatal(m.Created)
			}
		}
	}
	if code, _, h := w.ask("GET", "/api/v1/search?query=larger:x", ""); code != 200 || h.Get("X-Ignored-Terms") != `["larger:x"]` {
		t.Errorf("%d %q", code, h.Get("X-Ignored-Terms"))
	}
}

// A message with nothing in it has no null where clients expect a list or a text.
func TestNoNull(t *testing.T) {
	w := newWorld(t, nil)
	for _, raw := range []string{"", "\r\n", "\r", "Subject:\r\n", "no header at all"} {
		id := w.put(raw)
		for _, path := range []string{"/api/v1/message/" + id, "/api/v1/messages", "/inboxes", "/inboxes/-/messages/" + id, "/inboxes/-/messages", "/api/v1/tags", "/api/v1/info", "/sessions"} {
			if code, text, _ := w.ask("GET", path, ""); code != 200 || strings.Contains(text, "null") {
				t.Errorf("%q: %s: %d %s", raw, path, code, text)
			}
		}
	}
}

func TestMessage(t *testing.T) {
	w := newWorld(t, nil)
	raw := "From: a@b.test\r\nTo: c@d.test\r\nSubject: x\r\nMessage-ID: <1@b.test>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<img src=\"cid:p@x\"><script>alert(1)</script>\r\n--b\r\nContent-Type: image/svg+xml\r\nContent-ID: <p@x>\r\nContent-Disposition: inline; filename=\"../p.svg\"\r\n\r\n<svg/>\r\n--b--\r\n"
	id := w.put(raw, "c@d.test", "hidden@d.test")
	// Ours gives the octets and does not mark; Mailpit's adds lines on top.
	if code, text, _ := w.ask("GET", "/inboxes/-/messages/"+id+"/raw", ""); code != 200 || text != raw {
		t.Errorf("%d %q", code, text)
	}
	var ours struct {
		Read     bool
		Envelope struct{ To []string }
	}
	w.get("/inboxes/c@d.test/messages/"+id, &ours)
	if ours.Read || !slices.Equal(ours.Envelope.To, []string{"c@d.test", "hidden@d.test"}) {
		t.Errorf("%+v", ours)
	}
	code, text, _ := w.ask("GET", "/api/v1/message/latest/raw", "")
	if code != 200 || !strings.HasSuffix(text, raw) || !strings.Contains(text, "Bcc: hidden@d.test\r\n") || !strings.HasPrefix(text, "Return-Path: <alice@example.com>\r\n") {
		t.Errorf("%d %q", code, text)
	}
	var m struct {
		Bcc    []struct{ Address string }
		Inline []struct{ PartID, FileName string }
	}
	w.get("/api/v1/message/latest?query=subject:x", &m)
	if len(m.Bcc) != 1 || m.Bcc[0].Address != "hidden@d.test" || len(m.Inline) != 1 || strings.Contains(m.Inline[0].FileName, "/") {
		t.Errorf("%+v", m)
	}
	w.get("/inboxes/-/messages/"+id, &ours)
	if !ours.Read {
		t.Error("Mailpit's GET does not mark it as read")
	}
	// What a browser would run is a file.
	code, text, h := w.ask("GET", "/api/v1/message/"+id+"/part/"+m.Inline[0].PartID, "")
	if code != 200 || text != "<svg/>" || h.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") {
		t.Errorf("%d %q %v", code, text, h)
	}
	for _, path := range []string{"/view/" + id + ".html", "//view/" + id + ".html", "/view/latest.html", "/inboxes/c@d.test/view/" + id + ".html"} {
		code, text, h = w.ask("GET", path, "")
		if code != 200 || strings.Contains(text, "<script") || strings.Contains(text, "cid:") || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || strings.Contains(h.Get("Content-Security-Policy"), "allow-scripts") {
			t.Errorf("%s: %d %q %v", path, code, text, h)
		}
	}
	for path, want := range map[string]int{
		"/view/" + id + ".txt": 200, "/view/latest": 302, "/api/v1/message/nobody": 404, "/inboxes/x@y.test/api/v1/message/latest": 404, "/inboxes/x@y.test/api/v1/message/" + id: 404,
		"/api/v1/message/" + id + "/part/9": 404, "/api/v1/message/" + id + "/part/x": 404, "/api/v1/message/" + id + "/part/9/thumb": 400, "/api/v1/message/" + id + "/part/0": 200,
		"/api/v1/message/" + id + "/html-check": 200, "/api/v1/message/" + id + "/sa-check": 404, "/api/v1/nothing": 404, "/livez": 200, "/readyz": 200, "/message/" + id: 200, "/message/nobody": 404,
	} {
		if code, text, _ := w.ask("GET", path, ""); code != want {
			t.Errorf("%s: %d %q", path, code, text)
		}
	}
}

// What pages of others may ask, and by which names.
func TestGuard(t *testing.T) {
	open := newWorld(t, nil)
	host := strings.TrimPrefix(open.url, "http://")
	listed := newWorld(t, func(s *Server) { s.Hosts, s.Origins = []string{"mail.test"}, []string{"https://app.test"} })
	locked := newWorld(t, func(s *Server) { s.Logins, s.Send = Logins{"u": "p"}, Logins{"s": "q"} })
	for _, c := range []struct {
		w      *world
		method string
		path   string
		fields []string
		want   int
	}{
		{open, "GET", "/api/v1/messages", nil, 200},
		{open, "GET", "/api/v1/messages", []string{"Origin", "http://" + host}, 200},
		{open, "GET", "/api/v1/messages", []string{"Origin", "http://evil.test"}, 403},
		{open, "GET", "/api/v1/messages", []string{"Origin", "null"}, 403},
		{open, "GET", "/api/events", []string{"Origin", "http://evil.test", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}, 403},
		{open, "DELETE", "/inboxes/-/messages", []string{"Origin", "http://evil.test"}, 403},
		{open, "POST", "/delete", []string{"Origin", "http://evil.test"}, 403},
		{open, "POST", "/delete", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{open, "GET", "/", []string{"Host", "evil.test"}, 403},
		{open, "GET", "/api/v1/messages", []string{"Host", "evil.test"}, 403},
		{open, "GET", "/", []string{"Host", "localhost:8025"}, 200},
		{open, "GET", "/", []string{"Host", "[::1]:8025"}, 200},
		{open, "OPTIONS", "/api/v1/messages", []string{"Origin", "http://evil.test"}, 403},
		{open, "OPTIONS", "/api/v1/messages", nil, 200},
		{listed, "GET", "/api/v1/messages", []string{"Host", "mail.test"}, 200},
		{listed, "GET", "/api/v1/messages", []string{"Host", "evil.test"}, 403},
		{listed, "GET", "/api/v1/messages", []string{"Origin", "https://app.test"}, 200},
		{listed, "GET", "/api/v1/messages", []string{"Origin", "https://other.test"}, 403},
		{locked, "GET", "/", nil, 401},
		{locked, "GET", "/livez", nil, 200},
		{locked, "GET", "/readyz", nil, 200},
		{locked, "GET", "/api/v1/messages", []string{"Authorization", "Basic dTpw"}, 200}, // u:p
		{locked, "GET", "/api/v1/messages", []string{"Authorization", "Basic dTp4"}, 401},
		{locked, "GET", "/api/v1/messages", []string{"Authorization", "Basic Og=="}, 401}, // empty
		{locked, "POST", "/api/v1/send", []string{"Authorization", "Basic dTpw"}, 401},    // not who may send
		{locked, "POST", "/api/v1/send", []string{"Authorization", "Basic czpx"}, 400},    // who may, with nothing to send
		{locked, "GET", "/api/v1/messages", []string{"Authorization", "Basic czpx"}, 401},
		{locked, "GET", "/inboxes", nil, 401},
	} {
		if code, text, _ := c.w.ask(c.method, c.path, "", c.fields...); code != c.want {
			t.Errorf("%s %s %v: %d %q, not %d", c.method, c.path, c.fields, code, text, c.want)
		}
	}
}

// Below a path of its own everything is there, links lead there, and nothing is elsewhere.
func TestRoot(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Root = "mail" })
	id := w.put("Subject: x\r\n\r\n")
	for path, want := range map[string]int{"/": 404, "/api/v1/messages": 404, "/mail": 301, "/mail/": 200, "/mail/api/v1/messages": 200, "/mail//view/" + id + ".txt": 200, "/mailx/": 404, "/mail/inboxes/bob@example.com/": 200, "/mail/inboxes/bob@example.com/api/v1/messages": 200} {
		if code, text, _ := w.ask("GET", path, ""); code != want {
			t.Errorf("%s: %d %q", path, code, text)
		}
	}
	for _, path := range []string{"/mail/", "/mail/message/" + id, "/mail/boxes", "/mail/dialogues", "/mail/inboxes/bob@example.com/"} {
		_, text, _ := w.ask("GET", path, "")
		for _, m := range regexp.MustCompile(`(?:href|src|action)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(m[1], "/mail/") && m[1] != "#content" && !strings.HasPrefix(m[1], "?") {
				t.Errorf("%s: leads to %s", path, m[1])
			}
		}
	}
}

func TestChange(t *testing.T) {
	w := newWorld(t, nil)
	one, two := w.put("X-Tags: red\r\nSubject: one\r\n\r\n"), w.put("Subject: two\r\n\r\n")
	unread := func() int { return w.box.Find(sink.Query{}).Unread }
	for i, c := range []struct {
		method, path, body string
		code, unread       int
	}{
		{"PUT", "/api/v1/messages", `{"IDs":["` + one + `"],"Read":true}`, 200, 1},
		{"PUT", "/api/v1/messages", `{}`, 200, 2},
		{"PUT", "/api/v1/messages", `{"Read":true}`, 200, 0},
		{"PUT", "/api/v1/messages", `{"Read":false,"Search":"subject:two"}`, 200, 1},
		{"PUT", "/api/v1/messages", `{"Read":false,"Search":"before:x"}`, 400, 1},
		{"PUT", "/api/v1/messages", `{"IDs":["x"],"Search":"y"}`, 400, 1},
		{"PUT", "/api/v1/messages", `junk`, 400, 1},
		{"PUT", "/api/v1/tags", `{"IDs":["` + two + `"],"Tags":["Blue<b>","blue b"," "]}`, 200, 1},
		{"PUT", "/api/v1/tags/red", `{"Name":"green"}`, 200, 1},
		{"PUT", "/api/v1/tags/red", `{"Name":"green"}`, 400, 1},
		{"PUT", "/api/v1/tags/green", `{"Name":"<>"}`, 400, 1},
		{"DELETE", "/api/v1/tags/none", ``, 400, 1},
	} {
		if code, text, _ := w.ask(c.method, c.path, c.body); code != c.code || unread() != c.unread {
			t.Errorf("%d: %s %s: %d %q, %d unread", i, c.path, c.body, code, text, unread())
		}
	}
	var tags []string
	if w.get("/api/v1/tags", &tags); !slices.Equal(tags, []string{"Blue b", "green"}) {
		t.Errorf("%q", tags)
	}
	w.ask("DELETE", "/api/v1/tags/Blue%20b", "")
	if w.get("/api/v1/tags", &tags); !slices.Equal(tags, []string{"green"}) {
		t.Errorf("%q", tags)
	}
}

// TestInfo: the server's numbers are those of the inbox that is asked.
func TestInfo(t *testing.T) {
	w := newWorld(t, nil)
	read := w.put("\r\n", "a@x.test", "b@x.test")
	w.put("\r\n", "a@x.test")
	w.put("\r\n", "b@x.test")
	if err := w.box.Mark("", true, nil, read); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]int{"": {3, 2}, "/inboxes/a@x.test": {2, 1}, "/inboxes/nobody@x.test": {0, 0}} {
		var got struct{ Messages, Unread int }
		if w.get(path+"/api/v1/info", &got); got.Messages != want[0] || got.Unread != want[1] {
			t.Errorf("%q: %+v, want %v", path, got, want)
		}
	}
}

func TestChaos(t *testing.T) {
	w := newWorld(t, nil)
	if code, text, _ := w.ask("PUT", "/api/v1/chaos", `{"Recipient":{"ErrorCode":452,"Probability":100}}`); code != 200 || strings.TrimSpace(text) != `{"Sender":{"ErrorCode":451,"Probability":0},"Recipient":{"ErrorCode":452,"Probability":100},"Authentication":{"ErrorCode":535,"Probability":0}}` {
		t.Errorf("%d %s", code, text)
	}
	for _, bad := range []string{`{"Sender":{"ErrorCode":200,"Probability":1}}`, `{"Sender":{"ErrorCode":451,"Probability":101}}`, `{"Sender":7}`} {
		if code, text, _ := w.ask("PUT", "/api/v1/chaos", bad); code != 400 || w.conf.Chaos.Get()[sink.AtRecipient].Probability != 100 {
			t.Errorf("%s: %d %s", bad, code, text)
		}
	}
	off := newWorld(t, func(s *Server) { s.Chaos = nil })
	if code, _, _ := off.ask("GET", "/api/v1/chaos", ""); code != 400 {
		t.Errorf("off: %d", code)
	}
}

func TestSend(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.MessageSize = 20_000 })
	code, text, _ := w.ask("POST", "/api/v1/send", `{"From":{"Email":"a@b.test","Name":"Ä"},"To":[{"Email":"c@d.test","Name":""}],"Cc":[],"ReplyTo":[],"Bcc":["e@f.test"],"Subject":"Grüße","Text":"t","HTML":"<b>h</b>","Attachments":[{"Content":"data:text/plain;base64,aGk=","Filename":"hi.txt"}],"Tags":["x"],"Headers":{"X-A":"b"}}`)
	var sent struct{ ID string }
	if err := json.Unmarshal([]byte(text), &sent); err != nil || code != 200 || sent.ID == "" {
		t.Fatalf("%d %s", code, text)
	}
	var m struct {
		Subject, Text, HTML string
		Bcc                 []struct{ Address string }
		Attachments         []struct{ FileName string }
		Tags                []string
	}
	w.get("/api/v1/message/"+sent.ID, &m)
	if m.Subject != "Grüße" || strings.TrimSpace(m.Text) != "t" || len(m.Bcc) != 1 || len(m.Attachments) != 1 || m.Attachments[0].FileName != "hi.txt" || !slices.Equal(m.Tags, []string{"x"}) {
		t.Errorf("%+v", m)
	}
	for body, want := range map[string]int{
		`{}`: 400, `{"From":{"Email":"no address"}}`: 400, `{"From":{"Email":"a@b.test"},"To":[{"Email":"x y"}]}`: 400, `{"From":{"Email":"a@b.test"},"Headers":{"subject":"x"}}`: 400,
		`{"From":{"Email":"a@b.test"},"Headers":{"X-A\r\nBcc":"x"}}`: 400, `{"From":{"Email":"a@b.test"},"Attachments":[{"Content":"!"}]}`: 400, `{"From":1}`: 400, `junk`: 400,
		`{"Text":"` + strings.Repeat("x", 30_000) + `"}`: 413,
	} {
		code, text, h := w.ask("POST", "/api/v1/send", body)
		if code != want || !strings.Contains(text, `"Error":"`) || h.Get("Content-Type") != "application/json" {
			t.Errorf("%.80s: %d %.200s", body, code, text)
		}
	}
}

// Waiting ends with the message, or with what came instead.
func TestWait(t *testing.T) {
	w := newWorld(t, nil)
	var made struct{ Name, Address, Login, Password, URL string }
	code, text, _ := w.ask("POST", "/inboxes", "")
	if err := json.Unmarshal([]byte(text), &made); err != nil || code != 201 || made.Address == "" || made.Password == "" {
		t.Fatalf("%d %s", code, text)
	}
	got := make(chan string, 1)
	go func() {
		_, text, _ := w.ask("GET", made.URL+"wait?timeout=30s&query=subject:code", "")
		got <- text
	}()
	w.put("Subject: other\r\n\r\n", made.Address)
	w.put("Subject: code\r\n\r\n", "somebody@else.test")
	w.put("Subject: your code\r\n\r\nIt is 123456, see https://x.test/a?b=c.\r\n", made.Address)
	text = <-got
	var answer struct {
		Messages []struct {
			Subject      string
			Codes, Links []string
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Messages) != 1 || !slices.Equal(answer.Messages[0].Codes, []string{"123456"}) || !slices.Equal(answer.Messages[0].Links, []string{"https://x.test/a?b=c"}) {
		t.Errorf("%s", text)
	}
	code, text, _ = w.ask("GET", made.URL+"wait?timeout=1ms&query=nothing", "")
	if code != 408 || !strings.Contains(text, "2 came") {
		t.Errorf("%d %s", code, text)
	}
	for _, bad := range []string{"timeout=x", "timeout=10h", "count=0", "count=x", "query=before:x", "since=never"} {
		name, _, _ := strings.Cut(bad, "=")
		if code, text, _ := w.ask("GET", made.URL+"wait?"+bad, ""); code != 400 || !strings.Contains(text, name) {
			t.Errorf("%s: %d %s", bad, code, text)
		}
	}
	for body, want := range map[string]int{`{"name":"` + made.Name + `"}`: 409, `{"name":"a b"}`: 400, `{"name":"../x"}`: 400, `{"name":7}`: 400, `{"name":"team-1.x"}`: 201} {
		if code, text, _ := w.ask("POST", "/inboxes", body); code != want {
			t.Errorf("%s: %d %s", body, code, text)
		}
	}
}

func TestMailHog(t *testing.T) {
	w := newWorld(t, nil)
	id := w.put("SUBJECT: =?utf-8?q?x?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-transfer-ENCODING: base64\r\n\r\naGk=\r\n--b--\r\n")
	w.put("Subject: plain\r\n\r\nbody =41\r\n", "carol@example.org")
	var l struct {
		Total, Count, Start int
		Items               []struct {
			ID      string
			To      []struct{ Mailbox, Domain string }
			Content struct {
				Headers map[string][]string
				Body    string
			}
			MIME *struct {
				Parts []struct {
					Headers map[string][]string
					Body    string
				}
			}
		}
	}
	w.get("/api/v2/messages?limit=1000", &l)
	if l.Total != 2 || l.Count != 2 || l.Items[0].Content.Body != "body =41\r\n" || l.Items[0].MIME != nil || l.Items[1].Content.Headers["SUBJECT"][0] != "=?utf-8?q?x?=" ||
		l.Items[1].MIME == nil || strings.TrimSpace(l.Items[1].MIME.Parts[0].Body) != "aGk=" || l.Items[1].MIME.Parts[0].Headers["Content-transfer-ENCODING"][0] != "base64" {
		t.Errorf("%+v", l)
	}
	for query, want := range map[string]int{"kind=to&query=carol": 1, "kind=from&query=alice": 0, "kind=containing&query=body+%3D41": 1, "kind=containing&query=%22": 2} {
		w.get("/api/v2/search?"+query, &l)
		if l.Total != want {
			t.Errorf("%s: %d", query, l.Total)
		}
	}
	for path, want := range map[string]int{"/api/v2/search": 400, "/api/v2/search?kind=x&query=y": 400, "/api/v2/jim": 404, "/api/v1/messages/" + id + "@host": 200, "/api/v1/messages/" + id + "/download": 200, "/api/v1/messages/nobody": 404} {
		if code, text, _ := w.ask("GET", path, ""); code != want {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
}

// The description names everything that is served, and every answer of the table tests has the
// members that it describes.
func TestDescription(t *testing.T) {
	w := newWorld(t, nil)
	id := w.put("Subject: x\r\n\r\nhi\r\n")
	var d struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Responses   map[string]struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	w.get("/api/v1/openapi.json", &d)
	ids := make(map[string]bool)
	n := 0
	for path, methods := range d.Paths {
		for method, o := range methods {
			n++
			if ids[o.OperationID] {
				t.Errorf("%s twice", o.OperationID)
			}
			ids[o.OperationID] = true
			ref := o.Responses["200"].Content["application/json"].Schema.Ref
			if method != "get" || ref == "" || strings.Contains(path, "/sessions/") || strings.Contains(path, "link-check") || strings.Contains(path, "html-check") {
				continue
			}
			asked := strings.NewReplacer("{id}", id, "{inbox}", "bob@example.com").Replace(path)
			if strings.HasSuffix(path, "/search") {
				asked += "?kind=containing&query=hi"
			}
			var got map[string]any
			w.get(asked, &got)
			for name := range got {
				if _, ok := d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")].Properties[name]; !ok {
					t.Errorf("%s: %s is not described", path, name)
				}
			}
		}
	}
	if all := len(w.conf.version1()) + len(w.conf.mailhog()) + len(w.conf.inboxes()); n != all {
		t.Errorf("%d of %d are described", n, all)
	}
}

func TestGzip(t *testing.T) {
	w := newWorld(t, nil)
	w.put("Subject: x\r\n\r\nhi\r\n")
	_, plain, _ := w.ask("GET", "/api/v1/messages", "", "Accept-Encoding", "identity")
	resp, err := http.Get(w.url + "/api/v1/messages") // the client asks for gzip and takes it off
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if !resp.Uncompressed || string(text) != plain {
		t.Errorf("%v %q %q", resp.Uncompressed, text, plain)
	}
}

// Links lead the server to nobody but the world.
func TestLinkCheck(t *testing.T) {
	touched := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { touched = true }))
	defer inside.Close()
	port := inside.URL[strings.LastIndexByte(inside.URL, ':'):]
	var links []string
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0", "169.254.169.254", "10.0.0.1", "192.168.0.1", "100.64.0.1", "localhost."} {
		links = append(links, "http://"+host+port+"/")
	}
	text := "Content-Type: text/plain\r\n\r\n" + strings.Join(links, "\r\n") + "\r\n"
	w := newWorld(t, nil)
	id := w.put(text)
	var got struct {
		Errors int
		Links  []struct{ URL, Status string }
	}
	w.get("/api/v1/message/"+id+"/link-check?follow=1", &got)
	if touched || got.Errors != len(got.Links) || len(got.Links) < len(links)-3 {
		t.Errorf("touched %v: %+v", touched, got)
	}
	allowed := newWorld(t, func(s *Server) { s.InnerLinks = true })
	allowed.get("/api/v1/message/"+allowed.put("\r\n"+inside.URL+"/\r\n")+"/link-check", &got)
	if !touched || got.Errors != 0 {
		t.Errorf("touched %v: %+v", touched, got)
	}
}

// A page has every message once, and what a stranger wrote is text in it.
func TestPages(t *testing.T) {
	w := newWorld(t, nil)
	evil := `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	id := w.put("From: "+evil+" <a@b.test>\r\nSubject: "+evil+"\r\nX-Tags: "+evil+"\r\nContent-Type: text/plain; name=\""+evil+"\"\r\n\r\n"+evil+" javascript:alert(1) http://x.test/\"onclick=alert(1)\r\n", "bob@example.com")
	pages := []string{"/", "/?query=" + url.QueryEscape(evil), "/boxes", "/dialogues", "/inboxes/bob@example.com/"}
	for _, tab := range []string{"", "text", "headers", "parts", "links", "check", "source", "html"} {
		pages = append(pages, "/message/"+id+"?tab="+tab)
	}
	for _, p := range pages {
		code, text, h := w.ask("GET", p, "")
		if code != 200 || strings.Contains(text, "<script>alert") || strings.Contains(text, "<img src=x") || strings.Contains(text, `"onclick`) || strings.Contains(text, `href="javascript`) || !strings.Contains(h.Get("Content-Security-Policy"), "script-src 'self'") {
			t.Errorf("%s: %d %s", p, code, text)
		}
	}
	for i := range 400 {
		w.put(fmt.Sprintf("Subject: %d %s\r\n\r\n%s\r\n", i, strings.Repeat("long ", 20), strings.Repeat("text ", 100)))
	}
	seen := make(map[string]bool)
	for next := "/"; next != ""; {
		_, text, _ := w.ask("GET", next, "")
		if len(text) > 100_000 {
			t.Errorf("%s has %d octets", next, len(text))
		}
		for _, m := range regexp.MustCompile(`/message/(\w+)`).FindAllStringSubmatch(text, -1) {
			if seen[m[1]] {
				t.Errorf("%s twice", m[1])
			}
			seen[m[1]] = true
		}
		m := regexp.MustCompile(`rel="next" href="([^"]*)"`).FindStringSubmatch(text)
		if next = ""; m != nil {
			next = "/" + strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	if len(seen) != 401 {
		t.Errorf("%d were seen", len(seen))
	}
}

// A picture that claims to be huge costs nothing.
func TestThumbnail(t *testing.T) {
	huge := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00N \x00\x00N \x08\x02\x00\x00\x00\xe9\xe6\xb4\xd9")
	for _, data := range [][]byte{huge, nil, []byte("no picture"), bytes.Repeat([]byte{0xff, 0xd8}, 100)} {
		if b := thumbnail(data).Bounds(); b.Dx() != thumbWidth || b.Dy() != thumbHeight {
			t.Errorf("%v", b)
		}
	}
}

// silentDNS has no name, and counts who asks.
type silentDNS struct{ asked atomic.Int32 }

func (d *silentDNS) nothing() error {
	d.asked.Add(1)
	return &net.DNSError{Err: "no such name", IsNotFound: true}
}

func (d *silentDNS) LookupTXT(context.Context, string) ([]string, error) { return nil, d.nothing() }
func (d *silentDNS) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, d.nothing()
}
func (d *silentDNS) LookupMX(context.Context, string) ([]*net.MX, error)  { return nil, d.nothing() }
func (d *silentDNS) LookupAddr(context.Context, string) ([]string, error) { return nil, d.nothing() }
func (d *silentDNS) NameExists(context.Context, string) (bool, error)     { return false, d.nothing() }

// The DNS is asked when somebody wants that, on a page or by the API, and never because a page is looked at or a foreign one
// leads a browser here.
func TestSender(t *testing.T) {
	dns := &silentDNS{}
	w := newWorld(t, func(s *Server) { s.Judge = &sink.Judge{DNS: dns} })
	id := w.put("From: a@example.com\r\n\r\nbody\r\n")
	api, page := "/inboxes/-/messages/"+id+"/sender", "/message/"+id+"?tab=check"
	for path, want := range map[string]string{api: `"not asked"`, api + "?dns=no&address=192.0.2.1": `"Address":"192.0.2.1"`, page: "Nobody was asked", page + "&address=192.0.2.1": "192.0.2.1"} {
		if code, text, _ := w.ask("GET", path, ""); code != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	for _, path := range []string{api + "?dns=yes", page + "&dns=yes"} {
		if code, _, _ := w.ask("GET", path, "", "Sec-Fetch-Site", "cross-site"); code != 403 {
			t.Errorf("%s: %d", path, code)
		}
	}
	if n := dns.asked.Load(); n != 0 {
		t.Fatalf("the DNS was asked %d times", n)
	}
	var v sink.Judgement
	w.get(api+"?dns=yes&address=192.0.2.1", &v)
	if !v.Asked || v.SPF.Result != "none" || v.DMARC.Result != "none" || dns.asked.Load() == 0 {
		t.Errorf("%+v", v)
	}
	if code, text, _ := w.ask("GET", page+"&dns=yes", ""); code != 200 || !strings.Contains(text, "was asked now") {
		t.Errorf("%d %s", code, text)
	}
	for _, bad := range []string{"dns=maybe", "address=x", "address=fe80::1%25eth0"} {
		name, _, _ := strings.Cut(bad, "=")
		if code, text, _ := w.ask("GET", api+"?"+bad, ""); code != 400 || !strings.HasPrefix(text, name+": ") {
			t.Errorf("%s: %d %s", bad, code, text)
		}
		if code, text, _ := w.ask("GET", page+"&"+bad, ""); code != 200 || !strings.Contains(text, name+": ") {
			t.Errorf("%s: %d %s", bad, code, text)
		}
	}
	without := newWorld(t, nil)
	id = without.put("From: a@example.com\r\n\r\nbody\r\n")
	if code, text, _ := without.ask("GET", "/inboxes/-/messages/"+id+"/sender?dns=yes", ""); code != 400 || !strings.Contains(text, "--dns") {
		t.Errorf("%d %s", code, text)
	}
	if code, text, _ := without.ask("GET", "/message/"+id+"?tab=check", ""); code != 200 || !strings.Contains(text, "--dns") {
		t.Errorf("%d %s", code, text)
	}
}
