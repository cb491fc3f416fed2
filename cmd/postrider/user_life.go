package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/cluster"
	clusterpg "github.com/postrider-mail/postrider/internal/cluster/postgres"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// What becomes of the mail of accounts that come, go and are called otherwise.

func userRemoveCommand() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:     "remove ADDRESS",
		Aliases: []string{"rm"},
		Short:   "Remove an account",
		Long: `Remove an account from every file of the configuration. Its mail stays in the store:
"postrider store stat" marks it, and "user add --keep" gives it to an account of that
name. With --mail it is deleted for good, also that of an account removed earlier.`,
		Example:           "  postrider user remove -c /etc/postrider alice@example.com",
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.removeUser(cmd, args[0]) },
		ValidArgsFunction: f.complete,
	}
	f.add(c)
	c.Flags().BoolVar(&f.mail, "mail", false, "delete its mail, too, for good")
	return c
}

func (f *userFlags) removeUser(cmd *cobra.Command, name string) error {
	s, at, missing := f.load(name)
	if missing != nil {
		if s == nil || !f.mail {
			return missing
		}
		if n, err := mailFrom(cmd.Context(), s, at); err != nil || n == 0 {
			return errors.Join(missing, err)
		}
		if err := purge(cmd, s, at); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "the mail of %s is deleted; it was no account any more\n", at)
		return nil
	}
	out, err := f.apply(cmd, func(s *conf.Settings) ([]*conf.Edit, error) { return s.RemoveAccount(at) })
	if err != nil {
		return err
	}
	out.Address = at.String()
	if s, err := conf.Load(confPath(f.path)); err == nil && s.Book().Accounts[at] != nil {
		return fmt.Errorf("%s still stands in the configuration, after it was taken out of %s", at, strings.Join(out.Files, ", "))
	}
	done := at.String() + " is removed from " + strings.Join(out.Files, ", ")
	if n := mailOf(cmd.Context(), s, at); n > 0 && !f.mail {
		done += fmt.Sprintf("; %s of it stay in the store", count(n, "message"))
	}
	err = f.finish(cmd, out, done)
	if err := forget(cmd.Context(), s, at); err != nil { // when no server lets anybody in there any more
		return err
	}
	if err != nil || !f.mail {
		return err
	}
	return purge(cmd, s, at) // when no server delivers there any more
}

// mailOf counts the messages that a mailbox holds, as far as one can see.
func mailOf(ctx context.Context, s *conf.Settings, at domains.Address) int64 {
	n, _ := countMail(ctx, s, at)
	return n
}

func countMail(ctx context.Context, s *conf.Settings, at domains.Address) (int64, error) {
	store, err := lookInto(ctx, s)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	use, err := store.Usage(ctx, at.String())
	return use.Messages, err
}

// mailFrom is mailOf for a name that an account is to get: a database that is away is no empty mailbox.
func mailFrom(ctx context.Context, s *conf.Settings, at domains.Address) (int64, error) {
	n, err := countMail(ctx, s, at)
	if err != nil && s.Store.Postgres != "" {
		return 0, fmt.Errorf("whether there is mail of that name from before cannot be seen: %w", err)
	}
	return n, nil
}

// leftover refuses to give a new account the mail of one that was removed, unless
// that is said.
func (f *userFlags) leftover(cmd *cobra.Command, s *conf.Settings, at domains.Address) error {
	if f.keep || f.fresh {
		return nil
	}
	if _, err := os.ReadDir(s.MailDir); s.Store.Postgres == "" && err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("whether there is mail of that name from before cannot be seen: %w", err)
	}
	n, err := mailFrom(cmd.Context(), s, at)
	if err != nil {
		return err
	}
	if n == 0 {
		if box, err := boxOf(s, at); err != nil || box == nil {
			return err
		}
		return errors.New("there is a mailbox of that name with keys of sealed mail, of an account that was removed: --keep gives it to the new one, --fresh deletes it")
	}
	return fmt.Errorf("there is a mailbox of that name with %s, of an account that was removed: --keep gives it to the new one, --fresh deletes it", count(n, "message"))
}

// purge deletes a mailbox.
func purge(cmd *cobra.Command, s *conf.Settings, at domains.Address) error {
	return inStore(cmd.Context(), s, func(store mailboxes) error { return store.Purge(cmd.Context(), at.String()) })
}

// mailboxes are what all kinds of stores have.
type mailboxes interface {
	mailstore.Store
	Purge(ctx context.Context, user string) error
	Rename(ctx context.Context, from, to string) error
	io.Closer
}

// lookInto opens the store beside a running server, to read.
func lookInto(ctx context.Context, s *conf.Settings) (mailboxes, error) {
	if s.Store.Postgres != "" {
		return daemon.OpenDatabase(ctx, s)
	}
	return maildir.Open(s.MailDir, maildir.WithMode(maildir.ReadOnly))
}

// inStore changes the store beside a running server.
func inStore(ctx context.Context, s *conf.Settings, change func(mailboxes) error) error {
	if s.Store.Postgres == "" {
		return inMaildirs(s, func(store *maildir.Store) error { return change(store) })
	}
	store, err := daemon.OpenDatabase(ctx, s)
	if err != nil {
		return err
	}
	defer store.Close()
	return change(store)
}

// inMaildirs changes a store of Maildirs, as the user that it belongs to: what root made, the server could not read. A store that is not
// there yet has nothing to change.
func inMaildirs(s *conf.Settings, change func(*maildir.Store) error) error {
	return asOwner(s.MailDir, func() error {
		store, err := maildir.Open(s.MailDir, maildir.WithMode(maildir.Share))
		if err != nil {
			return err
		}
		defer store.Close()
		return change(store)
	})
}

// asOwner does something as the user that a directory belongs to; nothing, where it is not there.
func asOwner(dir string, do func() error) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if uid, gid, ok := sys.Owner(info); ok && os.Geteuid() == 0 && uid != 0 {
		return sys.As(uid, gid, do)
	}
	return do()
}

// inPreferences changes what users have decided, beside a running server, which looks whenever it needs to know. Where
// there is nothing yet, there is nothing to change.
func inPreferences(s *conf.Settings, change func(*preferences.Store) error) error {
	dir := preferences.Dir(s.DataDir)
	var documents cluster.Documents // of all servers on a database
	if _, err := os.Stat(dir); err == nil && s.Store.Postgres != "" {
		all, done, err := daemon.OpenDocuments(context.Background(), s)
		switch {
		case err == nil:
			defer done()
			documents = all
		case !errors.Is(err, clusterpg.ErrOtherKey): // a server with another key goes by its own files
			return fmt.Errorf("what users decide is in the database: %w", err)
		}
	}
	return asOwner(dir, func() error {
		disk, err := durable.Open(dir)
		if err != nil {
			return err
		}
		defer disk.Close()
		kept, err := preferences.Open(context.Background(), dir, disk)
		if err != nil {
			return err
		}
		if documents != nil {
			kept.Share(documents, nil)
		}
		return change(kept)
	})
}

// forget removes what the users of accounts have decided.
func forget(ctx context.Context, s *conf.Settings, accounts ...domains.Address) error {
	return inPreferences(s, func(kept *preferences.Store) error {
		for _, at := range accounts {
			if err := kept.Remove(ctx, at); err != nil {
				return err
			}
		}
		return nil
	})
}

func userRenameCommand() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "rename ADDRESS NEW",
		Short: "Give an account another address",
		Long: `Give an account another address: its mail, its password and whatever leads to it go
along. Nobody has the old address then; "alias add" has it lead to the new one, also
for reports about mail in the queue, which keeps its old sender. Where the account has
logged in from is not known of the new name. If it is interrupted, the same command
finishes it.`,
		Example:           "  postrider user rename -c /etc/postrider alice@example.com alice.smith@example.com",
		Args:              cobra.ExactArgs(2),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.renameUser(cmd, args[0], args[1]) },
		ValidArgsFunction: f.complete,
	}
	f.add(c)
	return c
}

func (f *userFlags) renameUser(cmd *cobra.Command, name, written string) (err error) {
	s, at, missing := f.load(name)
	if s == nil {
		return missing
	}
	to := address(s, written)
	move := func() error {
		return inStore(cmd.Context(), s, func(store mailboxes) error { return store.Rename(cmd.Context(), at.String(), to.String()) })
	}
	if missing != nil {
		if n := mailOf(cmd.Context(), s, at); n > 0 && s.Book().Accounts[to] != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s left of %s go to %s\n", count(n, "message"), at, to)
			return move()
		}
		return missing
	}
	if n, err := mailFrom(cmd.Context(), s, to); err != nil {
		return err
	} else if n > 0 {
		return fmt.Errorf("there is a mailbox of that name with %s, of an account that was removed; to delete it: postrider user remove --mail %s", count(n, "message"), to)
	}
	ours, err := boxOf(s, at)
	if err != nil {
		return err
	}
	theirs, err := boxOf(s, to)
	if err != nil {
		return err
	}
	if ours != nil && theirs != nil { // said before the settings are changed: the mail could not follow them
		return fmt.Errorf("the mailbox of %s still has keys of sealed mail, of an account that was removed, and room for one postrider.keys alone: move that away first", to)
	}
	out, err := f.apply(cmd, func(s *conf.Settings) ([]*conf.Edit, error) {
		return s.RenameAccount(at, to, resealAPOP(s.SecretKeyFile))
	})
	if err != nil {
		return err
	}
	out.Address, out.To = at.String(), to.String()
	if err := inPreferences(s, func(kept *preferences.Store) error { return kept.Copy(cmd.Context(), at, to) }); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, forget(cmd.Context(), s, at)) }()
	return f.finishMove(cmd, out, fmt.Sprintf("%s is %s now, in %s", at, to, strings.Join(out.Files, ", ")), move)
}

// finishMove moves mail once while a running server still delivers to the old name,
// and what that has brought since once more when it does not.
func (f *changeFlags) finishMove(cmd *cobra.Command, out *outcome, done string, move func() error) error {
	before := move()
	failed := f.finish(cmd, out, done)
	if err := move(); err != nil {
		return fmt.Errorf("not all mail is moved yet (%w); the same command does it later", errors.Join(before, err))
	}
	return failed
}
