package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/mailstore/sealed"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// noRecipient is for who only reads.
func noRecipient(string) (string, error) { return "", nil }

// sealing is the store for who brings mail in: what comes into a sealed mailbox is sealed. Of a store without settings, its keys alone say which are.
func (f *storeFlags) sealing(s *maildir.Store) mailstore.Store {
	keys := mailkeys.New(s)
	return sealed.New(s, func(user string) (string, error) {
		if f.settings != nil {
			said := ""
			if a := f.settings.Book().Accounts[domains.CanonicalAddress(user)]; a != nil {
				said = a.Sealed
			}
			return keys.Recipient(user, said)
		}
		box, err := keys.Of(user)
		if err != nil || box == nil || box.State != mailkeys.Sealed {
			return "", err
		}
		return box.Keyring.Recipient(), nil
	}, nil)
}

// unlock asks for the password of a mailbox of which something is sealed.
func (f *exportFlags) unlock(cmd *cobra.Command, s *maildir.Store, user string, m mailstore.Maildrop) error {
	if single, ok := m.(*singleDrop); ok {
		m = single.Maildrop
	}
	u, ok := m.(sealed.Unlocker)
	if !ok {
		return nil
	}
	any := false
	for i := range u.Len() {
		_, is := u.Sealed(i)
		any = any || is
	}
	if !any {
		return nil
	}
	box, err := mailkeys.New(s).Of(user)
	if err != nil {
		return err
	}
	at := domains.CanonicalAddress(user)
	keys, err := f.user.openRing(cmd, at, ringOf(box), f.user.recovery)
	if err != nil {
		return err
	}
	u.Unlock(keys)
	return nil
}

// verifySealed compares sealed messages with what is known of them without a key: how long they are, and whether the keys beside the mail know theirs.
func verifySealed(ctx context.Context, s *maildir.Store, report func(maildir.Problem)) error {
	keys := mailkeys.New(s)
	for user, err := range s.Users(ctx) {
		if err != nil {
			return err
		}
		if err := verifyMailbox(ctx, s, keys, user, report); err != nil {
			return err
		}
	}
	return nil
}

func verifyMailbox(ctx context.Context, s *maildir.Store, keys *mailkeys.Store, user string, report func(maildir.Problem)) error {
	dir, err := s.Path(user)
	if err != nil {
		return err
	}
	bad := func(path, what string) {
		if rel, err := filepath.Rel(s.Root(), path); err == nil {
			path = rel
		}
		report(maildir.Problem{User: user, Path: path, What: what})
	}
	box, err := keys.Of(user)
	if err != nil {
		bad(dir, "keys cannot be used: "+err.Error())
	}
	folders, err := maildir.Folders(dir)
	if err != nil {
		return err
	}
	alien := 0
	for _, name := range append([]string{""}, folders...) {
		n, err := verifyFolder(ctx, filepath.Join(dir, name), box, bad)
		if err != nil {
			return err
		}
		alien += n
	}
	switch {
	case alien > 0 && box == nil:
		bad(dir, count(alien, "message")+" sealed, and the keys are not there: restore brings them back from a backup that has them")
	case alien > 0:
		bad(dir, count(alien, "message")+" sealed to keys that are not among those of the mailbox")
	}
	return nil
}

// verifyFolder verifies a Maildir, and counts the messages whose key is not known.
func verifyFolder(ctx context.Context, dir string, box *mailkeys.Box, bad func(path, what string)) (alien int, err error) {
	s, err := maildir.Open(dir, maildir.Single(), maildir.WithMode(maildir.ReadOnly))
	if err != nil {
		return 0, err
	}
	defer s.Close()
	m, err := s.Open(ctx, theOnly)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	drop := m.(mailstore.SealedDrop)
	known := make(map[string]bool)
	for _, ring := range ringsOf(box) {
		for _, name := range sealed.Names(ring.Known()) {
			known[name] = true
		}
	}
	for i := range drop.Len() {
		if err := ctx.Err(); err != nil {
			return alien, err
		}
		mark := drop.Mark(i)
		if mark == "" {
			continue
		}
		if !known[sealed.KeyOf(mark)] {
			alien++
		}
		file, octets, err := drop.OpenSealed(ctx, i)
		if err == nil {
			err = errors.Join(sealed.CheckHead(file, octets, mark, drop.Size(i)), file.Close())
		}
		if errors.Is(err, mailstore.ErrDamaged) {
			bad(filepath.Join(dir, drop.File(i)), fmt.Sprintf("is no sealed message as its name says: %v", err))
		}
	}
	return alien, nil
}

// ringsOf are all keyrings of a mailbox.
func ringsOf(box *mailkeys.Box) []*sealedmail.Keyring {
	if box == nil {
		return nil
	}
	return append([]*sealedmail.Keyring{box.Keyring}, box.Lost...)
}

// olderKeys says of which mailboxes a backup has keys that are older than those that are there, which stay, and of which there are none here, so that those of the
// backup come back with all passwords of their time.
func olderKeys(ctx context.Context, s *maildir.Store, backup string, users []string) (lines []string, err error) {
	from, err := maildir.Open(backup, maildir.WithMode(maildir.ReadOnly))
	if err != nil {
		return nil, err
	}
	defer from.Close()
	theirs, ours := mailkeys.New(from), mailkeys.New(s)
	for user, err := range from.Users(ctx) {
		if err != nil {
			return nil, err
		}
		if len(users) > 0 && !slices.ContainsFunc(users, func(u string) bool { return domains.CanonicalAddress(u).String() == user }) {
			continue
		}
		then, err := theirs.Of(user)
		if err != nil || then == nil {
			continue // verify says what is wrong with it
		}
		now, err := ours.Of(user)
		switch was := then.Keyring.Generation(); {
		case err != nil:
			lines = append(lines, fmt.Sprintf("%s: its keys are there and cannot be read, and stay: %v; to have those of the backup (generation %d), move them away first", user, err, was))
		case now == nil:
			lines = append(lines, fmt.Sprintf("%s: its keys came from the backup (generation %d): passwords that were changed or ended since then open its mail again, where they open the account; \"postrider user passwd\" and \"postrider user keys\" make them anew", user, was))
		case now.Keyring.Generation() != was:
			lines = append(lines, fmt.Sprintf("%s: its keys in the backup are of generation %d, and those that are there, of %d, stay", user, was, now.Keyring.Generation()))
		}
	}
	slices.Sort(lines)
	return lines, nil
}
