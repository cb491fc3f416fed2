package sink

import (
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/rfc2822"
)

// mostTag is how many characters a tag may have.
const mostTag = 100

// CleanTag is a tag as it is kept: letters, digits, spaces and "-_.@"; what else there
// is becomes a space. It is "" if nothing is left.
func CleanTag(s string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= 0x80, strings.ContainsRune("-_.@", r):
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, " "))
	clean = strings.Join(strings.Fields(clean), " ")
	if r := []rune(clean); len(r) > mostTag {
		clean = strings.TrimSpace(string(r[:mostTag]))
	}
	return strings.Clone(clean) // a part of a message would hold all of it
}

// mostTags is how many a message can have.
const mostTags = 100

// cleanTags are tags as they are kept: sorted, each once, whatever its case.
func cleanTags(tags []string) []string {
	clean := []string{}
	for _, t := range tags {
		if len(clean) == mostTags {
			break
		}
		if t = CleanTag(t); t != "" && !hasTag(clean, t) {
			clean = append(clean, t)
		}
	}
	slices.SortFunc(clean, func(a, b string) int { return strings.Compare(folded(a), folded(b)) })
	return clean
}

func hasTag(tags []string, tag string) bool {
	return slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, tag) })
}

// tagsOf are the tags that a message brings along: the X-Tags field's, and what
// stands behind a plus in an address ("bob+invoice@example.com").
func tagsOf(h *rfc2822.Section, m *Message) []string {
	tags := strings.Split(h.Text("X-Tags"), ",")
	for _, list := range [][]Person{{m.Author}, m.To, m.Cc, m.Bcc} {
		for _, p := range list {
			local, _, _ := strings.Cut(p.Address, "@")
			if _, detail, ok := strings.Cut(local, "+"); ok {
				tags = append(tags, strings.Split(detail, "+")...)
			}
		}
	}
	return cleanTags(tags)
}
