package rfc2822

import (
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/transform"
)

// charsetAliases are names seen in mail that neither the WHATWG's list nor
// IANA's knows, or knows for a smaller set than is used under that name.
var charsetAliases = map[string]string{
	"gb2312":         "gb18030", // what is called so is mostly its superset
	"gb_2312":        "gb18030",
	"gbk":            "gb18030",
	"cp936":          "gb18030",
	"cp932":          "shift_jis",
	"cp949":          "euc-kr",
	"ks_c_5601":      "euc-kr",
	"cp950":          "big5",
	"latin-1":        "windows-1252",
	"iso8859_1":      "windows-1252",
	"8859_1":         "windows-1252",
	"x-utf_8j":       "utf-8",
	"utf_8":          "utf-8",
	"x-utf-8":        "utf-8",
	"unicode-1-1":    "utf-16be",
	"ansi_x3.4-1968": "windows-1252",
	"us-ascii":       "windows-1252",
	"ascii":          "windows-1252",
	"us_ascii":       "windows-1252",
	"default":        "windows-1252",
	"unknown-8bit":   "windows-1252",
	"x-unknown":      "windows-1252",
	"":               "windows-1252",
}

// charsetOf finds the encoding a charset parameter names. utf8 says that it is UTF-8
// itself; nil and false that nobody knows it.
func charsetOf(name string) (enc encoding.Encoding, utf8 bool) {
	name = strings.ToLower(strings.Trim(name, " \t\"'"))
	if name == "utf-8" || name == "utf8" {
		return nil, true
	}
	if alias, ok := charsetAliases[name]; ok {
		if alias == "utf-8" {
			return nil, true
		}
		name = alias
	}
	if name == "utf-7" || name == "unicode-1-1-utf-7" {
		return utf7{}, false
	}
	for _, try := range []string{name, strings.Replace(name, "cp", "windows-", 1), strings.Replace(name, "_", "-", 1), strings.TrimPrefix(name, "x-")} {
		if enc, err := htmlindex.Get(try); err == nil && enc != encoding.Replacement {
			return enc, false
		}
		if enc, err := ianaindex.MIME.Encoding(try); err == nil && enc != nil && enc != encoding.Replacement {
			return enc, false
		}
	}
	return nil, false
}

// knownCharset reports whether text in this charset can be turned into UTF-8.
func knownCharset(name string) bool {
	enc, isUTF8 := charsetOf(name)
	return enc != nil || isUTF8
}

// decodeCharset turns octets of a charset into UTF-8. It reports false for an
// unknown charset. Octets the charset does not have become U+FFFD.
func decodeCharset(name, s string) (string, bool) {
	enc, isUTF8 := charsetOf(name)
	switch {
	case isUTF8:
		return strings.ToValidUTF8(s, "\ufffd"), true
	case enc == nil:
		return s, false
	case isASCIIName(name) && utf8.ValidString(s):
		return s, true // mislabelled UTF-8 is commoner than any other 8-bit text so labelled
	case isASCII(s) && asciiSuperset(name):
		return s, true
	}
	out, err := enc.NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\ufffd"), true
	}
	return out, true
}

// isASCIIName: text that calls itself ASCII has no octets above 127 by right.
func isASCIIName(charset string) bool {
	switch strings.ToLower(strings.Trim(charset, " \t\"'")) {
	case "us-ascii", "ascii", "ansi_x3.4-1968", "us_ascii":
		return true
	}
	return false
}

// asciiSuperset: text of this charset that has only ASCII octets is ASCII.
func asciiSuperset(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "iso-8859-") || strings.HasPrefix(name, "windows-") || strings.HasPrefix(name, "us-ascii")
}

// guessText turns raw octets above 127 into something readable: UTF-8 if it
// is, else Windows-1252, which is what unlabelled 8-bit text mostly was.
func guessText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	out, _ := decodeCharset("windows-1252", s)
	return out
}

// charsetReader turns a stream in a charset into UTF-8; false for an unknown charset.
func charsetReader(name string, r io.Reader) (io.Reader, bool) {
	enc, isUTF8 := charsetOf(name)
	switch {
	case isUTF8:
		return &utf8Reader{src: r}, true
	case enc == nil:
		return r, false
	}
	if cm, ok := enc.(*charmap.Charmap); ok {
		return &charmapReader{src: r, cm: cm}, true
	}
	return transform.NewReader(r, enc.NewDecoder()), true
}
