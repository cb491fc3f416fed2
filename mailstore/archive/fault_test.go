package archive_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/archive"
)

var errDisk = errors.New("the disk sighs")

// failing is a store in which the commit of one message fails.
type failing struct {
	mailstore.Store
	nth int // counted from 1
}

func (f *failing) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	d, err := f.Store.Create(ctx, m, users...)
	if f.nth--; f.nth != 0 || err != nil {
		return d, err
	}
	return badDelivery{d}, nil
}

type badDelivery struct{ mailstore.Delivery }

func (d badDelivery) Commit(context.Context) error { return errors.Join(errDisk, d.Abort()) }

// TestCommitFails: a message that could not be made durable is reported, be it the
// first or the last, and passed over only if somebody hears of it.
func TestCommitFails(t *testing.T) {
	const mails = 3
	file := strings.Repeat(fromLine+"Subject: x\n\n.\n\n", mails)
	for nth := 1; nth <= mails; nth++ {
		dst := &failing{store(t, t.TempDir()), nth}
		s, err := archive.Import(context.Background(), dst, user, archive.FromMbox(strings.NewReader(file), archive.MboxRD), archive.Options{})
		if !errors.Is(err, errDisk) || s.Failed != 1 {
			t.Errorf("commit %d: %+v, %v", nth, s, err)
		}
		dst = &failing{store(t, t.TempDir()), nth}
		var heard []string
		s, err = archive.Import(context.Background(), dst, user, archive.FromMbox(strings.NewReader(file), archive.MboxRD), archive.Options{
			Problem: func(name string, err error) { heard = append(heard, name) },
		})
		if err != nil || s.Failed != 1 || s.Done != mails-1 || len(heard) != 1 {
			t.Errorf("commit %d: %+v, %v, heard of %q", nth, s, err, heard)
		}
	}
}

// TestSourceFails: a file that cannot be read to its end imports no half message,
// and says so, wherever it breaks off.
func TestSourceFails(t *testing.T) {
	for _, size := range []int{10, 5000, 64<<10 - 10, 64 << 10, 200_000} {
		text := fromLine + "Subject: one\n\n.\n\n" + fromLine + "Subject: two\n\n" + strings.Repeat("text\n", size/5)
		dst := store(t, t.TempDir())
		r := io.MultiReader(strings.NewReader(text), iotest.ErrReader(errDisk))
		s, err := archive.Import(context.Background(), dst, user, archive.FromMbox(r, archive.MboxRD), archive.Options{})
		if _, got := holds(t, dst); !errors.Is(err, errDisk) || len(got) != 1 || s.Done != 1 {
			t.Errorf("behind %d octets: %+v, %v, %d messages", size, s, err, len(got))
		}
	}
}
