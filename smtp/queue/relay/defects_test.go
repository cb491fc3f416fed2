package relay

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// TestConfiguredDANENeedsSecureMX: who can forge the MX records of a domain
// can name a host whose TLSA records are perfect (RFC 7672 §2.2.1).
func TestConfiguredDANENeedsSecureMX(t *testing.T) {
	for _, secure := range []bool{false, true} {
		bubble(t, fmt.Sprint(secure), func(t *testing.T, s *scene) {
			s.secure(t)
			s.zone.secure = true
			if !secure {
				s.zone.insecure = map[string]bool{"MX example.net": true}
			}
			digest := sha256.Sum256(leaf(s.mx.tls).RawSubjectPublicKeyInfo)
			s.zone.tlsa["_25._tcp.mx.example.net"] = []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: digest[:]}}
			s.Domains = levels(map[string]Level{"example.net": DANE})
			r := s.send(t, delivery("bob@example.net"))[0]
			if (r.Status == queue.Delivered) != secure || !secure && !strings.Contains(r.Text, "DNSSEC") {
				t.Errorf("%+v", r)
			}
		})
	}
	// The hosts of a route stand in the configuration, or are found by it.
	for _, mx := range []bool{false, true} {
		for _, secure := range []bool{false, true} {
			bubble(t, fmt.Sprint("route", mx, secure), func(t *testing.T, s *scene) {
				s.secure(t)
				s.zone.secure = true
				if !secure {
					s.zone.insecure = map[string]bool{"MX example.net": true}
				}
				digest := sha256.Sum256(leaf(s.mx.tls).RawSubjectPublicKeyInfo)
				s.zone.tlsa["_25._tcp.mx.example.net"] = []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: digest[:]}}
				route := &Route{Hosts: []string{"mx.example.net"}, TLS: DANE}
				if mx {
					route.Hosts, route.MX = []string{"example.net"}, true
				}
				s.smarthost(route)
				r := s.send(t, delivery("bob@else.example"))[0]
				if (r.Status == queue.Delivered) != (secure || !mx) {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// TestRequireTLSNeedsTrueHosts: a message that requires TLS goes only to hosts
// that DNSSEC or an MTA-STS policy confirms (RFC 8689 §4.2.1), and of each of
// them a verified certificate is wanted.
func TestRequireTLSNeedsTrueHosts(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *scene)
		want   queue.Status
		text   string
	}{
		{"neither", func(*scene) {}, queue.Failed, "neither DNSSEC nor MTA-STS"},
		{"DNSSEC", func(s *scene) { s.zone.secure = true }, queue.Delivered, ""},
		{"MTA-STS", func(s *scene) { s.enforceSTS(enforce) }, queue.Delivered, ""},
		{"MTA-STS in testing", func(s *scene) { s.enforceSTS(strings.Replace(enforce, "enforce", "testing", 1)) }, queue.Delivered, ""},
		{"MTA-STS of others", func(s *scene) {
			s.enforceSTS("version: STSv1\nmode: testing\nmx: mail.example.net\nmax_age: 1000\n")
		}, queue.Failed, "neither DNSSEC nor MTA-STS"},
		{"MTA-STS not to be had", func(s *scene) { s.enforceSTS("").err = errors.New("unreachable") }, queue.Pending, "unreachable"},
		{"configured", func(s *scene) { s.Domains = levels(map[string]Level{"example.net": Verify}) }, queue.Failed, "neither DNSSEC nor MTA-STS"},
		{"route", func(s *scene) { s.smarthost(&Route{Hosts: []string{"mx.example.net"}}) }, queue.Delivered, ""},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			s.secure(t)
			s.mx.ext = append(s.mx.ext, "REQUIRETLS")
			c.change(s)
			d := delivery("bob@example.net")
			d.Entry.Params.RequireTLS = true
			r := s.send(t, d)[0]
			if r.Status != c.want || !strings.Contains(r.Text, c.text) {
				t.Errorf("%+v", r)
			}
			if n := len(s.mx.messages()); (n == 1) != (c.want == queue.Delivered) {
				t.Errorf("%d messages arrived", n)
			}
		})
	}
}

// TestSeenStaysFresh: what is remembered on disk keeps up with what is seen, so
// that a restart forgets nothing, however often mail goes there.
func TestSeenStaysFresh(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cache, err := OpenDir(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		s := &seen{cache: cache}
		for range 120 * 4 {
			if err := s.note(t.Context(), "example.net"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(6 * time.Hour)
		}
		if restarted := (&seen{cache: cache}); !restarted.verified("example.net") {
			t.Error("a domain that is verified all the time is forgotten at a restart")
		}
	})
}

// TestSeenByAnother: what another server has seen counts here soon, also where it was not known when it was asked for first.
func TestSeenByAnother(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cache, err := OpenDir(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		here, there := &seen{cache: cache}, &seen{cache: cache}
		if here.verified("example.net") {
			t.Error("nobody has seen it")
		}
		if err := there.note(t.Context(), "example.net"); err != nil {
			t.Fatal(err)
		}
		if here.verified("example.net") {
			t.Error("the cache is asked again and again")
		}
		time.Sleep(seenAsk)
		if !here.verified("example.net") {
			t.Error("what another has seen is not known")
		}
	})
}

// TestSeenByDANE: what only TLSA records have proved is not demanded of the
// public PKI later.
func TestSeenByDANE(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.secure(t)
		s.mx.tls = newCA(t).server(t, "mx.example.net", time.Hour*24*365)
		s.zone.secure = true
		digest := sha256.Sum256(leaf(s.mx.tls).RawSubjectPublicKeyInfo)
		s.zone.tlsa["_25._tcp.mx.example.net"] = []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: digest[:]}}
		if r := s.send(t, delivery("bob@example.net"))[0]; !strings.HasSuffix(r.TLS, "by dane") {
			t.Fatalf("%+v", r)
		}
		time.Sleep(time.Minute)
		clear(s.zone.tlsa)
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Delivered {
			t.Errorf("%+v", r)
		}
	})
}

// TestLongReplies: what a host says is kept for every recipient, and is a few
// lines at most, whatever it says.
func TestLongReplies(t *testing.T) {
	line := strings.Repeat("x", 2000)
	for _, at := range []string{"MAIL", "RCPT", ".", "EHLO", "DATA"} {
		bubble(t, at, func(t *testing.T, s *scene) {
			s.mx.reply = func(_ int, l string) string {
				if strings.HasPrefix(l, at) {
					return strings.Repeat("451-"+line+"\n", 100) + "451 " + line
				}
				return ""
			}
			r := s.send(t, delivery("bob@example.net"))[0]
			if r.Status != queue.Pending || r.Code != 451 || len(r.Text) > 2100 || len(r.Text) < 100 {
				t.Errorf("%s %d, %d octets", r.Status, r.Code, len(r.Text))
			}
		})
	}
}

// TestLoopHosts: mail never goes to ourselves, whatever the DNS calls us, nor
// to a host that we are preferred to.
func TestLoopHosts(t *testing.T) {
	own := netip.MustParseAddr("192.0.2.77")
	for _, c := range []struct {
		name   string
		domain string
		addrs  []string
	}{
		{"loopback", "example.net", []string{"127.0.0.1"}},
		{"IPv6 loopback", "example.net", []string{"::1"}},
		{"unspecified", "example.net", []string{"0.0.0.0"}},
		{"IPv6 unspecified", "example.net", []string{"::"}},
		{"own, beside another", "example.net", []string{"192.0.2.1", "192.0.2.77"}},
		{"literal", "[192.0.2.77]", nil},
		{"literal loopback", "[127.0.0.1]", nil},
		{"mapped literal", "[IPv6:::ffff:192.0.2.77]", nil},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			s.OwnAddrs = []netip.Addr{own}
			s.zone.addr["mx.example.net"] = c.addrs
			s.zone.mx["example.net"] = append(s.zone.mx["example.net"], resolver.MX{Host: "backup.example.net", Preference: 50})
			s.zone.addr["backup.example.net"] = []string{"192.0.2.1"}
			r := s.send(t, delivery("bob@"+c.domain))[0]
			if r.Status != queue.Failed || r.Enhanced != "5.4.6" || len(s.net.order) != 0 {
				t.Errorf("%+v, dialled %v", r, s.net.order)
			}
		})
	}
	bubble(t, "all of 127", func(t *testing.T, s *scene) {
		s.OwnAddrs = []netip.Addr{netip.MustParseAddr("127.0.0.1")} // all addresses are listened on
		s.zone.addr["mx.example.net"] = []string{"127.8.9.10"}
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Failed || len(s.net.order) != 0 {
			t.Errorf("%+v", r)
		}
	})
	bubble(t, "preferred to us", func(t *testing.T, s *scene) {
		s.OwnAddrs = []netip.Addr{own}
		s.mx.down = true
		s.zone.mx["example.net"] = []resolver.MX{{Host: "mx.example.net", Preference: 10}, {Host: "we.example.net", Preference: 20}, {Host: "backup.example.net", Preference: 30}}
		s.zone.addr["we.example.net"], s.zone.addr["backup.example.net"] = []string{"192.0.2.77"}, []string{"192.0.2.5"}
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Pending || !slices.Equal(s.net.order, []string{"192.0.2.1:25"}) {
			t.Errorf("%+v, dialled %v", r, s.net.order)
		}
	})
}

// TestNullMXTwice: a domain that says twice that it takes no mail takes none.
func TestNullMXTwice(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.zone.mx["example.net"] = []resolver.MX{{Host: "", Preference: 0}, {Host: "", Preference: 10}}
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Failed || r.Enhanced != "5.1.10" {
			t.Errorf("%+v", r)
		}
	})
}

// TestDeadAreNotCounted: addresses known not to answer cost no place among
// those that are tried.
func TestDeadAreNotCounted(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		var addrs []string
		for i := range maxTargets {
			a := fmt.Sprintf("198.51.100.%d", i)
			addrs = append(addrs, a)
			s.net.hosts[a+":25"] = &fakeMX{down: true}
		}
		s.zone.mx["example.net"] = []resolver.MX{{Host: "many.example.net", Preference: 10}, {Host: "mx.example.net", Preference: 20}}
		s.zone.addr["many.example.net"] = addrs
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Pending {
			t.Fatalf("%+v", r)
		}
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Delivered {
			t.Errorf("%+v", r)
		}
	})
}

// TestLoginOfOneRoute: a wrong password of one route is nothing to another
// route by the same host.
func TestLoginOfOneRoute(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		a := newCA(t)
		s.Roots = a.pool
		auths := 0
		smart := &fakeMX{ext: []string{"AUTH CRAM-MD5 PLAIN"}, tls: a.server(t, "smart.example.org", time.Hour), reply: func(_ int, line string) string {
			if strings.HasPrefix(line, "AUTH PLAIN") {
				auths++
				return "535 5.7.8 wrong"
			}
			return ""
		}}
		s.net.hosts["192.0.2.9:25"] = smart
		s.smarthost(&Route{Hosts: []string{"smart.example.org"}, User: "ann", Password: "secret", TLS: Verify, Mechanisms: []string{"PLAIN"}})
		s.Routes["open"] = &Route{Name: "open", Hosts: []string{"smart.example.org"}, TLS: Verify}
		s.Domains.Set("open.example", Domain{Route: "open"})
		for range 3 {
			if r := s.send(t, delivery("bob@nowhere.example"))[0]; r.Status != queue.Pending || r.Code != 535 {
				t.Errorf("%+v", r)
			}
		}
		if auths != 1 {
			t.Errorf("the password was tried %d times in a row", auths)
		}
		if r := s.send(t, delivery("bob@open.example"))[0]; r.Status != queue.Delivered {
			t.Errorf("%+v", r)
		}
	})
}

// TestPoolBounded: connections that wait for another message are few, and each
// ends, whoever is first, its time or a message.
func TestPoolBounded(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		for i := range maxIdle + 50 {
			name := fmt.Sprintf("d%d.example", i)
			s.zone.mx[name] = s.zone.mx["example.net"]
			if r := s.send(t, delivery("bob@"+name))[0]; r.Status != queue.Delivered {
				t.Fatalf("%+v", r)
			}
		}
		idle := 0
		s.pool.mu.Lock()
		for _, l := range s.pool.idle {
			idle += len(l)
		}
		if idle > maxIdle || idle != s.pool.n {
			t.Errorf("%d connections are kept, counted %d", idle, s.pool.n)
		}
		s.pool.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(s.pool.idle) != 0 || s.pool.n != 0 {
			t.Errorf("%d are left, counted %d", len(s.pool.idle), s.pool.n)
		}
	})
}

// TestNoMailHost: 521 says that a host never takes mail (RFC 7504 §3).
func TestNoMailHost(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.mx.greeting = "521 mx.example.net does not accept mail"
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Failed || r.Code != 521 || r.Enhanced[0] != '5' {
			t.Errorf("%+v", r)
		}
		s.zone.mx["example.net"] = append(s.zone.mx["example.net"], resolver.MX{Host: "b.example.net", Preference: 20})
		s.zone.addr["b.example.net"] = []string{"192.0.2.2"}
		s.net.hosts["192.0.2.2:25"] = &fakeMX{down: true}
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Pending {
			t.Errorf("%+v", r)
		}
	})
	bubble(t, "of a route", func(t *testing.T, s *scene) {
		s.mx.greeting = "521 not for you"
		s.smarthost(&Route{Hosts: []string{"192.0.2.1"}})
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Pending {
			t.Errorf("%+v", r)
		}
	})
}

// TestRouteMisconfigured: what a smarthost answers because of our settings
// keeps the mail here, and says what to put right (RFC 4954 §6).
func TestRouteMisconfigured(t *testing.T) {
	for _, c := range []struct {
		at, reply string
		route     bool
		login     bool
		want      queue.Status
		text      string
	}{
		{"MAIL", "530 5.7.0 Authentication required", true, false, queue.Pending, "has no user"},
		{"RCPT", "530 5.7.0 Authentication required", true, false, queue.Pending, "has no user"},
		{"DATA", "530 5.7.0 Authentication required", true, false, queue.Pending, "has no user"},
		{"MAIL", "530 5.7.0 Authentication required", true, true, queue.Pending, "is logged in as ann"},
		{"MAIL", "530 5.7.0 Must issue a STARTTLS command first", true, false, queue.Pending, "STARTTLS"},
		{"MAIL", "534 5.7.9 mechanism too weak", true, false, queue.Pending, "too weak"},
		{"MAIL", "535 5.7.8 bad credentials", true, false, queue.Pending, "bad credentials"},
		{"MAIL", "538 5.7.11 Encryption required", true, false, queue.Pending, "Encryption"},
		{"EHLO", "530 5.7.0 go away", true, false, queue.Pending, "go away"},
		{"RCPT", "554 5.7.1 Relay access denied", true, false, queue.Failed, "Relay access denied"},
		{"RCPT", "550 5.7.1 Relaying denied", true, true, queue.Failed, "Relaying denied"},
		{"MAIL", "530 5.7.0 Authentication required", false, false, queue.Failed, "Authentication required"},
		{"MAIL", "530 5.7.0 Must issue a STARTTLS command first", false, false, queue.Pending, "STARTTLS"},
	} {
		bubble(t, fmt.Sprint(c.at, c.reply, c.route, c.login), func(t *testing.T, s *scene) {
			s.mx.reply = func(_ int, line string) string {
				switch {
				case strings.HasPrefix(line, c.at):
					return c.reply
				case strings.HasPrefix(line, "AUTH"):
					return "235 2.7.0 fine"
				}
				return ""
			}
			if c.login || !strings.Contains(c.reply, "STARTTLS") {
				s.secure(t)
				s.mx.ext = append(s.mx.ext, "AUTH PLAIN")
			}
			if c.route {
				route := &Route{Hosts: []string{"mx.example.net"}}
				if c.login {
					route.User, route.Password, route.TLS = "ann", "secret", Verify
				}
				s.smarthost(route)
			}
			r := s.send(t, delivery("bob@example.net"))[0]
			if r.Status != c.want || !strings.Contains(r.Text, c.text) || (r.Status == queue.Failed) != (r.Enhanced[0] == '5') {
				t.Errorf("%+v", r)
			}
			if c.route && c.want == queue.Pending && c.at != "EHLO" && (!r.Unreachable || !strings.Contains(r.Text, "route smart")) {
				t.Errorf("it does not name the route, or others try as well: %+v", r)
			}
		})
	}
}

// TestSlowHosts: however slowly or however much a host answers, an attempt
// ends.
func TestSlowHosts(t *testing.T) {
	for _, at := range []string{"EHLO", "MAIL", "RCPT", "DATA", "."} {
		for _, endless := range []bool{false, true} {
			bubble(t, fmt.Sprint(at, endless), func(t *testing.T, s *scene) {
				s.mx.slow = func(line string) bool { return strings.HasPrefix(line, at) }
				s.mx.endless = endless
				began := time.Now()
				var to []string
				for i := range 300 {
					to = append(to, fmt.Sprintf("u%d@example.net", i))
				}
				r := s.send(t, delivery(to...))[0]
				defer time.Sleep(time.Minute) // for the host to notice
				if took := time.Since(began); took > attemptLimit+time.Minute {
					t.Errorf("%+v after %v", r, took)
				}
				if (endless || at == "RCPT") && r.Status != queue.Pending {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// TestSTSRefresh: a policy is fetched anew each day, though its id stays, so
// that who blocks the web server must do so for as long as it is good.
func TestSTSRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, w := stsWorld()
		w.pages["mta-sts.example.net"] = strings.Replace(enforce, "86400", "604800", 1)
		for day := range 6 {
			for range 4 {
				if p, err := s.Policy(t.Context(), "example.net"); p == nil || err != nil {
					t.Fatal(p, err)
				}
			}
			if w.gets != day+1 {
				t.Fatalf("%d fetches in %d days", w.gets, day+1)
			}
			time.Sleep(25 * time.Hour)
		}
		w.err = errors.New("blocked")
		for range 4 {
			if p, err := s.Policy(t.Context(), "example.net"); p == nil || err == nil {
				t.Fatal(p, err)
			}
			time.Sleep(25 * time.Hour)
		}
		w.err = nil
		if p, err := s.Policy(t.Context(), "example.net"); p == nil || err != nil {
			t.Fatal(p, err)
		}
		time.Sleep(5 * 24 * time.Hour)
		w.err = errors.New("blocked")
		if p, _ := s.Policy(t.Context(), "example.net"); p == nil {
			t.Error("the policy was not renewed")
		}
	})
}

// TestSTSFetchFailureReported: that a policy cannot be had is told to the
// domain and to the log.
func TestSTSFetchFailureReported(t *testing.T) {
	for _, c := range []struct {
		change func(w *web)
		kind   string
	}{
		{func(w *web) { w.status = 500 }, "sts-policy-fetch-error"},
		{func(w *web) { w.pages["mta-sts.example.net"] = "hello" }, "sts-policy-invalid"},
		{func(w *web) { w.err = certErr() }, "sts-webpki-invalid"},
	} {
		bubble(t, c.kind, func(t *testing.T, s *scene) {
			s.secure(t)
			c.change(s.enforceSTS(enforce))
			var kinds []string
			s.Report = func(r TLSResult) { kinds = append(kinds, r.PolicyType+" "+r.Failure) }
			if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Delivered {
				t.Errorf("%+v", r)
			}
			if !slices.Equal(kinds, []string{"sts " + c.kind, "no-policy-found "}) {
				t.Errorf("reported %q", kinds)
			}
		})
	}
}
