package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// usersFile is a passwd-file, in which all passwords are "test", and the settings that name it.
func usersFile(t *testing.T, lines ...string) (write func(lines ...string), settings string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	write = func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(lines...)
	return write, fmt.Sprintf(`"Elsewhere": {"PasswdFiles": [{"file": %q, "domains": ["example.com"], "password_page": "https://password.example.com/"}]},`, file)
}

// ofTest is the line of somebody whose password is "test".
func ofTest(name string) string { return name + ":{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP" }

// TestPagesOfElsewhere: who has an account that others keep decides at the pages what those of the settings do, but for his password, and is told where that
// is changed; passwords for devices open the account for as long as it is there.
func TestPagesOfElsewhere(t *testing.T) {
	write, settings := usersFile(t, ofTest("bob"), ofTest("eve"))
	w := start(t, withUsers+settings)
	v := w.user("bob@example.com", "test")
	if _, page := v.see("/account/"); !strings.Contains(page, "bob@example.com") {
		t.Error(page)
	}
	if code, _ := w.visitor().post("/account/login", "name", "bob@example.com", "password", "wrong"); code != 422 && code != 403 && code != 401 {
		t.Error("a wrong password:", code)
	}
	if _, page := v.see("/account/password"); !strings.Contains(page, `href="https://password.example.com/"`) || strings.Contains(page, `value="change"`) {
		t.Error("where the password is changed:", page)
	}
	if code, page := v.post("/account/password", "do", "change", "old", "test", "new", "a better one", "again", "a better one"); code != 422 || !strings.Contains(page, "is kept elsewhere") {
		t.Error("a change of the password:", code, page)
	}

	phone := v.app("phone", "test")
	in := w.inSMTP("BOB@example.com", phone)
	for password, want := range map[string]bool{phone: true, "test": true, strings.Repeat("a", 26): false} {
		if w.fetches("bob@example.com", password) != want {
			t.Error("fetches by", password)
		}
	}
	if code, _ := w.visitor().post("/account/login", "name", "bob@example.com", "password", phone); code == 200 {
		t.Error("a password for a device opens the pages")
	}
	if w.fetches("eve@example.com", phone) {
		t.Error("it opens another account")
	}
	if _, page := v.see("/account/devices"); !strings.Contains(page, "phone") || strings.Contains(page, ">never<") {
		t.Error("when it was used:", page)
	}
	// A password that is for the pages alone opens those, and no mail.
	byPassword := w.inSMTP("bob@example.com", "test")
	if code, page := v.post("/account/devices", "do", "only", "only", "1", "proof", "test"); code != 200 {
		t.Fatal(code, page)
	}
	if byPassword.goesOn() || !in.goesOn() {
		t.Error("whose sessions end once the password is for the pages")
	}
	for range 2 {
		if w.fetches("bob@example.com", "test") || !w.fetches("bob@example.com", phone) || !v.in() {
			t.Error("the password is for the pages alone")
		}
		w.user("bob@example.com", "test")
	}
	// Absence and forwarding.
	if code, page := v.post("/account/absence", "do", "keep", "text", "I am away."); code != 200 {
		t.Error(code, page)
	}
	if code, page := v.post("/account/forward", "do", "ask", "to", "bob@far.test", "password", "wrong", "keep", "1"); code != 422 || !strings.Contains(page, "that is not the password") {
		t.Error(code, page)
	}
	if code, _ := v.see("/account/junk"); code != 200 {
		t.Error(code)
	}

	// Another password there: the pages and what was opened by the one before end, devices go on.
	write(ofTest("eve"), "bob:{SSHA512}"+ssha512("another"))
	if v.in() {
		t.Error("the pages, by the old password")
	}
	w.endSessions("")
	if !in.goesOn() || !w.fetches("bob@example.com", phone) {
		t.Error("the telephone, after the password was changed there")
	}
	// A reload forgets nothing of theirs.
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if !in.goesOn() || !w.fetches("bob@example.com", phone) {
		t.Error("the telephone, after a reload")
	}
	// One that is closed there, or gone.
	write(ofTest("eve"), ofTest("bob")+"::::::nologin")
	if w.fetches("bob@example.com", phone) {
		t.Error("the telephone, of an account that is closed")
	}
	w.endSessions("")
	if in.goesOn() {
		t.Error("a session of an account that is closed")
	}
	write(ofTest("eve"))
	if w.fetches("bob@example.com", phone) {
		t.Error("the telephone, of an account that is gone")
	}
}

// TestAdminSeesElsewhere: accounts that others keep are in the list, and have a page that says who keeps them; they are blocked from it, in a file and for every way in, and
// let in again; nothing of theirs is changed that is not kept here.
func TestAdminSeesElsewhere(t *testing.T) {
	write, settings := usersFile(t, ofTest("bob"), ofTest("eve")+"::::::nologin", "plain:{PLAIN}x", ofTest("zoe")+"::::::userdb_quota_rule=*:bytes=1M")
	w := start(t, withAdmin(t, strings.Replace(settings, `"Elsewhere": {`, `"Elsewhere": { // who is kept by others`+"\n", 1)))
	w.fill("bob@example.com")
	phone := w.user("bob@example.com", "test").app("phone", "test")
	admin := w.admin()
	_, page := admin.see("/admin/accounts?find=example.com")
	for _, who := range []string{"bob", "eve", "plain", "zoe"} {
		if !strings.Contains(page, `href="/admin/accounts/`+who+`@example.com"`) {
			t.Errorf("no %s on %s", who, page)
		}
	}
	for _, want := range []string{"passwd-file ", "closed there", "not known now", "1.0 MB", "open"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q on %s", want, page)
		}
	}
	if _, page := admin.see("/admin/accounts"); !strings.Contains(page, "alice@mail.test") || !strings.Contains(page, "bob@example.com") {
		t.Error("those of the settings and of others in one list:", page)
	}
	_, page = admin.see("/admin/accounts/bob@example.com")
	for _, want := range []string{"passwords for 1 device", "2 messages", "https://password.example.com/", "<dt>Kept by</dt>", "line 1", `value="block"`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q on %s", want, page)
		}
	}
	for _, not := range []string{`value="remove"`, `value="password"`, `value="quota"`} {
		if strings.Contains(page, not) {
			t.Errorf("%q on %s", not, page)
		}
	}
	if _, page := admin.see("/admin/accounts/plain@example.com"); !strings.Contains(page, "nobody can log in: ") {
		t.Error(page)
	}
	for path, want := range map[string]int{"nobody@example.com": 404, "nobody@far.test": 404, "eve@example.com": 200} {
		if code, page := admin.see("/admin/accounts/" + path); code != want {
			t.Error(path, code, page)
		}
	}
	for _, do := range []string{"password", "random", "quota", "remove"} {
		if code, page := admin.does("/admin/accounts/bob@example.com", do, "password", "a long pass phrase", "sure", "1", "mail", "delete"); code == 200 {
			t.Error(do, page)
		}
	}

	open, session := w.inSMTP("bob@example.com", phone), w.user("bob@example.com", "test")
	if code, page := admin.post("/admin/accounts/bob@example.com", "do", "block", "stamp", "old"); code != 422 || !strings.Contains(page, "changed") {
		t.Error("by a page that is out of date:", code, page)
	}
	code, page := admin.does("/admin/accounts/bob@example.com", "block")
	if code != 200 || !strings.Contains(page, `value="unblock"`) || !strings.Contains(page, "<dt>Blocked in</dt>") {
		t.Fatal(code, page)
	}
	if text := w.text(); !strings.Contains(text, `"bob@example.com": {`) || !strings.Contains(text, "// who is kept by others") {
		t.Error(text)
	}
	w.endSessions("")
	if open.goesOn() || session.in() || w.fetches("bob@example.com", "test") || w.fetches("bob@example.com", phone) {
		t.Error("who is blocked is in")
	}
	w.fill("bob@example.com")
	if code, page := admin.does("/admin/accounts/bob@example.com", "unblock"); code != 200 || !strings.Contains(page, `value="block"`) || !strings.Contains(page, "3 messages") {
		t.Fatal(code, page)
	}
	if !w.fetches("bob@example.com", phone) || strings.Contains(w.text(), "bob@example.com") {
		t.Error(w.text())
	}

	// Who is gone there has a mailbox here.
	write(ofTest("zoe"))
	if _, page := admin.see("/admin/accounts/bob@example.com"); !strings.Contains(page, "known to nobody") || !strings.Contains(page, "its mail stays") {
		t.Error(page)
	}
	if code, page := admin.post("/admin/accounts/bob@example.com", "do", "lift"); code == 200 {
		t.Error("limits of nobody are lifted:", page)
	}
	if code, page := admin.post("/admin/accounts/zoe@example.com", "do", "lift"); code != 200 || !strings.Contains(page, "without limits") {
		t.Error(code, page)
	}
}

// TestAdminSeesDirectory: of a directory those are listed that were seen here; who is looked for by the whole address is asked about, and no directory that is away
// keeps a page from being shown.
func TestAdminSeesDirectory(t *testing.T) {
	s := peertest.NewSlapd(t, entry("bob", "mail: bob@example.com\n", "proxyAddresses: smtp:robert@example.com\n")+entry("eve", "mail: eve@example.com\n", ""), 0)
	w := start(t, withAdmin(t, ldapConf(s, "")))
	admin := w.admin()
	if _, page := admin.see("/admin/accounts"); strings.Contains(page, "bob@example.com") {
		t.Error("the whole directory:", page)
	}
	for _, find := range []string{"bob@example.com", "Robert@example.com"} {
		if _, page := admin.see("/admin/accounts?find=" + find); !strings.Contains(page, `href="/admin/accounts/bob@example.com"`) || strings.Contains(page, "eve@") || !strings.Contains(page, "LDAP ldap") {
			t.Errorf("%s: %s", find, page)
		}
	}
	if _, page := admin.see("/admin/accounts/bob@example.com"); !strings.Contains(page, "uid=bob,ou=people") || !strings.Contains(page, "none is remembered") {
		t.Error(page)
	}
	if code, _ := admin.see("/admin/accounts/robert@example.com"); code != 404 {
		t.Error("a name of an account is one:", code)
	}
	if !w.fetches("bob@example.com", "bob-secret") {
		t.Fatal("no login")
	}
	if _, page := admin.see("/admin/accounts/bob@example.com"); strings.Contains(page, "none is remembered") {
		t.Error(page)
	}
	s.Freeze()
	defer s.Thaw()
	if code, page := admin.see("/admin/accounts"); code != 200 {
		t.Error(code, page)
	}
}

// TestLeavers: what somebody had decided whom nobody elsewhere knows any more is put aside, once that was so twice in turn; so whoever has the name next begins
// anew. Not where nobody is known at all.
func TestLeavers(t *testing.T) {
	write, settings := usersFile(t, ofTest("bob"), ofTest("eve"))
	w := start(t, withUsers+settings)
	phone := w.user("bob@example.com", "test").app("phone", "test")
	eves := w.user("eve@example.com", "test").app("phone", "test")
	var before leavers
	look := func() { w.retireLeavers(t.Context(), &before) }
	decided := func(who domains.Address) bool {
		t.Helper()
		p, err := w.preferences.Of(who)
		if err != nil {
			t.Fatal(err)
		}
		return appID(p) != ""
	}
	write("# nobody")
	look()
	look()
	if !decided("bob@example.com") || !decided("eve@example.com") || !strings.Contains(w.logs.Take(), "nobody who has decided something is known") {
		t.Error("all are gone at once, and forgotten")
	}
	write(ofTest("eve"))
	look()
	write(ofTest("eve"), ofTest("bob"))
	look()
	write(ofTest("eve"))
	look()
	if !decided("bob@example.com") {
		t.Error("forgotten after a moment")
	}
	look()
	if decided("bob@example.com") || !decided("eve@example.com") {
		t.Error("who is gone is not forgotten, or somebody else is")
	}
	write(ofTest("eve"), ofTest("bob"))
	if w.fetches("bob@example.com", phone) || !w.fetches("eve@example.com", eves) {
		t.Error("whose telephones open what")
	}
	// Without accounts elsewhere it is the settings' to say, at the reload.
	if err := w.rewrite(withUsers); err != nil {
		t.Fatal(err)
	}
	if decided("eve@example.com") {
		t.Error("what was decided of an account that is nowhere is kept")
	}
}

// appID is that of the one app password there is.
func appID(p *preferences.Preferences) string {
	if p == nil || len(p.Apps) != 1 {
		return ""
	}
	return p.Apps[0].ID
}

// TestDirectoryEndsSessions: an entry that is removed ends what is open by it; one that is away, or is there, ends nothing.
func TestDirectoryEndsSessions(t *testing.T) {
	s := peertest.NewSlapd(t, entry("bob", "mail: bob@example.com\n", "proxyAddresses: smtp:robert@example.com\n")+entry("Carol", "mail: carol.smith@example.com\n", ""), 0)
	// Carol is found by her name alone, which is not that of her mailbox.
	conf := strings.Replace(ldapConf(s, ""), "(mail=%u)", "(&(mail=%u)(uid=bob))", 1)
	w := start(t, withUsers+strings.Replace(conf, `"3s"`, `"0s"`, 1))
	v := w.user("robert@example.com", "bob-secret")
	if _, page := v.see("/account/password"); !strings.Contains(page, "is kept elsewhere") || strings.Contains(page, "href=\"\"") {
		t.Error(page)
	}
	phone := v.app("phone", "bob-secret")
	open := []*talk{w.inSMTP("bob@example.com", "bob-secret"), w.inSMTP("robert@example.com", "bob-secret"), w.inSMTP("robert@example.com", phone)}
	carol := w.inSMTP("carol@example.com", "Carol-secret")
	all := func(want bool, when string) {
		t.Helper()
		w.revisitSessions(t.Context())
		for i, k := range open {
			if k.goesOn() != want {
				t.Errorf("%s: session %d", when, i)
			}
		}
		if !carol.goesOn() {
			t.Errorf("%s: somebody else's", when)
		}
	}
	all(true, "nothing has happened")
	s.Freeze()
	all(true, "away")
	s.Thaw()
	peertest.Await(t, "a login once it is back", func() bool { return w.fetches("bob@example.com", "bob-secret") })
	s.Change("dn: uid=bob,ou=people,dc=example,dc=com\nchangetype: delete\n")
	all(false, "removed")
	if v.in() {
		t.Error("the pages go on")
	}
	if log := w.logs.String(); strings.Count(log, "a session was ended") != 3 {
		t.Error(log)
	}
	if m := regexp.MustCompile(`bob-secret|` + phone).FindString(w.logs.String()); m != "" {
		t.Error("a secret in the log")
	}
}

// TestKnownByAnotherName: who is found by a name alone that is not the address of the mailbox comes to the pages by it, decides there, and devices log in by either; that goes
// on over a restart, and ends with the entry, or once the name is somebody else's.
func TestKnownByAnotherName(t *testing.T) {
	s := peertest.NewSlapd(t, entry("Carol", "mail: carol.smith@example.com\n", ""), 0)
	conf := strings.Replace(ldapConf(s, ""), "(mail=%u)", "(&(mail=%u)(uid=bob))", 1)
	w := start(t, withAdmin(t, strings.Replace(conf, `"3s"`, `"0s"`, 1)))
	if code, _ := w.visitor().post("/account/login", "name", "carol.smith@example.com", "password", "Carol-secret"); code == 200 {
		t.Fatal("the directory finds her by the address of her mailbox: nothing is tested here")
	}
	v := w.user("carol@example.com", "Carol-secret")
	if _, page := v.see("/account/"); !strings.Contains(page, "carol.smith@example.com") {
		t.Error(page)
	}
	phone := v.app("phone", "Carol-secret")
	byDevice := w.inSMTP("carol.smith@example.com", phone)
	for _, name := range []string{"carol@example.com", "carol.smith@example.com"} {
		if !w.fetches(name, phone) {
			t.Error("the telephone, by", name)
		}
	}
	if code, page := v.post("/account/absence", "do", "keep", "text", "I am away."); code != 200 {
		t.Error(code, page)
	}
	var before leavers
	for range 3 {
		w.retireLeavers(t.Context(), &before)
	}
	if !byDevice.goesOn() {
		t.Error("who is in is out, as if she had left")
	}
	if _, page := w.admin().see("/admin/accounts/carol.smith@example.com"); !strings.Contains(page, "passwords for 1 device") || !strings.Contains(page, "uid=Carol") {
		t.Error(page)
	}
	w.stop()
	w.again()
	if !w.fetches("carol.smith@example.com", phone) {
		t.Error("the telephone, after a restart")
	}
	v = w.user("carol@example.com", "Carol-secret")
	byDevice = w.inSMTP("carol.smith@example.com", phone)
	w.revisitSessions(t.Context())
	if !v.in() || !byDevice.goesOn() {
		t.Error("nothing has happened, and who is in is out")
	}
	// The name is somebody else's by now.
	s.Change("dn: uid=Carol,ou=people,dc=example,dc=com\nchangetype: modify\nreplace: mail\nmail: carol.jones@example.com\n")
	w.revisitSessions(t.Context())
	if v.in() || byDevice.goesOn() || w.fetches("carol.smith@example.com", phone) || w.fetches("carol@example.com", phone) {
		t.Error("who is in by a name that is another's")
	}
}

// TestBlockedByAnotherName: who is blocked by a name that is not the address of the mailbox comes in by that no more, and his sessions end; mail for him comes.
func TestBlockedByAnotherName(t *testing.T) {
	s := peertest.NewSlapd(t, entry("Carol", "mail: carol.smith@example.com\n", ""), 0)
	conf := withAdmin(t, strings.Replace(strings.Replace(ldapConf(s, ""), "(mail=%u)", "(&(mail=%u)(uid=bob))", 1), `"3s"`, `"0s"`, 1))
	w := start(t, conf)
	v := w.user("carol@example.com", "Carol-secret")
	byPassword := w.inSMTP("carol@example.com", "Carol-secret")
	if !v.in() || !byPassword.goesOn() || !w.fetches("carol@example.com", "Carol-secret") {
		t.Fatal("she is not in")
	}
	blocked := strings.Replace(conf, `"Elsewhere": {`, `"Elsewhere": {"Accounts": {"carol@example.com": {"disabled": true}}, `, 1)
	if blocked == conf {
		t.Fatal("nothing is blocked")
	}
	if err := w.rewrite(blocked); err != nil {
		t.Fatal(err)
	}
	w.revisitSessions(t.Context())
	if w.fetches("carol@example.com", "Carol-secret") || byPassword.goesOn() || v.in() {
		t.Error("who is blocked by her name is in")
	}
	if said := w.rcpt("carol@example.com"); !strings.HasPrefix(said, "250") {
		t.Error("mail for her:", said)
	}
}
