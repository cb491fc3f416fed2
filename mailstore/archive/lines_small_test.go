package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
)

// TestReturnPath: who stands in the From_ line: what the first Return-Path says, if a line of that form can hold it.
func TestReturnPath(t *testing.T) {
	for head, want := range map[string]string{
		"Return-Path: <a@b.test>\r\nX: y\r\n\r\n": "a@b.test", "return-path:a@b.test\n\n": "a@b.test", "Return-Path: <>\r\n\r\n": "MAILER-DAEMON",
		"Return-Path: <\"a b\"@c.test>\r\n\r\n": "MAILER-DAEMON", "Return-Path: <a\tb@c.test>\r\n\r\n": "MAILER-DAEMON", "Return-Path: <a\x00b@c.test>\r\n\r\n": "MAILER-DAEMON",
		"X: y\r\n\r\nReturn-Path: <a@b.test>\r\n": "MAILER-DAEMON", "": "MAILER-DAEMON", "no field\nReturn-Path: <a@b.test>\n\n": "a@b.test",
	} {
		if got := returnPath([]byte(head)); got != want {
			t.Errorf("%q: %s, want %s", head, got, want)
		}
	}
}

// TestFieldFollows: whether a line looks like a field of a header, which makes a From_ line without a date a doubt.
func TestFieldFollows(t *testing.T) {
	for line, want := range map[string]bool{
		"Subject: x\n": true, "X-Y:z": true, ": x": false, "Sub ject: x": false, "Sübject: x": false, "Sub\x7fject: x": false, "": false, "word": false, "\n": false,
		strings.Repeat("a", 254) + ": x": true, strings.Repeat("a", 256) + ": x": false,
	} {
		m := &mbox{r: bufio.NewReaderSize(strings.NewReader(line), 4096)}
		if m.fieldFollows() != want {
			t.Errorf("%.20q (%d octets): %v", line, len(line), !want)
		}
	}
}

// TestCreateNew: what somebody else has put there, a link too, is not written to; and what cannot be made is an error.
func TestCreateNew(t *testing.T) {
	dir := t.TempDir()
	victim, name := filepath.Join(dir, "victim"), filepath.Join(dir, "name")
	if err := errors.Join(os.WriteFile(victim, []byte("kept"), 0o666), os.Symlink(victim, name)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f, err := createNew(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, "written")
		f.Close()
		if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if text, _ := os.ReadFile(victim); string(text) != "kept" {
		t.Errorf("written through a link: %q", text)
	}
	if f, err := createNew(filepath.Join(dir, "none", "name")); !errors.Is(err, fs.ErrNotExist) || f != nil {
		t.Errorf("in a folder that is not there: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "full", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if f, err := createNew(filepath.Join(dir, "full")); err == nil || f != nil {
		t.Error("a folder was replaced")
	}
}

// TestUnreadable: that a message is gone is no failure to read it.
func TestUnreadable(t *testing.T) {
	var read readError
	if err := unreadable(fmt.Errorf("message 3: %w", mailstore.ErrGone)); errors.As(err, &read) || !errors.Is(err, mailstore.ErrGone) {
		t.Errorf("gone: %v", err)
	}
	if err := unreadable(mailstore.ErrUnavailable); !errors.As(err, &read) || !errors.Is(err, mailstore.ErrUnavailable) {
		t.Errorf("unavailable: %v", err)
	}
}
