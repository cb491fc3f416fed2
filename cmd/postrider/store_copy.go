package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

func storeCopyCommand() *cobra.Command {
	var f storeFlags
	var from, to string
	c := &cobra.Command{
		Use:   "copy [-c DIR] --from KIND --to KIND",
		Short: "Copy all mail between Maildirs and a database",
		Long: `Copy all mail between Maildirs (mail_dir) and a database (Store.postgres): octet for octet, with unique ids, flags, times and folders,
sealed mail as it is, with its keys.
No server may use either meanwhile. What is there already is left as it is, so that a copy that was interrupted goes on, and nothing is
removed where it comes from.`,
		Example: "  postrider store copy -c /etc/postrider --from maildir --to postgres",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := conf.Load(confPath(f.conf))
			if err != nil {
				return err
			}
			if !(from == "maildir" && to == "postgres" || from == "postgres" && to == "maildir") {
				return usage(cmd, errors.New("--from and --to are maildir and postgres, or the other way round"))
			}
			if s.Store.Postgres == "" {
				return errors.New("the settings name no database (Store.postgres)")
			}
			if _, err := os.Stat(s.MailDir); err != nil { // asOwner would do nothing
				return fmt.Errorf("the folder for Maildirs (mail_dir) is not there, or cannot be seen: %w", err)
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			return asOwner(s.MailDir, func() error { return copyStore(ctx, cmd, s, from == "maildir") })
		},
	}
	c.Flags().StringVarP(&f.conf, "conf", "c", "", "configuration file or folder")
	c.Flags().StringVar(&from, "from", "", "where the mail is: maildir or postgres")
	c.Flags().StringVar(&to, "to", "", "where it is to be")
	return c
}

// foldered is a store whose folders can be read.
type foldered interface {
	mailstore.Store
	Folders(ctx context.Context, user string) ([]string, error)
	OpenFolder(ctx context.Context, user, folder string) (mailstore.Maildrop, error)
}

// maildirs are Maildirs with their folders.
type maildirs struct{ *maildir.Store }

func (m maildirs) Folders(_ context.Context, user string) ([]string, error) {
	dir, err := m.Path(user)
	if err != nil {
		return nil, err
	}
	paths, err := maildir.Folders(dir) // none of a mailbox that is not there
	for i, path := range paths {
		paths[i] = strings.TrimPrefix(path, ".")
	}
	return paths, err
}

func (m maildirs) OpenFolder(ctx context.Context, user, folder string) (mailstore.Maildrop, error) {
	dir, err := m.Path(user)
	if err != nil {
		return nil, err
	}
	return openSingle(ctx, filepath.Join(dir, "."+folder))
}

// copyStore copies between the two stores of the settings.
func copyStore(ctx context.Context, cmd *cobra.Command, s *conf.Settings, toDatabase bool) error {
	files, err := maildir.Open(s.MailDir) // as its owner: a running server is refused
	if err != nil {
		return err
	}
	defer files.Close()
	database, err := daemon.OpenDatabase(ctx, s)
	if err != nil {
		return err
	}
	defer database.Close()
	return copyBoth(ctx, cmd, files, database, toDatabase)
}

func copyBoth(ctx context.Context, cmd *cobra.Command, files *maildir.Store, database *postgres.Store, toDatabase bool) error {
	var from, to foldered = maildirs{files}, database
	fromKeys, toKeys := mailkeys.New(files), mailkeys.NewShared(database)
	if !toDatabase {
		from, to, fromKeys, toKeys = to, from, toKeys, fromKeys
	}
	total, left := copied{}, false
	for user, err := range from.Users(ctx) {
		if err != nil {
			return err
		}
		if err := copyKeys(ctx, fromKeys, toKeys, user); err != nil {
			return err
		}
		c := copier{ctx: ctx, from: from, to: to, user: user}
		if err := c.all(); err != nil {
			return fmt.Errorf("%s: %w", user, err)
		}
		total.messages += c.messages
		total.there += c.there
		total.boxes++
		for _, folder := range c.left {
			left = true
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: the folder %q is not copied: letters, digits, '-' and '_' alone can be the name of one there\n", user, folder)
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s of %s copied, %s there already\n", count(total.messages, "message"), count(total.boxes, "mailbox"), count(total.there, "message"))
	if left {
		return errSaid
	}
	return nil
}

// copyKeys copies the keys of a sealed mailbox before its messages: at no moment are there any whose keys are not. Those that are there already
// must open what comes.
func copyKeys(ctx context.Context, from, to *mailkeys.Store, user string) error {
	ours, err := from.Of(user)
	if err != nil || ours == nil {
		return err
	}
	return to.Change(ctx, user, func(b *mailkeys.Box) error {
		if b.Keyring == nil {
			*b = *ours
			return nil
		}
		there := make(map[string]bool)
		for _, ring := range ringsOf(b) {
			for _, key := range ring.Known() {
				there[key] = true
			}
		}
		for _, ring := range ringsOf(ours) {
			for _, key := range ring.Known() {
				if !there[key] {
					return fmt.Errorf("%s: its messages are sealed with keys that are not among those which are there already", user)
				}
			}
		}
		return nil
	})
}

// copied counts.
type copied struct{ boxes, messages, there int64 }

// copier copies one mailbox.
type copier struct {
	ctx      context.Context
	from, to foldered
	user     string
	left     []string // folders that the other store cannot have by this name
	copied
}

// all copies folders first: what is for one passes through the maildrop, and an interrupted copy would leave it there to be taken for
// something else.
func (c *copier) all() error {
	folders, err := c.from.Folders(c.ctx, c.user)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if !mailstore.IsFolder(folder) {
			c.left = append(c.left, folder)
			continue
		}
		if err := c.folder(folder); err != nil {
			return fmt.Errorf("folder %s: %w", folder, err)
		}
	}
	m, err := c.from.Open(c.ctx, c.user)
	if err != nil {
		return err
	}
	defer m.Close()
	have, err := c.ids("")
	if err != nil {
		return err
	}
	return c.bring(m, have)
}

// ids are those of the messages that the target has, in its maildrop or a folder.
func (c *copier) ids(folder string) (map[string]bool, error) {
	have := make(map[string]bool)
	var m mailstore.Maildrop
	var err error
	if folder == "" {
		m, err = c.to.Open(c.ctx, c.user)
	} else {
		var folders []string
		if folders, err = c.to.Folders(c.ctx, c.user); err != nil || !slices.Contains(folders, folder) {
			return have, err
		}
		m, err = c.to.OpenFolder(c.ctx, c.user, folder)
	}
	if err != nil {
		return nil, err
	}
	defer m.Close()
	for i := range m.Len() {
		have[m.UID(i)] = true
	}
	return have, nil
}

// bring delivers what the target has not yet.
func (c *copier) bring(m mailstore.Maildrop, have map[string]bool) error {
	details, _ := m.(mailstore.Details)
	if single, ok := m.(*singleDrop); ok {
		m = single.Maildrop
	}
	for i := range m.Len() {
		if have[m.UID(i)] {
			c.there++
			continue
		}
		meta := mailstore.Meta{UID: m.UID(i)}
		if details != nil {
			meta.Flags, meta.Received = details.Flags(i), details.Received(i)
		}
		if is, ok := m.(mailstore.SealedDrop); ok && is.Mark(i) != "" {
			meta.Seal = &mailstore.Seal{Mark: is.Mark(i), Size: m.Size(i)}
		}
		if err := c.one(m, i, meta); err != nil {
			return fmt.Errorf("message %s: %w", m.UID(i), err)
		}
		c.messages++
	}
	return nil
}

func (c *copier) one(m mailstore.Maildrop, i int, meta mailstore.Meta) error {
	open := func() (io.ReadCloser, int64, error) {
		r, err := m.Open(c.ctx, i)
		return r, m.Size(i), err
	}
	if meta.Seal != nil { // as it is: nobody here can open it
		meta.Exact = true
		open = func() (io.ReadCloser, int64, error) { return m.(mailstore.SealedDrop).OpenSealed(c.ctx, i) }
	}
	r, size, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	d, err := c.to.Create(c.ctx, meta, c.user)
	if err != nil {
		return err
	}
	defer d.Abort()
	n, err := io.Copy(d, r)
	if err == nil && n != size {
		err = fmt.Errorf("%d octets of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return err
	}
	return d.Commit(c.ctx, nil)
}

// folder brings what is in a folder, by way of the maildrop.
func (c *copier) folder(name string) error {
	m, err := c.from.OpenFolder(c.ctx, c.user, name)
	if err != nil {
		return err
	}
	defer m.Close()
	have, err := c.ids(name)
	if err != nil {
		return err
	}
	passing, err := c.ids("") // what an interrupted copy left on its way
	if err != nil {
		return err
	}
	wanted := make(map[string]bool)
	for i := range m.Len() {
		if uid := m.UID(i); !have[uid] {
			wanted[uid] = true
		} else {
			passing[uid] = true
		}
	}
	if err := c.bring(m, passing); err != nil {
		return err
	}
	target, err := c.to.Open(c.ctx, c.user)
	if err != nil {
		return err
	}
	defer target.Close()
	keeper, ok := target.(mailstore.Keeper)
	if !ok {
		return errors.New("this store has no folders")
	}
	var is []int
	for i := range target.Len() {
		if wanted[target.UID(i)] {
			is = append(is, i)
		}
	}
	return keeper.Move(c.ctx, is, name)
}
