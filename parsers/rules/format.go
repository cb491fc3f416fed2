package rules

import (
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
)

// Format puts blanks and ends of lines in order: one blank between words, none within parentheses, what
// goes on over several lines indented, no two empty lines. Comments, words and the order of
// everything stay. Whether words make rules is not looked at: only what cannot be read as words is an error, a config.Errors.
func Format(name, text string) (string, error) {
	source := config.NewText(name, []byte(text))
	l := &lexer{text: text, layout: true, where: source.ErrorAt}
	tokens := l.all()
	if err := l.errs.ErrOrNil(); err != nil {
		return "", err
	}
	var b strings.Builder
	begins, carried := true, false // a line, and whether it goes on with one before
	for i, t := range tokens {
		switch t.kind {
		case endOfFile:
			if !begins {
				b.WriteByte('\n')
			}
			return strings.TrimLeft(b.String(), "\n"), nil
		case endOfLine:
			if !begins {
				b.WriteByte('\n')
			}
			// One empty line between rules stays, none at the end does.
			if next := tokens[i+1]; (t.newlines > 1 || begins && b.Len() > 0 && !carried) && next.kind != endOfFile && !strings.HasSuffix(b.String(), "\n\n") {
				b.WriteByte('\n')
			}
			carried = i > 0 && tokens[i-1].kind == semicolon && !tokens[i+1].begins()
			begins = true
			continue
		case carry:
			if !begins {
				b.WriteString(" \\\n")
				begins, carried = true, true
			}
			continue
		}
		switch {
		case begins && carried:
			b.WriteString("    ")
		case begins:
		case t.kind == comment:
			b.WriteString("  ")
		case t.kind != closing && t.kind != semicolon && tokens[i-1].kind != open:
			b.WriteByte(' ')
		}
		b.WriteString(t.raw)
		begins = false
	}
	return b.String(), nil
}
