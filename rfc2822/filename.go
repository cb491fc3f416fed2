package rfc2822

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the length of a safe name in octets; file systems allow 255.
const maxName = 200

// safeName makes a file name out of what a stranger calls an attachment: only
// the last element of a path, no control or direction-changing characters,
// nothing that Windows or a shell takes for more than a name, no leading dot,
// at most 200 octets with the extension kept. It is never empty.
func safeName(name string) string {
	name = printable(name)
	name = strings.ReplaceAll(name, `\`, "/")
	name = path.Base(path.Clean("/" + name))
	name = strings.Map(func(c rune) rune {
		switch {
		case c == '/' || strings.ContainsRune(`<>:"|?*`, c):
			return '_'
		case unicode.Is(unicode.Cf, c) || unicode.IsControl(c):
			return -1 // hidden characters, and those that show exe.txt as txt.exe
		}
		return c
	}, name)
	name = strings.TrimLeft(strings.Trim(name, " \t"), ".- ")
	name = strings.TrimRight(name, ". ")
	if name == "" || name == "_" {
		return "unnamed"
	}
	if base, _, _ := strings.Cut(name, "."); isDevice(base) {
		name = "_" + name
	}
	return shorten(name)
}

// isDevice: names Windows does not give to files.
func isDevice(s string) bool {
	s = strings.ToUpper(strings.TrimRight(s, " ")) // which Windows does not see
	switch s {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(s) == 4 && (s[:3] == "COM" || s[:3] == "LPT") && s[3] >= '0' && s[3] <= '9'
}

func shorten(name string) string {
	if len(name) <= maxName {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > 20 {
		ext = ""
	}
	base := name[:maxName-len(ext)]
	for !utf8.ValidString(base) {
		base = base[:len(base)-1]
	}
	return base + ext
}
