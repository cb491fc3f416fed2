package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/mailstore"
)

func order(s *suite) {
	var want []string
	for i := range 20 {
		msg := fmt.Sprintf("message %d\r\n", i)
		s.deliver(msg, alice)
		want = append(want, msg)
	}
	m := s.drop(alice)
	for i := range m.Len() {
		if got := s.read(m, i); got != want[i] {
			s.Errorf("message %d is %q", i, got)
		}
	}
}

func frozen(s *suite) {
	s.deliver("one\r\n", alice)
	m := s.drop(alice)
	s.deliver("two\r\n", alice)
	if m.Len() != 1 || s.read(m, 0) != "one\r\n" {
		s.Error("the list changed while the maildrop was open")
	}
	if err := m.Remove(s.ctx, []int{0}); err != nil {
		s.Fatal(err)
	}
	m.Close()
	s.want(alice, "two\r\n")
}

func locked(s *suite) {
	m := s.drop(alice)
	if _, err := s.store.Open(s.ctx, alice); !errors.Is(err, mailstore.ErrLocked) {
		s.Errorf("second Open: %v, want ErrLocked", err)
	}
	s.drop(bob).Close() // another mailbox is free
	if err := m.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	if err := m.Close(); err != nil {
		s.Errorf("second Close: %v", err)
	}
	s.drop(alice).Close()
	if _, err := m.Open(s.ctx, 0); err == nil {
		s.Error("a closed maildrop still opens messages")
	}
	if err := m.Remove(s.ctx, []int{0}); err == nil {
		s.Error("a closed maildrop still removes messages")
	}
}

func remove(s *suite) {
	for i := range 5 {
		s.deliver(fmt.Sprintf("%d\r\n", i), alice)
	}
	m := s.drop(alice)
	if err := m.Remove(s.ctx, nil); err != nil {
		s.Errorf("Remove of nothing: %v", err)
	}
	if err := m.Remove(s.ctx, []int{99}); err == nil {
		s.Error("Remove of a number out of range succeeded")
	}
	var want []string
	var is []int
	for i := range 5 {
		body := s.read(m, i)
		if body == "1\r\n" || body == "3\r\n" {
			is = append(is, i)
		} else {
			want = append(want, body)
		}
	}
	if err := m.Remove(s.ctx, is); err != nil {
		s.Fatal(err)
	}
	m.Close()
	s.want(alice, want...)
	s.reopen()
	s.want(alice, want...)
}

func removeTwice(s *suite) {
	s.deliver("a\r\n", alice)
	m := s.drop(alice)
	for range 2 {
		if err := m.Remove(s.ctx, []int{0, 0}); err != nil {
			s.Errorf("Remove: %v", err)
		}
	}
	if _, err := m.Open(s.ctx, 0); !errors.Is(err, mailstore.ErrGone) {
		s.Errorf("Open of a removed message: %v, want ErrGone", err)
	}
}

func (s *suite) uids(user string) map[string]string {
	m := s.drop(user)
	defer m.Close()
	out := make(map[string]string)
	for i := range m.Len() {
		out[s.read(m, i)] = m.UID(i)
	}
	return out
}

func uidsLast(s *suite) {
	for i := range 10 {
		s.deliver(fmt.Sprintf("%d\r\n", i), alice)
	}
	before := s.uids(alice)
	m := s.drop(alice)
	if err := m.Remove(s.ctx, []int{0, 4}); err != nil {
		s.Fatal(err)
	}
	m.Close()
	s.deliver("new\r\n", alice)
	s.reopen()
	after := s.uids(alice)
	if len(after) != 9 {
		s.Fatalf("%d messages, want 9", len(after))
	}
	seen := make(map[string]bool)
	for _, uid := range before {
		seen[uid] = true
	}
	for body, uid := range after {
		if body == "new\r\n" {
			if seen[uid] {
				s.Error("a UID was used again")
			}
		} else if before[body] != uid {
			s.Errorf("UID of %q changed from %q to %q", body, before[body], uid)
		}
	}
}

func uidAskedFor(s *suite) {
	asked := []string{"old-1", "a/b:c,d%e", strings.Repeat("z", 70), "000000014a3b2c1d"}
	for _, uid := range asked {
		s.deliverMeta(mailstore.Meta{UID: uid}, uid+"\r\n", alice)
	}
	// Taken, too long, not printable: the store finds another.
	for _, uid := range []string{"old-1", strings.Repeat("z", 71), "with space"} {
		s.deliverMeta(mailstore.Meta{UID: uid}, "again "+uid+"\r\n", alice)
	}
	for range 2 {
		got := s.uids(alice)
		if len(got) != 7 {
			s.Fatalf("%d messages, want 7", len(got))
		}
		for _, uid := range asked {
			if got[uid+"\r\n"] != uid {
				s.Errorf("asked for UID %q, got %q", uid, got[uid+"\r\n"])
			}
		}
		seen := make(map[string]bool)
		for _, uid := range got {
			checkUID(s.T, uid)
			if seen[uid] {
				s.Errorf("UID %q twice", uid)
			}
			seen[uid] = true
		}
		s.reopen()
	}
}
