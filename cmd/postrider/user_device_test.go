package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/selfservice"
)

// TestUserDevice: an administrator makes, sees and ends the password of a device, of an account of the settings and of one that others keep; and has
// forgotten what that one has decided.
func TestUserDevice(t *testing.T) {
	h := newWorld(t)
	users := filepath.Join(h.dir, "users")
	more := fmt.Sprintf(`{"Elsewhere": {"PasswdFiles": [{"file": %q, "domains": ["example.com"]}]}}`, users)
	for name, text := range map[string]string{users: "bob:{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP\n", filepath.Join(h.dir, "elsewhere.conf"): more} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(want int, args ...string) string {
		t.Helper()
		out, said, code := postrider(t, append(args, "-c", h.dir)...)
		if code != want {
			t.Fatalf("%v: exit %d, %s%s", args, code, out, said)
		}
		return out + said
	}
	run(0, "reload")
	shown := regexp.MustCompile(`: the password for printer is [a-z2-7]{26} \(shown this once`)
	for _, who := range []string{user, "bob@example.com"} {
		if out := run(0, "user", "device", who); out != who+": no device has a password of its own\n" {
			t.Error(out)
		}
		if out := run(0, "user", "device", who, "--add", "printer", "--only", "send", "--until", "2999-12-31"); !shown.MatchString(out) {
			t.Error(out)
		}
		if out := run(exitError, "user", "device", who, "--add", "Printer"); !strings.Contains(out, "of that name already") {
			t.Error(out)
		}
		if out := run(exitError, "user", "device", who, "--add", "x", "--only", "read"); !strings.Contains(out, `neither "fetch" nor "send"`) {
			t.Error(out)
		}
		run(0, "user", "device", who, "--add", "phone")
		if out := run(0, "user", "device", who); !strings.HasPrefix(out, "printer: sends only, since ") || !strings.Contains(out, ", never used, last day 2999-12-31\nphone: fetches and sends, since ") {
			t.Error(out)
		}
		var all selfservice.Devices
		if err := json.Unmarshal([]byte(run(0, "user", "device", who, "--json")), &all); err != nil || len(all.Devices) != 2 || all.Devices[0].Only != "send" {
			t.Error(err, all)
		}
		if out := run(exitError, "user", "device", who, "--end", "fax"); !strings.Contains(out, `has no device "fax"`) {
			t.Error(out)
		}
		if out := run(0, "user", "device", who, "--end", "printer"); out != who+": 1 password ended\n" {
			t.Error(out)
		}
		run(0, "user", "device", who, "--add", "laptop")
		if out := run(0, "user", "device", who, "--end-all"); out != who+": 2 passwords ended\n" {
			t.Error(out)
		}
	}
	if out := run(exitError, "user", "device", "nobody@example.com", "--add", "x"); !strings.Contains(out, "there is no account nobody@example.com") {
		t.Error(out)
	}
	if out := run(exitError, "user", "device", "bob@example.com", "--only", "send"); !strings.Contains(out, "say which with --add") {
		t.Error(out)
	}
	run(0, "user", "device", "bob@example.com", "--add", "phone")
	if out := run(0, "user", "list", "--json"); !strings.Contains(out, `"devices": 1`) {
		t.Error(out)
	}
	if out := run(exitError, "user", "forget", user); !strings.Contains(out, "user passwd --reset") {
		t.Error(out)
	}
	// A telephone that is lost does not wait for the directory to be back.
	run(0, "user", "device", "bob@example.com", "--add", "lost")
	if err := os.Rename(users, users+".away"); err != nil {
		t.Fatal(err)
	}
	if out := run(0, "user", "device", "bob@example.com", "--end", "lost"); !strings.Contains(out, "1 password ended") {
		t.Error(out)
	}
	run(exitError, "user", "device", "bob@example.com", "--add", "another")
	if err := os.Rename(users+".away", users); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"bobb@example.com", "bob@example.com"} {
		if out := run(0, "user", "forget", who); strings.Contains(out, "is forgotten") != (who == "bob@example.com") {
			t.Error(out)
		}
	}
	if out := run(0, "user", "device", "bob@example.com"); !strings.Contains(out, "no device") {
		t.Error(out)
	}
}
