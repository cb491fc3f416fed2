package change

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// publication is new texts of files on their way to where they are read.
type publication struct {
	folder string // of the configuration
	disk   *durable.Disk
	texts  []*text
	step   func()
}

// text is one of them.
type text struct {
	edit   *conf.Edit
	name   string // of the file itself, should Edit.File be a link to it
	beside string // where the new text stands; once it is published, the old one
	file   durable.File
	done   bool
}

// prepare writes the new text of a file beside it. Its folder's files of this name are read by nobody: they begin with a dot.
func (p *publication) prepare(e *conf.Edit, secret bool) error {
	t := &text{edit: e, name: e.File}
	if real, err := filepath.EvalSymlinks(t.name); err == nil {
		t.name = real // the link stays one
	}
	dir, base := filepath.Split(t.name)
	t.beside = filepath.Join(dir, "."+base+".new")
	like, err := likeness(t, secret)
	if err != nil {
		return err
	}
	if p.disk == nil {
		if p.disk, err = durable.Open(filepath.Clean(dir)); err != nil {
			return err
		}
	}
	if err := os.Remove(t.beside); err != nil && !errors.Is(err, fs.ErrNotExist) { // what a crash left
		return err
	}
	if t.file, err = p.disk.FS().Create(t.beside); err != nil {
		return err
	}
	p.texts = append(p.texts, t)
	p.at()
	if _, err := t.file.Write(e.Text); err != nil {
		return err
	}
	p.at()
	return like.give(t.beside)
}

// publish makes the texts durable and puts each in the place of its file: all, or none if one cannot be.
func (p *publication) publish(ctx context.Context) error {
	var files []durable.File
	var dirs []string
	for _, t := range p.texts {
		files = append(files, t.file)
		t.file = nil // Commit closes it
		if dir := filepath.Dir(t.name); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if err := p.disk.Commit(ctx, &durable.Tx{Files: files}); err != nil {
		return err
	}
	if len(p.texts) > 1 {
		p.at()
		defer os.Remove(p.journal())
		if err := p.writeDown(ctx); err != nil {
			return err
		}
	}
	for _, t := range p.texts {
		p.at()
		if err := t.exchange(p.at); err != nil {
			p.takeBack()
			return fmt.Errorf("%s %w", t.edit.File, err)
		}
	}
	p.at()
	if err := p.disk.Commit(ctx, &durable.Tx{Dirs: dirs}); err != nil {
		p.takeBack()
		return err
	}
	p.at()
	return nil
}

// exchange puts the new text in the place of the old one, if that is still what was read.
func (t *text) exchange(at func()) error {
	if t.edit.New {
		err := place(t.beside, t.name)
		if errors.Is(err, fs.ErrExist) {
			return ErrChanged
		}
		t.done = err == nil
		return err
	}
	// Looked at before, so that what somebody has changed is not even for a moment another text.
	if err := t.unchanged(t.name); err != nil {
		return err
	}
	at()
	if err := swap(t.beside, t.name); err != nil {
		return err
	}
	if err := t.unchanged(t.beside); err != nil { // changed since
		return errors.Join(err, swap(t.beside, t.name))
	}
	t.done = true
	return nil
}

// unchanged reports whether a file holds what was read.
func (t *text) unchanged(name string) error {
	is, err := os.ReadFile(name)
	if err == nil && !bytes.Equal(is, t.edit.Was) || errors.Is(err, fs.ErrNotExist) {
		return ErrChanged
	}
	return err
}

// takeBack puts the old texts where the new ones are.
func (p *publication) takeBack() {
	for _, t := range slices.Backward(p.texts) {
		switch {
		case !t.done:
		case t.edit.New:
			os.Remove(t.name)
		default:
			swap(t.beside, t.name)
		}
	}
}

// clean takes away what stands beside the files.
func (p *publication) clean() {
	for _, t := range p.texts {
		if t.file != nil {
			t.file.Close()
		}
		p.at()
		os.Remove(t.beside)
	}
	if p.disk != nil {
		p.disk.Close()
	}
}

func (p *publication) at() {
	if p.step != nil {
		p.step()
	}
}
