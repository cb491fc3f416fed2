package peertest

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every mail server here takes mail for box, second and grey at this domain,
// puts off grey with 451 until Welcome is called, and refuses every other name
// there. Mail for other domains, sent from this machine, it relays.
const (
	Domain = "peer.test"
	Box    = "box@peer.test"
	Second = "second@peer.test"
	Grey   = "grey@peer.test"
	Nobody = "nobody@peer.test"
)

// User and Password log in where a server has AUTH (Exim).
const (
	User     = "user"
	Password = "correct horse"
)

// Options of a mail server.
type Options struct {
	// Cert is what it shows; it should be for 127.0.0.1.
	Cert Certificate
	// RelayPort is where on 127.0.0.1 it sends mail for other domains.
	RelayPort int
	// IP is the address it listens on, 127.0.0.1 where empty; Port is a free
	// one where zero.
	IP   string
	Port int
	// Milters are the addresses of filters that see each message (Postfix).
	Milters []string
	// Domains are further domains in which there is a box.
	Domains []string
}

// MTA is a mail server that runs.
type MTA struct {
	Name string
	Port int
	// Addr is its address and port, for Dial.
	Addr string
	// BrokenTLS: it offers STARTTLS, and the handshake always fails.
	BrokenTLS bool

	t       testing.TB
	mail    string // a Maildir for each local part is below it
	logs    func() string
	welcome func()
	hurry   func()
}

// Servers are the functions that start each kind.
func Servers() map[string]func(testing.TB, Options) *MTA {
	return map[string]func(testing.TB, Options) *MTA{"Postfix": Postfix, "Exim": Exim, "OpenSMTPD": OpenSMTPD}
}

// settings fills what is the same for all into a server's settings: its address
// and port, where to relay to, and each of the domains, of which the text
// "EACH(...)" is repeated with DOMAIN for each.
func (m *MTA) settings(t testing.TB, o Options, text, separator string) string {
	t.Helper()
	ip := cmp.Or(o.IP, "127.0.0.1")
	if m.Port = o.Port; m.Port == 0 {
		m.Port = FreePort(t)
	}
	m.Addr = net.JoinHostPort(ip, strconv.Itoa(m.Port))
	text = each.ReplaceAllStringFunc(text, func(part string) string {
		part = each.FindStringSubmatch(part)[1]
		var all []string
		for _, d := range append([]string{Domain}, o.Domains...) {
			all = append(all, strings.ReplaceAll(part, "DOMAIN", d))
		}
		return strings.Join(all, separator)
	})
	return strings.NewReplacer("IP", ip, "PORT", strconv.Itoa(m.Port), "RELAY", strconv.Itoa(o.RelayPort)).Replace(text)
}

var each = regexp.MustCompile(`EACH\(([^)]*)\)`)

// started is the common end of starting a server: it is known by its port, and
// if the test fails its log is shown.
func started(t testing.TB, m *MTA, p *process) *MTA {
	t.Helper()
	m.t = t
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of %s:\n%s", m.Name, m.logs())
		}
	})
	p.awaitPort(t, m.Addr)
	return m
}

// Welcome lets the grey recipient in from now on.
func (m *MTA) Welcome() { m.welcome() }

// Hurry has the server try what waits in its queue, whatever time it has set
// itself for that. Postfix, where it looks at a message again whose last attempt
// is not over, as on a busy machine, lets it rest for minutes. The others keep
// the second that they are told.
func (m *MTA) Hurry() {
	if m.hurry != nil {
		m.hurry()
	}
}

// Received waits until n messages are in the mailbox of an address and returns
// them, in no order, with LF lines as they are stored.
func (m *MTA) Received(address string, n int) []string {
	m.t.Helper()
	local, _, _ := strings.Cut(address, "@")
	var files []string
	Await(m.t, fmt.Sprintf("%d messages for %s in %s", n, address, m.Name), func() bool {
		files, _ = filepath.Glob(filepath.Join(m.mail, local, "new", "*"))
		return len(files) >= n
	})
	var all []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

// tracing are the fields that servers put on top of a message.
var tracing = []string{"return-path", "delivered-to", "x-original-to", "envelope-to", "delivery-date", "received"}

var field = regexp.MustCompile(`^([!-9;-~]+):.*\n(?:[ \t].*\n)*`)

// Untraced takes the trace fields off the top of a message and returns them, by
// their names, and what is below. Lines end in LF or CRLF.
func Untraced(message string) (names []string, rest string) {
	for {
		m := field.FindStringSubmatch(message)
		if m == nil || !slices.Contains(tracing, strings.ToLower(m[1])) {
			return names, message
		}
		names = append(names, m[1])
		message = message[len(m[0]):]
	}
}

// read returns a file's text, "" where there is none.
func read(name string) string {
	text, _ := os.ReadFile(name)
	return string(text)
}
