package pop3_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/pop3"
)

// clientMails are what real clients fetch: mails with all the headers that they
// want to see, and bodies that have been a problem for somebody.
var clientMails = []string{
	clientMail("plain", "Hello.\r\n"),
	clientMail("dots", ".\r\n..\r\n...\r\n.hidden\r\n.\r\nend\r\n"),
	clientMail("8bit", "Gr\xc3\xbc\xc3\x9fe\r\n\xe4\xf6\xfc\r\n"),
	clientMail("blank lines", "\r\n\r\nFrom here\r\n\r\n"),
	clientMail("big", strings.Repeat(strings.Repeat("x", 70)+"\r\n", 5000)),
}

func clientMail(subject, body string) string {
	return "Return-Path: <a@example.com>\r\nReceived: from a by b; Thu, 21 Nov 2024 10:00:00 +0000\r\nDate: Thu, 21 Nov 2024 10:00:00 +0000\r\n" +
		"From: Alice <a@example.com>\r\nTo: Bob <bob@localhost>\r\nSubject: " + subject + "\r\nMessage-ID: <" + strings.ReplaceAll(subject, " ", "") + "@example.com>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body
}

// stage is a server for one client: what it connects to, and how.
type stage struct {
	mode string // plain, stls, tls
	port int
	dir  string
	ca   string // file
	mem  *memory
	log  *strings.Builder

	nobody bool // programs are run as that user
}

const clientUser, clientPassword = "bob", "sesame"

func newStage(t *testing.T, mode string) *stage {
	certPEM, keyPEM, err := certs.SelfSigned("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{mode: mode, dir: t.TempDir(), mem: newMemory(), log: new(strings.Builder)}
	s.ca = s.write(t, "ca.pem", string(certPEM))
	s.mem.deliver(clientUser, clientMails...)
	srv := &pop3.Server{
		UTF8:     true,
		Hostname: "localhost", Backend: s.mem, Credentials: newBook(), APOP: true,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		Log:       slog.New(slog.DiscardHandler),
		Trace:     func(_ *pop3.Session, dir byte, line string) { fmt.Fprintf(s.log, "%c %s\n", dir, line) },
	}
	switch mode {
	case "plain":
		srv.TLSConfig, srv.CleartextAuth = nil, true
	case "tls":
		srv.TLSMode = pop3.ImplicitTLS
	case "stls":
		srv.TLSMode = pop3.RequireTLS
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	s.port = l.Addr().(*net.TCPAddr).Port
	return s
}

func (s *stage) write(t *testing.T, name, text string) string {
	name = filepath.Join(s.dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// is gives a if the mode is that, otherwise b.
func (s *stage) is(mode, a, b string) string {
	if s.mode == mode {
		return a
	}
	return b
}

// run runs a program, and gives its output.
func (s *stage) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "LC_ALL=C.UTF-8", "SSL_CERT_FILE="+s.ca)
	cmd.Dir = s.dir
	if s.nobody {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
		peertest.Become(cmd.SysProcAttr, nobody, nobody)
	}
	var out, problems strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s\ndialogue:\n%s", name, err, problems.String(), tail(out.String()), s.log)
	}
	return out.String()
}

// notAsRoot lets run's programs be nobody, for those that refuse to be root.
func (s *stage) notAsRoot(t *testing.T) {
	if os.Getuid() != 0 {
		return
	}
	s.nobody = true
	os.Chmod(filepath.Dir(s.dir), 0o755)
	err := filepath.WalkDir(s.dir, func(name string, _ os.DirEntry, err error) error { return os.Chown(name, nobody, nobody) })
	if err != nil {
		t.Fatal(err)
	}
}

const nobody = 65534

func tail(s string) string { return s[max(0, len(s)-2000):] }

// fetched compares what a client has stored with what it should have.
func (s *stage) fetched(t *testing.T, got []string) {
	t.Helper()
	var want []string
	for _, mail := range clientMails {
		want = append(want, unix(mail))
	}
	for i := range got {
		got[i] = unix(got[i])
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(got) != len(want) {
		t.Fatalf("%d mails instead of %d\ndialogue:\n%s", len(got), len(want), s.log)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("got\n%q\nwant\n%q", tail(got[i]), tail(want[i]))
		}
	}
}

func unix(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

func (s *stage) maildir(t *testing.T, name string) (mails []string) {
	for _, sub := range []string{"new", "cur"} {
		files, _ := filepath.Glob(filepath.Join(s.dir, name, sub, "*"))
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			mails = append(mails, string(b))
		}
	}
	return mails
}

// realClients are programs that fetch everything, and delete it if they are
// told to.
var realClients = []struct {
	name, program string
	run           func(t *testing.T, s *stage) (mails []string)
	keeps         bool   // it is run so that it deletes nothing
	modes         string // that it knows; empty: all
}{
	{"curl", "curl", runCurl, false, ""},
	{"poplib", "python3", runPoplib, false, ""},
	{"Net::POP3", "perl", runPerl, false, ""},
	{"mpop", "mpop", runMpop, false, ""},
	{"fetchmail", "fetchmail", func(t *testing.T, s *stage) []string { return runFetchmail(t, s, "nokeep") }, false, ""},
	{"fetchmail keep uidl", "fetchmail", func(t *testing.T, s *stage) []string { return runFetchmail(t, s, "keep uidl") }, true, ""},
	{"getmail", "getmail", runGetmail, false, "plain tls"},
	{"mutt", "mutt", runMutt, false, ""},
}

func TestRealClients(t *testing.T) {
	t.Parallel()
	for _, client := range realClients {
		modes := strings.Fields(client.modes)
		if len(modes) == 0 {
			modes = []string{"plain", "stls", "tls"}
		}
		for _, mode := range modes {
			t.Run(client.name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				if _, err := exec.LookPath(client.program); err != nil {
					missing(t, client.program)
				}
				s := newStage(t, mode)
				mails := client.run(t, s)
				s.fetched(t, mails)
				want := ""
				if client.keeps {
					want = "uid-1 uid-2 uid-3 uid-4 uid-5"
				}
				if left := s.mem.uids(clientUser); left != want {
					t.Errorf("left %q, want %q\ndialogue:\n%s", left, want, s.log)
				}
			})
		}
	}
}

func runCurl(t *testing.T, s *stage) (mails []string) {
	scheme := s.is("tls", "pop3s", "pop3")
	args := []string{"-sS", "--max-time", "20", "--cacert", s.ca, "-u", clientUser + ":" + clientPassword}
	if s.mode == "stls" {
		args = append(args, "--ssl-reqd")
	}
	url := func(path string) string { return fmt.Sprintf("%s://localhost:%d/%s", scheme, s.port, path) }
	list := s.run(t, "curl", append(args, url(""))...)
	if n := strings.Count(list, "\n"); n != len(clientMails) {
		t.Errorf("curl lists %q", list)
	}
	for i := range clientMails {
		mails = append(mails, s.run(t, "curl", append(args, url(fmt.Sprint(i+1)))...))
	}
	if top := s.run(t, "curl", append(args, "-X", "TOP 2 2", url(""))...); !strings.HasSuffix(top, "\r\n\r\n.\r\n..\r\n") {
		t.Errorf("curl's TOP: %q", tail(top))
	}
	for range clientMails {
		s.run(t, "curl", append(args, "-I", "-X", "DELE 1", url(""))...)
	}
	return mails
}

// TestCurlMechanisms: curl can be told how to log in.
func TestCurlMechanisms(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		missing(t, "curl")
	}
	for _, option := range []string{"AUTH=PLAIN", "AUTH=LOGIN", "AUTH=CRAM-MD5", "AUTH=+APOP", "AUTH=*"} {
		t.Run(option, func(t *testing.T) {
			s := newStage(t, "plain")
			url := fmt.Sprintf("pop3://localhost:%d/1", s.port)
			for _, ir := range []string{"--no-sasl-ir", "--sasl-ir"} {
				if got := s.run(t, "curl", "-sS", "--max-time", "20", ir, "--login-options", option, "-u", clientUser+":"+clientPassword, url); got != clientMails[0] {
					t.Errorf("%q\ndialogue:\n%s", got, s.log)
				}
			}
		})
	}
}

const poplibScript = `
import poplib, ssl, sys
mode, port, ca, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]
context = ssl.create_default_context(cafile=ca)
if mode == "tls":
    p = poplib.POP3_SSL("localhost", port, timeout=20, context=context)
else:
    p = poplib.POP3("localhost", port, timeout=20)
if mode == "stls":
    p.stls(context=context)
p.utf8()
capa = p.capa()
assert "UIDL" in capa and "PIPELINING" in capa, capa
if mode == "tls":
    p.apop(user, password)
else:
    p.user(user)
    p.pass_(password)
count, octets = p.stat()
_, listing, _ = p.list()
assert len(listing) == count
_, uids, _ = p.uidl()
assert uids[2] == b"3 uid-3", uids
assert octets == sum(int(l.split()[1]) for l in listing)
for i in range(count):
    response, lines, _ = p.retr(i + 1)
    text = b"".join(l + b"\r\n" for l in lines)
    assert len(text) == int(listing[i].split()[1]) == int(response.split()[1])
    open("mail%d" % i, "wb").write(text)
    assert p.top(i + 1, 0)[1] == lines[:lines.index(b"") + 1]
    p.dele(i + 1)
p.rset()
assert p.stat() == (count, octets)
try:
    p.retr(count + 1)
    raise SystemExit("no error")
except poplib.error_proto:
    pass
for i in range(count):
    p.dele(i + 1)
p.noop()
p.quit()
`

func runPoplib(t *testing.T, s *stage) []string {
	s.run(t, "python3", "-c", poplibScript, s.mode, fmt.Sprint(s.port), s.ca, clientUser, clientPassword)
	return s.files(t)
}

// files are those that a script wrote, mail0 and up.
func (s *stage) files(t *testing.T) (mails []string) {
	for i := range clientMails {
		b, err := os.ReadFile(filepath.Join(s.dir, fmt.Sprintf("mail%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		mails = append(mails, string(b))
	}
	return mails
}

const perlScript = `
use strict; use Net::POP3;
my ($mode, $port, $ca, $user, $password) = @ARGV;
my @tls = (SSL_ca_file => $ca, SSL_verifycn_name => "localhost");
my $p = Net::POP3->new("localhost", Port => $port, Timeout => 20, $mode eq "tls" ? (SSL => 1, @tls) : ()) or die "connect: $@";
if ($mode eq "stls") { $p->starttls(@tls) or die "starttls: " . $p->message; }
my $n = $mode eq "tls" ? $p->apop($user, $password) : $p->login($user, $password);
defined $n or die "login: " . $p->message;
my ($count, $octets) = $p->popstat;
my $list = $p->list;
my $sum = 0; $sum += $_ for values %$list;
$sum == $octets and keys(%$list) == $count or die "sizes";
my $uids = $p->uidl;
$uids->{3} eq "uid-3" or die "uidl";
for my $i (1 .. $count) {
    my $lines = $p->get($i) or die "get: " . $p->message;
    open my $f, ">:raw", "mail" . ($i - 1); print $f join("", @$lines); close $f;
    $p->top($i, 0) or die "top";
    $p->delete($i) or die "delete";
}
$p->quit or die "quit";
`

func runPerl(t *testing.T, s *stage) []string {
	// A base Debian has perl, and neither of these.
	needs := []string{"-MNet::POP3", "-e", "1"}
	if s.mode != "plain" {
		needs = append([]string{"-MIO::Socket::SSL"}, needs...)
	}
	if exec.Command("perl", needs...).Run() != nil {
		missing(t, "perl's Net::POP3 or IO::Socket::SSL")
	}
	s.run(t, "perl", "-e", perlScript, s.mode, fmt.Sprint(s.port), s.ca, clientUser, clientPassword)
	return s.files(t)
}

func runMpop(t *testing.T, s *stage) []string {
	for _, sub := range []string{"new", "cur", "tmp"} {
		os.MkdirAll(filepath.Join(s.dir, "mpop", sub), 0o700)
	}
	conf := s.write(t, "mpoprc", fmt.Sprintf(`
account default
host localhost
port %d
user %s
password %s
auth %s
tls %s
tls_starttls %s
tls_trust_file %s
delivery maildir %s/mpop
uidls_file %s/uidls
keep off
received_header off
timeout 20
`, s.port, clientUser, clientPassword, s.is("plain", "user", "on"), s.is("plain", "off", "on"), s.is("stls", "on", "off"), s.ca, s.dir, s.dir))
	s.run(t, "mpop", "-C", conf)
	return s.maildir(t, "mpop")
}

func runFetchmail(t *testing.T, s *stage, how string) (mails []string) {
	security := s.is("plain", `sslproto ""`, s.is("tls", "ssl", `sslproto "TLS1.2+"`))
	uidl := ""
	if strings.Contains(how, "uidl") {
		uidl = "uidl"
	}
	conf := s.write(t, "fetchmailrc", fmt.Sprintf(`
set invisible
set no syslog
set idfile %[1]s/ids
defaults timeout 20
poll localhost proto pop3 port %[2]d %[7]s
  user %[3]q password %[4]q %[5]s %[6]s no rewrite stripcr fetchall sslcertck sslcertfile %[1]s/ca.pem
  mda "sh -c 'cat > %[1]s/mail.$$'"
`, s.dir, s.port, clientUser, clientPassword, security, strings.Fields(how)[0], uidl))
	s.run(t, "fetchmail", "-f", conf, "--nodetach", "--pidfile", s.dir+"/pid", "-v")
	files, _ := filepath.Glob(filepath.Join(s.dir, "mail.*"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		mails = append(mails, string(b))
	}
	return mails
}

func runGetmail(t *testing.T, s *stage) []string {
	for _, sub := range []string{"new", "cur", "tmp"} {
		os.MkdirAll(filepath.Join(s.dir, "getmail", sub), 0o700)
	}
	retriever, extra := "SimplePOP3Retriever", ""
	if s.mode == "tls" {
		retriever, extra = "SimplePOP3SSLRetriever", "ca_certs = "+s.ca
	}
	conf := s.write(t, "getmailrc", fmt.Sprintf(`
[retriever]
type = %s
server = localhost
port = %d
username = %s
password = %s
timeout = 20
%s
[destination]
type = Maildir
path = %s/getmail/
[options]
delete = true
received = false
delivered_to = false
`, retriever, s.port, clientUser, clientPassword, extra, s.dir))
	s.notAsRoot(t)
	s.run(t, "getmail", "--getmaildir", s.dir, "--rcfile", conf)
	return s.maildir(t, "getmail")
}

var muttFields = regexp.MustCompile(`\nContent-Length: \d+\nLines: \d+\n\n`)

// runMutt lets mutt, which wants a terminal, save all messages and leave. It
// adds fields of its own to what it saves.
func runMutt(t *testing.T, s *stage) []string {
	if _, err := exec.LookPath("script"); err != nil {
		missing(t, "script")
	}
	// QUIRK: mutt 2.2 with libgsasl chooses a -PLUS mechanism under TLS, finds
	// that it cannot bind, cancels, and takes the answer to that for the answer
	// to its next attempt.
	authenticators := s.is("plain", "", "pop_authenticators=user")
	conf := s.write(t, "muttrc", fmt.Sprintf(`
set folder=%[1]s mbox_type=Maildir copy=no confirmcreate=no confirmappend=no delete=yes quit=yes
set certificate_file=%[2]s ssl_starttls=%[3]s ssl_force_tls=%[4]s pop_user=%[5]s pop_pass=%[6]s %[7]s
set header_cache="" message_cachedir="" weed=no wait_key=no timeout=1 sleep_time=0
push "<tag-pattern>~A<enter><tag-prefix-cond><save-message>=mutt<enter><end-cond><quit>"
`, s.dir, s.ca, s.is("stls", "yes", "no"), s.is("plain", "no", "yes"), clientUser, clientPassword, authenticators))
	url := fmt.Sprintf("%s://%s@localhost:%d/", s.is("tls", "pops", "pop"), clientUser, s.port)
	s.run(t, "script", "-qec", "env TERM=xterm mutt -n -F "+conf+" -f "+url, "/dev/null")
	mails := s.maildir(t, "mutt")
	for i, mail := range mails {
		mails[i] = muttFields.ReplaceAllString(mail, "\n\n")
	}
	return mails
}
