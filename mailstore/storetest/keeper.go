package storetest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

// keeper opens alice's maildrop as a Keeper. It is false for a store that has
// none, which is allowed.
func (s *suite) keeper() (mailstore.Maildrop, mailstore.Keeper, bool) {
	s.Helper()
	m := s.drop(alice)
	k, ok := m.(mailstore.Keeper)
	if !ok {
		s.Log("this store's maildrops are no Keepers")
		m.Close()
	}
	return m, k, ok
}

// find is the number of a message.
func (s *suite) find(m mailstore.Maildrop, body string) int {
	s.Helper()
	for i := range m.Len() {
		if s.read(m, i) == body {
			return i
		}
	}
	s.Fatalf("no message %q", body)
	return -1
}

// flag: flags are added and stay; nothing else about the message changes.
func flag(s *suite) {
	for _, msg := range samples[:12] {
		s.deliver(msg, alice)
	}
	s.deliverMeta(mailstore.Meta{Flags: "F", UID: "a/b:c,d%e"}, "flagged\r\n", alice)
	before := s.uids(alice)
	m, k, ok := s.keeper()
	if !ok {
		return
	}
	i, j := s.find(m, "flagged\r\n"), s.find(m, samples[9])
	for range 2 { // what is there already is done
		if err := k.Flag(s.ctx, []int{i, j, i}, "SxR"); err != nil {
			s.Fatalf("Flag: %v", err)
		}
	}
	if err := k.Flag(s.ctx, nil, "T"); err != nil {
		s.Errorf("Flag of nothing: %v", err)
	}
	check := func(m mailstore.Maildrop, k mailstore.Keeper) {
		s.Helper()
		for msg, want := range map[string]string{"flagged\r\n": "FRS", samples[9]: "RS", samples[0]: ""} {
			if got := k.Flags(s.find(m, msg)); got != want {
				s.Errorf("flags of %q are %q, want %q", msg, got, want)
			}
		}
	}
	check(m, k)
	m.Close()
	s.sameUIDs(before)
	s.reopen()
	s.sameUIDs(before)
	m, k, _ = s.keeper()
	check(m, k)
	s.unflag(m, k, before)
}

// unflag: flags are taken away again, and nothing else changes. A store need not be
// able to.
func (s *suite) unflag(m mailstore.Maildrop, k mailstore.Keeper, before map[string]string) {
	s.Helper()
	defer m.Close()
	trash, ok := k.(mailstore.Trash)
	if !ok {
		return
	}
	i := s.find(m, "flagged\r\n")
	for range 2 {
		if err := trash.Unflag(s.ctx, []int{i, i}, "ST"); err != nil {
			s.Fatalf("Unflag: %v", err)
		}
	}
	if got := k.Flags(i); got != "FR" {
		s.Errorf("flags are %q without S, want FR", got)
	}
	if since := trash.Changed(i); since.After(time.Now().Add(time.Minute)) {
		s.Errorf("changed %v", since)
	}
	m.Close()
	s.reopen()
	s.sameUIDs(before)
	again, k, _ := s.keeper()
	defer again.Close()
	if got := k.Flags(s.find(again, "flagged\r\n")); got != "FR" {
		s.Errorf("flags are %q after a restart, want FR", got)
	}
}

// sameUIDs checks alice's messages against those found before.
func (s *suite) sameUIDs(before map[string]string) {
	s.Helper()
	after := s.uids(alice)
	if len(after) != len(before) {
		s.Errorf("%d messages, want %d", len(after), len(before))
	}
	for body, uid := range before {
		if after[body] != uid {
			s.Errorf("UID of %.30q was %q and is %q", body, uid, after[body])
		}
	}
}

// move: what is put into a folder is out of the maildrop, durably, and counts no
// more; what is not, stays.
func move(s *suite) {
	for _, msg := range samples[:8] {
		s.deliver(msg, alice)
	}
	m, k, ok := s.keeper()
	if !ok {
		return
	}
	i, j := s.find(m, samples[0]), s.find(m, samples[6])
	if err := k.Move(s.ctx, []int{i, i}, "Trash"); err != nil {
		s.Fatalf("Move: %v", err)
	}
	if _, err := m.Open(s.ctx, i); !errors.Is(err, mailstore.ErrGone) {
		s.Errorf("Open of a message put away: %v, want ErrGone", err)
	}
	// Into a folder that is there, and one that is not; and again.
	if err := errors.Join(k.Move(s.ctx, []int{i, j}, "Trash"), k.Move(s.ctx, []int{j}, "Old-mail_2"), k.Move(s.ctx, nil, "None")); err != nil {
		s.Errorf("Move: %v", err)
	}
	if err := errors.Join(m.Remove(s.ctx, []int{i}), k.Flag(s.ctx, []int{j}, "S")); err != nil {
		s.Errorf("after a Move the message counts as gone: %v", err)
	}
	if m.Len() != 8 {
		s.Errorf("the list was frozen and has %d messages", m.Len())
	}
	m.Close()
	var want []string
	var size int64
	for n, msg := range samples[:8] {
		if n != 0 && n != 6 {
			want = append(want, msg)
			size += int64(len(msg))
		}
	}
	s.want(alice, want...)
	if u, err := s.store.Usage(s.ctx, alice); err != nil || u != (mailstore.Usage{Messages: 6, Octets: size}) {
		s.Errorf("Usage = %+v, %v; want 6 messages, %d octets", u, err, size)
	}
	s.reopen()
	s.want(alice, want...)
	s.users(alice)
}

// users checks that no folder passes for a mailbox.
func (s *suite) users(want string) {
	s.Helper()
	for u, err := range s.store.Users(s.ctx) {
		if err != nil || u != want {
			s.Errorf("Users yields %q, %v", u, err)
		}
	}
}

// keeperRefuses: nothing happens where something is wrong.
func keeperRefuses(s *suite) {
	s.deliver("a\r\n", alice)
	m, k, ok := s.keeper()
	if !ok {
		return
	}
	for _, name := range []string{"", ".", "..", "a/b", "../x", "a.b", "a b", "new\x00", "grün", strings.Repeat("x", 65)} {
		if err := k.Move(s.ctx, []int{0}, name); err == nil {
			s.Errorf("moved to a folder called %q", name)
		}
	}
	for _, is := range [][]int{{1}, {-1}, {0, 1}} {
		if err := k.Move(s.ctx, is, "Trash"); err == nil {
			s.Errorf("Move of %v succeeded", is)
		}
		if err := k.Flag(s.ctx, is, "S"); err == nil {
			s.Errorf("Flag of %v succeeded", is)
		}
	}
	canceled, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := k.Move(canceled, []int{0}, "Trash"); err == nil {
		s.Error("Move after the context ended")
	}
	if got := k.Flags(0); got != "" {
		s.Errorf("flags are %q", got)
	}
	if k.Received(0).IsZero() || time.Since(k.Received(0)).Abs() > time.Hour {
		s.Errorf("Received = %v", k.Received(0))
	}
	m.Close()
	if k.Move(s.ctx, []int{0}, "Trash") == nil || k.Flag(s.ctx, []int{0}, "S") == nil {
		s.Error("a closed maildrop still changes messages")
	}
	s.want(alice, "a\r\n")
}
