package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// MkdirAll makes each of dirs and its missing parents up to, but not including,
// root, and returns once every one of them, found or made, is durable in its
// parent. A directory found is synced too: whoever made it may have died before.
func (d *Disk) MkdirAll(ctx context.Context, root string, dirs ...string) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	var parents []string
	for _, dir := range dirs {
		ups, err := d.mkdirs(root, dir)
		if err != nil {
			return err
		}
		for _, up := range ups {
			if !slices.Contains(parents, up) {
				parents = append(parents, up)
			}
		}
	}
	return d.Commit(ctx, &Tx{Dirs: parents})
}

// mkdirs makes the directories and lists their parents.
func (d *Disk) mkdirs(root, dir string) ([]string, error) {
	root, dir = filepath.Clean(root), filepath.Clean(dir)
	if dir == root {
		return nil, nil
	}
	up := filepath.Dir(dir)
	if up == dir {
		return nil, fmt.Errorf("durable: %s is not below %s", dir, root)
	}
	dirs, err := d.mkdirs(root, up)
	if err != nil {
		return nil, err
	}
	if err := d.fs.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("durable: make directory: %w", err)
	}
	return append(dirs, up), nil
}

// ReplaceFile gives the small file name new contents: readers, also those after
// a crash or an error, find the old ones or the new ones. Two calls for one name must not
// run at the same time; name+".tmp" is used on the way.
func (d *Disk) ReplaceFile(ctx context.Context, name string, data []byte) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	tmp := name + ".tmp"
	f, err := d.fs.Create(tmp)
	if errors.Is(err, fs.ErrExist) {
		// Left behind by a crash; nobody else writes it.
		if err = d.fs.Remove(tmp); err == nil {
			f, err = d.fs.Create(tmp)
		}
	}
	if err != nil {
		return fmt.Errorf("durable: create %s: %w", tmp, err)
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		_ = d.fs.Remove(tmp)
		return fmt.Errorf("durable: write %s: %w", tmp, err)
	}
	if err := d.Commit(ctx, &Tx{Files: []File{f}, Steps: []Step{{op: opReplace, old: tmp, new: name}}}); err != nil {
		_ = d.fs.Remove(tmp) // unless it got as far as the rename
		return err
	}
	return nil
}
