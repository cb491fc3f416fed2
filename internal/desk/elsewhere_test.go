package desk

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestSeen: the first who asks waits for the names, for a while; later they are what they were, and are found anew beside whoever asks once they are old; other
// settings begin anew.
func TestSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s seen
		var looks atomic.Int32
		find := func() []domains.Address {
			time.Sleep(seenWait + time.Second) // that many mailboxes
			return []domains.Address{domains.Address(strings.Repeat("x", int(looks.Add(1))))}
		}
		of := new(accounts.Directory)
		is := func(when, want string) {
			t.Helper()
			if got := strings.Join(texts(s.list(context.Background(), of, find)), " "); got != want {
				t.Errorf("%s: %q, not %q", when, got, want)
			}
		}
		is("sooner than they are found", "")
		is("while they are looked for", "x") // the rest of that look
		is("at once", "x")
		time.Sleep(seenLasts + time.Second)
		is("once they are old", "x")
		time.Sleep(2 * seenWait)
		is("after another look", "xx")
		if looks.Load() != 2 {
			t.Errorf("%d looks", looks.Load())
		}
		of = new(accounts.Directory)
		gone, stop := context.WithCancel(context.Background())
		stop()
		if got := s.list(gone, of, find); len(got) > 0 {
			t.Errorf("of settings that are over: %q", got)
		}
		time.Sleep(2 * seenWait)
		is("of other settings", "xxx")
	})
}

// TestTogether: of two parts as much is shown as is asked for, in order, nothing twice, and what is left is behind the mark.
func TestTogether(t *testing.T) {
	names := func(text string) (all []domains.Address) {
		for _, f := range strings.Fields(text) {
			all = append(all, domains.Address(f))
		}
		return all
	}
	for _, c := range []struct {
		a, b, next, want, mark string
		limit                  int
	}{
		{"a c", "b d", "", "a b c d", "", 4}, {"a c", "b d", "", "a b c", "c", 3}, {"a c", "b c", "c", "a b c", "c", 3}, {"", "b", "", "b", "", 2}, {"a", "", "a", "a", "a", 1},
	} {
		got, mark := together(names(c.a), names(c.b), c.next, admin.Slice{Limit: c.limit})
		if strings.Join(texts(got), " ") != c.want || mark != c.mark {
			t.Errorf("%+v: %q, %q", c, got, mark)
		}
	}
}

func texts(names []domains.Address) (all []string) {
	for _, n := range names {
		all = append(all, n.String())
	}
	return all
}
