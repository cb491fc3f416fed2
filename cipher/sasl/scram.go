package sasl

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	_ "crypto/sha1" // crypto.SHA1 and crypto.SHA256 are used by number
	_ "crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// scramFlavour is one of the four SCRAM mechanisms (RFC 5802, RFC 7677).
type scramFlavour struct {
	kind Kind
	hash crypto.Hash
	plus bool // bound to the TLS channel
}

func (f scramFlavour) name() string {
	name := scramName(f.kind)
	if f.plus {
		name += "-PLUS"
	}
	return name
}

func scramName(kind Kind) string {
	if kind == ScramSHA1 {
		return "SCRAM-SHA-1"
	}
	return "SCRAM-SHA-256"
}

func scramNamed(name string) (scramFlavour, bool) {
	for _, f := range []scramFlavour{{ScramSHA256, crypto.SHA256, true}, {ScramSHA256, crypto.SHA256, false},
		{ScramSHA1, crypto.SHA1, true}, {ScramSHA1, crypto.SHA1, false}} {
		if strings.EqualFold(f.name(), name) {
			return f, true
		}
	}
	return scramFlavour{}, false
}

func (f scramFlavour) mac(key []byte, text string) []byte {
	m := hmac.New(f.hash.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func (f scramFlavour) sum(b []byte) []byte {
	h := f.hash.New()
	h.Write(b)
	return h.Sum(nil)
}

// attributes reads "x=value,y=value,…", whose letters must be these in this
// order; further attributes may follow and are let be (RFC 5802 §5.1). An "m="
// is an extension that must be understood, and none is.
func attributes(s, letters string) ([]string, error) {
	values := make([]string, 0, len(letters))
	rest := s
	for i := range len(letters) {
		var field string
		field, rest, _ = strings.Cut(rest, ",")
		value, ok := strings.CutPrefix(field, letters[i:i+1]+"=")
		if !ok {
			return nil, ErrMalformed
		}
		values = append(values, value)
	}
	return values, nil
}

// printable checks a nonce: 0x21 to 0x7E without ",", not too long.
func printable(nonce string) bool {
	return nonce != "" && len(nonce) <= 512 &&
		!strings.ContainsFunc(nonce, func(r rune) bool { return r < 0x21 || r > 0x7e || r == ',' })
}

func newNonce() string {
	var b [18]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// minIterations is the least RFC 5802 §5.1 and RFC 7677 §4 allow. A client
// refuses less: a false server would ask for one iteration and guess the
// password from the answer cheaply.
const minIterations = 4096

// plusAnnounced reports whether the client was told of f's -PLUS variant.
func (f scramFlavour) plusAnnounced(p *Peer) bool {
	f.plus = true
	if p.Announced == nil {
		return canBind(p)
	}
	return slices.Contains(p.Announced, f.name())
}

func canBind(p *Peer) bool {
	_, err := certs.ExporterBinding(p.TLS)
	return err == nil
}
