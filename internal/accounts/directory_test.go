package accounts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

func testDirectory(t *testing.T) *Directory {
	t.Helper()
	s := conf.New()
	s.ServerName = "Mail.Example.com"
	s.Accounts = map[string]*conf.Account{
		"Alice@example.com": {Addresses: []string{"ceo@partner.example", "*@alice.example"}},
		"bob@example.com":   {},
	}
	s.Domains = map[string]*conf.Domain{
		"example.com":     {},
		"dash.example":    {Plus: "-", Accounts: map[string]*conf.Account{"carol": {}}},
		"exact.example":   {Plus: "none", Accounts: map[string]*conf.Account{"dave": {}}},
		"catch.example":   {CatchAll: "alice@example.com", Aliases: map[string]conf.Targets{"known": {"bob@example.com"}}},
		"bücher.example":  {Accounts: map[string]*conf.Account{"eve": {}}},
		"forward.example": {Aliases: map[string]conf.Targets{"out": {"friend@far.example", "bob@example.com"}}},
	}
	s.Aliases = map[string]conf.Targets{
		"team@example.com": {"alice@example.com", "bob@example.com"},
		"all@example.com":  {"team@example.com", "carol@dash.example"},
	}
	return NewDirectory(s)
}

func TestLookup(t *testing.T) {
	d := testDirectory(t)
	for _, c := range []struct {
		path      smtp.Path
		mailboxes []domains.Address
		elsewhere []smtp.Path
	}{
		{smtp.Path{Local: "alice", Domain: "example.com"}, []domains.Address{"alice@example.com"}, nil},
		{smtp.Path{Local: "ALICE", Domain: "EXAMPLE.com"}, []domains.Address{"alice@example.com"}, nil},
		{smtp.Path{Local: "alice+shop+two", Domain: "example.com"}, []domains.Address{"alice@example.com"}, nil},
		{smtp.Path{Local: "+", Domain: "example.com"}, nil, nil},
		{smtp.Path{Local: "nobody", Domain: "example.com"}, nil, nil},
		{smtp.Path{Local: "team", Domain: "example.com"}, []domains.Address{"alice@example.com", "bob@example.com"}, nil},
		{smtp.Path{Local: "team+x", Domain: "example.com"}, []domains.Address{"alice@example.com", "bob@example.com"}, nil},
		{smtp.Path{Local: "all", Domain: "example.com"}, []domains.Address{"alice@example.com", "bob@example.com", "carol@dash.example"}, nil},
		{smtp.Path{Local: "carol-lists", Domain: "dash.example"}, []domains.Address{"carol@dash.example"}, nil},
		{smtp.Path{Local: "carol+lists", Domain: "dash.example"}, nil, nil},
		{smtp.Path{Local: "dave+x", Domain: "exact.example"}, nil, nil},
		{smtp.Path{Local: "known", Domain: "catch.example"}, []domains.Address{"bob@example.com"}, nil},
		{smtp.Path{Local: "anything", Domain: "catch.example"}, []domains.Address{"alice@example.com"}, nil},
		{smtp.Path{Local: "eve", Domain: "bücher.example"}, []domains.Address{"eve@xn--bcher-kva.example"}, nil},
		{smtp.Path{Local: "eve", Domain: "xn--bcher-kva.example"}, []domains.Address{"eve@xn--bcher-kva.example"}, nil},
		{smtp.Path{Local: "out", Domain: "forward.example"}, []domains.Address{"bob@example.com"}, []smtp.Path{{Local: "friend", Domain: "far.example"}}},
		{smtp.Path{Local: "../../etc/x", Domain: "example.com"}, nil, nil},
	} {
		got := d.Lookup(d.Address(c.path))
		if !slices.Equal(got.Mailboxes, c.mailboxes) || !slices.Equal(got.Elsewhere, c.elsewhere) {
			t.Errorf("%v: %v %v, want %v %v", c.path, got.Mailboxes, got.Elsewhere, c.mailboxes, c.elsewhere)
		}
	}
}

// TestPostmaster: RFC 5321 §4.5.1 wants mail to postmaster accepted for every
// domain, and for <postmaster> alone.
func TestPostmaster(t *testing.T) {
	d := testDirectory(t)
	for _, p := range []smtp.Path{
		{Local: "postmaster"}, {Local: "Postmaster", Domain: "mail.example.com"},
		{Local: "postmaster", Domain: "dash.example"}, {Local: "abuse", Domain: "exact.example"},
	} {
		if !d.IsLocal(p) || d.Lookup(d.Address(p)).None() {
			t.Errorf("<%v> leads nowhere", p)
		}
	}
}

func TestLookupEndsInLoops(t *testing.T) {
	d := testDirectory(t)
	d.book.Aliases["a@example.com"] = []conf.Target{{Address: "b@example.com"}, {Address: "alice@example.com"}}
	d.book.Aliases["b@example.com"] = []conf.Target{{Address: "a@example.com"}}
	if got := d.Lookup("b@example.com"); !slices.Equal(got.Mailboxes, []domains.Address{"alice@example.com"}) {
		t.Errorf("lookup through a loop: %v", got.Mailboxes)
	}
}

func TestMaySend(t *testing.T) {
	d := testDirectory(t)
	for _, c := range []struct {
		account domains.Address
		from    smtp.Path
		want    bool
	}{
		{"alice@example.com", smtp.Path{Local: "alice", Domain: "example.com"}, true},
		{"alice@example.com", smtp.Path{Local: "Alice+x", Domain: "Example.com"}, true},
		{"alice@example.com", smtp.Path{Local: "team", Domain: "example.com"}, true},
		{"alice@example.com", smtp.Path{Local: "all", Domain: "example.com"}, true},
		{"alice@example.com", smtp.Path{Local: "ceo", Domain: "partner.example"}, true},
		{"alice@example.com", smtp.Path{Local: "whoever", Domain: "alice.example"}, true},
		{"alice@example.com", smtp.Path{Local: "whoever", Domain: "evilalice.example"}, false},
		{"alice@example.com", smtp.Path{}, true},
		{"alice@example.com", smtp.Path{Local: "bob", Domain: "example.com"}, false},
		{"alice@example.com", smtp.Path{Local: "president", Domain: "far.example"}, false},
		// The catch-all leads to alice, but strays are not hers to send as.
		{"alice@example.com", smtp.Path{Local: "stray", Domain: "catch.example"}, false},
		{"bob@example.com", smtp.Path{Local: "known", Domain: "catch.example"}, true},
		{"gone@example.com", smtp.Path{Local: "gone", Domain: "example.com"}, false},
	} {
		if got := d.MaySend(c.account, c.from); got != c.want {
			t.Errorf("%s as <%v>: %v, want %v", c.account, c.from, got, c.want)
		}
	}
}

// TestLongLogins: what is remembered of a guess is bounded.
func TestLongLogins(t *testing.T) {
	d := testDirectory(t)
	if name, account := d.Login(strings.Repeat("n", 4000)); account != nil || len(name) > longestLogin+100 {
		t.Errorf("a name of %d octets is remembered", len(name))
	}
}

// Users that programs run as lead to the postmaster at the server's own domain,
// unless somebody has the name or everything; people of the host do not.
func TestSystemUsers(t *testing.T) {
	passwd := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(passwd, []byte("root:x:0:0::/:\nWWW:x:33:33::/:\nbroken\nx:x:no\npat:x:1000:1000::/:\nnobody:x:65534:65534::/:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := conf.New()
	s.ServerName = "mail.test"
	s.Accounts = map[string]*conf.Account{"alice@mail.test": {}, "bob@other.test": {}}
	d := NewDirectory(s)
	d.system = systemUsers(passwd)
	for address, want := range map[domains.Address]domains.Address{
		"root@mail.test": "alice@mail.test", "www@mail.test": "alice@mail.test",
		"pat@mail.test": "", "nobody@mail.test": "", "broken@mail.test": "", "x@mail.test": "", "root@other.test": "",
	} {
		if got := d.Lookup(address).Mailboxes; len(got) > 1 || want == "" && len(got) > 0 || want != "" && !slices.Contains(got, want) {
			t.Errorf("%s leads to %q, want %q", address, got, want)
		}
	}
	s.Aliases = map[string]conf.Targets{"*@mail.test": {"bob@other.test"}, "root@mail.test": {"bob@other.test"}}
	d = NewDirectory(s)
	d.system = systemUsers(passwd)
	for _, address := range []domains.Address{"root@mail.test", "www@mail.test"} {
		if got := d.Lookup(address).Mailboxes; !slices.Equal(got, []domains.Address{"bob@other.test"}) {
			t.Errorf("%s leads to %q past what the settings say", address, got)
		}
	}
	if d.MaySend("bob@other.test", smtp.Path{Local: "www", Domain: "mail.test"}) {
		t.Error("who gets the strays may send as a system user")
	}
}

// A bare name is of the server's own domain, or of the only one that has accounts.
func TestLoginByBareName(t *testing.T) {
	for _, c := range []struct {
		accounts []string
		want     domains.Address
	}{
		{[]string{"alice@example.com", "bob@example.com"}, "alice@example.com"},
		{[]string{"alice@example.com", "alice@mail.example.com"}, "alice@mail.example.com"},
		{[]string{"alice@example.com", "bob@example.org"}, ""},
		{nil, ""},
	} {
		s := conf.New()
		s.ServerName = "mail.example.com"
		s.Accounts = make(map[string]*conf.Account)
		for _, a := range c.accounts {
			s.Accounts[a] = &conf.Account{}
		}
		at, a := NewDirectory(s).Login("Alice")
		if a == nil && c.want != "" || a != nil && at != c.want {
			t.Errorf("%q: alice is %s, want %s", c.accounts, at, c.want)
		}
	}
}
