package relay

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue"
)

func TestRouteOf(t *testing.T) {
	r := &Relay{Routes: map[string]*Route{"a": {Name: "a"}, "b": {Name: "b"}, "c": {Name: "c"}},
		Domains: ways(map[string]string{"example.org": "a", ".example.org": "b", "*": "c", "direct.example": "none"})}
	for _, c := range []struct{ domain, chosen, want string }{
		{"example.org", "", "a"}, {"x.example.org", "", "b"}, {"y.x.example.org", "", "b"}, {"other", "", "c"},
		{"direct.example", "", ""}, {"example.org", "c", "c"}, {"example.org", "gone", "a"},
	} {
		got := ""
		if route := r.routeOf(domains.Name(c.domain), c.chosen); route != nil {
			got = route.Name
		}
		if got != c.want {
			t.Errorf("%s by %q: %q, want %q", c.domain, c.chosen, got, c.want)
		}
	}
	if a, b := r.Destination(queue.Recipient{Path: address("x@one.net")}, ""), r.Destination(queue.Recipient{Path: address("x@two.net")}, ""); a != b || a != "route:c" {
		t.Errorf("destinations %q and %q", a, b)
	}
}

func (s *scene) smarthost(route *Route) {
	route.Name = "smart"
	s.Routes = map[string]*Route{"smart": route}
	s.Domains = ways(map[string]string{"*": "smart"})
	s.zone.addr["smart.example.org"] = []string{"192.0.2.9"}
}

// TestSmarthost: everything goes there, whatever the DNS of the domain says,
// and nothing without the TLS that was configured.
func TestSmarthost(t *testing.T) {
	for _, c := range []struct {
		name string
		auth string // mechanisms offered
		tls  bool
		want queue.Status
		text string
		used string
	}{
		{"PLAIN", "PLAIN LOGIN", true, queue.Delivered, "", "PLAIN"},
		{"LOGIN", "LOGIN", true, queue.Delivered, "", "LOGIN"},
		{"in the clear", "PLAIN LOGIN", false, queue.Pending, "authentication", ""},
		{"no AUTH", "", true, queue.Pending, "authentication", ""},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			a := newCA(t)
			s.Roots = a.pool
			smart := &fakeMX{ext: []string{"8BITMIME"}}
			if c.auth != "" {
				smart.ext = append(smart.ext, "AUTH "+c.auth)
			}
			route := &Route{Hosts: []string{"smart.example.org"}, Port: 587, User: "ann", Password: "secret", TLS: May}
			if c.tls {
				smart.tls = a.server(t, "smart.example.org", time.Hour)
				route.TLS = Verify
			}
			s.net.hosts["192.0.2.9:587"] = smart
			s.smarthost(route)
			var used []string
			smart.reply = func(_ int, line string) string {
				verb, rest, _ := strings.Cut(line, " ")
				switch {
				case verb == "AUTH" && strings.HasPrefix(rest, "PLAIN "):
					used = append(used, "PLAIN")
					b, _ := base64.StdEncoding.DecodeString(rest[6:])
					if string(b) != "\x00ann\x00secret" {
						return "535 5.7.8 no"
					}
					return "235 2.7.0 yes"
				case line == "AUTH LOGIN":
					used = append(used, "LOGIN")
					return "334 VXNlcm5hbWU6"
				case line == base64.StdEncoding.EncodeToString([]byte("ann")):
					return "334 UGFzc3dvcmQ6"
				case line == base64.StdEncoding.EncodeToString([]byte("secret")):
					return "235 2.7.0 yes"
				}
				return ""
			}
			r := s.send(t, delivery("bob@nowhere.example"))[0]
			if r.Status != c.want || !strings.Contains(r.Text, c.text) || strings.Contains(r.Text, "secret") {
				t.Errorf("%+v", r)
			}
			if c.used != "" && !slices.Equal(used, []string{c.used}) {
				t.Errorf("used %v", used)
			}
		})
	}
}

// TestWrongPassword: mail waits until it is put right.
func TestWrongPassword(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		a := newCA(t)
		s.Roots = a.pool
		smart := &fakeMX{ext: []string{"AUTH PLAIN"}, tls: a.server(t, "smart.example.org", time.Hour), reply: func(_ int, line string) string {
			if strings.HasPrefix(line, "AUTH") {
				return "535 5.7.8 wrong"
			}
			return ""
		}}
		s.net.hosts["192.0.2.9:25"] = smart
		s.smarthost(&Route{Hosts: []string{"smart.example.org"}, User: "ann", Password: "secret", TLS: Verify})
		r := s.send(t, delivery("bob@nowhere.example"))[0]
		if r.Status != queue.Pending || r.Code != 535 || r.Enhanced != "4.7.8" || !r.Unreachable {
			t.Errorf("%+v", r)
		}
		if want := "authentication as ann by PLAIN refused by smart.example.org: wrong (route smart: look at its user and password)"; r.Text != want {
			t.Errorf("said %q, want %q", r.Text, want)
		}
	})
}

// TestOtherMechanism: a host that offers what it does not know is asked by another, of
// those that the route names.
func TestOtherMechanism(t *testing.T) {
	for _, c := range []struct {
		name       string
		mechanisms []string
		want       queue.Status
		text       string
	}{
		{"any", nil, queue.Delivered, ""},
		{"named", []string{"SCRAM-SHA-256"}, queue.Pending, "authentication as ann by SCRAM-SHA-256 refused by smart.example.org: what? (route smart: look at its mechanisms)"},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			a := newCA(t)
			s.Roots = a.pool
			smart := &fakeMX{ext: []string{"AUTH SCRAM-SHA-256 PLAIN"}, tls: a.server(t, "smart.example.org", time.Hour), reply: func(_ int, line string) string {
				switch verb, rest, _ := strings.Cut(line, " "); {
				case verb == "AUTH" && strings.HasPrefix(rest, "PLAIN"):
					return "235 2.7.0 yes"
				case verb == "AUTH":
					return "504 5.5.4 what?"
				}
				return ""
			}}
			s.net.hosts["192.0.2.9:25"] = smart
			s.smarthost(&Route{Hosts: []string{"smart.example.org"}, User: "ann", Password: "secret", TLS: Verify, Mechanisms: c.mechanisms})
			if r := s.send(t, delivery("bob@nowhere.example"))[0]; r.Status != c.want || c.text != "" && r.Text != c.text {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestFallbackHosts(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.smarthost(&Route{Hosts: []string{"smart.example.org", "192.0.2.1", "[IPv6:2001:db8::5]"}})
		s.net.hosts["192.0.2.9:25"] = &fakeMX{down: true}
		if r := s.send(t, delivery("bob@nowhere.example"))[0]; r.Status != queue.Delivered || r.Host != "192.0.2.1:25" {
			t.Errorf("%+v", r)
		}
	})
}

func TestImplicitTLS(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		a := newCA(t)
		s.Roots = a.pool
		smart := &fakeMX{}
		cfg := a.server(t, "smart.example.org", time.Hour)
		s.net.hosts["192.0.2.9:465"] = smart
		smart.implicit = cfg
		s.smarthost(&Route{Hosts: []string{"smart.example.org"}, Port: 465, ImplicitTLS: true, TLS: Verify})
		if r := s.send(t, delivery("bob@nowhere.example"))[0]; r.Status != queue.Delivered || !strings.HasSuffix(r.TLS, " verified") {
			t.Errorf("%+v", r)
		}
		s.pool.close()
		s.pool.closed = false
		smart.implicit = newCA(t).server(t, "smart.example.org", time.Hour)
		if r := s.send(t, delivery("bob@nowhere.example"))[0]; r.Status != queue.Pending || !strings.Contains(r.Text, "certificate") {
			t.Errorf("%+v", r)
		}
	})
}

// TestLMTP: each recipient has its own answer.
func TestLMTP(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		lmtp := &fakeMX{lmtp: true, reply: func(_ int, line string) string {
			switch {
			case strings.HasPrefix(line, "EHLO"), strings.HasPrefix(line, "HELO"):
				return "500 this is LMTP"
			case strings.HasPrefix(line, ". full"):
				return "452 4.2.2 over quota"
			case strings.HasPrefix(line, ". gone"):
				return "550 5.1.1 gone"
			}
			return ""
		}}
		s.net.hosts["/run/lmtp.sock"] = lmtp
		s.smarthost(&Route{Hosts: []string{"/run/lmtp.sock"}, LMTP: true})
		res := s.send(t, delivery("bob@x.example", "full@x.example", "gone@x.example"))
		if got := summary(res); got != "delivered 250, pending 452, failed 550" {
			t.Errorf("%s", got)
		}
		if res[0].Host != "/run/lmtp.sock" || !res[0].Final || res[0].Relayed {
			t.Errorf("%+v", res[0])
		}
	})
}

func TestRouteMX(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.smarthost(&Route{Hosts: []string{"example.net"}, MX: true})
		if r := s.send(t, delivery("bob@nowhere.example"))[0]; r.Status != queue.Delivered || !strings.HasPrefix(r.Host, "mx.example.net") {
			t.Errorf("%+v", r)
		}
	})
}
