package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
	"github.com/postrider-mail/postrider/mailstore/s3"
	"github.com/postrider-mail/postrider/mailstore/storetest"
)

// bucket is storage in memory, of which everything can go wrong.
type bucket struct {
	mailtest.Bucket

	mu         sync.Mutex
	puts, gets int
	put        func(n int) error // before the n-th is stored; errStored: it is, and the answer is an error
	del        func() error
}

var errStored = errors.New("the answer was lost")

func (b *bucket) Put(ctx context.Context, key string, data []byte) error {
	b.mu.Lock()
	n, hook := b.puts, b.put
	b.puts++
	b.mu.Unlock()
	var err error
	if hook != nil {
		if err = hook(n); err != nil && !errors.Is(err, errStored) {
			return err
		}
	}
	return errors.Join(err, b.Bucket.Put(ctx, key, data))
}

func (b *bucket) Get(ctx context.Context, key string, most int) ([]byte, error) {
	b.mu.Lock()
	b.gets++
	b.mu.Unlock()
	return b.Bucket.Get(ctx, key, most)
}

func (b *bucket) Delete(ctx context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.del != nil {
		if err := b.del(); err != nil {
			return err
		}
	}
	return b.Bucket.Delete(ctx, key)
}

// outside is a store with large messages in a bucket, which are removed at once when nobody has them any more.
func outside(t *testing.T, dsn string, b postgres.Objects, opts ...postgres.Option) *postgres.Store {
	t.Helper()
	return open(t, dsn, append([]postgres.Option{postgres.WithObjects(b, 64<<10, 0)}, opts...)...)
}

// largeText is a message of about so many octets, in lines that are all different.
func largeText(octets int) string {
	var b strings.Builder
	for i := 0; b.Len() < octets; i++ {
		fmt.Fprintf(&b, "line %d of a large message\r\n", i)
	}
	return b.String()
}

func sweep(t *testing.T, s *postgres.Store) (n int64) {
	t.Helper()
	n, err := s.Sweep(t.Context())
	if err != nil {
		t.Errorf("sweep: %v", err)
	}
	return n
}

// TestStoreS3: a store with large messages in a bucket is a store like any other.
func TestStoreS3(t *testing.T) {
	t.Parallel()
	b := realBucket(t, peertest.S3(t))
	storetest.Run(t, opener(t, peertest.DSN(peertest.Postgres(t)), func(string) []postgres.Option {
		return []postgres.Option{postgres.WithObjects(b, 0, time.Hour)}
	}))
	n := 0
	for range b.List(t.Context(), "") {
		n++
	}
	if n == 0 {
		t.Error("nothing was put outside")
	}
}

func realBucket(t *testing.T, of *peertest.Storage) *s3.Bucket {
	t.Helper()
	b, err := s3.New(s3.Options{Endpoint: of.Endpoint, Bucket: of.Bucket, Prefix: "mail/", AccessKey: of.AccessKey, SecretKey: of.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestObjects: what is outside of the database, with storage in memory.
func TestObjects(t *testing.T) {
	t.Parallel()
	inOneServer(t, map[string]func(t *testing.T, dsn string){
		"Outside":          outsideOnce,
		"StorageAway":      storageAway,
		"AnswerLost":       answerLost,
		"NotWhatWasStored": notWhatWasStored,
		"UnknownObjects":   unknownObjects,
	})
}

// inOneServer runs tests in databases of their own, one after the other.
func inOneServer(t *testing.T, all map[string]func(t *testing.T, dsn string)) {
	t.Helper()
	db := peertest.Postgres(t)
	for name, test := range all {
		t.Run(name, func(t *testing.T) {
			name := strings.ToLower(name)
			sql(t, db, "create database "+name)
			test(t, strings.Replace(peertest.DSN(db), "/postgres?", "/"+name+"?", 1))
		})
	}
}

// outsideOnce: what is larger than was said is outside once for all who have it, but for its beginning, which is read without asking
// for the rest; what is smaller is not. It goes when the last has removed it.
func outsideOnce(t *testing.T, dsn string) {
	b := new(bucket)
	s := outside(t, dsn, b)
	text := largeText(3 << 20)
	for _, small := range []string{"small\r\n", text[:64<<10]} {
		if err := deliver(t.Context(), s, small, ann); err != nil {
			t.Fatal(err)
		}
	}
	if b.puts != 0 {
		t.Fatalf("%d objects of small messages", b.puts)
	}
	for _, large := range []string{text[:64<<10+1], text} {
		if err := deliver(t.Context(), s, large, ann, ben); err != nil {
			t.Fatal(err)
		}
	}
	if got := texts(t, s, ann); len(got) != 4 || got[text] != 1 || got[text[:64<<10+1]] != 1 {
		t.Errorf("%d messages", len(got))
	}
	if got := texts(t, s, ben); len(got) != 2 || got[text] != 1 {
		t.Errorf("%d messages", len(got))
	}
	if n := answer(t, dsn, "select max(length(data)) from postrider.body where object is not null"); n != 16<<10 || answer(t, dsn, "select count(*) from postrider.chunk") != 0 {
		t.Errorf("%d octets of large messages in the database", n)
	}
	m, err := s.Open(t.Context(), ben)
	if err != nil {
		t.Fatal(err)
	}
	gets := b.gets
	r, err := m.Open(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 16<<10)
	if _, err := io.ReadFull(r, head); err != nil || string(head) != text[:16<<10] || b.gets != gets {
		t.Errorf("the beginning: %v, %d objects read", err, b.gets-gets)
	}
	r.Close()
	if r, err = m.Open(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := r.(interface{ Check(context.Context) error }).Check(t.Context()); err != nil || b.gets != gets+1 {
		t.Errorf("checked: %v, %d objects read", err, b.gets-gets)
	}
	if whole, err := io.ReadAll(r); err != nil || string(whole) != text || b.gets != gets+3 {
		t.Errorf("%d octets, %v, %d objects read", len(whole), err, b.gets-gets)
	}
	if err := errors.Join(m.Remove(t.Context(), []int{0, 1}), m.Close()); err != nil {
		t.Fatal(err)
	}
	if n := sweep(t, s); n != 0 || len(b.Keys()) == 0 {
		t.Errorf("%d are removed that somebody has", n)
	}
	if err := s.Purge(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	kept := open(t, dsn, postgres.WithObjects(b, 0, time.Hour))
	if n := sweep(t, kept); n != 0 || len(b.Keys()) == 0 {
		t.Errorf("%d are removed before their time", n)
	}
	if n := sweep(t, s); n != 2 || len(b.Keys()) != 0 || answer(t, dsn, "select count(*) from postrider.object") != 0 {
		t.Errorf("%d are removed, %q is left", n, b.Keys())
	}
}

// storageAway: while the storage is away large messages are not taken, at whatever piece it fails, and small ones are; nothing of
// them is left when it is back. The log says so once.
func storageAway(t *testing.T, dsn string) {
	b := new(bucket)
	var log mailtest.Log
	s := outside(t, dsn, b, postgres.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	for fails := range 3 {
		b.puts = 0
		b.put = func(n int) error {
			if n == fails {
				return errors.New("slow down")
			}
			return nil
		}
		if err := deliver(t.Context(), s, largeText(5<<19), ann); !errors.Is(err, mailstore.ErrUnavailable) {
			t.Errorf("piece %d: %v", fails, err)
		}
		if err := deliver(t.Context(), s, "small\r\n", ann); err != nil {
			t.Errorf("a small one meanwhile: %v", err)
		}
		peertest.Await(t, "what was written to go", func() bool { return len(b.Keys()) == 0 })
	}
	b.put = nil
	d := begun(t, s, largeText(5<<19))
	b.Change(func([]byte) []byte { return nil })
	again, err := d.(mailstore.SealedDelivery).Reread()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(again); !errors.Is(err, mailstore.ErrUnavailable) || errors.Is(err, mailstore.ErrGone) {
		t.Errorf("read again on its way in: %v", err)
	}
	d.Abort()
	if err := deliver(t.Context(), s, largeText(5<<19), ann); err != nil {
		t.Errorf("it is back: %v", err)
	}
	if got := texts(t, s, ann); len(got) != 2 || got["small\r\n"] != 3 {
		t.Errorf("%d messages", len(got))
	}
	if n := strings.Count(log.String(), "the storage of large messages fails"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
}

// answerLost: a piece may be there although an error was said. What was written is removed in its time, and no message names it.
func answerLost(t *testing.T, dsn string) {
	b := &bucket{put: func(n int) error {
		if n == 1 {
			return errStored
		}
		return nil
	}}
	s := outside(t, dsn, b)
	if err := deliver(t.Context(), s, largeText(3<<20), ann); !errors.Is(err, mailstore.ErrUnavailable) {
		t.Error(err)
	}
	peertest.Await(t, "what is known to be there to go", func() bool { return len(b.Keys()) == 1 })
	if n := sweep(t, s); n != 0 {
		t.Errorf("%d are removed before their time", n)
	}
	expire(t, dsn)
	if n := sweep(t, s); n != 1 || len(b.Keys()) != 0 {
		t.Errorf("%d are removed, %q is left", n, b.Keys())
	}
}

// expire is as if nothing was heard for a day of messages that are on their way.
func expire(t *testing.T, dsn string) {
	t.Helper()
	sqlAt(t, dsn, "update postrider.object set until = clock_timestamp() - interval '1s' where until < 'infinity'")
}

// notWhatWasStored: what is lost outside, short, longer or something else is never given out, not one octet of the piece; the log
// says which, and VerifyObjects.
func notWhatWasStored(t *testing.T, dsn string) {
	text := largeText(5 << 19)
	for name, spoil := range map[string]func(b *bucket){
		"lost":      func(b *bucket) { b.Clear() },
		"short":     func(b *bucket) { b.Change(func(data []byte) []byte { return data[:len(data)-1] }) },
		"longer":    func(b *bucket) { b.Change(func(data []byte) []byte { return append(data, '.') }) },
		"empty":     func(b *bucket) { b.Change(func([]byte) []byte { return nil }) },
		"exchanged": func(b *bucket) { b.Change(func(data []byte) []byte { return bytes.ToUpper(data) }) },
	} {
		t.Run(name, func(t *testing.T) {
			b := new(bucket)
			var log mailtest.Log
			s := outside(t, dsn, b, postgres.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), postgres.WithSchema(name))
			if err := deliver(t.Context(), s, text, ann, ben); err != nil {
				t.Fatal(err)
			}
			if v, err := s.VerifyObjects(t.Context(), false, func(p postgres.Problem) { t.Errorf("%+v", p) }); err != nil || v.Messages != 1 || v.Octets != int64(len(text)-16<<10) {
				t.Errorf("%+v, %v", v, err)
			}
			spoil(b)
			m, err := s.Open(t.Context(), ann)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			r, err := m.Open(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.(interface{ Check(context.Context) error }).Check(t.Context()); !errors.Is(err, mailstore.ErrUnavailable) {
				t.Errorf("checked: %v", err)
			}
			if r, err = m.Open(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if !errors.Is(err, mailstore.ErrUnavailable) || string(got) != text[:16<<10] {
				t.Errorf("%d octets, %v", len(got), err)
			}
			if !strings.Contains(log.String(), "a large message cannot be read") {
				t.Errorf("the log:\n%s", log.String())
			}
			var problems []postgres.Problem
			v, err := s.VerifyObjects(t.Context(), true, func(p postgres.Problem) { problems = append(problems, p) })
			if err != nil || v.Problems != 1 || v.Fixed != 0 || len(problems) != 1 || !slices.Equal(problems[0].Mailboxes, []string{ann, ben}) {
				t.Errorf("%+v, %v: %+v", v, err, problems)
			}
		})
	}
}

// unknownObjects: what the database knows nothing of is found, is left alone unless it is said otherwise, and goes by way of Sweep
// then. What another store has in the bucket is none of this one's business.
func unknownObjects(t *testing.T, dsn string) {
	b := new(bucket)
	other := outside(t, dsn, b, postgres.WithSchema("other"))
	s := outside(t, dsn, b)
	for _, s := range []*postgres.Store{s, other} {
		for range 2 {
			if err := deliver(t.Context(), s, largeText(5<<19), ann); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := len(b.Keys())
	verify := func(fix bool, problems, fixed int64) {
		t.Helper()
		v, err := s.VerifyObjects(t.Context(), fix, func(postgres.Problem) {})
		if err != nil || v.Problems != problems || v.Fixed != fixed {
			t.Errorf("%+v, %v", v, err)
		}
	}
	verify(true, 0, 0)
	sqlAt(t, dsn, "delete from postrider.msg; delete from postrider.body where id = (select min(id::text)::uuid from postrider.body); delete from postrider.object where dead is not null") // as after a restore
	verify(false, 1, 0)
	if n := sweep(t, s); n != 0 || len(b.Keys()) != all {
		t.Errorf("%d are removed", n)
	}
	verify(true, 1, 1)
	if n := sweep(t, s); n != 1 || len(b.Keys()) != all-3 {
		t.Errorf("%d are removed, %d of %d are left", n, len(b.Keys()), all)
	}
	verify(false, 0, 0)
}

// TestLargeOutsideInLittleMemory: a message of 16 MiB is written to a bucket and read from it with less than 4 MiB of memory. Not
// parallel: all that lives is counted.
func TestLargeOutsideInLittleMemory(t *testing.T) {
	b := realBucket(t, peertest.S3(t))
	largeInLittleMemory(t, outside(t, peertest.DSN(peertest.Postgres(t)), b))
}
