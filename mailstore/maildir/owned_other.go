//go:build !unix

package maildir

import (
	"errors"
	"os"
)

// colon stands before the flags in a file's name. A colon cannot be in one here; other programs that keep Maildirs on
// Windows write a semicolon too.
const colon = ";"

// separators are octets that parts of a name must not hold.
const separators = `/:,%\<>"|?*;`

func (s *Store) openOwned(name string) (*os.File, error) {
	if s.owned != nil {
		return nil, errors.ErrUnsupported
	}
	return os.Open(name)
}
