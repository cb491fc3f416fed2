package pop3

import (
	"strings"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// redact strikes the secrets out of a command. What is shown is decided by where a
// word stands, not by what it looks like: a password is often typed in the wrong
// place, or run into the word before it.
func redact(line string) string {
	verb, rest, more := strings.Cut(line, " ")
	if !more {
		return line
	}
	switch verb = strings.ToUpper(verb); verb {
	case "PASS":
		return "PASS ***"
	case "USER":
		return verb + " " + nameOf(rest)
	case "APOP":
		if name, digest, _ := strings.Cut(rest, " "); digest != "" {
			return verb + " " + name + " ***"
		}
		return verb + " ***"
	case "AUTH":
		mechanism, response, more := strings.Cut(rest, " ")
		switch {
		case !isMechanism(mechanism):
			return verb + " ***"
		case more && response != "":
			return verb + " " + mechanism + " ***"
		}
	}
	return line
}

// nameOf is the name in what USER says: its first word. A second one may be the
// password.
func nameOf(said string) string {
	if name, more, _ := strings.Cut(said, " "); more != "" {
		return name + " ***"
	}
	return said
}

// isMechanism reports whether a word is the name of a mechanism, offered or not.
func isMechanism(word string) bool {
	_, err := sasl.Find(sasl.Mechanisms(), word)
	return err == nil
}
