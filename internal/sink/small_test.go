package sink

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/smtp"
)

// TestChaosStrikes: always at 100, never at 0, and now and then between.
func TestChaosStrikes(t *testing.T) {
	for probability, want := range map[int]func(n int) bool{0: func(n int) bool { return n == 0 }, 100: func(n int) bool { return n == 500 }, 50: func(n int) bool { return n > 0 && n < 500 }} {
		var c Chaos
		d := DefaultTriggers()
		d[AtSender].Probability = probability
		if err := c.Set(d); err != nil {
			t.Fatal(err)
		}
		n := 0
		for range 500 {
			if c.strike(AtSender) != nil {
				n++
			}
			if c.strike(AtRecipient) != nil {
				t.Fatal("another point strikes")
			}
		}
		if !want(n) {
			t.Errorf("%d %%: %d of 500", probability, n)
		}
	}
}

// TestFaultsOfUsers: rules know who has logged in, and who has not.
func TestFaultsOfUsers(t *testing.T) {
	f := &Faults{}
	r := &receiver{Receiving: Receiving{Faults: f}}
	for text, want := range map[string][3]bool{
		"reject user alice@x.test": {true, false, false}, "reject user alice@": {true, true, false}, "reject not user @": {false, false, true}, "reject user bob@": {false, false, false}, "reject tls off": {true, true, true},
	} {
		if err := f.Set("", "@from "+text); err != nil {
			t.Fatal(err)
		}
		for i, user := range []string{"alice@x.test", "alice", ""} {
			s := &smtp.Session{Identity: lineserver.Identity{ID: "s", User: user}}
			if _, err := r.fail(t.Context(), s, rules.AtFrom, r.factsOf(s)); (err != nil) != want[i] {
				got := err != nil
				t.Errorf("%s, user %q: %v", text, user, got)
			}
		}
	}
}

// TestInboxList: each with its address, what was not read, and when the newest came.
func TestInboxList(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	if _, err := b.Make("Team"); err != nil {
		t.Fatal(err)
	}
	read := put(t, b, "\r\n", "A@x.test", "team@sink.test")
	newest := put(t, b, "\r\n", "a@x.test")
	b.Mark("", true, nil, read)
	last, _ := b.Get("", newest)
	list := b.Inboxes()
	if len(list) != 2 || list[0].Name != "a@x.test" || list[0].Address != "a@x.test" || list[0].Made || list[0].Messages != 2 || list[0].Unread != 1 || !list[0].Last.Equal(last.Received) ||
		list[1].Name != "team" || list[1].Address != "team@sink.test" || !list[1].Made || list[1].Messages != 1 || list[1].Unread != 0 {
		t.Errorf("%+v", list)
	}
	for _, by := range []string{"login", "header:X"} {
		sorting, err := ParseSorting(by)
		if err != nil {
			t.Fatal(err)
		}
		b := NewBox(Limits{}, sorting)
		if err := b.Put(t.Context(), NewID(), Envelope{User: "u", Received: time.Now()}, []byte("X: u\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if list := b.Inboxes(); len(list) != 1 || list[0].Name != "u" || list[0].Address != "" {
			t.Errorf("%s: %+v", by, list)
		}
	}
	for _, bad := range []string{"", "field", "header:", "header:a b", "header:a:b"} {
		if _, err := ParseSorting(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestTracedLines: where it came from, and for whom if that is one alone.
func TestTracedLines(t *testing.T) {
	for _, to := range [][]string{{"a@x.test"}, {"a@x.test", "b@x.test"}} {
		m := newMessage("id", Envelope{To: to, Helo: "h.test", Client: "192.0.2.7:4", Protocol: "ESMTP", Host: "s.test"}, []byte("To: a@x.test, b@x.test\r\n\r\n"))
		got := string(m.Traced(nil))
		if !strings.Contains(got, "from h.test ([192.0.2.7])") || strings.Contains(got, "for <a@x.test>") != (len(to) == 1) {
			t.Errorf("%q: %s", to, got)
		}
	}
	if got := cleanTags([]string{"b", "a", "B", "C"}); !slices.Equal(got, []string{"a", "b", "C"}) {
		t.Errorf("%q", got)
	}
}

// TestWaitCounts: whoever waits for two is not told of the first twice, and has what there is when the time is over.
func TestWaitCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBox(Limits{}, Sorting{})
		go func() {
			for i := range 3 {
				time.Sleep(time.Second)
				put(t, b, fmt.Sprintf("Subject: %d\r\n\r\n", i%2), "a@x.test")
			}
		}()
		began := time.Now()
		if found, seen := b.Wait(t.Context(), "a@x.test", ParseSearch("subject:0", time.UTC), time.Time{}, 2); len(found) != 2 || seen != 3 || time.Since(began) != 3*time.Second {
			t.Errorf("%d found, %d seen, after %v", len(found), seen, time.Since(began))
		}
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		if found, seen := b.Wait(ctx, "a@x.test", nil, began.Add(2*time.Second), 5); len(found) != 2 || seen != 2 {
			t.Errorf("since the second: %d found, %d seen", len(found), seen)
		}
	})
}

// TestEverything: who fetches all messages, and who only his own.
func TestEverything(t *testing.T) {
	b, addr, fetch := served(t, Receiving{})
	for _, to := range []string{"a@x.test", "b@x.test"} {
		if err := send(addr, to, "\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for user, want := range map[string]int{Everything: 2, "a@x.test": 1, "A@X.TEST": 1, "nobody@x.test": 0} {
		d := &pop3.Dialer{User: user, Password: "any", AllowCleartextAuth: true}
		c, err := d.Dial(t.Context(), fetch)
		if err != nil {
			t.Fatal(err)
		}
		if n, _, err := c.Stat(t.Context()); n != want || err != nil {
			t.Errorf("%s: %d, %v", user, n, err)
		}
		c.Close()
	}
	if len(b.Inboxes()) != 2 {
		t.Errorf("%+v", b.Inboxes())
	}
}

// TestSnippets: how a text begins, from the HTML where there is one, and never half a letter.
func TestSnippets(t *testing.T) {
	for text, want := range map[string]string{
		"\r\nplain  words\r\nhere": "plain words here", "Content-Type: text/html\r\n\r\n<title>no</title><p>seen": "seen", "\r\n": "",
		"Content-Type: text/html\r\n\r\n<head><b>no</b>no</head><p>seen": "seen", "Content-Type: text/html\r\n\r\n</head></head><p>seen<head>no</head>": "seen",
		"Content-Type: text/plain; charset=utf-8\r\n\r\nx" + strings.Repeat("ä", 300): "x" + strings.Repeat("ä", 99) + "...",
		"Content-Type: text/plain; charset=utf-8\r\n\r\n" + strings.Repeat("ä", 300):  strings.Repeat("ä", 100) + "...",
	} {
		if m := newMessage("id", Envelope{}, []byte(text)); m.Snippet != want {
			t.Errorf("%.60q: %q", text, m.Snippet)
		}
	}
}

// TestMadeByLogin: what is sent with the login of an inbox that was made is in it, whomever it is for; and all that
// came is counted.
func TestMadeByLogin(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	if _, err := b.Make("team"); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"team", "Team", "other", ""} {
		if err := b.Put(t.Context(), NewID(), Envelope{To: []string{"a@x.test"}, User: user, Received: time.Now()}, []byte("\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	if n, all := find(b, "team", "").Total, find(b, "a@x.test", "").Total; n != 2 || all != 4 {
		t.Errorf("%d, %d of 4", n, all)
	}
	if c, _, _ := b.Counts(); c.Accepted != 4 || c.AcceptedOctets != 8 {
		t.Errorf("%+v", c)
	}
	for _, bad := range []Trigger{{Code: 399}, {Code: 600}, {Code: 451, Probability: -1}, {Code: 451, Probability: 101}} {
		d := DefaultTriggers()
		d[AtLogin] = bad
		if err := new(Chaos).Set(d); err == nil || !strings.Contains(err.Error(), "authentication") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestOnlyMade: inboxes that tests have made are listed before anything came.
func TestOnlyMade(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	for _, name := range []string{"b", "a"} {
		if _, err := b.Make(name); err != nil {
			t.Fatal(err)
		}
	}
	if list := b.Inboxes(); len(list) != 2 || list[0].Name != "a" || !list[0].Made || list[1].Messages != 0 {
		t.Errorf("%+v", list)
	}
}

// TestPlainSize: a size without a unit is in octets, and at the border larger: is true and smaller: is not.
func TestPlainSize(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	put(t, b, "Subject: x\r\n\r\n", "a@x.test") // 14 octets
	for query, want := range map[string]int{"larger:14": 1, "larger:15": 0, "smaller:14": 0, "smaller:15": 1, "larger:0.01k": 1, "smaller:0.01kb": 0, "larger:1m": 0, "smaller:1mb": 1} {
		if n := find(b, "", query).Matched; n != want {
			t.Errorf("%s: %d", query, n)
		}
	}
}
