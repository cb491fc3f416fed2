// Package passwdfile reads accounts from a passwd-file of Dovecot while Dovecot, or whoever keeps it, goes on changing it.
//
//   - file.go sees that the file has changed, and reads it again;
//   - line.go knows what stands in a line.
package passwdfile

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

const (
	// maxSize bounds what is read into memory: half a million accounts.
	maxSize = 64 << 20
	// settles is for how long after its last change a file may be in the middle of being written, and changes that follow each other
	// may look like one: a file system's clock is coarse.
	settles = 2 * time.Second
)

// File is a passwd-file. It may be used concurrently.
type File struct {
	path   string
	scheme string       // of passwords that say none
	domain domains.Name // of users without one

	mu     sync.Mutex
	read   os.FileInfo // as it was when it was read; nil: never
	at     time.Time   // when that was
	all    []Entry
	byName map[domains.Address]int
}

// New is the file at path, which is read when it is asked something. Users in it without a domain have this one, and passwords without a
// scheme that one.
func New(path, scheme string, domain domains.Name) *File {
	return &File{path: path, scheme: scheme, domain: domain}
}

// Find returns the entry of an address; nil if it has none. An error says that it cannot be found out now.
func (f *File) Find(address domains.Address) (*Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refresh(); err != nil {
		return nil, err
	}
	i, ok := f.byName[address]
	if !ok {
		return nil, nil
	}
	e := f.all[i]
	return &e, nil
}

// All returns the entries in the order of their lines; it must not be changed.
func (f *File) All() ([]Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.refresh() // first: Go does not say whether f.all is read before a call beside it
	return f.all, err
}

// refresh reads the file if it is not what was read. f.mu is held.
func (f *File) refresh() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("passwd-file: %w", err)
	}
	if f.read != nil && os.SameFile(info, f.read) && info.Size() == f.read.Size() && info.ModTime().Equal(f.read.ModTime()) && f.at.Sub(info.ModTime()) > settles {
		return nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("passwd-file: %w", err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil { // it may be another one by now
		return fmt.Errorf("passwd-file: %w", err)
	}
	now := time.Now()
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	switch {
	case err != nil:
		return fmt.Errorf("passwd-file: read %s: %w", f.path, err)
	case len(text) > maxSize:
		return fmt.Errorf("passwd-file: %s is larger than %d MiB", f.path, maxSize>>20)
	case now.Sub(info.ModTime()) <= settles && !bytes.HasSuffix(text, []byte("\n")):
		// Emptied, or ended within a line, just now: the rest is still to come. Nobody is nobody for that.
		if f.read == nil {
			return fmt.Errorf("passwd-file: %s is being written", f.path)
		}
		return nil
	}
	f.all, f.byName = parse(text, f.scheme, f.domain)
	f.read, f.at = info, now
	return nil
}
