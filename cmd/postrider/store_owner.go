package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// asOwner opens the store beside a running daemon for one who writes. That must be
// the store's owner, or the daemon could not read what was written: root calls the
// program once more as that user. With create, a store that is not there yet is
// made, as the daemon makes it when it starts.
func (f *storeFlags) asOwner(cmd *cobra.Command, create bool, do func(*maildir.Store) error) error {
	dir, err := f.dir()
	if err != nil {
		return err
	}
	owner, err := f.owner(dir, create)
	if err != nil {
		return err
	}
	if owner.uid != os.Geteuid() {
		if os.Geteuid() == 0 {
			return runAs(cmd, owner.uid, owner.gid)
		}
		return fmt.Errorf("mail store %s belongs to %s: %s %s", dir, userName(owner.uid), becoming(owner.uid), commandLine())
	}
	s, err := maildir.Open(dir, maildir.WithMode(maildir.Share), f.reserve(dir))
	if err != nil {
		return err
	}
	defer s.Close()
	return do(s)
}

// owner is a user and a group, by number.
type owner struct{ uid, gid int }

// owner is whose the store is, or should be: if it is not there, that of the folder it
// will be in. A store that was named itself has to be there, for the name may be
// misspelt.
func (f *storeFlags) owner(dir string, create bool) (whose owner, err error) {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if errors.Is(err, fs.ErrNotExist) && create && f.mail == "" && at != filepath.Dir(at) {
			continue
		}
		if err != nil {
			return whose, fmt.Errorf("mail store: %w", err)
		}
		whose.uid, whose.gid, _ = sys.Owner(info)
		if at == dir {
			return whose, nil
		}
		if os.Geteuid() != 0 {
			whose.uid = os.Geteuid() // who may make it, makes it
			return whose, nil
		}
		if conf, err := os.Stat(confPath(f.conf)); err == nil && whose.uid == 0 {
			if user := ownerOf(conf); user != 0 {
				return whose, fmt.Errorf("mail store %s is not there yet: install -d -o %s -m 700 %s", dir, userName(user), dir)
			}
		}
		return whose, nil
	}
}

// userName names a user, by number where nobody has named them.
func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := osuser.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// becoming is what root writes before a command that another user is to run.
func becoming(uid int) string {
	name := userName(uid)
	if _, err := strconv.Atoi(name); err == nil {
		return fmt.Sprintf("setpriv --reuid %s --regid %s --clear-groups --", name, name)
	}
	return fmt.Sprintf("runuser -u %s --", name)
}

// commandLine is how the program was called, to be called so by somebody else.
func commandLine() string {
	words := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	for i, w := range words {
		if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_") != "" {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return printable(strings.Join(words, " "))
}

// checkSource refuses, for one who may read everything, a Maildir in which somebody has
// put a link where mail should be, or to which one leads: there may be what its maker may
// not read.
func checkSource(dir string) error {
	if !readsAll() {
		return nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // is to be made
	}
	if err == nil {
		err = ledTo(dir, info)
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		name := filepath.Join(dir, sub)
		if link, lerr := os.Lstat(name); err == nil && lerr == nil && link.Mode()&fs.ModeSymlink != 0 && ownerOf(link) != 0 {
			err = fmt.Errorf("%s is a symbolic link of %s, and not followed", name, userName(ownerOf(link)))
		}
	}
	return err
}

// openSource opens a file to be read for somebody.
func openSource(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil || !readsAll() {
		return f, err
	}
	info, err := f.Stat()
	if err == nil {
		err = ledTo(name, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ledTo is nil if a path leads to this file without a link, or by links of root or of the
// file's owner.
func ledTo(path string, info fs.FileInfo) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	links := 0
	for at := path; ; at = filepath.Dir(at) {
		link, err := os.Lstat(at)
		if err != nil {
			return err
		}
		if link.Mode()&fs.ModeSymlink != 0 {
			links++
			if maker := ownerOf(link); maker != 0 && maker != ownerOf(info) {
				return fmt.Errorf("%s is a symbolic link of %s to what belongs to somebody else, and not followed", at, userName(maker))
			}
		} else if links == 0 && at == path && !os.SameFile(link, info) {
			return fmt.Errorf("%s changed while it was opened", path)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// ownerOf is the user whom a file belongs to; where users have no numbers, all are whom os.Geteuid names.
func ownerOf(info fs.FileInfo) int {
	uid, _, _ := sys.Owner(info)
	return uid
}
