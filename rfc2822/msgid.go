package rfc2822

import "strings"

// ParseMessageIDs reads the message ids of a Message-ID, In-Reply-To or
// References value (RFC 5322 §3.6.4), without their brackets. Comments, commas
// and words between them are left out; blanks within an id, which folding in
// the wrong place leaves behind, are removed. An id without brackets is taken
// where nothing else is there.
func ParseMessageIDs(value string) []string {
	var out []string
	s := unfold(value)
	quotes := true // until one is found that is never closed: then all are just characters
	for {
		s = skipComments(s)
		open := strings.IndexByte(s, '<')
		if open < 0 {
			break
		}
		if paren := strings.IndexByte(s[:open], '('); paren >= 0 {
			s = s[paren:]
			continue
		}
		end := -1
		if quotes {
			end, quotes = idEnd(s[open+1:])
		}
		if !quotes {
			end = strings.IndexAny(s[open+1:], "<>")
		}
		if end < 0 {
			break
		}
		if id := cleanID(s[open+1 : open+1+end]); id != "" {
			out = append(out, id)
		}
		s = s[open+1+end:]
	}
	if len(out) == 0 {
		if word := skipComments(unfold(value)); strings.Contains(word, "@") && !strings.ContainsAny(word, " \t<>") {
			out = append(out, word)
		}
	}
	return out
}

// idEnd finds the closing bracket, not within a quoted local part. A bracket
// that opens again means the first was never closed. It reports whether all
// quotes have their end.
func idEnd(s string) (end int, balanced bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case (c == '>' || c == '<') && !quoted:
			return i, true
		}
	}
	return -1, !quoted
}

func cleanID(s string) string {
	if strings.IndexByte(s, '"') >= 0 {
		return strings.Trim(s, " \t")
	}
	if strings.IndexByte(s, '(') >= 0 {
		s = withoutComments(s)
	}
	return strings.Map(func(c rune) rune {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			return -1
		}
		return c
	}, s)
}

// withoutComments takes out comments (RFC 5322 §4.5.4 allows them within an id). An
// open bracket without its end is a character.
func withoutComments(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '(')
		if i < 0 {
			break
		}
		n, closed := comment(s[i:])
		if !closed {
			break
		}
		b.WriteString(s[:i])
		s = s[i+n:]
	}
	b.WriteString(s)
	return b.String()
}

// References returns the message ids of a reply to m (RFC 5322 §3.6.4): those
// of its References, or else of its In-Reply-To if that has only one, and its
// own. The last is for In-Reply-To.
func (m *Message) References() []string {
	ids := ParseMessageIDs(m.Header.Get("References"))
	if len(ids) == 0 {
		if reply := ParseMessageIDs(m.Header.Get("In-Reply-To")); len(reply) == 1 {
			ids = reply
		}
	}
	if own := ParseMessageIDs(m.Header.Get("Message-ID")); len(own) > 0 {
		ids = append(ids, own[0])
	}
	return ids
}

// MessageID returns the message's own id without brackets, or "".
func (m *Message) MessageID() string {
	ids := ParseMessageIDs(m.Header.Get("Message-ID"))
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}
