package accounts

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/postrider-mail/postrider/cipher/seal"
)

// CheckSealed says why a sealed secret of this subject cannot be opened with
// the key in a file, in words for an operator. It is a conf.Probes.Sealed.
func CheckSealed(keyFile, sealed, subject string) error {
	_, err := OpenSealed(keyFile, sealed, subject)
	return err
}

// OpenSealed opens a sealed secret of this subject with the key in a file. Without a key there is none to be made: what a new
// one could open was not sealed yet.
func OpenSealed(keyFile, sealed, subject string) (string, error) {
	key, err := seal.LoadKey(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the key it is sealed with is not there: %s", keyFile)
	}
	if err != nil {
		return "", fmt.Errorf("the key it is sealed with cannot be used: %w", err)
	}
	clear, err := key.OpenText(sealed, []byte(subject))
	if err != nil {
		return "", fmt.Errorf("it was sealed for something else or with another key than that in %s, or was changed", keyFile)
	}
	return string(clear), nil
}
