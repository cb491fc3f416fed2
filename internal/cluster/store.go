package cluster

import (
	"context"
	"errors"
	"fmt"
)

// ErrChanged: a document is not the one that it was thought to be. Somebody else was faster; nothing was changed.
var ErrChanged = errors.New("it was changed meanwhile")

// ErrLeft: everything was changed as it was to be, but a document that was to go could not be taken away.
var ErrLeft = errors.New("it cannot be taken away")

// Version tells a document from the one before. It is empty where there is none, and means nothing but to the store that gave it.
type Version string

// Change is what becomes of a document.
type Change struct {
	Name string // path elements with a slash in between, as "dkim/keys.json"
	Text []byte // nil: there is to be none
	// Was is the version that is to be replaced; of none, there must be none. Anyway: whatever there is.
	Was    Version
	Anyway bool
}

// Store keeps documents: few, small, and all of them secrets. Its methods may be called concurrently.
type Store interface {
	// Get reads a document. The text is nil where there is none, and where the version is the one that is known already.
	Get(ctx context.Context, name string, known Version) (text []byte, v Version, err error)
	// Put makes changes, and returns the versions that came of them. The error is ErrChanged if one was not to be made as things are,
	// and then none was; ErrLeft comes with the versions. After any other error it is not known which were; a directory makes them one after the other, so that those before
	// the one that failed were.
	Put(ctx context.Context, changes ...Change) ([]Version, error)
}

// attempts is how often Update tries when others are faster.
const attempts = 10

// Update replaces one document by what change makes of it; nil leaves it as it is. change may be called again, where another was faster. It
// returns the document as it is then.
func Update(ctx context.Context, s Store, name string, change func(text []byte) ([]byte, error)) ([]byte, error) {
	for range attempts {
		text, v, err := s.Get(ctx, name, "")
		if err != nil {
			return nil, err
		}
		next, err := change(text)
		if err != nil || next == nil {
			return text, err
		}
		_, err = s.Put(ctx, Change{Name: name, Text: next, Was: v})
		if !errors.Is(err, ErrChanged) {
			return next, err
		}
	}
	return nil, fmt.Errorf("%s: %w, again and again", name, ErrChanged)
}

// Documents is a Store that tells what others have changed in it.
type Documents interface {
	Store
	// Changed gives the versions of documents whose names begin with prefix and that were put since a mark, and now and then of others, and
	// the next mark. What was taken away is not among them. The zero mark: all there are.
	Changed(ctx context.Context, prefix string, since Mark) (map[string]Version, Mark, error)
}
