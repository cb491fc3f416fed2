package relay

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseSTSPolicy(t *testing.T) {
	const good = "version: STSv1\r\nmode: enforce\r\nmx: mx.example.net\r\nmx: *.Example.COM\r\nmax_age: 604800\r\n"
	p, err := ParseSTSPolicy([]byte(good))
	if err != nil || p.Mode != STSEnforce || p.MaxAge != 7*24*time.Hour || !slices.Equal(p.MX, []string{"mx.example.net", "*.example.com"}) {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, text := range []string{
		strings.ReplaceAll(good, "\r\n", "\n"),
		strings.TrimSuffix(good, "\r\n"),
		good + "future: thing\r\n\r\n",
		good + "mode: none\r\n", // the first counts
		"version:STSv1\nmode:none\nmax_age:0\n",
		"version: STSv1 \nmode: testing\t\nmx: a.b\nmax_age: 9999999999\n",
	} {
		p, err := ParseSTSPolicy([]byte(text))
		if err != nil || p.MaxAge > maxMaxAge {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
	for _, text := range []string{
		"", "version: STSv1", "mode: enforce\nmx: a.b\nmax_age: 1",
		strings.Replace(good, "STSv1", "STSv2", 1), strings.Replace(good, "enforce", "maybe", 1),
		strings.Replace(good, "604800", "-1", 1), strings.Replace(good, "604800", "99999999999", 1), strings.Replace(good, "604800", "", 1),
		"version: STSv1\nmode: enforce\nmax_age: 1\n",
		strings.Replace(good, "mx.example.net", "mx.*.net", 1), strings.Replace(good, "mx.example.net", "a b", 1), strings.Replace(good, "mx.example.net", "", 1),
		"<html>\n" + good,
	} {
		if p, err := ParseSTSPolicy([]byte(text)); err == nil {
			t.Errorf("%q is taken: %+v", text, p)
		}
	}
}

func TestSTSMatch(t *testing.T) {
	p := &STSPolicy{MX: []string{"mx.example.net", "*.example.com"}}
	for host, want := range map[string]bool{
		"mx.example.net": true, "MX.Example.NET.": true, "a.mx.example.net": false, "example.net": false,
		"a.example.com": true, "a.b.example.com": false, "example.com": false, ".example.com": false, "": false,
	} {
		if got := p.Match(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// FuzzSTSPolicy: nothing panics; what is read is complete, bounded, and means
// the same when it is written and read again.
func FuzzSTSPolicy(f *testing.F) {
	f.Add("version: STSv1\r\nmode: enforce\r\nmx: *.example.net\r\nmax_age: 604800\r\n", "mx.example.net")
	f.Add("version: STSv1\nmode: none\nmax_age: 0", "")
	f.Add("mx: \x00\nmax_age: 99999999999999999999\nversion:", "*")
	f.Fuzz(func(t *testing.T, text, host string) {
		p, err := ParseSTSPolicy([]byte(text))
		if err != nil {
			return
		}
		if p.MaxAge < 0 || p.MaxAge > maxMaxAge || p.Mode != STSNone && len(p.MX) == 0 {
			t.Fatalf("%+v", p)
		}
		again, err := ParseSTSPolicy([]byte(p.String()))
		if err != nil || again.Mode != p.Mode || again.MaxAge != p.MaxAge || !slices.Equal(again.MX, p.MX) {
			t.Fatalf("%+v became %+v, %v", p, again, err)
		}
		if p.Match(host) != again.Match(host) || p.Match("") {
			t.Fatalf("%+v matches differently, or nothing", p)
		}
	})
}

// web is what policies are fetched from.
type web struct {
	pages  map[string]string // by host
	status int
	ctype  string
	err    error
	gets   int
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.gets++
	if w.err != nil {
		return nil, w.err
	}
	resp := &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Request: r}
	if w.ctype != "" {
		resp.Header.Set("Content-Type", w.ctype)
	}
	body, ok := w.pages[r.URL.Host]
	if !ok || r.URL.Path != "/.well-known/mta-sts.txt" || r.URL.Scheme != "https" {
		resp.StatusCode, resp.Status = 404, "404 Not Found"
	}
	if w.status != 0 {
		resp.StatusCode, resp.Status = w.status, http.StatusText(w.status)
		resp.Header.Set("Location", "https://elsewhere.example/.well-known/mta-sts.txt")
	}
	resp.Body = io.NopCloser(strings.NewReader(body))
	return resp, nil
}

const enforce = "version: STSv1\nmode: enforce\nmx: mx.example.net\nmax_age: 86400\n"

func stsWorld() (*STS, *zone, *web) {
	z := newZone()
	z.txt["_mta-sts.example.net"] = []string{"v=STSv1; id=1;"}
	w := &web{pages: map[string]string{"mta-sts.example.net": enforce}}
	return &STS{Resolver: z, HTTP: &http.Client{Transport: w}}, z, w
}

func TestSTSFetch(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(z *zone, w *web)
		policy bool
		err    string
		gets   int
	}{
		{"good", func(*zone, *web) {}, true, "", 1},
		{"no record", func(z *zone, _ *web) { clear(z.txt) }, false, "", 0},
		{"two records", func(z *zone, _ *web) {
			z.txt["_mta-sts.example.net"] = []string{"v=STSv1; id=1;", "v=STSv1; id=2"}
		}, false, "", 0},
		{"other records", func(z *zone, _ *web) {
			z.txt["_mta-sts.example.net"] = []string{"hello", "v=STSv2; id=1;", "v=STSv1;id=a1"}
		}, true, "", 1},
		{"no id", func(z *zone, _ *web) { z.txt["_mta-sts.example.net"] = []string{"v=STSv1"} }, false, "", 0},
		{"DNS fails", func(z *zone, _ *web) { z.fail["_mta-sts.example.net"] = errors.New("SERVFAIL") }, false, "SERVFAIL", 0},
		{"404", func(_ *zone, w *web) { clear(w.pages) }, false, "404", 1},
		{"redirect", func(_ *zone, w *web) { w.status = 301 }, false, "Moved", 1},
		{"html", func(_ *zone, w *web) { w.ctype = "text/html" }, false, "text/html", 1},
		{"too long", func(_ *zone, w *web) { w.pages["mta-sts.example.net"] = enforce + strings.Repeat("x: y\n", 20000) }, false, "longer", 1},
		{"no connection", func(_ *zone, w *web) { w.err = errors.New("certificate has expired") }, false, "expired", 1},
		{"bad policy", func(_ *zone, w *web) { w.pages["mta-sts.example.net"] = "hello" }, false, "policy", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, z, w := stsWorld()
				c.change(z, w)
				for range 3 {
					p, err := s.Policy(t.Context(), "example.net")
					if (p != nil) != c.policy || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
						t.Errorf("%+v, %v", p, err)
					}
				}
				if w.gets != c.gets {
					t.Errorf("fetched %d times", w.gets)
				}
			})
		})
	}
}

// TestSTSCache: a policy outlives everything but its age: an attacker who keeps
// the DNS or the web server from us takes nothing away.
func TestSTSCache(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cache, err := OpenDir(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		s, z, w := stsWorld()
		s.Cache = cache
		get := func() *STSPolicy {
			t.Helper()
			p, _ := s.Policy(t.Context(), "example.net")
			return p
		}
		if get() == nil {
			t.Fatal("no policy")
		}
		z.fail["_mta-sts.example.net"] = errors.New("SERVFAIL")
		time.Sleep(time.Hour)
		if get() == nil {
			t.Error("a failure of the DNS takes the policy away")
		}
		delete(z.fail, "_mta-sts.example.net")
		delete(z.txt, "_mta-sts.example.net")
		time.Sleep(time.Hour)
		if get() == nil {
			t.Error("a missing record takes the policy away")
		}
		z.txt["_mta-sts.example.net"] = []string{"v=STSv1; id=2;"}
		w.err = errors.New("unreachable")
		time.Sleep(time.Hour)
		if get() == nil {
			t.Error("a failure to fetch takes the policy away")
		}
		s = &STS{Resolver: z, HTTP: s.HTTP, Cache: cache} // a new process
		if get() == nil {
			t.Error("a restart takes the policy away")
		}
		time.Sleep(10 * time.Minute)
		w.err = nil
		w.pages["mta-sts.example.net"] = strings.Replace(enforce, "enforce", "testing", 1)
		if p := get(); p == nil || p.Mode != STSTesting {
			t.Errorf("a new id brings %+v", p)
		}
		w.err = errors.New("unreachable")
		delete(z.txt, "_mta-sts.example.net")
		time.Sleep(25 * time.Hour)
		if p := get(); p != nil {
			t.Errorf("after its age: %+v", p)
		}
	})
}

func TestDirNames(t *testing.T) {
	dir := t.TempDir()
	c, err := OpenDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", "A", "a\x00b", strings.Repeat("a", 300)} {
		if err := c.Put(context.Background(), "sts", name, nil); err == nil {
			t.Errorf("%q is a file name", name)
		}
		if _, ok := c.Get("sts", name); ok {
			t.Errorf("%q is found", name)
		}
	}
}
