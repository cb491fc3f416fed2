package peertest

import (
	"path/filepath"
	"testing"
)

// peerID is the user "peer" of .ci/peers, who owns mailboxes; eximID is the
// user Exim runs as.
const (
	peerID = 904
	eximID = 901
)

const eximConf = `
primary_hostname = exim.test
local_interfaces = IP
daemon_smtp_ports = PORT
log_file_path = /var/log/exim4/%slog
disable_ipv6 = true
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
message_size_limit = 32M
smtp_accept_max = 50
smtp_accept_queue_per_connection = 0
tls_advertise_hosts = *
tls_certificate = /etc/exim4/cert.pem
tls_privatekey = /etc/exim4/key.pem
dsn_advertise_hosts = *
prdr_enable = true
acl_smtp_rcpt = rcpt

begin acl
rcpt:
  defer  domains = EACH(DOMAIN)
         local_parts = grey
         condition = ${if !exists{/tmp/welcome}}
         message = Greylisted, come back later
  accept domains = EACH(DOMAIN)
         local_parts = box : second : grey
  deny   domains = EACH(DOMAIN)
         message = No such user
  accept hosts = 127.0.0.0/8
  deny   message = relay not permitted

begin routers
here:
  driver = accept
  domains = EACH(DOMAIN)
  local_parts = box : second : grey
  transport = maildir
away:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = onward

begin transports
maildir:
  driver = appendfile
  directory = /home/peer/$local_part_data
  maildir_format
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add
  user = peer
  group = peer
onward:
  driver = smtp
  port = RELAY
  allow_localhost

begin retry
* * F,1h,1s

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{user}}{eq{$auth3}{correct horse}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if and{{eq{$auth1}{user}}{eq{$auth2}{correct horse}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${if eq{$auth1}{user}{correct horse}fail}
  server_set_id = $auth1
`

// Exim starts Exim.
func Exim(t testing.TB, o Options) *MTA {
	t.Helper()
	dir := root(t)
	m := &MTA{Name: "Exim", mail: filepath.Join(dir, "home/peer")}
	etc := filepath.Join(dir, "etc/exim4")
	write(t, filepath.Join(etc, "exim4.conf"), m.settings(t, o, eximConf, " : "), 0o644, 0)
	write(t, filepath.Join(etc, "cert.pem"), o.Cert.PEM, 0o644, 0)
	write(t, filepath.Join(etc, "key.pem"), o.Cert.KeyPEM, 0o600, eximID)
	m.logs = func() string {
		logs := filepath.Join(dir, "var/log/exim4")
		return read(filepath.Join(logs, "mainlog")) + read(filepath.Join(logs, "paniclog"))
	}
	m.welcome = func() { write(t, filepath.Join(dir, "tmp/welcome"), "", 0o644, 0) }
	return started(t, m, run(t, dir, "/usr/sbin/exim4", "-bdf", "-q1s"))
}
