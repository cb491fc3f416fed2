package daemon

import (
	"net"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/service"
)

// bound is a listener that is no more than its address.
type bound struct {
	net.Listener
	addr net.Addr
}

func (b bound) Addr() net.Addr { return b.addr }

// TestAssign: a socket goes to the listener of its name or its address, and to no
// other; what is left over on either side is named.
func TestAssign(t *testing.T) {
	for _, c := range []struct {
		name      string
		sockets   string // name=address
		listeners string // address, or address=name
		want      string // listener→name, or the error
	}{
		{"nothing passed", "", ":25", ""},
		{"by address", "a=127.0.0.1:25 b=[::1]:25", "127.0.0.1:25 [::1]:25", "127.0.0.1:25→a [::1]:25→b"},
		{"one unit, one name", "p.socket=[::]:25 p.socket=[::]:587", ":25 :587", ":25→p.socket :587→p.socket"},
		{"all addresses", "a=0.0.0.0:25 b=[::]:110", ":25 0.0.0.0:110", ":25→a 0.0.0.0:110→b"},
		{"mapped", "a=[::ffff:127.0.0.1]:25", "127.0.0.1:25", "127.0.0.1:25→a"},
		{"localhost", "a=127.0.0.1:25", "localhost:25", "localhost:25→a"},
		{"by name first", "smtp=127.0.0.1:2525 a=127.0.0.1:25", ":9=smtp 127.0.0.1:25", ":9→smtp 127.0.0.1:25→a"},
		{"unix", "a=unix:/run/lmtp", "unix:/run/lmtp", "unix:/run/lmtp→a"},
		{"unix may be opened here", "a=[::]:25", ":25 unix:/run/lmtp", ":25→a"},
		{"missing", "a=[::]:25", ":25 :587 :110", "listeners without a socket: :587, :110"},
		{"extra", "a=[::]:25 b=[::]:80", ":25", "sockets without a listener: [::]:80 (b)"},
		{"renamed", "smpt=[::]:25", ":25=smtp", "listeners without a socket: :25 (smtp)\nsockets without a listener: [::]:25 (smpt)"},
		{"a name is not an address", "a=[::]:25", ":25=smtp", "listeners without a socket: :25 (smtp)"},
		{"wrong family", "a=[::1]:25", "127.0.0.1:25", "listeners without a socket: 127.0.0.1:25\nsockets without a listener: [::1]:25 (a)"},
		{"wrong port", "a=127.0.0.1:2525", "127.0.0.1:25", "sockets without a listener: 127.0.0.1:2525 (a)"},
		{"two for one", "a=0.0.0.0:25 b=[::]:25", ":25", "sockets without a listener: [::]:25 (b)"},
		{"one for two", "a=127.0.0.1:25", "127.0.0.1:25 localhost:25", "listeners without a socket: localhost:25"},
		{"any port is no port", "a=127.0.0.1:25", "127.0.0.1:0", "listeners without a socket: 127.0.0.1:0"},
		{"unix elsewhere", "a=unix:/run/x", "unix:/run/lmtp", "sockets without a listener: /run/x (a)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var passed []service.Socket
			for _, text := range strings.Fields(c.sockets) {
				name, address, _ := strings.Cut(text, "=")
				addr := net.Addr(&net.UnixAddr{Name: strings.TrimPrefix(address, "unix:"), Net: "unix"})
				if !strings.HasPrefix(address, "unix:") {
					tcp, err := net.ResolveTCPAddr("tcp", address)
					if err != nil {
						t.Fatal(err)
					}
					addr = tcp
				}
				passed = append(passed, service.Socket{Name: name, Listener: bound{addr: addr}})
			}
			var want []conf.Listener
			var got []string
			for _, text := range strings.Fields(c.listeners) {
				address, name, _ := strings.Cut(text, "=")
				want = append(want, conf.Listener{Address: address, Socket: name})
			}
			given, err := assign(passed, want)
			for _, l := range want {
				if s, ok := given[l.Address]; ok {
					got = append(got, l.Address+"→"+s.Name)
				}
			}
			switch {
			case err != nil && (len(given) > 0 || !strings.Contains(err.Error(), c.want) || !strings.Contains(c.want, "without")):
				t.Errorf("given %v, %v; want %s", got, err, c.want)
			case err == nil && strings.Join(got, " ") != c.want:
				t.Errorf("given %v, want %s", got, c.want)
			}
		})
	}
}
