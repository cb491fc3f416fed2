package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestUserPreferences: what a user has decided at the pages is listed, goes along with a new name and a new domain, and never to
// somebody else who gets the name later.
func TestUserPreferences(t *testing.T) {
	dir := confDir(t, userConf)
	must(t, "the first one", "user", "add", "-c", dir, "--stdin", "boss")
	must(t, "the first one", "user", "add", "-c", dir, "--stdin", "other")
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	kept := preferences.Look(preferences.Dir(s.DataDir))
	decide := func(at domains.Address) {
		t.Helper()
		s, err := conf.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
			t.Fatal(err)
		}
		disk, err := durable.Open(s.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		defer disk.Close()
		store, err := preferences.Open(t.Context(), preferences.Dir(s.DataDir), disk)
		if err != nil {
			t.Fatal(err)
		}
		c, err := accounts.New(s, accounts.NewDirectory(s), store, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Change(t.Context(), at, func(p *preferences.Preferences) error {
			p.Forward = &preferences.Forward{To: "boss@far.test"}
			if _, err := c.AddApp(at, p, preferences.Device{Name: "phone"}); err != nil {
				return err
			}
			return c.SetPassword(at, p, []byte("my own one"))
		}); err != nil {
			t.Fatal(err)
		}
	}
	of := func(at domains.Address) *preferences.Preferences {
		t.Helper()
		p, err := kept.Of(at)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	decide("boss@mail.test")
	var views []userView
	list, _ := must(t, "", "user", "list", "-c", dir, "--json")
	if err := json.Unmarshal([]byte(list), &views); err != nil || len(views) != 2 || !views[0].OwnPassword || views[0].Devices != 1 || views[0].Forward != "boss@far.test" || views[0].Absence || views[1].OwnPassword {
		t.Errorf("%v: %s", err, list)
	}
	must(t, "my own one", "user", "test", "-c", dir, "--stdin", "boss")
	if code, _, _ := command(t, "the first one", "user", "test", "-c", dir, "--stdin", "boss"); code != exitError {
		t.Error("the old one is right:", code)
	}
	must(t, "", "user", "rename", "-c", dir, "boss", "chief")
	if of("boss@mail.test") != nil || of("chief@mail.test") == nil {
		t.Error("renamed:", of("boss@mail.test"), of("chief@mail.test"))
	}
	must(t, "my own one", "user", "test", "-c", dir, "--stdin", "chief")
	scram := func() string {
		s, err := conf.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		salted, _, _ := strings.Cut(string(s.Book().Accounts["chief@mail.test"].ScramKeys()), "$S") // before the keys
		return salted[:40]
	}
	before := scram()
	must(t, "the administrator's", "user", "passwd", "-c", dir, "--stdin", "chief")
	must(t, "the administrator's", "user", "test", "-c", dir, "--stdin", "chief")
	if p := of("chief@mail.test"); p == nil || len(p.Apps) != 1 || scram() != before {
		t.Error("devices do not go on:", p, before, scram())
	}
	must(t, "the administrator's 2", "user", "passwd", "-c", dir, "--stdin", "--reset", "chief")
	if of("chief@mail.test") != nil {
		t.Error("not forgotten")
	}
	decide("chief@mail.test")
	must(t, "", "user", "remove", "-c", dir, "chief")
	if of("chief@mail.test") != nil {
		t.Error("removed, and there")
	}
	// By hand, beside no server: then the name is given away.
	must(t, "the first one", "user", "add", "-c", dir, "--stdin", "chief")
	decide("chief@mail.test")
	decide("other@mail.test")
	if _, err := (change.Files{Path: dir}).Apply(t.Context(), func(s *conf.Settings) ([]*conf.Edit, error) { return s.RemoveAccount("chief@mail.test") }); err != nil {
		t.Fatal(err)
	}
	must(t, "the first one", "user", "add", "-c", dir, "--stdin", "chief")
	if of("chief@mail.test") != nil || of("other@mail.test") == nil {
		t.Error("the new one has what the old one had:", of("chief@mail.test"), of("other@mail.test"))
	}
	if left, _ := filepath.Glob(filepath.Join(preferences.Dir(s.DataDir), "*")); len(left) != 1 {
		t.Error("left:", left)
	}
}
