package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// sealWarning is what has to be known before a mailbox is sealed.
const sealWarning = `From now on only the password of %[1]s opens its mail: not you, not a backup alone.
 * Who forgets the password and has lost the recovery key has lost the mail. Nobody can help then.
 * Mail programs must log in with the password itself (PLAIN, LOGIN, USER and PASS, over TLS): not by SCRAM, CRAM-MD5 or APOP.
 * Mail is in clear while it comes in, and to whoever controls this server while somebody is logged in.
docs/sealed.md has the rest, and how to get out again.

`

func userSealCommand() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "seal ADDRESS",
		Short: "Have only the owner of a mailbox read its mail",
		Long: `Have only the owner of a mailbox read its mail: each message is encrypted when it is
stored, and the account's password opens it when somebody logs in. Mail that is there
already is sealed by the server in the background; "user keys" says how far it is.

The password is asked for, and a recovery key is printed, once: the only thing that
opens the mail when the password is forgotten. It is printed in groups of letters, as
words and as a code for a camera; any of these is read back. Two of its groups or words
are asked back before anything is done. With --stdin the lines of standard input are
the password and these two.

Passwords of devices that are there do not open the mail: they are to be made anew at
the pages.`,
		Example:           "  postrider user seal -c /etc/postrider alice@example.com",
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.sealUser(cmd, args[0]) },
		ValidArgsFunction: f.complete,
	}
	f.add(c)
	c.Flags().BoolVar(&f.stdin, "stdin", false, "read what is asked for from standard input")
	return c
}

// inKeys gives the keys of sealed mailboxes, and the mailboxes, to do; where they are in files, as the user that these belong to.
func inKeys(s *conf.Settings, do func(daemon.Boxes, *mailkeys.Store) error) error {
	if s.Store.Postgres != "" {
		store, err := daemon.OpenDatabase(context.Background(), s)
		if err != nil {
			return err
		}
		defer store.Close()
		return do(daemon.InDatabase{Store: store}, mailkeys.NewShared(store))
	}
	if _, err := os.Stat(s.MailDir); err != nil {
		return fmt.Errorf("mail store: %w (the server makes it when it starts first)", err)
	}
	return inMaildirs(s, func(store *maildir.Store) error { return do(daemon.InMaildirs{Store: store}, mailkeys.New(store)) })
}

// boxOf is what is kept of a mailbox; nil: nothing.
func boxOf(s *conf.Settings, at domains.Address) (box *mailkeys.Box, err error) {
	if _, err := os.Stat(s.MailDir); errors.Is(err, os.ErrNotExist) && s.Store.Postgres == "" {
		return nil, nil
	}
	err = inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error {
		box, err = k.Of(at.String())
		return err
	})
	return box, err
}

// provePassword asks for the password of an account and checks it.
func (f *userFlags) provePassword(cmd *cobra.Command, s *conf.Settings, at domains.Address) ([]byte, error) {
	password, err := askPassword(cmd, at.String(), f.stdin, false)
	if err != nil {
		return nil, err
	}
	a := s.Book().Accounts[at]
	p, err := preferences.Look(preferences.Dir(s.DataDir)).Of(at)
	if err != nil {
		return nil, err
	}
	stored := &conf.Account{Password: a.Password}
	if p != nil && accounts.OwnPassword(a, p) {
		stored.Password = conf.Secret(p.Password.Hash)
	}
	return password, testPassword(stored, at, password)
}

func (f *userFlags) sealUser(cmd *cobra.Command, name string) error {
	s, at, err := f.load(name)
	if err != nil {
		return err
	}
	box, err := boxOf(s, at)
	if err != nil {
		return err
	}
	if to := s.Book().Accounts[at].Sealed; to != "" {
		if box != nil && box.State != mailkeys.Sealed && slices.Contains(box.Keyring.Known(), to) { // this command was broken off
			return f.settleSealed(cmd, s, at, &outcome{Files: []string{}}, to, fmt.Sprintf("%s is sealed to %s", at, to))
		}
		return fmt.Errorf("%s is sealed already; \"postrider user keys %[1]s\" says how far", at)
	}
	say := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format, args...) }
	say(sealWarning, at)
	password, err := f.provePassword(cmd, s, at)
	if err != nil {
		return err
	}
	ring, recovery, err := ringFor(box, password)
	if err != nil {
		return err
	}
	if err := f.askBack(cmd, recovery); err != nil {
		return fmt.Errorf("%w; nothing was sealed", err)
	}
	err = inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error {
		return k.Change(cmd.Context(), at.String(), func(b *mailkeys.Box) error {
			if (b.Keyring == nil) != (box == nil) || box != nil && b.Keyring.Generation() != box.Keyring.Generation() {
				return errors.New("its keys were changed meanwhile; nothing was sealed")
			}
			b.Keyring = ring // its state stays: what there may be sealed needs keys that were there before
			return nil
		})
	})
	if err != nil {
		return err
	}
	out, err := f.apply(cmd, change.Single(func(s *conf.Settings) (*conf.Edit, error) { return s.SetSealed(at, ring.Recipient()) }))
	if err != nil {
		return err
	}
	f.noteDevices(cmd, s, at)
	return f.settleSealed(cmd, s, at, out, ring.Recipient(), fmt.Sprintf("%s is sealed to %s, in %s", at, ring.Recipient(), strings.Join(out.Files, ", ")))
}

// settleSealed is the end of "user seal", when the settings say to what a mailbox is sealed: the server learns of it, and then its keys have it.
func (f *userFlags) settleSealed(cmd *cobra.Command, s *conf.Settings, at domains.Address, out *outcome, recipient, done string) error {
	out.Address = at.String()
	if err := f.finish(cmd, out, done); err != nil {
		return err
	}
	if err := setState(cmd.Context(), s, at, mailkeys.Sealed); err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format, args...) }
	if s.Store.Postgres != "" {
		say("other servers on this database take no mail for it until their settings have the line, too: \"sealed\": %q\n", recipient)
	}
	say("mail that was there before is sealed by the running server, or when it starts; \"postrider user keys %s\" says how far it is\n", at)
	return nil
}

// ringFor makes keys, or goes on with those of a mailbox that was sealed before: its old mail may need them.
func ringFor(box *mailkeys.Box, password []byte) (ring *sealedmail.Keyring, recovery string, err error) {
	if box == nil {
		return mailkeys.NewKeyring(password)
	}
	ring = box.Keyring.Clone()
	keys, err := mailkeys.Unlock(ring, password)
	if err != nil && box.State == mailkeys.Made { // nothing was sealed yet
		return mailkeys.NewKeyring(password)
	}
	if err != nil {
		return nil, "", fmt.Errorf("it has keys from before, which this password does not open: %w", err)
	}
	recovery, err = ring.NewRecovery(keys)
	return ring, recovery, err
}

func setState(ctx context.Context, s *conf.Settings, at domains.Address, state mailkeys.State) error {
	return inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error {
		return k.Change(ctx, at.String(), func(b *mailkeys.Box) error {
			b.State = state
			return nil
		})
	})
}

// askBack prints a recovery key, and wants to see that it was written down.
func (f *userFlags) askBack(cmd *cobra.Command, recovery string) error {
	words, err := sealedmail.RecoveryWords(recovery)
	if err != nil {
		return err
	}
	code, err := qr.Encode(strings.ToUpper(recovery), qr.M)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(cmd.ErrOrStderr(), "This is the recovery key, three times: one of them is enough. It is shown once, and kept nowhere: write it down.\n\n")
	fmt.Fprintf(out, "%s\n\n%s\n\n", recovery, words)
	drawCode(out, code, isTerminal(out))
	groups, each := strings.Split(recovery, "-"), strings.Fields(words)
	for _, n := range []int{3, 7} {
		typed, err := f.ask(cmd, fmt.Sprintf("Its group number %d, or its word number %[1]d, from your paper, or all of it", n))
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(typed))
		if whole, err := sealedmail.ParseRecovery(text); err == nil && whole == strings.Join(groups[:8], "") {
			return nil // as a camera reads it, or from a file
		}
		if !strings.EqualFold(text, groups[n-1]) && !strings.EqualFold(text, each[n-1]) {
			return fmt.Errorf("that is neither group nor word number %d of the recovery key", n)
		}
	}
	return nil
}

// noteDevices says which passwords of devices do not open the mail.
func (f *userFlags) noteDevices(cmd *cobra.Command, s *conf.Settings, at domains.Address) {
	p, err := preferences.Look(preferences.Dir(s.DataDir)).Of(at)
	if err != nil || p == nil || len(p.Apps) == 0 {
		return
	}
	var names []string
	for _, a := range p.Apps {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	fmt.Fprintf(cmd.ErrOrStderr(), "passwords of devices that still send, but do not open the mail until they are made anew at the pages: %s\n", strings.Join(names, ", "))
}

func userUnsealCommand() *cobra.Command {
	var f userFlags
	var recovery bool
	c := &cobra.Command{
		Use:   "unseal ADDRESS",
		Short: "Keep the mail of a sealed mailbox in clear again",
		Long: `Keep the mail of a sealed mailbox in clear again: new mail from the moment the server
knows it, and what is there by this command, which may be interrupted and started
again. The password opens it, or with --recovery the recovery key. The keys stay where
they are, for backups of the sealed mail.`,
		Example:           "  postrider user unseal -c /etc/postrider alice@example.com",
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.unsealUser(cmd, args[0], recovery) },
		ValidArgsFunction: f.complete,
	}
	f.add(c)
	c.Flags().BoolVar(&f.stdin, "stdin", false, "read what is asked for from standard input")
	c.Flags().BoolVar(&recovery, "recovery", false, "ask for the recovery key, not the password")
	return c
}

// openRing asks for what opens the keys of a mailbox.
func (f *userFlags) openRing(cmd *cobra.Command, at domains.Address, ring *sealedmail.Keyring, recovery bool) (*sealedmail.Unlocked, error) {
	if ring == nil {
		return nil, fmt.Errorf("%s: %w", at, mailkeys.ErrNone)
	}
	if recovery {
		key, err := f.ask(cmd, "Recovery key of "+at.String())
		if err != nil {
			return nil, err
		}
		return ring.Recover(string(key))
	}
	password, err := askPassword(cmd, at.String(), f.stdin, false)
	if err != nil {
		return nil, err
	}
	return mailkeys.Unlock(ring, password)
}

func ringOf(box *mailkeys.Box) *sealedmail.Keyring {
	if box == nil {
		return nil
	}
	return box.Keyring
}

func (f *userFlags) unsealUser(cmd *cobra.Command, name string, recovery bool) error {
	s, at, err := f.load(name)
	if err != nil {
		return err
	}
	box, err := boxOf(s, at)
	if err != nil {
		return err
	}
	keys, err := f.openRing(cmd, at, ringOf(box), recovery)
	if err != nil {
		return err
	}
	if err := setState(cmd.Context(), s, at, mailkeys.Leaving); err != nil {
		return err
	}
	if s.Book().Accounts[at].Sealed != "" {
		out, err := f.apply(cmd, change.Single(func(s *conf.Settings) (*conf.Edit, error) { return s.SetSealed(at, "") }))
		if err != nil {
			return err
		}
		out.Address = at.String()
		if err := f.finish(cmd, out, at.String()+" is not sealed any more, in "+strings.Join(out.Files, ", ")); err != nil {
			return err
		}
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	return inKeys(s, func(boxes daemon.Boxes, _ *mailkeys.Store) error {
		before, err := boxes.Count(ctx, at.String())
		if err != nil {
			return err
		}
		total := before.Messages - before.Plain
		bar := newProgress(cmd, int64(total))
		n, err := daemon.UnsealMailbox(ctx, boxes, at.String(), keys, func(n int) { bar.show(int64(n), fmt.Sprintf("%d of %d unsealed", n, total)) })
		bar.end()
		fmt.Fprintf(cmd.ErrOrStderr(), "%s unsealed, %d left\n", count(n, "message"), total-n)
		return err
	})
}

// ask asks for a line that may be seen.
func (f *userFlags) ask(cmd *cobra.Command, prompt string) ([]byte, error) {
	if !f.stdin {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: ", prompt)
	}
	return readLine(cmd.InOrStdin())
}

// rewrap has a new password open the mail of a sealed mailbox before it opens the account, and settles it afterwards. Between the two both open the mail.
func (f *userFlags) rewrap(cmd *cobra.Command, s *conf.Settings, at domains.Address, box *mailkeys.Box, password []byte) (settle func() error, err error) {
	if box == nil {
		return func() error { return nil }, nil
	}
	if f.lose {
		return f.loseMail(cmd, s, at, password)
	}
	if !f.stdin {
		what := "the password of now"
		if f.recovery {
			what = "the recovery key"
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is sealed: %s is needed, or its mail is lost\n", at, what)
	}
	keys, err := f.openRing(cmd, at, box.Keyring, f.recovery)
	if err != nil {
		return nil, fmt.Errorf("%w; nothing was changed", err)
	}
	var id string
	err = inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error {
		id, err = k.Begin(cmd.Context(), at.String(), keys, password)
		return err
	})
	return func() error {
		return inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error { return k.Settle(cmd.Context(), at.String(), id) })
	}, err
}

// forgetApps has no password of a device open the mail of a sealed mailbox any more, when they are all forgotten.
func forgetApps(ctx context.Context, s *conf.Settings, at domains.Address, box *mailkeys.Box) error {
	if box == nil {
		return nil
	}
	return inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error {
		return k.Change(ctx, at.String(), func(b *mailkeys.Box) error {
			if b.Keyring == nil {
				return mailkeys.ErrNone
			}
			return b.Keyring.RemoveApps(func(string) bool { return true })
		})
	})
}

// loseMail gives a mailbox that nothing opens any more new keys, when its address was typed.
func (f *userFlags) loseMail(cmd *cobra.Command, s *conf.Settings, at domains.Address, password []byte) (settle func() error, err error) {
	fmt.Fprintf(cmd.ErrOrStderr(), "The mail of %s can be read by nobody after this, unless a password or recovery key from before is found (user keys --bring).\n", at)
	typed, err := f.ask(cmd, "To go on, type the address")
	if err != nil {
		return nil, err
	}
	if domains.CanonicalAddress(strings.TrimSpace(string(typed))) != at {
		return nil, errors.New("that is not the address; nothing was changed")
	}
	fresh, recovery, err := mailkeys.NewKeyring(password)
	if err == nil {
		err = f.askBack(cmd, recovery)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; nothing was changed", err)
	}
	err = inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error { return k.Replace(cmd.Context(), at.String(), fresh) })
	if err != nil {
		return nil, err
	}
	if s.Book().Accounts[at].Sealed != "" {
		_, err = f.apply(cmd, change.Single(func(s *conf.Settings) (*conf.Edit, error) { return s.SetSealed(at, fresh.Recipient()) }))
	}
	return func() error { return nil }, err
}
