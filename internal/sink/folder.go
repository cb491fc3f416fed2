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

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// A folder is a Maildir that mail programs can open, and beside it what a Maildir has
// no place for: a file of what is known about each message, and the inboxes that were
// made.
const (
	dirMail  = "cur"
	dirAbout = "about"
	fileMade = "inboxes.json"
	suffix   = ":2," // of a Maildir's file name; what stands behind it is the mail programs'
)

// folder keeps messages in files.
type folder struct {
	root string
	disk *durable.Disk
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
	disk, err := durable.Open(root)
	if err != nil {
		return nil, err
	}
	f := &folder{root: root, disk: disk}
	dirs := []string{f.path(dirMail), f.path("new"), f.path("tmp"), f.path(dirAbout)}
	if err := disk.MkdirAll(context.Background(), root, dirs...); err != nil {
		disk.Close()
		return nil, err
	}
	// What a crash left half written was never acknowledged.
	left, err := os.ReadDir(f.path("tmp"))
	for _, e := range left {
		err = errors.Join(err, os.Remove(f.path("tmp", e.Name())))
	}
	if err != nil {
		disk.Close()
		return nil, err
	}
	return f, nil
}

func (f *folder) path(names ...string) string {
	return filepath.Join(append([]string{f.root}, names...)...)
}

func (f *folder) where() string { return f.root }

func (f *folder) close() error { return f.disk.Close() }

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

func (f *folder) mailFile(id string) (string, error) {
	found, err := filepath.Glob(f.path(dirMail, id+":*"))
	if err != nil || len(found) == 0 {
		return "", errors.Join(err, ErrNotFound)
	}
	return found[0], nil
}

func (f *folder) remove(ms []*Message) error {
	if len(ms) == 0 {
		return nil
	}
	tx := &durable.Tx{}
	for _, m := range ms {
		mail, err := f.mailFile(m.ID)
		if err == nil {
			tx.Steps = append(tx.Steps, durable.Remove(mail))
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
		tx.Steps = append(tx.Steps, durable.Remove(f.about(m.ID)))
	}
	return f.disk.Commit(context.Background(), tx)
}

func (f *folder) note(ms []*Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range ms {
		text, err := json.Marshal(aboutOf(m))
		if err != nil {
			return err
		}
		if err := f.disk.ReplaceFile(context.Background(), f.about(m.ID), text); err != nil {
			return err
		}
	}
	return nil
}

// noteMade keeps the inboxes that were made.
func (f *folder) noteMade(made map[string]*Made) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := json.Marshal(made)
	if err != nil {
		return err
	}
	return f.disk.ReplaceFile(context.Background(), f.path(fileMade), text)
}

// load reads all that is in the folder.
func (b *Box) load(f *folder) error {
	switch text, err := os.ReadFile(f.path(fileMade)); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &b.made); err != nil {
			return fmt.Errorf("%s: %w", f.path(fileMade), err)
		}
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
	return m, nil
}
