package smtptest

import (
	"context"

	"github.com/postrider-mail/postrider/smtp"
)

// instrument puts the Faults into the server's callbacks.
func (s *Server) instrument() {
	c := s.Config
	conn, helo, sender, rcpt, data, handler, done, trace := c.CheckConn, c.CheckHelo, c.CheckSender, c.CheckRcpt, c.CheckData, c.Handler, c.Done, c.Trace
	c.CheckConn = func(ctx context.Context, ss *smtp.Session) error {
		if conn != nil {
			if err := conn(ctx, ss); err != nil {
				return err
			}
		}
		return s.engine.Happen(&ss.Identity, "connect")
	}
	c.CheckHelo = func(ctx context.Context, ss *smtp.Session, name string) error {
		if helo != nil {
			if err := helo(ctx, ss, name); err != nil {
				return err
			}
		}
		return s.engine.Reply(&ss.Identity)
	}
	c.CheckSender = func(ctx context.Context, ss *smtp.Session, from smtp.Path, p *smtp.Params) error {
		if sender != nil {
			if err := sender(ctx, ss, from, p); err != nil {
				return err
			}
		}
		return s.engine.Reply(&ss.Identity)
	}
	c.CheckRcpt = func(ctx context.Context, ss *smtp.Session, to *smtp.Recipient) error {
		if rcpt != nil {
			if err := rcpt(ctx, ss, to); err != nil {
				return err
			}
		}
		return s.engine.Reply(&ss.Identity)
	}
	c.CheckData = func(ctx context.Context, ss *smtp.Session) error {
		if data != nil {
			if err := data(ctx, ss); err != nil {
				return err
			}
		}
		return s.engine.Reply(&ss.Identity)
	}
	c.Handler = smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error { return s.serve(ctx, e, handler) })
	c.Done = func(ss *smtp.Session, sum *smtp.Summary) {
		if done != nil {
			done(ss, sum)
		}
		s.engine.Forget(&ss.Identity)
	}
	c.Trace = func(ss *smtp.Session, dir byte, line string) {
		if trace != nil {
			trace(ss, dir, line)
		}
		s.engine.Trace(&ss.Identity, dir, line)
	}
	c.TLSConfig = s.engine.BreakTLS(c.TLSConfig)
}
