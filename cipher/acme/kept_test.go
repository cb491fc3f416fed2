package acme

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hanging is an authority that takes connections and says nothing.
type hanging struct {
	mu    sync.Mutex
	asked int
}

func (h *hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.asked++
	h.mu.Unlock()
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func (h *hanging) times() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

// TestKeptServesAtOnce: what is in the folder, by this package or by autocert, whose files are alike, serves from the first handshake on, and
// however long the authority takes with another name.
func TestKeptServesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		folder, slow := t.TempDir(), new(hanging)
		for _, name := range []string{"pop.example.com", "mta-sts.example.com"} {
			key, err := newKey()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, name), selfSigned(t, key, name, 90*24*time.Hour), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m, err := New(Options{Names: []string{"mail.example.com", "pop.example.com"}, Folder: folder, AcceptTerms: true,
			HTTPClient: &http.Client{Transport: slow}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		serves := func(name string) {
			t.Helper()
			if c, err := m.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); err != nil || c.Leaf.VerifyHostname(name) != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		serves("pop.example.com")
		m.SetMore([]string{"mta-sts.example.com"})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() { m.Run(ctx); close(ended) }()
		synctest.Wait()
		if slow.times() == 0 {
			t.Fatal("nobody is asked")
		}
		serves("pop.example.com")
		serves("mta-sts.example.com")
		stop()
		<-ended
	})
}

// TestAskedTooMuch: an authority that says that it is asked too much is not asked again before it wants to be, by this order or another, and keeps no other
// name waiting. The count of its complaints has this one.
func TestAskedTooMuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := make(map[string]int)
		m := server(t, nil, transport(func(r *http.Request) *http.Response {
			mu.Lock()
			defer mu.Unlock()
			asked[r.URL.Path]++
			w := httptest.NewRecorder()
			w.Header().Set("Replay-Nonce", "x")
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Path != "/account" {
				json.NewEncoder(w).Encode(map[string]string{"newNonce": "https://ca.example/nonce", "newAccount": "https://ca.example/account", "newOrder": "https://ca.example/order"})
				return w.Result()
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
			w.WriteString(`{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many"}`)
			return w.Result()
		}))
		times := func() int {
			mu.Lock()
			defer mu.Unlock()
			return asked["/account"]
		}
		began := time.Now()
		err := m.Obtain(t.Context())
		if err == nil || !strings.Contains(err.Error(), "too many") || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if n := m.Problems(); n != 1 {
			t.Errorf("%d complaints", n)
		}
		ctx, stop := context.WithTimeout(t.Context(), 59*time.Minute)
		defer stop()
		m.Run(ctx)
		if n := times(); n != 1 {
			t.Errorf("asked %d times within the hour", n)
		}
		ctx, stop = context.WithTimeout(t.Context(), 2*time.Minute)
		defer stop()
		m.Run(ctx)
		if n := times(); n != 2 {
			t.Errorf("asked %d times after an hour", n)
		}
	})
}

// transport answers requests.
type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := f(r)
	resp.Request = r
	return resp, nil
}

// TestClockWasAhead: what failed while the clock was years ahead is asked for again once it is right.
func TestClockWasAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := new(refusing)
		m := server(t, nil, r)
		later := time.Now().Add(5 * 365 * 24 * time.Hour)
		if err := m.amend(t.Context(), func(b *book) error {
			*b.entry("mail.example.com") = entry{Asked: later, Next: later.Add(time.Hour), Wait: time.Hour}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		m.Run(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.asked == 0 {
			t.Error("it waits for the year of a wrong clock")
		}
	})
}

// TestRenews: the standing says when the next certificate is asked for, of one that is good for long as well.
func TestRenews(t *testing.T) {
	t.Parallel()
	m := server(t, nil, new(refusing))
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.own.put("mail.example.com", selfSigned(t, key, "mail.example.com", 365*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	m.useOwn(t.Context(), "mail.example.com")
	if s := m.Standings()[0]; s.NotAfter.Sub(s.Renews) != 30*24*time.Hour {
		t.Errorf("%+v", s)
	}
}
