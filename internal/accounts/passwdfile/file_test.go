package passwdfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/parsers/domains"
)

const hash = "$6$KvqQ9dY0Jb0l2Q3f$Wm1LyyBKyQX6Fiz1hbRk3r3GfEDT5UDgWqZ0WIhx6Q6cPB8cXYpSuYk0PP7JNhMuLZ3H1CcAoj5k0f3rSYhI1."

// write puts a file in place of the one there is, as it is done right; or into it, as it is done often.
func write(t *testing.T, path, text string, age time.Duration, within bool) {
	t.Helper()
	target := path
	if !within {
		target = path + ".new"
	}
	if err := os.WriteFile(target, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(target, time.Now().Add(-age), time.Now().Add(-age)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(target, path); err != nil {
		t.Fatal(err)
	}
}

func has(t *testing.T, f *File, address domains.Address) bool {
	t.Helper()
	e, err := f.Find(address)
	if err != nil {
		t.Fatal(err)
	}
	return e != nil
}

// TestLive: the file counts as it is at the moment, however it was changed.
func TestLive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	f := New(path, "CRYPT", "example.com")
	if _, err := f.Find("bob@example.com"); err == nil {
		t.Error("a file that is not there says that nobody is")
	}
	write(t, path, "bob:"+hash+"\n", time.Hour, false)
	if !has(t, f, "bob@example.com") || has(t, f, "eve@example.com") {
		t.Error("bob is not there, or eve is")
	}
	write(t, path, "bob:"+hash+"\neve:"+hash+"\n", time.Minute, false)
	if !has(t, f, "eve@example.com") {
		t.Error("eve was added, and is not seen")
	}
	write(t, path, "eve:"+hash+"\nbob:"+hash+"\n", time.Minute, true) // of the same size
	write(t, path, "eva:"+hash+"\nbob:"+hash+"\n", 0, true)
	if has(t, f, "eve@example.com") || !has(t, f, "eva@example.com") {
		t.Error("eva took the place of eve, and is not seen")
	}
	now := time.Now() // as a coarse clock has it
	os.Chtimes(path, now, now)
	has(t, f, "eva@example.com")
	write(t, path, "eve:"+hash+"\nbob:"+hash+"\n", 0, true) // at once again: of the same size
	os.Chtimes(path, now, now)
	if !has(t, f, "eve@example.com") {
		t.Error("two changes at once: the second is not seen")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Find("bob@example.com"); err == nil {
		t.Error("a file that is gone says who is there")
	}
}

// TestHalfWritten: a file that is being written makes nobody nobody.
func TestHalfWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "bob:"+hash+"\nal", 0, true)
	f := New(path, "CRYPT", "example.com")
	if _, err := f.Find("bob@example.com"); err == nil {
		t.Error("half a file is believed")
	}
	write(t, path, "bob:"+hash+"\nalice:"+hash+"\n", time.Minute, true)
	if !has(t, f, "alice@example.com") {
		t.Fatal("alice is not there")
	}
	for _, half := range []string{"", "bob:" + hash + "\nal"} {
		write(t, path, half, 0, true)
		if !has(t, f, "alice@example.com") {
			t.Errorf("alice is nobody while the file is written: %q", half)
		}
	}
	write(t, path, "bob:"+hash, 3*time.Second, true) // the last line may be without an end
	if has(t, f, "alice@example.com") || !has(t, f, "bob@example.com") {
		t.Error("a file that was written some seconds ago does not count")
	}
}

// TestLines: what stands in a line.
func TestLines(t *testing.T) {
	all, _ := parse([]byte(strings.Join([]string{
		"# a comment", "",
		"bob:" + hash + ":1000:1000::/home/bob::userdb_quota_rule=*:storage=2G userdb_mail=maildir:~/Mail",
		"Alice@Example.ORG:{SHA512-CRYPT}" + hash,
		"plain:{PLAIN}secret",
		"weak:{MD5-CRYPT}$1$abc$def",
		"locked:!" + hash,
		"off:" + hash + "::::::nologin",
		"nets:" + hash + "::::::allow_nets=192.0.2.0/24,2001:db8::1",
		"badnets:" + hash + "::::::allow_nets=local",
		"nopass:" + hash + "::::::nopassword",
		"other:" + hash + "::::::user=bob",
		"mailonly",
		"bob:" + hash,
		"des:ab0123456789.",
		"big:" + hash + "::::::userdb_quota_storage_size=500M",
		"all:" + hash + "::::::userdb_quota_rule=*:ignore\r",
	}, "\n")), "CRYPT", "example.com")
	byName := make(map[string]Entry)
	for _, e := range all {
		if _, twice := byName[e.Address.String()]; !twice {
			byName[e.Address.String()] = e
		}
	}
	for _, test := range []struct {
		who                     string
		line                    int
		login, disabled, faulty bool
		quota                   int64
	}{
		{"bob@example.com", 3, true, false, false, 2 << 30},
		{"alice@example.org", 4, true, false, false, 0},
		{"plain@example.com", 5, false, false, true, 0},
		{"weak@example.com", 6, false, false, true, 0},
		{"locked@example.com", 7, false, true, false, 0},
		{"off@example.com", 8, true, true, false, 0},
		{"nets@example.com", 9, true, false, false, 0},
		{"badnets@example.com", 10, false, false, true, 0},
		{"nopass@example.com", 11, false, false, true, 0},
		{"other@example.com", 12, false, false, true, 0},
		{"mailonly@example.com", 13, false, false, false, 0},
		{"des@example.com", 15, false, false, true, 0},
		{"big@example.com", 16, true, false, false, 500 << 20},
		{"all@example.com", 17, true, false, false, -1},
	} {
		e := byName[test.who]
		if e.Line != test.line || (e.Stored != "") != test.login || e.Disabled != test.disabled || (e.Problem != nil) != test.faulty || e.Quota != test.quota {
			t.Errorf("%s: %+v", test.who, e)
		}
		if e.Problem != nil && strings.Contains(e.Problem.Error(), "secret") {
			t.Errorf("%s: %v", test.who, e.Problem)
		}
	}
	if n := byName["nets@example.com"].Nets; len(n) != 2 || n[0].String() != "192.0.2.0/24" || n[1].String() != "2001:db8::1/128" {
		t.Errorf("networks: %v", n)
	}
	if second := all[11]; second.Problem == nil || second.Line != 14 || second.Stored != "" {
		t.Errorf("the second bob: %+v", second)
	}
}

// TestDoveadm: what Dovecot's own tool makes, by all schemes it has, is verified or has a reason.
func TestDoveadm(t *testing.T) {
	doveadm, err := exec.LookPath("doveadm")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("missing: doveadm")
		}
		t.Skip("missing: doveadm")
	}
	out, err := exec.Command(doveadm, "pw", "-l").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, scheme := range strings.Fields(string(out)) {
		stored, err := exec.Command(doveadm, "pw", "-s", scheme, "-u", "bob@example.com", "-p", "bob-secret").Output()
		if err != nil {
			continue // this build of it cannot make any
		}
		with := strings.TrimSpace(string(stored))
		_, without, _ := strings.Cut(with, "}")
		for _, text := range []string{with, without} {
			all, _ := parse([]byte("bob:"+text+"\n"), scheme, "example.com")
			switch e := all[0]; {
			case e.Stored == "" && e.Problem == nil && !e.Disabled:
				t.Errorf("%s is dropped without a word", scheme)
			case e.Stored == "":
			case passwd.Verify(e.Stored, []byte("bob-secret")) != nil:
				t.Errorf("%s: the right password is refused", scheme)
			case passwd.Verify(e.Stored, []byte("wrong")) == nil:
				t.Errorf("%s: a wrong password is right", scheme)
			default:
				known++
			}
		}
	}
	if known < 16 {
		t.Errorf("%d of the schemes, with and without their names, can be verified", known)
	}
}
