package web

import (
	"log/slog"
	"slices"

	"github.com/postrider-mail/postrider/smtp"
)

// reasons are all that a refusal can be for.
func reasons() []string {
	return []string{"connections", "no_user", "sender", "address", "disabled", "quota", "space", "local", "stopping", "size", "loop", "timeout",
		"limit", "protocol", "content", "relay", "auth", "dmarc", "list", "hello", "greylist", "policy"}
}

// reason is what a refusal is for, by its enhanced status code (RFC 3463), which says so for
// machines. Of two that have one code the command decides.
func reason(f *smtp.Refusal) string {
	e := f.Reply.Enhanced
	switch {
	case f.Command == "CONNECT":
		return "connections"
	case len(e) < 5:
		return other
	}
	detail := e[2:]
	switch detail {
	case "1.1", "1.2", "1.6":
		return "no_user"
	case "1.7", "1.8":
		return "sender"
	case "2.0", "2.1":
		return "disabled"
	case "2.2", "2.3":
		return "quota"
	case "3.0":
		return "local"
	case "3.1":
		return "space"
	case "3.2":
		return "stopping"
	case "3.4":
		return "size"
	case "4.2":
		return "timeout"
	case "4.6":
		return "loop"
	case "5.3":
		return "limit"
	case "7.0":
		return seventh(f)
	case "7.1":
		switch {
		case noted(f, "greylist"):
			return "greylist"
		case noted(f, "list"):
			return "list"
		case noted(f, "hello"):
			return "hello"
		case f.Command == "RCPT":
			return "relay"
		}
	case "7.8", "7.11":
		return "auth"
	case "7.26":
		return "dmarc"
	}
	return map[byte]string{'1': "address", '3': "local", '5': "protocol", '6': "content", '7': "policy"}[detail[0]]
}

// noted reports whether a refusal knows such a fact.
func noted(f *smtp.Refusal, fact string) bool {
	return slices.ContainsFunc(f.Reply.Facts(), func(a slog.Attr) bool { return a.Key == fact })
}

// seventh tells apart what x.7.0 says: who has not logged in, or does too much.
func seventh(f *smtp.Refusal) string {
	if f.Reply.Temporary() {
		return "limit"
	}
	return "auth"
}
