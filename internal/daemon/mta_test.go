package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// submit sends a message over SMTP, to our daemon or to another server; all
// recipients must be taken.
func submit(t *testing.T, addr, text, from string, to ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), forEver)
	defer cancel()
	d := smtp.Dialer{Hello: "home.test", TLS: smtp.TLSNever}
	if err := d.SendMail(ctx, addr, from, to, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

// relaying is a daemon whose mail for the peers' domain goes to a port here.
func relaying(t *testing.T, port int, tls, extra string) *testWorld {
	t.Helper()
	return start(t, fmt.Sprintf(`
		"SMTP": {"relay_from": ["127.0.0.1/32"]},
		"Queue": {
			"Routes": [{"domain": "peer.test", "host": "127.0.0.1", "port": %d, "tls": %q}],
			"retry_first": "1s",
			%s
		},`, port, tls, extra))
}

// logged waits for a line of the log with all of these in it, and returns it.
func (w *testWorld) logged(parts ...string) (line string) {
	w.t.Helper()
	peertest.Await(w.t, fmt.Sprintf("a line in the log with %q", parts), func() bool {
	lines:
		for l := range strings.Lines(w.logs.String()) {
			for _, p := range parts {
				if !strings.Contains(l, p) {
					continue lines
				}
			}
			line = l
			return true
		}
		return false
	})
	return line
}

func port(a net.Addr) int { return a.(*net.TCPAddr).Port }

// caFile keeps an authority's certificate where the settings can name it.
func caFile(t *testing.T, a *peertest.Authority) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, []byte(a.PEM), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestRelayIntoPeers: what we queue arrives in the mailboxes of other servers
// as it came to us, under verified TLS where they can do it, and in the clear
// where they offer it and then fail.
func TestRelayIntoPeers(t *testing.T) {
	for name, startPeer := range peertest.Servers() {
		t.Run(name, func(t *testing.T) {
			a := peertest.NewAuthority(t)
			peer := startPeer(t, peertest.Options{Cert: a.Issue(t, "127.0.0.1")})
			level, shown := "verify", "verified"
			if peer.BrokenTLS {
				level, shown = "may", `tls=""`
			}
			w := relaying(t, peer.Port, level, fmt.Sprintf(`"ca_file": %q`, caFile(t, a)))
			samples := peertest.Samples()
			want := map[string]string{}
			for _, s := range samples {
				want[s.StoredBy(name)] = s.Name
				submit(t, w.Addrs()["127.0.0.1:0"].String(), s.Text, "bob@mail.test", peertest.Box)
			}
			for _, stored := range peer.Received(peertest.Box, len(samples)) {
				trace, text := peertest.Untraced(stored)
				if _, ok := want[text]; !ok {
					t.Errorf("changed, or twice: %.1000q", text)
				}
				delete(want, text)
				if n := strings.Count(strings.Join(trace, " "), "Received"); n != 2 {
					t.Errorf("trace fields %v", trace)
				}
			}
			for _, name := range want {
				t.Errorf("%s did not arrive as it was", name)
			}
			w.logged("attempt", "status=delivered", shown)
		})
	}
}

// TestPeersRelayIntoUs: what other servers relay to port 25 is in our mailbox
// as it came to them.
func TestPeersRelayIntoUs(t *testing.T) {
	t.Parallel()
	for name, startPeer := range peertest.Servers() {
		t.Run(name, func(t *testing.T) {
			w := start(t, "")
			peer := startPeer(t, peertest.Options{Cert: peertest.NewAuthority(t).Issue(t, "127.0.0.1"), RelayPort: port(w.Addrs()["127.0.0.1:0"])})
			samples := peertest.Samples()
			want := map[string]string{}
			for _, s := range samples {
				want[s.StoredBy(name)] = s.Name
				submit(t, peer.Addr, s.Text, "ann@home.test", "bob@mail.test")
			}
			var got []string
			peertest.Await(t, "the messages", func() bool {
				got = w.mailbox("bob@mail.test")
				return len(got) >= len(samples)
			})
			for _, text := range got {
				_, text = peertest.Untraced(strings.ReplaceAll(text, "\r\n", "\n"))
				if _, ok := want[text]; !ok {
					t.Errorf("changed, or twice: %.1000q", text)
				}
				delete(want, text)
			}
			for _, name := range want {
				t.Errorf("%s did not arrive as it was", name)
			}
			// What we refuse, they return to their own sender.
			submit(t, peer.Addr, "Subject: lost\r\n\r\nx\r\n", peertest.Box, "no-such@mail.test")
			bounce := peer.Received(peertest.Box, 1)[0]
			if !strings.Contains(bounce, "no-such@mail.test") || !strings.Contains(bounce, "550") {
				t.Errorf("%s returned %s", name, bounce)
			}
			m, _ := rfc2822.ReadString(bounce)
			report, err := m.ParseReport(rfc2822.Limits{})
			if err != nil || len(report.Recipients) != 1 || report.Returned == nil || report.Returned.Get("Subject") != "lost" {
				t.Fatalf("%+v, %v is what is read of %s", report, err, bounce)
			}
			if r := report.Recipients[0]; r.FinalRecipient != "no-such@mail.test" || r.Action != rfc2822.Failed || !strings.HasPrefix(r.Status, "5.") {
				t.Errorf("%+v is what is read of %s", r, bounce)
			}
		})
	}
}

// TestPeerGreylists: a 451 is a delay and not a loss.
func TestPeerGreylists(t *testing.T) {
	t.Parallel()
	for name, startPeer := range peertest.Servers() {
		t.Run(name, func(t *testing.T) {
			peer := startPeer(t, peertest.Options{Cert: peertest.NewAuthority(t).Issue(t, "127.0.0.1")})
			w := relaying(t, peer.Port, "none", "")
			submit(t, w.Addrs()["127.0.0.1:0"].String(), "Subject: grey\r\n\r\nx\r\n", "bob@mail.test", peertest.Grey, peertest.Box)
			if line := w.logged("attempt", "to="+peertest.Grey, "status=pending"); !strings.Contains(line, "Greylisted") || !strings.Contains(line, "code=451") {
				t.Errorf("the log says %s", line)
			}
			peer.Welcome()
			peer.Received(peertest.Grey, 1)
			w.logged("attempt", "to="+peertest.Grey, "status=delivered")
			if n := len(peer.Received(peertest.Box, 1)); n != 1 {
				t.Errorf("%d messages for the other recipient", n)
			}
		})
	}
}

// readBounce is what Python's email makes of a notification.
const readBounce = `
import email, email.policy, sys
m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
text, status, original = m.iter_parts()
print(m.get_content_type(), m.get_param("report-type"), [d for p in m.walk() for d in p.defects])
print(text.get_content_type(), status.get_content_type(), original.get_content_type())
whole, rcpt = status.get_payload()
print(whole["Reporting-MTA"], rcpt["Final-Recipient"], rcpt["Action"], rcpt["Status"], rcpt["Diagnostic-Code"][:7])
print(rcpt["Remote-MTA"])
print(original.get_payload(0)["Subject"])
`

// TestPeerRefuses: the word of another server comes back to the sender in a
// notification that a mail program understands.
func TestPeerRefuses(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is not installed")
		}
		t.Skip("python3 is not installed")
	}
	for name, startPeer := range peertest.Servers() {
		t.Run(name, func(t *testing.T) {
			peer := startPeer(t, peertest.Options{Cert: peertest.NewAuthority(t).Issue(t, "127.0.0.1")})
			w := relaying(t, peer.Port, "none", "")
			submit(t, w.Addrs()["127.0.0.1:0"].String(), "Subject: lost in the post\r\n\r\nx\r\n", "bob@mail.test", peertest.Nobody)
			var got []string
			peertest.Await(t, "the notification", func() bool {
				got = w.mailbox("bob@mail.test")
				return len(got) > 0
			})
			cmd := exec.CommandContext(t.Context(), python, "-c", readBounce)
			cmd.Stdin = strings.NewReader(got[0])
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			text := string(out)
			for _, want := range []string{"multipart/report delivery-status []\n", "text/plain message/delivery-status message/rfc822\n",
				"dns; mail.test rfc822; " + peertest.Nobody + " failed 5.", " smtp; 5\n", "\ndns; [127.0.0.1]\n", "\nlost in the post\n"} {
				if !strings.Contains(text, want) {
					t.Errorf("lacks %q:\n%s\n%s", want, text, got[0])
				}
			}
		})
	}
}

// TestSuccessThroughPeers: who asks to be told of success hears of it, from us
// where the server before us passes the wish on (RFC 3461 §5.2.1), and our
// report finds its way back through that server.
func TestSuccessThroughPeers(t *testing.T) {
	t.Parallel()
	for name, startPeer := range peertest.Servers() {
		t.Run(name, func(t *testing.T) {
			free := peertest.FreePort(t)
			w := relaying(t, free, "none", "")
			peer := startPeer(t, peertest.Options{Cert: peertest.NewAuthority(t).Issue(t, "127.0.0.1"), Port: free, RelayPort: port(w.Addrs()["127.0.0.1:0"])})
			c, err := (&smtp.Dialer{Hello: "home.test", TLS: smtp.TLSNever}).Dial(t.Context(), peer.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			from, _ := smtp.ParsePath("<"+peertest.Box+">", 0)
			to, _ := smtp.ParsePath("<bob@mail.test>", 0)
			m := &smtp.Outgoing{From: from, To: []smtp.Recipient{{Path: to, Params: smtp.RcptParams{Notify: smtp.NotifySuccess}}}}
			m.Params.EnvID, m.Params.Ret = "env+1", "HDRS"
			r, err := c.Send(t.Context(), m, strings.NewReader("Subject: tell me\r\n\r\nx\r\n"))
			if err != nil || r[0].Err != nil {
				t.Fatal(err, r)
			}
			report := peer.Received(peertest.Box, 1)[0]
			for _, want := range []string{"Reporting-MTA: dns; mail.test\n", "Action: delivered\n", "Original-Envelope-Id: env+1\n", "Final-Recipient: rfc822; bob@mail.test\n"} {
				if !strings.Contains(report, want) {
					t.Errorf("no %q in %s", want, report)
				}
			}
		})
	}
}
