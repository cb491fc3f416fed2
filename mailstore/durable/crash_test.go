package durable_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

const (
	oldState = "state one\n"
	newState = "state two, which is longer\n"

	unnamedBody = "written before it had a name\n"
)

// script does one of everything the queue and the store do: build a directory,
// publish it by one rename, replace a state file, remove, and give a file that
// has no name two.
func script(c *durable.Disk, r *crashtest.Recorder, root string) error {
	ctx := context.Background()
	fsys := c.FS()
	in := func(parts ...string) string { return filepath.Join(append([]string{root}, parts...)...) }
	if err := c.MkdirAll(ctx, root, in("tmp"), in("msg")); err != nil {
		return err
	}
	for i := range 2 {
		id := fmt.Sprint(i)
		if err := fsys.Mkdir(in("tmp", id)); err != nil {
			return err
		}
		tx := &durable.Tx{EarlyDirs: []string{in("tmp", id)}}
		for _, name := range []string{"body", "envelope"} {
			f, err := fsys.Create(in("tmp", id, name))
			if err != nil {
				return err
			}
			fmt.Fprintf(f, "%s of %s\n", name, id)
			tx.Files = append(tx.Files, f)
		}
		tx.Steps = []durable.Step{durable.Publish(in("tmp", id), in("msg", id))}
		if err := c.Commit(ctx, tx); err != nil {
			return err
		}
		r.Mark("published " + id)
	}
	for n, state := range []string{oldState, newState} {
		if err := c.ReplaceFile(ctx, in("msg", "0", "state"), []byte(state)); err != nil {
			return err
		}
		r.Mark(fmt.Sprint("state ", n))
	}
	r.Mark("removing 1")
	if err := c.Commit(ctx, &durable.Tx{Steps: []durable.Step{durable.Rename(in("msg", "1"), in("tmp", "1"))}}); err != nil {
		return err
	}
	r.Mark("removed 1")
	f, err := fsys.CreateUnnamed(in("tmp"))
	if err != nil {
		return err
	}
	fmt.Fprint(f, unnamedBody)
	if err := c.Commit(ctx, &durable.Tx{Files: []durable.File{f}, Steps: []durable.Step{
		durable.PublishFile(f, in("msg", "x")), durable.PublishFile(f, in("tmp", "y")),
	}}); err != nil {
		return err
	}
	r.Mark("named")
	return nil
}

// check looks at what a crash left, knowing what had been acknowledged.
func check(dir string, marks []string) error {
	for id := range 2 {
		msg := filepath.Join(dir, "msg", fmt.Sprint(id))
		_, err := os.Stat(msg)
		acked := slices.Contains(marks, fmt.Sprint("published ", id))
		removing := id == 1 && slices.Contains(marks, "removing 1")
		if err != nil {
			if acked && !removing {
				return fmt.Errorf("message %d was acknowledged and is gone", id)
			}
			continue
		}
		if id == 1 && slices.Contains(marks, "removed 1") {
			return fmt.Errorf("message 1 is back")
		}
		for _, name := range []string{"body", "envelope"} {
			b, _ := os.ReadFile(filepath.Join(msg, name))
			if string(b) != fmt.Sprintf("%s of %d\n", name, id) {
				return fmt.Errorf("%s of %d is %q", name, id, b)
			}
		}
	}
	for _, name := range []string{"msg/x", "tmp/y"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !slices.Contains(marks, "named") {
			continue
		}
		if string(b) != unnamedBody {
			return fmt.Errorf("%s is %q, %v", name, b, err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "msg", "0", "state"))
	if err != nil && slices.Contains(marks, "state 0") {
		return fmt.Errorf("state is gone")
	}
	if s := string(b); err == nil && s != newState && (s != oldState || slices.Contains(marks, "state 1")) {
		return fmt.Errorf("state is %q", s)
	}
	return nil
}

// crashes runs the script and returns what the checker found, over every cut
// and every outcome.
// With first it stops at the first.
func crashes(t *testing.T, mode string, first bool, forget func(what, name string) bool) []string {
	t.Helper()
	root := crashtest.Scratch(t)
	r, err := crashtest.NewRecorder(root)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Forget = forget
	if err := script(modes[mode](durable.New(r)), r, root); err != nil {
		t.Fatal(err)
	}
	var found []string
	base := crashtest.Scratch(t)
	for n := range r.Len() + 1 {
		for _, how := range crashtest.Outcomes(uint64(n)) {
			dir := filepath.Join(base, "disk")
			if err := r.Crash(root, n, how, dir); err != nil {
				t.Fatal(err)
			}
			if err := check(dir, r.Marks(n)); err != nil {
				found = append(found, fmt.Sprintf("after %d operations, %s: %v", n, how.Name, err))
				if first {
					return found
				}
			}
			os.RemoveAll(dir)
		}
	}
	return found
}

func TestCrash(t *testing.T) {
	for mode := range modes {
		if found := crashes(t, mode, false, nil); len(found) > 0 {
			t.Errorf("mode %s: %d failures, first: %s", mode, len(found), found[0])
		}
	}
}

// TestCrashNoticesMissingSync leaves out each sync in turn: every one must be
// missed, or it would not be needed.
func TestCrashNoticesMissingSync(t *testing.T) {
	var names []string
	crashes(t, "each", true, func(what, name string) bool {
		names = append(names, what+" "+filepath.Base(filepath.Dir(name))+"/"+filepath.Base(name))
		return false
	})
	for i, name := range names {
		n := 0
		found := crashes(t, "each", true, func(string, string) bool { n++; return n-1 == i })
		if len(found) == 0 {
			t.Errorf("sync %d (%s) can be left out unnoticed", i, name)
		}
	}
}
