package admin

import (
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/trace"
)

// TestBudget: a text costs its octets on the page and what stands around it; what does not fit ends it.
func TestBudget(t *testing.T) {
	for _, c := range []struct {
		has, left budget
		text      string
		fits      bool
	}{{103, 0, "abc", true}, {104, 1, "abc", true}, {102, 0, "abc", false}, {105, 0, "a<b", false}, {106, 0, "a<b", true}} {
		b := c.has
		if fits := b.has(c.text); fits != c.fits || b != c.left {
			t.Errorf("%q of %d: %v, %d left", c.text, c.has, fits, b)
		}
	}
}

// TestPictureBars: there is a bar for each day, or for as many days as make no more than 62 of them, and the title says which.
func TestPictureBars(t *testing.T) {
	for days, want := range map[int]struct {
		bars  int
		title string
	}{1: {1, "by day"}, 62: {62, "by day"}, 63: {32, "2 days in a bar"}, 366: {61, "6 days in a bar"}} {
		byDay := slices.Repeat([]reports.Day{{Passed: 1, Sessions: 1}}, days)
		for _, p := range pictures(byDay) {
			if n := strings.Count(string(p.Picture), "<rect"); n != want.bars || !strings.HasSuffix(p.Title, want.title) || p.Good != int64(days) {
				t.Errorf("%d days: %d bars, %q, %d", days, n, p.Title, p.Good)
			}
		}
	}
}

// TestReportDays: the numbers at the border are taken, those beyond it are not.
func TestReportDays(t *testing.T) {
	do := visit(t, (&server{word: "x"}).all())
	for days, ok := range map[string]bool{"0": false, "1": true, "366": true, "367": false, "-1": false} {
		if _, page := do("GET", "/admin/reports?days="+days, nil); strings.Contains(page, "a number from 1 to 366") == ok {
			t.Error(days)
		}
	}
}

// TestWhereItLeads: of two addresses it is the recipient of whom the page says where his mail goes.
func TestWhereItLeads(t *testing.T) {
	s := Server{Mail: logOf("x"), Leads: func(address string) string { return "to the house of " + address }}
	do := visit(t, s)
	for query, want := range map[string]string{"term=a@b&to=c@d": "c@d", "term=a@b": "a@b", "to=c@d&term=x": "c@d"} {
		if _, page := do("GET", "/admin/mail?"+query, nil); !strings.Contains(page, "to the house of "+want) {
			t.Errorf("%s: %s", query, page)
		}
	}
}

// TestAlone: one message alone is shown with more of its words than one among others.
func TestAlone(t *testing.T) {
	r := trace.NewRing(1 << 20)
	l := slog.New(slog.NewTextHandler(r, nil))
	long := strings.Repeat("w", 400)
	for i := range 2 {
		l.Info("accepted", "service", "smtp", "session", fmt.Sprint("s", i), "id", fmt.Sprintf("s%d-1", i), "from", long+"@far.test", "to", "bob@mail.test")
	}
	do := visit(t, Server{Mail: r})
	for path, whole := range map[string]bool{"/admin/mail": false, "/admin/mail?term=s0-1": true} {
		if _, page := do("GET", path, nil); strings.Contains(html.UnescapeString(page), long) != whole {
			t.Errorf("%s: %v", path, !whole)
		}
	}
}

// TestOverviewNumbers: what the queue has done since the start is there.
func TestOverviewNumbers(t *testing.T) {
	if _, page := visit(t, (&server{word: "x"}).all())("GET", "/admin/", nil); !strings.Contains(page, "taken for elsewhere") || !strings.Contains(page, "in the queue") {
		t.Error(page)
	}
}

// TestAllThatMatch: whoever does something to all that the page asks for does it to those behind the first page as well, and to no more than at once may be.
func TestAllThatMatch(t *testing.T) {
	s := &server{word: "x", entries: 3}
	do := visit(t, Server{Queue: s})
	do("POST", "/admin/queue?from=a&after=id7", url.Values{"do": {"hold"}, "all": {"1"}, "sure": {"1"}})
	if len(s.did) == 0 || s.asked.After != "" || s.asked.Look != 0 || s.asked.Limit != entriesAtOnce || s.asked.From != "a" {
		t.Errorf("%q, %+v", s.did, s.asked)
	}
}

// TestRouteSaid: the page says which way the message goes now.
func TestRouteSaid(t *testing.T) {
	do := visit(t, Server{Queue: &server{word: "x"}})
	for route, want := range map[string]string{"smart": "The message goes by smart.", "": "The message goes the usual way."} {
		do("POST", "/admin/queue/id2", url.Values{"do": {"route"}, "route": {route}})
		if _, page := do("GET", "/admin/queue/id2", nil); !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
}

// TestBesideTheField: what is wrong with one value stands beside its field.
func TestBesideTheField(t *testing.T) {
	do := visit(t, (&people{word: "x"}).server())
	if _, page := do("POST", "/admin/accounts/a@b", url.Values{"do": {"quota"}, "quota": {"wrong"}, "stamp": {"1"}}); !strings.Contains(page, `<span class="why" id="d-quota">that is wrong: x</span>`) {
		t.Error(page)
	}
}

// TestSettingsShown: those by default are left out unless they are asked for, and those whose names do not fit in any case; the rest is behind the pager.
func TestSettingsShown(t *testing.T) {
	all := []Setting{{Path: "server_name", Value: `"a"`, From: "mail.conf:1"}, {Path: "SMTP.max_hops", Value: "100", From: "default", Default: true}}
	many := slices.Repeat([]Setting{{Path: "Listeners", Value: "x", From: "mail.conf:2"}}, 250)
	do := visit(t, Server{Settings: func() []Setting { return slices.Concat(all, many) }})
	for query, want := range map[string][3]bool{"": {true, false, true}, "all=1": {true, true, true}, "find=SMTP": {false, false, false}, "find=smtp&all=1": {false, true, false}, "after=100": {false, false, true}} {
		_, page := do("GET", "/admin/settings?"+query, nil)
		if got := [3]bool{strings.Contains(page, "server_name"), strings.Contains(page, "max_hops"), strings.Contains(page, "<td class=\"mono\">Listeners") || strings.Contains(page, ">Listeners<")}; got != want {
			t.Errorf("%q: %v", query, got)
		}
	}
}

// TestAliasRow: of many targets three are named, and the rest is counted.
func TestAliasRow(t *testing.T) {
	do := visit(t, (&people{word: "x"}).server())
	if _, page := do("GET", "/admin/aliases", nil); !strings.Contains(page, "x, x, x <span class=\"soft\">and 1 more</span>") {
		t.Error(page)
	}
}

// TestNoGuesses: where no login has failed there is no picture of it.
func TestNoGuesses(t *testing.T) {
	if got := badLogins("x", make([]Traffic, 3)); got != "" {
		t.Error(got)
	}
	if got := badLogins("x", []Traffic{{BadLogins: 1}}); !strings.Contains(string(got), "at most 1 failed logins") {
		t.Error(got)
	}
}

// TestTailAddress: the page asks for more of what it shows, and for nothing else.
func TestTailAddress(t *testing.T) {
	r := trace.NewRing(1 << 20)
	slog.New(slog.NewTextHandler(r, nil)).Warn("x")
	do := visit(t, Server{Lines: r})
	for query, want := range map[string]string{"": "log/more?", "level=warn": "log/more?level=warn", "text=x&live=1": "log/more?text=x"} {
		if _, page := do("GET", "/admin/log?"+query, nil); !strings.Contains(page, `data-more="/admin/`+want+`"`) {
			t.Errorf("%q: %s", query, page)
		}
	}
}

// TestAccountOfOthers: what others keep is not changed here, and what is kept here is.
func TestAccountOfOthers(t *testing.T) {
	p := &people{word: "x", kept: "LDAP ldap://ldap.test"}
	do := visit(t, p.server())
	_, page := do("GET", "/admin/accounts/x", nil)
	for want, there := range map[string]bool{"LDAP ldap://ldap.test": true, `value="block"`: true, `value="unlock"`: true, `value="discard"`: true, `value="remove"`: false, `value="password"`: false, `value="quota"`: false} {
		if strings.Contains(page, want) != there {
			t.Errorf("%q: %v\n%s", want, !there, page)
		}
	}
	if _, page := do("GET", "/admin/accounts", nil); !strings.Contains(page, "Find asks the directory") || !strings.Contains(page, "LDAP ldap://ldap.test") {
		t.Error(page)
	}
}

// TestNoBarForNothing: a span without failed logins has no bar of them, and a bar stands where its span is, from the line on.
func TestNoBarForNothing(t *testing.T) {
	if got := string(badLogins("x", []Traffic{{}, {BadLogins: 1}, {}})); strings.Count(got, "<rect") != 1 || !strings.Contains(got, `x="11" y="0"`) {
		t.Error(got)
	}
	got := string(newFlow("x", []Traffic{{Taken: 1, Delivered: 1}, {}}).Picture)
	for _, want := range []string{`<rect class="taken" x="1" y="0" width="8" height="60"/>`, `<rect class="delivered" x="1" y="60" width="8" height="60"/>`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if got := string(newFlow("x", []Traffic{{Taken: 1e6}, {Taken: 1}}).Picture); !strings.Contains(got, `x="11" y="59" width="8" height="1"/>`) {
		t.Error("one among many:", got)
	}
}

// TestQueueLinked: the numbers of the overview lead to the pages about the queue where there are any.
func TestQueueLinked(t *testing.T) {
	s := &server{word: "x"}
	for _, there := range []bool{true, false} {
		all := Server{Overview: s}
		if there {
			all.Queue = s
		}
		if _, page := visit(t, all)("GET", "/admin/", nil); strings.Contains(page, `<a href="/admin/queue">in the queue</a>`) != there {
			t.Errorf("%v: %s", there, page)
		}
	}
}

// TestWaysOnPage: so many messages are told of on a page, each with as many lines as it has.
func TestWaysOnPage(t *testing.T) {
	r := manyLines(200)
	if _, page := visit(t, Server{Mail: r, Lines: r})("GET", "/admin/mail", nil); strings.Count(page, `class="way"`) != waysOnPage {
		t.Errorf("%d", strings.Count(page, `class="way"`))
	}
}

// TestQueueLimits: a page of the queue asks for as much as it shows, looks at no more than it may, says so where that was not enough for a full page, and how many can be
// changed at once; to have all tried again is asked back like the rest.
func TestQueueLimits(t *testing.T) {
	s := &server{word: "next", entries: 3}
	do := visit(t, Server{Queue: s})
	const more = "messages were looked at; there are more"
	_, page := do("GET", "/admin/queue", nil)
	if s.asked.Limit != entriesOnPage || s.asked.Look != entriesLooked || !strings.Contains(page, fmt.Sprintf("at most %d at once", entriesAtOnce)) || !strings.Contains(page, more) {
		t.Errorf("%+v\n%s", s.asked, page)
	}
	if s.entries = entriesOnPage; true {
		if _, page := do("GET", "/admin/queue", nil); strings.Contains(page, more) {
			t.Error("a full page:", page)
		}
	}
	if s.word, s.entries = "", 3; true {
		if _, page := do("GET", "/admin/queue", nil); strings.Contains(page, more) {
			t.Error("the last page:", page)
		}
	}
	if _, page := do("POST", "/admin/queue", url.Values{"do": {"retry"}, "all": {"1"}}); !strings.Contains(page, "Retry now: 3 messages?") || !strings.Contains(page, `name="sure"`) {
		t.Error(page)
	}
}
