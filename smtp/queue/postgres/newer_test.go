package postgres_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/postgres"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// TestNewerFormat: servers are upgraded one by one, and the first that was writes entries that those before cannot read. They leave them alone,
// say so once, and go on with all else; they put nothing aside.
func TestNewerFormat(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	said := new(lines)
	s, sql := open(t, dsn, postgres.WithLogger(slog.New(slog.NewTextHandler(said, nil)))), beside(t, dsn)
	put(t, s, "key", "number", "state", "known", "torn")
	sql(`update $.queue set claim = claim + 1, node = gen_random_uuid(), due = now(), envelope = case id
			when 'key' then convert_to(replace(convert_from(envelope, 'UTF8'), E'\nto: ', E'\nwishes: more\nto: '), 'UTF8')
			when 'number' then convert_to(replace(convert_from(envelope, 'UTF8'), 'envelope 1', 'envelope 2'), 'UTF8')
			when 'torn' then substr(envelope, 1, 30) else envelope end,
		state = case id when 'state' then convert_to(replace(convert_from(state, 'UTF8'), E'\nto: ', E'\nmore: yes\nto: '), 'UTF8') else state end`)
	if news, err := s.News(t.Context()); err != nil {
		t.Fatalf("%+v, %v", news, err)
	}
	for _, id := range []string{"key", "number", "state", "known", "torn"} {
		s.Release(id, 0, false) // which the database refuses: another has them
	}
	got, err := s.Claim(t.Context(), 10)
	if err != nil || len(got) != 1 || got[0].Entry.ID != "known" {
		t.Fatalf("%+v, %v", got, err)
	}
	peertest.Await(t, "the others to be given back", func() bool {
		_, err := s.Claim(t.Context(), 10)
		var n int
		err = errors.Join(err, connect(t, dsn).Pool.QueryRow(t.Context(), strings.ReplaceAll(`select count(*) from $.queue where node is null and due <= now() and not corrupt`, "$.", schema(t)+".")).Scan(&n))
		return err == nil && n == 3
	})
	for _, id := range []string{"key", "number", "state"} {
		if _, _, err := s.Load(t.Context(), id); !errors.Is(err, queue.ErrCorrupt) {
			t.Errorf("Load: %v", err)
		}
	}
	seen := 0
	if err := s.Scan(t.Context(), func(string, *queue.State) error { seen++; return nil }); err != nil || seen != 1 {
		t.Errorf("%d seen, %v", seen, err)
	}
	if n := said.count("a newer version has written"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	if n, err := s.Corrupt(); n != 1 || err != nil {
		t.Errorf("%d are put aside, %v; one is torn", n, err)
	}
	// The newer server, for which the entries are as they were.
	sql(`update $.queue set envelope = convert_to(replace(replace(convert_from(envelope, 'UTF8'), E'\nwishes: more', ''), 'envelope 2', 'envelope 1'), 'UTF8'), state = convert_to(replace(convert_from(state, 'UTF8'), E'\nmore: yes', ''), 'UTF8')
		where id in ('key', 'number', 'state')`)
	newer := open(t, dsn)
	if got, err := newer.Claim(t.Context(), 10); err != nil || len(got) != 3 {
		t.Errorf("%d of 3 are sent by the newer one, %v", len(got), err)
	}
}

// TestNumberRepeats: a database is restored, or its clock goes back, and the number of a claim comes again, for another node's. By the number alone
// nobody changes what another has.
func TestNumberRepeats(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	s, sql := open(t, dsn, postgres.WithLease(900*time.Millisecond)), beside(t, dsn)
	ids := []string{"saved", "removed", "opened", "released", "renewed"}
	put(t, s, ids...)
	sql(`update $.queue set node = '00000000-0000-7000-8000-000000000001', due = now() + interval '1 hour'`) // with the numbers that s has
	anothers(t, s, "opened", "saved", "removed", "released")
	lost := make(map[string]bool)
	peertest.Await(t, "all that is another's to be known as lost", func() bool {
		news, err := s.News(t.Context())
		for _, id := range news.Lost {
			lost[id] = true
		}
		return err == nil && lost["renewed"] && lost["opened"]
	})
	var kept int
	db := connect(t, dsn)
	if err := db.Pool.QueryRow(t.Context(), db.In(`select count(*) from $.queue where node = '00000000-0000-7000-8000-000000000001' and due > now() + interval '50 minutes' and position('not mine'::bytea in state) = 0`)).Scan(&kept); err != nil || kept != len(ids) {
		t.Errorf("%d of %d are as the other has them, %v", kept, len(ids), err)
	}
}
