package passwd

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// maxIterations bounds PBKDF2 and SCRAM strings: about a second.
const maxIterations = 2_000_000

type pbkdf2Hash struct {
	new        func() hash.Hash
	iterations int
	salt, sum  []byte
}

func (h *pbkdf2Hash) form() (*form, error) {
	switch {
	case h.iterations < 1 || len(h.salt) == 0 || len(h.sum) < 16 || len(h.sum) > 64:
		return nil, fmt.Errorf("%w: damaged PBKDF2 string", ErrForm)
	case h.iterations > maxIterations:
		return nil, fmt.Errorf("%w: PBKDF2 with %d iterations", ErrCost, h.iterations)
	}
	check := func(password []byte) bool {
		got, err := pbkdf2.Key(h.new, string(password), h.salt, h.iterations, len(h.sum))
		return err == nil && subtle.ConstantTimeCompare(got, h.sum) == 1
	}
	return &form{check: check, cheap: h.iterations < 100_000}, nil
}

// parsePBKDF2 reads the strings of Python's passlib and of Rust's pbkdf2:
//
//	$pbkdf2-sha256$<iterations>$<salt>$<hash>             base64 with . for +
//	$pbkdf2-sha256$i=<iterations>,l=<length>$<salt>$<hash>
func parsePBKDF2(stored string) (*form, error) {
	part := strings.Split(stored, "$")
	if len(part) != 5 {
		return nil, fmt.Errorf("%w: PBKDF2 string with a wrong number of $", ErrForm)
	}
	h := new(pbkdf2Hash)
	switch part[1] {
	case "pbkdf2":
		h.new = sha1.New
	case "pbkdf2-sha256":
		h.new = sha256.New
	case "pbkdf2-sha512":
		h.new = sha512.New
	}
	count, _, _ := strings.Cut(strings.TrimPrefix(part[2], "i="), ",")
	n, ok := number(count, "", 1<<31)
	var err1, err2 error
	b64 := base64.RawStdEncoding.Strict()
	h.salt, err1 = b64.DecodeString(strings.ReplaceAll(part[3], ".", "+"))
	h.sum, err2 = b64.DecodeString(strings.ReplaceAll(part[4], ".", "+"))
	if !ok || err1 != nil || err2 != nil {
		return nil, fmt.Errorf("%w: damaged PBKDF2 string", ErrForm)
	}
	h.iterations = int(n)
	return h.form()
}

// parseDovecotPBKDF2 reads what follows Dovecot's {PBKDF2}, whose salt is used
// letter by letter: "$1$<salt>$<iterations>$<hex of SHA-1's 20 bytes>".
func parseDovecotPBKDF2(s string) (*form, error) {
	part := strings.Split(s, "$")
	if len(part) != 5 || part[0] != "" || part[1] != "1" {
		return nil, fmt.Errorf("%w: damaged {PBKDF2} string", ErrForm)
	}
	n, ok := number(part[3], "", 1<<31)
	sum, err := hex.DecodeString(part[4])
	if !ok || err != nil {
		return nil, fmt.Errorf("%w: damaged {PBKDF2} string", ErrForm)
	}
	h := &pbkdf2Hash{new: sha1.New, iterations: int(n), salt: []byte(part[2]), sum: sum}
	return h.form()
}
