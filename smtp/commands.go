package smtp

import (
	"strings"
)

// command is a row of the protocol: when it is legal and what it does.
type command struct {
	name   string
	args   string // as HELP shows them
	states state
	flags  flag
	run    func(s *session, args []byte) *Reply

	index int
}

// flag says what the loop must know about a command.
type flag uint16

const (
	beforeTLS   flag = 1 << iota // legal before TLS where TLS is required
	afterAuth                    // legal only after AUTH where AUTH is required
	neutral                      // legal between two chunks of a message
	work                         // part of sending mail: not idling
	always                       // legal after a 554 greeting
	textFollows                  // the client may have sent a message behind it
	longLine                     // its line may be as long as an AUTH response
	selfChecked                  // checks for itself: octets follow that must be skipped
	noted                        // its refusals are told of: see noteRefusal
)

const (
	maxVerb     = 8
	maxCommands = 20
)

// protocol is SMTP on one page (RFC 5321 §4.1.4 and the extensions).
func protocol() []*command {
	return []*command{
		{name: "HELO", args: "domain", states: anyState, run: (*session).helo},
		{name: "EHLO", args: "domain", states: anyState, flags: beforeTLS, run: (*session).ehlo},
		{name: "LHLO", args: "domain", states: anyState, flags: beforeTLS, run: (*session).ehlo},
		{name: "STARTTLS", states: ready, flags: beforeTLS, run: (*session).startTLS},
		{name: "AUTH", args: "mechanism [initial-response]", states: ready, flags: longLine | noted, run: (*session).auth},
		{name: "MAIL", args: "FROM:<reverse-path> [parameters]", states: ready, flags: afterAuth | work | noted, run: (*session).mail},
		{name: "RCPT", args: "TO:<forward-path> [parameters]", states: sender | rcpts, flags: work | noted, run: (*session).rcpt},
		{name: "DATA", states: rcpts, flags: work | textFollows | noted, run: (*session).data},
		{name: "BDAT", args: "octets [LAST]", states: anyState, flags: work | selfChecked | noted, run: (*session).bdat},
		{name: "RSET", states: anyState, run: (*session).rset},
		{name: "NOOP", args: "[string]", states: anyState, flags: beforeTLS | neutral, run: (*session).noop},
		{name: "VRFY", args: "string", states: anyState, flags: afterAuth, run: (*session).vrfy},
		{name: "EXPN", args: "string", states: anyState, flags: afterAuth, run: (*session).expn},
		{name: "HELP", args: "[command]", states: anyState, flags: neutral, run: (*session).help},
		{name: "QUIT", states: anyState, flags: beforeTLS | always, run: (*session).quit},
		{name: "XCLIENT", args: "name=value ...", states: fresh | ready, run: (*session).xclient},
		{name: "XFORWARD", args: "name=value ...", states: ready, run: (*session).xforward},
	}
}

// table is the protocol as a server with these settings speaks it.
func (s *setup) table() map[string]*command {
	t := make(map[string]*command)
	for i, c := range protocol() {
		c.index = i
		switch c.name {
		case "HELO", "EHLO":
			if s.LMTP { // RFC 2033 §4.1
				continue
			}
		case "LHLO":
			if !s.LMTP {
				continue
			}
		case "STARTTLS":
			if s.TLSConfig == nil || s.hidden("STARTTLS") {
				continue
			}
		case "BDAT":
			if s.hidden("CHUNKING") {
				continue
			}
		case "XCLIENT":
			if len(s.XClient) == 0 {
				continue
			}
		case "XFORWARD":
			if len(s.XForward) == 0 {
				continue
			}
		}
		t[c.name] = c
		s.names[i] = c.name
	}
	return t
}

func (s *session) rset(args []byte) *Reply {
	if len(args) > 0 {
		return errNoArgument
	}
	s.giveUp()
	return okReset
}

// giveUp ends the transaction because the client says so.
func (s *session) giveUp() {
	if hook := s.srv.hooks.reset; hook != nil && s.env != nil {
		s.ask(func() error { hook(&s.pub); return nil })
	}
	if s.env != nil {
		s.abandoned++
	}
	s.reset()
}

func (s *session) noop([]byte) *Reply { return okNoop }

func (s *session) quit([]byte) *Reply {
	s.byQuit = true
	return goodbye
}

// help lists the commands that are served here, or shows one (RFC 5321 §4.1.1.8).
func (s *session) help(args []byte) *Reply {
	if c := s.find(args); c != nil {
		return &Reply{Code: 214, Enhanced: "2.0.0", Text: strings.TrimSpace(c.name + " " + c.args)}
	}
	var names []string
	for _, name := range s.srv.names {
		switch {
		case name == "", strings.HasPrefix(name, "X"):
		case name == "AUTH" && (s.srv.hooks.creds == nil || s.srv.hidden("AUTH")), name == "EXPN" && s.srv.hooks.vrfy == nil:
		default:
			names = append(names, name)
		}
	}
	return &Reply{Code: 214, Enhanced: "2.0.0", Text: "Commands: " + strings.Join(names, " ") + "\nSee RFC 5321"}
}

func (s *session) vrfy(args []byte) *Reply { return s.lookUp(args, false, cannotVrfy) }

func (s *session) expn(args []byte) *Reply { return s.lookUp(args, true, errNotOffered) }

// lookUp asks the application. By default nothing is told: neither whether a
// mailbox exists nor who is behind an alias (RFC 5321 §7.3).
func (s *session) lookUp(args []byte, expand bool, silent *Reply) *Reply {
	arg, r := s.lookUpArgument(string(args))
	if r != nil {
		return r
	}
	if s.srv.hooks.vrfy == nil {
		return silent
	}
	r = silent
	if err := s.ask(func() error { r = s.srv.hooks.vrfy(s.context(), &s.pub, arg, expand); return nil }); err != nil {
		return s.decision(err, nil)
	}
	switch {
	case r == nil:
		return silent
	case r.Positive() && !s.utf8 && !isASCII(r.Text):
		return needsUTF8
	}
	return r
}

// lookUpArgument takes what is to be looked up from the arguments of VRFY and
// EXPN, and notes whether UTF-8 may be in the answer (RFC 6531 §3.7.4.2):
//
//	"VRFY" SP String [ SP "SMTPUTF8" ]
func (s *session) lookUpArgument(args string) (string, *Reply) {
	s.utf8 = false
	if i := strings.LastIndexAny(args, " \t"); i >= 0 && is(args[i+1:], "SMTPUTF8") {
		if s.utf8 = s.srv.offered["SMTPUTF8"]; !s.utf8 {
			return "", errUnknownParam
		}
		args = strings.TrimRight(args[:i], " \t")
	}
	switch {
	case args == "":
		return "", errSyntax
	case !s.utf8 && !isASCII(args):
		return "", errNeedUTF8
	case checkUTF8(args, PathUTF8) != nil:
		return "", errSyntax
	}
	return args, nil
}
