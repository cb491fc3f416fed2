package storetest

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
)

// QuotaOpener opens a store as Opener does, in which no mailbox holds more than
// limit says for it, in octets; 0 is no limit.
type QuotaOpener func(t *testing.T, dir string, limit func(user string) int64) mailstore.Store

// RunQuota runs the part of the suite that is about mailboxes with no room left.
// A store that knows no quotas can do without.
func RunQuota(t *testing.T, open QuotaOpener) {
	limit := func(user string) int64 {
		if strings.HasPrefix(user, "tiny") {
			return 100
		}
		return 0
	}
	for _, c := range []struct {
		name string
		fn   func(*suite)
	}{
		{"RefusedAtCreate", refusedAtCreate},
		{"RefusedAtCommit", refusedAtCommit},
		{"RefusedByAll", refusedByAll},
		{"RefusedThenAborted", refusedThenAborted},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{T: t, dir: t.TempDir(), ctx: t.Context()}
			s.open = func(t *testing.T, dir string) mailstore.Store { return open(t, dir, limit) }
			s.reopen()
			t.Cleanup(s.close)
			c.fn(s)
		})
	}
}

const tiny, tiny2 = "tiny@example.org", "tiny2@example.net"

// refused checks that err names these mailboxes, each for want of room, and no
// other.
func (s *suite) refused(err error, users ...string) {
	s.Helper()
	var r *mailstore.Refused
	if !errors.As(err, &r) || !errors.Is(err, mailstore.ErrOverQuota) {
		s.Fatalf("got %v, want a *mailstore.Refused that is ErrOverQuota", err)
	}
	if got := slices.Sorted(maps.Keys(r.Mailboxes)); !slices.Equal(got, slices.Sorted(slices.Values(users))) {
		s.Errorf("%q are refused, want %q", got, users)
	}
	for user, why := range r.Mailboxes {
		if !errors.Is(why, mailstore.ErrOverQuota) || !strings.Contains(err.Error(), user) {
			s.Errorf("%s: %v, in %v", user, why, err)
		}
	}
}

// refusedAtCreate: the announced size tells, and the others can be had at once.
func refusedAtCreate(s *suite) {
	m := mailstore.Meta{Size: 1000}
	_, err := s.store.Create(s.ctx, m, alice, tiny, bob, tiny2, tiny)
	s.refused(err, tiny, tiny2)
	s.deliverMeta(m, strings.Repeat("x\r\n", 300), alice, bob)
	s.deliver("fits\r\n", alice, tiny)
	s.want(tiny, "fits\r\n")
}

// refusedAtCommit: who has no room is told by name, wherever he stands in the
// list and however large the message is; nobody has the message then; and it is
// not lost to the others, who have it durably when Commit has returned nil.
func refusedAtCommit(s *suite) {
	var sent []string
	for _, msg := range []string{
		strings.Repeat("0123456789abcde\r\n", 10),
		strings.Repeat("0123456789abcde\r\n", 20000),
		strings.Repeat("0123456789abcde\r\n", 20000) + "bare\n",
	} {
		for _, users := range [][]string{{tiny, alice, bob}, {alice, tiny, bob}, {alice, bob, tiny}, {tiny, tiny2, alice, bob}} {
			d, err := s.store.Create(s.ctx, mailstore.Meta{}, users...)
			if err != nil {
				s.Fatal(err)
			}
			if _, err := io.WriteString(d, msg); err != nil {
				s.Fatal(err)
			}
			full := slices.DeleteFunc(slices.Clone(users), func(u string) bool { return !strings.HasPrefix(u, "tiny") })
			s.refused(d.Commit(s.ctx, nil), full...)
			s.want(alice, sent...)
			s.refused(d.Commit(s.ctx, nil), full...) // it stays so
			if _, err := io.WriteString(d, "more"); err == nil {
				s.Error("a message grew after Commit")
			}
			d.Exclude(full...)
			d.Exclude("stranger@example.org")
			if err := d.Commit(s.ctx, nil); err != nil {
				s.Fatalf("Commit without %q: %v", full, err)
			}
			sent = append(sent, msg)
			if err := d.Abort(); err != nil {
				s.Errorf("Abort after Commit: %v", err)
			}
			if err := d.Commit(s.ctx, nil); err == nil {
				s.Error("a second Commit succeeded")
			}
		}
	}
	for range 2 {
		s.want(alice, sent...)
		s.want(bob, sent...)
		s.want(tiny)
		s.want(tiny2)
		s.reopen()
	}
}

func refusedByAll(s *suite) {
	long := strings.Repeat("x\r\n", 100)
	d, err := s.store.Create(s.ctx, mailstore.Meta{}, tiny, tiny2)
	if err != nil {
		s.Fatal(err)
	}
	io.WriteString(d, long)
	s.refused(d.Commit(s.ctx, nil), tiny, tiny2)
	d.Exclude(tiny, tiny2)
	if err := d.Commit(s.ctx, nil); err == nil {
		s.Error("Commit succeeded for nobody")
	}
	if err := d.Abort(); err != nil {
		s.Errorf("Abort: %v", err)
	}
	s.want(tiny)
}

// refusedThenAborted: what was refused takes no room.
func refusedThenAborted(s *suite) {
	for range 3 {
		d, err := s.store.Create(s.ctx, mailstore.Meta{}, alice, tiny)
		if err != nil {
			s.Fatal(err)
		}
		io.WriteString(d, strings.Repeat("x\r\n", 40000))
		s.refused(d.Commit(s.ctx, nil), tiny)
		if err := d.Abort(); err != nil {
			s.Errorf("Abort: %v", err)
		}
		if err := d.Commit(s.ctx, nil); err == nil {
			s.Error("Commit after Abort succeeded")
		}
	}
	s.deliver(strings.Repeat("x\r\n", 30), alice, tiny)
	s.want(alice, strings.Repeat("x\r\n", 30))
	s.want(tiny, strings.Repeat("x\r\n", 30))
}

// excluded: a mailbox taken out gets nothing, and is none for having been named.
func excluded(s *suite) {
	d, err := s.store.Create(s.ctx, mailstore.Meta{}, alice, bob, carol)
	if err != nil {
		s.Fatal(err)
	}
	io.WriteString(d, plainMsg)
	d.Exclude(bob, "stranger@example.org")
	d.Exclude(alice)
	if err := d.Commit(s.ctx, nil); err != nil {
		s.Fatal(err)
	}
	s.want(alice)
	s.want(bob)
	s.want(carol, plainMsg)
	if d, err = s.store.Create(s.ctx, mailstore.Meta{}, alice); err != nil {
		s.Fatal(err)
	}
	io.WriteString(d, plainMsg)
	d.Exclude(alice)
	if err := d.Commit(s.ctx, nil); err == nil {
		s.Error("Commit succeeded for nobody")
	}
	d.Abort()
	s.want(alice)
}
