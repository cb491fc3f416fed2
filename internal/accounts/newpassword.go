package accounts

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// leastPassword is how many characters a password of an account has at least.
const leastPassword = 8

// Usable refuses passwords that no client could send.
func Usable(password []byte) error {
	switch {
	case len(password) == 0:
		return errors.New("an empty password is no password")
	case len(password) > passwd.MaxPassword:
		return fmt.Errorf("the password is longer than %d octets", passwd.MaxPassword)
	case strings.ContainsAny(string(password), "\x00\r\n"):
		return errors.New("the password holds a line break or a NUL, which no protocol can carry")
	}
	return nil
}

// Strong refuses passwords of a name that are guessed first.
func Strong(password []byte, of domains.Address) error {
	local, _ := of.Cut()
	switch text := string(password); {
	case strings.EqualFold(text, of.String()) || strings.EqualFold(text, local):
		return errors.New("the password is the user name, which is guessed first")
	case utf8.RuneCount(password) < leastPassword:
		return fmt.Errorf("the password has fewer than %d characters", leastPassword)
	}
	return nil
}

// RandomPassword makes a password of 120 random bits.
func RandomPassword() []byte { return []byte(rand.Text()[:24]) }

// NewKeys makes what is kept of a password, but for APOP, from which it cannot be read. It takes the time of a hash. Those for SCRAM have the
// salt that the account (nil: a new one) has now: passwords of its user's devices have the same, and a client is told one before it has said which
// it uses.
func NewKeys(password []byte, before *conf.Account) (k conf.Keys, err error) {
	password = sasl.SASLprep(password) // however this keyboard composes accents
	if k.Password, err = passwd.Hash(password); err != nil {
		return k, err
	}
	scram, err := scramLike(before, password)
	if err != nil {
		return k, err
	}
	k.ScramSHA256 = sasl.FormatScram(sasl.ScramSHA256, scram)
	k.CRAMMD5 = sasl.FormatCRAM(sasl.MakeCRAM(password))
	return k, nil
}

// scramLike makes keys for SCRAM with an account's salt, if that has some as good as new ones are.
func scramLike(a *conf.Account, password []byte) (*sasl.ScramKeys, error) {
	if a != nil {
		if k := parseScram(string(a.ScramKeys())); k != nil && k.Iterations >= sasl.ScramIterations {
			return sasl.DeriveScram(sasl.ScramSHA256, password, k.Salt, k.Iterations)
		}
	}
	return sasl.MakeScram(sasl.ScramSHA256, password, 0)
}

// SealAPOP makes what is kept of a password for APOP, for this account alone: the server's key opens it.
func SealAPOP(key seal.Key, address domains.Address, password []byte) (string, error) {
	return key.SealText(sasl.SASLprep(password), apopContext(address))
}

// ResealAPOP makes of what SealAPOP made for one address the same for another.
func ResealAPOP(key seal.Key, sealed string, from, to domains.Address) (string, error) {
	secret, err := key.OpenText(sealed, apopContext(from))
	if err != nil {
		return "", err
	}
	return key.SealText(secret, apopContext(to))
}
