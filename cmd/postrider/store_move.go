package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/archive"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

const formatHelp = `

The formats are maildir, mboxo, mboxrd, mboxcl, mboxcl2 and eml. If you do not know
which mbox you have, take mboxrd for files of this program, mboxo for others.`

func importCommand() *cobra.Command {
	var f storeFlags
	var format string
	c := &cobra.Command{
		Use:   "import [-c DIR] --format FORMAT ADDRESS FROM...",
		Short: "Put mail from a Maildir, mbox or .eml files into a mailbox",
		Long: `Put mail from other places into a mailbox, beside what is there. Unique ids are kept
where they exist, so that clients do not fetch mail again they have already.

A message that is there already is passed over: an import that was interrupted
is simply started again.` + formatHelp,
		Example: `  postrider import -c /etc/postrider --format maildir alice@example.com ~alice/Maildir
  postrider import -c /etc/postrider --format mboxo alice@example.com /var/mail/alice
  postrider import -c /etc/postrider --format eml alice@example.com saved/*.eml`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.open(cmd, maildir.Share)
			if err != nil {
				return err
			}
			defer s.Close()
			return importAll(cmd, s, format, args[0], args[1:])
		},
	}
	f.add(c)
	c.Flags().StringVar(&format, "format", "", "maildir, mboxo, mboxrd, mboxcl, mboxcl2 or eml")
	_ = c.MarkFlagRequired("format")
	return c
}

func importAll(cmd *cobra.Command, s *maildir.Store, format, user string, from []string) error {
	if format == "eml" {
		src, err := archive.FromFiles(from...)
		if err != nil {
			return err
		}
		return importOne(cmd, s, user, src, newProgress(cmd, 0))
	}
	for _, name := range from {
		bar := newProgress(cmd, 0)
		src, err := source(cmd, format, name, bar)
		if err == nil {
			err = importOne(cmd, s, user, src, bar)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// source opens a Maildir or mbox file.
func source(cmd *cobra.Command, format, name string, bar *progress) (archive.Source, error) {
	if format == "maildir" {
		return maildirSource(cmd, name, bar)
	}
	flavour, err := archive.ParseFlavour(format)
	if err != nil {
		return nil, usage(cmd, err)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil {
		bar.total = info.Size()
	}
	r := &counting{f: f}
	bar.at = r.n.Load
	return archive.FromMbox(r, flavour), nil
}

func maildirSource(cmd *cobra.Command, name string, bar *progress) (archive.Source, error) {
	if _, err := os.Stat(filepath.Join(name, "cur")); err != nil {
		return nil, fmt.Errorf("not a Maildir: %w", err)
	}
	s, err := maildir.Open(name, maildir.Single(), maildir.WithMode(maildir.ReadOnly))
	if err != nil {
		return nil, err
	}
	m, err := s.Open(cmd.Context(), theOnly)
	if err != nil {
		s.Close()
		return nil, err
	}
	bar.total = int64(m.Len())
	return &closingSource{archive.FromMaildrop(m), s}, nil
}

// theOnly names the mailbox of a store that is a single Maildir; any name does.
const theOnly = "mailbox@localhost"

type closingSource struct {
	archive.Source
	s *maildir.Store
}

func (c *closingSource) Close() error { return errors.Join(c.Source.Close(), c.s.Close()) }

// counting tells how much of a file has been read.
type counting struct {
	f *os.File
	n atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.f.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *counting) Close() error { return c.f.Close() }

func importOne(cmd *cobra.Command, s *maildir.Store, user string, src archive.Source, bar *progress) error {
	defer src.Close()
	ctx, stop := interruptible(cmd)
	defer stop()
	sum, err := archive.Import(ctx, s, user, src, archive.Options{
		Progress: bar.stats,
		Problem:  func(name string, err error) { fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", name, err) },
	})
	bar.end()
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %d messages imported (%s), %d there already, %d failed\n",
		user, sum.Done, size(sum.Octets), sum.Skipped, sum.Failed)
	if err == nil && sum.Failed > 0 {
		err = errSaid
	}
	return err
}

func exportCommand() *cobra.Command {
	var f storeFlags
	var format string
	c := &cobra.Command{
		Use:   "export [-c DIR] --format FORMAT ADDRESS TO",
		Short: "Write a mailbox out as a Maildir, mbox or .eml files",
		Long: `Write all messages of a mailbox to TO: a folder (maildir, eml) or a new file (mbox; "-"
is standard output). The mailbox stays as it is. Into a folder, messages that are
there already are passed over, so that an interrupted export can go on.` + formatHelp,
		Example: `  postrider export -c /etc/postrider --format mboxrd alice@example.com alice.mbox
  postrider export -c /etc/postrider --format maildir alice@example.com ~/Maildir`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.open(cmd, maildir.ReadOnly)
			if err != nil {
				return err
			}
			defer s.Close()
			m, err := s.Open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			return export(cmd, m, format, args[1])
		},
	}
	f.add(c)
	c.Flags().StringVar(&format, "format", "", "maildir, mboxo, mboxrd, mboxcl, mboxcl2 or eml")
	_ = c.MarkFlagRequired("format")
	return c
}

func export(cmd *cobra.Command, m mailstore.Maildrop, format, to string) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	bar := newProgress(cmd, int64(m.Len()))
	var sum archive.Stats
	var err error
	switch format {
	case "maildir":
		var dst *maildir.Store
		dst, err = maildir.Open(to, maildir.Single(), maildir.WithMode(maildir.Share))
		if err != nil {
			return err
		}
		defer dst.Close()
		sum, err = archive.Import(ctx, dst, theOnly, archive.FromMaildrop(m), archive.Options{Progress: bar.stats})
	case "eml":
		sum, err = archive.ExportFiles(ctx, m, to, bar.stats)
	default:
		flavour, ferr := archive.ParseFlavour(format)
		if ferr != nil {
			return usage(cmd, ferr)
		}
		err = toFile(cmd, to, func(w io.Writer) error {
			sum, err = archive.ExportMbox(ctx, m, archive.NewMboxWriter(w, flavour), bar.stats)
			return err
		})
	}
	bar.end()
	fmt.Fprintf(cmd.ErrOrStderr(), "%d messages exported (%s), %d there already\n", sum.Done, size(sum.Octets), sum.Skipped)
	return err
}

// toFile writes a new file, whole or not at all.
func toFile(cmd *cobra.Command, name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(cmd.OutOrStdout())
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(name)
	}
	return err
}
