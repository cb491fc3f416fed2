package maildir

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider-mail/postrider/internal/dirents"
)

// What an IMAP server keeps in the folders of a mailbox, where that counts.

// aside is what a mailbox holds in its folders. box.mu guards it.
type aside struct {
	known   bool
	use     usage
	folders map[string]folderUse
}

// folderUse is what a folder holds, as long as its directories stay as they are.
type folderUse struct {
	at    stamp
	quiet bool
	use   usage
}

// countAside looks what the folders hold now: a few stat calls for each whose directories have not changed.
// box.mu must be held.
func (b *box) countAside() error {
	if !b.s.countFolders {
		return nil
	}
	folders, err := Folders(b.dir)
	if err != nil {
		return err
	}
	now := aside{known: true, folders: make(map[string]folderUse, len(folders))}
	for _, name := range folders {
		f, err := b.countFolder(name)
		if err != nil {
			return wrap("maildir: count folder", err)
		}
		now.folders[name] = f
		now.use.add(f.use.messages, f.use.octets)
	}
	if b.aside.known {
		b.s.domains.add(domainOf(b.user), now.use.messages-b.aside.use.messages, now.use.octets-b.aside.use.octets)
	}
	b.aside = now
	return nil
}

// countFolder counts a folder, or remembers it.
func (b *box) countFolder(name string) (f folderUse, err error) {
	dir := filepath.Join(b.dir, name)
	read := time.Now()
	if f.at, err = stampOf(dir); err != nil {
		return f, err
	}
	if was, ok := b.aside.folders[name]; ok && was.quiet && was.at == f.at {
		return was, nil
	}
	f.quiet = quiet(f.at, read)
	for _, sub := range []string{"new", "cur"} {
		err := dirents.Read(filepath.Join(dir, sub), func(e *dirents.Entry) {
			if len(e.Name) == 0 || e.Name[0] == '.' || !e.Regular() {
				return
			}
			size := parseName(string(e.Name))
			if size.wire < 0 || !size.possible() {
				// A few octets fewer than on the wire, for which the file would have to be read.
				info, err := os.Lstat(filepath.Join(dir, sub, string(e.Name)))
				if err != nil {
					return // is gone
				}
				size.wire = info.Size()
			}
			f.use.add(1, size.wire)
		})
		if err != nil && !os.IsNotExist(err) {
			return f, err
		}
	}
	return f, nil
}

// used is what a mailbox holds towards its domain's quota.
func (s *Store) used(ctx context.Context, user string) (usage, error) {
	u, err := s.Usage(ctx, user)
	if err != nil || !s.countFolders {
		return usage{messages: u.Messages, octets: u.Octets}, err
	}
	b, err := s.box(user)
	if err != nil {
		return usage{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	err = b.countAside()
	return usage{messages: u.Messages + b.aside.use.messages, octets: u.Octets + b.aside.use.octets}, err
}
