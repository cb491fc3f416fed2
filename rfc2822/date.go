package rfc2822

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ErrBadDate: no date could be made out.
var ErrBadDate = errors.New("rfc2822: bad date")

// obsoleteZones are the zone names of RFC 5322 §4.3 and others that old mail
// has, in minutes east of Greenwich. Military letters count as -0000, because
// RFC 822 had their signs wrong.
var obsoleteZones = map[string]int{
	"UT": 0, "UTC": 0, "GMT": 0, "WET": 0,
	"EST": -300, "EDT": -240, "CST": -360, "CDT": -300,
	"MST": -420, "MDT": -360, "PST": -480, "PDT": -420,
	"AST": -240, "ADT": -180, "NST": -210, "NDT": -150, "AKST": -540, "AKDT": -480, "HST": -600,
	"BST": 60, "WEST": 60, "CET": 60, "MET": 60, "MEZ": 60, "CEST": 120, "MEST": 120, "MESZ": 120,
	"EET": 120, "EEST": 180, "MSK": 180, "MSD": 240, "JST": 540, "KST": 540, "HKT": 480, "SGT": 480,
	"AEST": 600, "AEDT": 660, "ACST": 570, "AWST": 480, "NZST": 720, "NZDT": 780, "IST": 330,
}

const months = "janfebmaraprmayjunjulaugsepoctnovdec"

// ParseDate reads a Date field's value: RFC 5322 §3.3 with the obsolete forms
// of §4.3 (two-digit years, zone names, comments anywhere), and what else is
// seen in real mail: asctime's order, ISO 8601, months written out, a missing
// zone or missing seconds, a leap second, an odd zone, and text behind the zone. The
// error is ErrBadDate.
func ParseDate(s string) (time.Time, error) {
	if len(s) > 300 {
		return time.Time{}, fmt.Errorf("%w: %d octets long", ErrBadDate, len(s))
	}
	d := dateParts{year: -1, month: -1, day: -1, hour: -1}
	for _, token := range dateTokens(s) {
		if d.token(token) {
			continue
		}
		if d.whole() {
			break // filters write their findings behind the date
		}
		return time.Time{}, fmt.Errorf("%w: %q", ErrBadDate, s)
	}
	t, ok := d.time()
	if !ok {
		return time.Time{}, fmt.Errorf("%w: %q", ErrBadDate, s)
	}
	return t, nil
}

// dateTokens splits a date at blanks and commas, comments left out.
func dateTokens(s string) []string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '(')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i] + " ")
		s = s[i+commentLen(s[i:]):]
	}
	text := b.String()
	// ISO 8601 joins date and time with a T.
	if i := strings.IndexByte(text, 'T'); i > 0 && i+1 < len(text) && isDigit(text[i-1]) && isDigit(text[i+1]) {
		text = text[:i] + " " + text[i+1:]
	}
	// RFC 5322 §4.3 allows blanks around the colons of a time.
	for strings.Contains(text, " :") || strings.Contains(text, ": ") {
		text = strings.ReplaceAll(strings.ReplaceAll(text, " :", ":"), ": ", ":")
	}
	return strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' || c == '\r' || c == '\n' })
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// dateParts is what the tokens have told so far.
type dateParts struct {
	year, month, day int
	hour, min, sec   int
	nano             int
	zone             int // minutes east
	zoned            bool
	named            bool // a zone nobody knows was there
	pm, am           bool
}

// whole reports whether nothing more is to be expected.
func (d *dateParts) whole() bool {
	return d.year >= 0 && d.month >= 0 && d.day >= 0 && d.hour >= 0 && (d.zoned || d.named)
}

// token takes one token; false if it makes no sense.
func (d *dateParts) token(s string) bool {
	switch {
	case (s[0] == '+' || s[0] == '-') && len(s) > 1:
		return d.offset(s)
	case strings.IndexByte(s, ':') > 0:
		return d.clock(s)
	case isDigit(s[0]):
		return d.number(s)
	}
	return d.word(s)
}

// clock reads 12:34, 12:34:56, 12:34:56.789, with a zone behind it.
func (d *dateParts) clock(s string) bool {
	if d.hour >= 0 {
		return false
	}
	if i := strings.IndexAny(s, "+-"); i > 0 {
		if !d.offset(s[i:]) {
			return false
		}
		s = s[:i]
	}
	if last := s[len(s)-1]; last == 'Z' || last == 'z' {
		d.zoned = true
		s = s[:len(s)-1]
	}
	s, fraction, _ := strings.Cut(s, ".")
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return false
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || len(p) > 2 || p[0] == '+' || p[0] == '-' {
			return false
		}
		n[i] = v
	}
	if fraction != "" {
		if strings.Trim(fraction, "0123456789") != "" || len(fraction) > 9 {
			return false
		}
		d.nano, _ = strconv.Atoi(fraction + strings.Repeat("0", 9-len(fraction)))
	}
	d.hour, d.min, d.sec = n[0], n[1], n[2]
	return d.hour <= 23 && d.min <= 59 && d.sec <= 60
}

// offset reads +0100, +01:00, +01 as people write it, +-0100 as broken programs do,
// and +0100CET.
func (d *dateParts) offset(s string) bool {
	if len(s) > 2 && (s[1] == '-' || s[1] == '+') {
		s = s[1:]
	}
	if i := strings.IndexFunc(s, unicode.IsLetter); i > 0 {
		s = s[:i]
	}
	digits := strings.ReplaceAll(s[1:], ":", "")
	if len(digits) == 0 || len(digits) > 4 || strings.Trim(digits, "0123456789") != "" {
		return false
	}
	n, _ := strconv.Atoi(digits)
	if len(digits) <= 2 {
		n *= 100
	}
	if n%100 > 59 || n/100 > 23 {
		return false
	}
	if d.zoned {
		return true // GMT +0200: what was there first counts, as it does for others
	}
	d.zone = n/100*60 + n%100
	if s[0] == '-' {
		d.zone = -d.zone
	}
	d.zoned = true
	return true
}

// number reads a day or a year, or a whole date with separators.
func (d *dateParts) number(s string) bool {
	if i := strings.IndexAny(s, "-/."); i > 0 && i < len(s)-1 {
		return d.joined(s)
	}
	digits := strings.TrimRight(s, ".")
	digits = strings.TrimRight(digits, "stndrh") // 1st, 2nd, 3rd, 4th
	n, err := strconv.Atoi(digits)
	if err != nil || len(digits) > 5 {
		return false
	}
	switch {
	case d.day < 0 && len(digits) <= 2:
		d.day = n
	case d.year < 0:
		d.year = fullYear(n, len(digits))
	case len(s) == 4 && d.hour >= 0 && !d.zoned:
		return d.offset("+" + s) // 0200: the sign was lost
	default:
		return false
	}
	return true
}

// joined reads 2026-11-20, 20-Nov-2026, 20.11.2026. Slashes are read as a month
// first, as those who write them do.
func (d *dateParts) joined(s string) bool {
	p := strings.FieldsFunc(s, func(c rune) bool { return c == '-' || c == '/' || c == '.' })
	if len(p) != 3 || d.day >= 0 || d.month >= 0 {
		return false
	}
	if m := monthOf(p[1]); m >= 0 {
		n, err := strconv.Atoi(p[0])
		y, yerr := strconv.Atoi(p[2])
		d.day, d.month, d.year = n, m, fullYear(y, len(p[2]))
		return err == nil && yerr == nil
	}
	var n [3]int
	for i := range p {
		v, err := strconv.Atoi(p[i])
		if err != nil || len(p[i]) > 4 {
			return false
		}
		n[i] = v
	}
	switch {
	case len(p[0]) == 4:
		d.year, d.month, d.day = n[0], n[1], n[2]
	case strings.Contains(s, "/"):
		d.month, d.day, d.year = n[0], n[1], fullYear(n[2], len(p[2]))
	default:
		d.day, d.month, d.year = n[0], n[1], fullYear(n[2], len(p[2]))
	}
	return true
}

// fullYear: RFC 5322 §4.3.
func fullYear(n, digits int) int {
	switch {
	case digits <= 2 && n < 50:
		return n + 2000
	case digits <= 3:
		return n + 1900
	}
	return n
}

func monthOf(s string) int {
	if len(s) < 3 {
		return -1
	}
	i := strings.Index(months, strings.ToLower(s[:3]))
	if i < 0 || i%3 != 0 {
		return -1
	}
	return i/3 + 1
}

// word reads a month, a weekday, a zone, am or pm.
func (d *dateParts) word(s string) bool {
	s = strings.Trim(s, ".")
	if m := monthOf(s); m >= 0 && d.month < 0 {
		d.month = m
		return true
	}
	upper := strings.ToUpper(s)
	switch upper {
	case "AM":
		d.am = true
		return true
	case "PM":
		d.pm = true
		return true
	case "Z", "":
		d.zoned = true
		return true
	}
	if len(s) >= 3 && strings.Contains("sun mon tue wed thu fri sat", strings.ToLower(s[:3])) {
		return true // the weekday says nothing new, and is often wrong
	}
	name, rest := upper, ""
	if i := strings.IndexAny(upper, "+-"); i > 0 {
		name, rest = upper[:i], upper[i:]
	}
	if minutes, ok := obsoleteZones[name]; ok {
		if rest != "" {
			return d.offset(rest)
		}
		if !d.zoned {
			d.zone, d.zoned = minutes, true
		}
		return true
	}
	if d.hour < 0 || !isAtom(s) {
		return false
	}
	d.named = true // RFC 5322 §4.3: an unknown zone counts as -0000
	return true
}

// time puts the parts together, if they make a date.
func (d *dateParts) time() (time.Time, bool) {
	if d.year < 0 || d.month < 1 || d.month > 12 || d.day < 1 {
		return time.Time{}, false
	}
	d.hour = max(d.hour, 0)
	switch {
	case d.pm && d.hour < 12:
		d.hour += 12
	case d.am && d.hour == 12:
		d.hour = 0
	}
	zone := time.UTC
	if d.zone != 0 {
		zone = time.FixedZone("", d.zone*60)
	}
	t := time.Date(d.year, time.Month(d.month), d.day, d.hour, d.min, d.sec, d.nano, zone)
	if d.sec < 60 && t.Day() != d.day || d.day > 31 {
		return time.Time{}, false // there is no 31 June
	}
	return t, true
}
