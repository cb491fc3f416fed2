package acme_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher"
	"github.com/postrider-mail/postrider/cipher/acme"
	"golang.org/x/net/dns/dnsmessage"
)

// authority is a running pebble, Let's Encrypt's ACME server for tests.
type authority struct {
	directory string
	client    *http.Client
}

// findPebble looks where "go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1"
// puts it.
func findPebble(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("pebble"); err == nil {
		return path
	}
	out, _ := exec.Command("go", "env", "GOPATH").Output()
	path := filepath.Join(strings.TrimSpace(string(out)), "bin", "pebble")
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("pebble is not installed")
		}
		t.Skip("pebble is not installed")
	}
	return path
}

// startPebble runs an authority that checks challenges on these ports of
// 127.0.0.1, whatever the name.
func startPebble(t *testing.T, httpPort, tlsPort int) *authority {
	t.Helper()
	program := findPebble(t)
	folder := t.TempDir()
	pair := cipher.Keypair{Cert: filepath.Join(folder, "crt"), Key: filepath.Join(folder, "key")}
	if _, err := cipher.EnsureSelfSigned(pair, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	config, _ := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", freePort(t)),
		"certificate": pair.Cert, "privateKey": pair.Key, "httpPort": httpPort, "tlsPort": tlsPort,
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "test", "validityPeriod": 7776000}},
	}})
	file := filepath.Join(folder, "config.json")
	os.WriteFile(file, config, 0o600)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-config", file, "-dnsserver", startDNS(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "ACME directory available") {
	}
	awaitPort(t, listen) // it says so shortly before it is true
	go func() {
		for lines.Scan() {
		}
	}()
	roots := x509.NewCertPool()
	crt, _ := os.ReadFile(pair.Cert)
	roots.AppendCertsFromPEM(crt)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &authority{"https://" + listen + "/dir", &http.Client{Transport: transport}}
}

// awaitPort returns once somebody listens.
func awaitPort(t *testing.T, address string) {
	t.Helper()
	for range 1000 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("pebble does not listen")
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// startDNS answers every question for an address with 127.0.0.1, over TCP, which
// is what pebble asks over.
func startDNS(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for answerDNS(conn) == nil {
				}
			}()
		}
	}()
	return l.Addr().String()
}

// answerDNS answers one question, with its two bytes of length (RFC 1035 §4.2.2).
func answerDNS(conn net.Conn) error {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return err
	}
	var msg dnsmessage.Message
	if err := msg.Unpack(buf); err != nil {
		return err
	}
	msg.Response, msg.Authoritative, msg.Additionals = true, true, nil
	for _, q := range msg.Questions {
		if q.Type == dnsmessage.TypeA {
			msg.Answers = append(msg.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			})
		}
	}
	answer, err := msg.Pack()
	if err != nil {
		return err
	}
	_, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err
}

// served is the names of the certificate a client asking for name gets.
func served(t *testing.T, c *tls.Config, name string) (string, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		if _, err := cipher.Upgrade(context.Background(), b, 0, c); err != nil {
			b.Close()
		}
	}()
	conn, err := cipher.UpgradeClient(context.Background(), a, 0, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return "", err
	}
	return strings.Join(conn.ConnectionState().PeerCertificates[0].DNSNames, " "), nil
}

// Certificates come by HTTP challenges, are served by name, and are there again
// after a restart without a word to the authority.
func TestObtainByHTTP(t *testing.T) {
	var m *acme.Manager
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host, _, _ = net.SplitHostPort(r.Host) // on port 80 there is none in it
		m.HTTPHandler().ServeHTTP(w, r)
	}))
	defer web.Close()
	ca := startPebble(t, web.Listener.Addr().(*net.TCPAddr).Port, 1)
	o := acme.Options{Names: []string{"mail.example.com", "Pop.Example.Com."}, Folder: t.TempDir(), AcceptTerms: true,
		Email: "postmaster@example.com", Directory: ca.directory, HTTPClient: ca.client, Fallback: fallback(t)}
	var err error
	if m, err = acme.New(o); err != nil {
		t.Fatal(err)
	}
	c := m.Config(cipher.WithoutTickets)
	if got, err := served(t, c, "mail.example.com"); err != nil || got != "fallback.example" {
		t.Errorf("before: %q, %v", got, err)
	}
	if err := m.Obtain(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.Run(context.Background()) // there is nothing left to do
	for name, want := range map[string]string{"mail.example.com": "mail.example.com", "POP.example.com": "pop.example.com",
		"": "mail.example.com", "elsewhere.example": "mail.example.com"} {
		if got, err := served(t, c, name); err != nil || got != want {
			t.Errorf("asked for %q: %q, %v", name, got, err)
		}
	}
	if e := m.Expiring(0); len(e) != 0 {
		t.Errorf("expired: %v", e)
	}
	if e := m.Expiring(91 * 24 * 3600e9); len(e) != 2 {
		t.Errorf("expiring in 91 days: %v", e)
	}
	for _, f := range []string{"mail.example.com", "acme_account+key"} {
		if info, err := os.Stat(filepath.Join(o.Folder, f)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", f, err)
		}
	}
	o.Directory = "http://127.0.0.1:1/nobody"
	if m, err = acme.New(o); err != nil {
		t.Fatal(err)
	}
	if err := m.Obtain(context.Background()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// The same where port 443 is the free one.
func TestObtainByALPN(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ca := startPebble(t, 1, l.Addr().(*net.TCPAddr).Port)
	m, err := acme.New(acme.Options{Names: []string{"mail.example.com"}, Folder: t.TempDir(), AcceptTerms: true,
		Challenge: acme.TLSALPN01, Directory: ca.directory, HTTPClient: ca.client})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			cipher.Upgrade(context.Background(), conn, 0, m.ALPNConfig())
			conn.Close()
		}
	}()
	if err := m.Obtain(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got, err := served(t, m.Config(), "mail.example.com"); err != nil || got != "mail.example.com" {
		t.Errorf("served %q, %v", got, err)
	}
	if _, err := served(t, m.ALPNConfig(), "mail.example.com"); err == nil {
		t.Error("the port for challenges served something else")
	}
}

func fallback(t *testing.T) *cipher.TLS {
	t.Helper()
	certPEM, keyPEM, err := cipher.SelfSigned("fallback.example")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	set, err := cipher.NewTLS(pair)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
