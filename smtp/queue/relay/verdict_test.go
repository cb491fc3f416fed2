package relay

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/resolver"
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
		{"MX without address", Route{Hosts: []string{"empty.example.org"}, MX: true}, func(s *scene) {
			s.zone.mx["empty.example.org"] = []resolver.MX{{Host: "gone.example.org", Preference: 10}}
		}},
		{"null MX", Route{Hosts: []string{"null.example.org"}, MX: true}, func(s *scene) { s.zone.mx["null.example.org"] = []resolver.MX{{Host: "", Preference: 0}} }},
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

// TestOddReplies: a verdict that is clear counts, however it is written. What a
// host has taken is not sent to it again.
func TestOddReplies(t *testing.T) {
	long := strings.Repeat("x", 5000)
	lines := func(code string) string { return strings.Repeat(code+"-x\n", 200) + code + " end" }
	for _, c := range []struct {
		name, at, reply, want string
	}{
		{"taken, a long line", ". ", "250 2.0.0 " + long, "delivered 250"},
		{"taken, many lines", ". ", lines("250"), "delivered 250"},
		{"taken, a long line behind another", ". ", "250-ok\n250 " + long, "delivered 250"},
		{"refused, a long line", ". ", "554 5.7.1 " + long, "failed 554"},
		{"refused, many lines", ". ", lines("554"), "failed 554"},
		{"recipient refused, a long line", "RCPT", "550 5.1.1 " + long, "failed 550"},
		{"recipient refused, many lines", "RCPT", lines("550"), "failed 550"},
		{"later, a long line", ". ", "451 " + long, "pending 451"},
		{"mixed", "RCPT", "550-first\n551 second", "failed 551"},
		{"mixed, of the message", ". ", "250-first\n251 second", "delivered 251"},
		{"contradiction", ". ", "250-first\n550 second", "pending 0"},
		{"no code", ". ", long, "pending 0"},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			s.mx.reply = func(_ int, line string) string {
				if strings.HasPrefix(line, c.at) {
					return c.reply
				}
				return ""
			}
			if got := summary(s.send(t, delivery("bob@example.net"))); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestOldTLS: a host that can exchange keys by RSA only is sent to under TLS, where
// the alternative is the clear, and not at all where TLS is demanded.
func TestOldTLS(t *testing.T) {
	for _, level := range []Level{Auto, Encrypt} {
		bubble(t, fmt.Sprint(level), func(t *testing.T, s *scene) {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				t.Fatal(err)
			}
			tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.example.net"}, DNSNames: []string{"mx.example.net"},
				NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
			der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
			if err != nil {
				t.Fatal(err)
			}
			s.mx.tls = &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA},
				Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
			s.Domains = levels(map[string]Level{"example.net": level})
			if level == Auto {
				s.Domains = levels(nil)
			}
			r := s.send(t, delivery("bob@example.net"))[0]
			got := s.mx.messages()
			if level == Auto && (r.Status != queue.Delivered || !got[0].tls) || level == Encrypt && (r.Status != queue.Pending || len(got) > 0) {
				t.Errorf("%+v, %+v", r, got)
			}
		})
	}
}
