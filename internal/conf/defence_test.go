package conf

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestDefence: each slip in the settings of lists, greylist and quarantine is named with its place, and what is right is taken.
func TestDefence(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "list.key"), []byte("k3y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const codes = `"Codes": [{"codes": "127.0.0.2", "action": "refuse"}]`
	lists := ""
	for i := range mostLists {
		lists += fmt.Sprintf(`{"zone": "l%d.bl.test", %s}, `, i, codes)
	}
	for text, want := range map[string]string{
		``:                         "",
		`"Lists": [` + lists + `]`: "",
		`"Lists": [{"zone": "bl.test", ` + codes + `}]`: "",
		`"Lists": [{"zone": "bl.test.", "knows": "domains", "Codes": [{"codes": "127.0.*.1-3", "action": "allow"}, {"codes": "127.0.0.9", "action": "quarantine"}]}]`: "",
		`"Lists": [{"zone": "{key}.bl.test", "key": "secret1", ` + codes + `}]`:                                                                                       "",
		`"Lists": [{"zone": "{key}.bl.test", "key_file": "list.key", ` + codes + `}]`:                                                                                 "",
		`"Lists": [{` + codes + `}]`:                                                                  "a zone is missing",
		`"Lists": [{"zone": "bl test", ` + codes + `}]`:                                               `"bl test" is not a domain name`,
		`"Lists": [{"zone": "{key}.bl.test", ` + codes + `}]`:                                         "there is no key for {key}",
		`"Lists": [{"zone": "bl.test", "key": "x", ` + codes + `}]`:                                   `it does not say where the key stands: "{key}.bl.test"`,
		`"Lists": [{"zone": "{key}.bl.test", "key": "x y", ` + codes + `}]`:                           "it cannot be part of a name in the DNS",
		`"Lists": [{"zone": "{key}.bl.test", "key": "x", "key_file": "list.key", ` + codes + `}]`:     "there is a key as well; keep one of the two",
		`"Lists": [{"zone": "{key}.bl.test", "key_file": "none.key", ` + codes + `}]`:                 "none.key",
		`"Lists": [{"zone": "bl.test"}]`:                                                              "its answers mean nothing",
		`"Lists": [{"zone": "bl.test", "Codes": [{"codes": "1.2.3.4", "action": "refuse"}]}]`:         "Verify.Lists[0].Codes[0].codes",
		`"Lists": [{"zone": "bl.test", "Codes": [{"codes": "127.255.255.254", "action": "refuse"}]}]`: "refuses to answer",
		`"Lists": [{"zone": "bl.test", "Codes": [{"codes": "127.0.0.2"}]}]`:                           "an action is missing",
		`"Lists": [{"zone": "bl.test", "Codes": [{"codes": "127.0.0.2", "action": "drop"}]}]`:         `"drop" is not one of`,
		`"Lists": [{"zone": "bl.test", ` + codes + `}, {"zone": "BL.test.", ` + codes + `}]`:          "bl.test stands here twice",
		`"Lists": [{"name": "a b", "zone": "bl.test", ` + codes + `}]`:                                "it must be one word",
		`"Lists": [` + strings.Repeat(`{"zone": "bl.test", `+codes+`}, `, 21) + `]`:                   "21 lists; at most 20",
		`"Greylist": {"on": true, "wait": "1s"}`:                                                      "too short; at least 10s",
		`"Greylist": {"on": true, "wait": "1h", "window": "3h"}`:                                      "too short; at least 4h",
		`"Milters": [{"name": "clamav", "address": "unix:/run/clamav/clamav-milter.ctl"}, {"name": "dkim", "address": "[::1]:8891", "wait": "1m", "max_size": "64KiB", "down": "later"}, {"name": "x", "address": "host.test:1"}, {"name": "y", "address": "localhost:1"}]`: "",
		`"Milters": [{"address": "unix:/m"}]`:                                                   "a name is missing",
		`"Milters": [{"name": "a b", "address": "unix:/m"}]`:                                    `"a b" is not a word`,
		`"Milters": [{"name": "` + strings.Repeat("x", 41) + `", "address": "unix:/m"}]`:        "is not a word of up to 40",
		`"Milters": [{"name": "a", "address": "unix:/m"}, {"name": "a", "address": "unix:/n"}]`: "Verify.Milters[1].name: a stands here twice",
		`"Milters": [{"name": "a", "address": "unix:/m"}, {"name": "b", "address": "unix:/m"}]`: "Verify.Milters[1].address: unix:/m stands here twice",
		`"Milters": [{"name": "a"}]`:                                                            "an address is missing",
		`"Milters": [{"name": "a", "address": "unix:/m", "wait": "999ms"}]`:                     "too short; at least 1s",
		`"Milters": [{"name": "a", "address": "unix:/m", "wait": "61s"}]`:                       "too long; at most 1m",
		`"Milters": [{"name": "a", "address": "unix:/m", "max_size": "1KiB"}]`:                  "too small; at least 64KiB",
		`"Milters": [{"name": "a", "address": "unix:/m", "down": "refuse"}]`:                    `"refuse" is not one of`,
		`"Milters": [` + strings.Repeat(`{"name": "a", "address": "unix:/m"}, `, 6) + `]`:       "6 milters; at most 5",
		`"Scanner": {"url": "http://127.0.0.1:11333"}`:                                          "",
		`"Scanner": {"url": "http://127.0.0.1:11333/", "password": "secret1"}`:                  "",
		`"Scanner": {"url": "http://localhost:11333", "password": "secret1"}`:                   "",
		`"Scanner": {"url": "http://[::1]:11333", "password": "secret1"}`:                       "",
		`"Scanner": {"url": "https://scan.test", "password": "secret1"}`:                        "",
		`"Scanner": {"url": "http://scan.test:11333"}`:                                          "",
		`"Scanner": {"url": "http://scan.test:11333", "password": "secret1"}`:                   "the password would be read on the way",
		`"Scanner": {"url": "http://192.0.2.1:11333", "password": "secret1"}`:                   "the password would be read on the way",
		`"Scanner": {"url": "127.0.0.1:11333"}`:                                                 "is not like",
		`"Scanner": {"url": "ftp://127.0.0.1"}`:                                                 "is not like",
		`"Scanner": {"url": "http://"}`:                                                         "is not like",
		`"Scanner": {"url": "http://x@127.0.0.1"}`:                                              "is not like",
		`"Scanner": {"url": "http://127.0.0.1/checkv2"}`:                                        "is not like",
		`"Scanner": {"url": "http://127.0.0.1?x"}`:                                              "is not like",
		`"quarantine": "+ju nk"`:                                                                "Verify.quarantine",
		`"quarantine": "+junk"`:                                                                 "",
		`"quarantine": "bob@mail.test"`:                                                         "",
		`"quarantine": "+spam"`:                                                                 `add accounts like "alice+spam@example.com"`,
		`"quarantine": "junk@mail.test"`:                                                        "there is no account of this name",
		`"quarantine": "junk"`:                                                                  `or "+junk" for a mailbox of each user`,
		`"quarantine_keep": "1h"`:                                                               "too short; at least 1d",
		`"own_domains": "quarantine", "no_author": "quarantine", "spf": "quarantine"`:           "",
		`"reverse_name": "refuse"`:                                                              `"refuse" is not one of`,
	} {
		name := filepath.Join(dir, "x.conf")
		whole := `{"server_name": "mail.test", "data_dir": "` + filepath.Join(dir, "data") + `", "Accounts": {"alice@mail.test": {}, "alice+junk@mail.test": {}, "bob@mail.test": {}}, "Verify": {` + text + `}}`
		if err := os.WriteFile(name, []byte(whole), 0o600); err != nil {
			t.Fatal(err)
		}
		_, problems := Verify(name, Probes{})
		var all []string
		for _, p := range problems {
			all = append(all, p.Error())
		}
		got := strings.Join(all, "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if strings.Contains(got, "x y") {
			t.Errorf("%s: the key is shown: %s", text, got)
		}
	}
}

// TestMilterAddress: what is no address of a milter is named, with what was meant where that is known.
func TestMilterAddress(t *testing.T) {
	for address, want := range map[string]string{
		"unix:/m": "", "127.0.0.1:1": "", "[::1]:65535": "", "localhost:7357": "", "clam.example.com:7357": "",
		"/run/m.ctl": `write "unix:/run/m.ctl"`, "local:/run/m.ctl": `write "unix:/run/m.ctl"`, "inet:7357@localhost": `write "localhost:7357"`, "inet6:7357@[::1]": `write "[::1]:7357"`,
		"inet:127.0.0.1:7357": `write "127.0.0.1:7357"`, "unix:": "1 to 103 characters", "unix:/" + strings.Repeat("x", 103): "1 to 103 characters",
		"inet:7357": `the host is missing in "inet:7357"; write "127.0.0.1:7357"`, "7357": "no address with a port", ":7357": "no address with a port", "127.0.0.1": "no address with a port", "127.0.0.1:0": "no address with a port",
		"127.0.0.1:65536": "no address with a port", "127.0.0.1:clam": "no address with a port", "::1:7357": "no address with a port", "a_b/c:7357": "neither an IP address nor the name of a host",
	} {
		if got := checkMilter(address); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	for address, want := range map[string]string{"unix:/run/m": "unix /run/m", "[::1]:1": "tcp [::1]:1"} {
		if network, at := (&Milter{Address: address}).Dial(); network+" "+at != want {
			t.Errorf("%s: %s %s", address, network, at)
		}
	}
}

// TestDefenceAdvice: what is asked for and does nothing is noted upon.
func TestDefenceAdvice(t *testing.T) {
	const list = `"Lists": [{"zone": "bl.test", "Codes": [{"codes": "127.0.0.2", "action": "quarantine"}]}]`
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for text, want := range map[string][]string{
		`"spf": "quarantine", "quarantine": "+junk", ` + list:    nil,
		`"Greylist": {"on": true}`:                               nil,
		`"spf": "quarantine", ` + list:                           {"Verify.spf: such mail is only marked", "Verify.Lists[0].Codes[0].action: such mail is only marked"},
		`"own_domains": "quarantine", "no_author": "quarantine"`: {"Verify.own_domains: such mail", "Verify.no_author: such mail"},
		`"Milters": [{"name": "a", "address": "unix:none.ctl"}, {"name": "b", "address": "unix:/dev/null"}, {"name": "c", "address": "localhost:1"}, {"name": "d", "address": "unix:` + socket + `"}]`: {"Verify.Milters[0].address: there is no /", "/none.ctl now: the milter does not run", "Verify.Milters[1].address: /dev/null is no socket"},
		`"Milters": [{"name": "d", "address": "unix:` + socket + `"}, {"name": "c", "address": "localhost:1"}]`:                                                                                        nil,
		`"check": false, "Greylist": {"on": true}, "spf": "mark", ` + list:                                                                                                                             {`Verify.Greylist: this does nothing, as "check" is false`, `Verify.Lists: this does nothing`},
	} {
		name := filepath.Join(t.TempDir(), "t.conf")
		if err := os.WriteFile(name, []byte(`{"server_name": "mail.test", "data_dir": "data", "Accounts": {"bob@mail.test": "", "bob+junk@mail.test": ""}, "Verify": {`+text+`}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		s, problems := Verify(name, Probes{})
		if len(problems) > 0 {
			t.Fatal(text, problems)
		}
		said := ""
		for _, err := range s.Advice() {
			if strings.Contains(err.Error(), "Verify") {
				said += err.Error() + "\n"
			}
		}
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("%s: no %q in\n%s", text, w, said)
			}
		}
		if want == nil && said != "" {
			t.Errorf("%s: %s", text, said)
		}
	}
}

// TestListNames: a list goes by its public name, and what is asked has the key.
func TestListNames(t *testing.T) {
	for _, c := range []struct {
		list       DNSList
		name, zone string
	}{
		{DNSList{Zone: "Zen.Example.Org."}, "zen.example.org", "zen.example.org"},
		{DNSList{Zone: "{key}.zen.example.org", Key: "s3cret"}, "zen.example.org", "s3cret.zen.example.org"},
		{DNSList{Name: "ours", Zone: "{KEY}.zen.example.org", Key: "s3cret"}, "ours", "s3cret.zen.example.org"},
	} {
		if name, zone := c.list.PublicName(), c.list.AskedZone(); name != c.name || zone != c.zone {
			t.Errorf("%+v: %s, %s", c.list, name, zone)
		}
	}
}

// TestQuarantineOf: where mail for an account is put aside.
func TestQuarantineOf(t *testing.T) {
	s := New()
	s.ServerName = "mail.test"
	s.Accounts = map[string]*Account{"alice@mail.test": {}, "alice+junk@mail.test": {}, "bob@mail.test": {}, "junk@mail.test": {}, "carl@dash.test": {}, "carl-junk@dash.test": {}}
	s.Domains = map[string]*Domain{"dash.test": {Plus: "-"}}
	b := s.Book()
	for _, c := range []struct{ setting, account, want string }{
		{"", "alice@mail.test", ""}, {"+junk", "alice@mail.test", "alice+junk@mail.test"}, {"+Junk", "alice@mail.test", "alice+junk@mail.test"}, {"+junk", "bob@mail.test", ""},
		{"+junk", "carl@dash.test", "carl-junk@dash.test"}, {"+junk", "alice+junk@mail.test", ""},
		{"Junk@mail.test", "bob@mail.test", "junk@mail.test"}, {"junk@mail.test", "junk@mail.test", ""}, {"none@mail.test", "bob@mail.test", ""},
	} {
		if got := b.QuarantineOf(c.setting, domains.Address(c.account)); got.String() != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	if s.Verify.Greylist.On || len(s.Verify.Lists) > 0 || s.Verify.Quarantine != "" || s.Verify.QuarantineKeep != 31*24*time.Hour {
		t.Errorf("defaults: %+v", s.Verify)
	}
}
