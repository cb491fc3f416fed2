package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// condition reads what must be true, and the options behind it.
func (p *parser) condition(r *rule, c *clause, phase Phase, given bool) error {
	first, last, once := r.action.firstPhase()
	p.clause, p.starts, p.once, p.needed = c, first, once, token{}
	c.first, c.last = first, last
	begin := p.at
	if t := p.token(); t.kind != word && t.kind != open || t.is("with") {
		return p.fail(t, "found %s where it should stand when to %s; \"all\" is always", t.describe(), r.action)
	}
	all, err := p.terms(true)
	if err != nil {
		return err
	}
	for _, n := range all {
		if t, ok := n.node.(tally); ok {
			c.counters = append(c.counters, counted{t, n.text})
		} else {
			c.terms = append(c.terms, n)
		}
	}
	end := p.at
	if p.token().is("with") {
		p.at++
		if err := p.options(r, c); err != nil {
			return err
		}
	}
	c.text = p.written(begin, end)
	if r.action == Redirect {
		c.with.Mailbox = r.tag.Value
	}
	if r.action == SetWith && c.with == (Options{}) {
		return p.fail(p.tokens[begin-1], "set-with does nothing without options; write \"with\" and some behind what must be true")
	}
	if given && (phase < c.first || phase > c.last) {
		if phase < first && r.action == Greylist {
			return p.fail(p.tokens[max(begin-2, 0)], "greylist remembers a sender and a recipient, and is for @%s and what comes after", AtTo)
		}
		if phase < first || phase > last {
			return p.fail(p.tokens[max(begin-2, 0)], "%s acts on a message as a whole, and is for @%s alone", r.action, AtMessage)
		}
		return p.fail(p.needed, "%q is not known at @%s, but from @%s on", p.needed.text, phase, c.first)
	}
	switch {
	case given:
		c.first, c.last = phase, phase
	case p.once:
		c.first = max(c.first, p.starts)
		c.last = c.first
	default:
		c.first = max(c.first, p.starts)
	}
	return nil
}

// written is tokens as they stand there, with single blanks.
func (p *parser) written(from, to int) string {
	var b strings.Builder
	for i, t := range p.tokens[from:to] {
		if t.kind == endOfLine {
			continue
		}
		if i > 0 && t.kind != closing && p.tokens[from+i-1].kind != open {
			b.WriteByte(' ')
		}
		b.WriteString(t.raw)
	}
	return b.String()
}

// needs says that a condition knows nothing before a phase, and by itself begins at another.
func (p *parser) needs(phase, starts Phase) {
	if phase > p.clause.first {
		p.clause.first = phase
	}
	p.starts = max(p.starts, starts)
}

// terms reads conditions that must be true together, until something comes that is none.
func (p *parser) terms(top bool) ([]term, error) {
	var all []term
	for {
		t := p.token()
		if len(all) > 0 && (t.kind != word && t.kind != open || t.is("with")) {
			return all, nil
		}
		begin := p.at
		n, err := p.either(top)
		if err != nil {
			return nil, err
		}
		all = append(all, term{node: n, text: p.written(begin, p.at)})
	}
}

// either reads conditions of which one must be true.
func (p *parser) either(top bool) (node, error) {
	begin := p.token()
	n, err := p.single()
	if err != nil || !p.token().is("or") {
		if _, counts := n.(tally); counts && !top {
			return nil, p.fail(begin, "%q counts what all of a rule is true of, and cannot stand within parentheses", begin.text)
		}
		return n, err
	}
	any := anyOf{n}
	for p.token().is("or") {
		p.at++
		if n, err = p.single(); err != nil {
			return nil, err
		}
		any = append(any, n)
	}
	for _, n := range any {
		if _, counts := n.(tally); counts {
			return nil, p.fail(begin, "what counts cannot stand beside \"or\": it counts what all of a rule is true of")
		}
	}
	return any, nil
}

// single reads one condition.
func (p *parser) single() (node, error) {
	p.nested++
	defer func() { p.nested-- }()
	t := p.take()
	switch {
	case p.nested > mostNested:
		return nil, p.fail(t, "too many parentheses and \"not\" within each other; at most %d", mostNested)
	case t.is("not"):
		n, err := p.single()
		if c, ok := n.(tally); ok {
			c.flip()
			return c, err
		}
		return notOf{n}, err
	case t.kind == open:
		all, err := p.terms(false)
		if err != nil {
			return nil, err
		}
		if end := p.take(); end.kind != closing {
			p.at--
			return nil, p.fail(end, "found %s where a parenthesis should be closed", end.describe())
		}
		if len(all) == 1 {
			return all[0].node, nil
		}
		nodes := make(allOf, len(all))
		for i, n := range all {
			nodes[i] = n.node
		}
		return nodes, nil
	case t.kind == word && !t.quoted:
		return p.operator(t)
	}
	p.at--
	return nil, p.fail(t, "found %s where a condition should stand", t.describe())
}

// operator reads a word with what stands behind it.
func (p *parser) operator(t token) (node, error) {
	i := slices.IndexFunc(p.operators, func(o operator) bool { return o.name == t.text })
	if i < 0 {
		return nil, p.noOperator(t)
	}
	o := p.operators[i]
	args := make([]token, o.args)
	for i := range args {
		var err error
		if args[i], err = p.argument(o.name, o.form); err != nil {
			return nil, err
		}
	}
	before := p.clause.first
	p.needs(o.phase, max(o.phase, o.starts))
	n, err := o.make(p, args)
	if p.clause.first > before {
		p.needed = t
	}
	if err != nil {
		if err != errReported {
			p.failAt(args[len(args)-1].at, err)
		}
		return nil, errReported
	}
	if _, ok := n.(tally); ok {
		p.once = true
		return n, nil
	}
	arg := ""
	if len(args) > 0 {
		arg = args[len(args)-1].text
	}
	return leaf{n, o.name, arg}, nil
}

func (p *parser) noOperator(t token) error {
	if t.is("or") || t.is("with") {
		return p.fail(t, "found %q where a condition should stand", t.text)
	}
	names := []string{"or", "not", "with"}
	for _, o := range p.operators {
		names = append(names, o.name)
	}
	if slices.Contains(actionNames[1:], t.text) {
		return p.fail(t, "found the action %q within a rule; each rule has a line of its own", t.text)
	}
	if strings.HasPrefix(t.text, "@") {
		return p.fail(t, "found %q where a condition should stand; an address stands behind from, to, user or author", t.text)
	}
	p.failAt(t.at, unknownWord("is no condition", t.text, names))
	return errReported
}

// argument reads a word behind another. "a, b" is one, and so is "> 5".
func (p *parser) argument(of, form string) (token, error) {
	t := p.token()
	if t.kind != word {
		if form != "" {
			form = ", " + form + ","
		}
		return t, p.fail(t, "found %s where something%s should stand behind %q", t.describe(), form, of)
	}
	p.at++
	for !t.quoted && p.token().kind == word && (strings.HasSuffix(t.text, ",") || strings.Trim(t.text, "<>=") == "" && t.text != "<>") {
		next := p.take()
		t.text += next.text
	}
	return t, nil
}

// options reads what stands behind "with".
func (p *parser) options(r *rule, c *clause) error {
	for n := 0; ; n++ {
		t := p.token()
		if t.kind != word {
			if n == 0 {
				return p.fail(t, "found %s where options should stand behind \"with\"", t.describe())
			}
			return nil
		}
		p.at++
		if err := p.option(r, c, t); err != nil {
			return err
		}
	}
}

var optionNames = []string{"message", "note", "savedir", "tls-opt", "make-yakker", "mailbox"}

func (p *parser) option(r *rule, c *clause, t token) error {
	if t.quoted || !slices.Contains(optionNames, t.text) {
		p.failAt(t.at, unknownWord("is no option", t.text, optionNames))
		return errReported
	}
	if t.text == "make-yakker" {
		c.with.MakeYakker = true
		return nil
	}
	arg, err := p.argument(t.text, "")
	if err != nil {
		return err
	}
	switch t.text {
	case "message":
		c.with.Message = strings.TrimRight(arg.text, "\n")
		err = printable(arg.text)
		if r.action == Answer {
			err = errors.New(`the text of "reply" stands behind its code`)
		}
	case "note":
		c.with.Note = arg.text
	case "savedir":
		c.with.SaveDir = arg.text
	case "tls-opt":
		c.with.TLS = arg.text
		if arg.text != "off" && arg.text != "no-client" {
			err = unknownWord("is none of off and no-client", arg.text, []string{"off", "no-client"})
		}
	case "mailbox":
		if r.action != Quarantine && r.action != SetWith {
			err = fmt.Errorf("%s has no mailbox; quarantine has, and \"redirect a@b\"", r.action)
			break
		}
		c.with.Mailbox, err = mailbox(arg.text)
	}
	if err != nil {
		p.failAt(arg.at, err)
		return errReported
	}
	return nil
}
