package peertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
