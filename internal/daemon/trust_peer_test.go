package daemon

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/rfc2822"
)

// TestPassesElsewhere: to a Postfix whose mail OpenDKIM and OpenDMARC check, all that leaves here passes SPF, DKIM and DMARC;
// mail in the name of a domain that we are nobody to is refused there, so they do look.
func TestPassesElsewhere(t *testing.T) {
	t.Parallel()
	// OpenDMARC lets all pass that comes from loopback.
	const here, there, ip = "192.0.2.1", "192.0.2.26", "192.0.2.53"
	if !peertest.OwnNetwork(t, here+"/32", there+"/32", ip+"/32") {
		return
	}
	l := newLab(t)
	key, err := trustKey()
	if err != nil {
		t.Fatal(err)
	}
	mailtest.ServeDNSAt(t, ip+":53", func(q *dns.Msg, _ string) *dns.Msg {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.zone.Reply(q)
	})
	peer := peertest.Postfix(t, peertest.Options{IP: there, Cert: peertest.NewAuthority(t).Issue(t, there), Milters: peertest.Authenticators(t, ip, "k1._domainkey.mail.test", recordOf(t, key))})
	w := startTrusting(t, l, fmt.Sprintf(`"Routes": [{"domain": %q, "host": %q, "port": %d}], "Domains": {%[1]q: {"source_address": %[4]q}}`,
		peertest.Domain, there, peer.Port, here), "")
	w.signs()
	const text = "From: Bob <bob@mail.test>\r\nTo: box@peer.test\r\nSubject: passes\r\n\r\nbody  \r\n"
	if reply := w.login().bring("<bob@mail.test>", []string{peertest.Box}, text); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if err := w.sendmail("root@mail.test", []string{peertest.Box}, "Subject: cron\n\nhello\n"); err != nil {
		t.Fatal(err)
	}
	// A bounce has the null sender, for which SPF asks the name in HELO.
	k := w.from("192.0.2.65")
	if reply := k.bring("<"+peertest.Box+">", []string{"nobody@peer.test"}, "From: box@peer.test\r\nSubject: lost\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	for _, m := range peer.Received(peertest.Box, 3) {
		m = strings.ReplaceAll(m, "\n", "\r\n")
		parsed, err := rfc2822.ReadString(m)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]string{}
		for _, f := range parsed.Header.Named("Authentication-Results") {
			r, ok := rfc2822.ParseAuthResults(f.Value())
			if !ok || r.AuthServID != "postfix.test" {
				t.Errorf("cannot read %q", f.Raw())
			}
			for _, one := range r.Results {
				said[one.Method] = one.Result
			}
		}
		if said["dkim"] != "pass" || said["dmarc"] != "pass" || said["spf"] != "pass" {
			t.Errorf("%v\n%s", said, m)
		}
	}
	if reply := k.bring("<ann@reject.test>", []string{peertest.Box}, "From: ann@reject.test\r\nSubject: forged\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	w.logged("msg=attempt", "from=ann@reject.test", "code=550", "enhanced=5.7.1", "DMARC")
}
