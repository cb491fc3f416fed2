package archive

import (
	"bytes"
	"strconv"
	"strings"
)

// What programs that keep mail in mbox files write into the header of a message: its
// state (Status, X-Status; Mozilla's in hexadecimal), the unique id POP3 servers gave
// it (X-UIDL), and the two numbers an IMAP server makes one of: the message's (X-UID),
// and in the first message that of the file (X-IMAPbase, X-IMAP).

// look takes from the header of a message what is known about it. The fields stay in
// the message. They are looked for in as much of it as the reader can hold.
func (m *mbox) look(msg *Message) {
	var uid uint64
	var xuidl string
	for name, value := range fields(m.peekHeader()) {
		switch strings.ToLower(name) {
		case "status", "x-status":
			msg.Flags += statusFlags(value)
		case "x-mozilla-status":
			msg.Flags += mozillaFlags(value)
		case "x-uidl":
			xuidl = value
		case "x-uid":
			uid, _ = strconv.ParseUint(value, 10, 32)
		case "x-imapbase", "x-imap":
			if f := strings.Fields(value); m.n == 1 && len(f) > 0 {
				m.epoch, _ = strconv.ParseUint(f[0], 10, 32)
			}
		}
	}
	msg.UID = m.uidl.choose(xuidl, origin{uid: uid, validity: m.epoch})
}

// peekHeader returns the header section of the message that comes, or what of it
// goes into the buffer.
func (m *mbox) peekHeader() []byte {
	for n := 4 << 10; ; n *= 4 {
		p, err := m.r.Peek(min(n, maxLine))
		for _, end := range []string{"\n\n", "\n\r\n"} {
			if i := bytes.Index(p, []byte(end)); i >= 0 {
				return p[:i+1]
			}
		}
		if err != nil || n >= maxLine {
			return p
		}
	}
}

// fields yields names and values of the fields of a header that take one line.
func fields(header []byte) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		for line := range bytes.Lines(header) {
			if _, next := FromLine(line); next || isBlank(line) {
				return
			}
			name, value, ok := bytes.Cut(line, []byte{':'})
			if ok && !yield(string(bytes.TrimRight(name, " \t")), string(bytes.TrimSpace(value))) {
				return
			}
		}
	}
}

// statusFlags are the Maildir info letters for those of Status and X-Status.
func statusFlags(value string) string {
	var flags strings.Builder
	for _, c := range value {
		switch c {
		case 'R':
			flags.WriteByte('S')
		case 'A':
			flags.WriteByte('R')
		case 'F':
			flags.WriteByte('F')
		case 'D':
			flags.WriteByte('T')
		case 'T':
			flags.WriteByte('D')
		}
	}
	return flags.String()
}

// mozillaFlags are the Maildir info letters for the bits of X-Mozilla-Status.
func mozillaFlags(value string) string {
	bits, err := strconv.ParseUint(value, 16, 16)
	if err != nil {
		return ""
	}
	flags := ""
	for _, f := range []struct {
		bit  uint64
		flag string
	}{{0x0001, "S"}, {0x0002, "R"}, {0x0004, "F"}, {0x0008, "T"}, {0x1000, "P"}} {
		if bits&f.bit != 0 {
			flags += f.flag
		}
	}
	return flags
}
