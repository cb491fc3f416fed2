package sink

import (
	"net/netip"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/text/cases"
)

// TextOf is what a reader of the HTML sees, in words.
func TextOf(source string) string {
	if source == "" {
		return ""
	}
	var b strings.Builder
	hidden := 0
	for z := html.NewTokenizer(strings.NewReader(source)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return strings.Join(strings.Fields(b.String()), " ")
		case html.TextToken:
			if hidden == 0 {
				b.Write(z.Text())
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			if unseen(name) {
				hidden++
			}
			spaced(&b, name)
		case html.EndTagToken:
			name, _ := z.TagName()
			if unseen(name) && hidden > 0 {
				hidden--
			}
			spaced(&b, name)
		case html.SelfClosingTagToken:
			name, _ := z.TagName()
			spaced(&b, name)
		}
	}
}

// unseen are elements whose text nobody is shown.
func unseen(tag []byte) bool {
	switch string(tag) {
	case "head", "style", "script", "title", "template", "noscript":
		return true
	}
	return false
}

// spaced puts a space where an element ends a word: everywhere but in running text.
func spaced(b *strings.Builder, tag []byte) {
	switch string(tag) {
	case "a", "abbr", "b", "big", "code", "em", "font", "i", "mark", "q", "s", "small", "span", "strong", "sub", "sup", "tt", "u":
		return
	}
	b.WriteByte(' ')
}

// snippet is how a text begins, on one line.
func snippet(text string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(text) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
		if b.Len() > mostShown {
			break
		}
	}
	return cutTo(mostShown, b.String())
}

// cutTo is the beginning of a text, at most so many octets of whole letters; three dots show
// that it goes on.
func cutTo(most int, s string) string {
	if s = strings.ToValidUTF8(s, "\uFFFD"); len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + "..."
}

// folded is a text in the one case that searches compare: GRÜSSE is Grüße.
func folded(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return cases.Fold().String(s)
		}
	}
	return strings.ToLower(s)
}

// addressOf is the address of "host:port", or of the host alone.
func addressOf(client string) netip.Addr {
	if p, err := netip.ParseAddrPort(client); err == nil {
		return p.Addr()
	}
	a, _ := netip.ParseAddr(client)
	return a
}
