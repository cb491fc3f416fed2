package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
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

// memory is a Store for several servers of one process.
type memory struct {
	mu   sync.Mutex
	all  map[string][]byte
	gets map[string]int
}

func newMemory() *memory { return &memory{all: make(map[string][]byte), gets: make(map[string]int)} }

func (s *memory) Get(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets[name]++
	return s.all[name], nil
}

func (s *memory) Update(_ context.Context, name string, change func([]byte) ([]byte, error)) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := change(s.all[name])
	if err == nil && next != nil {
		s.all[name] = next
	}
	return s.all[name], err
}

func (s *memory) Delete(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, name)
	return nil
}

// way is one server's to a Store, which can be cut.
type way struct {
	Store
	mu  sync.Mutex
	cut bool
}

func (w *way) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

func (w *way) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return errors.New("away")
	}
	return nil
}

func (w *way) Get(ctx context.Context, name string) ([]byte, error) {
	if err := w.err(); err != nil {
		return nil, err
	}
	return w.Store.Get(ctx, name)
}

func (w *way) Update(ctx context.Context, name string, change func([]byte) ([]byte, error)) ([]byte, error) {
	if err := w.err(); err != nil {
		return nil, err
	}
	return w.Store.Update(ctx, name, change)
}

func (w *way) Delete(ctx context.Context, name string) error {
	return errors.Join(w.err(), w.Store.Delete(ctx, name))
}

func server(t *testing.T, store Store, transport http.RoundTripper) *Manager {
	t.Helper()
	m, err := New(Options{Names: []string{"mail.example.com"}, Folder: t.TempDir(), Store: store, AcceptTerms: true,
		HTTPClient: &http.Client{Transport: transport}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestFiles: the documents of a server that is alone are files that nobody else can read.
func TestFiles(t *testing.T) {
	t.Parallel()
	ctx, f := t.Context(), &files{folder: filepath.Join(t.TempDir(), "acme")}
	if text, err := f.Get(ctx, "x"); text != nil || err != nil {
		t.Errorf("%q %v", text, err)
	}
	if err := f.Delete(ctx, "x"); err != nil {
		t.Error(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := f.Update(ctx, "x", func(text []byte) ([]byte, error) { return append(text, 'y'), nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if text, err := f.Update(ctx, "x", func([]byte) ([]byte, error) { return nil, nil }); string(text) != "yyyyyyyy" || err != nil {
		t.Errorf("%q %v", text, err)
	}
	for name, want := range map[string]os.FileMode{".": 0o700, "x": 0o600} {
		if info, err := os.Stat(filepath.Join(f.folder, name)); err != nil || info.Mode().Perm() != want {
			t.Error(name, info, err)
		}
	}
	if err := f.Delete(ctx, "x"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(f.folder); len(left) > 0 || err != nil {
		t.Error(left, err)
	}
}

// TestLease: one server at a time asks, for as long as it says that it does. Who cannot say so any more has stopped by the time another may, and
// takes nothing back from it.
func TestLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		first := &way{Store: store}
		a, b := server(t, first, nil), server(t, store, nil)
		held, done, err := a.claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * leaseTime)
		if _, _, err := b.claim(t.Context()); !errors.Is(err, errBusy) || held.Err() != nil {
			t.Fatalf("%v, %v", err, held.Err())
		}
		done()
		_, done, err = b.claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done()
		if held, done, err = a.claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		first.set(true) // it dies, as far as others know
		var theirs context.Context
		var over func()
		for range 2 * leaseTime / time.Second {
			if theirs, over, err = b.claim(t.Context()); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if err != nil {
			t.Fatal("it never lets go")
		}
		if held.Err() == nil {
			t.Error("two ask at once")
		}
		first.set(false)
		done()
		if _, _, err := a.claim(t.Context()); !errors.Is(err, errBusy) || theirs.Err() != nil {
			t.Errorf("%v %v", err, theirs.Err())
		}
		over()
		if len(readBook(store.all[bookName]).Lease.By) > 0 {
			t.Error("it is held by nobody")
		}
	})
}

// refusing is an authority that cannot be reached.
type refusing struct {
	mu    sync.Mutex
	asked int
}

func (r *refusing) RoundTrip(*http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return nil, errors.New("unreachable")
}

// TestFailuresOfAll: five servers ask an authority in vain no more often than one.
func TestFailuresOfAll(t *testing.T) {
	t.Parallel()
	asked := func(servers int) int {
		r := new(refusing)
		synctest.Test(t, func(t *testing.T) {
			store := newMemory()
			ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
			defer cancel()
			var all sync.WaitGroup
			for range servers {
				m := server(t, store, r)
				all.Go(func() { m.Run(ctx) })
			}
			all.Wait()
		})
		return r.asked
	}
	// 2, 4, 8 … minutes up to 6 hours, less up to a half by chance: 10 to 20 times in a day.
	if one, five := asked(1), asked(5); one < 8 || five < 8 || one > 20 || five > 20 {
		t.Errorf("one server asked %d times in a day, five %d times", one, five)
	}
}

// TestAskedMeanwhile: what another server has just asked for, in vain or not, is not asked for by one that has not heard of it yet.
func TestAskedMeanwhile(t *testing.T) {
	t.Parallel()
	const name = "mail.example.com"
	store, r := newMemory(), new(refusing)
	late := server(t, store, r)
	server(t, store, new(refusing)).round(t.Context())
	if err := late.obtain(t.Context(), name, false); !errors.Is(err, errBusy) || r.asked > 0 {
		t.Errorf("%v, asked %d times", err, r.asked)
	}
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	store.all[name] = selfSigned(t, key, name, time.Hour)
	if err := late.obtain(t.Context(), name, true); err != nil || inForce(late) == nil || r.asked > 0 {
		t.Errorf("%v, asked %d times", err, r.asked)
	}
}

// TestStrangersAsk: whatever strangers ask for, and however often, costs one question a second; and what another server shows is there all the same.
func TestStrangersAsk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		line := &way{Store: store}
		a, b := server(t, store, nil), server(t, line, nil)
		get := func(m *Manager, host, token string) (int, string) {
			w := httptest.NewRecorder()
			m.HTTPHandler().ServeHTTP(w, httptest.NewRequest("GET", "http://"+host+"/.well-known/acme-challenge/"+token, nil))
			return w.Code, w.Body.String()
		}
		flood := func() {
			t.Helper()
			for i := range 100 {
				if code, _ := get(b, "mail.example.com", strings.Repeat("x", i+1)); code != http.StatusNotFound {
					t.Error(code)
				}
				if code, _ := get(b, "elsewhere.example.com", "x"); code != http.StatusForbidden {
					t.Error(code)
				}
				time.Sleep(30 * time.Millisecond)
			}
		}
		flood()
		if n := store.gets[proofName]; n < 1 || n > 4 {
			t.Errorf("3 s of questions are %d questions to the store", n)
		}
		line.set(true)
		flood()
		line.set(false)
		if err := a.show(t.Context(), &proof{Name: "mail.example.com", Token: "t", Answer: "t.k", Until: time.Now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		for _, m := range []*Manager{a, b} {
			if code, body := get(m, "Mail.Example.com.:80", "t"); code != 200 || body != "t.k" {
				t.Errorf("%d %q", code, body)
			}
			if code, _ := get(m, "mail.example.com", "u"); code != http.StatusNotFound {
				t.Error(code)
			}
		}
		a.mu.Lock()
		a.proof = nil // it is killed
		a.mu.Unlock()
		time.Sleep(time.Minute)
		if code, _ := get(b, "mail.example.com", "t"); code != http.StatusNotFound {
			t.Errorf("what a server showed that died is shown for ever: %d", code)
		}
		a.hide(t.Context())
		if len(store.all) > 0 {
			t.Errorf("%q", store.all)
		}
	})
}

// selfSigned is the document of a certificate, for an hour or so from now.
func selfSigned(t *testing.T, key *ecdsa.PrivateKey, name string, valid time.Duration) []byte {
	t.Helper()
	now := time.Now()
	c := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), DNSNames: []string{name}, NotBefore: now.Add(-time.Second), NotAfter: now.Add(valid)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := write(key, [][]byte{der})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
