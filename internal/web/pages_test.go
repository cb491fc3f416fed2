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
		{"127.0.0.1:1", "http://mail.example.com/admin/queue", nil, "127.0.0.1 mail.example.com false mail.example.com"},
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
		r := paged().get(c.from, c.url, c.fields...)
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

// TestSilentProxy: a web server in front that says nothing at all, as nginx does by default, makes nobody a visitor from this host.
func TestSilentProxy(t *testing.T) {
	for proto, want := range map[string]int{"HTTP/1.0": 403, "HTTP/1.1": 200} {
		for _, path := range []string{"/admin/", "/account/"} {
			r := httptest.NewRequest("GET", "http://127.0.0.1:8080"+path, nil)
			r.RemoteAddr, r.Proto = "127.0.0.1:1", proto
			r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(proto)
			rec := httptest.NewRecorder()
			w := paged()
			w.ServeHTTP(rec, r)
			if rec.Code != want || want == 403 && !strings.Contains(rec.Body.String(), "X-Forwarded-For is missing") {
				t.Error(proto, path, rec.Code, rec.Body)
			}
		}
	}
	// Who says so may speak as it likes.
	r := httptest.NewRequest("GET", "http://127.0.0.1:8080/account/", nil)
	r.RemoteAddr, r.Proto, r.ProtoMinor = "127.0.0.1:1", "HTTP/1.0", 0
	r.Header.Set("X-Forwarded-For", "192.0.2.9")
	rec := httptest.NewRecorder()
	w := paged()
	if w.ServeHTTP(rec, r); rec.Code != 200 {
		t.Error(rec.Code, rec.Body)
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
