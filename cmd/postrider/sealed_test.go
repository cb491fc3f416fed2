package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/mailkeys"
)

// asked is a person at a command that prints a recovery key and asks for groups of it.
type asked struct {
	before []string // what is asked for before
	out    *bytes.Buffer
	wrong  bool                           // types another group
	as     func(recovery string) []string // what is typed in place of the two groups
	text   []byte
	done   bool
}

var recoveryKey = regexp.MustCompile(`(?m)^([a-z2-7]{4}-){8}[a-z2-7]{4}$`)

func (a *asked) Read(p []byte) (int, error) {
	if len(a.text) == 0 && len(a.before) > 0 {
		a.text, a.before = []byte(a.before[0]+"\n"), a.before[1:]
	}
	if key := recoveryKey.FindString(a.out.String()); len(a.text) == 0 && key != "" && !a.done {
		groups := strings.Split(key, "-")
		if a.wrong {
			groups[6] = "aaaa"
		}
		typed := []string{groups[2], groups[6]}
		if a.as != nil {
			typed = a.as(key)
		}
		a.text, a.done = []byte(strings.Join(typed, "\n")+"\n"), true
	}
	n := copy(p, a.text)
	a.text = a.text[n:]
	if n == 0 {
		return 0, fs.ErrClosed
	}
	return n, nil
}

// asks runs a command that asks back, and returns the recovery key.
func asks(t *testing.T, lines []string, args ...string) (recovery, said string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, &asked{before: lines, out: &out}, &out, &errs)
	return recoveryKey.FindString(out.String()), errs.String(), code
}

// seal seals alice's mailbox.
func (w *world) seal(t *testing.T) (recovery string) {
	t.Helper()
	recovery, said, code := asks(t, []string{password}, "user", "seal", "-c", w.dir, "--stdin", user)
	if code != 0 || recovery == "" || !strings.Contains(said, "has lost the mail") {
		t.Fatalf("exit %d: %s", code, said)
	}
	return recovery
}

// keys is what "user keys" says.
func (w *world) keys(t *testing.T) (v keysView) {
	t.Helper()
	var out, errs bytes.Buffer
	run([]string{"user", "keys", "-c", w.dir, "--json", user}, strings.NewReader(""), &out, &errs)
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatal(err, out.String(), errs.String())
	}
	return v
}

// sealedAll waits until all mail from before is sealed.
func (w *world) sealedAll(t *testing.T) {
	t.Helper()
	for range 1800 {
		if v := w.keys(t); v.Plain == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%+v\n%s", w.keys(t), w.log)
}

const marked = "Subject: marked subject\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nmarked body\r\n.leading dot\r\n--b\r\n" +
	"Content-Type: application/octet-stream\r\n\r\nmarked attachment\r\n--b--\r\n"

// unmarked wants no octet below a directory to tell of what was sent.
func unmarked(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, word := range []string{"marked", password} {
			if bytes.Contains(text, []byte(word)) {
				t.Errorf("%s has %q in it", path, word)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSealed is the life of a sealed mailbox, through the whole program.
func TestSealed(t *testing.T) {
	w := newWorld(t)
	w.deliver(marked, user)
	w.deliver(marked, user, "bob@mail.test")
	before := w.pop(t, "USER "+user, "PASS "+password, "UIDL 1")
	// Nothing is sealed by who does not write the recovery key down.
	var out, errs bytes.Buffer
	if code := run([]string{"user", "seal", "-c", w.dir, "--stdin", user}, &asked{before: []string{password}, out: &out, wrong: true}, &out, &errs); code != exitError || !strings.Contains(errs.String(), "nothing was sealed") {
		t.Fatal(code, errs.String())
	}
	if v := w.keys(t); v.Recipient != "" || v.State != "" {
		t.Fatalf("%+v", v)
	}
	if _, said, code := asks(t, []string{"wrong"}, "user", "seal", "-c", w.dir, "--stdin", user); code == 0 || !strings.Contains(said, "not the password") {
		t.Fatal(said)
	}
	recovery := w.seal(t)
	w.deliver(marked, user)
	w.deliver(marked, "team@mail.test")
	w.sealedAll(t)
	v := w.keys(t)
	if v.Messages != 4 || v.Recipient == "" || v.Keys[v.Recipient[4:12]] != 4 || v.Problem != "" || v.State != "sealed" {
		t.Errorf("%+v", v)
	}
	if after := w.pop(t, "USER "+user, "PASS "+password, "UIDL 1"); after != before {
		t.Errorf("UIDL was %q and is %q", before, after)
	}
	unmarked(t, filepath.Join(w.dir, "data", "mail", "mail.test", "alice"))
	for what, c := range map[string]struct {
		script []string
		want   string
	}{
		"wrong password": {[]string{"USER " + user, "PASS wrong"}, "-ERR [AUTH] authentication failed"},
		"right password": {[]string{"USER " + user, "PASS " + password}, "+OK 4 messages"},
		"stat":           {[]string{"USER " + user, "PASS " + password, "STAT"}, "+OK 4 "},
		"others":         {[]string{"USER bob@mail.test", "PASS " + password, "RETR 1"}, "+OK "},
	} {
		if answer := w.pop(t, c.script...); !strings.HasPrefix(answer, c.want) {
			t.Errorf("%s: %s", what, answer)
		}
	}
	// Backup and restore bring the keys along.
	backup := filepath.Join(t.TempDir(), "backup")
	must(t, "", "backup", "-c", w.dir, backup)
	unmarked(t, filepath.Join(backup, "mail.test", "alice"))
	must(t, "", "store", "verify", "--mail", backup)
	mbox := filepath.Join(t.TempDir(), "mbox")
	must(t, password+"\n", "store", "export", "--mail", backup, "--stdin", "--format", "mboxrd", user, mbox)
	if text, err := os.ReadFile(mbox); err != nil || strings.Count(string(text), "marked attachment") != 4 || strings.Contains(string(text), "X-Sealed") {
		t.Errorf("%v: %s", err, text)
	}
	if said := fails(t, "wrong\n", "store", "export", "--mail", backup, "--stdin", "--format", "mboxrd", user, mbox+"2"); !strings.Contains(said, "wrong password") {
		t.Error(said)
	}
	if err := os.Rename(filepath.Join(backup, "mail.test", "alice", "postrider.keys"), filepath.Join(t.TempDir(), "keys")); err != nil {
		t.Fatal(err)
	}
	if out, _, code := postrider(t, "store", "verify", "--mail", backup); code == 0 || !strings.Contains(out, "4 messages sealed, and the keys are not there") {
		t.Error(code, out)
	}
	// What is imported is sealed; twice is once.
	for range 2 {
		must(t, "", "import", "-c", w.dir, "--format", "mboxrd", user, mbox)
	}
	if v := w.keys(t); v.Plain != 0 || v.Messages < 5 {
		t.Errorf("%+v", v)
	}
	w.passwords(t, recovery)
	w.leave(t)
}

// passwords changes what opens the mail, in every way there is.
func (w *world) passwords(t *testing.T, recovery string) {
	t.Helper()
	opens := func(when, secret string, want bool) {
		t.Helper()
		answer := w.pop(t, "USER "+user, "PASS "+secret, "RETR 1")
		if strings.HasPrefix(answer, "+OK ") != want {
			t.Errorf("%s: %s", when, answer)
		}
	}
	must(t, "", "user", "keys", "-c", w.dir, user)
	must(t, recovery+"\n", "user", "keys", "-c", w.dir, "--stdin", "--check-recovery", user)
	if said := fails(t, "new password 2\nwrong\n", "user", "passwd", "-c", w.dir, "--stdin", user); !strings.Contains(said, "nothing was changed") {
		t.Error(said)
	}
	opens("after a change without the password of now", password, true)
	must(t, "new password 2\n"+password+"\n", "user", "passwd", "-c", w.dir, "--stdin", user)
	opens("after a change, the new", "new password 2", true)
	if answer := w.pop(t, "USER "+user, "PASS "+password); !strings.HasPrefix(answer, "-ERR [AUTH]") {
		t.Error(answer)
	}
	must(t, "new password 3\n"+strings.ToUpper(recovery)+"\n", "user", "passwd", "-c", w.dir, "--stdin", "--recovery", user)
	opens("after a reset by the recovery key", "new password 3", true)
	before := w.keys(t).Recipient
	must(t, "new password 3\n", "user", "keys", "-c", w.dir, "--stdin", "--rotate", user)
	if v := w.keys(t); v.Recipient == before || v.Problem != "" {
		t.Errorf("%+v", v)
	}
	w.deliver(marked, user)
	if v := w.keys(t); v.Keys[v.Recipient[4:12]] != 1 {
		t.Errorf("%+v", v)
	}
	opens("after rotation", "new password 3", true)
	again, said, code := asks(t, []string{"new password 3"}, "user", "keys", "-c", w.dir, "--stdin", "--new-recovery", user)
	if code != 0 || again == recovery {
		t.Fatal(said)
	}
	if said := fails(t, recovery+"\n", "user", "keys", "-c", w.dir, "--stdin", "--check-recovery", user); !strings.Contains(said, "wrong password or recovery key") {
		t.Error(said)
	}
	// A password that was changed where the keys were not: it is said what is missing.
	w.edited(t)
	// The password is lost, and so is the recovery key.
	if _, said, code := asks(t, []string{"new password 4", "bob@mail.test"}, "user", "passwd", "-c", w.dir, "--stdin", "--lose-mail", user); code == 0 || !strings.Contains(said, "nothing was changed") {
		t.Error(said)
	}
	if _, said, code := asks(t, []string{"new password 4", user}, "user", "passwd", "-c", w.dir, "--stdin", "--lose-mail", user); code != 0 || !strings.Contains(said, "can be read by nobody") {
		t.Fatal(said)
	}
	if answer := w.pop(t, "USER "+user, "PASS new password 4", "RETR 1"); !strings.HasPrefix(answer, "-ERR [SYS/PERM]") {
		t.Error(answer)
	}
	w.deliver(marked, user)
	n := w.keys(t).Messages
	if answer := w.pop(t, "USER "+user, "PASS new password 4", fmt.Sprint("RETR ", n)); !strings.HasPrefix(answer, "+OK ") {
		t.Error(answer)
	}
	must(t, "new password 4\n"+again+"\n", "user", "keys", "-c", w.dir, "--stdin", "--bring", user)
	opens("after what was lost was found", "new password 4", true)
	if v := w.keys(t); v.Lost != 0 || v.Alien != 0 || v.Passwords != 1 {
		t.Errorf("%+v", v)
	}
}

// edited sets a password by hand.
func (w *world) edited(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "mail.conf"))
	if err != nil {
		t.Fatal(err)
	}
	bob := regexp.MustCompile(`"bob@mail.test":[^\n]*"password": *("[^"]*")`).FindStringSubmatch(string(text))
	alice := regexp.MustCompile(`"alice@mail.test":[^\n]*"password": *("[^"]*")`).FindStringSubmatch(string(text))
	if bob == nil || alice == nil {
		t.Fatalf("%s", text)
	}
	w.edit(alice[1], bob[1])
	must(t, "", "reload", "-c", w.dir)
	if answer := w.pop(t, "USER "+user, "PASS "+password); !strings.HasPrefix(answer, "-ERR [AUTH] the password is right, but the mail of this sealed mailbox was not sealed with it") {
		t.Error(answer)
	}
}

// leave unseals the mailbox.
func (w *world) leave(t *testing.T) {
	t.Helper()
	if said := fails(t, "wrong\n", "user", "unseal", "-c", w.dir, "--stdin", user); !strings.Contains(said, "wrong password") {
		t.Error(said)
	}
	must(t, "new password 4\n", "user", "unseal", "-c", w.dir, "--stdin", user)
	v := w.keys(t)
	if v.Recipient != "" || v.Plain != v.Messages || v.Messages == 0 {
		t.Errorf("%+v", v)
	}
	w.deliver(marked, user)
	if answer := w.pop(t, "USER "+user, "PASS new password 4", "RETR 1"); !strings.HasPrefix(answer, "+OK ") {
		t.Error(answer)
	}
	must(t, "", "store", "verify", "-c", w.dir)
	// And sealed once more, with the keys there were.
	if _, said, code := asks(t, []string{"new password 4"}, "user", "seal", "-c", w.dir, "--stdin", user); code != 0 {
		t.Fatal(said)
	}
	w.sealedAll(t)
	if answer := w.pop(t, "USER "+user, "PASS new password 4", "RETR 1"); !strings.HasPrefix(answer, "+OK ") {
		t.Error(answer)
	}
}

// TestSealedPeers has programs of others fetch sealed mail.
func TestSealedPeers(t *testing.T) {
	for name, fetch := range map[string]func(*world, *testing.T) (string, string, error){
		"curl":    curlFetch("pop3s", "pop3s"),
		"mpop":    mpopFetch("pop3s", "tls on", "tls_starttls off", "auth plain", "user "+user, `passwordeval "printf %s '`+strings.ReplaceAll(password, "'", `'\''`)+`'"`),
		"poplib":  pythonPOP3("pop3s", "POP3_SSL", false, "c.user(user); c.pass_(password)"),
		"poplib2": pythonPOP3("pop3", "POP3", true, "c.user(user); c.pass_(password)"),
	} {
		t.Run(name, func(t *testing.T) {
			peer(t, map[string]string{"curl": "curl", "mpop": "mpop"}[name]+map[string]string{"poplib": "python3", "poplib2": "python3"}[name])
			w := newWorld(t)
			w.seal(t)
			w.deliver(marked, user)
			text, said, err := fetch(w, t)
			if err != nil || !strings.Contains(text, "marked attachment") || !strings.Contains(text, "\n.leading dot") {
				t.Errorf("%v: %s\n%s", err, said, text)
			}
		})
	}
}

// TestSealedOpensByHand plays what docs/sealed.md says of the age program.
func TestSealedOpensByHand(t *testing.T) {
	age := peer(t, "age")
	w := newWorld(t)
	recovery := w.seal(t)
	w.deliver(marked, user)
	keys := filepath.Join(t.TempDir(), "keys.txt")
	must(t, recovery+"\n", "user", "keys", "-c", w.dir, "--stdin", "--recovery", "--export", keys, user)
	if info, err := os.Stat(keys); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(err)
	}
	found, _ := filepath.Glob(filepath.Join(w.dir, "data", "mail", "mail.test", "alice", "new", "*"))
	if len(found) != 1 {
		t.Fatal(found)
	}
	out, err := exec.Command(age, "-d", "-i", keys, found[0]).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "marked attachment") || !strings.HasPrefix(string(out), "X-Sealed: 1 ") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestSealedNoKeys: where the public key is missing, cut or exchanged, mail waits with its sender; it comes when that is mended.
func TestSealedNoKeys(t *testing.T) {
	w := newWorld(t)
	w.seal(t)
	w.deliver(marked, user)
	file := filepath.Join(w.dir, "data", "mail", "mail.test", "alice", "postrider.keys")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := regexp.MustCompile(`age1[a-z0-9]{58}`).ReplaceAll(good, []byte("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"))
	for what, text := range map[string][]byte{"missing": nil, "cut": good[:len(good)/2], "empty": {}, "exchanged": other, "of a future version": bytes.Replace(good, []byte(`"version": 1`), []byte(`"version": 9`), 1)} {
		os.Remove(file)
		if text != nil {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d := dial(t, w.addrs["smtp"])
		d.expect("220")
		d.ask("EHLO x.test", "250")
		d.ask("MAIL FROM:<a@example.org>", "250")
		d.ask("RCPT TO:<"+user+">", "451")
		d.c.Close()
		if out, _, _ := postrider(t, "status", "-c", w.dir); !strings.Contains(out, "mail is kept from a sealed mailbox") {
			t.Errorf("%s: status says %s", what, out)
		}
		if answer := w.pop(t, "USER "+user, "PASS "+password); !strings.HasPrefix(answer, "-ERR [SYS/PERM] the keys of this sealed mailbox") {
			t.Errorf("%s: %s", what, answer)
		}
		os.Remove(file)
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
		w.deliver(marked, user)
	}
	unmarked(t, filepath.Join(w.dir, "data", "mail", "mail.test", "alice"))
	// A line that somebody takes out of the settings does not unseal anything either.
	text, err := os.ReadFile(filepath.Join(w.dir, "mail.conf"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`,?\s*"sealed": "age1[a-z0-9]*"`).Find(text)
	w.edit(string(line), "")
	must(t, "", "reload", "-c", w.dir)
	d := dial(t, w.addrs["smtp"])
	d.expect("220")
	d.ask("EHLO x.test", "250")
	d.ask("MAIL FROM:<a@example.org>", "250")
	d.ask("RCPT TO:<"+user+">", "451")
}

// TestSealedMechanisms: what cannot open the mail is not offered, and is refused with words when it is tried all the same.
func TestSealedMechanisms(t *testing.T) {
	w := newWorld(t)
	w.deliver(marked, user)
	if capa := w.capa(t); !strings.Contains(capa, "SCRAM-SHA-256") || !strings.Contains(capa, "PLAIN") {
		t.Errorf("%s", capa)
	}
	w.seal(t)
	capa := w.capa(t)
	if strings.Contains(capa, "SCRAM") || strings.Contains(capa, "CRAM-MD5") || !strings.Contains(capa, "PLAIN") {
		t.Errorf("%s", capa)
	}
	peer(t, "python3")
	script := fmt.Sprintf(`
import poplib, ssl, base64, hmac
ctx = ssl._create_unverified_context()
def open():
    return poplib.POP3_SSL(%q, %s, context=ctx)
def tried(how):
    c = open()
    try:
        print(how(c))
    except poplib.error_proto as e:
        print(e)
def cram(c):
    c._putcmd("AUTH CRAM-MD5")
    line, n = c._getline()
    if not line.startswith(b"+ "):
        return line
    digest = hmac.new(%q.encode(), base64.b64decode(line[2:]), "md5").hexdigest()
    return c._shortcmd(base64.b64encode(("%s " + digest).encode()).decode())
def plain(c):
    return c._shortcmd("AUTH PLAIN " + base64.b64encode(("\0%s\0" + %q).encode()).decode())
def login(c):
    c._putcmd("AUTH LOGIN")
    c._getline()
    c._putcmd(base64.b64encode(b"%s").decode())
    c._getline()
    return c._shortcmd(base64.b64encode(%q.encode()).decode())
tried(lambda c: c.apop(%q, %q))
tried(cram)
tried(plain)
tried(login)
`, w.host("pop3s"), w.port("pop3s"), password, user, user, password, user, password, user, password)
	out, err := runPeer(t, w.dir, "", "python3", "-c", script)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err != nil || len(lines) != 4 {
		t.Fatalf("%v: %s", err, out)
	}
	for i, want := range []string{"this mailbox is sealed: log in with its password", "-ERR", "+OK 1 message", "+OK 1 message"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("%d: %s, want %s", i, lines[i], want)
		}
	}
}

// capa is the answer to CAPA.
func (w *world) capa(t *testing.T) string {
	t.Helper()
	script := fmt.Sprintf("import poplib, ssl\nprint(poplib.POP3_SSL(%q, %s, context=ssl._create_unverified_context()).capa())", w.host("pop3s"), w.port("pop3s"))
	peer(t, "python3")
	out, err := runPeer(t, w.dir, "", "python3", "-c", script)
	if err != nil {
		t.Fatal(err, out)
	}
	return out
}

// meanwhile does something else while it is asked for the recovery key.
type meanwhile struct {
	asked
	do func()
}

func (m *meanwhile) Read(p []byte) (int, error) {
	if recoveryKey.MatchString(m.out.String()) && m.do != nil {
		m.do()
		m.do = nil
	}
	return m.asked.Read(p)
}

// TestSealedWords: a recovery key that was written down as words, or read by a camera, is asked back as that and opens the mail.
func TestSealedWords(t *testing.T) {
	words := func(recovery string) []string {
		all, err := sealedmail.RecoveryWords(recovery)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(all)
	}
	for name, as := range map[string]func(string) []string{
		"words":  func(r string) []string { return []string{words(r)[2], strings.ToUpper(words(r)[6])} },
		"camera": func(r string) []string { return []string{strings.ToUpper(r)} },
		"all":    func(r string) []string { return []string{strings.Join(words(r), " ")} },
	} {
		w := newWorld(t)
		var out, errs bytes.Buffer
		if code := run([]string{"user", "seal", "-c", w.dir, "--stdin", user}, &asked{before: []string{password}, out: &out, as: as}, &out, &errs); code != 0 {
			t.Fatal(name, errs.String())
		}
		recovery := recoveryKey.FindString(out.String())
		if all := strings.Join(words(recovery), " "); !strings.Contains(out.String(), "\n"+all+"\n") {
			t.Errorf("%s: no words in %s", name, out.String())
		}
		for _, written := range []string{recovery, strings.ToUpper(recovery), strings.Join(words(recovery), " ")} {
			must(t, written+"\n", "user", "keys", "-c", w.dir, "--stdin", "--check-recovery", user)
		}
	}
	w := newWorld(t)
	var out, errs bytes.Buffer
	wrong := func(r string) []string { return []string{words(r)[3], words(r)[6]} }
	if code := run([]string{"user", "seal", "-c", w.dir, "--stdin", user}, &asked{before: []string{password}, out: &out, as: wrong}, &out, &errs); code == 0 || !strings.Contains(errs.String(), "nothing was sealed") {
		t.Error(code, errs.String())
	}
}

// TestSealedAgain: who seals a mailbox once more that has sealed mail keeps the keys to that, also where it comes to nothing the first time.
func TestSealedAgain(t *testing.T) {
	for _, state := range []mailkeys.State{mailkeys.Sealed, mailkeys.Leaving} {
		t.Run(string(state), func(t *testing.T) {
			w := newWorld(t)
			w.deliver(marked, user)
			plain, err := os.ReadFile(filepath.Join(w.dir, "mail.conf"))
			if err != nil {
				t.Fatal(err)
			}
			w.seal(t)
			w.sealedAll(t)
			s, err := conf.Load(w.dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := setState(t.Context(), s, user, state); err != nil {
				t.Fatal(err)
			}
			write := func(text string) {
				if err := os.WriteFile(filepath.Join(w.dir, "mail.conf"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(string(plain))
			must(t, "", "reload", "-c", w.dir)
			var out, errs bytes.Buffer
			person := &meanwhile{asked{before: []string{password}, out: &out}, func() { write("{") }}
			if code := run([]string{"user", "seal", "-c", w.dir, "--stdin", user}, person, &out, &errs); code == 0 {
				t.Fatal(errs.String())
			}
			write(string(plain))
			w.seal(t)
			if answer := w.pop(t, "USER "+user, "PASS "+password, "RETR 1"); !strings.HasPrefix(answer, "+OK ") {
				t.Error(answer)
			}
		})
	}
}

// TestSealedAgainBrokenOff: a mailbox that is sealed once more, where the command ends before its keys know of it, is not half sealed for ever: the command goes on.
func TestSealedAgainBrokenOff(t *testing.T) {
	w := newWorld(t)
	w.deliver(marked, user)
	w.seal(t)
	w.sealedAll(t)
	s, err := conf.Load(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := setState(t.Context(), s, user, mailkeys.Leaving); err != nil { // as it is from being unsealed, with the line in the settings
		t.Fatal(err)
	}
	must(t, "", "user", "seal", "-c", w.dir, user)
	if v := w.keys(t); v.State != mailkeys.Sealed {
		t.Errorf("%+v", v)
	}
	if said := fails(t, "", "user", "seal", "-c", w.dir, user); !strings.Contains(said, "is sealed already") {
		t.Error(said)
	}
}

// TestSealedReset: passwords of devices that are forgotten open no mail any more, whoever has the disk.
func TestSealedReset(t *testing.T) {
	w := newWorld(t)
	w.seal(t)
	s, err := conf.Load(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	const app = "abcdefghijklmnopqrstuvwxyz"
	err = inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error {
		return k.Change(t.Context(), user, func(b *mailkeys.Box) error {
			keys, err := mailkeys.Unlock(b.Keyring, []byte(password))
			if err != nil {
				return err
			}
			return b.Keyring.AddApp(keys, "phone", []byte(app))
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	must(t, "new password 2\n"+password+"\n", "user", "passwd", "-c", w.dir, "--stdin", "--reset", user)
	box, err := boxOf(s, user)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box.Keyring.UnlockApp("phone", []byte(app)); err == nil {
		t.Error("it still does")
	}
	if _, err := mailkeys.Unlock(box.Keyring, []byte("new password 2")); err != nil {
		t.Error(err)
	}
}

// TestSealedRename: an account whose keys could not follow keeps its name.
func TestSealedRename(t *testing.T) {
	w := newWorld(t)
	w.seal(t)
	s, err := conf.Load(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	box, err := boxOf(s, user)
	if err != nil {
		t.Fatal(err)
	}
	const to = "other@mail.test"
	err = inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error {
		return k.Change(t.Context(), to, func(b *mailkeys.Box) error { b.Keyring = box.Keyring; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	if said := fails(t, "", "user", "rename", "-c", w.dir, user, to); !strings.Contains(said, "keys of sealed mail") {
		t.Error(said)
	}
	if said := fails(t, "a good password\n", "user", "add", "-c", w.dir, "--stdin", to); !strings.Contains(said, "--keep") {
		t.Error(said)
	}
	if v := w.keys(t); v.Problem != "" {
		t.Errorf("%+v", v)
	}
}

// TestSealedRestoreOlder: an older backup brings no password of a device back that was ended since, and says of which time its keys are; where there are no keys any more its
// own come, and that is said, too: what they open is mail, and no account.
func TestSealedRestoreOlder(t *testing.T) {
	w := newWorld(t)
	w.seal(t)
	w.deliver(marked, user)
	s, err := conf.Load(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	const app = "abcdefghijklmnopqrstuvwxyz"
	change := func(do func(*mailkeys.Box) error) {
		t.Helper()
		if err := inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error { return k.Change(t.Context(), user, do) }); err != nil {
			t.Fatal(err)
		}
	}
	opens := func() bool {
		t.Helper()
		box, err := boxOf(s, user)
		if err != nil {
			t.Fatal(err)
		}
		_, err = box.Keyring.UnlockApp("phone", []byte(app))
		return err == nil
	}
	change(func(b *mailkeys.Box) error {
		keys, err := mailkeys.Unlock(b.Keyring, []byte(password))
		if err != nil {
			return err
		}
		return b.Keyring.AddApp(keys, "phone", []byte(app))
	})
	box, err := boxOf(s, user)
	if err != nil || !opens() {
		t.Fatal(err)
	}
	then := box.Keyring.Generation()
	backup := filepath.Join(t.TempDir(), "backup")
	must(t, "", "backup", "-c", w.dir, backup)
	change(func(b *mailkeys.Box) error { return b.Keyring.RemoveApps(func(string) bool { return true }) })
	if _, said := must(t, "", "restore", "-c", w.dir, backup); !strings.Contains(said, fmt.Sprintf("in the backup are of generation %d, and those that are there, of %d, stay", then, then+1)) {
		t.Errorf("%q", said)
	}
	if opens() {
		t.Error("a password that was ended opens the mail again")
	}
	if err := os.Remove(filepath.Join(w.dir, "data", "mail", "mail.test", "alice", "postrider.keys")); err != nil {
		t.Fatal(err)
	}
	if _, said := must(t, "", "restore", "-c", w.dir, backup, user); !strings.Contains(said, fmt.Sprintf("came from the backup (generation %d)", then)) {
		t.Errorf("%q", said)
	}
	if answer := w.pop(t, "USER "+user, "PASS "+app); !strings.HasPrefix(answer, "-ERR [AUTH] authentication failed") {
		t.Errorf("a password of a device that was ended logs in: %s", answer)
	}
	if answer := w.pop(t, "USER "+user, "PASS "+password, "RETR 1"); !strings.HasPrefix(answer, "+OK") {
		t.Error(answer)
	}
	if _, said := must(t, "", "restore", "-c", w.dir, backup); strings.Contains(said, "generation") {
		t.Errorf("the same keys: %q", said)
	}
}
