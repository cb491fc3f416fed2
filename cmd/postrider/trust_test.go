package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/dmarc"
	asking "github.com/postrider-mail/postrider/smtp/resolver"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// TestNewDomain: a domain goes from nothing to mail that passes SPF, DKIM and DMARC by the README's
// commands and no others: settings, an account, records pushed into an empty zone, a start, and time.
func TestNewDomain(t *testing.T) {
	if !peertest.OwnNetwork(t, "192.0.2.25/32", "192.0.2.53/32") {
		return
	}
	peer, got := whoeverTakes(t)
	updater := peertest.Updater{Name: "mail", Algorithm: "hmac-sha256", Secret: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
	servers := peertest.ServeZones(t, "192.0.2.53:53", &updater, peertest.Zone{Name: "example.test", Unsigned: true},
		peertest.Zone{Name: "2.0.192.in-addr.arpa", Unsigned: true, Records: "25 PTR mail.example.test."})
	dns := peertest.Recursor(t, "127.0.0.1:5301", true, map[string]*peertest.NameServer{"example.test": servers, "2.0.192.in-addr.arpa": servers})

	dir := filepath.Join(t.TempDir(), "conf")
	must(t, "", "conf", "init", "-c", dir, "mail.example.test")
	rewrite(t, filepath.Join(dir, "10-server.conf"), `"/var/lib/postrider"`, `"data"`)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// What a host on the real net finds out by itself.
	write("30-here.conf", fmt.Sprintf(`{
		"Listeners": [{"address": "192.0.2.25:25", "protocol": "smtp"}, {"address": "192.0.2.25:465", "protocol": "submission", "tls": "implicit"}],
		"DNS": {"dmarc_policy": "reject"},
		"Queue": {"dns_servers": [%q], "Domains": {"*": {"source_address": "192.0.2.25"}}, "Routes": [{"domain": "peer.test", "host": "127.0.0.1", "port": %d, "tls": "none"}]},
	}`, dns, peer.Port))
	write("dns.key", "key \"mail\" { algorithm hmac-sha256; secret \""+updater.Secret+"\"; };\n")
	must(t, "a long pass phrase\n", "user", "add", "-c", dir, "--new-domain", "--stdin", "alice@example.test")
	must(t, "", "dns", "push", "-c", dir, "--server", "192.0.2.53", "--key", filepath.Join(dir, "dns.key"), "--yes", "example.test")
	must(t, "", "check", "-c", dir)

	serve := exec.Command(binary(t), "serve", "-c", dir)
	log := &mailtest.Log{}
	serve.Stdout, serve.Stderr = log, log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		serve.Process.Kill()
		serve.Wait()
		if t.Failed() {
			t.Log(tail(log))
		}
	})
	peertest.Await(t, "keys that sign", func() bool {
		code, out, _ := command(t, "", "dkim", "list", "-c", dir)
		return code == exitOK && strings.Count(out, " signing ") >= 2
	})
	out, _ := must(t, "", "dns", "check", "-c", dir, "example.test")
	if !strings.Contains(out, "example.test: 0 faults") {
		t.Errorf("dns check:\n%s", out)
	}
	if out, _ := must(t, "", "status", "-c", dir); strings.Contains(out, "is not signed: ") && strings.Contains(out, "mail from example.test") {
		t.Errorf("status:\n%s", out)
	}
	must(t, "From: alice@example.test\nSubject: new\n\nhello\n", "sendmail", "--conf", dir, "-f", "alice@example.test", "friend@peer.test")
	select {
	case m := <-got:
		passes(t, dns, m)
	case <-time.After(3 * time.Minute):
		t.Fatal("nothing arrived")
	}
}

// arrival is a message as another host has taken it.
type arrival struct {
	client     netip.Addr
	helo, from string
	text       string
}

// whoeverTakes is another host.
func whoeverTakes(t *testing.T) (addr *net.TCPAddr, got chan arrival) {
	got = make(chan arrival, 10)
	s := &smtp.Server{Hostname: "peer.test", CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil }, Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
		text, err := io.ReadAll(e.Data)
		client, _ := netip.ParseAddrPort(e.Session.RemoteAddr.String())
		got <- arrival{client.Addr(), e.Session.Helo, e.From.String(), string(text)}
		return err
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().(*net.TCPAddr), got
}

// passes fails unless all is well with a message's sender.
func passes(t *testing.T, server string, m arrival) {
	t.Helper()
	r := asking.New(asking.Config{Servers: []string{server}})
	checker := spf.Checker{Resolver: r, Receiver: "peer.test"}
	s := checker.Check(t.Context(), spf.Query{IP: m.client, Helo: m.helo, MailFrom: m.from})
	header, body, _ := strings.Cut(m.text, "\r\n\r\n")
	verifier := dkim.Verifier{Resolver: r}
	v := verifier.Verify(t.Context(), header+"\r\n\r\n")
	io.WriteString(v, body)
	results := v.Results()
	if s.Result != spf.Pass || len(results) != 1 || results[0].Status != dkim.Pass || results[0].Domain != "example.test" {
		t.Errorf("SPF of %s as %s: %v; DKIM %+v\n%s", m.client, m.from, s.Result, results, m.text)
		return
	}
	parsed, err := rfc2822.ReadString(m.text)
	if err != nil {
		t.Fatal(err)
	}
	policy := dmarc.Checker{Resolver: r}
	d := policy.CheckMessage(t.Context(), parsed.Header.Named("From"), dmarc.Passed{SPF: s.Domain, DKIM: []string{results[0].Domain}})
	if d.Result != dmarc.Pass || !d.SPF.Aligned || !d.DKIM.Aligned || d.Policy != dmarc.Reject {
		t.Errorf("DMARC %+v", d)
	}
}

// rewrite writes new for old into a file.
func rewrite(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), old) {
		t.Fatalf("%v; no %s in %s", err, old, text)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), old, new)), 0o600); err != nil {
		t.Fatal(err)
	}
}
