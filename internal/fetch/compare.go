package fetch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

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
	all, err := t.list(ctx, client)
	if err != nil {
		return c, err
	}
	client.Quit(ctx)
	came, err := readState(f.State, a)
	if err != nil {
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
	c.There = len(all)
	var order []int
	for _, l := range all {
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
			order = append(order, i)
		case ok:
			c.OtherSize++
		case came[sumOf(l.uid)]:
			c.Came++
		default:
			c.Missing++
		}
	}
	c.Disordered = !slices.IsSorted(order)
	return c, nil
}

// readState is which ids have come from a maildrop, as far as it is written down.
func readState(dir string, a *Account) (map[sum]bool, error) {
	f, err := os.Open(stateFile(dir, a))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &state{byID: make(map[sum]known), noID: make(map[sum]int)}
	if _, err := s.read(f); err != nil {
		return nil, err
	}
	came := make(map[sum]bool, len(s.byID))
	for id := range s.byID {
		came[id] = true
	}
	return came, nil
}
