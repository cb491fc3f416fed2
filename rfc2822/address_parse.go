package rfc2822

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// list reads *([mailbox / group] ",") (RFC 5322 §3.4, obs-addr-list). Without
// strict it goes on behind what it cannot read.
func (p *addressParser) list() ([]Address, []*AddressError) {
	var list []Address
	var bad []*AddressError
	group := ""
	for p.pos < len(p.s) {
		start := p.pos
		name, more, err := p.element(&list, group)
		bad, p.guessed = append(bad, p.guessed...), nil
		if err != nil {
			bad = append(bad, asAddressError(err, start))
			if p.strict || p.budget < 0 {
				return list, bad
			}
			p.recover(start)
			continue
		}
		if more {
			group = name
		}
	}
	if group != "" && p.strict {
		bad = append(bad, p.fail(len(p.s), "group is not ended with ;"))
	}
	if p.strict && len(bad) == 0 && strings.TrimSpace(p.s) == "" {
		bad = append(bad, p.fail(0, "no address"))
	}
	return list, bad
}

func asAddressError(err error, at int) *AddressError {
	if e, ok := err.(*AddressError); ok { // the parser makes no others
		return e
	}
	return &AddressError{Offset: at, Reason: err.Error()}
}

// element reads one element of a list and the separator behind it. If that
// begins or ends a group, it returns the group's new name and true.
func (p *addressParser) element(list *[]Address, group string) (string, bool, error) {
	if err := p.cfws(); err != nil {
		return "", false, err
	}
	switch {
	case p.pos == len(p.s), p.eat(','):
		return "", false, nil
	case p.peek() == ';' && (group != "" || !p.strict):
		p.pos++
		return "", true, p.afterGroup(group)
	}
	p.scheme()
	if group == "" || !p.strict {
		if name, ok := p.groupStart(); ok {
			return name, true, nil
		}
	}
	a, err := p.mailbox(group)
	if err != nil {
		return "", false, err
	}
	if err := p.cfws(); err != nil {
		return "", false, err
	}
	switch c := p.peek(); {
	case p.pos == len(p.s):
	case c == ',':
		p.pos++
	case c == ';' && (group != "" || !p.strict): // read by the next turn
	case p.strict:
		return "", false, p.fail(p.pos, "unexpected "+describe(p.s[p.pos:]))
	default: // no comma, and yet another element: <a@b> <c@d>
	}
	*list = append(*list, a)
	return "", false, nil
}

// afterGroup wants a separator behind the end of a group.
func (p *addressParser) afterGroup(group string) error {
	if group == "" || !p.strict {
		return nil
	}
	if err := p.cfws(); err != nil {
		return err
	}
	if p.pos < len(p.s) && !p.eat(',') {
		return p.fail(p.pos, "unexpected "+describe(p.s[p.pos:]))
	}
	return nil
}

// groupStart reads display-name ":", or nothing.
func (p *addressParser) groupStart() (string, bool) {
	if !p.colons {
		return "", false // and no phrase has to be read twice
	}
	start := p.pos
	name, err := p.phrase()
	if err == nil && name != "" && p.eat(':') {
		return name, true
	}
	p.pos = start
	return "", false
}

// recover goes behind the separator that ends a broken element which began at
// start: the next comma or semicolon that is not in quotes or brackets, or any next.
func (p *addressParser) recover(start int) {
	quoted, angle, first := false, false, -1
	for i := start; i < len(p.s); i++ {
		if p.budget--; p.budget < 0 {
			break
		}
		switch c := p.s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '<' && !quoted:
			angle = true
		case c == '>' && !quoted:
			angle = false
		case c == ',' || c == ';':
			if !quoted && !angle {
				p.pos = i + 1
				return
			}
			if first < 0 {
				first = i
			}
		}
	}
	if first >= 0 && p.budget >= 0 {
		p.pos = first + 1
		return
	}
	p.pos = len(p.s)
}

// phrase reads words, with dots as obs-phrase allows, and decodes them.
func (p *addressParser) phrase() (string, error) {
	var text strings.Builder
	for words := 0; ; words++ {
		before := p.pos
		if err := p.cfws(); err != nil {
			return "", err
		}
		blank := before != p.pos
		word := ""
		switch c := p.peek(); {
		case c == '"' && p.pos < len(p.s):
			q, err := p.quoted()
			if err != nil {
				return "", err
			}
			word = q
		case c == '.' && words > 0:
			p.pos++
			word = "."
		default:
			word = p.atom()
			if word == "" {
				return DecodeWords(text.String()), nil
			}
		}
		if words > 0 && blank {
			text.WriteByte(' ')
		}
		text.WriteString(word)
	}
}

// mailbox reads name-addr or addr-spec (RFC 5322 §3.4).
func (p *addressParser) mailbox(group string) (Address, error) {
	if err := p.cfws(); err != nil {
		return Address{}, err
	}
	start := p.pos
	p.comment = ""
	a, specErr := p.addrSpec()
	if specErr == nil {
		p.comment = "" // only a comment behind the address is a name
		if err := p.cfws(); err != nil && !p.openComment(err) {
			return Address{}, err
		}
		if p.peek() != '<' || p.strict {
			a.Name, a.Group = DecodeWords(strings.TrimSpace(unfold(p.comment))), group
			return a, nil
		}
	}
	// A display name, or nothing, before an angle bracket. Without strict it may
	// be anything: 'me@here' <me@here>, J. Doe @ Work <j@work>.
	p.pos = start
	name, err := p.phrase()
	if (err != nil || p.peek() != '<') && !p.strict {
		if open := p.openBracket(start); open >= 0 {
			name, p.pos = DecodeWords(strings.Trim(strings.TrimSpace(p.s[start:open]), `"'`)), open
			err = nil
		}
	}
	if err != nil || p.peek() != '<' {
		p.pos = start
		if a, ok := p.withoutBrackets(start); ok {
			a.Group = group
			return a, nil
		}
		p.pos = start
		if specErr == nil {
			specErr = p.fail(start, "no address")
		}
		return Address{}, specErr
	}
	a, err = p.angle()
	a.Name, a.Group = name, group
	return a, err
}

// angle reads angle-addr, with a source route if there is one (obs-route).
func (p *addressParser) angle() (Address, error) {
	open := p.pos
	p.pos++
	for !p.strict && p.eat('<') {
	}
	p.scheme()
	if err := p.route(); err != nil {
		return Address{}, err
	}
	start := p.pos
	a, err := p.addrSpec()
	if err != nil {
		a, ok := p.localOnly(start, ">")
		if ok {
			p.pos++
			return a, nil
		}
		return Address{}, err
	}
	if err := p.cfws(); err != nil {
		return Address{}, err
	}
	if !p.eat('>') {
		if p.strict {
			return Address{}, p.fail(open, "< is not closed")
		}
		return a, nil
	}
	for !p.strict && p.eat('>') {
	}
	return a, nil
}

// route skips "@a,@b:".
func (p *addressParser) route() error {
	for {
		if err := p.cfws(); err != nil {
			return err
		}
		switch {
		case p.eat(','):
		case p.eat('@'):
			if _, err := p.domain(); err != nil {
				return err
			}
			if err := p.cfws(); err != nil {
				return err
			}
			if p.eat(':') {
				return p.cfws()
			}
			if p.peek() != ',' {
				return p.fail(p.pos, "bad source route")
			}
		default:
			return nil
		}
	}
}

// addrSpec reads local-part "@" domain.
func (p *addressParser) addrSpec() (Address, error) {
	start := p.pos
	local, err := p.local()
	if err != nil {
		return Address{}, err
	}
	if !p.eat('@') {
		return Address{}, p.fail(p.pos, "no @")
	}
	domain, err := p.domain()
	if err != nil {
		return Address{}, err
	}
	if p.pos < len(p.s) && !p.strict && strings.IndexByte(" \t\r\n,;<>(", p.s[p.pos]) < 0 {
		return Address{}, p.fail(p.pos, "bad domain") // a part of it would be an address nobody wrote
	}
	if !utf8.ValidString(local) || !utf8.ValidString(domain) {
		return Address{}, p.fail(p.pos, "not UTF-8")
	}
	if strings.ContainsFunc(local, unicode.IsControl) {
		// The obsolete grammar allows it in quotes. Nobody has such an address,
		// and it could not be written in SMTP (RFC 5321 §4.1.2).
		return Address{}, p.fail(start, "control character in the local part")
	}
	return Address{Local: local, Domain: domain}, nil
}

// local reads word *("." word), with blanks and comments between (obs-local-part).
func (p *addressParser) local() (string, error) {
	var b strings.Builder
	word := false // a word was read since the last dot
	for {
		if err := p.cfws(); err != nil {
			return "", err
		}
		switch c := p.peek(); {
		case p.pos == len(p.s) || c == '@':
			if !word && (p.strict || b.Len() == 0) {
				return "", p.fail(p.pos, "local part ends too early")
			}
			return b.String(), nil
		case c == '.':
			if !word && p.strict {
				return "", p.fail(p.pos, "a dot too many")
			}
			p.pos++
			b.WriteByte('.')
			word = false
		case word:
			return "", p.fail(p.pos, "no @")
		case c == '"':
			q, err := p.quoted()
			if err != nil {
				return "", err
			}
			b.WriteString(q)
			word = true
		default:
			a := p.atom()
			if a == "" {
				return "", p.fail(p.pos, "unexpected "+describe(p.s[p.pos:]))
			}
			b.WriteString(a)
			word = true
		}
	}
}

// domain reads a dot-atom, with blanks and comments around the dots (obs-domain),
// or a domain literal.
func (p *addressParser) domain() (string, error) {
	if err := p.cfws(); err != nil {
		return "", err
	}
	if p.peek() == '[' {
		return p.literal()
	}
	var b strings.Builder
	for {
		start := p.pos
		label := p.atom()
		if label == "" || badLabel(label) {
			p.pos = start
			if b.Len() > 0 && label == "" && !p.strict {
				return strings.TrimRight(b.String(), "."), nil // a trailing dot
			}
			return "", p.fail(p.pos, "bad domain")
		}
		b.WriteString(label)
		after := p.pos
		if err := p.cfws(); err != nil && p.strict {
			return "", err
		} else if err != nil {
			p.pos = after // a comment that is never closed
			return b.String(), nil
		}
		if !p.eat('.') {
			p.pos = after // a comment behind the address may be its name
			return b.String(), nil
		}
		b.WriteByte('.')
		if err := p.cfws(); err != nil {
			return "", err
		}
	}
}

// badLabel: no host has such a label (RFC 1035 §2.3.1).
func badLabel(label string) bool { return label[0] == '-' || label[len(label)-1] == '-' }

// literal reads a domain-literal (RFC 5322 §3.4.1).
func (p *addressParser) literal() (string, error) {
	start := p.pos
	p.pos++
	var b strings.Builder
	b.WriteByte('[')
	for p.pos < len(p.s) {
		c := p.s[p.pos]
		p.pos++
		switch {
		case c == ']':
			b.WriteByte(c)
			return b.String(), nil
		case c == '\r' || c == '\n':
			p.pos--
			if err := p.fold(); err != nil {
				return "", err
			}
		case c == ' ' || c == '\t':
		case c == '\\' && p.pos < len(p.s) && p.s[p.pos] > ' ' && p.s[p.pos] < 0x7f:
			if c := p.s[p.pos]; c == '[' || c == ']' || c == '\\' {
				b.WriteByte('\\') // without it, what is written would not be read again
			}
			b.WriteByte(p.s[p.pos]) // obs-dtext
			p.pos++
		case c < ' ' || c >= 0x7f || c == '[' || c == '\\':
			return "", p.fail(p.pos-1, "bad octet in an address literal")
		default:
			b.WriteByte(c)
		}
	}
	return "", p.fail(start, "[ is not closed")
}
