package verify

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// TestImpostor: who calls himself this host is refused, or his mail marked, as the settings say, unless the name's SPF says that he may, or the DNS does not answer.
func TestImpostor(t *testing.T) {
	w, signers := newWorld(t)
	for _, c := range []struct {
		name, helo, client string // client: of the connection
		record             string // SPF of our name
		impostor           bool
	}{
		{"no record", "mx.home.test", client, "", true},
		{"another case", "MX.Home.Test.", client, "", true},
		{"SPF fails", "mx.home.test", client, "v=spf1 ip4:203.0.113.1 -all", true},
		{"SPF is neutral", "mx.home.test", client, "v=spf1 ?all", true},
		{"SPF passes", "mx.home.test", client, "v=spf1 ip4:192.0.2.7 -all", false},
		{"no answer", "mx.home.test", client, "dead", false},
		{"his own name", "mx.a.test", client, "", false},
		{"our address", "[" + here + "]", client, "", true},
		{"his address", "[" + client + "]", client, "", false},
	} {
		for _, from := range []string{"x@a.test", ""} {
			for _, action := range []Action{Refuse, Mark, Note} {
				synctest.Test(t, func(t *testing.T) {
					w.txt["mx.home.test."] = c.record
					r := rules
					r.Names, r.OwnHello = append(r.Names, "mx.home.test"), action
					v := newVerifier(w, &r)
					path := smtp.Path{}
					if from != "" {
						path = smtp.Path{Local: "x", Domain: "a.test"}
					}
					s := begin(&r, &smtp.Session{Helo: c.helo, Identity: lineserver.Identity{LocalAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(here + ":25"))}}, mustAddr(c.client), path)
					err := v.impostor(t.Context(), s)
					var reply *smtp.Reply
					if want := c.impostor && action == Refuse; (err != nil) != want || want && (!errors.As(err, &reply) || reply.Code != 550) {
						t.Errorf("%s, from %q, %s: %v", c.name, from, action, err)
					}
					if from == "" || c.record == "dead" || action == Refuse {
						return
					}
					found, refused := bring(t, v, signers, mail{from: from, header: "From: x@a.test", helo: c.helo, client: c.client})
					what, _ := outcome(t, found, refused)
					if want := c.impostor && action == Mark; (what == "marked") != want || !want && what != "taken" {
						t.Errorf("%s, %s: a message is %s", c.name, action, what)
					}
				})
			}
		}
	}
}

// TestSenderBefore: of the transactions before, a session keeps one, whether it has asked anything or not, and its questions end with the next; of a
// sender who is trusted, none.
func TestSenderBefore(t *testing.T) {
	w, _ := newWorld(t)
	w.dead = true
	v := newVerifier(w, &rules)
	for _, client := range []string{client, "10.0.0.1"} {
		synctest.Test(t, func(t *testing.T) {
			s := &smtp.Session{Helo: "mx.a.test", Identity: lineserver.Identity{ID: "s", RemoteAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client + ":4000"))}}
			var before *sender
			for range 3 {
				if err := v.Sender(t.Context(), s, smtp.Path{Local: "x", Domain: "a.test"}, false); err != nil {
					t.Fatal(err)
				}
				now := s.Values[v].(*sender)
				if before != nil {
					if before.was != nil {
						t.Error("a chain of transactions")
					}
					began := time.Now()
					if <-before.done; time.Since(began) != 0 {
						t.Errorf("the questions of the transaction before have ended after %v", time.Since(began))
					}
				}
				before = now
				synctest.Wait()
			}
			if err := v.Sender(t.Context(), s, smtp.Path{Local: "x", Domain: "a.test"}, true); err != nil || s.Values[v] != nil {
				t.Errorf("%v, of a trusted one is kept %v", err, s.Values[v])
			}
		})
	}
}

// TestBest: one signature that is good is the best, and one that is wrong says more than one that could not be looked at.
func TestBest(t *testing.T) {
	for text, want := range map[string]dkim.Status{
		"": dkim.None, "pass": dkim.Pass, "fail pass": dkim.Pass, "pass fail": dkim.Pass, "neutral pass temperror": dkim.Pass, "neutral fail": dkim.Fail, "fail neutral": dkim.Fail,
		"temperror neutral": dkim.TempError, "none temperror": dkim.TempError,
	} {
		var d Verdict
		for status := range strings.FieldsSeq(text) {
			d.DKIM = append(d.DKIM, dkim.Result{Status: dkim.Status(status)})
		}
		if got := d.best(); got != string(want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestAuthorsEdge: how much may name authors.
func TestAuthorsEdge(t *testing.T) {
	const field, other = "From: ", "Sender: x\r\n"
	mailtest.Edge(t, "octets that name authors", 64<<10, func(n int) bool {
		header, _, _ := rfc2822.ParseHeader(other + field + strings.Repeat("x", n-len(other)-len(field)-2) + "\r\nSubject: " + strings.Repeat("y", 1000) + "\r\n")
		return !longAuthors(&header)
	})
}
