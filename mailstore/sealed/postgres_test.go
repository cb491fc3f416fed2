package sealed

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
	"github.com/postrider-mail/postrider/mailstore/storetest"
)

// inDatabase opens a store in a database, each directory's in a schema of its own.
func inDatabase(t testing.TB, dsn, dir string, opts ...postgres.Option) *postgres.Store {
	t.Helper()
	h := fnv.New64a()
	io.WriteString(h, dir)
	s, err := postgres.Open(t.Context(), dsn, append(opts, postgres.WithSchema(fmt.Sprintf("mail_%x", h.Sum64())))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestStoreInDatabase has the whole suite pass over a database where some mailboxes are sealed.
func TestStoreInDatabase(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	rings := make(map[string]*ring)
	var mu sync.Mutex
	of := func(dir string) *ring {
		mu.Lock()
		defer mu.Unlock()
		if rings[dir] == nil {
			rings[dir] = newRing(func(u string) bool { return strings.HasPrefix(canonical(u), "a") })
		}
		return rings[dir]
	}
	storetest.Run(t, func(t *testing.T, dir string) mailstore.Store {
		r := of(dir)
		return unlocked{New(inDatabase(t, dsn, dir), r.recipient, nil), r}
	})
	t.Run("Quota", func(t *testing.T) {
		storetest.RunQuota(t, func(t *testing.T, dir string, limit func(user string) int64) mailstore.Store {
			r := of("quota" + dir)
			inner := inDatabase(t, dsn, "quota"+dir, postgres.WithQuota(func(user string) mailstore.Quota { return mailstore.Quota{Octets: limit(user)} }))
			return unlocked{New(inner, r.recipient, nil), r}
		})
	})
	t.Run("Convert", func(t *testing.T) { convertInDatabase(t, dsn) })
	t.Run("Bucket", func(t *testing.T) { inBucket(t, dsn) })
	t.Run("Foreign", func(t *testing.T) { foreignInDatabase(t, dsn) })
	t.Run("Keys", func(t *testing.T) { keysInDatabase(t, dsn) })
}

// sql runs a statement beside the store.
func sql(t *testing.T, s *postgres.Store, text string, args ...any) int64 {
	t.Helper()
	db := s.Database()
	tag, err := db.Pool.Exec(t.Context(), db.In(text), args...)
	if err != nil {
		t.Fatal(err)
	}
	return tag.RowsAffected()
}

// convertInDatabase: what was there is sealed and unsealed, of every size, with its id, its place and its flags; whoever else has the message keeps it; and
// nothing that was written stays behind.
func convertInDatabase(t *testing.T, dsn string, opts ...postgres.Option) {
	sealing := false
	r := newRing(func(u string) bool { return sealing && u == ann })
	inner := inDatabase(t, dsn, t.Name(), opts...)
	s := unlocked{New(inner, r.recipient, nil), r}
	texts := []string{"Subject: a\r\n\r\n", long(100_000), long(300_000), ""}
	for _, text := range texts {
		deliver(t, s, "", text, ann, bob)
	}
	look := func() (all []string) {
		t.Helper()
		m := drop(t, s, ann)
		defer m.Close()
		for i := range m.Len() {
			text, err := readAll(m, i)
			if err != nil || int64(len(text)) != m.Size(i) {
				t.Errorf("%d of %d octets, %v", len(text), m.Size(i), err)
			}
			all = append(all, m.UID(i)+" "+text)
		}
		return all
	}
	before := look()
	use, err := s.Usage(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	convert := func(do func(mailstore.SealedDrop) (int, bool, error), messages, sealed int) {
		t.Helper()
		m, err := inner.Open(t.Context(), ann)
		if err != nil {
			t.Fatal(err)
		}
		n, done, err := do(m.(mailstore.SealedDrop))
		if n != messages || !done || err != nil {
			t.Errorf("%d, %v, %v", n, done, err)
		}
		if _, err := m.Open(t.Context(), 0); messages > 0 && !errors.Is(err, mailstore.ErrGone) {
			t.Errorf("the form of before: %v", err)
		}
		m.Close()
		if got := look(); !slices.Equal(got, before) {
			t.Errorf("got %.60q, want %.60q", got, before)
		}
		if is, err := s.Usage(t.Context(), ann); is != use || err != nil {
			t.Errorf("%+v, %v, not %+v", is, err, use)
		}
		marks, err := inner.Marks(t.Context(), ann)
		if c := CountMarks(marks); err != nil || c.Messages != len(texts) || c.Messages-c.Plain != sealed {
			t.Errorf("%+v, %v", c, err)
		}
		m = drop(t, s, bob)
		defer m.Close()
		for i := range m.Len() {
			if text, err := readAll(m, i); text != texts[i] || err != nil {
				t.Errorf("the other's: %d octets, %v", len(text), err)
			}
		}
	}
	seal := func(m mailstore.SealedDrop) (int, bool, error) {
		return SealDrop(t.Context(), m, r.of(ann).Recipient(), time.Time{})
	}
	convert(seal, len(texts), len(texts))
	convert(seal, 0, len(texts))
	sealing = true
	if n := sql(t, inner, `select from $.body b where b.octets is not null and (position('marked' in encode(b.data, 'escape')) > 0 or b.refs <> 1)`); n != 0 {
		t.Errorf("%d in clear", n)
	}
	convert(func(m mailstore.SealedDrop) (int, bool, error) {
		return UnsealDrop(t.Context(), m, r.of(ann), time.Time{})
	}, len(texts), 0)
	if n := sql(t, inner, `select from $.chunk c where not exists (select from $.body b where b.id = c.body)`); n != 0 {
		t.Errorf("%d pieces are left", n)
	}
	if n := sql(t, inner, `select from $.object o where (o.dead is null) <> exists (select from $.body b where b.object = o.id)`); n != 0 {
		t.Errorf("%d texts outside are named and given up, or neither", n)
	}
	if n := sql(t, inner, `select from $.body b where b.refs <> (select count(*) from $.msg m where m.body = b.id)`); n != 0 {
		t.Errorf("%d texts are counted wrongly", n)
	}
}

// foreignInDatabase is what somebody does who can write to the database: each is found, as one message's trouble.
func foreignInDatabase(t *testing.T, dsn string) {
	r := newRing(everybody)
	inner := inDatabase(t, dsn, t.Name())
	s := unlocked{New(inner, r.recipient, nil), r}
	for name, change := range map[string]string{
		"a text is cut":            `update $.body set data = substr(data, 1, 200) where id in (select body from $.msg where uid = 1)`,
		"a piece is missing":       `delete from $.chunk where n = 1`,
		"a piece is exchanged":     `update $.chunk set data = (select data from $.chunk o where o.n = 0 limit 1) where n = 1`,
		"two texts are exchanged":  `update $.msg m set body = o.body from $.msg o where m.uid = 1 and o.uid = 3 and m.box = o.box`,
		"another size":             `update $.msg set size = size + 1 where uid = 1`,
		"taken for one in clear":   `update $.msg set mark = null where uid = 1`,
		"a text that was no file":  `update $.body set octets = null where id in (select body from $.msg where uid = 1)`,
		"the mark of another":      `update $.msg m set mark = o.mark from $.msg o where m.uid = 1 and o.uid = 3 and m.box = o.box`,
		"as a whole, with its end": `update $.body set octets = 200, data = substr(data, 1, 200) where id in (select body from $.msg where uid = 1)`,
	} {
		if err := inner.Purge(t.Context(), ann); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"Subject: one\r\n\r\n", long(400_000), "Subject: two\r\n\r\n", "Subject: kept\r\n\r\n"} {
			deliver(t, s, "", text, ann)
		}
		if sql(t, inner, change) == 0 {
			t.Fatalf("%s: nothing was changed", name)
		}
		m := drop(t, s, ann)
		bad := 0
		for i := range m.Len() {
			switch text, err := readAll(m, i); {
			case err == nil && text == "":
				t.Errorf("%s: an empty message", name)
			case err == nil && int64(len(text)) != m.Size(i):
				t.Errorf("%s: %d octets of %d", name, len(text), m.Size(i))
			case err != nil:
				bad++
			}
		}
		if bad != 1 || m.Len() != 4 {
			t.Errorf("%s: %d of %d messages cannot be read", name, bad, m.Len())
		}
		m.Close()
	}
}

// keysInDatabase: the keys of a mailbox are there for all who share the store, change as a whole, go where the mailbox goes and with it.
func keysInDatabase(t *testing.T, dsn string) {
	a, b := inDatabase(t, dsn, t.Name()), inDatabase(t, dsn, t.Name())
	if text, is, same, err := a.Keys(ann, nil); text != nil || is != nil || same || err != nil {
		t.Error(text, is, same, err)
	}
	set := func(s *postgres.Store, user, before, after string) error {
		return s.ChangeKeys(t.Context(), user, func(text []byte) ([]byte, error) {
			if string(text) != before {
				return nil, fmt.Errorf("it has %q", text)
			}
			if after == "" {
				return nil, nil
			}
			return []byte(after), nil
		})
	}
	if err := set(a, ann, "", "one"); err != nil {
		t.Fatal(err)
	}
	text, one, _, err := b.Keys(strings.ToUpper(ann), nil)
	if string(text) != "one" || err != nil {
		t.Error(string(text), err)
	}
	if text, is, same, err := b.Keys(ann, one); text != nil || is != one || !same || err != nil {
		t.Error(text, is, same, err)
	}
	if err := set(b, ann, "wrong", "two"); err == nil || err.Error() != `it has "one"` {
		t.Error(err)
	}
	if err := set(b, ann, "one", strings.Repeat("x", 300<<10)); err == nil {
		t.Error("any length")
	}
	if err := set(b, ann, "one", "two"); err != nil {
		t.Error(err)
	}
	if text, is, same, err := a.Keys(ann, one); string(text) != "two" || is == one || same || err != nil {
		t.Error(string(text), is, same, err)
	}
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			err := []*postgres.Store{a, b}[i%2].ChangeKeys(t.Context(), ann, func(text []byte) ([]byte, error) { return append(text, '.'), nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	has := func(user, want string) {
		t.Helper()
		if text, _, _, err := b.Keys(user, nil); string(text) != want || err != nil {
			t.Errorf("%s: %q, %v", user, text, err)
		}
	}
	has(ann, "two..........")
	const eve = "eve@a.test"
	if err := a.Rename(t.Context(), ann, eve); err != nil {
		t.Fatal(err)
	}
	has(ann, "")
	has(eve, "two..........")
	deliver(t, a, "", "Subject: x\r\n\r\n", bob)
	if err := a.Rename(t.Context(), eve, bob); err != nil {
		t.Fatal(err)
	}
	has(bob, "two..........")
	if err := set(a, ann, "", "mine"); err != nil {
		t.Fatal(err)
	}
	if err := a.Rename(t.Context(), ann, bob); err == nil || !strings.Contains(err.Error(), "unseal it first") {
		t.Error(err)
	}
	has(ann, "mine")
	if err := set(b, ann, "mine", ""); err != nil {
		t.Error(err)
	}
	has(ann, "")
	if err := a.Purge(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	has(bob, "")
}
