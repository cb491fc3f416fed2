package web

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/pages"
)

// paged is a world whose pages say who asks.
func paged() *world {
	w := newWorld()
	show := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := pages.VisitorOf(r.Context())
		fmt.Fprintf(w, "%s %s %v %s", v.Client, v.Host, v.Secure, r.Host)
	})
	w.Admin, w.Account = show, show
	w.site.AdminFrom = w.site.StatusFrom
	w.site.AccountFrom = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	return w
}

func TestPagesFor(t *testing.T) {
	for _, c := range []struct {
		from, url string
		fields    []string
		want      string // what is shown, or the status
	}{
		{"127.0.0.1:1", "http://localhost/admin/", nil, "127.0.0.1 localhost false localhost"},
		{"127.0.0.1:1", "http://localhost/admin", nil, "127.0.0.1 localhost false localhost"},
		{"127.0.0.1:1", "http://localhost/administrator", nil, "404"},
		// By a name that strangers use too, this host may be a web server that speaks for one.
		{"127.0.0.1:1", "http://mail.example.com/admin/queue", nil, "403"},
		{"127.0.0.1:1", "https://mail.example.com/admin/queue", nil, "403"},
		{"[::1]:1", "http://[::1]:8080/admin/", nil, "::1 ::1 false [::1]:8080"},
		{"192.0.2.1:1", "http://mail.example.com/admin/", nil, "403"},
		{"192.0.2.1:1", "https://mail.example.com/account/", nil, "192.0.2.1 mail.example.com true mail.example.com"},
		// Names that others lead here, and those of the domains.
		{"127.0.0.1:1", "http://rebind.evil.test/admin/", nil, "404"},
		{"127.0.0.1:1", "http://example.com/admin/", nil, "404"},
		{"127.0.0.1:1", "http://autoconfig.example.com/account/", nil, "404"},
		{"127.0.0.1:1", "http://mta-sts.example.com/admin/", nil, "404"},
		// Behind another web server.
		{"127.0.0.1:1", "http://localhost/admin/", []string{"X-Forwarded-For", "192.0.2.9"}, "403"},
		{"127.0.0.1:1", "http://x/account/", []string{"X-Forwarded-For", "192.0.2.9", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "mail.example.com"},
			"192.0.2.9 mail.example.com true mail.example.com"},
		{"127.0.0.1:1", "https://mail.example.com/account/", []string{"X-Forwarded-For", "192.0.2.9", "X-Forwarded-Proto", "http"},
			"192.0.2.9 mail.example.com false mail.example.com"},
		{"127.0.0.1:1", "http://mail.example.com/admin/", []string{"X-Forwarded-Proto", "https"}, "403"},
		// What strangers write themselves.
		{"192.0.2.1:1", "http://mail.example.com/admin/", []string{"X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "https"}, "403"},
		{"192.0.2.1:1", "http://mail.example.com/account/", []string{"X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "mail.example.com"},
			"192.0.2.1 mail.example.com false mail.example.com"},
		{"127.0.0.1:1", "http://mail.example.com/admin/", []string{"X-Forwarded-For", "127.0.0.1, 192.0.2.66"}, "403"},
	} {
		r := paged().get(c.from, c.url, append(c.fields, "Connection", "keep-alive")...)
		b, _ := io.ReadAll(r.Body)
		got := string(b)
		if r.StatusCode != 200 {
			got = fmt.Sprint(r.StatusCode)
		}
		if got != c.want {
			t.Errorf("%s from %s %v: %q, want %q", c.url, c.from, c.fields, got, c.want)
		}
	}
}

// TestPagesSayWhatIsMissing: a web server in front that does not say who asks.
func TestPagesSayWhatIsMissing(t *testing.T) {
	r := paged().get("127.0.0.1:1", "http://mail.example.com/admin/", "X-Forwarded-Proto", "https")
	if b, _ := io.ReadAll(r.Body); !strings.Contains(string(b), "X-Forwarded-For is missing") {
		t.Errorf("%s", b)
	}
}

// TestSilentProxy: a web server in front that does not say for whom it asks makes nobody a visitor from this host, whatever it
// does besides.
func TestSilentProxy(t *testing.T) {
	type ask struct {
		proto, host string
		fields      []string
	}
	browser := []string{"Connection", "keep-alive"}
	see := func(w *world, a ask, path string) (int, string) {
		r := httptest.NewRequest("GET", "http://"+a.host+path, nil)
		r.RemoteAddr, r.Proto = "127.0.0.1:1", a.proto
		r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(a.proto)
		for i := 0; i < len(a.fields); i += 2 {
			r.Header.Add(a.fields[i], a.fields[i+1])
		}
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		return rec.Code, rec.Body.String()
	}
	for _, path := range []string{"/admin/", "/account/"} {
		for _, a := range []ask{
			{"HTTP/1.0", "127.0.0.1:8080", nil}, {"HTTP/1.0", "127.0.0.1:8080", browser}, {"HTTP/1.1", "127.0.0.1:8080", nil},
			{"HTTP/1.1", "127.0.0.1:8080", []string{"Connection", "close"}}, {"HTTP/1.1", "mail.example.com", nil}, {"HTTP/1.1", "mail.example.com", browser},
			{"HTTP/1.1", "localhost", []string{"Connection", "upgrade", "Upgrade", "websocket"}},
		} {
			if code, text := see(paged(), a, path); code != 403 || !strings.Contains(text, "X-Forwarded-For is missing") {
				t.Error(a, path, code, text)
			}
		}
		for _, a := range []ask{
			{"HTTP/1.1", "127.0.0.1:8080", browser}, {"HTTP/1.1", "localhost:8080", []string{"Connection", "Upgrade, Keep-Alive"}},
		} {
			if code, text := see(paged(), a, path); code != 200 {
				t.Error(a, path, code, text)
			}
			// The settings say that web servers of this host speak for others.
			w := paged()
			w.site.Proxies = w.site.ProxyFrom
			for _, path := range []string{path, "/metrics"} {
				if code, text := see(w, a, path); code != 403 {
					t.Error("from what is named:", a, path, code, text)
				}
			}
		}
	}
	// Who says so may speak as it likes.
	for _, named := range []bool{false, true} {
		w := paged()
		if named {
			w.site.Proxies = w.site.ProxyFrom
		}
		if code, text := see(w, ask{"HTTP/1.0", "127.0.0.1:8080", []string{"X-Forwarded-For", "192.0.2.9"}}, "/account/"); code != 200 {
			t.Error(code, text)
		}
	}
}

// TestNoPages: nothing is served of what nobody has.
func TestNoPages(t *testing.T) {
	w := paged()
	w.Admin, w.Account = nil, nil
	for _, path := range []string{"/admin/", "/account/"} {
		if r := w.get("127.0.0.1:1", "http://localhost"+path); r.StatusCode != 404 {
			t.Error(path, r.StatusCode)
		}
	}
}
