package peertest

import (
	"os/exec"
	"path/filepath"
	"testing"
)

const opensmtpdConf = `
pki peer cert "/etc/cert.pem"
pki peer key "/etc/key.pem"
table boxes { EACH("box@DOMAIN" = "peer"), "second@peer.test" = "peer", "grey@peer.test" = "peer" }
table grey file:/etc/grey
smtp max-message-size 32M
filter "grey" phase rcpt-to match rcpt-to <grey> reject "451 4.7.1 Greylisted, come back later"
listen on IP port PORT tls pki peer filter "grey" hostname opensmtpd.test
action "here" maildir "/home/peer/%{dest.user}" virtual <boxes>
action "onward" relay host smtp://127.0.0.1:RELAY
match from any for domain { EACH("DOMAIN") } action "here"
match from local for any action "onward"
`

// OpenSMTPD starts OpenSMTPD. The one of Debian 12 (6.8.0p2) offers STARTTLS and
// then fails every handshake, because it cannot reach its key under OpenSSL 3:
// a server to try an opportunistic client with, and none for AUTH.
func OpenSMTPD(t testing.TB, o Options) *MTA {
	t.Helper()
	dir := root(t)
	m := &MTA{Name: "OpenSMTPD", BrokenTLS: true, mail: filepath.Join(dir, "home/peer")}
	etc := filepath.Join(dir, "etc")
	write(t, filepath.Join(etc, "smtpd.conf"), m.settings(t, o, opensmtpdConf, ", "), 0o644, 0)
	write(t, filepath.Join(etc, "mailname"), "opensmtpd.test\n", 0o644, 0)
	write(t, filepath.Join(etc, "cert.pem"), o.Cert.PEM, 0o644, 0)
	write(t, filepath.Join(etc, "key.pem"), o.Cert.KeyPEM, 0o600, 0)
	write(t, filepath.Join(etc, "grey"), Grey+"\n", 0o644, 0)
	ctl := func(args ...string) {
		cmd := exec.Command("/usr/sbin/smtpctl", args...)
		cmd.Path, cmd.Err, cmd.Dir = "/usr/sbin/smtpctl", nil, "/"
		cmd.SysProcAttr = below(dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("smtpctl %v: %v: %s", args, err, out)
		}
	}
	p := run(t, dir, "/usr/sbin/smtpd", "-dv")
	m.logs = p.out.String
	m.welcome = func() {
		write(t, filepath.Join(etc, "grey"), "none@peer.test\n", 0o644, 0)
		ctl("update", "table", "grey")
	}
	return started(t, m, p)
}
