package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/mailstore/postgres"
	"github.com/postrider-mail/postrider/mailstore/sealed"
)

// Boxes are the mailboxes of a store with their folders, whose messages can be given their other form, sealed or in clear.
type Boxes interface {
	// Folders are the names of a mailbox's folders; of one that is not there it has none.
	Folders(ctx context.Context, user string) ([]string, error)
	// Drop opens a mailbox, or one of its folders. It is nil where there is no such mailbox.
	Drop(ctx context.Context, user, folder string) (mailstore.SealedDrop, error)
	// Count counts what is in a mailbox and its folders, by how it is kept. It locks nothing.
	Count(ctx context.Context, user string) (sealed.Count, error)
}

// InMaildirs are the mailboxes of Maildirs. A folder is a Maildir of its own.
type InMaildirs struct{ *maildir.Store }

// Folders implements Boxes.
func (b InMaildirs) Folders(_ context.Context, user string) ([]string, error) {
	has, err := b.Has(user)
	if err != nil || !has {
		return nil, err
	}
	dir, err := b.Path(user)
	if err != nil {
		return nil, err
	}
	return maildir.Folders(dir)
}

// Drop implements Boxes.
func (b InMaildirs) Drop(ctx context.Context, user, folder string) (mailstore.SealedDrop, error) {
	has, err := b.Has(user)
	if err != nil || !has {
		return nil, err
	}
	if folder != "" {
		return b.single(ctx, user, folder, maildir.Share)
	}
	return sealedDrop(b.Open(ctx, user))
}

// single opens a Maildir as one that is in no store.
func (b InMaildirs) single(ctx context.Context, user, folder string, mode maildir.Mode) (mailstore.SealedDrop, error) {
	dir, err := b.Path(user)
	if err != nil {
		return nil, err
	}
	s, err := maildir.Open(filepath.Join(dir, folder), maildir.Single(), maildir.WithMode(mode))
	if err != nil {
		return nil, err
	}
	m, err := sealedDrop(s.Open(ctx, user))
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return closing{m, s}, nil
}

// Leftovers of a mailbox that is in a store are those of what it is a wrapper of.
func (c closing) Leftovers(ctx context.Context, sealed bool) error {
	if l, ok := c.SealedDrop.(interface {
		Leftovers(ctx context.Context, sealed bool) error
	}); ok {
		return l.Leftovers(ctx, sealed)
	}
	return nil
}

// closing is a maildrop that has a store for itself.
type closing struct {
	mailstore.SealedDrop
	s *maildir.Store
}

func (c closing) Close() error { return errors.Join(c.SealedDrop.Close(), c.s.Close()) }

// Count implements Boxes.
func (b InMaildirs) Count(ctx context.Context, user string) (sum sealed.Count, err error) {
	sum.Keys = make(map[string]int)
	has, err := b.Has(user)
	if err != nil || !has {
		return sum, err
	}
	folders, err := b.Folders(ctx, user)
	if err != nil {
		return sum, err
	}
	for _, name := range append([]string{""}, folders...) {
		m, err := b.single(ctx, user, name, maildir.ReadOnly)
		if err == nil {
			sum.Add(sealed.CountDrop(m))
			err = m.Close()
		}
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// InDatabase are the mailboxes of a database.
type InDatabase struct{ *postgres.Store }

// Drop implements Boxes.
func (b InDatabase) Drop(ctx context.Context, user, folder string) (mailstore.SealedDrop, error) {
	if folder != "" {
		return sealedDrop(b.OpenFolder(ctx, user, folder))
	}
	return sealedDrop(b.Open(ctx, user))
}

// Count implements Boxes.
func (b InDatabase) Count(ctx context.Context, user string) (sealed.Count, error) {
	marks, err := b.Marks(ctx, user)
	return sealed.CountMarks(marks), err
}

// sealedDrop is a maildrop that keeps sealed messages.
func sealedDrop(m mailstore.Maildrop, err error) (mailstore.SealedDrop, error) {
	if err != nil {
		return nil, err
	}
	if is, ok := m.(mailstore.SealedDrop); ok {
		return is, nil
	}
	return nil, errors.Join(fmt.Errorf("this store keeps no sealed messages"), m.Close())
}
