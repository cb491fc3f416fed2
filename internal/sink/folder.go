package sink

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// A folder is a Maildir that mail programs can open, and beside it what a Maildir has
// no place for: a file of what is known about each message, and the inboxes that were
// made.
const (
	dirMail  = "cur"
	dirAbout = "about"
	fileMade = "inboxes.json"
	fileRule = "rules.json"
	suffix   = ":2," // of a Maildir's file name; what stands behind it is the mail programs'
)

// folder keeps messages in files.
type folder struct {
	root string
	disk *durable.Disk
	lock *os.File   // held while it is open
	mu   sync.Mutex // one writer of a file's new contents at a time
}

// about is what is known of a message besides its octets.
type about struct {
	Envelope Envelope
	Inboxes  []string
	Read     bool
	Tags     []string
}

// OpenBox opens a folder, or makes it, and reads what is in it. A message's octets and
// what is known of it are durable before Put returns.
func OpenBox(dir string, l Limits, by Sorting) (*Box, error) {
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	b := NewBox(l, by)
	b.keep = f
	if err := b.load(f); err != nil {
		f.close()
		return nil, err
	}
	return b, nil
}

func openFolder(dir string) (*folder, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	f := &folder{root: root}
	if f.lock, err = lockFolder(root); err != nil {
		return nil, err
	}
	if f.disk, err = durable.Open(root); err != nil {
		f.lock.Close()
		return nil, err
	}
	if err := f.prepare(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// ErrFolderTaken says that another process keeps its messages in a folder.
var ErrFolderTaken = errors.New("another process keeps its messages there")

// lockFolder keeps other processes out of a folder; the system lets go of it should this
// one die. A file system without locks has none.
func lockFolder(root string) (*os.File, error) {
	lock, err := sys.LockFolder(root)
	switch {
	case errors.Is(err, sys.ErrHeld):
		return nil, fmt.Errorf("%s: %w", root, ErrFolderTaken)
	case errors.Is(err, errors.ErrUnsupported):
		return os.Open(root)
	}
	return lock, err
}

// prepare makes the folders that are missing, and throws away what a crash left half written: it was
// never acknowledged.
func (f *folder) prepare() error {
	dirs := []string{f.path(dirMail), f.path("new"), f.path("tmp"), f.path(dirAbout)}
	if err := f.disk.MkdirAll(context.Background(), f.root, dirs...); err != nil {
		return err
	}
	left, err := os.ReadDir(f.path("tmp"))
	for _, e := range left {
		err = errors.Join(err, os.Remove(f.path("tmp", e.Name())))
	}
	return errors.Join(err, f.writable())
}

// writable finds at the start what the first message would find.
func (f *folder) writable() error {
	for _, dir := range []string{f.root, f.path("tmp"), f.path(dirMail), f.path(dirAbout)} {
		if err := sys.Access(dir, sys.Write|sys.Search); err != nil {
			return fmt.Errorf("%s must be writable: %w", dir, err)
		}
	}
	return nil
}

func (f *folder) path(names ...string) string {
	return filepath.Join(append([]string{f.root}, names...)...)
}

func (f *folder) where() string { return f.root }

func (f *folder) close() error { return errors.Join(f.disk.Close(), f.lock.Close()) }

// Close gives back what a Box with a folder holds. Nothing may be asked of it afterwards.
func (b *Box) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f, ok := b.keep.(*folder); ok {
		return f.close()
	}
	return nil
}

// put makes two files, and both names durable together.
func (f *folder) put(ctx context.Context, m *Message, raw []byte) error {
	m.raw = nil
	text, err := json.Marshal(aboutOf(m))
	if err != nil {
		return err
	}
	mail, err := f.write(m.ID+".eml", raw)
	if err != nil {
		return err
	}
	facts, err := f.write(m.ID+".json", text)
	if err != nil {
		mail.Close()
		return errors.Join(err, f.disk.FS().Remove(mail.Name()))
	}
	err = f.disk.Commit(ctx, &durable.Tx{
		Files: []durable.File{mail, facts},
		// A message without facts is read again, facts without a message are not.
		Steps: []durable.Step{durable.Publish(facts.Name(), f.about(m.ID)), durable.Publish(mail.Name(), f.path(dirMail, m.ID+suffix))},
	})
	if err != nil {
		return errors.Join(err, f.removeFiles(mail.Name(), facts.Name()))
	}
	return nil
}

func (f *folder) about(id string) string { return f.path(dirAbout, id+".json") }

func aboutOf(m *Message) about {
	return about{Envelope: m.Envelope, Inboxes: m.Inboxes, Read: m.Read, Tags: m.Tags}
}

func (f *folder) write(name string, data []byte) (durable.File, error) {
	file, err := f.disk.FS().Create(f.path("tmp", name))
	if err != nil {
		return nil, err
	}
	if _, err := file.Write(data); err != nil {
		file.Close()
		return nil, errors.Join(err, f.disk.FS().Remove(file.Name()))
	}
	return file, nil
}

func (f *folder) removeFiles(names ...string) (err error) {
	for _, name := range names {
		if gone := f.disk.FS().Remove(name); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// octets reads the message; a mail program may have given it other flags.
func (f *folder) octets(m *Message) ([]byte, error) {
	raw, err := os.ReadFile(f.path(dirMail, m.ID+suffix))
	if !errors.Is(err, fs.ErrNotExist) {
		return raw, err
	}
	name, err := f.mailFile(m.ID)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

// mailFile is where a message is. A mail program may have given it other flags.
func (f *folder) mailFile(id string) (string, error) {
	name := f.path(dirMail, id+suffix)
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return name, err
	}
	entries, err := os.ReadDir(f.path(dirMail))
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), id+":") {
			return f.path(dirMail, e.Name()), nil
		}
	}
	return "", ErrNotFound
}

// batch is how many files one transaction changes.
const batch = 200

func (f *folder) remove(ms []*Message) error {
	for some := range slices.Chunk(ms, batch) {
		tx := &durable.Tx{}
		for _, m := range some {
			mail, err := f.mailFile(m.ID)
			if err == nil {
				tx.Steps = append(tx.Steps, durable.Remove(mail))
			} else if !errors.Is(err, ErrNotFound) {
				return err
			}
			tx.Steps = append(tx.Steps, durable.Remove(f.about(m.ID)))
		}
		if err := f.disk.Commit(context.Background(), tx); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) note(ms []*Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for some := range slices.Chunk(ms, batch) {
		tx := &durable.Tx{}
		for _, m := range some {
			text, err := json.Marshal(aboutOf(m))
			if err == nil {
				var file durable.File
				if file, err = f.write(m.ID+".note", text); err == nil {
					tx.Files = append(tx.Files, file)
					tx.Steps = append(tx.Steps, durable.Rename(file.Name(), f.about(m.ID)))
				}
			}
			if err != nil {
				return errors.Join(err, f.abandon(tx))
			}
		}
		if err := f.disk.Commit(context.Background(), tx); err != nil {
			return errors.Join(err, f.abandon(tx))
		}
	}
	return nil
}

// abandon takes away what was written for a transaction that is not to be.
func (f *folder) abandon(tx *durable.Tx) (err error) {
	for _, file := range tx.Files {
		file.Close() // it may be closed already
		err = errors.Join(err, f.removeFiles(file.Name()))
	}
	return err
}

// noteMade keeps the inboxes that were made.
func (f *folder) noteMade(made map[string]*Made) error { return f.noteJSON(fileMade, made) }

// noteRules keeps the rules of inboxes.
func (f *folder) noteRules(texts map[string]string) error { return f.noteJSON(fileRule, texts) }

func (f *folder) noteJSON(name string, v any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.disk.ReplaceFile(context.Background(), f.path(name), text)
}

// readJSON reads what noteJSON has written, if it has.
func (f *folder) readJSON(name string, into any) error {
	text, err := os.ReadFile(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.path(name), err)
	}
	return nil
}

// KeptRules are the rules that were set before a restart, by inbox.
func (b *Box) KeptRules() (texts map[string]string, err error) {
	if f, ok := b.keep.(*folder); ok {
		err = f.readJSON(fileRule, &texts)
	}
	return texts, err
}

// KeepRules keeps them over one.
func (b *Box) KeepRules(texts map[string]string) error { return b.keep.noteRules(texts) }

// load reads all that is in the folder.
func (b *Box) load(f *folder) error {
	if err := f.readJSON(fileMade, &b.made); err != nil {
		return err
	}
	if b.made == nil { // the file says "null"
		b.made = make(map[string]*Made)
	}
	entries, err := os.ReadDir(f.path(dirMail))
	if err != nil {
		return err
	}
	var all []*Message
	for _, e := range entries {
		id, _, ok := strings.Cut(e.Name(), ":")
		if !ok {
			continue
		}
		m, err := f.load(id, e.Name())
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	slices.SortStableFunc(all, func(x, y *Message) int {
		return cmp.Or(x.Received.Compare(y.Received), strings.Compare(x.ID, y.ID))
	})
	for _, m := range all {
		b.insert(m, m.Received)
	}
	return nil
}

// load reads one message. One that stands there without facts, because a person put it
// there, is of nobody and has no envelope.
func (f *folder) load(id, name string) (*Message, error) {
	raw, err := os.ReadFile(f.path(dirMail, name))
	if err != nil {
		return nil, err
	}
	var a about
	switch text, err := os.ReadFile(f.about(id)); {
	case errors.Is(err, fs.ErrNotExist):
		if info, err := os.Stat(f.path(dirMail, name)); err == nil {
			a.Envelope.Received = info.ModTime()
		} else {
			a.Envelope.Received = time.Now()
		}
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(text, &a); err != nil {
			return nil, fmt.Errorf("%s: %w", f.about(id), err)
		}
	}
	m := newMessage(id, a.Envelope, raw)
	m.raw, m.Inboxes, m.Read = nil, a.Inboxes, a.Read
	if a.Tags != nil {
		m.Tags = a.Tags
	}
	m.cost = m.weigh()
	return m, nil
}
