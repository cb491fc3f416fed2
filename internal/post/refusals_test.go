package post

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
)

// TestRefusals: a disk that is full for ten minutes is not a line for everybody
// who writes, nor nothing at all; another reason is not hidden behind it.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out mailtest.Log
		log := slog.New(slog.NewTextHandler(&out, nil))
		lines := func() string {
			synctest.Wait()
			return out.Take()
		}
		var r refusals
		reasons := func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.by)
		}
		full := fmt.Errorf("%w: 4711 octets left", mailstore.ErrNoSpace)
		refuse := func(reply smtp.StandardReply, cause error) {
			t.Helper()
			err := r.quiet(log, &smtp.Session{Identity: lineserver.Identity{ID: "s1"}}, "alice@x.test", reply.With(cause))
			var got *smtp.Reply
			if !errors.As(err, &got) || !errors.Is(got, reply) || got.Unwrap() != nil {
				t.Errorf("refused with %v", err)
			}
		}
		for range 1000 {
			refuse(smtp.ErrNoSpace, full)
		}
		if got := lines(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "4711 octets left") || !strings.Contains(got, "alice@x.test") {
			t.Errorf("at once: %q", got)
		}
		refuse(smtp.ErrMailboxFull, mailstore.ErrOverQuota)
		if got := lines(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "mailbox is full") {
			t.Errorf("another reason: %q", got)
		}
		time.Sleep(refusalInterval + time.Second)
		if got := lines(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "count=999") {
			t.Errorf("after a minute: %q", got)
		}
		refuse(smtp.ErrNoSpace, full)
		refuse(smtp.ErrNoSpace, full)
		time.Sleep(refusalInterval)
		if got := lines(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "count=2") {
			t.Errorf("after two minutes: %q", got)
		}
		// It is over, and begins anew much later.
		time.Sleep(10 * refusalInterval)
		if got := lines(); got != "" || reasons() != 0 {
			t.Errorf("when it is over: %q", got)
		}
		refuse(smtp.ErrNoSpace, full)
		if got := lines(); strings.Count(got, "\n") != 1 {
			t.Errorf("anew: %q", got)
		}
		time.Sleep(2 * refusalInterval)
		// What has no cause is the client's own doing and was never logged.
		if err := r.quiet(log, &smtp.Session{}, "x", smtp.ErrNoSuchUser); err != smtp.ErrNoSuchUser {
			t.Errorf("no such user: %v", err)
		}
		if err := r.quiet(log, &smtp.Session{}, "x", nil); err != nil {
			t.Errorf("no error: %v", err)
		}
	})
}
