package maildir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// besideNames are the files in which IMAP servers keep, beside the messages of a
// mailbox or folder, what cannot be made anew: which number each message has, what
// the flags a to z mean, which folders are subscribed to. So are the keys of sealed messages.
var besideNames = []string{
	keysFile,
	"dovecot-uidlist", "dovecot-keywords", "dovecot-acl", "subscriptions", ".subscriptions", "maildirfolder",
	"courierimapuiddb", "courierimapsubscribed", "courierimapacl", "courierpop3dsizelist",
}

// courierKeywords is the folder in which Courier keeps which message has which
// keywords.
const courierKeywords = "courierimapkeywords"

// beside lists the files an IMAP server keeps in a Maildir.
func beside(dir string) ([]string, error) {
	ents, err := os.ReadDir(dir)
	if err != nil {
		return nil, notGone(err)
	}
	var names []string
	for _, e := range ents {
		if e.Name() == courierKeywords && e.IsDir() {
			more, err := os.ReadDir(filepath.Join(dir, courierKeywords))
			if err != nil && notGone(err) != nil {
				return nil, err
			}
			for _, k := range more {
				if k.Type().IsRegular() {
					names = append(names, filepath.Join(courierKeywords, k.Name()))
				}
			}
		}
		if e.Type().IsRegular() && (slices.Contains(besideNames, e.Name()) || strings.HasPrefix(e.Name(), "dovecot-uidvalidity")) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// copyBeside copies a file of an IMAP server, which counts as no message. A file that is
// gone, or cannot be read, is passed over.
func (c *copier) copyBeside(from, to string) (durable.File, error) {
	in, info, err := c.openMessage(from)
	if in == nil {
		return nil, notGone(err)
	}
	defer in.Close()
	sum := c.sum
	f, err := c.copy(in, to, info)
	sum.Failed = c.sum.Failed
	c.sum = sum
	return f, err
}

// backupBeside copies what an IMAP server keeps beside the messages. It comes behind
// them: what it knows of messages that are not in the backup does no harm, and no
// number is given out twice.
func (c *copier) backupBeside(src, dst string) error {
	names, err := beside(src)
	if err != nil {
		return err
	}
	for _, name := range names {
		if folder := filepath.Dir(name); folder != "." {
			if err := os.MkdirAll(filepath.Join(dst, folder), 0o700); err != nil {
				return err
			}
		}
		f, err := c.copyBeside(filepath.Join(src, name), filepath.Join(dst, name))
		if err != nil {
			return err
		}
		if f != nil {
			c.files = append(c.files, f)
		}
	}
	return c.flushFull()
}

// beside brings back the files of an IMAP server that are not there. One that is there
// knows more by now.
func (r *restorer) beside() error {
	names, err := beside(r.src)
	if err != nil {
		return err
	}
	for _, name := range names {
		to := filepath.Join(r.dst, name)
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		f, err := r.copyBeside(filepath.Join(r.src, name), filepath.Join(r.dst, "tmp", r.s.tmpName()))
		if err != nil {
			return err
		}
		if folder := filepath.Dir(to); f != nil && folder != r.dst {
			if err := r.s.c.MkdirAll(r.ctx, r.dst, folder); err != nil {
				return err
			}
		}
		if f != nil {
			r.files = append(r.files, f)
			r.steps = append(r.steps, durable.Publish(f.Name(), to))
		}
	}
	return nil
}
