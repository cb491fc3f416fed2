package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestUserTogether: commands that remove an account, give it another name or add it act on what all servers on the database have of it, whatever is in
// the folder of this one.
func TestUserTogether(t *testing.T) {
	dsn := peertest.DSN(peertest.Postgres(t))
	dir := confDir(t, fmt.Sprintf(`{ "server_name": "mail.test", "data_dir": "data", "mail_dir": "mail", "Store": {"postgres": %q} }`, dsn))
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	open := func(dir string) *preferences.Store {
		disk, err := durable.Open(filepath.Dir(dir))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { disk.Close() })
		kept, err := preferences.Open(t.Context(), dir, disk)
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	other := open(filepath.Join(t.TempDir(), "preferences")) // that of another server
	must(t, "the first one", "user", "add", "-c", dir, "--stdin", "ann")
	if _, _, err := seal.EnsureKey(s.SecretKeyFile); err != nil {
		t.Fatal(err)
	}
	open(preferences.Dir(s.DataDir))
	documents, done, err := daemon.OpenDocuments(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	other.Share(documents, nil)
	decide := func(at domains.Address) {
		t.Helper()
		if err := other.Change(t.Context(), at, func(p *preferences.Preferences) error {
			p.Forward = &preferences.Forward{To: at.String() + ".far.test"}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	has := func(at domains.Address, want string) {
		t.Helper()
		if err := other.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		p, err := other.Of(at)
		if is := p != nil && p.Forward.To == want; is != (want != "") || err != nil || want == "" && p != nil {
			t.Errorf("%s has %+v, %v", at, p, err)
		}
	}
	decide("ann@mail.test")
	must(t, "", "user", "rename", "-c", dir, "ann", "eve")
	has("ann@mail.test", "")
	has("eve@mail.test", "ann@mail.test.far.test")
	must(t, "", "user", "remove", "-c", dir, "eve")
	has("eve@mail.test", "")
	decide("bob@mail.test")
	must(t, "the second one", "user", "add", "-c", dir, "--stdin", "bob")
	has("bob@mail.test", "")
}
