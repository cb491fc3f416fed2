package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// inForce is the certificate that a server serves for mail.example.com; nil if there is none.
func inForce(m *Manager) []byte {
	c, err := m.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return nil
	}
	return c.Certificate[0]
}

// orders is how many a Pebble has had.
func orders(ca *peertest.ACME) int { return strings.Count(ca.Logs(), "orders in the db") }

// TestTogether: servers with one store that start at once make one order, whose challenge each of them answers; all serve what came of it,
// and what comes after it.
func TestTogether(t *testing.T) {
	t.Parallel()
	for _, challenge := range []Challenge{HTTP01, TLSALPN01} {
		t.Run(string(challenge), func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := l.Addr().(*net.TCPAddr).Port
			o := peertest.PebbleOptions{HTTPPort: port, Validity: 10 * time.Second}
			if challenge == TLSALPN01 {
				o = peertest.PebbleOptions{TLSPort: port}
			}
			ca := peertest.Pebble(t, o)
			store := newMemory()
			start := func() *Manager {
				m, err := New(Options{Names: []string{"mail.example.com"}, Folder: t.TempDir(), Store: store, AcceptTerms: true, Challenge: challenge,
					Directory: ca.Directory, HTTPClient: ca.Client, Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				return m
			}
			asker, other, third := start(), start(), start() // other alone is asked, and does not run at first
			web := httptest.NewUnstartedServer(other.HTTPHandler())
			web.Listener.Close()
			web.Listener = l
			web.TLS = other.ALPNConfig()
			if challenge == TLSALPN01 {
				l = tls.NewListener(l, web.TLS)
				web.Listener = l
			}
			web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
			web.Start()
			defer web.Close()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ran := make(chan bool, 2)
			for _, m := range []*Manager{asker, third} {
				go func() { m.Run(ctx); ran <- true }()
			}
			peertest.Await(t, "the certificate", func() bool { return inForce(asker) != nil && bytes.Equal(inForce(asker), inForce(third)) })
			if n := orders(ca); challenge == TLSALPN01 && n != 1 { // the other may be renewed meanwhile, on a slow machine
				t.Errorf("%d orders", n)
			}
			first := inForce(asker)
			if err := other.Obtain(t.Context()); err != nil || inForce(other) == nil {
				t.Fatal(err)
			}
			if challenge == TLSALPN01 {
				return
			}
			peertest.Await(t, "its renewal", func() bool {
				now := inForce(asker)
				return !bytes.Equal(now, first) && bytes.Equal(now, inForce(third))
			})
			if a, b := asker.current("mail.example.com"), third.current("mail.example.com"); !bytes.Equal(a.Leaf.RawSubjectPublicKeyInfo, b.Leaf.RawSubjectPublicKeyInfo) {
				t.Error("it has another key")
			}
			stop()
			<-ran
			<-ran
			if b := readBook(store.all[bookName]); b.Lease.By != "" || store.all[proofName] != nil {
				t.Errorf("%+v, %q", b, store.all[proofName])
			}
		})
	}
}

// TestAdopt: what a server had for itself is all servers', account and certificate; what they have stays there as a copy, and serves while
// nobody can be asked.
func TestAdopt(t *testing.T) {
	t.Parallel()
	var m *Manager
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.HTTPHandler().ServeHTTP(w, r) }))
	defer web.Close()
	ca := peertest.Pebble(t, peertest.PebbleOptions{HTTPPort: web.Listener.Addr().(*net.TCPAddr).Port})
	make1 := func(folder string, store Store) *Manager {
		m, err := New(Options{Names: []string{"mail.example.com"}, Folder: folder, Store: store, AcceptTerms: true,
			Directory: ca.Directory, HTTPClient: ca.Client, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	own, second, store := t.TempDir(), t.TempDir(), newMemory()
	m = make1(own, nil)
	if err := m.Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := inForce(m)
	// As it is for a server that knew no book.
	if err := os.Remove(filepath.Join(own, bookName)); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{own, second} {
		m = make1(folder, store)
		if err := m.Obtain(t.Context()); err != nil || !bytes.Equal(inForce(m), want) {
			t.Errorf("%v, another certificate", err)
		}
		if info, err := os.Stat(filepath.Join(folder, "mail.example.com")); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(info, err)
		}
	}
	if n := orders(ca); n != 1 {
		t.Errorf("%d orders", n)
	}
	// The next is asked for with the first server's account.
	m.SetMore([]string{"pop.example.com"})
	if err := m.Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	account, err := os.ReadFile(filepath.Join(own, accountKey))
	if err != nil || !bytes.Equal(account, store.all[accountKey]) {
		t.Error("it is another account", err)
	}
	if uri := AccountURI(second, ca.Directory); uri == "" || uri != AccountURI(own, ca.Directory) {
		t.Errorf("the account is %q", uri)
	}
	away := &way{Store: store, cut: true}
	m = make1(second, away)
	if err := m.Obtain(t.Context()); err == nil || !bytes.Equal(inForce(m), want) {
		t.Errorf("%v; the copy does not serve", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan bool)
	go func() { m.Run(ctx); ran <- true }()
	stop()
	<-ran
	if !bytes.Equal(inForce(m), want) {
		t.Error("it serves no more")
	}
}

// TestUnsaved: a certificate that came while the store was away is not asked for again, and comes to the others later.
func TestUnsaved(t *testing.T) {
	t.Parallel()
	store := newMemory()
	line := &way{Store: store}
	a := server(t, line, nil)
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	text := selfSigned(t, key, "mail.example.com", time.Hour)
	line.set(true)
	if err := a.got(t.Context(), "mail.example.com", text); err != nil {
		t.Fatal(err)
	}
	a.record(t.Context(), "mail.example.com", nil)
	if rest, _ := a.rest("mail.example.com"); rest < 30*time.Minute || inForce(a) == nil {
		t.Errorf("it is asked for again in %v", rest)
	}
	b := server(t, store, new(refusing))
	b.round(t.Context()) // there is nothing yet
	line.set(false)
	a.round(t.Context())
	b.round(t.Context())
	if !bytes.Equal(inForce(b), inForce(a)) {
		t.Error("the other has not got it")
	}
}
