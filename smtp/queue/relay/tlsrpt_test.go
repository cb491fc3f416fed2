package relay

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/mail"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/durable"
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
	fsys, err := durable.OpenOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	synctest.Test(t, func(t *testing.T) {
		cache, err := OpenDir(t.Context(), dir, durable.NewCommitter(fsys))
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
		time.Sleep(25 * time.Hour)
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
	for _, all := range r.days {
		if len(all) > maxRptDomains {
			t.Errorf("%d domains", len(all))
		}
		if d := all["example.net"]; len(d.Policies) > maxRptDetails || len(d.Policies[0].Details) > maxRptDetails {
			t.Errorf("%d policies, %d details", len(d.Policies), len(d.Policies[0].Details))
		}
	}
}
