package dmarc

import "strings"

// Mistaken says, in words for people, why a TXT record at a _dmarc name that was meant
// to be a DMARC record is none. It is "" for a record, a good one or a bad one, and for
// what has nothing to do with DMARC.
func Mistaken(txt string) string {
	if IsRecord(txt) {
		return ""
	}
	bare := strings.TrimLeft(strings.TrimPrefix(txt, "\ufeff"), " \t\r\n\u00a0\"'\u201c\u201d")
	lower := strings.ToLower(bare)
	name, value, _ := strings.Cut(lower, "=")
	version := strings.TrimSpace(name) == "v" && strings.HasPrefix(strings.TrimSpace(value), "dmarc")
	switch {
	case !version && strings.Contains(lower, "v=dmarc1"):
		return `"v=DMARC1" is not its first tag`
	case !version && (strings.HasPrefix(lower, "dmarc1") || strings.HasPrefix(lower, "v:dmarc1")):
		return `it does not begin with "v=DMARC1"`
	case !version:
		return ""
	case len(txt) > MaxRecord:
		return "it is too long"
	case IsRecord(bare) && strings.ContainsAny(txt[:len(txt)-len(bare)], "\"'\u201c\u201d"):
		return "there is a quotation mark in front of it: the quotes of a zone file were published as well"
	case IsRecord(bare):
		return `something invisible stands in front of "v=DMARC1"`
	}
	first, _, _ := strings.Cut(bare, ";")
	switch _, value, _ := strings.Cut(first, "="); {
	case strings.EqualFold(strings.Trim(value, " \t"), "DMARC1"):
		return `"DMARC1" has to be written in capitals`
	case strings.HasPrefix(strings.ToLower(strings.TrimSpace(value)), "dmarc1"):
		return `behind "v=DMARC1" stands something else than a semicolon`
	}
	return "its version is not DMARC1"
}
