package pages

import (
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"strings"
	"time"
)

// funcs are what templates may call.
func funcs() template.FuncMap {
	all := Words()
	maps.Copy(all, template.FuncMap{"asset": asset, "field": field, "zone": zone, "segment": url.PathEscape}) // addresses may hold / ? # and %
	return all
}

// Words are functions for templates that say numbers and times as all pages of this program do: age, until, when, size, count and short.
func Words() template.FuncMap {
	return template.FuncMap{"age": age, "until": until, "when": when, "size": Size, "count": Count, "short": short}
}

// age is how long ago something was, in the one or two units that matter: "3 d 4 h".
func age(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return span(time.Since(t))
}

// until is how far away something is; "now" if it is over.
func until(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	if d := time.Until(t); d > 0 {
		return "in " + span(d)
	}
	return "now"
}

func span(d time.Duration) string {
	d = max(0, d)
	two := func(a int64, first string, b int64, second string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, first)
		}
		return fmt.Sprintf("%d %s %d %s", a, first, b, second)
	}
	switch s := int64(d / time.Second); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 86400:
		return two(s/3600, "h", s%3600/60, "min")
	default:
		return two(s/86400, "d", s%86400/3600, "h")
	}
}

// when is a time as the server's clock has it, with its zone.
func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04:05 MST")
}

// zone is the time zone of the server's clock, now.
func zone() string { return strings.TrimPrefix(time.Now().Local().Format("MST, UTC-07:00"), "UTC, ") }

// Size is a number of octets in the unit that fits.
func Size(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1000, 0
	for f >= 999.5 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f %cB", f, units[i])
	}
	return fmt.Sprintf("%.0f %cB", f, units[i])
}

// Count is a number with its noun: "1 message", "3 messages".
func Count(n any, noun string) string {
	text := fmt.Sprint(n)
	if text == "1" {
		return "1 " + noun
	}
	return text + " " + noun + "s"
}

// short cuts a text to so many characters.
func short(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
