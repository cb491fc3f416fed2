package pages

import (
	"bytes"
	"context"
	"errors"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// keys are logins by name and password, with a stamp.
type keys struct {
	mu    sync.Mutex
	words map[string]string
	full  bool
	away  bool
	off   time.Duration // of the clock that makes codes
}

func (k *keys) Login(_ context.Context, _ Visitor, name, password, _ string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.away:
		return "", context.Canceled
	case k.full:
		return "", ErrThrottled
	case password == "" || k.words[name] != password:
		return "", ErrDenied
	case k.off != 0:
		return "", &ClockError{k.off}
	}
	return name, nil
}

func (k *keys) Stamp(who string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.words[who]
}

func (k *keys) set(who, password string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.words[who] = password
}

// browser asks an area as a browser does, without a network.
type browser struct {
	t       *testing.T
	area    *Area
	visitor Visitor
	jar     map[string]string
	header  map[string]string
	ended   bool // it does not wait for the answer
}

func (b *browser) do(method, path string, form url.Values) *http.Response {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, "http://mail.test"+path, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for k, v := range b.header {
		r.Header.Set(k, v)
	}
	for name, value := range b.jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	ctx, cancel := context.WithCancel(WithVisitor(r.Context(), b.visitor))
	defer cancel()
	if b.ended {
		cancel()
	}
	w := httptest.NewRecorder()
	b.area.ServeHTTP(w, r.WithContext(ctx))
	resp := w.Result()
	for _, c := range resp.Cookies() {
		if b.jar[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.jar, c.Name)
		}
	}
	return resp
}

func text(resp *http.Response) string {
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

func (b *browser) login(name, password string) *http.Response {
	b.t.Helper()
	return b.do("POST", b.area.root()+"login", url.Values{"name": {name}, "password": {password}})
}

var testTemplates = fstest.MapFS{"templates/p.html": {Data: []byte(
	`{{define "content"}}<p>{{.Data}}</p>{{template "field" (field .Form "size" "Size" "text" "7")}}{{end}}`)}}

// world is an area of one page, "p", that takes sizes but the wrong ones.
func world(t *testing.T) (*browser, *keys, *bytes.Buffer, *[]string) {
	k := &keys{words: map[string]string{"ann": "one", "joe": "two"}}
	log, taken := new(bytes.Buffer), new([]string)
	a := New(Config{Name: "admin", Title: "Test", Logins: k, Log: slog.New(slog.NewTextHandler(log, nil))})
	a.Add(testTemplates, Page{Path: "p", Menu: "P", Title: "Page", Template: "p.html",
		Show: func(r *Request) (any, error) { return r.URL.Query().Get("show"), nil },
		Do: map[string]Action{
			"set": func(r *Request) error {
				if r.Form.Value("size") == "<b>" {
					r.Form.Wrong("size", "that <i>is</i> no size")
					return nil
				}
				*taken = append(*taken, r.Form.Value("size"))
				r.Done("It is set.", "size", r.Form.Value("size"))
				return nil
			},
		}})
	v := Visitor{Client: netip.MustParseAddr("192.0.2.7"), Host: "mail.test", Secure: true}
	return &browser{t, a, v, map[string]string{}, map[string]string{}, false}, k, log, taken
}

func TestLogin(t *testing.T) {
	b, k, log, _ := world(t)
	if r := b.do("GET", "/admin/p?x=1", nil); r.StatusCode != 303 || r.Header.Get("Location") != "/admin/login?next=%2Fadmin%2Fp%3Fx%3D1" {
		t.Error("without a session:", r.StatusCode, r.Header.Get("Location"))
	}
	known, unknown := b.login("ann", "my guess"), b.login("nobody", "my guess")
	a, o := text(known), text(unknown)
	if known.StatusCode != 422 || unknown.StatusCode != 422 || strings.ReplaceAll(o, "nobody", "ann") != a {
		t.Errorf("a name that exists is told from one that does not: %d %d\n%s\n%s", known.StatusCode, unknown.StatusCode, a, o)
	}
	if !strings.Contains(a, `value="ann"`) || strings.Contains(a, "my guess") || !strings.Contains(a, ErrDenied.Error()) {
		t.Error("the form does not keep the name, or sends the password back:", a)
	}
	k.full = true
	if r := b.login("ann", "one"); r.StatusCode != 429 {
		t.Error("throttled:", r.StatusCode)
	}
	k.full = false
	if r := b.login("ann", "one"); r.StatusCode != 303 || r.Header.Get("Location") != "/admin/" {
		t.Error("login:", r.StatusCode, r.Header.Get("Location"))
	}
	if r := b.do("GET", "/admin/p", nil); r.StatusCode != 200 || !strings.Contains(text(r), "ann") {
		t.Error("with a session:", r.StatusCode)
	}
	if r := b.do("GET", "/admin/nothing", nil); r.StatusCode != 404 {
		t.Error("no such page:", r.StatusCode)
	}
	if r := b.do("POST", "/admin/logout", url.Values{}); r.StatusCode != 303 || len(b.jar) != 0 {
		t.Error("logout:", r.StatusCode, b.jar)
	}
	if !strings.Contains(log.String(), `msg="logged in to the pages" area=admin user=ann remote=192.0.2.7`) || strings.Contains(log.String(), "one") {
		t.Error("log:", log)
	}
}

// TestClockOff: whose code counts at another time is told which way and by how much, and what time it is here, beside a form that keeps the name alone.
func TestClockOff(t *testing.T) {
	b, k, _, _ := world(t)
	k.off = -90 * time.Second
	r := b.login("ann", "one")
	if page := html.UnescapeString(text(r)); r.StatusCode != 422 || len(b.jar) != 0 || !strings.Contains(page, "that code is of a clock about 1m30s behind this server's, where it is ") || !strings.Contains(page, `value="ann"`) || strings.Contains(page, `value="one"`) {
		t.Error(r.StatusCode, b.jar, page)
	}
	if page := text(b.login("ann", "two")); strings.Contains(page, "clock") {
		t.Error("told without the password:", page)
	}
	at := time.Date(2026, 12, 1, 9, 8, 7, 0, time.FixedZone("", 3600))
	if got, want := (&ClockError{2 * time.Minute}).at(at), "that code is of a clock about 2m0s ahead of this server's, where it is 08:08:07 UTC; set the one that is wrong, and try the next code"; got != want || !errors.Is(&ClockError{}, ErrDenied) {
		t.Errorf("%q", got)
	}
}

// TestOldTab: what a tab of the version before still sends does all that it says or nothing: without a session, which no restart keeps, it is told so; with one, what the
// form does not know any more is refused, and what it has not said is not made up. What such a tab loads again is no page of an intermediate cache, and
// a file that is no more is not remembered as one that is not there.
func TestOldTab(t *testing.T) {
	b, _, _, taken := world(t)
	b.login("ann", "one")
	before := maps.Clone(b.jar)
	for name, form := range map[string]url.Values{"an action that was": {"do": {"gone"}, "size": {"7"}}, "none": {"size": {"7"}}} {
		if r := b.do("POST", "/admin/p", form); r.StatusCode < 400 || r.StatusCode >= 500 {
			t.Errorf("%s: %d", name, r.StatusCode)
		}
	}
	if len(*taken) != 0 {
		t.Error("done all the same:", *taken)
	}
	if r := b.do("POST", "/admin/p", url.Values{"do": {"set"}, "size": {"7"}, "what-was": {"x"}}); r.StatusCode != 303 || !slices.Equal(*taken, []string{"7"}) {
		t.Error("a field more:", r.StatusCode, *taken)
	}
	after, _, _, taken := world(t) // another process
	after.jar = before
	if r := after.do("POST", "/admin/p", url.Values{"do": {"set"}, "size": {"7"}}); r.StatusCode != 303 || !strings.Contains(r.Header.Get("Location"), "ended=") || len(*taken) != 0 {
		t.Error("after a restart:", r.StatusCode, r.Header, *taken)
	}
	if r := b.do("GET", "/admin/p", nil); !strings.Contains(r.Header.Get("Cache-Control"), "no-store") {
		t.Error("a page is kept:", r.Header)
	}
	for _, name := range []string{"pages.css", "pages.js"} {
		if r := b.do("GET", "/admin/assets/0123456789ab."+name, nil); r.StatusCode != 404 || !strings.Contains(r.Header.Get("Cache-Control"), "no-store") {
			t.Error("a file of the version before:", r.StatusCode, r.Header)
		}
	}
}

// TestLogoutEnds: whoever has kept the cookie has nothing of it.
func TestLogoutEnds(t *testing.T) {
	b, _, _, _ := world(t)
	b.login("ann", "one")
	kept := map[string]string{}
	for k, v := range b.jar {
		kept[k] = v
	}
	b.do("POST", "/admin/logout", url.Values{})
	b.jar = kept
	if r := b.do("GET", "/admin/p", nil); r.StatusCode != 303 {
		t.Error("the session lives on:", r.StatusCode)
	}
}

func TestNext(t *testing.T) {
	b, _, _, _ := world(t)
	for next, want := range map[string]string{
		"/admin/p?x=1": "/admin/p?x=1", "https://evil.test/": "/admin/", "//evil.test/": "/admin/", "/admin/../account/": "/admin/", "/admin/\\evil": "/admin/", "/admin/\t/evil.test": "/admin/", "/admin/p?x=\r\ny": "/admin/",
		"/admin//evil.test": "/admin/", "/admin/login": "/admin/", "/account/": "/admin/", "": "/admin/",
	} {
		r := b.do("POST", "/admin/login", url.Values{"name": {"ann"}, "password": {"one"}, "next": {next}})
		if got := r.Header.Get("Location"); got != want {
			t.Errorf("next %q leads to %q, want %q", next, got, want)
		}
	}
}

func TestCookie(t *testing.T) {
	b, _, _, _ := world(t)
	c := b.login("ann", "one").Cookies()[0]
	if c.Name != "__Host-postrider-admin" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || len(c.Value) < 50 {
		t.Error("over TLS:", c)
	}
	b.visitor = Visitor{Client: netip.MustParseAddr("127.0.0.1"), Host: "localhost"}
	c = b.login("ann", "one").Cookies()[0]
	if c.Name != "postrider-admin" || c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/admin/" {
		t.Error("on loopback:", c)
	}
}

// TestInTheClear: no password is asked for where others could read it.
func TestInTheClear(t *testing.T) {
	here, there := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.7")
	for _, c := range []struct {
		v    Visitor
		want int
	}{
		{Visitor{Client: there, Host: "mail.test"}, 403},
		{Visitor{Client: there, Host: "localhost"}, 403},
		{Visitor{Client: here, Host: "mail.test"}, 403}, // a web server in front that says nothing
		{Visitor{Client: here, Host: "192.0.2.1"}, 403},
		{Visitor{}, 403},
		{Visitor{Client: here, Host: "127.0.0.1"}, 200},
		{Visitor{Client: here, Host: "::1"}, 200},
		{Visitor{Client: here, Host: "localhost"}, 200},
		{Visitor{Client: here, Host: "mail.localhost"}, 200},
		{Visitor{Client: here, Host: "evillocalhost"}, 403},
		{Visitor{Client: here, Host: "localhost.evil.test"}, 403},
		{Visitor{Client: here, Host: "host"}, 403},
		{Visitor{Client: here, Host: ""}, 403},
		{Visitor{Client: there, Host: "mail.test", Secure: true}, 200},
	} {
		b, _, _, _ := world(t)
		b.visitor = c.v
		if r := b.do("GET", "/admin/login", nil); r.StatusCode != c.want {
			t.Errorf("%+v: %d, want %d", c.v, r.StatusCode, c.want)
		}
	}
	b, _, _, _ := world(t)
	b.visitor = Visitor{Client: here, Host: "mail.test", Missing: "X-Forwarded-Proto: https"}
	if got := text(b.do("GET", "/admin/login", nil)); !strings.Contains(got, "X-Forwarded-Proto: https") {
		t.Error("it does not say what is missing:", got)
	}
}

func TestCrossSite(t *testing.T) {
	for name, header := range map[string]map[string]string{
		"fetch":     {"Sec-Fetch-Site": "cross-site"},
		"same site": {"Sec-Fetch-Site": "same-site"},
		"origin":    {"Sec-Fetch-Site": "", "Origin": "https://evil.test"},
		"null":      {"Sec-Fetch-Site": "", "Origin": "null"},
	} {
		b, _, log, taken := world(t)
		b.login("ann", "one")
		b.header = header
		for _, path := range []string{"/admin/p", "/admin/login", "/admin/logout"} {
			r := b.do("POST", path, url.Values{"do": {"set"}, "size": {"1"}, "name": {"ann"}, "password": {"one"}})
			if r.StatusCode != 403 || len(*taken) != 0 {
				t.Errorf("%s: %s: %d, %v", name, path, r.StatusCode, *taken)
			}
		}
		if !strings.Contains(log.String(), "a form of another site was refused") {
			t.Error("log:", log)
		}
	}
	b, _, _, taken := world(t)
	b.login("ann", "one")
	b.header = map[string]string{"Sec-Fetch-Site": "", "Origin": "https://mail.test"}
	if r := b.do("POST", "/admin/p", url.Values{"do": {"set"}, "size": {"1"}}); r.StatusCode != 303 || len(*taken) != 1 {
		t.Error("our own page is refused:", r.StatusCode)
	}
}

func TestHeaders(t *testing.T) {
	b, _, _, _ := world(t)
	b.login("ann", "one")
	for _, path := range []string{"/admin/login", "/admin/p", "/admin/nothing"} {
		h := b.do("GET", path, nil).Header
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy lacks %q: %q", path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" ||
			h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// TestForm: what is wrong comes back with its value and the reason, and nothing has changed; what is right
// is said once on the page that follows.
func TestForm(t *testing.T) {
	b, _, log, taken := world(t)
	b.login("ann", "one")
	r := b.do("POST", "/admin/p", url.Values{"do": {"set"}, "size": {"<b>"}})
	page := text(r)
	if r.StatusCode != 422 || len(*taken) != 0 || !strings.Contains(page, `value="&lt;b&gt;"`) || !strings.Contains(page, "that &lt;i&gt;is&lt;/i&gt; no size") ||
		!strings.Contains(page, `aria-invalid="true"`) {
		t.Error(r.StatusCode, *taken, page)
	}
	r = b.do("POST", "/admin/p?show=x", url.Values{"do": {"set"}, "size": {"5"}})
	if r.StatusCode != 303 || r.Header.Get("Location") != "/admin/p?show=x" || len(*taken) != 1 {
		t.Error(r.StatusCode, r.Header.Get("Location"), *taken)
	}
	if page := text(b.do("GET", "/admin/p", nil)); !strings.Contains(page, "It is set.") || !strings.Contains(page, `value="7"`) {
		t.Error("the page does not say what was done:", page)
	}
	if strings.Contains(text(b.do("GET", "/admin/p", nil)), "It is set.") {
		t.Error("it is said twice")
	}
	if want := `msg="changed by page" area=admin user=ann remote=192.0.2.7 page=Page action=set size=5`; !strings.Contains(log.String(), want) {
		t.Error("log:", log)
	}
	if r := b.do("POST", "/admin/p", url.Values{"do": {"other"}}); r.StatusCode != 400 {
		t.Error("an action that is none:", r.StatusCode)
	}
	if r := b.do("POST", "/admin/p", url.Values{"do": {"set"}, "size": {strings.Repeat("x", bodyOctets)}}); r.StatusCode != 400 || len(*taken) != 1 {
		t.Error("too much:", r.StatusCode)
	}
	if r := b.do("DELETE", "/admin/p", nil); r.StatusCode != 405 {
		t.Error("another method:", r.StatusCode)
	}
}

// TestPostWithoutSession: nothing happens, and the person is told.
func TestPostWithoutSession(t *testing.T) {
	b, _, _, taken := world(t)
	r := b.do("POST", "/admin/p", url.Values{"do": {"set"}, "size": {"1"}})
	if r.StatusCode != 303 || len(*taken) != 0 {
		t.Fatal(r.StatusCode, *taken)
	}
	if page := text(b.do("GET", r.Header.Get("Location"), nil)); !strings.Contains(page, "Nothing was changed") {
		t.Error(page)
	}
}

func TestSessionLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _, _, _ := world(t)
		in := func() bool { return b.do("GET", "/admin/p", nil).StatusCode == 200 }
		b.login("ann", "one")
		time.Sleep(sessionIdle - time.Second)
		if !in() {
			t.Error("it ended before its time")
		}
		time.Sleep(sessionIdle)
		if in() {
			t.Error("it lives on though nobody used it")
		}
		b.login("ann", "one")
		for began := time.Now(); time.Since(began) < sessionLife-sessionIdle/4; time.Sleep(sessionIdle / 4) {
			if !in() {
				t.Fatal("it ended though it was used, after", time.Since(began))
			}
		}
		time.Sleep(sessionIdle / 4) // since the last use: half of what would be too long
		if in() {
			t.Error("it lives on for ever")
		}
	})
}

// TestWatchIsNoUse: a page that asks for itself again and again does not keep a session that nobody uses.
func TestWatchIsNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _, _, _ := world(t)
		b.area.Add(testTemplates, Page{Path: "w", Title: "Watch", Template: "p.html", Watch: true,
			Show: func(r *Request) (any, error) { r.Refresh = 5; return "", nil }})
		b.login("ann", "one")
		asked := 0
		for ; asked < 100; asked++ {
			r := b.do("GET", "/admin/w", nil)
			if r.StatusCode != 200 {
				break
			}
			if !strings.Contains(text(r), `<meta http-equiv="refresh" content="5">`) {
				t.Fatal("it does not ask to be loaded again")
			}
			time.Sleep(sessionIdle / 10)
		}
		if asked != 10 {
			t.Errorf("the session ended after %d looks", asked)
		}
	})
}

// TestPasswordEndsSessions: all of that name, and nobody else's.
func TestPasswordEndsSessions(t *testing.T) {
	b, k, _, _ := world(t)
	b.login("ann", "one")
	other := *b
	other.jar = map[string]string{}
	other.login("ann", "one")
	joe := *b
	joe.jar = map[string]string{}
	joe.login("joe", "two")
	if r := b.do("GET", "/admin/p", nil); r.StatusCode != 200 {
		t.Fatal(r.StatusCode)
	}
	k.set("ann", "new")
	for name, c := range map[string]struct {
		b    *browser
		want int
	}{"one": {b, 303}, "other": {&other, 303}, "joe": {&joe, 200}} {
		if r := c.b.do("GET", "/admin/p", nil); r.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, r.StatusCode, c.want)
		}
	}
	k.set("joe", "") // he is gone
	if r := joe.do("GET", "/admin/p", nil); r.StatusCode != 303 {
		t.Error("who is gone has a session:", r.StatusCode)
	}
}

func TestSessionsBounded(t *testing.T) {
	b, _, _, _ := world(t)
	b.login("joe", "two")
	joe := b.jar
	for range 3 * sessionsOf {
		b.jar = map[string]string{}
		b.login("ann", "one")
	}
	if n := len(b.area.sessions.all); n != sessionsOf+1 {
		t.Errorf("%d sessions", n)
	}
	if b.do("GET", "/admin/p", nil).StatusCode != 200 {
		t.Error("the newest has ended")
	}
	b.jar = joe
	if b.do("GET", "/admin/p", nil).StatusCode != 200 {
		t.Error("that of another name has ended")
	}
	for i := range sessionsAll + 10 {
		b.area.sessions.open(string(rune('a'+i%26))+url.QueryEscape(time.Duration(i).String()), "x")
	}
	if n := len(b.area.sessions.all); n != sessionsAll {
		t.Errorf("%d sessions in all", n)
	}
}

func TestAssets(t *testing.T) {
	b, _, _, _ := world(t)
	page := text(b.do("GET", "/admin/login", nil))
	if strings.Contains(page, "<style") || strings.Contains(page, " style=") || strings.Contains(page, "<script>") || strings.Contains(page, "onclick") {
		t.Error("something is inline:", page)
	}
	for name, kind := range map[string]string{"pages.css": "text/css", "pages.js": "text/javascript", "icon.svg": "image/svg+xml"} {
		at := "/admin/assets/" + asset(name)
		if !strings.Contains(page, at) {
			t.Errorf("the page does not name %s", at)
		}
		r := b.do("GET", at, nil)
		if r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), kind) || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Error(name, r.StatusCode, r.Header)
		}
		if r := b.do("GET", "/admin/assets/000000000000."+name, nil); r.StatusCode != 404 {
			t.Error("under another hash:", r.StatusCode)
		}
	}
}

func TestNobody(t *testing.T) {
	b, _, _, _ := world(t)
	b.area.Nobody = func() string { return "run: postrider admin add NAME" }
	if page := text(b.do("GET", "/admin/login", nil)); !strings.Contains(page, "postrider admin add") || strings.Contains(page, "password") {
		t.Error(page)
	}
}

// TestLoginAgain: who logs in anew in the same browser leaves no session behind that nobody sees any more.
func TestLoginAgain(t *testing.T) {
	b, _, _, _ := world(t)
	b.login("ann", "one")
	old := b.jar["__Host-postrider-admin"]
	b.login("joe", "two")
	if b.jar["__Host-postrider-admin"] == old {
		t.Fatal("the cookie stays")
	}
	b.jar["__Host-postrider-admin"] = old
	if r := b.do("GET", "/admin/p", nil); r.StatusCode != 303 {
		t.Error("the session before goes on:", r.StatusCode)
	}
}

// TestQuietLog: strangers, who need no password for it, fill no log.
func TestQuietLog(t *testing.T) {
	b, k, log, _ := world(t)
	b.header["Sec-Fetch-Site"] = "cross-site"
	b.header["Origin"] = "http://" + strings.Repeat("x", 20000)
	for range 100 {
		if r := b.login("ann", "one"); r.StatusCode != 403 {
			t.Fatal(r.StatusCode)
		}
	}
	if n := strings.Count(log.String(), "another site"); n != 1 || log.Len() > 1000 {
		t.Errorf("%d lines, %d octets of forms of other sites", n, log.Len())
	}
	log.Reset()
	clear(b.header)
	k.away = true
	b.ended = true
	b.login("ann", "one")
	if log.Len() > 0 {
		t.Error("of a browser that has gone:", log)
	}
	b.ended = false
	if r := b.login("ann", "one"); r.StatusCode != 503 || !strings.Contains(log.String(), "could not be checked") {
		t.Error("what is a fault of ours:", r.StatusCode, log)
	}
}

// TestQuietForAMinute: the next form of another site is told of a minute after the last.
func TestQuietForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _, log, _ := world(t)
		b.header["Sec-Fetch-Site"] = "cross-site"
		for _, c := range []struct {
			later time.Duration
			lines int
		}{{0, 1}, {time.Minute - 1, 1}, {1, 2}} {
			time.Sleep(c.later)
			b.login("ann", "one")
			if n := strings.Count(log.String(), "another site"); n != c.lines {
				t.Errorf("%d lines after %v", n, c.later)
			}
		}
	})
}

// stampless are logins that are right, of somebody who may not log in any more.
type stampless struct{ *keys }

func (stampless) Stamp(string) string { return "" }

// TestRightButClosed: whose password is right, and who may not come in all the same, hears what he hears whose password is wrong.
func TestRightButClosed(t *testing.T) {
	b, k, _, _ := world(t)
	wrong := b.login("ann", "wrong")
	b.area.Logins = stampless{k}
	right := b.login("ann", "one")
	if right.StatusCode != 422 || len(b.jar) != 0 || text(wrong) != text(right) {
		t.Error(right.StatusCode, b.jar)
	}
}

// TestLargeLogin: a form for logging in has 64 KiB at most.
func TestLargeLogin(t *testing.T) {
	b, _, _, _ := world(t)
	for size, want := range map[int]int{60 << 10: 422, 64<<10 + 1: 400} {
		if r := b.login("ann", strings.Repeat("x", size)); r.StatusCode != want {
			t.Errorf("%d octets: %d", size, r.StatusCode)
		}
	}
}

// TestHint: what a field wants stands below it, until it is told what is wrong.
func TestHint(t *testing.T) {
	f := &Form{values: url.Values{"old": {"kept"}}}
	for name, want := range map[string][2]string{"new": {"given", "a hint"}, "old": {"kept", "a hint"}} {
		if i := field(f, name, "Label", "text", "given", "a hint"); i.Value != want[0] || i.Hint != want[1] {
			t.Errorf("%s: %+v", name, i)
		}
	}
	if i := field(f, "new", "Label", "text", "given"); i.Hint != "" {
		t.Errorf("%+v", i)
	}
}

// TestWhatIsThere: a page is at its own path and not at those below it, and shows what it has to show.
func TestWhatIsThere(t *testing.T) {
	b, _, _, _ := world(t)
	b.area.Add(testTemplates, Page{Path: "", Template: "p.html", Show: func(*Request) (any, error) { return "the first page", nil }},
		Page{Path: "below/", Template: "p.html", Show: func(*Request) (any, error) { return "the page below", nil }})
	b.login("ann", "one")
	for path, want := range map[string]string{
		"/admin/": "the first page", "/admin/below/": "the page below", "/admin/p?show=words": "words",
		"/admin/nothing": "", "/admin/below/nothing": "", "/admin/p/nothing": "",
	} {
		r := b.do("GET", path, nil)
		page := text(r)
		if found := r.StatusCode == 200; found != (want != "") || !strings.Contains(page, "<p>"+want) {
			t.Errorf("%s: %d, %s", path, r.StatusCode, page)
		}
	}
}

// TestIn: the page that is open is marked in the menu, and so is the one that it is below; the first page of an area is not
// above the others.
func TestIn(t *testing.T) {
	for _, c := range []struct {
		here, where string
		want        bool
	}{
		{"/admin/queue", "/admin/queue", true}, {"/admin/queue/x", "/admin/queue", true}, {"/admin/queues", "/admin/queue", false}, {"/admin/", "/admin/queue", false},
		{"/admin/", "/admin/", true}, {"/admin/queue", "/admin/", false},
	} {
		v := &view{Here: c.here, Root: "/admin/"}
		if got := v.In(c.where); got != c.want {
			t.Errorf("%s in %s: %v", c.here, c.where, got)
		}
	}
}

func TestShort(t *testing.T) {
	for text, want := range map[string]string{"": "", "abcd": "abcd", "abcde": "abcde", "abcdef": "abcd…", "äöüßé": "äöüßé", " a  b\tc\n": "a b c"} {
		if got := short(text, 5); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestFindWaitsForNobody: while it is asked elsewhere, which may take seconds, whether the password of a session is still the one of now, other sessions are
// found, begin and end; and one whose stamp was renewed meanwhile goes on.
func TestFindWaitsForNobody(t *testing.T) {
	var s sessions
	first, second := s.open("ann", "x"), s.open("bob", "x")
	asked := false
	found := s.find(first, func(string) string {
		if asked = s.mu.TryLock(); !asked {
			return "x"
		}
		s.mu.Unlock()
		if s.find(second, func(string) string { return "x" }) == nil {
			t.Error("another one is not found")
		}
		s.end(second)
		return "x"
	})
	if !asked {
		t.Fatal("everybody waits")
	}
	if found == nil || found.Who != "ann" || s.find(second, func(string) string { return "x" }) != nil {
		t.Errorf("%+v", found)
	}
	for _, is := range []string{"x", "z"} { // the one before, and the one of now
		if s.find(first, func(string) string { s.stamp(found, "z"); return is }) != found {
			t.Error("a stamp that was renewed meanwhile:", is)
		}
	}
	if s.find(first, func(string) string { s.end(first); return "y" }) != nil {
		t.Error("one that ended meanwhile")
	}
	first = s.open("ann", "x")
	for range 2 { // it is gone after the first time
		if s.find(first, func(string) string { return "y" }) != nil {
			t.Error("another password")
		}
	}
}
