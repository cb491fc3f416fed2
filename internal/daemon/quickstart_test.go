package daemon

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/peertest"
)

// TestQuickStart: the folder that is made is right, is the owner's alone, and
// stays as it is; the lines that are printed can be pasted from any folder.
func TestQuickStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's a folder; really")
	start, err := QuickStart(dir)
	if err != nil || len(start.password) != 20 {
		t.Fatal(start, err)
	}
	password := start.password
	file := filepath.Join(dir, quickStartFile)
	first, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(first), password) {
		t.Errorf("%v: the file holds the password", err)
	}
	for _, name := range []string{dir, file} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, mode %v", name, err, info.Mode())
		}
	}
	again, err := QuickStart(dir)
	if err != nil || again.password != "" || again.Forget() != nil {
		t.Fatalf("the second start gives %v, %v", again, err)
	}
	if second, err := os.ReadFile(file); err != nil || string(second) != string(first) {
		t.Errorf("%v: the second start changed the file", err)
	}
	for _, start := range []*Start{start, again} {
		var text strings.Builder
		start.Introduce(&text)
		for line := range strings.Lines(text.String()) {
			if !strings.HasPrefix(line, "    ") {
				continue
			}
			// The shell finds the words that the program is given.
			line = strings.NewReplacer("curl ", "printf '<%s>' ", "postrider ", "printf '<%s>' ").Replace(line)
			out, err := exec.Command("sh", "-c", line).CombinedOutput()
			if err != nil || strings.Contains(line, "folder") && !strings.Contains(string(out), "<"+dir) {
				t.Errorf("%s: %v, %s", line, err, out)
			}
		}
	}
}

// TestFirstScreen: nothing that a newcomer reads first is a warning.
func TestFirstScreen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := QuickStart(dir); err != nil {
		t.Fatal(err)
	}
	var log mailtest.Log
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if problems := s.Check(); len(problems) > 0 {
		t.Errorf("the settings that are made: %v", problems)
	}
	for i := range s.Listeners {
		s.Listeners[i].Address = "127.0.0.1:0"
	}
	d, err := New(func() (*conf.Settings, error) { return s, nil }, &log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	waitFor(t, func() bool { return strings.Contains(log.String(), "msg=serving") })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
		t.Errorf("a newcomer reads\n%s", text)
	}
}

// TestServingAsRoot: root is warned, where others can reach the server, and nobody else is.
func TestServingAsRoot(t *testing.T) {
	w := start(t, "")
	peertest.Await(t, "the server to serve", func() bool { return strings.Contains(w.logs.String(), "msg=serving ") })
	if warned := strings.Contains(w.logs.String(), `level=WARN msg="serving as root"`); warned != (os.Geteuid() == 0) {
		t.Errorf("user %d was warned: %v", os.Geteuid(), warned)
	}
}
