package cluster_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/cluster/clustertest"
	"github.com/postrider-mail/postrider/internal/mailtest"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	all := make(map[string]*cluster.Files)
	clustertest.Run(t, func(t *testing.T) cluster.Store { // one process has one handle
		mu.Lock()
		defer mu.Unlock()
		if all[t.Name()] == nil {
			all[t.Name()] = cluster.NewFiles(t.TempDir())
		}
		return all[t.Name()]
	})
}

// TestFilesClose: neither what is put nor what is refused leaves a file open.
func TestFilesClose(t *testing.T) {
	s := cluster.NewFiles(t.TempDir())
	mailtest.Descriptors(t, func() {
		for _, was := range []cluster.Version{"", "another"} {
			s.Put(t.Context(), cluster.Change{Name: "a", Text: []byte("x"), Was: was})
		}
		s.Put(t.Context(), cluster.Change{Name: "a", Text: []byte("x"), Anyway: true})
		s.Get(t.Context(), "a", "")
	})
}

// TestFilesOnDisk: a document is a file of its name that nobody else can read, and nothing outside of the directory is one.
func TestFilesOnDisk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there")
	s := cluster.NewFiles(dir)
	if text, v, err := s.Get(t.Context(), "dkim/mail.test/a.key", ""); text != nil || v != "" || err != nil {
		t.Errorf("before the first start: %q %q %v", text, v, err)
	}
	if _, err := s.Put(t.Context(), cluster.Change{Name: "dkim/mail.test/a.key", Text: []byte("secret")}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "dkim", "mail.test", "a.key")
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if text, _, err := s.Get(t.Context(), "dkim/mail.test/a.key", ""); string(text) != "secret" || err != nil {
		t.Errorf("%q %v", text, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	for _, name := range []string{"", ".", "../a", "/a", "a/../../b"} {
		if _, _, err := s.Get(t.Context(), name, ""); err == nil {
			t.Errorf("%q can be read", name)
		}
		if _, err := s.Put(t.Context(), cluster.Change{Name: name, Text: []byte("x"), Anyway: true}); err == nil {
			t.Errorf("%q can be written", name)
		}
	}
}
