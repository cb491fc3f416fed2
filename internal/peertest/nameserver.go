package peertest

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Updater is a key that may change the zones of an NameServer.
type Updater struct{ Name, Algorithm, Secret string }

// NameServer is a Knot that serves zones, signs them itself, and takes updates.
type NameServer struct {
	Address string // "192.0.2.53:53"
	name    string // of the server, absolute
	process *process
}

const nameServerConf = `
server:
    rundir: "/run"
    user: root:root
    listen: HOST@PORT
log:
  - target: stderr
    any: info
database:
    storage: "/tmp/db"
policy:
  - id: online
    algorithm: ecdsap256sha256
    single-type-signing: on
KEYS
template:
  - id: default
    storage: "/tmp/zones"
    file: "%s.zone"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: changes
    dnssec-policy: online
    ACL
zone:
`

// ServeZones serves zones at an address, "" for a free port of the loopback
// interface. The records of each begin with its SOA and an NS of the name "ns."
// in the first zone; all the rest is Zone.Records. updater, where it is not nil,
// may change them.
func ServeZones(t testing.TB, address string, updater *Updater, zones ...Zone) *NameServer {
	t.Helper()
	dir := root(t)
	if address == "" {
		address = fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	keys, acl := "", ""
	if u := updater; u != nil {
		keys = fmt.Sprintf("key:\n  - id: %s\n    algorithm: %s\n    secret: %s\nacl:\n  - id: updater\n    key: %[1]s\n    action: update\n", u.Name, u.Algorithm, u.Secret)
		acl = "acl: updater"
	}
	a := &NameServer{Address: address, name: "ns." + zones[0].Name + "."}
	text := strings.NewReplacer("HOST", host, "PORT", port, "KEYS", keys, "ACL", acl).Replace(nameServerConf)
	mkdir(t, filepath.Join(dir, "tmp/db"), 0o755, 0)
	mkdir(t, filepath.Join(dir, "tmp/zones"), 0o755, 0)
	for i, z := range zones {
		sign := "on"
		if z.Unsigned || !z.Signed.IsZero() {
			sign = "off"
		}
		text += fmt.Sprintf("  - domain: %s\n    dnssec-signing: %s\n", z.Name, sign)
		records := fmt.Sprintf("$ORIGIN %s.\n$TTL 60\n@ SOA %s postmaster 1 3600 600 86400 60\n@ NS %[2]s\n", z.Name, a.name)
		if i == 0 {
			kind := "A"
			if strings.Contains(host, ":") {
				kind = "AAAA"
			}
			records += fmt.Sprintf("ns %s %s\n", kind, host)
		}
		file := filepath.Join(dir, "tmp/zones", z.Name+".zone")
		write(t, file, records+z.Records+"\n", 0o644, 0)
		if !z.Signed.IsZero() {
			write(t, file, z.signedOnce(t, dir, records+z.Records+"\n"), 0o644, 0)
		}
	}
	write(t, filepath.Join(dir, "tmp/knot.conf"), text, 0o644, 0)
	a.process = run(t, dir, "/usr/sbin/knotd", "-c", "/tmp/knot.conf")
	a.process.awaitPort(t, address)
	for _, z := range zones {
		Await(t, "the zone "+z.Name, func() bool {
			return len(a.Ask(t, z.Name, dns.TypeSOA)) > 0 && (z.Unsigned || len(a.DS(t, z.Name)) > 0)
		})
	}
	return a
}

// signedOnce is the text of a zone with signatures of a week from Signed on, which
// nobody renews.
func (z *Zone) signedOnce(t testing.TB, dir, text string) string {
	t.Helper()
	for _, name := range []string{"kasp", "plain", "signed"} {
		mkdir(t, filepath.Join(dir, "tmp", name), 0o755, 0)
	}
	write(t, filepath.Join(dir, "tmp/plain", z.Name+".zone"), text, 0o644, 0)
	conf := strings.NewReplacer("PORT", "53", "STORAGE", "plain", "SIGN", "on").Replace(knotConf)
	write(t, filepath.Join(dir, "tmp/sign.conf"), conf+"  - domain: "+z.Name+"\n", 0o644, 0)
	z.sign(t, dir)
	return read(filepath.Join(dir, "tmp/signed", z.Name+".zone"))
}

// Ask returns what the server has at a name of one type.
func (a *NameServer) Ask(t testing.TB, name string, kind uint16) []dns.RR {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), kind)
	m, _, err := (&dns.Client{Net: "tcp", Timeout: patience}).Exchange(q, a.Address)
	if err != nil {
		t.Fatalf("ask %s for %s: %v\n%s", a.Address, name, err, a.process.out.String())
	}
	return m.Answer
}

// DS are the DS records of a signed zone, for the zone above it.
func (a *NameServer) DS(t testing.TB, zone string) (all []string) {
	t.Helper()
	for _, rr := range a.Ask(t, zone, dns.TypeDNSKEY) {
		if key, ok := rr.(*dns.DNSKEY); ok {
			all = append(all, strings.ReplaceAll(key.ToDS(dns.SHA256).String(), "\t", " "))
		}
	}
	return all
}

// Delegation are the lines in the zone above that lead to a zone of the server's.
func (a *NameServer) Delegation(t testing.TB, zone string) string {
	t.Helper()
	return fmt.Sprintf("%s. NS %s\n%s\n", zone, a.name, strings.Join(a.DS(t, zone), "\n"))
}

// Glue is the address of the server's own name, for the zone above that.
func (a *NameServer) Glue() string {
	host, _, _ := net.SplitHostPort(a.Address)
	kind := "A"
	if strings.Contains(host, ":") {
		kind = "AAAA"
	}
	return fmt.Sprintf("%s %s %s\n", a.name, kind, host)
}

// Recursor runs an Unbound that resolves names below the zones of these servers, and
// returns its address. It validates them with the keys those have, or not at all.
func Recursor(t testing.TB, address string, validating bool, tops map[string]*NameServer) string {
	t.Helper()
	dir := root(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("interface: 127.0.0.1", "interface: "+host, "PORT", port, "127.0.0.0/8 allow", "0.0.0.0/0 allow", "do-ip6: no", "do-ip6: yes").Replace(unboundConf)
	stubs := ""
	for zone, a := range tops {
		at, atPort, _ := net.SplitHostPort(a.Address)
		text += fmt.Sprintf("server:\n    local-zone: \"%s.\" nodefault\n", zone)
		for _, ds := range a.DS(t, zone) {
			if !validating {
				break
			}
			text += fmt.Sprintf("    trust-anchor: '%s'\n", ds)
		}
		stubs += fmt.Sprintf("stub-zone:\n    name: %s\n    stub-addr: %s@%s\n", zone, at, atPort)
	}
	write(t, filepath.Join(dir, "tmp/unbound.conf"), text+stubs, 0o644, 0)
	run(t, dir, "/usr/sbin/unbound", "-c", "/tmp/unbound.conf").awaitPort(t, address)
	return address
}
