package sealed

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/internal/measure"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// deliveries is a way to deliver messages of a size to a hundred mailboxes.
func deliveries(b *testing.B, name string, s mailstore.Store, size, writers int) measure.Way {
	body := strings.Repeat(strings.Repeat("x", 62)+"\r\n", size/64)
	ctx := b.Context()
	return measure.Way{Name: name, Run: func(n int) error {
		return measure.Spread(writers, n, func(i int) error {
			d, err := s.Create(ctx, mailstore.Meta{Size: int64(size)}, fmt.Sprintf("u%d@example.org", i%100))
			if err != nil {
				return err
			}
			if _, err := io.WriteString(d, body); err != nil {
				return err
			}
			return d.Commit(ctx, nil)
		})
	}}
}

// BenchmarkSealedDelivery: deliveries to sealed mailboxes against others, in turns.
func BenchmarkSealedDelivery(b *testing.B) {
	base := measure.Dir(b)
	for _, size := range []int{2 << 10, 64 << 10} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("size=%dk/writers=%d", size>>10, writers), func(b *testing.B) {
				dir, err := os.MkdirTemp(base, "sealed")
				if err != nil {
					b.Fatal(err)
				}
				stores := make(map[string]*maildir.Store)
				for _, name := range []string{"plain", "sealed"} {
					s, err := maildir.Open(filepath.Join(dir, name), maildir.WithReserve(0))
					if err != nil {
						b.Fatal(err)
					}
					b.Cleanup(func() { s.Close() })
					stores[name] = s
				}
				keys := newRing(everybody)
				ways := []measure.Way{
					deliveries(b, "plain", stores["plain"], size, writers),
					deliveries(b, "sealed", New(stores["sealed"], keys.recipient, nil), size, writers),
				}
				r := measure.Turns(b, base, max(16*writers, 200), ways...)
				b.ReportMetric(r.Rate("plain"), "plain/s")
				b.ReportMetric(r.Rate("sealed"), "sealed/s")
				b.ReportMetric(r.CPU("plain"), "plain-cpu-µs")
				b.ReportMetric(r.CPU("sealed"), "sealed-cpu-µs")
				b.ReportMetric(r.Times("sealed", "plain"), "sealed-per-plain")
			})
		}
	}
}

// BenchmarkSealedRetr: reading a message of 16 MiB.
func BenchmarkSealedRetr(b *testing.B) {
	for _, is := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "sealed"}[is], func(b *testing.B) {
			keys := newRing(func(string) bool { return is })
			s := openStore(b, b.TempDir(), keys)
			deliver(b, s, "", long(16<<20), ann)
			m := drop(b, s, ann)
			b.SetBytes(16 << 20)
			for b.Loop() {
				r, err := m.Open(b.Context(), 0)
				if err != nil {
					b.Fatal(err)
				}
				if w, ok := r.(*message); ok { // as RETR does
					if err := w.Check(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}

// BenchmarkSealedOpen: opening a mailbox of 100,000 messages, without the key's own argon2id, which is measured beside.
func BenchmarkSealedOpen(b *testing.B) {
	const n = 100_000
	for _, is := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "sealed"}[is], func(b *testing.B) {
			keys := newRing(func(string) bool { return is })
			s := openStore(b, measure.Dir(b), keys)
			if err := deliveriesTo(s, ann, n); err != nil {
				b.Fatal(err)
			}
			s.Close()
			for b.Loop() {
				inner, err := maildir.Open(s.inner.(*maildir.Store).Root(), maildir.WithMode(maildir.ReadOnly))
				if err != nil {
					b.Fatal(err)
				}
				m, err := New(inner, keys.recipient, nil).Open(b.Context(), ann)
				if err != nil || m.Len() != n {
					b.Fatal(err)
				}
				m.Close()
				inner.Close()
			}
		})
	}
	b.Run("argon2id", func(b *testing.B) {
		k, _, err := sealedmail.NewKeyring([]byte("password"))
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := k.Unlock([]byte("password")); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func deliveriesTo(s mailstore.Store, user string, n int) error {
	return measure.Spread(256, n, func(int) error {
		d, err := s.Create(context.Background(), mailstore.Meta{Received: time.Now()}, user)
		if err == nil {
			_, _ = io.WriteString(d, "x\r\n")
			err = d.Commit(context.Background(), nil)
		}
		return err
	})
}
