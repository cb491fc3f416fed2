package post

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
)

// TestLate: what did not fit is remembered for a client's network and sender, for a
// time, and for so many of them.
func TestLate(t *testing.T) {
	at := func(addr, from string) *smtp.Envelope {
		return &smtp.Envelope{ID: addr + from, Session: &smtp.Session{Identity: lineserver.Identity{RemoteAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))}}, From: smtp.Path{Local: from, Domain: "x.test"}}
	}
	for _, c := range []struct {
		addr, from string
		mailbox    domains.Address
		want       int64
	}{
		{"192.0.2.1:25", "a", "tiny", 5000}, {"192.0.2.200:1025", "a", "tiny", 5000}, {"[::ffff:192.0.2.7]:25", "a", "tiny", 5000},
		{"192.0.3.1:25", "a", "tiny", 0}, {"192.0.2.1:25", "b", "tiny", 0}, {"192.0.2.1:25", "a", "other", 0},
		{"[2001:db8:1::1]:25", "a", "tiny", 6000}, {"[2001:db8:1:ffff::2]:25", "a", "tiny", 6000}, {"[2001:db8:2::1]:25", "a", "tiny", 0},
	} {
		var l lateRefusals
		l.note(at("192.0.2.1:25", "a"), "tiny", 5000)
		l.note(at("[2001:db8:1::1]:25", "a"), "tiny", 6000)
		e := at(c.addr, c.from)
		for range 2 { // in one transaction as often as asked
			if got := l.size(e, c.mailbox); got != c.want {
				t.Errorf("%v: %d", c, got)
			}
		}
		if e.ID = "next"; l.size(e, c.mailbox) != 0 {
			t.Errorf("%v: remembered for good", c)
		}
	}
	var l lateRefusals
	for i := range 2 * mostLate {
		l.note(at("192.0.2.1:25", fmt.Sprint(i)), "tiny", 1)
	}
	if len(l.at) > mostLate {
		t.Errorf("%d are remembered", len(l.at))
	}
	for key := range l.at {
		l.at[key] = lateRefusal{size: 9, until: time.Now().Add(-time.Second)}
	}
	if got := l.size(at("192.0.2.1:25", fmt.Sprint(2*mostLate-1)), "tiny"); got != 0 {
		t.Errorf("after its time: %d", got)
	}
}
