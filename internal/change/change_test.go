package change

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// town is a configuration in two files, which have comments.
var town = map[string]string{
	"a.conf": `{
	"server_name": "mail.test", // ours
	"data_dir": "data",
	"Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}],
	"Accounts": {"alice@mail.test": {}, /* the boss */ "bob@mail.test": {}},
	"Aliases": {"sales@mail.test": "bob@mail.test"}
}
`,
	"b.conf": `{"Aliases": {"all@mail.test": ["alice@mail.test", "bob@mail.test"]}} // everybody
`,
}

func folder(t *testing.T) (Files, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range town {
		write(t, filepath.Join(dir, name), text)
	}
	return Files{Path: dir}, dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// untouched fails if a folder holds anything but what it began with.
func untouched(t *testing.T, dir string, but map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		want, ok := but[e.Name()]
		if !ok {
			want, ok = town[e.Name()]
		}
		if !ok || read(t, filepath.Join(dir, e.Name())) != want {
			t.Errorf("%s is not what it was", e.Name())
		}
	}
}

// addAlias is an editor of a.conf.
func addAlias(dir string, from domains.Address, to string) Editor {
	return Single(func(s *conf.Settings) (*conf.Edit, error) { return s.AddAlias(dir, from, []string{to}) })
}

// both edits both files.
func both(s *conf.Settings) ([]*conf.Edit, error) {
	return s.RenameAccount("bob@mail.test", "robert@mail.test", nil)
}

func TestApply(t *testing.T) {
	f, dir := folder(t)
	names, err := f.Apply(t.Context(), both)
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	a, b := read(t, filepath.Join(dir, "a.conf")), read(t, filepath.Join(dir, "b.conf"))
	for _, want := range []string{"// ours", "/* the boss */", `"sales@mail.test": "robert@mail.test"`} {
		if !strings.Contains(a, want) {
			t.Errorf("no %s in\n%s", want, a)
		}
	}
	if !strings.Contains(b, "robert@mail.test") || !strings.Contains(b, "// everybody") {
		t.Error(b)
	}
	untouched(t, dir, map[string]string{"a.conf": a, "b.conf": b})
	if names, err := f.Apply(t.Context(), func(*conf.Settings) ([]*conf.Edit, error) { return nil, nil }); err != nil || len(names) != 0 {
		t.Error("without edits:", names, err)
	}
}

// TestWrongEdit: what would be wrong is refused before anything is written, with the reason; what was wrong before is
// nobody's business.
func TestWrongEdit(t *testing.T) {
	f, dir := folder(t)
	_, err := f.Apply(t.Context(), addAlias(dir, "x@mail.test", "nobody@mail.test"))
	var refused *Refused
	if !errors.As(err, &refused) || len(refused.Problems) != 1 || !strings.Contains(err.Error(), "nothing was changed") {
		t.Fatal(err)
	}
	if r := refused.Reasons()[0]; !strings.Contains(r, "there is no account and no alias nobody@mail.test") || strings.Contains(r, "a.conf:") {
		t.Error(r)
	}
	_, err = f.Apply(t.Context(), func(s *conf.Settings) ([]*conf.Edit, error) { return s.RemoveAccount("bob@mail.test") })
	if !errors.As(err, &refused) || len(refused.Problems) != 2 {
		t.Error("an account that aliases lead to:", err)
	}
	want := errors.New("no")
	if _, err := f.Apply(t.Context(), func(*conf.Settings) ([]*conf.Edit, error) { return nil, want }); !errors.Is(err, want) {
		t.Error(err)
	}
	broken := func(s *conf.Settings) ([]*conf.Edit, error) {
		edits, err := both(s)
		edits[1].Text = []byte("{")
		return edits, err
	}
	if _, err := f.Apply(t.Context(), broken); !errors.As(err, &refused) {
		t.Error("a text that is none:", err)
	}
	untouched(t, dir, nil)

	wrong := strings.Replace(town["b.conf"], "{", `{"postmaster": "none", `, 1)
	write(t, filepath.Join(dir, "b.conf"), wrong)
	if _, err := f.Apply(t.Context(), addAlias(dir, "x@mail.test", "alice@mail.test")); err != nil {
		t.Error("what is wrong already is in the way:", err)
	}
	if is := read(t, filepath.Join(dir, "b.conf")); !strings.Contains(is, `"postmaster": "none"`) || !strings.Contains(is, "x@mail.test") {
		t.Error(is)
	}
	untouched(t, dir, map[string]string{"b.conf": read(t, filepath.Join(dir, "b.conf"))})
}

// TestTwoEditors: both changes count, however they fall together.
func TestTwoEditors(t *testing.T) {
	f, dir := folder(t)
	var all sync.WaitGroup
	const each = 10
	for who := range 3 {
		all.Go(func() {
			for i := range each {
				if _, err := f.Apply(t.Context(), addAlias(dir, domains.Address(fmt.Sprintf("x%d-%d@mail.test", who, i)), "alice@mail.test")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	s, err := conf.Load(dir)
	if err != nil || len(s.Aliases) != 3*each+2 {
		t.Error(len(s.Aliases), err)
	}
}

// TestHandEdit: what somebody writes between reading and replacing stays, and the change that comes
// second is told; that of several files leaves none of them changed.
func TestHandEdit(t *testing.T) {
	hand := "{\"Aliases\": {\"all@mail.test\": \"alice@mail.test\"}} // by hand\n"
	// In how many ways a file is written, and when: while edits are made, or right before a file is replaced.
	ways := map[string]func(t *testing.T, name string){
		"in place": func(t *testing.T, name string) { write(t, name, hand) },
		"renamed over": func(t *testing.T, name string) {
			write(t, name+"~", hand)
			if err := os.Rename(name+"~", name); err != nil {
				t.Fatal(err)
			}
		},
	}
	for way, edit := range ways {
		t.Run(way, func(t *testing.T) {
			steps := 0
			f, _ := folder(t)
			f.step = func() { steps++ }
			if _, err := f.Apply(t.Context(), both); err != nil {
				t.Fatal(err)
			}
			for at := range steps + 1 {
				f, dir := folder(t)
				n, b := 0, filepath.Join(dir, "b.conf")
				f.step = func() {
					if n++; n == at {
						edit(t, b)
					}
				}
				_, err := f.Apply(t.Context(), func(s *conf.Settings) ([]*conf.Edit, error) {
					if at == 0 {
						edit(t, b)
					}
					return both(s)
				})
				switch {
				case errors.Is(err, ErrChanged):
					untouched(t, dir, map[string]string{"b.conf": hand})
					if !strings.Contains(err.Error(), "b.conf was changed by somebody else") {
						t.Error(err)
					}
				case err != nil:
					t.Errorf("step %d: %v", at, err)
				case at < steps-3: // the last ones are after the exchange
					t.Errorf("step %d of %d: what was written by hand is lost: %s", at, steps, read(t, b))
				}
			}
		})
	}
}

// TestHandEditOfNew: a file that is to be new, and is there meanwhile.
func TestHandEditOfNew(t *testing.T) {
	f, dir := folder(t)
	hand := `{"Domains": {"hand.test": {}}}`
	add := Single(func(s *conf.Settings) (*conf.Edit, error) { return s.AddDomain(dir, "new.test") })
	_, err := f.Apply(t.Context(), func(s *conf.Settings) ([]*conf.Edit, error) {
		edits, err := add(s)
		write(t, filepath.Join(dir, "domains.conf"), hand)
		return edits, err
	})
	if !errors.Is(err, ErrChanged) {
		t.Error(err)
	}
	untouched(t, dir, map[string]string{"domains.conf": hand})
	if _, err := f.Apply(t.Context(), add); err != nil {
		t.Error("again:", err)
	}
	if _, err := f.Apply(t.Context(), func(s *conf.Settings) ([]*conf.Edit, error) {
		edits, err := s.RemoveDomain("new.test")
		os.Remove(filepath.Join(dir, "domains.conf"))
		return edits, err
	}); !errors.Is(err, ErrChanged) {
		t.Error("a file that is gone:", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "domains.conf")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it is back:", err)
	}
}

// TestUnwritable: who made a file read-only meant it, and of several files none is changed then.
func TestUnwritable(t *testing.T) {
	f, dir := folder(t)
	if err := os.Chmod(filepath.Join(dir, "b.conf"), 0o400); err != nil {
		t.Fatal(err)
	}
	_, err := f.Apply(t.Context(), both)
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "b.conf is not changed") {
		t.Error(err)
	}
	untouched(t, dir, nil)
	if os.Getuid() == 0 {
		return // who may write into every folder
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if _, err := f.Apply(t.Context(), addAlias(dir, "x@mail.test", "alice@mail.test")); !errors.Is(err, fs.ErrPermission) {
		t.Error("a folder that nothing can be written to:", err)
	}
	untouched(t, dir, nil)
}

// TestLook: the new text has the mode and the owner of the old one; with secrets it is closed. A link stays one.
func TestLook(t *testing.T) {
	f, dir := folder(t)
	name := filepath.Join(dir, "a.conf")
	elsewhere := filepath.Join(t.TempDir(), "real")
	if err := errors.Join(os.Rename(name, elsewhere), os.Symlink(elsewhere, name), os.Chmod(elsewhere, 0o640)); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(elsewhere, 4711, 4712); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := os.Stat(elsewhere)
	mode := func() fs.FileMode {
		info, err := os.Stat(elsewhere)
		if err != nil {
			t.Fatal(err)
		}
		if ownerOf(info) != ownerOf(before) {
			t.Errorf("the owner is %v, was %v", ownerOf(info), ownerOf(before))
		}
		return info.Mode().Perm()
	}
	if _, err := f.Apply(t.Context(), addAlias(dir, "x@mail.test", "alice@mail.test")); err != nil || mode() != 0o640 {
		t.Errorf("mode %04o, %v", mode(), err)
	}
	if l, err := os.Readlink(name); err != nil || l != elsewhere {
		t.Error("the link is none any more:", l, err)
	}
	hash := "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
	set := Single(func(s *conf.Settings) (*conf.Edit, error) {
		return s.SetKeys("alice@mail.test", conf.Keys{Password: hash})
	})
	if _, err := f.Apply(t.Context(), set); err != nil || mode() != 0o600 {
		t.Errorf("with a secret: mode %04o, %v", mode(), err)
	}
	if _, err := f.Apply(t.Context(), Single(func(s *conf.Settings) (*conf.Edit, error) { return s.AddDomain(dir, "new.test") })); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "domains.conf")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("a new file:", info, err)
	}
}

// TestSwapByLink: where the file system cannot exchange names.
func TestSwapByLink(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, "1")
	write(t, b, "2")
	write(t, a+".old", "from a crash")
	if err := swapByLink(a, b); err != nil || read(t, a) != "2" || read(t, b) != "1" {
		t.Error(err, read(t, a), read(t, b))
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Error("something is left:", entries)
	}
}

// TestLayoutStays: after many changes of files with comments and odd spacing, every line that none of them was about is as it was, and in
// its order.
func TestLayoutStays(t *testing.T) {
	dir := t.TempDir()
	odd := map[string]string{
		"10-server.conf": "# the server\n{\n\t\"server_name\" :  \"mail.test\" ,   // its name\n  \"data_dir\":\"data\",\n\n\n\t\"Listeners\": [ {\"address\": \"127.0.0.1:0\", \"protocol\": \"smtp\"}, ],\n}\n/* the end */\n",
		"20-domains.conf": "{ // who we are\n\"Domains\": {\n      \"town.test\": {   /* the town */\n  \"Accounts\": {\n        # in order of age\n    \"ann\": {\"quota\": \"1GB\"}, // first\n  \"ben\":   {\n" +
			"\t\"addresses\": [ \"ann@town.test\" ],  # her letters\n },\n   \"cyd\": {}, },\n\t\"Aliases\": {\n\"info\": [\"ann\",   \"ben\"], /* both */\n  \"shop\": \"cyd\"\n}, }, \"village.test\": {}, // small\n} }\n",
		"30-more.conf": "{\n# accounts elsewhere\n\"Accounts\": { \"dan@hamlet.test\": {  \"deletion\": \"trash\"  } },\n\"Aliases\": { \"*@hamlet.test\": \"dan@hamlet.test\" } // all\n}",
	}
	for name, text := range odd {
		write(t, filepath.Join(dir, name), text)
	}
	f := Files{Path: dir}
	single := func(e *conf.Edit, err error) ([]*conf.Edit, error) {
		if err != nil {
			return nil, err
		}
		return []*conf.Edit{e}, nil
	}
	for i, edit := range []Editor{
		func(s *conf.Settings) ([]*conf.Edit, error) {
			return single(s.AddAccount(dir, "eve@town.test", conf.Keys{}))
		},
		func(s *conf.Settings) ([]*conf.Edit, error) {
			return single(s.AddAccount(dir, "fay@hamlet.test", conf.Keys{}))
		},
		func(s *conf.Settings) ([]*conf.Edit, error) { return single(s.SetQuota("eve@town.test", 5e9)) },
		func(s *conf.Settings) ([]*conf.Edit, error) {
			return single(s.SetQuota("cyd@town.test", conf.Unlimited))
		},
		func(s *conf.Settings) ([]*conf.Edit, error) { return single(s.SetQuota("cyd@town.test", 0)) },
		func(s *conf.Settings) ([]*conf.Edit, error) { return single(s.SetDisabled("ben@town.test", true)) },
		func(s *conf.Settings) ([]*conf.Edit, error) { return single(s.SetDisabled("ben@town.test", false)) },
		func(s *conf.Settings) ([]*conf.Edit, error) { return single(s.SetDisabled("dan@hamlet.test", true)) },
		func(s *conf.Settings) ([]*conf.Edit, error) { return single(s.SetDisabled("dan@hamlet.test", false)) },
		func(s *conf.Settings) ([]*conf.Edit, error) { return single(s.AddDomain(dir, "field.test")) },
		func(s *conf.Settings) ([]*conf.Edit, error) {
			return single(s.SetDomainDisabled(dir, "field.test", true))
		},
		func(s *conf.Settings) ([]*conf.Edit, error) { return s.RemoveDomain("field.test") },
		func(s *conf.Settings) ([]*conf.Edit, error) {
			return single(s.AddAlias(dir, "new@town.test", []string{"ann@town.test"}))
		},
		func(s *conf.Settings) ([]*conf.Edit, error) {
			return single(s.SetAlias(dir, "new@town.test", []string{"ben@town.test"}))
		},
		func(s *conf.Settings) ([]*conf.Edit, error) {
			return single(s.AddAlias(dir, "new@town.test", []string{"x@village.test", "cyd@town.test"}[1:]))
		},
		func(s *conf.Settings) ([]*conf.Edit, error) {
			return s.RemoveAlias("new@town.test", []string{"ben@town.test"})
		},
		func(s *conf.Settings) ([]*conf.Edit, error) { return s.RemoveAlias("new@town.test", nil) },
		func(s *conf.Settings) ([]*conf.Edit, error) { return s.RemoveAccount("eve@town.test") },
		func(s *conf.Settings) ([]*conf.Edit, error) { return s.RemoveAccount("fay@hamlet.test") },
		func(s *conf.Settings) ([]*conf.Edit, error) {
			return single(s.AddAlias(dir, "x@village.test", []string{"ann@town.test"}))
		},
	} {
		if _, err := f.Apply(t.Context(), edit); err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	for name, was := range odd {
		is := strings.Split(read(t, filepath.Join(dir, name)), "\n")
		for _, line := range strings.Split(was, "\n") {
			if strings.Contains(line, "cyd") || strings.Contains(line, "dan@") || strings.Contains(line, "village") {
				continue // what was changed
			}
			at := -1
			for i, l := range is {
				if l == line {
					at = i
					break
				}
			}
			if at < 0 {
				t.Errorf("%s: %q is gone or in another place:\n%s", name, line, read(t, filepath.Join(dir, name)))
				break
			}
			is = is[at+1:]
		}
	}
}

func ownerOf(info fs.FileInfo) [2]int {
	uid, gid, _ := sys.Owner(info)
	return [2]int{uid, gid}
}
