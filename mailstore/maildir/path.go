package maildir

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/mailstore"
)

// A path component holds a-z, 0-9 and -_+=. as they are and every other octet
// as %xx in lower-case hexadecimal; a dot in front or at the end is written %2e.
// So no component is "." or "..", hides itself, holds a separator or depends on
// the file system's idea of case or Unicode.
//
// Case: ASCII letters are folded to lower case in both parts. Domains have no
// case (RFC 5321 §2.3.5); local parts have one by the letter of §2.4, but a
// system on which Bob and bob are two people loses mail. Other letters are kept
// octet by octet: whoever wants them folded or normalised does that before.

// maxComponent is the longest file name common file systems take.
const maxComponent = 255

const hexDigits = "0123456789abcdef"

// boxPath turns a mailbox name into its path below the root.
func boxPath(user string) (string, error) {
	at := strings.LastIndexByte(user, '@')
	if at <= 0 || at == len(user)-1 {
		return "", fmt.Errorf("%w: %q is not local@domain", mailstore.ErrBadName, user)
	}
	local, err := encodePart(user[:at])
	if err != nil {
		return "", err
	}
	domain, err := encodePart(user[at+1:])
	if err != nil {
		return "", err
	}
	return filepath.Join(domain, local), nil
}

// boxUser is boxPath's inverse. It is false for a path boxPath does not make,
// so that no mailbox has two names.
func boxUser(domain, local string) (string, bool) {
	d, ok := decodePart(domain)
	if !ok {
		return "", false
	}
	l, ok := decodePart(local)
	if !ok {
		return "", false
	}
	user := l + "@" + d
	back, err := boxPath(user)
	return user, err == nil && back == filepath.Join(domain, local)
}

func encodePart(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: %q is not UTF-8", mailstore.ErrBadName, s)
	}
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		switch {
		case c < 0x20 || c == 0x7f:
			return "", fmt.Errorf("%w: %q holds a control character", mailstore.ErrBadName, s)
		case plain(c) && !(c == '.' && (i == 0 || i == len(s)-1)):
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	name := b.String()
	if !filepath.IsLocal(name) { // "aux" and "nul" are devices on Windows, in every folder
		name = fmt.Sprintf("%%%02x%s", name[0], name[1:])
	}
	if len(name) > maxComponent {
		return "", fmt.Errorf("%w: %.40q... is too long", mailstore.ErrBadName, s)
	}
	return name, nil
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-_+=.", c) >= 0
}

func decodePart(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), b.Len() > 0
}
