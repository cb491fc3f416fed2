//go:build !unix

package maildir

import (
	"errors"
	"os"
)

func (s *Store) openOwned(name string) (*os.File, error) {
	if s.owned != nil {
		return nil, errors.ErrUnsupported
	}
	return os.Open(name)
}
