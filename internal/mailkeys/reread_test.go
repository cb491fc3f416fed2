package mailkeys

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// TestReadAgain: a file is read again when it is another one, or longer, or newer, whatever else is the same; and only then.
func TestReadAgain(t *testing.T) {
	s, files := open(t)
	const user = "bob@mail.test"
	k := ring(t)
	if err := s.Change(t.Context(), user, func(b *Box) error { b.Keyring = k; return nil }); err != nil {
		t.Fatal(err)
	}
	name, err := files.KeysPath(user)
	if err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sealed := bytes.Replace(made, []byte(`"made"`), []byte(`"sealed"`), 1)
	short := append(bytes.TrimRight(made, "\n"), ' ', ' ') // as long as the other
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	write := func(name string, text []byte, at time.Time) {
		t.Helper()
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	for what, change := range map[string]func(){
		"another file": func() {
			write(name+".new", sealed, at)
			if err := os.Rename(name+".new", name); err != nil {
				t.Fatal(err)
			}
		},
		"longer": func() { write(name, append(bytes.Clone(sealed), ' '), at) },
		"newer":  func() { write(name, sealed, at.Add(time.Second)) },
	} {
		write(name, short, at)
		s := New(files)
		before, err := s.Of(user)
		if again, err2 := s.Of(user); err != nil || err2 != nil || before.State != Made || again != before {
			t.Fatalf("%s: %v, %v; read twice: %v", what, err, err2, again != before)
		}
		change()
		if after, err := s.Of(user); err != nil || after.State != Sealed {
			t.Errorf("%s: %+v, %v", what, after, err)
		}
	}
	if err := s.place.ChangeKeys(t.Context(), user, func([]byte) ([]byte, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Of(user); b != nil || err != nil {
		t.Errorf("removed: %+v, %v", b, err)
	}
}
