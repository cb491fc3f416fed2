package daemon

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/peertest"
)

// TestACMETogether: two servers on a database that begin at once to have a certificate make one order, whose challenge either answers; both
// serve it, and when one is gone the other renews it. Neither key is to be read in the database.
func TestACMETogether(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	key := filepath.Join(t.TempDir(), "secret.key")

	// The authority comes to all that live, and hears the same of each.
	var mu sync.Mutex
	alive := make(map[string]bool) // by address
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var said string
		for addr := range alive {
			q, err := http.NewRequestWithContext(r.Context(), "GET", "http://"+addr+r.URL.Path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			q.Host = r.Host
			resp, err := http.DefaultClient.Do(q)
			if err != nil {
				t.Error(err)
				return
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != 200 || said != "" && said != string(body) {
				t.Errorf("%s says %d %q, %v; another %q", addr, resp.StatusCode, body, err, said)
			}
			said = string(body)
		}
		io.WriteString(w, said)
	}))
	defer front.Close()
	const validity = 10 * time.Second
	ca := peertest.Pebble(t, peertest.PebbleOptions{HTTPPort: front.Listener.Addr().(*net.TCPAddr).Port, Validity: validity})

	var worlds []*testWorld
	var addrs []string
	for range 2 {
		w := startTogether(t, dsn, key, `"TLS": {},`)
		addr := fmt.Sprintf("127.0.0.1:%d", peertest.FreePort(t))
		w.change(`"TLS": {}`, fmt.Sprintf(`"TLS": {"ACME": {"accept_terms": true, "names": ["mail.test"], "directory": %q, "directory_ca_file": %q, "listen": %q}}`, ca.Directory, ca.CAFile, addr))
		worlds, addrs = append(worlds, w), append(addrs, addr)
		alive[addr] = true
	}
	began := time.Now()
	mu.Lock() // until both are there
	var all sync.WaitGroup
	for _, w := range worlds {
		all.Go(func() {
			if err := w.Reload(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	mu.Unlock()
	a, b := worlds[0], worlds[1]
	var first *x509.Certificate
	peertest.Await(t, "one certificate", func() bool {
		first = a.see("127.0.0.2:0", "mail.test")
		return fromPebble(first) && first.Equal(b.see("127.0.0.4:0", "mail.test"))
	})
	if n := strings.Count(ca.Logs(), "orders in the db"); n > 1+int(time.Since(began)/(validity*2/3)) { // on a slow machine it is renewed meanwhile
		t.Errorf("%d orders", n)
	}
	for _, w := range worlds {
		if info, err := os.Stat(filepath.Join(w.dir, "data", "acme", "mail.test")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the copy: %v %v", info, err)
		}
	}
	for _, name := range []string{"acme_account+key", "mail.test"} {
		text, err := b.together.certificates().Get(t.Context(), name)
		if err != nil || !strings.Contains(string(text), "PRIVATE KEY") {
			t.Errorf("%s: %v", name, err)
		}
		var box string
		db := a.database.Database()
		if err := db.Pool.QueryRow(t.Context(), db.In(`select encode(text, 'escape') from $.document where name = $1`), "acme/"+name).Scan(&box); err != nil || strings.Contains(box, "PRIVATE") {
			t.Errorf("%s in the database: %q %v", name, box, err)
		}
	}
	mu.Lock()
	delete(alive, addrs[0])
	mu.Unlock()
	a.stop()
	second := b.await("its renewal", "127.0.0.2:0", "mail.test", func(c *x509.Certificate) bool { return fromPebble(c) && !c.Equal(first) })
	if string(first.RawSubjectPublicKeyInfo) != string(second.RawSubjectPublicKeyInfo) {
		t.Error("renewed with another key, of which the DNS does not know")
	}

	t.Run("Store", func(t *testing.T) {
		for _, s := range []cluster.Store{cluster.NewFiles(t.TempDir()), b.together.documents} {
			ours := under{s, "acme"}
			if text, err := ours.Get(t.Context(), "none"); text != nil || err != nil {
				t.Errorf("%q %v", text, err)
			}
			for _, add := range []string{"x", "y", ""} {
				if _, err := ours.Update(t.Context(), "test", func(text []byte) ([]byte, error) {
					if add == "" {
						return nil, nil
					}
					return append(text, add...), nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			if text, err := ours.Get(t.Context(), "test"); string(text) != "xy" || err != nil {
				t.Errorf("%q %v", text, err)
			}
			for range 2 {
				if err := ours.Delete(t.Context(), "test"); err != nil {
					t.Error(err)
				}
			}
			if text, err := ours.Get(t.Context(), "test"); text != nil || err != nil {
				t.Errorf("%q %v", text, err)
			}
		}
	})
}
