package pop3

import (
	"log/slog"
	"net"
	"time"
)

// Summary is what a session did, for those who count or write it down. The
// Server's own line about a session is one; see Server.Done.
type Summary struct {
	Session      *Session
	Took         time.Duration
	LoggedIn     bool
	Commands     int
	Mechanism    string         // of the login: "USER", "APOP", or that of AUTH; empty: there was none
	FailedLogins int            // for whatever reason
	FailedBy     map[string]int // of these, how many by each mechanism; nil: there are none
	// Of a session that has logged in: how many messages there were, were sent
	// whole or in part, and are removed, and how many octets of messages were sent.
	Messages, Retrieved, Tops, Deleted int
	Octets                             int64
	Sent                               int64  // octets of all replies
	End                                string // why it ended, in words
}

// Stranger is the client's address if nobody has logged in, and nil otherwise. A
// log may be told of such sessions without end, and may leave some out.
func (s *Summary) Stranger() net.Addr {
	if s.LoggedIn {
		return nil
	}
	return s.Session.RemoteAddr
}

// LogValue implements slog.LogValuer: the keys of the line about a session.
func (s *Summary) LogValue() slog.Value {
	attrs := s.Session.LogAttrs()
	if s.Session.TLS != nil {
		attrs = append(attrs, slog.String("tls", s.Session.TLSName()))
	}
	attrs = append(attrs, slog.Int("commands", s.Commands))
	if s.LoggedIn {
		attrs = append(attrs, slog.Int("messages", s.Messages), slog.Int("retrieved", s.Retrieved), slog.Int("top", s.Tops),
			slog.Int("deleted", s.Deleted), slog.Int64("octets", s.Octets))
	}
	if s.FailedLogins > 0 {
		attrs = append(attrs, slog.Int("failed_logins", s.FailedLogins))
	}
	return slog.GroupValue(append(attrs, slog.Int64("sent", s.Sent), slog.Duration("took", s.Took), slog.String("end", s.End))...)
}

// summary is what the session has done so far.
func (c *session) summary() *Summary {
	s := c.tally
	s.Session, s.Took, s.LoggedIn = &c.pub, time.Since(c.pub.Began).Round(time.Microsecond), c.state == transaction
	s.Sent, s.End = c.w.sent, c.why
	return &s
}

// Refusal is a login that was answered -ERR. See Server.Refused.
type Refusal struct {
	Session *Session
	Command string // "PASS", "APOP" or "AUTH"
	User    string // who the client says it is, where it has said so in the clear
	Code    Code   // may be empty
	Text    string
}

// Stranger is the client's address. A client can be refused without end, so that
// a log may leave some of it out, whoever it is.
func (r *Refusal) Stranger() net.Addr { return r.Session.RemoteAddr }

// LogValue implements slog.LogValuer: the keys of the line about a refusal.
func (r *Refusal) LogValue() slog.Value {
	reply := "-ERR "
	if r.Code != "" {
		reply += "[" + string(r.Code) + "] "
	}
	attrs := r.Session.LogAttrs(slog.String("command", r.Command))
	if r.User != "" {
		attrs = append(attrs, slog.String("user", r.User))
	}
	return slog.GroupValue(append(attrs, slog.String("reply", reply+r.Text))...)
}

// noting makes a command that logs in one that tells of its refusal. That a
// password was wrong is in the log of whoever checked it, who knows whose it was.
func noting(verb string, run func(*session, *args) reply) func(*session, *args) reply {
	return func(c *session, a *args) reply {
		name := c.name
		if verb == "APOP" {
			name = string(a.v[0])
		}
		r := run(c, a)
		if r.ok || r.mute {
			return r
		}
		f := &Refusal{Session: &c.pub, Command: verb, User: nameOf(name), Code: r.code, Text: r.text}
		if r.code != CodeAuth {
			c.srv.conf.log.Info("refused", "", f)
		}
		if c.srv.Refused != nil {
			c.srv.Refused(&c.pub, f)
		}
		return r
	}
}
