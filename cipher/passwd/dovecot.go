package passwd

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// parseDovecot reads "{SCHEME}…" and "{SCHEME.encoding}…" as Dovecot's
// passdbs hold them.
func parseDovecot(stored string, allowPlain bool) (*form, error) {
	name, data, ok := strings.Cut(stored[1:], "}")
	if !ok || data == "" {
		return nil, ErrClear
	}
	scheme, encoding, _ := strings.Cut(strings.ToUpper(name), ".")
	switch scheme {
	case "SSHA", "SSHA256", "SSHA512", "CRAM-MD5", "PLAIN", "CLEARTEXT":
		raw, err := decodeDovecot(scheme, encoding, data)
		if err != nil {
			return nil, err
		}
		return parseBytes(scheme, raw, allowPlain)
	}
	if encoding != "" {
		return nil, fmt.Errorf("%w: {%s} takes no encoding", ErrForm, scheme)
	}
	switch scheme {
	case "ARGON2ID", "ARGON2I":
		return parseOnly(data, "$"+strings.ToLower(scheme)+"$")
	case "BLF-CRYPT":
		return parseOnly(data, "$2")
	case "SHA256-CRYPT":
		return parseOnly(data, "$5$")
	case "SHA512-CRYPT":
		return parseOnly(data, "$6$")
	case "CRYPT":
		return parseOnly(data, "$2", "$5$", "$6$")
	case "PBKDF2":
		return parseDovecotPBKDF2(data)
	case "SCRAM-SHA-1", "SCRAM-SHA-256":
		return parseScram(stored)
	case "SHA", "SHA1", "SHA256", "SHA512", "MD5", "MD5-CRYPT", "PLAIN-MD5", "LDAP-MD5", "SMD5",
		"DIGEST-MD5", "NTLM", "LANMAN", "LM", "DES-CRYPT", "RPA", "OTP", "PLAIN-TRUNC":
		return nil, fmt.Errorf("%w: {%s} is too weak; use argon2id", ErrRefused, scheme)
	}
	return nil, fmt.Errorf("%w: {…} with a scheme that is not known", ErrForm)
}

// parseOnly reads data as a modular string if it starts with one of the
// prefixes. That keeps {CRYPT} from old DES hashes, and a scheme from the
// string of another.
func parseOnly(data string, prefixes ...string) (*form, error) {
	for _, p := range prefixes {
		if strings.HasPrefix(data, p) {
			return parseModular(data)
		}
	}
	if strings.HasPrefix(data, "$1$") || !strings.HasPrefix(data, "$") {
		return nil, fmt.Errorf("%w: DES and MD5 hashes are too weak; use argon2id", ErrRefused)
	}
	return nil, fmt.Errorf("%w: the string is not of the scheme in its braces", ErrForm)
}

// decodeDovecot turns data into bytes. Without an encoding it is hex for
// CRAM-MD5, the text itself for PLAIN, and base64 otherwise.
func decodeDovecot(scheme, encoding, data string) ([]byte, error) {
	if encoding == "" {
		switch scheme {
		case "CRAM-MD5":
			encoding = "HEX"
		case "PLAIN", "CLEARTEXT":
			return []byte(data), nil
		default:
			encoding = "B64"
		}
	}
	var raw []byte
	var err error
	switch encoding {
	case "HEX":
		raw, err = hex.DecodeString(data)
	case "B64", "BASE64":
		raw, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(data, "="))
	default:
		return nil, fmt.Errorf("%w: {%s} with an encoding that is neither B64 nor HEX", ErrForm, scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: {%s} with damaged %s", ErrForm, scheme, strings.ToLower(encoding))
	}
	return raw, nil
}

// parseBytes makes the form of a scheme that is bytes rather than text.
func parseBytes(scheme string, raw []byte, allowPlain bool) (*form, error) {
	switch scheme {
	case "SSHA":
		return parseSalted(sha1.New, raw)
	case "SSHA256":
		return parseSalted(sha256.New, raw)
	case "SSHA512":
		return parseSalted(sha512.New, raw)
	case "CRAM-MD5":
		if len(raw) != sasl.CRAMSize {
			return nil, fmt.Errorf("%w: {CRAM-MD5} without its 32 bytes", ErrForm)
		}
		check := func(password []byte) bool {
			return subtle.ConstantTimeCompare(sasl.MakeCRAM(password), raw) == 1
		}
		return &form{check: check, cheap: true, lasting: true}, nil
	}
	if !allowPlain {
		return nil, fmt.Errorf("%w: {%s} keeps the password in clear", ErrRefused, scheme)
	}
	check := func(password []byte) bool { return subtle.ConstantTimeCompare(password, raw) == 1 }
	return &form{check: check, cheap: true}, nil
}

// parseSalted reads a digest of password and salt, with the salt behind it
// (OpenLDAP's SSHA and its larger brothers).
func parseSalted(newHash func() hash.Hash, raw []byte) (*form, error) {
	size := newHash().Size()
	if len(raw) < size+4 || len(raw) > size+64 {
		return nil, fmt.Errorf("%w: salted SHA string of a wrong length", ErrForm)
	}
	sum, salt := bytes.Clone(raw[:size]), bytes.Clone(raw[size:])
	check := func(password []byte) bool {
		h := newHash()
		h.Write(password)
		h.Write(salt)
		return subtle.ConstantTimeCompare(h.Sum(nil), sum) == 1
	}
	return &form{check: check, cheap: true}, nil
}
