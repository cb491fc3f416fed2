package daemon

import (
	"net"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

// TestOwnPort: when a listener of this server keeps it from an address of the new settings, nobody
// goes and looks for another program.
func TestOwnPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	held := l.Addr().String()
	_, port, _ := net.SplitHostPort(held)
	for _, c := range []struct{ own, address, want string }{
		{held, ":" + port, "this server listens on " + held + ", and on :" + port + " after a restart only"},
		{held, "0.0.0.0:" + port, "this server listens on " + held},
		{":" + port, held, "this server listens on :" + port},
		{"127.0.0.2:" + port, held, "another program listens on " + held},
		{"127.0.0.1:1", ":" + port, "another program listens on :" + port},
	} {
		d := &Daemon{}
		d.listeners = map[string]*listener{c.own: nil}
		_, err := d.openMissing([]conf.Listener{{Address: c.address, Protocol: conf.ProtocolSMTP}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s beside %s: %v, not %q", c.address, c.own, err, c.want)
		}
	}
}
