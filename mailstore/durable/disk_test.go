package durable_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// modes are how a Disk chooses to sync.
var modes = map[string]func(*durable.Disk) *durable.Disk{
	"as it comes": func(d *durable.Disk) *durable.Disk { return d },
	"each":        (*durable.Disk).Each,
	"whole":       (*durable.Disk).Whole,
}

func openDisk(t testing.TB, dir string, set func(*durable.Disk) *durable.Disk) *durable.Disk {
	t.Helper()
	d, err := durable.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return set(d)
}

func TestPublish(t *testing.T) {
	for mode, set := range modes {
		dir := t.TempDir()
		c := openDisk(t, dir, set)
		fsys := c.FS()
		ctx := context.Background()
		if err := c.MkdirAll(ctx, dir, filepath.Join(dir, "a", "b")); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Create(filepath.Join(dir, "tmp"))
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte("hello"))
		name := filepath.Join(dir, "a", "b", "c")
		err = c.Commit(ctx, &durable.Tx{Files: []durable.File{f}, Steps: []durable.Step{durable.Rename(f.Name(), name)}})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != "hello" {
			t.Fatalf("mode %s: %q %v", mode, b, err)
		}
		for _, s := range []string{"x", "y"} {
			if err := c.ReplaceFile(ctx, name, []byte(s)); err != nil {
				t.Fatal(err)
			}
			if b, _ := os.ReadFile(name); string(b) != s {
				t.Fatalf("mode %s: after ReplaceFile: %q", mode, b)
			}
		}
		if err := c.Commit(ctx, &durable.Tx{Steps: []durable.Step{durable.Remove(name), durable.Remove(name)}}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailuresBetweenPhases: whoever fails to publish is waited for no longer.
func TestFailuresBetweenPhases(t *testing.T) {
	for mode, set := range modes {
		dir := t.TempDir()
		c := openDisk(t, dir, set)
		fsys := c.FS()
		taken := filepath.Join(dir, "taken")
		if err := c.ReplaceFile(context.Background(), taken, nil); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 12 {
					name := filepath.Join(dir, fmt.Sprint(w, "-", i))
					f, err := fsys.Create(name + ".tmp")
					if err != nil {
						t.Error(err)
						return
					}
					tx := &durable.Tx{Files: []durable.File{f}, Steps: []durable.Step{durable.Link(f.Name(), name)}}
					fails := (w+i)%3 == 0
					if fails {
						tx.Steps = append(tx.Steps, durable.Link(f.Name(), taken))
					}
					err = c.Commit(context.Background(), tx)
					if fails != errors.Is(err, fs.ErrExist) || !fails && err != nil {
						t.Errorf("mode %s: fails %v: %v", mode, fails, err)
					}
					if _, err := os.Stat(name); fails != errors.Is(err, fs.ErrNotExist) {
						t.Errorf("mode %s: fails %v: %v", mode, fails, err)
					}
				}
			})
		}
		wg.Wait()
	}
}
