package rfc2822

import (
	"io"
	"reflect"
	"strings"
)

// source remembers where a reader stood that is written into a message, so that
// writing the message once more, after a 451 say, begins there again.
type source struct {
	r     io.Reader
	start int64
	seeks bool
	read  bool
}

// mark looks at r before anything is written: it remembers where r stands, or is
// ErrBodyRead if r was read by an earlier writing and cannot go back.
func (s *source) mark(r io.Reader) error {
	if same(s.r, r) {
		if s.read && !s.seeks {
			return ErrBodyRead
		}
		return nil
	}
	*s = source{r: r}
	if seeker, ok := r.(io.Seeker); ok {
		at, err := seeker.Seek(0, io.SeekCurrent) // a pipe that calls itself a Seeker fails
		s.start, s.seeks = at, err == nil
	}
	return nil
}

// open returns the reader that mark looked at, where it stood then.
func (s *source) open() (io.Reader, error) {
	if s.r == nil {
		return strings.NewReader(""), nil
	}
	s.read = true
	if s.seeks {
		if _, err := s.r.(io.Seeker).Seek(s.start, io.SeekStart); err != nil {
			return nil, err
		}
	}
	return s.r, nil
}

// again is mark and open for a reader that may be nil, which it gives back.
func (s *source) again(r io.Reader) (io.Reader, error) {
	if r == nil {
		return nil, nil
	}
	if err := s.mark(r); err != nil {
		return nil, err
	}
	return s.open()
}

// same reports whether two readers are one. Those that cannot be compared count as
// one if their types are: to refuse is better than to write nothing.
func same(a, b io.Reader) bool {
	if a == nil || b == nil {
		return false
	}
	t := reflect.TypeOf(a)
	return t == reflect.TypeOf(b) && (!t.Comparable() || a == b)
}
