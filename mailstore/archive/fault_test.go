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
	err error
}

func (f *failing) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	d, err := f.Store.Create(ctx, m, users...)
	if f.nth--; f.nth != 0 || err != nil {
		return d, err
	}
	return badDelivery{d, f.err}, nil
}

type badDelivery struct {
	mailstore.Delivery
	err error
}

func (d badDelivery) Commit(context.Context, []byte) error { return errors.Join(d.err, d.Abort()) }

// TestCommitFails: a message that could not be made durable is reported, be it the
// first or the last, and passed over only if somebody hears of it.
func TestCommitFails(t *testing.T) {
	const mails = 3
	file := strings.Repeat(fromLine+"Subject: x\n\n.\n\n", mails)
	for nth := 1; nth <= mails; nth++ {
		dst := &failing{store(t, t.TempDir()), nth, errDisk}
		s, err := archive.Import(context.Background(), dst, user, archive.FromMbox(strings.NewReader(file), archive.MboxRD, ""), archive.Options{})
		if !errors.Is(err, errDisk) || s.Failed != 1 {
			t.Errorf("commit %d: %+v, %v", nth, s, err)
		}
		dst = &failing{store(t, t.TempDir()), nth, errDisk}
		var heard []string
		s, err = archive.Import(context.Background(), dst, user, archive.FromMbox(strings.NewReader(file), archive.MboxRD, ""), archive.Options{
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
		s, err := archive.Import(context.Background(), dst, user, archive.FromMbox(r, archive.MboxRD, ""), archive.Options{})
		if _, got := holds(t, dst); !errors.Is(err, errDisk) || len(got) != 1 || s.Done != 1 {
			t.Errorf("behind %d octets: %+v, %v, %d messages", size, s, err, len(got))
		}
	}
}

// TestNoGoingOn: where the store cannot take any more, the import ends, whoever
// hears of problems.
func TestNoGoingOn(t *testing.T) {
	file := strings.Repeat(fromLine+"Subject: x\n\n.\n\n", 3)
	for _, cause := range []error{mailstore.ErrPoisoned, mailstore.ErrNoSpace, mailstore.ErrReadOnly} {
		dst := &failing{store(t, t.TempDir()), 1, cause}
		_, err := archive.Import(context.Background(), dst, user, archive.FromMbox(strings.NewReader(file), archive.MboxRD, ""), archive.Options{
			Commits: 1, Problem: func(string, error) {},
		})
		if !errors.Is(err, cause) {
			t.Errorf("%v: %v", cause, err)
		}
	}
}

// TestManyUnreadable: an export names the first ten that it lacks, and counts all.
func TestManyUnreadable(t *testing.T) {
	s := store(t, t.TempDir())
	for range 12 {
		fill(t, s, "Subject: x\r\n\r\n.\r\n")
	}
	st, err := archive.ExportFiles(context.Background(), lost{drop(t, s)}, t.TempDir(), nil)
	if st.Failed != 12 || st.Done != 0 || !errors.Is(err, archive.ErrIncomplete) || strings.Count(err.Error(), errDisk.Error()) != 10 {
		t.Errorf("%+v, %v", st, err)
	}
}

// lost is a maildrop of which nothing can be read.
type lost struct{ mailstore.Maildrop }

func (lost) Open(context.Context, int) (io.ReadCloser, error) { return nil, errDisk }
