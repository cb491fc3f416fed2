package rules

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
)

// Bounds on what is read. A rules file is written by hand; a pattern file by programs.
const (
	mostErrors   = 200       // that are told of one text
	mostRules    = 100_000   // of a Set
	deepest      = 16        // files that include each other
	mostIncluded = 1000      // files, each as often as it is
	mostNested   = 64        // parentheses and "not" within each other
	longestText  = 4 << 20   // of a rules file, in octets
	longestTable = 512 << 20 // of a pattern file
)

// parser reads the rules of one text.
type parser struct {
	*work
	source Source
	chain  []string
	text   *config.Text
	tokens []token
	at     int
	failed int // problems so far

	clause *clause // the one that is read
	starts Phase   // at which it begins, where it names no phase
	needed token   // what of it is known last
	once   bool    // something in it counts, or happens once
	nested int
}

func (p *parser) errorAt(at int, err error) *config.Error {
	e := p.text.ErrorAt(at, err)
	place := p.position(at)
	e.Line, e.Col = place.Line, place.Col
	return e
}

// position is the place of an octet in the file that the text is a part of.
func (p *parser) position(at int) config.Position {
	place := p.text.Position(at)
	if p.source.Line > 0 {
		if place.Line == 1 {
			place.Col += max(p.source.Col, 1) - 1
		}
		place.Line += p.source.Line - 1
	}
	return place
}

func (p *parser) failAt(at int, err error) {
	if p.failed++; p.failed <= mostErrors {
		p.errs = append(p.errs, p.errorAt(at, err))
	}
}

func (p *parser) warn(at int, format string, args ...any) {
	if len(p.set.warnings) < mostErrors {
		p.set.warnings = append(p.set.warnings, p.errorAt(at, fmt.Errorf(format, args...)))
	}
}

func (p *parser) token() token { return p.tokens[min(p.at, len(p.tokens)-1)] }

func (p *parser) take() token {
	t := p.token()
	p.at++
	return t
}

// errReported: what is wrong has been told, and the rest of the rule says nothing.
var errReported = errors.New("reported")

// fail tells of a problem at a token.
func (p *parser) fail(t token, format string, args ...any) error {
	p.failAt(t.at, fmt.Errorf(format, args...))
	return errReported
}

// rules reads them all.
func (p *parser) rules() {
	for {
		switch t := p.token(); {
		case t.kind == endOfFile || p.failed > mostErrors:
			return
		case t.kind == endOfLine:
			p.at++
		case t.is("include"):
			p.at++
			p.include()
		default:
			start := p.at
			if err := p.rule(); err != nil {
				p.skip(start)
			}
		}
	}
}

// skip goes on with the next line.
func (p *parser) skip(start int) {
	for p.token().kind != endOfLine && p.token().kind != endOfFile {
		p.at++
	}
	p.at = max(p.at, start+1)
}

// ended expects the end of a rule.
func (p *parser) ended(what string) error {
	if t := p.token(); t.kind != endOfLine && t.kind != endOfFile {
		return p.fail(t, "found %s behind %s, which ends with its line", t.describe(), what)
	}
	return nil
}

// include reads the rules of another file in place of the line that names it.
func (p *parser) include() {
	t := p.take()
	if t.kind != word {
		p.fail(t, "a file's name should stand behind \"include\"")
		p.skip(p.at - 1)
		return
	}
	if p.ended("\"include\" and a file's name") != nil {
		p.skip(p.at)
		return
	}
	name := p.beside(strings.TrimPrefix(t.text, "file:"))
	if i := slices.Index(p.chain, name); i >= 0 {
		p.fail(t, "the file includes itself: %s", strings.Join(append(slices.Clone(p.chain[i:]), name), " → "))
		return
	}
	if len(p.chain) >= deepest {
		p.fail(t, "too many files include each other; at most %d", deepest)
		return
	}
	text, err := p.read(name, longestText)
	if err != nil {
		p.failAt(t.at, closedPath(err))
		return
	}
	if p.included++; p.included > mostIncluded || len(p.errs) > mostErrors {
		if p.included == mostIncluded+1 {
			p.fail(t, "too many files are included; at most %d", mostIncluded)
		}
		return
	}
	p.note(name)
	p.work.source(Source{Name: name, Text: string(text)}, p.chain)
}

// beside is a file's name as seen from the file that names it.
func (p *parser) beside(name string) string {
	if filepath.IsAbs(name) {
		return filepath.ToSlash(filepath.Clean(name))
	}
	return filepath.ToSlash(filepath.Join(filepath.Dir(p.source.Name), name))
}

// rule reads one rule: [@phase] action what [with options] {; what [with options]}.
func (p *parser) rule() error {
	if len(p.set.rules) >= mostRules {
		if !p.full {
			p.fail(p.token(), "too many rules; at most %d", mostRules)
		}
		p.full = true
		return errReported
	}
	first := p.token()
	phase, given, err := p.phase()
	if err != nil {
		return err
	}
	r := &rule{}
	if err := p.action(r); err != nil {
		return err
	}
	for at := first.at; ; at = p.token().at {
		c := &clause{at: p.position(at)}
		if err := p.condition(r, c, phase, given); err != nil {
			return err
		}
		r.clauses = append(r.clauses, c)
		if p.token().kind != semicolon {
			break
		}
		p.at++
		if p.last() {
			break
		}
	}
	if err := p.ended("a rule"); err != nil {
		return err
	}
	p.set.rules = append(p.set.rules, r)
	return nil
}

// last reports whether nothing more of a rule stands behind a ";". What goes on does so on the next
// line, too.
func (p *parser) last() bool {
	at := p.at
	if p.token().kind == endOfLine {
		p.at++
	}
	if t := p.token(); t.begins() || t.kind == endOfFile {
		p.at = at
		return true
	}
	return false
}

// begins reports whether a token is the first of a rule.
func (t token) begins() bool {
	return t.kind == word && !t.quoted && (t.text[0] == '@' || t.text == "include" || slices.Contains(actionNames[1:], t.text))
}

// otherPhases are other words for some.
var otherPhases = map[string]Phase{"ehlo": AtHelo, "mail": AtFrom, "rcpt": AtTo}

func (p *parser) phase() (phase Phase, given bool, err error) {
	t := p.token()
	name, ok := strings.CutPrefix(t.text, "@")
	if t.kind != word || t.quoted || !ok {
		return 0, false, nil
	}
	p.at++
	if i := slices.Index(phaseNames[:], name); i >= 0 {
		return Phase(i), true, nil
	}
	if other, ok := otherPhases[name]; ok {
		return other, true, nil
	}
	all := make([]string, phases)
	for i, n := range phaseNames {
		all[i] = "@" + n
	}
	p.failAt(t.at, unknownWord("is no phase", t.text, all))
	return 0, false, errReported
}

// action reads what the rule does.
func (p *parser) action(r *rule) error {
	t := p.take()
	i := -1
	if t.kind == word && !t.quoted {
		i = slices.Index(actionNames[1:], t.text)
	}
	if i < 0 {
		if t.kind != word {
			p.at--
			return p.fail(t, "found %s where a rule should begin", t.describe())
		}
		p.failAt(t.at, unknownWord("is no action", t.text, append([]string{"include"}, actionNames[1:]...)))
		return errReported
	}
	r.action = Action(i + 1)
	switch r.action {
	case Answer:
		arg, err := p.argument("reply", `a code with its text, like "550 5.7.1 No"`)
		if err != nil {
			return err
		}
		if r.reply, err = parseReply(arg.text); err != nil {
			return p.fail(arg, "%w", err)
		}
	case Tag:
		arg, err := p.argument("tag", `a header field, like "X-Rule: yes"`)
		if err != nil {
			return err
		}
		if r.tag, err = parseField(arg.text); err != nil {
			return p.fail(arg, "%w", err)
		}
	case Delay:
		arg, err := p.argument("delay", "a time like 10s")
		if err != nil {
			return err
		}
		if r.delay, err = config.ParseDuration(arg.text); err != nil {
			return p.fail(arg, "%w", err)
		}
	case Redirect:
		arg, err := p.argument("redirect", "the address of a mailbox")
		if err != nil {
			return err
		}
		r.tag.Value, err = mailbox(arg.text)
		if err != nil {
			return p.fail(arg, "%w", err)
		}
	}
	return nil
}
