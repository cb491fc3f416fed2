package rfc2822

import (
	"errors"
	"strings"
)

// What tolerant reading does beyond the grammar of RFC 5322. Every look ahead is
// paid for out of the budget, so that no list takes more than linear time.

// scheme skips what is left of a link: mailto:ada@example.com.
func (p *addressParser) scheme() {
	const mailto = "mailto:"
	if rest := p.s[p.pos:]; !p.strict && len(rest) > len(mailto) && strings.EqualFold(rest[:len(mailto)], mailto) {
		p.pos += len(mailto)
	}
}

// openComment takes a comment behind an address that is never closed for one up to
// the next separator: ada@example.com (Ada.
func (p *addressParser) openComment(err error) bool {
	var e *AddressError
	if p.strict || p.budget < 0 || !errors.As(err, &e) || e.Offset >= len(p.s) || p.s[e.Offset] != '(' {
		return false
	}
	rest := p.s[e.Offset+1:]
	end := strings.IndexAny(rest, ",;")
	if end < 0 {
		end = len(rest)
	}
	if p.budget -= end; p.budget < 0 {
		return false
	}
	p.comment, p.pos = rest[:end], e.Offset+1+end
	return true
}

// withoutBrackets reads an element that has no angle bracket and is no address.
func (p *addressParser) withoutBrackets(start int) (Address, bool) {
	if p.strict {
		return Address{}, false
	}
	if a, ok := p.lastWord(start); ok {
		return a, true
	}
	if a, ok := p.commaName(start); ok {
		return a, true
	}
	return p.localOnly(start, ",;")
}

// lastWord reads an element without brackets whose last word is an address:
// Ada Byron ada@example.com, "Byron, Ada" ada@example.com.
func (p *addressParser) lastWord(start int) (Address, bool) {
	end, blank := p.elementEnd(start)
	if blank < 0 {
		return Address{}, false
	}
	inner := newAddressParser(p.s[blank+1:end], false)
	a, err := inner.addrSpec()
	if err != nil || strings.TrimSpace(inner.s[inner.pos:]) != "" {
		return Address{}, false
	}
	a.Name = plainName(p.s[start:blank])
	p.pos = end
	return a, true
}

// elementEnd finds the separator or bracket behind an element that begins at start,
// and the last blank with a word behind it, or -1; none of them in quotes.
func (p *addressParser) elementEnd(start int) (end, blank int) {
	quoted, last := false, -1
	blank = -1
	for i := start; i < len(p.s); i++ {
		if p.budget--; p.budget < 0 {
			return i, -1
		}
		switch c := p.s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case strings.IndexByte(",;<>()", c) >= 0:
			return i, blank
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			last = i
			continue
		}
		if last >= 0 {
			blank, last = last, -1
		}
	}
	return len(p.s), blank
}

// plainName is a display name that is no phrase, without the quotes around it.
func plainName(s string) string {
	p := newAddressParser(strings.TrimSpace(s), false)
	if name, err := p.phrase(); err == nil && p.pos == len(p.s) {
		return name
	}
	return DecodeWords(strings.Trim(unfold(p.s), `"' `))
}

// maxCommas is how many commas a display name may have, and maxCommaName how
// many octets: Byron, Ada, Countess of Lovelace <ada@example.com>.
const (
	maxCommas    = 2
	maxCommaName = 200
)

// commaName reads a name with commas that nobody put in quotes, up to the angle
// bracket behind it.
func (p *addressParser) commaName(start int) (Address, bool) {
	commas := 0
	for i := start; i < len(p.s) && i < start+maxCommaName; i++ {
		if p.budget--; p.budget < 0 {
			return Address{}, false
		}
		switch c := p.s[i]; {
		case c == ',' && commas < maxCommas && i > start:
			commas++
		case c == '<' && commas > 0:
			p.pos = i
			a, err := p.angle()
			if err != nil {
				return Address{}, false
			}
			a.Name = DecodeWords(strings.TrimSpace(unfold(p.s[start:i])))
			p.guessed = append(p.guessed, p.fail(start, "a comma in a display name"))
			return a, true
		case strings.IndexByte(",<>@;:\"()", c) >= 0:
			return Address{}, false
		}
	}
	return Address{}, false
}

// localOnly reads a mailbox without a domain, up to one of the separators or the end.
func (p *addressParser) localOnly(start int, separators string) (Address, bool) {
	if p.strict {
		return Address{}, false
	}
	p.pos = start
	if p.cfws() != nil {
		return Address{}, false
	}
	word := p.pos
	for p.atom() != "" || p.eat('.') {
	}
	local := p.s[word:p.pos]
	if !isDotAtom(local) || strings.Contains(local, "=?") || p.cfws() != nil {
		return Address{}, false
	}
	closed := p.pos < len(p.s) && strings.IndexByte(separators, p.s[p.pos]) >= 0
	if !closed && (p.pos < len(p.s) || separators == ">") {
		return Address{}, false
	}
	p.guessed = append(p.guessed, p.fail(word, "no domain"))
	return Address{Local: local}, true
}

// openBracket finds the angle bracket of an element whose display name is no
// phrase, or -1.
func (p *addressParser) openBracket(start int) int {
	for i := start; i < len(p.s); i++ {
		if p.budget--; p.budget < 0 {
			return -1
		}
		switch p.s[i] {
		case '<':
			return i
		case ',', ';', '>':
			return -1
		}
	}
	return -1
}
