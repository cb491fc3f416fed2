package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

const (
	hashA = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
	hashB = "$2b$12$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"
)

// folder makes a folder of name, text pairs.
func folder(t *testing.T, texts ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(texts); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, texts[i]), []byte(texts[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mustLoad(t *testing.T, path string) *Settings {
	t.Helper()
	s, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The one-key file is a useful server.
func TestOneKey(t *testing.T) {
	s := mustLoad(t, folder(t, "a.conf", `{"server_name": "mail.example.com"}`))
	want := New()
	want.ServerName = "mail.example.com"
	want.MailDir, want.QueueDir = "/var/lib/postrider/mail", "/var/lib/postrider/queue"
	want.SecretKeyFile, want.Admin.Socket = "/var/lib/postrider/secret.key", "/var/lib/postrider/control.sock"
	want.TLS.ACME.Folder = "/var/lib/postrider/acme"
	want.Listeners = []Listener{
		{Address: ":25", Protocol: ProtocolSMTP, TLS: TLSStartTLS},
		{Address: ":587", Protocol: ProtocolSubmission, TLS: TLSStartTLS},
		{Address: ":465", Protocol: ProtocolSubmission, TLS: TLSImplicit},
		{Address: ":110", Protocol: ProtocolPOP3, TLS: TLSStartTLS},
		{Address: ":995", Protocol: ProtocolPOP3, TLS: TLSImplicit},
	}
	want.source, want.notes = s.source, s.notes
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got\n%+v\nwant\n%+v", s, want)
	}
	if got := s.Book().Domains(); !slices.Equal(got, []domains.Name{"mail.example.com"}) {
		t.Errorf("local domains %v", got)
	}
	if len(s.Book().Accounts) != 0 || len(s.Book().Aliases) != 0 {
		t.Error("there are accounts or aliases")
	}
}

func TestFolder(t *testing.T) {
	dir := copyPrivate(t, filepath.Join(testdata, "good", "folder"))
	s := mustLoad(t, dir)
	if s.ServerName != "mail.example.com" || s.SMTP.MaxRecipients != 500 || s.SMTP.Tarpit != 2*time.Second || len(s.Domains) != 0 {
		t.Errorf("got %+v", s)
	}
	if s.DataDir != filepath.Join(dir, "data") {
		t.Errorf("data_dir %s is not in the folder of its file", s.DataDir)
	}
	if files, err := Files(dir); err != nil || len(files) != 3 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestEverything(t *testing.T) {
	dir := copyPrivate(t, filepath.Join(testdata, "good"))
	s := mustLoad(t, filepath.Join(dir, "everything.conf"))
	l := s.Listeners[0]
	if !reflect.DeepEqual(l.ProxyFrom, []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32"), netip.MustParsePrefix("2001:db8::/64")}) ||
		l.Greeting != "hello" || *l.Limits != (ListenerLimits{10, 2, 1e9, 100}) || l.TLS != TLSStartTLS {
		t.Errorf("listener %+v", l)
	}
	if s.Listeners[1].TLS != TLSRequired || s.Listeners[2].TLS != TLSImplicit {
		t.Errorf("listeners %+v", s.Listeners)
	}
	if s.Log.Level != slog.LevelDebug || s.Log.Format != LogJSON || s.POP3.Deletion != DeleteTrash || s.SMTP.BareNewline != BareNormalise {
		t.Errorf("got %+v", s)
	}
	accounts := s.Book().Accounts
	for name, want := range map[domains.Address]Account{
		"alice@example.com": {Password: hashA, Quota: Unlimited, Addresses: []string{"*@example.org", "bob@example.com"}},
		"bob@example.com":   {Disabled: true, Quota: 5e9},
		"josé@example.com":  {Password: "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP"},
		"carol@example.org": {Password: "$6$VbNlD4RhhwBgTFBm$iOu1ZCLoo39LblPgNgXI72ykiwDZ.vN3GrJ/2AmqHLS.jTqe1XMFOTYUIiy0szBltxXqnF9A62V1EvFVGluQu."},
	} {
		if got := accounts[name]; got == nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %#v, want %#v", name, got, want)
		}
	}
	wantAliases := map[string][]string{
		"all@example.com":                    {"alice@example.com", "bob@example.com", "josé@example.com"},
		"both@example.com":                   {"all@example.com", "alice@example.com"},
		"abuse@example.com":                  {"alice-abuse@example.com"},
		"*@example.com":                      {"alice@example.com"},
		"*@example.net":                      {"alice@example.com"},
		"*@example.org":                      {"carol@example.org"},
		"friends@example.net":                {"carol+friends@example.org", "x@elsewhere.example"},
		"postmaster@example.com":             {"alice-postmaster@example.com"},
		"postmaster@example.net":             {"alice-postmaster@example.com"},
		"postmaster@example.org":             {"alice-postmaster@example.com"},
		"postmaster@mail.xn--exmple-cua.com": {"alice-postmaster@example.com"},
		"postmaster@xn--mnchen-3ya.example":  {"alice-postmaster@example.com"},
		"abuse@example.net":                  {"alice-postmaster@example.com"},
		"abuse@example.org":                  {"alice-postmaster@example.com"},
		"abuse@mail.xn--exmple-cua.com":      {"alice-postmaster@example.com"},
		"abuse@xn--mnchen-3ya.example":       {"alice-postmaster@example.com"},
	}
	if got := aliasesOf(s); !reflect.DeepEqual(got, wantAliases) {
		t.Errorf("aliases\n%v\nwant\n%v", got, wantAliases)
	}
}

// aliasesOf are the aliases of settings as texts.
func aliasesOf(s *Settings) map[string][]string {
	all := make(map[string][]string)
	for from, targets := range s.Book().Aliases {
		all[from.String()] = []string{}
		for _, t := range targets {
			all[from.String()] = append(all[from.String()], t.String())
		}
	}
	return all
}

// postmaster and abuse always work: RFC 5321 §4.5.1.
func TestPostmaster(t *testing.T) {
	s := mustLoad(t, folder(t, "a.conf", `{"server_name": "mail.example.com", "Accounts": {
		"zoe@b.example": {}, "Carl@b.example": {}, "abuse@b.example": {}, "max@a.example": {}}}`))
	want := map[string][]string{
		"postmaster@b.example":        {"abuse@b.example"},
		"postmaster@a.example":        {"max@a.example"},
		"abuse@a.example":             {"max@a.example"},
		"postmaster@mail.example.com": {"abuse@b.example"},
		"abuse@mail.example.com":      {"abuse@b.example"},
	}
	if got := aliasesOf(s); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A mailbox for junk is nobody's to read what the postmaster is told, however early its name is.
func TestPostmasterIsNotJunk(t *testing.T) {
	for quarantine, account := range map[string]string{"+junk": "bob+junk@b.example", "a@b.example": "a@b.example"} {
		s := mustLoad(t, folder(t, "a.conf", `{"server_name": "b.example", "Verify": {"quarantine": "`+quarantine+`"}, "Accounts": {"bob@b.example": {}, "`+account+`": {}}}`))
		if got := aliasesOf(s)["postmaster@b.example"]; !reflect.DeepEqual(got, []string{"bob@b.example"}) {
			t.Errorf("%s: %v", quarantine, got)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := Load(folder(t, "a.txt", "")); err == nil || !strings.Contains(err.Error(), "there is no *.conf in") {
		t.Errorf("an empty folder: %v", err)
	}
	_, err := Load(folder(t, "a.conf", `{"server_nam": 1}`, "b.conf", `{"SMTP": {"tarpit": 5}}`))
	var errs config.Errors
	if !errors.As(err, &errs) || len(errs) != 2 {
		t.Errorf("two wrong files: %v", err)
	}
	_, problems := Verify(folder(t, "a.conf", `{`, "b.conf", `[`), Probes{})
	if len(problems) != 2 {
		t.Errorf("two broken files: %v", problems)
	}
	dir := folder(t, "a.conf", "{")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "b.conf")); err != nil {
		t.Fatal(err)
	}
	if _, problems = Verify(dir, Probes{}); len(problems) != 2 {
		t.Errorf("a broken and a missing file: %v", problems)
	}
	if _, problems = Verify(filepath.Join(dir, "none"), Probes{}); len(problems) != 1 || !errors.Is(problems[0], fs.ErrNotExist) {
		t.Errorf("no such path: %v", problems)
	}
}

// Secrets come from files and the environment, and never show.
func TestSecrets(t *testing.T) {
	t.Setenv("POSTRIDER_TEST_HASH", hashB)
	dir := folder(t, "alice.hash", hashA+"\r\nmore\n", "route.password", "hunter2", "a.conf", `{
		"server_name": "mail.example.com",
		"Accounts": {
			"alice@example.com": {"password_file": "alice.hash"},
			"bob@example.com": "env:POSTRIDER_TEST_HASH",
		},
		"Queue": {"Routes": [{"domain": "*", "host": "h", "user": "u", "password_file": "route.password"}]},
	}`)
	s := mustLoad(t, dir)
	if a := s.Book().Accounts; string(a["alice@example.com"].Password) != hashA || string(a["bob@example.com"].Password) != hashB {
		t.Error("passwords are not filled in")
	}
	if string(s.Queue.Routes[0].Password) != "hunter2" {
		t.Error("the route's password is not filled in")
	}
	var b, log bytes.Buffer
	if err := s.Show(&b); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "account", s.Book().Accounts["bob@example.com"].Password)
	text := b.String() + log.String() + fmt.Sprintf("%v %+v %#v", *s.Book().Accounts["bob@example.com"], s.Queue, s.Queue.Routes)
	for _, secret := range []string{hashA, hashB, "hunter2"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is shown in\n%s", secret, text)
		}
	}
	for _, want := range []string{
		`"password": "********", // file ` + filepath.Join(dir, "alice.hash"),
		`"password": "********", // environment POSTRIDER_TEST_HASH, ` + filepath.Join(dir, "a.conf") + ":5:4",
		`"server_name": "mail.example.com", // ` + filepath.Join(dir, "a.conf") + ":2:3",
		`"max_message_size": "50MiB", // default`,
		`"level": "info", // default`,
		`"retry_first": "5m", // default`,
		`"Aliases": {},`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s is not in\n%s", want, b.String())
		}
	}
	if Secret("").String() != "" {
		t.Error("an empty secret is shown as one")
	}
}

// What Show prints is a configuration of its own, secrets aside.
func TestShowIsConf(t *testing.T) {
	dir := copyPrivate(t, filepath.Join(testdata, "good"))
	for _, name := range []string{"one-key.conf", "everything.conf", "plain-json.conf"} {
		s := mustLoad(t, filepath.Join(dir, name))
		var first, second bytes.Buffer
		if err := s.Show(&first); err != nil {
			t.Fatal(err)
		}
		shown := filepath.Join(folder(t, "shown.conf", first.String()), "shown.conf")
		if err := mustLoad(t, shown).Show(&second); err != nil {
			t.Fatal(err)
		}
		if a, b := uncommented(t, first.Bytes()), uncommented(t, second.Bytes()); a != b {
			t.Errorf("%s: first\n%s\nthen\n%s", name, a, b)
		}
	}
}

func uncommented(t *testing.T, text []byte) string {
	t.Helper()
	plain, err := config.Standardize(text)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(plain), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

func TestSamples(t *testing.T) {
	for name, domain := range map[string]string{"mail.example.org": "example.org", "mx.mail.example.org": "mail.example.org", "example.org": "example.org"} {
		texts, err := Samples(name)
		if err != nil || len(texts) != 2 {
			t.Fatalf("%d files, %v", len(texts), err)
		}
		var files []string
		for file, text := range texts {
			if strings.Contains(string(text), "example.com") {
				t.Errorf("%s: the sample's name is left in %s", name, file)
			}
			files = append(files, file, strings.Replace(string(text), "/var/lib/postrider", "data", 1))
		}
		s, problems := Verify(folder(t, files...), Probes{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if s.ServerName != name || s.Domains[domain] == nil || s.Domains[domain].Accounts == nil {
			t.Errorf("%s: got %+v", name, s)
		}
	}
	if _, err := Samples("my server"); err == nil {
		t.Error("a bad name was accepted")
	}
}

// TestExamples: the folder to look at is the one that "conf init" writes.
func TestExamples(t *testing.T) {
	texts, err := Samples("mail.example.com")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Glob("../../conf/*.conf")
	if err != nil || len(examples) != len(texts) {
		t.Fatalf("%d examples of %d samples, %v", len(examples), len(texts), err)
	}
	for name, want := range texts {
		got, err := os.ReadFile(filepath.Join("../../conf", name))
		if err != nil {
			t.Error(err)
		} else if string(got) != string(want) {
			t.Errorf("conf/%s is not what conf init writes: copy internal/conf/default/%s", name, name)
		}
	}
}

func TestQuota(t *testing.T) {
	for text, want := range map[string]Quota{"none": Unlimited, "1GB": 1e9, "0": 0} {
		var q Quota
		if err := q.UnmarshalText([]byte(text)); err != nil || q != want {
			t.Errorf("%s: %d, %v", text, q, err)
		}
		if back, err := q.MarshalText(); err != nil || string(back) != text {
			t.Errorf("%s came back as %s, %v", text, back, err)
		}
	}
	var q Quota
	if q.UnmarshalText([]byte("much")) == nil {
		t.Error("much is a quota")
	}
}
