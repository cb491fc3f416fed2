package verify

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dnslist"
)

// listVerifier is a Verifier with lists, each of which has one meaning for 127.0.0.2 to .9: "zone action".
func listVerifier(t *testing.T, lists ...string) (*world, *Verifier, *Rules) {
	t.Helper()
	w, _ := newWorld(t)
	r := rules
	r.Lists = &Lists{Means: make(map[*dnslist.List][]Meaning)}
	codes, err := dnslist.ParseCodes("127.0.0.2-9")
	if err != nil {
		t.Fatal(err)
	}
	var all []*dnslist.List
	for _, text := range lists {
		zone, action, _ := strings.Cut(text, " ")
		l := &dnslist.List{Zone: zone, Domains: strings.HasPrefix(zone, "dom")}
		all = append(all, l)
		r.Lists.Means[l] = []Meaning{{Codes: codes, Action: Action(action), Text: "see {ip}"}}
		w.addrs["2.0.0.127."+zone+"."], w.addrs["test."+zone+"."] = "127.0.0.2", "127.0.0.2"
	}
	r.Lists.Group = dnslist.NewGroup(nil, all...)
	return w, newVerifier(w, &r), &r
}

// rcpt is the answer to a stranger's RCPT, 250 for none.
func rcpt(t *testing.T, v *Verifier, client, from, to string) string {
	t.Helper()
	s := &smtp.Session{Identity: lineserver.Identity{ID: "s", RemoteAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(mustAddr(client), 4000)),
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(mustAddr(here), 25))}, Helo: "mx.bad.test"}
	local, domain, _ := strings.Cut(from, "@")
	if err := v.Sender(t.Context(), s, smtp.Path{Local: local, Domain: domain}, false); err != nil {
		t.Fatal(err)
	}
	local, domain, _ = strings.Cut(to, "@")
	err := v.Recipient(t.Context(), s, &smtp.Recipient{Path: smtp.Path{Local: local, Domain: domain}})
	if err == nil {
		return "250"
	}
	return err.Error()
}

// TestListsTogether: what several lists say, in whatever order they stand, and what follows where one of them fails.
func TestListsTogether(t *testing.T) {
	const blocked, allowed, both, unsure, deadBlock = "203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "203.0.113.5"
	for _, order := range [][]string{{"bl.test refuse", "wl.test allow"}, {"wl.test allow", "bl.test refuse"}} {
		synctest.Test(t, func(t *testing.T) {
			w, v, r := listVerifier(t, order...)
			for host, zone := range map[string]string{"1": "bl", "2": "wl", "3": "bl wl", "4": "bl"} {
				for _, z := range strings.Fields(zone) {
					w.addrs[host+".113.0.203."+z+".test."] = "127.0.0.4"
				}
			}
			w.addrs["4.113.0.203.wl.test."], w.addrs["5.113.0.203.bl.test."] = "dead", "dead"
			for client, want := range map[string]string{
				blocked: "554 5.7.1 Not accepted: bl.test lists 203.0.113.1 (127.0.0.4): see 203.0.113.1", allowed: "250", both: "250",
				unsure: "450 4.7.1 Not accepted now: bl.test lists", deadBlock: "250", "203.0.113.6": "250", "10.0.0.1": "250",
			} {
				if got := rcpt(t, v, client, "x@a.test", "bob@home.test"); !strings.HasPrefix(got, want) {
					t.Errorf("%s: %s, want %s", client, got, want)
				}
			}
			for _, to := range []string{"postmaster@home.test", "Abuse@home.test"} {
				if got := rcpt(t, v, blocked, "x@a.test", to); got != "250" {
					t.Errorf("%s: %s", to, got)
				}
			}
			r.Softest = map[domains.Name]Action{"soft.test": Mark}
			if got := rcpt(t, v, blocked, "x@a.test", "bob@soft.test"); got != "250" {
				t.Errorf("a softer domain: %s", got)
			}
			r.Forwarders = []netip.Prefix{netip.MustParsePrefix(blocked + "/32")}
			if got := rcpt(t, v, blocked, "x@a.test", "bob@home.test"); got != "250" {
				t.Errorf("a forwarder: %s", got)
			}
		})
	}
}

// TestListsOfDomains: a list of domains is asked for that of MAIL and that of HELO, and each message anew.
func TestListsOfDomains(t *testing.T) {
	w, v, _ := listVerifier(t, "dom.test refuse")
	w.addrs["bad.example.dom.test."] = "127.0.0.3"
	for from, want := range map[string]string{"x@bad.example": "554 5.7.1 Not accepted: dom.test lists bad.example (127.0.0.3)", "x@good.example": "250", "x@[192.0.2.1]": "250"} {
		if got := rcpt(t, v, "203.0.113.1", from, "bob@home.test"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", from, got)
		}
	}
	w.addrs["mx.bad.test.dom.test."] = "127.0.0.3"
	if got := rcpt(t, v, "203.0.113.1", "x@good.example", "bob@home.test"); !strings.Contains(got, "dom.test lists mx.bad.test") {
		t.Errorf("HELO: %s", got)
	}
}

// TestWorstCounts: of several lists the worst decides, and all reasons are told.
func TestWorstCounts(t *testing.T) {
	w, v, r := listVerifier(t, "a.test mark", "b.test quarantine", "c.test note")
	for _, zone := range []string{"a", "b", "c"} {
		w.addrs["1.113.0.203."+zone+".test."] = "127.0.0.3"
	}
	m := mail{from: "x@good.example", header: "From: x@good.example", client: "203.0.113.1"}
	for _, place := range []bool{true, false} {
		r.Aside = place
		found, refused := bring(t, v, nil, m)
		text := strings.Join(strings.Fields(strings.Join(found.Results, "")), " ")
		if refused != nil || (found.Aside != "") != place || !strings.Contains(text, "b.test lists 203.0.113.1 (127.0.0.3); a.test lists") || strings.Contains(text, "c.test") || !strings.Contains(fmt.Sprint(found.Facts), "c.test:127.0.0.3") {
			t.Errorf("a place: %t: %v, %q, %s, %v", place, refused, found.Aside, text, found.Facts)
		}
	}
}
