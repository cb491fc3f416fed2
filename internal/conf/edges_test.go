package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestClash: of all pairs of any and specific addresses, those clash that the system does
// not let be listened at together.
func TestClash(t *testing.T) {
	addresses := []string{"", "0.0.0.0", "[::]", "192.0.2.1", "192.0.2.2", "[2001:db8::1]", "localhost", "127.0.0.1"}
	clashes := map[string]bool{}
	for _, pair := range []string{
		" ", " 0.0.0.0", " [::]", " 192.0.2.1", " 192.0.2.2", " [2001:db8::1]", " localhost", " 127.0.0.1",
		"0.0.0.0 0.0.0.0", "0.0.0.0 [::]", "0.0.0.0 192.0.2.1", "0.0.0.0 192.0.2.2", "0.0.0.0 localhost", "0.0.0.0 127.0.0.1",
		"[::] [::]", "[::] 192.0.2.1", "[::] 192.0.2.2", "[::] [2001:db8::1]", "[::] localhost", "[::] 127.0.0.1",
		"192.0.2.1 192.0.2.1", "192.0.2.2 192.0.2.2", "[2001:db8::1] [2001:db8::1]",
		"localhost localhost", "localhost 127.0.0.1", "127.0.0.1 127.0.0.1",
	} {
		a, b, _ := strings.Cut(pair, " ")
		clashes[a+" "+b], clashes[b+" "+a] = true, true
	}
	for _, a := range addresses {
		for _, b := range addresses {
			if got := clash(a+":25", b+":25"); got != clashes[a+" "+b] {
				t.Errorf("%q and %q: %v", a, b, got)
			}
			if clash(a+":25", b+":26") || clash(a+":0", b+":0") {
				t.Errorf("%q and %q clash at different ports", a, b)
			}
		}
	}
	if !clash("unix:/a", "unix:/a") || clash("unix:/a", "unix:/b") || clash("unix:/a", ":25") || clash(":25", "unix:/a") {
		t.Error("sockets")
	}
}

// TestNamesOctetByOctet: what may stand in a domain and before the @ of an address.
func TestNamesOctetByOctet(t *testing.T) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	in := func(set string) func(byte) bool { return func(c byte) bool { return strings.IndexByte(set, c) >= 0 } }
	skip := func(places string, good func(string) error) func(string) bool {
		return func(s string) bool {
			if i := strings.IndexAny(s, places); i >= 0 { // its place decides
				return in(letters+"0123456789!#$%&'*+-/=?^_`{|}~")(s[i]) && s[i] != '-'
			}
			return good(s) == nil
		}
	}
	mailtest.Octets(t, "domain", "ab", skip("-.", func(s string) error { return checkDomain("x" + s + ".example") }), in(letters+"0123456789"))
	mailtest.Octets(t, "local part", "ab", skip(".", checkLocal), in(letters+"0123456789!#$%&'*+-/=?^_`{|}~"))
	for _, s := range []string{"zoo", "z", "a-z", "xn--bcher-kva"} {
		if err := checkDomain(s + ".example"); err != nil {
			t.Error(err)
		}
	}
	for _, r := range "\u0085\u00a0\u1680\u2000\u2003\u2028\u2029\u202f\u205f\u3000" {
		if checkLocal("a"+string(r)+"b") == nil {
			t.Errorf("%q before the @", r)
		}
	}
	for _, r := range "äßжあ" {
		if err := checkLocal("a" + string(r) + "b"); err != nil {
			t.Error(err)
		}
	}
	mailtest.Edge(t, "local part", 64, func(n int) bool { return checkLocal(strings.Repeat("x", n)) == nil })
	mailtest.Edge(t, "label", 63, func(n int) bool { return checkDomain(strings.Repeat("x", n)+".example") == nil })
	mailtest.Edge(t, "domain", 253, func(n int) bool {
		return checkDomain(strings.Repeat("abcdef.", 40)[:n-2]+"xx") == nil
	})
	mailtest.Edge(t, "path of a socket", 103, func(n int) bool { return checkListen("unix:"+strings.Repeat("x", n)) == "" })
	mailtest.Edge(t, "port", 65535, func(n int) bool { return checkListen(fmt.Sprintf(":%d", n)) == "" })
}

// TestSecretsAreHidden: what is a secret, or looks like one, is in no message, also where
// it stands under a key that there is not.
func TestSecretsAreHidden(t *testing.T) {
	for _, secret := range []string{"SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy", "$2b$12$hashhashhash", "{SSHA}hashhashhash"} {
		for _, key := range []string{"passwort", "keys", "password", "apop"} {
			_, problems := Verify(folder(t, "a.conf", fmt.Sprintf(`{"server_name": "mail.example.com", "data_dir": "data", "Accounts": {"a@example.com": {%q: %q, "unknown": 1}}}`, key, secret)), Probes{})
			if len(problems) == 0 {
				t.Fatalf("nothing is wrong with %s", key)
			}
			for _, p := range problems {
				if strings.Contains(fmt.Sprintf("%+v", p), secret[len(secret)-8:]) {
					t.Errorf("%s is shown: %v", key, p)
				}
			}
		}
	}
	for _, tt := range []struct {
		key, text string
		want      bool
	}{
		{"x", "SCRAM-SHA-256$4096", true}, {"x", "SCRAM-SHA-256", false}, {"x", "$6$salt$hash", true}, {"x", "{CRAM-MD5}00", true}, {"x", "plain", false},
		{"password", "plain", true}, {"apop", "plain", true}, {"password", "env:X", false}, {"a@b.example", "plain", true}, {"a@b.example", "c@d.example", false},
	} {
		if looksSecret()(tt.key, tt.text) != tt.want {
			t.Errorf("%q: %q looks secret: %v", tt.key, tt.text, !tt.want)
		}
	}
}

// TestIsSealed: a secret is sealed if it says so at its beginning.
func TestIsSealed(t *testing.T) {
	for s, want := range map[Secret]bool{"sealed:x": true, "sealed:": true, "sealed": false, "x": false, "": false, "xsealed:": false, "s": false} {
		if s.IsSealed() != want {
			t.Errorf("%q: %v", string(s), !want)
		}
	}
}

// TestConcurrencyOfOne: one destination may have all there is, and not more.
func TestConcurrencyOfOne(t *testing.T) {
	mailtest.Edge(t, "destination_concurrency", 50, func(n int) bool {
		s := New()
		s.Queue.Concurrency, s.Queue.DestinationConcurrency = 50, n
		c := newChecker(s, Probes{})
		c.queue()
		return len(c.errs) == 0
	})
}

// TestDirectoriesAreTried: a place where nothing can be written is a problem of the
// configuration.
func TestDirectoriesAreTried(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"data_dir", "mail_dir", "queue_dir"} {
		for place, good := range map[string]bool{filepath.Join(dir, "new"): true, file: false, filepath.Join(file, "below"): false} {
			s := New()
			s.ServerName, s.DataDir, s.MailDir, s.QueueDir = "mail.example.com", filepath.Join(dir, "data"), filepath.Join(dir, "mail"), filepath.Join(dir, "queue")
			*map[string]*string{"data_dir": &s.DataDir, "mail_dir": &s.MailDir, "queue_dir": &s.QueueDir}[key] = place
			s.complete()
			c := newChecker(s, Probes{})
			c.directories()
			if (len(c.errs) == 0) != good {
				t.Errorf("%s %s: %v", key, place, c.errs)
			}
		}
	}
}

// TestKeysOfAccount: keys of their own come first, else the password where it is such keys,
// in either form.
func TestKeysOfAccount(t *testing.T) {
	for _, tt := range []struct{ password, keys, want Secret }{
		{"SCRAM-SHA-256$x", "", "SCRAM-SHA-256$x"}, {"{SCRAM-SHA-256}x", "", "{SCRAM-SHA-256}x"}, {"$2b$x", "", ""}, {"", "", ""}, {"SCRAM-SHA-1$x", "", ""},
		{"SCRAM-SHA-256$x", "own", "own"}, {"$2b$x", "own", "own"},
	} {
		if got := (&Account{Password: tt.password, ScramSHA256: tt.keys}).ScramKeys(); got != tt.want {
			t.Errorf("%+v: %s", tt, string(got))
		}
	}
}

// TestOwnTimes: each of the times of a domain is one of its own.
func TestOwnTimes(t *testing.T) {
	if (&QueueDomain{TLS: "verify"}).OwnTimes() {
		t.Error("none")
	}
	for i, d := range []QueueDomain{{RetryFirst: 1}, {RetryMax: 1}, {ExpireAfter: 1}, {DelayWarningAfter: 1}, {DelayWarningAfter: -1}} {
		if !d.OwnTimes() {
			t.Error(i)
		}
	}
}

// TestTaker: an address is its own, else that of its name without a detail, else the
// catch-all's.
func TestTaker(t *testing.T) {
	s := New()
	s.ServerName = "mail.test"
	s.Accounts = map[string]*Account{"ann@mail.test": {}, "ann+own@mail.test": {}, "bob@none.test": {}}
	s.Aliases = map[string]Targets{}
	s.Domains = map[string]*Domain{"none.test": {Plus: "none"}, "all.test": {CatchAll: "ann@mail.test"}}
	b := s.Book()
	for address, want := range map[string]string{
		"ann@mail.test": "ann@mail.test", "ann+x@mail.test": "ann@mail.test", "ann+own@mail.test": "ann+own@mail.test", "ann+own+x@mail.test": "ann@mail.test",
		"+x@mail.test": "", "nobody@mail.test": "", "bob+x@none.test": "", "bob@none.test": "bob@none.test", "who@all.test": "*@all.test",
	} {
		if got := b.Taker(domains.Address(address), true); got.String() != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
		if want == "*@all.test" {
			want = ""
		}
		if got := b.Taker(domains.Address(address), false); got.String() != want {
			t.Errorf("%s without a catch-all: %q, want %q", address, got, want)
		}
	}
}

// TestNeverSecret: in excerpts stand the values of keys that are settings and no secret under any name, and no others.
func TestNeverSecret(t *testing.T) {
	plain := neverSecret()
	for key, want := range map[string]bool{
		"server_name": true, "data_dir": true, "address": true, "protocol": true, "quota": true, "deliver": true, "max_message_size": true,
		"password": false, "scram_sha_256": false, "cram_md5": false, "apop": false, // also where one of that name is no secret
		"Accounts": false, "Aliases": false, "Listeners": false, "SMTP": false, "relay_from": false, "nothing": false, "": false,
	} {
		if plain(key) != want {
			t.Errorf("%q: %v", key, plain(key))
		}
	}
}

// TestSocketPath: the path of a socket is meant from the folder of the file it stands in, as all paths are.
func TestSocketPath(t *testing.T) {
	dir := folder(t, "a.conf", `{"server_name": "mail.example.com", "Listeners": [{"address": "unix:lmtp.sock", "protocol": "lmtp"}, {"address": "unix:/run/x.sock", "protocol": "lmtp"}, {"address": ":25"}],
		"Verify": {"Milters": [{"name": "a", "address": "unix:m.sock"}, {"name": "b", "address": "127.0.0.1:1"}]}}`)
	var got []string
	s := mustLoad(t, dir)
	for _, l := range s.Listeners {
		got = append(got, l.Address)
	}
	for _, m := range s.Verify.Milters {
		got = append(got, m.Address)
	}
	if want := []string{"unix:" + filepath.Join(dir, "lmtp.sock"), "unix:/run/x.sock", ":25", "unix:" + filepath.Join(dir, "m.sock"), "127.0.0.1:1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestMissingBesideTypo: a mistake in the text hides what may come of it alone: what is missing elsewhere is told in the
// same run.
func TestMissingBesideTypo(t *testing.T) {
	const route = "{\"server_name\": \"mail.example.com\", \"data_dir\": \"data\",\n\"server_nam\": 1,\n\"Queue\": {\"deliver\": true, \"Routes\": [\n{\"domain\": \"*\", \"host\": \"smtp.example.net\", \"user\": \"x\"}\n]}}"
	for text, want := range map[string]int{
		route: 2, strings.Replace(route, "\"server_nam\": 1,\n", "", 1): 1,
		strings.Replace(route, `"user": "x"`, `"user": "x", "passwort": "y"`, 1): 2, // it is what was meant
	} {
		_, problems := Verify(folder(t, "a.conf", text), Probes{})
		var about []string
		for _, p := range problems {
			if said := p.Error(); strings.Contains(said, "server_nam") || strings.Contains(said, "password") {
				about = append(about, said)
			}
		}
		if len(about) != want {
			t.Errorf("%d problems, want %d: %q", len(about), want, problems)
		}
	}
}

// TestNothingToRead: without one file that can be read there are no settings.
func TestNothingToRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "a.conf")); err != nil {
		t.Fatal(err)
	}
	if s, problems := Verify(dir, Probes{}); s != nil || len(problems) != 1 {
		t.Errorf("%v, %v", s, problems)
	}
}
