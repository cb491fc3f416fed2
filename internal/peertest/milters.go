package peertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Authenticators starts OpenDKIM and OpenDMARC, which check what a Postfix is brought and refuse
// what DMARC is against, and returns their addresses, in the order in which they are asked.
// resolver is the IP address of the DNS they ask, on port 53; key is the record of a DKIM key and keyName its
// name, which OpenDKIM is told, as its own resolver knows nothing below "test".
func Authenticators(t testing.TB, resolver, keyName, key string) (milters []string) {
	t.Helper()
	needRoot(t)
	dir, err := os.MkdirTemp("", "auth")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// OpenDMARC knows its resolver from one file only, and gets one of its own. Both take
	// loopback for hosts of their own unless told otherwise.
	write(t, filepath.Join(dir, "resolv.conf"), "nameserver "+resolver+"\n", 0o644, 0)
	write(t, filepath.Join(dir, "others"), "203.0.113.1\n", 0o644, 0)
	write(t, filepath.Join(dir, "keys"), keyName+" "+key+"\n", 0o644, 0)
	for _, m := range []struct{ program, flag, text string }{
		{"/usr/sbin/opendkim", "-x", "Mode v\nSocket inet:%d@127.0.0.1\nAuthservID postfix.test\nInternalHosts %[2]s/others\nTestDNSData file:%[2]s/keys\nSyslog no\nUserID root\nPidFile %[2]s/%[1]d.pid\nOn-BadSignature accept\n"},
		{"/usr/sbin/opendmarc", "-c", "Socket inet:%d@127.0.0.1\nAuthservID postfix.test\nTrustedAuthservIDs postfix.test\nIgnoreHosts %[2]s/others\nSPFSelfValidate true\nSPFIgnoreResults true\nRejectFailures true\nSyslog false\nPidFile %[2]s/%[1]d.pid\n"},
	} {
		if _, err := exec.LookPath(m.program); err != nil {
			missing(t, m.program)
		}
		port := FreePort(t)
		config := filepath.Join(dir, filepath.Base(m.program)+".conf")
		write(t, config, fmt.Sprintf(m.text, port, dir), 0o644, 0)
		p := run(t, "", "/usr/bin/unshare", "--mount", "/bin/sh", "-c", `mount --bind "$1" /etc/resolv.conf && exec "$2" -f "$3" "$4"`,
			"sh", filepath.Join(dir, "resolv.conf"), m.program, m.flag, config)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		p.awaitPort(t, addr)
		milters = append(milters, addr)
	}
	return milters
}

// ordinary is how a program is started that shall not be root, with a folder of its own; the path of a socket in there is short.
func ordinary(t testing.TB, program string) (dir string, command []string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing(t, program)
	}
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if os.Getuid() != 0 {
		return dir, []string{program}
	}
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return dir, []string{"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program}
}

// awaitSocket waits until somebody listens at the path of a Unix socket.
func (p *process) awaitSocket(t testing.TB, path string) {
	t.Helper()
	Await(t, "a server at "+path, func() bool {
		select {
		case <-p.ended:
			t.Fatalf("%s ended:\n%s", p.cmd.Path, p.out.String())
		default:
		}
		c, err := net.Dial("unix", path)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// kill ends a program that has nothing to put in order; libmilter takes five seconds to end when it is asked.
func (p *process) kill() {
	signal(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// OpenDKIM starts one that checks signatures and says in a field what it found. key is the record of a DKIM key and keyName its name. address
// is where it listens, as in Verify.Milters.
func OpenDKIM(t testing.TB, keyName, key string) (address string) {
	t.Helper()
	dir, command := ordinary(t, "/usr/sbin/opendkim")
	write(t, filepath.Join(dir, "keys"), keyName+" "+key+"\n", 0o644, os.Getuid())
	socket := filepath.Join(dir, "s")
	config := filepath.Join(dir, "conf")
	write(t, config, fmt.Sprintf("Mode v\nSocket local:%s\nAuthservID dkim.test\nInternalHosts 203.0.113.1\nTestDNSData file:%s/keys\nSyslog no\nRemoveARAll yes\nAlwaysAddARHeader yes\n", socket, dir), 0o644, os.Getuid())
	p := run(t, "", command[0], append(command[1:], "-f", "-x", config)...)
	t.Cleanup(p.kill)
	p.awaitSocket(t, socket)
	return "unix:" + socket
}

// libmilter is a milter on sendmail's library that does what fields X-Do of a message say, and refuses recipients that are called "refused".
const libmilter = `
import Milter, sys
class M(Milter.Base):
    def hello(self, name): self.helo = name; return Milter.CONTINUE
    def envfrom(self, f, *rest): self.do, self.size, self.fields, self.rcpt = [], 0, 0, []; return Milter.CONTINUE
    def envrcpt(self, to, *rest):
        if to.startswith('<refused'): self.setreply('550', '5.1.1', 'not this one'); return Milter.REJECT
        if to.startswith('<later'): return Milter.TEMPFAIL
        self.rcpt.append(to); return Milter.CONTINUE
    def header(self, name, value):
        self.fields += 1
        if name == 'X-Do': self.do.append(value)
        return Milter.CONTINUE
    def body(self, chunk): self.size += len(chunk); return Milter.CONTINUE
    def eom(self):
        end = Milter.CONTINUE
        for do in self.do:
            what, _, rest = do.partition(' ')
            if what == 'add': self.addheader(*rest.split(': ', 1))
            elif what == 'insert': self.addheader(*rest.split(': ', 1), 0)
            elif what == 'change': name, value = rest.split(': ', 1); self.chgheader(name, 1, value)
            elif what == 'remove': self.chgheader(rest, 1, '')
            elif what == 'tell': self.addheader('X-Told', '%s %d fields, %d octets, %s, i=%s' % (self.helo, self.fields, self.size, ' '.join(self.rcpt), self.getsymval('i')))
            elif what == 'body': self.replacebody('mine\r\n' * 50000)
            elif what == 'to': self.addrcpt('<alice@mail.test>')
            elif what == 'not': self.delrcpt('<bob@mail.test>')
            elif what == 'from': self.chgfrom('<x@far.test>')
            elif what == 'quarantine': self.quarantine(rest)
            elif what == 'progress': self.progress()
            elif what == 'reply': self.setreply('554', '5.7.1', rest.replace('%', '%%')); end = Milter.REJECT
            elif what == 'lines': self.setreply('554', '5.7.1', 'one', 'two'); end = Milter.REJECT
            elif what == 'reject': end = Milter.REJECT
            elif what == 'tempfail': end = Milter.TEMPFAIL
            elif what == 'discard': end = Milter.DISCARD
        return end
Milter.factory = M
Milter.set_flags(Milter.CHGBODY + Milter.CHGHDRS + Milter.ADDHDRS + Milter.ADDRCPT + Milter.DELRCPT + Milter.CHGFROM + Milter.QUARANTINE)
Milter.runmilter('test', sys.argv[1], 60)
`

// Libmilter starts a milter on sendmail's library, by Python's package for it. What a message's fields X-Do say stands above.
func Libmilter(t testing.TB) (address string, kill func()) {
	t.Helper()
	dir, command := ordinary(t, "/usr/bin/python3")
	if exec.Command("/usr/bin/python3", "-c", "import Milter").Run() != nil {
		missing(t, "python3-milter")
	}
	script, socket := filepath.Join(dir, "m.py"), filepath.Join(dir, "s")
	write(t, script, libmilter, 0o644, os.Getuid())
	p := run(t, "", command[0], append(command[1:], script, "local:"+socket)...)
	t.Cleanup(p.kill)
	p.awaitSocket(t, socket)
	return "unix:" + socket, p.kill
}
