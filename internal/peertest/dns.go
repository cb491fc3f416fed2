package peertest

import (
	"crypto/rand"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Zone is a zone of the DNS.
type Zone struct {
	// Name is its apex, without a final dot.
	Name string
	// Records are its lines in the master format, relative to the apex, but
	// for SOA and NS.
	Records string
	// Unsigned zones have no DNSSEC, and nothing above them says they should.
	Unsigned bool
	// Signed is when it was signed, for a week; now where zero.
	Signed time.Time
	// Tamper changes the text of the zone after it was signed.
	Tamper func(text string) string
}

const knotConf = `
server:
    rundir: "/run"
    user: root:root
    listen: 127.0.0.1@PORT
log:
  - target: stderr
    any: info
database:
    storage: "/tmp/kasp"
policy:
  - id: week
    algorithm: ecdsap256sha256
    single-type-signing: on
    rrsig-lifetime: 7d
    rrsig-refresh: 1d
template:
  - id: default
    storage: "/tmp/STORAGE"
    file: "%s.zone"
    dnssec-signing: SIGN
    dnssec-policy: week
zone:
`

const unboundConf = `
server:
    interface: 127.0.0.1
    port: PORT
    do-daemonize: no
    chroot: ""
    username: ""
    pidfile: ""
    directory: "/tmp"
    use-syslog: no
    verbosity: 1
    val-log-level: 2
    do-ip6: no
    num-threads: 1
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    local-zone: "test." nodefault
    module-config: "validator iterator"
remote-control:
    control-enable: no
`

// DNS serves zones with Knot, after its own tool has signed them, and returns
// the address of an Unbound that resolves and validates them. Its trust anchors
// are the keys of the signed zones.
func DNS(t testing.TB, zones ...Zone) (resolver string) {
	t.Helper()
	dir := root(t)
	authority, cache := FreePort(t), FreePort(t)
	conf := func(storage, sign string) string {
		text := strings.NewReplacer("PORT", fmt.Sprint(authority), "STORAGE", storage, "SIGN", sign).Replace(knotConf)
		for _, z := range zones {
			text += "  - domain: " + z.Name + "\n"
		}
		return text
	}
	for _, name := range []string{"kasp", "plain", "signed"} {
		mkdir(t, filepath.Join(dir, "tmp", name), 0o755, 0)
	}
	write(t, filepath.Join(dir, "tmp/sign.conf"), conf("plain", "on"), 0o644, 0)
	write(t, filepath.Join(dir, "tmp/serve.conf"), conf("signed", "off"), 0o644, 0)
	unbound := strings.ReplaceAll(unboundConf, "PORT", fmt.Sprint(cache))
	stubs := ""
	for _, z := range zones {
		for _, anchor := range z.publish(t, dir) {
			unbound += fmt.Sprintf("server:\n    trust-anchor: '%s'\n", strings.ReplaceAll(anchor, "\t", " "))
		}
		stubs += fmt.Sprintf("stub-zone:\n    name: %s\n    stub-addr: 127.0.0.1@%d\n", z.Name, authority)
	}
	write(t, filepath.Join(dir, "tmp/unbound.conf"), unbound+stubs, 0o644, 0)
	run(t, dir, "/usr/sbin/knotd", "-c", "/tmp/serve.conf").awaitPort(t, fmt.Sprintf("127.0.0.1:%d", authority))
	resolver = fmt.Sprintf("127.0.0.1:%d", cache)
	run(t, dir, "/usr/sbin/unbound", "-c", "/tmp/unbound.conf").awaitPort(t, resolver)
	return resolver
}

// publish writes and signs the zone, and returns the keys it is signed with.
func (z *Zone) publish(t testing.TB, dir string) (keys []string) {
	t.Helper()
	text := fmt.Sprintf("$ORIGIN %s.\n$TTL 60\n@ SOA ns postmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n%s\n", z.Name, z.Records)
	signed := filepath.Join(dir, "tmp/signed", z.Name+".zone")
	if z.Unsigned {
		write(t, signed, text, 0o644, 0)
		return nil
	}
	write(t, filepath.Join(dir, "tmp/plain", z.Name+".zone"), text, 0o644, 0)
	z.sign(t, dir)
	text = read(signed)
	p := dns.NewZoneParser(strings.NewReader(text), dns.Fqdn(z.Name), "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		if key, ok := rr.(*dns.DNSKEY); ok {
			keys = append(keys, key.String())
		}
	}
	if err := p.Err(); err != nil || len(keys) == 0 {
		t.Fatalf("no keys in %s: %v\n%s", z.Name, err, text)
	}
	if z.Tamper != nil {
		changed := z.Tamper(text)
		if changed == text {
			t.Fatalf("nothing to tamper with in\n%s", text)
		}
		write(t, signed, changed, 0o644, 0)
	}
	return keys
}

// sign makes tmp/signed/NAME.zone of tmp/plain/NAME.zone.
func (z *Zone) sign(t testing.TB, dir string) {
	t.Helper()
	args := []string{"-c", "/tmp/sign.conf", "-o", "/tmp/signed"}
	if !z.Signed.IsZero() {
		args = append(args, "-t", fmt.Sprint(z.Signed.Unix()))
	}
	cmd := exec.Command("/usr/bin/kzonesign", append(args, z.Name)...)
	cmd.Path, cmd.Err, cmd.Dir = "/usr/bin/kzonesign", nil, "/"
	cmd.SysProcAttr = below(dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sign %s: %v: %s", z.Name, err, out)
	}
}

// LoopbackIP returns an address of the loopback interface that nobody uses for
// these TCP ports, so that a test can have a host of its own with well-known
// ports.
func LoopbackIP(t testing.TB, ports ...int) string {
	t.Helper()
	needRoot(t)
next:
	for range 100 {
		var b [3]byte
		rand.Read(b[:])
		ip := net.IPv4(127, b[0]|1, b[1], b[2]&0x7f|2).String()
		for _, port := range ports {
			l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, port))
			if err != nil {
				continue next
			}
			l.Close()
		}
		return ip
	}
	t.Fatalf("no loopback address with ports %v free", ports)
	return ""
}
