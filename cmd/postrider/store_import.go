package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/postrider-mail/postrider/mailstore/archive"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

const formatHelp = `

The formats are maildir, mboxo, mboxrd, mboxcl, mboxcl2 and eml. If you do not know
which mbox you have, take mboxrd for files of this program, mboxo for others.`

// importFlags say what is imported.
type importFlags struct {
	storeFlags
	format  string
	folders []string
}

func importCommand() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import [-c DIR] --format FORMAT [--folder NAME] ADDRESS FROM...",
		Short: "Put mail from a Maildir, mbox or .eml files into a mailbox",
		Long: `Put mail from other places into a mailbox, beside what is there. Unique ids are kept
where they exist, so that clients do not fetch mail again they have already.

A message that is there already is passed over: an import that was interrupted
is simply started again. One that cannot be read is named, and the import goes on;
the exit code is 1 then.

Of a Maildir with folders (.Sent, .Work.2026) only the inbox is taken, and the
folders left out are named, because POP3 knows one mailbox only. With --folder their
mail is put into it too; "*" stands for all. A folder can also be imported alone,
as FROM.` + formatHelp,
		Example: `  postrider import -c /etc/postrider --format maildir alice@example.com ~alice/Maildir
  postrider import -c /etc/postrider --format maildir --folder .Work --folder .Work.2026 alice@example.com ~alice/Maildir
  postrider import -c /etc/postrider --format mboxo alice@example.com /var/mail/alice
  postrider import -c /etc/postrider --format eml alice@example.com saved/*.eml`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.format != "maildir" && len(f.folders) > 0 {
				return usage(cmd, errors.New("--folder is for --format maildir"))
			}
			s, err := f.open(cmd, maildir.Share)
			if err != nil {
				return err
			}
			defer s.Close()
			f.noteStranger(cmd, args[0])
			return f.all(cmd, s, args[0], args[1:])
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.format, "format", "", "maildir, mboxo, mboxrd, mboxcl, mboxcl2 or eml")
	c.Flags().StringArrayVar(&f.folders, "folder", nil, `folder of the Maildir to be taken too; may be repeated, "*" for all`)
	_ = c.MarkFlagRequired("format")
	return c
}

// noteStranger says when nobody will be able to fetch the mail.
func (f *storeFlags) noteStranger(cmd *cobra.Command, address string) {
	if f.settings == nil {
		return
	}
	for known := range f.settings.AllAccounts() {
		if strings.EqualFold(known, address) {
			return
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "note: there is no account %s yet: \"postrider user add\" makes one\n", address)
}

// all imports every source; what is wrong with one does not keep the others out.
func (f *importFlags) all(cmd *cobra.Command, s *maildir.Store, user string, from []string) error {
	switch f.format {
	case "eml":
		src, err := archive.FromFiles(from...)
		if err != nil {
			return err
		}
		return importOne(cmd, s, user, src, newProgress(cmd, 0))
	case "maildir":
		var err error
		if from, err = f.withFolders(cmd, from); err != nil {
			return err
		}
	}
	var failed error
	for _, name := range from {
		bar := newProgress(cmd, 0)
		src, err := source(cmd, f.format, name, bar)
		if err == nil {
			err = importOne(cmd, s, user, src, bar)
		}
		switch {
		case errors.Is(err, errSaid):
			failed = err
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return failed
}

// withFolders adds to each Maildir its folders that were asked for, and names
// those left out.
func (f *importFlags) withFolders(cmd *cobra.Command, from []string) ([]string, error) {
	found := make(map[string]bool)
	var all, left []string
	for _, dir := range from {
		folders, err := maildir.Folders(dir)
		if err != nil {
			return nil, err
		}
		all = append(all, dir)
		for _, folder := range folders {
			if as := f.wants(folder); as != "" {
				found[as] = true
				all = append(all, filepath.Join(dir, folder))
			} else if n := messagesIn(filepath.Join(dir, folder)); n > 0 {
				left = append(left, fmt.Sprintf("%s (%s)", filepath.Join(dir, folder), count(n, "message")))
			}
		}
	}
	for _, as := range f.folders {
		if !found[as] && as != "*" {
			return nil, fmt.Errorf("there is no folder %s in %s", as, strings.Join(from, ", "))
		}
	}
	if len(left) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "left out (see --folder): %s\n", strings.Join(left, ", "))
	}
	return all, nil
}

// wants returns the name under which a folder was asked for, "" if it was not.
func (f *importFlags) wants(folder string) string {
	for _, as := range f.folders {
		if as == "*" || as == folder || "."+as == folder {
			return as
		}
	}
	return ""
}

// messagesIn counts the messages of a Maildir, roughly: those it can see.
func messagesIn(dir string) (n int) {
	for _, sub := range []string{"new", "cur"} {
		ents, _ := os.ReadDir(filepath.Join(dir, sub))
		for _, e := range ents {
			if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
				n++
			}
		}
	}
	return n
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
	r := &counting{f: f}
	if err := lockMbox(f); err != nil {
		f.Close()
		return nil, err
	}
	if r.was, err = f.Stat(); err != nil {
		f.Close()
		return nil, err
	}
	bar.total, bar.at = r.was.Size(), r.n.Load
	return &mboxSource{archive.FromMbox(r, flavour, ""), r, cmd.ErrOrStderr()}, nil
}

// lockMbox keeps programs that deliver to the file from doing so meanwhile, as far
// as they use fcntl. The lock goes with the file.
func lockMbox(f *os.File) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return errors.New("is locked: another program is writing to it; try again")
	}
	return nil // not every file system has locks
}

// mboxSource says so if the file was written to while it was read.
type mboxSource struct {
	archive.Source
	f   *counting
	out io.Writer
}

func (m *mboxSource) Close() error {
	if now, err := m.f.f.Stat(); err == nil && (now.Size() != m.f.was.Size() || !now.ModTime().Equal(m.f.was.ModTime())) {
		fmt.Fprintf(m.out, "%s changed while it was read: import it once more\n", m.f.f.Name())
	}
	return m.Source.Close()
}

func maildirSource(cmd *cobra.Command, name string, bar *progress) (archive.Source, error) {
	if _, err := os.Stat(filepath.Join(name, "cur")); err != nil {
		return nil, fmt.Errorf("not a Maildir: %w", err)
	}
	m, err := openSingle(cmd.Context(), name)
	if err != nil {
		return nil, err
	}
	bar.total = int64(m.Len())
	return archive.FromMaildrop(cmd.Context(), m), nil
}

// theOnly names the mailbox of a store that is a single Maildir; any name does.
const theOnly = "mailbox@localhost"

// counting tells how much of a file has been read.
type counting struct {
	f   *os.File
	n   atomic.Int64
	was fs.FileInfo // when it was opened
}

// ReadAt lets the reader of an mbox look ahead.
func (c *counting) ReadAt(p []byte, off int64) (int, error) { return c.f.ReadAt(p, off) }

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
