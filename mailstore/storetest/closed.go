package storetest

import (
	"errors"
	"io"

	"github.com/postrider-mail/postrider/mailstore"
)

// closed: after Close another may own the store, so that nothing of the old
// one's may be put into it, taken out, or asked.
func closed(s *suite) {
	if _, ok := s.store.(io.Closer); !ok {
		s.Skip("the store has no Close")
	}
	s.deliver("kept\r\n", alice)
	begun, err := s.store.Create(s.ctx, mailstore.Meta{}, alice, bob)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := io.WriteString(begun, "too late\r\n"); err != nil {
		s.Fatal(err)
	}
	left := s.drop(alice)
	old := s.store
	s.reopen()

	refused := func(what string, err error) {
		s.Helper()
		if !errors.Is(err, mailstore.ErrClosed) {
			s.Errorf("%s after Close: %v, want ErrClosed", what, err)
		}
	}
	refused("Commit", begun.Commit(s.ctx, nil))
	refused("Remove", left.Remove(s.ctx, []int{0}))
	_, err = old.Create(s.ctx, mailstore.Meta{}, alice)
	refused("Create", err)
	_, err = old.Open(s.ctx, alice)
	refused("Open", err)
	_, err = old.Usage(s.ctx, alice)
	refused("Usage", err)
	refused("Room", old.Room(s.ctx, alice, 1))
	for user, err := range old.Users(s.ctx) {
		refused("Users: "+user, err)
	}
	if err := left.Close(); err != nil {
		s.Error(err)
	}
	if err := old.(io.Closer).Close(); err != nil {
		s.Errorf("Close for the second time: %v", err)
	}
	s.want(alice, "kept\r\n")
	s.want(bob)
}
