package conf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/domains"
)

const editBase = `{
    "server_name": "mail.example.com",  # us
    "data_dir": "data",
`

func TestAddAccount(t *testing.T) {
	for _, c := range []struct{ name, address, file, text, want string }{
		{"into Accounts", "Bob@Example.com", "a.conf", editBase + `    "Accounts": {
        "alice@example.com": "` + hashA + `", // first
    },
}
`, editBase + `    "Accounts": {
        "alice@example.com": "` + hashA + `", // first
        "bob@example.com": {
            "password": "P",
            "scram_sha_256": "S",
            "cram_md5": "C"
        },
    },
}
`},
		{"into its domain", "bob@example.com", "a.conf", editBase + `    "Domains": {
        "Example.com": {
            "Accounts": {
                // nobody yet
            },
        },
    },
    "Accounts": {},
}
`, editBase + `    "Domains": {
        "Example.com": {
            "Accounts": {
                // nobody yet
                "bob": {
                    "password": "P",
                    "scram_sha_256": "S",
                    "cram_md5": "C"
                }
            },
        },
    },
    "Accounts": {},
}
`},
		{"into a new file", "bob@example.com", "accounts.conf", editBase + "}\n", `{
    "Accounts": {
        "bob@example.com": {
            "password": "P",
            "scram_sha_256": "S",
            "cram_md5": "C"
        }
    }
}
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, "a.conf", c.text)
			s := mustLoad(t, dir)
			e, err := s.AddAccount(dir, domains.CanonicalAddress(c.address), Keys{Password: "P", ScramSHA256: "S", CRAMMD5: "C"})
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(e.File) != c.file || string(e.Text) != c.want || e.New != (c.file != "a.conf") {
				t.Errorf("%s\ngot\n%s\nwant\n%s", e.File, e.Text, c.want)
			}
			if err := os.WriteFile(e.File, e.Text, 0o600); err != nil {
				t.Fatal(err)
			}
			if a := mustLoad(t, dir).Book().Accounts["bob@example.com"]; a == nil || a.Password != "P" {
				t.Errorf("the account is %+v", a)
			}
		})
	}
	dir := folder(t, "a.conf", editBase+`"Accounts": {"alice@example.com": {}}}`)
	s := mustLoad(t, dir)
	if _, err := s.AddAccount(dir, domains.CanonicalAddress("ALICE@example.com"), Keys{}); !errors.Is(err, ErrAccountExists) {
		t.Errorf("adding twice: %v", err)
	}
	if _, err := s.AddAccount(dir, "../x", Keys{}); err == nil {
		t.Error("a bad address was added")
	}
	if _, err := s.AddAccount(dir, "*@example.com", Keys{}); err == nil {
		t.Error("a whole domain was added as an account, which no server starts with")
	}
	withAlias := folder(t, "a.conf", editBase+`"Accounts": {"alice@example.com": {}}, "Aliases": {"team@example.com": "alice@example.com"}}`)
	if _, err := mustLoad(t, withAlias).AddAccount(withAlias, domains.CanonicalAddress("Team@example.com"), Keys{}); err == nil || !strings.Contains(err.Error(), "alias") {
		t.Errorf("an alias was added as an account, which no server starts with: %v", err)
	}
	file := filepath.Join(folder(t, "one.conf", editBase+"}"), "one.conf")
	if e, err := mustLoad(t, file).AddAccount(file, "a@b.example", Keys{}); err != nil || e.File != file {
		t.Errorf("a single file: %v, %v", e, err)
	}
	// What happens to a file after it was read is seen by who writes the edit, which says what it was made of.
	was, err := os.ReadFile(filepath.Join(dir, "a.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.conf"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err := s.AddAccount(dir, "new@example.com", Keys{}); err != nil || string(e.Was) != string(was) || e.New {
		t.Errorf("an edit of what was read: %v, %+v", err, e)
	}
}

func TestSetKeys(t *testing.T) {
	t.Setenv("POSTRIDER_TEST_HASH", hashB)
	dir := folder(t, "x.hash", hashA, "a.conf", editBase+`    "Accounts": {
        // the boss
        "alice@example.com": "`+hashA+`", // 2019
        "bob@example.com": {
            "quota": "2GB", // enough
            "cram_md5": "old",
            "apop": "sealed:old", // goes with the old password
            "password": "`+hashB+`",
        },
        "carl@example.com": {"password_file": "x.hash"},
        "dora@example.com": "env:POSTRIDER_TEST_HASH",
    },
}
`)
	s := mustLoad(t, dir)
	e, err := s.SetKeys(domains.CanonicalAddress("Alice@example.com"), Keys{Password: "P"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `        // the boss
        "alice@example.com": {
            "password": "P"
        }, // 2019
`; !strings.Contains(string(e.Text), want) {
		t.Errorf("alice:\n%s", e.Text)
	}
	if e, err = s.SetKeys("bob@example.com", Keys{Password: "P", CRAMMD5: "C", ScramSHA256: "S"}); err != nil {
		t.Fatal(err)
	}
	if want := `        "bob@example.com": {
            "quota": "2GB", // enough
            "cram_md5": "C",
            // goes with the old password
            "password": "P",
            "scram_sha_256": "S",
        },
`; !strings.Contains(string(e.Text), want) {
		t.Errorf("bob:\n%s", e.Text)
	}
	for address, want := range map[domains.Address]string{
		"carl@example.com": "stands in " + filepath.Join(dir, "x.hash") + "; change it there",
		"dora@example.com": "comes from the environment POSTRIDER_TEST_HASH; change it there",
		"emil@example.com": "no such account",
	} {
		if _, err := s.SetKeys(address, Keys{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
	}
}

// An account that stands in two files is changed where its password is.
func TestSetKeysInTwoFiles(t *testing.T) {
	dir := folder(t,
		"a.conf", editBase+`"Accounts": {"alice@example.com": {"password": "`+hashA+`"}}}`,
		"b.conf", `{"Accounts": {"alice@example.com": {"quota": "1GB"}}}`)
	e, err := mustLoad(t, dir).SetKeys("alice@example.com", Keys{Password: "P"})
	if err != nil || filepath.Base(e.File) != "a.conf" {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestRemoveAccount(t *testing.T) {
	dir := folder(t, "a.conf", editBase+`    "Domains": {"example.com": {"Accounts": {
        // alice
        "alice": "`+hashA+`",
        "bob": {
            "password": "`+hashA+`"
        },
    }}},
}
`)
	s := mustLoad(t, dir)
	e, err := s.RemoveAccount("bob@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if want := editBase + `    "Domains": {"example.com": {"Accounts": {
        // alice
        "alice": "` + hashA + `",
    }}},
}
`; len(e) != 1 || string(e[0].Text) != want {
		t.Errorf("got\n%+v\nwant\n%s", e, want)
	}
	if _, err := s.RemoveAccount("carl@example.com"); !errors.Is(err, ErrNoAccount) {
		t.Errorf("removing nobody: %v", err)
	}
}
