package config

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Size is a number of octets. In a configuration it is a number with a unit
// ("50MiB", "64 kB") or a bare number of octets.
type Size int64

// The binary units.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// sizeUnits holds the units by their lower-case names. A unit without "i" is
// decimal, as ISO 80000-1 has it; nobody is surprised by a limit that is a
// little lower than they thought.
var sizeUnits = []struct {
	name   string
	factor int64
}{
	{"tib", 1 << 40}, {"gib", 1 << 30}, {"mib", 1 << 20}, {"kib", 1 << 10},
	{"tb", 1e12}, {"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3}, {"b", 1}, {"", 1},
}

// ParseSize reads "50MB", "64KiB", "1.5 GiB" or "1000". Units are B, kB, MB,
// GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (powers of 1024), in any case.
func ParseSize(s string) (Size, error) {
	number, unit := splitUnit(s)
	for _, u := range sizeUnits {
		if !strings.EqualFold(unit, u.name) {
			continue
		}
		n, ok := scale(number, u.factor)
		if !ok {
			break
		}
		return Size(n), nil
	}
	return 0, fmt.Errorf("%q is not a size; write one like \"50MB\" or \"64KiB\"", s)
}

// UnmarshalText reads what ParseSize reads.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}

// MarshalText writes the size so that ParseSize gives it back exactly.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String writes the size with the largest unit that keeps it a whole number.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range []struct {
		name   string
		factor Size
	}{{"TiB", TiB}, {"TB", 1e12}, {"GiB", GiB}, {"GB", 1e9}, {"MiB", MiB}, {"MB", 1e6}, {"KiB", KiB}, {"kB", 1e3}} {
		if s%u.factor == 0 {
			return strconv.FormatInt(int64(s/u.factor), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

var durationUnits = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond,
	"s": time.Second, "m": time.Minute, "h": time.Hour,
	"d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// ParseDuration reads what time.ParseDuration reads, and days and weeks:
// "5d", "1w", "1d12h". A day is 24 hours. Durations are never negative.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration; write one like \"30s\", \"5m\", \"2h\" or \"5d\"", s)
	rest, total := strings.TrimSpace(s), time.Duration(0)
	if rest == "0" {
		return 0, nil
	}
	if rest == "" {
		return 0, bad
	}
	for rest != "" {
		n := 0
		for n < len(rest) && (rest[n] >= '0' && rest[n] <= '9' || rest[n] == '.') {
			n++
		}
		number := rest[:n]
		rest = strings.TrimLeft(rest[n:], " ")
		n = 0
		for n < len(rest) && !(rest[n] >= '0' && rest[n] <= '9' || rest[n] == '.' || rest[n] == ' ') {
			n++
		}
		unit, ok := durationUnits[rest[:n]]
		if !ok {
			return 0, bad
		}
		rest = strings.TrimLeft(rest[n:], " ")
		d, ok := scale(number, int64(unit))
		if !ok || total > math.MaxInt64-time.Duration(d) {
			return 0, bad
		}
		total += time.Duration(d)
	}
	return total, nil
}

// FormatDuration writes d so that ParseDuration gives it back, as a person
// would write it: "5d", "1h30m".
func FormatDuration(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	var b strings.Builder
	for _, u := range []struct {
		name string
		d    time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second},
		{"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", 1}} {
		if n := d / u.d; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.d
		}
	}
	return b.String()
}

// splitUnit parts "1.5 GiB" into "1.5" and "GiB".
func splitUnit(s string) (number, unit string) {
	s = strings.TrimSpace(s)
	n := 0
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == '.') {
		n++
	}
	return s[:n], strings.TrimSpace(s[n:])
}

// scale multiplies a decimal number exactly. It refuses what is no number,
// does not fit, or does not come out whole.
func scale(number string, factor int64) (int64, bool) {
	const longest = 40 // digits; more is an attack on big.Rat, not a setting
	if number == "" || len(number) > longest {
		return 0, false
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, false
	}
	r.Mul(r, new(big.Rat).SetInt64(factor))
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, false
	}
	return r.Num().Int64(), true
}
