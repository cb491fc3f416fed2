package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

func bubble(t *testing.T, name string, run func(t *testing.T, s *scene)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScene()
			defer s.Close()
			run(t, s)
		})
	})
}

// TestReplies: every reply in every phase, and every way to hang up.
func TestReplies(t *testing.T) {
	at := func(prefix, reply string) func(int, string) string {
		return func(_ int, line string) string {
			if strings.HasPrefix(line, prefix) {
				return reply
			}
			return ""
		}
	}
	for _, c := range []struct {
		name, prefix, reply, want string
		text                      string
	}{
		{"accepted", "NONE", "", "delivered 250, delivered 250", "queued as 17"},
		{"MAIL 4xx", "MAIL", "451 4.3.0 later", "pending 451, pending 451", "later"},
		{"MAIL 5xx", "MAIL", "550 5.7.1 no", "failed 550, failed 550", "no"},
		{"MAIL 421", "MAIL", "421 4.3.2 closing", "pending 421, pending 421", "closing"},
		{"MAIL drop", "MAIL", "drop", "pending 0, pending 0", "at MAIL"},
		{"RCPT 4xx", "RCPT TO:<bob", "450 4.7.1 greylisted", "pending 450, delivered 250", "greylisted"},
		{"RCPT 5xx", "RCPT TO:<bob", "550 5.1.1 unknown", "failed 550, delivered 250", "unknown"},
		{"RCPT all 5xx", "RCPT", "550 5.1.1 unknown", "failed 550, failed 550", "unknown"},
		{"RCPT all 4xx", "RCPT", "451 later", "pending 451, pending 451", "later"},
		{"RCPT drop", "RCPT", "drop", "pending 0, pending 0", ""},
		{"RCPT 421", "RCPT", "421 too much", "pending 421, pending 421", "too much"},
		{"DATA 4xx", "DATA", "451 4.3.0 disk", "pending 451, pending 451", "disk"},
		{"DATA 5xx", "DATA", "554 5.0.0 no valid recipients", "failed 554, failed 554", "no valid"},
		{"DATA drop", "DATA", "drop", "pending 0, pending 0", ""},
		{"dot 4xx", ".", "452 4.3.1 full", "pending 452, pending 452", "full"},
		{"dot 5xx", ".", "554 5.6.0 spam", "failed 554, failed 554", "spam"},
		{"dot drop", ".", "drop", "pending 0, pending 0", "lost after the message was sent"},
		{"dot 421", ".", "421 4.3.2 restart", "pending 421, pending 421", "restart"},
		{"dot garbage", ".", "what?", "pending 0, pending 0", "mx.example.net may have taken the message: its answer makes no sense (malformed reply)"},
		{"EHLO 5xx", "EHLO", "550 go away", "pending 550, pending 550", "go away"},
		{"EHLO unknown", "EHLO", "502 what", "delivered 250, delivered 250", ""},
		{"EHLO drop", "EHLO", "drop", "pending 0, pending 0", ""},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			s.mx.reply = at(c.prefix, c.reply)
			res := s.send(t, delivery("bob@example.net", "carol@example.net"))
			if got := summary(res); got != c.want || !strings.Contains(res[0].Text, c.text) {
				t.Errorf("%s, want %s; text %q", got, c.want, res[0].Text)
			}
			for _, r := range res {
				if r.Enhanced == "" || (r.Status == queue.Failed) != (r.Enhanced[0] == '5') {
					t.Errorf("%s with enhanced code %q", r.Status, r.Enhanced)
				}
			}
		})
	}
}

func TestGreetings(t *testing.T) {
	for _, c := range []struct {
		name        string
		mx          *fakeMX
		text        string
		unreachable bool
	}{
		{"554", &fakeMX{greeting: "554 no mail here"}, "no mail here", true},
		{"421", &fakeMX{greeting: "421 too many connections"}, "too many connections", false},
		{"nonsense", &fakeMX{greeting: "hello"}, "greeting", true},
		{"refused", &fakeMX{down: true}, "connection refused", true},
		{"mute", &fakeMX{mute: true}, "timeout", true},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			s.net.hosts["192.0.2.1:25"] = c.mx
			res := s.send(t, delivery("bob@example.net"))[0]
			if res.Status != queue.Pending || !strings.Contains(res.Text, c.text) || res.Unreachable != c.unreachable {
				t.Errorf("%+v", res)
			}
			if strings.Contains(res.Text, "\n") || res.Text == "" {
				t.Errorf("the cause takes more than a line: %q", res.Text)
			}
		})
	}
}

// TestMessage: what arrives is what was sent.
func TestMessage(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.mx.ext = append(s.mx.ext, "DSN")
		d := delivery("bob@example.net", "carol@example.net")
		d.Entry.Params.EnvID, d.Entry.Params.Ret = "QQ+1", smtp.RetHeaders
		d.To[0].Params = smtp.RcptParams{Notify: smtp.NotifySuccess | smtp.NotifyDelay, ORcptType: "rfc822", ORcpt: "bob+x@example.net"}
		res := s.send(t, d)
		got := s.mx.messages()
		if len(got) != 1 || got[0].data != message || got[0].from != "ann@example.org" || !slices.Equal(got[0].to, []string{"bob@example.net", "carol@example.net"}) {
			t.Fatalf("received %+v", got)
		}
		if !res[0].Relayed || res[0].Host != "mx.example.net [192.0.2.1]:25" {
			t.Errorf("%+v", res[0])
		}
		if line := got[0].line; !strings.Contains(line, "ENVID=QQ+2B1") || !strings.Contains(line, "RET=HDRS") || !strings.Contains(line, "SIZE=") {
			t.Errorf("MAIL was %q", line)
		}
		if line := got[0].rcpt[0]; !strings.Contains(line, "NOTIFY=SUCCESS,DELAY") || !strings.Contains(line, "ORCPT=rfc822;bob+2Bx@example.net") {
			t.Errorf("RCPT was %q", line)
		}
	})
}

func TestHosts(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *scene)
		domain string
		order  []string // addresses dialled
		want   string
		text   string
	}{
		{"preference", func(s *scene) {
			s.zone.mx["example.net"] = []resolver.MX{{Host: "b.example.net", Preference: 20}, {Host: "mx.example.net", Preference: 30}, {Host: "a.example.net", Preference: 5}}
			s.zone.addr["a.example.net"], s.zone.addr["b.example.net"] = []string{"192.0.2.11"}, []string{"192.0.2.12"}
		}, "example.net", []string{"192.0.2.11:25", "192.0.2.12:25", "192.0.2.1:25"}, "delivered 250", ""},
		{"implicit MX", func(s *scene) {
			s.zone.mx["example.net"] = nil
			s.zone.addr["example.net"] = []string{"192.0.2.1"}
		}, "example.net", []string{"192.0.2.1:25"}, "delivered 250", ""},
		{"null MX", func(s *scene) { s.zone.mx["example.net"] = []resolver.MX{{Host: "", Preference: 0}} }, "example.net", nil, "failed 0", "null MX"},
		{"no domain", func(s *scene) {}, "none.example", nil, "failed 0", "does not exist"},
		{"DNS fails", func(s *scene) { s.zone.fail["example.net"] = errors.New("SERVFAIL") }, "example.net", nil, "pending 0", "SERVFAIL"},
		{"MX without address", func(s *scene) { s.zone.addr = map[string][]string{} }, "example.net", nil, "failed 0", "no address"},
		{"MX address fails", func(s *scene) { s.zone.fail["mx.example.net"] = errors.New("SERVFAIL") }, "example.net", nil, "pending 0", "SERVFAIL"},
		{"CNAME", func(s *scene) {
			s.zone.cname["alias.example"] = "example.net"
		}, "alias.example", []string{"192.0.2.1:25"}, "delivered 250", ""},
		{"literal", func(s *scene) {}, "[192.0.2.1]", []string{"192.0.2.1:25"}, "delivered 250", ""},
		{"IPv6 literal", func(s *scene) { s.net.hosts["[2001:db8::1]:25"] = s.mx }, "[IPv6:2001:db8::1]", []string{"[2001:db8::1]:25"}, "delivered 250", ""},
		{"bad literal", func(s *scene) {}, "[example]", nil, "failed 0", "literal"},
		{"IPv6 first, IPv4 after", func(s *scene) {
			s.zone.addr["mx.example.net"] = []string{"192.0.2.1", "2001:db8::1"}
		}, "example.net", []string{"[2001:db8::1]:25", "192.0.2.1:25"}, "delivered 250", ""},
		{"loop", func(s *scene) {
			s.zone.mx["example.net"] = []resolver.MX{{Host: "mail.example.org", Preference: 10}, {Host: "mx.example.net", Preference: 20}}
		}, "example.net", nil, "failed 0", "loops"},
		{"IPv4 preferred", func(s *scene) {
			s.PreferIPv4 = true
			s.zone.addr["mx.example.net"] = []string{"2001:db8::1", "192.0.2.1"}
		}, "example.net", []string{"192.0.2.1:25"}, "delivered 250", ""},
		{"IPv4 preferred, where there is none", func(s *scene) {
			s.PreferIPv4 = true
			s.zone.addr["mx.example.net"] = []string{"2001:db8::1"}
			s.net.hosts["[2001:db8::1]:25"] = s.mx
		}, "example.net", []string{"[2001:db8::1]:25"}, "delivered 250", ""},
		{"IPv4 preferred, and the loop by IPv6 is seen", func(s *scene) {
			s.PreferIPv4 = true
			s.zone.addr["mx.example.net"] = []string{"2001:db8::1", "192.0.2.1"}
			s.OwnAddrs = []netip.Addr{netip.MustParseAddr("2001:db8::1")}
		}, "example.net", nil, "failed 0", "loops"},
		{"loop by address", func(s *scene) { s.OwnAddrs = []netip.Addr{netip.MustParseAddr("192.0.2.1")} }, "example.net", nil, "failed 0", "loops"},
		{"backup MX", func(s *scene) {
			s.zone.mx["example.net"] = []resolver.MX{{Host: "MAIL.example.org", Preference: 20}, {Host: "mx.example.net", Preference: 10}, {Host: "c.example.net", Preference: 20}, {Host: "d.example.net", Preference: 30}}
		}, "example.net", []string{"192.0.2.1:25"}, "delivered 250", ""},
		{"IDN", func(s *scene) {
			s.zone.mx["xn--pklad-zsa96e.example"] = s.zone.mx["example.net"]
		}, "příklad.example", []string{"192.0.2.1:25"}, "delivered 250", ""},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			c.change(s)
			s.mx.ext = append(s.mx.ext, "SMTPUTF8")
			d := delivery("bob@" + c.domain)
			d.Entry.Params.SMTPUTF8 = !isASCII(c.domain)
			res := s.send(t, d)
			if got := summary(res); got != c.want || !strings.Contains(res[0].Text, c.text) {
				t.Errorf("%s, want %s; text %q", got, c.want, res[0].Text)
			}
			if !slices.Equal(s.net.order, c.order) {
				t.Errorf("dialled %v, want %v", s.net.order, c.order)
			}
		})
	}
}

// TestManyAddresses: a domain that lists a thousand addresses costs no more
// than a few dials.
func TestManyAddresses(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.zone.mx["example.net"] = nil
		for i := range 100 {
			host := fmt.Sprintf("h%d.example.net", i)
			s.zone.mx["example.net"] = append(s.zone.mx["example.net"], resolver.MX{Host: host, Preference: 10})
			for j := range 100 {
				s.zone.addr[host] = append(s.zone.addr[host], fmt.Sprintf("198.51.%d.%d", i, j))
			}
		}
		res := s.send(t, delivery("bob@example.net"))
		if len(s.net.order) != maxTargets || summary(res) != "pending 0" || !res[0].Unreachable {
			t.Errorf("%d dials, %+v", len(s.net.order), res)
		}
	})
}

func TestRandomised(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		first := map[string]int{}
		for range 200 {
			h, err := s.sortMX("example.net", resolver.Answer[resolver.MX]{Records: []resolver.MX{{Host: "a", Preference: 10}, {Host: "b", Preference: 10}, {Host: "c", Preference: 20}}})
			if err != nil || len(h.names) != 3 || h.names[2] != "c" {
				t.Fatal(h, err)
			}
			first[h.names[0]]++
		}
		if first["a"] < 50 || first["b"] < 50 {
			t.Errorf("first hosts %v", first)
		}
	})
}

// TestDeadHost: an address that did not answer is not dialled again at once,
// whatever domain it serves.
func TestDeadHost(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.mx.down = true
		s.zone.mx["other.example"] = []resolver.MX{{Host: "mx.example.net", Preference: 10}}
		for range 10 {
			s.send(t, delivery("bob@example.net"))
			if r := s.send(t, delivery("bob@other.example")); r[0].Status != queue.Pending || !strings.Contains(r[0].Text, "refused") {
				t.Fatalf("%+v", r)
			}
		}
		if s.mx.dials != 1 {
			t.Errorf("%d dials", s.mx.dials)
		}
		time.Sleep(time.Minute)
		s.mx.down = false
		if r := s.send(t, delivery("bob@example.net")); r[0].Status != queue.Delivered {
			t.Errorf("%+v", r)
		}
	})
}

// TestReuse: one connection carries many messages, up to a bound, and ends
// when nobody needs it.
func TestReuse(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.MessagesPerConnection = 10
		for range 30 {
			d := delivery("bob@example.net")
			d.More = func() bool { return true }
			if r := s.send(t, d); r[0].Status != queue.Delivered {
				t.Fatalf("%+v", r)
			}
			time.Sleep(time.Second)
		}
		if s.mx.conns != 3 || len(s.mx.messages()) != 30 {
			t.Errorf("%d connections for %d messages", s.mx.conns, len(s.mx.messages()))
		}
		s.send(t, delivery("bob@example.net"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(s.pool.idle) != 0 {
			t.Error("connections are left")
		}
	})
}

// TestReuseBroken: a connection that the other side has ended meanwhile costs
// nothing but a new one.
func TestReuseBroken(t *testing.T) {
	for _, reply := range []string{"drop", "421 idle too long"} {
		bubble(t, reply, func(t *testing.T, s *scene) {
			mails := 0
			s.mx.reply = func(_ int, line string) string {
				if strings.HasPrefix(line, "MAIL") {
					if mails++; mails == 2 {
						return reply
					}
				}
				return ""
			}
			for range 2 {
				if r := s.send(t, delivery("bob@example.net")); r[0].Status != queue.Delivered {
					t.Fatalf("%+v", r)
				}
			}
			if s.mx.conns != 2 {
				t.Errorf("%d connections", s.mx.conns)
			}
		})
	}
}

// closing counts the connections that are open.
type closing struct {
	net.Conn
	once *sync.Once
	open *atomic.Int32
}

func (c closing) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// TestConnectionsAreClosed: whatever a host says and whenever it hangs up, its connection is closed at the latest with the Relay, and one that is of no use at once.
func TestConnectionsAreClosed(t *testing.T) {
	for _, verb := range []string{"EHLO", "MAIL", "RCPT", "DATA", "."} {
		for reply, most := range map[string]int32{"drop": 0, "421 4.3.2 going down": 0, "nonsense": 0, "451 4.3.0 not now": 1, "550 5.1.1 no": 1} {
			bubble(t, verb+" "+reply, func(t *testing.T, s *scene) {
				var open atomic.Int32
				s.Dial = func(ctx context.Context, network, address string, source netip.Addr) (net.Conn, error) {
					c, err := s.net.dial(ctx, network, address, source)
					if err == nil {
						open.Add(1)
						c = closing{c, new(sync.Once), &open}
					}
					return c, err
				}
				s.mx.reply = func(_ int, line string) string {
					if strings.HasPrefix(line, verb) {
						return reply
					}
					return ""
				}
				s.send(t, delivery("bob@example.net"))
				if n := open.Load(); n > most {
					t.Errorf("%d connections are open", n)
				}
				s.Close()
				synctest.Wait()
				if n := open.Load(); n != 0 {
					t.Errorf("%d connections are open at the end", n)
				}
			})
		}
	}
}

// TestInDoubt: after the final dot no other host is tried, for it would take a
// second copy.
func TestInDoubt(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		other := &fakeMX{}
		s.zone.mx["example.net"] = append(s.zone.mx["example.net"], resolver.MX{Host: "b.example.net", Preference: 20})
		s.zone.addr["b.example.net"] = []string{"192.0.2.2"}
		s.net.hosts["192.0.2.2:25"] = other
		s.mx.reply = func(_ int, line string) string {
			if strings.HasPrefix(line, ".") {
				return "drop"
			}
			return ""
		}
		if r := s.send(t, delivery("bob@example.net")); r[0].Status != queue.Pending || other.dials != 0 {
			t.Errorf("%+v, %d dials of the other", r, other.dials)
		}
		// A host that hangs up before is another matter.
		s.mx.reply = func(_ int, line string) string {
			if strings.HasPrefix(line, "MAIL") {
				return "drop"
			}
			return ""
		}
		if r := s.send(t, delivery("bob@example.net")); r[0].Status != queue.Delivered || other.dials != 1 {
			t.Errorf("%+v, %d dials of the other", r, other.dials)
		}
	})
}

// TestTooManyRecipients: those for whom there was no room go into the next
// transaction, on the same connection.
func TestTooManyRecipients(t *testing.T) {
	for _, code := range []string{"452 4.5.3 too many", "552 too many"} {
		bubble(t, code, func(t *testing.T, s *scene) {
			n := 0
			s.mx.reply = func(_ int, line string) string {
				switch {
				case strings.HasPrefix(line, "MAIL"):
					n = 0
				case strings.HasPrefix(line, "RCPT"):
					if n++; n > 3 {
						return code
					}
				}
				return ""
			}
			var to []string
			for i := range 10 {
				to = append(to, fmt.Sprintf("u%d@example.net", i))
			}
			res := s.send(t, delivery(to...))
			for _, r := range res {
				if r.Status != queue.Delivered {
					t.Fatalf("%+v", r)
				}
			}
			if s.mx.conns != 1 || len(s.mx.messages()) != 4 {
				t.Errorf("%d connections, %d messages", s.mx.conns, len(s.mx.messages()))
			}
		})
	}
}

// TestNeeds: what the other side cannot carry is returned, never changed.
func TestNeeds(t *testing.T) {
	const eight = "Subject: x\r\n\r\nžluťoučký\r\n"
	anHour := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC) // after the bubble began
	for _, c := range []struct {
		name  string
		ext   []string
		given smtp.Params
		body  string
		want  string
		code  string
		param string
	}{
		{"8-bit taken", []string{"8BITMIME"}, smtp.Params{Body: smtp.Body8BitMIME}, eight, "delivered 250", "", "BODY=8BITMIME"},
		{"8-bit undeclared", []string{"8BITMIME"}, smtp.Params{}, eight, "delivered 250", "", "BODY=8BITMIME"},
		{"8-bit refused", nil, smtp.Params{Body: smtp.Body8BitMIME}, eight, "failed 0", "5.6.3", ""},
		{"8-bit undeclared, refused", nil, smtp.Params{}, eight, "failed 0", "5.6.3", ""},
		{"declared 8-bit, is 7-bit", nil, smtp.Params{Body: smtp.Body8BitMIME}, message, "delivered 250", "", ""},
		{"SMTPUTF8 taken", []string{"SMTPUTF8", "8BITMIME"}, smtp.Params{SMTPUTF8: true}, message, "delivered 250", "", "SMTPUTF8"},
		{"SMTPUTF8 refused", []string{"8BITMIME"}, smtp.Params{SMTPUTF8: true}, message, "failed 0", "5.6.7", ""},
		{"REQUIRETLS refused", []string{"8BITMIME"}, smtp.Params{RequireTLS: true}, message, "failed 0", "5.7.10", ""},
		{"deadline carried", []string{"DELIVERBY"}, smtp.Params{By: &smtp.DeliverBy{By: anHour, Return: true}}, message, "delivered 250", "", "BY=3600;R"},
		{"deadline to return at, refused", nil, smtp.Params{By: &smtp.DeliverBy{By: anHour, Return: true}}, message, "failed 0", "5.3.3", ""},
		{"deadline to tell at, left out", nil, smtp.Params{By: &smtp.DeliverBy{By: anHour}}, message, "delivered 250", "", ""},
		{"priority carried", []string{"MT-PRIORITY"}, smtp.Params{Priority: -4}, message, "delivered 250", "", "MT-PRIORITY=-4"},
		{"priority left out", nil, smtp.Params{Priority: -4}, message, "delivered 250", "", ""},
		{"held here", nil, smtp.Params{HoldUntil: anHour.Add(-2 * time.Hour)}, message, "delivered 250", "", ""},
		{"BINARYMIME refused", []string{"8BITMIME", "CHUNKING"}, smtp.Params{Body: smtp.BodyBinaryMIME}, message, "failed 0", "5.6.3", ""},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			s.mx.ext = c.ext
			e := queue.Entry{From: address("ann@example.org"), To: []queue.Recipient{{Path: address("bob@example.net")}}, Params: c.given}
			e.Params.Size = int64(len(c.body))
			res := s.send(t, of(&e, c.body))
			if got := summary(res); got != c.want || c.code != "" && res[0].Enhanced != c.code {
				t.Errorf("%s, want %s; %+v", got, c.want, res[0])
			}
			if got := s.mx.messages(); len(got) > 0 && (got[0].data != c.body || !strings.Contains(got[0].line, c.param)) {
				t.Errorf("received %+v", got)
			}
		})
	}
}

// TestRRVS: the next hop is asked since when a mailbox has its owner; where it knows
// of no such question, who wants to be refused is, alone.
func TestRRVS(t *testing.T) {
	since := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		ext        []string
		want, line string
	}{
		{[]string{"RRVS"}, "delivered 250, delivered 250, delivered 250", "RRVS=1999-01-01T00:00:00Z;R"},
		{nil, "failed 0, delivered 250, delivered 250", ""},
	} {
		bubble(t, c.want, func(t *testing.T, s *scene) {
			s.mx.ext = c.ext
			d := delivery("bob@example.net", "carol@example.net", "dave@example.net")
			d.To[0].Params.RRVS, d.To[0].Params.RRVSReject = since, true
			d.To[1].Params.RRVS = since
			res := s.send(t, d)
			if got := summary(res); got != c.want || c.ext == nil && res[0].Enhanced != "5.7.19" {
				t.Errorf("%s, want %s: %+v", got, c.want, res[0])
			}
			if got := s.mx.messages(); len(got) != 1 || !strings.Contains(got[0].rcpt[0], c.line) || (c.ext == nil) == strings.Contains(got[0].rcpt[0], "RRVS") {
				t.Errorf("received %+v", got)
			}
		})
	}
	bubble(t, "nobody is left", func(t *testing.T, s *scene) {
		d := delivery("bob@example.net")
		d.To[0].Params.RRVS, d.To[0].Params.RRVSReject = since, true
		if res := s.send(t, d); res[0].Status != queue.Failed || len(s.mx.messages()) != 0 {
			t.Errorf("%+v, %+v", res, s.mx.messages())
		}
	})
}

func TestUnreadable(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		d := delivery("bob@example.net")
		d.Open = func() (ioReadCloser, error) { return nil, errors.New("I/O error") }
		if r := s.send(t, d); r[0].Status != queue.Pending || !strings.Contains(r[0].Text, "I/O error") {
			t.Errorf("%+v", r)
		}
		d.Open = func() (ioReadCloser, error) { return &failing{after: 2}, nil }
		if r := s.send(t, d); r[0].Status != queue.Pending || len(s.mx.messages()) != 0 {
			t.Errorf("%+v, received %+v", r, s.mx.messages())
		}
	})
}

func TestSources(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		v4 := netip.MustParseAddr("192.0.2.200")
		s.Domains = domains.NewMap(map[string]Domain{
			"example.net": {Source: Source{v4, "out.example.org"}}, "*": {Source: Source{netip.MustParseAddr("2001:db8::9"), ""}},
		})
		var hello []string
		s.mx.reply = func(_ int, line string) string {
			if strings.HasPrefix(line, "EHLO") {
				hello = append(hello, line)
			}
			return ""
		}
		s.zone.mx["other.example"] = []resolver.MX{{Host: "mx.example.net", Preference: 10}}
		s.send(t, delivery("bob@example.net"))
		s.send(t, delivery("bob@other.example"))
		if !slices.Equal(hello, []string{"EHLO out.example.org", "EHLO mail.example.org"}) {
			t.Errorf("%q", hello)
		}
		if s.net.from[0] != v4 || s.net.from[1].IsValid() { // no IPv6 source for an IPv4 host
			t.Errorf("from %v", s.net.from)
		}
	})
}
