package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadme runs the README's quick start as a newcomer would: the command as
// it is written, in a fresh copy of the source, then the lines it prints. It
// needs a network of its own, where the ports of the quick start are free.
func TestReadme(t *testing.T) {
	peer(t, "curl")
	if os.Getenv("POSTRIDER_TEST_INSIDE") != "" {
		quickStartInside(t)
		return
	}
	if testing.Short() {
		t.Skip("short: it builds the program in a copy of the source")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestReadme$", "-test.v")
	cmd.Env = append(os.Environ(), "POSTRIDER_TEST_INSIDE=yes")
	if err := ownNetwork(cmd); err != nil {
		t.Skipf("no network namespace: %v", err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "operation not permitted") {
		t.Skipf("no network namespace: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func quickStartInside(t *testing.T) {
	if err := loopbackUp(); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join("..", "..")
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile("(?m)^go run .* serve$").FindString(string(readme))
	if start == "" || !strings.Contains(string(readme), "\ngo test ./...\n") {
		t.Fatal("the README lacks one of its two commands")
	}
	copied := t.TempDir()
	copySource(t, root, copied)
	for round := range 2 {
		s := startShell(t, copied, start)
		lines := s.introduction(t)
		if round == 1 {
			// The password is not kept, so the second start shows a place for it.
			lines = strings.ReplaceAll(lines, "PASSWORD", s.password(t, copied))
		}
		commands := regexp.MustCompile(`(?m)^    ((?:printf|curl) .*)$`).FindAllStringSubmatch(lines, -1)
		if len(commands) != 3 {
			t.Fatalf("the program prints %d commands, want 3:\n%s", len(commands), lines)
		}
		for i, c := range commands {
			out, err := runPeer(t, copied, "", "sh", "-c", c[1])
			if err != nil {
				t.Fatalf("%s: %v\n%s", c[1], err, out)
			}
			if i == 1 && !strings.HasSuffix(out, "\r\n\r\nIt works.\r\n") {
				t.Errorf("fetched %q", out)
			}
		}
		s.stop(t)
	}
}

// copySource copies what a clone would hold.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == ".git" || e.Name() == quickStartDir {
			continue
		}
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if e.IsDir() {
			err = os.CopyFS(dst, os.DirFS(src))
		} else {
			var text []byte
			if text, err = os.ReadFile(src); err == nil {
				err = os.WriteFile(dst, text, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// shell is a command line that goes on running.
type shell struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

func startShell(t *testing.T, dir, line string) *shell {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	go func() { cmd.Wait(); w.Close() }()
	return &shell{cmd, bufio.NewReader(r)}
}

// introduction reads what is printed up to the line that says the server is
// ready, and lets the rest run on unread.
func (s *shell) introduction(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		text.WriteString(line)
		if err != nil {
			t.Fatalf("the program ended:\n%s", text.String())
		}
		if strings.Contains(line, "msg=serving") {
			go io.Copy(io.Discard, s.out)
			return text.String()
		}
	}
}

// password sets a new password, as the program says one can, and returns it.
func (s *shell) password(t *testing.T, dir string) string {
	t.Helper()
	const fresh = "a-new-password"
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, line := range []string{
		"go run ./cmd/postrider user passwd --stdin me@localhost",
		"go run ./cmd/postrider reload",
	} {
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		cmd.Dir = dir
		cmd.Stdin = strings.NewReader(fresh + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	return fresh
}

// stop sends what Ctrl-C sends, to all that the shell started.
func (s *shell) stop(t *testing.T) {
	t.Helper()
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT)
	for range 3600 {
		if syscall.Kill(-s.cmd.Process.Pid, 0) != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the program did not stop")
}
