package preferences

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/domains"
)

const ann = domains.Address("ann@a.test")

func open(t *testing.T, dir string) *Store {
	t.Helper()
	disk, err := durable.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	s, err := Open(t.Context(), Dir(dir), disk)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func forward(to string) func(*Preferences) error {
	return func(p *Preferences) error { p.Forward = &Forward{To: to}; return nil }
}

func (s *Store) forwardOf(t *testing.T, account domains.Address) string {
	t.Helper()
	p, err := s.Of(account)
	if err != nil {
		t.Fatal(err)
	}
	if p == nil || p.Forward == nil {
		return ""
	}
	return p.Forward.To
}

// TestLately: mail goes by what was so a moment ago, and by no older word; what the server itself changes counts at
// once.
func TestLately(t *testing.T) {
	dir := t.TempDir()
	daemon, command := open(t, dir), open(t, dir)
	synctest.Test(t, func(t *testing.T) {
		lately := func(want string) {
			t.Helper()
			p, err := daemon.Lately(ann)
			if err != nil || (p == nil) != (want == "") || p != nil && p.Forward.To != want {
				t.Errorf("%+v, %v, want %q", p, err, want)
			}
		}
		set := func(s *Store, to string) {
			t.Helper()
			if err := s.Change(t.Context(), ann, forward(to)); err != nil {
				t.Fatal(err)
			}
		}
		lately("")
		set(command, "x@b.test")
		lately("")
		time.Sleep(soonEnough - time.Nanosecond)
		lately("")
		time.Sleep(time.Nanosecond)
		lately("x@b.test")
		set(daemon, "y@b.test")
		lately("y@b.test")
		if err := command.Remove(t.Context(), ann); err != nil {
			t.Fatal(err)
		}
		lately("y@b.test")
		time.Sleep(soonEnough)
		lately("")
		set(daemon, "z@b.test")
		lately("z@b.test")
		if err := daemon.Remove(t.Context(), ann); err != nil {
			t.Fatal(err)
		}
		lately("")
		set(daemon, "z@b.test")
		if n, err := daemon.Retire(t.Context(), func(func(domains.Address) bool) {}, nil); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		lately("")
	})
}

// TestBeside: what another process writes, removes and renames counts at once; the files are for nobody else to read.
func TestBeside(t *testing.T) {
	dir := t.TempDir()
	daemon, command := open(t, dir), open(t, dir)
	ctx := t.Context()
	if p, err := daemon.Of(ann); p != nil || err != nil {
		t.Fatal(p, err)
	}
	for i := range 3 {
		to := fmt.Sprint("x@b", i, ".test") // of the same length
		if err := command.Change(ctx, ann, forward(to)); err != nil {
			t.Fatal(err)
		}
		if got := daemon.forwardOf(t, ann); got != to {
			t.Errorf("after change %d: %q", i, got)
		}
	}
	info, err := os.Stat(daemon.file(ann))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	for range 2 { // it may be done again after it was interrupted
		if err := command.Copy(ctx, ann, "bea@a.test"); err != nil || daemon.forwardOf(t, ann) == "" || daemon.forwardOf(t, "bea@a.test") == "" {
			t.Error("copied:", err, daemon.forwardOf(t, ann), daemon.forwardOf(t, "bea@a.test"))
		}
	}
	if n, err := daemon.Retire(ctx, slices.Values([]domains.Address{"bea@a.test", "carl@a.test"}), nil); n != 1 || err != nil || daemon.forwardOf(t, ann) != "" || daemon.forwardOf(t, "bea@a.test") == "" {
		t.Error("put aside:", n, err)
	}
	if err := command.Copy(ctx, ann, "carl@a.test"); err != nil || daemon.forwardOf(t, "carl@a.test") == "" {
		t.Error("copied of what was put aside:", err)
	}
	for _, gone := range []domains.Address{ann, "carl@a.test"} {
		if err := command.Remove(ctx, gone); err != nil {
			t.Error(err)
		}
	}
	if _, err := daemon.Note(ctx, "bea@a.test", "x@b.test", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := command.Remove(ctx, "bea@a.test"); err != nil || daemon.forwardOf(t, "bea@a.test") != "" {
		t.Error("removed:", err)
	}
	if left, err := os.ReadDir(Dir(dir)); err != nil || len(left) != 0 {
		t.Error("left behind:", left, err)
	}
	if err := command.Remove(ctx, "nobody@a.test"); err != nil {
		t.Error(err)
	}
}

// TestNothingLeft: who has decided nothing any more has no file.
func TestNothingLeft(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Change(t.Context(), ann, forward("x@b.test")); err != nil {
		t.Fatal(err)
	}
	if err := s.Change(t.Context(), ann, func(p *Preferences) error { p.Forward = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.file(ann)); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestUnreadable: a file that is damaged, or another account's, is an error and not "nothing decided", and is never overwritten.
func TestUnreadable(t *testing.T) {
	for _, text := range []string{"", "{", `{"account": "bea@a.test"}`, `[]`} {
		s := open(t, t.TempDir())
		if err := os.WriteFile(s.file(ann), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := s.Of(ann); err == nil {
			t.Errorf("%q: %v", text, p)
		}
		if err := s.Change(t.Context(), ann, forward("x@b.test")); err == nil {
			t.Errorf("%q was overwritten", text)
		}
		if left, _ := os.ReadFile(s.file(ann)); string(left) != text {
			t.Errorf("%q became %q", text, left)
		}
	}
}

// TestBounds: what is kept for an account has an end.
func TestBounds(t *testing.T) {
	s := open(t, t.TempDir())
	long := strings.Repeat("ö", MostText)
	if err := s.Change(t.Context(), ann, func(p *Preferences) error {
		for i := range MostApps {
			if _, _, err := p.NewApp(Device{Name: fmt.Sprintf("%02d%s", i, strings.Repeat("ö", MostName-2))}, time.Now()); err != nil {
				return err
			}
		}
		p.Absence = &Absence{Text: long, Subject: long[:2*MostSubject], From: "2030-01-02", Until: "2030-01-02"}
		return nil
	}); err != nil {
		t.Fatal("all of it:", err)
	}
	for name, change := range map[string]func(p *Preferences) error{
		"one more app": func(p *Preferences) error { _, _, err := p.NewApp(Device{Name: "x"}, time.Now()); return err },
		"long text":    func(p *Preferences) error { p.Absence = &Absence{Text: long + "x"}; return nil },
		"no text":      func(p *Preferences) error { p.Absence = &Absence{Text: "\r\n "}; return nil },
		"NUL":          func(p *Preferences) error { p.Absence = &Absence{Text: "a\x00"}; return nil },
		"two subjects": func(p *Preferences) error { p.Absence = &Absence{Text: "a", Subject: "a\r\nBcc: b"}; return nil },
		"no day":       func(p *Preferences) error { p.Absence = &Absence{Text: "a", From: "2030-02-30"}; return nil },
		"backwards": func(p *Preferences) error {
			p.Absence = &Absence{Text: "a", From: "2030-02-03", Until: "2030-02-02"}
			return nil
		},
		"nowhere":       func(p *Preferences) error { p.Forward = &Forward{}; return nil },
		"nowhere later": func(p *Preferences) error { p.Pending = &Pending{}; return nil },
		"far too far":   func(p *Preferences) error { p.Forward = &Forward{To: strings.Repeat("a", 321)}; return nil },
		"a blank device": func(p *Preferences) error {
			p.Apps = p.Apps[:1]
			_, _, err := p.NewApp(Device{Name: " "}, time.Now())
			return err
		},
		"a day that has passed": func(p *Preferences) error {
			p.Apps = p.Apps[:1]
			_, _, err := p.NewApp(Device{Name: "x", Until: "2001-01-01"}, time.Now())
			return err
		},
		"a day that is none": func(p *Preferences) error {
			p.Apps = p.Apps[:1]
			_, _, err := p.NewApp(Device{Name: "x", Until: "soon"}, time.Now())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := os.ReadFile(s.file(ann))
			if err := s.Change(t.Context(), ann, change); err == nil {
				t.Error(err)
			}
			if after, _ := os.ReadFile(s.file(ann)); string(after) != string(before) {
				t.Error("something was kept of it")
			}
		})
	}
}

// TestApps: an app password is found by itself alone, is not in the file, and is gone when it is revoked.
func TestApps(t *testing.T) {
	s := open(t, t.TempDir())
	var made []string
	for _, name := range []string{"phone", "laptop"} {
		if err := s.Change(t.Context(), ann, func(p *Preferences) error {
			password, _, err := p.NewApp(Device{Name: name}, time.Now())
			made = append(made, password)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Change(t.Context(), ann, func(p *Preferences) error { _, _, err := p.NewApp(Device{Name: " Phone "}, time.Now()); return err }); !errors.Is(err, ErrSameName) {
		t.Error("the same name:", err)
	}
	p, err := s.Of(ann)
	if err != nil || len(made[0]) != appLength || made[0] == made[1] {
		t.Fatal(err, made)
	}
	for i, name := range []string{"phone", "laptop"} {
		if a := p.Find([]byte(made[i]), time.Now()); a == nil || a.Name != name {
			t.Error(name, a)
		}
	}
	for _, wrong := range []string{"", made[0][1:], made[0] + "a", strings.ToUpper(made[0]), strings.Repeat("a", appLength)} {
		if a := p.Find([]byte(wrong), time.Now()); a != nil {
			t.Errorf("%q is %s", wrong, a.Name)
		}
	}
	if (*Preferences)(nil).Find([]byte(made[0]), time.Now()) != nil {
		t.Error("found where nothing is")
	}
	if text, _ := os.ReadFile(s.file(ann)); strings.Contains(string(text), made[0]) {
		t.Error("it stands in the file")
	}
	if err := s.Change(t.Context(), ann, func(p *Preferences) error {
		if p.Revoke("none") != "" || p.Revoke(p.Apps[0].ID) != "phone" {
			t.Error("revoked another one")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if p, _ := s.Of(ann); p.Find([]byte(made[0]), time.Now()) != nil || p.Find([]byte(made[1]), time.Now()) == nil {
		t.Error("revoked, and works; or the other way round")
	}
}

// TestConfirm: mail goes on once the code is told, which is good for a day and five tries.
func TestConfirm(t *testing.T) {
	now := time.Now()
	p := &Preferences{Account: ann, Key: make([]byte, 32), Forward: &Forward{To: "old@b.test"}}
	code := p.Ask("new@b.test", true, now)
	if p.Forward.To != "old@b.test" {
		t.Error("it goes there already")
	}
	other := p.Ask("other@b.test", true, now)
	if err := p.Confirm(code, now); err != ErrWrongCode || p.Forward.To != "old@b.test" {
		t.Error("a code for another address:", err)
	}
	if err := p.Confirm(" "+strings.ToUpper(other), now); err != nil || p.Forward.To != "other@b.test" || !p.Forward.Keep || p.Pending != nil {
		t.Error(err, p.Forward)
	}
	if err := p.Confirm(other, now); err != ErrNoCode {
		t.Error("twice:", err)
	}
	code = p.Ask("new@b.test", true, now)
	if err := p.Confirm(code, now.Add(codeLife+time.Minute)); err != ErrNoCode {
		t.Error("late:", err)
	}
	code = p.Ask("new@b.test", true, now)
	for range mostTries {
		if err := p.Confirm("x", now); err != ErrWrongCode {
			t.Error(err)
		}
	}
	if err := p.Confirm(code, now); err != ErrNoCode || p.Forward.To != "other@b.test" {
		t.Error("after too many:", err)
	}
}

// TestActive: the last day counts to its end, where the server is.
func TestActive(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	a := &Absence{Text: "away", From: "2026-12-20", Until: "2026-12-24"}
	for text, want := range map[string]bool{
		"2026-12-19 23:59": false, "2026-12-20 00:00": true, "2026-12-24 23:59": true, "2026-12-25 00:00": false,
	} {
		at, err := time.ParseInLocation("2006-01-02 15:04", text, berlin)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Active(at); got != want || a.Over(at) != (text == "2026-12-25 00:00") {
			t.Error(text, got, a.Over(at))
		}
	}
	if !(&Absence{Text: "x"}).Active(time.Now()) || (*Absence)(nil).Active(time.Now()) {
		t.Error("without days")
	}
}

// TestNote: once a week for each sender, a hundred a day, over a restart; and nothing of who it was in the file.
func TestNote(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	ctx, now := t.Context(), time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	note := func(sender string, at time.Time, want Answer) {
		t.Helper()
		if got, err := s.Note(ctx, ann, domains.Address(sender), at); got != want || err != nil {
			t.Errorf("%s at %s: %v %v", sender, at, got, err)
		}
	}
	note("bob@b.test", now, First)
	s = open(t, dir)
	note("bob@b.test", now, Again)
	note("bob@b.test", now.Add(Once-time.Second), Again)
	note("bob@b.test", now.Add(Once), First)
	if text, _ := os.ReadFile(s.answers(ann)); len(text) == 0 || strings.Contains(string(text), "bob") {
		t.Errorf("%s", text)
	}
	if err := s.Unnote(ctx, ann, "bob@b.test"); err != nil {
		t.Fatal(err)
	}
	note("bob@b.test", now.Add(Once), First)
	note("bob@b.test", now.Add(Once-2*time.Hour), First) // the clock was set back
	if err := s.Forget(ctx, ann); err != nil {
		t.Fatal(err)
	}
	note("bob@b.test", now.Add(Once-2*time.Hour), First)
	if err := s.Forget(ctx, ann); err != nil {
		t.Fatal(err)
	}
	for i := range answersADay {
		note(fmt.Sprint(i, "@b.test"), now, First)
	}
	note("more@b.test", now, TooMany)
	note("0@b.test", now, Again)
	note("more@b.test", now.Add(24*time.Hour), First)
	if err := os.WriteFile(s.answers(ann), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Note(ctx, ann, "x@b.test", now); err == nil || got == First {
		t.Error("an answer though nobody knows who had one:", got, err)
	}
}

// TestCrash cuts the power after every step: what was acknowledged is there, and what is there is whole.
func TestCrash(t *testing.T) {
	root := t.TempDir()
	r, err := crashtest.NewRecorder(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	disk := durable.New(r)
	ctx := context.Background()
	s, err := Open(ctx, filepath.Join(root, "preferences"), disk)
	if err != nil {
		t.Fatal(err)
	}
	r.Mark("opened")
	now := time.Now()
	for _, to := range []string{"one@b.test", "two@b.test"} {
		if err := s.Change(ctx, ann, forward(to)); err != nil {
			t.Fatal(err)
		}
		r.Mark(to)
		if _, err := s.Note(ctx, ann, domains.Address(to), now); err != nil {
			t.Fatal(err)
		}
		r.Mark("noted " + to)
	}
	r.Mark("removing")
	if err := s.Remove(ctx, ann); err != nil {
		t.Fatal(err)
	}
	r.Mark("removed")
	scratch := crashtest.Scratch(t)
	for n := 0; n <= r.Len(); n++ {
		for _, how := range crashtest.Outcomes(1) {
			dir := filepath.Join(scratch, "disk")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := r.Crash(root, n, how, dir); err != nil {
				t.Fatal(err)
			}
			if err := checkCrashed(dir, r.Marks(n), now); err != nil {
				t.Fatalf("crash after step %d, %s: %v", n, how.Name, err)
			}
			os.RemoveAll(dir)
		}
	}
}

func checkCrashed(dir string, marks []string, now time.Time) error {
	after := Look(filepath.Join(dir, "preferences"))
	p, err := after.Of(ann)
	if err != nil {
		return err
	}
	is := ""
	if p != nil {
		is = p.Forward.To
	}
	has := func(mark string) bool { return slices.Contains(marks, mark) }
	switch {
	case has("removed") && is != "":
		return errors.New("removed and there")
	case has("removing"):
	case has("two@b.test") && is != "two@b.test", has("one@b.test") && is == "":
		return fmt.Errorf("it is %q", is)
	}
	answered, err := after.readAnswers(ann)
	if err != nil {
		return err
	}
	for _, to := range []string{"one@b.test", "two@b.test"} {
		if _, is := answered.Senders[senderKey(ann, domains.Address(to))]; has("noted "+to) && !has("removing") && !is {
			return fmt.Errorf("%s would be answered again", to)
		}
	}
	return nil
}

// TestOwnKeys: the sums of one user's passwords say nothing of another's, nor of what was before he began anew; and they stay his.
func TestOwnKeys(t *testing.T) {
	s := open(t, t.TempDir())
	seen := map[string]bool{string(make([]byte, 32)): true}
	for range 2 {
		for _, account := range []domains.Address{ann, "bob@a.test"} {
			for i := range 2 {
				if err := s.Change(t.Context(), account, forward("x@b.test")); err != nil {
					t.Fatal(err)
				}
				p, err := s.Of(account)
				if err != nil || len(p.Key) != 32 || seen[string(p.Key)] != (i == 1) {
					t.Fatal(p, err)
				}
				seen[string(p.Key)] = true
			}
			if err := s.Remove(t.Context(), account); err != nil {
				t.Fatal(err)
			}
			if p, err := s.Of(account); p != nil || err != nil {
				t.Error(p, err)
			}
		}
	}
	if len(s.held) != 0 {
		t.Errorf("%d are held in memory that are gone", len(s.held))
	}
}
