package postgres_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

// TestDatabaseReadOnly, TestDatabaseFull and TestDatabaseSlow: nothing is acknowledged, the error says what it is, and all is well by itself
// afterwards. TestAway is that of one that is away, TestRefusedServers of one whose tables are newer, TestNodes of older ones.
func TestDatabaseReadOnly(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	s := open(t, peertest.DSN(db))
	sql(t, db, "alter system set default_transaction_read_only = on")
	sql(t, db, "select pg_reload_conf()")
	var err error
	peertest.Await(t, "it to refuse mail", func() bool { err = deliver(t.Context(), s, "refused\r\n", ann); return err != nil })
	if !errors.Is(err, mailstore.ErrReadOnly) && !errors.Is(err, mailstore.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if !strings.Contains(err.Error(), "read-only") {
		t.Errorf("it does not say which: %v", err)
	}
	if err := postgres.Try(t.Context(), peertest.DSN(db)); err == nil || !strings.Contains(err.Error(), "default_transaction_read_only is on") {
		t.Errorf("check: %v", err)
	}
	wellAgain(t, s, func() {
		peertest.SQL(t, db, "alter system reset default_transaction_read_only")
		peertest.SQL(t, db, "select pg_reload_conf()")
	})
}

// TestDatabaseFull is described with TestDatabaseReadOnly.
func TestDatabaseFull(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	s := open(t, peertest.DSN(db))
	sql(t, db, `create function postrider.full() returns trigger language plpgsql as $$ begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;
		create trigger full_body before insert on postrider.body execute function postrider.full(); create trigger full_chunk before insert on postrider.chunk execute function postrider.full()`)
	for what, text := range map[string]string{"a small one": "small\r\n", "a large one": strings.Repeat("0123456789abcde\r\n", 40_000)} {
		if err := deliver(t.Context(), s, text, ann); !errors.Is(err, mailstore.ErrNoSpace) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wellAgain(t, s, func() { sql(t, db, `drop function postrider.full() cascade`) })
}

// TestDatabaseSlow is described with TestDatabaseReadOnly.
func TestDatabaseSlow(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	s := open(t, peertest.DSN(db), postgres.WithTimeout(2*time.Second))
	if err := deliver(t.Context(), s, "before\r\n", ann); err != nil {
		t.Fatal(err)
	}
	db.Freeze()
	err := deliver(t.Context(), s, "while it hangs\r\n", ann) // which has an end
	_, opening := s.Open(t.Context(), ann)
	db.Thaw()
	if err == nil || opening == nil {
		t.Errorf("of a server that does not answer: %v, %v", err, opening)
	}
	wellAgain(t, s, func() {})
}

// wellAgain: the trouble is over, and so is all that came of it, without a hand.
func wellAgain(t *testing.T, s *postgres.Store, over func()) {
	t.Helper()
	over()
	peertest.Await(t, "mail to be stored again", func() bool { return deliver(t.Context(), s, "again\r\n", ann) == nil })
	peertest.Await(t, "it to be there", func() bool {
		m, err := s.Open(t.Context(), ann)
		if err != nil {
			return false
		}
		defer m.Close()
		return m.Len() > 0
	})
	if got := texts(t, s, ann); got["again\r\n"] == 0 || got["refused\r\n"] != 0 || got["small\r\n"] != 0 {
		t.Errorf("%v", got)
	}
}

// TestAnotherDatabase: one that is not yesterday's is refused, and the error says so; also to who only goes by what another has seen.
func TestAnotherDatabase(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	seen := filepath.Join(t.TempDir(), "seen")
	open(t, peertest.DSN(db), postgres.WithMemory(seen)).Close()
	open(t, peertest.DSN(db), postgres.WithMemory(seen)).Close()
	if err := os.WriteFile(seen, []byte("system 7123456789012345678 timeline 1\n"), 0o600); err != nil { // as if another had been there yesterday
		t.Fatal(err)
	}
	for _, o := range []postgres.Option{postgres.WithMemory(seen), postgres.WithMemoryOf(seen)} {
		if s, err := postgres.Open(t.Context(), peertest.DSN(db), o); err == nil || !strings.Contains(err.Error(), "another database than before") {
			if s != nil {
				s.Close()
			}
			t.Errorf("%v", err)
		}
	}
}
