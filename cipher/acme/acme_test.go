package acme_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/acme"
)

func TestNewRefuses(t *testing.T) {
	good := acme.Options{Names: []string{"mail.example.com"}, Folder: "certs", AcceptTerms: true}
	if _, err := acme.New(good); err != nil {
		t.Errorf("good options: %v", err)
	}
	for name, change := range map[string]func(*acme.Options){
		"no names":       func(o *acme.Options) { o.Names = nil },
		"localhost":      func(o *acme.Options) { o.Names = []string{"localhost"} },
		"wildcard":       func(o *acme.Options) { o.Names = []string{"*.example.com"} },
		"no host name":   func(o *acme.Options) { o.Names = []string{"mail example.com"} },
		"dns-01":         func(o *acme.Options) { o.Challenge = "dns-01" },
		"no folder":      func(o *acme.Options) { o.Folder = "" },
		"terms of years": func(o *acme.Options) { o.AcceptTerms = false },
	} {
		o := good
		change(&o)
		if _, err := acme.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// silent is an authority that cannot be reached.
type silent struct{ asked atomic.Int32 }

func (s *silent) RoundTrip(*http.Request) (*http.Response, error) {
	s.asked.Add(1)
	return nil, errors.New("unreachable")
}

func newUnreachable(t *testing.T) (*acme.Manager, *silent) {
	t.Helper()
	s := new(silent)
	m, err := acme.New(acme.Options{Names: []string{"mail.example.com"}, Folder: t.TempDir(), AcceptTerms: true,
		HTTPClient: &http.Client{Transport: s}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return m, s
}

// A handshake never asks the authority: whoever connects could otherwise use
// up its limits.
func TestHandshakesAskNobody(t *testing.T) {
	m, s := newUnreachable(t)
	for range 3 {
		if _, err := served(t, m.Config(), "mail.example.com"); err == nil {
			t.Error("served a certificate that cannot be")
		}
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("the authority was asked %d times", n)
	}
	if e := m.Expiring(time.Hour); len(e) != 0 {
		t.Errorf("expiring: %v", e)
	}
}

func TestOtherRequestsAreNotFound(t *testing.T) {
	m, _ := newUnreachable(t)
	w := httptest.NewRecorder()
	m.HTTPHandler().ServeHTTP(w, httptest.NewRequest("GET", "http://mail.example.com/", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("status %d", w.Code)
	}
}

// Run tries again, ever more seldom, and ends with its context.
func TestRunPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newUnreachable(t)
		ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
		defer cancel()
		m.Run(ctx)
		// 2, 4, 8 … minutes up to 6 hours: a dozen tries in a day. Each asks at
		// most a few times, because the client beneath tries again as well.
		if n := s.asked.Load(); n < 5 || n > 200 {
			t.Errorf("the authority was asked %d times in a day", n)
		}
		ctx, cancel = context.WithCancel(context.Background())
		cancel()
		if err := m.Obtain(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Obtain with an ended context: %v", err)
		}
		time.Sleep(10 * time.Minute) // what Obtain left behind has its own end
	})
}
