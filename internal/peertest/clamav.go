package peertest

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Virus is what the signature of a ClamAV of these tests knows, by the name VirusName.
const (
	Virus     = "This line is all that a virus of Postrider's tests consists of"
	VirusName = "Postrider.Test"
)

// ClamAV is a clamav-milter with a clamd behind it, which know one virus.
type ClamAV struct {
	Address string // of the milter, as in Verify.Milters
	t       testing.TB
	dir     string
	clamd   []string
	daemon  *process
	// Kill ends the milter.
	Kill func()
}

// NewClamAV starts Debian's clamav-milter, as an ordinary user; its clamd is not there yet. settings are those of the milter as Debian has
// them, with sockets in /run/clamav, in whose place a folder of the test is.
func NewClamAV(t testing.TB, settings string) *ClamAV {
	t.Helper()
	dir, milter := ordinary(t, "/usr/sbin/clamav-milter")
	_, clamd := ordinary(t, "/usr/sbin/clamd")
	c := &ClamAV{Address: "unix:" + filepath.Join(dir, "clamav-milter.ctl"), t: t, dir: dir, clamd: clamd}
	db := filepath.Join(dir, "db")
	if err := os.Mkdir(db, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(db, "test.ndb"), fmt.Sprintf("%s:0:*:%s\n", VirusName, hex.EncodeToString([]byte(Virus))), 0o644, os.Getuid())
	write(t, filepath.Join(dir, "clamd.conf"), fmt.Sprintf("DatabaseDirectory %s\nLocalSocket %s/clamd.ctl\nTemporaryDirectory %[2]s\nForeground yes\nSelfCheck 0\nMaxThreads 2\n", db, dir), 0o644, os.Getuid())
	config := filepath.Join(dir, "milter.conf")
	write(t, config, strings.ReplaceAll(settings, "/run/clamav/", dir+"/")+"\nTemporaryDirectory "+dir+"\nForeground yes\nReportHostname clam.test\n", 0o644, os.Getuid())
	p := run(t, "", milter[0], append(milter[1:], "--config-file="+config)...)
	t.Cleanup(p.kill)
	p.awaitSocket(t, filepath.Join(dir, "clamav-milter.ctl"))
	c.Kill = p.kill
	return c
}

// Start starts clamd and waits until it has read its signatures.
func (c *ClamAV) Start() {
	c.t.Helper()
	c.daemon = run(c.t, "", c.clamd[0], append(c.clamd[1:], "--config-file="+filepath.Join(c.dir, "clamd.conf"))...)
	c.t.Cleanup(c.daemon.kill)
	c.daemon.awaitSocket(c.t, filepath.Join(c.dir, "clamd.ctl"))
}

// Stop ends clamd, which leaves its socket where it was.
func (c *ClamAV) Stop() { c.daemon.kill() }
