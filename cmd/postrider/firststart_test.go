package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

// TestFirstStart: a container is given a name and an empty volume, and serves;
// whatever else it finds is no first start.
func TestFirstStart(t *testing.T) {
	volume := t.TempDir()
	dir := filepath.Join(volume, "conf")
	t.Setenv(confVariable, dir)
	refused := func(want string) {
		t.Helper()
		code, _, said := command(t, "", "serve")
		if code != exitError || !strings.Contains(said, want) || strings.Count(said, "\n") != 1 {
			t.Errorf("exit %d, %s; want %s", code, said, want)
		}
	}
	refused("$POSTRIDER_SERVER_NAME=mail.example.com")
	t.Setenv(nameVariable, "not a name")
	refused("$POSTRIDER_SERVER_NAME: ")
	t.Setenv(nameVariable, "mail.example.com")
	mail := filepath.Join(volume, "data", "mail")
	if err := os.MkdirAll(mail, 0o700); err != nil {
		t.Fatal(err)
	}
	refused("this is no first start")
	if err := os.RemoveAll(filepath.Join(volume, "data")); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command(binary(t), "serve")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait() // the ports may be somebody else's here
	if err != nil || !strings.Contains(line, "settings for mail.example.com are in "+dir) {
		t.Errorf("%q, %v", line, err)
	}
	s, problems := conf.Verify(dir, conf.Probes{})
	for _, p := range problems {
		t.Error(p)
	}
	if s.DataDir != filepath.Join(volume, "data") || len(s.Listeners) != 5 || s.Listeners[0].Address != ":2525" || s.ServerName != "mail.example.com" {
		t.Errorf("%s %v", s.DataDir, s.Listeners)
	}

	// What is there is never made again.
	if err := os.Remove(filepath.Join(dir, portsFile)); err != nil {
		t.Fatal(err)
	}
	if err := firstStart(nil, dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, portsFile)); err == nil {
		t.Error("settings were made where there are some")
	}
}

// TestForeignVolume: the first error names whose the folder is, as whom this runs,
// and the command that mends it.
func TestForeignVolume(t *testing.T) {
	volume := t.TempDir()
	dir := filepath.Join(volume, "conf")
	err := notOurs(dir, &os.PathError{Op: "mkdir", Path: dir, Err: syscall.EACCES})
	for _, want := range []string{volume + " belongs to ", "and this runs as user ", "chown "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	err = notOurs(dir, &os.PathError{Op: "mkdir", Path: dir, Err: syscall.EROFS})
	if !strings.Contains(err.Error(), "mount a volume") {
		t.Error(err)
	}
	if os.Getuid() == 0 {
		return // root may write anywhere
	}
	if err := os.Chmod(volume, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(volume, 0o700)
	t.Setenv(confVariable, dir)
	t.Setenv(nameVariable, "mail.example.com")
	if code, _, said := command(t, "", "serve"); code != exitError || !strings.Contains(said, "chown") {
		t.Errorf("exit %d, %s", code, said)
	}
}
