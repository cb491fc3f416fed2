package crashtest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider-mail/postrider/internal/crashtest"
)

// TestOverwrite: what was written over something is there, or not, or in part, until
// it is synced, and for certain after it; what is around it stays.
func TestOverwrite(t *testing.T) {
	root := crashtest.Scratch(t)
	rec, err := crashtest.NewRecorder(root)
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	f, err := rec.Create(filepath.Join(root, "f"))
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("0000 body"))
	f.Sync()
	rec.SyncDir(root)
	if _, err := f.WriteAt([]byte("TOP "), 0); err != nil {
		t.Fatal(err)
	}
	over := rec.Len()
	f.Sync()
	seen := make(map[string]bool)
	for n, synced := range map[int]bool{over: false, rec.Len(): true} {
		for _, how := range crashtest.Outcomes(1) {
			dir := filepath.Join(crashtest.Scratch(t), "disk")
			if err := rec.Crash(root, n, how, dir); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(dir, "f"))
			if err != nil || len(text) != 9 || string(text[4:]) != " body" || synced && string(text[:4]) != "TOP " {
				t.Fatalf("synced %v, %s: %q, %v", synced, how.Name, text, err)
			}
			if !synced {
				seen[string(text[:4])] = true
			}
		}
	}
	if !seen["0000"] || !seen["TOP "] || len(seen) < 3 {
		t.Errorf("unsynced it can be %v only", seen)
	}
	if _, err := f.WriteAt([]byte("x"), 100); err != nil {
		t.Fatal(err)
	}
	if err := rec.Crash(root, rec.Len(), crashtest.Outcomes(1)[0], filepath.Join(crashtest.Scratch(t), "disk")); err == nil {
		t.Error("a write behind the end is taken for one over something")
	}
	f.Close()
}
