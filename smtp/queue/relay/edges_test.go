package relay

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp/resolver"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// TestLargerThanTheHostTakes: what the client finds out without a reply is as final as one.
func TestLargerThanTheHostTakes(t *testing.T) {
	mailtest.Edge(t, "SIZE", 1000, func(n int) bool {
		var r queue.Result
		bubble(t, fmt.Sprint(n), func(t *testing.T, s *scene) {
			s.mx.ext = []string{"PIPELINING", "8BITMIME", "SIZE 1000"}
			d := delivery("bob@example.net")
			d.Entry.Params.Size = int64(n)
			r = s.send(t, d)[0]
		})
		if r.Status == queue.Failed && (r.Code != 552 || r.Enhanced != "5.3.4") {
			t.Errorf("%+v", r)
		}
		return r.Status == queue.Delivered
	})
	a := &transfer{}
	c := &conn{t: target{host: "mx.example.net"}}
	for err, want := range map[error]bool{smtp.ErrTooBigForServer: true, smtp.ErrUnsupported: true, smtp.ErrBadCommand: true, smtp.ErrRecipients: false, io.ErrUnexpectedEOF: false} {
		v := a.judge(&smtp.RcptResult{Err: &smtp.ClientError{Op: "RCPT", Err: fmt.Errorf("%w: x", err)}}, c, false)
		if v.permanent != want {
			t.Errorf("%v: %+v", err, v.refusal)
		}
	}
	for code, want := range map[int]bool{550: true, 450: false} { // a reply that stands in the error alone
		if v := a.judge(&smtp.RcptResult{Err: &smtp.ClientError{Op: "RCPT", Reply: &smtp.Response{Code: code}}}, c, false); v.permanent != want || v.fate != final {
			t.Errorf("%d: %+v", code, v)
		}
	}
}

// patient is a Resolver that looks at how long there is.
type patient struct {
	*zone
	left time.Duration
}

func (p *patient) MX(ctx context.Context, domain string) (resolver.Answer[resolver.MX], error) {
	end, _ := ctx.Deadline()
	p.left = time.Until(end)
	return p.zone.MX(ctx, domain)
}

// TestTimeForItsSize: a large message has more time than a small one.
func TestTimeForItsSize(t *testing.T) {
	for size, want := range map[int64]time.Duration{0: attemptLimit, slowest - 1: attemptLimit, slowest: attemptLimit + time.Second, 1 << 30: attemptLimit + 65536*time.Second} {
		bubble(t, fmt.Sprint(size), func(t *testing.T, s *scene) {
			p := &patient{zone: s.zone}
			s.Resolver = p
			s.mx.ext = nil
			d := delivery("bob@example.net")
			d.Entry.Params.Size = size
			s.send(t, d)
			if p.left != want {
				t.Errorf("%v for %d octets, want %v", p.left, size, want)
			}
		})
	}
}

// TestAnswersAreNotOurs: what a Resolver returns may be its own memory.
func TestAnswersAreNotOurs(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		a := s.secure(t)
		s.zone.secure = true
		sum := sha256.Sum256(a.cert.Raw)
		s.zone.tlsa["_25._tcp.mx.example.net"] = []resolver.TLSA{{Usage: 1, Selector: 1, Matching: 1, Data: make([]byte, 32)}, {Usage: 2, Selector: 0, Matching: 1, Data: sum[:]}}
		s.zone.mx["example.net"] = []resolver.MX{{Host: "", Preference: 0}, {Host: "mx.example.net", Preference: 10}, {Host: s.Hostname, Preference: 20}, {Host: "other.example.net", Preference: 20}}
		want := fmt.Sprint(s.zone.mx, s.zone.tlsa)
		for range 2 {
			if r := s.send(t, delivery("bob@example.net")); r[0].Status != queue.Delivered {
				t.Errorf("%+v", r)
			}
			s.Close()
			s.pool = pool{}
		}
		if got := fmt.Sprint(s.zone.mx, s.zone.tlsa); got != want {
			t.Errorf("answers became %s, were %s", got, want)
		}
	})
}

// TestFailedSTARTTLSIsReported: whatever hinders TLS is in the report.
func TestFailedSTARTTLSIsReported(t *testing.T) {
	for _, reply := range []string{"drop", "454 4.7.0 not now", ""} {
		bubble(t, reply, func(t *testing.T, s *scene) {
			s.secure(t)
			if reply == "" { // no version in common
				s.mx.tls = &tls.Config{MaxVersion: tls.VersionTLS10, Certificates: s.mx.tls.Certificates}
				s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13}
			}
			s.mx.reply = func(_ int, line string) string {
				if line == "STARTTLS" {
					return reply
				}
				return ""
			}
			var failures []string
			s.Report = func(r TLSResult) { failures = append(failures, r.Failure) }
			s.send(t, delivery("bob@example.net"))
			if len(failures) == 0 || failures[0] != "validation-failure" {
				t.Errorf("%q: reported %q", reply, failures)
			}
		})
	}
}

// TestRequireTLSUnverified: a message that requires TLS is not given to a host of whom
// nothing was verified, however the connection came about.
func TestRequireTLSUnverified(t *testing.T) {
	d := delivery("bob@example.net")
	d.Entry.Params.RequireTLS = true
	a := &transfer{d: d}
	var r *refusal
	if err := a.needs(&conn{t: target{host: "mx.example.net"}}); !errors.As(err, &r) || r.enhanced != "5.7.10" {
		t.Errorf("%v", err)
	}
}

// TestRequireTLSByDANE: a certificate that TLSA records name is verified, also one that
// nobody else vouches for.
func TestRequireTLSByDANE(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.secure(t)
		s.Roots = newCA(t).pool
		s.zone.secure = true
		s.mx.ext = append(s.mx.ext, "REQUIRETLS")
		sum := sha256.Sum256(leaf(s.mx.tls).RawSubjectPublicKeyInfo)
		s.zone.tlsa["_25._tcp.mx.example.net"] = []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: sum[:]}}
		d := delivery("bob@example.net")
		d.Entry.Params.RequireTLS = true
		if r := s.send(t, d); r[0].Status != queue.Delivered || !strings.HasSuffix(r[0].TLS, "by dane") {
			t.Errorf("%+v", r)
		}
	})
}

// under is a certificate that parent vouches for; nil makes a root.
func under(t *testing.T, parent *x509.Certificate, signer *ecdsa.PrivateKey, name string, isCA bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: isCA, BasicConstraintsValid: true}
	if isCA {
		c.KeyUsage = x509.KeyUsageCertSign
	}
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// TestAnchorAboveAnIntermediate: the anchor that a record names need not be what signed
// the host's certificate.
func TestAnchorAboveAnIntermediate(t *testing.T) {
	root, rootKey := under(t, nil, nil, "root", true)
	between, betweenKey := under(t, root, rootKey, "between", true)
	host, _ := under(t, between, betweenKey, "mx.example.net", false)
	names := []string{"mx.example.net"}
	sum := sha256.Sum256(root.Raw)
	for what, tt := range map[string]struct {
		record resolver.TLSA
		chain  []*x509.Certificate
		good   bool
	}{
		"shown":                {resolver.TLSA{Usage: 2, Selector: 0, Matching: 1, Data: sum[:]}, []*x509.Certificate{host, between, root}, true},
		"in the DNS":           {resolver.TLSA{Usage: 2, Selector: 0, Matching: 0, Data: root.Raw}, []*x509.Certificate{host, between}, true},
		"not shown":            {resolver.TLSA{Usage: 2, Selector: 0, Matching: 1, Data: sum[:]}, []*x509.Certificate{host, between}, false},
		"no intermediate":      {resolver.TLSA{Usage: 2, Selector: 0, Matching: 1, Data: sum[:]}, []*x509.Certificate{host, root}, false},
		"nothing":              {resolver.TLSA{Usage: 2, Selector: 0, Matching: 1, Data: sum[:]}, nil, false},
		"the record's is next": {resolver.TLSA{Usage: 2, Selector: 0, Matching: 0, Data: between.Raw}, []*x509.Certificate{host}, true},
	} {
		if err := verifyDANE([]resolver.TLSA{tt.record}, tt.chain, names, time.Now()); (err == nil) != tt.good {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestNamesUnderDANE: a route's host does not prove that it is one by a certificate for the
// recipient's domain.
func TestNamesUnderDANE(t *testing.T) {
	s := newScene()
	s.zone.secure = true
	s.zone.addr["mx.example.net"] = []string{"192.0.2.1"}
	s.zone.tlsa["_25._tcp.mx.example.net"] = []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}}
	tg := target{host: "mx.example.net", name: "mx.example.net", addr: netip.MustParseAddrPort("192.0.2.1:25"), secure: true, mxSecure: true}
	for route, want := range map[bool]string{true: "[mx.example.net]", false: "[mx.example.net example.net]"} {
		d, err := s.demandOf(t.Context(), domainPolicy{domain: "example.net", explicit: true, level: DANE, route: route}, tg, false)
		if err != nil || fmt.Sprint(d.names) != want {
			t.Errorf("route %v: %v, %v", route, d.names, err)
		}
	}
}

// TestNamesOctetByOctet: what may stand in the pattern of a policy, in the name of a file
// and in a boundary.
func TestNamesOctetByOctet(t *testing.T) {
	lower := func(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' }
	dotless := func(good func(string) bool) func(string) bool {
		return func(s string) bool { return !strings.Contains(s, ".") && good(s) } // dots have places of their own
	}
	mailtest.Octets(t, "file name", "ab", dotless(fileName), lower)
	mailtest.Octets(t, "pattern", "ab", dotless(validPattern), func(c byte) bool { return lower(c) || 'A' <= c && c <= 'Z' })
	mailtest.Octets(t, "pattern with a star", "ab", dotless(func(s string) bool { return validPattern("*." + s) }), func(c byte) bool { return lower(c) || 'A' <= c && c <= 'Z' })
	mailtest.Octets(t, "boundary", "ab", func(s string) bool { return len(strings.Map(letters, s)) == len(s) }, func(c byte) bool { return lower(c) || c == '.' })
	mailtest.Edge(t, "file name", 250, func(n int) bool { return fileName(strings.Repeat("x", n)) })
	mailtest.Edge(t, "pattern", 253, func(n int) bool { return validPattern(strings.Repeat("x", n)) })
	for s, want := range map[string]bool{"a.b": true, ".a": false, "a.": false, "a..b": false, "*.a.b": true, "*": false, "*.": false, "*.*.a": false, "a.*": false} {
		if validPattern(s) != want {
			t.Errorf("pattern %q: %v", s, !want)
		}
	}
}

// TestReportMailIsGolden: the fields of a report's mail are those of RFC 8460 §5.3, and all
// its parts end.
func TestReportMailIsGolden(t *testing.T) {
	r := &TLSReports{Organization: "Example", Contact: "postmaster@mail.example.org", Hostname: "mail.example.org"}
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	report := &tlsReport{ID: "2026-03-01_EXAMPLE.net\"=@mail.example.org"}
	report.Range.Start, report.Range.End = begin, begin.Add(24*time.Hour-time.Second)
	text := r.message("tls@example.net", "example.net", report, []byte("packed"))
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"From": "<postmaster@mail.example.org>", "To": "<tls@example.net>", "TLS-Report-Domain": "example.net", "TLS-Report-Submitter": "mail.example.org",
		"Auto-Submitted": "auto-generated", "TLS-Required": "No", "MIME-Version": "1.0",
		"Subject": "Report Domain: example.net Submitter: mail.example.org Report-ID: <2026-03-01_EXAMPLE.net\"=@mail.example.org>",
	} {
		if got := m.Header.Get(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || params["boundary"] != "tlsrpt-2026-03-01_.netmail.example.org" {
		t.Fatalf("%v, %v", params, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	var types []string
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(p); err != nil {
			t.Error(err)
		}
		types = append(types, p.Header.Get("Content-Type")+" "+p.FileName())
	}
	if got, want := fmt.Sprintf("%q", types), `["text/plain; charset=us-ascii " "application/tlsrpt+gzip mail.example.org!example.net!1772323200!1772409599.json.gz"]`; got != want {
		t.Errorf("parts are %s", got)
	}
}

// TestPolicyOnDiskIsGolden: a policy that a former version has kept is known to this one.
func TestPolicyOnDiskIsGolden(t *testing.T) {
	const kept = `{"id":"20260301","policy":{"mode":"enforce","mx":["mx.example.net","*.example.org"],"max_age":604800000000000},"expires":"2026-03-08T00:00:00Z","fetched":"2026-03-01T00:00:00Z"}`
	var d stsDomain
	if err := json.Unmarshal([]byte(kept), &d); err != nil || d.Policy.Mode != STSEnforce || !d.Policy.Match("mx.example.net") || d.Policy.MaxAge != 7*24*time.Hour || d.ID == "" || d.Expires.IsZero() || d.Fetched.IsZero() {
		t.Errorf("%+v, %v", &d.Policy, err)
	}
	if again, err := json.Marshal(&d); err != nil || string(again) != kept {
		t.Errorf("kept as %s, %v", again, err)
	}
}

// TestDescribeTLS: what the log, the queue and the trace fields say of a connection.
func TestDescribeTLS(t *testing.T) {
	for _, c := range []struct {
		version  uint16
		d        demand
		verified bool
		want     string
	}{
		{tls.VersionTLS13, demand{level: DANE}, true, "TLS1.3 verified by dane"},
		{tls.VersionTLS12, demand{by: "mta-sts"}, true, "TLS1.2 verified by mta-sts"},
		{tls.VersionTLS10, demand{}, true, "TLS1.0 verified"},
		{tls.VersionTLS13, demand{level: DANE, by: "mta-sts"}, false, "TLS1.3 unverified"},
	} {
		if got := describe(&tls.ConnectionState{Version: c.version}, c.d, c.verified); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
