package rules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

func parseReply(text string) (r Reply, err error) {
	code, rest, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || n < 200 || n > 599 || n/100 == 3 {
		return r, fmt.Errorf("%q does not begin with the code of a reply: 2yz accepts, 4yz refuses for now, 5yz for good", text)
	}
	r.Code = n
	if enhanced, text, _ := strings.Cut(rest, " "); isEnhanced(enhanced) {
		if enhanced[0] != code[0] {
			return r, fmt.Errorf("the code %s does not go with %s: both begin with the same digit (RFC 2034 §4)", enhanced, code)
		}
		r.Enhanced, rest = enhanced, text
	}
	r.Text = rest
	if r.Text == "" {
		return r, errors.New("a reply has a text behind its code")
	}
	return r, printable(r.Text)
}

// isEnhanced reports whether s looks like "5.7.1".
func isEnhanced(s string) bool {
	parts := strings.Split(s, ".")
	return len(parts) == 3 && len(parts[0]) == 1 && !slices.ContainsFunc(parts, func(part string) bool {
		return part == "" || len(part) > 3 || strings.Trim(part, "0123456789") != ""
	})
}

// printable refuses what no line of a reply may have.
func printable(text string) error {
	for _, r := range text {
		if r != '\n' && r != '\t' && (r < ' ' || r == 0x7f) || r == '\ufffd' {
			return fmt.Errorf("a reply cannot have the character %q", r)
		}
	}
	return nil
}

func parseField(text string) (f Field, err error) {
	name, value, ok := strings.Cut(text, ":")
	f.Name, f.Value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || f.Name == "" || strings.ContainsFunc(f.Name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || len(f.Name) > 70 {
		return f, fmt.Errorf("%q is no header field; write one like \"X-Rule: yes\"", text)
	}
	if f.Value == "" || len(f.Value) > 900 || strings.ContainsFunc(f.Value, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return f, fmt.Errorf("the value of %s is one line of ASCII of up to 900 octets, and not empty", f.Name)
	}
	return f, nil
}

// mailbox is the canonical form of an address.
func mailbox(text string) (string, error) {
	a := domains.CanonicalAddress(text)
	if local, domain := a.Cut(); local == "" || domain == "" || strings.ContainsAny(text, " \t<>\n") {
		return "", fmt.Errorf("%q is not the address of a mailbox", text)
	}
	return a.String(), nil
}
