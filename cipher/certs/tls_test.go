package certs_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// pairFiles writes a self-signed pair into folder.
func pairFiles(t testing.TB, folder, name string, names ...string) certs.Keypair {
	t.Helper()
	p := certs.Keypair{Cert: filepath.Join(folder, name+".crt"), Key: filepath.Join(folder, name+".key")}
	certPEM, keyPEM, err := certs.SelfSigned(names...)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(p.Cert, certPEM, 0o600)
	os.WriteFile(p.Key, keyPEM, 0o600)
	return p
}

// shake makes a TLS connection over a pipe and returns both ends' results.
func shake(t testing.TB, server, client *tls.Config) (ours, theirs *tls.Conn, err1, err2 error) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		if ours, err1 = certs.Upgrade(context.Background(), b, 0, server); err1 != nil {
			b.Close()
		}
	}()
	if theirs, err2 = certs.UpgradeClient(context.Background(), a, 0, client); err2 != nil {
		a.Close()
	}
	<-done
	return ours, theirs, err1, err2
}

// served is the first name of the certificate that a client asking for name
// gets.
func served(t testing.TB, set *certs.TLS, name string) string {
	t.Helper()
	_, theirs, err1, err2 := shake(t, set.Config(certs.WithoutTickets), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err1 != nil || err2 != nil {
		t.Fatalf("handshake for %q: %v, %v", name, err1, err2)
	}
	return theirs.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestServerNames(t *testing.T) {
	folder := t.TempDir()
	set, err := certs.LoadTLS(
		pairFiles(t, folder, "a", "mail.example.com", "pop.example.com"),
		pairFiles(t, folder, "b", "*.example.org", "example.org"),
		pairFiles(t, folder, "c", "special.example.org"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"mail.example.com":    "mail.example.com",
		"POP.Example.COM":     "mail.example.com",
		"example.org":         "*.example.org",
		"mx.example.org":      "*.example.org",
		"special.example.org": "special.example.org",
		"a.b.example.org":     "mail.example.com", // a wildcard is one label
		"elsewhere.example":   "mail.example.com",
		"":                    "mail.example.com",
	} {
		if got := served(t, set, name); got != want {
			t.Errorf("asked for %q: got %q, want %q", name, got, want)
		}
	}
	if n := len(set.Certificates()); n != 3 {
		t.Errorf("%d certificates", n)
	}
}

// TestTwoKinds: of an ECDSA and an RSA certificate for one name, each client gets the
// one that it can check, also if it asks for no name, or for one that nobody has.
func TestTwoKinds(t *testing.T) {
	folder := t.TempDir()
	rsaPair := rsaFiles(t, folder, "mail.example.com")
	set, err := certs.LoadTLS(pairFiles(t, folder, "a", "mail.example.com"), pairFiles(t, folder, "b", "other.example.org"), rsaPair)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mail.example.com", "", "elsewhere.example"} {
		for suite, want := range map[uint16]x509.PublicKeyAlgorithm{
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:   x509.RSA,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: x509.ECDSA,
		} {
			_, theirs, err1, err2 := shake(t, set.Config(), &tls.Config{ServerName: name, InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
			if err1 != nil || err2 != nil {
				t.Errorf("%q with %s: %v, %v", name, tls.CipherSuiteName(suite), err1, err2)
				continue
			}
			leaf := theirs.ConnectionState().PeerCertificates[0]
			if leaf.PublicKeyAlgorithm != want || leaf.DNSNames[0] != "mail.example.com" {
				t.Errorf("%q with %s: got %v for %q", name, tls.CipherSuiteName(suite), leaf.PublicKeyAlgorithm, leaf.DNSNames)
			}
		}
	}
}

// rsaFiles writes a self-signed pair with an RSA key.
func rsaFiles(t testing.TB, folder, name string) certs.Keypair {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	p := certs.Keypair{Cert: filepath.Join(folder, "rsa.crt"), Key: filepath.Join(folder, "rsa.key")}
	os.WriteFile(p.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	os.WriteFile(p.Key, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600)
	return p
}

// A reload takes the new pairs all together or not at all.
func TestReload(t *testing.T) {
	folder := t.TempDir()
	a, b := pairFiles(t, folder, "a", "a.example"), pairFiles(t, folder, "b", "b.example")
	set, err := certs.LoadTLS(a, b)
	if err != nil {
		t.Fatal(err)
	}
	serials := func() (s []string) {
		for _, c := range set.Certificates() {
			s = append(s, c.SerialNumber.String())
		}
		return s
	}
	before := serials()
	if changed, err := set.ReloadIfChanged(); changed || err != nil {
		t.Errorf("nothing changed: %v, %v", changed, err)
	}
	// The first pair is renewed, and of the second only the certificate yet.
	pairFiles(t, folder, "a", "a.example")
	certPEM, keyPEM, _ := certs.SelfSigned("b.example")
	os.WriteFile(b.Cert, certPEM, 0o600)
	if err := set.Reload(); err == nil {
		t.Error("half a pair was loaded")
	}
	if changed, err := set.ReloadIfChanged(); changed || err == nil {
		t.Error("half a pair was loaded")
	}
	if got := serials(); !slices.Equal(got, before) {
		t.Error("a failed reload changed something")
	}
	if got := served(t, set, "b.example"); got != "b.example" {
		t.Errorf("after a failed reload: %q", got)
	}
	os.WriteFile(b.Key, keyPEM, 0o600)
	if changed, err := set.ReloadIfChanged(); !changed || err != nil {
		t.Errorf("whole pairs: %v, %v", changed, err)
	}
	after := serials()
	if after[0] == before[0] || after[1] == before[1] {
		t.Error("the new pairs are not in use")
	}
	os.Remove(a.Key)
	if err := set.Reload(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a key file: %v", err)
	}
	os.Remove(a.Cert)
	if err := set.Reload(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a certificate file: %v", err)
	}
}

func TestLoadTLSErrors(t *testing.T) {
	folder := t.TempDir()
	good := pairFiles(t, folder, "a", "a.example")
	os.WriteFile(filepath.Join(folder, "junk"), []byte("junk"), 0o600)
	for _, pairs := range [][]certs.Keypair{
		nil,
		{{Cert: good.Cert, Key: filepath.Join(folder, "none")}},
		{good, {Cert: filepath.Join(folder, "junk"), Key: good.Key}},
	} {
		if _, err := certs.LoadTLS(pairs...); err == nil {
			t.Errorf("LoadTLS(%v): no error", pairs)
		}
	}
	if _, err := certs.NewTLS(); err == nil {
		t.Error("NewTLS of nothing: no error")
	}
	if _, err := certs.NewTLS(tls.Certificate{}); err == nil {
		t.Error("NewTLS of an empty certificate: no error")
	}
	if _, _, err := certs.SelfSigned(); err == nil {
		t.Error("SelfSigned of nothing: no error")
	}
}

func TestNewTLSReloadsNothing(t *testing.T) {
	pair := inMemory(t, "a.example")
	set, err := certs.NewTLS(pair)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Reload(); err != nil {
		t.Error(err)
	}
	if got := served(t, set, "a.example"); got != "a.example" {
		t.Errorf("served %q", got)
	}
}

func inMemory(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	certPEM, keyPEM, err := certs.SelfSigned(names...)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	pair.Leaf = nil // as a program may have it
	return pair
}

func TestConfig(t *testing.T) {
	set, _ := certs.NewTLS(inMemory(t, "a.example"))
	c := set.Config()
	if c.MinVersion != tls.VersionTLS12 || c.SessionTicketsDisabled || c.ClientAuth != tls.NoClientCert {
		t.Errorf("Config: %v %v %v", c.MinVersion, c.SessionTicketsDisabled, c.ClientAuth)
	}
	c = set.Config(certs.WithoutTickets, certs.AskClientCertificate)
	if !c.SessionTicketsDisabled || c.ClientAuth != tls.RequestClientCert {
		t.Errorf("Config with options: %v %v", c.SessionTicketsDisabled, c.ClientAuth)
	}
	_, _, err1, err2 := shake(t, c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err1 == nil || err2 == nil {
		t.Error("TLS 1.1 was spoken")
	}
	_, _, err1, err2 = shake(t, c, &tls.Config{InsecureSkipVerify: true, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}, MaxVersion: tls.VersionTLS12})
	if err1 == nil || err2 == nil {
		t.Error("RC4 or 3DES was spoken")
	}
}

// With tickets off no session ticket comes, which is what Microsoft's servers
// stumble over.
func TestTickets(t *testing.T) {
	set, _ := certs.NewTLS(inMemory(t, "a.example"))
	for _, off := range []bool{false, true} {
		var options []certs.Option
		if off {
			options = append(options, certs.WithoutTickets)
		}
		cache := &countingCache{}
		a, b := net.Pipe()
		go func() {
			conn, err := certs.Upgrade(context.Background(), b, 0, set.Config(options...))
			if err == nil {
				conn.Write([]byte("x"))
			}
			b.Close()
		}()
		conn, err := certs.UpgradeClient(context.Background(), a, 0, &tls.Config{ServerName: "a.example", InsecureSkipVerify: true, ClientSessionCache: cache})
		if err != nil {
			t.Fatal(err)
		}
		io.ReadAll(conn)
		if (cache.n == 0) != off {
			t.Errorf("tickets off %v: %d tickets", off, cache.n)
		}
	}
}

type countingCache struct{ n int }

func (c *countingCache) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (c *countingCache) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		c.n++
	}
}

func TestExpiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock starts in 2000
		folder := t.TempDir()
		old := pairFiles(t, folder, "old", "old.example", "192.0.2.1")
		time.Sleep(100 * 24 * time.Hour)
		set, err := certs.LoadTLS(pairFiles(t, folder, "new", "new.example"), old)
		if err != nil {
			t.Fatal(err)
		}
		const day = 24 * time.Hour
		if e := set.Expiring(30 * day); len(e) != 0 {
			t.Errorf("expiring within 30 days: %v", e)
		}
		time.Sleep(700 * day)
		e := set.Expiring(30 * day)
		if len(e) != 1 || e[0].File != old.Cert || !slices.Equal(e[0].Names, []string{"old.example", "192.0.2.1"}) {
			t.Errorf("expiring within 30 days: %+v", e)
		}
		if e := set.Expiring(200 * day); len(e) != 2 || e[0].File != old.Cert || e[1].NotAfter.Before(e[0].NotAfter) {
			t.Errorf("expiring within 200 days: %+v", e)
		}
		if e := set.Expiring(0); len(e) != 0 {
			t.Errorf("expired: %v", e)
		}
		time.Sleep(30 * day)
		if e := set.Expiring(0); len(e) != 1 {
			t.Errorf("expired: %v", e)
		}
	})
}

func TestEnsureSelfSigned(t *testing.T) {
	folder := t.TempDir()
	pair := certs.Keypair{Cert: filepath.Join(folder, "tls", "a.crt"), Key: filepath.Join(folder, "tls", "a.key")}
	created, err := certs.EnsureSelfSigned(pair, "mail.example.com", "127.0.0.1")
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	for _, name := range []string{pair.Cert, pair.Key} {
		if info, _ := os.Stat(name); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	before, _ := os.ReadFile(pair.Cert)
	if created, err := certs.EnsureSelfSigned(pair, "mail.example.com"); err != nil || created {
		t.Errorf("again: created %v, %v", created, err)
	}
	if after, _ := os.ReadFile(pair.Cert); !bytes.Equal(before, after) {
		t.Error("the certificate was replaced")
	}
	set, err := certs.LoadTLS(pair)
	if err != nil {
		t.Fatal(err)
	}
	// A client that trusts the certificate accepts both names.
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(before)
	for _, name := range []string{"mail.example.com", "127.0.0.1"} {
		if _, _, err1, err2 := shake(t, set.Config(), &tls.Config{RootCAs: pool, ServerName: name}); err1 != nil || err2 != nil {
			t.Errorf("verified handshake with %s: %v, %v", name, err1, err2)
		}
	}
	os.Remove(pair.Cert)
	key, _ := os.ReadFile(pair.Key)
	if created, err := certs.EnsureSelfSigned(pair, "new.example.com"); err != nil || !created {
		t.Errorf("a key alone: created %v, %v", created, err)
	}
	if now, _ := os.ReadFile(pair.Key); !bytes.Equal(now, key) {
		t.Error("a key that was alone was overwritten")
	}
	if again, err := certs.LoadTLS(pair); err != nil || !again.Covers("new.example.com") || again.Covers("mail.example.com") {
		t.Errorf("the new certificate: %v", err)
	}
	os.Remove(pair.Key)
	if _, err := certs.EnsureSelfSigned(pair, "mail.example.com"); err == nil {
		t.Error("a certificate without key was overwritten")
	}
	for _, text := range []string{"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", string(before)} {
		alone := certs.Keypair{Cert: filepath.Join(folder, "c"), Key: filepath.Join(folder, "k")}
		os.WriteFile(alone.Key, []byte(text), 0o600)
		if _, err := certs.EnsureSelfSigned(alone, "mail.example.com"); err == nil {
			t.Errorf("a certificate for the key %q", text)
		}
	}
	if _, err := certs.EnsureSelfSigned(certs.Keypair{Cert: folder + "/x", Key: folder + "/x"}, "a.example"); err == nil {
		t.Error("one file for both: no error")
	}
	if _, err := certs.EnsureSelfSigned(certs.Keypair{Cert: folder + "/x", Key: folder + "/y"}); err == nil {
		t.Error("no name: no error")
	}
	// A file where a folder should be.
	os.WriteFile(filepath.Join(folder, "file"), nil, 0o600)
	if _, err := certs.EnsureSelfSigned(certs.Keypair{Cert: folder + "/file/x", Key: folder + "/y"}, "a.example"); err == nil {
		t.Error("impossible folder: no error")
	}
}

// Bytes that came behind STARTTLS in the clear must never be read as if they
// had come under TLS.
func TestUpgradeBuffered(t *testing.T) {
	set, _ := certs.NewTLS(inMemory(t, "a.example"))
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := certs.Upgrade(context.Background(), b, 1, set.Config()); !errors.Is(err, certs.ErrBuffered) {
		t.Errorf("Upgrade: %v, want ErrBuffered", err)
	}
	if _, err := certs.UpgradeClient(context.Background(), a, 7, &tls.Config{ServerName: "a.example"}); !errors.Is(err, certs.ErrBuffered) {
		t.Errorf("UpgradeClient: %v, want ErrBuffered", err)
	}
	if _, err := certs.Upgrade(context.Background(), b, 0, nil); err == nil {
		t.Error("Upgrade without configuration: no error")
	}
	if _, err := certs.UpgradeClient(context.Background(), b, 0, nil); err == nil {
		t.Error("UpgradeClient without configuration: no error")
	}
}

// A peer that says nothing costs the time allowed and no more.
func TestUpgradeDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, _ := certs.NewTLS(inMemory(t, "a.example"))
		for _, limit := range []time.Duration{0, 5 * time.Second} {
			a, b := net.Pipe()
			ctx, want := context.Background(), certs.HandshakeTimeout
			if limit != 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
				want = limit
			}
			start := time.Now()
			if _, err := certs.Upgrade(ctx, b, 0, set.Config()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("silent peer: %v", err)
			}
			if took := time.Since(start); took != want {
				t.Errorf("took %v, want %v", took, want)
			}
			a.Close()
			b.Close()
		}
	})
}

func TestExporterBinding(t *testing.T) {
	set, _ := certs.NewTLS(inMemory(t, "a.example"))
	var last []byte
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ours, theirs, err1, err2 := shake(t, set.Config(), &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		cs1, cs2 := ours.ConnectionState(), theirs.ConnectionState()
		a, err1 := certs.ExporterBinding(&cs1)
		b, err2 := certs.ExporterBinding(&cs2)
		if err1 != nil || err2 != nil || len(a) != 32 || !bytes.Equal(a, b) || bytes.Equal(a, last) {
			t.Errorf("TLS %x: %x %x, %v %v", version, a, b, err1, err2)
		}
		last = a
		a, err1 = certs.UniqueBinding(&cs1)
		b, err2 = certs.UniqueBinding(&cs2)
		if version == tls.VersionTLS12 && (err1 != nil || err2 != nil || len(a) == 0 || !bytes.Equal(a, b)) {
			t.Errorf("tls-unique: %x %x, %v %v", a, b, err1, err2)
		}
		if version == tls.VersionTLS13 && (!errors.Is(err1, certs.ErrNoBinding) || a != nil) {
			t.Errorf("tls-unique under TLS 1.3: %x, %v", a, err1)
		}
	}
	for _, cs := range []*tls.ConnectionState{nil, {}} {
		if _, err := certs.ExporterBinding(cs); !errors.Is(err, certs.ErrNoBinding) {
			t.Errorf("without TLS: %v", err)
		}
		if _, err := certs.UniqueBinding(cs); !errors.Is(err, certs.ErrNoBinding) {
			t.Errorf("without TLS: %v", err)
		}
	}
}

func TestEndPointBinding(t *testing.T) {
	set, _ := certs.NewTLS(inMemory(t, "a.example"))
	leaf := set.Certificates()[0]
	for alg, size := range map[x509.SignatureAlgorithm]int{
		x509.ECDSAWithSHA256: 32, x509.SHA1WithRSA: 32, x509.SHA384WithRSA: 48, x509.ECDSAWithSHA512: 64} {
		leaf.SignatureAlgorithm = alg
		if b, err := certs.EndPointBinding(leaf); err != nil || len(b) != size {
			t.Errorf("%v: %d bytes, %v", alg, len(b), err)
		}
	}
	leaf.SignatureAlgorithm = x509.PureEd25519
	if _, err := certs.EndPointBinding(leaf); !errors.Is(err, certs.ErrNoBinding) {
		t.Errorf("Ed25519: %v", err)
	}
}

func BenchmarkUpgrade(b *testing.B) {
	set, _ := certs.NewTLS(inMemory(b, "a.example"))
	server, client := set.Config(certs.WithoutTickets), &tls.Config{InsecureSkipVerify: true}
	b.ReportAllocs()
	for b.Loop() {
		shake(b, server, client)
	}
}
