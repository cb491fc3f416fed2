package admin

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/quarantine"
)

// people are accounts, aliases, domains, lock-outs and zones whose every word is the same.
type people struct {
	word string
	kept string // who keeps the accounts; empty: the settings
	did  []string
}

func (p *people) account() Account {
	w := p.word
	return Account{Address: w, Stamp: w, Password: w, Keys: []string{w}, Locked: time.Now().Add(time.Hour), LastLogin: time.Now(), LastFrom: w, Octets: 95, Most: 100,
		Quota: w, Aliases: []Alias{p.alias(), {Address: w, Default: true}}, From: w, Devices: 2, Forward: w, Absence: true, Kept: p.kept, Said: w, Unknown: w, PasswordPage: w,
		Sent: Sent{Hour: 3, HourMost: 5, Full: w, Until: time.Now(), Lifted: time.Now(), Held: 7}}
}

func (p *people) alias() Alias {
	return Alias{Address: p.word, Stamp: p.word, Targets: []string{p.word, p.word, p.word, p.word}, From: p.word}
}

func (p *people) of() Domain {
	w := p.word
	return Domain{Name: w, Stamp: w, CatchAll: w, Quota: w, Total: w, From: w}
}

func repeat[T any](one T, n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = one
	}
	return all
}

// do notes what is asked for; "wrong" is refused.
func (p *people) do(field string, what ...string) error {
	for _, w := range what {
		switch w {
		case "wrong":
			return &Wrong{field, "that is wrong: " + p.word}
		case "old":
			return ErrOutdated
		}
	}
	p.did = append(p.did, strings.Join(what, " "))
	return nil
}

func (p *people) Accounts(_ context.Context, s Slice) ([]Account, string, error) {
	return repeat(p.account(), s.Limit), p.word, nil
}
func (p *people) Account(_ context.Context, address string) (Account, error) {
	if address == "gone" {
		return Account{}, pages.ErrNotFound
	}
	return p.account(), nil
}
func (p *people) AddAccount(_ context.Context, a NewAccount) (string, string, error) {
	if a.Address == "leftover" && a.Mail == "" {
		return "", "", &Wrong{"mail", "there is mail of " + p.word}
	}
	return a.Address, "secret " + a.Password, p.do("address", "add", a.Address, a.Password, a.Quota, a.Mail)
}
func (p *people) SetPassword(_ context.Context, address, stamp, password string) (string, error) {
	return "random", p.do("password", "password", address, stamp, password)
}
func (p *people) SetQuota(_ context.Context, address, stamp, quota string) error {
	return p.do("quota", "quota", address, stamp, quota)
}
func (p *people) Block(_ context.Context, address, stamp string, block bool) error {
	return p.do("", "block", address, stamp, fmt.Sprint(block))
}
func (p *people) LiftLimits(_ context.Context, address string, until time.Time) (int, error) {
	return 7, p.do("", "lift limits", address, fmt.Sprint(time.Until(until).Round(time.Hour)))
}
func (p *people) RestoreLimits(_ context.Context, address string) error {
	return p.do("", "restore limits", address)
}
func (p *people) DiscardHeld(_ context.Context, address string) (int, error) {
	return 1, p.do("", "discard", address)
}
func (p *people) RemoveAccount(_ context.Context, address, stamp string, mail bool) error {
	return p.do("", "remove", address, stamp, fmt.Sprint(mail))
}
func (p *people) Devices(string) ([]Device, error) {
	w := p.word
	return []Device{{ID: "id7", Name: w, Only: w, Until: w, Over: true, Made: time.Now(), Used: time.Now(), Service: w, From: w}, {ID: w, Name: w, Only: "send"}}, nil
}
func (p *people) EndDevice(_ context.Context, address, id string) (string, error) {
	if id == "gone" {
		return "", pages.ErrNotFound
	}
	return "phone", p.do("", "end", address, id)
}
func (p *people) Aliases(_ context.Context, s Slice) ([]Alias, string, error) {
	return repeat(p.alias(), s.Limit), p.word, nil
}
func (p *people) Alias(context.Context, string) (Alias, error) { return p.alias(), nil }
func (p *people) AddAlias(_ context.Context, address string, targets []string) (string, error) {
	return address, p.do("targets", append([]string{"alias", address}, targets...)...)
}
func (p *people) SetAlias(_ context.Context, address, stamp string, targets []string) error {
	return p.do("targets", append([]string{"targets", address, stamp}, targets...)...)
}
func (p *people) RemoveAlias(_ context.Context, address, stamp string) error {
	return p.do("", "remove", address, stamp)
}
func (p *people) Domains(_ context.Context, s Slice) ([]Domain, string, error) {
	return repeat(p.of(), s.Limit), p.word, nil
}
func (p *people) Domain(context.Context, string) (Domain, error) { return p.of(), nil }
func (p *people) AddDomain(_ context.Context, name string) (string, error) {
	return name, p.do("name", "domain", name)
}
func (p *people) BlockDomain(_ context.Context, name, stamp string, block bool) error {
	return p.do("", "block", name, stamp, fmt.Sprint(block))
}
func (p *people) LimitDomain(_ context.Context, name, stamp string, together bool, size string) error {
	return p.do("quota", "limit", name, stamp, fmt.Sprint(together), size)
}
func (p *people) RemoveDomain(_ context.Context, name, stamp string) error {
	return p.do("", "remove", name, stamp)
}
func (p *people) Lockouts() []Lockout {
	return repeat(Lockout{Network: p.word, Account: p.word, Until: time.Now().Add(time.Hour)}, 120)
}
func (p *people) Lift(who string) bool { return p.do("", "lift", who) == nil }
func (p *people) Zones(s Slice) ([]Zone, string) {
	z, _ := p.Zone("")
	return repeat(z, s.Limit), p.word
}
func (p *people) Zone(string) (Zone, error) {
	w := p.word
	return Zone{Domain: w, At: time.Now(), Checking: true, Faults: 2, Found: []Found{{w, w, w, w, true, false}}, Records: []Record{{w, w, w, w, w, true}}, Notes: []string{w}, File: w,
		Keys: []Key{{w, w, w, time.Now(), w}}}, nil
}
func (p *people) Check(_ context.Context, domain string) error { return p.do("", "check", domain) }

func (p *people) Aside(context.Context, string) (Aside, error) {
	w, n := p.word, 3
	if len(w) > 200 { // for the size of a full page
		n = 100
	}
	return Aside{On: true, Days: 31, More: true, Locked: 2, Unread: w, Mail: repeat(AsideMail{ID: w, Mailbox: w, For: []string{w, w}, Why: w, Unsafe: true, Sender: w, From: w, Subject: w}, n)}, nil
}
func (p *people) Release(_ context.Context, mailbox, id string, anyway bool) ([]string, error) {
	if !anyway {
		return nil, quarantine.ErrUnsafe
	}
	return []string{p.word}, p.do("", "release", mailbox, id)
}

func (p *people) settings() []Setting {
	return repeat(Setting{Path: p.word, Value: p.word, From: p.word}, 300)
}

func (p *people) server() Server {
	return Server{Overview: &server{word: p.word}, Accounts: p, Devices: p, Aliases: p, Domains: p, Lockouts: p, DNS: p, Settings: p.settings, Quarantine: p}
}

// TestHostilePeople: these pages have as many tags whatever strangers say, who name accounts when they log in, and write into the DNS.
func TestHostilePeople(t *testing.T) {
	for _, word := range hostile {
		for _, path := range []string{"/admin/accounts", "/admin/accounts/x"} { // that others keep
			_, want := visit(t, (&people{word: "plain", kept: "plain"}).server())("GET", path, nil)
			if _, got := visit(t, (&people{word: word, kept: word}).server())("GET", path, nil); strings.Count(want, "<") != strings.Count(got, "<") || strings.Contains(got, `href="javascript:`) {
				t.Errorf("%s with %q:\n%s", path, word, got)
			}
		}
		a, b := visit(t, (&people{word: "plain"}).server()), visit(t, (&people{word: word}).server())
		for _, ask := range []struct {
			path string
			form url.Values
		}{
			{"/admin/accounts?find=WORD&after=WORD", nil}, {"/admin/accounts/x", nil}, {"/admin/aliases?find=WORD", nil}, {"/admin/aliases/x", nil}, {"/admin/domains", nil},
			{"/admin/domains/x", nil}, {"/admin/lockouts", nil}, {"/admin/settings?find=", nil}, {"/admin/dns", nil}, {"/admin/dns/x", nil}, {"/admin/certificates", nil}, {"/admin/quarantine?find=WORD", nil}, {"/admin/quarantine", url.Values{"do": {"release"}, "id": {"WORD WORD"}}},
			{"/admin/accounts/add", url.Values{"do": {"add"}, "address": {"wrong"}, "quota": {"WORD"}}},
			{"/admin/accounts/add", url.Values{"do": {"add"}, "address": {"leftover"}}},
			{"/admin/accounts/WORD", url.Values{"do": {"remove"}}}, {"/admin/accounts/WORD", url.Values{"do": {"discard"}}},
			{"/admin/accounts/x", url.Values{"do": {"quota"}, "quota": {"wrong"}, "stamp": {"WORD"}}},
			{"/admin/aliases/add", url.Values{"do": {"add"}, "address": {"WORD"}, "targets": {"wrong"}}},
			{"/admin/aliases/x", url.Values{"do": {"targets"}, "targets": {"WORD wrong"}}},
			{"/admin/domains", url.Values{"do": {"add"}, "name": {"wrong"}}},
		} {
			page := func(do func(string, string, url.Values) (*http.Response, string), word string) string {
				form, method := make(url.Values), "GET"
				for k, v := range ask.form {
					method = "POST"
					form.Set(k, strings.ReplaceAll(v[0], "WORD", word))
				}
				path, query, _ := strings.Cut(ask.path, "?")
				r, page := do(method, strings.ReplaceAll(path, "WORD", url.PathEscape(word))+"?"+strings.ReplaceAll(query, "WORD", url.QueryEscape(word)), form)
				if want := map[string]int{"GET": 200, "POST": 422}[method]; r.StatusCode != want || !strings.Contains(page, "</html>") {
					t.Fatalf("%s with %q: %d %s", ask.path, word, r.StatusCode, page)
				}
				return page
			}
			want, got := page(a, "plain"), page(b, word)
			if n, m := strings.Count(want, "<"), strings.Count(got, "<"); n != m {
				t.Errorf("%s %v with %q: %d tags, not %d:\n%s", ask.path, ask.form, word, m, n, got)
			}
			if strings.Contains(got, `="javascript:`) && !strings.Contains(got, `value="javascript:`) {
				t.Errorf("%s: a link is script:\n%s", ask.path, got)
			}
		}
	}
}

// TestLinksToAnyAddress: the lists lead to the pages of accounts and aliases whose names hold what means something in a path.
func TestLinksToAnyAddress(t *testing.T) {
	const name = "a/b?c#d%2fe@example.com"
	do := visit(t, (&people{word: name}).server())
	for _, list := range []string{"/admin/accounts", "/admin/aliases", "/admin/accounts/x"} {
		_, page := do("GET", list, nil)
		links := 0
		for _, part := range strings.Split(page, `href="/admin/`)[1:] {
			link, _, _ := strings.Cut(part, `"`)
			kind, last, below := strings.Cut(link, "/")
			if !below || last == "add" || kind != "accounts" && kind != "aliases" {
				continue
			}
			links++
			u, err := url.Parse("/admin/" + html.UnescapeString(link))
			if err != nil || u.Path != "/admin/"+kind+"/"+name {
				t.Fatalf("%s: %q leads to %v, %v", list, link, u, err)
			}
			if r, _ := do("GET", u.EscapedPath(), nil); r.StatusCode != 200 {
				t.Fatalf("%s: %q: %d", list, link, r.StatusCode)
			}
			break
		}
		if links == 0 {
			t.Errorf("%s leads to none", list)
		}
	}
}

// TestForms: what each form asks for, and what comes back.
func TestForms(t *testing.T) {
	p := &people{word: "plain"}
	do := visit(t, p.server())
	for _, c := range []struct {
		path, form string
		status     int
		to         string // where it leads; for 422, what the page says
		did        string
	}{
		{"accounts/add", "do=add&address=a@b&password=+x+&quota=1GB", 303, "/admin/accounts/a@b", "add a@b  x  1GB "},
		{"accounts/add", "do=add&address=wrong", 422, "that is wrong: plain", ""},
		{"accounts/add", "do=add&address=leftover&mail=keep", 303, "/admin/accounts/leftover", "add leftover   keep"},
		{"accounts/a@b", "do=password&password=new&stamp=1", 303, "/admin/accounts/a@b", "password a@b 1 new"},
		{"accounts/a@b", "do=password&password=&stamp=1", 422, "an empty password", ""},
		{"accounts/a@b", "do=random&stamp=1", 303, "/admin/accounts/a@b", "password a@b 1 "},
		{"accounts/a@b", "do=quota&quota=2GB&stamp=old", 422, "somebody has changed this since the page was shown", ""},
		{"accounts/a@b", "do=block&stamp=1", 303, "/admin/accounts/a@b", "block a@b 1 true"},
		{"accounts/a@b", "do=unblock&stamp=1", 303, "/admin/accounts/a@b", "block a@b 1 false"},
		{"accounts/a@b", "do=unlock", 303, "/admin/accounts/a@b", "lift a@b"},
		{"accounts/a@b", "do=lift", 303, "/admin/accounts/a@b", "lift limits a@b 24h0m0s"},
		{"accounts/a@b", "do=restore", 303, "/admin/accounts/a@b", "restore limits a@b"},
		{"accounts/a@b", "do=discard", 422, "Throw away the mail of a@b that is held?", ""},
		{"accounts/a@b", "do=discard&surely=1", 303, "/admin/accounts/a@b", "discard a@b"},
		{"accounts/a@b", "do=remove&stamp=1", 422, "Remove a@b?", ""},
		{"accounts/a@b", "do=remove&stamp=1&sure=1&mail=x", 422, "Say what is to become of its mail", ""},
		{"accounts/a@b", "do=remove&stamp=1&sure=1&mail=delete", 303, "/admin/accounts", "remove a@b 1 true"},
		{"accounts/a@b", "do=end&id=id7", 303, "/admin/accounts/a@b", "end a@b id7"},
		{"aliases/add", "do=add&address=i@b&targets=a@b,c@d%0D%0Ae@f", 303, "/admin/aliases/i@b", "alias i@b a@b c@d e@f"},
		{"aliases/i@b", "do=targets&targets=+&stamp=1", 422, "leads to one address at least", ""},
		{"aliases/i@b", "do=targets&targets=x@y&stamp=1", 303, "/admin/aliases/i@b", "targets i@b 1 x@y"},
		{"aliases/i@b", "do=remove&sure=1&stamp=1", 303, "/admin/aliases", "remove i@b 1"},
		{"domains", "do=add&name=d.test", 303, "/admin/domains/d.test", "domain d.test"},
		{"domains/d.test", "do=block&stamp=1", 422, "Block d.test?", ""},
		{"domains/d.test", "do=block&stamp=1&sure=1", 303, "/admin/domains/d.test", "block d.test 1 true"},
		{"domains/d.test", "do=total&total=5GB&stamp=1", 303, "/admin/domains/d.test", "limit d.test 1 true 5GB"},
		{"domains/d.test", "do=quota&quota=wrong&stamp=1", 422, "that is wrong: plain", ""},
		{"domains/d.test", "do=remove&stamp=1&sure=1", 303, "/admin/domains", "remove d.test 1"},
		{"lockouts", "do=lift&who=192.0.2.0/24", 303, "/admin/lockouts", "lift 192.0.2.0/24"},
		{"lockouts", "do=lift&who=", 422, "remembered there any more", ""},
		{"lockouts", "do=lift&who=wrong", 422, "remembered there any more", ""},
		{"quarantine", "do=release&id=i+a@b&sure=1", 303, "/admin/quarantine", "release a@b i"},
		{"quarantine", "do=release&id=i+a@b", 422, "A scanner has found something in 1 message", ""},
		{"quarantine", "do=release", 422, "No message is ticked", ""},
		{"dns/d.test", "do=check", 303, "/admin/dns/d.test", "check d.test"},
	} {
		p.did = nil
		form, err := url.ParseQuery(c.form)
		if err != nil {
			t.Fatal(err)
		}
		r, page := do("POST", "/admin/"+c.path, form)
		if r.StatusCode != c.status || c.status == 303 && r.Header.Get("Location") != c.to || c.status == 422 && !strings.Contains(page, c.to) || strings.Join(p.did, "|") != c.did {
			t.Errorf("%s %s: %d %s %q\n%s", c.path, c.form, r.StatusCode, r.Header.Get("Location"), p.did, page)
		}
	}
	if _, page := do("GET", "/admin/accounts/x", nil); !strings.Contains(page, "are being asked") { // what was said last
		t.Error(page)
	}
	if _, page := do("GET", "/admin/accounts/x", nil); strings.Contains(page, "secret") {
		t.Error("a password is shown twice")
	}
	if r, _ := do("GET", "/admin/accounts/gone", nil); r.StatusCode != 404 {
		t.Error(r.StatusCode)
	}
	if r, _ := do("POST", "/admin/accounts/a@b", url.Values{"do": {"end"}, "id": {"gone"}}); r.StatusCode != 404 {
		t.Error("a device that is gone:", r.StatusCode)
	}
	without := visit(t, Server{Accounts: p})
	if _, page := without("GET", "/admin/accounts/a@b", nil); strings.Contains(page, "<h2>Devices") {
		t.Error(page)
	}
	if r, _ := without("POST", "/admin/accounts/a@b", url.Values{"do": {"end"}, "id": {"id7"}}); r.StatusCode != 404 {
		t.Error("where nobody knows of devices:", r.StatusCode)
	}
}

// TestPeoplePageSize: a full page of the longest names stays below 60 kB.
func TestPeoplePageSize(t *testing.T) {
	do := visit(t, (&people{word: strings.Repeat("a", 320), kept: strings.Repeat("a", 320)}).server())
	for _, path := range []string{"accounts", "aliases", "domains", "lockouts", "settings", "dns", "dns/x", "accounts/x", "quarantine"} {
		if r, page := do("GET", "/admin/"+path, nil); r.StatusCode != 200 || len(page) > 60_000 {
			t.Errorf("%s: %d, %d octets", path, r.StatusCode, len(page))
		}
	}
}

// TestSaid: a password is shown where one was made, and there alone; what is refused is not said to be done.
func TestSaid(t *testing.T) {
	p := &people{word: "plain"}
	do := visit(t, p.server())
	said := func(path, form, want string) {
		t.Helper()
		values, err := url.ParseQuery(form)
		if err != nil {
			t.Fatal(err)
		}
		r, page := do("POST", "/admin/"+path, values)
		if r.StatusCode == 303 {
			_, page = do("GET", "/admin/accounts/x", nil)
		}
		if !strings.Contains(page, want) {
			t.Errorf("%s: no %q in\n%s", form, want, page)
		}
		if shown := strings.Contains(page, "it is not shown again"); shown != strings.Contains(want, "shown again") {
			t.Errorf("%s: a password is shown: %v", form, shown)
		}
	}
	said("accounts/add", "do=add&address=a@b", "The password is secret  – it is not shown again.")
	said("accounts/add", "do=add&address=a@b&password=given", "a@b is added. The user name is the whole address.")
	said("accounts/a@b", "do=restore", "The limits of a@b hold again, with nothing counted yet.")
	said("accounts/wrong", "do=restore", "that is wrong: plain")
	for _, c := range []struct{ octets, most, want int64 }{{50, 0, 0}, {50, -1, 0}, {50, 200, 25}, {1, 1, 100}} {
		if full := (Account{Octets: c.octets, Most: c.most}).Full(); full != c.want {
			t.Errorf("%+v: %d %%", c, full)
		}
	}
}
