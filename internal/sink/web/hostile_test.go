package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/sink"
)

// What a stranger's mail consists of bounds neither the work nor the page of who looks at it.
func TestHostileContent(t *testing.T) {
	many := func(n int, one string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, one, 10_000+i)
		}
		return b.String()
	}
	part := "--b\r\nContent-Type: image/png\r\nContent-ID: <%d@x>\r\nContent-Disposition: attachment; filename=x\r\n\r\nx\r\n"
	for name, raw := range map[string]string{
		"codes":   "\r\n" + many(200_000, "%d\r\n"),
		"links":   "\r\n" + many(100_000, "http://x.test/%d\r\n"),
		"hrefs":   "Content-Type: text/html\r\n\r\n" + many(100_000, "<a href=http://x.test/%d>"),
		"parts":   "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + many(3000, part),
		"cids":    "Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n" + many(50_000, "<img src=cid:%d@y>") + "\r\n" + many(900, part),
		"to":      "To: " + many(50_000, "a%d@b,\r\n ") + "z@z\r\n\r\n",
		"fields":  many(50_000, "X-%d: y\r\n") + "\r\n",
		"nested":  many(300, "Content-Type: multipart/mixed; boundary=b%[1]d\r\n\r\n--b%[1]d\r\n"),
		"subject": "Subject: " + many(100_000, "x%d\r\n ") + "\r\n\r\n",
		"text":    "\r\n" + strings.Repeat("long text\r\n", 200_000),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			id := w.put(raw)
			for _, path := range []string{"/api/v1/message/" + id, "/inboxes/-/wait", "/view/" + id + ".txt", "/"} {
				if code, text, _ := w.ask("GET", path, ""); code != 200 {
					t.Errorf("%s: %d %.200s", path, code, text)
				}
			}
			for _, tab := range []string{"html", "text", "headers", "parts", "links", "check", "source"} {
				code, text, _ := w.ask("GET", "/message/"+id+"?tab="+tab, "")
				if code != 200 || len(text) > 700_000 {
					t.Errorf("%s: %d, %d octets", tab, code, len(text))
				}
			}
			if _, text, _ := w.ask("GET", "/", ""); len(text) > 20_000 {
				t.Errorf("the list has %d octets", len(text))
			}
		})
	}
}

// Each attachment has its own sums, and each link to a part leads to that one.
func TestParts(t *testing.T) {
	w := newWorld(t, nil)
	id := w.put("Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<img src=\"cid:1\"><img src='CID:10'><i style=\"background:url(cid:a%40b)\">placid:1</i>\r\n" +
		"--b\r\nContent-Type: image/png\r\nContent-ID: <1>\r\n\r\none\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <10>\r\nContent-Transfer-Encoding: base64\r\n\r\ndHdv\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <a@b>\r\n\r\nthree\r\n--b--\r\n")
	var m struct {
		Inline []struct {
			PartID, ContentID string
			Checksums         struct{ SHA256 string }
		}
	}
	w.get("/api/v1/message/"+id, &m)
	for i, want := range []string{"one", "two", "three"} {
		if sum := sha256.Sum256([]byte(want)); len(m.Inline) != 3 || m.Inline[i].Checksums.SHA256 != hex.EncodeToString(sum[:]) {
			t.Fatalf("%s: %+v", want, m.Inline)
		}
	}
	_, text, _ := w.ask("GET", "/view/"+id+".html", "")
	at := "/api/v1/message/" + id + "/part/"
	for _, want := range []string{`src="` + at + `2"`, `src="` + at + `3"`, `url(` + at + `4)`, `placid:1`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}

// An inbox's page and API are where its link leads, whatever its name is, and nobody's name is all
// messages.
func TestInboxNames(t *testing.T) {
	for _, name := range []string{"a/b", "a/../b", "..", ".", "-", "ä ö@x.test", "a%2Fb", "%", "?x=y#z", `"odd user"@x.test`, "a+b@x.test", "<b>&", "a//b", " x"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(s *Server) {
				s.Box = sink.NewBox(sink.Limits{}, sink.Sorting{By: sink.ByField, Field: "X-Test"})
				s.Root = "mail"
			})
			w.box = w.conf.Box
			w.put("Subject: other\r\n\r\n")
			id := w.put("Subject: mine\r\nX-Test: " + name + "\r\n\r\n")
			var list struct {
				Inboxes []struct{ Name, URL string }
			}
			if w.get("/mail/inboxes", &list); len(list.Inboxes) != 1 {
				t.Fatalf("%+v", list)
			}
			at := list.Inboxes[0].URL
			for _, path := range []string{"messages", "api/v1/messages", "api/v1/message/" + id, "message/" + id, "view/latest.txt", "messages/" + id + "/raw", ""} {
				if code, text, _ := w.ask("GET", at+path, ""); code != 200 || strings.Contains(text, "other") {
					t.Errorf("%s: %d %.300s", at+path, code, text)
				}
			}
			if code, text, _ := w.ask("PUT", at+"rules", `{"rules":"@to reject all"}`); code != 200 {
				t.Errorf("rules: %d %s", code, text)
			}
			if code, text, _ := w.ask("DELETE", at+"messages", ""); code != 204 || w.count() != 1 {
				t.Errorf("%d %s, %d left", code, text, w.count())
			}
			// It is gone with its last message, and there is nothing else that could be deleted by its name.
			if code, _, _ := w.ask("DELETE", strings.TrimSuffix(at, "/"), ""); code != 404 || w.count() != 1 {
				t.Errorf("%d, %d left", code, w.count())
			}
		})
	}
	// Names that are none lead nowhere.
	w := newWorld(t, nil)
	w.put("\r\n")
	for _, path := range []string{"/inboxes//messages", "/inboxes/%20/messages", "/inboxes/%2F/messages", "/inboxes/../messages", "/inboxes/%2e%2e/messages", "/inboxes/%00/messages", "/inboxes/@/messages", "/inboxes/%40sink.test/messages"} {
		if code, _, _ := w.ask("DELETE", path, ""); w.count() != 1 {
			t.Errorf("%s: %d, and the message is gone", path, code)
		}
	}
}

// Rules of an inbox go with it.
func TestDiscardedRules(t *testing.T) {
	w := newWorld(t, nil)
	w.ask("POST", "/inboxes", `{"name":"team"}`)
	w.ask("PUT", "/inboxes/team/rules", `{"rules":"@to reject all"}`)
	if code, _, _ := w.ask("DELETE", "/inboxes/team", ""); code != 204 {
		t.Errorf("%d", code)
	}
	if text, _ := w.conf.Faults.Get("team"); text != "" {
		t.Errorf("%q", text)
	}
}

// A hundred wait at once, and who goes away leaves nothing behind.
func TestWaiters(t *testing.T) {
	w := newWorld(t, nil)
	w.ask("GET", "/livez", "")
	before := runtime.NumGoroutine()
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 100)
	for range 100 {
		go func() {
			req, _ := http.NewRequestWithContext(ctx, "GET", w.url+"/inboxes/-/wait?timeout=5m", nil)
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			done <- err
		}()
	}
	for range 1000 { // until all of them wait
		if runtime.NumGoroutine() > before+300 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	leave()
	for range 100 {
		if err := <-done; err == nil {
			t.Error("a wait ended with nothing having come")
		}
	}
	http.DefaultClient.CloseIdleConnections()
	for range 1000 {
		if runtime.NumGoroutine() <= before+2 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// A picture on a foreign page asks no links of this host's newest message.
func TestForeignLinkCheck(t *testing.T) {
	w := newWorld(t, nil)
	w.put("\r\nhttp://127.0.0.1:9/\r\n")
	for fields, want := range map[string]int{"cross-site": 403, "same-origin": 200, "none": 200} {
		if code, _, _ := w.ask("GET", "/api/v1/message/latest/link-check", "", "Sec-Fetch-Site", fields); code != want {
			t.Errorf("%s: %d", fields, code)
		}
	}
}

// A "+" in a query is a space, as in every form, and %2B is a plus.
func TestQueryPlus(t *testing.T) {
	w := newWorld(t, nil)
	w.put("To: a+b@x.test\r\nSubject: your order\r\n\r\n", "a+b@x.test")
	for query, want := range map[string]int{"to:a%2Bb@x.test": 1, "%22your+order%22": 1, "to:a+b@x.test": 1, url.QueryEscape("a+b@x.test"): 1, "order%26x": 0} {
		var l struct {
			Count int `json:"messages_count"`
		}
		if w.get("/api/v1/search?query="+query, &l); l.Count != want {
			t.Errorf("%s: %d", query, l.Count)
		}
	}
}

// The frame that a message is shown in has no origin. Its pictures are given to it, and nothing else is.
func TestFrameOrigin(t *testing.T) {
	w := newWorld(t, nil)
	id := w.put("Content-Type: image/png\r\n\r\nx\r\n")
	for path, want := range map[string]int{
		"/api/v1/message/" + id + "/part/0": 200, "/api/v1/message/" + id: 403, "/api/v1/message/latest/part/0": 403, "/api/v1/messages": 403, "/inboxes": 403, "/view/" + id + ".txt": 403,
	} {
		code, _, h := w.ask("GET", path, "", "Origin", "null")
		if code != want || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %q", path, code, h.Get("Access-Control-Allow-Origin"))
		}
	}
}

// Who wrote a message is shown as it stands there, also where it is no address.
func TestOddAuthor(t *testing.T) {
	w := newWorld(t, nil)
	for from, want := range map[string]string{
		`"><b>x</b> <a@b`: `"><b>x</b> <a@b`, "\xe4 name <a@b.test>": "ä name", "=?gbk?b?xOO6ww==?= <a@b.test>": "你好", "=?x-unknown?q?=E4?= <a@b.test>": "ä", `"odd user"@x.test`: "",
	} {
		id := w.put("From: " + from + "\r\n\r\n")
		var m struct {
			From struct{ Name, Address string }
		}
		w.get("/api/v1/message/"+id, &m)
		if m.From.Name != want {
			t.Errorf("%q is shown as %q <%s>", from, m.From.Name, m.From.Address)
		}
	}
}

// A list of whole messages is written message by message: none waits for the next.
func TestAnswerList(t *testing.T) {
	var b strings.Builder
	answerList(&b, "items", func(yield func(any) bool) {
		for i := range 3 {
			if i > 0 && !strings.HasSuffix(b.String(), strconv.Itoa(i-1)) {
				t.Errorf("before %d: %q", i, b.String())
			}
			if !yield(i) {
				return
			}
		}
	}, func() any { return hogCounted{Total: 5} })
	if want := `{"items":[0,1,2],"total":5,"count":0,"start":0}` + "\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
	asked := 0
	answerList(closed{}, "items", func(yield func(any) bool) {
		for asked = range 10 {
			if !yield(asked) {
				return
			}
		}
	}, func() any { return struct{}{} })
	if asked > 0 {
		t.Errorf("%d were made for nobody", asked)
	}
}

// closed is a connection whose other side is gone.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// What is shown of a real mailbox can be looked at and not changed, pictures in a message stand in its page, and only the pages
// that show messages are there.
func TestViewer(t *testing.T) {
	w := newWorld(t, nil)
	viewer := *w.conf
	viewer.Root, viewer.Sessions = "/account/mail/", nil
	server := httptest.NewServer(viewer.Viewer())
	defer server.Close()
	w.url = server.URL + "/account/mail"
	raw := "Subject: seen\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<img src=\"cid:p@x\"><img src=\"cid:q@x\">\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <p@x>\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b\r\nContent-Type: application/pdf\r\nContent-ID: <q@x>\r\n\r\nx\r\n--b--\r\n"
	id := w.put(raw)
	for path, want := range map[string]string{
		"/": "seen", "/message/" + id: "seen", "/message/" + id + "?tab=check": "Who sent it", "/view/" + id + ".html": `<img src="data:image/png;base64,AAAA"><img src="">`,
		"/api/v1/message/" + id + "/raw": raw, "/api/v1/message/" + id + "/part/2": "\x00\x00\x00", "/assets/sink.css": "mail",
	} {
		code, text, _ := w.ask("GET", path, "")
		if code != 200 || !strings.Contains(text, want) || strings.Contains(text, `method="post"`) || strings.Contains(text, "data-base") || strings.Contains(text, "dialogue") {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	for _, ask := range []string{"POST /delete", "DELETE /api/v1/messages", "GET /api/v1/messages", "GET /inboxes", "GET /api/events", "POST /api/v1/send", "GET /boxes", "GET /sessions", "PUT /api/v1/chaos", "DELETE /api/v1/messages/" + id} {
		method, path, _ := strings.Cut(ask, " ")
		if code, _, _ := w.ask(method, path, ""); code != 404 && code != 405 {
			t.Errorf("%s: %d", ask, code)
		}
	}
	if code, _, _ := w.ask("GET", "/", "", "Host", "evil.test"); code != 403 {
		t.Errorf("by another name: %d", code)
	}
	if w.count() != 1 {
		t.Error("it is gone")
	}
}

// What pages are made of is asked for anew, and sent only where it has changed: after an upgrade nobody sees the old looks.
func TestAssets(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []string{"sink.css", "sink.js", "pages.css", "icon.svg"} {
		code, text, h := w.ask("GET", "/assets/"+name, "")
		if code != 200 || text == "" || h.Get("Cache-Control") != "no-cache" || h.Get("ETag") == "" || h.Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", name, code, h)
		}
		if code, text, _ := w.ask("GET", "/assets/"+name, "", "If-None-Match", h.Get("ETag")); code != 304 || text != "" {
			t.Errorf("%s again: %d", name, code)
		}
	}
}

// What the pages about a list and a message say, and that nobody keeps them.
func TestPagesSay(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 120 {
		w.put(fmt.Sprintf("Subject: number %d\r\n\r\n", i))
	}
	many := strings.Repeat("X-Many: y\r\n", mostFields)
	long := strings.Repeat("n", mostName+1)
	id := w.put("From: Alice <alice@example.com>\r\nTo: " + long + " <bob@example.com>\r\n" + many + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/pdf\r\n\r\nx\r\n--b--\r\n")
	for path, want := range map[string]string{
		"/": "1–50 of 121", "/?start=50": `href="?start=100">older`, "/?start=100": "101–121 of 121", "/?query=number&start=60": `href="?query=number&amp;start=10">newer`, "/?start=20": `rel="prev" href="?">newer`,
		"/message/" + id: "Alice &lt;alice@example.com&gt;", "/message/" + id + "?tab=text": long[:mostName] + "…", "/message/" + id + "?tab=parts": "application/pdf",
		"/message/" + id + "?tab=headers": "3 more are not shown", "/message/" + id + "?": `<pre class="mailtext">text`,
	} {
		code, text, h := w.ask("GET", path, "", "Sec-Fetch-Site", "cross-site") // pages may be led to
		if code != 200 || !strings.Contains(text, want) || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q, no %q", path, code, h.Get("Cache-Control"), want)
		}
	}
	if code, _, _ := w.ask("GET", "/inboxes/-/messages/"+id+"/sender", "", "Sec-Fetch-Site", "cross-site"); code != 200 {
		t.Errorf("asked without the DNS: %d", code)
	}
}

// Times of a search are in the zone that is named; where none is, or none that there is, in that of the server.
func TestZone(t *testing.T) {
	for name, want := range map[string]string{"": time.Local.String(), "Europe/Berlin": "Europe/Berlin", "No/Where": time.Local.String(), "UTC": "UTC"} {
		if got := zone(httptest.NewRequest("GET", "/?tz="+url.QueryEscape(name), nil)); got.String() != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
