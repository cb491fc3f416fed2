package selfservice

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/pages"
)

// TestLoginError: the pages hear in their own words what came of a login, and by how much a clock is wrong.
func TestLoginError(t *testing.T) {
	other := errors.New("the disk")
	for err, want := range map[error]error{nil: nil, sasl.ErrDenied: pages.ErrDenied, sasl.ErrThrottled: pages.ErrThrottled, other: other} {
		if got := LoginError(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
	var clock *pages.ClockError
	if got := LoginError(fmt.Errorf("login: %w", &accounts.ClockError{Off: -time.Minute})); !errors.As(got, &clock) || clock.Off != -time.Minute || !errors.Is(got, pages.ErrDenied) {
		t.Error(got)
	}
}
