package trace

import (
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Files opens a log file and those rotated next to it, "NAME.1", "NAME.2.gz",
// "NAME-20261129" and their like, the oldest first, as one text.
func Files(name string) (io.ReadCloser, error) {
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	var infos []fs.FileInfo
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), filepath.Base(name))
		if !ours || rest != "" && rest[0] != '.' && rest[0] != '-' || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil { // else it is rotated away just now
			infos = append(infos, info)
		}
	}
	if len(infos) == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	slices.SortStableFunc(infos, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	all := &files{}
	var readers []io.Reader
	for _, info := range infos {
		r, err := all.open(filepath.Join(filepath.Dir(name), info.Name()))
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		readers = append(readers, r, strings.NewReader("\n"))
	}
	all.Reader = io.MultiReader(readers...)
	return all, nil
}

// files are several, read one after another.
type files struct {
	io.Reader
	opened []io.Closer
}

func (f *files) open(name string) (io.Reader, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	f.opened = append(f.opened, file)
	if !strings.HasSuffix(name, ".gz") {
		return file, nil
	}
	return gzip.NewReader(file)
}

// Close closes all of them.
func (f *files) Close() error {
	var errs []error
	for _, c := range f.opened {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
