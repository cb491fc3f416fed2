package sasl

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestCRAMForm: what is no name, space and digest is said to be none; a name may have spaces, and
// the whole has an end.
func TestCRAMForm(t *testing.T) {
	asked := errors.New("asked")
	digest := strings.Repeat("0", 32)
	for _, tt := range []struct {
		name, response string
		want           error
		user           string
	}{
		{"plain", "ann " + digest, asked, "ann"},
		{"a name with spaces", "ann of b " + digest, asked, "ann of b"},
		{"no space", "ann" + digest, ErrMalformed, ""},
		{"no digest", "ann ", ErrMalformed, ""},
		{"a short digest", "ann " + digest[2:], ErrMalformed, ""},
		{"a long digest", "ann 00" + digest, ErrMalformed, ""},
		{"no hex", "ann g" + digest[1:], ErrMalformed, ""},
		{"too long", strings.Repeat(" ", maxResponse) + " " + digest, ErrMalformed, ""},
	} {
		user := ""
		s := &cramServer{c: asking{secret: func(name string) error { user = name; return asked }}}
		if _, err := s.check(t.Context(), []byte(tt.response)); !errors.Is(err, tt.want) || user != tt.user {
			t.Errorf("%s: %v for %q", tt.name, err, user)
		}
	}
}

// asking has no secrets, and says who was asked for.
type asking struct {
	Credentials
	secret func(user string) error
}

func (a asking) Secret(_ context.Context, _ Kind, user string) (Secret, string, error) {
	return Secret{}, "", a.secret(user)
}
