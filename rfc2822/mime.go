package rfc2822

import (
	"sort"
	"strconv"
	"strings"
)

// ParseMediaType reads the value of a Content-Type or Content-Disposition
// field (RFC 2045 §5.1, RFC 2183 §2): the type or disposition in lower case, and the
// parameters with names in lower case and values decoded (RFC 2231
// continuations and charsets, encoded words where they should not be). It takes what
// programs write: blanks in unquoted values, a quote left open, comments,
// semicolons too many, a parameter twice (the first counts). It reports false if
// there is no type.
func ParseMediaType(value string) (kind string, params map[string]string, ok bool) {
	value = unfold(value)
	p := paramParser{s: value}
	kind, ok = p.kind()
	if !ok && strings.HasPrefix(skipComments(p.s), "=") {
		p.s = value // parameters only
	}
	if raw := p.all(); len(raw) > 0 {
		params = decodeParams(raw)
	}
	if !ok {
		kind = ""
	}
	return kind, params, ok
}

// kind reads type "/" subtype, with blanks and comments around the slash as RFC 822
// §3.1.4 allows, or a single token, in lower case.
func (p *paramParser) kind() (string, bool) {
	p.s = skipComments(p.s)
	all := p.s
	first := p.typeToken()
	p.s = skipComments(p.s)
	if p.s != "" && p.s[0] == '/' {
		p.s = p.s[1:]
		second := p.typeToken()
		p.s = strings.TrimPrefix(p.s, `"`)
		if n := len(first) + 1 + len(second); strings.EqualFold(all[:min(n, len(all))], first+"/"+second) {
			return strings.ToLower(all[:n]), first != "" && second != "" // nearly always: no octets of its own
		}
		return first + "/" + second, first != "" && second != ""
	}
	return first, first != "" && !strings.HasPrefix(p.s, "=")
}

// typeToken reads up to what cannot stand in a token of a type.
func (p *paramParser) typeToken() string {
	p.s = strings.TrimPrefix(skipComments(p.s), `"`) // some put the type into quotes
	end := 0
	for end < len(p.s) && tokenOctet[p.s[end]] {
		end++
	}
	token := strings.ToLower(p.s[:end])
	p.s = p.s[end:]
	return token
}

// param is one name=value as written, without quotes.
type param struct{ name, value string }

// decoded is the value without encoded words. A boundary is compared octet by
// octet with lines of the body, and stays as it is.
func (p param) decoded() string {
	if p.name == "boundary" {
		return p.value
	}
	return DecodeWords(p.value)
}

// maxParams is how many parameters of a field are read; nobody needs as many.
const maxParams = 200

type paramParser struct{ s string }

func (p *paramParser) all() []param {
	var out []param
	for p.s != "" && len(out) < maxParams {
		p.s = skipComments(p.s)
		p.s = strings.TrimLeft(p.s, ";, \t")
		if p.s = skipComments(p.s); p.s == "" {
			break
		}
		eq := strings.IndexAny(p.s, "=;")
		if eq < 0 {
			break
		}
		if p.s[eq] == ';' {
			p.s = p.s[eq:]
			continue // a name without value
		}
		name := strings.ToLower(strings.TrimSpace(p.s[:eq]))
		if i := strings.LastIndexAny(name, " \t"); i >= 0 {
			name = name[i+1:] // the semicolon before it was forgotten
		}
		p.s = skipComments(p.s[eq+1:])
		out = append(out, param{name, p.value(name)})
	}
	return out
}

// value reads a quoted string, or everything up to the next semicolon or, where
// that was forgotten, up to the next parameter.
func (p *paramParser) value(name string) string {
	if !strings.HasPrefix(p.s, `"`) {
		end := strings.IndexByte(p.s, ';')
		if end < 0 {
			end = len(p.s)
		}
		end = nextParam(p.s[:end])
		v := p.s[:end]
		p.s = p.s[end:]
		return withoutComment(name, strings.Trim(v, " \t"))
	}
	var b strings.Builder
	for i := 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.s = p.s[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(p.s) && (p.s[i+1] == '"' || p.s[i+1] == '\\'):
			i++
			b.WriteByte(p.s[i])
		default: // a backslash before anything else is one: Windows writes paths
			b.WriteByte(c)
		}
	}
	// The quote is never closed. What stands before the next semicolon is the
	// best guess.
	v, rest, _ := strings.Cut(p.s[1:], ";")
	p.s = rest
	return strings.TrimSpace(v)
}

// tokenOctet is isToken as a table.
var tokenOctet = func() (t [256]bool) {
	for c := range t {
		t[c] = isToken(rune(c))
	}
	return t
}()

// nextParam is where in an unquoted value a blank and another name= come, or the
// value's length.
func nextParam(v string) int {
	for from := 0; ; {
		eq := strings.IndexByte(v[from:], '=')
		if eq < 0 {
			return len(v)
		}
		eq += from
		n := eq
		for n > 0 && tokenOctet[v[n-1]] {
			n--
		}
		if n > 0 && n < eq && (v[n-1] == ' ' || v[n-1] == '\t') {
			return n
		}
		from = eq + 1
	}
}

// withoutComment takes away a comment that an unquoted value ends in. Programs
// write names of files with brackets and no quotes: there a blank must come before it.
func withoutComment(name, v string) string {
	i := strings.IndexByte(v, '(')
	if i <= 0 || !strings.HasSuffix(v, ")") {
		return v
	}
	file, _, _ := strings.Cut(name, "*")
	if (file == "name" || file == "filename") && v[i-1] != ' ' {
		return v
	}
	return strings.TrimRight(v[:i], " \t")
}

// decodeParams joins and decodes what RFC 2231 has taken apart.
func decodeParams(raw []param) map[string]string {
	out := make(map[string]string, len(raw))
	var pieces map[string][]piece
	for _, p := range raw {
		name, n, extended, split := splitParamName(p.name)
		if split || extended {
			if pieces == nil {
				pieces = map[string][]piece{}
			}
			pieces[name] = append(pieces[name], piece{n, extended, p.value})
			continue
		}
		if _, twice := out[p.name]; !twice && p.name != "" {
			out[p.name] = p.decoded()
		}
	}
	for name, list := range pieces {
		out[name] = joinPieces(list) // more exact than a plain parameter beside it
	}
	return out
}

type piece struct {
	n        int
	extended bool
	value    string
}

// splitParamName reads name*, name*1 and name*1*.
func splitParamName(s string) (name string, n int, extended, split bool) {
	base, rest, found := strings.Cut(s, "*")
	if !found || base == "" {
		return s, 0, false, false
	}
	if rest == "" {
		return base, 0, true, false
	}
	number, star := strings.CutSuffix(rest, "*")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 {
		return s, 0, false, false
	}
	return base, n, star, true
}

func joinPieces(list []piece) string {
	sort.SliceStable(list, func(i, j int) bool { return list[i].n < list[j].n })
	charset := ""
	var b strings.Builder
	for i, p := range list {
		if i > 0 && p.n == list[i-1].n {
			continue
		}
		if i > 0 && p.n != list[i-1].n+1 {
			break // a piece is missing, and what comes behind it belongs elsewhere
		}
		if !p.extended {
			b.WriteString(p.value)
			continue
		}
		v := p.value
		if i == 0 {
			if parts := strings.SplitN(v, "'", 3); len(parts) == 3 {
				charset, v = parts[0], parts[2]
			}
		}
		b.WriteString(percentDecode(v))
	}
	if charset == "" {
		return printable(b.String())
	}
	text, ok := decodeCharset(charset, b.String())
	if !ok {
		text = b.String()
	}
	return printable(text)
}

func percentDecode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex[s[i+1]] >= 0 && unhex[s[i+2]] >= 0 {
			b.WriteByte(byte(unhex[s[i+1]]<<4 | unhex[s[i+2]]))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
