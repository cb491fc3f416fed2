package daemon

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// TestRetireTogether: what belongs to several servers is not put aside by one to which an account is unknown, before all have the settings that this one has.
func TestRetireTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk, err := durable.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	kept, err := preferences.Open(t.Context(), preferences.Dir(dir), disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.Change(t.Context(), "new@mail.test", func(p *preferences.Preferences) error {
		p.Forward = &preferences.Forward{To: "new@far.test"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	d := &Daemon{log: slog.New(slog.DiscardHandler), preferences: kept, together: together{documents: cluster.NewFiles(t.TempDir())}}
	state := func() *state {
		s := &conf.Settings{DataDir: dir}
		return &state{settings: s, dir: accounts.NewDirectory(s)}
	}
	has := func(want bool) {
		t.Helper()
		if p, err := kept.Of("new@mail.test"); (p != nil) != want || err != nil {
			t.Fatalf("%v %v", p, err)
		}
	}
	other, same := []Node{{This: true}, {Differs: []string{"Accounts"}, Silent: true}}, []Node{{This: true}, {}}
	before, st := state(), state()
	d.retirePreferences(st) // nobody was heard of
	has(true)
	if d.agree(st.settings, other) {
		t.Error("they agree")
	}
	d.retirePreferences(st)
	has(true)
	if !d.agree(before.settings, same) || d.agree(before.settings, same) {
		t.Error("that they agree is no news, or is so twice")
	}
	d.retirePreferences(st) // it was read again since
	has(true)
	if !d.agree(st.settings, same) {
		t.Error("they do not agree")
	}
	kept.Share(nowhere{}, nil) // the database fails just then
	d.retirePreferences(st)
	has(true)
	if !d.agree(st.settings, same) {
		t.Error("what could not be put aside is not tried again")
	}
	kept = preferences.Look(preferences.Dir(dir))
	if d.preferences, err = preferences.Open(t.Context(), preferences.Dir(dir), disk); err != nil {
		t.Fatal(err)
	}
	d.retirePreferences(st)
	has(false)
}

// nowhere is a database that does not answer.
type nowhere struct{ cluster.Documents }

func (nowhere) Get(context.Context, string, cluster.Version) ([]byte, cluster.Version, error) {
	return nil, "", errors.New("connection refused")
}
