package accounts

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
)

// TestLoginPatience: who cannot have a turn in time is told to come back, which
// counts as no guess.
func TestLoginPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := conf.New()
		s.ServerName = "mail.test"
		c := &Credentials{dir: NewDirectory(s), decoy: sasl.NewDecoy(nil), verifier: &passwd.Verifier{Concurrency: 1},
			throttle: newThrottle(over(1, time.Minute), over(1, time.Minute)), log: slog.New(slog.DiscardHandler)}
		free := make(chan error)
		go c.verifier.Try(t.Context(), passwd.Attempt{Allowed: func() error { return <-free }}) // holds the one slot
		synctest.Wait()
		begin := time.Now()
		for range 3 {
			if _, err := c.Verify(t.Context(), "", "nobody", []byte("x")); !errors.Is(err, sasl.ErrThrottled) {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
		}
		if took := time.Since(begin); took != 3*loginPatience {
			t.Errorf("three waits took %v", took)
		}
		free <- errors.New("done")
		if _, err := c.Verify(t.Context(), "", "nobody", []byte("x")); !errors.Is(err, sasl.ErrDenied) {
			t.Errorf("with a turn: %v", err)
		}
	})
}
