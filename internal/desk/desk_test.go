package desk

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/internal/trace"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// some hash of a password; what it is of does not matter here.
const hash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

const settings = `{
	"server_name": "mail.test", "data_dir": "data",
	"Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}],
	"Accounts": {"alice@mail.test": {"password": "` + hash + `", "quota": "5MB"}, "bob@mail.test": {}},
	"Aliases": {"sales@mail.test": "bob@mail.test", "info@mail.test": ["alice@mail.test", "bob@mail.test"]},
	"Domains": {
		"shop.test": {"quota": "1MB", "total_quota": "3MB", "catch_all": "bob@mail.test", "Accounts": {"carol": {"disabled": true}}},
		"club.test": {"disabled": true, "Accounts": {"dan": {}}},
	},
}
`

// office is a Desk with what it needs of a server that does not run.
type office struct {
	*Desk
	dir    string
	store  *maildir.Store
	moment Moment
	reads  int
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{dir: t.TempDir()}
	o.write(t, settings)
	disk, err := durable.Open(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	kept, err := preferences.Open(t.Context(), filepath.Join(o.dir, "preferences"), disk)
	if err != nil {
		t.Fatal(err)
	}
	if o.store, err = maildir.Open(filepath.Join(o.dir, "mail"), maildir.WithReserve(0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.store.Close() })
	log := slog.New(slog.DiscardHandler)
	again := func() error {
		o.reads++
		s, err := conf.Load(o.dir)
		if err != nil {
			return err
		}
		dir := accounts.NewDirectory(s)
		credentials, err := accounts.New(s, dir, kept, nil, log)
		if err != nil {
			return err
		}
		rules := &post.Rules{ServerName: s.ServerName, Directory: dir}
		o.moment = Moment{Settings: s, Directory: dir, Credentials: credentials, Rules: rules, Names: NewNames(s, dir)}
		return nil
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	o.Desk = New(Needs{
		Now:   func() Moment { return o.moment },
		Files: &change.Server{Configuration: func() string { return o.dir }, Settings: func() *conf.Settings { return o.moment.Settings }, ReadAgain: again},
		Store: o.store, Preferences: kept, MailKeys: mailkeys.New(o.store), Recent: trace.NewRing(1 << 16), Log: log,
		Quota: func(who string) mailstore.Quota {
			at := domains.Address(who)
			return mailstore.Quota{Octets: max(0, int64(o.moment.Settings.QuotaOf(at.Domain(), o.moment.Directory.Account(at))))}
		},
		Post: &post.Post{Rules: func() *post.Rules { return o.moment.Rules }, Mailboxes: o.store, Log: log},
	})
	t.Cleanup(func() { o.Close() })
	return o
}

// write writes the settings by hand.
func (o *office) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, "mail.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// text is what all files have.
func (o *office) text(t *testing.T) (all string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(o.dir, "*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	return all
}

// deliver puts a message into a mailbox.
func (o *office) deliver(t *testing.T, to string) {
	t.Helper()
	d, err := o.store.Create(t.Context(), mailstore.Meta{}, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(d, "Subject: x\r\n\r\nx\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// wrong fails unless an error is about a field, and says something.
func wrong(t *testing.T, err error, field, want string) {
	t.Helper()
	is := (*admin.Wrong)(nil)
	if !errors.As(err, &is) || is.Field != field || !strings.Contains(is.Why, want) {
		t.Errorf("%#v, want %q of field %s", err, want, field)
	}
}

// TestAccountRows: what a list shows of accounts, and the page of one.
func TestAccountRows(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	p := o.Pages().Accounts
	o.deliver(t, "alice@mail.test")
	if err := o.Preferences.Change(t.Context(), "alice@mail.test", func(p *preferences.Preferences) error {
		p.Forward = &preferences.Forward{To: "al@far.test"}
		p.Absence = &preferences.Absence{Text: "away", Until: time.Now().Add(48 * time.Hour).Format(time.DateOnly)}
		_, _, err := p.NewApp(preferences.Device{Name: "phone"}, time.Now())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := o.Preferences.Change(t.Context(), "bob@mail.test", func(p *preferences.Preferences) error {
		p.Absence = &preferences.Absence{Text: "away", Until: "2020-01-02"} // long over
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	rows, next, err := p.Accounts(t.Context(), admin.Slice{Limit: 10})
	if err != nil || next != "" {
		t.Fatal(next, err)
	}
	want := []admin.Account{
		{Address: "alice@mail.test", Password: "bcrypt", Messages: 1, Octets: 17, Most: 5e6, Devices: 1, Forward: "al@far.test", Absence: true},
		{Address: "bob@mail.test"},
		{Address: "carol@shop.test", Blocked: true, Most: 1e6},
		{Address: "dan@club.test", Blocked: true, ByDomain: true},
	}
	if len(rows) != len(want) {
		t.Fatalf("%d rows: %+v", len(rows), rows)
	}
	for i := range want {
		if !reflect.DeepEqual(rows[i], want[i]) {
			t.Errorf("%+v\nwant %+v", rows[i], want[i])
		}
	}
	if rows, next, _ := p.Accounts(t.Context(), admin.Slice{Limit: 1, After: "alice@mail.test"}); len(rows) != 1 || rows[0].Address != "bob@mail.test" || next != "bob@mail.test" {
		t.Error(rows, next)
	}

	a, err := p.Account(t.Context(), "Alice@MAIL.test")
	if err != nil || a.Quota != "5MB" || len(a.Keys) != 0 || !strings.HasPrefix(a.From, filepath.Join(o.dir, "mail.conf")) || a.PasswordFrom != "" || a.Stamp == "" {
		t.Errorf("%+v, %v", a, err)
	}
	lead := []admin.Alias{{Address: "abuse@mail.test", Default: true}, {Address: "info@mail.test"}, {Address: "postmaster@mail.test", Default: true}}
	if !reflect.DeepEqual(a.Aliases, lead) {
		t.Errorf("%+v", a.Aliases)
	}
	b, err := p.Account(t.Context(), "bob@mail.test")
	if err != nil || b.Quota != "" || b.Stamp == a.Stamp {
		t.Errorf("%+v, %v", b, err)
	}
	var names []string
	for _, alias := range b.Aliases {
		names = append(names, alias.Address)
	}
	if got := strings.Join(names, " "); got != "*@shop.test info@mail.test sales@mail.test" {
		t.Error(got)
	}
	if _, err := p.Account(t.Context(), "nobody@mail.test"); !errors.Is(err, pages.ErrNotFound) {
		t.Error(err)
	}
}

// TestAddAccount: what a form has wrong stands beside its field, and nothing is written; what is right is in force at once.
func TestAddAccount(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	p := o.Pages().Accounts
	o.deliver(t, "eve@mail.test") // of an account that was removed
	before := o.text(t)
	for _, c := range []struct {
		a           admin.NewAccount
		field, want string
	}{
		{admin.NewAccount{}, "address", "an address is needed"},
		{admin.NewAccount{Address: "eve"}, "address", "write the whole address, such as eve@mail.test"},
		{admin.NewAccount{Address: "eve@far.test"}, "address", "mail for far.test is not kept here"},
		{admin.NewAccount{Address: "ALICE@mail.test"}, "address", "alice@mail.test"},
		{admin.NewAccount{Address: "fay@mail.test", Quota: "much"}, "quota", "much"},
		{admin.NewAccount{Address: "fay@mail.test", Quota: "0"}, "quota", "write a size"},
		{admin.NewAccount{Address: "fay@mail.test", Password: "1"}, "password", ""},
		{admin.NewAccount{Address: "fay@mail.test", Password: "fay@mail.test"}, "password", ""},
		{admin.NewAccount{Address: "eve@mail.test"}, "mail", "a mailbox of that name with 1 message, of an account that was removed"},
		{admin.NewAccount{Address: "eve@mail.test", Mail: "perhaps"}, "mail", "1 message"},
	} {
		_, _, err := p.AddAccount(t.Context(), c.a)
		wrong(t, err, c.field, c.want)
	}
	if o.text(t) != before || o.reads != 1 {
		t.Error("something was written")
	}

	address, password, err := p.AddAccount(t.Context(), admin.NewAccount{Address: "Fay@mail.test", Quota: "2GB"})
	if err != nil || address != "fay@mail.test" || len(password) < 12 {
		t.Fatal(address, password, err)
	}
	if a := o.moment.Directory.Account("fay@mail.test"); a == nil || a.Quota != 2e9 || a.Password == "" {
		t.Errorf("%+v", a)
	}
	const own = "correct horse battery staple"
	if _, password, err := p.AddAccount(t.Context(), admin.NewAccount{Address: "eve@mail.test", Mail: "keep", Password: own}); err != nil || password != own {
		t.Error(password, err)
	}
	if use, err := o.store.Usage(t.Context(), "eve@mail.test"); err != nil || use.Messages != 1 {
		t.Error("its mail is gone:", use, err)
	}
	o.deliver(t, "gus@mail.test")
	if _, _, err := p.AddAccount(t.Context(), admin.NewAccount{Address: "gus@mail.test", Mail: "delete"}); err != nil {
		t.Error(err)
	}
	if use, err := o.store.Usage(t.Context(), "gus@mail.test"); err != nil || use.Messages != 0 {
		t.Error("he has inherited:", use, err)
	}
}

// TestEditAccount: each edit is made of what the page has shown, is in force at once, and changes the stamp.
func TestEditAccount(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	p := o.Pages().Accounts
	edits := map[string]func(of, stamp string) error{
		"quota": func(of, stamp string) error { return p.SetQuota(t.Context(), of, stamp, "none") },
		"block": func(of, stamp string) error { return p.Block(t.Context(), of, stamp, true) },
		"password": func(of, stamp string) error {
			_, err := p.SetPassword(t.Context(), of, stamp, "")
			return err
		},
		"remove": func(of, stamp string) error { return p.RemoveAccount(t.Context(), of, stamp, false) },
	}
	for name, edit := range edits {
		if err := edit("nobody@mail.test", ""); !errors.Is(err, pages.ErrNotFound) {
			t.Errorf("%s of nobody: %v", name, err)
		}
		if err := edit("bob@mail.test", "0123456789abcdef"); !errors.Is(err, admin.ErrOutdated) {
			t.Errorf("%s of what was changed: %v", name, err)
		}
	}
	stamp := func() string {
		a, err := p.Account(t.Context(), "bob@mail.test")
		if err != nil {
			t.Fatal(err)
		}
		return a.Stamp
	}
	seen := map[string]bool{}
	for _, name := range []string{"quota", "block", "password"} {
		is := stamp()
		if seen[is] {
			t.Errorf("the stamp is that of another state before %s", name)
		}
		seen[is] = true
		if err := edits[name]("Bob@mail.test", is); err != nil {
			t.Fatal(name, err)
		}
		if err := edits[name]("bob@mail.test", is); !errors.Is(err, admin.ErrOutdated) {
			t.Errorf("%s twice: %v", name, err)
		}
	}
	a := o.moment.Directory.Account("bob@mail.test")
	if a.Quota != conf.Unlimited || !a.Disabled || a.Password == "" {
		t.Errorf("%+v", a)
	}
	wrong(t, p.SetQuota(t.Context(), "bob@mail.test", stamp(), "x"), "quota", "x")

	// What was changed by hand, and is not in force.
	is := stamp()
	o.write(t, strings.Replace(settings, `"bob@mail.test": {}`, `"bob@mail.test": {"quota": "7MB"}`, 1))
	if err := p.Block(t.Context(), "bob@mail.test", is, false); err == nil || errors.Is(err, admin.ErrOutdated) || !strings.Contains(err.Error(), "not run postrider reload") {
		t.Error(err)
	}
	if err := o.Files.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SetPassword(t.Context(), "bob@mail.test", stamp(), "short"); err == nil {
		t.Error("a short password is taken")
	}
}

// TestRemoveAccount: what its user had decided goes with it, and its mail if one says so.
func TestRemoveAccount(t *testing.T) {
	t.Parallel()
	for _, mail := range []bool{false, true} {
		o := newOffice(t)
		p := o.Pages().Accounts
		o.deliver(t, "dan@club.test")
		if err := o.Preferences.Change(t.Context(), "dan@club.test", func(p *preferences.Preferences) error {
			p.Forward = &preferences.Forward{To: "d@far.test"}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		a, err := p.Account(t.Context(), "dan@club.test")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.RemoveAccount(t.Context(), "dan@club.test", a.Stamp, mail); err != nil {
			t.Fatal(err)
		}
		kept, err := o.Preferences.Of("dan@club.test")
		use, useErr := o.store.Usage(t.Context(), "dan@club.test")
		if err != nil || useErr != nil || kept != nil || (use.Messages == 0) != mail || o.moment.Directory.Account("dan@club.test") != nil {
			t.Errorf("with mail %v: %v, %+v, %v, %v", mail, kept, use, err, useErr)
		}
	}
}

// fixed is a store that deletes no mailboxes.
type fixed struct{ mailstore.Store }

// TestNoPurge: where mail cannot be deleted that is said, after what can be done.
func TestNoPurge(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.Desk.Store = fixed{o.store}
	a, err := o.Pages().Accounts.Account(t.Context(), "dan@club.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Pages().Accounts.RemoveAccount(t.Context(), "dan@club.test", a.Stamp, true); err == nil || !strings.Contains(err.Error(), "the account is removed, but its mail is not deleted") {
		t.Error(err)
	}
}

// TestSealedPassword: a password that is set here would not open a sealed mailbox.
func TestSealedPassword(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	if err := o.MailKeys.Change(t.Context(), "bob@mail.test", func(b *mailkeys.Box) (err error) {
		b.Keyring, _, err = mailkeys.NewKeyring([]byte("correct horse"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	a, err := o.Pages().Accounts.Account(t.Context(), "bob@mail.test")
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.Pages().Accounts.SetPassword(t.Context(), "bob@mail.test", a.Stamp, "correct horse battery staple")
	wrong(t, err, "password", "this mailbox is sealed")
}

// TestLeftKeys: an empty mailbox of an account that was removed, which has keys of sealed mail, is given to a new account only where that is said.
func TestLeftKeys(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	const eve = "eve@mail.test"
	err := o.MailKeys.Change(t.Context(), eve, func(b *mailkeys.Box) (err error) {
		b.State = mailkeys.Sealed
		b.Keyring, _, err = mailkeys.NewKeyring([]byte("correct horse"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = o.Pages().Accounts.AddAccount(t.Context(), admin.NewAccount{Address: eve})
	wrong(t, err, "mail", "a mailbox of that name with keys of sealed mail, of an account that was removed")
	if _, _, err := o.Pages().Accounts.AddAccount(t.Context(), admin.NewAccount{Address: eve, Mail: "delete"}); err != nil {
		t.Fatal(err)
	}
	if box, err := o.MailKeys.Of(eve); err != nil || box != nil {
		t.Errorf("the keys are still there: %v %v", box, err)
	}
}

// TestAliasPages: aliases are listed with what they lead to, added, changed and removed, each from what the page has shown.
func TestAliasPages(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	p := o.Pages().Aliases
	rows, _, err := p.Aliases(t.Context(), admin.Slice{Limit: 100, Find: "a"})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]admin.Alias{}
	for _, r := range rows {
		byName[r.Address] = r
	}
	if a := byName["info@mail.test"]; strings.Join(a.Targets, " ") != "alice@mail.test bob@mail.test" || a.Default {
		t.Errorf("%+v", a)
	}
	if a := byName["abuse@mail.test"]; !a.Default {
		t.Errorf("%+v", a)
	}
	for _, c := range []struct {
		address     string
		targets     []string
		field, want string
	}{
		{"", nil, "address", "an address is needed"},
		{"x@far.test", []string{"bob@mail.test"}, "address", "is not kept here"},
		{"Sales@mail.test", []string{"alice@mail.test"}, "address", "sales@mail.test is an alias already"},
		{"x@mail.test", []string{"a b@@"}, "targets", ""},
		{"bob@mail.test", []string{"alice@mail.test"}, "address", "bob@mail.test is an account"},
	} {
		_, err := p.AddAlias(t.Context(), c.address, c.targets)
		wrong(t, err, c.field, c.want)
	}
	if _, err := p.AddAlias(t.Context(), "x@mail.test", []string{"nobody@mail.test"}); err == nil || !strings.Contains(err.Error(), "there is no account and no alias nobody@mail.test") {
		t.Error(err)
	}
	if _, err := p.AddAlias(t.Context(), "x@mail.test", nil); err == nil || !strings.Contains(err.Error(), "it leads nowhere") {
		t.Error(err)
	}
	if o.reads != 1 {
		t.Error("something was written")
	}
	if at, err := p.AddAlias(t.Context(), "New@mail.test", []string{"alice@mail.test"}); err != nil || at != "new@mail.test" {
		t.Fatal(at, err)
	}
	a, err := p.Alias(t.Context(), "new@mail.TEST")
	if err != nil || a.Stamp == "" || a.From == "" || strings.Join(a.Targets, " ") != "alice@mail.test" {
		t.Fatalf("%+v, %v", a, err)
	}
	wrong(t, p.SetAlias(t.Context(), "new@mail.test", a.Stamp, []string{"a b@@"}), "targets", "")
	if err := p.SetAlias(t.Context(), "new@mail.test", a.Stamp, []string{"bob@mail.test"}); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"set": p.SetAlias(t.Context(), "new@mail.test", a.Stamp, []string{"alice@mail.test"}), "remove": p.RemoveAlias(t.Context(), "new@mail.test", a.Stamp),
	} {
		if !errors.Is(err, admin.ErrOutdated) {
			t.Errorf("%s with the stamp of before: %v", name, err)
		}
	}
	for name, err := range map[string]error{"set": p.SetAlias(t.Context(), "none@mail.test", "", nil), "remove": p.RemoveAlias(t.Context(), "none@mail.test", "")} {
		if !errors.Is(err, pages.ErrNotFound) {
			t.Errorf("%s of none: %v", name, err)
		}
	}
	if a, err = p.Alias(t.Context(), "new@mail.test"); err != nil || strings.Join(a.Targets, " ") != "bob@mail.test" {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := p.RemoveAlias(t.Context(), "new@mail.test", a.Stamp); err != nil {
		t.Error(err)
	}
	for _, none := range []string{"new@mail.test", "abuse@mail.test"} { // which no file has
		if _, err := p.Alias(t.Context(), none); !errors.Is(err, pages.ErrNotFound) {
			t.Errorf("%s: %v", none, err)
		}
	}
}

// TestDomainPages: domains are counted, limited, blocked, added and removed.
func TestDomainPages(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	p := o.Pages().Domains
	rows, next, err := p.Domains(t.Context(), admin.Slice{Limit: 10})
	if err != nil || next != "" || len(rows) != 3 {
		t.Fatal(rows, next, err)
	}
	if d := rows[0]; d.Name != "club.test" || !d.Blocked || d.Accounts != 1 || d.Own {
		t.Errorf("%+v", d)
	}
	if d := rows[1]; d.Name != "mail.test" || !d.Own || d.Accounts != 2 || d.Quota != "any amount" || d.Total != "any amount" || d.Aliases < 2 {
		t.Errorf("%+v", d)
	}
	if d := rows[2]; d.Name != "shop.test" || d.Blocked || d.Quota != "1MB" || d.Total != "3MB" || d.CatchAll != "bob@mail.test" || d.Accounts != 1 {
		t.Errorf("%+v", d)
	}
	if rows, _, err := p.Domains(t.Context(), admin.Slice{Limit: 10, Find: "nothing"}); err != nil || rows != nil {
		t.Error(rows, err)
	}
	shop := func() admin.Domain {
		d, err := p.Domain(t.Context(), "Shop.test")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := shop()
	if d.OwnQuota != "1MB" || d.OwnTotal != "3MB" || d.Stamp == "" || d.From == "" || d.Accounts != 1 {
		t.Errorf("%+v", d)
	}
	if d, err := p.Domain(t.Context(), "mail.test"); err != nil || d.OwnQuota != "" || d.Stamp == "" {
		t.Errorf("%+v, %v", d, err)
	}
	for _, c := range []struct {
		together    bool
		size, field string
	}{{false, "x", "quota"}, {true, "x", "total"}, {false, "0", "quota"}, {true, "-1MB", "total"}} {
		wrong(t, p.LimitDomain(t.Context(), "shop.test", d.Stamp, c.together, c.size), c.field, "")
	}
	if err := p.LimitDomain(t.Context(), "shop.test", d.Stamp, false, "2MB"); err != nil {
		t.Error(err)
	}
	if err := p.LimitDomain(t.Context(), "shop.test", shop().Stamp, true, ""); err != nil {
		t.Error(err)
	}
	if now := shop(); now.OwnQuota != "2MB" || now.OwnTotal != "" || now.Stamp == d.Stamp {
		t.Errorf("%+v", now)
	}
	for _, block := range []bool{true, false} {
		if err := p.BlockDomain(t.Context(), "shop.test", shop().Stamp, block); err != nil || shop().Blocked != block {
			t.Error(block, err)
		}
	}
	for name, do := range map[string]func(of, stamp string) error{
		"limit":  func(of, stamp string) error { return p.LimitDomain(t.Context(), of, stamp, true, "1MB") },
		"block":  func(of, stamp string) error { return p.BlockDomain(t.Context(), of, stamp, true) },
		"remove": func(of, stamp string) error { return p.RemoveDomain(t.Context(), of, stamp) },
	} {
		if err := do("shop.test", "0123"); !errors.Is(err, admin.ErrOutdated) {
			t.Errorf("%s: %v", name, err)
		}
		if err := do("far.test", ""); !errors.Is(err, pages.ErrNotFound) {
			t.Errorf("%s of a stranger's: %v", name, err)
		}
	}
	if _, err := p.Domain(t.Context(), "far.test"); !errors.Is(err, pages.ErrNotFound) {
		t.Error(err)
	}
	_, err = p.AddDomain(t.Context(), "")
	wrong(t, err, "name", "a name is needed")
	_, err = p.AddDomain(t.Context(), "shop.test")
	wrong(t, err, "name", "shop.test")
	_, err = p.AddDomain(t.Context(), "a b")
	wrong(t, err, "name", "")
	if name, err := p.AddDomain(t.Context(), "New.test"); err != nil || name != "new.test" {
		t.Error(name, err)
	}
	n, err := p.Domain(t.Context(), "new.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.RemoveDomain(t.Context(), "new.test", n.Stamp); err != nil {
		t.Error(err)
	}
	home, err := p.Domain(t.Context(), "mail.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.RemoveDomain(t.Context(), "mail.test", home.Stamp); err == nil {
		t.Error("the server's own domain is removed")
	}
}

// TestNoQueue: where none is kept, everything about it says so.
func TestNoQueue(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	q := o.Pages().Queue
	_, piece := q.Piece(t.Context(), queue.Filter{})
	_, find := q.Find(t.Context(), "x")
	_, explain := q.Explain(t.Context(), "x")
	for name, err := range map[string]error{"piece": piece, "find": find, "explain": explain, "steer": q.Steer(t.Context(), "hold", "x"), "route": q.Route(t.Context(), "x", "")} {
		if !errors.Is(err, errNoQueue) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all := q.Routes(); all != nil {
		t.Error(all)
	}
	mux := http.NewServeMux()
	o.Commands(mux)
	if said := ask(mux, "/queue/list", `{}`); !strings.Contains(said, `keeps no queue`) {
		t.Error(said)
	}
}

func ask(mux http.Handler, path, body string) string {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Body.String()
}

// TestLimits: what an account sends is shown, lifted and restored, by the pages and by command, under whichever spelling of its name.
func TestLimits(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	p := o.Pages().Accounts
	kept := 0
	o.Desk.Post.Keep = func() { kept++ }
	if _, err := p.LiftLimits(t.Context(), "nobody@mail.test", time.Now().Add(time.Hour)); !errors.Is(err, pages.ErrNotFound) {
		t.Error(err)
	}
	if err := p.RestoreLimits(t.Context(), "nobody@mail.test"); !errors.Is(err, pages.ErrNotFound) {
		t.Error(err)
	}
	if _, err := p.DiscardHeld(t.Context(), "nobody@mail.test"); !errors.Is(err, pages.ErrNotFound) {
		t.Error(err)
	}
	if _, err := p.LiftLimits(t.Context(), "bob@mail.test", time.Now().Add(-time.Hour)); err == nil {
		t.Error("lifted until a time that is over")
	}
	until := time.Now().Add(time.Hour).Round(time.Second)
	ended, cancel := context.WithCancel(t.Context())
	cancel() // who has gone away wants it no less
	if n, err := p.LiftLimits(ended, "BOB@mail.test", until); n != 0 || err != nil || kept != 1 {
		t.Error(n, err, kept)
	}
	if a, err := p.Account(t.Context(), "bob@mail.test"); err != nil || !a.Sent.Lifted.Equal(until) {
		t.Error(a.Sent, err)
	}
	mux := http.NewServeMux()
	o.Commands(mux)
	if said := ask(mux, "/limits/show", `{"account": "Bob@mail.test"}`); !strings.Contains(said, `"lifted"`) || !strings.Contains(said, `"account":"bob@mail.test"`) {
		t.Error(said)
	}
	if said := ask(mux, "/limits/show", `{}`); !strings.Contains(said, "whose limits?") {
		t.Error(said)
	}
	if said := ask(mux, "/limits/restore", `{"account": "Bob@mail.test"}`); !strings.Contains(said, `"messages":0`) || kept != 2 {
		t.Error(said, kept)
	}
	if said := ask(mux, "/limits/show", `{"account": "bob@mail.test"}`); strings.Contains(said, `"lifted"`) {
		t.Error(said)
	}
	for _, name := range []string{"lift", "discard"} {
		if said := ask(mux, "/limits/"+name, `{"account": "bob@mail.test", "until": "2001-01-01T00:00:00Z"}`); strings.Contains(said, "messages") != (name == "discard") {
			t.Errorf("%s: %s", name, said)
		}
	}
	if n, err := p.DiscardHeld(t.Context(), "bob@mail.test"); n != 0 || err != nil {
		t.Error(n, err)
	}
	if err := p.RestoreLimits(t.Context(), "bob@mail.test"); err != nil {
		t.Error(err)
	}
}

// TestLockouts: who is locked out is named, and let in again.
func TestLockouts(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	p := o.Pages().Lockouts
	if all := p.Lockouts(); len(all) != 0 {
		t.Error(all)
	}
	if p.Lift("bob@mail.test") {
		t.Error("somebody was let in who was not locked out")
	}
}

// TestOutdated: what is refused, and who is told to do what about it.
func TestOutdated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shown, running, files string
		want                  string
	}{
		{"a", "a", "a", ""}, {"a", "b", "a", ""}, {"a", "a", "b", "not run postrider reload"}, {"a", "b", "b", admin.ErrOutdated.Error()}, {"a", "b", "c", admin.ErrOutdated.Error()}, {"", "", "", ""},
	} {
		err := outdated(c.shown, c.running, c.files)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if stampOf("a", "b") == stampOf("a", "c") || stampOf("ab") == stampOf("a", "b") || len(stampOf()) != 16 {
		t.Error("stamps do not tell facts apart")
	}
	o := newOffice(t)
	if all := o.Pages().Settings(); len(all) < 100 {
		t.Errorf("%d settings", len(all))
	}
}
