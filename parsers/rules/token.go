package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
)

// A rules file is read as words, strings in double quotes, parentheses, ";" and
// ends of lines. A word may have quoted parts: file:"a b".

type kind int

const (
	endOfFile kind = iota
	endOfLine
	word
	open      // (
	closing   // )
	semicolon // ;
	comment   // only for the formatter
	carry     // a backslash that takes the next line along; only for the formatter
)

// token is one of them, with the place where it stands.
type token struct {
	kind     kind
	text     string // of a word: its quoting undone
	raw      string // as it stands there
	at       int    // octets from the beginning of the text
	quoted   bool   // it is never a word of the language
	glued    bool   // the formatter: no blank stood before it
	newlines int    // of an end of line: how many ends stand together
}

// is reports whether the token is this word of the language.
func (t token) is(w string) bool { return t.kind == word && !t.quoted && t.text == w }

// describe is the token for an error.
func (t token) describe() string {
	switch t.kind {
	case endOfFile:
		return "the end of the file"
	case endOfLine:
		return "the end of the line"
	case word:
		return fmt.Sprintf("%q", t.text)
	}
	return fmt.Sprintf("%q", t.raw)
}

// lexer parts one text into tokens.
type lexer struct {
	text   string
	at     int
	layout bool // also comments and carried lines
	errs   config.Errors
	where  func(at int, err error) *config.Error
}

var (
	errQuote    = errors.New(`this string has no end; write \" for a quote within it`)
	errControl  = errors.New("this character cannot stand in a rule outside quotes")
	errNUL      = errors.New("a NUL cannot stand in a rule")
	errCarry    = errors.New(`a backslash stands at the end of a line that goes on, or before a quote within a string`)
	errTooLarge = errors.New("the file is too large")
)

func (l *lexer) fail(at int, err error) {
	if len(l.errs) < mostErrors {
		l.errs = append(l.errs, l.where(at, err))
	}
}

// all returns the tokens, the last of which is the end of the file.
func (l *lexer) all() []token {
	tokens := make([]token, 0, len(l.text)/6+2)
	l.at = len(l.text) - len(strings.TrimPrefix(l.text, "\ufeff"))
	for {
		t := l.next()
		if last := len(tokens) - 1; t.kind == endOfLine && last >= 0 && tokens[last].kind == endOfLine {
			tokens[last].newlines++
			continue
		}
		tokens = append(tokens, t)
		if t.kind == endOfFile {
			return tokens
		}
	}
}

// next returns the next token. What cannot be one is reported and left out.
func (l *lexer) next() token {
	for start := l.at; l.at < len(l.text); {
		at := l.at
		c := l.text[at]
		t := token{raw: l.text[at : at+1], at: at, glued: start == at}
		switch c {
		case ' ', '\t', '\r':
			l.at++
			continue
		case '\n':
			l.at++
			t.kind, t.newlines = endOfLine, 1
			return t
		case '(', ')', ';':
			l.at++
			t.kind = map[byte]kind{'(': open, ')': closing, ';': semicolon}[c]
			return t
		case '#':
			for l.at < len(l.text) && l.text[l.at] != '\n' {
				l.at++
			}
			if l.layout {
				t.kind, t.raw = comment, strings.TrimRight(l.text[at:l.at], " \t\r")
				return t
			}
			continue
		case '\\':
			if end, ok := l.carries(at); ok {
				l.at = end
				if l.layout {
					t.kind = carry
					return t
				}
				continue
			}
		}
		if t = l.word(at); t.text != "" || t.quoted {
			t.glued = start == at
			return t
		}
		start = -1
	}
	return token{kind: endOfFile, at: len(l.text)}
}

// carries reports whether a backslash ends its line, and where the next one begins.
func (l *lexer) carries(at int) (next int, ok bool) {
	end := strings.TrimLeft(l.text[at+1:], " \t\r")
	if end == "" {
		return len(l.text), true
	}
	return len(l.text) - len(end) + 1, end[0] == '\n'
}

// word reads a word with its quoted parts.
func (l *lexer) word(at int) token {
	t := token{kind: word, at: at}
	var b strings.Builder
	for plain := at; ; {
		if l.at == len(l.text) || strings.IndexByte(" \t\r\n();", l.text[l.at]) >= 0 {
			b.WriteString(l.text[plain:l.at])
			break
		}
		switch c := l.text[l.at]; {
		case c == '"':
			b.WriteString(l.text[plain:l.at])
			t.quoted = true
			if !l.quoted(&b) {
				l.fail(at, errQuote)
				l.at = len(l.text)
			}
			plain = l.at
		case c == '\\':
			b.WriteString(l.text[plain:l.at])
			if _, ok := l.carries(l.at); ok {
				t.raw, t.text = l.text[at:l.at], b.String()
				return t
			}
			l.fail(l.at, errCarry)
			l.at++
			plain = l.at
		case c < ' ' || c == 0x7f:
			l.fail(l.at, errControl)
			l.at++
		default:
			l.at++
		}
	}
	t.raw, t.text = l.text[at:l.at], b.String()
	return t
}

// quoted reads a string from its opening quote on. It may go over lines; a
// backslash before anything but a quote or another one stands for itself.
func (l *lexer) quoted(b *strings.Builder) bool {
	for l.at++; l.at < len(l.text); l.at++ {
		switch c := l.text[l.at]; {
		case c == '"':
			l.at++
			return true
		case c == 0:
			l.fail(l.at, errNUL)
		case c == '\r' && strings.HasPrefix(l.text[l.at:], "\r\n"):
		case c == '\\' && l.at+1 < len(l.text) && (l.text[l.at+1] == '"' || l.text[l.at+1] == '\\'):
			l.at++
			b.WriteByte(l.text[l.at])
		default:
			b.WriteByte(c)
		}
	}
	return false
}
