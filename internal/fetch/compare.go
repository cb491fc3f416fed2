package fetch

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/postrider-mail/postrider/mailstore"
)

// Comparison is how a mailbox here differs from the maildrop it comes from.
type Comparison struct {
	There, Here int // messages
	Same        int // those with the same id and size
	Came        int // that came and are here no more: their reader has removed them
	Missing     int // that are not here and never came
	OtherSize   int // that have the same id and another size
	NoIDs       bool
	Disordered  bool // what is the same stands in another order
}

// Compare asks the other server for its list and compares it with the mailbox here. Nothing changes on
// either side.
func (f *Fetcher) Compare(ctx context.Context, a *Account) (c Comparison, err error) {
	d := f.Dialer
	d.User, d.Password = a.Login, a.Password
	client, err := d.Dial(ctx, a.Server)
	if err != nil {
		return c, err
	}
	defer client.Close()
	t := &taking{Fetcher: f, a: a, noted: make(map[string]bool)}
	l, err := t.list(ctx, client, "")
	if err != nil {
		return c, err
	}
	defer l.close()
	client.Quit(ctx)
	if err := l.compareState(f.State, a); err != nil {
		return c, err
	}
	here, err := f.Store.Open(ctx, a.Address)
	if err != nil && !errors.Is(err, mailstore.ErrNoMailbox) {
		return c, err
	}
	ids := make(map[string]int)
	sizes := make(map[int64]int)
	if here != nil {
		defer here.Close()
		c.Here = here.Len()
		for i := range here.Len() {
			ids[here.UID(i)] = i
			sizes[here.Size(i)]++
		}
	}
	c.There = l.n
	last := -1
	for l, err := range l.marked() {
		if err != nil {
			return c, err
		}
		i, ok := ids[l.uid]
		switch {
		case l.uid == "":
			// Only its size tells anything without reading it.
			c.NoIDs = true
			if sizes[l.size]--; sizes[l.size] >= 0 {
				c.Same++
			} else {
				c.Missing++
			}
		case ok && here.Size(i) == l.size:
			c.Same++
			c.Disordered = c.Disordered || i < last
			last = i
		case ok:
			c.OtherSize++
		case l.mark.kind == isKnown:
			c.Came++
		default:
			c.Missing++
		}
	}
	return c, nil
}

// compareState marks what has come, by what is written down about an account, if anything is.
func (l *listing) compareState(dir string, a *Account) error {
	f, err := os.Open(stateFile(dir, a))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = l.compare(func(func(event, error) bool) {}, 0, 0)
		return err
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		_, err = l.compare(events(f), info.Size(), 0)
	}
	return err
}
