package change

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// A change of several files is written down before the first of them is replaced, so that a crash leaves no configuration
// that is half of one and half of another: which no server might start with, and no command would finish.

// journalName is where, in the folder of the configuration.
const journalName = ".postrider-change"

// entry is one file of the change, with the hashes of what it held and is to hold.
type entry struct {
	Name   string `json:"name"`
	Beside string `json:"beside"`
	Was    string `json:"was"` // empty: it is new
	Is     string `json:"is"`
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// hashOf is that of a file; empty: it is not there.
func hashOf(name string) (string, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return hash(text), err
}

// writeDown makes durable what is about to happen. The journal belongs to the folder's owner, as whom the server runs.
func (p *publication) writeDown(ctx context.Context) error {
	var all []entry
	for _, t := range p.texts {
		e := entry{Name: t.name, Beside: t.beside, Is: hash(t.edit.Text)}
		if !t.edit.New {
			e.Was = hash(t.edit.Was)
		}
		all = append(all, e)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	folder, err := os.Stat(p.folder)
	if err != nil {
		return err
	}
	if err := p.disk.ReplaceFile(ctx, p.journal(), text); err != nil {
		return err
	}
	return sys.GiveLike(p.journal(), folder)
}

func (p *publication) journal() string { return filepath.Join(p.folder, journalName) }

// Recover undoes what a crash has left of a change of several files at path: all of them are then as they were, or as they are to
// be. What somebody has written by hand since stays. A server does so before it starts; Apply does by itself.
func Recover(ctx context.Context, path string) error {
	if _, err := os.Lstat(filepath.Join(folderOf(path), journalName)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := lock(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	return recoverIn(ctx, folderOf(path))
}

// recoverIn is Recover with the folder locked.
func recoverIn(ctx context.Context, folder string) error {
	journal := filepath.Join(folder, journalName)
	text, err := os.ReadFile(journal)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var all []entry
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err == nil {
		err = undo(ctx, folder, all)
	}
	if err != nil {
		return fmt.Errorf("a change of the configuration was cut short, and what %s says of it cannot be undone: %w", journal, err)
	}
	return os.Remove(journal)
}

// undo puts back what was replaced, unless everything was.
func undo(ctx context.Context, folder string, all []entry) error {
	done := 0
	for i := range all {
		is, err := hashOf(all[i].Name)
		if err != nil {
			return err
		}
		if is == all[i].Is {
			done++
		} else {
			all[i].Is = "" // as it was, or by hand
		}
	}
	dirs := []string{folder}
	for _, e := range all {
		dirs = append(dirs, filepath.Dir(e.Name))
		old, err := hashOf(e.Beside)
		switch {
		case err != nil:
			return err
		case done == len(all) || e.Is == "":
		case e.Was == "":
			err = os.Remove(e.Name)
		case old == e.Was:
			err = swap(e.Beside, e.Name)
		}
		if err == nil {
			if err = os.Remove(e.Beside); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
	disk, err := durable.Open(folder)
	if err != nil {
		return err
	}
	defer disk.Close()
	return disk.Commit(ctx, &durable.Tx{Dirs: dirs})
}
