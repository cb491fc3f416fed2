package daemon

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/sign"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// records is a DNS that has texts.
type records map[string]string

func (r records) LookupTXT(_ context.Context, name string) ([]string, error) {
	if r[name] == "" {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return []string{r[name]}, nil
}

// startSigning is a world with a key for mail.test that its DNS shows, or one of each kind.
func startSigning(t *testing.T, both bool) (*testWorld, records, chan string) {
	t.Helper()
	data := t.TempDir()
	ring, err := sign.Open(filepath.Join(data, "dkim"), sign.Settings{Domains: []domains.Name{"mail.test"}, Keep: time.Hour, Ed25519: both}, nil, slog.New(slog.DiscardHandler))
	if err == nil {
		err = ring.Prepare(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	shown, lines := make(records), []string{"mail.test. 60 IN SOA ns.mail.test. x.mail.test. 1 60 60 60 60", "mail.test. 60 IN NS ns.mail.test."}
	for _, k := range ring.Keys() {
		shown[k.Name()] = k.Record()
		half := len(k.Record()) / 2
		lines = append(lines, fmt.Sprintf("%s 60 IN TXT %q %q", k.Name(), k.Record()[:half], k.Record()[half:]))
	}
	zone := mailtest.NewZone(t, lines...)
	server := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg { return zone.Reply(q) })
	sink, got := sinkServer(t)
	world := strings.Replace(testConf, `"DKIM": {"sign": false}`, fmt.Sprintf(`"DKIM": {"sign": true, "ed25519": %t}`, both), 1)
	world = strings.Replace(world, `"data_dir": "data"`, fmt.Sprintf(`"data_dir": %q`, data), 1)
	w := startWith(t, world, fmt.Sprintf(`"SMTP": {"relay_from": ["127.0.0.1/32"], "own_fields": "none"}, "Domains": {"second.test": {}},
		"Aliases": {"only@mail.test": "friend@far.test"},
		"Queue": {"forward": true, "dns_servers": [%q], "Routes": [{"domain": "far.test", "host": "127.0.0.1", "port": %[2]d, "tls": "none"},
			{"domain": "one.test", "host": "127.0.0.1", "port": %[2]d, "tls": "none", "signature": "rsa"}]}`, server, sink.Port))
	if !within(forEver, func() bool {
		return !slices.ContainsFunc(w.keys.Keys(), func(k sign.Key) bool { return k.Domain == "mail.test" && k.Phase != sign.Signing })
	}) {
		t.Fatalf("no key signs: %+v\n%s", w.keys.Keys(), w.logs)
	}
	return w, shown, got
}

// signatures are whose signatures are on a message, and whether they are good.
func (r records) signatures(t *testing.T, message string) string {
	t.Helper()
	_, message, _ = strings.Cut(message, "\n")
	header, _, err := rfc2822.Peek(strings.NewReader(message), 0)
	if err != nil {
		t.Fatal(err)
	}
	v := (&dkim.Verifier{Resolver: r}).Verify(t.Context(), header.String())
	io.WriteString(v, message[header.Size():])
	var all []string
	for _, s := range v.Results() {
		all = append(all, s.Domain+" "+string(s.Status)+string(s.Reason))
	}
	return strings.Join(all, ", ")
}

// TestSignedOnItsWay: the signature that another host sees is good, whatever was done to the message on its way
// through here, and there is one on users' mail only.
func TestSignedOnItsWay(t *testing.T) {
	w, shown, got := startSigning(t, false)
	user := w.dial("127.0.0.2:0")
	user.play("S: 220\nC: EHLO u.test\nS: 250")
	user.startTLS("STARTTLS", "220")
	user.play("C: EHLO u.test\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00alice@mail.test\x00"+testPassword)) + "\nS: 235")
	host := w.greeted()
	for _, c := range []struct {
		k          *talk
		from, text string
		want       string
	}{
		{user, "<alice@mail.test>", "From: alice@mail.test\r\nBcc: secret@far.test\r\nSubject: no date\r\n\r\nx", "mail.test pass"},
		{user, "<alice@mail.test>", " half a field\r\nFrom: Alice <alice@mail.test>\r\n\r\n..x  y\t\r\n\r\n\r\n", "mail.test pass"},
		{user, "<alice@mail.test>", "From: alice@mail.test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <a@b>\r\n\r\n", "mail.test pass"},
		{user, "<alice@mail.test>", "From: alice@mail.test\r\nSubject: gr\xc3\xbc\xc3\x9fe\r\n\r\n\xff\xfe", "mail.test pass"},
		{user, "<alice@mail.test>", "From: boss@second.test\r\n\r\nx", ""},
		{user, "<alice@mail.test>", "From: x@far.test\r\n\r\nx", ""},
		{host, "<x@far.test>", "From: bob@mail.test\r\n\r\nx", "mail.test pass"},
		{host, "<x@far.test>", "Subject: nobody\r\n\r\nx", ""},
	} {
		c.k.send(c.from, []string{"<friend@far.test>"}, c.text)
		m := receive(t, got)
		if is := shown.signatures(t, m); is != c.want {
			t.Errorf("%q: signed %q, not %q: %q", c.text, is, c.want, m)
		}
		if strings.Contains(m, "secret") {
			t.Errorf("%q", m)
		}
	}
	k := w.stranger("192.0.2.7")
	k.send("<x@far.test>", []string{"<only@mail.test>"}, "From: x@far.test\r\n\r\nx")
	if is := shown.signatures(t, receive(t, got)); is != "" {
		t.Errorf("a stranger's is signed by %s", is)
	}
	// What was sent from here, and comes back as it is from somewhere else, is known again.
	user.send("<alice@mail.test>", []string{"<friend@far.test>"}, "From: alice@mail.test\r\nSubject: there and back\r\n\r\nx")
	_, back, _ := strings.Cut(receive(t, got), "\n")
	k.send("<owner@far.test>", []string{"<bob@mail.test>"}, strings.TrimSuffix(back, "\r\n"))
	k.play("C: MAIL FROM:<owner@far.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: DATA\nS: 354")
	fmt.Fprintf(k.c, "%sAnd more.\r\n.\r\n", back)
	k.play("S: 550 5.7.26")
}

// TestOneSignature: a host that wants one of two signatures gets it as others get it, and what is in the queue stays as it was.
func TestOneSignature(t *testing.T) {
	w, shown, got := startSigning(t, true)
	host := w.greeted()
	host.send("<x@far.test>", []string{"<friend@far.test>", "<friend@one.test>"}, "From: bob@mail.test\r\nSubject: two ways\r\n\r\nx")
	var all [3]string // by the number of signatures
	for range 2 {
		m := receive(t, got)
		if n := strings.Count(m, "\nDKIM-Signature:"); n < len(all) {
			all[n] = m
		}
	}
	if is := shown.signatures(t, all[1]); is != "mail.test pass" {
		t.Errorf("one: %q in %q", is, all[1])
	}
	if is := shown.signatures(t, all[2]); is != "mail.test pass, mail.test pass" {
		t.Errorf("both: %q in %q", is, all[2])
	}
	_, one, _ := strings.Cut(all[1], "\nDKIM-Signature:")
	_, both, _ := strings.Cut(all[2], "\nDKIM-Signature:")
	one, _, _ = strings.Cut(one, "\nFrom:")
	if !strings.Contains(one, "a=rsa-sha256") || !strings.Contains(both, one) {
		t.Errorf("one is %q, and both are %q", one, both)
	}
}
