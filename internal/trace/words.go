package trace

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Write tells the way of a message in words, a line for each step.
func (w *Way) Write(out io.Writer) {
	fmt.Fprintln(out, w.Title())
	if w.Earlier {
		fmt.Fprintln(out, "  ...                  there may be lines before these")
	}
	for _, l := range w.Lines {
		at := "                   "
		if !l.Time.IsZero() {
			at = l.Time.Local().Format(time.DateTime)
		}
		fmt.Fprintf(out, "  %s  %s\n", at, l.Words())
	}
}

// Title is who sent what from where, as far as any line tells.
func (w *Way) Title() string {
	get := func(keys ...string) string {
		for _, l := range w.Lines {
			for _, key := range keys {
				if v := l.Facts[key]; v != "" {
					return v
				}
			}
		}
		return ""
	}
	title := "Session " + w.Session
	if w.ID != "" {
		title = fmt.Sprintf("Message %s from <%s>", w.ID, get("from"))
	}
	for _, part := range []struct{ before, value string }{
		{", Message-ID ", get("message_id")}, {", user ", get("user")}, {", from ", get("remote")}, {" by ", get("service")}, {" as ", get("helo")},
	} {
		if part.value != "" {
			title += part.before + part.value
		}
	}
	return title
}

// marked tells why a copy carries the fields by which mail programs know junk.
func (l Line) marked() string {
	if why := l.Facts["marked"]; why != "" {
		return ", marked as junk: " + why
	}
	return ""
}

// Raw is a line as it was written, without what the journal puts before it, and without the time and the level of text.
func (l Line) Raw() string {
	object := strings.IndexByte(l.text, '{')
	if at := strings.Index(l.text, "level="); at >= 0 && (object < 0 || at < object) {
		_, rest, _ := strings.Cut(l.text[at:], " ")
		return rest
	}
	return l.text[max(0, object):]
}

// byRule names the rule that decided, and its note.
func (l Line) byRule() (words string) {
	if rule := l.Facts["rule"]; rule != "" {
		words = ", by the rule at " + rule
	}
	if note := l.Facts["note"]; note != "" {
		words += " (" + note + ")"
	}
	return words
}

// Words tell a line in a sentence.
func (l Line) Words() string {
	f := l.Facts
	switch l.Event {
	case "delivered":
		return fmt.Sprintf("<%s> was delivered to the mailbox %s (%s octets)", f["to"], f["mailbox"], f["octets"]) + l.marked() + l.byRule()
	case "queued":
		return fmt.Sprintf("<%s> was queued for <%s> as %s (%s octets)", f["to"], f["next"], f["queue"], f["octets"]) + l.marked() + l.byRule()
	case "message accepted":
		return fmt.Sprintf("accepted for %s recipients: %s mailboxes have it, %s addresses elsewhere will, %s mailboxes were full",
			f["recipients"], f["mailboxes"], f["elsewhere"], f["full"])
	case "refused":
		return l.refused() + l.byRule()
	case "put aside":
		return fmt.Sprintf("<%s> did not get it: it was put into the mailbox %s (%s octets)", f["to"], f["mailbox"], f["octets"]) + l.byRule()
	case "discarded":
		return fmt.Sprintf("<%s> did not get it: it was thrown away (%s octets)", f["to"], f["octets"]) + l.byRule()
	case "attempt":
		return l.attempt()
	case "recipient bounced":
		return fmt.Sprintf("<%s> did not get it, and the sender was told: %s", f["to"], f["err"])
	case "notification":
		return fmt.Sprintf("<%s> was sent a notification (%s)", f["to"], f["kind"])
	case "login failed":
		return fmt.Sprintf("a login as %s failed", f["user"])
	case "smtp session":
		words := fmt.Sprintf("the session ended after %s: %s accepted, %s refused", short(f["took"]), or(f["accepted"], "0"), or(f["refused"], "0"))
		if f["ended"] != "" {
			words += "; " + f["ended"]
		}
		return words
	case "pop3 session":
		return fmt.Sprintf("the session ended after %s: %s messages, %s fetched, %s removed; %s", short(f["took"]),
			or(f["messages"], "0"), or(f["retrieved"], "0"), or(f["deleted"], "0"), f["end"])
	}
	words := l.Event
	for _, key := range slices.Sorted(maps.Keys(f)) {
		switch key {
		case "level", "session", "id", "service", "remote":
			continue
		}
		words += " " + key + "=" + f[key]
	}
	return words
}

func (l Line) refused() string {
	f := l.Facts
	words := f["command"]
	switch {
	case words == "MAIL":
		words += " from <" + f["from"] + ">"
	case f["to"] != "":
		words += " for <" + f["to"] + ">"
	case f["user"] != "":
		words += " of " + f["user"]
	}
	words += " was refused: " + f["reply"]
	if f["err"] != "" && f["err"] != f["reply"] {
		words += " (" + f["err"] + ")"
	}
	return words
}

func (l Line) attempt() string {
	f := l.Facts
	words := fmt.Sprintf("attempt %s for <%s>: %s", f["attempt"], f["to"], f["status"])
	if f["host"] != "" {
		words += ", " + f["host"]
		if f["tls"] != "" {
			words += " (" + f["tls"] + ")"
		}
		words += " said"
	}
	var said []string
	for _, key := range []string{"code", "enhanced", "text"} {
		if f[key] != "" && f[key] != "0" {
			said = append(said, f[key])
		}
	}
	return strings.TrimSpace(words + " " + strings.Join(said, " "))
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// short is a length of time to the millisecond: nobody asks for more.
func short(took string) string {
	d, err := time.ParseDuration(took)
	if err != nil {
		return took
	}
	return d.Round(time.Millisecond).String()
}
