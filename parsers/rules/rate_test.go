package rules

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// sender is a client at an address, who is somebody, at a time.
func sender(addr, user, from, to string, at time.Time) *Case {
	c := &Case{Addrs: map[Fact]netip.Addr{IP: netip.MustParseAddr(addr)}, Text: map[Fact][]string{User: nil, From: {from}, To: {to}}, Now: at}
	if user != "" {
		c.Text[User] = []string{user}
	}
	return c
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 500, time.UTC)

// TestRateOf: each is counted for himself, and what is over a rate is told how much it is.
func TestRateOf(t *testing.T) {
	a := sender("192.0.2.7", "ann@a.example", "ann@a.example", "bob@b.example", noon)
	for word, others := range map[string][]*Case{
		"user":       {sender("192.0.2.7", "bob@a.example", "ann@a.example", "bob@b.example", noon)},
		"ip":         {sender("192.0.2.8", "ann@a.example", "ann@a.example", "bob@b.example", noon), sender("2001:db8::1", "", "x@y", "", noon)},
		"net":        {sender("192.0.3.7", "ann@a.example", "ann@a.example", "bob@b.example", noon)},
		"from":       {sender("192.0.2.7", "ann@a.example", "eve@a.example", "bob@b.example", noon), sender("192.0.2.7", "", "", "", noon)},
		"domain":     {sender("192.0.2.7", "ann@a.example", "ann@b.example", "bob@b.example", noon)},
		"to":         {sender("192.0.2.7", "ann@a.example", "ann@a.example", "eve@b.example", noon)},
		"domain+net": {sender("192.0.2.7", "ann@a.example", "ann@b.example", "bob@b.example", noon), sender("192.0.9.7", "ann@a.example", "ann@a.example", "bob@b.example", noon)},
	} {
		s := parse(t, "@to stall rate "+word+" >2/h")
		for i := range 4 {
			if d := s.Eval(AtTo, a); (d.Action == Stall) != (i >= 2) {
				t.Errorf("%s: number %d: %v", word, i+1, d.Action)
			}
		}
		for _, other := range others {
			if d := s.Eval(AtTo, other); d.Action != None {
				t.Errorf("%s: another one: %v", word, d.Action)
			}
		}
	}
	// In any case of letters, and in any form of an address.
	s := parse(t, "@to stall rate from+ip >1/h")
	s.Eval(AtTo, a)
	if d := s.Eval(AtTo, sender("::ffff:192.0.2.7", "", "ANN@A.example", "", noon)); d.Action != Stall {
		t.Error(d.Action)
	}
	s = parse(t, "@to stall rate net >1/h")
	s.Eval(AtTo, sender("2001:db8::1", "", "", "", noon))
	if d := s.Eval(AtTo, sender("2001:db8::ffff:1", "", "", "", noon)); d.Action != Stall {
		t.Error("a /64 is not one network", d.Action)
	}
	s = parse(t, "@message stall rate to >1/h")
	both := sender("192.0.2.7", "", "", "", noon)
	both.Text[To] = []string{"a@b.example", "c@d.example"}
	one := sender("192.0.2.7", "", "", "c@d.example", noon)
	if s.Eval(AtMessage, both); s.Eval(AtMessage, one).Action != Stall {
		t.Error("of all recipients only one counts")
	}
	s = parse(t, "stall rate all >1/d")
	s.Eval(AtConnect, a)
	if d := s.Eval(AtConnect, &Case{Now: noon}); d.Action != Stall {
		t.Error(d.Action)
	}
}

// TestRateTells: the reply has the number, and when it ends, unless the rule has words of its own.
func TestRateTells(t *testing.T) {
	ask := func(rule string, times int) string {
		s, d := parse(t, rule), Decision{}
		for range times {
			d = s.Eval(AtTo, sender("192.0.2.7", "ann@a.example", "ann@a.example", "bob@b.example", noon))
		}
		return d.Reply.Text
	}
	for rule, want := range map[string]string{
		"@to stall rate user >2/h":                          "There may be 2 in 1h of this user, and this is number 3 since 12:00:00; try again at 13:00:01 UTC",
		"@to reject rate net+domain >=2/10m":                "There may be 1 in 10m of this network and this domain, and this is number 3 since 12:00:00; try again at 12:10:01 UTC",
		"@to stall rate ip >0/2d all":                       "There may be 0 in 2d of this address, and this is number 3 since 2026-11-30 12:00:00; try again at 2026-12-02 12:00:01 UTC",
		"@to stall rate ip >2/h with message \"Too much\"":  "Too much",
		"@to stall rate ip <9/h":                            "Not now; try again later",
		"@to stall not rate ip >9/h":                        "Not now; try again later",
		"@to reply \"451 4.7.1 Later\" rate ip >2/h":        "Later",
		"@to stall rate all >2/m":                           "There may be 2 in 1m of all together, and this is number 3 since 12:00:00; try again at 12:01:01 UTC",
		"@to stall rate all >2/h first 9":                   "There may be 2 in 1h of all together, and this is number 3 since 12:00:00; try again at 13:00:01 UTC",
		"@to stall rate ip 3/h":                             "Not now; try again later",
		"@to stall from @a.example rate to+from+user > 2/h": "There may be 2 in 1h of this user and this sender and this recipient, and this is number 3 since 12:00:00; try again at 13:00:01 UTC",
	} {
		if got := ask(rule, 3); got != want {
			t.Errorf("%s: %q", rule, got)
		}
	}
}

// TestRateTime: a time begins with the first, ends exactly, and a clock that is set back loses nothing.
func TestRateTime(t *testing.T) {
	s := parse(t, "stall rate ip >1/h")
	for _, step := range []struct {
		at   time.Duration
		over bool
	}{{0, false}, {time.Minute, true}, {time.Hour - 1, true}, {time.Hour, false}, {time.Hour + 1, true}, {2*time.Hour - 1, true}, {-time.Hour, true}, {-1, true}, {time.Hour, false}} {
		if d := s.Eval(AtConnect, sender("192.0.2.7", "", "", "", noon.Add(step.at))); (d.Action == Stall) != step.over {
			t.Errorf("at %v: %v", step.at, d.Action)
		}
	}
}

// TestRateUnknown: who is not known is over no rate, nor under one, and nothing is counted.
func TestRateUnknown(t *testing.T) {
	nobody := sender("192.0.2.7", "", "a@b.example", "c@d.example", noon)
	for _, rule := range []string{"@to stall rate user >0/h", "@to stall not rate user >0/h", "@to stall rate user+to <9/h"} {
		s := parse(t, rule)
		if d := s.Eval(AtTo, nobody); d.Action != None {
			t.Errorf("%s: %v", rule, d.Action)
		}
		if d := s.Eval(AtTo, &Case{Now: noon}); d.Action != None {
			t.Errorf("%s: %v of nothing", rule, d.Action)
		}
	}
	s := parse(t, "@to stall rate all >0/h")
	if d := s.Eval(AtTo, &Case{}); d.Action != None {
		t.Error("without a clock", d.Action)
	}
	// It counts only what all else is true of, and trying changes nothing.
	s = parse(t, "@to stall from a@ rate all >1/h")
	s.Eval(AtTo, sender("192.0.2.7", "", "x@b.example", "", noon))
	for range 3 {
		if d, steps := s.Explain(AtTo, nobody); d.Action != None || len(steps) != 1 || steps[0].Terms[1] != (Term{"rate all >1/h", "no"}) {
			t.Error(d.Action, steps)
		}
	}
	s.Eval(AtTo, nobody)
	if d, _ := s.Explain(AtTo, nobody); d.Action != Stall {
		t.Error(d.Action)
	}
}

// TestRatePhase: a rule that names no phase counts once, at the first where all is known.
func TestRatePhase(t *testing.T) {
	for rule, want := range map[string]Phase{"stall rate ip >0/h": AtConnect, "stall rate net+user >0/h": AtFrom, "stall rate domain >0/h": AtFrom, "stall rate ip+to >0/h": AtTo, "stall rate ip >0/h spf fail": AtTo, "stall rate all >0/h size >0": AtFrom} {
		c := sender("192.0.2.7", "u@v.example", "a@b.example", "c@d.example", noon)
		c.Said, c.Numbers = map[Fact]string{SPF: "fail"}, map[Fact]int64{Size: 1}
		s := parse(t, rule)
		for p := range phases {
			if d := s.Eval(p, c); (d.Action == Stall) != (p == want) {
				t.Errorf("%s: %v at %v", rule, d.Action, p)
			}
		}
	}
}

// TestRateBounds: many holders take little memory, and who comes in many names has not forgotten what he sent under one.
func TestRateBounds(t *testing.T) {
	s := parse(t, "@from stall rate from >50/h")
	loud := sender("192.0.2.7", "", "loud@a.example", "", noon)
	for range 100 {
		s.Eval(AtFrom, loud)
	}
	r := s.rules[0].clauses[0].counters[0].tally.(*rate)
	for i := range 3 * mostRated {
		s.Eval(AtFrom, sender("192.0.2.7", "", fmt.Sprintf("x%d@a.example", i), "", noon.Add(time.Duration(i)*time.Millisecond)))
		if len(r.by) > mostRated {
			t.Fatal(len(r.by))
		}
	}
	if len(r.by) < mostRated/2 {
		t.Errorf("only %d are remembered", len(r.by))
	}
	if d := s.Eval(AtFrom, loud); d.Action != Stall {
		t.Error("who was over it is forgotten")
	}
	// What is over goes first.
	for i := range mostRated {
		s.Eval(AtFrom, sender("192.0.2.7", "", fmt.Sprintf("y%d@a.example", i), "", noon.Add(2*time.Hour)))
	}
	if len(r.by) > mostRated {
		t.Error(len(r.by))
	}
	if text, err := os.ReadFile("README.md"); err != nil || !strings.Contains(string(text), fmt.Sprintf("at most %d rates, each of which remembers %d,000 holders", mostRates, mostRated/1000)) {
		t.Error("README.md has other bounds", err)
	}
	var many strings.Builder
	for range mostRates + 2 {
		many.WriteString("@from stall rate from >50/h\n")
	}
	if _, err := Parse("r", many.String()); err == nil || strings.Count(err.Error(), "too many rates; at most 100") != 2 || !strings.Contains(err.Error(), "r:101:") {
		t.Error(err)
	}
}

// TestRateTogether: many ask at the same time, and each is counted once.
func TestRateTogether(t *testing.T) {
	s := parse(t, "stall rate net >100/h")
	var all sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for i := range 20 {
		all.Go(func() {
			for range 20 {
				if s.Eval(AtConnect, sender(fmt.Sprintf("192.0.2.%d", i), "", "", "", noon)).Action == None {
					mu.Lock()
					taken++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if taken != 100 {
		t.Error(taken)
	}
}

// TestResume: rates go on over a reload, as long as their rule is written alike.
func TestResume(t *testing.T) {
	who := sender("192.0.2.7", "", "", "", noon)
	old := parse(t, "stall rate ip >1/h with note a\nreject rate ip >1/h\nstall first 1 rate ip >1/h")
	old.Eval(AtConnect, who)
	same := parse(t, "# more\nstall   rate ip > 1/h with note b\nreject rate ip >2/h")
	same.Resume(old)
	if d := same.Eval(AtConnect, who); d.Action != Stall || d.Note != "b" {
		t.Error(d.Action)
	}
	other := parse(t, "reject rate ip >2/h\nstall rate net >1/h")
	other.Resume(same)
	if d := other.Eval(AtConnect, who); d.Action != None {
		t.Error(d.Action)
	}
	other.Resume(nil)
	other.Resume(other)
	// Two that are written alike each have their own.
	two := parse(t, "tag \"X: y\" all\nstall ip 10.0.0.1 rate ip >1/h\nstall ip 10.0.0.1 rate ip >1/h")
	again := parse(t, "stall ip 10.0.0.1 rate ip >1/h\nstall ip 10.0.0.1 rate ip >1/h")
	again.Resume(two)
	if a, b := again.rules[0].clauses[0].counters[0].tally.(*rate), again.rules[1].clauses[0].counters[0].tally.(*rate); a.ledger == b.ledger {
		t.Error("two rules count in one place")
	}
}

// TestRateAllocates: what is not over costs nothing.
func TestRateAllocates(t *testing.T) {
	s, c := parse(t, "@to stall rate user+from+domain+to >1000000/h\n@to stall rate ip+net+all >1000000/h"), sender("2001:db8::1", "ann@a.example", "ann@a.example", "bob@b.example", noon)
	if n := testing.AllocsPerRun(100, func() { s.Eval(AtTo, c) }); n != 0 {
		t.Error(n)
	}
}

// TestRateMistakes: each is told with what was meant.
func TestRateMistakes(t *testing.T) {
	for rule, want := range map[string]string{
		"stall rate usr >1/h":           `r:1:12: "usr" is none of user, ip, net, from, domain, to, all; "+" stands between two of them; did you mean "user"?`,
		"stall rate user+ >1/h":         `"" is none of`,
		"stall rate user >1":            `">1" is no rate; write one like >100/h or >20/10m`,
		"stall rate user 1/h all rate":  `found the end`,
		"stall rate user >x/h":          `"x" is no number`,
		"stall rate user >1/":           `is not a duration`,
		"stall rate user >1/fortnight":  `is not a duration`,
		"stall rate user >1/10ms":       "of a second at least, and of 31 days at most",
		"stall rate user >1/32d":        "of a second at least, and of 31 days at most",
		"stall rate user =>1/h":         `"=>" does not compare`,
		"@connect stall rate user >1/h": `"rate" is not known at @connect, but from @from on`,
		"@from stall rate to >1/h":      `"rate" is not known at @from, but from @to on`,
		"stall (rate ip >1/h all)":      "cannot stand within parentheses",
		"stall rate ip >1/h or all":     `cannot stand beside "or"`,
	} {
		if _, err := Parse("r", rule); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", rule, err)
		}
	}
	for _, rule := range []string{"stall rate ip >1/s", "stall rate ip >1/31d", "stall rate ip > 1/1h30m", "stall rate ip >=0/w"} {
		parse(t, rule)
	}
}

// TestGreylistRule: who is to come again hears it unless he is refused for good; the first rule says how.
func TestGreylistRule(t *testing.T) {
	who := sender("192.0.2.7", "", "a@b.example", "c@d.example", noon)
	s := parse(t, "greylist ip 192.0.2.0/24 with note first message \"Later, please\"\ngreylist all with note second")
	d := s.Eval(AtTo, who)
	if d.Action != None || d.Greylist.Rule.Line != 1 || d.Greylist.Note != "first" || d.Greylist.Message != "Later, please" {
		t.Error(d)
	}
	for p := range phases {
		if p != AtTo && s.Eval(p, who).Greylist.Rule.Line != 0 {
			t.Error(p)
		}
	}
	if d := s.Eval(AtTo, sender("10.0.0.1", "", "", "", noon)); d.Greylist.Rule.Line != 2 {
		t.Error(d)
	}
	for rest, want := range map[string]int{"accept all": 1, "reject all": 0, "@to drop all": 0, "reply \"250 ok\" all": 1, "": 1} {
		if d := parse(t, "greylist all\n"+rest).Eval(AtTo, who); d.Greylist.Rule.Line != want {
			t.Errorf("%s: %v", rest, d)
		}
	}
	if d := parse(t, "accept all\ngreylist all").Eval(AtTo, who); d.Greylist.Rule.Line != 0 {
		t.Error("who is accepted before", d)
	}
	if d := parse(t, "set-with all with message m\ngreylist dkim none").Eval(AtMessage, &Case{Said: map[Fact]string{DKIM: "none"}}); d.Greylist.Rule.Line != 2 || d.Greylist.Message != "m" {
		t.Error(d)
	}
	if _, err := Parse("r", "@from greylist all"); err == nil || !strings.Contains(err.Error(), "greylist remembers a sender and a recipient, and is for @to") {
		t.Error(err)
	}
}

// TestWith: a program can say which options it has no use for.
func TestWith(t *testing.T) {
	s := parse(t, "accept all with note n\nreject ip 10.0.0.1 with savedir d message m; ip 10.0.0.2 with make-yakker tls-opt off\nset-with all with mailbox a@b.example")
	for option, want := range map[string]string{"note": "t:1", "savedir": "t:2", "message": "t:2", "make-yakker": "t:2", "tls-opt": "t:2", "mailbox": "t:3", "other": ""} {
		got := ""
		for _, p := range s.With(option) {
			got += fmt.Sprintf("%s:%d", "t", p.Line)
		}
		if got != want {
			t.Errorf("%s: %s", option, got)
		}
	}
}
