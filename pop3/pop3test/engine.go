package pop3test

import (
	"bytes"
	"context"
	"io"
	"slices"

	"github.com/postrider-mail/postrider/internal/faulty"
	"github.com/postrider-mail/postrider/pop3"
)

// instrument puts the mailbox and the Faults into the server's callbacks.
func (s *Server) instrument() {
	c := s.Config
	check, backend, done, trace := c.CheckConn, c.Backend, c.Done, c.Trace
	c.CheckConn = func(ctx context.Context, ss *pop3.Session) error {
		if check != nil {
			if err := check(ctx, ss); err != nil {
				return err
			}
		}
		return s.engine.Happen(&ss.Identity, "connect")
	}
	c.Backend = pop3.BackendFunc(func(ctx context.Context, ss *pop3.Session, account string) (pop3.Drop, error) {
		if err := s.engine.Happen(&ss.Identity, "login"); err != nil {
			return nil, err
		}
		if backend != nil {
			return backend.Open(ctx, ss, account)
		}
		return s.open(ss)
	})
	c.Done = func(ss *pop3.Session, sum *pop3.Summary) {
		if done != nil {
			done(ss, sum)
		}
		s.engine.Forget(&ss.Identity)
	}
	c.Trace = func(ss *pop3.Session, dir byte, line string) {
		if trace != nil {
			trace(ss, dir, line)
		}
		s.engine.Trace(&ss.Identity, dir, line)
	}
	c.TLSConfig = s.engine.BreakTLS(c.TLSConfig)
}

// open locks the mailbox.
func (s *Server) open(ss *pop3.Session) (pop3.Drop, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locked {
		return nil, pop3.ErrInUse
	}
	s.locked = true
	return &drop{s, ss, slices.Clone(s.mailbox)}, nil
}

// drop is the mailbox in one session.
type drop struct {
	s    *Server
	ss   *pop3.Session
	list []Message
}

func (d *drop) Len() int         { return len(d.list) }
func (d *drop) Size(i int) int64 { return int64(len(d.list[i].Data)) }
func (d *drop) UID(i int) string { return d.list[i].UID }

func (d *drop) Open(_ context.Context, i int) (io.ReadCloser, error) {
	if err := d.s.engine.Reply(&d.ss.Identity); err != nil {
		return nil, err
	}
	var text io.Reader = bytes.NewReader(d.list[i].Data)
	f := d.s.engine.Due("message", "")
	d.s.engine.Wait(f.Delay)
	if f.Cut {
		text = io.MultiReader(io.LimitReader(text, f.After), broken{})
	}
	return io.NopCloser(text), nil
}

// broken is a message that cannot be read further: the engine cuts the
// connection.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, faulty.Err }

func (d *drop) Remove(_ context.Context, is []int) error {
	if err := d.s.engine.Reply(&d.ss.Identity); err != nil {
		return err
	}
	gone := make(map[string]bool)
	for _, i := range is {
		gone[d.list[i].UID] = true
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.s.mailbox = slices.DeleteFunc(d.s.mailbox, func(m Message) bool { return gone[m.UID] })
	return nil
}

func (d *drop) Close() error {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.s.locked = false
	return nil
}
