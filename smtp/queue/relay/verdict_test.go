package relay

import (
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// TestFullMailbox: 552 to the only recipient, or with the code of a full mailbox, is
// returned at once; without it, beside others who were taken, it is "too many".
func TestFullMailbox(t *testing.T) {
	for _, c := range []struct {
		name, reply string
		to          []string
		want        string
	}{
		{"alone", "552 5.2.2 mailbox full", []string{"full@example.net"}, "failed 552"},
		{"alone, no code", "552 mailbox full", []string{"full@example.net"}, "failed 552"},
		{"beside another", "552 5.2.2 mailbox full", []string{"full@example.net", "bob@example.net"}, "failed 552, delivered 250"},
		{"later", "452 4.2.2 mailbox full", []string{"full@example.net"}, "pending 452"},
		{"two full", "552 5.2.2 mailbox full", []string{"full@example.net", "full2@example.net"}, "failed 552, failed 552"},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			s.mx.reply = func(_ int, line string) string {
				if strings.HasPrefix(line, "RCPT TO:<full") {
					return c.reply
				}
				return ""
			}
			if got := summary(s.send(t, delivery(c.to...))); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestRouteNotFound: a host of a route that is not to be found keeps the mail.
func TestRouteNotFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		route Route
		prep  func(*scene)
	}{
		{"NXDOMAIN", Route{Hosts: []string{"smtp-typo.example.org"}}, func(*scene) {}},
		{"no address", Route{Hosts: []string{"empty.example.org"}}, func(s *scene) { s.zone.addr["empty.example.org"] = nil }},
		{"MX of no such domain", Route{Hosts: []string{"typo.example.org"}, MX: true}, func(*scene) {}},
		{"MX without address", Route{Hosts: []string{"empty.example.org"}, MX: true}, func(s *scene) { s.zone.mx["empty.example.org"] = []MX{{"gone.example.org", 10}} }},
		{"null MX", Route{Hosts: []string{"null.example.org"}, MX: true}, func(s *scene) { s.zone.mx["null.example.org"] = []MX{{"", 0}} }},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			c.prep(s)
			s.smarthost(&c.route)
			r := s.send(t, delivery("bob@nowhere.example"))[0]
			if r.Status != queue.Pending || !r.Unreachable || r.Enhanced[0] != '4' || !strings.Contains(r.Text, "route") {
				t.Errorf("%+v", r)
			}
		})
	}
	bubble(t, "a domain's own", func(t *testing.T, s *scene) {
		if r := s.send(t, delivery("bob@nowhere.example"))[0]; r.Status != queue.Failed {
			t.Errorf("%+v", r)
		}
	})
}
