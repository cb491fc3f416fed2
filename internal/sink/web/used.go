package web

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// used is what the HTML of a message is made of, in lower case, and how often it uses each.
type used struct {
	nodes      int
	tags       map[string]int
	attributes map[string]int
	inputs     map[string]int // their types
	properties map[string]int // of styles
	displays   map[string]int // values of "display"
	values     []string       // of all properties
	rules      []string       // what stands before a brace and begins with "@"
	selectors  []string       // … and what does not
	images     []string       // where they are
	links      []string
	metas      []string // their names
}

func usedBy(source string) *used {
	u := &used{tags: make(map[string]int), attributes: make(map[string]int), inputs: make(map[string]int), properties: make(map[string]int), displays: make(map[string]int)}
	within := ""
	for z := html.NewTokenizer(strings.NewReader(source)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return u
		case html.TextToken:
			if within == "style" {
				u.sheet(string(z.Text()))
			}
		case html.EndTagToken:
			within = ""
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			within = t.Data
			u.tag(&t)
		}
	}
}

func (u *used) tag(t *html.Token) {
	u.nodes++
	u.tags[t.Data]++
	for _, a := range t.Attr {
		value := strings.ToLower(strings.TrimSpace(a.Val))
		u.attributes[a.Key]++
		switch {
		case a.Key == "style":
			u.sheet(value)
		case a.Key == "src" || a.Key == "background":
			u.images = append(u.images, value)
		case a.Key == "href":
			u.links = append(u.links, value)
		case a.Key == "type" && t.Data == "input":
			u.inputs[value]++
		case a.Key == "name" && t.Data == "meta":
			u.metas = append(u.metas, value)
		}
	}
}

// sheet takes a style sheet, or the value of a style attribute, apart at its braces and semicolons: a declaration has
// a colon and ends before a semicolon or a closing brace, what else there is stands before an opening one.
func (u *used) sheet(css string) {
	css = uncommented(strings.ToLower(css))
	for begin := 0; begin < len(css); {
		end := begin + endOfPiece(css[begin:])
		piece := strings.TrimSpace(css[begin:end])
		switch name, value, ok := strings.Cut(piece, ":"); {
		case strings.HasPrefix(piece, "@"):
			u.rules = append(u.rules, piece)
		case end < len(css) && css[end] == '{':
			u.selectors = append(u.selectors, piece)
		case ok:
			u.declare(strings.TrimSpace(name), strings.TrimSpace(value))
		}
		begin = end + 1
	}
}

func (u *used) declare(name, value string) {
	u.properties[name]++
	u.values = append(u.values, value)
	if name == "display" {
		word, _, _ := strings.Cut(value, " ")
		u.displays[word]++
	}
	if _, rest, ok := strings.Cut(value, "url("); ok {
		address, _, _ := strings.Cut(rest, ")")
		u.images = append(u.images, strings.Trim(address, ` "'`))
	}
}

// endOfPiece is where the first brace or semicolon stands that is not within quotes or brackets, as those of
// url(data:image/png;base64,…) are.
func endOfPiece(css string) int {
	quote, depth := byte(0), 0
	for i := range len(css) {
		switch c := css[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth = max(0, depth-1)
		case c == '{' || c == '}' || c == ';' && depth == 0:
			return i
		}
	}
	return len(css)
}

func uncommented(css string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(css, "/*")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, css, _ = strings.Cut(rest, "*/")
	}
}

// times is how often a feature is used.
func (u *used) times(f *feature) (n int) {
	switch f.kind {
	case "tag":
		return sum(u.tags, f.words)
	case "attr":
		return sum(u.attributes, f.words)
	case "input":
		return sum(u.inputs, f.words)
	case "prop":
		return sum(u.properties, f.words)
	case "display":
		return sum(u.displays, f.words)
	case "meta":
		return having(u.metas, f.words, func(s, word string) bool { return s == word })
	case "href":
		return having(u.links, f.words, strings.HasPrefix)
	case "image":
		return having(u.images, f.words, isImage)
	case "rule":
		return having(u.rules, f.words, strings.Contains)
	case "selector":
		return having(u.selectors, f.words, strings.Contains)
	case "holds":
		return having(u.values, f.words, holdsFunction)
	case "unit":
		return having(u.values, f.words, hasUnit)
	}
	return 0
}

func sum(counts map[string]int, words []string) (n int) {
	for _, w := range words {
		n += counts[w]
	}
	return n
}

func having(list, words []string, is func(s, word string) bool) (n int) {
	for _, s := range list {
		if slices.ContainsFunc(words, func(w string) bool { return is(s, w) }) {
			n++
		}
	}
	return n
}

// isImage looks at the end of an address, or at its beginning for "data:".
func isImage(address, word string) bool {
	if !strings.HasPrefix(word, ".") {
		return strings.HasPrefix(address, word)
	}
	path, _, _ := strings.Cut(address, "?")
	return strings.HasSuffix(path, word)
}

// holdsFunction finds "max(" and not "minmax(".
func holdsFunction(value, word string) bool {
	return eachAt(value, word, func(at int) bool { return at == 0 || !isLetter(value[at-1]) && value[at-1] != '-' || value[at] == '!' })
}

// hasUnit finds "3vw", and not "3vwx" or "avw".
func hasUnit(value, unit string) bool {
	return eachAt(value, unit, func(at int) bool {
		end := at + len(unit)
		return at > 0 && (isDigit(value[at-1]) || value[at-1] == '.') && (end == len(value) || !isLetter(value[end]) && !isDigit(value[end]))
	})
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' }

func eachAt(s, word string, is func(at int) bool) bool {
	for from := 0; ; {
		i := strings.Index(s[from:], word)
		if i < 0 {
			return false
		}
		if is(from + i) {
			return true
		}
		from += i + 1
	}
}
