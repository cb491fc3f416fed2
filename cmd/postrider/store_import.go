package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore/archive"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
)

const formatHelp = `

The formats are ` + formats + `. If you do not know which
mbox you have, take mboxrd for files of this program, mboxo for others. An .eml file is
one message, to the octet: also a From_ line on top of it, which some programs leave.`

const formats = "maildir, mboxo, mboxrd, mboxcl, mboxcl2, eml"

// formatFlag gives a command the --format flag.
func formatFlag(c *cobra.Command, format *string) {
	c.Flags().StringVar(format, "format", "", "one of "+formats)
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(strings.Split(formats, ", "), cobra.ShellCompDirectiveNoFileComp))
}

func checkFormat(cmd *cobra.Command, format string) error {
	switch {
	case format == "":
		return usage(cmd, errors.New("--format is missing; there are "+formats))
	case !slices.Contains(strings.Split(formats, ", "), format):
		return usage(cmd, fmt.Errorf("there is no format %q; there are %s", format, formats))
	}
	return nil
}

// importFlags say what is imported.
type importFlags struct {
	storeFlags
	format  string
	uidl    string
	folders []string
	size    sizeFlag

	ids archive.UIDL // what uidl means
}

func importCommand() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import [-c DIR] --format FORMAT [--folder NAME] [--uidl FORMAT] ADDRESS FROM...",
		Short: "Put mail from a Maildir, mbox or .eml files into a mailbox",
		Long: `Put mail from other places into a mailbox, beside what is there, with the flags and
times it had. Root may read from everywhere; the mail belongs to the owner of the
mail store.

A message that is there already is passed over: an import that was interrupted
is simply started again. One that cannot be read is named, and the import goes on;
the exit code is 1 then. So it is where nobody can tell whether a line of an mbox
begins a message, for want of a date: the line stays text, and is named.

So that clients that leave mail on the server do not fetch all of it again, unique
ids are those of the server before: of Dovecot (dovecot-uidlist) and Courier
(courierpop3dsizelist) in Maildirs, of X-UIDL, or X-UID and X-IMAPbase, in mbox files.
Dovecot and others make them of two numbers, as their setting pop3_uidl_format
says; --uidl takes that setting, or the name of a server: auto (as Dovecot does by
default), uw, cyrus, courier; none keeps to the names of files.

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
			if err := f.check(cmd); err != nil {
				return err
			}
			return f.asOwner(cmd, true, func(s *maildir.Store) error {
				f.noteStranger(cmd, args[0])
				return f.all(cmd, s, args[0], args[1:])
			})
		},
	}
	f.add(c)
	formatFlag(c, &f.format)
	f.size.add(c)
	c.Flags().StringArrayVar(&f.folders, "folder", nil, `folder of the Maildir to be taken too; may be repeated, "*" for all`)
	c.Flags().StringVar(&f.uidl, "uidl", "auto", "how the server before made unique ids")
	_ = c.RegisterFlagCompletionFunc("uidl", cobra.FixedCompletions([]string{"auto", "dovecot", "uw", "cyrus", "courier", "none"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// check looks at the command line, before anything is touched.
func (f *importFlags) check(cmd *cobra.Command) error {
	if err := checkFormat(cmd, f.format); err != nil {
		return err
	}
	if f.format != "maildir" && len(f.folders) > 0 {
		return usage(cmd, errors.New("--folder is for --format maildir"))
	}
	ids, err := archive.ParseUIDL(f.uidl)
	if err != nil {
		return usage(cmd, fmt.Errorf("--uidl: %w", err))
	}
	f.ids = ids
	return nil
}

// noteStranger says when nobody will be able to fetch the mail.
func (f *storeFlags) noteStranger(cmd *cobra.Command, address string) {
	if f.settings == nil {
		return
	}
	if f.settings.Book().Accounts[domains.CanonicalAddress(address)] != nil {
		return
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "note: there is no account %s yet: \"postrider user add\" makes one\n", address)
}

// all imports every source; what is wrong with one does not keep the others out.
func (f *importFlags) all(cmd *cobra.Command, s *maildir.Store, user string, from []string) error {
	inbox := make(map[string]bool)
	for _, name := range from {
		inbox[name] = true
	}
	switch f.format {
	case "eml":
		return f.files(cmd, s, user, from)
	case "maildir":
		var err error
		if from, err = f.withFolders(cmd, from); err != nil {
			return err
		}
	}
	var failed error
	for _, name := range from {
		bar := newProgress(cmd, 0)
		src, err := f.source(cmd, name, bar, inbox[name])
		if err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "postrider: %s: %v\n", name, err)
			failed = errSaid
		}
		if src == nil {
			continue
		}
		err = f.importOne(cmd, s, user, src, name, bar)
		switch {
		case errors.Is(err, errSaid):
			failed = err
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return failed
}

// files imports .eml files.
func (f *importFlags) files(cmd *cobra.Command, s *maildir.Store, user string, from []string) error {
	for _, name := range from {
		file, err := openSource(name)
		if errors.Is(err, fs.ErrPermission) {
			continue // is named with the others that cannot be read
		}
		if err != nil {
			return err
		}
		file.Close()
	}
	src, err := archive.FromFiles(from...)
	if err != nil {
		return err
	}
	where := from[0]
	if len(from) > 1 {
		where = count(len(from), "file")
	}
	return f.importOne(cmd, s, user, src, where, newProgress(cmd, 0))
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

// source opens a Maildir or mbox file. There may be a source that can be read together
// with an error. inbox tells that POP3 clients may know the mail of a Maildir.
func (f *importFlags) source(cmd *cobra.Command, name string, bar *progress, inbox bool) (archive.Source, error) {
	if f.format == "maildir" {
		return f.maildirSource(cmd, name, bar, inbox)
	}
	flavour, err := archive.ParseFlavour(f.format)
	if err != nil {
		return nil, err
	}
	return mboxFile(cmd, flavour, f.ids, name, bar)
}

func mboxFile(cmd *cobra.Command, flavour archive.Flavour, uidl archive.UIDL, name string, bar *progress) (archive.Source, error) {
	f, err := openSource(name)
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
	return &mboxSource{archive.FromMbox(r, flavour, uidl), r, cmd.ErrOrStderr()}, nil
}

// lockMbox keeps programs that deliver to the file from doing so meanwhile, as far
// as they use fcntl. The lock goes with the file.
func lockMbox(f *os.File) error {
	if errors.Is(sys.LockToRead(f), sys.ErrHeld) {
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

func (f *importFlags) maildirSource(cmd *cobra.Command, name string, bar *progress, inbox bool) (archive.Source, error) {
	if err := checkSource(name); err != nil {
		return nil, err
	}
	info, err := os.Stat(name)
	if err == nil {
		_, err = os.Stat(filepath.Join(name, "cur"))
	}
	if err != nil {
		return nil, fmt.Errorf("not a Maildir: %w", err)
	}
	var only []maildir.Option
	if readsAll() {
		only = append(only, maildir.OwnedBy(ownerOf(info)))
	}
	m, err := openSingle(cmd.Context(), name, only...)
	if err != nil {
		return nil, err
	}
	bar.total = int64(m.Len())
	src := archive.FromMaildrop(cmd.Context(), m)
	if !inbox {
		return src, nil
	}
	known, err := archive.KnownIDs(name, f.ids)
	if f.ids == "" {
		// Where an IMAP server looks after mail that this program gave out by POP3.
		maps.DeleteFunc(known.IDs, func(file, _ string) bool { return maildir.OwnName(file) })
	}
	return archive.WithIDs(src, known.IDs), err
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

func (f *importFlags) importOne(cmd *cobra.Command, s *maildir.Store, user string, src archive.Source, from string, bar *progress) error {
	defer src.Close()
	most, err := f.size.octets(cmd, f.settings)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	sum, err := archive.Import(ctx, f.sealing(s), user, src, archive.Options{
		MaxMessage: most,
		Progress:   bar.stats,
		Problem:    func(name string, err error) { fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", name, err) },
	})
	bar.end()
	doubts := ""
	if sum.Doubts > 0 {
		doubts = fmt.Sprintf(", %s in doubt", count(int(sum.Doubts), "line"))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %d messages imported from %s (%s), %d there already, %d failed%s\n",
		user, sum.Done, printable(from), size(sum.Octets), sum.Skipped, sum.Failed, doubts)
	if err == nil && sum.Failed+sum.Doubts > 0 {
		err = errSaid
	}
	return err
}
