package storetest

import (
	"errors"
	"strings"

	"github.com/postrider-mail/postrider/mailstore"
)

func badNames(s *suite) {
	for _, name := range []string{"", "alice", "@example.org", "alice@", "a\x00b@example.org", "a@b\nc", "\xff@example.org"} {
		if _, err := s.store.Open(s.ctx, name); !errors.Is(err, mailstore.ErrBadName) {
			s.Errorf("Open(%q): %v, want ErrBadName", name, err)
		}
		if _, err := s.store.Create(s.ctx, mailstore.Meta{}, alice, name); !errors.Is(err, mailstore.ErrBadName) {
			s.Errorf("Create(%q): %v, want ErrBadName", name, err)
		}
		if err := s.store.Room(s.ctx, name, 1); !errors.Is(err, mailstore.ErrBadName) {
			s.Errorf("Room(%q): %v, want ErrBadName", name, err)
		}
	}
	if _, err := s.store.Create(s.ctx, mailstore.Meta{}); err == nil {
		s.Error("Create without recipients succeeded")
	}
}

// names are mailboxes that must neither meet nor leave the store.
func names(s *suite) {
	list := []string{
		"../../etc@example.org", "..@..", ".@example.org", "a/b@example.org", "a@x/../y",
		"new@example.org", "cur@cur", "tmp@tmp", "-rf@example.org", "a%2fb@example.org",
		".hidden@example.org", "dots.@example.org", "sp ace@example.org", `"q@q"@example.org`,
		"grüße@example.org", "gru\u0308ße@example.org", "用户@例え.jp", "con@example.org",
		"a+tag@example.org", "it's@example.org", "x:2,S@example.org", "root@[127.0.0.1]",
		strings.Repeat("l", 64) + "@" + strings.Repeat("d", 63) + ".example.org",
	}
	for _, n := range list {
		s.deliver("for "+n+"\r\n", n)
	}
	for _, n := range list {
		s.want(n, "for "+n+"\r\n")
	}
	got := make(map[string]bool)
	for u, err := range s.store.Users(s.ctx) {
		if err != nil {
			s.Fatal(err)
		}
		got[strings.ToLower(u)] = true
	}
	for _, n := range list {
		if !got[strings.ToLower(n)] {
			s.Errorf("Users does not know %q", n)
		}
	}
	if len(got) != len(list) {
		s.Errorf("Users yields %d names, want %d", len(got), len(list))
	}
}
