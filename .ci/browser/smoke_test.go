package browser_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSees: the browser tells what is wrong with a page, or the other tests would be worth nothing.
func TestSees(t *testing.T) {
	pages := map[string]string{
		"/right":   `<!doctype html><title>right</title><link rel=icon href=data:,><meta name=viewport content="width=device-width"><p>hello`,
		"/script":  `<!doctype html><title>script</title><meta name=viewport content="width=device-width"><script>alert(1)</script>`,
		"/wide":    `<!doctype html><title>wide</title><meta name=viewport content="width=device-width"><pre>` + strings.Repeat("wide", 500),
		"/missing": `<!doctype html><title>missing</title><meta name=viewport content="width=device-width"><img src=/nothing>`,
		"/style":   `<!doctype html><title>style</title><meta name=viewport content="width=device-width"><p style="color: red">hello`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.URL.Path == "/style" {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'")
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(text))
	}))
	defer server.Close()
	b := open(t)
	b.as(t, views[0])
	for path := range pages {
		faults := b.look(t, server.URL+path, views[0])
		if wrong := path != "/right"; wrong != (len(faults) > 0) {
			t.Errorf("%s: %q", path, faults)
		}
	}
}
