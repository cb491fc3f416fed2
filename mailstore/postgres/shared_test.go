package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

// TestTwoStores: what two processes do at once in one database is as if one had done it: one holds a maildrop, each sees what the
// other stored, removed and flagged, and a list that is open stays as it was.
func TestTwoStores(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	a, b := open(t, dsn), open(t, dsn)
	for i, s := range []*postgres.Store{a, b, a, b} {
		if err := deliver(t.Context(), s, fmt.Sprint(i, "\r\n"), ann); err != nil {
			t.Fatal(err)
		}
	}
	m, err := a.Open(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(t.Context(), ann); !errors.Is(err, mailstore.ErrLocked) {
		t.Errorf("open in both: %v", err)
	}
	if err := deliver(t.Context(), b, "later\r\n", ann); err != nil {
		t.Fatal(err)
	}
	if m.Len() != 4 {
		t.Errorf("the open list has %d messages", m.Len())
	}
	if err := errors.Join(m.Remove(t.Context(), []int{0, 2}), m.(mailstore.Keeper).Flag(t.Context(), []int{1}, "S"), m.Close()); err != nil {
		t.Fatal(err)
	}
	m, err = b.Open(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Len() != 3 || m.(mailstore.Keeper).Flags(0) != "S" {
		t.Errorf("the other sees %d messages, the first with %q", m.Len(), m.(mailstore.Keeper).Flags(0))
	}
	if u, err := b.Usage(t.Context(), ann); err != nil || u != (mailstore.Usage{Messages: 3, Octets: 13}) {
		t.Errorf("%+v, %v", u, err)
	}
}

// TestLockLost: who was away for longer than his lock lasts changes nothing in what is another's by now, and does not unlock it.
func TestLockLost(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	a, b := open(t, dsn, postgres.WithLease(time.Minute)), open(t, dsn, postgres.WithLease(time.Minute))
	for i := range 3 {
		if err := deliver(t.Context(), a, fmt.Sprint(i, "\r\n"), ann); err != nil {
			t.Fatal(err)
		}
	}
	sleeper, err := a.Open(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	sqlAt(t, dsn, "update postrider.lease set until = clock_timestamp() - interval '1s'")
	m, err := b.Open(t.Context(), ann)
	if err != nil {
		t.Fatalf("the lock is over: %v", err)
	}
	k := sleeper.(mailstore.Keeper)
	for what, err := range map[string]error{"Remove": sleeper.Remove(t.Context(), []int{0}), "Flag": k.Flag(t.Context(), []int{0}, "S"), "Move": k.Move(t.Context(), []int{0}, "Trash")} {
		if !errors.Is(err, mailstore.ErrLockLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := sleeper.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Open(t.Context(), ann); !errors.Is(err, mailstore.ErrLocked) {
		t.Errorf("the sleeper has unlocked it: %v", err)
	}
	if err := errors.Join(m.Remove(t.Context(), []int{1}), m.Close()); err != nil {
		t.Error(err)
	}
	if got := texts(t, a, ann); len(got) != 2 || got["0\r\n"] != 1 || got["2\r\n"] != 1 {
		t.Errorf("%v", got)
	}
}

// TestLeaseRenewed: a session that lives keeps its lock, however short a lease is; one whose process is gone loses it.
func TestLeaseRenewed(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	a, b := open(t, dsn, postgres.WithLease(6*time.Second)), open(t, dsn)
	m, err := a.Open(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	look, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close(context.Background())
	until := func() (end time.Time) {
		if err := look.QueryRow(t.Context(), "select until from postrider.lease").Scan(&end); err != nil {
			t.Fatal(err)
		}
		return end
	}
	first := until()
	peertest.Await(t, "the lease to last longer", func() bool { return until().After(first) })
	if _, err := b.Open(t.Context(), ann); !errors.Is(err, mailstore.ErrLocked) {
		t.Fatalf("it is another's: %v", err)
	}
	m.Close()
	dead := open(t, dsn, postgres.WithLease(300*time.Millisecond))
	if _, err := dead.Open(t.Context(), ben); err != nil {
		t.Fatal(err)
	}
	postgres.Freeze(dead)
	peertest.Await(t, "the lock of a process that is gone", func() bool {
		m, err := b.Open(t.Context(), ben)
		if err == nil {
			m.Close()
		}
		return err == nil
	})
}

// TestRenewedTooLate: a maildrop that is closed while its lock is being renewed is not locked by that, with nobody in it.
func TestRenewedTooLate(t *testing.T) {
	t.Parallel()
	s := open(t, peertest.DSN(peertest.Postgres(t)), postgres.WithLease(time.Hour))
	m, err := s.Open(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	write := postgres.Renewal(s)
	if err := errors.Join(m.Close(), write()); err != nil {
		t.Fatal(err)
	}
	if m, err = s.Open(t.Context(), ann); err != nil {
		t.Fatalf("nobody has it open: %v", err)
	}
	// That of before says nothing about the lock there is now.
	if err := errors.Join(write(), m.Remove(t.Context(), nil), m.Close()); err != nil {
		t.Error(err)
	}
}

// TestCrowd: many who deliver, fetch and remove at once, in two processes, to mailboxes named in any order: each message arrives
// once in each, nobody waits for ever, and what the database has counted is what there is.
func TestCrowd(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	stores := []*postgres.Store{open(t, dsn), open(t, dsn)}
	users := []string{ann, ben, "cat@example.net", "dan@example.net"}
	var mu sync.Mutex
	sent, got := make(map[string]int), make(map[string]int)
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for i := range 40 {
				to := make([]string, 0, 3)
				for _, n := range random.Perm(len(users))[:1+random.IntN(3)] {
					to = append(to, users[n])
				}
				text := fmt.Sprintf("%d/%d%s\r\n", w, i, strings.Repeat("y", random.IntN(2)*random.IntN(300_000)))
				if err := deliver(context.Background(), stores[w%2], text, to...); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, user := range to {
					sent[user+text]++
				}
				mu.Unlock()
			}
		})
	}
	fetch := func(s *postgres.Store, user string) {
		m, err := s.Open(context.Background(), user)
		if errors.Is(err, mailstore.ErrLocked) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		defer m.Close()
		var is []int
		for i := range m.Len() {
			r, err := m.Open(context.Background(), i)
			if err != nil {
				t.Error(err)
				return
			}
			text, err := io.ReadAll(r)
			r.Close()
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			got[user+string(text)]++
			mu.Unlock()
			is = append(is, i)
		}
		if err := m.Remove(context.Background(), is); err != nil {
			t.Error(err)
		}
	}
	for n, user := range users {
		wg.Go(func() {
			for i := range 15 {
				fetch(stores[(n+i)%2], user)
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	count := func(what string) (n int) {
		t.Helper()
		if err := c.QueryRow(t.Context(), what).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	wrong := `select count(*) from postrider.box b left join (select box, count(*) n, sum(size) s, max(uid) last from postrider.msg where folder = 0 group by box) m on m.box = b.id
		where b.messages <> coalesce(n, 0) or b.octets <> coalesce(s, 0) or b.next_uid <= coalesce(last, 0)`
	if n := count(wrong); n != 0 {
		t.Errorf("%d mailboxes are counted wrongly", n)
	}
	if n := count(`select count(*) from postrider.body b where refs <> (select count(*) from postrider.msg m where m.body = b.id)`); n != 0 {
		t.Errorf("%d texts are counted wrongly", n)
	}
	for _, user := range users {
		fetch(stores[0], user)
	}
	for key := range sent {
		if got[key] != 1 {
			t.Errorf("%.40q came %d times", key, got[key])
		}
	}
	if len(got) != len(sent) {
		t.Errorf("%d came of %d", len(got), len(sent))
	}
	for _, table := range []string{"msg", "body", "chunk"} {
		if n := count(`select count(*) from postrider.` + table); n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
}

// TestGivenUp: what a large message leaves that is given up is deleted, at once or when nothing of it has come for an hour, and nothing else.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	s := open(t, dsn)
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	chunks := func() (n int) {
		if err := c.QueryRow(t.Context(), `select count(*) from postrider.chunk`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	text := strings.Repeat("0123456789abcde\r\n", 40_000)
	if err := deliver(t.Context(), s, text, ann); err != nil {
		t.Fatal(err)
	}
	had := chunks()
	begun, err := s.Create(t.Context(), mailstore.Meta{}, ann)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(begun, text); err != nil {
		t.Fatal(err)
	}
	if chunks() <= had {
		t.Fatal("a large message is held in memory")
	}
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("of one that is on its way %d pieces are swept away, %v", n, err)
	}
	begun.Abort()
	peertest.Await(t, "the pieces to go", func() bool { return chunks() == had })
	if begun, err = s.Create(t.Context(), mailstore.Meta{}, ann); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(begun, text); err != nil {
		t.Fatal(err)
	}
	sqlAt(t, dsn, `update postrider.chunk set made = now() - interval '61 minutes'`)
	if n, err := s.Sweep(t.Context()); n == 0 || err != nil || chunks() != had {
		t.Errorf("%d pieces are swept away, %v; %d are left of %d", n, err, chunks(), had)
	}
	if got := texts(t, s, ann); got[text] != 1 {
		t.Error("the message that is there has suffered")
	}
}

// TestDomainQuota: the mailboxes of a domain share its room.
func TestDomainQuota(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	s := open(t, dsn, postgres.WithDomainQuota(func(domain string) mailstore.Quota {
		if domain == "example.org" {
			return mailstore.Quota{Octets: 100}
		}
		return mailstore.Quota{}
	}))
	text := strings.Repeat("x", 58) + "\r\n"
	if err := deliver(t.Context(), s, text, ann, "cat@example.net"); err != nil {
		t.Fatal(err)
	}
	var refused *mailstore.Refused
	if err := deliver(t.Context(), s, text, ben, "cat@example.net"); !errors.As(err, &refused) || len(refused.Mailboxes) != 1 || !errors.Is(refused.Mailboxes[ben], mailstore.ErrOverQuota) {
		t.Errorf("beyond the domain's quota: %v", err)
	}
	if err := deliver(t.Context(), s, text, ann, ben); !errors.As(err, &refused) || len(refused.Mailboxes) != 2 {
		t.Errorf("two at once: %v", err)
	}
	if err := s.Room(t.Context(), ben, 41); !errors.Is(err, mailstore.ErrOverQuota) || errors.Is(err, mailstore.ErrNeverFits) {
		t.Errorf("room for 41: %v", err)
	}
	if err := s.Room(t.Context(), ben, 101); !errors.Is(err, mailstore.ErrNeverFits) {
		t.Errorf("room for 101: %v", err)
	}
	if err := s.Room(t.Context(), ben, 40); err != nil {
		t.Errorf("room for 40: %v", err)
	}
}

// TestNodes: servers that have a store open know each other, until they say that they end. The tables of the version before become those
// of this one, and what was delivered under it is there.
func TestNodes(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	a := open(t, dsn)
	if err := deliver(t.Context(), a, "one\r\n", ann); err != nil {
		t.Fatal(err)
	}
	sqlAt(t, dsn, `drop table postrider.node, postrider.object; drop function postrider.object_left cascade;
		alter table postrider.body drop column object, drop column hashes; alter table postrider.store drop column objects`)
	sqlAt(t, dsn, `update postrider.version set number = 1`)
	b := open(t, dsn)
	since := time.Now()
	sqlAt(t, dsn, `insert into postrider.node values ('host-a', 'host', 'mail.example.org', '0', '{}', now(), now())`) // as versions before had it
	for n, s := range map[string]*postgres.Store{"a": a, "b": b} {
		for range 2 {
			if holder, err := s.Announce(t.Context(), postgres.Node{ID: n, Host: "host-" + n, Name: "mail.example.org", Version: "1", Settings: map[string]string{"Queue": n}, Since: since}); err != nil || holder != nil {
				t.Fatal(holder, err)
			}
		}
	}
	sqlAt(t, dsn, `update postrider.node set seen = seen - interval '1 hour' where id = 'a'`)
	all, err := b.Nodes(t.Context())
	if err != nil || len(all) != 2 || all[0].Host != "host-a" || all[0].Silent < time.Hour || all[1].Silent > 30*time.Minute || all[1].Settings["Queue"] != "b" {
		t.Errorf("%+v, %v", all, err)
	}
	sqlAt(t, dsn, `update postrider.node set seen = seen - interval '8 days' where id = 'a'`)
	_, err = b.Announce(t.Context(), all[1])
	if err := errors.Join(err, b.Withdraw(t.Context(), postgres.Node{ID: "nobody"})); err != nil {
		t.Fatal(err)
	}
	if all, err = a.Nodes(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("one of a week ago: %+v, %v", all, err)
	}
	if err := b.Withdraw(t.Context(), postgres.Node{ID: "b", Since: since}); err != nil {
		t.Fatal(err)
	}
	if all, err = a.Nodes(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("all have ended: %+v, %v", all, err)
	}
	if got := texts(t, b, ann); got["one\r\n"] != 1 {
		t.Errorf("%v", got)
	}
}

// TestTwin: a server that has another's identity, being its copy, takes nothing from it while that one is heard of, and is told; when it ends it does
// not take the other away. A server that was killed and started anew has its place when the process before is not heard of any more.
func TestTwin(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	s, ctx := open(t, dsn), t.Context()
	one := postgres.Node{ID: "x", Host: "one:/data", Settings: map[string]string{}, Since: time.Now().Add(-time.Hour)}
	two := postgres.Node{ID: "x", Host: "two:/data", Settings: map[string]string{}, Since: time.Now()}
	if holder, err := s.Announce(ctx, one); holder != nil || err != nil {
		t.Fatal(holder, err)
	}
	var seen time.Time
	for range 2 {
		holder, err := s.Announce(ctx, two)
		if err != nil || holder == nil || holder.Host != "one:/data" || !holder.Seen.After(seen) {
			t.Fatalf("%+v, %v", holder, err)
		}
		seen = holder.Seen
		if holder, err := s.Announce(ctx, one); holder != nil || err != nil {
			t.Fatal(holder, err)
		}
	}
	if err := s.Withdraw(ctx, two); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Nodes(ctx); err != nil || len(all) != 1 || all[0].Host != "one:/data" {
		t.Errorf("%+v, %v", all, err)
	}
	sqlAt(t, dsn, `update postrider.node set seen = seen - interval '36 seconds'`)
	if holder, err := s.Announce(ctx, two); holder != nil || err != nil {
		t.Error(holder, err)
	}
	if all, err := s.Nodes(ctx); err != nil || len(all) != 1 || all[0].Host != "two:/data" {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestPooler: it works behind pgbouncer that gives each transaction another connection.
func TestPooler(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	s := open(t, peertest.Pooler(t, db))
	for i := range 30 {
		if err := deliver(t.Context(), s, fmt.Sprint(i, "\r\n"), ann, ben); err != nil {
			t.Fatal(err)
		}
	}
	if got := texts(t, s, ann); len(got) != 30 {
		t.Errorf("%d of 30", len(got))
	}
}

// TestMadeMeanwhile: a mailbox that a message makes at the moment in which its owner logs in for the first time is not locked by anybody.
func TestMadeMeanwhile(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	dsn := peertest.DSN(db)
	s := open(t, dsn)
	for _, text := range []string{
		`create function public.wait() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(7); return null; end $$`,
		`create trigger wait after insert on postrider.lease for each statement execute function public.wait()`,
	} {
		if _, err := s.Database().Pool.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := s.Database().Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `select pg_advisory_xact_lock(7)`); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		m, err := s.Open(t.Context(), ann)
		if err == nil {
			m.Close()
		}
		opened <- err
	}()
	for waits := false; !waits; time.Sleep(10 * time.Millisecond) { // between two statements
		if err := tx.QueryRow(t.Context(), `select exists(select from pg_locks where locktype = 'advisory' and not granted)`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	d, err := s.Create(t.Context(), mailstore.Meta{}, ann)
	if err == nil {
		err = d.Commit(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	tx.Rollback(t.Context())
	if err := <-opened; err != nil {
		t.Error(err)
	}
}
