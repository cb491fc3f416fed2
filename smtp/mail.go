package smtp

import (
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// argument cuts "FROM:" or "TO:" off the arguments of MAIL or RCPT. Blanks
// behind the colon are against RFC 5321 §3.3, and frequent.
func argument(args []byte, word string) (string, bool) {
	n := len(word)
	if len(args) <= n || args[n] != ':' || !textual.Is(args[:n], word) {
		return "", false
	}
	args = args[n+1:]
	for len(args) > 0 && (args[0] == ' ' || args[0] == '\t') {
		args = args[1:]
	}
	return string(args), true
}

// mail is MAIL FROM:<reverse-path> [parameters].
func (s *session) mail(args []byte) *Reply {
	arg, found := argument(args, "FROM")
	if !found {
		return errSyntax
	}
	ok := okSender
	if m := s.srv.limits.Messages; m > 0 && s.messages >= m {
		return errMailMax
	}
	from, rest, err := cutPath(arg, PathNull|PathUTF8|s.paths())
	if err != nil || !startsParams(rest) {
		return badPath("5.1.7", err)
	}
	s.attempts++
	e := &Envelope{Session: &s.pub, ID: s.pub.ID + "-" + strconv.Itoa(s.attempts), From: from}
	s.given = given{mail: &e.Params, at: time.Now()}
	r := s.parseParams(ofMail, rest, &s.given)
	if s.given = (given{}); r != nil {
		return r
	}
	s.utf8 = e.Params.SMTPUTF8
	switch l := s.srv.limits.MessageSize; {
	case !from.IsASCII() && !e.Params.SMTPUTF8:
		return errNeedUTF8
	case l > 0 && e.Params.Size > l:
		return tooBig
	}
	if e.Params.Auth != "" && s.pub.User == "" {
		e.Params.Auth = "<>" // RFC 4954 §5: not from a client we do not know
	}
	if check := s.srv.hooks.sender; check != nil {
		s.env, s.pub.Envelope = e, e
		err := s.ask(func() error { return check(s.context(), &s.pub, from, &e.Params) })
		if ok = s.decision(err, okSender); !ok.Positive() {
			s.reset()
			return ok
		}
	}
	s.env, s.pub.Envelope = e, e
	s.state = sender
	s.messages++
	return ok
}

// startsParams: nothing may stand directly behind a path.
func startsParams(rest string) bool {
	return rest == "" || rest[0] == ' ' || rest[0] == '\t'
}

func badPath(enhanced string, err error) *Reply {
	text := "Malformed address"
	if err != nil {
		text += ": " + err.Error()
	}
	return &Reply{Code: 501, Enhanced: enhanced, Text: text}
}

// rcpt is RCPT TO:<forward-path> [parameters].
func (s *session) rcpt(args []byte) *Reply {
	r := s.addRcpt(args)
	if r.Positive() {
		s.state = rcpts
		s.junk = 0
	} else {
		s.rcptRefused = true
		if r.Temporary() && r != tooMany {
			s.deferred++
		}
	}
	return r
}

func (s *session) addRcpt(args []byte) *Reply {
	arg, ok := argument(args, "TO")
	if !ok {
		return errSyntax
	}
	o := PathPostmaster | s.paths()
	if s.env.Params.SMTPUTF8 {
		o |= PathUTF8
	}
	path, rest, err := cutPath(arg, o)
	switch {
	case err == errNotASCII:
		return errNeedUTF8
	case err != nil || !startsParams(rest):
		return badPath("5.1.3", err)
	}
	if l := s.srv.limits.Recipients; l > 0 && len(s.env.To) >= l {
		return tooMany
	}
	if !s.srv.recipientCount.admits(len(s.env.To)) {
		return tooMany
	}
	e := s.env
	var params RcptParams
	if rest != "" {
		s.given = given{rcpt: &s.rcptParams}
		bad := s.parseParams(ofRcpt, rest, &s.given)
		params = s.rcptParams
		if s.given, s.rcptParams = (given{}), (RcptParams{}); bad != nil {
			return bad
		}
	}
	letGo(&path, &params, len(arg))
	// The callback gets the recipient in its place, so that none has to be
	// allocated for it; refused, it leaves again.
	all := append(e.To, Recipient{Path: path, Params: params})
	e.To = all[:len(all)-1]
	r := s.route(&all[len(all)-1])
	if r.Positive() {
		e.To = all
		s.srv.recipientCount.join(s, len(all))
	}
	return r
}

// letGo copies what is kept of a command line that is much longer, as a source
// route makes it: a thousand recipients would hold a thousand such lines.
func letGo(p *Path, params *RcptParams, line int) {
	if kept := len(p.Local) + len(p.Domain) + len(params.ORcpt); line <= 2*kept+128 {
		return
	}
	p.Local, p.Domain = strings.Clone(p.Local), strings.Clone(p.Domain)
	params.ORcpt, params.ORcptType = strings.Clone(params.ORcpt), strings.Clone(params.ORcptType)
}

// matcher is a Handler that decides which recipients exist, as a ServeMux does.
type matcher interface {
	Match(Path) (Handler, string)
}

// route asks who takes this recipient's mail. Nobody unless somebody says so:
// an open relay takes a deliberate line of code.
func (s *session) route(to *Recipient) *Reply {
	check, h := s.srv.hooks.rcpt, s.srv.hooks.handler
	m, matches := h.(matcher)
	if check == nil && !matches {
		return relayDenied
	}
	ok := okRcpt
	if check != nil {
		err := s.ask(func() error { return check(s.context(), &s.pub, to) })
		if ok = s.decision(err, okRcpt); !ok.Positive() {
			return ok
		}
	}
	pattern := ""
	if matches {
		err := s.ask(func() error { h, pattern = m.Match(to.Path); return nil })
		if err != nil {
			return s.decision(err, nil)
		}
		if h == nil {
			return noSuchUser
		}
	}
	s.choose(m, h, pattern)
	return ok
}

// choose notes the Handler of the next recipient. It is one for all unless
// patterns differ.
func (s *session) choose(m matcher, h Handler, pattern string) {
	n := len(s.env.To)
	switch {
	case s.split == nil && (n == 0 || pattern == s.pattern):
		s.handler, s.pattern = h, pattern
		return
	case s.split == nil:
		s.split = new(groups)
		if mux, ok := m.(*ServeMux); ok {
			s.split = mux.split()
		}
		for i := range n {
			s.split.add(s.handler, s.pattern, i)
		}
		s.handler = s.split
	}
	s.split.add(h, pattern, n)
}
