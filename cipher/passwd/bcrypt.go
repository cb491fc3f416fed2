package passwd

import (
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// maxBcryptCost bounds the work of a bcrypt string: cost 15 takes about two
// seconds.
const maxBcryptCost = 15

// crypt64 is the alphabet of crypt(3), which bcrypt has in another order.
const crypt64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// parseBcrypt reads "$2b$<cost>$<22 characters of salt><31 of hash>".
func parseBcrypt(stored string) (*form, error) {
	if len(stored) != 60 || stored[3] != '$' || stored[6] != '$' {
		return nil, fmt.Errorf("%w: damaged bcrypt string", ErrForm)
	}
	if strings.Trim(stored[7:], crypt64) != "" {
		return nil, fmt.Errorf("%w: bcrypt string with a stray character", ErrForm)
	}
	tens, ones := stored[4]-'0', stored[5]-'0'
	if tens > 9 || ones > 9 {
		return nil, fmt.Errorf("%w: bcrypt cost is no number", ErrForm)
	}
	cost := int(tens)*10 + int(ones)
	switch {
	case cost < bcrypt.MinCost || cost > bcrypt.MaxCost:
		return nil, fmt.Errorf("%w: bcrypt has no cost %d", ErrForm, cost)
	case cost > maxBcryptCost:
		return nil, fmt.Errorf("%w: bcrypt with cost %d", ErrCost, cost)
	}
	check := func(password []byte) bool {
		// Every bcrypt looks at 72 bytes and no more.
		return bcrypt.CompareHashAndPassword([]byte(stored), password[:min(72, len(password))]) == nil
	}
	return &form{check: check, memory: 8, cheap: cost < 9}, nil
}
