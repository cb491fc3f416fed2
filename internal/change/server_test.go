package change

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// running is a server that goes by the settings that it has read last.
type running struct {
	*Server
	dir      string
	settings *conf.Settings
	fails    error // of the next reading
	read     int
}

func run(t *testing.T) *running {
	t.Helper()
	_, dir := folder(t)
	r := &running{dir: dir}
	again := func() error {
		r.read++
		s, err := conf.Load(dir)
		if err == nil && r.fails == nil {
			r.settings = s
		}
		return errors.Join(err, r.fails)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	r.Server = &Server{Configuration: func() string { return dir }, Settings: func() *conf.Settings { return r.settings }, ReadAgain: again}
	return r
}

// TestServerApplies: what is changed is in force, also if who asked for it has gone away.
func TestServerApplies(t *testing.T) {
	r := run(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i, from := range []string{"x@mail.test", "y@mail.test"} { // its own change is no stranger's edit for the next
		if err := r.Apply(ctx, Single(func(s *conf.Settings) (*conf.Edit, error) {
			return s.AddAlias(r.dir, domains.Address(from), []string{"alice@mail.test"})
		})); err != nil || r.read != 2+i || len(r.settings.Aliases) != 3+i {
			t.Fatal(err, r.read, r.settings.Aliases)
		}
	}
	if files, err := r.Unread(); err != nil || len(files) != 0 {
		t.Error(files, err)
	}
}

// TestServerRefuses: nothing is written where it could not come into force, with the reason in words for a page.
func TestServerRefuses(t *testing.T) {
	add := func(r *running) Editor { return addAlias(r.dir, "x@mail.test", "alice@mail.test") }
	tests := map[string]struct {
		before func(r *running)
		edit   func(r *running) Editor
		want   string
		stays  bool // the text is in the files all the same
	}{
		"wrong": {nil, func(r *running) Editor { return addAlias(r.dir, "x@mail.test", "nobody@mail.test") },
			`nothing was changed, as no server would start with that: Aliases."x@mail.test": there is no account and no alias nobody@mail.test`, false},
		"the editor's": {nil, func(*running) Editor {
			return func(*conf.Settings) ([]*conf.Edit, error) { return nil, errors.New("no such account") }
		}, "no such account", false},
		"not told where": {func(r *running) { r.Configuration = func() string { return "" } }, add, "was not told where the files of its settings are", false},
		"edited by hand": {func(r *running) {
			write(t, filepath.Join(r.dir, "b.conf"), town["b.conf"]+"# by hand\n")
		}, add, `somebody has edited b.conf, and this server has not read that yet`, false},
		"a new file": {func(r *running) { write(t, filepath.Join(r.dir, "c.conf"), "{}\n") }, add, `somebody has edited c.conf, and this server`, false},
		"needs a restart": {nil, func(r *running) Editor {
			return Single(func(*conf.Settings) (*conf.Edit, error) {
				text := strings.Replace(town["a.conf"], `"data_dir": "data"`, `"data_dir": "other"`, 1)
				return &conf.Edit{File: filepath.Join(r.dir, "a.conf"), Was: []byte(town["a.conf"]), Text: []byte(text)}, nil
			})
		}, "nothing was changed, as the files have something that cannot come into force", false},
		"not read": {func(r *running) { r.fails = errors.New("the certificate is gone") }, add,
			"it is written into the files, but this server goes on with what it had: the certificate is gone", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := run(t)
			if test.before != nil {
				test.before(r)
			}
			a, b := read(t, filepath.Join(r.dir, "a.conf")), read(t, filepath.Join(r.dir, "b.conf"))
			err := r.Apply(t.Context(), test.edit(r))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
			if is := a+b != read(t, filepath.Join(r.dir, "a.conf"))+read(t, filepath.Join(r.dir, "b.conf")); is != test.stays {
				t.Errorf("written: %v", is)
			}
		})
	}
}

// TestServerUnread: edits by hand are named until the server has read them.
func TestServerUnread(t *testing.T) {
	r := run(t)
	name := filepath.Join(r.dir, "b.conf")
	write(t, name, town["b.conf"]+"# by hand\n")
	if files, err := r.Unread(); err != nil || len(files) != 1 || files[0] != name {
		t.Error(files, err)
	}
	if err := r.Reload(); err != nil {
		t.Error(err)
	}
	if files, err := r.Unread(); err != nil || len(files) != 0 {
		t.Error(files, err)
	}
	write(t, name, "{")
	if _, err := r.Unread(); err == nil {
		t.Error("files that cannot be read are called read")
	}
	r.Configuration = func() string { return "" }
	if files, err := r.Unread(); err != nil || files != nil {
		t.Error(files, err)
	}
}

// TestSuggestionsAreNoProblems: what was wrong already is not the change's doing, though the change gives it another likely name.
func TestSuggestionsAreNoProblems(t *testing.T) {
	f, dir := folder(t)
	write(t, filepath.Join(dir, "b.conf"), `{"Aliases": {"all@mail.test": ["carolin@mail.test"]}}`)
	_, before := conf.Verify(dir, conf.Probes{})
	if _, err := f.Apply(t.Context(), Single(func(s *conf.Settings) (*conf.Edit, error) {
		return s.AddAccount(dir, "caroline@mail.test", conf.Keys{})
	})); err != nil {
		t.Fatal(err)
	}
	_, after := conf.Verify(dir, conf.Probes{})
	if len(before) != 1 || len(after) != 1 || before[0].Error() == after[0].Error() || !strings.Contains(after[0].Error(), "did you mean caroline@mail.test") {
		t.Errorf("%v, then %v: this tests nothing", before, after)
	}
}
