package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
)

// CheckSealed says why a sealed secret of this subject cannot be opened with
// the key in a file, in words for an operator. It is a conf.Probes.Sealed.
func CheckSealed(keyFile, sealed, subject string) error {
	_, err := openSealed(keyFile, sealed, subject)
	return err
}

// openSealed opens a secret. Without a key there is none to be made: what a new
// one could open was not sealed yet.
func openSealed(keyFile, sealed, subject string) (string, error) {
	key, err := seal.LoadKey(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the key it is sealed with is not there: %s", keyFile)
	}
	if err != nil {
		return "", fmt.Errorf("the key it is sealed with cannot be used: %w", err)
	}
	clear, err := key.OpenText(sealed, []byte(subject))
	if err != nil {
		return "", fmt.Errorf("it was sealed for another route or with another key than that in %s, or was changed", keyFile)
	}
	return string(clear), nil
}

// warnInClear tells the operator of passwords that anybody can read who gets to
// see the configuration. It is no reason to refuse to work: the files are
// closed to others, which Check sees to.
func warnInClear(s *conf.Settings, log *slog.Logger) {
	for _, err := range s.InClear() {
		log.Warn("a password in the configuration can be read", "problem", err.Error())
	}
}
