package smtp

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
)

// Summary is what a session did, for those who count or write it down. The
// Server's own line about a session is one; see Server.Done.
type Summary struct {
	Session      *Session
	Took         time.Duration
	Accepted     int            // messages
	Refused      int            // commands and messages that were answered 4yz or 5yz, as Server.Refused sees them
	FailedLogins int            // AUTH, for whatever reason
	FailedBy     map[string]int // of these, how many by each mechanism; nil: there are none
	Mechanism    string         // that AUTH succeeded with; empty if it did not
	Commands     map[string]int // how many of each, by name in capitals
	Quit         bool           // the client said QUIT
	Err          error          // what ended the session otherwise, if known
}

// Stranger is the client's address if the session brought nothing: nobody logged
// in, and no message was accepted. It is nil otherwise. A log may be told of such
// sessions without end, and may leave some out.
func (s *Summary) Stranger() net.Addr {
	if s.Session.User != "" || s.Accepted > 0 {
		return nil
	}
	return s.Session.RemoteAddr
}

// LogValue implements slog.LogValuer: the keys of the line about a session.
func (s *Summary) LogValue() slog.Value {
	attrs := s.Session.LogAttrs(slog.Duration("took", s.Took), slog.Int("accepted", s.Accepted))
	attrs = addText(attrs, "helo", s.Session.Helo)
	attrs = addText(attrs, "mechanism", s.Mechanism)
	attrs = addText(attrs, "tls", s.Session.TLSName())
	if s.FailedLogins > 0 {
		attrs = append(attrs, slog.Int("failed_logins", s.FailedLogins))
	}
	if s.Refused > 0 {
		attrs = append(attrs, slog.Int("refused", s.Refused))
	}
	if s.Err != nil {
		attrs = append(attrs, slog.String("ended", s.Err.Error()))
	}
	var counts []any
	for _, name := range slices.Sorted(maps.Keys(s.Commands)) {
		counts = append(counts, slog.Int(strings.ToLower(name), s.Commands[name]))
	}
	return slog.GroupValue(append(attrs, slog.Group("commands", counts...))...)
}

// addText adds a text that is not empty.
func addText(attrs []slog.Attr, key, value string) []slog.Attr {
	if value == "" {
		return attrs
	}
	return append(attrs, slog.String(key, value))
}

// summary is what the session has done so far.
func (s *session) summary() *Summary {
	sum := &Summary{
		Session: &s.pub, Took: time.Since(s.pub.Began), Accepted: s.accepted, Refused: s.refusals, FailedLogins: s.authErrors, FailedBy: s.failedBy,
		Mechanism: s.mechanism, Commands: make(map[string]int), Quit: s.byQuit, Err: s.err,
	}
	for i, n := range s.counts {
		if n > 0 {
			sum.Commands[s.srv.names[i]] = int(n)
		}
	}
	return sum
}

// Refusal is a client that was answered 4yz or 5yz: to MAIL, RCPT, AUTH, DATA or
// BDAT, to any other command that a callback refuses, or, with the Command
// "CONNECT", to the connection. See Server.Refused.
type Refusal struct {
	Session *Session
	Command string // in capitals
	ID      string // of the transaction, Envelope.ID; empty outside
	From    string // the sender as it was written, without angle brackets
	To      string // the recipient likewise; of DATA and BDAT all of them, by commas
	Reply   *Reply // Unwrap is its cause, where a callback gave one
}

// Stranger is the client's address. A client can be refused without end, so that
// a log may leave some of it out, whoever it is.
func (r *Refusal) Stranger() net.Addr { return r.Session.RemoteAddr }

// LogValue implements slog.LogValuer: the keys of the line about a refusal.
func (r *Refusal) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("session", r.Session.ID)}
	attrs = addText(attrs, "id", r.ID)
	attrs = append(attrs, slog.String("command", r.Command))
	if r.ID != "" || r.Command == "MAIL" {
		attrs = append(attrs, slog.String("from", r.From)) // may be the null sender
	}
	attrs = addText(attrs, "to", r.To)
	attrs = append(attrs, slog.String("reply", r.Reply.Error()))
	if cause := r.Reply.Unwrap(); cause != nil {
		attrs = append(attrs, slog.String("err", cause.Error()))
	}
	attrs = append(attrs, r.Reply.facts...)
	attrs = addText(attrs, "helo", r.Session.Helo)
	attrs = addText(attrs, "user", r.Session.User)
	return slog.GroupValue(append(attrs, slog.String("remote", r.Session.Remote()))...)
}

// noteRefusal tells of the reply to a command, if it is a refusal that says
// something of the mail: not of a client that is out of step. e is the transaction
// before the command.
func (s *session) noteRefusal(c *command, args []byte, e *Envelope, r *Reply) {
	if r.Positive() || r.Code == 503 || r == errNoValidRcpt || c.flags&noted == 0 && r.Unwrap() == nil && len(r.facts) == 0 {
		return
	}
	to := ""
	switch c.name {
	case "MAIL":
		s.refuse(&Refusal{Command: c.name, From: s.written(args, "FROM"), Reply: r})
		return
	case "RCPT":
		to = s.written(args, "TO")
	case "DATA", "BDAT":
		if e != nil && s.srv.LMTP && len(e.To) > 0 {
			to = e.To[len(e.To)-1].Path.String() // the others had replies of their own
		} else if e != nil {
			to = recipientsOf(e)
		}
	}
	s.refuseIn(e, c.name, to, r)
}

// refuseIn tells of a refusal within a transaction; e is nil outside.
func (s *session) refuseIn(e *Envelope, command, to string, r *Reply) {
	f := &Refusal{Command: command, To: to, Reply: r}
	if e != nil {
		f.ID, f.From = e.ID, e.From.String()
	}
	s.refuse(f)
}

// refuse tells of a refusal: the log, and the application. Two have a line already:
// that of whoever found a password wrong, who knows whose it was, and our own where
// it could not be checked.
func (s *session) refuse(f *Refusal) {
	s.refusals++
	f.Session = &s.pub
	if f.Reply != errAuthFailed && f.Reply != errAuthLater {
		level := slog.LevelInfo
		if f.Reply.Unwrap() != nil {
			level = slog.LevelWarn
		}
		s.srv.log.LogAttrs(context.Background(), level, "refused", slog.Any("", f))
	}
	if hook := s.srv.Refused; hook != nil {
		s.ask(func() error { hook(&s.pub, f); return nil })
	}
}

// mostNamed bounds the text that names the recipients of a message, in octets.
const mostNamed = 400

// recipientsOf names the recipients of a message, as many as fit.
func recipientsOf(e *Envelope) string {
	var all strings.Builder
	for i := range e.To {
		if i > 0 {
			all.WriteByte(',')
		}
		address := e.To[i].Path.String()
		if all.Len()+len(address) > mostNamed && i > 0 {
			all.WriteString("...")
			break
		}
		all.WriteString(address)
	}
	return all.String()
}

// written is the address in the arguments of MAIL or RCPT, as the client wrote it:
// not one of its octets is replaced.
func (s *session) written(args []byte, word string) string {
	arg, ok := argument(args, word)
	if !ok {
		return string(args)
	}
	path, _, err := cutPath(arg, PathNull|PathPostmaster|PathUTF8|s.paths())
	if err == nil {
		return path.String()
	}
	first, _, _ := strings.Cut(arg, " ")
	return strings.Trim(first, "<>")
}
