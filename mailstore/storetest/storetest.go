// Package storetest is the suite every mail store must pass. A store's own
// tests call [Run] with a way to make a fresh store and to open it again:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, dir string) mailstore.Store { ... })
//	}
//
// Each check is one promise of the interfaces' comments.
package storetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
)

// Opener opens the store kept in dir, which is empty the first time. It is
// called again with the same dir to see what survived; the store before is
// closed through its Close method, if it has one. The store must have no
// quotas; those are for RunQuota.
type Opener func(t *testing.T, dir string) mailstore.Store

// Run runs the suite.
func Run(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		fn   func(*suite)
	}{
		{"Octets", octets},
		{"OctetsInPieces", octetsInPieces},
		{"Large", large},
		{"Top", top},
		{"TopPadded", topPadded},
		{"Recipients", recipients},
		{"Excluded", excluded},
		{"NothingBeforeCommit", nothingBeforeCommit},
		{"Order", order},
		{"Frozen", frozen},
		{"Locked", locked},
		{"Remove", remove},
		{"RemoveTwice", removeTwice},
		{"UIDsLast", uidsLast},
		{"UIDAskedFor", uidAskedFor},
		{"Flag", flag},
		{"Move", move},
		{"KeeperRefuses", keeperRefuses},
		{"BadNames", badNames},
		{"Names", names},
		{"Usage", usage},
		{"Users", users},
		{"Canceled", canceled},
		{"Closed", closed},
		{"Concurrent", concurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{T: t, open: open, dir: t.TempDir(), ctx: t.Context()}
			s.reopen()
			t.Cleanup(s.close)
			c.fn(s)
		})
	}
}

const alice, bob, carol = "alice@example.org", "bob@example.org", "carol@example.net"

type suite struct {
	*testing.T
	open  Opener
	dir   string
	ctx   context.Context
	store mailstore.Store
}

func (s *suite) close() {
	if c, ok := s.store.(io.Closer); ok {
		if err := c.Close(); err != nil {
			s.Errorf("close store: %v", err)
		}
	}
	s.store = nil
}

func (s *suite) reopen() {
	s.Helper()
	if s.store != nil {
		s.close()
	}
	s.store = s.open(s.T, s.dir)
}

func (s *suite) deliver(msg string, users ...string) {
	s.Helper()
	s.deliverMeta(mailstore.Meta{ID: s.Name()}, msg, users...)
}

func (s *suite) deliverMeta(m mailstore.Meta, msg string, users ...string) {
	s.Helper()
	d, err := s.store.Create(s.ctx, m, users...)
	if err != nil {
		s.Fatalf("Create: %v", err)
	}
	if n, err := io.WriteString(d, msg); n != len(msg) || err != nil {
		s.Fatalf("Write = %d, %v", n, err)
	}
	if err := d.Commit(s.ctx, nil); err != nil {
		s.Fatalf("Commit: %v", err)
	}
	if err := d.Abort(); err != nil {
		s.Errorf("Abort after Commit: %v", err)
	}
}

func (s *suite) drop(user string) mailstore.Maildrop {
	s.Helper()
	m, err := s.store.Open(s.ctx, user)
	if err != nil {
		s.Fatalf("Open(%s): %v", user, err)
	}
	s.Cleanup(func() { m.Close() })
	return m
}

// want checks a mailbox's messages, in any order, and each size and id.
func (s *suite) want(user string, msgs ...string) {
	s.Helper()
	m := s.drop(user)
	defer m.Close()
	var got []string
	uids := make(map[string]bool)
	for i := range m.Len() {
		body := s.read(m, i)
		if m.Size(i) != int64(len(body)) {
			s.Errorf("%s: Size(%d) = %d, Open gave %d octets", user, i, m.Size(i), len(body))
		}
		checkUID(s.T, m.UID(i))
		if uids[m.UID(i)] {
			s.Errorf("%s: UID %q twice", user, m.UID(i))
		}
		uids[m.UID(i)] = true
		got = append(got, body)
	}
	slices.Sort(got)
	msgs = slices.Sorted(slices.Values(msgs))
	if !slices.Equal(got, msgs) {
		s.Errorf("%s holds %s\nwant %s", user, brief(got), brief(msgs))
	}
}

func brief(msgs []string) string {
	var b strings.Builder
	for _, m := range msgs {
		fmt.Fprintf(&b, "\n\t%.60q (%d octets)", m, len(m))
	}
	return fmt.Sprintf("%d messages:%s", len(msgs), b.String())
}

func checkUID(t *testing.T, uid string) {
	t.Helper()
	bad := func(r rune) bool { return r < 0x21 || r > 0x7e }
	if len(uid) < 1 || len(uid) > 70 || strings.ContainsFunc(uid, bad) {
		t.Errorf("UID %q is not as RFC 1939 §7 wants it", uid)
	}
}

func (s *suite) read(m mailstore.Maildrop, i int) string {
	s.Helper()
	r, err := m.Open(s.ctx, i)
	if err != nil {
		s.Fatalf("Open(%d): %v", i, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		s.Fatalf("read message %d: %v", i, err)
	}
	return string(b)
}

func usage(s *suite) {
	if u, err := s.store.Usage(s.ctx, alice); err != nil || u != (mailstore.Usage{}) {
		s.Errorf("Usage of an empty mailbox = %+v, %v", u, err)
	}
	if err := s.store.Room(s.ctx, alice, 1000); err != nil {
		s.Errorf("Room: %v", err)
	}
	s.deliver("12345\r\n", alice)
	s.deliver("bare\nLF", alice)
	if u, err := s.store.Usage(s.ctx, alice); err != nil || u != (mailstore.Usage{Messages: 2, Octets: 14}) {
		s.Errorf("Usage = %+v, %v; want 2 messages, 14 octets", u, err)
	}
	m := s.drop(alice)
	if err := m.Remove(s.ctx, []int{0, 1}); err != nil {
		s.Fatal(err)
	}
	m.Close()
	if u, err := s.store.Usage(s.ctx, alice); err != nil || u != (mailstore.Usage{}) {
		s.Errorf("Usage of an emptied mailbox = %+v, %v", u, err)
	}
}

func users(s *suite) {
	s.deliver("x\r\n", alice, carol)
	s.drop(bob).Close()
	var got []string
	for u, err := range s.store.Users(s.ctx) {
		if err != nil {
			s.Fatal(err)
		}
		got = append(got, u)
	}
	for _, u := range []string{alice, carol} {
		if !slices.Contains(got, u) {
			s.Errorf("Users = %q, without %s", got, u)
		}
	}
	for range s.store.Users(s.ctx) {
		break // stopping early is allowed
	}
}

func canceled(s *suite) {
	d, err := s.store.Create(s.ctx, mailstore.Meta{}, alice)
	if err != nil {
		s.Fatal(err)
	}
	io.WriteString(d, plainMsg)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := d.Commit(ctx, nil); err == nil {
		s.want(alice, plainMsg)
	} else {
		s.want(alice)
	}
	if d, err := s.store.Create(s.ctx, mailstore.Meta{}, bob); err != nil {
		s.Errorf("after a canceled commit: %v", err)
	} else {
		d.Abort()
	}
}
