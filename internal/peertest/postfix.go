package peertest

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// nobodyID owns the mailboxes; Postfix refuses to deliver as root.
const nobodyID = 65534

const postfixMain = `
compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/data
maillog_file = DIR/log
maillog_file_prefixes = DIR
myhostname = postfix.test
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtp_host_lookup = native
relayhost = [127.0.0.1]:RELAY
smtp_tls_security_level = may
smtpd_tls_security_level = may
smtpd_tls_cert_file = DIR/cert.pem
smtpd_tls_key_file = DIR/key.pem
smtpd_discard_ehlo_keywords =
smtpd_recipient_restrictions =
    check_recipient_access inline:{{grey@peer.test = 451 4.7.1 Greylisted, come back later}},
    permit_mynetworks, reject_unauth_destination
virtual_mailbox_domains = EACH(DOMAIN)
virtual_mailbox_maps = inline:{EACH(box@DOMAIN=box/), second@peer.test=second/, grey@peer.test=grey/}
virtual_mailbox_base = DIR/mail
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_mailbox_limit = 0
message_size_limit = 33554432
smtpd_error_sleep_time = 0
minimal_backoff_time = 1s
queue_run_delay = 1s
`

// One smtpd for each connection, so that a change of main.cf is seen by the next.
const postfixMaster = `
IP:PORT inet n - n - - smtpd -o max_use=1
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
`

// Postfix starts the installed Postfix on settings of its own.
func Postfix(t testing.TB, o Options) *MTA {
	t.Helper()
	const program = "/usr/lib/postfix/sbin/master"
	if _, err := exec.LookPath(program); err != nil {
		missing(t, "Postfix")
	}
	needRoot(t)
	// Its sockets have long names, so the directory's is short.
	dir, err := os.MkdirTemp("", "pf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	mkdir(t, dir, 0o755, 0)
	postfixDirs(t, dir)
	mkdir(t, filepath.Join(dir, "mail"), 0o755, nobodyID)
	m := &MTA{Name: "Postfix", mail: filepath.Join(dir, "mail")}
	const cut = "\n# master.cf"
	text := strings.ReplaceAll(m.settings(t, o, postfixMain+cut+postfixMaster, ", "), "DIR", dir)
	main, master, _ := strings.Cut(text, cut)
	for i, m := range o.Milters {
		o.Milters[i] = "inet:" + m
	}
	if len(o.Milters) > 0 {
		main += "smtpd_milters = " + strings.Join(o.Milters, ", ") + "\nmilter_default_action = tempfail\n"
	}
	write(t, filepath.Join(dir, "main.cf"), main, 0o644, 0)
	write(t, filepath.Join(dir, "master.cf"), master, 0o644, 0)
	write(t, filepath.Join(dir, "cert.pem"), o.Cert.PEM, 0o644, 0)
	write(t, filepath.Join(dir, "key.pem"), o.Cert.KeyPEM, 0o600, 0)
	m.logs = func() string { return read(filepath.Join(dir, "log")) }
	m.welcome = func() {
		open := strings.Replace(main, "grey@peer.test = 451 4.7.1 Greylisted, come back later", "x@peer.test = OK", 1)
		write(t, filepath.Join(dir, "main.cf"), open, 0o644, 0)
	}
	m.hurry = func() {
		if out, err := exec.Command("/usr/sbin/postqueue", "-c", dir, "-f").CombinedOutput(); err != nil {
			t.Errorf("postqueue: %v: %s", err, out)
		}
	}
	// The master closes every descriptor it could have, of which a container
	// may allow a thousand million.
	return started(t, m, run(t, "", "/bin/sh", "-c", `ulimit -n 1000; exec "$0" "$@"`, program, "-c", dir, "-d"))
}

// postfixDirs makes what "postfix start" would, whose shell scripts take three
// seconds and leave the master in a session of its own.
func postfixDirs(t testing.TB, dir string) {
	t.Helper()
	owner, err := user.Lookup("postfix")
	if err != nil {
		missing(t, "the user postfix")
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		t.Fatal(err)
	}
	mkdir(t, filepath.Join(dir, "data"), 0o700, uid)
	mkdir(t, filepath.Join(dir, "queue"), 0o755, 0)
	mkdir(t, filepath.Join(dir, "queue/pid"), 0o755, 0)
	for _, name := range strings.Fields("active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace") {
		mkdir(t, filepath.Join(dir, "queue", name), 0o700, uid)
	}
}
