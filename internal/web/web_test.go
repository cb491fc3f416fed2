package web

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/domains"
)

const testPolicy = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmax_age: 2592000\r\n"

// testSite is a server for two domains, one of which has a policy.
func testSite() *Site {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	return &Site{
		Host: "mail.example.com", Names: []string{"mail.example.com"}, StatusFrom: loopback, ProxyFrom: loopback,
		Domains: map[domains.Name]Domain{"example.com": {Policy: testPolicy}, "mail.example.com": {}, "xn--bcher-kva.example": {}},
		Mail:    &Mail{POP3: Port{Number: 995, Implicit: true}, SMTP: Port{Number: 465, Implicit: true}},
	}
}

// world is a Handler, and what it logs.
type world struct {
	*Handler
	site    *Site
	log     strings.Builder
	problem error
}

func newWorld() *world {
	w := &world{site: testSite()}
	w.Handler = &Handler{
		Site: func() *Site { return w.site }, Healthy: func() error { return w.problem },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "measured") }),
		Log:     slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	return w
}

// get is a request of GET from an address, with header fields in pairs.
func (w *world) get(from, url string, fields ...string) *http.Response {
	return w.ask(httptest.NewRequest(http.MethodGet, url, nil), from, fields...)
}

func (w *world) ask(r *http.Request, from string, fields ...string) *http.Response {
	r.RemoteAddr = from
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			r.Host = fields[i+1]
		}
		r.Header.Add(fields[i], fields[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const here, stranger = "127.0.0.1:4711", "198.51.100.7:4711"

// TestWhoMaySee: the metrics are for those whom the settings name, whoever says what, and for nobody's
// web page.
func TestWhoMaySee(t *testing.T) {
	for _, tt := range []struct {
		name, from, host string
		fields           []string
		want             int
	}{
		{"from here", here, "127.0.0.1:8080", nil, 200},
		{"from here by IPv6", "[::1]:4711", "[::1]:8080", nil, 200},
		{"by its name", here, "mail.example.com:8080", nil, 200},
		{"by its name, written otherwise", here, "MAIL.example.COM.:8080", nil, 200},
		{"by a name of one label", here, "postrider:8080", nil, 200},
		{"mapped", "[::ffff:127.0.0.1]:4711", "localhost", nil, 200},
		{"stranger", stranger, "mail.example.com", nil, 403},
		{"a page that leads its name here", here, "evil.test", nil, 404},
		{"through a web server", here, "mail.example.com", []string{"X-Forwarded-For", "198.51.100.7"}, 403},
		{"through a web server, forged", here, "mail.example.com", []string{"X-Forwarded-For", "127.0.0.1, 198.51.100.7"}, 403},
		{"through a web server, forged in two fields", here, "mail.example.com", []string{"X-Forwarded-For", "127.0.0.1", "X-Forwarded-For", "198.51.100.7"}, 403},
		{"through a web server, from here", here, "mail.example.com", []string{"X-Forwarded-For", "127.0.0.1"}, 200},
		{"through a web server, with a port", here, "mail.example.com", []string{"X-Forwarded-For", "198.51.100.7:1234"}, 403},
		{"through a web server that says nonsense", here, "mail.example.com", []string{"X-Forwarded-For", "127.0.0.1, unknown"}, 403},
		{"through one that does not say who", here, "mail.example.com", []string{"X-Real-Ip", "198.51.100.7"}, 403},
		{"through one that says no more than that it is one", here, "mail.example.com", []string{"Via", "1.1 proxy"}, 403},
		{"a stranger who says he is here", stranger, "mail.example.com", []string{"X-Forwarded-For", "127.0.0.1"}, 403},
		{"who watches, through a web server", here, "mail.example.com", []string{"X-Forwarded-For", "198.51.100.7, 203.0.113.9"}, 200},
		{"forged to be who watches", here, "mail.example.com", []string{"X-Forwarded-For", "203.0.113.9, 198.51.100.7"}, 403},
		{"a Unix socket", "@", "mail.example.com", nil, 403},
		{"at a domain", here, "example.com", nil, 404},
		{"at the policy's host", here, "mta-sts.example.com", nil, 404},
		{"no host", here, "", nil, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.site.StatusFrom = append(w.site.StatusFrom, netip.MustParsePrefix("203.0.113.9/32"))
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			r.Host = tt.host
			got := w.ask(r, tt.from, tt.fields...)
			if got.StatusCode != tt.want || strings.Contains(body(t, got), "measured") != (tt.want == 200) {
				t.Errorf("status %d, want %d", got.StatusCode, tt.want)
			}
		})
	}
}

// TestReady: everybody may know whether mail is taken, and those who see the metrics why not.
func TestReady(t *testing.T) {
	w := newWorld()
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := w.get(stranger, "http://mail.example.com"+path); got.StatusCode != 200 || body(t, got) != "ok\n" {
			t.Errorf("%s: %s", path, got.Status)
		}
	}
	w.problem = errors.New("/var/mail is full")
	if got := w.get(here, "http://localhost/readyz"); got.StatusCode != 503 || !strings.Contains(body(t, got), "/var/mail is full") {
		t.Errorf("from here: %s", got.Status)
	}
	if got := w.get(stranger, "http://mail.example.com/readyz"); got.StatusCode != 503 || strings.Contains(body(t, got), "/var/mail") {
		t.Errorf("a stranger: %s", got.Status)
	}
	if got := w.get(here, "http://localhost/healthz"); got.StatusCode != 200 {
		t.Errorf("alive: %s", got.Status)
	}
}

// TestNothingElse: whatever is not served is not found, and nothing is changed by asking.
func TestNothingElse(t *testing.T) {
	w := newWorld()
	for _, url := range []string{"http://mail.example.com/", "http://mail.example.com/admin/", "http://mail.example.com/account/", "http://localhost/../metrics",
		"http://mail.example.com/metrics/", "http://other.test/healthz", "http://mta-sts.other.test/.well-known/mta-sts.txt",
		"http://autoconfig.example.com/.well-known/acme-challenge/x", "http://autoconfig.example.com/", "http://mta-sts.mail.example.com/.well-known/mta-sts.txt"} {
		if got := w.get(stranger, url); got.StatusCode != 404 {
			t.Errorf("%s: %s", url, got.Status)
		}
	}
	for _, path := range []string{"http://localhost/metrics", "http://localhost/healthz", "http://mta-sts.example.com/.well-known/mta-sts.txt"} {
		got := w.ask(httptest.NewRequest(http.MethodPost, path, strings.NewReader("x")), here)
		if got.StatusCode != 405 || got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %s", path, got.Status)
		}
	}
	w.site = nil
	if got := w.get(here, "http://localhost/metrics"); got.StatusCode != 404 {
		t.Errorf("switched off meanwhile: %s", got.Status)
	}
}

// TestPolicy: each domain's own policy at its own host, as others demand it (RFC 8461 §3.3).
func TestPolicy(t *testing.T) {
	w := newWorld()
	const path = "/.well-known/mta-sts.txt"
	for _, got := range []*http.Response{
		w.get(stranger, "https://mta-sts.example.com"+path),
		w.get(stranger, "https://MTA-STS.Example.com.:443"+path),
		w.get(here, "http://127.0.0.1:8080"+path, "X-Forwarded-Host", "mta-sts.example.com", "X-Forwarded-For", "198.51.100.7"),
		w.get(here, "http://127.0.0.1:8080"+path, "X-Forwarded-Host", "other.test, mta-sts.example.com"),
	} {
		if got.StatusCode != 200 || got.Header.Get("Content-Type") != "text/plain" || body(t, got) != testPolicy {
			t.Errorf("%s, %s", got.Status, got.Header)
		}
	}
	if got := w.get(stranger, "http://198.51.100.1"+path, "X-Forwarded-Host", "mta-sts.example.com"); got.StatusCode != 404 {
		t.Errorf("a stranger's word for the host: %s", got.Status)
	}
}

// TestPanic: one request that goes wrong is told of, and no other one notices.
func TestPanic(t *testing.T) {
	w := newWorld()
	w.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") })
	if got := w.get(here, "http://localhost/metrics"); got.StatusCode != 500 {
		t.Error(got.Status)
	}
	if log := w.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "broken") {
		t.Error(log)
	}
}

// TestHeaders: whatever is answered can do nothing in a browser.
func TestHeaders(t *testing.T) {
	w := newWorld()
	for _, url := range []string{"http://localhost/healthz", "http://localhost/nothing", "http://mta-sts.example.com/.well-known/mta-sts.txt"} {
		h := w.get(here, url).Header
		for field, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"} {
			if h.Get(field) != want {
				t.Errorf("%s: %s: %q", url, field, h.Get(field))
			}
		}
	}
}

func ExampleHandler() {
	site := &Site{Host: "mail.example.com", Domains: map[domains.Name]Domain{"example.com": {Policy: "version: STSv1\r\n"}}}
	h := &Handler{Site: func() *Site { return site }, Healthy: func() error { return nil }, Metrics: http.NotFoundHandler(), Log: slog.Default()}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "https://mta-sts.example.com/.well-known/mta-sts.txt", nil))
	fmt.Printf("%d %q\n", rec.Code, rec.Body.String())
	// Output: 200 "version: STSv1\r\n"
}
