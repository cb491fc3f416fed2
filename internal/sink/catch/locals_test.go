package catch

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/smtp"
)

// greeting is what a server says first.
func greeting(t *testing.T, addr string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// TestLocals: a client meets the name and the certificate of the address that it has reached; the file is read again when it has changed, and
// what is wrong with it leaves what held before.
func TestLocals(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	cert, key, err := certs.SelfSigned("two.test")
	if err != nil {
		t.Fatal(err)
	}
	c, k := write("two.pem", cert), write("two.key", key)
	file := write("locals", []byte("# names\n\n127.0.0.1 hostname=one.test\n127.0.0.2/32 hostname=two.test cert="+c+" key="+k))
	o := Options{SMTP: "127.0.0.1:0", MoreSMTP: []string{"127.0.0.2:0", "127.0.0.3:0"}, Hostname: "usual.test", ConnConfig: file, Triggers: sink.DefaultTriggers(), Log: slog.New(slog.DiscardHandler)}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	at := func(i int) string { return append([]string{s.SMTP}, s.MoreSMTP...)[i] }
	for i, want := range []string{"220 one.test ESMTP", "220 two.test ESMTP", "220 usual.test ESMTP"} {
		if got := greeting(t, at(i)); !strings.HasPrefix(got, want) {
			t.Errorf("%d: %s", i, got)
		}
	}
	client, err := (&smtp.Dialer{TLS: smtp.TLSOpportunistic}).Dial(t.Context(), at(1))
	if err != nil {
		t.Fatal("with its certificate:", err)
	}
	if state := client.TLS(); state == nil || state.PeerCertificates[0].DNSNames[0] != "two.test" {
		t.Error(state)
	}
	client.Close()
	again := func(text string) {
		write("locals", []byte(text))
		s.smtp.mu.Lock()
		s.smtp.next = time.Time{}
		s.smtp.mu.Unlock()
	}
	again("127.0.0.1 hostnme=x\n")
	if got := greeting(t, at(0)); !strings.HasPrefix(got, "220 one.test") {
		t.Error(got)
	}
	again("127.0.0.1 hostname=new.test\n* hostname=all.test\n")
	for i, want := range []string{"220 new.test ESMTP", "220 all.test ESMTP", "220 all.test ESMTP"} {
		if got := greeting(t, at(i)); !strings.HasPrefix(got, want) {
			t.Errorf("%d: %s", i, got)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestLocalsWrong: what is wrong at the start is told, with its line.
func TestLocalsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "locals")
	if err := os.WriteFile(file, []byte("x hostname=a\n127.0.0.1 name=b\n* cert=/nowhere key=/nowhere"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Options{SMTP: "127.0.0.1:0", Hostname: "a.test", ConnConfig: file, Triggers: sink.DefaultTriggers(), Log: slog.New(slog.DiscardHandler)})
	for _, want := range []string{file + `:1: "x" is no address`, file + `:2: "name=b" is none of hostname=, cert= and key=`, file + ":3: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
	if _, err := Open(Options{ConnConfig: file + ".none", Triggers: sink.DefaultTriggers(), Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a file that is not there")
	}
	if _, err := Open(Options{Cert: "a,b", Key: "c", Triggers: sink.DefaultTriggers(), Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "there are 2 files of certificates and 1 of keys") {
		t.Error(err)
	}
	for text, fits := range map[string]string{"192.0.2.1": "192.0.2.1:25", "192.0.2.1:25": "192.0.2.1:25", "192.0.2.0/24": "192.0.2.9:1", "2001:db8::/32": "[2001:db8::1]:25", "[2001:db8::1]:25": "[2001:db8::1]:25", "*": "192.0.2.1:25", "::ffff:192.0.2.1": "192.0.2.1:25", "192.0.2.7": "[::ffff:192.0.2.7]:25"} {
		f, err := fitting(text)
		if err != nil || !f(netip.MustParseAddrPort(fits)) || text != "*" && f(netip.MustParseAddrPort("198.51.100.1:25")) || strings.HasSuffix(text, ":25") && f(netip.AddrPortFrom(netip.MustParseAddrPort(fits).Addr(), 26)) {
			t.Error(text, err)
		}
	}
}

// TestSlowly: where it is asked for, answers come octet by octet.
func TestSlowly(t *testing.T) {
	s, err := Open(Options{SMTP: "127.0.0.1:0", Hostname: "a.test", Slow: true, Triggers: sink.DefaultTriggers(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	conn, err := net.Dial("tcp", s.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	one := make([]byte, 100)
	for i := range 3 {
		if n, err := io.ReadAtLeast(conn, one, 1); n != 1 || err != nil {
			t.Errorf("%d: %d octets at once, %v", i, n, err)
		}
	}
	conn.Close()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
