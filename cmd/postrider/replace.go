package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postrider-mail/postrider/internal/sys"
)

// replaceFile puts a text in place of a file's, all of it or none. The file has this mode then, and keeps its
// owner, where this user may give files away. One that says so already is left as it is. Root follows no link of somebody else to what is not
// his either.
func replaceFile(name, text string, mode os.FileMode) error {
	named := name
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real // the link stays one
	}
	was, err := os.Stat(name)
	if err == nil && os.Geteuid() == 0 {
		if err := ledTo(named, was); err != nil {
			return err
		}
	}
	if err == nil {
		if old, err := os.ReadFile(name); err == nil && string(old) == text && was.Mode().Perm() == mode {
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if was != nil && err == nil {
		if uid, gid, ok := sys.Owner(was); ok && uid != os.Geteuid() {
			err = f.Chown(uid, gid)
		}
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
