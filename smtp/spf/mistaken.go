package spf

import "strings"

// Mistaken says, in words for people, why a TXT record that was meant to be an SPF
// record is none, or (with a version in capitals) is none to some who read it. It is "" for
// any other record, a good one or a bad one, and for what has nothing to do with SPF.
func Mistaken(txt string) string {
	if IsRecord(txt) {
		if !strings.HasPrefix(txt, "v=spf1") {
			return `"v=spf1" is written in capitals, which not everybody reads`
		}
		return ""
	}
	s := strings.TrimLeft(txt, " \t\r\n\u00a0")
	s = strings.TrimPrefix(s, "\ufeff")
	switch bare := strings.TrimLeft(s, "\"'\u201c\u201d "); {
	case IsRecord(bare) && bare != s:
		return "there is a quotation mark in front of it: the quotes of a zone file were published as well"
	case IsRecord(s):
		return `something invisible stands in front of "v=spf1"`
	}
	name, value, ok := strings.Cut(strings.ToLower(s), "=")
	value = strings.TrimSpace(value)
	switch {
	case strings.TrimSpace(name) == "v" && ok && strings.HasPrefix(value, "spf1"):
		if strings.HasPrefix(strings.ToLower(s), "v=spf1") {
			return `behind "v=spf1" stands neither a space nor the end`
		}
		return `there are spaces in "v=spf1"`
	case strings.TrimSpace(name) == "v" && ok && strings.HasPrefix(value, "spf"):
		return "its version is not spf1"
	case strings.HasPrefix(s, "spf1 ") || strings.HasPrefix(s, "spf="), strings.HasPrefix(strings.ToLower(s), "v:spf1"):
		return `it does not begin with "v=spf1"`
	case strings.HasPrefix(strings.ToLower(s), "spf2.0/"):
		return "it is a Sender ID record (RFC 4406), which is history"
	}
	return ""
}
