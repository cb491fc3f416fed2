package relay

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue"
)

type posts struct{ got [][]byte }

func (p *posts) RoundTrip(r *http.Request) (*http.Response, error) {
	b, _ := io.ReadAll(r.Body)
	p.got = append(p.got, b)
	return &http.Response{StatusCode: 201, Body: http.NoBody, Header: http.Header{}}, nil
}

func unpack(t *testing.T, packed []byte) map[string]any {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.NewDecoder(z).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestTLSReports: a day of sessions, one of them in a former life, is reported
// after midnight by mail and by HTTPS.
func TestTLSReports(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cache, err := OpenDir(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		z, web := newZone(), &posts{}
		z.txt["_smtp._tls.example.net"] = []string{"v=TLSRPTv1; rua=mailto:tls@example.net,https://report.example.net/tls,ftp://x, mailto:a b@c"}
		var sent [][]byte
		life := func() (*TLSReports, func()) {
			r := &TLSReports{Organization: "Example", Contact: "postmaster@mail.example.org", Hostname: "mail.example.org", Resolver: z,
				HTTP: &http.Client{Transport: web}, Cache: cache,
				Send: func(_ context.Context, to string, m []byte) error {
					if to != "tls@example.net" {
						t.Errorf("to %q", to)
					}
					sent = append(sent, m)
					return nil
				}}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			return r, func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		good := TLSResult{Domain: "example.net", PolicyType: "sts", Policy: []string{"version: STSv1"}, MX: []string{"mx.example.net"}, Host: "mx.example.net", Addr: netip.MustParseAddr("192.0.2.1")}
		bad := good
		bad.Failure, bad.Detail = "certificate-expired", "x509: certificate has expired"
		r, stop := life()
		r.Add(good)
		r.Add(bad)
		stop()
		r, stop = life()
		defer func() { stop() }()
		r.Add(bad)
		other := good
		other.Domain = "silent.example"
		r.Add(other)
		time.Sleep(29 * time.Hour) // spread over four hours
		synctest.Wait()
		if len(sent) != 1 || len(web.got) != 1 {
			t.Fatalf("%d mails, %d posts", len(sent), len(web.got))
		}
		v := unpack(t, web.got[0])
		p := v["policies"].([]any)[0].(map[string]any)
		sum := p["summary"].(map[string]any)
		if len(v["policies"].([]any)) != 1 || sum["total-successful-session-count"] != 1.0 || sum["total-failure-session-count"] != 2.0 {
			t.Errorf("%v", v)
		}
		d := p["failure-details"].([]any)
		if len(d) != 1 || d[0].(map[string]any)["failed-session-count"] != 2.0 || d[0].(map[string]any)["result-type"] != "certificate-expired" {
			t.Errorf("%v", d)
		}
		if dr := v["date-range"].(map[string]any); dr["start-datetime"] != "2000-01-01T00:00:00Z" || dr["end-datetime"] != "2000-01-01T23:59:59Z" {
			t.Errorf("%v", dr)
		}
		readReport(t, sent[0])
	})
}

func readReport(t *testing.T, m []byte) {
	t.Helper()
	msg, err := mail.ReadMessage(bytes.NewReader(m))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || params["report-type"] != "tlsrpt" || msg.Header.Get("TLS-Report-Domain") != "example.net" {
		t.Fatalf("%v %v", msg.Header, err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	parts.NextRawPart()
	p, err := parts.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
	if v := unpack(t, b); v["organization-name"] != "Example" || p.FileName() == "" {
		t.Errorf("%v %q", v, p.FileName())
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(m), "\r\n"), "\r\n") {
		if len(line) > 200 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("line %q", line)
		}
	}
}

// TestTLSReportsBounded: strangers choose domains and causes.
func TestTLSReportsBounded(t *testing.T) {
	r := &TLSReports{}
	for i := range 3 * maxRptDetails {
		r.Add(TLSResult{Domain: "example.net", Failure: strings.Repeat("x", i)})
		r.Add(TLSResult{Domain: "example.net", PolicyType: strings.Repeat("p", i)})
	}
	for i := range maxRptDomains + 10 {
		r.Add(TLSResult{Domain: string(rune('a'+i%26)) + strings.Repeat("z", i/26)})
	}
	n := 0
	r.days().Each(func(domain string, d *tlsDomain) {
		n++
		if domain == "example.net" && (len(d.Policies) > maxRptDetails || len(d.Policies[0].Details) > maxRptDetails) {
			t.Errorf("%d policies, %d details", len(d.Policies), len(d.Policies[0].Details))
		}
	})
	if n > maxRptDomains {
		t.Errorf("%d domains", n)
	}
}

// rptWorld makes lives of TLSReports on one disk.
type rptWorld struct {
	zone  *zone
	cache *Dir
	web   *posts
	sent  []string // recipients
	fail  error    // of Send
}

func (w *rptWorld) life(t *testing.T) (r *TLSReports, stop func()) {
	t.Helper()
	r = &TLSReports{Organization: "Example", Contact: "postmaster@mail.example.org", Hostname: "mail.example.org", Resolver: w.zone,
		HTTP: &http.Client{Transport: w.web}, Cache: w.cache, Log: slog.New(slog.DiscardHandler),
		Send: func(_ context.Context, to string, m []byte) error {
			if w.fail != nil {
				return w.fail
			}
			w.sent = append(w.sent, to)
			return nil
		}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func rptBubble(t *testing.T, name string, run func(t *testing.T, w *rptWorld)) {
	t.Run(name, func(t *testing.T) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			cache, err := OpenDir(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			w := &rptWorld{zone: newZone(), cache: cache, web: &posts{}}
			w.zone.txt["_smtp._tls.example.net"] = []string{"v=TLSRPTv1; rua=mailto:tls@example.net"}
			run(t, w)
			for back := range 100 {
				day := time.Now().UTC().Add(-time.Duration(back) * 24 * time.Hour).Format(time.DateOnly)
				if data, ok := cache.Get("tlsrpt", day); ok && back > 3 {
					t.Errorf("%s is still there: %s", day, data)
				}
			}
		})
	})
}

// TestReportsOfPastDays: what was counted before a restart is reported after
// it, once, whenever that is within days.
func TestReportsOfPastDays(t *testing.T) {
	result := TLSResult{Domain: "example.net", PolicyType: "sts", Failure: "certificate-expired", Host: "mx.example.net"}
	rptBubble(t, "stopped over midnight", func(t *testing.T, w *rptWorld) {
		r, stop := w.life(t)
		time.Sleep(23*time.Hour + 58*time.Minute)
		r.Add(result)
		time.Sleep(3 * time.Minute) // it is another day, and nothing was saved yet
		stop()
		time.Sleep(20 * time.Hour)
		_, stop = w.life(t)
		time.Sleep(time.Hour)
		stop()
		_, stop = w.life(t)
		time.Sleep(30 * time.Hour)
		stop()
		if len(w.sent) != 1 {
			t.Errorf("sent %d times", len(w.sent))
		}
		time.Sleep(10 * 24 * time.Hour)
	})
	rptBubble(t, "a crash", func(t *testing.T, w *rptWorld) {
		ctx, kill := context.WithCancel(t.Context())
		r := &TLSReports{Hostname: "mail.example.org", Cache: w.cache, Resolver: w.zone}
		r.Add(result)
		if err := r.Save(ctx); err != nil { // as it does every five minutes
			t.Fatal(err)
		}
		kill()
		time.Sleep(40 * time.Hour)
		_, stop := w.life(t)
		time.Sleep(time.Hour)
		stop()
		if len(w.sent) != 1 {
			t.Errorf("sent %d times", len(w.sent))
		}
		time.Sleep(10 * 24 * time.Hour)
	})
	rptBubble(t, "down for too long", func(t *testing.T, w *rptWorld) {
		r, stop := w.life(t)
		r.Add(result)
		stop()
		time.Sleep(20 * 24 * time.Hour)
		_, stop = w.life(t)
		time.Sleep(time.Hour)
		stop()
		if len(w.sent) != 0 {
			t.Errorf("sent %d times", len(w.sent))
		}
	})
}

// TestReportsRetried: what cannot be sent is sent later, and only there where
// it has not arrived.
func TestReportsRetried(t *testing.T) {
	result := TLSResult{Domain: "example.net", PolicyType: "sts", Host: "mx.example.net"}
	rptBubble(t, "", func(t *testing.T, w *rptWorld) {
		w.zone.txt["_smtp._tls.example.net"] = []string{"v=TLSRPTv1; rua=mailto:tls@example.net,https://report.example.net/tls"}
		w.zone.fail["_smtp._tls.example.com"] = errors.New("SERVFAIL")
		w.fail = errors.New("the queue is full")
		r, stop := w.life(t)
		r.Add(result)
		other := result
		other.Domain = "example.com"
		r.Add(other)
		time.Sleep(30 * time.Hour)
		synctest.Wait()
		if len(w.web.got) != 1 || len(w.sent) != 0 {
			t.Errorf("%d posts, %d mails", len(w.web.got), len(w.sent))
		}
		stop()
		w.fail = nil
		delete(w.zone.fail, "_smtp._tls.example.com")
		w.zone.txt["_smtp._tls.example.com"] = []string{"v=TLSRPTv1; rua=mailto:tls@example.com"}
		_, stop = w.life(t)
		time.Sleep(3 * time.Hour)
		stop()
		slices.Sort(w.sent)
		if len(w.web.got) != 1 || !slices.Equal(w.sent, []string{"tls@example.com", "tls@example.net"}) {
			t.Errorf("%d posts, mails to %q", len(w.web.got), w.sent)
		}
		time.Sleep(10 * 24 * time.Hour)
	})
}

func TestReportAddresses(t *testing.T) {
	for s, want := range map[string]string{
		"mailto:tls@example.net":                       "mailto:tls@example.net",
		"MAILTO:tls@example.net?subject=x&bcc=y@z":     "mailto:tls@example.net",
		"mailto:t%2Bls@example.net":                    "mailto:t+ls@example.net",
		"mailto:a@b%0D%0ABcc:c@d":                      "",
		"mailto:":                                      "",
		"mailto:nobody":                                "",
		"mailto:a@b,c@d":                               "",
		"https://report.example.net/tls?x=1":           "https://report.example.net/tls?x=1",
		"https://":                                     "",
		"https://user:password@report.example.net/tls": "",
		"http://report.example.net/tls":                "",
		"ftp://report.example.net":                     "",
		"":                                             "",
	} {
		if got, ok := reportAddress(s); got != want || ok != (want != "") {
			t.Errorf("%q: %q", s, got)
		}
	}
}

// TestReportsNotRedirected: where a report goes the domain says, not its web
// server.
func TestReportsNotRedirected(t *testing.T) {
	gets := 0
	r := &TLSReports{HTTP: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		gets++
		return &http.Response{StatusCode: 307, Status: "307", Body: http.NoBody, Header: http.Header{"Location": {"https://internal.example/"}}}, nil
	})}}
	if err := r.post(t.Context(), "https://report.example.net/", nil); err == nil || gets != 1 {
		t.Errorf("%v after %d requests", err, gets)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestWaived: "TLS-Required: No" puts the policies of domains out of force, and
// nothing else, for this message and no other.
func TestWaived(t *testing.T) {
	for _, c := range []struct {
		header string
		change func(s *scene)
		want   queue.Status
	}{
		{"TLS-Required: No", nil, queue.Delivered},
		{"tls-required : no", nil, queue.Delivered},
		{"Subject: x", nil, queue.Pending},
		{"TLS-Required: Yes", nil, queue.Pending},
		{"TLS-Required: No\r\nTLS-Required: No", nil, queue.Pending},
		{"Subject: x\r\n\r\nTLS-Required: No", nil, queue.Pending},
		{"Subject: x\r\n TLS-Required: No", nil, queue.Pending},
		{"X: " + strings.Repeat("x", 4096-4) + "TLS-Required: No", nil, queue.Pending},
		{"TLS-Required: No", func(s *scene) { s.Domains = levels(map[string]Level{"example.net": Verify}) }, queue.Pending},
	} {
		bubble(t, c.header[:min(len(c.header), 40)], func(t *testing.T, s *scene) {
			s.secure(t)
			s.mx.tls = newCA(t).server(t, "mx.example.net", time.Hour)
			s.enforceSTS(enforce)
			if c.change != nil {
				c.change(s)
			}
			d := of(delivery("bob@example.net").Entry, c.header+"\r\n\r\nx\r\n")
			if r := s.send(t, d)[0]; r.Status != c.want {
				t.Errorf("%+v", r)
			}
			if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Pending {
				t.Errorf("the next: %+v", r)
			}
		})
	}
}

// TestReportsBreedNoReports: two hosts that send each other reports, and mail on the first
// day alone, are silent from the second report on.
func TestReportsBreedNoReports(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.secure(t)
		s.mx.tls = newCA(t).server(t, "mx.example.net", 30*24*time.Hour)
		z := newZone()
		z.txt["_smtp._tls.example.net"] = []string{"v=TLSRPTv1; rua=mailto:tls@example.net"}
		sent := 0
		r := &TLSReports{Organization: "Example", Contact: "tls@example.org", Hostname: "mail.example.org", Resolver: z, Log: slog.New(slog.DiscardHandler)}
		r.Send = func(_ context.Context, to string, m []byte) error { // to the other host, as the queue does it
			sent++
			d := of(delivery(to).Entry, string(m))
			d.Entry.Class = queue.Notice
			s.send(t, d)
			return nil
		}
		s.Report = r.Add
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		s.send(t, delivery("bob@example.net"))
		time.Sleep(20 * 24 * time.Hour)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if sent != 1 {
			t.Errorf("%d reports in twenty days", sent)
		}
	})
}

// TestWhatIsReported: the sessions with the hosts that a domain names, and neither those of a route nor of an address that somebody has written.
func TestWhatIsReported(t *testing.T) {
	for to, want := range map[string]int{"bob@example.net": 1, "bob@[192.0.2.1]": 0, "bob@routed.example": 0} {
		bubble(t, to, func(t *testing.T, s *scene) {
			s.secure(t)
			s.smarthost(&Route{Hosts: []string{"mx.example.net"}, Port: 25, TLS: May})
			s.Domains = ways(map[string]string{"routed.example": "smart"})
			n := 0
			s.Report = func(TLSResult) { n++ }
			if r := s.send(t, delivery(to))[0]; r.Status != queue.Delivered || n != want {
				t.Errorf("%+v, %d reports", r, n)
			}
		})
	}
}
