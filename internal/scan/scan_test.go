package scan

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

const message = "From: a@far.test\r\nSubject: x\r\n\r\nbody\r\n"

// look is what is known of a message of a stranger.
func look(t testing.TB, text string) *post.Look {
	t.Helper()
	header, _, err := rfc2822.Peek(strings.NewReader(text), 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &smtp.Session{Identity: lineserver.Identity{ID: "s", RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 1}}, LocalName: "mail.test", Helo: "far \x7f.test\x00~"}
	e := &smtp.Envelope{Session: s, ID: "s-1", From: smtp.Path{Local: "a", Domain: "far.test"}, To: []smtp.Recipient{{Path: smtp.Path{Local: "b", Domain: "home.test"}}, {Path: smtp.Path{Local: "c", Domain: "home.test"}}}}
	return &post.Look{Envelope: e, Header: header}
}

// scan gives a message to a scanner in pieces.
func (s *Scanner) scan(t *testing.T, text string) (post.Findings, error) {
	t.Helper()
	l := look(t, text)
	i := s.Inspect(t.Context(), l)
	if i == nil {
		return post.Findings{}, errors.New("not scanned")
	}
	body := text[l.Header.Size():]
	for len(body) > 0 {
		n := min(len(body), 7000)
		if m, err := io.WriteString(i, body[:n]); m != n || err != nil {
			t.Fatal(m, err)
		}
		body = body[n:]
	}
	return i.Findings(t.Context())
}

func newScanner(url string, change func(*Settings)) (*Scanner, *string) {
	set := &Settings{URL: url, Password: "secret", Wait: 300 * time.Millisecond, MaxSize: 1 << 20}
	if change != nil {
		change(set)
	}
	outcome := new(string)
	return &Scanner{Settings: func() *Settings { return set }, Scanned: func(o string, _ time.Duration) { *outcome = o }, Log: slog.New(slog.DiscardHandler), Transport: &http.Transport{DisableKeepAlives: true}}, outcome
}

// TestActions: what each answer of the scanner does, and what an answer does that is none.
func TestActions(t *testing.T) {
	for _, c := range []struct {
		answer  string
		change  func(*Settings)
		code    int // of the refusal; 0: taken
		junk    bool
		outcome string
	}{
		{`{"action":"no action","score":0.1,"required_score":15}`, nil, 0, false, "clean"},
		{`{"action":"reject","score":20}`, nil, 550, false, "refused"},
		{`{"action":"reject","messages":{"smtp_message":"Gtube\r\npattern"}}`, nil, 550, false, "refused"},
		{`{"action":"soft reject"}`, nil, 451, false, "later"},
		{`{"action":"greylist"}`, nil, 0, false, "clean"},
		{`{"action":"greylist"}`, func(s *Settings) { s.Greylist = true }, 450, false, "later"},
		{`{"action":"add header","score":7,"required_score":15}`, nil, 0, true, "marked"},
		{`{"action":"rewrite subject"}`, nil, 0, true, "marked"},
		{`{"action":"dance"}`, nil, 0, false, "failed"},
		{`{"action":`, nil, 0, false, "failed"},
		{``, nil, 0, false, "failed"},
		{`{"action":"dance"}`, func(s *Settings) { s.Later = true }, 451, false, "failed"},
		{strings.Repeat(" ", 2<<20) + `{"action":"reject"}`, nil, 0, false, "failed"},
		{`{"action":"reject"}`, func(s *Settings) { s.MaxSize = 10 }, 0, false, "skipped"},
		{`{"action":"reject"}`, func(s *Settings) { s.MaxSize, s.Later = 10, true }, 0, false, "skipped"},
	} {
		var got *http.Request
		var body string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			got, body = r, string(text)
			io.WriteString(w, c.answer)
		}))
		s, outcome := newScanner(server.URL, c.change)
		found, err := s.scan(t, message)
		server.Close()
		var reply *smtp.Reply
		errors.As(err, &reply)
		code := 0
		if reply != nil {
			code = reply.Code
		}
		if code != c.code || found.Junk != c.junk || *outcome != c.outcome || c.junk != (len(found.Results) == 2) || err != nil && reply == nil {
			t.Errorf("%.60s: %d, %+v, %v: %s", c.answer, code, found, err, *outcome)
		}
		if unscanned := c.code == 0 && (c.outcome == "failed" || c.outcome == "skipped"); unscanned != (strings.Join(found.Results, "") == "X-Spam-Status: Unknown, not scanned by rspamd\r\n") {
			t.Errorf("%.60s: %q", c.answer, found.Results)
		}
		if reply != nil && strings.ContainsAny(reply.Text, "\r\n") {
			t.Errorf("%q", reply.Text)
		}
		if c.outcome == "skipped" {
			continue
		}
		if body != message || got.URL.Path != "/checkv2" || got.Header.Get("IP") != "192.0.2.7" || got.Header.Get("Helo") != "far .test~" || got.Header.Get("Password") != "secret" || got.Header.Get("From") != "a@far.test" || len(got.Header.Values("Rcpt")) != 2 {
			t.Errorf("asked %q with %v", body, got.Header)
		}
	}
}

// TestDown: a scanner that refuses, hangs before, within or behind the message, or answers 500, delays no message for
// longer than it may, loses none, and is left alone after three of them until it answers.
func TestDown(t *testing.T) {
	large := message + strings.Repeat("x", 900_000)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and reads nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 50_000)
		panic(http.ErrAbortHandler)
	}))
	defer broken.Close()
	late := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer late.Close()
	ill := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }))
	defer ill.Close()
	for name, url := range map[string]string{"refuses": "http://" + closed.Addr().String(), "silent": "http://" + silent.Addr().String(), "dies": broken.URL, "late": late.URL, "ill": ill.URL} {
		for _, later := range []bool{false, true} {
			s, outcome := newScanner(url, func(set *Settings) { set.Later = later })
			for i := range 5 {
				_, err := s.scan(t, large)
				var reply *smtp.Reply
				if errors.As(err, &reply) != later || later && reply.Code != 451 || !later && err != nil || *outcome != "failed" {
					t.Errorf("%s, message %d: %v, %s", name, i, err, *outcome)
				}
				if rests := s.Problem() != ""; rests != (i >= MostFails-1) {
					t.Errorf("%s, message %d: %q", name, i, s.Problem())
				}
			}
		}
	}
}

// TestBreaker: one message asks again after a while, and all do when it was answered. The log tells of both once,
// and a single failure is nothing to tell of.
func TestBreaker(t *testing.T) {
	var b breaker
	var lines mailtest.Log
	log, first := slog.New(slog.NewTextHandler(&lines, nil)), time.Now()
	b.failed(first, errSlow, log)
	b.worked(log)
	if said := lines.Take(); said != "" {
		t.Errorf("one failure: %s", said)
	}
	now := first
	for i := range MostFails {
		if !b.may(now) {
			t.Fatalf("rests after %d", i)
		}
		b.failed(now, errSlow, log)
		now = now.Add(time.Second)
	}
	b.failed(now, errSlow, log) // one that was under way
	if said := lines.Take(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "the scanner does not answer") {
		t.Errorf("rests: %s", said)
	}
	if b.may(now) || b.may(now.Add(RestFor-1)) {
		t.Error("does not rest")
	}
	now = now.Add(RestFor)
	if !b.may(now) || b.may(now) {
		t.Error("not one alone asks again")
	}
	if since, err := b.broken(); err != errSlow || !since.Equal(first) {
		t.Errorf("since %v, %v, want %v", since, err, first)
	}
	b.worked(log)
	b.worked(log)
	if said := lines.Take(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "the scanner answers again") {
		t.Errorf("works: %s", said)
	}
	if _, err := b.broken(); err != nil || !b.may(now) || !b.may(now) {
		t.Error("rests still")
	}
}

// TestNotScanned: users' mail, that of programs of this host, and all where no scanner is set.
func TestNotScanned(t *testing.T) {
	s, _ := newScanner("http://127.0.0.1:1", nil)
	trusted, lmtp := look(t, message), look(t, message)
	trusted.Trusted, lmtp.Envelope.Session.LMTP = true, true
	nobody := look(t, message)
	nobody.Envelope.Session = nil
	if s.Inspect(t.Context(), trusted) != nil || s.Inspect(t.Context(), lmtp) != nil || s.Inspect(t.Context(), nobody) != nil {
		t.Error("scanned")
	}
	s.Settings = func() *Settings { return nil }
	if s.Inspect(t.Context(), look(t, message)) != nil || s.Problem() != "" {
		t.Error("scanned without a scanner")
	}
}

// TestGivenUp: a message whose client is gone leaves nothing behind.
func TestGivenUp(t *testing.T) {
	var open atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		io.Copy(io.Discard, r.Body)
		open.Add(-1)
	}))
	defer server.Close()
	s, _ := newScanner(server.URL, nil)
	ctx, gone := context.WithCancel(t.Context())
	i := s.Inspect(ctx, look(t, message))
	io.WriteString(i, "some")
	for deadline := time.Now().Add(10 * time.Second); open.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody asks")
		}
	}
	gone()
	for deadline := time.Now().Add(10 * time.Second); open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the scan goes on")
		}
	}
}

// body is the body of an answer, which knows whether it was closed.
type body struct {
	io.Reader
	closed *bool
}

func (b body) Close() error { *b.closed = true; return nil }

// roundTrip is a function as a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRequest: what rspamd is told beside the message, and that its answer counts only where it is one, and is closed.
func TestRequest(t *testing.T) {
	const clean = `{"action":"no action","score":1.25}`
	for _, c := range []struct {
		status  int
		answer  string
		outcome string
	}{
		{200, clean, "clean"}, {500, clean, "failed"}, {204, clean, "failed"},
		{200, strings.Repeat(" ", mostAnswer-len(clean)) + clean, "clean"}, {200, strings.Repeat(" ", mostAnswer-len(clean)+1) + clean, "failed"},
	} {
		s, outcome := newScanner("http://rspamd.test/", nil)
		s.Settings().Wait = time.Minute
		var got http.Header
		closed := false
		s.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			io.Copy(io.Discard, r.Body)
			if got = r.Header; r.URL.String() != "http://rspamd.test/checkv2" {
				t.Error(r.URL)
			}
			return &http.Response{StatusCode: c.status, Status: "as it is", Body: body{strings.NewReader(c.answer), &closed}}, nil
		})
		l := look(t, message)
		l.Envelope.Session.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
		found, err := s.Inspect(t.Context(), l).Findings(t.Context())
		if err != nil || *outcome != c.outcome || !closed {
			t.Errorf("%d %.20q: %v, %s, closed %v", c.status, c.answer, err, *outcome, closed)
		}
		if c.outcome == "clean" && found.Facts[1].String() != "score=1.2" {
			t.Errorf("%v", found.Facts)
		}
		for name, want := range map[string]string{"Queue-Id": "s-1", "Mta-Name": "mail.test", "Tls-Version": "TLS 1.3 TLS_AES_128_GCM_SHA256", "Rcpt": "b@home.test"} {
			if got.Get(name) != want {
				t.Errorf("%s: %q", name, got.Get(name))
			}
		}
	}
}

// TestWords: what rspamd says to a client is of a length that fits into a reply, in whole characters, and never nothing.
func TestWords(t *testing.T) {
	for text, want := range map[string]string{"": "otherwise", "\r\n": "otherwise", "no\r\n": "no", strings.Repeat("x", mostWords+1): strings.Repeat("x", mostWords), "x" + strings.Repeat("\u00e4", mostWords): "x" + strings.Repeat("\u00e4", mostWords/2-1)} {
		v := &verdict{Messages: map[string]string{"smtp_message": text}}
		if got := v.words("otherwise"); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// TestMarkedBefore: who is marked already gets no second pair of fields.
func TestMarkedBefore(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"action":"add header"}`) }))
	defer server.Close()
	s, _ := newScanner(server.URL, nil)
	s.Transport = nil // the usual one
	for _, before := range []bool{true, false} {
		s.Marked = func(*smtp.Session) bool { return before }
		if found, err := s.scan(t, message); err != nil || !found.Junk || (len(found.Results) == 0) != before || len(found.Facts) != 2 || found.Facts[0].String() != "scan=add header" {
			t.Errorf("%v: %+v %v", before, found, err)
		}
	}
}
