package trace

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Line is one line of the log.
type Line struct {
	Time  time.Time         `json:"time,omitzero"` // zero where neither it nor the journal tells
	Event string            `json:"event"`         // its "msg"
	Facts map[string]string `json:"facts"`         // the rest, by key; "commands.rcpt" within a group

	at   int64  // its place in the log: more for a later one
	text string // as it was written
}

// Parse reads a line of either format, as it stands in a file or as journalctl shows
// it ("-o json" too). now tells the year that the journal leaves out. ok is false for
// lines of others.
func Parse(text string, now time.Time) (l Line, ok bool) {
	text = strings.TrimRight(text, "\r\n")
	prefix, rest := "", text
	if i := strings.IndexByte(text, '{'); i >= 0 && !strings.Contains(text[:i], "level=") {
		prefix, rest = text[:i], text[i:]
		l, ok = parseJSON(rest, now)
	} else if i := begin(text); i >= 0 {
		prefix, rest = text[:i], text[i:]
		l, ok = parseText(rest)
	}
	if ok && l.Time.IsZero() {
		l.Time = journalTime(prefix, now)
	}
	l.text = text
	return l, ok && l.Event != ""
}

// begin is where a line of text begins, behind what the journal has put there: at the first of the keys that
// one begins with, since what follows may be a stranger's words.
func begin(text string) int {
	first := -1
	for _, key := range []string{"time=", "level="} {
		i := strings.Index(text, key)
		if (i == 0 || i > 0 && strings.ContainsRune(" >", rune(text[i-1]))) && (first < 0 || i < first) {
			first = i
		}
	}
	return first
}

// parseText reads key=value pairs, where a value may be quoted.
func parseText(text string) (l Line, ok bool) {
	l.Facts = make(map[string]string)
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		key, rest, found := strings.Cut(text, "=")
		if !found {
			return l, false
		}
		if strings.HasPrefix(key, `"`) { // a key with odd characters
			quoted, err := strconv.QuotedPrefix(text)
			if err != nil || !strings.HasPrefix(text[len(quoted):], "=") {
				return l, false
			}
			key, _ = strconv.Unquote(quoted)
			rest = text[len(quoted)+1:]
		}
		value := rest
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return l, false
			}
			value, _ = strconv.Unquote(quoted)
			text = rest[len(quoted):]
		} else {
			value, text, _ = strings.Cut(rest, " ")
		}
		l.add(key, value)
	}
	return l, true
}

// parseJSON reads an object, or the one within what "journalctl -o json" prints.
func parseJSON(text string, now time.Time) (l Line, ok bool) {
	var all map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&all) != nil {
		return l, false
	}
	if message, wrapped := all["MESSAGE"].(string); wrapped {
		if l, ok = Parse(message, now); ok && l.Time.IsZero() {
			micros, _ := strconv.ParseInt(fmt.Sprint(all["__REALTIME_TIMESTAMP"]), 10, 64)
			l.Time = time.UnixMicro(micros)
		}
		return l, ok
	}
	l.Facts = make(map[string]string)
	l.addAll("", all)
	return l, true
}

func (l *Line) addAll(prefix string, all map[string]any) {
	for key, value := range all {
		if group, ok := value.(map[string]any); ok {
			l.addAll(prefix+key+".", group)
			continue
		}
		l.add(prefix+key, fmt.Sprint(value))
	}
}

func (l *Line) add(key, value string) {
	switch key {
	case "time":
		l.Time, _ = time.Parse(time.RFC3339Nano, value)
	case "msg":
		l.Event = value
	default:
		l.Facts[key] = value
	}
}

// journalTime is the time that journalctl has put before a line, in the short formats
// and the ISO ones.
func journalTime(prefix string, now time.Time) time.Time {
	first, _, _ := strings.Cut(prefix, " ")
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05-0700", "2006-01-02T15:04:05.999999-0700"} {
		if t, err := time.Parse(layout, first); err == nil {
			return t
		}
	}
	if len(prefix) < len(time.Stamp) {
		return time.Time{}
	}
	t, err := time.ParseInLocation(time.Stamp, prefix[:len(time.Stamp)], now.Location())
	if err != nil {
		return time.Time{}
	}
	t = t.AddDate(now.Year()-t.Year(), 0, 0)
	if t.After(now.Add(24 * time.Hour)) {
		t = t.AddDate(-1, 0, 0)
	}
	return t
}
