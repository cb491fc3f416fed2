//go:build unix

package maildir

import (
	"fmt"
	"os"
	"syscall"
)

// colon stands before the flags in a file's name.
const colon = ":"

// separators are octets that parts of a name must not hold.
const separators = `/:,%\`

// openOwned opens a message. What was opened is asked whose it is, and not its name,
// behind which another file may be by now.
func (s *Store) openOwned(name string) (*os.File, error) {
	if s.owned == nil {
		return os.Open(name)
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err == nil && *s.owned != 0 {
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != *s.owned {
			err = fmt.Errorf("%s belongs to another user than the Maildir", name)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
