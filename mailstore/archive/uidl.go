package archive

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// UIDL says how a POP3 server made unique ids of what it keeps beside the messages, so
// that an import can give them the ids their clients know. It is a format in the
// notation of Dovecot's pop3_uidl_format: %u is the message's number, %v the
// UIDVALIDITY, %f the file name and %g the GUID; between the percent sign and
// the letter may be a width, with a 0 before it to fill with zeros, and X for
// hexadecimal, L or U for lower or upper case, M for the MD5 sum.
//
// The zero UIDL goes by what is found: an id that stands there as such, else
// UIDLDovecot. See ParseUIDL for names.
type UIDL string

// Formats of well-known servers.
const (
	UIDLDovecot UIDL = "%08Xu%08Xv" // Dovecot's default
	UIDLUW      UIDL = "%08Xv%08Xu" // UW's ipop3d
	UIDLCyrus   UIDL = "%v.%u"
	UIDLCourier UIDL = "UID%u-%v"
	// UIDLNone leaves out of account what is kept beside the messages: the id is that
	// of the file name, or computed.
	UIDLNone UIDL = "none"
)

// UIDLNames are what ParseUIDL knows besides formats.
var uidlNames = map[string]UIDL{
	"": "", "auto": "", "dovecot": UIDLDovecot, "uw": UIDLUW, "cyrus": UIDLCyrus, "courier": UIDLCourier, "none": UIDLNone,
}

// ParseUIDL reads a format, or the name of one: auto (the zero UIDL), dovecot, uw, cyrus,
// courier, none.
func ParseUIDL(s string) (UIDL, error) {
	if f, ok := uidlNames[s]; ok {
		return f, nil
	}
	f := UIDL(s)
	if _, err := f.expand(origin{}); err != nil {
		return "", err
	}
	if !strings.Contains(s, "%") {
		return "", fmt.Errorf("archive: %q is no format of unique ids; there are auto, dovecot, uw, cyrus, courier and none, or a format as %s", s, UIDLDovecot)
	}
	return f, nil
}

// origin is what a server keeps about a message.
type origin struct {
	uid, validity uint64
	name, guid    string
}

// choose is the unique id of a message: one that stands somewhere as such, or one
// made of its origin; "" if there is none.
func (f UIDL) choose(written string, o origin) string {
	if f == UIDLNone {
		return ""
	}
	if !isUID(written) {
		written = ""
	}
	if f == "" && written != "" || o.uid == 0 || o.validity == 0 {
		return written
	}
	if f == "" {
		f = UIDLDovecot
	}
	id, err := f.expand(o)
	if err != nil || !isUID(id) {
		return written
	}
	return id
}

// isUID is RFC 1939 §7's rule for a unique id.
func isUID(s string) bool {
	return s != "" && len(s) <= 70 && strings.IndexFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e }) < 0
}

// expand makes an id in the format.
func (f UIDL) expand(o origin) (string, error) {
	var b strings.Builder
	for s := string(f); s != ""; {
		if s[0] != '%' {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		i := strings.IndexAny(s[1:], "uvfg%") + 1
		if i == 0 {
			return "", fmt.Errorf("archive: %q: %q has none of the letters u, v, f, g", string(f), s)
		}
		text, err := variable(s[i], s[1:i], o)
		if err != nil {
			return "", fmt.Errorf("archive: %q: %w", string(f), err)
		}
		b.WriteString(text)
		s = s[i+1:]
	}
	return b.String(), nil
}

// variable is one of the variables of a format, changed as how says.
func variable(letter byte, how string, o origin) (string, error) {
	text := map[byte]string{
		'u': strconv.FormatUint(o.uid, 10), 'v': strconv.FormatUint(o.validity, 10), 'f': o.name, 'g': o.guid, '%': "%",
	}[letter]
	digits := strings.TrimRight(how, "XLUM")
	width, err := strconv.ParseUint("0"+digits, 10, 6)
	if err != nil {
		return "", fmt.Errorf("%%%s%c is not known", how, letter)
	}
	for _, c := range how[len(digits):] {
		switch c {
		case 'X':
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return "", fmt.Errorf("%%%s%c: only a number has hexadecimal digits", how, letter)
			}
			text = strconv.FormatUint(n, 16)
		case 'L':
			text = strings.ToLower(text)
		case 'U':
			text = strings.ToUpper(text)
		case 'M':
			sum := md5.Sum([]byte(text))
			text = hex.EncodeToString(sum[:])
		}
	}
	switch {
	case width == 0:
	case len(text) > int(width):
		text = text[:width]
	case strings.HasPrefix(digits, "0"):
		text = strings.Repeat("0", int(width)-len(text)) + text
	}
	return text, nil
}
