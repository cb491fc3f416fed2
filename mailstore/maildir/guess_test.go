package maildir_test

import (
	"context"
	"os"
	"testing"
)

// TestUnreadableWhenListed: a message that could not be opened while it was
// listed has a guess for its size. As soon as it can be opened it goes out with
// CRLF like any other, and the next list has its size.
func TestUnreadableWhenListed(t *testing.T) {
	if asNobody(t) {
		return
	}
	const stored, sent = "Subject: x\n\nhello\n", "Subject: x\r\n\r\nhello\r\n"
	for _, first := range []string{"read", "list"} {
		s := open(t, t.TempDir())
		path := plant(t, s, "new", "1.foreign", stored)
		plant(t, s, "new", "2.foreign", stored)
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		m := drop(t, s, who)
		if r, err := m.Open(context.Background(), 0); err == nil {
			r.Close()
			t.Fatal("what cannot be read is given out")
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if first == "read" {
			if got := read(t, m, 0); got != sent {
				t.Errorf("same session: %q, size %d", got, m.Size(0))
			}
		}
		uid := m.UID(0)
		m.Close()
		for range 2 {
			m = drop(t, s, who)
			if m.Len() != 2 || m.Size(0) != int64(len(sent)) || m.UID(0) != uid {
				t.Errorf("%s first: next session: %d messages, %d octets, id %s, want %d and %s", first, m.Len(), m.Size(0), m.UID(0), len(sent), uid)
			}
			if got := read(t, m, 0); got != sent {
				t.Errorf("%s first: next session: %q", first, got)
			}
			m.Close()
		}
		if use, err := s.Usage(context.Background(), who); err != nil || use.Octets != int64(2*len(sent)) {
			t.Errorf("%s first: usage %+v, %v", first, use, err)
		}
	}
}
