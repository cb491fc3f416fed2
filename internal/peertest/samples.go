package peertest

import "strings"

// Sample is a message that careless programs change.
type Sample struct {
	Name string
	// Text has CRLF lines and every field that servers would add.
	Text     string
	EightBit bool
}

// StoredBy is the message as a server of that name stores it, with LF lines and
// without its trace fields: unchanged, but for one habit of Exim's, who ends
// every header with an empty line.
func (s Sample) StoredBy(server string) string {
	text := strings.ReplaceAll(s.Text, "\r\n", "\n")
	if server == "Exim" && !strings.Contains(text, "\n\n") {
		text += "\n"
	}
	return text
}

// Samples returns messages with a Subject that is their name.
func Samples() []Sample {
	long := func(n int) string { return strings.Repeat("0123456789", n/10+1)[:n] }
	all := []Sample{
		{Name: "plain", Text: "\r\nHello.\r\n"},
		{Name: "no body", Text: ""},
		{Name: "empty body", Text: "\r\n"},
		{Name: "dots", Text: "\r\n.\r\n..\r\n...\r\n.x\r\n \r\n. \r\n.\r\n"},
		{Name: "blanks at the ends", Text: "X-Folded: a \r\n\t b\t\r\n\r\n  two before, three behind   \r\n\t\r\n\r\n\r\n"},
		{Name: "From at line starts", Text: "\r\nFrom here on\r\n>From there\r\n>>From\r\n"},
		{Name: "998 octets", Text: "\r\n" + long(998) + "\r\n." + long(997) + "\r\n"},
		{Name: "8 bits", Text: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
			"gr\xfc\xdfe \xa0\xff\x80\r\n", EightBit: true},
		{Name: "control octets", Text: "\r\n\x01\x07\x08\t\x0b\x0c\x1b[1m\x7f\r\n"},
		{Name: "many lines", Text: "\r\n" + strings.Repeat("a line like every other, and then a dot\r\n.\r\n", 25_000)},
		{Name: "odd fields", Text: "subject-LIKE:no blank behind\r\nX-Empty:\r\nX-Empty: \r\nX-Many: 1\r\nX-Other: 2\r\nX-Many: 3\r\n\r\nbody\r\n"},
	}
	for i := range all {
		all[i].Text = "Subject: " + all[i].Name + "\r\nFrom: Ann <ann@home.test>\r\nTo: box@peer.test\r\n" +
			"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@home.test>\r\n" + all[i].Text
	}
	return all
}
