package rfc2822

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ReturnPath makes the field of final delivery (RFC 5321 §4.4): the envelope
// sender, without brackets, "" for the null sender. It is ErrBadValue for what
// cannot stand between angle brackets.
func ReturnPath(sender string) (Field, error) {
	if sender != "" && safePath(sender) == "" {
		return Field{}, fmt.Errorf("%w: Return-Path", ErrBadValue)
	}
	return parseField("Return-Path: <" + sender + ">\r\n"), nil
}

// FormatDate writes a date as RFC 5322 §3.3 wants it, in t's own zone.
func FormatDate(t time.Time) string { return t.Format("Mon, 02 Jan 2006 15:04:05 -0700") }

// DateField makes the Date field of a new message.
func DateField(t time.Time) Field { return parseField("Date: " + FormatDate(t) + "\r\n") }

// NewMessageID makes a message id, with its brackets, that no other message
// has: the time, 80 random bits, and the host's name.
func NewMessageID(host string, now time.Time) string {
	if safeDomain(host) == "" {
		host = "localhost"
	}
	var random [10]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand
	r := strings.ToLower(base32.StdEncoding.EncodeToString(random[:]))
	return "<" + strconv.FormatInt(now.UnixMicro(), 36) + "." + r + "@" + host + ">"
}

// MessageIDField makes the Message-ID field of a new message.
func MessageIDField(host string, now time.Time) Field {
	return parseField("Message-ID: " + NewMessageID(host, now) + "\r\n")
}
