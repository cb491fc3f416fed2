package daemon

import (
	"net"
	"net/netip"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
)

// TestTolerate: old machines are forgiven everything, own networks and users who
// have logged in addresses without brackets, and a stranger nothing.
func TestTolerate(t *testing.T) {
	c := conf.SMTP{NormaliseFrom: []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")}, RelayFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	normalise := c
	normalise.BareNewline = conf.BareNormalise
	none := conf.SMTP{}
	for _, test := range []struct {
		settings   conf.SMTP
		from, user string
		want       smtp.Tolerance
	}{
		{c, "192.168.7.9:1", "", smtp.TolerateAll},
		{c, "10.1.2.3:1", "", smtp.ToleratePaths},
		{c, "192.0.2.1:1", "ann", smtp.ToleratePaths},
		{c, "192.0.2.1:1", "", 0},
		{none, "192.0.2.1:1", "", 0},
		{none, "192.168.7.9:1", "", 0},
		{normalise, "192.0.2.1:1", "", smtp.TolerateBareNewlines},
	} {
		s := &smtp.Session{Identity: lineserver.Identity{RemoteAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(test.from)), User: test.user}}
		if got := tolerate(test.settings)(s); got != test.want {
			t.Errorf("%s %q: %b, want %b", test.from, test.user, got, test.want)
		}
	}
	if got := tolerate(c)(&smtp.Session{}); got != 0 {
		t.Errorf("a client without an address: %b", got)
	}
}
