package verify

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// TestSameClient: what a client has shown of itself is not asked for again in its session, and
// never counts for another name, another address or a sender that is judged otherwise.
func TestSameClient(t *testing.T) {
	w, _ := newWorld(t)
	w.txt["mx.a.test."], w.txt["forged.test."] = "v=spf1 a -all", "v=spf1 -all"
	v := newVerifier(w, &rules)
	s := &smtp.Session{Identity: lineserver.Identity{ID: "s"}}
	for _, c := range []struct {
		name, client, helo, from string
		asks                     bool // for the client's name as well
		iprev                    string
		hello                    spf.Result
	}{
		{"the first", client, "mx.a.test", "x@a.test", true, "pass", spf.Pass},
		{"the second", client, "mx.a.test", "x@other.test", false, "pass", spf.Pass},
		{"another name", client, "forged.test", "x@a.test", true, "pass", spf.Fail},
		{"that name again", client, "forged.test", "y@a.test", false, "pass", spf.Fail},
		{"another address", "192.0.2.8", "forged.test", "x@a.test", true, "fail", spf.Fail},
		{"the null sender", "192.0.2.8", "forged.test", "", true, "fail", spf.None},
		{"behind the null sender", "192.0.2.8", "forged.test", "x@a.test", true, "fail", spf.Fail},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.RemoteAddr, s.Helo = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.client), 4000)), c.helo
			local, domain, _ := strings.Cut(c.from, "@")
			w.reversed.Store(0)
			if err := v.Sender(t.Context(), s, smtp.Path{Local: local, Domain: domain}, false); err != nil {
				t.Fatal(err)
			}
			got := s.Values[v].(*sender)
			<-got.done
			if asked := w.reversed.Load() > 0; asked != c.asks || got.iprev.result != c.iprev || got.hello.Result != c.hello {
				t.Errorf("%s: asked for the name %v, iprev=%s, HELO %v", c.name, asked, got.iprev.result, got.hello.Result)
			}
			if want := (spf.Query{IP: got.client, Helo: c.helo, MailFrom: c.from}); spf.Check(t.Context(), want, w).Result != got.spf.Result {
				t.Errorf("%s: SPF %v", c.name, got.spf.Result)
			}
		})
	}
}

// TestSameSender: a sender who writes again at once is not asked about again; after a while, or from elsewhere, he is.
func TestSameSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newWorld(t)
		v := newVerifier(w, &rules)
		s := &smtp.Session{Identity: lineserver.Identity{ID: "s"}}
		for _, c := range []struct {
			name, client, helo, from string
			wait                     time.Duration
			asks                     bool
			want                     spf.Result
		}{
			{"the first", client, "mx.a.test", "x@a.test", 0, true, spf.Pass},
			{"again", client, "mx.a.test", "x@a.test", 3 * time.Second, false, spf.Pass},
			{"again, long after the first", client, "mx.a.test", "x@a.test", 3 * time.Second, true, spf.Pass},
			{"and again", client, "mx.a.test", "x@a.test", 0, false, spf.Pass},
			{"another of the domain", client, "mx.a.test", "y@a.test", 0, true, spf.Pass},
			{"another domain", client, "mx.a.test", "y@other.test", 0, true, spf.Fail},
			{"another address", "203.0.113.9", "mx.a.test", "y@other.test", 0, true, spf.Fail},
			{"one whose DNS is dead", "203.0.113.9", "mx.a.test", "y@slow.test", 0, true, spf.TempError},
			{"the dead again", "203.0.113.9", "mx.a.test", "y@slow.test", 0, true, spf.TempError},
			{"another name", "203.0.113.9", "forged.test", "y@slow.test", 0, true, spf.TempError},
		} {
			time.Sleep(c.wait)
			s.RemoteAddr, s.Helo = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.client), 4000)), c.helo
			local, domain, _ := strings.Cut(c.from, "@")
			before := w.asked.Load()
			if err := v.Sender(t.Context(), s, smtp.Path{Local: local, Domain: domain}, false); err != nil {
				t.Fatal(err)
			}
			got := s.Values[v].(*sender)
			<-got.done
			if asked := w.asked.Load() > before; asked != c.asks || got.spf.Result != c.want {
				t.Errorf("%s: asked: %v; %v", c.name, asked, got.spf.Result)
			}
		}
	})
}

// TestWhatWasAsked: the results name who they are about.
func TestWhatWasAsked(t *testing.T) {
	w, signers := newWorld(t)
	w.txt["mx.a.test."] = "v=spf1 a -all"
	for from, want := range map[string]string{
		"x@a.test": "smtp.mailfrom=x@a.test smtp.helo=mx.a.test header.from=none.test policy.iprev=" + client,
		"":         "smtp.helo=mx.a.test header.from=none.test policy.iprev=" + client,
	} {
		found, refused := bring(t, newVerifier(w, &rules), signers, mail{from: from, header: "From: y@none.test"})
		_, r := outcome(t, found, refused)
		var got []string
		for _, method := range []string{"spf", "dmarc", "iprev"} {
			for _, one := range r.Results {
				for _, p := range one.Props {
					if one.Method == method {
						got = append(got, p.Type+"."+p.Property+"="+p.Value)
					}
				}
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, not %q", from, got, want)
		}
	}
}
