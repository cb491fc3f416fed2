package daemon

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

// TestFamily: the status tells of prefer_ipv4 where it is set, and where it should be.
func TestFamily(t *testing.T) {
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	for _, c := range []struct {
		set           bool
		six, without  []netip.Addr
		note, warning string
	}{
		{false, nil, nil, "", ""},
		{false, []netip.Addr{a}, nil, "", ""},
		{false, []netip.Addr{a, b}, []netip.Addr{a, b}, "", "from 2001:db8::1, 2001:db8::2, which have no name"},
		{true, nil, nil, "changes nothing", ""},
		{true, []netip.Addr{a}, nil, "it is not needed", ""},
		{true, []netip.Addr{a, b}, []netip.Addr{b}, "as 2001:db8::2 has no name", ""},
	} {
		s := conf.New()
		s.Queue.PreferIPv4 = c.set
		note, warning := familyWords(s, c.six, c.without)
		if (note == "") != (c.note == "") || (warning == "") != (c.warning == "") || !strings.Contains(note, c.note) || !strings.Contains(warning, c.warning) {
			t.Errorf("%+v: %q, %q", c, note, warning)
		}
	}
	var n nameless
	asked := 0
	lookup := func(_ context.Context, addr string) ([]string, error) {
		switch asked++; addr {
		case a.String():
			return nil, &net.DNSError{IsNotFound: true}
		case b.String():
			return nil, &net.DNSError{IsTimeout: true}
		}
		return []string{"x.test"}, nil
	}
	for range 3 {
		if got := n.look([]netip.Addr{a, b}, lookup); len(got) != 1 || got[0] != a || asked != 2 {
			t.Error(got, asked)
		}
	}
	if got := n.look([]netip.Addr{b}, lookup); len(got) != 0 || asked != 3 {
		t.Error(got, asked)
	}
}
