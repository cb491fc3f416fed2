package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestUnread: a file that is changed, new or gone is known, and one that was only touched is none.
func TestUnread(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func() *Settings {
		t.Helper()
		s, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	write("a.conf", `{"server_name": "mail.test"}`)
	write("b.conf", `{}`)
	write("c.conf", `{}`)
	before := read()
	write("a.conf", `{"server_name": "mail.test"}`)
	if got := before.Unread(read()); len(got) != 0 {
		t.Error("nothing has changed:", got)
	}
	write("b.conf", `{} // a comment`)
	write("d.conf", `{}`)
	if err := os.Remove(filepath.Join(dir, "c.conf")); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range before.Unread(read()) {
		names = append(names, filepath.Base(name))
	}
	if fmt.Sprint(names) != "[b.conf c.conf d.conf]" {
		t.Error(names)
	}
	if got := New().Unread(New()); len(got) != 0 {
		t.Error("settings made in code:", got)
	}
}
