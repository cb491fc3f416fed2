package daemon

import (
	"context"
	"html"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// admin is a visitor who has logged in as ann.
func (w *testWorld) admin() *visitor {
	w.t.Helper()
	v := w.visitor()
	if code, page := v.post("/admin/login", "name", "ann", "password", testPassword); code != 200 {
		w.t.Fatal("login:", code, page)
	}
	return v
}

var stampOn = regexp.MustCompile(`name="stamp" value="([0-9a-f]+)"`)

// stamp is that of the page.
func (v *visitor) stamp(path string) string {
	v.t.Helper()
	code, page := v.see(path)
	m := stampOn.FindStringSubmatch(page)
	if code != 200 || m == nil {
		v.t.Fatalf("%s: %d, no stamp in\n%s", path, code, page)
	}
	return m[1]
}

// does posts a form of a page as it is shown now.
func (v *visitor) does(path string, pairs ...string) (int, string) {
	v.t.Helper()
	code, page := v.post(path, append([]string{"stamp", v.stamp(path), "do"}, pairs...)...)
	return code, html.UnescapeString(page)
}

// text is the file of a world.
func (w *testWorld) text() string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "t.conf"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// fill puts a message into a mailbox.
func (w *testWorld) fill(user string) {
	w.t.Helper()
	d, err := w.store.Create(context.Background(), mailstore.Meta{}, user)
	if err == nil {
		_, err = io.WriteString(d, "Subject: x\r\n\r\nx\r\n")
	}
	if err == nil {
		err = d.Commit(context.Background(), nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *testWorld) messages(user string) int64 {
	w.t.Helper()
	use, err := w.store.Usage(context.Background(), user)
	if err != nil {
		w.t.Fatal(err)
	}
	return use.Messages
}

// TestAccountPages: an account comes, is changed in every way, and goes, and each change is in the file with its comments, and in
// force at once.
func TestAccountPages(t *testing.T) {
	w := start(t, withAdmin(t, `"Domains": {"town.test": {}}, /* a comment */`))
	v := w.admin()
	account := func(at string) *conf.Account {
		s, err := conf.Load(w.dir)
		if err != nil {
			t.Fatal(err)
		}
		return s.Book().Accounts[domains.CanonicalAddress(at)]
	}
	logsIn := func(at, password string) bool {
		code, _ := w.visitor().post("/account/login", "name", at, "password", password)
		return code == 200
	}

	for _, c := range []struct {
		want  string
		pairs []string
	}{
		{"an address is needed", []string{"address", ""}},
		{"write the whole address, such as carol@mail.test", []string{"address", "carol"}},
		{"mail for else.test is not kept here", []string{"address", "carol@else.test"}},
		{"the account is there already", []string{"address", "Bob@Mail.test"}},
		{"team@mail.test is an alias already", []string{"address", "team@mail.test"}},
		{"cannot stand before the @", []string{"address", "a b@mail.test"}},
		{"fewer than 8 characters", []string{"address", "carol@mail.test", "password", "short"}},
		{"the password is the user name", []string{"address", "carol.long@mail.test", "password", "carol.long"}},
		{"2 MBs", []string{"address", "carol@mail.test", "quota", "2 MBs"}},
		{`write a size, as "2GB"`, []string{"address", "carol@mail.test", "quota", "0"}},
	} {
		before := w.text()
		code, page := v.post("/admin/accounts/add", append(c.pairs, "do", "add")...)
		if page := html.UnescapeString(page); code != 422 || !strings.Contains(page, c.want) || w.text() != before {
			t.Errorf("%q: %d, no %q in\n%s", c.pairs, code, c.want, page)
		}
		if at := c.pairs[1]; !strings.Contains(page, `value="`+html.EscapeString(at)+`"`) {
			t.Errorf("%q: the value is not kept", c.pairs)
		}
	}

	code, page := v.post("/admin/accounts/add", "do", "add", "address", "Carol@mail.test", "quota", "3MB")
	m := regexp.MustCompile(`The password is ([A-Z0-9]{24}) –`).FindStringSubmatch(page)
	if code != 200 || m == nil || !strings.Contains(page, "carol@mail.test is added.") || !strings.Contains(page, "3.0 MB") {
		t.Fatal(code, page)
	}
	if a := account("carol@mail.test"); a == nil || a.Quota != 3e6 || a.ScramSHA256 == "" || !strings.Contains(w.text(), "/* a comment */") {
		t.Errorf("%+v\n%s", a, w.text())
	}
	if _, page := v.see("/admin/accounts/carol@mail.test"); strings.Contains(page, m[1]) {
		t.Error("the password is shown twice")
	}
	if !logsIn("carol@mail.test", m[1]) {
		t.Error("the new account cannot log in")
	}
	if code, page := v.see("/admin/accounts?find=CAR"); code != 200 || !strings.Contains(page, "carol@mail.test") || strings.Contains(page, "bob@mail.test") || !strings.Contains(page, " s ago") {
		t.Error("the list:", code, page)
	}
	w.fill("carol@mail.test")
	if _, page := v.see("/admin/accounts/carol@mail.test"); !strings.Contains(page, "1 message, 1") && !strings.Contains(page, "1 message,") || !strings.Contains(page, "127.0.0.1/32") {
		t.Error("what is known of it:", page)
	}

	const at = "/admin/accounts/carol@mail.test"
	if code, page := v.does(at, "password", "password", "seven77"); code != 422 || !strings.Contains(page, "fewer than 8") || strings.Contains(page, "seven77") {
		t.Error("a weak password:", code, page)
	}
	if code, page := v.does(at, "password", "password", ""); code != 422 || !strings.Contains(page, "an empty password") {
		t.Error("no password:", code, page)
	}
	if code, _ := v.does(at, "password", "password", "another pass phrase"); code != 200 || logsIn("carol@mail.test", m[1]) || !logsIn("carol@mail.test", "another pass phrase") {
		t.Error("a new password:", code)
	}
	if code, page := v.does(at, "random"); code != 200 || !strings.Contains(page, "it is not shown again") || logsIn("carol@mail.test", "another pass phrase") {
		t.Error("a random password:", code, page)
	}
	v.does(at, "password", "password", "another pass phrase")
	if code, page := v.does(at, "quota", "quota", "lots"); code != 422 || !strings.Contains(page, `value="lots"`) {
		t.Error("a quota that is none:", code, page)
	}
	if code, _ := v.does(at, "quota", "quota", "none"); code != 200 || account("carol@mail.test").Quota != conf.Unlimited || w.quota("carol@mail.test").Octets != 0 {
		t.Error("quota:", code)
	}
	if code, page := v.does(at, "block"); code != 200 || logsIn("carol@mail.test", "another pass phrase") || !strings.Contains(page, ">blocked<") {
		t.Error("block:", code, page)
	}
	if code, _ := v.does(at, "unblock"); code != 200 || !logsIn("carol@mail.test", "another pass phrase") {
		t.Error("unblock:", code)
	}

	// Removed, with its mail left or deleted.
	if code, page := v.does(at, "remove"); code != 422 || !strings.Contains(page, "Remove carol@mail.test?") || account("carol@mail.test") == nil {
		t.Error("it is not asked first:", code, page)
	}
	if code, page := v.does(at, "remove", "sure", "1"); code != 422 || !strings.Contains(page, "Say what is to become of its mail") {
		t.Error("the mail is not asked about:", code, page)
	}
	if code, page := v.does(at, "remove", "sure", "1", "mail", "keep"); code != 200 || account("carol@mail.test") != nil || w.messages("carol@mail.test") != 1 || !strings.Contains(page, "carol@mail.test is removed") {
		t.Error("remove:", code, page)
	}
	if code, _ := v.see(at); code != 404 {
		t.Error("it is still there:", code)
	}
	if code, page := v.post("/admin/accounts/add", "do", "add", "address", "carol@mail.test"); code != 422 || !strings.Contains(page, "there is a mailbox of that name with 1 message") || account("carol@mail.test") != nil {
		t.Error("mail from before:", code, page)
	}
	if code, _ := v.post("/admin/accounts/add", "do", "add", "address", "carol@mail.test", "mail", "keep"); code != 200 || w.messages("carol@mail.test") != 1 {
		t.Error("with the mail from before:", code)
	}
	if code, page := v.does(at, "remove", "sure", "1", "mail", "delete"); code != 200 || w.messages("carol@mail.test") != 0 {
		t.Error("remove with the mail:", code, page)
	}
	w.fill("dora@mail.test")
	if code, _ := v.post("/admin/accounts/add", "do", "add", "address", "dora@mail.test", "mail", "delete"); code != 200 || w.messages("dora@mail.test") != 0 {
		t.Error("without the mail from before:", code)
	}
	before := w.text()
	if code, page := v.does("/admin/accounts/alice@mail.test", "remove", "sure", "1", "mail", "keep"); code != 422 || w.text() != before ||
		!strings.Contains(page, "no server would start with that") || !strings.Contains(page, "there is no account and no alias alice@mail.test") {
		t.Error("one that an alias leads to:", code, page)
	}
	for _, want := range []string{
		`area=admin user=ann remote=127.0.0.1 page="New account" action=add account=carol@mail.test`,
		`page=Account action=password account=carol@mail.test`, `page=Account action=remove account=carol@mail.test mail=keep`,
	} {
		if !strings.Contains(w.logs.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(w.logs.String(), "another pass phrase") || strings.Contains(w.logs.String(), m[1]) {
		t.Error("a password is in the log")
	}
}

// TestTwoAdmins: of two who change the same thing the second is told, and sees how it is; who changes something else is not.
func TestTwoAdmins(t *testing.T) {
	w := start(t, withAdmin(t, ""))
	a, b := w.admin(), w.admin()
	const at = "/admin/accounts/bob@mail.test"
	stamp := b.stamp(at)
	if code, _ := a.does(at, "quota", "quota", "5MB"); code != 200 {
		t.Fatal(code)
	}
	code, page := b.post(at, "stamp", stamp, "do", "block")
	if code != 422 || !strings.Contains(page, "somebody has changed this since the page was shown") || !strings.Contains(page, "5.0 MB") {
		t.Error("the second:", code, page)
	}
	if code, _ := b.does(at, "block"); code != 200 {
		t.Error("having seen it:", code)
	}
	stamp = b.stamp("/admin/aliases/team@mail.test")
	if code, _ := a.does("/admin/aliases/team@mail.test", "targets", "targets", "bob@mail.test"); code != 200 {
		t.Fatal(code)
	}
	if code, page := b.post("/admin/aliases/team@mail.test", "stamp", stamp, "do", "remove", "sure", "1"); code != 422 || !strings.Contains(page, "somebody has changed this") {
		t.Error("an alias:", code, page)
	}
	// At the same moment: each of many changes of different things counts.
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			v := w.admin()
			if code, page := v.post("/admin/aliases/add", "do", "add", "address", "x"+string(rune('a'+i))+"@mail.test", "targets", "bob@mail.test"); code != 200 {
				t.Error(code, page)
			}
		})
	}
	all.Wait()
	if s, err := conf.Load(w.dir); err != nil || len(s.Aliases) != 5 {
		t.Error(len(s.Aliases), err)
	}
}

// TestChangeOfHandEdits: what is in the files and not in force is not changed unseen, and what could not come into force is refused.
func TestChangeOfHandEdits(t *testing.T) {
	w := start(t, withAdmin(t, ""))
	v := w.admin()
	const at = "/admin/accounts/bob@mail.test"
	stamp := v.stamp(at)
	write := func(old, new string) {
		t.Helper()
		text := strings.Replace(w.text(), old, new, 1)
		if text == w.text() {
			t.Fatal(old)
		}
		if err := os.WriteFile(filepath.Join(w.dir, "t.conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`"bob@mail.test": {`, `"bob@mail.test": {"quota": "7MB", `)
	if code, page := v.post(at, "stamp", stamp, "do", "block"); code != 422 || !strings.Contains(page, "the files have something else here than this server goes by") || strings.Contains(w.text(), "disabled") {
		t.Error("a hand's edit:", code, page)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	write(`"data_dir": "data"`, `"data_dir": "data", "mail_dir": "elsewhere"`)
	if code, page := v.does(at, "block"); code != 422 || !strings.Contains(page, "which somebody has to mend first") || !strings.Contains(page, "mail_dir") || strings.Contains(w.text(), "disabled") {
		t.Error("what needs a restart:", code, page)
	}
	write(`"mail_dir": "elsewhere"`, `"postmaster": "none"`)
	if code, page := v.does(at, "block"); code != 422 || !strings.Contains(page, "which somebody has to mend first") || strings.Contains(w.text(), "disabled") {
		t.Error("what is wrong already:", code, page)
	}
	write(`"postmaster": "none"`, `"postmaster": "bob@mail.test"`)
	if code, page := v.does(at, "block"); code != 422 || !strings.Contains(page, "somebody has edited t.conf, and this server has not read that yet") || strings.Contains(w.text(), "disabled") {
		t.Error("what nobody has asked for at the page:", code, page)
	}
	if _, page := v.see("/admin/settings"); !strings.Contains(page, "Edited, and not in force yet") || !strings.Contains(page, "t.conf") {
		t.Error(page)
	}
	if code, page := v.post("/admin/settings", "do", "reload"); code != 200 || !strings.Contains(page, "The files are read, and in force.") || strings.Contains(page, "not in force yet") {
		t.Error("read again:", code, page)
	}
	if w.state().settings.Postmaster != "bob@mail.test" {
		t.Error("it is not in force")
	}
	if err := os.Chmod(filepath.Join(w.dir, "t.conf"), 0o400); err != nil {
		t.Fatal(err)
	}
	if code, page := v.does(at, "block"); code != 422 || !strings.Contains(page, "t.conf is not changed") || strings.Contains(w.text(), "disabled") {
		t.Error("a file that is read-only:", code, page)
	}
	if err := os.Chmod(filepath.Join(w.dir, "t.conf"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, page := v.does(at, "block"); code != 200 || !strings.Contains(w.text(), "disabled") {
		t.Error("at last:", code, page)
	}
	write(`"disabled"`, `"disabled`)
	if _, page := v.see("/admin/settings"); !strings.Contains(page, "The files cannot be read as they are now") {
		t.Error(page)
	}
	if code, page := v.post("/admin/settings", "do", "reload"); code != 422 || !strings.Contains(page, "t.conf") {
		t.Error("what cannot be read:", code, page)
	}
	write(`"disabled`, `"disabled"`)
	w.Configuration = ""
	if code, page := v.does(at, "unblock"); code != 422 || !strings.Contains(page, "was not told where the files") {
		t.Error("without files:", code, page)
	}
}

// TestAliasPages: aliases and domains come, are changed, and go.
func TestAliasPages(t *testing.T) {
	w := start(t, withAdmin(t, ""))
	v := w.admin()
	for _, c := range []struct{ address, targets, want string }{
		{"info", "bob@mail.test", "write the whole address"},
		{"info@else.test", "bob@mail.test", "is not kept here"},
		{"info@mail.test", " , ", "leads to one address at least"},
		{"info@mail.test", "bob", "not a full address"},
		{"info@mail.test", "nobody@mail.test", "there is no account and no alias nobody@mail.test"},
		{"bob@mail.test", "alice@mail.test", "is an account, which gets the mail"},
		{"team@mail.test", "alice@mail.test", "is an alias already"},
	} {
		before := w.text()
		code, page := v.post("/admin/aliases/add", "do", "add", "address", c.address, "targets", c.targets)
		if page = html.UnescapeString(page); code != 422 || !strings.Contains(page, c.want) || w.text() != before || !strings.Contains(page, ">\n"+c.targets+"</textarea>") {
			t.Errorf("%q: %d\n%s", c, code, page)
		}
	}
	if code, page := v.post("/admin/aliases/add", "do", "add", "address", "*@mail.test", "targets", "bob@mail.test\r\nx@far.test"); code != 422 || !strings.Contains(page, "forward") {
		t.Log("forwarding is off:", code) // by the settings; the reason is theirs
	}
	if code, page := v.post("/admin/aliases/add", "do", "add", "address", "Info@mail.test", "targets", "bob@mail.test\r\nalice@mail.test"); code != 200 || !strings.Contains(page, "Mail to info@mail.test goes to") {
		t.Fatal(code, page)
	}
	const at = "/admin/aliases/info@mail.test"
	if code, page := v.does(at, "targets", "targets", "alice@mail.test"); code != 200 || !strings.Contains(page, "goes to alice@mail.test.") {
		t.Error("other targets:", code, page)
	}
	if code, page := v.does(at, "targets", "targets", "zoe"); code != 422 || !strings.Contains(page, ">\nzoe</textarea>") || !strings.Contains(page, "not a full address") {
		t.Error("a target that is none:", code, page)
	}
	if code, page := v.see("/admin/aliases"); code != 200 || !strings.Contains(page, "/admin/aliases/info@mail.test") || !strings.Contains(page, "by default") || strings.Contains(page, "/admin/aliases/postmaster@") {
		t.Error("the list:", code, page)
	}
	if code, _ := v.see("/admin/aliases/postmaster@mail.test"); code != 404 {
		t.Error("one by default:", code)
	}
	if code, page := v.does(at, "remove"); code != 422 || !strings.Contains(page, "Remove info@mail.test?") {
		t.Error("it is not asked first:", code, page)
	}
	if code, _ := v.does(at, "remove", "sure", "1"); code != 200 || strings.Contains(w.text(), "info@mail.test") {
		t.Error("remove:", code)
	}

	for name, want := range map[string]string{"": "a name is needed", "no_domain": "not a domain name", "Mail.test": "the domain is there already"} {
		if code, page := v.post("/admin/domains", "do", "add", "name", name); code != 422 || !strings.Contains(html.UnescapeString(page), want) {
			t.Errorf("%q: %d %s", name, code, page)
		}
	}
	if code, page := v.post("/admin/domains", "do", "add", "name", "Town.Test"); code != 200 || !strings.Contains(page, "Mail for town.test is kept here") {
		t.Fatal(code, page)
	}
	const town = "/admin/domains/town.test"
	if code, page := v.does(town, "block"); code != 422 || !strings.Contains(page, "Block town.test?") {
		t.Error("it is not asked first:", code, page)
	}
	if code, _ := v.does(town, "block", "sure", "1"); code != 200 || !w.state().dir.Domain("town.test").Disabled {
		t.Error("block:", code)
	}
	if code, page := v.does(town, "quota", "quota", "lots"); code != 422 || !strings.Contains(page, `value="lots"`) {
		t.Error("a limit that is none:", code, page)
	}
	if code, page := v.does(town, "total", "total", "0"); code != 422 || !strings.Contains(page, `write a size`) {
		t.Error("a limit of nothing:", code, page)
	}
	v.does(town, "quota", "quota", "4MB")
	v.does(town, "total", "total", "9MB")
	if code, page := v.see(town); code != 200 || w.quota("x@town.test").Octets != 4e6 || w.domainQuota("town.test").Octets != 9e6 || !strings.Contains(page, `value="9MB"`) {
		t.Error("limits:", code, page)
	}
	if code, _ := v.does(town, "total", "total", ""); code != 200 || w.domainQuota("town.test").Octets != 0 {
		t.Error("any amount:", code)
	}
	v.post("/admin/accounts/add", "do", "add", "address", "zed@town.test", "password", testPassword)
	if code, page := v.see("/admin/accounts/zed@town.test"); code != 200 || !strings.Contains(page, "blocked with its domain") || strings.Contains(page, `value="unblock"`) {
		t.Error("an account of it:", code, page)
	}
	if code, _ := w.visitor().post("/account/login", "name", "zed@town.test", "password", testPassword); code != 422 {
		t.Error("it can log in:", code)
	}
	if code, _ := v.does(town, "unblock"); code != 200 {
		t.Error("unblock:", code)
	}
	if code, _ := w.visitor().post("/account/login", "name", "zed@town.test", "password", testPassword); code != 200 {
		t.Error("it cannot log in:", code)
	}
	if code, page := v.does(town, "remove", "sure", "1"); code != 422 || !strings.Contains(page, "there is still zed@town.test in it") {
		t.Error("one with an account:", code, page)
	}
	v.does("/admin/accounts/zed@town.test", "remove", "sure", "1", "mail", "keep")
	if code, page := v.does(town, "remove", "sure", "1"); code != 200 || strings.Contains(w.text(), "town.test") {
		t.Error("remove:", code, page)
	}
	if code, page := v.see("/admin/domains/mail.test"); code != 200 || strings.Contains(page, `value="remove"`) {
		t.Error("the server's own name:", code, page)
	}
}

// TestLockoutAndSettingsPages: who is locked out is seen and let in again; what is in force is shown without a secret.
func TestLockoutAndSettingsPages(t *testing.T) {
	w := start(t, withAdmin(t, `"Auth": {"max_failures_per_account": 3},`))
	v := w.admin()
	if _, page := v.see("/admin/lockouts"); !strings.Contains(page, "Nobody is locked out") {
		t.Error(page)
	}
	for i := range 4 {
		w.visitor().post("/account/login", "name", "bob@mail.test", "password", "wrong"+strings.Repeat("!", i))
	}
	if len(w.state().credentials.Lockouts()) == 0 {
		t.Fatal("nobody is locked out")
	}
	_, page := v.see("/admin/lockouts")
	who := regexp.MustCompile(`name="who" value="([^"]+)"`).FindStringSubmatch(page)
	if who == nil {
		t.Fatal(page)
	}
	if code, page := v.post("/admin/lockouts", "do", "lift", "who", html.UnescapeString(who[1])); code != 200 || !strings.Contains(page, "are forgotten") {
		t.Error(code, page)
	}
	if code, page := v.post("/admin/lockouts", "do", "lift", "who", html.UnescapeString(who[1])); code != 422 || !strings.Contains(page, "are remembered there any more") {
		t.Error("twice:", code, page)
	}
	code, page := v.see("/admin/settings")
	page = html.UnescapeString(page)
	if code != 200 || !strings.Contains(page, "server_name") || !strings.Contains(page, "t.conf:2:") || strings.Contains(page, "argon2id") || !strings.Contains(page, "********") || strings.Contains(page, "max_hops") {
		t.Error(code, page)
	}
	if code, page := v.see("/admin/settings?all=1&find=max_hops"); code != 200 || !strings.Contains(page, "SMTP.max_hops") || !strings.Contains(page, "default") {
		t.Error(code, page)
	}
}
