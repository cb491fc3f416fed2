package maildir

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// folderDepth bounds how deep Folders looks.
const folderDepth = 8

// Folders lists the folders of the Maildir dir as paths below it, sorted: those
// of Maildir++ (".Sent", ".Work.2026"), as this package, Dovecot and Courier
// make them, and directories in directories ("Work/2026"), as mbsync and others
// do. POP3 knows one mailbox only and shows none of them.
func Folders(dir string) ([]string, error) {
	var out []string
	err := addFolders(&out, dir, "", folderDepth)
	if err != nil {
		return nil, fmt.Errorf("maildir: list folders: %w", err)
	}
	slices.Sort(out)
	return out, nil
}

// addFolders looks into dir/rel. Only right below dir is a symbolic link
// followed: a folder may be kept elsewhere, but links could lead in circles.
func addFolders(out *[]string, dir, rel string, depth int) error {
	ents, err := os.ReadDir(filepath.Join(dir, rel))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range ents {
		name := e.Name()
		isDir := e.IsDir() || rel == "" && e.Type()&fs.ModeSymlink != 0
		if !isDir || name == "tmp" || name == "new" || name == "cur" {
			continue
		}
		path := filepath.Join(rel, name)
		if holdsMail(filepath.Join(dir, path)) {
			*out = append(*out, path)
		}
		if depth > 1 && e.IsDir() && !strings.HasPrefix(name, ".") {
			if err := addFolders(out, dir, path, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// holdsMail reports whether a directory is a Maildir, be it without new.
func holdsMail(dir string) bool {
	st, err := os.Stat(filepath.Join(dir, "cur"))
	return err == nil && st.IsDir() || isMaildir(dir)
}
