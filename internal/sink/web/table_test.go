package web

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Every endpoint that clients of Mailpit and MailHog know: its status, the type of its answer and how that
// begins. What is wrong is said in plain text that names it, where one sends as JSON.
func TestTable(t *testing.T) {
	const plain, object = "text/plain; charset=utf-8", "application/json"
	spaces := strings.Repeat(" ", 6<<20)
	for _, c := range []struct {
		method, path, body string
		code               int
		kind, says         string
	}{
		{"GET", "/api/v1/messages", "", 200, object, `{"total":1,"unread":1,"count":1,"messages_count":1,"messages_unread":1,"start":0,"tags":[],"messages":[{"ID":"`},
		{"HEAD", "/api/v1/messages", "", 200, object, ""},
		{"PUT", "/api/v1/messages", "{", 400, plain, "unexpected end"},
		{"PUT", "/api/v1/messages", `{"IDs":7}`, 400, plain, "IDs cannot be a number"},
		{"PUT", "/api/v1/messages", `{"Read":"x"}`, 400, plain, "Read cannot be a string"},
		{"DELETE", "/api/v1/messages", spaces, 413, plain, "http: request body too large"},
		{"DELETE", "/api/v1/messages", `"x"`, 400, plain, "the body is not a JSON object"},
		{"DELETE", "/api/v1/messages", `7`, 400, plain, "the body is not a JSON object"},
		{"POST", "/api/v1/messages", "", 405, plain, "Method Not Allowed"},
		{"GET", "/api/v1/search", "", 400, plain, "Error: no search query"},
		{"GET", "/api/v1/search?query=x", "", 200, object, `{"total":1`},
		{"DELETE", "/api/v1/search?query=x&tz=Europe/Berlin", "", 200, plain, "ok"},
		{"GET", "/api/v1/message/ID", "", 200, object, `{"ID":"`},
		{"GET", "/api/v1/message/latest?query=nothing", "", 404, plain, "Message not found"},
		{"GET", "/api/v1/message/nobody", "", 404, plain, "404 page not found"},
		{"GET", "/api/v1/message/ID/headers", "", 200, object, `{"`},
		{"GET", "/api/v1/message/latest/headers?query=subject:x", "", 200, object, `{"`},
		{"GET", "/api/v1/message/latest/raw", "", 200, plain, "Return-Path: <alice@example.com>"},
		{"GET", "/api/v1/message/latest/part/0", "", 200, "text/plain", ""},
		{"GET", "/api/v1/message/latest/part/0/thumb", "", 200, "image/jpeg", "\xff\xd8"},
		{"GET", "/api/v1/message/latest/part/7/thumb", "", 400, plain, "there is no such part"},
		{"GET", "/api/v1/message/latest/html-check", "", 400, plain, "the message has no HTML"},
		{"GET", "/api/v1/message/latest/link-check", "", 200, object, `{"Errors":0,"Links":[]}`},
		{"GET", "/api/v1/message/latest/sa-check", "", 404, plain, "404"},
		{"POST", "/api/v1/message/latest/release", `{"To":["a@b.test"]}`, 400, plain, "no server to release"},
		{"POST", "/api/v1/send", `{}`, 400, object, `{"Error":"From.Email is missing"}`},
		{"GET", "/api/v1/tags", "", 200, object, `[]`},
		{"PUT", "/api/v1/tags", `{"IDs":["ID"],"Tags":["x"]}`, 200, plain, "ok"},
		{"PUT", "/api/v1/tags", `{"Tags":7}`, 400, plain, "Tags cannot be a number"},
		{"DELETE", "/api/v1/tags/x", "", 400, plain, "no message has this tag"},
		{"GET", "/api/v1/chaos", "", 200, object, `{"Sender":{"ErrorCode":451,"Probability":0}`},
		{"PUT", "/api/v1/chaos", `{"Sender":{"ErrorCode":1,"Probability":1}}`, 400, plain, "sender: an error code"},
		{"GET", "/api/v1/info", "", 200, object, `{"Version":"1","LatestVersion":"1","Database":"memory"`},
		{"HEAD", "/api/v1/info", "", 200, object, ""},
		{"GET", "/api/v1/webui", "", 200, object, `{"Label":""`},
		{"GET", "/api/v1/swagger.json", "", 200, object, `{"components"`},
		{"OPTIONS", "/api/v1/anything", "", 200, "", ""},
		// Paths that Mailpit has not got, and a client asks: never more than one message goes.
		{"GET", "/api/v1/messages/ID/source", "", 404, plain, "404"},
		{"GET", "/api/v1/messages/ID/part/0", "", 404, plain, "404"},
		{"PUT", "/api/v1/messages/ID/unread", "", 404, plain, "404"},
		{"GET", "/api/v1/stats", "", 404, plain, "404"},
		{"DELETE", "/api/v1/stats", "", 404, plain, "404"},
		{"GET", "/view/latest.html", "", 404, plain, "404"},
		{"GET", "//view/latest.txt", "", 200, plain, "body"},
		{"GET", "/view/latest", "", 302, "", ""},
		{"GET", "/api/v2/jim", "", 404, plain, "404"},
		{"GET", "/livez", "", 200, "", ""},
		{"GET", "/inboxes/bob@example.com/api/v1/message/latest", "", 200, object, `{"ID":"`},
		{"GET", "/inboxes/bob@example.com/messages?after=x", "", 400, plain, "after:"},
		{"GET", "/inboxes/bob@example.com/messages?limit=0", "", 400, plain, "limit:"},
		{"PUT", "/inboxes/bob@example.com/rules", `{"rules":"@to furst"}`, 400, plain, "bob@example.com:1:"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			w := newWorld(t, nil)
			id := w.put("Subject: x\r\n\r\nbody\r\n")
			for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded"} { // which nobody looks at
				code, text, h := w.ask(c.method, strings.ReplaceAll(c.path, "ID", id), strings.ReplaceAll(c.body, `"ID"`, `"`+id+`"`), "Content-Type", kind)
				if code != c.code || !strings.HasPrefix(text, c.says) || c.kind != "" && h.Get("Content-Type") != c.kind {
					t.Errorf("%d %q %.200q", code, h.Get("Content-Type"), text)
				}
				if c.code == 405 && h.Get("Allow") == "" {
					t.Error("nobody says what is allowed")
				}
				if left := w.count(); c.code >= 400 && left != 1 {
					t.Errorf("%d are left", left)
				}
			}
		})
	}
}

// The newest in an inbox is its own, whatever comes elsewhere.
func TestLatest(t *testing.T) {
	w := newWorld(t, nil)
	mine := w.put("Subject: mine\r\n\r\n", "bob@example.com")
	w.put("Subject: newer\r\n\r\n", "carol@example.com")
	for path, want := range map[string]string{"/inboxes/bob@example.com/api/v1/message/latest": "mine", "/api/v1/message/latest": "newer", "/api/v1/message/latest?query=subject:mine": "mine"} {
		var m struct{ ID, Subject string }
		if w.get(path, &m); m.Subject != want || want == "mine" && m.ID != mine {
			t.Errorf("%s: %+v", path, m)
		}
	}
	if code, text, _ := w.ask("GET", "/inboxes/nobody@example.com/api/v1/message/latest", ""); code != 404 {
		t.Errorf("%d %s", code, text)
	}
}

// A watcher hears of what happens, in the words of Mailpit, and of its own inbox only; times have three digits; a message is read by
// Mailpit's GET, and not by ours.
func TestEvents(t *testing.T) {
	w := newWorld(t, nil)
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	watch := func(path string) *websocket.Conn {
		c, _, err := websocket.Dial(ctx, w.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		return c
	}
	type frame struct {
		Type string
		Data struct {
			ID, Subject, Created string
			Read                 bool
			Total                int
		}
	}
	hear := func(c *websocket.Conn) (f frame) {
		for f.Type == "" || f.Type == "stats" {
			_, text, err := c.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			f = frame{}
			if err := json.Unmarshal(text, &f); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		return f
	}
	everything, carol := watch("/api/events"), watch("/inboxes/carol@example.com/api/events")
	for _, c := range []*websocket.Conn{everything, carol} {
		if _, text, err := c.Read(ctx); err != nil || !strings.Contains(string(text), `"Type":"stats"`) {
			t.Fatalf("%s, %v", text, err)
		}
	}
	id := w.put("Subject: one\r\n\r\n")
	other := w.put("Subject: two\r\n\r\n", "carol@example.com")
	if f := hear(everything); f.Type != "new" || f.Data.ID != id || !regexp.MustCompile(`T\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(f.Data.Created) {
		t.Errorf("%+v", f)
	}
	if f := hear(carol); f.Type != "new" || f.Data.ID != other {
		t.Errorf("carol hears %+v", f)
	}
	hear(everything)
	w.ask("GET", "/inboxes/-/messages/"+id, "")
	w.ask("GET", "/inboxes/-/wait", "")
	w.ask("GET", "/api/v1/message/"+id, "")
	if f := hear(everything); f.Type != "update" || f.Data.ID != id || !f.Data.Read {
		t.Errorf("%+v", f)
	}
	w.ask("DELETE", "/api/v1/messages", `{"IDs":["`+id+`"]}`)
	if f := hear(everything); f.Type != "delete" || f.Data.ID != id {
		t.Errorf("%+v", f)
	}
	w.ask("DELETE", "/api/v1/messages", "")
	if f := hear(everything); f.Type != "truncate" {
		t.Errorf("%+v", f)
	}
}

// hijacked calls back before a connection is taken over, which is before the client hears of it.
type hijacked struct {
	http.ResponseWriter
	before func()
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.before()
	return h.ResponseWriter.(http.Hijacker).Hijack()
}

// A watcher hears of a message that comes in the moment in which he connects: who waits for one that he sends next would wait for ever.
func TestEventsFromTheBeginning(t *testing.T) {
	w := newWorld(t, nil)
	handler := w.conf.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(hijacked{rw, func() { w.put("Subject: at once\r\n\r\n") }}, r)
	}))
	defer server.Close()
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	c, _, err := websocket.Dial(ctx, server.URL+"/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	w.put("Subject: the end\r\n\r\n")
	for {
		_, text, err := c.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "the end") {
			t.Fatal("the one before is not told of")
		}
		if strings.Contains(string(text), "at once") {
			return
		}
	}
}

// A Bcc that nobody sent is not shown.
func TestNoBcc(t *testing.T) {
	w := newWorld(t, nil)
	id := w.put("To: BOB@example.com\r\nCc: \"carol\"@example.com\r\n\r\n", "bob@example.com", "carol@example.com")
	var m struct{ Bcc []any }
	if w.get("/api/v1/message/"+id, &m); len(m.Bcc) != 0 {
		t.Errorf("%v", m.Bcc)
	}
	if _, text, _ := w.ask("GET", "/api/v1/message/"+id+"/raw", ""); strings.Contains(text, "Bcc") {
		t.Error(text)
	}
}
