package pop3_test

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestConformance plays dialogues that hold for every POP3 server, over TCP,
// against ours.
func TestConformance(t *testing.T) {
	t.Parallel()
	server, client := certificates(t)
	for _, d := range mailtest.Dialogues(t, "../testdata/dialogues/pop3/conformance") {
		t.Run(d.Name, func(t *testing.T) {
			w := newWorld(t, []string{"mechanisms=PLAIN,LOGIN,CRAM-MD5"})
			w.book.passwords["alice"] = "open sesame"
			w.srv.TLSConfig = server
			w.srv.Limits.FailureDelay = -1
			w.srv.Log = slog.New(slog.DiscardHandler)
			w.addr = listen(t, w.srv)
			conform(t, d, w, client)
		})
	}
}

// TestConformanceDovecot plays them against Dovecot.
func TestConformanceDovecot(t *testing.T) {
	t.Parallel()
	dove := startDovecot(t)
	for _, d := range mailtest.Dialogues(t, "../testdata/dialogues/pop3/conformance") {
		if slices.Contains(d.Server, "ours") {
			continue // its comment says how Dovecot differs
		}
		t.Run(d.Name, func(t *testing.T) {
			dove.fill(t, mailOne, mailDots, mailThree)
			w := &world{addr: dove.addr, book: newBook()}
			w.book.passwords["alice"] = "open sesame"
			conform(t, d, w, dove.tls)
		})
	}
}

func conform(t *testing.T, d *mailtest.Dialogue, w *world, client *tls.Config) {
	p := &mailtest.Player{
		TLS: client,
		Dial: func() (net.Conn, error) {
			w.waitIdle()
			c, err := net.Dial("tcp", w.addr)
			return hurried{c}, err
		},
	}
	p.Steps = w.steps(p)
	p.Play(t, d)
}

// waitIdle waits until our server has noticed that the last connection is gone:
// over TCP that takes it a moment, in which the maildrop is still locked.
func (w *world) waitIdle() {
	others := 0
	if w.extra != nil {
		others = 1
	}
	for i := 0; w.srv != nil && w.srv.Sessions() > others && i < 2000; i++ {
		time.Sleep(5 * time.Millisecond)
	}
}

// hurried is a connection whose reads do not wait for longer than a test may.
type hurried struct{ net.Conn }

// SetReadDeadline implements net.Conn.
func (h hurried) SetReadDeadline(at time.Time) error {
	if soon := time.Now().Add(10 * time.Second); at.After(soon) {
		at = soon
	}
	return h.Conn.SetReadDeadline(at)
}

// SetDeadline implements net.Conn.
func (h hurried) SetDeadline(at time.Time) error {
	h.Conn.SetWriteDeadline(at)
	return h.SetReadDeadline(at)
}

// missing skips a test that needs a program; where CI is set it fails.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what + " is not installed")
	}
	t.Skip(what + " is not installed")
}

// dovecot is a Dovecot of a test's own.
type dovecot struct {
	dir, addr string
	tls       *tls.Config
	uid       int // of the mail; -1: ours
	delivered int
	pid       int
}

const dovecotConf = `
base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/log
protocols = pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <%[1]s/cert.pem
ssl_key = <%[1]s/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5
auth_failure_delay = 0
mail_location = maildir:%[1]s/mail/%%u
mail_max_userip_connections = 0
mail_uid = %[2]s
mail_gid = %[3]s
first_valid_uid = 1
pop3_lock_session = yes
passdb {
  driver = passwd-file
  args = scheme=plain username_format=%%u %[1]s/users
}
userdb {
  driver = static
  args = home=%[1]s/home
}
service pop3 {
  process_limit = 2000
}
service pop3-login {
  # One process serves many logins: Dovecot's own advice for speed.
  service_count = 0
  inet_listener pop3 {
    port = %[4]d
  }
  inet_listener pop3s {
    port = 0
  }
%[5]s}
service anvil {
  # No pause that grows with each wrong password.
  unix_listener anvil-auth-penalty {
    mode = 0
  }
%[5]s}
%[6]s
`

// startDovecot runs Dovecot for the test, with what stands before it on the
// command line.
func startDovecot(t testing.TB, before ...string) *dovecot {
	t.Helper()
	return startDovecotWith(t, nil, before...)
}

// startDovecotWith overrides settings, each "name=value".
func startDovecotWith(t testing.TB, settings []string, before ...string) *dovecot {
	t.Helper()
	path, err := exec.LookPath("dovecot")
	if err != nil {
		path = "/usr/sbin/dovecot"
	}
	if _, err := os.Stat("/usr/lib/dovecot/pop3-login"); err != nil {
		missing(t, "dovecot-pop3d")
	}
	args := append(before, path)
	dir, err := os.MkdirTemp("", "dovecot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	d := &dovecot{dir: dir, uid: -1}
	os.Mkdir(filepath.Join(dir, "mail"), 0o755)
	d.certificate(t)
	os.WriteFile(filepath.Join(dir, "dovecot.conf"), []byte(d.conf(t)), 0o644)
	users := "alice:{PLAIN}open sesame::::::\n"
	for i := range besideUsers {
		users += fmt.Sprintf("u%[1]d:{PLAIN}secret::::::\nu%[1]d@localhost:{PLAIN}secret::::::\n", i)
	}
	os.WriteFile(filepath.Join(dir, "users"), []byte(users), 0o644)
	for _, s := range settings {
		args = append(args, "-o", s)
	}
	cmd := exec.Command(args[0], append(args[1:], "-F", "-c", filepath.Join(dir, "dovecot.conf"))...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.pid = cmd.Process.Pid
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", d.addr); err == nil {
			c.Close()
			return d
		}
		time.Sleep(50 * time.Millisecond) // another program's start: nothing to wait for
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	t.Fatalf("dovecot does not start:\n%s", log)
	return nil
}

func (d *dovecot) certificate(t testing.TB) {
	certPEM, keyPEM, err := certs.SelfSigned("pop.example.com")
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(d.dir, "cert.pem"), certPEM, 0o644)
	os.WriteFile(filepath.Join(d.dir, "key.pem"), keyPEM, 0o600)
	d.tls = &tls.Config{InsecureSkipVerify: true} // it is on this machine
}

// conf is for root, whose mail must be somebody else's, and for everybody else,
// who cannot change users.
func (d *dovecot) conf(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	uid, gid, login, others := "65534", "65534", "", ""
	if os.Getuid() == 0 {
		d.uid = 65534
	} else {
		me, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		uid, gid = me.Uid, me.Gid
		login = "  chroot =\n"
		others = fmt.Sprintf("default_internal_user = %s\ndefault_login_user = %s\n", me.Username, me.Username)
	}
	return fmt.Sprintf(dovecotConf, d.dir, uid, gid, port, login, others)
}

// fill makes the mailbox of alice hold these messages and nothing else.
func (d *dovecot) fill(t testing.TB, mails ...string) {
	t.Helper()
	mail := filepath.Join(d.dir, "mail", "alice")
	os.RemoveAll(mail)
	newMaildir(t, mail, d.uid)
	for _, text := range mails {
		d.delivered++
		name := fmt.Sprintf("%d.M%d.test", 1700000000+d.delivered, d.delivered)
		writeMail(t, mail, name, strings.ReplaceAll(text, "\r\n", "\n"), d.uid)
	}
}

// newMaildir makes a Maildir, of uid unless that is negative.
func newMaildir(t testing.TB, mail string, uid int) {
	for _, sub := range []string{"", "cur", "new", "tmp"} {
		name := filepath.Join(mail, sub)
		if err := os.MkdirAll(name, 0o700); err != nil {
			t.Fatal(err)
		}
		if uid >= 0 {
			os.Chown(name, uid, uid)
		}
	}
}

func writeMail(t testing.TB, mail, name, text string, uid int) {
	name = filepath.Join(mail, "new", name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if uid >= 0 {
		os.Chown(name, uid, uid)
	}
}
