package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/archive"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/mailstore/sealed"
)

// exportFlags say what is exported.
type exportFlags struct {
	storeFlags
	format string
	folder string
	user   userFlags // how a password is asked for
}

func exportCommand() *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export [-c DIR] --format FORMAT [--folder NAME] ADDRESS TO",
		Short: "Write a mailbox out as a Maildir, mbox or .eml files",
		Long: `Write all messages of a mailbox to TO: a folder (maildir, eml) or a new file (mbox; "-"
is standard output). The mailbox stays as it is. Into a folder, messages that are
there already are passed over, so that an interrupted export can go on. A file
appears under its name when it is complete; until then it is TO.partial.

A message that cannot be read is named, and the export goes on; the exit code is
1 then. Mail that was put away into folders of the mailbox is exported with --folder,
one at a time. Of a sealed mailbox the password is asked for, or with --recovery the
recovery key.` + formatHelp,
		Example: `  postrider export -c /etc/postrider --format mboxrd alice@example.com alice.mbox
  postrider export -c /etc/postrider --format maildir alice@example.com ~/Maildir
  postrider export -c /etc/postrider --format eml --folder Trash alice@example.com trash`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, f.format); err != nil {
				return err
			}
			s, err := f.read()
			if err != nil {
				return err
			}
			defer s.Close()
			if err := known(s, args[0]); err != nil {
				return err
			}
			src, err := f.source(cmd, s, args[0])
			if err != nil {
				return err
			}
			defer src.Close()
			if err := f.unlock(cmd, s, args[0], src); err != nil {
				return err
			}
			return export(cmd, src, f.format, args[1])
		},
	}
	f.add(c)
	formatFlag(c, &f.format)
	c.Flags().BoolVar(&f.user.stdin, "stdin", false, "read the password of a sealed mailbox from standard input")
	c.Flags().BoolVar(&f.user.recovery, "recovery", false, "of a sealed mailbox: ask for the recovery key, not the password")
	c.Flags().StringVar(&f.folder, "folder", "", "folder of the mailbox, instead of its inbox")
	return c
}

// known is an error if the store has no such mailbox: a mistyped address must not
// look like an empty one.
func known(s *maildir.Store, user string) error {
	has, err := s.Has(user)
	if err == nil && !has {
		err = fmt.Errorf("%w: %s (no mail was ever delivered there)", mailstore.ErrNoMailbox, user)
	}
	return err
}

// source opens the mailbox or the folder of it that was asked for.
func (f *exportFlags) source(cmd *cobra.Command, s *maildir.Store, user string) (mailstore.Maildrop, error) {
	dir, err := s.Path(user)
	if err != nil {
		return nil, err
	}
	folders, err := maildir.Folders(dir)
	if err != nil {
		return nil, err
	}
	var others []string
	for _, name := range folders {
		if f.folder != "" && (name == f.folder || name == "."+f.folder) {
			return openSingle(cmd.Context(), filepath.Join(dir, name))
		}
		if n := messagesIn(filepath.Join(dir, name)); n > 0 {
			others = append(others, fmt.Sprintf("%s (%s)", name, count(n, "message")))
		}
	}
	if f.folder != "" {
		return nil, fmt.Errorf("%s has no folder %s", user, f.folder)
	}
	if len(others) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "left out (see --folder): %s\n", strings.Join(others, ", "))
	}
	return sealed.New(s, noRecipient, nil).Open(cmd.Context(), user)
}

// openSingle opens a Maildir that is no mailbox of a store. Closing the maildrop
// closes everything.
func openSingle(ctx context.Context, dir string, opts ...maildir.Option) (mailstore.Maildrop, error) {
	s, err := maildir.Open(dir, append(opts, maildir.Single(), maildir.WithMode(maildir.ReadOnly))...)
	if err != nil {
		return nil, err
	}
	m, err := sealed.New(s, noRecipient, nil).Open(ctx, theOnly)
	if err != nil {
		s.Close()
		return nil, err
	}
	details, _ := m.(mailstore.Details)
	return &singleDrop{m, details, s}, nil
}

// singleDrop is the maildrop of a store opened for it alone.
type singleDrop struct {
	mailstore.Maildrop
	mailstore.Details
	s *maildir.Store
}

// Close closes the maildrop and its store.
func (d *singleDrop) Close() error { return errors.Join(d.Maildrop.Close(), d.s.Close()) }

func export(cmd *cobra.Command, m mailstore.Maildrop, format, to string) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	bar := newProgress(cmd, int64(m.Len()))
	var sum archive.Stats
	var err error
	switch format {
	case "maildir":
		if err := checkSource(to); err != nil {
			return err
		}
		var dst *maildir.Store
		dst, err = maildir.Open(to, maildir.Single(), maildir.WithMode(maildir.Share))
		if err != nil {
			return err
		}
		defer dst.Close()
		sum, err = archive.Import(ctx, dst, theOnly, archive.FromMaildrop(ctx, m), archive.Options{
			Progress: bar.stats,
			Problem:  func(name string, err error) { fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", name, err) },
		})
	case "eml":
		sum, err = archive.ExportFiles(ctx, m, to, bar.stats)
	default:
		flavour, ferr := archive.ParseFlavour(format)
		if ferr != nil {
			return ferr
		}
		err = toFile(cmd, to, func(w io.Writer) error {
			sum, err = archive.ExportMbox(ctx, m, archive.NewMboxWriter(w, flavour), bar.stats)
			return err
		})
	}
	bar.end()
	if err == nil && sum.Failed > 0 {
		err = errSaid
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d messages exported (%s), %d there already, %d failed\n", sum.Done, size(sum.Octets), sum.Skipped, sum.Failed)
	return err
}

// toFile writes a new file: under its name it is whole, or not there. The name
// it grows under is locked, so that two exports to one file do not mix; what a
// killed one left there is written over. An export that lacks unreadable messages
// is kept.
func toFile(cmd *cobra.Command, name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(cmd.OutOrStdout())
	}
	taken := func() error {
		switch _, err := os.Lstat(name); {
		case err == nil:
			return fmt.Errorf("%s is there already", name)
		case !errors.Is(err, os.ErrNotExist):
			return err
		}
		return nil
	}
	if err := taken(); err != nil {
		return err
	}
	part := name + ".partial"
	f, err := makePart(part)
	if err != nil {
		return err
	}
	defer f.Close()
	said := write(f)
	err = said
	if errors.Is(said, archive.ErrIncomplete) {
		err = nil
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = taken()
	}
	if err == nil {
		err = os.Rename(part, name)
	}
	if err != nil {
		_ = os.Remove(part)
		return err
	}
	if err := sys.SyncFolder(filepath.Dir(name)); err != nil {
		return err
	}
	return said
}

// makePart makes the file an export grows in, and never takes one that is there:
// another user may have made it, and would own the mail.
func makePart(part string) (*os.File, error) {
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		if err := removePart(part); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if err := lockPart(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// removePart removes what an export of the same user left when it was killed.
func removePart(part string) error {
	info, err := os.Lstat(part)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || ownerOf(info) != os.Geteuid() {
		return fmt.Errorf("%s is there, and no export of yours has made it: remove it first", part)
	}
	f, err := sys.OpenPlain(part, os.O_WRONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lockPart(f); err != nil {
		return err
	}
	return os.Remove(part)
}

func lockPart(f *os.File) error {
	if err := sys.Lock(f); err != nil {
		return fmt.Errorf("%s is being written by another export", f.Name())
	}
	return nil
}
