package peertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// slapdConf is OpenLDAP with one database. A service account may read all but passwords; nobody else reads anything.
const slapdConf = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
include DIR/ad.schema
pidfile DIR/pid
modulepath /usr/lib/ldap
moduleload back_mdb
idletimeout IDLE
sizelimit 500
TLSCACertificateFile DIR/ca.pem
TLSCertificateFile DIR/cert.pem
TLSCertificateKeyFile DIR/key.pem
EXTRA
database mdb
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw admin-secret
directory DIR/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=mail,dc=example,dc=com" read by anonymous auth by * none
`

// adSchema has what of Active Directory's schema examples need, and an attribute for quotas.
const adSchema = `
attributetype ( 1.3.6.1.4.1.99999.1 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.2 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.3 NAME 'mailQuota' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.4 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.99999.10 NAME 'mailThings' SUP top AUXILIARY MAY ( sAMAccountName $ proxyAddresses $ mailQuota $ userPrincipalName ) )
`

const slapdBase = `dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=mail,dc=example,dc=com
objectClass: simpleSecurityObject
objectClass: organizationalRole
cn: mail
userPassword: service-secret

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

`

// Slapd is OpenLDAP's server with the base dc=example,dc=com, whose service account is cn=mail with the password "service-secret".
type Slapd struct {
	URL, SecureURL, SocketURL string
	CAFile                    string // who signed its certificate, which is for localhost and 127.0.0.1

	t         testing.TB
	dir, conf string
	port      string
	listen    string
	p         *process
}

// NewSlapd makes a directory with these entries (LDIF) below the base, and starts its server: as whoever runs the test. Lines of
// conf stand in its configuration; idle is after how many seconds it ends connections that nobody uses, 0 for never.
func NewSlapd(t testing.TB, ldif string, idle int, conf ...string) *Slapd {
	t.Helper()
	for _, program := range []string{"/usr/sbin/slapd", "/usr/bin/ldapmodify"} {
		if _, err := os.Stat(program); err != nil {
			missing(t, "slapd and ldap-utils")
		}
	}
	dir, err := os.MkdirTemp("", "slapd") // the name of a socket has little room
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ca := NewAuthority(t)
	cert := ca.Issue(t, "localhost", "127.0.0.1")
	s := &Slapd{t: t, dir: dir, conf: filepath.Join(dir, "slapd.conf"), port: strconv.Itoa(FreePort(t)), CAFile: filepath.Join(dir, "ca.pem")}
	secure := strconv.Itoa(FreePort(t))
	s.URL, s.SecureURL, s.SocketURL = "ldap://127.0.0.1:"+s.port, "ldaps://127.0.0.1:"+secure, "ldapi://"+dir+"/ldapi"
	s.listen = s.URL + " " + s.SecureURL + " ldapi://" + strings.ReplaceAll(dir+"/ldapi", "/", "%2F")
	text := strings.NewReplacer("DIR", dir, "IDLE", strconv.Itoa(idle), "EXTRA", strings.Join(conf, "\n")).Replace(slapdConf)
	for name, text := range map[string]string{"slapd.conf": text, "ad.schema": adSchema, "ca.pem": ca.PEM, "cert.pem": cert.PEM, "key.pem": cert.KeyPEM, "base.ldif": slapdBase + ldif} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("/usr/sbin/slapadd", "-q", "-f", s.conf, "-l", filepath.Join(dir, "base.ldif")).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	s.Start()
	return s
}

// Start starts the server, which was killed.
func (s *Slapd) Start() {
	s.t.Helper()
	s.p = run(s.t, "", "/usr/sbin/slapd", "-f", s.conf, "-h", s.listen, "-d", "stats")
	s.p.awaitPort(s.t, "127.0.0.1:"+s.port)
}

// Kill ends the server.
func (s *Slapd) Kill() { s.p.stop() }

// Freeze has the server do nothing until Thaw, and keep all connections.
func (s *Slapd) Freeze() {
	s.t.Helper()
	s.p.cmd.Process.Signal(freeze)
	Await(s.t, "slapd to stand still", func() bool {
		// Each thread of its own is stopped a little later.
		tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(s.p.cmd.Process.Pid) + "/task/*/stat")
		for _, task := range tasks {
			if text, _ := os.ReadFile(task); !strings.Contains(string(text), ") T ") {
				return false
			}
		}
		return true
	})
}

// Thaw has it go on.
func (s *Slapd) Thaw() { s.p.cmd.Process.Signal(thaw) }

// Log is what the server has said since it was started.
func (s *Slapd) Log() string { return s.p.out.String() }

// Change makes changes (LDIF) as the administrator.
func (s *Slapd) Change(ldif string) {
	s.t.Helper()
	c := exec.Command("/usr/bin/ldapmodify", "-x", "-H", s.URL, "-D", "cn=admin,dc=example,dc=com", "-w", "admin-secret")
	c.Stdin = strings.NewReader(ldif)
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("ldapmodify: %v\n%s", err, out)
	}
}
