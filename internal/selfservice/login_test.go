package selfservice

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/pages"
)

// TestClockInWords: the pages hear by how much a clock is wrong, and that nobody came in.
func TestClockInWords(t *testing.T) {
	var clock *pages.ClockError
	if got := LoginError(fmt.Errorf("login: %w", &accounts.ClockError{Off: -time.Minute})); !errors.As(got, &clock) || clock.Off != -time.Minute || !errors.Is(got, pages.ErrDenied) {
		t.Error(got)
	}
}
