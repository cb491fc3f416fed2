package passwd

import (
	"crypto/subtle"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// parseScram reads the keys of SCRAM, which check a password that is presented
// in clear as well.
func parseScram(stored string) (*form, error) {
	kind, k, err := sasl.ParseScram(stored)
	if err != nil {
		return nil, err
	}
	check := func(password []byte) bool {
		got, err := sasl.DeriveScram(kind, password, k.Salt, k.Iterations)
		return err == nil && subtle.ConstantTimeCompare(got.StoredKey, k.StoredKey) == 1
	}
	return &form{check: check, cheap: k.Iterations < 100_000, lasting: true}, nil
}
