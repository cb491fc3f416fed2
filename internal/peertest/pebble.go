package peertest

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// PebbleOptions are where a Pebble checks challenges, on 127.0.0.1 whatever the
// name; 0 is a port that nobody listens on.
type PebbleOptions struct {
	HTTPPort, TLSPort int
	// Validity of the certificates; 90 days where zero.
	Validity time.Duration
	// Blocked are names that no certificate is issued for.
	Blocked []string
}

// ACME is a running Pebble, Let's Encrypt's ACME authority for tests.
type ACME struct {
	Directory string       // its URL
	CAFile    string       // PEM: what its own certificate is to be checked with
	Client    *http.Client // believes it
	Logs      func() string
}

// findPebble looks where "go install" puts it.
func findPebble(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("pebble"); err == nil {
		return path
	}
	out, _ := exec.Command("go", "env", "GOPATH").Output()
	path := filepath.Join(strings.TrimSpace(string(out)), "bin", "pebble")
	if _, err := os.Stat(path); err != nil {
		missing(t, "pebble; go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1")
	}
	return path
}

// Pebble starts an ACME authority.
func Pebble(t testing.TB, o PebbleOptions) *ACME {
	t.Helper()
	program := findPebble(t)
	if o.Validity == 0 {
		o.Validity = 90 * 24 * time.Hour
	}
	for _, port := range []*int{&o.HTTPPort, &o.TLSPort} {
		if *port == 0 {
			*port = 1
		}
	}
	folder := t.TempDir()
	authority := NewAuthority(t)
	own := authority.Issue(t, "127.0.0.1")
	file := func(name, text string) string {
		name = filepath.Join(folder, name)
		write(t, name, text, 0o600, os.Getuid())
		return name
	}
	listen := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", FreePort(t)),
		"certificate": file("crt", own.PEM), "privateKey": file("key", own.KeyPEM),
		"domainBlocklist": o.Blocked,
		"httpPort":        o.HTTPPort, "tlsPort": o.TLSPort,
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "test", "validityPeriod": int(o.Validity.Seconds())}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := run(t, "", "/usr/bin/env", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", program, "-config", file("config.json", string(config)), "-dnsserver", loopbackDNS(t))
	p.awaitPort(t, listen)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &ACME{Directory: "https://" + listen + "/dir", CAFile: file("ca.pem", authority.PEM),
		Client: &http.Client{Transport: transport, Timeout: patience}, Logs: p.out.String}
}

// loopbackDNS answers every question for an address with 127.0.0.1, over TCP,
// which is what Pebble asks over.
func loopbackDNS(t testing.TB) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		for _, question := range q.Question {
			if question.Qtype == dns.TypeA {
				m.Answer = append(m.Answer, &dns.A{A: net.IPv4(127, 0, 0, 1),
					Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}})
			}
		}
		w.WriteMsg(m)
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return l.Addr().String()
}
