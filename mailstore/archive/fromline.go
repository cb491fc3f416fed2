package archive

import (
	"slices"
	"strings"
	"time"
)

// dates are the forms of the date in a From_ line. Between the year and the end may
// be more, see afterDate.
var dates = []string{
	"Mon Jan 2 15:04:05 2006",
	"Mon Jan 2 15:04:05 -0700 2006",
	"Mon Jan 2 15:04:05 MST 2006",
	"Mon Jan 2 15:04 2006",
	"Mon Jan 2 15:04 MST 2006",
	"Mon Jan 2 2006 15:04:05",
	"Mon, 2 Jan 2006 15:04:05",
	"Mon, 2 Jan 2006 15:04",
	"Mon 2 Jan 2006 15:04:05",
	"2 Jan 2006 15:04:05",
	"2006-01-02 15:04:05",
	time.RFC3339,
}

// maxFromLine is the length up to which a line can be a From_ line.
const maxFromLine = 1 << 10

// FromLine reports whether a line is the From_ line that begins a message in an mbox
// file, "From sender Thu Jan  1 00:00:00 1970", and which time it tells. Behind the
// sender, which may be missing, there must be a date in one of the ways programs have
// written it, and behind that at most a time zone and "remote from host". A zone
// counts only if it is a number or GMT: what other names of zones mean nobody can
// know.
func FromLine(line []byte) (time.Time, bool) {
	if len(line) > maxFromLine || !strings.HasPrefix(string(line), "From ") {
		return time.Time{}, false
	}
	f := strings.Fields(string(line))
	for i := 1; i < len(f); i++ {
		// Only a quoted local part has blanks in it.
		if i > 2 && !strings.HasPrefix(f[1], `"`) {
			break
		}
		if t, ok := dateAt(f[i:]); ok {
			return t, true
		}
	}
	return time.Time{}, false
}

// dateAt reads the date that words of a From_ line are.
func dateAt(f []string) (time.Time, bool) {
	for _, d := range dates {
		n := strings.Count(d, " ") + 1
		if n > len(f) {
			continue
		}
		text := strings.Join(f[:n], " ")
		t, err := time.Parse(d, text)
		if err != nil || !afterDate(f[n:]) {
			continue
		}
		if n < len(f) {
			if zoned, err := time.Parse(d+" -0700", text+" "+f[n]); err == nil {
				t = zoned
			}
		}
		return t, true
	}
	return time.Time{}, false
}

// afterDate reports whether words may stand behind the date: time zones as numbers,
// names or comments, and "remote from host".
func afterDate(f []string) bool {
	if i := slices.Index(f, "remote"); i >= 0 && len(f) == i+3 && f[i+1] == "from" {
		f = f[:i]
	}
	return len(f) <= 2 && !slices.ContainsFunc(f, func(w string) bool { return !isZone(w) })
}

func isZone(w string) bool {
	if strings.HasPrefix(w, "(") && strings.HasSuffix(w, ")") {
		return true
	}
	digits := strings.TrimLeft(w, "+-")
	if len(digits) < len(w) {
		return len(digits) == 4 && strings.Trim(digits, "0123456789") == ""
	}
	return len(w) <= 5 && strings.Trim(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
