package mailkeys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Place is where the keys of mailboxes stand. Its methods may be called concurrently, and beside those of other processes.
type Place interface {
	// Keys returns the text of a mailbox's keys, nil where it has none, and what tells it from every other text. Where that is still what
	// an earlier call returned (known; nil: there was none), same is true and text nil.
	Keys(user string, known any) (text []byte, is any, same bool, err error)
	// ChangeKeys replaces the text by what change makes of it, nil being none before and after. When it returns nil, that is on stable storage;
	// whatever happens, the text is the one before or the one after. Two at a time wait for each other.
	ChangeKeys(ctx context.Context, user string, change func(text []byte) ([]byte, error)) error
}

// Files are where the keys stand beside mail in files. A *maildir.Store is one.
type Files interface {
	KeysPath(user string) (string, error)
	ChangeKeys(ctx context.Context, user string, change func(text []byte) ([]byte, error)) error
}

// inFiles is a Place of files.
type inFiles struct{ Files }

// file is one, as it was when it was read.
type file struct {
	name string
	info fs.FileInfo
}

// String is where a text stands, for errors.
func (f *file) String() string { return f.name }

// Keys implements Place. A file is looked at each time, and read when it is another than before.
func (p inFiles) Keys(user string, known any) (text []byte, is any, same bool, err error) {
	name, err := p.KeysPath(user)
	if err != nil {
		return nil, nil, false, err
	}
	info, err := os.Stat(name)
	if err == nil {
		if was, ok := known.(*file); ok && os.SameFile(was.info, info) && was.info.Size() == info.Size() && was.info.ModTime().Equal(info.ModTime()) {
			return nil, known, true, nil
		}
		text, err = os.ReadFile(name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, false, nil
	case err != nil:
		return nil, nil, false, fmt.Errorf("keys of %s: %w", user, err)
	}
	return text, &file{name, info}, false, nil
}
