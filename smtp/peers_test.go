package smtp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// peer is a client of somebody else's. In its arguments HOST and PORT are the
// server's, MAIL is a file with the message in lines of LF, CRLF the same with
// CRLF, and CERT the server's certificate.
type peer struct {
	name  string
	setup string // words, as in dialogues
	args  []string
	count int  // of messages; 0 means 1
	any   bool // the client makes the message up
}

const python = `import smtplib, ssl, sys
host, port, mail, mech = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
s = smtplib.SMTP(host, port, local_hostname="client.example.net")
if mech != "none":
    s.ehlo()
    s.user, s.password = "test", "sesame"
    s.auth(mech, getattr(s, "auth_" + mech.lower().replace("-", "_")))
s.sendmail("ann@example.net", ["bob@example.com", "carol@example.com"], open(mail, "rb").read(), ["BODY=8BITMIME"])
s.quit()
`

var peers = []peer{
	{name: "swaks", args: words("swaks --server HOST --port PORT --helo client.example.net --from ann@example.net --to bob@example.com --data @MAIL --suppress-data")},
	{name: "swaks", args: words("swaks --server HOST --port PORT --from <> --to bob@example.com --data @MAIL --pipeline")},
	{name: "swaks", setup: "tls", args: words("swaks --server HOST --port PORT --tls --from ann@example.net --to bob@example.com --data @MAIL")},
	{name: "swaks", setup: "implicit", args: words("swaks --server HOST --port PORT --tls-on-connect --from ann@example.net --to bob@example.com --data @MAIL")},
	{name: "swaks", setup: "creds cleartext", args: words("swaks --server HOST --port PORT --auth PLAIN --auth-user test --auth-password sesame --from ann@example.net --to bob@example.com --data @MAIL")},
	{name: "swaks", setup: "creds cleartext", args: words("swaks --server HOST --port PORT --auth LOGIN --auth-user test --auth-password sesame --from ann@example.net --to bob@example.com --data @MAIL")},
	{name: "swaks", setup: "creds", args: words("swaks --server HOST --port PORT --auth CRAM-MD5 --auth-user test --auth-password sesame --from ann@example.net --to bob@example.com --data @MAIL")},
	{name: "swaks", setup: "lmtp", args: words("swaks --server HOST --port PORT --protocol LMTP --from ann@example.net --to bob@example.com,carol@example.com --data @MAIL")},
	{name: "curl", args: words("curl -sS smtp://HOST:PORT/client.example.net --mail-from ann@example.net --mail-rcpt bob@example.com --upload-file CRLF")},
	{name: "curl", setup: "tls creds", args: words("curl -sSk --ssl-reqd smtp://HOST:PORT/client.example.net --user test:sesame --login-options AUTH=CRAM-MD5 --mail-from ann@example.net --mail-rcpt bob@example.com --upload-file CRLF")},
	{name: "curl", setup: "implicit auth", args: words("curl -sSk smtps://HOST:PORT/client.example.net --user test:sesame --mail-from ann@example.net --mail-rcpt bob@example.com --upload-file CRLF")},
	{name: "curl", setup: "tls creds", args: words("curl -sSk --ssl-reqd smtp://HOST:PORT/client.example.net --user test: --oauth2-bearer sesame-token --mail-from ann@example.net --mail-rcpt bob@example.com --upload-file CRLF")},
	{name: "msmtp", args: words("msmtp -C /dev/null --host=HOST --port=PORT --from=ann@example.net bob@example.com")},
	{name: "msmtp", setup: "tls creds", args: words("msmtp -C /dev/null --host=HOST --port=PORT --tls=on --tls-certcheck=off --auth=scram-sha-256 --user=test --passwordeval=echo\tsesame --from=ann@example.net bob@example.com")},
	{name: "python3", args: []string{"python3", "-c", python, "HOST", "PORT", "CRLF", "none"}},
	{name: "python3", setup: "creds cleartext", args: []string{"python3", "-c", python, "HOST", "PORT", "CRLF", "LOGIN"}},
	{name: "python3", setup: "creds", args: []string{"python3", "-c", python, "HOST", "PORT", "CRLF", "CRAM-MD5"}},
	{name: "smtp-source", any: true, count: 50, args: words("smtp-source -c -s 5 -m 50 -l 10000 -f ann@example.net -t bob@example.com inet:HOST:PORT")},
	{name: "smtp-source", any: true, count: 20, setup: "lmtp", args: words("smtp-source -L -s 2 -m 20 -r 3 -f ann@example.net -t bob@example.com inet:HOST:PORT")},
	{name: "posttls-finger", any: true, count: -1, setup: "tls", args: words("posttls-finger -c -l may -L summary [HOST]:PORT")},
}

func words(s string) []string {
	f := strings.Fields(strings.ReplaceAll(s, "\t", "\x00"))
	for i := range f {
		f[i] = strings.ReplaceAll(f[i], "\x00", " ")
	}
	return f
}

// TestPeers: real clients deliver what they were given, octet for octet.
func TestPeers(t *testing.T) {
	t.Parallel()
	message := strings.ReplaceAll(string(sample), "\r\n", "\n")
	message = strings.Replace(message, "this is the plain text", "dies ist der schlichte Text, größer", 1)
	dir := t.TempDir()
	file := filepath.Join(dir, "mail")
	crlf := filepath.Join(dir, "crlf")
	write(t, file, message)
	write(t, crlf, strings.ReplaceAll(message, "\n", "\r\n"))
	for _, p := range peers {
		t.Run(p.name+" "+p.setup, func(t *testing.T) {
			t.Parallel()
			program, err := exec.LookPath(p.name)
			if err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is not installed", p.name)
				}
				t.Skipf("%s is not installed", p.name)
			}
			w := newWorld(t, strings.Fields(p.setup))
			l := serveWorld(t, w)
			host, port, _ := net.SplitHostPort(l.Addr().String())
			values := strings.NewReplacer("HOST", host, "PORT", port, "MAIL", file, "CRLF", crlf, "CERT", certFile(t, w.srv.TLSConfig))
			args := make([]string, 0, len(p.args))
			for _, a := range p.args[1:] {
				if !strings.Contains(a, "\n") {
					a = values.Replace(a)
				}
				args = append(args, a)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, args...)
			if p.name == "msmtp" {
				cmd.Stdin = strings.NewReader(message)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s\n%s", cmd, err, out, w.logged())
			}
			p.check(t, w, strings.ReplaceAll(message, "\n", "\r\n"))
		})
	}
}

func (p *peer) check(t *testing.T, w *world, want string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := max(p.count, 0); p.count != 0 && len(w.mails) != n || p.count == 0 && len(w.mails) != 1 {
		t.Fatalf("%d messages have arrived\n%s", len(w.mails), w.log.String())
	}
	// swaks ends the message with an empty line of its own.
	if !p.any && strings.TrimRight(w.mails[0], "\r\n") != strings.TrimRight(want, "\r\n") {
		t.Errorf("message is %q\nwant %q", w.mails[0], want)
	}
	for _, fault := range w.faults {
		t.Error(fault)
	}
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func serveWorld(t *testing.T, w *world) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.srv.Limits = smtp.Limits{ConnsPerBlock: -1}
	go w.srv.Serve(l)
	t.Cleanup(func() { w.srv.Close() })
	return l
}

func certFile(t *testing.T, c *tls.Config) string {
	if c == nil {
		return ""
	}
	var b bytes.Buffer
	pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Certificates[0].Certificate[0]})
	name := filepath.Join(t.TempDir(), "cert.pem")
	write(t, name, b.String())
	return name
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
