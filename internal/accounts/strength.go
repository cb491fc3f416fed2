package accounts

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// leastPassword is how many characters a password of an account has at least.
const leastPassword = 8

// Strong refuses passwords that are guessed first, in words for people.
func Strong(password []byte, at domains.Address) error {
	local, _ := at.Cut()
	switch text := string(password); {
	case strings.EqualFold(text, at.String()) || strings.EqualFold(text, local):
		return errors.New("the password is the user name, which is guessed first")
	case utf8.RuneCount(password) < leastPassword:
		return fmt.Errorf("the password has fewer than %d characters", leastPassword)
	}
	return nil
}

// Usable refuses passwords that no client could send, in words for people.
func Usable(password []byte) error {
	switch {
	case len(password) == 0:
		return errors.New("an empty password is no password; nothing was changed")
	case len(password) > passwd.MaxPassword:
		return fmt.Errorf("the password is longer than %d octets", passwd.MaxPassword)
	case strings.ContainsAny(string(password), "\x00\r\n"):
		return errors.New("the password holds a line break or a NUL, which no protocol can carry")
	}
	return nil
}
