package verify

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestEarlyCounts: each transaction without a message counts against its network until a message follows one, or time
// passes, and no more than so many may ask early.
func TestEarlyCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bounds
		a := netip.MustParsePrefix("192.0.2.1/32")
		left := func() (n int) {
			for _, e := range b.early {
				n += e.at(time.Now()).n
			}
			return n
		}
		for i := range 5 {
			if !b.begins(a) || left() != i+1 {
				t.Fatalf("%d begun: %d counted", i+1, left())
			}
		}
		for i := range 5 {
			if b.came(a); left() != 4-i {
				t.Errorf("a message for %d of 5: %d counted", i+1, left())
			}
		}
		if len(b.early) != 0 {
			t.Errorf("%d networks are remembered for nothing", len(b.early))
		}
		b.came(a) // of one that asked late
		for range mostEarly {
			if !b.begins(a) {
				t.Fatal("not so many as there may be")
			}
		}
		if b.begins(a) {
			t.Error("one more than there may be")
		}
		time.Sleep(earlyAgain)
		if !b.begins(a) || b.begins(a) {
			t.Error("time that has passed is not one more")
		}
	})
}

// TestSameTop: names have their last label in common or not.
func TestSameTop(t *testing.T) {
	for pair, want := range map[string]bool{"a.test b.test": true, "a.test a.tests": false, "a.test a.est": false, "test a.test": true, "test tests": false, "t t": true, "x.t y.t": true, "a.xtest b.test": false} {
		a, b, _ := strings.Cut(pair, " ")
		if sameTop(domains.Name(a), domains.Name(b)) != want || sameTop(domains.Name(b), domains.Name(a)) != want {
			t.Errorf("%s: %v", pair, !want)
		}
	}
}

// TestResultsText: what stands on top says of each method what was found, and of whom.
func TestResultsText(t *testing.T) {
	w, signers := newWorld(t)
	w.txt["mx.a.test."] = "v=spf1 a -all"
	for _, c := range []struct {
		m    mail
		want string
	}{
		{mail{from: "x@a.test", header: "From: x@a.test"},
			"mx.home.test; dmarc=pass (p=reject) header.from=a.test; spf=pass (ip4:192.0.2.0/24) smtp.mailfrom=x@a.test; spf=pass (a) smtp.helo=mx.a.test; dkim=none; iprev=pass (mx.a.test) policy.iprev=192.0.2.7"},
		{mail{from: "", header: "From: x@a.test"},
			"mx.home.test; dmarc=pass (p=reject) header.from=a.test; spf=pass (a) smtp.helo=mx.a.test; dkim=none; iprev=pass (mx.a.test) policy.iprev=192.0.2.7"},
		{mail{from: "x@a.test", helo: "nobody.test", header: "Subject: no author"},
			"mx.home.test; dmarc=permerror; spf=pass (ip4:192.0.2.0/24) smtp.mailfrom=x@a.test; dkim=none; iprev=pass (mx.a.test) policy.iprev=192.0.2.7"},
	} {
		found, refused := bring(t, newVerifier(w, &rules), signers, c.m)
		if refused != nil {
			t.Fatal(refused)
		}
		got := strings.Join(strings.Fields(strings.TrimPrefix(found.Results[0], "Authentication-Results:")), " ")
		if got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
