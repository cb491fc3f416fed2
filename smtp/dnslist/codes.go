package dnslist

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Codes is a pattern of a list's answers: four numbers as of an IPv4 address, each of which may be a range or
// "*". "127.0.0.2" is one code, "127.0.0.4-7" four, "127.0.*.1-3" those of any category. It is comparable.
type Codes struct{ from, to [4]byte }

// ParseCodes reads a pattern. It must be able to match an answer: the first number is 127, and 127.255.255.x,
// by which lists refuse to answer, is not to be had.
func ParseCodes(s string) (Codes, error) {
	var c Codes
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return c, fmt.Errorf("%q has not the four parts of an answer, as 127.0.0.2 or 127.0.0.4-7", s)
	}
	for i, part := range parts {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		if part == "*" {
			from, to = "0", "255"
		}
		a, err := strconv.ParseUint(from, 10, 8)
		b, errTo := strconv.ParseUint(to, 10, 8)
		if err != nil || errTo != nil || a > b {
			return c, fmt.Errorf("%q: %q is no number up to 255, no range of them and no *", s, part)
		}
		c.from[i], c.to[i] = byte(a), byte(b)
	}
	switch {
	case c.from[0] != 127 || c.to[0] != 127:
		return c, fmt.Errorf("%q: lists answer with 127 and three numbers; anything else is no listing", s)
	case c.from[1] == 255 && c.from[2] == 255:
		return c, fmt.Errorf("%q: with 127.255.255 a list refuses to answer; that is no listing", s)
	}
	return c, nil
}

// Match reports whether an answer is one of these.
func (c Codes) Match(code netip.Addr) bool {
	if !code.Is4() {
		return false
	}
	for i, octet := range code.As4() {
		if octet < c.from[i] || octet > c.to[i] {
			return false
		}
	}
	return true
}

// String is the pattern as ParseCodes reads it.
func (c Codes) String() string {
	var parts [4]string
	for i := range parts {
		switch from, to := c.from[i], c.to[i]; {
		case from == to:
			parts[i] = strconv.Itoa(int(from))
		case from == 0 && to == 255:
			parts[i] = "*"
		default:
			parts[i] = fmt.Sprintf("%d-%d", from, to)
		}
	}
	return strings.Join(parts[:], ".")
}
