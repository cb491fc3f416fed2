package maildir_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

func TestQuota(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir(), maildir.WithQuota(func(user string) maildir.Quota {
		if user == "free@x" {
			return maildir.Quota{}
		}
		return maildir.Quota{Octets: 100, Messages: 3}
	}))
	fifty := strings.Repeat("x", 48) + "\r\n"
	if err := s.Room(ctx, who, 101); !errors.Is(err, mailstore.ErrOverQuota) {
		t.Errorf("Room for too much: %v", err)
	}
	for range 2 {
		if err := deliver(t, s, mailstore.Meta{}, fifty, who); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Room(ctx, who, 1); !errors.Is(err, mailstore.ErrOverQuota) {
		t.Errorf("Room in a full mailbox: %v", err)
	}
	// Nobody gets it if one cannot have it, also if that is found out at the end.
	if err := deliver(t, s, mailstore.Meta{}, fifty, "free@x", who); !errors.Is(err, mailstore.ErrOverQuota) {
		t.Errorf("delivery into a full mailbox: %v", err)
	}
	if u, _ := s.Usage(ctx, "free@x"); u.Messages != 0 {
		t.Error("half delivered")
	}
	// Another program makes room; we notice before refusing.
	m := drop(t, s, who)
	dir, _ := s.Path(who)
	m.Close()
	ents, _ := os.ReadDir(dir + "/new")
	os.Remove(dir + "/new/" + ents[0].Name())
	if err := deliver(t, s, mailstore.Meta{}, fifty, who); err != nil {
		t.Errorf("after room was made: %v", err)
	}
	// Our own removal makes room.
	m = drop(t, s, who)
	if err := m.Remove(ctx, []int{0, 1}); err != nil {
		t.Fatal(err)
	}
	m.Close()
	for range 3 {
		if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who); err != nil {
			t.Fatal(err)
		}
	}
	if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who); !errors.Is(err, mailstore.ErrOverQuota) {
		t.Errorf("fourth message: %v", err)
	}
}

// TestNeverFits: what is larger than a whole quota is told from what will fit when
// there is room, and the error names both.
func TestNeverFits(t *testing.T) {
	ctx := context.Background()
	hundred := func(string) maildir.Quota { return maildir.Quota{Octets: 100} }
	for name, opt := range map[string]maildir.Option{"mailbox": maildir.WithQuota(hundred), "domain": maildir.WithDomainQuota(hundred)} {
		s := open(t, t.TempDir(), opt)
		if err := deliver(t, s, mailstore.Meta{}, strings.Repeat("x", 48)+"\r\n", who); err != nil {
			t.Fatal(err)
		}
		for size, never := range map[int64]bool{50: false, 51: false, 100: false, 101: true} {
			err := s.Room(ctx, who, size)
			if (err == nil) != (size == 50) || err != nil && !errors.Is(err, mailstore.ErrOverQuota) || errors.Is(err, mailstore.ErrNeverFits) != never {
				t.Errorf("%s: %d octets beside 50 of 100: %v", name, size, err)
			}
			if err != nil && !(strings.Contains(err.Error(), "100") && strings.Contains(err.Error(), strconv.FormatInt(size, 10))) {
				t.Errorf("%s: the error does not name quota and size %d: %v", name, size, err)
			}
		}
		if err := deliver(t, s, mailstore.Meta{}, strings.Repeat("x", 101), who); !errors.Is(err, mailstore.ErrNeverFits) {
			t.Errorf("%s: not announced: %v", name, err)
		}
	}
}

func TestDomainQuota(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir(), maildir.WithDomainQuota(func(domain string) maildir.Quota {
		if domain == "small" {
			return maildir.Quota{Messages: 3}
		}
		return maildir.Quota{}
	}))
	for _, u := range []string{"a@small", "b@small", "c@small"} {
		if err := deliver(t, s, mailstore.Meta{}, "x\r\n", u, "a@large"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Room(ctx, "d@small", 1); !errors.Is(err, mailstore.ErrOverQuota) {
		t.Errorf("Room: %v", err)
	}
	m := drop(t, s, "b@small")
	if err := m.Remove(ctx, []int{0}); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, s, mailstore.Meta{}, "x\r\n", "d@small"); err != nil {
		t.Errorf("after a removal: %v", err)
	}
}

// TestQuotaAtOnce: many deliveries cannot share the last room.
func TestQuotaAtOnce(t *testing.T) {
	s := open(t, t.TempDir(), maildir.WithQuota(func(string) maildir.Quota { return maildir.Quota{Messages: 5} }))
	var ok atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			switch err := deliver(t, s, mailstore.Meta{}, "x\r\n", who); {
			case err == nil:
				ok.Add(1)
			case !errors.Is(err, mailstore.ErrOverQuota):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if u, _ := s.Usage(context.Background(), who); int64(ok.Load()) != u.Messages || u.Messages > 5 {
		t.Errorf("%d accepted, %d there", ok.Load(), u.Messages)
	}
}

// during runs a function when a context is asked for the nth time.
type during struct {
	context.Context
	n  int
	fn func()
}

func (d *during) Err() error {
	if d.n--; d.n == 0 {
		d.fn()
	}
	return d.Context.Err()
}

// TestDomainQuotaCountedMeanwhile: what is delivered while a domain is counted, to a
// mailbox already passed, is not forgotten.
func TestDomainQuotaCountedMeanwhile(t *testing.T) {
	for n := 1; n <= 4; n++ {
		s := open(t, t.TempDir(), maildir.WithDomainQuota(func(string) maildir.Quota { return maildir.Quota{Messages: 5} }))
		s2 := open(t, s.Root(), maildir.WithMode(maildir.Share))
		for _, u := range []string{"a@x", "b@x", "c@x"} {
			if err := deliver(t, s2, mailstore.Meta{}, "x\r\n", u); err != nil {
				t.Fatal(err)
			}
		}
		ctx := &during{context.Background(), n, func() {
			if err := deliver(t, s, mailstore.Meta{}, "x\r\n", "a@x"); err != nil {
				t.Error(err)
			}
		}}
		if err := s.Room(ctx, "a@x", 1); err != nil {
			t.Error(err)
		}
		taken := 0
		for range 3 {
			if deliver(t, s, mailstore.Meta{}, "x\r\n", "b@x") == nil {
				taken++
			}
		}
		if ctx.n > 0 {
			break // nothing more to interrupt
		}
		if taken != 1 {
			t.Errorf("interrupted at %d: %d more messages taken, want 1", n, taken)
		}
	}
}
