package acme_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/acme"
)

// A program that is started over and over does not ask each time, and the
// standing says what is wrong and when it goes on.
func TestRunRemembersFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		run := func(d time.Duration) (asked int32) {
			s := new(silent)
			m, err := acme.New(acme.Options{Names: []string{"mail.example.com"}, Folder: folder, AcceptTerms: true,
				HTTPClient: &http.Client{Transport: s}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			ended := make(chan bool)
			go func() { m.Run(ctx); close(ended) }()
			time.Sleep(d - time.Second)
			at := m.Standings()[0]
			if at.Name != "mail.example.com" || !at.NotAfter.IsZero() || !at.Next.After(time.Now()) || !strings.Contains(at.Problem, "unreachable") {
				t.Errorf("standing %+v after %d questions", at, s.asked.Load())
			}
			<-ended
			return s.asked.Load()
		}
		if n := run(time.Minute); n == 0 {
			t.Error("nobody was asked")
		}
		for range 5 {
			if n := run(2 * time.Minute); n != 0 {
				t.Errorf("asked %d times again within a quarter of an hour", n)
			}
		}
		if n := run(10 * time.Minute); n == 0 {
			t.Error("nobody was asked after a quarter of an hour")
		}
		time.Sleep(10 * time.Minute) // what Obtain left behind has its own end
	})
}

func TestStop(t *testing.T) {
	m, s := newUnreachable(t)
	m.Stop()
	if err := m.Obtain(t.Context()); !errors.Is(err, acme.ErrStopped) {
		t.Errorf("Obtain: %v", err)
	}
	m.Run(t.Context()) // ends
	if n := s.asked.Load(); n != 0 {
		t.Errorf("the authority was asked %d times", n)
	}
}

// answers gives every request the same answer.
type answers struct {
	status     int
	kind, body string
	broken     bool
}

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", a.kind)
	w.WriteHeader(a.status)
	io.WriteString(w, a.body)
	resp := w.Result()
	resp.Request = r
	if a.broken {
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), brokenReader{}))
	}
	return resp, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What the authority complains of is in the standing, in its own words.
func TestProblems(t *testing.T) {
	const problem = `"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates"`
	long := strings.Repeat("é", 400)
	for name, tt := range map[string]struct {
		answer answers
		want   string
	}{
		"problem":       {answers{403, "application/problem+json", "{" + problem + "}", false}, "too many certificates"},
		"in challenge":  {answers{400, "application/json", `{"challenges": [{"type": "http-01", "error": {` + problem + `}}]}`, false}, "too many certificates"},
		"bad nonce":     {answers{400, "application/problem+json", `{"type": "urn:ietf:params:acme:error:badNonce", "detail": "x"}`, false}, ""},
		"other type":    {answers{400, "application/problem+json", `{"type": "about:blank", "detail": "x"}`, false}, ""},
		"no JSON":       {answers{400, "application/json", `no`, false}, ""},
		"no problem":    {answers{400, "text/html", `<p>no`, false}, ""},
		"cut short":     {answers{403, "application/problem+json", "", true}, ""},
		"a long detail": {answers{403, "application/problem+json", `{"type": "urn:ietf:params:acme:error:x", "detail": "` + long + `"}`, false}, long[:500]},
	} {
		synctest.Test(t, func(t *testing.T) { // the client beneath tries again after a while
			m, err := acme.New(acme.Options{Names: []string{"mail.example.com"}, Folder: t.TempDir(), AcceptTerms: true,
				HTTPClient: &http.Client{Transport: tt.answer}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Obtain(t.Context()); err == nil {
				t.Errorf("%s: certificates from nowhere", name)
			}
			if got := m.Standings()[0].Problem; got != tt.want {
				t.Errorf("%s: problem %q, want %q", name, got, tt.want)
			}
			time.Sleep(10 * time.Minute)
		})
	}
}
