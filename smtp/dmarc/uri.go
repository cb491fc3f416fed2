package dmarc

import (
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
)

// URI is a place where reports are wanted.
type URI struct {
	Text    string // as published, without the size mark
	Address string // of a mailto: the mailbox, its domain in A-labels; "" of another scheme
	MaxSize int64  // the size mark of RFC 7489, "!10m", in octets; 0: there is none. RFC 9989 has none any more.
}

// Host is the domain of the mailbox.
func (u URI) Host() string {
	return u.Address[strings.LastIndexByte(u.Address, '@')+1:]
}

// uris reads a list of URIs that begins at at.
func (r *Record) uris(list string, at int, tag string) []URI {
	var out []URI
	for text := range strings.SplitSeq(list, ",") {
		u, reason := parseURI(strings.Trim(text, " \t"))
		if reason != "" {
			r.fault(at, tag, reason)
		} else {
			out = append(out, u)
		}
		at += len(text) + 1
	}
	return out
}

func parseURI(text string) (URI, string) {
	u := URI{Text: text}
	if mark := strings.LastIndexByte(text, '!'); mark >= 0 {
		var ok bool
		if u.MaxSize, ok = parseSize(text[mark+1:]); !ok {
			return u, "has an address with a bad size mark"
		}
		u.Text = text[:mark]
	}
	scheme, rest, ok := strings.Cut(u.Text, ":")
	parsed, err := url.Parse(u.Text)
	if !ok || err != nil || parsed.Scheme == "" || strings.ContainsAny(u.Text, " \t\"<>!") {
		return u, "has an address that is no URI: mailto: is missing?"
	}
	if !strings.EqualFold(scheme, "mailto") {
		return u, ""
	}
	mailbox, _, _ := strings.Cut(rest, "?")
	if mailbox, err = url.PathUnescape(mailbox); err != nil {
		return u, "has an address with a bad escape"
	}
	if u.Address, ok = addrSpec(mailbox); !ok {
		return u, "has a mailto: that is not one mailbox"
	}
	return u, ""
}

// addrSpec is a mailbox that a report can be sent to.
func addrSpec(s string) (string, bool) {
	a, err := rfc2822.ParseAddrSpec(s)
	if err != nil {
		return "", false
	}
	if a.Domain, err = domains.ToASCII(a.Domain); err != nil || !isName(a.Domain) {
		return "", false
	}
	return a.Addr(), true
}

// parseSize reads digits and a unit of k, m, g or t (RFC 7489 §6.4).
func parseSize(s string) (int64, bool) {
	shift := 0
	if s != "" {
		if i := strings.IndexByte("kmgt", s[len(s)-1]|0x20); i >= 0 {
			shift, s = 10*(i+1), s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, false
	}
	return int64(min(n, math.MaxInt64>>shift)) << shift, true
}
