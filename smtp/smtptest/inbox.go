package smtptest

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Inbox is what a Server has taken for one recipient, so that tests that run side by side do
// not read each other's mail. Its methods may be called by any number of goroutines.
type Inbox struct {
	s       *Server
	address string
	read    int // of the server's messages, by Next; s.mu
}

// Inbox returns the inbox of an address. Case makes no difference. Each call returns one whose
// Next begins with the first message.
func (s *Server) Inbox(address string) *Inbox { return &Inbox{s: s, address: address} }

// has reports whether a message is for the inbox.
func (i *Inbox) has(m *Message) bool {
	return slices.ContainsFunc(m.To, func(to string) bool { return strings.EqualFold(to, i.address) })
}

// Messages are all messages for the address that were taken so far.
func (i *Inbox) Messages() (all []Message) {
	for _, m := range i.s.Messages() {
		if i.has(&m) {
			all = append(all, m)
		}
	}
	return all
}

// Next returns the first message for the address that this Inbox has not returned yet, and waits
// for it until ctx ends or the server is closed.
func (i *Inbox) Next(ctx context.Context) (Message, error) {
	return i.s.next(ctx, func() (Message, bool) {
		for ; i.read < len(i.s.inbox); i.read++ {
			if m := i.s.inbox[i.read]; i.has(&m) {
				i.read++
				return m, true
			}
		}
		return Message{}, false
	})
}

// next waits until take, which is called under the lock, has a message.
func (s *Server) next(ctx context.Context, take func() (Message, bool)) (Message, error) {
	for {
		s.mu.Lock()
		m, ok := take()
		arrived := s.arrived
		s.mu.Unlock()
		if ok {
			return m, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return Message{}, context.Cause(ctx)
		case <-s.engine.Closed():
			return Message{}, errors.New("smtptest: the server is closed")
		}
	}
}
