package pop3

import (
	"bytes"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// command is a row of the protocol: what a verb needs, and who answers it.
type command struct {
	verb     string
	states   state
	min, max int  // arguments
	early    bool // allowed before TLS where TLS is demanded
	run      func(c *session, a *args) reply
}

// rest as a command's max: what follows the verb is one argument, spaces and
// all.
const rest = -1

// commands is the protocol (RFC 1939 §9, RFC 2449 §5, RFC 2595 §4, RFC 5034 §4,
// RFC 6856). Frequent ones come first.
var commands = [...]command{
	{"RETR", transaction, 1, 1, false, (*session).retr},
	{"DELE", transaction, 1, 1, false, (*session).dele},
	{"TOP", transaction, 2, 2, false, (*session).top},
	{"UIDL", transaction, 0, 1, false, (*session).uidl},
	{"LIST", transaction, 0, 1, false, (*session).list},
	{"STAT", transaction, 0, 0, false, (*session).stat},
	{"NOOP", transaction, 0, 0, false, (*session).noop},
	{"RSET", transaction, 0, 0, false, (*session).rset},
	{"QUIT", authorization | transaction, 0, 0, true, (*session).quit},
	{"CAPA", authorization | transaction, 0, 0, true, (*session).capa},
	{"USER", authorization, 1, rest, false, (*session).user},
	{"PASS", authorization, 0, rest, false, noting("PASS", (*session).pass)},
	{"APOP", authorization, 2, 2, false, noting("APOP", (*session).apop)},
	{"AUTH", authorization, 0, 2, false, noting("AUTH", (*session).auth)},
	{"STLS", authorization, 0, 0, true, (*session).stls},
	{"UTF8", authorization, 0, 0, true, (*session).utf8},
	{"XCLIENT", authorization, 0, rest, true, (*session).xclient},
}

func find(verb []byte) *command {
	for i := range commands {
		if textual.Is(verb, commands[i].verb) {
			return &commands[i]
		}
	}
	return nil
}

// args are a command's arguments. They lie in the reader's buffer.
type args struct {
	n    int
	v    [2][]byte
	rest []byte // everything behind the verb and one space
}

// obey finds the command in the table, checks all that the table knows about it,
// and runs it.
func (c *session) obey(line []byte) reply {
	verb, behind := textual.Cut(line)
	cmd := find(verb)
	if c.tracing {
		c.traceCommand(cmd, line)
	}
	if cmd == nil {
		return c.bad("unknown command")
	}
	c.tally.Commands++
	if most := c.srv.conf.limits.Early; c.state == authorization && most >= 0 && c.tally.Commands > most && cmd.verb != "QUIT" {
		r := failure("", "too many commands before a login")
		r.end, c.why = true, r.text
		return r
	}
	problem := cmd.arguments(behind, &c.args)
	if why := c.illegal(cmd); why != "" {
		problem = why
	}
	if problem != "" {
		return c.bad(problem)
	}
	return cmd.run(c, &c.args)
}

// illegal is why the command may not be run now, or nothing.
func (c *session) illegal(cmd *command) string {
	switch {
	case cmd.states&c.state == 0 && c.state == authorization:
		return "log in first"
	case cmd.states&c.state == 0:
		return "you are logged in already"
	case !cmd.early && c.srv.TLSMode == RequireTLS && c.pub.TLS == nil:
		return "send STLS first"
	}
	return ""
}

// arguments takes what is behind the verb apart, and says what is wrong with
// the number of arguments.
func (cmd *command) arguments(behind []byte, a *args) (problem string) {
	*a = args{rest: behind}
	if cmd.max == rest {
		if a.v[0] = behind; len(bytes.TrimSpace(behind)) > 0 {
			a.n = 1
		}
	} else {
		for left := behind; ; {
			var arg []byte
			arg, left = textual.Command(left)
			if len(arg) == 0 {
				break
			}
			if a.n == cmd.max {
				return "too many arguments"
			}
			a.v[a.n] = arg
			a.n++
		}
	}
	if a.n < cmd.min {
		return "missing argument"
	}
	return ""
}

// bad answers a command that breaks the protocol. Too many of them end the
// session.
func (c *session) bad(text string) reply {
	r := failure("", text)
	c.errors++
	if limit := c.srv.conf.limits.Errors; limit >= 0 && c.errors >= limit {
		r.text += "; too many errors"
		r.end, c.linger = true, true
		c.why = "too many errors"
	}
	return r
}

func (c *session) noop(*args) reply { return ok("") }

// isQuit reports whether line, which may still have its CR, is QUIT.
func isQuit(line []byte) bool {
	verb, _ := textual.Command(bytes.TrimSuffix(line, []byte{'\r'}))
	return textual.Is(verb, "QUIT")
}

func indexLF(b []byte) int { return bytes.IndexByte(b, '\n') }
