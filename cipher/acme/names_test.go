package acme_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/acme"
	"github.com/postrider-mail/postrider/internal/peertest"
)

// ways are the names that a DNS leads here, and how often it was asked.
type ways struct {
	mu    sync.Mutex
	here  map[string]bool
	asked map[string]int
}

func (w *ways) leads(_ context.Context, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[name]++
	if !w.here[name] {
		return errors.New("it leads elsewhere")
	}
	return nil
}

func (w *ways) lead(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.here[name] = true
}

func (w *ways) times(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[name]
}

// TestOneBadName: a name that the authority refuses keeps no other from its certificate, and is asked for again by itself. Names
// that the DNS does not lead here are not asked for, until it does.
func TestOneBadName(t *testing.T) {
	t.Parallel()
	var m *acme.Manager
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.HTTPHandler().ServeHTTP(w, r)
	}))
	defer web.Close()
	ca := peertest.Pebble(t, peertest.PebbleOptions{HTTPPort: web.Listener.Addr().(*net.TCPAddr).Port, Blocked: []string{"bad.example.com", "bad.example.org"}})
	w := &ways{here: map[string]bool{"mta-sts.example.com": true, "bad.example.org": true}, asked: make(map[string]int)}
	o := acme.Options{Names: []string{"bad.example.com", "mail.example.com"}, Folder: t.TempDir(), AcceptTerms: true, Leads: w.leads,
		Directory: ca.Directory, HTTPClient: ca.Client, Log: slog.New(slog.DiscardHandler)}
	var err error
	if m, err = acme.New(o); err != nil {
		t.Fatal(err)
	}
	m.SetMore([]string{"bad.example.org", "elsewhere.example.com", "MTA-STS.example.com.", "mail.example.com", "*.example.com", "local"})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan bool)
	go func() { m.Run(ctx); close(ended) }()
	has := func(want string) {
		t.Helper()
		peertest.Await(t, want, func() bool {
			var all []string
			for _, s := range m.Standings() {
				is := "is there"
				if s.NotAfter.IsZero() {
					is = "is missing"
					if s.Next.IsZero() || s.Next.After(time.Now().Add(2*time.Minute)) || !strings.Contains(s.Problem, "forbidden by policy") {
						is = "is waited for"
					}
				} else if s.Problem != "" {
					is += ", but " + s.Problem
				}
				all = append(all, s.Name+" "+is)
			}
			return strings.Join(all, "; ") == want
		})
	}
	has("bad.example.com is missing; mail.example.com is there; bad.example.org is missing; mta-sts.example.com is there")
	if strings.Contains(ca.Logs(), "elsewhere") {
		t.Error("the authority was asked for a name that leads elsewhere")
	}
	w.lead("elsewhere.example.com")
	m.SetMore([]string{"elsewhere.example.com", "mta-sts.example.com"})
	has("bad.example.com is missing; mail.example.com is there; elsewhere.example.com is there; mta-sts.example.com is there")
	if n := w.times("mail.example.com") + w.times("bad.example.com"); n != 0 {
		t.Errorf("the DNS was asked %d times for names of the options", n)
	}
	if got, err := served(t, m.Config(), "elsewhere.example.com"); err != nil || got != "elsewhere.example.com" {
		t.Errorf("served %q, %v", got, err)
	}
	m.SetMore(nil)
	if got, err := served(t, m.Config(), "mta-sts.example.com"); err == nil {
		t.Errorf("a name that is no longer here is served %q", got)
	}

	// Whose account it is, is known to others from now on, and of this authority only.
	uri := acme.AccountURI(o.Folder, o.Directory)
	if !strings.HasPrefix(uri, strings.TrimSuffix(o.Directory, "dir")) || acme.AccountURI(o.Folder, "https://other.example/dir") != "" || acme.AccountURI(t.TempDir(), o.Directory) != "" {
		t.Errorf("the account is %q", uri)
	}
	stop()
	<-ended
	// It is the same after a restart.
	if err := os.Remove(filepath.Join(o.Folder, "account")); err != nil {
		t.Fatal(err)
	}
	o.Names = []string{"more.example.com"}
	if m, err = acme.New(o); err != nil {
		t.Fatal(err)
	}
	if err := m.Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := acme.AccountURI(o.Folder, o.Directory); again != uri {
		t.Errorf("the account was %q and is %q", uri, again)
	}
}

// TestLeadsHourly: the DNS is asked once an hour whether it leads a name here, and the authority not before; many names
// that begin to lead here at once are asked for by and by.
func TestLeadsHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(silent)
		w := &ways{here: make(map[string]bool), asked: make(map[string]int)}
		m, err := acme.New(acme.Options{Names: []string{"mail.example.com"}, Folder: t.TempDir(), AcceptTerms: true, Leads: w.leads,
			HTTPClient: &http.Client{Transport: s}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		m.SetMore([]string{"mta-sts.example.com"})
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Hour)
		defer stop()
		go m.Run(ctx)
		time.Sleep(90 * time.Hour)
		if n := w.times("mta-sts.example.com"); n < 85 || n > 130 {
			t.Errorf("the DNS was asked %d times in 90 hours", n)
		}
		if all := m.Standings(); len(all) != 1 {
			t.Errorf("%+v", all)
		}
		w.lead("mta-sts.example.com")
		time.Sleep(2 * time.Hour)
		all := m.Standings()
		if len(all) != 2 || !strings.Contains(all[1].Problem, "unreachable") || time.Until(all[1].Next) > 2*time.Hour {
			t.Errorf("%+v", all) // the other has waited for six hours each time
		}
		<-ctx.Done()
		time.Sleep(10 * time.Minute) // what Obtain left behind has its own end
	})
}
