package daemon

import (
	"context"
	"crypto"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/internal/sign"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// stranger is the client of good.test. Clients on loopback are programs of this host, so those in
// these tests say by XCLIENT where they come from.
const stranger = "192.0.2.7"

// trustKey is what all signs in these tests; it is made once.
var trustKey = sync.OnceValues(func() (crypto.Signer, error) { return dkim.GenerateKey("rsa") })

// trustZone is the DNS of these tests: ours is mail.test, good.test is that of the stranger, and
// the others are named for what they ask for and have nothing that passes.
func trustZone(t *testing.T) mailtest.Zone {
	t.Helper()
	key, err := trustKey()
	if err != nil {
		t.Fatal(err)
	}
	record := recordOf(t, key)
	at := func(name string) string { // in strings of 255 octets, as a zone has it
		text := ""
		for part := range slices.Chunk([]byte(record), 255) {
			text += fmt.Sprintf(" %q", part)
		}
		return name + ". 60 IN TXT" + text
	}
	records := []string{
		// Its server has no address, so that the keys are looked for by the resolver.
		"mail.test. 60 IN NS ns.mail.test.", "mail.test. 60 IN SOA ns.mail.test. x. 1 60 60 60 60",
		`mail.test. 60 IN TXT "v=spf1 ip4:127.0.0.0/8 ip4:192.0.2.1 -all"`, `_dmarc.mail.test. 60 IN TXT "v=DMARC1; p=reject; adkim=s; aspf=s"`, at("k1._domainkey.mail.test"),
		`good.test. 60 IN TXT "v=spf1 ip4:192.0.2.7 -all"`, `_dmarc.good.test. 60 IN TXT "v=DMARC1; p=reject"`, at("s._domainkey.good.test"),
		"7.2.0.192.in-addr.arpa. 60 IN PTR client.good.test.", "client.good.test. 60 IN A 192.0.2.7",
		`list.test. 60 IN TXT "v=spf1 ip4:192.0.2.9 -all"`, at("s._domainkey.list.test"),
		`plain.test. 60 IN TXT "v=spf1 -all"`,
		"slow.test. 60 IN A 192.0.2.99", at("s._domainkey.reject.test"), at("s._domainkey.none.test"), at("s._domainkey.quarantine.test"),
	}
	for _, p := range []string{"none", "quarantine", "reject"} {
		records = append(records, fmt.Sprintf(`_dmarc.%s.test. 60 IN TXT "v=DMARC1; p=%[1]s"`, p), fmt.Sprintf(`%s.test. 60 IN TXT "v=spf1 ip4:203.0.113.1 -all"`, p))
	}
	return mailtest.NewZone(t, records...)
}

func recordOf(t *testing.T, key crypto.Signer) string {
	t.Helper()
	record, err := dkim.Record(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// lab is a DNS whose answers a test may change.
type lab struct {
	addr  string
	mu    sync.Mutex
	zone  mailtest.Zone
	dead  bool     // it does not answer
	asked []string // the names, since somebody looked
}

func newLab(t *testing.T) *lab {
	l := &lab{zone: trustZone(t)}
	l.addr = mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asked = append(l.asked, q.Question[0].Name)
		if l.dead {
			return nil
		}
		if strings.HasPrefix(q.Question[0].Name, "servfail.") {
			m := new(dns.Msg).SetReply(q)
			m.Rcode = dns.RcodeServerFailure
			return m
		}
		return l.zone.Reply(q)
	})
	return l
}

// add puts further records into it.
func (l *lab) add(t *testing.T, records ...string) {
	more := mailtest.NewZone(t, records...)
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, rr := range more {
		l.zone[name] = append(l.zone[name], rr...)
	}
}

// askedBelow counts the questions for names below a zone since the last look.
func (l *lab) askedBelow(zone string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range l.asked {
		if strings.HasSuffix(name, "."+zone+".") {
			n++
		}
	}
	l.asked = nil
	return n
}

// resolver asks it without the daemon's memory.
func (l *lab) resolver() *resolver.Resolver {
	return resolver.New(resolver.Config{Servers: []string{l.addr}})
}

// startTrusting is a world that checks strangers and signs what its users send. extra are
// further settings; queue further ones of the queue.
func startTrusting(t *testing.T, l *lab, queue, extra string) *testWorld {
	t.Helper()
	signing := strings.Replace(testConf, `"DKIM": {"sign": false}`, `"DKIM": {"sign": true, "rotate": "0s"}`, 1)
	return startWith(t, signing, fmt.Sprintf(`
		"SMTP": {"xclient_from": ["127.0.0.1/32"], "relay_from": ["192.0.2.64/26"]},
		"Domains": {"mail.test": {}, "second.test": {}},
		"Queue": {"dns_servers": [%q], "forward": true, "retry_first": "1s", "retry_max": "1s", %s},
		%s`, l.addr, queue, extra))
}

// signs waits until the key of mail.test that the DNS shows signs.
func (w *testWorld) signs() {
	w.t.Helper()
	key, err := trustKey()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.keys.Import(context.Background(), "mail.test", "k1", key); err != nil {
		w.t.Fatal(err)
	}
	peertest.Await(w.t, "a key that signs", func() bool {
		return slices.ContainsFunc(w.keys.Keys(), func(k sign.Key) bool { return k.Selector == "k1" && k.Phase == sign.Signing })
	})
}

// from is a conversation with a client at an address, past its EHLO.
func (w *testWorld) from(addr string) *talk {
	w.t.Helper()
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO proxy.test\nS: 250\nC: XCLIENT ADDR=" + addr + "\nS: 220\nC: EHLO client.good.test\nS: 250")
	return k
}

// login is a conversation of a user at the port for submission.
func (w *testWorld) login() *talk {
	w.t.Helper()
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO home.test\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.authenticate()
	return k
}

// authenticate logs bob in.
func (k *talk) authenticate() {
	k.t.Helper()
	k.play("C: EHLO home.test\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00bob@mail.test\x00"+testPassword)) + "\nS: 235")
}

// bring brings a message, whose recipients are all taken, and returns the answer to it.
func (k *talk) bring(from string, to []string, text string) string {
	k.t.Helper()
	k.play("C: MAIL FROM:" + from + "\nS: 250")
	for _, r := range to {
		k.play("C: RCPT TO:<" + r + ">\nS: 250")
	}
	k.play("C: DATA\nS: 354")
	text = strings.ReplaceAll("\r\n"+text, "\r\n.", "\r\n..")[2:]
	if _, err := io.WriteString(k.c, text+".\r\n"); err != nil {
		k.t.Fatal(err)
	}
	return k.reply()
}

// signedBy is a message with a signature on top.
func signedBy(t *testing.T, domain, text string) string {
	t.Helper()
	key, err := trustKey()
	if err != nil {
		t.Fatal(err)
	}
	header, body, _ := strings.Cut(text, "\r\n\r\n")
	s := &dkim.Signer{Domain: domain, Keys: []dkim.SigningKey{{Selector: "s", Key: key}}}
	signing, err := s.Sign(header + "\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(signing, body)
	fields, err := signing.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(fields, "") + text
}

// signatures are the results of all signatures of a message, "pass mail.test k1".
func (l *lab) signatures(t *testing.T, text string) (all []string) {
	t.Helper()
	header, body, _ := strings.Cut(text, "\r\n\r\n")
	v := dkim.Verifier{Resolver: l.resolver()}
	check := v.Verify(t.Context(), strings.TrimSuffix(header, "\r\n")+"\r\n\r\n")
	io.WriteString(check, body)
	for _, r := range check.Results() {
		all = append(all, fmt.Sprintf("%s %s %s", r.Status, r.Domain, r.Selector))
	}
	return all
}

// stored is a message of a mailbox in its parts: the results of its topmost
// Authentication-Results, what else stands above Received, and what came.
func stored(t *testing.T, text string) (results rfc2822.AuthResults, above []string, rest string) {
	t.Helper()
	m, err := rfc2822.ReadString(text)
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	for f := range m.Header.All() {
		if f.Name() == "Received" {
			_, rest, _ = strings.Cut(text, f.Raw())
			return results, above, rest
		}
		if f.Name() == "Authentication-Results" && ours == 0 {
			var ok bool
			if results, ok = rfc2822.ParseAuthResults(f.Value()); !ok || results.AuthServID != "mail.test" {
				t.Errorf("not read back: %q", f.Raw())
			}
			ours++
			continue
		}
		above = append(above, f.Name())
	}
	t.Fatalf("no Received in %q", text)
	return results, above, rest
}

// result is that of a method, "none" where there are no results.
func result(r rfc2822.AuthResults, method string) string {
	for _, m := range r.Results {
		if m.Method == method {
			return m.Result
		}
	}
	return "-"
}

// only is the one message of a mailbox, which is emptied.
func (w *testWorld) only(user string) string {
	w.t.Helper()
	all := w.waitFor(user, 1)
	if len(all) != 1 {
		w.t.Fatalf("%d messages for %s", len(all), user)
	}
	w.forget(user)
	return all[0]
}

// verifies fails unless a message that left has one signature of ours, on top, and it passes.
func (l *lab) verifies(t *testing.T, what, text string) {
	t.Helper()
	got := l.signatures(t, text)
	ours := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !strings.HasSuffix(s, " mail.test k1") })
	if len(ours) != 1 || got[0] != "pass mail.test k1" {
		t.Errorf("%s: signatures %q\n%.2000s", what, got, text)
	}
}

// left is the next message that a sink has taken, in its parts.
func left(t *testing.T, got chan string) (from, to, text string) {
	t.Helper()
	select {
	case m := <-got:
		envelope, text, _ := strings.Cut(m, "\n")
		from, to, _ = strings.Cut(envelope, " ")
		return from, to, text
	case <-time.After(forEver):
		t.Fatal("nothing arrived")
	}
	return "", "", ""
}
