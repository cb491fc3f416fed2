package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
)

// TestPurgeAndRename: a mailbox is deleted, takes another name, or joins one that is there, with its folders and ids; never one that is open.
func TestPurgeAndRename(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	s := open(t, dsn)
	large := strings.Repeat("0123456789abcde\r\n", 20_000)
	for _, user := range []string{ann, ben} {
		for i := range 4 {
			if err := deliver(t.Context(), s, fmt.Sprint(user, i, "\r\n"), user); err != nil {
				t.Fatal(err)
			}
		}
		m, err := s.Open(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		k := m.(mailstore.Keeper)
		if err := errors.Join(k.Move(t.Context(), []int{0}, "Trash"), k.Move(t.Context(), []int{1}, user[:3]), m.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := deliver(t.Context(), s, large, ann, ben); err != nil {
		t.Fatal(err)
	}
	m, err := s.Open(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	uid := m.UID(0)
	for what, err := range map[string]error{"rename": s.Rename(t.Context(), ann, "new@example.net"), "purge": s.Purge(t.Context(), ann)} {
		if !errors.Is(err, mailstore.ErrLocked) {
			t.Errorf("%s of one that is open: %v", what, err)
		}
	}
	m.Close()
	if err := errors.Join(s.Rename(t.Context(), ann, "New@example.net"), s.Rename(t.Context(), "nobody@example.org", ann), s.Purge(t.Context(), "nobody@example.org")); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s, "new@example.net"); len(got) != 3 || got[large] != 1 {
		t.Errorf("under the new name: %d messages", len(got))
	}
	if err := s.Rename(t.Context(), "new@example.net", ben); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s, ben); len(got) != 5 || got[large] != 2 {
		t.Errorf("joined: %d different messages, the large one %d times", len(got), got[large])
	}
	if folders, err := s.Folders(t.Context(), ben); err != nil || !slices.Equal(folders, []string{"Trash", "ann", "ben"}) {
		t.Errorf("%q, %v", folders, err)
	}
	if m, err = s.Open(t.Context(), ben); err != nil {
		t.Fatal(err)
	}
	kept := false
	for i := range m.Len() {
		kept = kept || m.UID(i) == uid
	}
	if m.Close(); !kept {
		t.Error("a unique id is another after the move")
	}
	if u, err := s.Usage(t.Context(), ben); err != nil || u.Messages != 6 {
		t.Errorf("%+v, %v", u, err)
	}
	if err := s.Purge(t.Context(), ben); err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, table := range []string{"msg", "body", "chunk", "folder"} {
		var n int
		if err := c.QueryRow(t.Context(), "select count(*) from postrider."+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d rows of %s are left, %v", n, table, err)
		}
	}
}
