package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// moxDomains is a domains.conf as mox writes it, shortened.
const moxDomains = `# NOTE: This config file is in 'sconf' format. Indent with tabs.
Domains:
	old.test:

		# comment (optional)
		LocalpartCatchallSeparator: +
		DKIM:
			Selectors:
				2024a:
					PrivateKeyFile: dkim/2024a.pem
			Sign:
				- 2024a
		Aliases:
			sales:
				Addresses:
					- alice@old.test
					- bob@old.test
				PostPublic: true
			board:
				Addresses:
					- bob@old.test
	dash.test:
		LocalpartCatchallSeparator: -
Accounts:
	alice:
		Domain: old.test
		Destinations:
			a.smith@old.test: nil
			alice@old.test: nil
			@old.test: nil
		QuotaMessageSize: 1073741824
		JunkFilter:
			Threshold: 0.950000
			Params:
				Onegrams: true
	bob:
		LoginDisabled: on leave
		Domain: old.test
		Destinations:
			bob:
				Mailbox: Inbox
				Rulesets:
					-
						SMTPMailFromRegexp: list@
						Mailbox: Lists
	none:
		Domain: old.test
	new:
		Domain: old.test
		Destinations:
			new@old.test: nil
`

// moxHash is bcrypt of "moxmoxmox".
const moxHash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

// moxFolder is a folder of mox's with the accounts of moxDomains.
func moxFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, moxDomains, dir, "config", "domains.conf")
	put(t, "# comment\nDataDir: ../data\nLogLevel: info\n", dir, "config", "mox.conf")
	for _, name := range []string{"alice", "bob"} {
		if err := os.MkdirAll(filepath.Join(dir, "data", "accounts", name), 0o700); err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(filepath.Join(dir, "data", "accounts", name, "index.db"), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte("Password"))
			if err == nil {
				b, err = b.CreateBucket([]byte("records"))
			}
			if err == nil {
				err = b.Put([]byte(moxHash), []byte{1, 0})
			}
			return err
		})
		if err == nil {
			err = db.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMoxImport(t *testing.T) {
	dir := moxFolder(t)
	file := filepath.Join(dir, "config", "domains.conf")
	before := treeSum(t, dir)
	here := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "Accounts": {"boss@mail.test": {}}}`)
	said := fails(t, "", "user", "import", "--format", "mox", "-c", here, file)
	for _, want := range []string{"bob@old.test: taken over without Rulesets of bob", "the account none has no address", "new@old.test: stat ", "2 accounts of ", "taken over, 2 not"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in %s", want, said)
		}
	}
	said += fails(t, "", "alias", "import", "--format", "mox", "-c", here, file)
	for _, want := range []string{"board@old.test: taken over without the rule that only its members write", "dash.test parts details from names by another sign"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in %s", want, said)
		}
	}
	if n := strings.Count(said, "not taken over: "); n != 3 || strings.Count(said, ": taken over without ") != 2 || strings.Contains(said, moxHash) {
		t.Errorf("%d are named: %s", n, said)
	}
	must(t, "", "check", "-c", here)
	s, err := conf.Load(here)
	if err != nil {
		t.Fatal(err)
	}
	alice, bob := s.Book().Accounts["alice@old.test"], s.Book().Accounts["bob@old.test"]
	if alice == nil || bob == nil || string(alice.Password) != moxHash || alice.Disabled || !bob.Disabled || alice.Quota != 1<<30 {
		t.Errorf("alice %+v, bob %+v", alice, bob)
	}
	all := aliasesOf(s)
	for name, want := range map[string]string{"a.smith@old.test": "alice@old.test", "*@old.test": "alice@old.test", "sales@old.test": "alice@old.test bob@old.test", "board@old.test": "bob@old.test"} {
		if got := strings.Join(all[name], " "); got != want {
			t.Errorf("%s leads to %q, want %q", name, got, want)
		}
	}
	if treeSum(t, dir) != before {
		t.Error("something changed on the old side")
	}
}

// TestMoxInUse: what mox has open is named, and not waited for.
func TestMoxInUse(t *testing.T) {
	dir := moxFolder(t)
	db, err := bbolt.Open(filepath.Join(dir, "data", "accounts", "alice", "index.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	here := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "Accounts": {"boss@mail.test": {}}}`)
	if said := fails(t, "", "user", "import", "--format", "mox", "-c", here, filepath.Join(dir, "config", "domains.conf")); !strings.Contains(said, "alice@old.test: ") || !strings.Contains(said, "is in use: stop mox") {
		t.Error(said)
	}
}

// TestMoveFromMox moves from a mox that POSTRIDER_MOX names, as docs/moving.md says: by hand, for Debian has none.
func TestMoveFromMox(t *testing.T) {
	mox := os.Getenv("POSTRIDER_MOX")
	if mox == "" {
		t.Log("POSTRIDER_MOX names no mox: nothing is tried")
		return
	}
	dir := filepath.Join(t.TempDir(), "mox")
	run := exec.Command(mox, "localserve", "-dir", dir, "-ip", "127.0.0.9")
	run.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer run.Process.Kill()
	message := put(t, "From: mox@localhost\r\nSubject: kept\r\n\r\n.one\r\n", t.TempDir(), "message")
	var out []byte
	err := os.ErrNotExist
	for range 100 {
		if out, err = exec.Command("curl", "-sSk", "--ssl", "-u", "mox@localhost:moxmoxmox", "--mail-from", "mox@localhost", "--mail-rcpt", "mox@localhost", "-T", message, "smtp://127.0.0.9:1587").CombinedOutput(); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	exported := filepath.Join(t.TempDir(), "export")
	for range 100 {
		// The message goes through the queue, and is put aside, as nobody has written from there before.
		os.RemoveAll(exported)
		if out, err := exec.Command(mox, "export", "maildir", exported, filepath.Join(dir, "accounts", "mox")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if in, _ := filepath.Glob(filepath.Join(exported, "Rejects", "*", "*mox*")); len(in) == 1 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	run.Process.Kill()
	run.Wait()
	here := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "Domains": {"localhost": {}}, "Accounts": {"boss@mail.test": {}}}`)
	must(t, "", "user", "import", "--format", "mox", "-c", here, filepath.Join(dir, "domains.conf"))
	must(t, "", "alias", "import", "--format", "mox", "-c", here, filepath.Join(dir, "domains.conf"))
	said, _ := must(t, "", "import", "-c", here, "--format", "maildir", "mox@localhost", filepath.Join(exported, "Rejects"))
	if !strings.Contains(said, "1 message") {
		t.Error(said)
	}
	s, err := conf.Load(here)
	if err != nil {
		t.Fatal(err)
	}
	a := s.Book().Accounts[domains.Address("mox@localhost")]
	if a == nil || passwd.Verify(string(a.Password), []byte("moxmoxmox")) != nil {
		t.Errorf("the password does not open the account: %+v", a)
	}
}

// TestMoxImportDamaged: a database that was cut off, or has other octets in its pages, is named, and the other accounts come.
func TestMoxImportDamaged(t *testing.T) {
	damages := map[string]func(whole []byte) []byte{
		"cut off": func(whole []byte) []byte { return whole[:2*os.Getpagesize()] },
		"odd octets": func(whole []byte) []byte {
			for i := 2 * os.Getpagesize(); i < len(whole); i++ {
				whole[i] = 0xff
			}
			return whole
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			dir := moxFolder(t)
			db := filepath.Join(dir, "data", "accounts", "alice", "index.db")
			whole, err := os.ReadFile(db)
			if err == nil {
				err = os.WriteFile(db, damage(whole), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			here := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "Accounts": {"boss@mail.test": {}}}`)
			said := fails(t, "", "user", "import", "--format", "mox", "-c", here, filepath.Join(dir, "config", "domains.conf"))
			if !strings.Contains(said, "alice@old.test: "+db+" is damaged: ") || !strings.Contains(said, "1 account of ") {
				t.Errorf("said: %s", said)
			}
		})
	}
}
