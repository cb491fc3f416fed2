package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// forgeries is a world whose DNS has a stranger's domain and hangs for another of his.
func forgeries(t *testing.T, extra string) *testWorld {
	t.Helper()
	zone := mailtest.NewZone(t,
		"test. 60 IN SOA ns.test. x.test. 1 60 60 60 60",
		`good.test. 60 IN TXT "v=spf1 ip4:192.0.2.0/24 -all"`, `_dmarc.bank.test. 60 IN TXT "v=DMARC1; p=reject"`)
	server := mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg {
		if strings.HasSuffix(strings.ToLower(q.Question[0].Name), "hangs.test.") {
			return nil
		}
		return zone.Reply(q)
	})
	return start(t, fmt.Sprintf(`"Queue": {"dns_servers": [%q]}, %s`, server, extra))
}

// stranger is a session from an address outside.
func (w *testWorld) stranger(addr string) *talk {
	w.t.Helper()
	k := w.dial("127.0.0.7:0")
	fmt.Fprintf(k.c, "PROXY TCP4 %s 192.0.2.1 4711 25\r\n", addr)
	k.play("S: 220\nC: EHLO h.good.test\nS: 250")
	return k
}

// stored are the messages of a mailbox.
func (w *testWorld) stored(box string) int {
	w.t.Helper()
	u, err := w.store.Usage(w.t.Context(), box)
	if err != nil {
		w.t.Fatal(err)
	}
	return int(u.Messages)
}

// TestForgedOwnDomain: a stranger does not get mail in as somebody here, whatever he writes and whatever
// his DNS does, by DATA or in binary chunks; what is his own comes in.
func TestForgedOwnDomain(t *testing.T) {
	t.Parallel()
	w := forgeries(t, "")
	k := w.stranger("192.0.2.7")
	for n, c := range []struct{ from, header, want string }{
		{"x@good.test", "From: boss@mail.test", "550"},
		{"", "From : Boss\r\n <boss@MAIL.test.>", "550"},
		{"x@good.test", "From: a@b1.test, a@b2.test, a@b3.test, a@b4.test, boss@mail.test", "550"},
		{"x@good.test", "From: boss@mail.test..", "550"},
		{"x@good.test", "From: x@good.test\r\njunk\r\njunk\r\nFrom: boss@mail.test", "550"},
		{"x@good.test", "Sender: boss@mail.test", "550"},
		{"x@hangs.test", "From: boss@mail.test", "550"},
		{"x@hangs.test", "From: ceo@bank.test", "550"},
		{"x@good.test", "From: x@hangs.test, ceo@bank.test", "550"},
		{"x@good.test", "From: x@good.test", "250"},
		{"x@good.test", "From: \"boss@mail.test\" <x@good.test>", "250"},
	} {
		message := c.header + "\r\nSubject: s\r\n\r\nx\r\n"
		before := w.stored("alice@mail.test")
		if n%2 == 0 {
			k.play(fmt.Sprintf("C: MAIL FROM:<%s>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354", c.from))
			fmt.Fprintf(k.c, "%s.\r\n", message)
		} else {
			k.play(fmt.Sprintf("C: MAIL FROM:<%s> BODY=BINARYMIME\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250", c.from))
			fmt.Fprintf(k.c, "BDAT %d LAST\r\n%s", len(message), message)
		}
		k.play("S: " + c.want)
		if came := w.stored("alice@mail.test") - before; (came == 1) != (c.want == "250") {
			t.Errorf("%q: %d messages", c.header, came)
		}
	}
	message := "From: x@good.test\r\nX: a\rFrom: boss@mail.test\r\n\r\nx\r\n"
	k.play("C: MAIL FROM:<x@good.test> BODY=BINARYMIME\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250")
	fmt.Fprintf(k.c, "BDAT %d LAST\r\n%s", len(message), message)
	k.play("S: 550 5.6.0")
}

// TestManyStrangers: sessions that begin, give up, go on and break off while the DNS is asked leave nothing behind.
func TestManyStrangers(t *testing.T) {
	w := forgeries(t, "")
	w.stranger("192.0.2.7").play("C: QUIT\nS: 221")
	before := runtime.NumGoroutine()
	var all sync.WaitGroup
	for n := range 60 {
		all.Go(func() {
			k := w.stranger(fmt.Sprintf("192.0.2.%d", n%20))
			for i := range 20 {
				k.play(fmt.Sprintf("C: MAIL FROM:<x@d%d-%d.hangs.test>\nS: 250", n, i))
				if n%3 == 0 {
					k.play("C: RSET\nS: 250")
					continue
				}
				k.play("C: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354")
				fmt.Fprintf(k.c, "From: x@none.test\r\nDKIM-Signature: v=1; a=rsa-sha256; d=hangs.test; s=s%d; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n\r\n", i)
				break
			}
			k.c.Close()
		})
	}
	all.Wait()
	if !within(forEver, func() bool { return runtime.NumGoroutine() <= before+5 }) {
		t.Errorf("%d goroutines, and %d before", runtime.NumGoroutine(), before)
	}
	w.stranger("192.0.2.7").play("C: MAIL FROM:<x@good.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\nC: From: x@good.test\\r\\n\\r\\nx\\r\\n.\nS: 250")
}

// TestUnreadableKeys: DKIM keys that cannot be read keep no mail from coming and going, and status says so.
func TestUnreadableKeys(t *testing.T) {
	w := start(t, "")
	w.stop()
	dir := filepath.Join(w.dir, "data", "dkim")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys.json"), []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	world := strings.Replace(testConf, `"DKIM": {"sign": false}`, fmt.Sprintf(`"DKIM": {"sign": true}, "data_dir": %q`, filepath.Join(w.dir, "data")), 1)
	world = strings.Replace(world, "\t\"data_dir\": \"data\",\n", "", 1)
	w = startWith(t, world, "")
	w.stranger("192.0.2.7").play("C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\nC: From: x@good.test\\r\\n\\r\\nx\\r\\n.\nS: 250")
	if p := w.trustProblems(); len(p) != 1 || !strings.Contains(p[0], "keys.json") {
		t.Errorf("%q", p)
	}
}
