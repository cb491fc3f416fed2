package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/pop3/pop3test"
)

// TestWorthRetrying: what another try may mend is tried again, and nothing that locks an account or fills a disk.
func TestWorthRetrying(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{io.ErrUnexpectedEOF, true}, {errBroken, true}, {&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		{pop3.ErrInUse, true}, {pop3.ErrLoginDelay, true}, {pop3.ErrTemporary, true}, {mailstore.ErrLocked, true},
		{&net.DNSError{IsTemporary: true}, true}, {&net.DNSError{IsTimeout: true}, true},
		{&net.DNSError{IsNotFound: true}, false}, {&tls.CertificateVerificationError{}, false}, {permanent{io.ErrUnexpectedEOF}, false},
		{&pop3.Error{Text: "no"}, false}, {pop3.ErrCleartext, false}, {mailstore.ErrNoSpace, false}, {mailstore.ErrPoisoned, false},
	} {
		for _, err := range []error{c.err, fmt.Errorf("around it: %w", c.err)} {
			if got := worthRetrying(err); got != c.want {
				t.Errorf("%v (%T): %v", err, c.err, got)
			}
		}
	}
	if err := explained(pop3.ErrCleartext); !errors.Is(err, pop3.ErrCleartext) || !strings.Contains(err.Error(), "offers no TLS") {
		t.Error(err)
	}
	if err := explained(io.EOF); err != io.EOF {
		t.Error(err)
	}
}

// TestPauses: they double, to a minute; a caller may have his own.
func TestPauses(t *testing.T) {
	f := &taking{Fetcher: &Fetcher{}}
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 30: time.Minute} {
		if got := f.pause(n); got != want {
			t.Errorf("before try %d: %v, want %v", n+1, got, want)
		}
	}
	f.Pause = func(n int) time.Duration { return time.Duration(n) }
	if got := f.pause(7); got != 7 {
		t.Error(got)
	}
}

// TestShortened: what a server says is shown by its beginning, in whole characters.
func TestShortened(t *testing.T) {
	for _, c := range [][2]string{{"", ""}, {"abcde", "abcde"}, {"abcdef", "abcde…"}, {"abcdü", "abcd…"}, {"abcüx", "abcü…"}, {"abcüxy", "abcü…"}, {"\xff\xff\xff\xff\xff\xff", "…"}} {
		if got := shortened(c[0], 5); got != c[1] {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
}

// TestFailures: each message is named once, in the order of the first failures, with what became of it in the end.
func TestFailures(t *testing.T) {
	f := &taking{Fetcher: &Fetcher{}, failed: make(map[string]string)}
	f.fail("b", "pop3: first")
	f.fail("a", strings.Repeat("x", 2*mostWhy))
	f.fail("b", "pop3: then")
	if !slices.Equal(f.order, []string{"b", "a"}) || f.failed["b"] != "then" || len(f.failed["a"]) > mostWhy+len("…") {
		t.Error(f.order, f.failed)
	}
	f.noted = make(map[string]bool)
	f.note("%d messages", 1)
	f.note("%d messages", 2)
	if len(f.sum.Notes) != 1 || f.sum.Notes[0] != "1 messages" {
		t.Error(f.sum.Notes)
	}
}

// closed is a store whose mailboxes cannot be opened.
type closed struct {
	mailstore.Store
	err error
}

func (c closed) Open(context.Context, string) (mailstore.Maildrop, error) { return nil, c.err }

// TestCompareNothing: a mailbox that is not there yet is an empty one, and one that cannot be opened is an error; without ids
// sizes are all that can be compared, each as often as it occurs.
func TestCompareNothing(t *testing.T) {
	t.Parallel()
	s := pop3test.NewServer(pop3test.Fault{At: "UIDL", Raw: "-ERR what?\r\n"})
	defer s.Close()
	s.Add(mail(1), mail(2), mail(2))
	f, a := fetcher(t, s)
	store := f.Store
	f.Store = closed{store, fmt.Errorf("alice: %w", mailstore.ErrNoMailbox)}
	if c, err := f.Compare(t.Context(), a); err != nil || c != (Comparison{There: 3, Missing: 3, NoIDs: true}) {
		t.Errorf("%+v, %v", c, err)
	}
	f.Store = closed{store, mailstore.ErrLocked}
	if _, err := f.Compare(t.Context(), a); !errors.Is(err, mailstore.ErrLocked) {
		t.Error(err)
	}
	f.Store = store
	d, err := store.Create(t.Context(), mailstore.Meta{}, box)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(d, mail(2)); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if c, err := f.Compare(t.Context(), a); err != nil || c != (Comparison{There: 3, Here: 1, Same: 1, Missing: 2, NoIDs: true}) {
		t.Errorf("%+v, %v", c, err)
	}
}
