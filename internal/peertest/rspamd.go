package peertest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rspamdConf is rspamd with nothing but its test patterns, that asks no DNS.
const rspamdConf = `
options { filters = ""; enable_test_patterns = true; tempdir = "DIR"; cache_file = "DIR/cache"; control_socket = "DIR/control mode=0600";
	dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; } }
logging { type = "console"; level = "warning"; }
actions { reject = 15; add_header = 6; greylist = 4; }
worker "normal" { bind_socket = "127.0.0.1:PORT"; count = 1; }
`

// What rspamd's test patterns ask for, each a line of a message's body.
const (
	RspamdRejects = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
	RspamdMarks   = "YJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
)

// Rspamd starts the installed rspamd, and returns the URL of its worker and what ends it.
func Rspamd(t testing.TB) (url string, kill func()) {
	t.Helper()
	program, err := exec.LookPath("rspamd")
	if err != nil {
		missing(t, "rspamd")
	}
	needRoot(t)
	dir, port := t.TempDir(), FreePort(t)
	conf := filepath.Join(dir, "rspamd.conf")
	text := strings.NewReplacer("DIR", dir, "PORT", strconv.Itoa(port)).Replace(rspamdConf)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p := run(t, "", program, "-c", conf, "-f", "-i")
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p.awaitPort(t, addr)
	return "http://" + addr, p.stop
}
