package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// storeFlags say which store.
type storeFlags struct {
	conf string
	mail string

	settings *conf.Settings // nil if --mail was given
}

// reserve is what is left free on the disk by what writes beside the server: as much as the server leaves.
func (f *storeFlags) reserve(dir string) maildir.Option {
	if f.settings == nil {
		return maildir.WithReserve(daemon.KeepFree(conf.New(), dir))
	}
	return maildir.WithReserve(daemon.KeepFree(f.settings, dir))
}

// sizeFlag bounds messages that come from elsewhere.
type sizeFlag struct{ text string }

func (f *sizeFlag) add(c *cobra.Command) {
	c.Flags().StringVar(&f.text, "max-size", "", "largest message that is taken; larger ones are named (default: SMTP.max_message_size; with --mail, any)")
}

// octets is that size, 0 for any.
func (f *sizeFlag) octets(cmd *cobra.Command, s *conf.Settings) (int64, error) {
	switch {
	case f.text != "":
		n, err := config.ParseSize(f.text)
		if err != nil {
			return 0, usage(cmd, fmt.Errorf("--max-size: %w", err))
		}
		return int64(n), nil
	case s == nil:
		return 0, nil
	}
	return int64(s.SMTP.MaxMessageSize), nil
}

func (f *storeFlags) add(c *cobra.Command) {
	confFlag(c, &f.conf)
	c.Flags().StringVar(&f.mail, "mail", "", "folder of the mail store itself, instead of -c")
	c.MarkFlagDirname("mail")
	c.MarkFlagsMutuallyExclusive("conf", "mail")
}

// dir is the folder of the store.
func (f *storeFlags) dir() (string, error) {
	if f.mail != "" {
		return f.mail, nil
	}
	s, err := conf.Load(confPath(f.conf))
	if err != nil {
		return "", err
	}
	f.settings = s
	if s.Store.Postgres != "" {
		return "", errInDatabase
	}
	return s.MailDir, nil
}

// errInDatabase: what a command does, it does with Maildirs.
var errInDatabase = errors.New(`the mail is in a database (Store.postgres), and this command knows Maildirs alone: "postrider store copy" brings it from one to the other, and docs/cluster.md has what PostgreSQL's own programs do`)

// read opens the store for reading, beside a running daemon.
func (f *storeFlags) read() (*maildir.Store, error) {
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("mail store: %w", err)
	}
	return maildir.Open(dir, maildir.WithMode(maildir.ReadOnly))
}

// reading opens the store for reading while do runs, until SIGINT or SIGTERM.
func (f *storeFlags) reading(cmd *cobra.Command, do func(ctx context.Context, s *maildir.Store) error) error {
	s, err := f.read()
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, stop := interruptible(cmd)
	defer stop()
	return do(ctx, s)
}

// interruptible is the command's context, ended by SIGINT and SIGTERM.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
}

func storeCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "store",
		Short: "Look after the mail store: verify, count, import, export, back up",
		Long: `Look after the mail store. All of these may run beside the server, and none of
them ever deletes a message.`,
	}, storeVerifyCommand(), storeCopyCommand(), storeStatCommand(), storeTrashCommand(), storeUndeleteCommand(), importCommand(), exportCommand(),
		backupCommand(), restoreCommand())
}

func storeStatCommand() *cobra.Command {
	var f storeFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "stat [-c DIR] [ADDRESS...]",
		Short: "Count messages and octets of each mailbox",
		Long: `Count messages and octets of each mailbox. One that belongs to no account of the
configuration is marked: "user add --keep" gives it to one, "user remove --mail"
deletes it.`,
		Example: "  postrider store stat -c /etc/postrider\n  postrider store stat -c /etc/postrider alice@example.com",
		RunE: func(cmd *cobra.Command, users []string) error {
			return f.reading(cmd, func(ctx context.Context, s *maildir.Store) error {
				views, err := f.stat(ctx, cmd, s, users)
				if err != nil && !errors.Is(err, errSaid) {
					return err
				}
				if asJSON {
					return errors.Join(printJSON(cmd, views), err)
				}
				return errors.Join(printStat(cmd, views), err)
			})
		},
	}
	f.add(c)
	jsonFlag(c, &asJSON)
	return c
}

// boxView is a mailbox as "store stat" shows it.
type boxView struct {
	Mailbox  string `json:"mailbox"`
	Messages int64  `json:"messages"`
	Octets   int64  `json:"octets"`
	Trash    int64  `json:"trash"`  // messages that are hidden from POP3, of Messages
	Orphan   bool   `json:"orphan"` // no account has it, and no reports come there
}

// stat looks at some mailboxes, or all of them.
func (f *storeFlags) stat(ctx context.Context, cmd *cobra.Command, s *maildir.Store, users []string) (views []boxView, failed error) {
	if len(users) == 0 {
		for u, err := range s.Users(ctx) {
			if err != nil {
				return nil, err
			}
			users = append(users, u)
		}
		slices.Sort(users)
	}
	var book *conf.Book
	if f.settings != nil {
		book = f.settings.Book()
	}
	views = []boxView{}
	for _, u := range users {
		if err := known(s, u); err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), err)
			failed = errSaid
			continue
		}
		use, err := s.Usage(ctx, u)
		if err != nil {
			return nil, err
		}
		hidden, err := trashed(ctx, s, u)
		if err != nil {
			return nil, err
		}
		at := domains.CanonicalAddress(u)
		orphan := book != nil && book.Accounts[at] == nil && !book.Reports[at]
		views = append(views, boxView{u, use.Messages, use.Octets, int64(len(hidden)), orphan})
	}
	return views, failed
}

func printStat(cmd *cobra.Command, views []boxView) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
	var messages, octets int64
	for _, v := range views {
		name := v.Mailbox
		if v.Trash > 0 {
			name += fmt.Sprintf(" (%d in the trash)", v.Trash)
		}
		if v.Orphan {
			name += " (no account)"
		}
		messages += v.Messages
		octets += v.Octets
		fmt.Fprintf(w, "%d\t%s\t\t %s\n", v.Messages, size(v.Octets), name)
	}
	fmt.Fprintf(w, "%d\t%s\t\t in %s\n", messages, size(octets), count(len(views), "mailbox"))
	return w.Flush()
}

func backupCommand() *cobra.Command {
	var f storeFlags
	var previous string
	c := &cobra.Command{
		Use:   "backup [-c DIR] [--previous OLD] NEW",
		Short: "Copy the mail store, while the server runs",
		Long: `Copy the mail store to the folder NEW, which must not exist yet. Each message is
in it whole or not at all; NEW appears when all of it is on the disk.

With --previous, messages that are in that earlier backup already are linked from
there instead of copied. Each backup is complete: any of them can be removed.

A backup is itself a mail store: "postrider store verify --mail NEW" checks it.`,
		Example: `  postrider backup -c /etc/postrider /backup/monday
  postrider backup -c /etc/postrider --previous /backup/monday /backup/tuesday`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.reading(cmd, func(ctx context.Context, s *maildir.Store) error {
				bar := newProgress(cmd, 0)
				sum, err := s.Backup(ctx, args[0], previous, bar.copied)
				bar.end()
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s, %s: %d copied (%s), %d linked\n",
						count(sum.Mailboxes, "mailbox"), count(sum.Messages, "message"), sum.Copied, size(sum.Octets), sum.Linked)
				}
				return err
			})
		},
	}
	f.add(c)
	c.Flags().StringVar(&previous, "previous", "", "an earlier backup, on the same file system as NEW")
	c.MarkFlagDirname("previous")
	return c
}

func restoreCommand() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "restore [-c DIR] BACKUP [ADDRESS...]",
		Short: "Bring back from a backup what is missing in the store",
		Long: `Bring back those messages of a backup that are not in the store, with the unique
ids they had, so that clients that left mail on the server do not fetch it again.
Nothing is removed or replaced. Messages deleted since the backup come back too.
With addresses, only those mailboxes.`,
		Example: "  postrider restore -c /etc/postrider /backup/monday alice@example.com",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.asOwner(cmd, true, func(s *maildir.Store) error {
				ctx, stop := interruptible(cmd)
				defer stop()
				older, err := olderKeys(ctx, s, args[0], args[1:])
				if err != nil {
					return err
				}
				bar := newProgress(cmd, 0)
				sum, err := s.Restore(ctx, args[0], args[1:], bar.copied)
				bar.end()
				for _, line := range older {
					fmt.Fprintln(plain{cmd.ErrOrStderr()}, line)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s, %s: %d brought back (%s), %d there already\n",
					count(sum.Mailboxes, "mailbox"), count(sum.Messages, "message"), sum.Copied, size(sum.Octets), sum.Linked)
				return err
			})
		},
	}
	f.add(c)
	return c
}
