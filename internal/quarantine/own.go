package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// What users see of it is what is theirs. Several may have one message in a mailbox that they share: nobody gives it free for the
// others, or takes it from them.

// mostLooked is how many messages of a mailbox are looked at for the list of one user: in one that all share, most are not his.
const mostLooked = 5000

// Own returns the newest of what was put aside of an account, most at most, and whether there may be more. A message that is
// damaged keeps nobody from the others: List tells the operator of it, who can do something.
func (p *Places) Own(ctx context.Context, owner domains.Address, most int) (items []Item, more bool, err error) {
	for _, name := range p.boxesOf(owner) {
		box, err := p.Store.Open(ctx, name.String())
		if err != nil {
			return nil, false, err
		}
		defer box.Close()
		looked := 0
		for i := box.Len() - 1; i >= 0; i-- {
			if len(items) == most || looked == mostLooked {
				return items, true, nil
			}
			looked++
			item, ok, err := p.item(ctx, name, box, i)
			if err != nil && !errors.Is(err, mailstore.ErrGone) && !errors.Is(err, mailstore.ErrDamaged) {
				return nil, false, err
			}
			if err == nil && ok && slices.Contains(item.For, owner) {
				items = append(items, item)
			}
		}
	}
	return items, false, nil
}

// boxesOf are the mailboxes where mail of an account may have been put aside.
func (p *Places) boxesOf(owner domains.Address) (all []domains.Address) {
	for _, box := range p.boxes() {
		if of := p.Boxes[box]; of == owner || of == "" {
			all = append(all, box)
		}
	}
	return all
}

// ReleaseOwn delivers messages of these ids to one of those they are for, each once, and returns them. What is for others as well stays there for them.
// Those that are not there, or not his, are left out; what is Unsafe is not for him to release (ErrUnsafe), and keeps none of the others there.
func (p *Places) ReleaseOwn(ctx context.Context, owner domains.Address, ids []string) (released []Item, err error) {
	var errs []error
	for _, name := range p.boxesOf(owner) {
		err := p.each(ctx, name, ids, func(box mailstore.Maildrop, i int, item Item) error {
			if !slices.Contains(item.For, owner) {
				return nil
			}
			if item.Unsafe {
				errs = append(errs, fmt.Errorf("%w: %s", ErrUnsafe, item.Why))
				return nil
			}
			if len(item.For) == 1 {
				if err := p.release(ctx, box, i, item); err != nil {
					return err
				}
			} else if given, err := p.copyTo(ctx, box, i, item, owner); err != nil || !given {
				return err
			}
			released = append(released, item)
			return nil
		})
		errs = append(errs, err) // not in one with the call, which appends as well
	}
	return released, errors.Join(errs...)
}

// copyTo gives a message to one of several, unless he has it, and reports whether it did.
func (p *Places) copyTo(ctx context.Context, box mailstore.Maildrop, i int, item Item, owner domains.Address) (bool, error) {
	missing, err := p.without(ctx, item.ID, []domains.Address{owner})
	if err != nil || len(missing) == 0 {
		return false, err
	}
	keeper, ok := box.(mailstore.Keeper)
	if !ok {
		return false, errNoKeeper
	}
	// Who gives it free for all later looks who has it, and gives it to nobody twice.
	if err := keeper.Flag(ctx, []int{i}, begun); err != nil {
		return false, err
	}
	return true, p.deliver(ctx, box, i, missing)
}
