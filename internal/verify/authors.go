package verify

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dmarc"
)

// Whom the programs of users show as the author of a message. They do not agree with each
// other, and who forges looks for what one shows and we do not see.

// unsettled is how a header goes on that no empty line has ended: for us two lines that are no
// fields do, many programs read on to the first line that is empty.
type unsettled struct {
	text []byte
	done bool
}

// mostUnsettled is how much of it is looked at, in octets.
const mostUnsettled = 64 << 10

// newUnsettled looks at the end of a header.
func newUnsettled(header *rfc2822.Section) unsettled {
	text := header.String()
	return unsettled{done: text == "" || strings.HasSuffix(text, "\n\r\n") || strings.HasSuffix(text, "\n\n")}
}

// Write takes what follows.
func (u *unsettled) Write(p []byte) {
	if u.done {
		return
	}
	from := max(0, len(u.text)-2)
	u.text = append(u.text, p[:min(len(p), mostUnsettled-len(u.text))]...)
	u.done = len(u.text) == mostUnsettled
	for _, end := range []string{"\n\r\n", "\n\n"} {
		if at := bytes.Index(u.text[from:], []byte(end)); at >= 0 {
			u.text, u.done = u.text[:from+at+1], true
		}
	}
}

// ambiguous is the answer to a header with octets that programs disagree about: a CR or LF that is not
// part of a CRLF ends a line for some, and others leave out a NUL. What does not come in binary chunks has none.
func ambiguous(text string) error {
	crlf := strings.Count(text, "\r\n")
	switch {
	case strings.Count(text, "\r") != crlf, strings.Count(text, "\n") != crlf:
		return smtp.ErrBareLineEnd
	case strings.IndexByte(text, 0) >= 0:
		return smtp.ErrNUL
	}
	return nil
}

// mostAuthors is how much may name authors, in octets. Nobody has so many, and to read them takes time.
const mostAuthors = 64 << 10

// longAuthors reports whether there is more.
func longAuthors(header *rfc2822.Section) bool {
	octets := 0
	for f := range header.All() {
		if f.Is("From") || f.Is("Sender") {
			octets += len(f.Raw())
		}
	}
	return octets > mostAuthors
}

// fields are those with a name that stand there.
func (u *unsettled) fields(name string) (all []rfc2822.Field) {
	field := ""
	end := func() {
		if s, _, _ := rfc2822.ParseHeader(field); field != "" {
			all = append(all, s.Named(name)...)
		}
		field = ""
	}
	for line := range bytes.Lines(u.text) {
		switch {
		case line[0] != ' ' && line[0] != '\t':
			end()
			if len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name) {
				field = string(line)
			}
		case field != "":
			field += string(line)
		}
	}
	end()
	return all
}

// fields are those with a name that somebody may take for the message's.
func (i *inspection) fields(name string) []rfc2822.Field {
	return append(i.look.Header.Named(name), i.below.fields(name)...)
}

// authors are the domains that the message shows as its author's. Where From names none, programs
// show Sender. What is named in a way that nobody can read for certain counts if it is a domain of this host.
// found and err are what dmarc.AuthorsOf makes of From.
func (i *inspection) authors(from []rfc2822.AddressField, found []string, err error) (all []domains.Name) {
	if errors.Is(err, dmarc.ErrNoAuthor) {
		instead := rfc2822.ReadAddressFields(i.fields("Sender"))
		found, _ = dmarc.AuthorsOf(instead)
		from = append(from, instead...)
	}
	seen := make(map[domains.Name]bool)
	add := func(d domains.Name) {
		if !seen[d] {
			seen[d] = true
			all = append(all, d)
		}
	}
	for _, d := range found {
		add(domains.Canonical(d))
	}
	for n := range from {
		i.somehow(&from[n], add)
	}
	return all
}

// named is what stands behind something that looks like an "@".
var named = regexp.MustCompile(`[@\x{ff20}\x{fe6b}][\s\[".\x{ff0e}\x{3002}-]*([\pL\pM\pN\p{Cf}._\x{ff0e}\x{3002}-]+)`)

// dots are those within a name that are too many.
var dots = regexp.MustCompile(`\.\.+`)

// somehow are the domains of this host that a field names where it cannot be read as a whole, or where
// what was read is no address that the world could have.
func (i *inspection) somehow(f *rfc2822.AddressField, add func(domains.Name)) {
	odd := func(a rfc2822.Address) bool { return !plain(domains.Canonical(a.Domain).String()) }
	if len(f.Bad) == 0 && len(f.Addresses) > 0 && !slices.ContainsFunc(f.Addresses, odd) {
		return
	}
	apart := strings.ReplaceAll(f.Value, "=?", " =?")
	for _, text := range []string{f.Value, rfc2822.DecodeWords(apart)} {
		visible := strings.Map(func(c rune) rune {
			if unicode.IsControl(c) || c == unicode.ReplacementChar {
				return -1
			}
			return c
		}, strings.ToValidUTF8(text, ""))
		for _, m := range named.FindAllStringSubmatch(visible, -1) {
			d := domains.Canonical(strings.Trim(dots.ReplaceAllString(m[1], "."), ".-_"))
			if i.s.rules.IsOwn(d) {
				add(d)
			}
		}
	}
}

// plain reports whether a domain is written in A-labels.
func plain(domain string) bool {
	begin := true // of a label
	for i := range len(domain) {
		switch c := domain[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
			begin = false
		case c == '.' && !begin:
			begin = true
		default:
			return false
		}
	}
	return !begin
}
