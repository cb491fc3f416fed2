package verify

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/greylist"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// greylisting is a Verifier with a greylist, and an attempt with it: "taken", "refused" for good, or for how long to wait.
func greylisting(t *testing.T) (w *world, v *Verifier, signers map[string]*dkim.Signer) {
	name := filepath.Join(t.TempDir(), "greylist")
	disk, err := durable.Open(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	table, err := greylist.Open(disk, name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	w, signers = newWorld(t)
	w.txt["pool.test."] = "v=spf1 ip4:198.51.96.0/20 -all"
	w.gone = map[string]bool{"nowhere.example.": true}
	r := rules
	r.Greylist = &greylist.Times{Wait: time.Minute, Window: 48 * time.Hour, Keep: 35 * 24 * time.Hour}
	v = newVerifier(w, &r)
	v.Greylist = func() *greylist.Table { return table }
	return w, v, signers
}

func attempt(t *testing.T, v *Verifier, signers map[string]*dkim.Signer, m mail) string {
	t.Helper()
	if m.header == "" {
		m.header = "From: x@plain.test"
	}
	_, refused := bring(t, v, signers, m)
	switch {
	case refused == nil:
		return "taken"
	case refused.Permanent():
		return "refused"
	case refused.Code != 450 || refused.Enhanced != "4.7.1" || !strings.Contains(refused.Text, " UTC"):
		t.Errorf("%v", refused)
	}
	var seconds int
	_, rest, _ := strings.Cut(refused.Text, "come again in ")
	fmt.Sscan(rest, &seconds)
	return (time.Duration(seconds) * time.Second).String()
}

// TestHonestAreNotDelayed: a thousand mails of those who are known in one way or another, and not one has to wait.
func TestHonestAreNotDelayed(t *testing.T) {
	w, v, signers := greylisting(t)
	w.names["203.0.113.5"], w.addrs["mx.five.test."] = "mx.five.test.", "203.0.113.5"
	honest := map[string]mail{
		"SPF and the reverse name":                   {from: "x@a.test", header: "From: x@a.test"},
		"SPF and the reverse name, odd HELO":         {from: "x@a.test", header: "From: x@elsewhere.test", helo: "DESKTOP-1"},
		"a signature of the author's domain":         {from: "x@other.test", signed: "none.test", header: "From: x@none.test", client: "203.0.113.1", helo: "nowhere.example"},
		"no record at all, and names that fit":       {from: "x@five.test", client: "203.0.113.5", helo: "mx.five.test"},
		"a bounce of a host with names":              {from: "", client: "203.0.113.5", helo: "mx.five.test"},
		"a host behind a gateway":                    {from: "x@five.test", client: "10.0.0.1", helo: "x"},
		"LMTP":                                       {from: "x@five.test", client: "203.0.113.9", lmtp: true},
		"a user":                                     {from: "x@five.test", client: "203.0.113.9", trusted: true},
		"a host whose names the DNS does not answer": {from: "x@five.test", client: "192.0.2.9", helo: "mx.five.test"},
	}
	synctest.Test(t, func(t *testing.T) {
		for i := range 1000 / len(honest) {
			for name, m := range honest {
				if i > 3 && m.client == "192.0.2.9" {
					continue // it takes its time
				}
				if got := attempt(t, v, signers, m); got != "taken" {
					t.Errorf("%s: %s", name, got)
				}
			}
		}
	})
	if known, waiting := v.Greylist().Len(); known+waiting != 0 {
		t.Errorf("%d known, %d waiting", known, waiting)
	}
}

// TestSuspiciousComeAgain: who gives reason to has to wait a minute, once; a pool of hosts of one domain or network does so together.
func TestSuspiciousComeAgain(t *testing.T) {
	_, v, signers := greylisting(t)
	synctest.Test(t, func(t *testing.T) {
		again := func(what, want string, m mail) {
			t.Helper()
			if got := attempt(t, v, signers, m); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		// Without SPF, from another address of its network each time.
		from := func(n int) mail {
			return mail{from: "code@shop.test", client: fmt.Sprintf("203.0.113.%d", n), helo: "nowhere.example"}
		}
		again("first", "1m0s", from(1))
		time.Sleep(30 * time.Second)
		again("too early", "30s", from(2))
		time.Sleep(30 * time.Second)
		again("second", "taken", from(3))
		other := from(4)
		other.from, other.to = "other@shop.test", "carl@home.test"
		again("and all else of the network", "taken", other)
		other.client = "203.0.112.4"
		again("but no other", "1m0s", other)
		time.Sleep(time.Minute)

		// A pool: fifty hosts without names in five networks, of which SPF knows.
		pool := 0
		host := func() mail {
			pool++
			return mail{from: "x@pool.test", client: fmt.Sprintf("198.51.%d.%d", 96+pool%5, pool), helo: "nowhere.example"}
		}
		again("pool", "1m0s", host())
		time.Sleep(time.Minute)
		for range 50 {
			again("pool", "taken", host())
		}

		// Both families have one rule.
		six := func(n int) mail {
			return mail{from: "x@six.test", client: fmt.Sprintf("2001:db8:1:1::%d", n), helo: "nowhere.example"}
		}
		again("IPv6", "1m0s", six(1))
		time.Sleep(time.Minute)
		again("IPv6", "taken", six(2))
		beside := six(3)
		beside.client = "2001:db8:1:2::3"
		again("another network", "1m0s", beside)

		signed := mail{from: "x@other.test", header: "From: x@six.test", signed: "list.test", client: "203.0.200.1", helo: "nowhere.example"}
		again("a signature of somebody", "1m0s", signed)
		time.Sleep(time.Minute)
		signed.client = "203.0.201.1"
		again("a signature of somebody", "taken", signed)
	})
}

// TestOneAttempt: two attempts are of one message if their sender and their first recipient are the same.
func TestOneAttempt(t *testing.T) {
	_, v, signers := greylisting(t)
	synctest.Test(t, func(t *testing.T) {
		m := mail{from: "x@shop.test", client: "203.0.113.7", helo: "nowhere.example", to: "bob@home.test", too: "eve@home.test"}
		carl, other := m, m
		carl.to, other.from = "carl@home.test", "y@shop.test"
		for _, first := range []mail{m, carl, other} {
			if got := attempt(t, v, signers, first); got != "1m0s" {
				t.Errorf("%+v: %s", first, got)
			}
			time.Sleep(time.Minute)
		}
		m.too = ""
		if got := attempt(t, v, signers, m); got != "taken" {
			t.Errorf("the same to the first of its recipients: %s", got)
		}
	})
}

// TestSPFIsReason: SPF that fails is a reason to have a message come again, softly too; that it says nothing is none.
func TestSPFIsReason(t *testing.T) {
	w, v, signers := greylisting(t)
	synctest.Test(t, func(t *testing.T) {
		for record, want := range map[string]string{"-all": "1m0s", "~all": "1m0s", "?all": "taken", "+all": "taken", "nonsense": "taken"} {
			w.txt["one.test."] = "v=spf1 " + record
			if got := attempt(t, v, signers, mail{from: "x@one.test"}); got != want {
				t.Errorf("%s: %s, want %s", record, got, want)
			}
		}
	})
}

// TestCertainFirst: what is refused for good is refused at once, and nothing is remembered of it.
func TestCertainFirst(t *testing.T) {
	_, v, signers := greylisting(t)
	for _, m := range []mail{
		{from: "bob@home.test", header: "From: bob@home.test", client: "203.0.113.1", helo: "nowhere.example"},
		{from: "x@reject.test", header: "From: x@reject.test", client: "203.0.113.1", helo: "nowhere.example"},
	} {
		if got := attempt(t, v, signers, m); got != "refused" {
			t.Errorf("%+v: %s", m, got)
		}
	}
	if known, waiting := v.Greylist().Len(); known+waiting != 0 {
		t.Errorf("%d known, %d waiting", known, waiting)
	}
}

// TestDelayedIsNoVerdict: a message that is to come again is counted when it has.
func TestDelayedIsNoVerdict(t *testing.T) {
	_, v, signers := greylisting(t)
	n := 0
	v.Observe = func(*Verdict) { n++ }
	synctest.Test(t, func(t *testing.T) {
		m := mail{from: "x@shop.test", client: "203.0.113.7", helo: "nowhere.example"}
		attempt(t, v, signers, m)
		time.Sleep(time.Minute)
		attempt(t, v, signers, m)
	})
	if n != 1 {
		t.Errorf("%d verdicts", n)
	}
}

// TestNaming: what a client can call itself, and what of it is known.
func TestNaming(t *testing.T) {
	w, _ := newWorld(t)
	w.gone = map[string]bool{"nowhere.example.": true}
	r := rules
	r.Names = append(r.Names, "mx.home.test")
	v := newVerifier(w, &r)
	for helo, want := range map[string]naming{
		"mx.a.test": goodName, "MX.A.TEST.": goodName, "else.test": goodName, "nowhere.example": noName, "DESKTOP-1": noName, "localhost": noName, "-": noName, "": noName, "a b.test": noName, "a..b": noName,
		"[" + client + "]": goodName, client: goodName, "[192.168.1.2]": noName, "[IPv6:2001:db8::1]": noName, "[x": noName, "[]": noName, strings.Repeat("a.", 130) + "b": noName,
		"mx.home.test": ourName, "MX.home.test.": ourName, "[" + here + "]": ourName, here: ourName, "home.test": goodName,
	} {
		s := &smtp.Session{Helo: helo}
		from := begin(&r, s, mustAddr(client), smtp.Path{Local: "x", Domain: "a.test"})
		from.local = mustAddr(here)
		from.iprev = iprev{"pass", "mx.a.test"}
		if got := from.naming(t.Context(), v.dns()); got != want {
			t.Errorf("%q: %q, want %q", helo, got, want)
		}
	}
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }
