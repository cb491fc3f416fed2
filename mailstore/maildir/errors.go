package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// wrap says what was being done and turns the system's reasons into the store's,
// keeping the cause for the log.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, classify(err))
}

func classify(err error) error {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	mark := func(e error) error {
		if errors.Is(err, e) {
			return err
		}
		return fmt.Errorf("%w: %w", e, err)
	}
	switch {
	// First: a sync that failed for lack of space has poisoned all the same.
	case is(durable.ErrPoisoned):
		return mark(mailstore.ErrPoisoned)
	case is(durable.ErrNoSpace, sys.NoSpace, sys.QuotaExceeded):
		return mark(mailstore.ErrNoSpace)
	case is(sys.ReadOnlySystem):
		return mark(mailstore.ErrReadOnly)
	case is(syscall.EIO, syscall.EMFILE, syscall.ENFILE, fs.ErrPermission):
		return mark(mailstore.ErrUnavailable)
	}
	return err
}

// tooMany: there are no descriptors left, so whatever is opened next fails too.
func tooMany(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
